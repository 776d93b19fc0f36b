"""The values of a request: read from flags, JSON and the page, for the parameters of a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from lib_merge.architectures import parse_numbers
from lib_merge.errors import MethodError, RecipeError
from lib_merge.parameters import Parameter
from lib_merge.recipe import Setting, Slots
from lib_merge.recipe.options import LIST_OPTIONS
from lib_merge.recipe.weights.rules import VAE_SLOT_ID
from lib_merge.registry import Method

Spell = Callable[
    [str], str
]  # name of an option or parameter -> its spelling in the source of the request, for errors

LIST_OPTION_OF = {option.parameter: option for option in LIST_OPTIONS}


def json_name(name: str) -> str:
    """The name of an option in JSON."""
    return name


def flag_name(name: str) -> str:
    """The flag of an option on the command line."""
    return f"--{name.replace('_', '-')}"


def parameter_of(method: Method, name: str, spelling: str) -> Parameter:
    """A parameter of the method; MethodError where there is none, with its name as the request spells it."""
    parameter = next((candidate for candidate in method.parameters if candidate.name == name), None)
    if parameter is None:
        raise MethodError(f"{method.id} takes no {spelling}", hint=f"merge-desk methods {method.id}")
    return parameter


def value_of_flag(parameter: Parameter, text: str) -> object:
    """The value of a flag, parsed to the type that JSON has for it."""
    flag = flag_name(parameter.name)
    if parameter.kind is bool:
        if text not in ("true", "false"):
            raise RecipeError(f"{flag} is true or false, not '{text}'")
        return text == "true"
    numbers = parse_numbers(text, where=flag)
    if parameter.per_model:
        return list(numbers)
    if len(numbers) != 1:
        by_block = LIST_OPTION_OF.get(parameter.name)
        hint = f"{by_block.flag} takes a list by block" if by_block else ""
        raise RecipeError(f"{flag} takes one number, not {len(numbers)}", hint=hint)
    return numbers[0]


def setting_of(value: object, parameter: Parameter) -> Setting:
    """A value of JSON as the setting of a recipe: a number, one per slot, or one per model."""
    if isinstance(value, Mapping):
        amounts = {
            str(slot): _number(amount, parameter)
            for slot, amount in cast("Mapping[object, object]", value).items()
        }
        rest = amounts.pop("*", 0.0)
        return Slots(tuple(sorted(amounts.items())), rest)
    if isinstance(value, (list, tuple)) and parameter.per_model:
        return tuple(_number(amount, parameter) for amount in cast("Sequence[object]", value))
    plain = cast("object", value)
    if parameter.kind in (bool, str):
        _check(plain, parameter)
        return cast("bool | str", plain)
    return _number(plain, parameter)


def _number(value: object, parameter: Parameter) -> float:
    _check(value, parameter)
    return float(cast("int | float", value))


def _check(value: object, parameter: Parameter) -> None:
    if problem := parameter.problem(value):
        raise RecipeError(problem, hint=parameter.hint)


def without_vae_slot(value: object) -> object:
    """Amounts without the VAE's, whose fader is used only where the VAE is blended."""
    if not isinstance(value, Mapping):
        return value
    return {
        slot: amount for slot, amount in cast("Mapping[str, object]", value).items() if slot != VAE_SLOT_ID
    }
