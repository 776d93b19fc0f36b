"""Checkpoints for a real WebUI, and the WebUI itself, started once for each way of running it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from samples.assemble import assemble
from tests.webui.kinds import kind
from tests.webui.server import WebUI, calculates_in_half

MERGES = ("mix", "mixvae", "again", "text")  # names that tests save under; each needs a YAML beside it
VAE = "first_stage_model."
TEXT = "cond_stage_model.transformer.text_model."


def installation() -> Path:
    """The folder that WEBUI_DIR names."""
    folder = os.environ.get("WEBUI_DIR")
    if not folder or not (Path(folder) / "launch.py").exists():
        pytest.skip("set WEBUI_DIR to an installation of a WebUI")
    return Path(folder).resolve()


@pytest.hookimpl(tryfirst=True)  # before a fixture starts a WebUI for nothing
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test with the mark `needs` where the kind of WebUI lacks what it names."""
    for mark in item.iter_markers("needs"):
        host = kind(installation())
        for part in mark.args:
            if part in host.lacks:
                pytest.skip(f"{host.title}: {host.lacks[part]}")


@pytest.fixture(scope="session")
def webui() -> Path:
    """The installation that the tests run in."""
    return installation()


@pytest.fixture(scope="session")
def stage(webui: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the WebUI's data, with checkpoints and all else that tests use."""
    folder = tmp_path_factory.mktemp("webui")
    set_stage(folder)
    return folder


def set_stage(folder: Path) -> None:
    """Writes the samples, one with its own text encoder and VAE, a LoRA, a VAE, a broken one."""
    made = assemble(folder / "checkpoints")
    for name in (*MERGES, "brush", "bad"):
        shutil.copy(made["ink"].with_suffix(".yaml"), folder / "checkpoints" / f"{name}.yaml")
    (folder / "data/models/Lora").mkdir(parents=True)
    (folder / "data/models/VAE").mkdir(parents=True)
    (folder / "data/tmp").mkdir()  # Neo's launcher, which is skipped, makes it
    pastel = load_file(made["pastel"])
    save_file(brush(pastel), folder / "checkpoints/brush.safetensors")
    save_file(broken(pastel), folder / "checkpoints/bad.safetensors")
    save_file(lora(pastel), folder / "data/models/Lora/tiny.safetensors")
    save_file(vae(pastel), folder / "data/models/VAE/grey.safetensors")


Tensors = dict[str, torch.Tensor]


def brush(pastel: Tensors) -> Tensors:
    """Another text encoder and another VAE, which the samples have in common."""
    random = torch.Generator().manual_seed(5)

    def moved(tensor: torch.Tensor, amount: float) -> torch.Tensor:
        noise = torch.randn(tensor.shape, generator=random)
        return (tensor.float() * (1 + amount * noise)).to(tensor.dtype)

    made = dict(pastel)
    for name, tensor in pastel.items():
        if name.startswith(TEXT) and tensor.is_floating_point():
            made[name] = moved(tensor, 0.2)
        if name.startswith(f"{VAE}decoder."):
            made[name] = moved(tensor, 0.02)
    return made


def broken(pastel: Tensors) -> Tensors:
    """NaN in the last block that is written."""
    name = "model.diffusion_model.output_blocks.11.0.in_layers.2.weight"
    return {**pastel, name: torch.full_like(pastel[name], float("nan"))}


def vae(pastel: Tensors) -> Tensors:
    """A VAE of the user's own: pictures come out darker."""
    own = {name.removeprefix(VAE): tensor for name, tensor in pastel.items() if name.startswith(VAE)}
    own["decoder.conv_out.bias"] = own["decoder.conv_out.bias"] - 0.3
    return own


def lora(pastel: Tensors) -> Tensors:
    """A LoRA on linear layers, a convolution and the text encoder."""
    unet = "model.diffusion_model."
    layers = {
        "lora_unet_down_blocks_0_resnets_0_conv1": f"{unet}input_blocks.1.0.in_layers.2",
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q": (
            f"{unet}input_blocks.1.1.transformer_blocks.0.attn1.to_q"
        ),
        "lora_unet_up_blocks_3_attentions_2_transformer_blocks_0_attn2_to_v": (
            f"{unet}output_blocks.11.1.transformer_blocks.0.attn2.to_v"
        ),
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj": f"{TEXT}encoder.layers.0.self_attn.q_proj",
    }
    random = torch.Generator().manual_seed(6)
    made: Tensors = {}
    for name, layer in layers.items():
        weight = pastel[f"{layer}.weight"]
        side = weight.shape[2:] or ()
        down = torch.randn((2, weight.shape[1], *side), generator=random)
        up = torch.randn((weight.shape[0], 2, *(1 for _ in side)), generator=random)
        made[f"{name}.lora_down.weight"] = (down / 4).half()
        made[f"{name}.lora_up.weight"] = (up / 4).half()
        made[f"{name}.alpha"] = torch.tensor(2.0)
    return made


@pytest.fixture(scope="module")
def way() -> str:
    """How the WebUI of this module is run; modules override it."""
    return "float32"


@pytest.fixture(scope="module")
def server(webui: Path, stage: Path, way: str) -> Iterator[WebUI]:
    """A running WebUI."""
    host = kind(webui)
    if way not in host.ways:
        pytest.skip(f"{host.title} has no way {way}")
    if way == "half" and not calculates_in_half(webui):
        pytest.skip("the WebUI's torch does not calculate in fp16 on a CPU")
    with WebUI(webui, stage, way) as running:
        if way == "half":  # a CPU takes most of a minute for the VAE of a larger one
            running.drawing |= {"width": 64, "height": 64, "steps": 3}
        yield running


@pytest.fixture
def ui(server: WebUI) -> WebUI:
    """The running WebUI as a fresh user finds it: ink is loaded, nothing merged."""
    server.fresh()
    server.options(samples_save=False)
    return server
