"""Times comparing two full-size checkpoints, each tool in a fresh process, in shuffled rounds.

    python tests/bench/similarity.py --rounds 5                      # read, merge-desk, naive
    python tests/bench/similarity.py --with sdsim,attention,asim2,check
    python tests/bench/similarity.py --rounds 5 --without-naive --cold

`read` reads both files once with read() into one buffer, on one thread: what the ratios are to. The files are
in the page cache, or with --cold on the disk alone (of a virtual machine: its host may well hold them).
`naive` is the loop that people write: load both files, and for each key the cosine, the differences and
their extremes in float32 (not good to 1e-9). `sdsim` is another job: eight attention layers and two
sha256. `merge-desk` compares all keys and slots; `attention` and `asim2` are its other kinds, `check`
looks one file over. CPU seconds are printed too: on a machine that others use they say more.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

Job = Callable[[], object]


def read(models: list[Path]) -> Job:
    """Both files' bytes into one buffer, 4 MiB at a time."""
    buffer = bytearray(4 << 20)

    def work() -> None:
        for model in models:
            with model.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass

    return work


def naive(models: list[Path]) -> Job:
    """A dictionary of each file, and one key after another as a whole in float32."""
    import torch
    from safetensors.torch import load_file

    def work() -> None:
        a, b = (load_file(model) for model in models)
        for key in a.keys() & b.keys():
            x, y = a[key].float().reshape(-1), b[key].float().reshape(-1)
            apart = y - x
            torch.cosine_similarity(x, y, dim=0).item()
            (apart.norm() / x.norm()).item(), apart.square().mean().sqrt().item(), apart.abs().max().item()
            (a[key] == b[key]).float().mean().item()

    return work


def sdsim(models: list[Path]) -> Job:
    """The package."""
    from sdsim import similarity

    return lambda: similarity(models[0], models[1])


def ours(kind: str) -> Callable[[list[Path]], Job]:
    """This library, as `merge-desk compare --kind` calls it."""

    def prepare(models: list[Path]) -> Job:
        import numpy as np
        import torch

        from lib_merge.architectures import read_header
        from lib_merge.report.similarity.comparison import compare

        torch.empty(1), np.empty(1)
        return lambda: compare(read_header(models[0]), [read_header(models[1])], kind)

    return prepare


def check(models: list[Path]) -> Job:
    """One file's health."""
    import torch

    from lib_merge.architectures import read_header
    from lib_merge.report.health.check import check as look_over

    torch.empty(1)
    return lambda: look_over(read_header(models[0]))


JOBS: dict[str, Callable[[list[Path]], Job]] = {
    "read": read,
    "merge-desk": ours("weights"),
    "naive": naive,
    "sdsim": sdsim,
    "attention": ours("attention"),
    "asim2": ours("asim2"),
    "check": check,
}


def run_here(name: str, models: list[Path]) -> None:
    """One job in this process; imports and their rubbish are over before the clock starts."""
    from tests.bench.contestants import PeakMemory

    job = JOBS[name](models)
    gc.collect()  # of what importing torch left, 0.09 s: not in the middle of whoever comes first
    with PeakMemory() as memory:
        began, used = time.perf_counter(), time.process_time()
        job()
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
    print(json.dumps({"seconds": seconds, "cpu": cpu, "anonymous": memory.peak}))


def forget(models: list[Path]) -> None:
    """Takes the files out of the page cache."""
    for model in models:
        with model.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run_apart(name: str, models: list[Path], cold: bool) -> dict[str, float]:
    """One job in a process of its own, on files that the page cache holds, or does not."""
    if cold:
        forget(models)
    else:
        read(models)()
    command = [sys.executable, str(HERE / "similarity.py"), "--job", name, *map(str, models)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def report(results: dict[str, list[dict[str, float]]]) -> str:
    """One row a tool: seconds, ratio to reading in the same round, CPU, memory."""
    rows = [
        "| tool | seconds, median | times reading, median [min-max] | CPU seconds, median [min-max] "
        "| anonymous memory, peak |",
        "|---|---|---|---|---|",
    ]
    for name, runs in results.items():
        ratios = [run["seconds"] / base["seconds"] for run, base in zip(runs, results["read"], strict=True)]
        seconds = statistics.median(run["seconds"] for run in runs)
        memory = max(run["anonymous"] for run in runs) / 1e6
        told = _spread(ratios), _spread([run["cpu"] for run in runs])
        rows.append(f"| {name} | {seconds:.2f} | {' | '.join(told)} | {memory:,.0f} MB |")
    return "\n".join(rows)


def _spread(numbers: list[float]) -> str:
    return f"{statistics.median(numbers):.2f} [{min(numbers):.2f}-{max(numbers):.2f}]"


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", choices=("sd1", "sd2", "sdxl"), default="sd1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--with", dest="more", default="", help="sdsim, attention, asim2, check")
    parser.add_argument("--without-naive", action="store_true", help="which takes twenty times as long")
    parser.add_argument("--cold", action="store_true", help="files on the disk, not in the page cache")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "merge-desk-bench")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("models", nargs="*", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        run_here(options.job, options.models)
        return
    from tests.bench.compare import inputs

    options.folder.mkdir(parents=True, exist_ok=True)
    models = inputs(options.folder, options.family, 2)
    tools = ["read", "merge-desk", *([] if options.without_naive else ["naive"])]
    tools += filter(None, options.more.split(","))
    results: dict[str, list[dict[str, float]]] = {name: [] for name in tools}
    for number in range(options.rounds):
        for name in random.sample(tools, len(tools)):
            results[name].append(run_apart(name, models, options.cold))
            told = f"round {number + 1}: {name} {results[name][-1]['seconds']:.2f} s"
            print(told, file=sys.stderr, flush=True)
    print(report(results))


if __name__ == "__main__":
    main()
