"""Writes the old format, `.ckpt`, for the hosts and sites that still ask for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.checkpoint.target import check_target, create_part, part_of, publish, remove_leftovers
from lib_merge.checkpoint.words import write_failure
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
    remove_leftovers(target)
    size = sum(tensor.nbytes for tensor in tensors.values())
    for problem in check_target(target, overwrite=overwrite, size=size, ending=ENDING):
        raise problem
    part = part_of(target)
    descriptor = -1
    try:
        descriptor = create_part(part)
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            torch.save({"state_dict": dict(tensors), "metadata": dict(metadata)}, file)
            file.flush()
            os.fsync(descriptor)
        if os.name == "nt":  # which does not rename open files
            os.close(descriptor)
            descriptor = -1
        publish(part, target, overwrite=overwrite)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            raise write_failure(error, target) from error
        raise
    finally:
        if descriptor >= 0:
            os.close(descriptor)
