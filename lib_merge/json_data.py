"""Strict JSON (RFC 8259). Python's json module also writes and reads NaN and infinity, which browsers reject.

All JSON that leaves this program goes through `dump`, and all JSON from outside through `load`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

MAX_FILE_SIZE = 64 << 20  # bytes of one of the program's own files


def dump(value: object, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """The value as JSON text. NaN and infinity become null; lone surrogates are escaped.

    ascii_only  escape every character beyond ASCII, for an output that is not UTF-8
    """
    text = json.dumps(finite(value), indent=indent, ensure_ascii=ascii_only, allow_nan=False)
    return text if _encodes(text) else json.dumps(finite(value), indent=indent, allow_nan=False)


def finite(value: object) -> Any:
    """A copy of the data with None in place of NaN and infinity, and lists in place of tuples."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite(item) for name, item in cast("Mapping[object, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in cast("list[object]", value)]
    return value


def load(text: str | bytes, *, allow_nan: bool = False) -> object:
    """The value of a JSON text.

    allow_nan  accept NaN and infinity as Python's json module writes them
    Raises ValueError for a text that is not JSON, for NaN and infinity unless allowed, for lone surrogates
    and for nesting beyond Python's recursion limit.
    """
    try:
        value = json.loads(text, parse_constant=None if allow_nan else _refuse)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as cause:
        raise ValueError("it is nested too deeply") from cause
    except UnicodeEncodeError as cause:
        raise ValueError("it contains a lone surrogate, which is not a character") from cause
    return value


def load_file(path: Path, *, allow_nan: bool = False) -> object:
    """The value of one of the program's own JSON files.

    Raises OSError where the file cannot be read, ValueError where its content is damaged (see `load`).
    """
    if path.stat().st_size > MAX_FILE_SIZE:
        raise ValueError(f"it has more than {MAX_FILE_SIZE} bytes")
    return load(path.read_bytes(), allow_nan=allow_nan)


def expect_object(value: object) -> dict[str, object]:
    """The value, which must be a JSON object; ValueError otherwise."""
    if not isinstance(value, dict):
        raise ValueError("an object is expected")
    return cast("dict[str, object]", value)


def expect_list(value: object) -> list[object]:
    """The value, which must be a JSON list; ValueError otherwise."""
    if not isinstance(value, list):
        raise ValueError("a list is expected")
    return cast("list[object]", value)


def expect_text(value: object) -> str:
    """The value, which must be text; ValueError otherwise."""
    if not isinstance(value, str):
        raise ValueError("text is expected")
    return value


def expect_texts(value: object) -> tuple[str, ...]:
    """The value, which must be a list of texts; ValueError otherwise."""
    if not isinstance(value, list):
        raise ValueError("a list is expected")
    return tuple(map(expect_text, cast("list[object]", value)))


def expect_number(value: object) -> float:
    """The value, which must be a finite number; ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("a number is expected")
    try:
        number = float(value)
    except OverflowError as cause:
        raise ValueError("a number is too large") from cause
    if not math.isfinite(number):
        raise ValueError("a number is not finite")
    return number


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number in JSON")


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
