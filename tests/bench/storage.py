"""What a study's storage costs: `python -m tests.bench.storage [--trial 1] [--trials 40] [--workers 1,2,4]`.

Worker processes of one study, each trial of which waits instead of drawing: --trial seconds, and once more
not at all, which is the most that the storage can take. For SQLite, Optuna's journal file and PostgreSQL
(Debian's, started here, on loopback). Trials a second of all workers from the first begin to the last end,
imports not counted; and the share of a worker's time that no trial took: asking, keeping, looking for lost
trials of others.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.support.full_size import write_tiny
from tests.support.grid_host import Bench
from tests.support.postgres import postgres, programs
from tests.support.search_bench import SearchBench
from tests.support.workers import begin, outputs, start_workers

WORKER = """
import sys, time
from pathlib import Path
from tests.support.grid_host import Bench
from tests.support.search_bench import SearchBench, near_hidden

search = SearchBench(Bench(Path(sys.argv[1]), Path(sys.argv[2])), sys.argv[3])
study, waited = search.again(sys.argv[4]), 0.0

def score(images, prompts):
    global waited
    began = time.perf_counter()
    time.sleep(float(sys.argv[6]))
    waited += time.perf_counter() - began
    return near_hidden(images, prompts)

print("ready", flush=True)
sys.stdin.readline()
began = time.perf_counter()
search.run(study, int(sys.argv[5]), score)
print(1 - waited / (time.perf_counter() - began))
"""


@dataclass(frozen=True)
class Measured:
    """One study that several workers have ended."""

    trials_per_second: float
    storage_share: float


def measure(folder: Path, address: str, workers: int, trials: int, seconds: float) -> Measured:
    """A new study, from the first begin to the last end."""
    name = f"{workers} workers, {seconds:g} s"
    bench = Bench(folder / "own", folder / "models")
    study = SearchBench(bench, address).study(name, sampler="tpe", seed=1)
    words = [str(folder / "models"), address, name, str(trials), str(seconds)]
    running = start_workers(WORKER, [(folder / f"worker{index}", *words) for index in range(workers)])
    began = time.perf_counter()
    begin(running)
    shares = [float(printed) for printed in outputs(running)]
    elapsed = time.perf_counter() - began
    return Measured(len(study.rows()) / elapsed, sum(shares) / len(shares))


def table(
    folder: Path, addresses: dict[str, str], counts: Sequence[int], trials: int, seconds: float
) -> None:
    """One table, as Markdown."""
    head = ("workers", "trials a second", "speed-up", "share of the storage")
    print(f"\n| storage, trials of {seconds:g} s | {' | '.join(head)} |")
    print("|---|---|---|---|---|")
    for title, address in addresses.items():
        alone = 0.0
        for workers in counts:
            measured = measure(folder, address, workers, trials, seconds)
            alone = alone or measured.trials_per_second
            speed_up = measured.trials_per_second / alone
            row = f"{measured.trials_per_second:.1f} | {speed_up:.2f} | {measured.storage_share:.0%}"
            print(f"| {title} | {workers} | {row} |", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trial", type=float, default=1.0)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--workers", default="1,2,4")
    words = parser.parse_args(arguments)
    counts = [int(count) for count in words.workers.split(",")]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "models").mkdir()
        for seed, name in enumerate(("a", "b", "c")):
            write_tiny(folder / "models" / f"{name}.safetensors", seed=seed)
        addresses = {"SQLite": str(folder / "s.db"), "journal file": str(folder / "s.journal")}
        if programs():
            addresses["PostgreSQL"] = stack.enter_context(postgres()).url
        for seconds in (words.trial, 0.0):
            table(folder, addresses, counts, words.trials, seconds)


if __name__ == "__main__":
    main()
