"""One merge by one tool, in a process of its own: prints a line of JSON with seconds and memory.

    python contestants.py NAME KIND OUT A B [C]

NAME is `merge-desk`, `limit`, `sd-meh` or `sd-mecha`; KIND is `sum` (26 block weights) or
`difference` (A + 0.7 (B - C)). Imports are over before the clock starts; the clock stops when the
tool has returned. Memory is the peak of anonymous pages, which leaves mapped files out.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

Runner = Callable[[str, Path, list[Path]], Callable[[], None]]

WEIGHTS = tuple(round(n / 25, 3) for n in range(26))
AMOUNT = 0.7
STRETCH = 32 << 20  # bytes between two words to the system to begin writing
PIECE = 1 << 17  # elements: 256 KB of fp16, docs/references.md#speed-limits


def merge_desk(kind: str, out: Path, models: list[Path]) -> Callable[[], None]:
    """This library, through the same calls as its command line."""
    import torch

    from lib_merge.architectures import read_header
    from lib_merge.execute import MergeOptions, merge_to_file
    from lib_merge.plan import make_plan
    from lib_merge.recipe import Ingredient, Numbers, Recipe, Step

    torch.empty(1)
    amount = Numbers("supermerger", WEIGHTS) if kind == "sum" else AMOUNT
    method = "weighted_sum" if kind == "sum" else "add_difference"

    def work() -> None:
        ingredients = tuple(Ingredient(name, path.name) for name, path in zip("ABC", models, strict=False))
        step = Step("M", method, tuple(i.name for i in ingredients), (("alpha", amount),))
        recipe = Recipe(ingredients, (step,), "M", vae="blend")  # the peers merge the VAE too
        plan = make_plan(recipe, {path.name: read_header(path) for path in models})
        merge_to_file(plan, out, MergeOptions(overwrite=True))

    return work


def limit(kind: str, out: Path, models: list[Path]) -> Callable[[], None]:
    """The least that the job can cost: mapped reads, one kernel, writes; no checks, no keys, no names.

    One amount for all bytes, since the cost does not depend on it. The file's place is reserved, its writing
    begun early and its end synced, as ours are: without these the wait for the disk is several times longer.
    """
    import torch

    from lib_merge.checkpoint.linux import begin_writeback, reserve

    torch.set_num_threads(1)

    def put(file: int, piece: memoryview, at: int) -> None:
        os.pwrite(file, piece, at)
        if at % STRETCH == 0:
            begin_writeback(file)

    def work() -> None:
        tensors = []
        for path in models:
            with path.open("rb") as file:
                mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            start = 8 + int.from_bytes(mapping[:8], "little")
            tensors.append(torch.frombuffer(mapping, dtype=torch.float16, offset=start))
        file = os.open(out, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        count = min(tensor.numel() for tensor in tensors)
        reserve(file, 2 * count)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda n: _stretch(kind, tensors, n, count, partial(put, file)), range(2)))
        os.fsync(file)
        os.close(file)

    return work


def _stretch(kind: str, tensors: list, part: int, count: int, put: Callable[[memoryview, int], None]) -> None:
    import torch

    out = torch.empty(PIECE, dtype=torch.float16)
    total, term = torch.empty(PIECE), torch.empty(PIECE)
    bytes_of = out.view(torch.uint8).numpy().data
    for start in range(part * PIECE, count, 2 * PIECE):
        pieces = [tensor[start : start + PIECE] for tensor in tensors]
        length = pieces[0].numel()
        if kind == "sum":
            torch.lerp(pieces[0], pieces[1], 0.3, out=out[:length])
        else:
            total[:length].copy_(pieces[1])
            total[:length].sub_(term[:length].copy_(pieces[2]))
            term[:length].copy_(pieces[0]).add_(total[:length], alpha=AMOUNT)
            out[:length].copy_(term[:length])
        put(bytes_of[: 2 * length], 2 * start)


def sd_meh(kind: str, out: Path, models: list[Path]) -> Callable[[], None]:
    """sd-meh 0.9.5, two threads, as its command line calls it."""
    import torch
    from sd_meh.merge import merge_models, save_model

    torch.set_num_threads(1)
    names = dict(zip(("model_a", "model_b", "model_c"), map(str, models), strict=False))
    weights = {"alpha": list(WEIGHTS[1:]) if kind == "sum" else [AMOUNT] * 25}
    bases = {"alpha": WEIGHTS[0] if kind == "sum" else AMOUNT}
    mode = "weighted_sum" if kind == "sum" else "add_difference"

    def work() -> None:
        merged = merge_models(names, weights, bases, mode, precision=16, device="cpu", threads=2)
        save_model(merged, str(out.with_suffix("")), "safetensors")

    return work


def sd_mecha(kind: str, out: Path, models: list[Path]) -> Callable[[], None]:
    """sd-mecha 1.1.8 with the fastest settings that docs/references.md#speed-limits names."""
    import sd_mecha
    import torch

    torch.set_num_threads(1)

    def work() -> None:
        nodes = [sd_mecha.model(str(path), "sd1-ldm") for path in models]
        if kind == "sum":
            names = ["BASE", *(f"IN{n:02}" for n in range(12)), "M00", *(f"OUT{n:02}" for n in range(12))]
            alpha = sd_mecha.convert(dict(zip(names, WEIGHTS, strict=True)), nodes[0])
            recipe = sd_mecha.weighted_sum(nodes[0], nodes[1], alpha=alpha)
        else:
            recipe = sd_mecha.add_difference(*nodes, alpha=AMOUNT)
        sd_mecha.merge(recipe, output=out, threads=2, merge_dtype=torch.float32, output_dtype=torch.float16)

    return work


CONTESTANTS: dict[str, Runner] = {
    "merge-desk": merge_desk,
    "limit": limit,
    "sd-meh": sd_meh,
    "sd-mecha": sd_mecha,
}


class PeakMemory:
    """Samples this process's anonymous memory every 20 ms."""

    def __init__(self) -> None:
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            status = Path("/proc/self/status").read_text(encoding="ascii")
            kilobytes = int(status.split("RssAnon:")[1].split()[0])
            self.peak = max(self.peak, kilobytes * 1024)


def main() -> None:
    """Run the one named on the command line."""
    name, kind, out, *models = sys.argv[1:]
    work = CONTESTANTS[name](kind, Path(out), [Path(model) for model in models])
    with PeakMemory() as memory:
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "anonymous": memory.peak}))


if __name__ == "__main__":
    main()
