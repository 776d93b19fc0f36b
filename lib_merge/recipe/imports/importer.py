"""Importers of other tools' recipes: how each kind is recognised and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn, cast

from lib_merge.errors import RecipeError
from lib_merge.json_data import load
from lib_merge.limits import MAX_RECIPE
from lib_merge.recipe.imports.common import Imported

Fields = Mapping[str, object]
USE_INSTEAD = "write the merge as a sum, A x 0.7 + B x 0.3 = M, or by a method of merge-desk methods"
NO_FIELDS: Fields = {}


@dataclass(frozen=True)
class ImportSource:
    """A text that may be a recipe of another tool.

    text   without a byte order mark and spaces in front
    entry  which row of a history is asked for, by its ID; the last where it is ""
    """

    text: str
    entry: str = ""

    @cached_property
    def fields(self) -> Fields:
        """The JSON object that the text is; empty where it is none."""
        return (load_fields(self.text) or NO_FIELDS) if self.text.startswith("{") else NO_FIELDS

    @cached_property
    def recipe(self) -> Fields:
        """The value of `sd_merge_recipe`, which tools write into files, or the object itself."""
        fields = self.fields
        return (
            (load_fields(fields.get("sd_merge_recipe")) or NO_FIELDS)
            if "sd_merge_recipe" in fields
            else fields
        )

    @cached_property
    def models(self) -> Fields:
        """The value of `sd_merge_models` in the same metadata."""
        return load_fields(self.fields.get("sd_merge_models")) or NO_FIELDS

    @property
    def type(self) -> str:
        """The `type` of `sd_merge_recipe`, which names the tool; "" without one."""
        kind = self.recipe.get("type")
        return kind if isinstance(kind, str) else ""


@dataclass(frozen=True, kw_only=True)
class Importer:
    """The importer of one kind of recipe.

    tool        the tool that writes it
    reads       what of the tool is read, for the documentation
    example     a short one, 0.75 of one model and 0.25 of another, which tests read and hold apart from
                every other kind
    recognises  whether a text is one; it must be quick, and say no to every other kind
    read        the recipe; RecipeError for what has no counterpart here
    most        characters that such a text may have
    """

    tool: str
    reads: str
    example: str
    recognises: Callable[[ImportSource], bool]
    read: Callable[[ImportSource], Imported]
    most: int = MAX_RECIPE


def not_imported(what: str, hint: str = USE_INSTEAD) -> Callable[[ImportSource], NoReturn]:
    """A `read` that refuses: for a kind that is recognised and not imported."""

    def read(source: ImportSource) -> NoReturn:
        raise RecipeError(what, hint=hint)

    return read


def load_fields(value: object) -> Fields | None:
    """A dictionary from JSON; SuperMerger encodes some of its twice."""
    for _ in range(3):
        if isinstance(value, dict):
            return cast("Fields", value)
        if not isinstance(value, str):
            return None
        try:
            value = load(value)
        except ValueError:
            return None
    return None
