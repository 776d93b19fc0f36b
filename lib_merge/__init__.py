"""Merge Desk's library: merges of Stable Diffusion checkpoints, the same bytes on every run.

>>> import lib_merge
>>> result = lib_merge.merge(
...     "samples/models/ink.safetensors",
...     "samples/models/pastel.safetensors",
...     output="mix.safetensors",
...     alpha=0.3,
... )
>>> result.path.name, len(result.plan.keys)
('mix.safetensors', 1131)

open_checkpoint  read tensors, dtypes, shapes and metadata of a checkpoint
read_recipe      a recipe from a text, a recipe file, a merged checkpoint, a picture, another tool's file
plan             what a merge will do to every tensor, from the headers alone
merge            merge into a file: .safetensors, .ckpt, or a diffusers folder
apply_to         merge into a model in memory: a torch.nn.Module, a diffusers pipeline, a state dict
compare          how similar models are, block by block
check            what is damaged in a checkpoint
methods          the merge methods, with their parameters, ranges, formulas and sources
MergeOptions     device, threads, progress, overwriting
MergeError       the base class of every error: what happened, where, and what to try

Importing this module loads neither torch nor anything else that is slow to load. Examples: docs/library.md.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from lib_merge.version import __version__

if TYPE_CHECKING:
    from lib_merge.api import (
        MergeResult,
        apply_to,
        check,
        compare,
        merge,
        methods,
        open_checkpoint,
        plan,
        read_recipe,
    )
    from lib_merge.checkpoint import Checkpoint
    from lib_merge.errors import MergeError
    from lib_merge.execute import MergeOptions
    from lib_merge.live.apply import ApplyResult
    from lib_merge.plan import Plan
    from lib_merge.recipe import Recipe
    from lib_merge.registry import Method
    from lib_merge.report.health.check import Health
    from lib_merge.report.similarity.comparison import Comparison

__all__ = [
    "ApplyResult",
    "Checkpoint",
    "Comparison",
    "Health",
    "MergeError",
    "MergeOptions",
    "MergeResult",
    "Method",
    "Plan",
    "Recipe",
    "__version__",
    "apply_to",
    "check",
    "compare",
    "merge",
    "methods",
    "open_checkpoint",
    "plan",
    "read_recipe",
]

PACKAGES = ("methods", "plan")  # functions that are packages too: see callables.py
TYPES = {
    "ApplyResult": "live.apply",
    "Checkpoint": "checkpoint",
    "Comparison": "report.similarity.comparison",
    "Health": "report.health.check",
    "MergeError": "errors",
    "MergeOptions": "execute",
    "Method": "registry",
    "Plan": "plan",
    "Recipe": "recipe",
}


def __getattr__(name: str) -> object:
    """A public name, imported when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    value = getattr(importlib.import_module(f"{__name__}.{TYPES.get(name, 'api')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, for completion in a notebook."""
    return sorted([*globals(), *__all__])
