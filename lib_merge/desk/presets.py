"""Presets: the curves that every mixer ships, by formula, and the user's own, in one file of the host.

The shipped curves carry the names that SuperMerger and Merge Block Weighted GUI gave them, and their
numbers (hako-mikan/sd-webui-supermerger 0b1c491, scripts/mbwpresets_master.txt; for SDXL those of
wkpark/sd-webui-model-mixer 8d55c1d). A shipped preset sets BASE to 0, ALL_B to 1, as theirs do.
"""

from __future__ import annotations

import json
import math
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from lib_merge.architectures import Family, read_numbers
from lib_merge.errors import OutputError, RecipeError

FILE = "presets.json"
MOST_NAME = 60  # characters
SD1_BLOCKS, SDXL_BLOCKS = 25, 19

Curve = Callable[[float], float]
Spans = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Preset:
    """Amounts under a name.

    values  slot -> amount; slots that it does not name stay as they are
    own     whether it is the user's, who may rename and delete it
    """

    name: str
    family: str
    values: Mapping[str, float]
    own: bool = False


def shipped(family: Family) -> tuple[Preset, ...]:
    """The curves for a family's blocks; none for a family whose blocks do not face each other."""
    blocks = family.numbers[1:]
    if "M00" not in blocks:
        return ()
    found: list[Preset] = []
    for name, numbers in _curves(len(blocks)):
        base = float(name == "ALL_B")
        found.append(Preset(name, family.id, read_numbers([base, *numbers], family, base=base)))
    return tuple(found)


def _curves(count: int) -> Iterator[tuple[str, list[float]]]:
    t = [place / (count - 1) for place in range(count)]
    for name, curve in _smooth(count):
        yield name, [round(curve(x), 6) + 0.0 for x in t]
        if name in TURNED:
            yield TURNED[name], [round(1 - curve(x), 6) + 0.0 for x in t]
    for name, spans, amount in _steps(count):
        numbers = [0.0] * count
        for (first, last), height in zip(spans, amount, strict=True):
            numbers[first : last + 1] = [height] * (last + 1 - first)
        yield name, numbers


def _smooth(count: int) -> Iterator[tuple[str, Curve]]:
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


TURNED = {
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
    place, marks = t * (count - 1), (0, 4, 9, 14, 18)
    part = min(bisect_right(marks, place), len(marks) - 1)
    low, high = marks[part - 1], marks[part]
    return part - 1 + (place - low) / (high - low)


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


# --- the user's own ---


def own(folder: Path) -> tuple[Preset, ...]:
    """The user's presets, of all families, in the order of their making; raises where the file is no such."""
    path = folder / FILE
    try:
        rows = cast("list[dict[str, Any]]", json.loads(path.read_text(encoding="utf-8")))
        return tuple(
            Preset(str(row["name"]), str(row["family"]), _values(row["values"]), own=True) for row in rows
        )
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as cause:
        raise RecipeError(
            "your own presets cannot be read", where=FILE, hint="move this file away, or mend it; it is JSON"
        ) from cause


def keep(folder: Path, preset: Preset) -> None:
    """Add a preset; one of the same name and family is replaced, in its place."""
    name = preset.name.strip()
    if not name or len(name) > MOST_NAME:
        raise RecipeError("a preset needs a name", hint=f"1 to {MOST_NAME} characters")
    new = Preset(name, preset.family, _values(preset.values), own=True)
    known = list(own(folder))
    for place, old in enumerate(known):
        if (old.name, old.family) == (new.name, new.family):
            known[place] = new
            break
    else:
        known.append(new)
    _write(folder, known)


def drop(folder: Path, name: str, family: str) -> None:
    """Forget a preset; one that is not there is forgotten already."""
    _write(folder, [each for each in own(folder) if (each.name, each.family) != (name, family)])


def rename(folder: Path, old: str, new: str, family: str) -> None:
    """Give a preset another name; refused where another one is called so."""
    known = own(folder)
    name = new.strip()
    if not name or len(name) > MOST_NAME:
        raise RecipeError("a preset needs a name", hint=f"1 to {MOST_NAME} characters")
    if any((each.name, each.family) == (name, family) for each in known) and name != old:
        raise RecipeError(f"there is a preset '{name}' already", hint="delete that one first")
    here = (old, family)
    _write(
        folder,
        [
            Preset(name, family, each.values, own=True) if (each.name, each.family) == here else each
            for each in known
        ],
    )


def _values(found: Mapping[str, Any]) -> dict[str, float]:
    values = {str(slot): float(value) for slot, value in found.items()}
    if not all(map(math.isfinite, values.values())):
        raise ValueError("a preset holds finite numbers")
    return values


def _write(folder: Path, presets: Sequence[Preset]) -> None:
    rows = [{key: value for key, value in asdict(preset).items() if key != "own"} for preset in presets]
    path = folder / FILE
    part = path.with_name(f".{FILE}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        part.replace(path)
    except OSError as cause:
        part.unlink(missing_ok=True)
        raise OutputError("the preset cannot be kept", where=f"{FILE}: {cause.strerror}") from cause
