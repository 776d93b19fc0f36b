"""The whole merge command, from its start to its end, beside the least that a process could take.

    python tests/bench/command.py [--family sd1] [--rounds 5] [--folder DIR]

Every round runs, in an order that is shuffled anew and with the inputs in the page cache: `merge-desk merge`
of two full-size files with 26 block weights, whose hashes it knows, or does not, or is told to leave out; and
the limit of `compare.py` in a process of its own, import of torch and sync included. All are timed
from outside, start of the interpreter and end of the process included. In brackets stands the core: what
arithmetic, reading and writing take, as `compare.py` has it. Hashes are kept in a folder of this script.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.compare import inputs, warm  # noqa: E402
from tests.bench.contestants import WEIGHTS  # noqa: E402

LIMIT, KNOWN, UNKNOWN, WITHOUT = "limit", "hashes known", "hashes unknown", "--no-hashes"


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """Seconds of a process from start to end, and what it prints."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return seconds, done.stdout


def merge(models: list[Path], out: Path, cache: Path, *more: str) -> float:
    """Seconds of the command."""
    weights = ",".join(map(str, WEIGHTS))
    command = [sys.executable, "-m", "lib_merge", "merge", *map(str, models), "--weights", weights]
    command += ["--vae", "blend", "-o", str(out), "--overwrite", *more]
    return timed(command, {**os.environ, "XDG_CACHE_HOME": str(cache), "LOCALAPPDATA": str(cache)})[0]


def contestant(name: str, models: list[Path], out: Path) -> tuple[float, float]:
    """Seconds of a process of `contestants.py`, and of its core."""
    script = ROOT / "tests" / "bench" / "contestants.py"
    command = [sys.executable, str(script), name, "sum", str(out), *map(str, models)]
    whole, said = timed(command, {**os.environ, "PYTHONPATH": str(ROOT)})
    return whole, float(json.loads(said.strip().splitlines()[-1])["seconds"])


def one_round(models: list[Path], folder: Path) -> dict[str, float]:
    """Whole seconds of each, and under "core" and "limit's core" those of the cores."""
    found: dict[str, float] = {}
    out = folder / "out.safetensors"
    for name in random.sample([LIMIT, KNOWN, UNKNOWN, WITHOUT, "core"], 5):
        out.unlink(missing_ok=True)
        warm(models)
        cache = folder / "hashes"
        if name == LIMIT:
            found[LIMIT], found["limit's core"] = contestant(LIMIT, models, out)
        elif name == "core":
            found["core"] = contestant("merge-desk", models, out)[1]
        elif name == WITHOUT:
            found[name] = merge(models, out, cache, "--no-hashes")
        else:
            shutil.rmtree(cache, ignore_errors=True)
            if name == KNOWN:
                merge(models, out, cache)
                out.unlink()  # no other contestant replaces a file, nor starts while the disk is busy
                os.sync()
                warm(models)
            found[name] = merge(models, out, cache)
    out.unlink(missing_ok=True)
    return found


def report(rounds: list[dict[str, float]]) -> str:
    """One row for each way: seconds of the whole (of the core), and the ratio to the same round's limit."""
    rows = [
        "| the whole command | seconds, median (core) | times the limit, median [min-max] |",
        "|---|---|---|",
    ]
    for name in (KNOWN, UNKNOWN, WITHOUT, LIMIT):
        core = statistics.median(each["limit's core" if name == LIMIT else "core"] for each in rounds)
        seconds = statistics.median(each[name] for each in rounds)
        ratios = [each[name] / each[LIMIT] for each in rounds]
        spread = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}]"
        rows.append(f"| {name} | {seconds:.2f} ({core:.2f}) | {spread} |")
    return "\n".join(rows)


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", choices=("sd1", "sdxl"), default="sd1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "merge-desk-bench")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    models = inputs(options.folder, options.family, 2)
    rounds: list[dict[str, float]] = []
    for number in range(options.rounds):
        rounds.append(one_round(models, options.folder))
        told = ", ".join(f"{name} {seconds:.2f}" for name, seconds in rounds[-1].items())
        print(f"round {number + 1}: {told}", file=sys.stderr, flush=True)
    print(report(rounds))


if __name__ == "__main__":
    main()
