"""A safetensors header: what is read from it, and every lie that it can tell."""

from __future__ import annotations

import json
import os
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.architectures import open_checkpoint, read_header
from lib_merge.checkpoint import AsStored, Header, hash_file, parse_safetensors_header
from lib_merge.dtypes import BY_NAME, F16, F32
from lib_merge.errors import CheckpointError
from tests.support.examples import examples

NOWHERE = Path("model.safetensors")
ONE = {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}
TWO = {"a": ONE, "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}


def as_file(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def parse(raw: bytes) -> Header:
    return parse_safetensors_header(raw, NOWHERE, len(raw), AsStored())


def changed(**values: object) -> bytes:
    return as_file({"a": {**ONE, **values}}, bytes(4))


def test_a_header_tells_dtype_shape_and_absolute_place() -> None:
    raw = as_file({"__metadata__": {"format": "pt"}, **TWO}, bytes(8))
    header = parse(raw)
    assert header.metadata == {"format": "pt"}
    assert header.data_start == len(raw) - 8
    assert header.file_size == len(raw)
    assert {key: (info.dtype, info.shape, info.start) for key, info in header.tensors.items()} == {
        "a": (F16, (2,), len(raw) - 8),
        "b": (F32, (1,), len(raw) - 4),
    }


def test_tensors_are_listed_in_the_order_of_their_bytes() -> None:
    swapped = {"b": TWO["b"], "a": TWO["a"]}
    assert list(parse(as_file(swapped, bytes(8))).tensors) == ["a", "b"]


def test_an_empty_checkpoint_is_a_checkpoint() -> None:
    assert dict(parse(as_file({})).tensors) == {}
    assert parse(as_file({"__metadata__": None})).metadata == {}


def test_padding_after_the_json_is_no_part_of_it() -> None:
    assert list(parse(as_file(json.dumps(TWO).encode() + b"   ", bytes(8))).tensors) == ["a", "b"]


@pytest.mark.parametrize("dtype", list(BY_NAME.values()), ids=list(BY_NAME))
def test_every_known_dtype_is_read(dtype: object) -> None:
    size = dtype.itemsize  # type: ignore[attr-defined]
    entry = {"dtype": dtype.name, "shape": [], "data_offsets": [0, size]}  # type: ignore[attr-defined]
    assert parse(as_file({"a": entry}, bytes(size))).tensors["a"].dtype is dtype


HUGE = 2**62
LIES = {
    "no bytes at all": (b"", "the file is empty"),
    "less than a length": (b"1234567", "cut short: it has 7 bytes"),
    "a length beyond the file": (struct.pack("<Q", 99) + b"{}", "its header takes 99 bytes, the file has 10"),
    "an absurd length": (struct.pack("<Q", HUGE) + b"{}", "its header would take 4.61 EB"),
    "the greatest length": (b"\xff" * 16, "its header would take 18.4 EB"),
    "a length just above the limit": (struct.pack("<Q", 100_000_001) + b"{", "more than the 100 MB"),
    "no header": (struct.pack("<Q", 0), "does not begin with '{'"),
    "a space before the JSON": (as_file(b" {}"), "does not begin with '{'"),
    "broken JSON": (as_file(b'{"a": '), "Expecting value"),
    "a list": (as_file(b"[1]"), "does not begin with '{'"),
    "two texts": (as_file(b"{}{}"), "Extra data"),
    "not utf-8": (as_file(b'{"\xff": 1}'), "utf-8"),
    "utf-16": (as_file('{"a": 1}'.encode("utf-16-le")), "not the JSON of a checkpoint"),
    "NaN": (as_file(b'{"a": NaN}'), "'NaN' is not JSON"),
    "a tower of brackets": (as_file(b'{"a": ' + b"[" * 100_000), "nested too deeply"),
    "a number of 5000 digits": (as_file(b'{"a": ' + b"9" * 5000 + b"}"), "not the JSON of a checkpoint"),
    "one name twice": (as_file(b'{"a": 1, "a": 2}'), "'a' is there twice"),
    "metadata twice": (as_file(b'{"__metadata__": {}, "__metadata__": {}}'), "'__metadata__' is there twice"),
    "metadata that is a list": (as_file({"__metadata__": []}), "metadata is not an object"),
    "metadata that is a number": (as_file({"__metadata__": {"x": 1}}), "a value that is not text under 'x'"),
    "a tensor that is a number": (as_file({"a": 1}), "lacks dtype, shape or data_offsets of 'a'"),
    "no shape": (
        as_file({"a": {"dtype": "F16", "data_offsets": [0, 4]}}, bytes(4)),
        "lacks dtype, shape",
    ),
    "an unknown dtype": (changed(dtype="F5"), "'a' has the unknown dtype 'F5'"),
    "a dtype that is a number": (changed(dtype=16), "unknown dtype '16'"),
    "a dtype that is a list": (changed(dtype=["F16"]), "unknown dtype"),
    "a negative axis": (changed(shape=[-2]), "the shape of 'a' is not a list of non-negative integers"),
    "a broken axis": (changed(shape=[2.0]), "the shape of 'a'"),
    "an axis that is true": (changed(shape=[2, True]), "the shape of 'a'"),
    "a shape that is a number": (changed(shape=2), "the shape of 'a'"),
    "offsets the wrong way round": (changed(data_offsets=[4, 0]), "data_offsets of 'a'"),
    "three offsets": (changed(data_offsets=[0, 4, 8]), "data_offsets of 'a'"),
    "negative offsets": (changed(data_offsets=[-4, 0]), "data_offsets of 'a'"),
    "a shape that says more": (
        changed(shape=[3]),
        "'a' should take 6 bytes (fp16, shape [3]), but its data_offsets span 4",
    ),
    "a dtype that says more": (changed(dtype="F32"), "'a' should take 8 bytes"),
    "a size that overflows": (changed(shape=[HUGE, HUGE]), "exceeds that of any file"),
    "a size that overflows and is nothing": (
        changed(shape=[0, HUGE, HUGE], data_offsets=[0, 0]),
        "exceeds that of any file",
    ),
    "offsets that overflow": (changed(data_offsets=[2**64, 2**64 + 4]), "exceeds that of any file"),
    "a hole at the beginning": (changed(data_offsets=[2, 6]), "2 bytes before 'a' belong to no tensor"),
    "a hole between": (
        as_file({"a": ONE, "b": {**ONE, "data_offsets": [6, 10]}}, bytes(10)),
        "2 bytes before 'b' belong to no tensor",
    ),
    "an overlap": (
        as_file({"a": ONE, "b": {**ONE, "data_offsets": [2, 6]}}, bytes(6)),
        "'a' and 'b' overlap by 2",
    ),
    "the same bytes for two": (as_file({"a": ONE, "b": ONE}, bytes(4)), "'a' and 'b' overlap by 4"),
    "data beyond the file": (as_file({"a": ONE}, bytes(3)), "(1 bytes are missing)"),
    "bytes left over": (as_file({"a": ONE}, bytes(5)), "1 bytes at the end of the file belong to no tensor"),
}


@pytest.mark.parametrize(("raw", "message"), list(LIES.values()), ids=list(LIES))
def test_every_lie_is_named_with_its_place_and_a_way_out(raw: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw)
    with pytest.raises(CheckpointError) as caught:
        read_header(path)
    assert message in caught.value.what
    assert "\n" not in caught.value.what
    assert caught.value.where == str(path)
    assert caught.value.hint


def test_a_file_cut_short_anywhere_is_refused_and_a_longer_one_too() -> None:
    raw = as_file(TWO, bytes(8))
    for size in range(len(raw)):
        with pytest.raises(CheckpointError):
            parse(raw[:size])
    for more in (1, 7, 8, 4096):
        with pytest.raises(CheckpointError, match="belong to no tensor"):
            parse(raw + bytes(more))


VALID = as_file(
    {"__metadata__": {"format": "pt"}, **TWO, "c": {**ONE, "shape": [0, 5], "data_offsets": [8, 8]}}, bytes(8)
)


def read_or_refuse(raw: bytes) -> Header | None:
    """A header or one CheckpointError; any other exception is a defect."""
    try:
        return parse(raw)
    except CheckpointError:
        return None


@examples(400)
@given(st.lists(st.tuples(st.integers(0, len(VALID) - 9), st.integers(0, 255)), min_size=1, max_size=4))
def test_flipped_bytes_give_a_header_that_others_read_too_or_one_error(flips: list[tuple[int, int]]) -> None:
    raw = bytearray(VALID)
    for offset, value in flips:
        raw[offset] = value
    header = read_or_refuse(bytes(raw))
    if header is not None:  # as strict as the package: what passes here, loads there
        theirs = dict(safetensors.deserialize(bytes(raw)))
        assert {key: tuple(entry["shape"]) for key, entry in theirs.items()} == {
            header.stored.get(key, key): info.shape for key, info in header.tensors.items()
        }


@examples(200)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_at_all_give_a_header_or_one_error(raw: bytes, framed: bool) -> None:
    read_or_refuse(as_file(b"{" + raw) if framed else raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@examples(100)
@given(
    st.dictionaries(
        st.text(max_size=5) | st.just("__metadata__"),
        JSON | st.fixed_dictionaries({"dtype": JSON | st.just("F16"), "shape": JSON, "data_offsets": JSON}),
        max_size=3,
    )
)
def test_any_json_at_all_gives_a_header_or_one_error(header: dict[str, object]) -> None:
    read_or_refuse(as_file(header, bytes(8)))


DTYPES = [torch.float16, torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.float8_e5m2]


def zeros(dtype: torch.dtype, shape: list[int]) -> torch.Tensor:
    """Zeros of any format; torch 2.1 cannot fill fp8."""
    return torch.zeros(torch.empty(shape, dtype=dtype).nbytes, dtype=torch.uint8).view(dtype).reshape(shape)


# One tensor at least: of no tensors and some metadata, the package makes a file that it cannot read.
TENSORS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).map(
        lambda name: f"key {name}!"
    ),
    st.builds(zeros, st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=4)),
    min_size=1,
    max_size=5,
)


@examples(100)
@given(
    TENSORS,
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.text(max_size=8)),
)
def test_what_the_safetensors_package_writes_is_read_whole(
    tensors: dict[str, torch.Tensor], metadata: dict[str, str]
) -> None:
    metadata = {name: text.encode("utf-8", "ignore").decode() for name, text in metadata.items()}
    header = parse(safetensors.torch.save(tensors, metadata))
    assert {key: (info.dtype.torch, info.shape) for key, info in header.tensors.items()} == {
        key: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for key, tensor in tensors.items()
    }
    assert header.metadata == metadata


def refused(path: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        read_header(path)
    return caught.value


def test_a_missing_file_is_answered_with_the_names_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "dreamshaper.safetensors").touch()
    error = refused(tmp_path / "dreamshapr.safetensors")
    assert error.what == "there is no such checkpoint"
    assert error.hint == "did you mean 'dreamshaper.safetensors'?"
    assert refused(tmp_path / "no" / "such.safetensors").hint == "check the path and the spelling"
    assert refused(tmp_path / "zero\0byte.safetensors").what == "there is no such checkpoint"


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    assert refused(tmp_path).what == "this is a folder, not a checkpoint"
    (tmp_path / "model_index.json").touch()
    assert refused(tmp_path).what == "this is a Diffusers folder, not a checkpoint"


def test_a_file_below_a_file_and_a_link_to_itself_are_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "a part of its path is a file" in refused(tmp_path / "file" / "model.safetensors").what
    loop = tmp_path / "loop.safetensors"
    loop.symlink_to(loop)
    assert refused(loop).what


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens and cannot be read")
def test_a_disk_that_fails_while_reading_is_reported() -> None:
    assert "the disk failed to read it" in refused(Path("/proc/self/mem")).what


FOREIGN_FILES = {
    "gguf": (b"GGUF\x03\0\0\0" + bytes(40), "this is a GGUF file, whose weights are quantised"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "this is a Git LFS pointer"),
    "html": (b"<!DOCTYPE html><html><head>", "this is a web page"),
    "html later": (b"\n\n <html>" + bytes(30), "this is a web page"),
    "json": (b'{"error":"Unauthorized"}', "this is a server's message in JSON"),
}


@pytest.mark.parametrize(("raw", "message"), list(FOREIGN_FILES.values()), ids=list(FOREIGN_FILES))
def test_what_people_take_for_checkpoints_is_called_by_its_name(
    raw: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw)
    assert refused(path).what.startswith(message)


@pytest.mark.parametrize("length", [0x3C, 0x80, 0x280, 0x7B])
def test_a_length_that_looks_like_another_format_is_still_safetensors(length: int, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(as_file(b"{}".ljust(length)))  # 0x3c is '<', 0x80 and 0x280 begin a pickle, 0x7b is '{'
    assert dict(read_header(path).tensors) == {}


def test_the_kind_is_detected_by_content_not_by_suffix(
    tmp_path: Path, raw_file: Callable[..., bytes]
) -> None:
    disguised = tmp_path / "model.ckpt"
    disguised.write_bytes(raw_file(TWO, bytes(8)))
    assert list(read_header(disguised).tensors) == ["a", "b"]
    pickled = tmp_path / "model.safetensors"
    torch.save({"state_dict": {"a": torch.ones(2)}}, pickled)
    assert list(read_header(pickled).tensors) == ["a"]


def test_a_header_costs_no_more_than_itself(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    size = 1 << 40  # a terabyte, none of it on the disk
    raw = as_file({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}})
    path.write_bytes(raw)
    os.truncate(path, len(raw) + size)
    assert read_header(path).tensors["a"].nbytes == size


@pytest.mark.skipif(os.name != "posix", reason="pipes that have a name are POSIX's")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    for use in (read_header, open_checkpoint, hash_file):
        with pytest.raises(CheckpointError, match="a pipe, a socket or a device"):
            use(tmp_path / "pipe.safetensors")


def test_half_a_character_in_the_header_is_refused_as_others_refuse_it() -> None:
    for header in (
        b'{"__metadata__": {"a": "\\ud83d"}}',
        b'{"__metadata__": {"\\ude00": "b"}}',
        b'{"\\ud83d": {"dtype": "F16", "shape": [0], "data_offsets": [0, 0]}}',
    ):
        with pytest.raises(CheckpointError, match="half of a character"):
            parse(as_file(header))
        with pytest.raises(safetensors.SafetensorError):
            safetensors.deserialize(as_file(header))
    assert parse(as_file(b'{"__metadata__": {"a": "\\ud83d\\ude00"}}')).metadata == {"a": "\U0001f600"}


def test_a_tar_archive_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with tarfile.open(path, "w") as archive:  # as torch.save wrote before 0.2
        for name in ("sys_info", "pickle", "tensors"):
            archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(CheckpointError, match="this is a tar archive, not a checkpoint"):
        read_header(path)
