"""Checkpoints and methods in words and as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lib_merge.architectures import Family, identify, slot_of
from lib_merge.checkpoint import Hashes, Header, human_size
from lib_merge.errors import FamilyError
from lib_merge.recipe import RECIPE_KEY
from lib_merge.recipe.presets import about, curves
from lib_merge.registry import PURPOSES, Method

PARTS = {"unet": "U-Net", "text": "text encoder", "vae": "VAE"}


def checkpoint_as_data(header: Header, hashes: Hashes | None = None) -> dict[str, Any]:
    """Everything `inspect` knows, for a program."""
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


def checkpoint_as_text(header: Header, hashes: Hashes | None = None) -> str:
    """What `inspect` prints for a person."""
    data = checkpoint_as_data(header)
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


def method_as_data(method: Method) -> dict[str, Any]:
    """A method's schema, for a program."""
    return {
        "name": method.id,
        "title": method.title,
        "purpose": method.purpose,
        "models": "any number" if method.most_models is None else method.most_models,
        "parameters": [
            {
                "name": parameter.name,
                "kind": parameter.kind.__name__,
                "per_model": parameter.per_model,
                "range": [parameter.knob.low, parameter.knob.high],
                "step": parameter.knob.step,
                "default": parameter.default,
                "help": parameter.knob.help,
            }
            for parameter in method.parameters
        ],
        "summary": method.summary,
        "formula": method.formula,
        "source": method.source,
    }


def methods_as_text(methods: Sequence[Method]) -> str:
    """One method a line, name and formula, under what they are for."""
    width = max(len(method.id) for method in methods)
    lines: list[str] = []
    for purpose, sentence in PURPOSES.items():
        found = [method for method in methods if method.purpose == purpose]
        lines += ["", sentence] if lines and found else [sentence] if found else []
        lines += [f"  {method.id:<{width}}  {method.formula.splitlines()[0]}" for method in found]
    return "\n".join(lines)


def method_as_text(method: Method) -> str:
    """All there is to know of one method."""
    import inspect

    models = "any number of models" if method.most_models is None else f"{method.most_models} models"
    lines = [
        f"{method.id}: {method.title}, {models}",
        "",
        *(inspect.getdoc(method.function) or "").splitlines(),
        "",
    ]
    for parameter in method.parameters:
        knob = parameter.knob
        span = "true or false" if parameter.kind is bool else f"{knob.low:g} to {knob.high:g}"
        each = ", one a model" if parameter.per_model else ""
        default = "" if parameter.per_model else f", default {str(parameter.default).lower()}"
        lines.append(f"  --{parameter.name}  {span}{each}{default}: {knob.help}")
    return "\n".join([*lines, "", f"source: {method.source}"])


STAIRS = "▁▂▃▄▅▆▇█"


def presets_as_text(family: Family) -> str:
    """One preset a line: name, its curve over the blocks, and what it is meant for, where that is said."""
    known = curves(family)
    width = max(map(len, known), default=0)
    lines = [f"{n:<{width}}  {_drawn(v, family)}  {about(n)}".rstrip() for n, v in known.items()]
    return "\n".join(lines) or f"{family.title} has no presets: its blocks do not face each other"


def _drawn(values: Mapping[str, float], family: Family) -> str:
    """The blocks after BASE as steps of a stair, 0 low and 1 high."""
    top = len(STAIRS) - 1
    return "".join(STAIRS[min(top, max(0, round(values[name] * top)))] for name in family.numbers[1:])
