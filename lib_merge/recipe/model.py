"""A merge as a value: its files, its steps, and how the result is saved.

A recipe is flat: every ingredient and every step has a name, and a step takes names that are defined
before it. It contains what the user wrote (numbers with their layout, not what they expand to), is
compared by value, and does not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from lib_merge.dtypes import EIGHT_BITS, Dtype
from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.methods import METHODS
from lib_merge.parameters import Parameter
from lib_merge.rebasin import Options
from lib_merge.recipe.options import SAVE_OPTIONS, VAE_CHOICES
from lib_merge.recipe.weights.lists import Numbers, Slots
from lib_merge.recipe.weights.rules import Rule, Rules
from lib_merge.registry import Method

REBASIN = "rebasin"  # the keyword of an alignment in a recipe

Amount = float | Numbers | Slots | Rules
Setting = float | int | bool | str | Numbers | Slots | Rules | tuple[Amount, ...]


@dataclass(frozen=True)
class Alignment:
    """An alignment: the channels of one model are permuted (or rotated) to match another model.

    source  the ingredient that is aligned
    to      the ingredient that it is aligned to
    by      the ingredient whose permutations are applied instead of its own: B and its base C, permuted
            alike, keep their difference; "" for its own
    """

    source: str
    to: str
    by: str = ""
    options: Options = field(default_factory=Options)

    @property
    def solved_ingredient(self) -> str:
        """The ingredient whose permutations are computed."""
        return self.by or self.source


@dataclass(frozen=True)
class Ingredient:
    """A checkpoint by file name, with hashes by which it is found again after it was renamed.

    sha256  of the whole file, 64 hex digits
    autov3  of its tensors' bytes (see checkpoint.hashes), 12 hex digits; both are "" while unknown
    alignment  how it is aligned before it is merged; None for the file as it is
    """

    name: str
    file: str
    sha256: str = ""
    autov3: str = ""
    alignment: Alignment | None = None


@dataclass(frozen=True)
class Step:
    """One merge method applied to ingredients or earlier steps; settings are sorted by name."""

    name: str
    method: str
    inputs: tuple[str, ...]
    settings: tuple[tuple[str, Setting], ...] = ()

    def setting(self, parameter: Parameter) -> Setting:
        """The value of a parameter, or its default."""
        return next((setting for name, setting in self.settings if name == parameter.name), parameter.default)


@dataclass(frozen=True)
class Recipe:
    """A merge.

    result  the name of the ingredient or step that is saved
    vae     "a" keeps A's, "b" takes B's, "blend" merges it by the amount of VAE or BASE, "none"
            leaves it out, anything else is a VAE file; "" is "blend" where a step names the slot
            VAE, else "a"
    dtype   of the result; None keeps A's dtype, tensor by tensor
    vae_sha256    of the VAE file, "" while unknown, and without a VAE file
    text_encoder  "a" keeps A's, "b" takes B's, "none" leaves it out; "" merges it by the steps
    ema     read the U-Net from the EMA weights of those files that contain them
    stepwise  round after each step, as if its result were saved and loaded, to reproduce a file that was
            made so; without it, linear steps are one sum that is rounded once
    prediction  the prediction type that the result is marked with: "eps", "v", "v-ztsnr" (with zero
            terminal SNR), or that of A ("a") or B ("b"); "" is that of most of the U-Net
    clip    clamp values that overflow the dtype to its largest number, instead of failing
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
        for problem in recipe_problems(self):
            raise problem

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the recipe, in order, a VAE file last."""
        vae = (self.vae,) if self.vae and self.vae not in VAE_CHOICES else ()
        return tuple(ingredient.file for ingredient in self.ingredients) + vae


def recipe_problems(recipe: Recipe) -> Iterator[RecipeError]:
    """The problems of a recipe that are found without its files."""
    yield from _problems_of_alignments(recipe.ingredients)
    defined_names: dict[str, None] = {}
    for part in (*recipe.ingredients, *recipe.steps):
        if part.name in defined_names:
            yield RecipeError(f"'{part.name}' is defined twice in this recipe", hint="rename one of them")
        if isinstance(part, Step):
            yield from step_problems(part, defined_names)
        defined_names[part.name] = None
    if recipe.stepwise and recipe.dtype in EIGHT_BITS:
        yield RecipeError(
            "8-bit dtypes are too coarse to round to after every step",
            hint="use fp16, or round once at the end",
        )
    for option in SAVE_OPTIONS:
        try:
            option.parse(option.word_of_recipe(recipe))
        except RecipeError as problem:
            yield problem
    if recipe.result not in defined_names:
        yield RecipeError(
            f"the recipe saves '{recipe.result}', which it does not define",
            hint=did_you_mean(recipe.result, defined_names),
        )


def _problems_of_alignments(ingredients: Sequence[Ingredient]) -> Iterator[RecipeError]:
    """The problems of aligned ingredients."""
    files_by_name = {
        ingredient.name: ingredient for ingredient in ingredients if ingredient.alignment is None
    }
    for ingredient in ingredients:
        aligned = ingredient.alignment
        if aligned is None:
            continue
        where = f"'{ingredient.name}', {REBASIN}"
        for name in filter(None, (aligned.source, aligned.to, aligned.by)):
            if name not in files_by_name:
                hint = did_you_mean(name, files_by_name) or "define it above, by its file"
                yield RecipeError(
                    f"only files can be aligned, and '{name}' is not a file", where=where, hint=hint
                )
        if aligned.to in (aligned.source, aligned.solved_ingredient):
            hint = f"{REBASIN}({aligned.source}, to = another model)"
            yield RecipeError(f"'{aligned.to}' cannot be aligned to itself", where=where, hint=hint)
        if aligned.source in files_by_name and _file(files_by_name[aligned.source]) != _file(ingredient):
            yield RecipeError(
                f"'{ingredient.name}' has another file than '{aligned.source}', of which it is the alignment",
                where=where,
            )
        yield from (
            problem for problem in aligned.options.problems(where) if isinstance(problem, RecipeError)
        )


def _file(ingredient: Ingredient) -> tuple[str, str, str]:
    return ingredient.file, ingredient.sha256, ingredient.autov3


def step_problems(step: Step, defined_names: Collection[str]) -> Iterator[RecipeError]:
    """The problems of one step.

    defined_names  the names that are defined before it
    """
    for name in step.inputs:
        if name not in defined_names:
            hint = did_you_mean(name, defined_names)
            yield RecipeError(f"step '{step.name}' uses '{name}', which is not defined before it", hint=hint)
    method = METHODS.get(step.method)
    method.check_models(len(step.inputs))
    for name, setting in step.settings:
        yield from _problems_of_setting(step, method, method.parameter(name), setting)
    for parameter in method.parameters:
        if parameter.per_model and not parameter.default and not dict(step.settings).get(parameter.name):
            models = method.per_model_count(len(step.inputs))
            yield RecipeError(
                f"step '{step.name}' needs {parameter.name}: one number for each of its {models} models"
            )


def _problems_of_setting(
    step: Step, method: Method, parameter: Parameter, setting: Setting
) -> Iterator[RecipeError]:
    where = f"step '{step.name}', {method.id}, {parameter.name}"
    if parameter.per_model:
        count = len(setting) if isinstance(setting, tuple) else 1
        models = method.per_model_count(len(step.inputs))
        if not isinstance(setting, tuple) or count != models:
            what = f"there are {models} models and {count} weights for them"
            yield RecipeError(what, where=where, hint="one number for each model, in order")
            return
    elif isinstance(setting, tuple):
        yield RecipeError(f"{parameter.name} takes one number, and {len(setting)} were given", where=where)
        return
    problems = (parameter.problem(value) for value in setting_values(setting))
    if problem := next(filter(None, problems), ""):
        yield RecipeError(problem, where=where, hint=parameter.hint)


def setting_values(setting: Setting) -> Iterator[object]:
    """The values of a setting; of rules, the amounts that are plain numbers."""
    if isinstance(setting, tuple):
        for amount in setting:
            yield from setting_values(amount)
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
