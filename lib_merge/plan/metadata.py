"""The metadata of a merged file.

    merge_desk.recipe    the canonical recipe, with the hashes of its files
    merge_desk.inputs    JSON: file -> {"sha256", "autov3"}
    merge_desk.ancestry  JSON: sha256 (or file name) of every ingredient that is a merge itself, and of its
                         ingredients -> {"file", "recipe"}
    merge_desk.version   of this program
    sd_merge_recipe, sd_merge_models   as AUTOMATIC1111's merger writes them (modules/extras.py), so that
                         tools that read those show this merge too
    modelspec.*          github.com/Stability-AI/ModelSpec 1.0.0

Neither the time nor the name of the result is written unless requested: the same recipe over the same files
gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lib_merge.architectures import Identity
from lib_merge.checkpoint import Header, decode_value, encode_metadata, metadata_dict
from lib_merge.recipe import RECIPE_KEY, Recipe, print_recipe
from lib_merge.version import __version__

INPUTS_KEY, ANCESTRY_KEY, VERSION_KEY = "merge_desk.inputs", "merge_desk.ancestry", "merge_desk.version"
A1111_RECIPE, A1111_MODELS = "sd_merge_recipe", "sd_merge_models"
KIND = "merge-desk"  # where AUTOMATIC1111 writes "webui"
ARCHITECTURE = "modelspec.architecture"
# the fields of A's metadata that stay true after a merge
INHERITED = (
    "modelspec.sai_model_spec",
    ARCHITECTURE,
    "modelspec.implementation",
    "modelspec.resolution",
)
STABILITY = (
    "https://github.com/Stability-AI/generative-models"  # the implementation whose key names these files have
)
PREDICTIONS = {"eps": "epsilon", "v": "v"}
PREDICTION_KEY = "modelspec.prediction_type"
ORDINALS = ("primary_model_hash", "secondary_model_hash", "tertiary_model_hash")


def metadata_of(
    recipe: Recipe, base: int, sources: Sequence[Header], identity: Identity, predictor: int
) -> Mapping[str, str]:
    """The metadata of the result, as strings; the same recipe and files give the same strings.

    identity   family, variant and prediction of the result
    predictor  the index of the source that the prediction markers are from
    """
    text = print_recipe(recipe)
    models = _models(recipe, sources)
    inputs = {
        ingredient.file: {"sha256": ingredient.sha256, "autov3": ingredient.autov3}
        for ingredient in recipe.ingredients
        if ingredient.sha256
    }
    if recipe.vae_sha256:
        inputs[recipe.vae] = {"sha256": recipe.vae_sha256}
    ordered = zip(ORDINALS, recipe.ingredients, strict=False)
    hashes = {name: ingredient.sha256 for name, ingredient in ordered if ingredient.sha256}
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
    fields = {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": identity.modelspec or None,
        "modelspec.implementation": STABILITY if identity.modelspec.startswith("stable-diffusion") else None,
        PREDICTION_KEY: _prediction_type(recipe, identity, predictors),
        "modelspec.merged_from": ", ".join(
            dict.fromkeys(ingredient.file for ingredient in recipe.ingredients)
        ),
    }
    inherited = {key: own[key] for key in INHERITED if key in own}
    if own.get(ARCHITECTURE) in (identity.family.modelspec, identity.family.modelspec_v):
        inherited.pop(ARCHITECTURE, None)  # it may say what A predicts
    return {**fields, **inherited}


def _prediction_type(recipe: Recipe, identity: Identity, predictors: Mapping[str, str]) -> str | None:
    """ModelSpec's prediction_type; None unless a marker, the metadata or the recipe states the prediction."""
    stated = PREDICTION_KEY in predictors or bool(recipe.prediction) or identity.prediction == "v"
    return PREDICTIONS.get(identity.prediction) if stated else None


def _models(recipe: Recipe, sources: Sequence[Header]) -> dict[str, object]:
    """`sd_merge_models` as A1111 writes it: sha256 -> the ingredient, and the ingredients of ingredients."""
    models: dict[str, object] = {}
    for ingredient, header in zip(recipe.ingredients, sources, strict=False):
        if not ingredient.sha256:
            continue
        own_recipe = header.metadata.get(A1111_RECIPE)
        models |= metadata_dict(header.metadata, A1111_MODELS)
        models[ingredient.sha256] = {
            "name": ingredient.file,
            "legacy_hash": None,
            A1111_RECIPE: decode_value(own_recipe) if own_recipe else None,
        }
    return models


def _ancestry(recipe: Recipe, sources: Sequence[Header]) -> dict[str, object]:
    """The recipes of ingredients that are merges themselves, and the ancestry that those record."""
    ancestry: dict[str, object] = {}
    for ingredient, header in zip(recipe.ingredients, sources, strict=False):
        ancestry |= metadata_dict(header.metadata, ANCESTRY_KEY)
        text = header.metadata.get(RECIPE_KEY) or header.metadata.get(A1111_RECIPE)
        if text:
            ancestry[ingredient.sha256 or ingredient.file] = {"file": ingredient.file, "recipe": text}
    return ancestry
