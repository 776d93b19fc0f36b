"""What is remembered of a host's files, as long as they are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib_merge.service.host_files import HostFiles
from tests.support.desk_host import PaperHost
from tests.support.full_size import write_tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    models = tmp_path / "models"
    models.mkdir()
    write_tiny(models / "one.safetensors")
    return models


def test_the_slots_of_a_file_are_found_once_and_again_when_it_has_changed(
    folder: Path, tmp_path: Path
) -> None:
    host = PaperHost(folder, tmp_path / "data")
    files = HostFiles(host)
    (one,) = host.checkpoints()
    slots = files.slots(one)
    assert {"IN05", "M00", "OUT11", "VAE"} <= slots
    assert files.slots(one) is slots
    write_tiny(one.path, "sdxl")
    assert "OUT11" not in files.slots(one)
    assert "LABEL" in files.slots(one)
