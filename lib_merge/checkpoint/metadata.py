"""A file's metadata: strings under strings, and how anything else is put into a string.

The same values give the same text, on every run: keys sorted, no spaces, no floats that JSON lacks.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import cast

from lib_merge.errors import OutputError

HALF = re.compile(r"[\ud800-\udfff]")
MAX_DEPTH = 64  # of JSON within metadata; A1111's own has 3


def encode_value(value: object) -> str:
    """A string as it is; anything else as the one JSON text that stands for it."""
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
    """Metadata as a file takes it, sorted by name; a None is left out."""
    return {name: encode_value(values[name]) for name in sorted(values) if values[name] is not None}


def decode_value(text: str) -> object:
    """What a metadata string stands for: the JSON in it, or the text itself where it is no JSON.

    Whatever is returned can be stored again (`encode_value`): NaN and infinity become None, half of a
    character becomes U+FFFD, and JSON that is nested more than MAX_DEPTH deep stays a text.
    """
    try:
        return _storable(cast(object, json.loads(text, parse_constant=lambda _: None)), MAX_DEPTH)
    except (ValueError, RecursionError):
        return text


def _storable(value: object, depth: int) -> object:
    """A value of JSON as a file can keep it; ValueError where it is nested too deeply."""
    if isinstance(value, str):
        return HALF.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if not isinstance(value, (dict, list)):
        return value
    if depth == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [_storable(each, depth - 1) for each in cast("list[object]", value)]
    entries = cast("dict[str, object]", value).items()
    return {str(_storable(name, 1)): _storable(each, depth - 1) for name, each in entries}


def has_half_characters(text: str) -> bool:
    """Whether a surrogate stands in the text, which UTF-8 has no bytes for."""
    return not text.isascii() and HALF.search(text) is not None


def nested(metadata: Mapping[str, str], name: str) -> dict[str, object]:
    """The dictionary stored as JSON under a name; empty where there is none.

    Other tools' metadata is read with this, so that nonsense in it never stops a merge.
    """
    value = decode_value(metadata.get(name, ""))
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}
