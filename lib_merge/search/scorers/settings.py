"""The settings of scorers: paths of the user's weight files, in scorers.json of the data folder.

{"format": "merge-desk scorers 1", "clip": {"weights": "/models/clip-vit-large-patch14.safetensors"}}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lib_merge.json_data import expect_object, expect_text
from lib_merge.store import FORMAT, JsonFile

SETTINGS_FILE = "scorers.json"


def read_scorer_settings(data: Path | None) -> Mapping[str, Mapping[str, str]]:
    """Scorer -> name -> value; StoreError where the file is damaged.

    data  Merge Desk's data folder; None for no settings
    """
    if data is None:
        return {}
    file = JsonFile(data / SETTINGS_FILE, "the settings of scorers", "scorers")
    return file.read(_parse) or {}


def _parse(content: object) -> Mapping[str, Mapping[str, str]]:
    scorers = {name: value for name, value in expect_object(content).items() if name != FORMAT}
    return {
        name: {key: expect_text(text) for key, text in expect_object(values).items()}
        for name, values in scorers.items()
    }
