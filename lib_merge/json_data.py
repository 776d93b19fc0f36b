"""JSON as RFC 8259 has it: Python's own writer and reader also take NaN, which no browser reads.

Everything that leaves this program as JSON goes through `dump`, and what strangers send through `load`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

MOST_KEPT = 64 << 20  # bytes of one of our own files


def dump(value: object, *, indent: int | None = None, ascii: bool = False) -> str:
    """The value as JSON text; a number that is not finite becomes null, half a surrogate pair is escaped.

    ascii  escape every letter beyond ASCII, for an output that is no UTF-8
    """
    text = json.dumps(finite(value), indent=indent, ensure_ascii=ascii, allow_nan=False)
    return text if _encodes(text) else json.dumps(finite(value), indent=indent, allow_nan=False)


def finite(value: object) -> Any:
    """The same data with None in place of every float that is NaN or infinite; tuples become lists."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite(each) for name, each in cast("Mapping[object, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [finite(each) for each in cast("list[object]", value)]
    return value


def load(text: str | bytes, *, constants: bool = False) -> object:
    """What JSON text says.

    constants  whether it may hold NaN and infinity, as Python writes them
    Raises ValueError for these otherwise, half of a surrogate pair, and nesting beyond Python's limit too.
    """
    try:
        value = json.loads(text, parse_constant=None if constants else _refuse)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as cause:
        raise ValueError("it is nested too deeply") from cause
    except UnicodeEncodeError as cause:
        raise ValueError("it holds half of a surrogate pair, which is no character") from cause
    return value


def load_file(place: Path, *, constants: bool = False) -> object:
    """`load` of a file that this program keeps for itself.

    Raises OSError where it cannot be read, ValueError for whatever it cannot be since it was damaged.
    """
    if place.stat().st_size > MOST_KEPT:
        raise ValueError(f"it has more than {MOST_KEPT} bytes")
    return load(place.read_bytes(), constants=constants)


def object_of(value: object) -> dict[str, object]:
    """The value, which must be an object of JSON; ValueError."""
    if not isinstance(value, dict):
        raise ValueError("an object is expected")
    return cast("dict[str, object]", value)


def text_of(value: object) -> str:
    """The value, which must be text; ValueError."""
    if not isinstance(value, str):
        raise ValueError("text is expected")
    return value


def texts_of(value: object) -> tuple[str, ...]:
    """The value, which must be a list of texts; ValueError."""
    if not isinstance(value, list):
        raise ValueError("a list is expected")
    return tuple(map(text_of, cast("list[object]", value)))


def number_of(value: object) -> float:
    """The value, which must be a finite number; ValueError."""
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
    raise ValueError(f"{constant} is no number in JSON")


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
