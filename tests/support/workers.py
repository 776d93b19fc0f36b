"""Worker processes of one study or grid: started together, held until all are ready, and begun at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start_workers(code: str, arguments: Iterable[Sequence[object]]) -> list[subprocess.Popen[str]]:
    """A process with this code for each list of arguments; returns when all have printed "ready"."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, *map(str, words)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for words in arguments
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    return workers


def begin(workers: Iterable[subprocess.Popen[str]]) -> None:
    """Send each the line that it waits for."""
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("begin\n")
        worker.stdin.flush()


def outputs(workers: Iterable[subprocess.Popen[str]]) -> list[str]:
    """What each has printed since, when all have ended well."""
    printed = [worker.communicate(timeout=300)[0] for worker in workers]
    assert all(worker.returncode == 0 for worker in workers)
    return printed
