"""Model Mixer's infotext and metadata.

Fields as wkpark/sd-webui-model-mixer 8d55c1d writes them into infotexts: `ModelMixer model a`, and for each
further model x: `use model x`, `model x`, `merge mode x`, `calcmode x`, `alpha x`, `mbw mode x`,
`mbw weights x`. It takes the VAE from A.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from lib_merge.recipe.imports.common import Imported, RecipeBuilder, block_weights, number_field, text_field
from lib_merge.recipe.imports.importer import Importer, ImportSource
from lib_merge.recipe.model import Amount

TOOL = "Model Mixer"
FIELD_PREFIX = "ModelMixer "
FIELD = re.compile(rf'{FIELD_PREFIX}([a-z][^:,\n]{{0,40}}): ("(?:\\.|[^"\\])*"|[^,\n]*)')
TITLE = re.compile(r"^(.*?)(?: \[([0-9a-f]{8,64})\])?$")
DIFFERENCE = ("Add-Diff", "Add difference", "Diff")


def is_infotext(text: str) -> bool:
    """Whether an infotext holds its settings."""
    return f"{FIELD_PREFIX}model a:" in text


def read_model_mixer_infotext(text: str) -> Imported:
    """Imports the settings in an infotext."""
    return read_fields({name: value.strip().strip('"') for name, value in FIELD.findall(text)})


def read_fields(fields: Mapping[str, object]) -> Imported:
    """Imports the settings; `fields` has them by name, without their prefix."""
    maker = RecipeBuilder(TOOL)
    result = maker.add_model(*_file(text_field(fields, "model a")))
    base = text_field(fields, "base model")
    for word in "bcdefghijklmno":
        if text_field(fields, f"use model {word}") not in ("True", "true", "1") or not text_field(
            fields, f"model {word}"
        ):
            continue
        result = _step(maker, fields, word, result, base)
    if text_field(fields, "adjust"):
        maker.add_note(f"Adjust {fields['adjust']} is not carried over: add it as a step of its own")
    return maker.build(result, vae="a")


def read_model_mixer_metadata(metadata: Mapping[str, object], models: Mapping[str, object]) -> Imported:
    """`sd_merge_recipe` of type "sd-webui-model-mixer": one entry a further model in mode, alpha and weights.

    The models are those of `sd_merge_models`, in its order.
    """
    fields: dict[str, object] = {"adjust": metadata.get("adjust"), "base model": metadata.get("base_model")}
    for word, (sha256, entry) in zip("abcdefghijklmno", models.items(), strict=False):
        name = entry.get("name") if isinstance(entry, Mapping) else None  # type: ignore[union-attr]
        fields[f"model {word}"] = f"{name or 'model'} [{sha256}]"
    for index, word in enumerate("bcdefghijklmno"[: max(len(models) - 1, 0)]):
        fields[f"use model {word}"] = "True"
        for name, ours in (
            ("mode", "merge mode"),
            ("calcmode", "calcmode"),
            ("alpha", "alpha"),
            ("elemental", "elemental"),
        ):
            fields[f"{ours} {word}"] = _nth(metadata.get(name), index)
        fields[f"mbw weights {word}"] = _nth(metadata.get("weights_alpha"), index)
    return read_fields(fields)


def _nth(listed: object, index: int) -> object:
    if not isinstance(listed, list):
        return listed if index == 0 else None
    values = cast("list[object]", listed)
    entry = values[index] if index < len(values) else None
    return ",".join(map(str, cast("list[object]", entry))) if isinstance(entry, list) else entry


def _step(maker: RecipeBuilder, fields: Mapping[str, object], word: str, so_far: str, base: str) -> str:
    other = maker.add_model(*_file(text_field(fields, f"model {word}")))
    mode, calc = (
        text_field(fields, f"merge mode {word}") or "Sum",
        text_field(fields, f"calcmode {word}") or "Normal",
    )
    alpha = _alpha(fields, word)
    if text_field(fields, f"use elemental {word}") in ("True", "true") and text_field(
        fields, f"elemental {word}"
    ):
        maker.add_note(f"the elements of model {word} ({fields[f'elemental {word}']}) are not carried over")
    if calc.lower() != "normal":
        raise maker.unsupported(f"its calcmode '{calc}' has no counterpart here", "merge-desk methods")
    if mode == "Sum":
        return maker.add_step("weighted_sum", [so_far, other], alpha=alpha)
    if mode in DIFFERENCE:
        if not base:
            raise maker.unsupported("the base model of its difference is not recorded")
        return maker.add_step("add_difference", [so_far, other, maker.add_model(*_file(base))], alpha=alpha)
    raise maker.unsupported(f"its mode '{mode}' has no counterpart here", "merge-desk methods")


def _alpha(fields: Mapping[str, object], word: str) -> Amount:
    alpha = number_field(fields, f"alpha {word}", 0.5)
    weights = text_field(fields, f"mbw weights {word}")
    if weights and text_field(fields, f"mbw {word}") not in ("False", "false"):
        return block_weights(weights.strip("[]"), alpha)
    return alpha


def _file(title: str) -> tuple[str, str]:
    """A title such as `ink.safetensors [3f2a9c01d4]`: the file and its short hash."""
    match = TITLE.match(title.replace("\\", "/").rsplit("/", 1)[-1])
    return (match[1], match[2] or "") if match else (title, "")


def _read_metadata(source: ImportSource) -> Imported:
    return read_model_mixer_metadata(source.recipe, source.models)


def _read_infotext(source: ImportSource) -> Imported:
    return read_model_mixer_infotext(source.text)


MODEL_MIXER = Importer(
    tool=TOOL,
    reads="metadata of its files",
    example='{"sd_merge_recipe": {"type": "sd-webui-model-mixer", "mode": ["Sum"], "alpha": [0.25]}, '
    '"sd_merge_models": {"aaaaaaaaaa": {"name": "a"}, "bbbbbbbbbb": {"name": "b"}}}',
    recognises=lambda source: source.type == "sd-webui-model-mixer",
    read=_read_metadata,
)
MODEL_MIXER_INFOTEXT = Importer(
    tool=TOOL,
    reads="infotext of its pictures",
    example="a cat\nSteps: 20, ModelMixer model a: a [aaaaaaaaaa], ModelMixer use model b: True, "
    "ModelMixer model b: b [bbbbbbbbbb], ModelMixer merge mode b: Sum, ModelMixer alpha b: 0.25",
    recognises=lambda source: is_infotext(source.text),
    read=_read_infotext,
)
