"""`python -m samples`: the desk on the samples, or with --models on the user's own checkpoints."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from lib_merge.cli import main
from samples.assemble import MODELS, assemble
from samples.demo import OUTPUT


def desk(arguments: Sequence[str]) -> int:
    """Opens it; returns the exit status."""
    if not any(word.split("=")[0] == "--models" for word in arguments):
        assemble(MODELS)
        arguments = ["--models", str(MODELS), *arguments]
    return main(["desk", "--output", str(OUTPUT), *arguments])


if __name__ == "__main__":
    sys.exit(desk(sys.argv[1:]))
