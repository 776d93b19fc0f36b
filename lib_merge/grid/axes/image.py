"""Axes that change only the picture, not the merge: seed, prompt, sampler, steps, CFG, size, LoRA weight."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.grid.axes.values import format_number, parse_axis_numbers, split_lines, split_list
from lib_merge.grid.cell import AxisKind, AxisRank, AxisValue, GridBase, GridCell, read_values
from lib_merge.picture import MAX_PROMPT, RANDOM_SEED, read_setting

LORA = re.compile(r"<lora:(?P<name>[^:<>]+)(?::(?P<weight>[^:<>]*))?(?P<rest>:[^<>]*)?>")


def _number_axis(name: str, field: str, help: str, *, whole: bool) -> AxisKind:
    def read(text: str, base: GridBase) -> Sequence[AxisValue]:
        numbers = parse_axis_numbers(text, whole=whole)
        return [AxisValue(format_number(number), read_setting(field, number)) for number in numbers]

    def apply(cell: GridCell, value: object, _: GridBase) -> GridCell:
        return with_drawing(cell, **{field: value})

    return AxisKind(name, help, False, AxisRank.IMAGE_SETTINGS, read, apply, (field,))


def with_drawing(cell: GridCell, **settings: object) -> GridCell:
    """The cell with these settings of the picture replaced."""
    return replace(cell, drawing=replace(cell.drawing, **settings))  # type: ignore[arg-type]


def _read_seeds(text: str, base: GridBase) -> Sequence[AxisValue]:
    """The seeds; -1 becomes a random seed, the same for the whole grid, which the label shows."""
    seeds = [
        base.catalog.random_seed() if seed == RANDOM_SEED else int(seed)
        for seed in parse_axis_numbers(text, whole=True)
    ]
    if any(seed < 0 for seed in seeds):
        raise RecipeError("a seed is not negative", hint="-1 for a random seed")
    return [AxisValue(str(seed), read_setting("seed", seed)) for seed in seeds]


SEED_AXIS = AxisKind(
    "seed",
    "integers; -1 = random, the value is shown",
    False,
    AxisRank.IMAGE_SETTINGS,
    _read_seeds,
    lambda cell, value, _: with_drawing(cell, seed=value),
    ("seed",),
)


# --- prompts ---


def _read_replacements(text: str, base: GridBase) -> Sequence[AxisValue]:
    entries = split_list(text)
    drawing = base.cell.drawing
    if entries and entries[0] not in drawing.prompt and entries[0] not in drawing.negative:
        raise RecipeError(
            f"'{entries[0]}' is not in the prompt, so there is nothing to replace",
            hint="the first value is the text to find in the prompt, the others replace it",
        )
    return [AxisValue(entry, (entries[0], entry)) for entry in entries]


def _replace_text(cell: GridCell, value: object, _: GridBase) -> GridCell:
    old, new = cast("tuple[str, str]", value)
    texts = {"prompt": cell.drawing.prompt, "negative": cell.drawing.negative}
    for name, text in texts.items():
        if len(text) + text.count(old) * (len(new) - len(old)) > MAX_PROMPT:
            raise RecipeError(f"'{new}' makes the {name} longer than {MAX_PROMPT} characters")
    return with_drawing(cell, **{name: text.replace(old, new) for name, text in texts.items()})


SEARCH_REPLACE_AXIS = AxisKind(
    "prompt",
    "search and replace: the first value is the text to find in the prompt, each value replaces it",
    False,
    AxisRank.PROMPT_WORDS,
    _read_replacements,
    _replace_text,
    ("words of the prompt",),
)


def _prompt_axis(name: str, field: str) -> AxisKind:
    def read(text: str, base: GridBase) -> Sequence[AxisValue]:
        return [AxisValue(line, line) for line in split_lines(text)]

    def apply(cell: GridCell, value: object, _: GridBase) -> GridCell:
        return with_drawing(cell, **{field: value})

    return AxisKind(
        name, "whole prompts, one a line", False, AxisRank.WHOLE_PROMPTS, read, apply, (field,), lines=True
    )


def lora_axis(name: str) -> AxisKind:
    """`lora NAME`: the weight of a LoRA in the prompt, which is added where the prompt does not have it."""

    def read(text: str, base: GridBase) -> Sequence[AxisValue]:
        available = base.catalog.loras()
        if available is not None and name not in available:
            raise unknown_lora(name, available)
        return [AxisValue(format_number(number), number) for number in parse_axis_numbers(text)]

    def apply(cell: GridCell, value: object, _: GridBase) -> GridCell:
        return with_drawing(cell, prompt=with_lora(cell.drawing.prompt, name, cast("float", value)))

    text = f"weights of the LoRA {name}, in the prompt or put there"
    return AxisKind(f"lora {name}", text, False, AxisRank.IMAGE_SETTINGS, read, apply, (f"lora {name}",))


def unknown_lora(name: str, available: Sequence[str]) -> RecipeError:
    """The error for a LoRA that is not among the available ones, with similar names as the hint."""
    without = "this program draws without LoRAs: leave them out, or use the WebUI"
    hint = did_you_mean(name, available) if available else without
    return RecipeError(f"there is no LoRA '{name}'", hint=hint)


def with_lora(prompt: str, name: str, weight: float) -> str:
    """The prompt with `<lora:name:weight>` in place of the LoRA's tag, or at the end; 0 removes the tag."""
    word = f"<lora:{name}:{format_number(weight)}>" if weight else ""

    def changed(match: re.Match[str]) -> str:
        if match["name"] != name or not weight:
            return "" if match["name"] == name else match.group()
        return f"<lora:{name}:{format_number(weight)}{match['rest'] or ''}>"

    if any(match["name"] == name for match in LORA.finditer(prompt)):
        return LORA.sub(changed, prompt)
    return f"{prompt} {word}".strip()


def loras_of(prompt: str) -> tuple[str, ...]:
    """The names of the LoRAs in a prompt, each once."""
    return tuple(dict.fromkeys(match["name"] for match in LORA.finditer(prompt)))


# --- choices of the host ---


def _choice_axis(name: str, field: str, offered: Callable[[GridBase], Sequence[str]]) -> AxisKind:
    def read(text: str, base: GridBase) -> Sequence[AxisValue]:
        name_by_lowercase = {choice.lower(): choice for choice in offered(base)}

        def one(entry: str) -> str:
            if entry.lower() not in name_by_lowercase:
                hint = did_you_mean(entry, name_by_lowercase.values()) or "there is no choice here"
                raise RecipeError(f"there is no {name} '{entry}'", hint=hint)
            return name_by_lowercase[entry.lower()]

        return read_values(split_list(text), one)

    def apply(cell: GridCell, value: object, _: GridBase) -> GridCell:
        return with_drawing(cell, **{field: value})

    return AxisKind(name, f"{name}s by name", False, AxisRank.IMAGE_SETTINGS, read, apply, (field,))


def _read_sizes(text: str, base: GridBase) -> Sequence[AxisValue]:
    def one(entry: str) -> tuple[int, int]:
        match = re.fullmatch(r"(\d{1,9})\s*[x×]\s*(\d{1,9})", entry)
        if not match:
            raise RecipeError(f"'{entry}' is no size", hint="512x768, ...")
        sides = read_setting("width", int(match[1])), read_setting("height", int(match[2]))
        return cast("tuple[int, int]", sides)

    return read_values(split_list(text), one)


def _set_size(cell: GridCell, value: object, _: GridBase) -> GridCell:
    width, height = cast("tuple[int, int]", value)
    return with_drawing(cell, width=width, height=height)


def image_kinds() -> tuple[AxisKind, ...]:
    """The axes of the picture with fixed names; `lora_axis` makes the others."""
    return (
        SEED_AXIS,
        SEARCH_REPLACE_AXIS,
        _prompt_axis("prompts", "prompt"),
        _prompt_axis("negative prompts", "negative"),
        _choice_axis("sampler", "sampler", lambda base: base.catalog.samplers()),
        _choice_axis("scheduler", "scheduler", lambda base: base.catalog.schedulers()),
        _number_axis("steps", "steps", "steps of the sampler", whole=True),
        _number_axis("cfg", "cfg", "classifier-free guidance", whole=False),
        AxisKind("size", "512x768, ...", False, AxisRank.IMAGE_SETTINGS, _read_sizes, _set_size, ("size",)),
    )
