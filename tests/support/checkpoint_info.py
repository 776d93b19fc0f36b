"""A stand-in for the WebUIs' CheckpointInfo."""

from __future__ import annotations

from pathlib import Path


class Info:
    """A checkpoint as the host lists it; Forge compares the text of its parameters, and so this one's."""

    def __init__(self, filename: str) -> None:
        self.filename, self.name = filename, Path(filename).name
        self.name_for_extra = self.model_name = Path(filename).stem
        self.title = self.short_title = self.name
        self.hash, self.sha256, self.shorthash = "abcd", "0" * 64, "0" * 10
        self.metadata, self.ids = {"a": 1}, [self.name]

    def calculate_shorthash(self) -> str:
        """The hash of the file, which is known."""
        return self.shorthash

    def __repr__(self) -> str:
        return self.filename
