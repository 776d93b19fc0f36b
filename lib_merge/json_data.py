"""JSON as RFC 8259 has it: Python's own writer and reader also take NaN, which no browser reads.

Everything that leaves this program as JSON goes through `dump`, and what strangers send through `load`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn, cast


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


def load(text: str | bytes) -> object:
    """What JSON text says.

    Raises ValueError for NaN, infinity, half of a surrogate pair, and nesting beyond Python's limit too.
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as cause:
        raise ValueError("it is nested too deeply") from cause
    except UnicodeEncodeError as cause:
        raise ValueError("it holds half of a surrogate pair, which is no character") from cause
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number in JSON")


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
