"""Preset files: SuperMerger's mbwpresets.txt, and UntitledMerger's custom_sliders_presets.json.

Read off hako-mikan/sd-webui-supermerger 0b1c491, scripts/supermerger.py (find_preset_by_name), and
groinge/sd-webui-untitledmerger 18f2d40, scripts/untitled_ui.py (save_custom_sliders) and
scripts/untitled/merger.py (parse_arguments).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

from lib_merge.json_data import load
from lib_merge.limits import MAX_RECIPE, check_text
from lib_merge.recipe.weights.supermerger_random import PRESETS, has_letters

LETTERED = "it is drawn again each time: write it, or {name}, among the rules of the tab Weights"


def read_presets(text: str) -> tuple[dict[str, str], list[str]]:
    """The presets of a file (name -> numbers or rules), and its lines that are none, with the reason.

    SuperMerger's stand one a line, the name and the numbers between tabs, or the older `name:numbers`;
    UntitledMerger's in JSON, the number of its sliders that are on, then targets and where they stand.
    """
    check_text(text, MAX_RECIPE, "this preset file")
    if text.lstrip().startswith("{"):
        return _sliders(text)
    presets: dict[str, str] = {}
    odd: list[str] = []
    for line in text.splitlines():
        name, tab, numbers = line.partition("\t") if "\t" in line else line.partition(":")
        name = name.strip()
        if tab and re.fullmatch(r"[\s\d.,eE+-]+", numbers) and "," in numbers:
            presets[name] = numbers.strip()
        elif tab and has_letters(numbers):
            if name not in PRESETS:  # which it adds to every file by itself
                odd.append(f"{name}: {LETTERED.format(name=numbers.strip()[:20] + '...')}")
        elif line.strip() and name != "preset_name":
            odd.append(line.strip())
    return presets, odd


def _sliders(text: str) -> tuple[dict[str, str], list[str]]:
    try:
        loaded = load(text)
        rows = cast("dict[str, Any]", loaded if isinstance(loaded, dict) else {})
    except ValueError:
        return {}, ["this begins as JSON and is none"]
    presets: dict[str, str] = {}
    odd: list[str] = []
    for name, row in rows.items():
        try:
            presets[name] = "\n".join(_enabled(cast("Sequence[Any]", row)))
        except (TypeError, ValueError, IndexError, OverflowError):
            odd.append(f"{name}: these are no sliders of UntitledMerger")
    return presets, odd


def _enabled(row: Sequence[Any]) -> Iterator[str]:
    """Its rules: of two columns of sliders the first few of each are on, half of the number in front."""
    half = (len(row) - 1) // 2
    on = int(row[0])
    for column in (row[1 : 1 + half], row[1 + half :]):
        shown = column[:on]
        for target, number in zip(shown[::2], shown[1::2], strict=True):
            if str(target).strip():
                yield f"{target}: {float(number)!r}"
