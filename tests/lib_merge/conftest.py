"""Three tiny models, made once, and a service over them whose pictures are made in no time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.full_size import write_tiny
from tests.support.grid_host import Bench


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a, b and c."""
    folder = tmp_path_factory.mktemp("models")
    for name in "abc":
        write_tiny(folder / f"{name}.safetensors", seed=ord(name))
    return folder


@pytest.fixture
def bench(tmp_path: Path, models: Path) -> Bench:
    """A fresh service over them."""
    return Bench(tmp_path, models)
