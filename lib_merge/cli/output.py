"""Standard input, output and error: any text gets through, whatever code page the terminal has."""

from __future__ import annotations

import codecs
import io
import sys

from lib_merge.json_data import dump


def prepare_streams() -> None:
    """Print what the code page lacks as an escape; take bytes that are no text as they are."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")


def print_json(value: object) -> None:
    """One JSON text on standard output; in ASCII where the output is no UTF-8, so that it stays JSON."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(dump(value, indent=2, ascii=codecs.lookup(encoding).name != "utf-8"))
