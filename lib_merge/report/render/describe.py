"""Descriptions of checkpoints, methods and presets, as text and as dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lib_merge.architectures import Family, identify, slot_of
from lib_merge.checkpoint import Hashes, Header, human_size
from lib_merge.errors import FamilyError
from lib_merge.recipe import RECIPE_KEY
from lib_merge.recipe.weights.presets import describe_preset, family_presets
from lib_merge.registry import PURPOSES, Method

PARTS = {"unet": "U-Net", "text": "text encoder", "vae": "VAE"}


def checkpoint_to_dict(header: Header, hashes: Hashes | None = None) -> dict[str, Any]:
    """What `inspect` prints, as a dictionary for JSON."""
    data: dict[str, Any] = {
        "file": str(header.path),
        "bytes": header.file_size,
        "tensors": len(header.tensors),
        "dtypes": _formats(header),
        "family": None,
    }
    try:
        identity = identify(header.tensors, metadata=header.metadata, where=str(header.path))
    except FamilyError as problem:
        data["problem"] = problem.what
    else:
        slots: dict[str, int] = {}
        for key in header.tensors:
            slot = slot_of(identity.family, key) or "none"
            slots[slot] = slots.get(slot, 0) + 1
        data |= {
            "family": identity.family.id,
            "title": identity.title,
            "variant": identity.variant,
            "prediction": identity.prediction,
            "components": sorted(part.value for part in identity.components),
            "ema": identity.ema,
            "slots": slots,
        }
    data |= {"renamed": len(header.stored), "metadata": dict(header.metadata)}
    return data | ({"hashes": asdict(hashes)} if hashes else {})


def render_checkpoint(header: Header, hashes: Hashes | None = None) -> str:
    """What `inspect` prints, as text."""
    data = checkpoint_to_dict(header)
    formats = ", ".join(f"{count} {label}" for label, count in data["dtypes"].items())
    lines = [str(header.path)]
    if data["family"] is None:
        lines.append(f"  family      unknown: {data['problem']}")
    else:
        parts = ", ".join(PARTS[part] for part in ("unet", "text", "vae") if part in data["components"])
        missing = [PARTS[part] for part in PARTS if part not in data["components"]]
        lines.append(
            f"  family      {data['title']}"
            + (f", predicts {data['prediction']}" if data["prediction"] else "")
        )
        lines.append(
            f"  parts       {parts}"
            + (f" (no {', no '.join(missing)})" if missing else "")
            + (", EMA" if data["ema"] else "")
        )
    lines.append(f"  tensors     {data['tensors']}: {formats}")
    lines.append(f"  size        {human_size(header.file_size)}")
    if header.stored:
        lines.append(f"  old names   {len(header.stored)} keys are read under their present names")
    if header.metadata:
        lines.append(f"  metadata    {', '.join(sorted(header.metadata))}")
    if hashes:
        lines += [f"  {name:<11} {value}" for name, value in asdict(hashes).items() if value]
    if RECIPE_KEY in header.metadata:
        lines += ["  recipe", *("    " + line for line in header.metadata[RECIPE_KEY].splitlines())]
    return "\n".join(lines)


def _formats(header: Header) -> dict[str, int]:
    counted: dict[str, int] = {}
    for info in header.tensors.values():
        counted[info.dtype.label] = counted.get(info.dtype.label, 0) + 1
    return dict(sorted(counted.items(), key=lambda item: -item[1]))


def method_to_dict(method: Method) -> dict[str, Any]:
    """A method's schema as a dictionary for JSON."""
    return {
        "name": method.id,
        "title": method.title,
        "purpose": method.purpose,
        "models": "any number" if method.max_models is None else method.max_models,
        "parameters": [
            {
                "name": parameter.name,
                "kind": parameter.kind.__name__,
                "per_model": parameter.per_model,
                "range": [parameter.range.low, parameter.range.high],
                "step": parameter.range.step,
                "default": parameter.default,
                "help": parameter.range.help,
            }
            for parameter in method.parameters
        ],
        "summary": method.summary,
        "formula": method.formula,
        "source": method.source,
    }


def render_methods(methods: Sequence[Method]) -> str:
    """One method a line with name and formula, grouped by purpose."""
    width = max(len(method.id) for method in methods)
    lines: list[str] = []
    for purpose, sentence in PURPOSES.items():
        of_purpose = [method for method in methods if method.purpose == purpose]
        lines += ["", sentence] if lines and of_purpose else [sentence] if of_purpose else []
        lines += [f"  {method.id:<{width}}  {method.formula.splitlines()[0]}" for method in of_purpose]
    return "\n".join(lines)


def render_method(method: Method) -> str:
    """The documentation of one method."""
    import inspect

    models = "any number of models" if method.max_models is None else f"{method.max_models} models"
    lines = [
        f"{method.id}: {method.title}, {models}",
        "",
        *(inspect.getdoc(method.function) or "").splitlines(),
        "",
    ]
    for parameter in method.parameters:
        limits = parameter.range
        usually = "usually " * limits.is_only_usual
        span = "true or false" if parameter.kind is bool else f"{usually}{limits.low:g} to {limits.high:g}"
        per_model = ", one a model" if parameter.per_model else ""
        default = "" if parameter.per_model else f", default {str(parameter.default).lower()}"
        lines.append(f"  --{parameter.name.replace('_', '-')}  {span}{per_model}{default}: {limits.help}")
    return "\n".join([*lines, "", f"source: {method.source}"])


STAIRS = "▁▂▃▄▅▆▇█"


def render_presets(family: Family) -> str:
    """One preset a line: name, its curve over the blocks, and its purpose where there is one."""
    presets = family_presets(family)
    width = max(map(len, presets), default=0)
    lines = [f"{n:<{width}}  {_drawn(v, family)}  {describe_preset(n)}".rstrip() for n, v in presets.items()]
    return "\n".join(lines) or f"{family.title} has no presets: it has no U-Net down/up block pairs"


def _drawn(values: Mapping[str, float], family: Family) -> str:
    """The amounts of the blocks after BASE as bars of text, 0 low and 1 high."""
    top = len(STAIRS) - 1
    return "".join(STAIRS[min(top, max(0, round(values[name] * top)))] for name in family.listed_names[1:])
