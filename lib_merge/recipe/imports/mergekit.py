"""mergekit's YAML, as far as its methods are ours: linear, task_arithmetic, slerp, passthrough of one model.

Read off arcee-ai/mergekit, docs/merge_methods.md and docs/create_a_merge.md. A list in the place of a number
is a gradient along the depth of the model; here it runs over the 25 blocks of the U-Net, IN00 to OUT11. A
filter becomes a rule by name.
"""

from __future__ import annotations

import importlib
import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from lib_merge.dtypes import BF16, F16, F32, Dtype
from lib_merge.errors import ExtraError, RecipeError
from lib_merge.limits import MOST_YAML, require_text
from lib_merge.recipe.imports.common import Imported, Maker
from lib_merge.recipe.model import Amount
from lib_merge.recipe.numbers import Numbers, print_number, print_numbers
from lib_merge.recipe.rules import optional
from lib_merge.recipe.rules_text import parse_rules

TOOL = "mergekit"
BLOCKS = 25
DTYPES: Mapping[str, Dtype] = {"float16": F16, "bfloat16": BF16, "float32": F32}
IMPORTED = ("linear", "task_arithmetic", "slerp", "passthrough")

Fields = Mapping[str, Any]


def read_mergekit(text: str) -> Imported:
    """A configuration; RecipeError for what it cannot be said with here."""
    found = _load(text)
    maker = Maker(TOOL)
    method = str(found.get("merge_method", ""))
    if "slices" in found or "modules" in found:
        raise maker.refuse("slices and modules stack layers, and these models have none to stack", "models:")
    if method not in IMPORTED:
        raise _not_imported(maker, method)
    models = _models(maker, found.get("models"))
    base = _name(maker, found.get("base_model") or "")
    common = _fields(maker, found, "parameters")
    if method == "linear":
        result = _linear(maker, models, common)
    elif method == "task_arithmetic":
        result = _tasks(maker, models, base, common)
    elif method == "slerp":
        result = _slerp(maker, models, base, common)
    elif method == "passthrough" and len(models) == 1:
        result = maker.model(models[0]["model"])
    else:
        raise _not_imported(maker, method)
    if "tokenizer_source" in found or "chat_template" in found:
        maker.note("tokenizers and chat templates are of no use here")
    dtype = DTYPES.get(str(found.get("out_dtype") or found.get("dtype") or ""))
    return maker.done(result, vae="a", dtype=dtype)


def _not_imported(maker: Maker, method: str) -> RecipeError:
    hint = "linear, task_arithmetic and slerp are; merge-desk methods lists what can be said here"
    return maker.refuse(f"its method '{method}' is not imported", hint)


def _load(text: str) -> Fields:
    try:
        yaml: Any = importlib.import_module("yaml")
    except ImportError as missing:
        raise ExtraError(
            "YAML is read with PyYAML, which is not installed", hint="pip install pyyaml"
        ) from missing
    require_text(text, MOST_YAML, "this YAML")
    try:
        # an alias stands for a part that may hold aliases, and so for a text of any length
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            hint = "write out what * stands for"
            raise RecipeError("anchors and aliases of YAML (& and *) are not read", hint=hint)
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, TypeError, AttributeError) as cause:
        raise RecipeError("this YAML cannot be read", where=str(cause)) from cause
    if not isinstance(found, dict) or "merge_method" not in found:
        raise RecipeError("this YAML is no configuration of mergekit", hint="it has a line merge_method:")
    return cast("Fields", found)


def _models(maker: Maker, given: object) -> list[dict[str, Any]]:
    """The rows under `models:`, each with a name under `model`."""
    rows = cast("list[object]", given) if isinstance(given, list) else list[object]()
    if not rows:
        raise maker.refuse("its models are no list", "models:, and under it lines - model: NAME")
    models: list[dict[str, Any]] = []
    for row in rows:
        if not isinstance(row, dict) or "model" not in row:
            raise maker.refuse(f"{_short(cast('object', row))} is no model", "- model: NAME")
        fields = cast("dict[str, Any]", row)
        models.append({**fields, "model": _name(maker, fields["model"])})
    return models


def _short(value: object) -> str:
    """A value as an error quotes it."""
    return reprlib.repr(value)


def _name(maker: Maker, value: object) -> str:
    if not isinstance(value, (str, int, float)):
        raise maker.refuse(f"{_short(value)} is no model's name", "model: NAME")
    return str(value)


def _fields(maker: Maker, found: Fields, name: str) -> Fields:
    value = cast("object", found.get(name) or {})
    if not isinstance(value, dict):
        raise maker.refuse(f"its {name} are {_short(value)}", f"{name}:, and under it names and numbers")
    return cast("Fields", value)


def _linear(maker: Maker, models: Sequence[Fields], common: Fields) -> str:
    names = [maker.model(each["model"]) for each in models]
    shares = tuple(_amount(maker, _parameter(maker, each, common, "weight", 1.0)) for each in models)
    if common.get("normalize", True) is False:
        return maker.step("weighted_models", names, shares=shares)
    return maker.step("weighted_models", names, shares=shares, normalise=True)


def _tasks(maker: Maker, models: Sequence[Fields], base: str, common: Fields) -> str:
    if not base:
        raise maker.refuse("task_arithmetic needs a base_model")
    others = [each for each in models if each["model"] != base]
    names = [maker.model(base), *(maker.model(each["model"]) for each in others)]
    shares = tuple(_amount(maker, _parameter(maker, each, common, "weight", 1.0)) for each in others)
    scale = _amount(maker, common.get("lambda", 1.0))
    if common.get("normalize", False) is True:
        raise maker.refuse("normalised task arithmetic is not imported", "normalize: false")
    return maker.step("task_arithmetic", names, shares=shares, scale=scale)


def _slerp(maker: Maker, models: Sequence[Fields], base: str, common: Fields) -> str:
    others = [each["model"] for each in models if each["model"] != base]
    if not base or len(others) != 1:
        raise maker.refuse("slerp works with a base_model and one other")
    amount = _amount(maker, common.get("t", 0.5))
    return maker.step("slerp", [maker.model(base), maker.model(others[0])], alpha=amount)


def _parameter(maker: Maker, model: Fields, common: Fields, name: str, default: float) -> object:
    own = _fields(maker, model, "parameters")
    return own.get(name, common.get(name, default))


def _amount(maker: Maker, value: object) -> Amount:
    """A number, a gradient, or a list of filters with the one that is for all the rest."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _number(maker, value)
    if isinstance(value, list) and value:
        listed = cast("list[object]", value)
        if all(isinstance(each, Mapping) for each in listed):
            return _filters(maker, cast("list[Fields]", listed))
        maker.note(
            "a gradient runs over the 25 blocks of the U-Net, IN00 to OUT11; BASE has its first number"
        )
        return _gradient([_number(maker, each) for each in listed])
    raise maker.refuse(f"{_short(cast('object', value))} is no amount")


def _number(maker: Maker, value: object) -> float:
    """A number of YAML; 1e-3, which YAML takes for a word, too."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise maker.refuse(f"{_short(value)} is no amount", "a number, a list of numbers, or filters")
    return number


def _gradient(points: Sequence[float]) -> Numbers:
    spread: list[float] = []
    for block in range(BLOCKS):
        place = block / (BLOCKS - 1) * (len(points) - 1)
        low = min(int(place), max(len(points) - 2, 0))
        high = min(low + 1, len(points) - 1)
        spread.append(round(points[low] + (points[high] - points[low]) * (place - low), 10))
    return Numbers("supermerger", (points[0], *spread))


def _filters(maker: Maker, rows: Sequence[Fields]) -> Amount:
    lines: list[str] = []
    for row in rows:
        amount = _amount(maker, row.get("value"))
        if not isinstance(amount, (Numbers, float)):
            raise maker.refuse("there are filters within a filter", "one list of filters")
        shown = print_numbers(amount) if isinstance(amount, Numbers) else print_number(amount)
        target = _name(maker, row.get("filter") or "*")
        lines.insert(0, f"{target}: {shown}")  # there the first that fits wins, here the last
    maker.note("a filter hits names that hold its word, as it does there; LLM names will hit nothing here")
    return optional(parse_rules("\n".join(lines)))
