"""Merges of full-size files by this library, by the limit and by the peers, side by side.

    python tests/bench/compare.py [--kind sum|difference] [--rounds 5] [--with sd-meh,sd-mecha] [--folder DIR]

Every round runs every tool once, in a fresh process, in an order that is shuffled anew; the inputs
are read once before each run, so that all find them in the page cache. What is quoted is the ratio
to the limit of the same round. The peers come from `requirements/bench.txt`.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def inputs(folder: Path, family: str, count: int) -> list[Path]:
    """Seeded random files in the family's real layout, made where they are missing."""
    models = [folder / f"{family}_{seed}.safetensors" for seed in range(count)]
    for seed, model in enumerate(models):
        if not model.exists():
            command = [
                sys.executable,
                str(ROOT / "tests/support/full_size.py"),
                family,
                str(model),
                "--seed",
                str(seed),
            ]
            subprocess.run(command, check=True, cwd=ROOT)
    return models


def warm(models: list[Path]) -> None:
    """Bring the files into the page cache."""
    for model in models:
        with model.open("rb", buffering=0) as file:
            while file.read(1 << 24):
                pass


def run_once(name: str, kind: str, out: Path, models: list[Path]) -> dict[str, float]:
    """One tool, one merge, one process."""
    warm(models)
    command = [sys.executable, str(HERE / "contestants.py"), name, kind, str(out), *map(str, models)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=_environment())
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}


def report(results: dict[str, list[dict[str, float]]]) -> str:
    """One row a tool: seconds, ratio to the limit of the same round, memory."""
    rows = [
        "| tool | seconds, median | times the limit, median [min-max] | anonymous memory, peak |",
        "|---|---|---|---|",
    ]
    for name, runs in results.items():
        ratios = [run["seconds"] / base["seconds"] for run, base in zip(runs, results["limit"], strict=True)]
        seconds = statistics.median(run["seconds"] for run in runs)
        memory = max(run["anonymous"] for run in runs) / 1e6
        spread = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"
        rows.append(f"| {name} | {seconds:.2f} | {spread} | {memory:,.0f} MB |")
    return "\n".join(rows)


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=("sum", "difference"), default="sum")
    parser.add_argument("--family", choices=("sd1", "sdxl"), default="sd1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--with", dest="peers", default="")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "merge-desk-bench")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    models = inputs(options.folder, options.family, 2 if options.kind == "sum" else 3)
    tools = ["merge-desk", "limit", *filter(None, options.peers.split(","))]
    results: dict[str, list[dict[str, float]]] = {name: [] for name in tools}
    for number in range(options.rounds):
        for name in random.sample(tools, len(tools)):
            out = options.folder / f"out_{name}.safetensors"
            results[name].append(run_once(name, options.kind, out, models))
            out.unlink(missing_ok=True)
            print(
                f"round {number + 1}: {name} {results[name][-1]['seconds']:.2f} s",
                file=sys.stderr,
                flush=True,
            )
    print(report(results))


if __name__ == "__main__":
    main()
