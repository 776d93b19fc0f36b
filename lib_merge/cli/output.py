"""Standard input, output and error, which accept any text with any encoding of the terminal."""

from __future__ import annotations

import codecs
import io
import sys

from lib_merge.json_data import dump


def prepare_streams() -> None:
    """Print characters that the encoding lacks as escapes; read undecodable bytes as surrogate escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")


def print_json(value: object) -> None:
    """Print one JSON text; in ASCII where the output is not UTF-8, so that it stays valid JSON."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(dump(value, indent=2, ascii_only=codecs.lookup(encoding).name != "utf-8"))
