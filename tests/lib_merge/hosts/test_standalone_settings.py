"""The settings of a picture that the standalone desk begins with."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib_merge.errors import MergeError
from lib_merge.hosts.standalone import StandaloneHost
from tests.support.full_size import write_tiny


def test_a_chosen_checkpoint_that_is_gone_is_said_in_a_sentence(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    path = write_tiny(models / "a.safetensors")
    host = StandaloneHost([models], output=tmp_path / "output", data=tmp_path / "data")
    host.load(host.checkpoints()[0])
    before = host.default_settings()
    assert host.default_settings() == before
    path.unlink()
    with pytest.raises(MergeError, match=r"a\.safetensors"):
        host.default_settings()
