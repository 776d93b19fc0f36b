"""Runs Python programs, several in one process: a line of JSON names them, another has what they print.

Each program is what `python` is given: `-m MODULE ARGUMENTS` or `-c PROGRAM ARGUMENTS`. On Linux this
process only imports what takes long, and a fork of it runs each line; elsewhere it runs one line, and ends.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import runpy
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

SLOW_IMPORTS = (
    "hypothesis",
    "matplotlib.pyplot",
    "PIL.Image",
    "pytest",
    "safetensors.torch",
    "scipy.optimize",
    "torch",
)
FORKS = sys.platform == "linux"


class FailedError(Exception):
    """A program ended with an error; the text is all that it printed."""


def run(arguments: Sequence[str]) -> str:
    """What one program prints."""
    kind, what, *others = arguments
    sys.argv = [what if kind == "-m" else kind, *others]
    printed = io.StringIO()
    status: object = 0
    with redirect_stdout(printed):
        try:
            if kind == "-m":
                runpy.run_module(what, run_name="__main__", alter_sys=True)
            else:
                exec(compile(what, "<step>", "exec"), {"__name__": "__main__"})
        except SystemExit as end:
            status = end.code or 0
    if status:
        raise FailedError(f"{list(arguments)} ended with {status}\n{printed.getvalue()}")
    return printed.getvalue()


def answer(line: str) -> str:
    """What goes out for a line that came in."""
    sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115  for as long as this process runs
    try:
        return json.dumps({"outputs": [run(step) for step in json.loads(line)]})
    except FailedError as failed:
        return json.dumps({"failed": str(failed)})


def main() -> None:
    """Answers each line of standard input on standard output; all else that is printed is an error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for name in SLOW_IMPORTS if FORKS else ():
        importlib.import_module(name)
    for line in sys.stdin:
        if FORKS and (child := os.fork()):
            _, status = os.waitpid(child, 0)
            if status:
                print(json.dumps({"failed": f"the process ended with {status}"}), file=answers, flush=True)
            continue
        print(answer(line), file=answers, flush=True)
        os._exit(0)


if __name__ == "__main__":
    main()
