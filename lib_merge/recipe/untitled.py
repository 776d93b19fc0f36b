"""UntitledMerger's targets: `in.2-5.attn1`, `clip.4`, `out.3,5-7.proj`.

Read off groinge/sd-webui-untitledmerger 18f2d40, scripts/untitled/misc_util.py, target_to_regex: the
first word is a part of the model; numbers and ranges stand between dots of the key; any other word
comes anywhere after what stands before it.
"""

from __future__ import annotations

import re

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


def is_selector(word: str) -> bool:
    """Whether a word is one of its targets: a part in small letters, or a part and more after a dot."""
    part, dot, _ = word.partition(".")
    return (part in PARTS or (bool(dot) and part.lower() in PARTS)) and " " not in word


def selector_pattern(selector: str) -> re.Pattern[str]:
    """The regular expression that it stands for."""
    part, *words = selector.lower().rstrip(".-").split(".")
    found = "^" + PARTS[part]
    for word in words:
        if NUMBERS.fullmatch(word):
            found += rf"\D*\.(?:{'|'.join(_numbers(word))})\."
        else:
            found += f".*{re.escape(word)}"
    return re.compile(found)


def _numbers(word: str) -> list[str]:
    numbers: list[str] = []
    for span in SPAN.findall(word):
        first, _, last = span.partition("-")
        numbers += [str(number) for number in range(int(first), int(last or first) + 1)]
    return numbers
