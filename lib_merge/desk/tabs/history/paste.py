"""What is pasted or dropped on the desk becomes settings: lists, faders, or a recipe that has none.

A recipe, an infotext, a picture, the name of a saved file: all of them lead to a recipe, and its files are
found among the host's by name and by hash.
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lib_merge.architectures import Family, identify
from lib_merge.desk.selection import DTYPE_OF_A, FADER_PARAMETERS, desk_methods
from lib_merge.errors import MergeError, RecipeError
from lib_merge.hosts.host import HostError, ListedFile
from lib_merge.methods import METHODS
from lib_merge.plan.amounts import Amounts
from lib_merge.recipe import (
    KEEP_A,
    NONE,
    Amount,
    Numbers,
    Recipe,
    Rules,
    Setting,
    Slots,
    Step,
    import_from_text,
    print_recipe,
    print_rules,
)
from lib_merge.recipe.imports import Imported
from lib_merge.recipe.options import ADJUST_OPTION, DTYPE_OPTION, SAVE_OPTIONS, VAE_OPTION, WEIGHTS_OPTION
from lib_merge.recipe.reading import PICTURE_SUFFIXES, read_infotext, recipe_text_in_checkpoint
from lib_merge.recipe.weights.lists import print_number
from lib_merge.service.merging import MergeService
from lib_merge.service.request import Resolved

ALPHA = "alpha"
MAX_PICTURE_BYTES = 64 << 20  # bytes
MODEL_LISTS = ("a", "b", "c")


@dataclass(frozen=True)
class PageSetup:
    """A recipe as the desk shows it.

    lists    values for the lists above the faders; empty where the desk has no faders for the recipe
    amounts  parameter -> slot -> amount
    scalars  parameter -> value
    extras   settings of the tab Weights: rules under `weights`, eight numbers under `adjust`
    why      why the desk has no faders for it, "" where it has
    """

    recipe: str
    lists: Mapping[str, str] = field(default_factory=dict[str, str])
    amounts: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    scalars: Mapping[str, object] = field(default_factory=dict[str, object])
    extras: Mapping[str, str] = field(default_factory=dict[str, str])
    why: str = ""
    notes: tuple[str, ...] = ()


def read_pasted(service: MergeService, text: str, picture: str = "", name: str = "") -> PageSetup:
    """The settings in what was pasted.

    text     a recipe, an infotext, or the name of a file of the host's
    picture  a picture as a data URL
    name     the file name of the picture
    Raises MergeError for a text or picture without a recipe, and for files that are not in the host's lists.
    """
    imported = _of_picture(picture, name) if picture else _of_text(service, text)
    resolved = service.locate(imported.recipe)
    return page_setup_of(service, replace(resolved, notes=(*imported.notes, *resolved.notes)))


def _of_text(service: MergeService, text: str) -> Imported:
    bare = text.strip()
    if not bare:
        raise RecipeError("there is nothing to read", hint="paste a recipe, an infotext or a file's name")
    if "\n" not in bare and "=" not in bare:
        try:
            checkpoint = service.checkpoint(bare)
        except HostError:
            pass  # no file's name: perhaps it is a sum
        else:
            return import_from_text(recipe_text_in_checkpoint(checkpoint.path))
    return import_from_text(text)


def _of_picture(picture: str, name: str) -> Imported:
    head, _, body = picture.partition(",")
    if not head.startswith("data:") or len(body) > MAX_PICTURE_BYTES:
        raise RecipeError("this picture cannot be read", where=name)
    try:
        raw = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise RecipeError("this picture is incomplete", where=name) from cause
    ending = Path(name).suffix.lower()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"dropped{ending if ending in PICTURE_SUFFIXES else '.png'}"
        path.write_bytes(raw)
        try:
            return import_from_text(read_infotext(path))
        except RecipeError as problem:
            raise RecipeError(problem.what, where=name, hint=problem.hint) from problem


def page_setup_of(service: MergeService, resolved: Resolved[ListedFile]) -> PageSetup:
    """A recipe as lists and faders, where it is one step of a method that the desk has."""
    recipe = resolved.recipe
    text = print_recipe(recipe)
    try:
        why = _not_shown_reason(recipe)
        if why:
            return PageSetup(text, why=why, notes=resolved.notes)
        step, extras = recipe.steps[0], {ADJUST_OPTION.name: _adjust_numbers(recipe)}
        files = [resolved.files[_file(recipe, name)] for name in step.inputs]
        names = [file.name for file in files]
        header = service.header(files[0])
        family = identify(header.tensors, metadata=header.metadata, where=names[0]).family
        amounts = Amounts(family, tuple(header.tensors))
        method = next(method for method in desk_methods() if method.id == step.method)
        faded: dict[str, Mapping[str, float]] = {}
        scalars: dict[str, object] = {}
        for parameter in method.parameters:
            setting = step.setting(parameter)
            if isinstance(setting, Rules) and parameter.name == ALPHA and _needs_rules(amounts, setting):
                extras[WEIGHTS_OPTION.name] = print_rules(setting)  # over faders that all stand at 0
                faded[ALPHA] = {slot.id: 0.0 for slot in family.slots}
            elif parameter.name in FADER_PARAMETERS and parameter.kind is float:
                faded[parameter.name] = _amount_by_slot(amounts, family, setting)
            else:
                scalars[parameter.name] = setting
    except MergeError as problem:
        return PageSetup(text, why=problem.what, notes=resolved.notes)
    lists = {**dict(zip(MODEL_LISTS, names, strict=False)), "method": method.title, **_save_lists(resolved)}
    return PageSetup(text, lists, faded, scalars, extras, notes=resolved.notes)


def _file(recipe: Recipe, name: str) -> str:
    return next(ingredient.file for ingredient in recipe.ingredients if ingredient.name == name)


def _not_shown_reason(recipe: Recipe) -> str:
    """What of a recipe the lists and faders cannot show."""
    count = len(recipe.steps) - (1 if _adjust_numbers(recipe) else 0)
    if count != 1 or recipe.result != recipe.steps[-1].name:
        return f"it has {len(recipe.steps)} steps, and the sliders show one"
    step = recipe.steps[0]
    if step.method not in {method.id for method in desk_methods()}:
        return f"the page has no sliders for {step.method}"
    not_shown = [name for name, setting in step.settings if _is_more_than_faders(step, name, setting)]
    if not_shown:
        return f"'{not_shown[0]}' has different values for different models or tensors"
    if any(ingredient.alignment is not None for ingredient in recipe.ingredients):
        return "one of its models is aligned first"
    if any(
        option.word_of_recipe(recipe) != option.default for option in SAVE_OPTIONS if not option.list_titles
    ):
        return "it sets save options that the lists do not show"
    if recipe.vae == NONE:
        return "it leaves the VAE out"
    return ""


def _is_more_than_faders(step: Step, name: str, setting: Setting) -> bool:
    """Whether neither a fader nor a field of the desk can show a setting."""
    if isinstance(setting, Rules) and name != ALPHA:
        return True
    by_block = isinstance(setting, (Numbers, Slots, Rules)) and name not in FADER_PARAMETERS
    return by_block or (isinstance(setting, tuple) and METHODS.get(step.method).parameter(name).per_model)


def _needs_rules(amounts: Amounts, rules: Rules) -> bool:
    """Whether rules set weights that one number for each slot cannot express."""
    return bool(rules.restrictions or amounts.resolver(rules).per_key_slots)


def _adjust_numbers(recipe: Recipe) -> str:
    """Adjust's eight numbers as text where it is the last of two steps, else ""."""
    first, step = recipe.steps[0], recipe.steps[-1]
    if len(recipe.steps) != 2 or step.method != ADJUST_OPTION.name or step.inputs != (first.name,):
        return ""
    numbers = [step.setting(parameter) for parameter in METHODS.get(ADJUST_OPTION.name).parameters]
    plain = [float(number) for number in numbers if isinstance(number, (int, float))]
    return ", ".join(map(print_number, plain)) if len(plain) == len(numbers) else ""


def _amount_by_slot(amounts: Amounts, family: Family, setting: Setting) -> Mapping[str, float]:
    amount: Amount = setting  # type: ignore[assignment]
    return {slot.id: amounts.amount(amount, slot.id) for slot in family.slots}


def _save_lists(resolved: Resolved[ListedFile]) -> dict[str, str]:
    recipe = resolved.recipe
    vae, dtype = (
        VAE_OPTION.list_title(recipe.vae or KEEP_A),
        DTYPE_OPTION.list_title(DTYPE_OPTION.word_of_recipe(recipe)),
    )
    return {
        VAE_OPTION.name: vae if vae in VAE_OPTION.list_titles else resolved.files[recipe.vae].name,
        DTYPE_OPTION.name: dtype if dtype in DTYPE_OPTION.list_titles else DTYPE_OF_A,
    }
