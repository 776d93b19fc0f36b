"""Small merges for tests: files in real layouts, plans and results, and the float64 answer beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from lib_merge.architectures import read_header
from lib_merge.dtypes import Dtype
from lib_merge.execute import MergeOptions, merge_to_file
from lib_merge.plan import Plan, make_plan
from lib_merge.recipe import Ingredient, Recipe, Setting, Step


def simple_recipe(
    files: Sequence[Path],
    method: str = "weighted_sum",
    *,
    vae: str = "",
    dtype: Dtype | None = None,
    **settings: Setting,
) -> Recipe:
    """One step over the files, A first."""
    ingredients = tuple(Ingredient(name, file.name) for name, file in zip("ABCDEF", files, strict=False))
    step = Step("M", method, tuple(i.name for i in ingredients), tuple(sorted(settings.items())))
    return Recipe(ingredients, (step,), "M", vae, dtype)


def plan_of(recipe: Recipe, folder: Path) -> Plan:
    """The recipe's plan over the files of one folder."""
    return make_plan(recipe, {file: read_header(folder / file) for file in recipe.files})


def merge_files(
    files: Sequence[Path], target: Path, method: str = "weighted_sum", **options: Any
) -> dict[str, Tensor]:
    """Merge files of one folder into `target` and read it back."""
    plan = plan_of(simple_recipe(files, method, **options), files[0].parent)
    merge_to_file(plan, target, MergeOptions(overwrite=True))
    return load_file(target)


def in_float64(files: Sequence[Path], key: str, shares: Sequence[float]) -> Tensor:
    """The exact sum of shares times tensors."""
    return sum(
        (share * load_file(file)[key].double() for share, file in zip(shares, files, strict=True)),
        torch.zeros(()),
    )


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Equal dtype, shape and bytes: NaN equals itself, and -0 is not 0."""
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(_bytes(a), _bytes(b))


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def rewrite(path: Path, changes: Mapping[str, Tensor | None], target: Path) -> Path:
    """A copy of a file with some tensors replaced, added, or (None) taken out."""
    from safetensors.torch import save_file

    tensors = {**load_file(path), **changes}
    save_file({key: tensor for key, tensor in tensors.items() if tensor is not None}, target)
    return target
