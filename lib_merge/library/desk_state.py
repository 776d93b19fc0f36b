"""The desk as the user left it, for a page that is opened again: one JSON file with the lists, the fields and
what the page's script keeps for itself, and a folder of the last pictures."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

from lib_merge.checkpoint import write_data_file
from lib_merge.errors import RecipeError
from lib_merge.json_data import expect_object, expect_text
from lib_merge.store import JsonFile

FILE = "desk.json"
PICTURES = "desk-pictures"
MAX_PICTURES = 64  # files of the folder
MAX_PAGE = 4 << 20  # characters of what the page keeps for itself
PICTURE_ID = re.compile(r"[0-9a-f]{16}")

FieldValue = str | int | float | bool | tuple[str, ...]  # the last of the host's list of styles


@dataclass(frozen=True)
class KeptDesk:
    """The desk as the user left it.

    lists    the lists above the tabs: a, b, c, method, vae, dtype
    align    whether B is aligned to A
    drawing  the fields of a picture's settings, by name
    engaged  the id of the merge in memory that the page knew of, "" for none
    page     sliders, undo and pictures as JSON, which only the page's script writes and reads
    """

    lists: Mapping[str, str] = field(default_factory=dict[str, str])
    align: bool = False
    drawing: Mapping[str, FieldValue] = field(default_factory=dict[str, FieldValue])
    engaged: str = ""
    page: str = ""


def plain_values(fields: Mapping[str, object]) -> Mapping[str, FieldValue]:
    """The fields whose values can be kept."""
    values = {name: _plain(value) for name, value in fields.items()}
    return {name: value for name, value in values.items() if value is not None}


def _plain(value: object) -> FieldValue | None:
    if isinstance(value, list | tuple):
        entries = cast("Sequence[object]", value)
        texts = tuple(entry for entry in entries if isinstance(entry, str))
        return texts if len(texts) == len(entries) else None
    return value if isinstance(value, str | int | float | bool) else None


def read_desk(folder: Path) -> KeptDesk | None:
    """The desk that was kept last; None where there is none. StoreError where the file cannot be read."""
    return _file(folder).read(_parse)


def write_desk(folder: Path, desk: KeptDesk) -> None:
    """Keep the desk in place of the one before; OutputError where the file cannot be written."""
    if len(desk.page) > MAX_PAGE:
        raise RecipeError("the page is too large to be kept", hint="fewer steps of undo, or fewer cards")
    _file(folder).write(asdict(desk))


def keep_picture(folder: Path, png: bytes, protected: Collection[str] | None = ()) -> str:
    """Keep a picture among the last MAX_PICTURES, and return its id; OutputError where that fails.

    protected  ids of others that stay besides these; None: all stay
    """
    name = hashlib.sha256(png).hexdigest()[:16]
    place = folder / PICTURES
    write_data_file(_picture_path(folder, name), png)
    if protected is not None:
        others = [path for path in place.glob("*.png") if path.stem not in protected]
        for path in sorted(others, key=_time)[:-MAX_PICTURES]:
            path.unlink(missing_ok=True)
    return name


def picture_bytes(folder: Path, name: str) -> int:
    """The size of a picture, 0 where it is no longer there."""
    with suppress(OSError):
        return _picture_path(folder, name).stat().st_size
    return 0


def read_picture(folder: Path, name: str) -> bytes:
    """The picture of this id, as a PNG; b"" where it is no longer there."""
    if not PICTURE_ID.fullmatch(name):
        return b""
    with suppress(OSError):
        return _picture_path(folder, name).read_bytes()
    return b""


def _picture_path(folder: Path, name: str) -> Path:
    return folder / PICTURES / f"{name}.png"


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another page has removed it
        return 0.0


def _file(folder: Path) -> JsonFile:
    return JsonFile(folder / FILE, "the desk as it was left", "desk")


def _parse(data: object) -> KeptDesk:
    fields = expect_object(data)
    lists = expect_object(fields["lists"])
    drawing = expect_object(fields["drawing"])
    return KeptDesk(
        {name: expect_text(value) for name, value in lists.items()},
        fields["align"] is True,
        plain_values(drawing),
        expect_text(fields["engaged"]),
        expect_text(fields["page"]),
    )
