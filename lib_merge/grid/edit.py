"""Recipes with one thing changed, as the axes of merges need them. Every function is pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from lib_merge.architectures import Family
from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.methods import METHODS
from lib_merge.plan.amounts import Amounts
from lib_merge.recipe import Ingredient, Numbers, Recipe, Rules, Setting, Slots, Step, overlay_rules
from lib_merge.recipe.weights.rules import (
    FINAL,
    VAE_SLOT_ID,
    AmountSum,
    Line,
    Rule,
    Target,
    WordSet,
    constant,
)

MODEL_LETTERS = "ABC"
ADJUST = "adjust"


def find_step(recipe: Recipe, parameter: str, step: str = "") -> Step:
    """The step with this parameter: the one called `step`, else the result, else the only one that has it."""
    candidates = [candidate for candidate in recipe.steps if parameter in _parameters(candidate)]
    matches = [candidate for candidate in candidates if candidate.name == (step or recipe.result)]
    if matches:
        return matches[0]
    if len(candidates) == 1 and not step:
        return candidates[0]
    if step:
        step_names = [candidate.name for candidate in candidates]
        raise RecipeError(f"no step '{step}' takes {parameter}", hint=did_you_mean(step, step_names))
    if candidates:
        names = " or ".join(f"{candidate.name}.{parameter}" for candidate in candidates)
        raise RecipeError(f"{len(candidates)} steps take {parameter}", hint=f"name one of them: {names}")
    parameters = [name for candidate in recipe.steps for name in _parameters(candidate)]
    methods = ", ".join(dict.fromkeys(candidate.method for candidate in recipe.steps)) or "a checkpoint alone"
    raise RecipeError(f"{methods} takes no {parameter}", hint=did_you_mean(parameter, parameters))


def main_step(recipe: Recipe) -> Step | None:
    """The result's step, or the step that an adjust at the end takes; None for a recipe without steps."""
    steps = {step.name: step for step in recipe.steps}
    step = steps.get(recipe.result)
    while step is not None and step.method == ADJUST:
        step = steps.get(step.inputs[0])
    return step


def amount_step(recipe: Recipe) -> tuple[str, str]:
    """The name of the main step and its first amount, over which rules can leave out blocks."""
    step = main_step(recipe)
    parameters = METHODS.get(step.method).parameters if step else ()
    for parameter in parameters:
        if parameter.kind is float and not parameter.per_model:
            return step.name if step else "", parameter.name
    raise RecipeError("nothing is mixed here that a block could be left out of", hint="choose A and B")


def _parameters(step: Step) -> tuple[str, ...]:
    return tuple(parameter.name for parameter in METHODS.get(step.method).parameters)


def with_setting(recipe: Recipe, step: Step, parameter: str, setting: Setting) -> Recipe:
    """The recipe with one parameter of one step set."""
    settings = {**dict(step.settings), parameter: setting}
    return with_step(recipe, step, replace(step, settings=tuple(sorted(settings.items()))))


def with_step(recipe: Recipe, old: Step, new: Step) -> Recipe:
    """The recipe with the step `new` in place of `old`."""
    return replace(recipe, steps=tuple(new if step is old else step for step in recipe.steps))


def current_setting(step: Step, parameter: str) -> Setting:
    """The step's setting of the parameter, or the method's default."""
    return step.setting(METHODS.get(step.method).parameter(parameter))


def scale_setting(setting: Setting, factor: float) -> Setting:
    """The amount with every number multiplied by a factor; RecipeError for other settings."""
    if isinstance(setting, Numbers):
        base = None if setting.base is None else _times(setting.base, factor)
        return replace(
            setting, numbers=tuple(_times(number, factor) for number in setting.numbers), base=base
        )
    if isinstance(setting, Slots):
        values = tuple((slot, _times(number, factor)) for slot, number in setting.values)
        return Slots(values, _times(setting.rest, factor))
    if isinstance(setting, Rules):
        return Rules(tuple(_line_times(line, factor) for line in setting.lines))
    if isinstance(setting, (bool, str, tuple)):
        raise RecipeError("only a number, or numbers by block, can be multiplied")
    return _times(setting, factor)


def _line_times(line: Line, factor: float) -> Line:
    if not isinstance(line, Rule):
        return line
    terms = tuple((_times(share, factor), curve) for share, curve in line.amount.terms)
    return replace(line, amount=AmountSum(terms))


def _times(a: float, b: float) -> float:
    """The product of two numbers as decimal fractions: 3 times 0.1 is 0.3."""
    return float(Fraction(repr(a)) * Fraction(repr(b)))


def with_slots(setting: Setting, pins: Mapping[str, float], family: Family) -> Slots | Rules:
    """The amount with the slots of `pins` set; a number or a list becomes one number for each slot.

    The VAE gets a number only where `pins` or the amount name it: a recipe that names the VAE merges it.
    """
    if isinstance(setting, (bool, str, tuple)):
        raise RecipeError("only a number, or numbers by block, can differ from block to block")
    if isinstance(setting, Rules):
        named = ((FINAL if slot == "OUT" else slot, number) for slot, number in pins.items())
        return overlay_rules(
            setting, Rules(tuple(Rule(Target(WordSet((slot,))), constant(n)) for slot, n in named))
        )
    spread = _spread(setting, family)
    return Slots(tuple(sorted({**dict(spread.values), **pins}.items())), spread.rest)


def with_rules(setting: Setting, rules: Rules) -> Rules:
    """The amount with rules laid over it; tensors that match no rule keep the amount."""
    if isinstance(setting, (bool, str, tuple)):
        raise RecipeError("only a number, or numbers by block, can have rules over it")
    return overlay_rules(setting, rules)


def _spread(amount: float | Numbers | Slots, family: Family) -> Slots:
    if isinstance(amount, (int, float)):
        return Slots((), float(amount))
    amounts = Amounts(family)
    named = isinstance(amount, Slots) and VAE_SLOT_ID in dict(amount.values)
    slots = [slot.id for slot in family.slots if named or slot.id != VAE_SLOT_ID]
    rest = amount.rest if isinstance(amount, Slots) else 0.0
    return Slots(tuple(sorted((slot, amounts.amount(amount, slot)) for slot in slots)), rest)


def with_model(recipe: Recipe, letter: str, file: str) -> Recipe:
    """The recipe with another file for A, B or C: the ingredient of that name, else the 1st, 2nd or 3rd."""
    names = [ingredient.name for ingredient in recipe.ingredients]
    index = names.index(letter) if letter in names else MODEL_LETTERS.index(letter)
    if index >= len(names):
        count = "one model" if len(names) == 1 else f"{len(names)} models"
        raise RecipeError(f"there is no model {letter} to change", hint=f"this merge takes {count}")
    old = recipe.ingredients[index]
    ingredients = list(recipe.ingredients)
    ingredients[index] = Ingredient(old.name, file)
    return replace(recipe, ingredients=tuple(ingredients))


def with_method(recipe: Recipe, name: str) -> Recipe:
    """The recipe with another method in its main step, without the settings that this does not take."""
    method = METHODS.get(name)
    step = main_step(recipe)
    if step is None:
        raise RecipeError("a checkpoint alone is made by no method", hint="choose A and B")
    method.check_models(len(step.inputs))
    taken = {parameter.name for parameter in method.parameters}
    settings = tuple((key, value) for key, value in step.settings if key in taken)
    return with_step(recipe, step, replace(step, method=name, settings=settings))


def checkpoint_recipe(file: str) -> Recipe:
    """The recipe of a checkpoint that is not merged."""
    return Recipe((Ingredient("A", file),), (), "A")
