"""Tiny models, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.full_size import write_tiny
from tests.grid_host import Bench


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a, b and c."""
    folder = tmp_path_factory.mktemp("models")
    for name in "abc":
        write_tiny(folder / f"{name}.safetensors", seed=ord(name))
    return folder


@pytest.fixture
def bench(tmp_path: Path, models: Path) -> Bench:
    """A fresh mixer over them."""
    return Bench(tmp_path, models)
