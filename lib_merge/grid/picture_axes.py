"""Axes that change the picture and not the merge: seed, prompt, sampler, steps, CFG, size, LoRA weight."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.grid.cell import NUMBERS, TEXTS, WORDS, Base, Cell, Kind, Value, read_each
from lib_merge.grid.values import numbers, shown, split_lines, split_list
from lib_merge.picture import LONGEST_TEXT, read_setting

LORA = re.compile(r"<lora:(?P<name>[^:<>]+)(?::(?P<weight>[^:<>]*))?(?P<rest>:[^<>]*)?>")
NO_SEED = -1  # the WebUI's word for a seed that nobody chose


def _number_axis(name: str, field: str, help: str, *, whole: bool) -> Kind:
    def read(text: str, base: Base) -> Sequence[Value]:
        found = numbers(text, whole=whole)
        return [Value(shown(number), read_setting(field, number)) for number in found]

    def apply(cell: Cell, value: object, _: Base) -> Cell:
        return drawn(cell, **{field: value})

    return Kind(name, help, False, NUMBERS, read, apply, (field,))


def drawn(cell: Cell, **settings: object) -> Cell:
    """The cell with other settings of the picture."""
    return replace(cell, drawing=replace(cell.drawing, **settings))  # type: ignore[arg-type]


def _seeds(text: str, base: Base) -> Sequence[Value]:
    """-1 throws the dice, once for the whole grid; the label says what came out."""
    found = [base.shelf.dice() if seed == NO_SEED else int(seed) for seed in numbers(text, whole=True)]
    if any(seed < 0 for seed in found):
        raise RecipeError("a seed is not negative", hint="-1 for one that is thrown")
    return [Value(str(seed), read_setting("seed", seed)) for seed in found]


SEED = Kind(
    "seed",
    "whole numbers; -1 is thrown once and shown",
    False,
    NUMBERS,
    _seeds,
    lambda cell, value, _: drawn(cell, seed=value),
    ("seed",),
)


# --- prompts ---


def _replaced(text: str, base: Base) -> Sequence[Value]:
    entries = split_list(text)
    drawing = base.cell.drawing
    if entries and entries[0] not in drawing.prompt and entries[0] not in drawing.negative:
        raise RecipeError(
            f"'{entries[0]}' is not in the prompt, so there is nothing to replace",
            hint="the first value is the text that stands in the prompt, the others take its place",
        )
    return [Value(entry, (entries[0], entry)) for entry in entries]


def _replace(cell: Cell, value: object, _: Base) -> Cell:
    old, new = cast("tuple[str, str]", value)
    texts = {"prompt": cell.drawing.prompt, "negative": cell.drawing.negative}
    for name, text in texts.items():
        if len(text) + text.count(old) * (len(new) - len(old)) > LONGEST_TEXT:
            raise RecipeError(f"'{new}' makes the {name} longer than {LONGEST_TEXT} characters")
    return drawn(cell, **{name: text.replace(old, new) for name, text in texts.items()})


REPLACED = Kind(
    "prompt",
    "search and replace: the first value stands in the prompt, each takes its place",
    False,
    WORDS,
    _replaced,
    _replace,
    ("words of the prompt",),
)


def _whole_axis(name: str, field: str) -> Kind:
    def read(text: str, base: Base) -> Sequence[Value]:
        return [Value(line, line) for line in split_lines(text)]

    def apply(cell: Cell, value: object, _: Base) -> Cell:
        return drawn(cell, **{field: value})

    return Kind(name, "whole prompts, one a line", False, TEXTS, read, apply, (field,), lines=True)


def lora(name: str) -> Kind:
    """`lora NAME`: the weight of a LoRA of the prompt, which is put there where it is not."""

    def read(text: str, base: Base) -> Sequence[Value]:
        known = base.shelf.loras()
        if known is not None and name not in known:
            hint = did_you_mean(name, known) or "this program draws without LoRAs" if not known else ""
            raise RecipeError(f"there is no LoRA '{name}'", hint=hint)
        return [Value(shown(number), number) for number in numbers(text)]

    def apply(cell: Cell, value: object, _: Base) -> Cell:
        return drawn(cell, prompt=with_lora(cell.drawing.prompt, name, cast("float", value)))

    text = f"weights of the LoRA {name}, in the prompt or put there"
    return Kind(f"lora {name}", text, False, NUMBERS, read, apply, (f"lora {name}",))


def with_lora(prompt: str, name: str, weight: float) -> str:
    """The prompt with `<lora:name:weight>` in it, in the old one's place; 0 takes it out."""
    word = f"<lora:{name}:{shown(weight)}>" if weight else ""

    def changed(found: re.Match[str]) -> str:
        if found["name"] != name or not weight:
            return "" if found["name"] == name else found.group()
        return f"<lora:{name}:{shown(weight)}{found['rest'] or ''}>"

    if any(found["name"] == name for found in LORA.finditer(prompt)):
        return LORA.sub(changed, prompt)
    return f"{prompt} {word}".strip()


def loras_of(prompt: str) -> tuple[str, ...]:
    """The LoRAs that a prompt names."""
    return tuple(dict.fromkeys(found["name"] for found in LORA.finditer(prompt)))


# --- lists of the host ---


def _listed(name: str, field: str, offered: Callable[[Base], Sequence[str]]) -> Kind:
    def read(text: str, base: Base) -> Sequence[Value]:
        known = {each.lower(): each for each in offered(base)}

        def one(entry: str) -> str:
            if entry.lower() not in known:
                hint = did_you_mean(entry, known.values()) or "there is no choice here"
                raise RecipeError(f"there is no {name} '{entry}'", hint=hint)
            return known[entry.lower()]

        return read_each(split_list(text), one)

    def apply(cell: Cell, value: object, _: Base) -> Cell:
        return drawn(cell, **{field: value})

    return Kind(name, f"{name}s by name", False, NUMBERS, read, apply, (field,))


def _sizes(text: str, base: Base) -> Sequence[Value]:
    def one(entry: str) -> tuple[int, int]:
        found = re.fullmatch(r"(\d{1,9})\s*[x×]\s*(\d{1,9})", entry)
        if not found:
            raise RecipeError(f"'{entry}' is no size", hint="512x768, ...")
        sides = read_setting("width", int(found[1])), read_setting("height", int(found[2]))
        return cast("tuple[int, int]", sides)

    return read_each(split_list(text), one)


def _sized(cell: Cell, value: object, _: Base) -> Cell:
    width, height = cast("tuple[int, int]", value)
    return drawn(cell, width=width, height=height)


def picture_kinds() -> tuple[Kind, ...]:
    """Every axis that changes the picture alone; `lora NAME` comes beside."""
    return (
        SEED,
        REPLACED,
        _whole_axis("prompts", "prompt"),
        _whole_axis("negative prompts", "negative"),
        _listed("sampler", "sampler", lambda base: base.shelf.samplers()),
        _listed("scheduler", "scheduler", lambda base: base.shelf.schedulers()),
        _number_axis("steps", "steps", "steps of the sampler", whole=True),
        _number_axis("cfg", "cfg", "classifier-free guidance", whole=False),
        Kind("size", "512x768, ...", False, NUMBERS, _sizes, _sized, ("size",)),
    )
