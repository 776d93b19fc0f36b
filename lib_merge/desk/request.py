"""From what a page or a program asks for to a recipe: the words of the command line, as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from lib_merge.architectures import DEFAULT_LAYOUT, layout_by_name
from lib_merge.dtypes import SOURCE, Dtype, parse_save_dtype
from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.hosts.host import Ckpt, HostError
from lib_merge.methods import METHODS
from lib_merge.recipe import (
    VAE_WORDS,
    Amount,
    Ingredient,
    Recipe,
    Setting,
    Slots,
    Step,
    adjusted,
    aligned_to_first,
    read_weights,
)
from lib_merge.registry import Method, Parameter

Find = Callable[[str], Ckpt]
Called = Callable[[Ckpt], str]

MODELS = ("a", "b", "c")
LISTS = {"weights": "alpha", "beta_weights": "beta"}
SAVING = ("vae", "dtype", "text_encoder", "ema", "overflow", "prediction")
WORDS = ("recipe", "method", *MODELS, *LISTS, "adjust", "align", "layout", *SAVING)


@dataclass(frozen=True)
class Asked:
    """A recipe whose files are named as the recipe text names them, and where each of them is."""

    recipe: Recipe
    files: Mapping[str, Ckpt]
    notes: tuple[str, ...] = ()


def read_request(body: Mapping[str, object], checkpoint: Find, vae: Find, called: Called) -> Asked:
    """What a body asks for in lists and faders.

    body        method, a, b, c, a value for each of the method's parameters (a
                number, or {slot: number}), weights and beta_weights (numbers by block, or rules, over
                what alpha and beta are), adjust (SuperMerger's eight numbers), layout, vae, dtype,
                text_encoder (a, b, none), ema (drop, use), overflow (stop, clip), prediction (a, b, eps,
                v, v-ztsnr), align (true: B, and C, are aligned to A first)
    checkpoint  finds a checkpoint by its name in the host's list; `vae` likewise
    called      what recipes call a file, so that no other file is called so
    Raises RecipeError for what cannot be understood and HostError for what is not in the lists.
    """
    method = METHODS.get(_text(body, "method") or "weighted_sum")
    _check_words(body, method)
    found = [checkpoint(name) for word in MODELS if (name := _text(body, word)).strip()]
    if method.most_models is not None:
        found = found[: method.most_models]
    names = [word.upper() for word in MODELS[: len(found)]]
    method.check_models(len(found))
    files: dict[str, Ckpt] = {}
    ingredients = tuple(
        Ingredient(name, _added(files, each, called)) for name, each in zip(names, found, strict=True)
    )
    if _flag(body, "align"):
        ingredients, names = aligned_to_first(ingredients, base=method.purpose == "difference")
    step = Step("M", method.id, tuple(names), tuple(sorted(_settings(body, method).items())))
    choice = _text(body, "vae")
    if choice.strip() and choice not in VAE_WORDS:
        choice = _added(files, vae(choice), called)
    recipe = Recipe(
        ingredients,
        (step,),
        "M",
        vae=choice,
        dtype=_dtype(body),
        text_encoder=_text(body, "text_encoder"),
        ema=_said(body, "ema", "drop", "use"),
        clip=_said(body, "overflow", "stop", "clip"),
        prediction=_text(body, "prediction"),
    )
    return Asked(adjusted(recipe, _text(body, "adjust"), where="adjust"), files)


def _added(files: dict[str, Ckpt], chosen: Ckpt, called: Called) -> str:
    """What the recipe calls a file, which joins those that it has."""
    file = called(chosen)
    if files.setdefault(file, chosen).path != chosen.path:
        raise HostError(f"two files are called '{file}'", hint="rename one of them")
    return file


def _check_words(body: Mapping[str, object], method: Method) -> None:
    known = [*WORDS, *(parameter.name for parameter in method.parameters)]
    for word in body:
        if word not in known:
            hint = did_you_mean(word, known) or f"known are {', '.join(known)}"
            raise RecipeError(f"'{word}' is nothing that {method.id} takes", hint=hint)


def _text(body: Mapping[str, object], word: str) -> str:
    value = body.get(word, "")
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RecipeError(f"'{word}' must be text, not {value!r}")
    return value.strip()


def _flag(body: Mapping[str, object], word: str) -> bool:
    value = body.get(word) or False
    if not isinstance(value, bool):
        raise RecipeError(f"{word} is true or false, not {value!r}")
    return value


def _said(body: Mapping[str, object], word: str, no: str, yes: str) -> bool:
    said = _text(body, word) or no
    if said not in (no, yes):
        raise RecipeError(f"{word} is {no} or {yes}, not '{said}'")
    return said == yes


def _dtype(body: Mapping[str, object]) -> Dtype | None:
    return parse_save_dtype(_text(body, "dtype") or SOURCE)


def _settings(body: Mapping[str, object], method: Method) -> dict[str, Setting]:
    settings: dict[str, Setting] = {}
    for parameter in method.parameters:
        if body.get(parameter.name) is not None:
            settings[parameter.name] = _setting(body[parameter.name], parameter)
    layout = _text(body, "layout") or DEFAULT_LAYOUT.id
    layout_by_name(layout)
    for word, name in LISTS.items():
        if body.get(word):
            settings[name] = read_weights(
                _text(body, word),
                layout=layout,
                given=settings.get(name),
                default=method.parameter(name).default,
                where=word,
            )
    return settings


def _setting(value: object, parameter: Parameter) -> Setting:
    if isinstance(value, Mapping):
        return _slots(cast("Mapping[object, object]", value), parameter)
    if isinstance(value, list) and parameter.per_model:
        return tuple(_number(each, parameter) for each in cast("list[object]", value))
    if parameter.kind in (bool, str):
        _check(cast("object", value), parameter)
        return cast("bool | str", value)
    return _number(cast("object", value), parameter)


def _check(value: object, parameter: Parameter) -> None:
    if problem := parameter.problem(value):
        raise RecipeError(problem, hint=parameter.hint)


def _slots(value: Mapping[object, object], parameter: Parameter) -> Amount:
    amounts = {str(slot): _number(each, parameter) for slot, each in value.items()}
    rest = amounts.pop("*", 0.0)
    return Slots(tuple(sorted(amounts.items())), rest)


def _number(value: object, parameter: Parameter) -> float:
    _check(value, parameter)
    return float(cast("int | float", value))
