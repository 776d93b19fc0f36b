"""What a merged file says about itself, beside its tensors.

    merge_desk.recipe    the canonical recipe, with the hashes of its files
    merge_desk.inputs    JSON: file -> {"sha256", "autov3"}
    merge_desk.ancestry  JSON: sha256 (or file name) of every merged file that went in, and of those that
                         went into it -> {"file", "recipe"}
    merge_desk.version   of this program
    sd_merge_recipe, sd_merge_models   as AUTOMATIC1111's merger writes them (modules/extras.py), so that
                         tools which know those show this merge too
    modelspec.*          github.com/Stability-AI/ModelSpec 1.0.0

No time and no name of the result is among them unless asked for: the same recipe over the same files gives
the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lib_merge import __version__
from lib_merge.architectures import Identity
from lib_merge.checkpoint import Header, decode_value, encode_metadata, nested
from lib_merge.recipe import RECIPE_KEY, Recipe, print_recipe

INPUTS_KEY, ANCESTRY_KEY, VERSION_KEY = "merge_desk.inputs", "merge_desk.ancestry", "merge_desk.version"
A1111_RECIPE, A1111_MODELS = "sd_merge_recipe", "sd_merge_models"
KIND = "merge-desk"  # in the place where AUTOMATIC1111 writes "webui"
ARCHITECTURE = "modelspec.architecture"
# of A's own description only what a merge leaves true
INHERITED = (
    "modelspec.sai_model_spec",
    ARCHITECTURE,
    "modelspec.implementation",
    "modelspec.resolution",
)
STABILITY = "https://github.com/Stability-AI/generative-models"  # whose layout these files have
PREDICTIONS = {"eps": "epsilon", "v": "v"}
PREDICTION_KEY = "modelspec.prediction_type"
ORDINALS = ("primary_model_hash", "secondary_model_hash", "tertiary_model_hash")


def metadata_of(
    recipe: Recipe, base: int, sources: Sequence[Header], identity: Identity, predictor: int
) -> Mapping[str, str]:
    """The strings that go into the result's header; the same recipe and files give the same strings.

    identity   what the result is; predictor  the source that it is like in what it predicts
    """
    text = print_recipe(recipe)
    models = _models(recipe, sources)
    inputs = {
        each.file: {"sha256": each.sha256, "autov3": each.autov3}
        for each in recipe.ingredients
        if each.sha256
    }
    if recipe.vae_sha256:
        inputs[recipe.vae] = {"sha256": recipe.vae_sha256}
    ordered = zip(ORDINALS, recipe.ingredients, strict=False)
    hashes = {name: each.sha256 for name, each in ordered if each.sha256}
    return encode_metadata(
        {
            "format": "pt",
            RECIPE_KEY: text,
            VERSION_KEY: __version__,
            INPUTS_KEY: inputs or None,
            ANCESTRY_KEY: _ancestry(recipe, sources) or None,
            A1111_RECIPE: {
                "type": KIND,
                "recipe": text,
                **{name: sha for name, sha in hashes.items() if sha},
            },
            A1111_MODELS: models or None,
            **_modelspec(recipe, sources[base].metadata, identity, sources[predictor].metadata),
        }
    )


def _modelspec(
    recipe: Recipe, own: Mapping[str, str], identity: Identity, predictors: Mapping[str, str]
) -> dict[str, str | None]:
    made = {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": identity.modelspec or None,
        "modelspec.implementation": STABILITY if identity.modelspec.startswith("stable-diffusion") else None,
        PREDICTION_KEY: _prediction_type(recipe, identity, predictors),
        "modelspec.merged_from": ", ".join(dict.fromkeys(each.file for each in recipe.ingredients)),
    }
    kept = {key: own[key] for key in INHERITED if key in own}
    if own.get(ARCHITECTURE) in (identity.family.modelspec, identity.family.modelspec_v):
        kept.pop(ARCHITECTURE, None)  # it may say what A predicts
    return {**made, **kept}


def _prediction_type(recipe: Recipe, identity: Identity, predictors: Mapping[str, str]) -> str | None:
    """As ModelSpec says it, told only where it is known: by a marker, by metadata, or by the recipe."""
    told = PREDICTION_KEY in predictors or bool(recipe.prediction) or identity.prediction == "v"
    return PREDICTIONS.get(identity.prediction) if told else None


def _models(recipe: Recipe, sources: Sequence[Header]) -> dict[str, object]:
    """As A1111 keeps them: every ingredient under its sha256, and the ingredients of ingredients."""
    found: dict[str, object] = {}
    for ingredient, header in zip(recipe.ingredients, sources, strict=False):
        if not ingredient.sha256:
            continue
        theirs = header.metadata.get(A1111_RECIPE)
        found |= nested(header.metadata, A1111_MODELS)
        found[ingredient.sha256] = {
            "name": ingredient.file,
            "legacy_hash": None,
            A1111_RECIPE: decode_value(theirs) if theirs else None,
        }
    return found


def _ancestry(recipe: Recipe, sources: Sequence[Header]) -> dict[str, object]:
    """The recipes of the ingredients that carry one, and what those say of theirs."""
    found: dict[str, object] = {}
    for ingredient, header in zip(recipe.ingredients, sources, strict=False):
        found |= nested(header.metadata, ANCESTRY_KEY)
        text = header.metadata.get(RECIPE_KEY) or header.metadata.get(A1111_RECIPE)
        if text:
            found[ingredient.sha256 or ingredient.file] = {"file": ingredient.file, "recipe": text}
    return found
