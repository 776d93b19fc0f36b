"""Whose recipe a text is, told by how it begins or what it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from lib_merge.errors import RecipeError
from lib_merge.json_data import load
from lib_merge.limits import MOST_RECIPE, require_text
from lib_merge.recipe.imports.common import Imported
from lib_merge.recipe.imports.history_csv import is_history
from lib_merge.recipe.imports.mecha import read_mecha
from lib_merge.recipe.imports.mergekit import read_mergekit
from lib_merge.recipe.imports.model_mixer import is_infotext, read_infotext, read_metadata
from lib_merge.recipe.imports.webui import read_a1111, read_history, read_supermerger

Fields = Mapping[str, object]
WORKFLOW = "this is a workflow of ComfyUI, which is not imported"
WORKFLOWS = ("prompt", "workflow")  # that ComfyUI writes into pictures and merged files
INSTEAD = "write the merge as a sum, A x 0.7 + B x 0.3 = M, or by a method of merge-desk methods"
COMMAND = re.compile(r"\bmerge\.py[\"']? +[\"']?(?:WS|AD|RM|NoIn|sAD|MD|TRS|TS|ST|DARE|ORTHO|SIG|GEO|MAX)\b")


def import_text(text: str, entry: str = "") -> Imported | None:
    """The recipe of another tool in a text, or None where it is none that is known.

    entry  which row of a history, by its ID; the last where it is ""
    """
    bare = text.lstrip("\ufeff \t\r\n")
    if is_history(bare):
        return read_history(bare, entry)
    require_text(text, MOST_RECIPE)
    if bare.startswith("version 0.1"):
        return read_mecha(bare)
    if bare.startswith("{"):
        return _metadata(bare)
    if COMMAND.search(bare):
        raise RecipeError("this is a command of Chattiori's merger, which is not imported", hint=INSTEAD)
    if is_infotext(bare):
        return read_infotext(bare)
    if re.search(r"^merge_method\s*:", bare, re.MULTILINE):
        return read_mergekit(bare)
    return None


def _metadata(text: str) -> Imported | None:
    """JSON: a file's metadata, or the value of its sd_merge_recipe."""
    found = _loads(text)
    if found is None:
        return None
    if is_workflow(found):
        raise RecipeError(WORKFLOW, hint=INSTEAD)
    recipe = _loads(found.get("sd_merge_recipe")) if "sd_merge_recipe" in found else found
    models = _loads(found.get("sd_merge_models")) or {}
    kind = (recipe or {}).get("type")
    if recipe is None or not isinstance(kind, str):
        return None
    if kind == "webui":
        return read_a1111(recipe, models)
    if kind == "sd-webui-supermerger":
        return read_supermerger(recipe, models)
    if kind == "sd-webui-model-mixer":
        return read_metadata(recipe, models)
    raise RecipeError(f"a recipe of '{kind}' is not imported", hint=INSTEAD)


def is_workflow(found: Fields) -> bool:
    """Whether it is a prompt of ComfyUI, nodes by number, or its page's list of nodes; in metadata, too."""
    inside = [each for name in WORKFLOWS if (each := _loads(found.get(name))) is not None]
    return any(
        "last_node_id" in each or isinstance(each.get("nodes"), list) or any(map(_is_node, each.values()))
        for each in (found, *inside)
    )


def _is_node(value: object) -> bool:
    return isinstance(value, dict) and "class_type" in value


def _loads(value: object) -> Fields | None:
    """A dictionary from JSON; SuperMerger encodes some of its twice."""
    for _ in range(3):
        if isinstance(value, dict):
            return cast("Fields", value)
        if not isinstance(value, str):
            return None
        try:
            value = load(value)
        except ValueError:
            return None
    return None
