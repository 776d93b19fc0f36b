"""The writer of test files: that what it writes is what the tests believe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from lib_merge.architectures import FAMILIES, family_by_id
from tests.support.full_size import tiny_shapes, write_file, write_tiny

IDS = "cond_stage_model.transformer.text_model.embeddings.position_ids"


def load(path: Path) -> dict[str, torch.Tensor]:
    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no mapping)


@pytest.mark.parametrize("family", [family.id for family in FAMILIES])
def test_a_tiny_file_has_every_key_of_a_real_one(family: str, tmp_path: Path) -> None:
    tensors = load(write_tiny(tmp_path / "tiny.safetensors", family))
    assert tensors.keys() == family_by_id(family).shapes.keys()
    assert sum(tensor.numel() for tensor in tensors.values()) < 400_000


def test_position_ids_are_integers_in_order(tmp_path: Path) -> None:
    tensors = load(write_tiny(tmp_path / "tiny.safetensors"))
    assert torch.equal(tensors[IDS], torch.arange(77)[None])


def test_no_two_keys_and_no_two_seeds_are_alike(tmp_path: Path) -> None:
    one, two = (load(write_tiny(tmp_path / f"{seed}.safetensors", seed=seed)) for seed in (1, 2))
    pieces = [t.numpy().tobytes() for tensors in (one, two) for key, t in tensors.items() if key != IDS]
    assert len({piece for piece in pieces if len(piece) > 4}) == sum(len(piece) > 4 for piece in pieces)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    one, two = (write_tiny(tmp_path / f"{name}.safetensors", seed=7, ema=True) for name in "ab")
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32"])
def test_a_near_file_differs_by_a_little_noise(dtype: str, tmp_path: Path) -> None:
    key = "model.diffusion_model.time_embed.2.weight"
    shapes = {key: (300, 300)}
    family = family_by_id("sd1")
    older = write_file(tmp_path / "a.safetensors", shapes, family, dtype=dtype)
    newer = write_file(
        tmp_path / "b.safetensors", shapes, family, dtype=dtype, seed=1, near=older, scale=0.003
    )
    a, b = load(older)[key].float(), load(newer)[key].float()
    assert a.std().item() == pytest.approx(0.03, rel=0.05)
    assert (b - a).std().item() == pytest.approx(0.003, rel=0.1)


def test_a_tensor_larger_than_the_pool_does_not_repeat_itself(tmp_path: Path) -> None:
    key = "model.diffusion_model.time_embed.2.weight"
    values = load(write_file(tmp_path / "a.safetensors", {key: (4_500_000,)}, family_by_id("sd1")))[key]
    assert not torch.equal(values[4_000_003:], values[: 4_500_000 - 4_000_003])
    assert values.count_nonzero() > 4_400_000


def test_files_can_be_made_wrong_on_purpose(tmp_path: Path) -> None:
    out = "model.diffusion_model.out.2.bias"
    path = write_tiny(
        tmp_path / "odd.safetensors",
        parts=("unet", "vae"),
        without=("first_stage_model.encoder.",),
        extra={"strange.weight": (2, 2)},
        misshape={out: (9,)},
        schedule=True,
        metadata={"modelspec.prediction_type": "v"},
    )
    tensors = load(path)
    assert tensors["strange.weight"].shape == (2, 2)
    assert tensors[out].shape == (9,)
    assert "betas" in tensors
    assert not any(key.startswith(("cond_stage_model.", "first_stage_model.encoder.")) for key in tensors)
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"modelspec.prediction_type": "v"}


def test_averages_have_the_shapes_of_their_weights() -> None:
    shapes = tiny_shapes("sd1", ema=True)
    assert sum(key.startswith("model_ema.") for key in shapes) == 688
    assert (
        shapes["model_ema.diffusion_modelinput_blocks00weight"]
        == shapes["model.diffusion_model.input_blocks.0.0.weight"]
    )


def test_the_command_line_says_what_it_takes() -> None:
    script = Path(__file__).parents[2] / "support" / "full_size.py"
    shown = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, check=True
    )
    assert "--near" in shown.stdout


def test_the_package_is_read_without_torch() -> None:
    code = "import sys, lib_merge.architectures as a; a.identify; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
