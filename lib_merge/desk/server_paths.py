"""Folders of the server, which no answer names: a page may be open to others than who owns the disk."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?(?:[\\/][^\\/\s:'\",;]+)+[\\/]")  # all but a path's last part


def without_paths(text: str, known: Sequence[Path] = ()) -> str:
    """The text with the names of files only; folders that are not known are told by their look."""
    for folder in known:
        for end in ("/", "\\"):
            text = text.replace(f"{folder}{end}", "")
    if "\n" not in text:
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(text).is_absolute():  # nothing but a path, perhaps of folders with spaces
                return kind(text).name
    return PATH.sub("", text)
