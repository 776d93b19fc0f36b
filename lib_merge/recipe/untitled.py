"""UntitledMerger's targets: `in.2-5.attn1`, `clip.4`, `out.3,5-7.proj`.

Read off groinge/sd-webui-untitledmerger 18f2d40, scripts/untitled/misc_util.py, target_to_regex: the
first word is a part of the model; numbers and ranges stand between dots of the key; any other word
comes anywhere after what stands before it. Its four sliders are known by what the text says of them: a line
`slider_a: 0.3`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lib_merge.errors import RecipeError

PARTS = {
    "all": "",
    "clip": "cond",
    "base": "cond",
    "unet": "model.diffusion_model",
    "in": "model.diffusion_model.input_blocks",
    "out": "model.diffusion_model.output_blocks",
    "mid": "model.diffusion_model.middle_block",
}
NUMBERS = re.compile(r"[\d,-]*\d[\d,-]*")
MOST_PLACE = 3  # digits of a block's number
DIGITS = re.compile(r"\d+")
SPAN = re.compile(r"\d+-\d+|\d+")
SLIDER = re.compile(r"\bslider_[a-d]\b", re.IGNORECASE)
SET = re.compile(rf"({SLIDER.pattern})\s*[:=]\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+))", re.IGNORECASE)


@dataclass
class Sliders:
    """What its sliders stand at, as far as is known; slider_a is alpha's."""

    alpha: float | None = None
    at: dict[str, str] = field(default_factory=dict[str, str])

    def set(self, entry: str) -> bool:
        """Whether an entry does nothing but say what a slider stands at; then it is known from here on."""
        found = SET.fullmatch(entry)
        if found:
            self.at[found[1].lower()] = found[2]
        return found is not None

    def fill(self, entry: str, where: str) -> str:
        """The entry with numbers for its sliders."""

        def number(found: re.Match[str]) -> str:
            name = found[0].lower()
            known = self.at.get(name)
            if known is None and name == "slider_a" and self.alpha is not None:
                known = repr(self.alpha)
            if known is None:
                hint = f"a line before it: {name}: 0.5, or the number in its place"
                raise RecipeError(f"it is not said what {name} stands at", where=where, hint=hint)
            return known

        return SLIDER.sub(number, entry)


def is_selector(word: str) -> bool:
    """Whether a word is one of its targets: a part in small letters, or a part and more after a dot."""
    part, dot, _ = _bare(word).partition(".")
    return (part in PARTS or (bool(dot) and part.lower() in PARTS)) and " " not in word


@dataclass(frozen=True)
class Selector:
    """What a target looks for in a key: how it begins, then names and numbers of blocks, in order."""

    begin: str
    words: tuple[str | frozenset[str], ...]

    def search(self, key: str) -> bool:
        """Whether it hits a key; in one pass, where a regular expression may take many."""
        places = {len(self.begin)} if key.startswith(self.begin) else set[int]()
        for word in self.words:
            if not places:
                return False
            if isinstance(word, str):
                places = _ends_of(word, key, min(places))
            else:
                places = {end for place in places if (end := _behind_number(word, key, place))}
        return bool(places)


def _ends_of(word: str, key: str, at: int) -> set[int]:
    """Every place behind a name from a place on."""
    return {place + len(word) for place in range(at, len(key) + 1) if key.startswith(word, place)}


def _behind_number(numbers: frozenset[str], key: str, at: int) -> int:
    """Where the first number from a place on ends, if it stands between dots and is one of these; else 0."""
    found = DIGITS.search(key, at)
    if found is None or found.start() == at or found[0] not in numbers:
        return 0
    dots = key[found.start() - 1], key[found.end() : found.end() + 1]
    return found.end() + 1 if dots == (".", ".") else 0


def selector_pattern(selector: str) -> Selector:
    """What a target looks for; RecipeError for a block number that no model has."""
    part, *words = _bare(selector).lower().split(".")
    found: list[str | frozenset[str]] = []
    for word in words:
        if NUMBERS.fullmatch(word):
            found.append(frozenset(_numbers(word)))
        elif word or found[-1:] != [""]:  # nothing between dots is anything at all, once
            found.append(word)
    return Selector(PARTS[part], tuple(found))


def _bare(word: str) -> str:
    """It overlooks one dot or hyphen at the end, as stands there while one writes."""
    return word[:-1] if word.endswith((".", "-")) else word


def _numbers(word: str) -> list[str]:
    numbers: list[str] = []
    for span in SPAN.findall(word):
        first, _, last = span.partition("-")
        if len(first) > MOST_PLACE or len(last) > MOST_PLACE:
            raise RecipeError(f"no model has a block {last or first}", hint="in.2-5: 0.5")
        numbers += [str(number) for number in range(int(first), int(last or first) + 1)]
    return numbers
