"""Aligning one full-size model to another: seconds, memory, what was found; and sd-meh's re-basin beside it.

    python tests/bench/rebasin.py [--pair planted|random] [--seconds 600] [--with sd-meh]

Two checkpoints of the size of SD1.5 with random weights, made once. `planted` aligns the first, its
channels rearranged at random in every group and a little noise added, to itself: the kind of pair that
aligning is for. `random` aligns two that have nothing in common, the worst case of every assignment. Each
tool runs in a process of its own, on two threads; memory is the peak of anonymous pages, which leaves
mapped files out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
FOLDER = Path(tempfile.gettempdir()) / "merge-desk-bench"


def plant(source: Path, target: Path) -> None:
    """The source under a random arrangement of all groups, with noise of a fiftieth of each tensor's size."""
    import torch
    from safetensors.torch import load_file, save_file

    from tests.lib_merge.rebasin.models import arranged, at_random, every_group

    state = load_file(source)
    chance = torch.Generator().manual_seed(7)
    for key, value in state.items():
        if value.is_floating_point():
            noise = torch.randn(value.shape, generator=chance) * (0.02 * float(value.float().std()))
            state[key] = (value.float() + noise).to(value.dtype)
    groups = every_group("sd1", state)
    moved = arranged(state, groups, at_random(groups, seed=7))
    save_file({key: value.contiguous() for key, value in moved.items()}, target)


def ours(a: Path, b: Path, seconds: float) -> None:
    """Prints a line for every sweep and the outcome."""
    from lib_merge.architectures import family_by_id, open_checkpoint
    from lib_merge.rebasin import Options, align
    from lib_merge.rebasin.report import alignment_report
    from tests.bench.contestants import PeakMemory

    class Clock:
        def __init__(self) -> None:
            self.began = time.perf_counter()

        def start(self, total: int, what: str) -> None:
            print(f"{time.perf_counter() - self.began:7.1f} s  {what}", flush=True)

        def advance(self, amount: int) -> None:
            pass

        def stopped(self) -> bool:
            return time.perf_counter() - self.began > seconds

    clock = Clock()
    with open_checkpoint(a) as target, open_checkpoint(b) as source, PeakMemory() as memory:
        found = align(family_by_id("sd1"), source, target, Options(), clock)
    took = time.perf_counter() - clock.began
    report = alignment_report(found)
    print(
        f"{took:7.1f} s  {report.verdict}; {found.visits} groups had their turn; {memory.peak / 1e6:.0f} MB"
    )


def sd_meh(a: Path, b: Path) -> None:
    """sd-meh 0.9.5, as its command line calls it with --rebasin: one iteration, which is its default."""
    from sd_meh.merge import merge_models

    from tests.bench.contestants import PeakMemory

    weights, bases = {"alpha": [0.5] * 25}, {"alpha": 0.5}
    began = time.perf_counter()
    with PeakMemory() as memory:
        merge_models(
            {"model_a": str(a), "model_b": str(b)},
            weights,
            bases,
            "weighted_sum",
            precision=16,
            device="cpu",
            work_device="cpu",
            threads=2,
            re_basin=True,
            iterations=1,
        )
    took = time.perf_counter() - began
    print(f"{took:7.1f} s  sd-meh's merge with re-basin, 1 iteration; {memory.peak / 1e6:.0f} MB")


def main() -> None:
    """Make what is missing, and run each in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pair", choices=("planted", "random"), default="planted")
    parser.add_argument(
        "--seconds", type=float, default=600, help="end the search then, with the best so far"
    )
    parser.add_argument("--with", dest="peer", choices=("sd-meh",))
    parser.add_argument("--python", default=sys.executable, help="of the environment that has the peer")
    parser.add_argument("--only", nargs="*", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        name, a, b = asked.only
        run = {
            "ours": lambda: ours(Path(a), Path(b), asked.seconds),
            "sd-meh": lambda: sd_meh(Path(a), Path(b)),
        }
        run[name]()
        return
    from tests.support.full_size import write_full_size

    FOLDER.mkdir(exist_ok=True)
    a, other, planted = (FOLDER / f"{name}.safetensors" for name in ("sd1_0", "sd1_1", "sd1_planted"))
    for seed, path in enumerate((a, other)):
        if not path.exists():
            write_full_size(path, "sd1", seed=seed)
    if asked.pair == "planted" and not planted.exists():
        plant(a, planted)
    b = planted if asked.pair == "planted" else other
    runs = [("ours", sys.executable)] + ([("sd-meh", asked.python)] if asked.peer else [])
    for name, python in runs:
        words = [python, __file__, "--seconds", str(asked.seconds), "--only", name, str(a), str(b)]
        subprocess.run(words, check=True)


if __name__ == "__main__":
    main()
