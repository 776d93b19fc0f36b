"""A recipe with one thing changed: what a merge axis does to a cell. Every function is pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from lib_merge.architectures import Family
from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.grid.blocks import VAE
from lib_merge.methods import METHODS
from lib_merge.plan.amounts import Amounts
from lib_merge.recipe import Ingredient, Numbers, Recipe, Rules, Setting, Slots, Step, over
from lib_merge.recipe.rules import FINAL, Line, Mix, Rule, Target, Words, constant

LETTERS = "ABC"
ADJUST = "adjust"


def step_of(recipe: Recipe, parameter: str, step: str = "") -> Step:
    """The step whose parameter an axis sets: the named one, else what is saved, else the one that has it."""
    takers = [each for each in recipe.steps if parameter in _parameters(each)]
    named = [each for each in takers if each.name == (step or recipe.result)]
    if named:
        return named[0]
    if len(takers) == 1 and not step:
        return takers[0]
    if step:
        known = [each.name for each in takers]
        raise RecipeError(f"no step '{step}' takes {parameter}", hint=did_you_mean(step, known))
    if takers:
        names = " or ".join(f"{each.name}.{parameter}" for each in takers)
        raise RecipeError(f"{len(takers)} steps take {parameter}", hint=f"name one of them: {names}")
    known = [name for each in recipe.steps for name in _parameters(each)]
    methods = ", ".join(dict.fromkeys(each.method for each in recipe.steps)) or "a checkpoint alone"
    raise RecipeError(f"{methods} takes no {parameter}", hint=did_you_mean(parameter, known))


def main_step(recipe: Recipe) -> Step | None:
    """The step that is saved, or the one before it where that only adjusts; None for a checkpoint alone."""
    steps = {each.name: each for each in recipe.steps}
    step = steps.get(recipe.result)
    while step is not None and step.method == ADJUST:
        step = steps.get(step.inputs[0])
    return step


def amount_step(recipe: Recipe) -> tuple[str, str]:
    """The step that is saved and one of its amounts, on which a rule of what is left out can stand."""
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
    """The recipe with a step in another's place."""
    return replace(recipe, steps=tuple(new if each is old else each for each in recipe.steps))


def setting_of(step: Step, parameter: str) -> Setting:
    """What the step has the parameter set to, or the method's default."""
    return step.setting(METHODS.get(step.method).parameter(parameter))


def scaled(setting: Setting, factor: float) -> Setting:
    """Every number of an amount times a factor."""
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
    return replace(line, amount=Mix(terms))


def _times(a: float, b: float) -> float:
    """The product of the decimals that were written: 3 times 0.1 is 0.3."""
    return float(Fraction(repr(a)) * Fraction(repr(b)))


def at_slots(setting: Setting, pins: Mapping[str, float], family: Family) -> Slots | Rules:
    """The amount with some slots changed; a list of numbers is spread over the slots for that.

    The VAE is named only where a pin or the amount itself names it: a recipe that names it blends it.
    """
    if isinstance(setting, (bool, str, tuple)):
        raise RecipeError("only a number, or numbers by block, can differ from block to block")
    if isinstance(setting, Rules):
        named = ((FINAL if slot == "OUT" else slot, number) for slot, number in pins.items())
        return over(setting, Rules(tuple(Rule(Target(Words((slot,))), constant(n)) for slot, n in named)))
    spread = _spread(setting, family)
    return Slots(tuple(sorted({**dict(spread.values), **pins}.items())), spread.rest)


def with_rules(setting: Setting, rules: Rules) -> Rules:
    """Rules over an amount, which stays for whatever they do not hit."""
    if isinstance(setting, (bool, str, tuple)):
        raise RecipeError("only a number, or numbers by block, can have rules over it")
    return over(setting, rules)


def _spread(amount: float | Numbers | Slots, family: Family) -> Slots:
    if isinstance(amount, (int, float)):
        return Slots((), float(amount))
    amounts = Amounts(family)
    named = isinstance(amount, Slots) and VAE in dict(amount.values)
    slots = [slot.id for slot in family.slots if named or slot.id != VAE]
    rest = amount.rest if isinstance(amount, Slots) else 0.0
    return Slots(tuple(sorted((slot, amounts.at(amount, slot)) for slot in slots)), rest)


def with_model(recipe: Recipe, letter: str, file: str) -> Recipe:
    """Another file in A's, B's or C's place: the ingredient of that name, else the first, second or third."""
    names = [ingredient.name for ingredient in recipe.ingredients]
    place = names.index(letter) if letter in names else LETTERS.index(letter)
    if place >= len(names):
        count = "one model" if len(names) == 1 else f"{len(names)} models"
        raise RecipeError(f"there is no model {letter} to change", hint=f"this merge takes {count}")
    old = recipe.ingredients[place]
    made = list(recipe.ingredients)
    made[place] = Ingredient(old.name, file)
    return replace(recipe, ingredients=tuple(made))


def with_method(recipe: Recipe, name: str) -> Recipe:
    """Another method in what is saved; settings that it does not take are left out."""
    method = METHODS.get(name)
    step = main_step(recipe)
    if step is None:
        raise RecipeError("a checkpoint alone is made by no method", hint="choose A and B")
    method.check_models(len(step.inputs))
    taken = {parameter.name for parameter in method.parameters}
    settings = tuple((key, value) for key, value in step.settings if key in taken)
    return with_step(recipe, step, replace(step, method=name, settings=settings))


def alone(file: str) -> Recipe:
    """A checkpoint as it is."""
    return Recipe((Ingredient("A", file),), (), "A")
