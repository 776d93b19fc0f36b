"""Forge and Neo: loading, state and limits; `hosts.forge_model` writes merges into their model.

They load a checkpoint when the next picture is drawn: selecting one changes `forge_loading_parameters` only.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from lib_merge.architectures import read_header
from lib_merge.architectures.keys import (
    COMFY_TEXT_PREFIX,
    T5_MODULE_KEY,
    T5_PREFIX,
    TEXT_PREFIXES,
    VAE_DECODER_CONV_IN,
    VAE_PREFIXES,
)
from lib_merge.architectures.openclip import text_encoder_widths
from lib_merge.errors import MergeError
from lib_merge.hosts.engines import FLUX_ENGINE, UNET_ENGINES, text_encoders_of
from lib_merge.hosts.forge_model import ForgeModel
from lib_merge.hosts.host import ListedFile
from lib_merge.hosts.live_webui import CHECKPOINT_OPTION, LOADED_HALF_WAY, WebUIModel
from lib_merge.hosts.patcher_webui import PatcherWebUI
from lib_merge.hosts.pinned import info_of
from lib_merge.hosts.webui import listed_files
from lib_merge.hosts.webui_jobs import job_state
from lib_merge.hosts.webui_modules import host_module

# the width of a module's text encoder, by which the host tells which of the model's it replaces
# (backend/loader.py, replace_state_dict)
ENCODER_WIDTHS = (768, 1024, 1280)


class ForgeHost(PatcherWebUI):
    """Forge, Neo and other WebUIs with Forge's `backend.memory_management`."""

    own_modules = ("backend.memory_management",)
    engines = (*UNET_ENGINES, FLUX_ENGINE)
    used: ClassVar[Mapping[str, Sequence[str]]] = {
        "sd_models": (
            "model_data",
            "checkpoints_list",
            "checkpoint_aliases",
            "CheckpointInfo",
            "forge_model_reload",
        ),
        "devices": ("device", "torch_gc"),
        "processing": ("StableDiffusionProcessing", "StableDiffusionProcessingTxt2Img"),
    }

    def __init__(self) -> None:
        super().__init__("forge", "Forge")

    # --- the model ---

    def live_model(self, model: Any) -> WebUIModel:
        """See hosts.forge_model."""
        return ForgeModel(self, model, tuple(_foreign_prefixes(model)))

    def next_checkpoint(self, model: Any) -> ListedFile | None:
        """The selected checkpoint, where another one is in memory, or none."""
        info = host_module("sd_models").checkpoint_aliases.get(self.option(CHECKPOINT_OPTION, None))
        if info is None or (model is not None and Path(info.filename) == self.file_of(model)):
            return None
        return self.listed_file(Path(info.filename))

    # --- loading ---

    def ensure_loaded(self) -> None:
        """Load the selected checkpoint now, as the host does before each picture."""
        models = host_module("sd_models")
        data = models.model_data
        if data.sd_model is None:  # a load failed: Forge would take the hash of the one before for loaded
            data.forge_hash = ""
        with self.loading():
            if not data.forge_loading_parameters:
                main_entry().refresh_model_loading_parameters()
            models.forge_model_reload()

    def load(self, checkpoint: ListedFile | None = None) -> None:
        """Load from the file, by default the one in memory again."""
        path, models = self.file_to_load(checkpoint), host_module("sd_models")
        data = models.model_data
        data.forge_loading_parameters = {**data.forge_loading_parameters, "checkpoint_info": info_of(path)}
        data.forge_hash = ""
        models.forge_model_reload()

    def separate_checkpoints(self, p: Any) -> None:
        """The host finds a refiner's and a hires pass's checkpoint by a title: another title, which only its
        table of aliases has, leads to a copy of the info. The title differs by a space at its end, so that
        infotexts name the checkpoint.
        """
        if self.option("refiner_fast_sd", False) and getattr(p, "refiner_checkpoint_info", None):
            self.forget_weights()  # Neo will write the refiner into the U-Net, and then the checkpoint's file
        aliases = host_module("sd_models").checkpoint_aliases
        for attribute in LOADED_HALF_WAY:
            info = getattr(p, attribute, None)
            other = self.another_copy(info)
            if info is None or other is info:
                continue
            other.short_title = f"{info.short_title} "
            aliases[other.short_title] = other
            setattr(p, attribute, other)
            if attribute == "hr_checkpoint_info":
                p.hr_checkpoint_name = other.short_title

    # --- lists and page ---

    def vaes(self) -> Sequence[ListedFile]:
        """Its list *VAE / Text Encoder*, without the folders of text encoders."""
        listed = getattr(main_entry(), "module_list", None)
        if not listed:
            return super().vaes()
        files = ((str(name), Path(path)) for name, path in listed.items())
        return listed_files((name, path) for name, path in files if "text_encoder" not in path.parts)

    def on_checkpoint_option(self, then: Callable[[], None]) -> Callable[[], None]:
        """Call `then` outside of jobs only: a job sets the option too, for its own checkpoint, its refiner
        and its hires pass, and sets it back.
        """
        return super().on_checkpoint_option(lambda: None if getattr(job_state(), "job", "") else then())

    def checkpoint_list(self, component: Any, name: str) -> Any:
        """In Forge the list has no id; the button behind it has."""
        return main_entry().ui_checkpoint if name == "forge_refresh_checkpoint" else None


def main_entry() -> Any:
    """The module of the host that selects checkpoints."""
    return importlib.import_module("modules_forge.main_entry")


def _foreign_prefixes(model: Any) -> Iterator[str]:
    """Prefixes of the keys whose places the user's own modules have taken, which nothing marks in memory."""
    parameters = host_module("sd_models").model_data.forge_loading_parameters
    for name in parameters.get("additional_modules") or ():
        try:
            tensors = read_header(Path(name)).tensors
        except MergeError:  # of any part: the host reads more formats
            yield from (*VAE_PREFIXES, *TEXT_PREFIXES, COMFY_TEXT_PREFIX)
            continue
        if any(key.endswith(VAE_DECODER_CONV_IN) for key in tensors):
            yield from VAE_PREFIXES
        if T5_MODULE_KEY in tensors:
            yield T5_PREFIX
        widths = text_encoder_widths(tensors)
        for prefix, encoder in text_encoders_of(model):
            if prefix == T5_PREFIX:
                continue
            width = encoder.transformer.text_model.final_layer_norm.weight.shape[0]
            if width in widths and width in ENCODER_WIDTHS:
                yield prefix
