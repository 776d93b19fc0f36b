"""A file's metadata: strings under strings, and how anything else is put into a string.

The same values give the same text, on every run: keys sorted, no spaces, no floats that JSON lacks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from lib_merge.errors import OutputError


def encode_value(value: object) -> str:
    """A string as it is; anything else as the one JSON text that stands for it."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise OutputError(f"this cannot be stored as metadata: {error}", where=repr(value)[:200]) from error


def encode_metadata(values: Mapping[str, object]) -> dict[str, str]:
    """Metadata as a file takes it, sorted by name; a None is left out."""
    return {name: encode_value(values[name]) for name in sorted(values) if values[name] is not None}


def decode_value(text: str) -> object:
    """What a metadata string stands for: the JSON in it, or the text itself where it is no JSON."""
    try:
        return cast(object, json.loads(text))
    except (ValueError, RecursionError):
        return text


def nested(metadata: Mapping[str, str], name: str) -> dict[str, object]:
    """The dictionary stored as JSON under a name; empty where there is none.

    Other tools' metadata is read with this, so that nonsense in it never stops a merge.
    """
    value = decode_value(metadata.get(name, ""))
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}
