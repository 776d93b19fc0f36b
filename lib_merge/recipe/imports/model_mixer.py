"""Model Mixer's infotext and metadata.

Fields as wkpark/sd-webui-model-mixer 8d55c1d writes them into infotexts: `ModelMixer model a`, and for each
further model x: `use model x`, `model x`, `merge mode x`, `calcmode x`, `alpha x`, `mbw mode x`,
`mbw weights x`. It takes the VAE from A.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from lib_merge.recipe.imports.common import Imported, Maker, block_weights, number_of, text_of
from lib_merge.recipe.model import Amount

TOOL = "Model Mixer"
PREFIX = "ModelMixer "
FIELD = re.compile(rf'{PREFIX}([a-z][^:,\n]{{0,40}}): ("(?:\\.|[^"\\])*"|[^,\n]*)')
TITLE = re.compile(r"^(.*?)(?: \[([0-9a-f]{8,64})\])?$")
DIFFERENCE = ("Add-Diff", "Add difference", "Diff")


def is_infotext(text: str) -> bool:
    """Whether an infotext holds its settings."""
    return f"{PREFIX}model a:" in text


def read_infotext(text: str) -> Imported:
    """The settings in an infotext."""
    return read_fields({name: value.strip().strip('"') for name, value in FIELD.findall(text)})


def read_fields(found: Mapping[str, object]) -> Imported:
    """The settings by name, without their prefix."""
    maker = Maker(TOOL)
    result = maker.model(*_file(text_of(found, "model a")))
    base = text_of(found, "base model")
    for word in "bcdefghijklmno":
        if text_of(found, f"use model {word}") not in ("True", "true", "1") or not text_of(
            found, f"model {word}"
        ):
            continue
        result = _step(maker, found, word, result, base)
    if text_of(found, "adjust"):
        maker.note(f"Adjust {found['adjust']} is not carried over: add it as a step of its own")
    return maker.done(result, vae="a")


def read_metadata(found: Mapping[str, object], models: Mapping[str, object]) -> Imported:
    """`sd_merge_recipe` of type "sd-webui-model-mixer": one entry a further model in mode, alpha and weights.

    The models are those of `sd_merge_models`, in its order.
    """
    fields: dict[str, object] = {"adjust": found.get("adjust"), "base model": found.get("base_model")}
    for word, (sha256, known) in zip("abcdefghijklmno", models.items(), strict=False):
        name = known.get("name") if isinstance(known, Mapping) else None  # type: ignore[union-attr]
        fields[f"model {word}"] = f"{name or 'model'} [{sha256}]"
    for place, word in enumerate("bcdefghijklmno"[: max(len(models) - 1, 0)]):
        fields[f"use model {word}"] = "True"
        for name, ours in (
            ("mode", "merge mode"),
            ("calcmode", "calcmode"),
            ("alpha", "alpha"),
            ("elemental", "elemental"),
        ):
            fields[f"{ours} {word}"] = _nth(found.get(name), place)
        fields[f"mbw weights {word}"] = _nth(found.get("weights_alpha"), place)
    return read_fields(fields)


def _nth(listed: object, place: int) -> object:
    if not isinstance(listed, list):
        return listed if place == 0 else None
    values = cast("list[object]", listed)
    found = values[place] if place < len(values) else None
    return ",".join(map(str, cast("list[object]", found))) if isinstance(found, list) else found


def _step(maker: Maker, found: Mapping[str, object], word: str, so_far: str, base: str) -> str:
    other = maker.model(*_file(text_of(found, f"model {word}")))
    mode, calc = text_of(found, f"merge mode {word}") or "Sum", text_of(found, f"calcmode {word}") or "Normal"
    alpha = _alpha(found, word)
    if text_of(found, f"use elemental {word}") in ("True", "true") and text_of(found, f"elemental {word}"):
        maker.note(f"the elements of model {word} ({found[f'elemental {word}']}) are not carried over")
    if calc.lower() != "normal":
        raise maker.refuse(f"its calcmode '{calc}' has no counterpart here", "merge-desk methods")
    if mode == "Sum":
        return maker.step("weighted_sum", [so_far, other], alpha=alpha)
    if mode in DIFFERENCE:
        if not base:
            raise maker.refuse("the base model of its difference is not recorded")
        return maker.step("add_difference", [so_far, other, maker.model(*_file(base))], alpha=alpha)
    raise maker.refuse(f"its mode '{mode}' has no counterpart here", "merge-desk methods")


def _alpha(found: Mapping[str, object], word: str) -> Amount:
    alpha = number_of(found, f"alpha {word}", 0.5)
    weights = text_of(found, f"mbw weights {word}")
    if weights and text_of(found, f"mbw {word}") not in ("False", "false"):
        return block_weights(weights.strip("[]"), alpha)
    return alpha


def _file(title: str) -> tuple[str, str]:
    """A title such as `ink.safetensors [3f2a9c01d4]`: the file and its short hash."""
    match = TITLE.match(title.replace("\\", "/").rsplit("/", 1)[-1])
    return (match[1], match[2] or "") if match else (title, "")
