"""An ingredient aligned to another before anything is done with it: its data, its check, its text form.

    B2 = rebasin(B, to = A)
    B2 = rebasin(B, to = A, by = C, groups = "heads, mlp", sweeps = 3)

It is no step: it takes whole files, looks at all of both, and gives a model that any step may take.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.rebasin.options import Options

if TYPE_CHECKING:
    from lib_merge.recipe.model import Ingredient

REBASIN = "rebasin"
USUAL = Options()
MODELS = ("to", "by")
WORDS = (*MODELS, *(each.name for each in fields(Options)))


@dataclass(frozen=True)
class Alignment:
    """Whose channels are rearranged, and to be like whose.

    source  the ingredient that is rearranged
    to      the ingredient that it shall be like
    by      the ingredient whose best arrangement it is given instead of its own: B and its base C moved
            alike keep their difference; "" for its own
    """

    source: str
    to: str
    by: str = ""
    options: Options = USUAL

    @property
    def solved(self) -> str:
        """The ingredient whose arrangement is looked for."""
        return self.by or self.source


def problems_of_alignments(ingredients: Sequence[Ingredient]) -> Iterator[RecipeError]:
    """What is wrong with those ingredients that are aligned."""
    known = {ingredient.name: ingredient for ingredient in ingredients if ingredient.aligned is None}
    for ingredient in ingredients:
        aligned = ingredient.aligned
        if aligned is None:
            continue
        where = f"'{ingredient.name}', {REBASIN}"
        for name in filter(None, (aligned.source, aligned.to, aligned.by)):
            if name not in known:
                hint = did_you_mean(name, known) or "a model by its file, written above"
                yield RecipeError(
                    f"only whole files can be aligned, and '{name}' is none", where=where, hint=hint
                )
        if aligned.to in (aligned.source, aligned.solved):
            hint = f"{REBASIN}({aligned.source}, to = another model)"
            yield RecipeError(f"'{aligned.to}' cannot be aligned to itself", where=where, hint=hint)
        if aligned.source in known and _file(known[aligned.source]) != _file(ingredient):
            yield RecipeError(
                f"'{ingredient.name}' is of another file than '{aligned.source}', of which it is made",
                where=where,
            )
        yield from (
            problem for problem in aligned.options.problems(where) if isinstance(problem, RecipeError)
        )


def _file(ingredient: Ingredient) -> tuple[str, str, str]:
    return ingredient.file, ingredient.sha256, ingredient.autov3


def print_alignment(aligned: Alignment) -> str:
    """As it stands in a recipe."""
    words = [aligned.source, f"to = {aligned.to}"]
    if aligned.by:
        words.append(f"by = {aligned.by}")
    words += [f"{name} = {_print(value)}" for name, value in aligned.options.changed().items()]
    return f"{REBASIN}({', '.join(words)})"


def _print(value: tuple[str, ...] | int) -> str:
    return json.dumps(", ".join(value) if isinstance(value, tuple) else value)


def read_alignment(source: str, settings: Mapping[str, object]) -> Alignment:
    """From the words of a recipe; raises RecipeError for what they cannot mean."""
    for word in settings:
        if word not in WORDS:
            raise RecipeError(f"{REBASIN} takes no '{word}'", hint=did_you_mean(word, WORDS))
    if "to" not in settings:
        raise RecipeError(
            f"{REBASIN}({source}) does not say to which model", hint=f"{REBASIN}({source}, to = A)"
        )
    options = {name: _read(name, value) for name, value in settings.items() if name not in MODELS}
    return Alignment(source, str(settings["to"]), str(settings.get("by", "")), Options(**options))


def _read(name: str, value: object) -> Any:
    kind, shown = type(getattr(USUAL, name)).__name__, repr(value)
    if kind == "tuple" and isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "int" and isinstance(value, float) and value.is_integer():  # all numbers are read as float
        return int(value)
    wanted = {"tuple": 'names in quotes: "IN04, M00"', "bool": "true or false", "int": "a whole number"}
    raise RecipeError(f"{REBASIN}: {name} is {shown}", hint=wanted[kind])
