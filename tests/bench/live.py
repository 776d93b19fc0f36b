"""Swaps in place, beside the limit and beside a plain copy: `python -m tests.bench.live [--rounds 9]`.

Two full-size SD1.5 fp16 files, mapped and warm; a model in memory as plain fp16 parameters. The limit is
`torch.lerp` by pieces on two threads from the mapped files into the parameters; the copy moves the same
bytes from the file. Rounds alternate; medians and ranges are quoted. `--swaps 200` looks at memory instead.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch

from lib_merge.architectures import open_checkpoint, read_header
from lib_merge.checkpoint import Checkpoint
from lib_merge.live import LiveSession
from lib_merge.plan import LINEAR_CHUNK, make_plan
from lib_merge.recipe import Ingredient, Recipe, Slots, Step
from tests.bench.compare import inputs, warm
from tests.support.live_model import Memory


def recipe(a: Path, b: Path, rest: float, **alpha: float) -> Recipe:
    """A weighted sum by slot."""
    step = Step("M", "weighted_sum", ("A", "B"), (("alpha", Slots(tuple(alpha.items()), rest)),))
    return Recipe((Ingredient("A", a.name), Ingredient("B", b.name)), (step,), "M")


def by_pieces(
    model: Memory, keys: list[str], a: Checkpoint, b: Checkpoint, work: Callable[..., object]
) -> None:
    """`work(a, b, place)` on pieces, by two threads."""
    jobs = [
        (x[at : at + LINEAR_CHUNK], y[at : at + LINEAR_CHUNK], place[at : at + LINEAR_CHUNK])
        for key in keys
        for x, y, place in [
            (a.tensor(key).reshape(-1), b.tensor(key).reshape(-1), model.weights[key].view(-1))
        ]
        for at in range(0, x.numel(), LINEAR_CHUNK)
    ]
    pieces = iter(jobs)

    def take() -> None:
        for job in pieces:
            work(*job)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(take) for _ in range(2)]:
            done.result()


def lerp(x: torch.Tensor, y: torch.Tensor, place: torch.Tensor) -> None:
    """The limit's arithmetic."""
    torch.lerp(x, y, 0.3, out=place)


def copy(x: torch.Tensor, _: torch.Tensor, place: torch.Tensor) -> None:
    """None at all."""
    place.copy_(x)


def anonymous() -> float:
    """This process's anonymous memory in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("RssAnon:")[1].split()[0]) / 1000


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Run the rounds, or the swaps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--swaps", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "merge-desk-bench")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    files = inputs(options.folder, "sd1", 2)
    warm(files)
    torch.set_num_threads(1)
    model, session = Memory(files[0]), LiveSession(threads=2)
    headers = {file.name: read_header(file) for file in files}
    counter = iter(range(1, 10**9))

    def swap(all_blocks: bool) -> None:
        amount = 0.1 + next(counter) % 700 / 1000
        made = (
            recipe(*files, amount, VAE=amount) if all_blocks else recipe(*files, 0.05, OUT05=amount, VAE=0.05)
        )
        session.apply(model, files[0], made, headers)

    swap(all_blocks=False)
    if options.swaps:
        before = anonymous()
        for number in range(options.swaps):
            swap(all_blocks=number % 20 == 0)
        print(f"{options.swaps} swaps: {before:.0f} MB before, {anonymous():.0f} MB after")
        return
    plan = make_plan(recipe(*files, 0.5, VAE=0.5), headers)
    places = {"all 26 blocks": [e.key for e in plan.keys if e.expression is not None]}
    places["OUT05"] = [e.key for e in plan.keys if e.slot == "OUT05"]
    with open_checkpoint(files[0]) as a, open_checkpoint(files[1]) as b, torch.inference_mode():
        for name, keys in places.items():
            whole = name != "OUT05"
            if not whole:
                swap(all_blocks=False)
            works = {
                "Merge Desk": partial(swap, all_blocks=whole),
                "limit": partial(by_pieces, model, keys, a, b, lerp),
                "copy": partial(by_pieces, model, keys, a, b, copy),
            }
            runs: dict[str, list[float]] = {who: [] for who in works}
            for _ in range(options.rounds):
                for who, work in works.items():
                    runs[who].append(seconds(work))
            size = sum(model.weights[key].nbytes for key in keys) / 1e6
            print(f"{name} ({size:.0f} MB)")
            for who, times in runs.items():
                ratio = statistics.median(t / least for t, least in zip(times, runs["limit"], strict=True))
                ms = [1000 * t for t in times]
                print(
                    f"  {who:11} {statistics.median(ms):7.1f} ms  ({min(ms):.1f} to {max(ms):.1f}), "
                    f"{ratio:.2f} times the limit"
                )


if __name__ == "__main__":
    main()
