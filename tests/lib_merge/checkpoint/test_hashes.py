"""The hashes, against hashlib and against what the WebUIs show."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lib_merge.checkpoint import ALL_HASHES, Hashes, hash_file
from lib_merge.errors import CheckpointError, StoppedError


class Counting:
    """Progress that counts, and stops after so many bytes."""

    def __init__(self, enough: int | None = None) -> None:
        self.total, self.done, self.enough, self.what = 0, 0, enough, ""

    def start(self, total: int, what: str) -> None:
        self.total, self.what = total, what

    def advance(self, amount: int) -> None:
        self.done += amount

    def stopped(self) -> bool:
        return self.enough is not None and self.done >= self.enough


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 9 MB: several pieces, and all of AutoV1's span."""
    path = tmp_path_factory.mktemp("hashes") / "model.safetensors"
    generator = torch.Generator().manual_seed(1)
    save_file({"a": torch.randn(4_500_000, generator=generator).half()}, path, {"format": "pt"})
    return path


def test_all_hashes_are_those_of_hashlib(model: Path) -> None:
    raw = model.read_bytes()
    data_start = 8 + int.from_bytes(raw[:8], "little")
    sha256, autov3 = hashlib.sha256(raw).hexdigest(), hashlib.sha256(raw[data_start:]).hexdigest()
    assert hash_file(model) == Hashes(
        autov1=hashlib.sha256(raw[0x100000:0x110000]).hexdigest()[:8],
        autov2=sha256[:10],
        autov3=autov3[:12],
        autov3_full=autov3,
        sha256=sha256,
        md5=hashlib.md5(raw).hexdigest(),
    )


def test_known_values(tmp_path: Path) -> None:
    path = tmp_path / "abc.txt"
    path.write_bytes(b"abc")  # FIPS 180-2, appendix B.1; RFC 1321, appendix A.5
    hashes = hash_file(path)
    assert hashes.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hashes.autov2 == "ba7816bf8f"
    assert hashes.md5 == "900150983cd24fb0d6963f7d28e17f72"
    assert hashes.autov1 == "e3b0c442"  # what AUTOMATIC1111 shows for any file below 1 MiB: of no bytes
    assert hashes.autov3 is None  # no safetensors header


def test_metadata_changes_autov3_not_at_all(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(10.0)}
    plain, with_metadata = tmp_path / "plain.safetensors", tmp_path / "told.safetensors"
    save_file(tensors, plain)
    save_file(tensors, with_metadata, {"modelspec.title": "a long title"})
    assert hash_file(plain).autov3_full == hash_file(with_metadata).autov3_full
    assert hash_file(plain).sha256 != hash_file(with_metadata).sha256


def test_any_of_the_hashes_can_be_had_alone(model: Path) -> None:
    every = hash_file(model)
    for name in ALL_HASHES:
        alone = hash_file(model, algorithms=[name])
        assert [getattr(alone, other) for other in ALL_HASHES if other != name] == [None] * 3
        assert getattr(alone, name) == getattr(every, name)
    assert hash_file(model, algorithms=[]) == Hashes()


def test_progress_hears_of_every_byte_and_autov1_reads_64_kib(model: Path) -> None:
    heard = Counting()
    hash_file(model, progress=heard)
    assert heard.done == heard.total == model.stat().st_size
    assert heard.what == "hashing model.safetensors"
    heard = Counting()
    hash_file(model, algorithms=["autov1"], progress=heard)
    assert heard.done == heard.total == 0x10000


def test_hashing_stops_when_asked(model: Path) -> None:
    heard = Counting(enough=1)
    with pytest.raises(StoppedError, match=r"hashing model.safetensors was stopped"):
        hash_file(model, progress=heard)
    assert 0 < heard.done < heard.total


@pytest.mark.parametrize("raw", [b"", b"1234567", b"12345678{", bytes(8) + b"{", b"\xff" * 8 + b"{}"])
def test_a_damaged_file_has_hashes_too(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(raw)
    assert hash_file(path).sha256 == hashlib.sha256(raw).hexdigest()


def test_a_missing_file_has_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no such checkpoint"):
        hash_file(tmp_path / "missing.safetensors")
    with pytest.raises(ValueError, match="crc32"):
        hash_file(Path(__file__), algorithms=["crc32"])
