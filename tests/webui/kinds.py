"""What the tests have to know of each kind of WebUI, which is detected by what an installation has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

COMMON = (
    "--skip-python-version-check --skip-prepare-environment --skip-torch-cuda-test --skip-version-check "
    "--api --no-hashing"
)
OFFLINE = "--disable-nan-check --do-not-download-clip --no-download-sd-model"
ONE_MODEL = "it holds one checkpoint in memory"
NO_MODULES = "it takes no modules in place of a checkpoint's VAE or text encoder"
MODULES = "a VAE of the user's own is a module there, see test_modules"


@dataclass(frozen=True)
class Kind:
    """One kind of WebUI.

    id               as in `status.host`, but that Neo is told apart from Forge
    flags            how it runs on a CPU, beside COMMON
    ways             its flags for each way of holding weights in memory that it has
    checkpoint_flag  names its folder of checkpoints
    loaded           what its log says when it has loaded a checkpoint
    lazy             it loads a chosen checkpoint at the next picture, not at once
    settings         must stand in its config.json before it starts
    fresh            options of a user who has changed none of those that tests change
    hires            what a job with the hires pass has to say there
    page             flags of a page that is opened in a browser; {webui} is its folder
    chooser          the box of its list of checkpoints, as a selector
    lacks            what tests may ask for with the mark `needs`, and why it is not there
    """

    id: str
    title: str
    flags: str
    ways: Mapping[str, str]
    checkpoint_flag: str = "--ckpt-dir"
    loaded: str = "Model loaded in"
    lazy: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)
    fresh: Mapping[str, object] = field(default_factory=dict)
    hires: Mapping[str, object] = field(default_factory=dict)
    page: str = ""
    chooser: str = "#setting_sd_model_checkpoint input"
    lacks: Mapping[str, str] = field(default_factory=dict)


# without --no-half or --precision half A1111 asks for CUDA whatever it runs on
A1111 = Kind(
    "a1111",
    "AUTOMATIC1111's WebUI",
    f"--use-cpu all {OFFLINE}",
    {
        "float32": "--no-half",
        "half": "--precision half",
        "medvram": "--no-half --medvram",
        "lowvram": "--no-half --lowvram",
        "channels_last": "--no-half --opt-channelslast",
    },
    fresh={"sd_checkpoints_limit": 1, "sd_vae": "Automatic"},
    lacks={
        "modules": NO_MODULES,
        "sdxl": "it recognises no narrow SDXL",
        "sd2": "it recognises no narrow SD2",
        "flux": "it has no Flux",
    },
)
# Forge's live previews ask the net for a file; with a data folder of our own its Gradio 4 serves its own
# scripts only where that is allowed
FORGE = Kind(
    "forge",
    "Forge",
    f"--always-cpu {OFFLINE}",
    {"float32": "--all-in-fp32", "fp16": "--unet-in-fp16 --clip-in-fp16", "fp8": "--unet-in-fp8-e4m3fn"},
    lazy=True,
    settings={"live_previews_enable": False},
    fresh={"forge_additional_modules": [], "forge_unet_storage_dtype": "Automatic"},
    hires={"hr_additional_modules": ["Use same choices"]},
    page="--gradio-allowed-path {webui}",
    chooser=".model_selection input >> nth=0",
    lacks={
        "two checkpoints": ONE_MODEL,
        "sd_vae": MODULES,
        "cache_fp16_weight": "this option does nothing there, see test_modules",
        "fp8_storage": "this option does nothing there; the way fp8 has eight bits",
        "infotext": "its API fails on the field infotext, without us too",
    },
)
# without VERSION_UID Neo's start waits for a key to be pressed
NEO = Kind(
    "neo",
    "Forge Neo",
    "--cpu",
    {
        "float32": "--force-fp32",
        "fp16": "--fp16-unet --fp16-text-enc",
        "fp8": "--fp8_e4m3fn-unet --fp32-text-enc",
    },
    checkpoint_flag="--ckpt-dirs",
    lazy=True,
    settings={"live_previews_enable": False, "VERSION_UID": "PY313"},
    fresh=FORGE.fresh,
    hires={**FORGE.hires, "hr_upscaler": "None"},  # without upscaler models it has no other
    page=FORGE.page,
    chooser=FORGE.chooser,
    lacks={
        **FORGE.lacks,
        "sd2": "it has no SD2",
        "memory options": "no option of its API makes it load the checkpoint again",
    },
)
REFORGE = Kind(
    "reforge",
    "reForge",
    f"--always-cpu {OFFLINE}",
    {"float32": "--all-in-fp32"},
    loaded=" loaded in",
    settings=FORGE.settings,
    fresh=A1111.fresh,
    lacks={
        "modules": NO_MODULES,
        "flux": "its names of Flux's parameters were not compared",
        "fp8_storage": "its eight bits are another option's",
        "sd_vae off": "it does not find the checkpoint's own VAE again, without us too",
    },
)
CLASSIC = Kind(
    "classic",
    "Forge Classic",
    "--always-cpu --disable-nan-check --no-download-sd-model",
    {"float32": "--all-in-fp32"},
    settings=FORGE.settings,
    fresh=A1111.fresh,
    lacks={**REFORGE.lacks, "cache_fp16_weight": "it has no such option"},
)


def kind(webui: Path) -> Kind:
    """The kind of an installation. Neo and Classic are Forge and reForge with A1111's own parts taken out."""
    if (webui / "backend/memory_management.py").exists():
        return FORGE if (webui / "modules/sd_hijack.py").exists() else NEO
    if (webui / "ldm_patched/modules/model_management.py").exists():
        return REFORGE if (webui / "modules/lowvram.py").exists() else CLASSIC
    return A1111
