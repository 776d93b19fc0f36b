"""Every reader takes time in proportion to the length of a text: 100 KB of anything is answered at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from lib_merge.errors import MergeError
from tests.fuzz.entries import Entry, entries

LENGTH = 100_000  # characters
SECONDS = 10.0  # of processor time, of which a quiet machine needs a tenth
TRIES = 10  # of a comparison of two times: what else the machine does only lengthens either
CHARACTERS = " \na1.,-+*(['\"\\:;=#<eR/\0\r\ud83d"


def seconds(read: Callable[[str], object], text: str) -> float:
    """The processor time of this thread that an answer takes."""
    begun = time.thread_time()
    with suppress(MergeError):
        read(text)
    return time.thread_time() - begun


@pytest.mark.slow
@pytest.mark.parametrize("entry", list(entries()), ids=lambda entry: entry.name)
def test_100_kb_of_any_character_and_of_any_token_are_answered_soon(entry: Entry) -> None:
    slow: list[tuple[str, float]] = []
    half = entry.samples[0][: len(entry.samples[0]) // 2]
    for begin, tokens in (("", CHARACTERS), ("", entry.tokens), (half, entry.tokens)):
        for token in tokens:
            taken = seconds(entry.reads, begin + token * (LENGTH // len(token)) + "!")
            if taken > SECONDS:
                slow.append((begin + token, taken))
    assert slow == []


# field, and what is repeated in it: each took time in the square of the length, as regular expressions do
# that can divide a run of digits, spaces or brackets in many ways
SQUARE = [
    ("sum", "1"),
    ("sum", "A + "),
    ("rules", "1"),
    ("rules", "+1"),
    ("rules", "a::1\n"),
    ("weights", "R "),
    ("numbers", "1"),
    ("numbers", "("),
    ("recipe", 'A1 = "a"\n'),
    ("axis alpha", "1"),
    ("axis recipe", ";"),
    ("axis blocks", " "),
    ("Model Mixer", "ModelMixer a"),
]


@pytest.mark.parametrize(("name", "token"), SQUARE)
def test_twice_the_text_takes_no_more_than_some_times_the_time(name: str, token: str) -> None:
    entry = next(entry for entry in entries() if entry.name == name)
    # within the field's limit of length: the time of a square would grow sixteenfold
    short, long = (token * (length // len(token)) + "!" for length in (4_000, 16_000))
    once = fourfold = float("inf")
    for _ in range(TRIES):
        once, fourfold = min(once, seconds(entry.reads, short)), min(fourfold, seconds(entry.reads, long))
        if fourfold < 10 * max(once, 0.002):
            return
    pytest.fail(f"{len(short)} characters take {once:.4f} s, {len(long)} take {fourfold:.4f} s")
