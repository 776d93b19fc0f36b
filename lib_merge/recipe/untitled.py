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
    "unet": r"model\.diffusion_model",
    "in": r"model\.diffusion_model\.input_blocks",
    "out": r"model\.diffusion_model\.output_blocks",
    "mid": r"model\.diffusion_model\.middle_block",
}
NUMBERS = re.compile(r"[\d,-]*\d[\d,-]*")
SPAN = re.compile(r"\d+-\d+|\d+")
SLIDER = re.compile(r"\bslider_[a-d]\b", re.IGNORECASE)
SET = re.compile(rf"({SLIDER.pattern})\s*[:=]\s*([+-]?(?:\d+\.?\d*|\.\d+))", re.IGNORECASE)


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


def selector_pattern(selector: str) -> re.Pattern[str]:
    """The regular expression that it stands for."""
    part, *words = _bare(selector).lower().split(".")
    found = "^" + PARTS[part]
    for word in words:
        if NUMBERS.fullmatch(word):
            found += rf"\D*\.(?:{'|'.join(_numbers(word))})\."
        else:
            found += f".*{re.escape(word)}"
    return re.compile(found)


def _bare(word: str) -> str:
    """It overlooks one dot or hyphen at the end, as stands there while one writes."""
    return word[:-1] if word.endswith((".", "-")) else word


def _numbers(word: str) -> list[str]:
    numbers: list[str] = []
    for span in SPAN.findall(word):
        first, _, last = span.partition("-")
        numbers += [str(number) for number in range(int(first), int(last or first) + 1)]
    return numbers
