"""Lists of block weights: how each tool reads them, and the amount of every slot that a list gives."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from lib_merge.architectures.families.common import block_names
from lib_merge.architectures.family import Family, Layout
from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.limits import MAX_NUMBERS, MAX_RULES, check_text

STAYS_A = "A"
LAST_OUT = "LAST_OUT"
BASE = "BASE"

# SuperMerger's list for Flux, with numbers for the parts outside of the blocks.
SUPERMERGER_FLUX = ("CLIP_L", "T5", "IN", *block_names("D", 19), *block_names("S", 38), "OUT")

LAYOUTS = (
    Layout(
        "supermerger",
        "SuperMerger",
        # SuperMerger itself merges the VAE by the number of BASE; here a VAE is merged only on request.
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
        # On SDXL it has a separate block for the VAE, which a list of 20 numbers does not set.
        exceptions={"sdxl": {"VAE": STAYS_A}},
        source="ljleb/sd-mecha b8d4d88, sd_mecha/extensions/builtin/model_configs",
    ),
)
DEFAULT_LAYOUT = LAYOUTS[0]


def layout_by_name(name: str) -> Layout:
    """The layout with that id; RecipeError for an unknown one."""
    for layout in LAYOUTS:
        if layout.id == name:
            return layout
    raise RecipeError(
        f"there is no layout '{name}'", hint=did_you_mean(name, [layout.id for layout in LAYOUTS])
    )


def read_numbers(
    numbers: Sequence[float],
    family: Family,
    layout: Layout = DEFAULT_LAYOUT,
    *,
    base: float,
    where: str = "",
) -> dict[str, float]:
    """Slot id -> amount for all slots of a family; 0 for a slot that stays A's.

    base   the amount of BASE (the text encoder) for a list without it: 25 numbers on SD1, 19 on SDXL
    where  the source of the list, for error messages
    Raises RecipeError for a list of another length, or with NaN or infinity.
    """
    names = _names(len(numbers), family, layout, where)
    if not all(map(math.isfinite, numbers)):
        index, number = next((i, n) for i, n in enumerate(numbers, 1) if not math.isfinite(n))
        raise RecipeError(f"number {index} of the list is {number}, which is not an amount", where=where)
    amounts = {BASE: base, **dict(zip(names, numbers, strict=True))}
    values = {
        slot: number for name, number in amounts.items() for slot in family.groups.get(name, (name,)) if name
    }
    for slot in family.unlisted_slots:
        values.setdefault(slot, _fallback_number(_fallback_of(slot, family, layout), family, amounts))
    return {slot.id: values[slot.id] for slot in family.slots}


def omits_base(count: int, family: Family, layout: Layout = DEFAULT_LAYOUT, *, where: str = "") -> bool:
    """Whether a list of `count` numbers has none for BASE; RecipeError where the family has no such list."""
    return BASE in family.listed_names and BASE not in _names(count, family, layout, where)


def _names(count: int, family: Family, layout: Layout, where: str) -> tuple[str, ...]:
    """The slots or groups that a list of `count` numbers applies to, in order."""
    lists = list(_lists(family, layout))
    for names in lists:
        if len(names) == count:
            return names
    what = "the list has 1 number" if count == 1 else f"the list has {count} numbers"
    if not lists:
        raise RecipeError(f"{what}, but {family.title} has no blocks", where=where)
    full = family.listed_names
    has_base = BASE in full
    others = "/".join(str(len(names)) for names in lists[1 + has_base :])
    raise RecipeError(
        f"{what}, but {family.title} takes {len(full)} ({_render_ranges(full)})"
        f"{f' or {len(full) - 1} without BASE' if has_base else ''}",
        where=where,
        hint=f"lists of {others} numbers can be read too" if others else "",
    )


def _lists(family: Family, layout: Layout) -> Iterator[tuple[str, ...]]:
    """The lists that the family has in this layout, as names in order, with BASE and without."""
    for names in (family.listed_names, *family.other_lists, *layout.lists.get(family.id, ())):
        if names:
            yield names
        if names[:1] == (BASE,):
            yield names[1:]


def _fallback_of(slot: str, family: Family, layout: Layout) -> str:
    return layout.exceptions.get(family.id, {}).get(slot, layout.fallback_for.get(slot, STAYS_A))


def _fallback_number(target: str, family: Family, amounts: Mapping[str, float]) -> float:
    if target == STAYS_A:
        return 0.0
    return amounts[family.listed_names[-1] if target == LAST_OUT else target]


def _render_ranges(names: Sequence[str]) -> str:
    """The names with ranges abbreviated: "BASE, IN00..IN11, M00, OUT00..OUT11"."""
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
    """The numbers of a pasted list, separated by commas, semicolons, spaces or line ends, with or without
    brackets.

    A trailing comma is ignored. Two commas in a row raise RecipeError, since the numbers after them would
    apply to the wrong blocks; so does anything that is not a number.
    """
    check_text(text, MAX_RULES, "this list", where=where)
    start, end = _without_brackets(text)
    numbers: list[float] = []
    at = start
    while at < end:
        gap = BETWEEN.match(text, at, end)
        separators = gap.group() if gap else ""
        at += len(separators)
        word = WORD.match(text, at, end)
        if separators.count(",") + separators.count(";") > (1 if numbers else 0):
            raise _number_error(f"number {len(numbers) + 1} is missing", text, at, where)
        if word:
            numbers.append(_number(word.group(), len(numbers) + 1, text, at, where))
            at = word.end()
        if len(numbers) > MAX_NUMBERS:
            raise RecipeError(f"there are more than {MAX_NUMBERS} numbers", where=where, hint="26 for SD1")
    if not numbers:
        raise RecipeError(
            "the list has no numbers", where=where, hint="for example 0.5, or 26 for the blocks"
        )
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


def _number(word: str, index: int, text: str, at: int, where: str) -> float:
    number = float(word) if NUMBER.fullmatch(word) else math.nan
    if not math.isfinite(number):
        raise _number_error(f"number {index} is '{word}', which is not a number", text, at, where)
    return number


def _number_error(what: str, text: str, at: int, where: str) -> RecipeError:
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    position = f"column {column}" if "\n" not in text.strip() else f"line {line}, column {column}"
    return RecipeError(
        what,
        where=", ".join(part for part in (where, position) if part),
        hint="write the numbers with a decimal point, separated by commas or spaces: 0.5, 0.25, 1",
    )
