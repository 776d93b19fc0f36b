"""Presets: the curves that every mixer ships, by formula, and four by what blocks are said to do.

The curves carry the names that SuperMerger and Merge Block Weighted GUI gave them, and their numbers
(hako-mikan/sd-webui-supermerger 0b1c491, scripts/mbwpresets_master.txt; for SDXL those of
wkpark/sd-webui-model-mixer 8d55c1d). They set BASE to 0, ALL_B to 1, as theirs do.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from lib_merge.architectures import FAMILIES, Family, read_numbers
from lib_merge.errors import RecipeError, did_you_mean

SD1_BLOCKS, SDXL_BLOCKS = 25, 19

CurveFunction = Callable[[float], float]
Spans = Sequence[tuple[int, int]]

# Other tools' names for the same curves: SuperMerger's own spelling where ours is sd-meh's, and theirs.
ALIASES: Mapping[str, str] = {
    "REVERSE_SMOOTHSTEP": "REVERSE-SMOOTHSTEP",
    **{f"SMOOTHSTEP*{k}": f"{k}SMOOTHSTEP" for k in "234"},
    **{f"R_SMOOTHSTEP*{k}": f"{k}R_SMOOTHSTEP" for k in "234"},
    "SMOOTHSTEP/2": "HALF_SMOOTHSTEP",
    "SMOOTHSTEP/3": "ONE_THIRD_SMOOTHSTEP",
    "SMOOTHSTEP/4": "ONE_FOURTH_SMOOTHSTEP",
    "R_SMOOTHSTEP/2": "HALFR_SMOOTHSTEP",
    "R_SMOOTHSTEP/3": "ONE_THIRDR_SMOOTHSTEP",
    "R_SMOOTHSTEP/4": "ONE_FOURTHR_SMOOTHSTEP",
    "HALF_R_SMOOTHSTEP": "HALFR_SMOOTHSTEP",
    "ONE_THIRD_R_SMOOTHSTEP": "ONE_THIRDR_SMOOTHSTEP",
    "ONE_FOURTH_R_SMOOTHSTEP": "ONE_FOURTHR_SMOOTHSTEP",
    "FAKE_CUBIC_HERMITE": "CUBIC_HERMITE",
    "FAKE_REVERSE_CUBIC_HERMITE": "REVERSE_CUBIC_HERMITE",
}


@dataclass(frozen=True)
class PurposePreset:
    """Blocks that people take from the second model for one purpose.

    evidence  what it rests on
    Which blocks those are, and how much of them, is a family's own (`roles`).
    """

    name: str
    title: str
    evidence: str


WEAK = (
    "mixers' experience, not measurement: guides disagree, and effects move with the pair of models; "
    "swap one block at a time to see what yours do"
)
PURPOSE_PRESETS = (
    PurposePreset(
        "COMPOSITION",
        "layout, pose and where things stand from B",
        "the first blocks decide overall layout; the SDXL guide civitai.com/articles/9821 puts BASE and "
        f"IN00-IN04 there; {WEAK}",
    ),
    PurposePreset(
        "ANATOMY",
        "the shapes of figures and things from B",
        "the lower blocks on the way down; SuperMerger's notes name IN07 and OUT03-OUT05 as those whose "
        f"attention moves faces and clothes most; {WEAK}",
    ),
    PurposePreset(
        "STYLE",
        "the manner of drawing and the faces from B",
        f"the blocks on the way up: drawing manner and details; {WEAK}",
    ),
    PurposePreset(
        "TEXTURE",
        "surface, colour and contrast from B",
        f"the last blocks work at full resolution: texture, colour, contrast, fine rendering; {WEAK}",
    ),
)


@cache
def family_presets(family: Family) -> Mapping[str, Mapping[str, float]]:
    """Every preset of a family: name -> slot -> amount.

    There is none for a family without U-Net down/up block pairs.
    """
    blocks = family.listed_names[1:]
    if "M00" not in blocks:
        return {}
    presets: dict[str, Mapping[str, float]] = {}
    for name, numbers in _curves(len(blocks)):
        base = float(name == "ALL_B")
        presets[name] = read_numbers([base, *numbers], family, base=base)
    for role in PURPOSE_PRESETS:
        spans = family.purpose_presets.get(role.name, ())
        if spans:
            numbers = _numbers_of_spans(spans, family)
            presets[role.name] = read_numbers(numbers, family, base=numbers[0])
    return presets


def preset_amounts(name: str, family: Family) -> Mapping[str, float]:
    """One preset's amount for every slot of a family; raises where the family has no such preset."""
    presets = family_presets(family)
    if name not in presets:
        hint = (
            did_you_mean(name, presets) if presets else "it has no U-Net down/up block pairs: write numbers"
        )
        raise RecipeError(f"{family.title} has no preset '{name}'", hint=hint)
    return presets[name]


@cache
def preset_names() -> Mapping[str, str]:
    """Every spelling of every family's presets, and the name that it stands for; the longest first."""
    every = {name: name for family in FAMILIES for name in family_presets(family)} | dict(ALIASES)
    return dict(sorted(every.items(), key=lambda pair: -len(pair[0])))


def describe_preset(name: str) -> str:
    """What a preset is meant for and what that rests on; "" for the plain curves."""
    role = next((role for role in PURPOSE_PRESETS if role.name == name), None)
    return f"{role.title} ({role.evidence})" if role else ""


def _numbers_of_spans(spans: Sequence[tuple[str, float]], family: Family) -> list[float]:
    numbers = dict.fromkeys(family.listed_names, 0.0)
    order = list(family.listed_names)
    for block_range, amount in spans:
        first, _, last = block_range.partition("-")
        for name in order[order.index(first) : order.index(last or first) + 1]:
            numbers[name] = amount
    return list(numbers.values())


def _curves(count: int) -> Iterator[tuple[str, list[float]]]:
    t = [index / (count - 1) for index in range(count)]
    for name, curve in _smooth(count):
        yield name, [round(curve(x), 6) + 0.0 for x in t]
        if name in REVERSED:
            yield REVERSED[name], [round(1 - curve(x), 6) + 0.0 for x in t]
    for name, spans, amount in _steps(count):
        numbers = [0.0] * count
        for (first, last), height in zip(spans, amount, strict=True):
            numbers[first : last + 1] = [height] * (last + 1 - first)
        yield name, numbers


def _smooth(count: int) -> Iterator[tuple[str, CurveFunction]]:
    yield "GRAD_V", lambda t: abs(1 - 2 * t)
    yield "GRAD_A", lambda t: 1 - abs(1 - 2 * t)
    yield "FLAT_25", lambda t: 0.25
    yield "FLAT_75", lambda t: 0.75
    yield "SMOOTHSTEP", _smoothstep
    for k, times, parts in ((2, "2", "HALF"), (3, "3", "ONE_THIRD"), (4, "4", "ONE_FOURTH")):
        yield f"{times}SMOOTHSTEP", lambda t, k=k: _fold(k * _smoothstep(t))
        yield (
            f"{parts}_SMOOTHSTEP",
            lambda t, k=k: _smoothstep(_fold(_quarters(t, count) if k == 4 else k * t)),
        )
    xl = count == SDXL_BLOCKS
    yield "COSINE", lambda t: (1 + math.cos(math.pi * (_quarters(t, count) if xl else t))) / 2
    if count == SD1_BLOCKS:
        yield "TRUE_CUBIC_HERMITE", _true_hermite
    yield (
        "CUBIC_HERMITE",
        lambda t: t + (41 / 9 if count == SDXL_BLOCKS else 19 / 6) * t * (1 - t) * (1 - 2 * t),
    )


REVERSED = {
    "SMOOTHSTEP": "REVERSE-SMOOTHSTEP",
    "2SMOOTHSTEP": "2R_SMOOTHSTEP",
    "3SMOOTHSTEP": "3R_SMOOTHSTEP",
    "4SMOOTHSTEP": "4R_SMOOTHSTEP",
    "HALF_SMOOTHSTEP": "HALFR_SMOOTHSTEP",
    "ONE_THIRD_SMOOTHSTEP": "ONE_THIRDR_SMOOTHSTEP",
    "ONE_FOURTH_SMOOTHSTEP": "ONE_FOURTHR_SMOOTHSTEP",
    "COSINE": "REVERSE_COSINE",
    "TRUE_CUBIC_HERMITE": "TRUE_REVERSE_CUBIC_HERMITE",
    "CUBIC_HERMITE": "REVERSE_CUBIC_HERMITE",
}


def _smoothstep(t: float) -> float:
    return 3 * t**2 - 2 * t**3


def _fold(x: float) -> float:
    """A triangle wave: 0 at 0, 1 at 1, 0 at 2."""
    return 2 - x % 2 if x % 2 > 1 else x % 2


def _true_hermite(t: float) -> float:
    return 77 / 12 * t**3 - 77 / 8 * t**2 + 25 / 6 * t + 1 / 24 if t else 0.0


def _quarters(t: float, count: int) -> float:
    """t in four parts; on SDXL's 19 blocks its peaks lie at blocks 4 and 14."""
    if count != SDXL_BLOCKS:
        return 4 * t
    position, marks = t * (count - 1), (0, 4, 9, 14, 18)
    part = min(bisect_right(marks, position), len(marks) - 1)
    low, high = marks[part - 1], marks[part]
    return part - 1 + (position - low) / (high - low)


def _steps(count: int) -> Iterator[tuple[str, Spans, Sequence[float]]]:
    end, middle = count - 1, (count - 1) // 2
    for name, width in (("WRAP08", 4), ("WRAP12", 6), ("WRAP14", 7), ("WRAP16", 8)):
        yield name, ((0, width - 1), (count - width, end)), (1, 1)
    outs = f"OUT{middle:02}"
    yield "OUT07", ((count - 7, end),), (1,)
    yield outs, ((middle + 1, end),), (1,)
    yield f"{outs}_5", ((middle, middle), (middle + 1, end)), (0.5, 1)
    yield "ALL_A", (), ()
    yield "ALL_B", ((0, end),), (1,)
    if count not in (SD1_BLOCKS, SDXL_BLOCKS):
        return
    xl = count == SDXL_BLOCKS
    a, b = (2, 12) if xl else (5, 15)
    yield "MID12_50", ((3, 15) if xl else (5, 18),), (0.5,)
    yield "RING08_SOFT", ((a, a + 4), (a + 1, a + 3), (b, b + 4), (b + 1, b + 3)), (0.5, 1, 0.5, 1)
    yield "RING08_5", ((6, 12),) if xl else ((6, 9), (15, 18)), (1,) if xl else (1, 1)
    yield "RING10_5", ((a, a + 4), (b, b + 4)), (1, 1)
    yield "RING10_3", ((3, 7), (11, 15)) if xl else ((6, 10), (14, 18)), (1, 1)
