"""Texts that are almost real ones: seeded, so that a number brings each of them back."""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from lib_merge.errors import MergeError
from tests.fuzz.entries import Entry

ODD = (
    *("\0", "\x1b[31m", "\r", "\u2028", "\ufeff", "\ud83d", "\udcff", "²", "٣", "é", "モ", "😀", "\u202e"),
    *("NaN", "Infinity", "-inf", "1e999", "1e300", "-1e-320", "0x10", "1_000", "-0", "9" * 400, "9" * 5000),
    *("null", "true", "[]", "{}", '""', "'", '"', "\\", "\\u", "\\ud83d", "..", "/", "%s", "{0}", "$", "<"),
    *(
        "(" * 60,
        "[" * 5000,
        '{"a":' * 2000,
        ", " * 50,
        "= ",
        ": ",
        "- ",
        "* ",
        "*a" * 40,
        "\n\n",
        "=",
        "#",
        ";",
    ),
)
SECONDS = 20.0  # of processor time: no text may take so long, however busy the machine


def mutated(entry: Entry, others: Sequence[str], seed: int) -> str:
    """A sample of the entry's after some changes."""
    chance = random.Random(seed)
    text = chance.choice(entry.samples)
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        text = chance.choice(CHANGES)(text, entry, others, chance)
    return text


Change = Callable[[str, Entry, Sequence[str], random.Random], str]


def _place(text: str, chance: random.Random) -> int:
    return chance.randint(0, len(text))


def _flip(text: str, entry: Entry, others: Sequence[str], chance: random.Random) -> str:
    if not text:
        return text
    at = chance.randrange(len(text))
    return text[:at] + chr((ord(text[at]) ^ (1 << chance.randrange(8))) & 0xFF) + text[at + 1 :]


def _insert(text: str, entry: Entry, others: Sequence[str], chance: random.Random) -> str:
    at = _place(text, chance)
    return text[:at] + chance.choice((*ODD, *entry.tokens)) + text[at:]


def _delete(text: str, entry: Entry, others: Sequence[str], chance: random.Random) -> str:
    at = _place(text, chance)
    return text[:at] + text[at + chance.choice((1, 1, 2, 10, 100)) :]


def _double(text: str, entry: Entry, others: Sequence[str], chance: random.Random) -> str:
    begin = _place(text, chance)
    part = text[begin : begin + chance.choice((1, 3, 10, 100))]
    return text[:begin] + part * chance.choice((2, 2, 3, 300)) + text[begin:]


def _number(text: str, entry: Entry, others: Sequence[str], chance: random.Random) -> str:
    digits = [at for at, each in enumerate(text) if each.isdigit()]
    if not digits:
        return text
    at = chance.choice(digits)
    return (
        text[:at] + chance.choice(("-1", "1e300", "9" * 30, "0.5", "NaN", "", "true", "1e")) + text[at + 1 :]
    )


def _splice(text: str, entry: Entry, others: Sequence[str], chance: random.Random) -> str:
    other = chance.choice((*entry.samples, *others))
    return text[: _place(text, chance)] + other[_place(other, chance) :]


def _swap(text: str, entry: Entry, others: Sequence[str], chance: random.Random) -> str:
    words = text.split(" ")
    chance.shuffle(words)
    return " ".join(words)


CHANGES: tuple[Change, ...] = (_flip, _insert, _insert, _delete, _double, _number, _number, _splice, _swap)


@dataclass(frozen=True)
class Found:
    """A text that was answered with neither a value nor a MergeError, or too slowly."""

    entry: str
    seed: int
    text: str
    what: str


def try_one(entry: Entry, others: Sequence[str], seed: int) -> Found | None:
    """What is wrong with the answer to one text; None where nothing is."""
    text = mutated(entry, others, seed)
    begun = time.thread_time()
    try:
        entry.reads(text)
    except MergeError:
        pass
    except Exception:
        return Found(entry.name, seed, text, traceback.format_exc(limit=-4))
    taken = time.thread_time() - begun
    return Found(entry.name, seed, text, f"{taken:.1f} s") if taken > SECONDS else None


def search(entries: Sequence[Entry], seeds: Iterable[int]) -> Iterator[Found]:
    """What is wrong with the answers to the texts of these seeds, every entry in turn."""
    others = [sample for entry in entries for sample in entry.samples]
    for seed, entry in product(seeds, entries):
        found = try_one(entry, others, seed)
        if found is not None:
            yield found
