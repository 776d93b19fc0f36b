"""Checkpoints of torch.save: unwrapped, read whole, and never run."""

from __future__ import annotations

import io
import os
import pickle
import random
import sys
import tarfile
import types
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lib_merge.checkpoint import Checkpoint, open_checkpoint, read_header, tensor_bytes
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


# --- pickles that would run code -----------------------------------------------------------------


class Calls:
    """Pickled as a call of any function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def evil_objects(proof: Path) -> dict[str, tuple[object, str]]:
    """Each leaves the file `proof` behind when it is unpickled without care."""
    return {
        "system": (Calls(os.system, f"touch '{proof}'"), f"{os.system.__module__}.system"),
        "eval": (Calls(eval, f"open({str(proof)!r}, 'w')"), "eval"),
        "open": (Calls(open, str(proof), "w"), "io.open"),
        "pathlib": (Calls(Path.touch, proof), "getattr"),
    }


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("kind", list(evil_objects(Path())))
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(
    kind: str, zipped: bool, tmp_path: Path
) -> None:
    proof = tmp_path / "it ran"
    evil, named = evil_objects(proof)[kind]
    path = saved({"state_dict": {"a": torch.ones(1)}, "evil": evil}, tmp_path / "evil.ckpt", zipped=zipped)
    error = refused(path)
    assert not proof.exists()
    assert error.what.startswith("this file is refused, because reading it would run code: it asks for '")
    assert named in error.what
    assert error.hint == "use the .safetensors version of this model"
    # and this is a pickle that does what it says: unpickled carelessly, it leaves its proof
    pickle.loads(pickle.dumps(evil))
    assert proof.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_bare_pickle_is_refused_the_same_way(tmp_path: Path) -> None:
    proof, path = tmp_path / "it ran", tmp_path / "evil.pt"
    for protocol in (2, 3, 4, 5):
        path.write_bytes(pickle.dumps({"a": Calls(os.system, f"touch '{proof}'")}, protocol))
        refused(path)
        assert not proof.exists()


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


# --- what trainers leave behind ------------------------------------------------------------------


def made_up_class(full_name: str, monkeypatch: pytest.MonkeyPatch) -> type:
    """A class that pickles under this name, as Lightning's would if it were installed."""
    module, _, name = full_name.rpartition(".")
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
    made = type(name, (), {"__module__": module})
    setattr(sys.modules[module], name, made)
    return made


needs_stand_ins = pytest.mark.skipif(
    not hasattr(torch.serialization, "safe_globals"),
    reason="this torch cannot permit classes by name (before 2.5)",
)


@needs_stand_ins
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_the_leftovers_of_training_do_not_keep_a_checkpoint_shut(
    zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        callback = made_up_class("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint", patch)
        kept = callback()
        kept.best = {"score": 1}  # an object with a state of its own
        path = saved(
            {
                "state_dict": WEIGHTS,
                "callbacks": {
                    callback: {"best_model_score": torch.tensor(0.1), "current_score": np.float64(0.5)}
                },
                "hyper_parameters": [kept, np.int64(3)],
            },
            tmp_path / "v1-5-pruned.ckpt",
            zipped=zipped,
        )
    with open_checkpoint(path) as checkpoint:
        assert holds_the_weights(checkpoint)
    assert "pytorch_lightning" not in sys.modules


@pytest.mark.skipif(
    hasattr(torch.serialization, "safe_globals"), reason="this torch can set them aside (2.5 on)"
)
def test_an_old_torch_says_that_leftovers_are_not_evil(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        callback = made_up_class("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint", patch)
        path = saved({"state_dict": WEIGHTS, "callbacks": {callback: 1}}, tmp_path / "m.ckpt")
    error = refused(path)
    assert error.what == (
        "this file holds leftovers of training "
        "('pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint') that this torch cannot set aside"
    )
    assert error.hint.endswith("or convert it with torch 2.5 or later")


def test_any_other_class_keeps_it_shut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        other = made_up_class("pytorch_lightning.callbacks.model_checkpoint.Stranger", patch)
        path = saved({"state_dict": WEIGHTS, "callbacks": [other()]}, tmp_path / "m.ckpt")
    assert "'pytorch_lightning.callbacks.model_checkpoint.Stranger'" in refused(path).what


@needs_stand_ins
def test_what_is_permitted_here_is_permitted_to_nobody_else(tmp_path: Path) -> None:
    before = list(torch.serialization.get_safe_globals())
    open_checkpoint(saved(WEIGHTS, tmp_path / "m.ckpt")).close()
    path = tmp_path / "evil.ckpt"
    path.write_bytes(b"\x80\x02nonsense")
    refused(path)
    assert list(torch.serialization.get_safe_globals()) == before


# --- what is no checkpoint -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loaded", "told"),
    [
        ([torch.ones(1)], "this file holds no named tensors, but a list"),
        (torch.ones(1), "this file holds no named tensors, but a Tensor"),
        ({"epoch": 1}, "this file holds no named tensors"),
        ({}, "this file holds no named tensors"),
        ({"string_to_param": {"*": torch.ones(1, 768)}}, "this file holds no named tensors"),
        ({"a": torch.ones(2).to_sparse()}, "'a' is of a kind that cannot be merged: sparse_coo"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "'a' is of a kind that cannot be merged: complex64"),
    ],
)
def test_a_file_without_weights_is_told(loaded: object, told: str, tmp_path: Path) -> None:
    assert refused(saved(loaded, tmp_path / "m.pt")).what == told


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_a_damaged_file_is_told_whatever_is_damaged(zipped: bool, tmp_path: Path) -> None:
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


def test_a_zip_of_something_else_is_told(tmp_path: Path) -> None:
    path = tmp_path / "photos.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", b"picture")
    assert "damaged, or no checkpoint" in refused(path).what
