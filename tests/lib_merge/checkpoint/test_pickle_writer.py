"""A `.ckpt` as torch 1.6 wrote it: taken by every torch, and by AUTOMATIC1111's check of pickles."""

from __future__ import annotations

import pickletools
import re
import zipfile
from pathlib import Path

import pytest
import torch

from lib_merge.architectures import open_checkpoint
from lib_merge.checkpoint import pickle_writer, write_pickle
from lib_merge.errors import OutputError

# AUTOMATIC1111 v1.10.1 (82a973c), modules/safe.py: allowed_zip_names_re, and the same of v1.6.0, which does
# not know `byteorder` and `.data/serialization_id` yet.
ALLOWED = re.compile(r"^([^/]+)/((data/\d+)|version|byteorder|.data/serialization_id|(data\.pkl))$")
ALLOWED_OF_OLD = re.compile(r"^([^/]+)/((data/\d+)|version|(data\.pkl))$")
# The same file, RestrictedUnpickler.find_class, as far as tensors ask for it.
ALLOWED_GLOBALS = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch FloatStorage",
    "torch HalfStorage",
    "torch IntStorage",
    "torch LongStorage",
    "torch DoubleStorage",
    "torch ByteStorage",
    "torch BFloat16Storage",
}
FORMATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8)
TENSORS = {
    **{f"model.{dtype}": torch.arange(7).to(dtype) for dtype in FORMATS},
    "one number": torch.tensor(2.5),
    "no number": torch.empty(0, 3),
    "transposed": torch.arange(12.0).reshape(3, 4).T,
    "position_ids": torch.arange(77)[None],
    "letters \N{LATIN SMALL LETTER E WITH ACUTE}": torch.ones(65, dtype=torch.float16),
}


def written(folder: Path, name: str = "m.ckpt") -> Path:
    write_pickle(folder / name, TENSORS, {"format": "pt", "merge_desk.recipe": "A x 0.5"})
    return folder / name


def data_start(path: Path, info: zipfile.ZipInfo) -> int:
    raw = path.read_bytes()[info.header_offset :]
    return (
        info.header_offset + 30 + int.from_bytes(raw[26:28], "little") + int.from_bytes(raw[28:30], "little")
    )


def test_webuis_take_every_name_in_the_zip_and_in_the_pickle(tmp_path: Path) -> None:
    with zipfile.ZipFile(written(tmp_path)) as archive:
        names = archive.namelist()
        global_names = {
            argument
            for opcode, argument, _ in pickletools.genops(archive.read("archive/data.pkl"))
            if "GLOBAL" in opcode.name
        }
    assert all(ALLOWED.match(name) and ALLOWED_OF_OLD.match(name) for name in names)
    assert global_names == ALLOWED_GLOBALS


@pytest.mark.parametrize("large", [pickle_writer.LARGE, 0], ids=["as it is", "every record as a large one"])
def test_the_records_lie_as_torch_1_6_had_them(
    large: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickle_writer, "LARGE", large)
    path = written(tmp_path)
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        assert archive.testzip() is None
        assert archive.read("archive/version") == b"3\n"
    data = [f"archive/data/{number}" for number in range(len(TENSORS))]
    assert [info.filename for info in records] == ["archive/data.pkl", *data, "archive/version"]
    assert all(info.compress_type == zipfile.ZIP_STORED for info in records)
    assert all(data_start(path, info) % 64 == 0 for info in records)


@pytest.mark.parametrize("large", [pickle_writer.LARGE, 0], ids=["as it is", "every record as a large one"])
@pytest.mark.parametrize("mapped", [True, False])
def test_torch_reads_what_is_written_and_so_do_we(
    mapped: bool, large: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickle_writer, "LARGE", large)
    path = written(tmp_path)
    loaded = torch.load(str(path), weights_only=True, mmap=mapped)
    assert loaded["metadata"] == {"format": "pt", "merge_desk.recipe": "A x 0.5"}
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.header.metadata == loaded["metadata"]
        for key, tensor in TENSORS.items():
            assert torch.equal(loaded["state_dict"][key], tensor)
            assert loaded["state_dict"][key].dtype == tensor.dtype
            assert torch.equal(checkpoint.tensor(key), tensor)


def test_the_same_tensors_are_the_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path).read_bytes() == written(tmp_path, "n.ckpt").read_bytes()


def test_a_format_that_webuis_cannot_read_in_a_ckpt_is_refused(tmp_path: Path) -> None:
    tensors = {"a": torch.ones(2, dtype=torch.float16).to(torch.float8_e4m3fn)}
    with pytest.raises(OutputError) as caught:
        write_pickle(tmp_path / "m.ckpt", tensors, {})
    assert caught.value.what == "a .ckpt cannot contain the dtype fp8-e4m3"
    assert caught.value.hint == "save it as .safetensors, or as fp16"
    assert list(tmp_path.iterdir()) == []
