"""Checkpoints of torch.save: unwrapped, read whole, and never run."""

from __future__ import annotations

import io
import os
import pickle
import random
import subprocess
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lib_merge.architectures import open_checkpoint, read_header
from lib_merge.checkpoint import Checkpoint, tensor_bytes
from lib_merge.dtypes import BF16, F16, F32, I64
from lib_merge.errors import CheckpointError

pytestmark = pytest.mark.filterwarnings("error:::lib_merge")

CLIP = "cond_stage_model.transformer."
WEIGHTS = {
    "model.diffusion_model.out.2.bias": torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float16),
    "first_stage_model.quant_conv.weight": torch.arange(12.0).reshape(3, 4).T,
    f"{CLIP}embeddings.position_ids": torch.arange(77).unsqueeze(0),
    "model_ema.decay": torch.tensor(0.9999),
    "nothing": torch.empty(0, 3, dtype=torch.bfloat16),
}


def saved(loaded: object, path: Path, *, zipped: bool = True) -> Path:
    torch.save(loaded, path, _use_new_zipfile_serialization=zipped)
    return path


def refused(path: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(path)
    assert caught.value.where == str(path)
    assert caught.value.hint
    return caught.value


def holds_the_weights(checkpoint: Checkpoint) -> bool:
    expected = dict(WEIGHTS)
    expected[f"{CLIP}text_model.embeddings.position_ids"] = expected.pop(f"{CLIP}embeddings.position_ids")
    return set(checkpoint.header.tensors) == set(expected) and all(
        torch.equal(checkpoint.tensor(key), tensor)
        and bytes(checkpoint.bytes(key)) == bytes(tensor_bytes(tensor))
        and checkpoint.header.tensors[key].shape == tuple(tensor.shape)
        for key, tensor in expected.items()
    )


WRAPPINGS: dict[str, Callable[[dict[str, torch.Tensor]], object]] = {
    "flat": lambda weights: weights,
    "state_dict": lambda weights: {"epoch": 3, "global_step": 100, "state_dict": weights},
    "twice": lambda weights: {"state_dict": {"state_dict": weights, "epoch": 3}},
    "model": lambda weights: {"model": weights, "optimizer": {"param_groups": [{"lr": 1e-4}]}},
    "with leftovers": lambda weights: {
        "state_dict": {**weights, "state_dict": {}, "note": "text", 7: torch.ones(1)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}}],
        "lr_schedulers": [],
    },
    "deepspeed": lambda weights: {"module": weights, "ds_version": "0.9"},
    "model_state_dict": lambda weights: {"model_state_dict": weights, "epoch": 1},
    "params": lambda weights: {"params": weights},
    "parameters": lambda weights: {
        key: torch.nn.Parameter(tensor) if tensor.is_floating_point() else tensor
        for key, tensor in weights.items()
    },
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("wrap", list(WRAPPINGS.values()), ids=list(WRAPPINGS))
def test_the_weights_are_found_in_every_wrapping(
    wrap: Callable[[dict[str, torch.Tensor]], object], zipped: bool, tmp_path: Path
) -> None:
    path = saved(wrap(WEIGHTS), tmp_path / "model.ckpt", zipped=zipped)
    with open_checkpoint(path) as checkpoint:
        assert holds_the_weights(checkpoint)
        assert not any(checkpoint.tensor(key).requires_grad for key in checkpoint.header.tensors)


def test_a_header_is_made_from_the_tensors(tmp_path: Path) -> None:
    path = saved({"state_dict": WEIGHTS}, tmp_path / "old model.ckpt")
    header = read_header(path)
    assert {key: (info.dtype, info.shape) for key, info in header.tensors.items()} == {
        "model.diffusion_model.out.2.bias": (F16, (4,)),
        "first_stage_model.quant_conv.weight": (F32, (4, 3)),
        f"{CLIP}text_model.embeddings.position_ids": (I64, (1, 77)),
        "model_ema.decay": (F32, ()),
        "nothing": (BF16, (0, 3)),
    }
    assert header.stored == {f"{CLIP}text_model.embeddings.position_ids": f"{CLIP}embeddings.position_ids"}
    assert (header.name, header.metadata, header.file_size) == ("old model", {}, path.stat().st_size)


def test_any_ending_will_do(tmp_path: Path) -> None:
    for ending in (".ckpt", ".pt", ".pth", ".bin", ".safetensors", ""):
        for zipped in (True, False):
            with open_checkpoint(saved(WEIGHTS, tmp_path / f"model{ending}", zipped=zipped)) as checkpoint:
                assert holds_the_weights(checkpoint)


def test_tied_and_strided_tensors_come_back_whole(tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    path = saved({"base": base, "rows": base[1:3], "columns": base[:, ::2], "same": base}, tmp_path / "m.pt")
    with open_checkpoint(path) as checkpoint:
        assert torch.equal(checkpoint.tensor("columns"), base[:, ::2])
        assert bytes(checkpoint.bytes("columns")) == bytes(tensor_bytes(base[:, ::2].contiguous()))
        assert torch.equal(checkpoint.tensor("rows"), base[1:3])


def test_a_closed_checkpoint_gives_nothing_more(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(saved(WEIGHTS, tmp_path / "m.ckpt"))
    kept = checkpoint.tensor("model_ema.decay")
    checkpoint.close()
    with pytest.raises(CheckpointError, match="closed already"):
        checkpoint.tensor("model_ema.decay")
    assert kept.item() == pytest.approx(0.9999)


# --- programs in disguise ------------------------------------------------------------------------


def test_a_torchscript_program_is_not_handed_to_torch(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/constants.pkl", pickle.dumps(()))
    assert refused(path).what == "this is a TorchScript program, not a checkpoint"


def test_a_tar_in_a_pickles_clothes_is_not_handed_to_torch(tmp_path: Path) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("\x80\x02storages"))
    assert plain.getvalue().startswith(b"\x80\x02")
    for name in ("model.pt", "model.safetensors"):
        path = tmp_path / name
        path.write_bytes(plain.getvalue())
        assert refused(path).what == "this is a tar archive, not a checkpoint"
        with zipfile.ZipFile(path, "a") as archive:  # and a zip at its end
            archive.writestr("archive/data.pkl", pickle.dumps({}))
        assert refused(path).what == "this is a tar archive, not a checkpoint"


# --- what is no checkpoint -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        ([torch.ones(1)], "this file contains no named tensors, but a list"),
        (torch.ones(1), "this file contains no named tensors, but a Tensor"),
        ({"epoch": 1}, "this file contains no named tensors"),
        ({}, "this file contains no named tensors"),
        ({"string_to_param": {"*": torch.ones(1, 768)}}, "this file contains no named tensors"),
        ({"a": torch.ones(2).to_sparse()}, "'a' is of a kind that cannot be merged: sparse_coo"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "'a' is of a kind that cannot be merged: complex64"),
        ({"a": torch.empty(2, device="meta")}, "'a' is of a kind that cannot be merged: meta"),
        ({"a": np.ones(2)}, "this file contains no named tensors (it contains NumPy arrays)"),
    ],
)
def test_a_file_without_weights_is_reported(loaded: object, message: str, tmp_path: Path) -> None:
    assert refused(saved(loaded, tmp_path / "m.pt")).what == message


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested", "ignore:torch.quantize_per_tensor")
def nested() -> torch.Tensor:
    """A tensor of tensors of several lengths."""
    return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


def saves_nested() -> bool:
    """Whether this torch can save such a tensor at all: 2.1 cannot."""
    try:
        torch.save(nested(), io.BytesIO())
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        pytest.param(
            nested, "nested", marks=pytest.mark.skipif(not saves_nested(), reason="this torch saves none")
        ),
        (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8), "quantised"),
    ],
    ids=["nested", "quantised"],
)
def test_nested_and_quantised_tensors_are_reported(
    make: Callable[[], torch.Tensor], kind: str, tmp_path: Path
) -> None:
    path = saved({"a": make()}, tmp_path / "m.pt")
    assert refused(path).what == f"'a' is of a kind that cannot be merged: {kind}"


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_a_damaged_file_is_reported_whatever_is_damaged(zipped: bool, tmp_path: Path) -> None:
    path = saved(WEIGHTS, tmp_path / "m.ckpt", zipped=zipped)
    raw = path.read_bytes()
    for part in (10, len(raw) // 3, len(raw) - 30):
        path.write_bytes(raw[:part])
        assert "damaged" in refused(path).what
    chance = random.Random(7)
    for _ in range(60):
        spoiled = bytearray(raw)
        for _ in range(3):
            spoiled[chance.randrange(len(raw))] = chance.randrange(256)
        path.write_bytes(spoiled)
        try:
            open_checkpoint(path).close()
        except CheckpointError:
            continue


@pytest.mark.parametrize("raw", [b"\x80\x02nonsense", b"\x80\x04\x95"])
def test_torchs_advice_to_read_it_all_the_same_is_not_passed_on(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "junk.ckpt"
    path.write_bytes(raw)
    what = refused(path).what
    assert what.startswith("this file is damaged or not a checkpoint: ")
    assert "weights_only" not in what


def test_a_zip_of_something_else_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "photos.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", b"picture")
    message = "this is a zip, but not a checkpoint: it must contain one data.pkl, and has none"
    assert refused(path).what == message


def remade(
    path: Path, change: Callable[[str, bytes], tuple[str, bytes] | None], *, packed: bool = False
) -> Path:
    """The zip with its records changed, or left out, one by one."""
    with zipfile.ZipFile(path) as archive:
        records = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, raw in records:
            record = change(name, raw)
            if record:
                archive.writestr(*record)
    return path


@pytest.mark.parametrize("version", [b"0", b"11", b"3.1", b"", b"9" * 30, b"9" * 5000, b"\xb2"])
def test_a_zip_of_an_unknown_version_is_reported(version: bytes, tmp_path: Path) -> None:
    path = saved(WEIGHTS, tmp_path / "m.ckpt")
    remade(path, lambda name, raw: (name, version if name.endswith("/version") else raw))
    assert "version" in refused(path).what


def test_a_zip_without_notes_is_read(tmp_path: Path) -> None:
    path = saved(WEIGHTS, tmp_path / "m.ckpt")
    remade(path, lambda name, raw: (name, raw) if "/data" in name else None)
    with open_checkpoint(path) as checkpoint:
        assert holds_the_weights(checkpoint)


def test_a_zip_that_was_packed_again_is_reported_and_how_to_mend_it(tmp_path: Path) -> None:
    path = remade(saved(WEIGHTS, tmp_path / "m.ckpt"), lambda name, raw: (name, raw), packed=True)
    error = refused(path)
    assert error.what == "this zip is packed: its tensors are compressed or encrypted"
    assert "zip -0" in error.hint


def test_other_orders_of_bytes_and_two_pickles_are_reported(tmp_path: Path) -> None:
    path = saved(WEIGHTS, tmp_path / "m.ckpt")
    remade(path, lambda name, raw: (name, b"big" if name.endswith("/byteorder") else raw))
    assert "on a big-endian machine" in refused(path).what
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", b"N.")
    assert "and has 2" in refused(path).what


class Odd:
    """Pickled as an OrderedDict of the weights that is given attributes."""

    def __init__(self, attributes: dict[str, int]) -> None:
        self.attributes = attributes

    def __reduce__(self) -> tuple[object, ...]:
        return OrderedDict, (), self.attributes, None, iter(WEIGHTS.items())


def test_a_dictionary_whose_items_are_overwritten_is_read(tmp_path: Path) -> None:
    odd = Odd(dict.fromkeys(("items", "keys", "get", "_metadata", "__class__"), 5))
    for zipped in (True, False):
        with open_checkpoint(saved({"state_dict": odd}, tmp_path / "m.ckpt", zipped=zipped)) as checkpoint:
            assert holds_the_weights(checkpoint)


def test_a_tensor_that_repeats_one_number_beyond_all_bounds_is_refused(tmp_path: Path) -> None:
    path = saved({"a": torch.ones(1).expand(1 << 20, 1 << 20)}, tmp_path / "m.ckpt")
    assert "would take more than the file itself" in refused(path).what
    with open_checkpoint(saved({"a": torch.ones(1).expand(4, 5)}, path)) as checkpoint:
        assert torch.equal(checkpoint.tensor("a"), torch.ones(4, 5))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_a_header_is_read_without_torch(
    zipped: bool, tmp_path: Path, python: Callable[..., subprocess.Popen[str]]
) -> None:
    lines = (
        "import sys; from pathlib import Path; from lib_merge.architectures import read_header\n"
        "print(len(read_header(Path(sys.argv[1])).tensors), 'torch' in sys.modules)"
    )
    process = python(lines, saved(WEIGHTS, tmp_path / "m.ckpt", zipped=zipped))
    out, err = process.communicate(timeout=280)
    assert (out, err) == (f"{len(WEIGHTS)} False\n", "")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_a_file_that_is_cut_short_while_it_is_open_is_reported(zipped: bool, tmp_path: Path) -> None:
    path = saved({"a": torch.ones(100_000)}, tmp_path / "m.ckpt", zipped=zipped)
    checkpoint = open_checkpoint(path)
    os.truncate(path, 5000)
    for use in (checkpoint.check_size, lambda: checkpoint.tensor("a"), lambda: checkpoint.bytes("a")):
        with pytest.raises(CheckpointError, match="changed while it was in use"):
            use()
