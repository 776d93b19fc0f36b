"""`python -m samples [COMMAND ...]`: merge-desk where the samples are at hand; without a command, the desk.

The samples are put together for a command that names one of them, and for a desk without --models.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lib_merge.cli import main
from lib_merge.errors import MergeError
from samples.assemble import MODELS, NAMES, OUTPUT, assemble


def run(arguments: Sequence[str]) -> int:
    """Run a command, or the desk until Ctrl-C; returns the exit status."""
    is_command = bool(arguments) and not arguments[0].startswith("-")
    on_samples = not any(word.split("=")[0] == "--models" for word in arguments)
    try:
        if is_command:
            if any(map(_names_a_sample, arguments)) and _is_incomplete():
                _prepare()
            return main(arguments)
        if on_samples:
            _prepare()
    except MergeError as problem:
        print(f"merge-desk: {problem}", file=sys.stderr)
        return 2
    models = ["--models", str(MODELS)] if on_samples else []
    return main(["desk", "--output", str(OUTPUT), *models, *arguments])


def _names_a_sample(argument: str) -> bool:
    """Whether the argument, or the value after its `=`, is a path in the folder of the samples."""
    path = Path(os.path.realpath(argument.rpartition("=")[2]))
    return MODELS in (path, *path.parents)


def _is_incomplete() -> bool:
    return not all((MODELS / f"{name}.safetensors").is_file() for name in NAMES)


def _prepare() -> None:
    """Assemble the samples, and say so where they are missing, since that takes seconds."""
    if _is_incomplete():
        print(f"Putting the sample checkpoints together in {MODELS} ...", file=sys.stderr, flush=True)
    assemble(MODELS)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
