"""Removes the server's folders from messages: people who see a page may not be the owner of the disk."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from lib_merge.hosts.host import Host, ListedFile

PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?(?:[\\/][^\\/\s:'\",;]+)+[\\/]")  # a path without its last part


def without_paths(text: str, folders: Sequence[Path] = ()) -> str:
    """The text with file names in place of paths; paths outside `folders` are found by their syntax."""
    for folder in folders:
        for end in ("/", "\\"):
            text = text.replace(f"{folder}{end}", "")
    if "\n" not in text:
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(text).is_absolute():  # nothing but a path, perhaps of folders with spaces
                return kind(text).name
    return PATH.sub("", text)


def folders_of(host: Host) -> list[Path]:
    """Every folder of a host that an error may name, the longest path first."""
    files: Iterable[ListedFile] = (*host.checkpoints(), *host.vaes())
    folders = {*host.folders(), *(file.path.parent for file in files)}
    folders |= {folder.resolve() for folder in folders}
    return sorted(folders, key=lambda folder: -len(str(folder)))
