"""Which WebUI this is, by what it has and never by how it calls itself: forks keep names and version words.

A merge is swapped only into the model of a WebUI whose parts the adapter knows, each of them. Anything else
is a WebUI whose model is left alone.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence

from lib_merge.hosts.a1111 import A1111Host
from lib_merge.hosts.webui import NO_LIVE, WebUIHost, part

FORGE = "backend.memory_management"
REFORGE = "ldm_patched.modules.model_management"
A1111 = ("modules.sd_hijack", "modules.lowvram")
USED: Mapping[str, Sequence[str]] = {  # by the adapter of A1111, under `modules`
    "sd_models": (
        "model_data",
        "checkpoints_list",
        "CheckpointInfo",
        "reload_model_weights",
        "get_empty_cond",
        "send_model_to_trash",
    ),
    "sd_vae": ("base_vae", "loaded_vae_file", "checkpoint_info", "delete_base_vae"),
    "sd_unet": ("current_unet",),
    "devices": ("device", "autocast", "torch_gc"),
    "processing": ("StableDiffusionProcessing", "StableDiffusionProcessingTxt2Img"),
    "call_queue": ("queue_lock",),
}
KEPT_MODELS = ("sd_model", "loaded_sd_models", "was_loaded_at_least_once")  # of its model_data
OTHER_MEMORY = (
    "Merge Desk cannot swap merges into the memory of {}, which keeps its model in another way than "
    "AUTOMATIC1111; saving them to files works"
)


def webui_host() -> WebUIHost:
    """The host for the WebUI that this process is."""
    if has(FORGE):
        return WebUIHost("forge", "Forge", OTHER_MEMORY.format("Forge and its kin"))
    if has(REFORGE):
        return WebUIHost("reforge", "reForge", OTHER_MEMORY.format("reForge and its kin"))
    if not all(has(name) for name in A1111):
        return WebUIHost()
    missing = lacking()
    if missing:
        return WebUIHost(refusal=f"{NO_LIVE} (it has no {missing[0]})")
    return A1111Host()


def lacking() -> tuple[str, ...]:
    """What the adapter of A1111 uses and this WebUI does not have."""
    absent = object()
    found = [
        f"{module}.{name}"
        for module, names in USED.items()
        for name in names
        if part(module, name, absent) is absent
    ]
    kept = part("sd_models", "model_data")
    return (*found, *(f"model_data.{name}" for name in KEPT_MODELS if not hasattr(kept, name)))


def has(name: str) -> bool:
    """Whether a module is there, without running it; a package above it that is missing is no error."""
    parts = name.split(".")
    return all(_is_there(".".join(parts[: count + 1])) for count in range(len(parts)))


def _is_there(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):  # what is above it is no package
        return False
