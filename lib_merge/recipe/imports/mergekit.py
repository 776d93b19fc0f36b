"""mergekit's YAML, as far as its methods are ours: linear, task_arithmetic, slerp, passthrough of one model.

Read off arcee-ai/mergekit, docs/merge_methods.md and docs/create_a_merge.md. A list in the place of a number
is a gradient along the depth of the model; here it runs over the 25 blocks of the U-Net, IN00 to OUT11. A
filter becomes a rule by name.
"""

from __future__ import annotations

import importlib
import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from lib_merge.dtypes import BF16, F16, F32, Dtype
from lib_merge.errors import ExtraError, RecipeError
from lib_merge.limits import MAX_YAML, check_text
from lib_merge.recipe.imports.common import Imported, RecipeBuilder
from lib_merge.recipe.imports.importer import Importer, ImportSource
from lib_merge.recipe.model import Amount
from lib_merge.recipe.weights.lists import Numbers, print_number, print_numbers
from lib_merge.recipe.weights.parse import parse_rules
from lib_merge.recipe.weights.rules import make_optional

MOST_YAML_DEPTH = 100
TOOL = "mergekit"
BLOCKS = 25
DTYPES: Mapping[str, Dtype] = {"float16": F16, "bfloat16": BF16, "float32": F32}
IMPORTED = ("linear", "task_arithmetic", "slerp", "passthrough")

YamlFields = Mapping[str, Any]


def read_mergekit(text: str) -> Imported:
    """Imports a configuration; RecipeError for what has no counterpart here."""
    configuration = _load(text)
    maker = RecipeBuilder(TOOL)
    method = str(configuration.get("merge_method", ""))
    if "slices" in configuration or "modules" in configuration:
        raise maker.unsupported(
            "slices and modules stack layers, and these models have none to stack", "models:"
        )
    if method not in IMPORTED:
        raise _not_imported(maker, method)
    models = _models(maker, configuration.get("models"))
    base = _name(maker, configuration.get("base_model") or "")
    common = _fields(maker, configuration, "parameters")
    if method == "linear":
        result = _linear(maker, models, common)
    elif method == "task_arithmetic":
        result = _tasks(maker, models, base, common)
    elif method == "slerp":
        result = _slerp(maker, models, base, common)
    elif method == "passthrough" and len(models) == 1:
        result = maker.add_model(models[0]["model"])
    else:
        raise _not_imported(maker, method)
    if "tokenizer_source" in configuration or "chat_template" in configuration:
        maker.add_note("tokenizers and chat templates are of no use here")
    dtype = DTYPES.get(str(configuration.get("out_dtype") or configuration.get("dtype") or ""))
    return maker.build(result, vae="a", dtype=dtype)


def _not_imported(maker: RecipeBuilder, method: str) -> RecipeError:
    hint = "linear, task_arithmetic and slerp are; merge-desk methods lists what can be said here"
    return maker.unsupported(f"its method '{method}' is not imported", hint)


def _load(text: str) -> YamlFields:
    try:
        yaml: Any = importlib.import_module("yaml")
    except ImportError as missing:
        raise ExtraError(
            "YAML is read with PyYAML, which is not installed", hint="pip install pyyaml"
        ) from missing
    check_text(text, MAX_YAML, "this YAML")
    try:
        _check_events(yaml, text)
        configuration = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, TypeError, AttributeError) as cause:
        raise RecipeError("this YAML cannot be read", where=str(cause)) from cause
    if not isinstance(configuration, dict) or "merge_method" not in configuration:
        raise RecipeError("this YAML is no configuration of mergekit", hint="it has a line merge_method:")
    return cast("YamlFields", configuration)


def _check_events(yaml: Any, text: str) -> None:
    """Refuses what would take long to read, at the first event that shows it."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        # an alias stands for a part that may hold aliases, and so for a text of any length
        if isinstance(event, yaml.AliasEvent):
            hint = "write out what * stands for"
            raise RecipeError("anchors and aliases of YAML (& and *) are not read", hint=hint)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_YAML_DEPTH:  # PyYAML's time grows with the square of it: 5,000 brackets take 6 s
            hint = "a configuration of mergekit is some six levels deep"
            raise RecipeError(f"this YAML is nested more than {MOST_YAML_DEPTH} levels deep", hint=hint)


def _models(maker: RecipeBuilder, value: object) -> list[dict[str, Any]]:
    """The rows under `models:`, each with a name under `model`."""
    rows = cast("list[object]", value) if isinstance(value, list) else list[object]()
    if not rows:
        raise maker.unsupported("its models are no list", "models:, and under it lines - model: NAME")
    models: list[dict[str, Any]] = []
    for row in rows:
        if not isinstance(row, dict) or "model" not in row:
            raise maker.unsupported(f"{_short(cast('object', row))} is no model", "- model: NAME")
        fields = cast("dict[str, Any]", row)
        models.append({**fields, "model": _name(maker, fields["model"])})
    return models


def _short(value: object) -> str:
    """A value as an error quotes it."""
    return reprlib.repr(value)


def _name(maker: RecipeBuilder, value: object) -> str:
    if not isinstance(value, (str, int, float)):
        raise maker.unsupported(f"{_short(value)} is no model's name", "model: NAME")
    return str(value)


def _fields(maker: RecipeBuilder, configuration: YamlFields, name: str) -> YamlFields:
    value = cast("object", configuration.get(name) or {})
    if not isinstance(value, dict):
        raise maker.unsupported(f"its {name} are {_short(value)}", f"{name}:, and under it names and numbers")
    return cast("YamlFields", value)


def _linear(maker: RecipeBuilder, models: Sequence[YamlFields], common: YamlFields) -> str:
    names = [maker.add_model(model["model"]) for model in models]
    shares = tuple(_amount(maker, _parameter(maker, model, common, "weight", 1.0)) for model in models)
    if common.get("normalize", True) is False:
        return maker.add_step("weighted_models", names, model_weights=shares)
    return maker.add_step("weighted_models", names, model_weights=shares, normalize=True)


def _tasks(maker: RecipeBuilder, models: Sequence[YamlFields], base: str, common: YamlFields) -> str:
    if not base:
        raise maker.unsupported("task_arithmetic needs a base_model")
    others = [model for model in models if model["model"] != base]
    names = [maker.add_model(base), *(maker.add_model(model["model"]) for model in others)]
    shares = tuple(_amount(maker, _parameter(maker, model, common, "weight", 1.0)) for model in others)
    scale = _amount(maker, common.get("lambda", 1.0))
    if common.get("normalize", False) is True:
        raise maker.unsupported("normalised task arithmetic is not imported", "normalize: false")
    return maker.add_step("task_arithmetic", names, model_weights=shares, scale=scale)


def _slerp(maker: RecipeBuilder, models: Sequence[YamlFields], base: str, common: YamlFields) -> str:
    others = [model["model"] for model in models if model["model"] != base]
    if not base or len(others) != 1:
        raise maker.unsupported("slerp works with a base_model and one other")
    amount = _amount(maker, common.get("t", 0.5))
    return maker.add_step("slerp", [maker.add_model(base), maker.add_model(others[0])], alpha=amount)


def _parameter(
    maker: RecipeBuilder, model: YamlFields, common: YamlFields, name: str, default: float
) -> object:
    own = _fields(maker, model, "parameters")
    return own.get(name, common.get(name, default))


def _amount(maker: RecipeBuilder, value: object) -> Amount:
    """A number, a gradient, or a list of filters with the one that is for all the rest."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _number(maker, value)
    if isinstance(value, list) and value:
        listed = cast("list[object]", value)
        if all(isinstance(entry, Mapping) for entry in listed):
            return _filters(maker, cast("list[YamlFields]", listed))
        maker.add_note(
            "a gradient runs over the 25 blocks of the U-Net, IN00 to OUT11; BASE has its first number"
        )
        return _gradient([_number(maker, entry) for entry in listed])
    raise maker.unsupported(f"{_short(cast('object', value))} is no amount")


def _number(maker: RecipeBuilder, value: object) -> float:
    """A number of YAML; 1e-3, which YAML takes for a word, too."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise maker.unsupported(f"{_short(value)} is no amount", "a number, a list of numbers, or filters")
    return number


def _gradient(points: Sequence[float]) -> Numbers:
    spread: list[float] = []
    for block in range(BLOCKS):
        position = block / (BLOCKS - 1) * (len(points) - 1)
        low = min(int(position), max(len(points) - 2, 0))
        high = min(low + 1, len(points) - 1)
        spread.append(round(points[low] + (points[high] - points[low]) * (position - low), 10))
    return Numbers("supermerger", (points[0], *spread))


def _filters(maker: RecipeBuilder, rows: Sequence[YamlFields]) -> Amount:
    lines: list[str] = []
    for row in rows:
        amount = _amount(maker, row.get("value"))
        if not isinstance(amount, (Numbers, float)):
            raise maker.unsupported("there are filters within a filter", "one list of filters")
        shown = print_numbers(amount) if isinstance(amount, Numbers) else print_number(amount)
        target = _name(maker, row.get("filter") or "*")
        lines.insert(0, f"{target}: {shown}")  # there the first that fits wins, here the last
    maker.add_note(
        "a filter hits names that hold its word, as it does there; LLM names will hit nothing here"
    )
    return make_optional(parse_rules("\n".join(lines)))


def _read(source: ImportSource) -> Imported:
    return read_mergekit(source.text)


MERGEKIT = Importer(
    tool=TOOL,
    reads="configurations (YAML) of linear, task_arithmetic, slerp and passthrough",
    example="merge_method: linear\nmodels:\n  - model: a\n    parameters: {weight: 1}\n  - model: b\n"
    "    parameters: {weight: 3}\n",
    recognises=lambda source: re.search(r"^merge_method\s*:", source.text, re.MULTILINE) is not None,
    read=_read,
)
