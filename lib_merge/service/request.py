"""The request of one merge, parsed once from flags, JSON, the page or a recipe.

A `Resolver` finds the files of the named models: paths, or names of a host's list.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from lib_merge.architectures import DEFAULT_LAYOUT, layout_by_name
from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.methods import METHODS
from lib_merge.methods.former_names import with_current_names
from lib_merge.recipe import (
    BLEND,
    Ingredient,
    Recipe,
    Setting,
    Step,
    align_to_first,
    read_weights,
    recipe_from_text,
    with_adjust,
)
from lib_merge.recipe.adjust import adjust_settings
from lib_merge.recipe.options import (
    ADJUST_OPTION,
    ALIGN_OPTION,
    DTYPE_OPTION,
    LAYOUT_OPTION,
    LIST_OPTIONS,
    OPTIONS,
    SAVE_OPTIONS,
    VAE_OPTION,
    recipe_fields,
    words_of_checkboxes,
)
from lib_merge.registry import Method
from lib_merge.service.request_values import (
    Spell,
    flag_name,
    json_name,
    parameter_of,
    setting_of,
    value_of_flag,
    without_vae_slot,
)

File = TypeVar("File")
DEFAULT_METHOD = "weighted_sum"  # where none is named
MODEL_FIELDS = ("a", "b", "c")  # of JSON and of the page
MODEL_LETTERS = string.ascii_uppercase
REQUEST_FIELDS = ("recipe", "method", *MODEL_FIELDS, *(option.name for option in OPTIONS))


@dataclass(frozen=True)
class Resolved(Generic[File]):
    """A recipe, and the file for each file name in it."""

    recipe: Recipe
    files: Mapping[str, File]
    notes: tuple[str, ...] = ()


class Resolver(Protocol[File]):
    """Finds the files of a request."""

    def name_models(self, models: Sequence[str], vae: str) -> Sequence[tuple[str, File]]:
        """The name in recipes and the file of each model, and last of the VAE file, where `vae` is not ""."""
        ...

    def locate(self, recipe: Recipe) -> Resolved[File]:
        """The recipe with its files."""
        ...


@dataclass(frozen=True, kw_only=True)
class MergeRequest:
    """A merge; RecipeError and MethodError where it is invalid for any files.

    models        names that the resolver finds
    settings      parameter of the method -> value, without those in `block_lists`
    block_lists   list option -> numbers by block, a preset or rules, as text
    adjust        SuperMerger's eight numbers, as text
    align         align all models to the first one
    save_options  save option -> value; others have their defaults
    whole_recipe  a recipe, instead of all other fields
    spelling      how errors spell the name of an option
    """

    models: tuple[str, ...] = ()
    method: str = DEFAULT_METHOD
    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    block_lists: Mapping[str, str] = field(default_factory=dict[str, str])
    layout: str = DEFAULT_LAYOUT.id
    adjust: str = ""
    align: bool = False
    save_options: Mapping[str, str] = field(default_factory=dict[str, str])
    whole_recipe: Recipe | None = None
    spelling: Spell = field(default=json_name, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.whole_recipe is None:
            layout_by_name(self.layout)
            assert self.step_settings is not None
            adjust_settings(self.adjust, where=self.spelling(ADJUST_OPTION.name))
            for option in SAVE_OPTIONS:
                option.parse(
                    self.save_options.get(option.name, option.default), option_name=self.spelling(option.name)
                )

    # --- where it comes from ---

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> MergeRequest:
        """The request of a recipe."""
        return cls(whole_recipe=recipe)

    @classmethod
    def from_json(cls, body: Mapping[str, object]) -> MergeRequest:
        """The request in a JSON body.

        body  recipe, and nothing else; or method, a, b, c, a value for each of the method's parameters (a
              number, or {slot: number}), and the options of recipe/options.py
        """
        if body.get("recipe"):
            others = [name for name, value in body.items() if name != "recipe" and value not in (None, "")]
            if others:
                what = f"'{others[0]}' and a recipe exclude each other: a recipe describes the entire merge"
                raise RecipeError(what, hint="write it into the recipe, or leave the recipe out")
            return cls.from_recipe(recipe_from_text(str(body["recipe"])))
        method = METHODS.get(_text(body, "method") or DEFAULT_METHOD)
        body = with_current_names(method, body)
        _check_names(body, method)
        models = [name for letter in MODEL_FIELDS if (name := _text(body, letter))]
        option_values = {option.name: body.get(option.name) for option in OPTIONS}
        settings = {
            name: value for name, value in body.items() if name not in REQUEST_FIELDS and value is not None
        }
        stripped = {
            name: value.strip() if isinstance(value, str) else value for name, value in option_values.items()
        }
        chosen_options = {name: value for name, value in stripped.items() if value not in (None, "")}
        return _read(models, method, settings, chosen_options, json_name)

    @classmethod
    def from_flags(cls, models: Sequence[str], method: str, flags: Mapping[str, str | bool]) -> MergeRequest:
        """The request of a command line.

        flags  parameter of any method, or option -> the value of its flag
        """
        if len(models) > len(MODEL_LETTERS):
            what = f"{len(models)} models were given; {len(MODEL_LETTERS)} fit on a command line"
            raise RecipeError(what, hint="--recipe")
        chosen = METHODS.get(method)
        chosen.check_models(len(models))
        option_values: dict[str, object] = {}
        settings: dict[str, object] = {}
        options = {option.name: option for option in OPTIONS}
        for name, text in with_current_names(chosen, flags).items():
            if name in options:
                option_values[name] = text
            else:
                settings[name] = value_of_flag(parameter_of(chosen, name, flag_name(name)), str(text))
        for option in SAVE_OPTIONS:
            if not option.default and not str(option_values.get(option.name, option.name)).strip():
                hint = f"{option.flag} {', '.join(option.values)}{', or a file' if option.takes_file else ''}"
                what = f"{option.flag} names no {option.title.removeprefix('the ')}"
                raise RecipeError(what, hint=f"{hint}; or leave it out")
        return _read(models, chosen, settings, option_values, flag_name)

    @classmethod
    def from_call(cls, models: Sequence[str], method: str, settings: Mapping[str, object]) -> MergeRequest:
        """The request of a Python program.

        settings  parameter of the method -> number, {slot: number} or, of a per-model parameter, numbers;
                  option -> value
        """
        if len(models) > len(MODEL_LETTERS):
            raise RecipeError(
                f"{len(models)} models were given; {len(MODEL_LETTERS)} at most", hint="a recipe"
            )
        chosen = METHODS.get(method)
        chosen.check_models(len(models))
        settings = with_current_names(chosen, settings)
        names = [option.name for option in OPTIONS]
        parameters = [parameter.name for parameter in chosen.parameters]
        for name in settings:
            if name not in (*names, *parameters):
                hint = did_you_mean(name, [*names, *parameters])
                raise RecipeError(f"'{name}' is neither a parameter of {chosen.id} nor an option", hint=hint)
        options = {name: value for name, value in settings.items() if name in names}
        return _read(
            models, chosen, {n: v for n, v in settings.items() if n not in names}, options, json_name
        )

    @classmethod
    def from_page(
        cls,
        models: Sequence[str],
        method: Method,
        faders: Mapping[str, object],
        *,
        vae: str = "",
        dtype: str = "",
        align: bool = False,
        ticks: Iterable[str] = (),
    ) -> MergeRequest:
        """The request of a page.

        faders  parameter of any method, or option of the tab Weights -> its value
        vae     the selected VAE as the page shows it, "" for the default
        dtype   the selected dtype as the page shows it, "" for the default
        ticks   checked boxes of the Save box
        """
        list_values = {
            VAE_OPTION.name: VAE_OPTION.word_of_title(vae),
            DTYPE_OPTION.name: DTYPE_OPTION.word_of_title(dtype),
            ALIGN_OPTION.name: align,
        }
        faders = with_current_names(method, faders)
        parameter_names = {parameter.name for parameter in method.parameters}
        body: dict[str, object] = {
            "method": method.id,
            **dict(zip(MODEL_FIELDS, models, strict=False)),
            **list_values,
        }
        for name, value in faders.items():
            if name in parameter_names:
                body[name] = value if body[VAE_OPTION.name] == BLEND else without_vae_slot(value)
        lists = [option.name for option in LIST_OPTIONS if option.parameter in parameter_names]
        body |= {name: faders.get(name) for name in (*lists, ADJUST_OPTION.name)}
        return cls.from_json({**body, **words_of_checkboxes(ticks)})

    # --- what it comes to ---

    @cached_property
    def step_settings(self) -> Mapping[str, Setting]:
        """The settings with the parsed block lists."""
        method = METHODS.get(self.method)
        settings = dict(self.settings)
        for option in LIST_OPTIONS:
            if option.name not in self.block_lists:
                continue
            parameter = parameter_of(method, option.parameter, self.spelling(option.name))
            settings[parameter.name] = read_weights(
                self.block_lists[option.name],
                layout=self.layout,
                plain=settings.get(parameter.name),
                default=parameter.default,
                where=self.spelling(option.name),
            )
        return settings

    def recipe(self, resolver: Resolver[File]) -> Resolved[File]:
        """The recipe and its files; MethodError for a number of models that the method does not take."""
        if self.whole_recipe is not None:
            return resolver.locate(self.whole_recipe)
        method = METHODS.get(self.method)
        vae = self.save_options.get(VAE_OPTION.name, "")
        file = "" if vae in VAE_OPTION.values else vae
        named_files = resolver.name_models(self.models, file)
        models = named_files[: len(self.models)][: method.max_models]
        method.check_models(len(models))
        ingredients = tuple(
            Ingredient(name, file_name) for name, (file_name, _) in zip(MODEL_LETTERS, models, strict=False)
        )
        name = (
            "M" if len(models) <= MODEL_LETTERS.index("M") else "MERGED"
        )  # the thirteenth model is called M
        inputs = list(MODEL_LETTERS[: len(models)])
        if self.align:
            ingredients, inputs = align_to_first(ingredients, base=method.purpose == "difference")
        step = Step(name, method.id, tuple(inputs), tuple(sorted(self.step_settings.items())))
        saving = {**self.save_options, VAE_OPTION.name: named_files[-1][0] if file else vae}
        recipe = Recipe(ingredients, (step,), name, **recipe_fields(saving))
        return Resolved(with_adjust(recipe, self.adjust), dict([*models, *named_files[len(self.models) :]]))

    def first_model_recipe(self, resolver: Resolver[File]) -> Resolved[File]:
        """The recipe of the first model without a merge, from which grids of checkpoints start."""
        ((name, file),) = resolver.name_models(self.models[:1], "")
        return Resolved(Recipe((Ingredient(MODEL_LETTERS[0], name),), (), MODEL_LETTERS[0]), {name: file})

    def with_options(self, option_values: Mapping[str, str]) -> MergeRequest:
        """The request with further save options."""
        return replace(self, save_options=_saving({**self.save_options, **option_values}))


def _read(
    models: Sequence[str],
    method: Method,
    settings: Mapping[str, object],
    option_values: Mapping[str, object],
    spell: Spell,
) -> MergeRequest:
    """A request from plain values by the names of parameters and options."""
    for name, value in option_values.items():
        if name != ALIGN_OPTION.name and not isinstance(value, str):
            raise RecipeError(f"'{spell(name)}' must be text, not {value!r}")
    align = option_values.get(ALIGN_OPTION.name) or False
    if not isinstance(align, bool):
        raise RecipeError(f"{spell(ALIGN_OPTION.name)} is true or false, not {align!r}")
    texts = {name: value for name, value in option_values.items() if isinstance(value, str)}
    return MergeRequest(
        models=tuple(models),
        method=method.id,
        settings={
            name: setting_of(settings[name], parameter_of(method, name, spell(name)))
            for name in sorted(settings)
        },
        block_lists={option.name: texts[option.name] for option in LIST_OPTIONS if option.name in texts},
        layout=texts.get(LAYOUT_OPTION.name, DEFAULT_LAYOUT.id),
        adjust=texts.get(ADJUST_OPTION.name, ""),
        align=align,
        save_options=_saving(texts),
        spelling=spell,
    )


def _saving(option_values: Mapping[str, str]) -> dict[str, str]:
    """The save options that differ from their defaults, in a fixed order."""
    chosen = [(option, option_values.get(option.name, option.default)) for option in SAVE_OPTIONS]
    return {option.name: value for option, value in chosen if value != option.default}


def _check_names(body: Mapping[str, object], method: Method) -> None:
    """Raise RecipeError for a field that is neither a parameter of the method nor an option."""
    names = [*REQUEST_FIELDS, *(parameter.name for parameter in method.parameters)]
    for name in body:
        if name not in names:
            hint = did_you_mean(name, names) or f"known are {', '.join(names)}"
            raise RecipeError(f"'{name}' is neither a parameter of {method.id} nor an option", hint=hint)


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise RecipeError(f"'{name}' must be text, not {value!r}")
    return (value or "").strip()
