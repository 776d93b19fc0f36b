"""The metadata of safetensors files, whose values are strings: other values are encoded as JSON.

The same values give the same text on every run: keys are sorted, there are no spaces, and NaN is an error.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import cast

from lib_merge.errors import OutputError

LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
MAX_DEPTH = 64  # levels of nested JSON in metadata; A1111's own has 3


def encode_value(value: object) -> str:
    """A string unchanged; any other value as JSON. OutputError for a value that JSON cannot represent."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        kind = type(value).__name__
        raise OutputError(
            f"this cannot be stored as metadata: {error}", where=f"a value of type {kind}"
        ) from error


def encode_metadata(values: Mapping[str, object]) -> dict[str, str]:
    """Encoded metadata, sorted by name, without values that are None."""
    return {name: encode_value(values[name]) for name in sorted(values) if values[name] is not None}


def decode_value(text: str) -> object:
    """The value of a metadata string: the JSON in it, or the string itself where it is not JSON.

    The value can be encoded again (`encode_value`): NaN and infinity become None, lone surrogates become
    U+FFFD, and JSON nested more than MAX_DEPTH deep stays a string.
    """
    try:
        return _storable(cast(object, json.loads(text, parse_constant=lambda _: None)), MAX_DEPTH)
    except (ValueError, RecursionError):
        return text


def _storable(value: object, depth: int) -> object:
    """A JSON value that a file can store; ValueError where it is nested too deeply."""
    if isinstance(value, str):
        return LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if not isinstance(value, (dict, list)):
        return value
    if depth == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [_storable(item, depth - 1) for item in cast("list[object]", value)]
    entries = cast("dict[str, object]", value).items()
    return {str(_storable(name, 1)): _storable(item, depth - 1) for name, item in entries}


def has_lone_surrogate(text: str) -> bool:
    """Whether the text contains a lone surrogate, which UTF-8 cannot encode."""
    return not text.isascii() and LONE_SURROGATE.search(text) is not None


def metadata_dict(metadata: Mapping[str, str], name: str) -> dict[str, object]:
    """The JSON object stored under a name; empty where there is none or it is another value.

    For metadata of other tools, so that invalid metadata never stops a merge.
    """
    value = decode_value(metadata.get(name, ""))
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}
