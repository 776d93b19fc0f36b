"""What a file of JSON may have become on a disk that failed, in an editor, or by somebody's hand."""

from __future__ import annotations

import json

DEEP = 200_000
ODD: tuple[object, ...] = (None, True, -1, 1.5, "", "text", [], [[]], {}, {"": {}}, 10**400, -(10**30))
CONTENTS: dict[str, bytes] = {
    "nothing": b"",
    "cut short": b'{"a": [1, ',
    "zeros": b"\0" * 4096,
    "no UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "lists in lists": b"[" * DEEP + b"]" * DEEP,
    "objects in objects": b'{"a":' * DEEP,
    "NaN": b"NaN",
    "infinity": b'{"merge": Infinity, "draw": -Infinity}',
    "5,000 digits": b'{"merge": ' + b"9" * 5000 + b"}",
    "1e999": b'{"merge": 1e999, "draw": 1e999}',
    "half a character": b'"\\ud800"',
    **{f"{value!r:.20}": json.dumps(value).encode() for value in ODD},
}


def variations(text: str) -> list[bytes]:
    """The contents above, and the JSON of `text` with every value in turn missing or of another kind."""
    whole = json.loads(text)
    found = list(CONTENTS.values())
    for path in _places(whole):
        for value in (*ODD, None):
            copy = json.loads(text)
            inside = copy
            for step in path[:-1]:
                inside = inside[step]
            inside[path[-1]] = value
            found.append(json.dumps(copy).encode())
        copy = json.loads(text)
        inside = copy
        for step in path[:-1]:
            inside = inside[step]
        del inside[path[-1]]
        found.append(json.dumps(copy).encode())
    return found


def _places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to every value within, of long lists and objects to the first three."""
    steps: list[str | int] = []
    if isinstance(value, dict):
        steps = list(value)
    elif isinstance(value, list):
        steps = list(range(len(value)))
    if len(steps) > 12:
        steps = steps[:3]
    found: list[tuple[str | int, ...]] = []
    for step in steps:
        found += [(*path, step), *_places(value[step], (*path, step))]  # type: ignore[index]
    return found
