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
from lib_merge.desk.mixer import Mixer
from lib_merge.desk.request import Asked
from lib_merge.desk.view import AS_SOURCE, DTYPES, FADED, VAE_OF_A, VAES, desk_methods
from lib_merge.errors import MergeError, RecipeError
from lib_merge.hosts.host import HostError
from lib_merge.methods import METHODS
from lib_merge.plan.amounts import Amounts
from lib_merge.recipe import (
    Amount,
    Numbers,
    Recipe,
    Rules,
    Setting,
    Slots,
    Step,
    print_recipe,
    print_rules,
    recipe_in,
)
from lib_merge.recipe.imports import Imported
from lib_merge.recipe.numbers import print_number
from lib_merge.recipe.reading import PICTURES, infotext_of, metadata_text

ADJUST, ALPHA, WEIGHTS = "adjust", "alpha", "weights"
MOST_PICTURE = 64 << 20  # bytes
ORDER = ("a", "b", "c")


@dataclass(frozen=True)
class Setup:
    """A recipe as the desk shows it.

    lists    what the lists above the faders are to say; empty where the desk has no faders for the recipe
    amounts  parameter -> slot -> amount
    knobs    parameter -> value
    extras   what the room Weights adds: rules under `weights`, eight numbers under `adjust`
    why      why it has none, "" where it has
    """

    recipe: str
    lists: Mapping[str, str] = field(default_factory=dict[str, str])
    amounts: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    knobs: Mapping[str, object] = field(default_factory=dict[str, object])
    extras: Mapping[str, str] = field(default_factory=dict[str, str])
    why: str = ""
    notes: tuple[str, ...] = ()


def read_pasted(mixer: Mixer, text: str, picture: str = "", name: str = "") -> Setup:
    """The settings in what was pasted.

    text     a recipe, an infotext, or the name of a file of the host's
    picture  a picture as a data URL, `name` what it is called
    Raises MergeError with what was not understood or not found.
    """
    read = _of_picture(picture, name) if picture else _of_text(mixer, text)
    asked = mixer.locate(read.recipe)
    return setup_of(mixer, replace(asked, notes=(*read.notes, *asked.notes)))


def _of_text(mixer: Mixer, text: str) -> Imported:
    bare = text.strip()
    if not bare:
        raise RecipeError("there is nothing to read", hint="paste a recipe, an infotext or a file's name")
    if "\n" not in bare and "=" not in bare:
        try:
            found = mixer.checkpoint(bare)
        except HostError:
            pass  # no file's name: perhaps it is a sum
        else:
            return recipe_in(metadata_text(found.path))
    return recipe_in(text)


def _of_picture(picture: str, name: str) -> Imported:
    head, _, body = picture.partition(",")
    if not head.startswith("data:") or len(body) > MOST_PICTURE:
        raise RecipeError("this is no picture that can be read", where=name)
    try:
        raw = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise RecipeError("this picture did not arrive whole", where=name) from cause
    ending = Path(name).suffix.lower()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"dropped{ending if ending in PICTURES else '.png'}"
        path.write_bytes(raw)
        try:
            return recipe_in(infotext_of(path))
        except RecipeError as problem:
            raise RecipeError(problem.what, where=name, hint=problem.hint) from problem


def setup_of(mixer: Mixer, asked: Asked) -> Setup:
    """A recipe as lists and faders, where one step of the desk's methods says it all."""
    recipe = asked.recipe
    text = print_recipe(recipe)
    try:
        why = _beyond(recipe)
        if why:
            return Setup(text, why=why, notes=asked.notes)
        step, extras = recipe.steps[0], {ADJUST: _adjusting(recipe)}
        files = [asked.files[_file(recipe, each)] for each in step.inputs]
        names = [each.name for each in files]
        header = mixer.header(files[0])
        family = identify(header.tensors, metadata=header.metadata, where=names[0]).family
        amounts = Amounts(family, tuple(header.tensors))
        method = next(each for each in desk_methods() if each.id == step.method)
        faded: dict[str, Mapping[str, float]] = {}
        knobs: dict[str, object] = {}
        for parameter in method.parameters:
            setting = step.setting(parameter)
            if isinstance(setting, Rules) and parameter.name == ALPHA and _beyond_faders(amounts, setting):
                extras[WEIGHTS] = print_rules(setting)  # over faders that all stand at 0
                faded[ALPHA] = {slot.id: 0.0 for slot in family.slots}
            elif parameter.name in FADED and parameter.kind is float:
                faded[parameter.name] = _spread(amounts, family, setting)
            else:
                knobs[parameter.name] = setting
    except MergeError as problem:
        return Setup(text, why=problem.what, notes=asked.notes)
    lists = {**dict(zip(ORDER, names, strict=False)), "method": method.title, **_saving(asked)}
    return Setup(text, lists, faded, knobs, extras, notes=asked.notes)


def _file(recipe: Recipe, name: str) -> str:
    return next(each.file for each in recipe.ingredients if each.name == name)


def _beyond(recipe: Recipe) -> str:
    """What of a recipe the lists and faders cannot show."""
    count = len(recipe.steps) - (1 if _adjusting(recipe) else 0)
    if count != 1 or recipe.result != recipe.steps[-1].name:
        return f"it has {len(recipe.steps)} steps, and the faders show one"
    step = recipe.steps[0]
    if step.method not in {method.id for method in desk_methods()}:
        return f"{step.method} has no faders"
    odd = [name for name, setting in step.settings if _uneven(step, name, setting)]
    if odd:
        return f"'{odd[0]}' differs from model to model or from tensor to tensor"
    if any(each.aligned is not None for each in recipe.ingredients):
        return "a model of it is rearranged first"
    if recipe.text_encoder or recipe.ema or recipe.clip or recipe.stepwise or recipe.prediction:
        return "it chooses parts, markers or rounding in ways that the lists do not show"
    if recipe.vae == "none":
        return "it leaves the VAE out"
    return ""


def _uneven(step: Step, name: str, setting: Setting) -> bool:
    """Whether a setting is more than the desk has a place for."""
    if isinstance(setting, Rules) and name != ALPHA:
        return True
    by_block = isinstance(setting, (Numbers, Slots, Rules)) and name not in FADED
    return by_block or (isinstance(setting, tuple) and METHODS.get(step.method).parameter(name).per_model)


def _beyond_faders(amounts: Amounts, rules: Rules) -> bool:
    """Whether rules do what one number for each slot cannot say."""
    return bool(rules.bounds or amounts.ruler(rules).by_key)


def _adjusting(recipe: Recipe) -> str:
    """Adjust's eight numbers where it is the last of two steps, else nothing."""
    first, step = recipe.steps[0], recipe.steps[-1]
    if len(recipe.steps) != 2 or step.method != ADJUST or step.inputs != (first.name,):
        return ""
    numbers = [step.setting(parameter) for parameter in METHODS.get(ADJUST).parameters]
    plain = [float(number) for number in numbers if isinstance(number, (int, float))]
    return ", ".join(map(print_number, plain)) if len(plain) == len(numbers) else ""


def _spread(amounts: Amounts, family: Family, setting: Setting) -> Mapping[str, float]:
    amount: Amount = setting  # type: ignore[assignment]
    return {slot.id: amounts.at(amount, slot.id) for slot in family.slots}


def _saving(asked: Asked) -> dict[str, str]:
    recipe = asked.recipe
    vae = {"a": VAE_OF_A, "": VAE_OF_A, **{word: title for title, word in VAES.items()}}.get(recipe.vae)
    dtype = recipe.dtype.label if recipe.dtype else AS_SOURCE
    return {
        "vae": vae or asked.files[recipe.vae].name,
        "dtype": dtype if dtype in DTYPES else AS_SOURCE,
    }
