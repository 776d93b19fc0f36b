"""A merge as a value: which files go in, which steps are taken, how the result is saved.

A recipe is flat: every ingredient and every step has a name, and a step takes names that stand
before it. It holds what the user wrote (numbers with their layout, not what they expand to), it
compares by value, and nothing in it depends on the machine it was made on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from lib_merge.dtypes import EIGHT_BITS, Dtype
from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.methods import METHODS
from lib_merge.recipe.alignment import Alignment, problems_of_alignments
from lib_merge.recipe.numbers import Numbers, Slots
from lib_merge.recipe.rules import Rule, Rules
from lib_merge.registry import Method, Parameter

KEEP_A, TAKE_B, BLEND, NONE = "a", "b", "blend", "none"
VAE_WORDS = (KEEP_A, TAKE_B, BLEND, NONE)
TEXT_WORDS = (KEEP_A, TAKE_B, NONE)
PREDICTION_WORDS = (KEEP_A, TAKE_B, "eps", "v", "v-ztsnr")


Amount = float | Numbers | Slots | Rules
Setting = float | int | bool | str | Numbers | Slots | Rules | tuple[Amount, ...]


@dataclass(frozen=True)
class Ingredient:
    """A checkpoint by file name, and the hashes by which it is found again under another one.

    sha256  of the whole file, 64 hex digits
    autov3  of its tensors' bytes (see checkpoint.hashes), 12 hex digits; both are "" while not known
    aligned  to which other one it is aligned before it is used; None takes it as it is
    """

    name: str
    file: str
    sha256: str = ""
    autov3: str = ""
    aligned: Alignment | None = None


@dataclass(frozen=True)
class Step:
    """One merge method applied to ingredients or earlier steps; settings are sorted by name."""

    name: str
    method: str
    inputs: tuple[str, ...]
    settings: tuple[tuple[str, Setting], ...] = ()

    def setting(self, parameter: Parameter) -> Setting:
        """What the parameter is set to, or its default."""
        return next((setting for name, setting in self.settings if name == parameter.name), parameter.default)


@dataclass(frozen=True)
class Recipe:
    """A whole merge.

    result  the name of the ingredient or step that is saved
    vae     "a" keeps A's, "b" takes B's, "blend" merges it under BASE, "none" leaves it out, anything
            else is a VAE file; "" leaves it to what the steps say of the slot VAE, and that is A's
            unless they name it
    dtype   number format of the result; None keeps what A has, tensor by tensor
    vae_sha256    of the VAE file, "" while not known or where there is none
    text_encoder  "a" keeps A's, "b" takes B's, "none" leaves it out; "" is as the steps say
    ema     take the training averages of those files that hold them for the U-Net's weights
    stepwise  round after each step, as if its result were saved and read again: for those who must match
            a file that was made so; without it linear steps are one sum, rounded once
    prediction  what the result is marked to predict: "eps", "v", "v-ztsnr" (with zero terminal SNR), or as A
            ("a") or B ("b") is marked; "" follows the model that the U-Net has most of
    clip    write the largest number of the format where a result outgrows it, instead of refusing
    """

    ingredients: tuple[Ingredient, ...]
    steps: tuple[Step, ...]
    result: str
    vae: str = ""
    dtype: Dtype | None = None
    vae_sha256: str = ""
    text_encoder: str = ""
    ema: bool = False
    clip: bool = False
    stepwise: bool = False
    prediction: str = ""

    def __post_init__(self) -> None:
        for problem in problems_of(self):
            raise problem

    @property
    def files(self) -> tuple[str, ...]:
        """Every file the recipe needs, in order, a VAE file last."""
        vae = (self.vae,) if self.vae and self.vae not in VAE_WORDS else ()
        return tuple(ingredient.file for ingredient in self.ingredients) + vae


def problems_of(recipe: Recipe) -> Iterator[RecipeError]:
    """What is wrong with a recipe as such, before any file is looked at."""
    yield from problems_of_alignments(recipe.ingredients)
    known: dict[str, None] = {}
    for part in (*recipe.ingredients, *recipe.steps):
        if part.name in known:
            yield RecipeError(
                f"two things in this recipe are called '{part.name}'", hint="rename one of them"
            )
        if isinstance(part, Step):
            yield from problems_of_step(part, known)
        known[part.name] = None
    if recipe.stepwise and recipe.dtype in EIGHT_BITS:
        yield RecipeError(
            "eight bits are too few to round to after every step", hint="fp16, or one rounding at the end"
        )
    if recipe.text_encoder not in ("", *TEXT_WORDS):
        yield RecipeError(
            f"'{recipe.text_encoder}' is not a way of choosing the text encoder",
            hint=did_you_mean(recipe.text_encoder, TEXT_WORDS),
        )
    if recipe.prediction not in ("", *PREDICTION_WORDS):
        yield RecipeError(
            f"'{recipe.prediction}' is nothing that a model predicts",
            hint=did_you_mean(recipe.prediction, PREDICTION_WORDS),
        )
    if recipe.result not in known:
        yield RecipeError(
            f"the recipe saves '{recipe.result}', which it never makes",
            hint=did_you_mean(recipe.result, known),
        )


def problems_of_step(step: Step, known: Collection[str]) -> Iterator[RecipeError]:
    """What is wrong with one step; `known` are the names that stand before it."""
    for name in step.inputs:
        if name not in known:
            hint = did_you_mean(name, known)
            yield RecipeError(f"step '{step.name}' uses '{name}', which is not defined before it", hint=hint)
    method = METHODS.get(step.method)
    method.check_models(len(step.inputs))
    for name, setting in step.settings:
        yield from _problems_of_setting(step, method, method.parameter(name), setting)
    for parameter in method.parameters:
        if parameter.per_model and not parameter.default and not dict(step.settings).get(parameter.name):
            each = f"one number for each of its {method.shares(len(step.inputs))} models"
            yield RecipeError(f"step '{step.name}' needs {parameter.name}: {each}")


def _problems_of_setting(
    step: Step, method: Method, parameter: Parameter, setting: Setting
) -> Iterator[RecipeError]:
    where = f"step '{step.name}', {method.id}, {parameter.name}"
    if parameter.per_model:
        count = len(setting) if isinstance(setting, tuple) else 1
        models = method.shares(len(step.inputs))
        if not isinstance(setting, tuple) or count != models:
            what = f"there are {models} models and {count} shares for them"
            yield RecipeError(what, where=where, hint="one number for each model, in order")
            return
    elif isinstance(setting, tuple):
        yield RecipeError(f"{parameter.name} takes one number, and {len(setting)} were given", where=where)
        return
    problems = (parameter.problem(value) for value in values_of(setting))
    if problem := next(filter(None, problems), ""):
        yield RecipeError(problem, where=where, hint=parameter.hint)


def values_of(setting: Setting) -> Iterator[object]:
    """Every value that stands in a setting; of rules those that are numbers and nothing more."""
    if isinstance(setting, tuple):
        for each in setting:
            yield from values_of(each)
    elif isinstance(setting, Numbers):
        yield from setting.numbers if setting.base is None else (*setting.numbers, setting.base)
    elif isinstance(setting, Slots):
        yield from (*(value for _, value in setting.values), setting.rest)
    elif isinstance(setting, Rules):
        for line in setting.lines:
            if isinstance(line, Rule) and all(curve is None for _, curve in line.amount.terms):
                yield sum(factor for factor, _ in line.amount.terms)
    else:
        yield setting
