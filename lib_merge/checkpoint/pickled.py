"""Writes the old format, `.ckpt`, for the hosts and sites that still ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.checkpoint.atomic import part_file
from lib_merge.checkpoint.target import check_target
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

ENDING = ".ckpt"


def write_pickle(
    target: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], *, overwrite: bool = False
) -> None:
    """{"state_dict": tensors, "metadata": metadata} as torch.save has it, under its name when it is whole.

    Opens with `torch.load(weights_only=True)` everywhere. Raises OutputError; leaves nothing half done.
    """
    size = sum(tensor.nbytes for tensor in tensors.values())
    for problem in check_target(target, overwrite=overwrite, size=size, endings=(ENDING,)):
        raise problem
    with part_file(target, overwrite=overwrite) as file:
        torch.save({"state_dict": dict(tensors), "metadata": dict(metadata)}, file)
