"""`merge-desk recipe`: what is in a file, a picture or a text."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from lib_merge.checkpoint import nested, read_header
from lib_merge.plan.metadata import ANCESTRY_KEY
from lib_merge.recipe import Recipe, print_recipe, read_recipe, recipe_of


def recipe(options: argparse.Namespace) -> None:
    """`merge-desk recipe FILE|PNG|TEXT`."""
    given = options.source
    found = recipe_of(sys.stdin.read()) if given == "-" else read_recipe(given)
    ancestry = _ancestry(given) if options.ancestry or options.json else {}
    if options.json:
        print(json.dumps(_as_data(found, ancestry), indent=2, ensure_ascii=False))
        return
    print(print_recipe(found).rstrip())
    for each in ancestry.values():
        print(f"\n# how {each.get('file', 'an ingredient')} was made")
        print(str(each.get("recipe", "")).rstrip())


def _ancestry(given: str) -> dict[str, Any]:
    """What a checkpoint tells of the merges that went into it; nothing of anything else."""
    path = Path(given)
    if "\n" in given or not path.is_file() or path.suffix not in (".safetensors", ".ckpt"):
        return {}
    found = nested(read_header(path).metadata, ANCESTRY_KEY)
    return {key: each for key, each in found.items() if isinstance(each, dict)}


def _as_data(found: Recipe, ancestry: dict[str, Any]) -> dict[str, Any]:
    return {
        "recipe": print_recipe(found),
        "files": [
            {"name": each.name, "file": each.file, "sha256": each.sha256, "autov3": each.autov3}
            for each in found.ingredients
        ],
        "result": found.result,
        "ancestry": ancestry,
    }
