"""UntitledMerger's targets: `in.2-5.attn1`, `clip.4`, `out.3,5-7.proj`.

Read off groinge/sd-webui-untitledmerger 18f2d40, scripts/untitled/misc_util.py, target_to_regex: the
first word is a part of the model; numbers and ranges stand between dots of the key; any other word
comes anywhere after what stands before it. Its four sliders are known by what the text says of them: a line
`slider_a: 0.3`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lib_merge.architectures.targets import UNTITLEDMERGER_TARGETS as PARTS
from lib_merge.errors import RecipeError

NUMBERS = re.compile(r"[\d,-]*\d[\d,-]*")
MOST_PLACE = 3  # digits of a block's number
DIGITS = re.compile(r"\d+")
SPAN = re.compile(r"\d+-\d+|\d+")
SLIDER = re.compile(r"\bslider_[a-d]\b", re.IGNORECASE)
SET = re.compile(rf"({SLIDER.pattern})\s*[:=]\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+))", re.IGNORECASE)


@dataclass
class Sliders:
    """The values of the sliders that the text has set; slider_a is `alpha` without one."""

    alpha: float | None = None
    values: dict[str, str] = field(default_factory=dict[str, str])

    def set(self, entry: str) -> bool:
        """Records the value that an entry sets a slider to; returns whether it is such an entry."""
        match = SET.fullmatch(entry)
        if match:
            self.values[match[1].lower()] = match[2]
        return match is not None

    def fill(self, entry: str, where: str) -> str:
        """The entry with numbers for its sliders."""

        def number(match: re.Match[str]) -> str:
            name = match[0].lower()
            value = self.values.get(name)
            if value is None and name == "slider_a" and self.alpha is not None:
                value = repr(self.alpha)
            if value is None:
                hint = f"a line before it: {name}: 0.5, or the number in its place"
                raise RecipeError(f"it is not said what {name} stands at", where=where, hint=hint)
            return value

        return SLIDER.sub(number, entry)


def is_selector(word: str) -> bool:
    """Whether a word is one of its targets: a lowercase part, or a part and more after a dot."""
    part, dot, _ = _bare(word).partition(".")
    return (part in PARTS or (bool(dot) and part.lower() in PARTS)) and " " not in word


@dataclass(frozen=True)
class Selector:
    """A parsed target: how a key begins, then names and block numbers that it contains, in order."""

    begin: str
    words: tuple[str | frozenset[str], ...]

    def search(self, key: str) -> bool:
        """Whether it hits a key; in one pass, where a regular expression may take many."""
        positions = {len(self.begin)} if key.startswith(self.begin) else set[int]()
        for word in self.words:
            if not positions:
                return False
            if isinstance(word, str):
                positions = _ends_of(word, key, min(positions))
            else:
                positions = {end for position in positions if (end := _behind_number(word, key, position))}
        return bool(positions)


def _ends_of(word: str, key: str, at: int) -> set[int]:
    """The index after each occurrence of a name from `at` on."""
    return {position + len(word) for position in range(at, len(key) + 1) if key.startswith(word, position)}


def _behind_number(numbers: frozenset[str], key: str, at: int) -> int:
    """The index after the first number from `at` on, if it is between dots and one of these; else 0."""
    match = DIGITS.search(key, at)
    if match is None or match.start() == at or match[0] not in numbers:
        return 0
    dots = key[match.start() - 1], key[match.end() : match.end() + 1]
    return match.end() + 1 if dots == (".", ".") else 0


def read_selector(selector: str) -> Selector:
    """Parses a target; RecipeError for a block number that no model has."""
    part, *words = _bare(selector).lower().split(".")
    parts: list[str | frozenset[str]] = []
    for word in words:
        if NUMBERS.fullmatch(word):
            parts.append(frozenset(_numbers(word)))
        elif word or parts[-1:] != [""]:  # nothing between dots is anything at all, once
            parts.append(word)
    return Selector(PARTS[part], tuple(parts))


def _bare(word: str) -> str:
    """The word without one dot or hyphen at its end, which UntitledMerger ignores."""
    return word[:-1] if word.endswith((".", "-")) else word


def _numbers(word: str) -> list[str]:
    numbers: list[str] = []
    for span in SPAN.findall(word):
        first, _, last = span.partition("-")
        if len(first) > MOST_PLACE or len(last) > MOST_PLACE:
            raise RecipeError(f"no model has a block {last or first}", hint="in.2-5: 0.5")
        numbers += [str(number) for number in range(int(first), int(last or first) + 1)]
    return numbers
