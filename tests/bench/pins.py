"""Whether two sets of packages merge to the same bits: every method over the samples, with both.

    .venv/bin/python -m tests.bench.pins .venv-a1111/bin/python [METHOD ...]

The environments are those of start.py test (--pins); the samples are made by start.py. What differs is told
as a count of numbers and as the largest distance in places of fp16. Another torch takes sums of float32 in
another order, so that a number is off by one place where it lies between two of fp16.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib_merge.execute import merge_to_memory
from lib_merge.methods import METHODS
from lib_merge.registry import Method
from tests.support.merging import plan_of, simple_recipe

SAMPLES = Path(__file__).parents[2] / "samples" / "models"
FILES = [SAMPLES / f"{name}.safetensors" for name in ("base", "ink", "pastel", "other")]


def merged(method: Method) -> dict[str, Tensor]:
    """What a method makes of the samples; amounts are 0.3, all else is as it is by itself."""
    settings: dict[str, Any] = {each.name: 0.3 for each in method.parameters if each.name == "alpha"}
    if method.id == "weighted_models":
        settings["model_weights"] = (0.25,) * 4
    files = FILES[: method.max_models or 4]
    return merge_to_memory(plan_of(simple_recipe(files, method.id, **settings), SAMPLES))


def apart(one: Tensor, two: Tensor) -> tuple[int, int]:
    """How many numbers differ, and by how many places of fp16 at most."""
    places = [tensor.contiguous().view(torch.int16).to(torch.int32) for tensor in (one, two)]
    rising = [torch.where(bits < 0, -(bits & 0x7FFF), bits) for bits in places]
    distance = (rising[0] - rising[1]).abs()
    return int(torch.count_nonzero(distance)), int(distance.max())


def told(method: Method, other: Path) -> str:
    """One line: the same bits, or how many differ."""
    ours, theirs = merged(method), load_file(other)
    count, most, total = 0, 0, 0
    for key, tensor in ours.items():
        total += tensor.numel()
        if tensor.dtype == torch.float16 and tensor.numel():
            differing, distance = apart(tensor, theirs[key])
            count, most = count + differing, max(most, distance)
        elif not torch.equal(tensor, theirs[key]):
            count, most = count + tensor.numel(), -1
    return "the same bits" if not count else f"{count} of {total} numbers differ, by {most} places at most"


def main(arguments: Sequence[str]) -> None:
    """Write what this Python merges into a folder, or compare it with what another one merges."""
    chosen = [METHODS.get(name) for name in arguments[1:]] or list(METHODS.all())
    if arguments[0].startswith("--into="):
        folder = Path(arguments[0].removeprefix("--into="))
        for method in chosen:
            save_file(
                {k: v.contiguous() for k, v in merged(method).items()}, folder / f"{method.id}.safetensors"
            )
        return
    with tempfile.TemporaryDirectory() as folder:
        names = [method.id for method in chosen]
        subprocess.run([arguments[0], "-m", "tests.bench.pins", f"--into={folder}", *names], check=True)
        for method in chosen:
            print(f"{method.id:28} {told(method, Path(folder, f'{method.id}.safetensors'))}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
