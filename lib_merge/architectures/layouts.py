"""Lists of numbers: how each tool reads one, and what it means for every slot of a family."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from lib_merge.architectures.families.common import block_names
from lib_merge.architectures.family import Family, Layout
from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.limits import MOST_NUMBERS, MOST_RULES, require_text

STAYS_A = "A"
LAST_OUT = "LAST_OUT"
BASE = "BASE"

# SuperMerger gives the parts of Flux that stand beside the blocks numbers of their own.
SUPERMERGER_FLUX = ("CLIP_L", "T5", "IN", *block_names("D", 19), *block_names("S", 38), "OUT")

LAYOUTS = (
    Layout(
        "supermerger",
        "SuperMerger",
        # SuperMerger itself blends the VAE under BASE; here a VAE is only blended when asked for.
        {"TIME": "IN00", "LABEL": "IN00", "OUT": LAST_OUT, "VAE": STAYS_A, "IN": STAYS_A},
        source="hako-mikan/sd-webui-supermerger 0b1c491, scripts/mergers/mergers.py",
        lists={"flux": (SUPERMERGER_FLUX,)},
    ),
    Layout(
        "mbw",
        "Merge Block Weighted GUI, sd-meh",
        {"TIME": "IN00", "LABEL": "IN00", "OUT": LAST_OUT, "VAE": BASE, "IN": STAYS_A},
        source="bbc-mc/sdweb-merge-block-weighted-gui; s1dlx/meh 04af2c8, sd_meh/merge.py",
    ),
    Layout(
        "model-mixer",
        "Model Mixer",
        {"TIME": STAYS_A, "LABEL": STAYS_A, "OUT": STAYS_A, "VAE": STAYS_A, "IN": STAYS_A},
        source="wkpark/sd-webui-model-mixer 8d55c1d, scripts/model_mixer.py, extra elements off",
    ),
    Layout(
        "model-mixer-extra",
        "Model Mixer with extra elements",
        {"TIME": LAST_OUT, "LABEL": LAST_OUT, "OUT": LAST_OUT, "VAE": STAYS_A, "IN": LAST_OUT},
        source="wkpark/sd-webui-model-mixer 8d55c1d, scripts/model_mixer.py, extra elements on",
    ),
    Layout(
        "mecha",
        "sd-mecha",
        {"TIME": BASE, "LABEL": BASE, "OUT": LAST_OUT, "VAE": BASE, "IN": STAYS_A},
        # On SDXL its blocks have a VAE of their own, which a list of 20 does not set.
        exceptions={"sdxl": {"VAE": STAYS_A}},
        source="ljleb/sd-mecha b8d4d88, sd_mecha/extensions/builtin/model_configs",
    ),
)
DEFAULT_LAYOUT = LAYOUTS[0]


def layout_by_name(name: str) -> Layout:
    """The layout of that id."""
    for layout in LAYOUTS:
        if layout.id == name:
            return layout
    known = [layout.id for layout in LAYOUTS]
    raise RecipeError(f"there is no layout '{name}'", hint=did_you_mean(name, known))


def read_numbers(
    numbers: Sequence[float],
    family: Family,
    layout: Layout = DEFAULT_LAYOUT,
    *,
    base: float,
    where: str = "",
) -> dict[str, float]:
    """What a list of numbers means for every slot of a family; 0 for a slot that stays A's.

    A list without BASE (25 numbers on SD1, 19 on SDXL) takes `base` for the text encoder.
    """
    names = _names(len(numbers), family, layout, where)
    if not all(map(math.isfinite, numbers)):
        bad = next(place for place, number in enumerate(numbers, 1) if not math.isfinite(number))
        raise RecipeError(f"number {bad} of the list is {numbers[bad - 1]}, which is no amount", where=where)
    given = {BASE: base, **dict(zip(names, numbers, strict=True))}
    values = {
        slot: number for name, number in given.items() for slot in family.groups.get(name, (name,)) if name
    }
    for slot in family.homeless:
        values.setdefault(slot, _followed(_target(slot, family, layout), family, given))
    return {slot.id: values[slot.id] for slot in family.slots}


def leaves_base_open(count: int, family: Family, layout: Layout = DEFAULT_LAYOUT, *, where: str = "") -> bool:
    """Whether a list of so many numbers says nothing of BASE; raises where the family takes no such list."""
    return BASE in family.numbers and BASE not in _names(count, family, layout, where)


def _names(count: int, family: Family, layout: Layout, where: str) -> tuple[str, ...]:
    """What each of so many numbers stands for."""
    lists = list(_lists(family, layout))
    for names in lists:
        if len(names) == count:
            return names
    given = "1 number was given" if count == 1 else f"{count} numbers were given"
    if not lists:
        raise RecipeError(f"{given}; {family.title} has no blocks to give them to", where=where)
    others = " or ".join(str(len(names)) for names in lists[2:])
    raise RecipeError(
        f"{given}; {family.title} takes {len(family.numbers)} ({_spelled(family.numbers)}) "
        f"or {len(family.numbers) - 1} without BASE",
        where=where,
        hint=f"lists of {others} numbers are read too" if others else "",
    )


def _lists(family: Family, layout: Layout) -> Iterator[tuple[str, ...]]:
    """Every list that the family takes under the layout, with BASE and without."""
    for names in (family.numbers, *family.lists, *layout.lists.get(family.id, ())):
        if names:
            yield names
        if names[:1] == (BASE,):
            yield names[1:]


def _target(slot: str, family: Family, layout: Layout) -> str:
    return layout.exceptions.get(family.id, {}).get(slot, layout.follows.get(slot, STAYS_A))


def _followed(target: str, family: Family, given: Mapping[str, float]) -> float:
    if target == STAYS_A:
        return 0.0
    return given[family.numbers[-1] if target == LAST_OUT else target]


def _spelled(names: Sequence[str]) -> str:
    """BASE, IN00..IN11, M00, OUT00..OUT11"""
    runs: list[list[str]] = []
    for name in names:
        kind = name.rstrip("0123456789")
        if runs and runs[-1][0].rstrip("0123456789") == kind:
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in runs)


NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
BETWEEN = re.compile(r"[\s,;]*")
WORD = re.compile(r"[^\s,;]+")
BRACKETS = {"(": ")", "[": "]", "{": "}"}


def parse_numbers(text: str, *, where: str = "") -> tuple[float, ...]:
    """The numbers of a pasted list: commas, semicolons, spaces, line ends; brackets around it.

    A comma more at the end is overlooked. Two commas with nothing between them are not, since the
    numbers after them would silently move to the next block.
    """
    require_text(text, MOST_RULES, "this list", where=where)
    start, end = _without_brackets(text)
    numbers: list[float] = []
    at = start
    while at < end:
        gap = BETWEEN.match(text, at, end)
        separators = gap.group() if gap else ""
        at += len(separators)
        word = WORD.match(text, at, end)
        if separators.count(",") + separators.count(";") > (1 if numbers else 0):
            raise _bad("is missing", len(numbers) + 1, text, at, where)
        if word:
            numbers.append(_number(word.group(), len(numbers) + 1, text, at, where))
            at = word.end()
        if len(numbers) > MOST_NUMBERS:
            raise RecipeError(f"there are more than {MOST_NUMBERS} numbers", where=where, hint="26 for SD1")
    if not numbers:
        raise RecipeError("no numbers were given", where=where, hint="such as 0.5, or 26 for the blocks")
    return tuple(numbers)


def _without_brackets(text: str) -> tuple[int, int]:
    start, end = 0, len(text)
    while True:
        while start < end and text[start].isspace():
            start += 1
        while start < end and text[end - 1].isspace():
            end -= 1
        if end - start < 2 or BRACKETS.get(text[start]) != text[end - 1]:
            return start, end
        start, end = start + 1, end - 1


def _number(word: str, place: int, text: str, at: int, where: str) -> float:
    number = float(word) if NUMBER.fullmatch(word) else math.nan
    if not math.isfinite(number):
        raise _bad(f"is '{word}', which is no number", place, text, at, where)
    return number


def _bad(what: str, place: int, text: str, at: int, where: str) -> RecipeError:
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    spot = f"column {column}" if "\n" not in text.strip() else f"line {line}, column {column}"
    return RecipeError(
        f"number {place} {what}",
        where=", ".join(part for part in (where, spot) if part),
        hint="write the numbers with a point, and a comma or a space between them: 0.5, 0.25, 1",
    )
