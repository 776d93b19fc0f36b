"""Tensors straight from the file's pages: right, shared, not copied, and alive as long as needed."""

from __future__ import annotations

import gc
import json
import shutil
import subprocess
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save, save_file

from lib_merge.architectures import open_checkpoint
from lib_merge.checkpoint import tensor_bytes
from lib_merge.dtypes import ALL_DTYPES, to_torch
from lib_merge.errors import CheckpointError
from tests.support.examples import examples

pytestmark = pytest.mark.filterwarnings("error")

STATUS = Path("/proc/self/status")


def is_written(name: str) -> bool:
    """Whether this torch has a dtype, and this safetensors writes it: older ones lack some."""
    try:
        save({"a": torch.empty(1, dtype=getattr(torch, name))})
    except (AttributeError, KeyError):
        return False
    return True


KNOWN_TO_TORCH = [to_torch(dtype) for dtype in ALL_DTYPES if is_written(dtype.torch)]


def drawn(dtype: torch.dtype, shape: list[int], seed: int) -> torch.Tensor:
    """Any bit pattern at all, NaN included; 0 and 1 for bool."""
    size = torch.empty(shape, dtype=dtype).nbytes
    high = 2 if dtype is torch.bool else 256
    raw = torch.randint(0, high, (size,), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return raw.view(dtype).reshape(shape)


TENSORS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(lambda name: f"key {name}!"),
    st.builds(
        drawn,
        st.sampled_from(KNOWN_TO_TORCH),
        st.lists(st.integers(0, 5), max_size=4),
        st.integers(0, 2**32),
    ),
    max_size=6,
)


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    bits = one.dtype == other.dtype and one.shape == other.shape
    return bits and bytes(tensor_bytes(one)) == bytes(tensor_bytes(other))


@examples(60)
@given(TENSORS)
def test_every_tensor_comes_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, torch.Tensor]
) -> None:
    path = tmp_path_factory.mktemp("reader") / "model.safetensors"
    save_file(tensors, path)
    with open_checkpoint(path) as checkpoint:
        assert set(checkpoint.header.tensors) == set(tensors)
        for key, tensor in tensors.items():
            assert same_bits(checkpoint.tensor(key), tensor)
            assert bytes(checkpoint.bytes(key)) == bytes(tensor_bytes(tensor))


def test_data_that_is_not_aligned_is_read_right(tmp_path: Path, raw_file: Callable[..., bytes]) -> None:
    values = torch.tensor([1.5, -2.25, 3e30])
    header = {
        "byte": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "odd": {"dtype": "F32", "shape": [3], "data_offsets": [1, 13]},
        "half": {"dtype": "BF16", "shape": [], "data_offsets": [13, 15]},
    }
    data = b"\7" + values.numpy().tobytes() + tensor_bytes(torch.tensor(0.5, dtype=torch.bfloat16))
    for pad in range(8):  # wherever the data begins
        path = tmp_path / f"{pad}.safetensors"
        path.write_bytes(raw_file(json.dumps(header).encode() + b" " * pad, data))
        checkpoint = open_checkpoint(path)
        assert torch.equal(checkpoint.tensor("odd"), values)
        assert checkpoint.tensor("half").item() == 0.5
        assert all(checkpoint.tensor(key).data_ptr() % 4 == 0 for key in ("odd",))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 64 MB, in 64 tensors of fp16; not to be changed."""
    path = tmp_path_factory.mktemp("reader") / "model.safetensors"
    save_file({f"t{n:02}": torch.full((512, 1024), n, dtype=torch.float16) for n in range(64)}, path)
    return path


def test_a_tensor_is_a_view_of_the_mapping_not_a_copy(model: Path) -> None:
    with open_checkpoint(model) as checkpoint:
        first, again = checkpoint.tensor("t01"), checkpoint.tensor("t01")
        assert first.data_ptr() == again.data_ptr()
        starts = {key: info.start for key, info in checkpoint.header.tensors.items()}
        far = checkpoint.tensor("t40").data_ptr() - first.data_ptr()
        assert far == starts["t40"] - starts["t01"]


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells how much memory is a process's own")
def test_reading_every_tensor_takes_no_memory_of_its_own(model: Path) -> None:
    def own() -> int:
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) * 1024

    with open_checkpoint(model) as checkpoint:
        checkpoint.tensor("t00").float().sum()
        before = own()
        tensors = [checkpoint.tensor(key) for key in checkpoint.header.tensors]
        assert [int(tensor[-1, -1]) for tensor in tensors] == sorted(range(64))
        assert sum(int(tensor.view(torch.uint8).max()) for tensor in tensors) > 0
        assert own() - before < 8 << 20  # of 64 MB read


def test_tensors_outlive_the_checkpoint_and_the_file(model: Path, tmp_path: Path) -> None:
    model = Path(shutil.copy(model, tmp_path))
    checkpoint = open_checkpoint(model)
    tensor, raw = checkpoint.tensor("t42"), checkpoint.bytes("t07")
    checkpoint.close()
    checkpoint.close()
    del checkpoint
    model.unlink()
    gc.collect()
    assert tensor.unique().tolist() == [42]
    assert torch.frombuffer(bytearray(raw), dtype=torch.float16).unique().tolist() == [7]


def test_the_file_cannot_be_changed_through_a_tensor(model: Path) -> None:
    before = model.read_bytes()
    with open_checkpoint(model) as checkpoint:
        checkpoint.tensor("t01").zero_()
        assert checkpoint.bytes("t01").readonly
    assert model.read_bytes() == before


def test_many_threads_may_read_at_once(model: Path) -> None:
    with open_checkpoint(model) as checkpoint, ThreadPoolExecutor(8) as pool:
        keys = [f"t{n:02}" for n in range(64)] * 8
        values = pool.map(lambda key: checkpoint.tensor(key)[0, 0].item(), keys)
        assert list(values) == [int(key[1:]) for key in keys]


def test_names_are_canonical_and_the_names_in_the_file_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "vae.safetensors"
    save_file({"decoder.conv_in.weight": torch.ones(2), "quant_conv.bias": torch.zeros(1)}, path)
    with open_checkpoint(path) as checkpoint:
        assert torch.equal(checkpoint.tensor("first_stage_model.decoder.conv_in.weight"), torch.ones(2))
        assert checkpoint.header.stored["first_stage_model.quant_conv.bias"] == "quant_conv.bias"
        assert checkpoint.header.name == "vae"


def test_an_unknown_key_and_a_closed_checkpoint_are_reported(model: Path) -> None:
    checkpoint = open_checkpoint(model)
    with pytest.raises(CheckpointError, match="model has no tensor 'to1'") as caught:
        checkpoint.tensor("to1")
    assert "did you mean" in caught.value.hint
    checkpoint.close()
    for read in (checkpoint.tensor, checkpoint.bytes):
        with pytest.raises(CheckpointError, match="model is closed already"):
            read("t01")


@pytest.mark.skipif(hasattr(torch, "uint16"), reason="this torch has every dtype (2.3 and later)")
def test_a_dtype_that_this_torch_lacks_is_reported(tmp_path: Path, raw_file: Callable[..., bytes]) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw_file({"a": {"dtype": "U16", "shape": [1], "data_offsets": [0, 2]}}, b"ab"))
    with open_checkpoint(path) as checkpoint:
        assert bytes(checkpoint.bytes("a")) == b"ab"
        with pytest.raises(CheckpointError, match="has no dtype uint16, which 'a' has"):
            checkpoint.tensor("a")


def test_a_broken_file_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(2)}, path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="cut short"):
        open_checkpoint(path)


def test_a_tensors_bytes_are_row_by_row() -> None:
    square = torch.arange(6, dtype=torch.int16).reshape(2, 3)
    assert bytes(tensor_bytes(square.T)) == bytes(tensor_bytes(square.T.contiguous()))
    assert len(tensor_bytes(torch.empty(0, 3))) == 0
    assert len(tensor_bytes(torch.tensor(1.0, dtype=torch.float8_e4m3fn))) == 1
    parameter = torch.nn.Parameter(torch.ones(2))
    assert bytes(tensor_bytes(parameter)) == bytes(tensor_bytes(torch.ones(2)))


STINGY = """
import pathlib, resource, sys, warnings
import torch
from lib_merge.architectures import open_checkpoint
proc = pathlib.Path("/proc/self")
own = next(line for line in (proc / "status").read_text().splitlines() if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (int(own.split()[1]) * 1024 + (64 << 20), -1))
with open_checkpoint(pathlib.Path(sys.argv[1])) as checkpoint:
    print(checkpoint.tensor("a")[-1].item(), checkpoint.tensor("a")[0].item())
    print(next(line.split()[1] for line in (proc / "maps").read_text().splitlines() if sys.argv[1] in line))
"""


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux has a limit on promised memory for one process")
def test_a_system_that_promises_no_memory_still_maps_the_file(
    tmp_path: Path, raw_file: Callable[..., bytes], python: Callable[..., subprocess.Popen[str]]
) -> None:
    path, size = tmp_path / "model.safetensors", 512 << 20  # sparse: none of it on the disk
    path.write_bytes(raw_file({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + size)
    output, errors = python(STINGY, path).communicate(timeout=280)
    assert (output, errors) == ("0 0\nr--s\n", "")  # shared and read-only, not rw-p


def test_no_warning_is_heard(model: Path) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with open_checkpoint(model) as checkpoint:
            for key in checkpoint.header.tensors:
                checkpoint.tensor(key)
    assert heard == []


def test_ours_and_theirs_agree_on_a_file(model: Path) -> None:
    theirs = load_file(model)
    with open_checkpoint(model) as checkpoint:
        assert all(same_bits(checkpoint.tensor(key), tensor) for key, tensor in theirs.items())
