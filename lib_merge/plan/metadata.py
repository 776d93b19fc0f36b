"""What a merged file says about itself, beside its tensors."""

from __future__ import annotations

from collections.abc import Mapping

from lib_merge.checkpoint import Header
from lib_merge.recipe import Recipe, print_recipe

RECIPE_KEY = "merge_desk.recipe"
# of A's own description only what a merge leaves true
INHERITED = (
    "modelspec.sai_model_spec",
    "modelspec.architecture",
    "modelspec.implementation",
    "modelspec.prediction_type",
    "modelspec.resolution",
)


def metadata_of(recipe: Recipe, base: Header) -> Mapping[str, str]:
    """The strings that go into the result's header; the same recipe gives the same strings."""
    kept = {key: base.metadata[key] for key in INHERITED if key in base.metadata}
    return {"format": "pt", RECIPE_KEY: print_recipe(recipe), **kept}
