"""What a command costs before it works: `python tests/bench/start_up.py A B [--rounds 5]`.

Seconds of `inspect` and `plan` in processes of their own, and of `merge` until it reads its first
tensor byte, beside a bare `import torch`, which no merge can go without.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TORCH = "import time; t = time.perf_counter(); import torch; print(time.perf_counter() - t)"
FIRST_BYTE = """
import os, sys, threading, time
first = threading.Lock()
began = time.perf_counter()
from lib_merge.checkpoint import mapped
def stop(self, *place):
    if first.acquire(blocking=False):  # of the threads that read at once, one prints
        print(time.perf_counter() - began, flush=True)
        os._exit(0)
mapped.MappedCheckpoint.tensor = mapped.MappedCheckpoint.bytes = mapped.ReadCheckpoint._read = stop
from lib_merge.cli import main
main(["merge", *sys.argv[1:], "--alpha", "0.3", "--overwrite", "-o", "first_byte.safetensors"])
"""


def printed_seconds(program: str, *arguments: str) -> float:
    """The seconds that a program in a fresh process prints."""
    command = [sys.executable, "-c", program, *arguments]
    return float(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def whole(*arguments: str) -> float:
    """The seconds that a command of merge-desk takes from start to end."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "lib_merge", *arguments]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Run the rounds and print medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs=2, type=lambda name: str(Path(name).resolve()))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {"inspect": [], "plan": [], "import torch": [], "first byte": []}
    for _ in range(options.rounds):
        seconds["inspect"].append(whole("inspect", options.models[0]))
        seconds["plan"].append(whole("plan", *options.models, "--alpha", "0.3"))
        seconds["import torch"].append(printed_seconds(TORCH))
        seconds["first byte"].append(printed_seconds(FIRST_BYTE, *options.models))
    for leftover in ROOT.glob(".first_byte*.part"):
        leftover.unlink()
    for name, runs in seconds.items():
        print(f"{name:13} {statistics.median(runs):.2f} s  ({min(runs):.2f} to {max(runs):.2f})")


if __name__ == "__main__":
    main()
