"""AUTOMATIC1111's WebUI: loading, state and limits; `hosts.a1111_model` writes merges into its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from lib_merge.hosts.a1111_model import A1111Model, parameters_of
from lib_merge.hosts.host import HostError, ListedFile
from lib_merge.hosts.live_webui import LiveWebUI, WebUIModel, load_selected, quantised_reason
from lib_merge.hosts.pinned import info_of, pinned_of
from lib_merge.hosts.webui_modules import host_module, part

KEPT_MODELS = ("sd_model", "loaded_sd_models", "was_loaded_at_least_once")  # of its model_data


class A1111Host(LiveWebUI):
    """A1111 1.10, and forks that keep its model code (ux)."""

    own_modules = ("modules.sd_hijack", "modules.lowvram")
    used: ClassVar[Mapping[str, Sequence[str]]] = {
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

    def __init__(self) -> None:
        super().__init__("a1111", "AUTOMATIC1111")

    @classmethod
    def missing(cls) -> Sequence[str]:
        """Also what it uses of the host's table of models."""
        model_data = part("sd_models", "model_data")
        lost = (f"model_data.{name}" for name in KEPT_MODELS if not hasattr(model_data, name))
        return [*super().missing(), *lost]

    def ensure_loaded(self) -> None:
        """Load the selected checkpoint, as the host does before each picture.

        A refiner may be in memory, or no model at all.

        After a failed load the host would not load again, because the unfinished model already has the name
        of the selected checkpoint; this method does.
        """
        with self.loading():
            load_selected()
            model = self.model_in_memory()
            if model is not None and not self.is_complete(model):
                self.load()
        if model is None:  # the host has kept the reason for its console
            raise HostError("the WebUI could not load its checkpoint", hint=self.another_checkpoint())

    def release_unused(self) -> None:
        """Remove merges that are no longer used from the host's list of resident models, where no file name
        would find them.
        """
        models = host_module("sd_models")
        for model in list(models.model_data.loaded_sd_models):
            if model is not models.model_data.sd_model and pinned_of(model):
                models.model_data.loaded_sd_models.remove(model)
                models.send_model_to_trash(model)

    def load(self, checkpoint: ListedFile | None = None) -> None:
        """Load from the file; the merge is unpinned first, or a host with several resident models would keep
        it.
        """
        path, model = self.file_to_load(checkpoint), self.model_in_memory()
        if pinned := pinned_of(model):
            model.sd_checkpoint_info = pinned.origin
        again = model is not None and path == self.file_of(model)
        host_module("sd_models").reload_model_weights(info=info_of(path), forced_reload=again)

    def model_in_memory(self) -> Any:
        """The host's model, or None; unlike `shared.sd_model` this never loads one."""
        return host_module("sd_models").model_data.sd_model

    def file_of(self, model: Any) -> Path | None:
        """By an attribute that the host sets when a load begins."""
        name = getattr(model, "sd_model_checkpoint", None)
        return Path(name) if name else None

    def live_model(self, model: Any) -> WebUIModel:
        """See hosts.a1111_model."""
        return A1111Model(self, model)

    def is_complete(self, model: Any) -> bool:
        """Whether the last load finished; a failed load leaves the model out of the host's list."""
        return model in host_module("sd_models").model_data.loaded_sd_models and _hijacked(model)

    def state_reason(self, model: Any) -> str:
        """Another U-Net, another architecture, an unfinished load, another device."""
        unet = host_module("sd_unet").current_unet
        if unet is not None:
            return f"another U-Net ({unet.option.label}) replaces the model's, so a merge has no effect"
        if getattr(model, "is_sd3", False) or not hasattr(model.model, "diffusion_model"):
            return "models of this architecture are not merged in memory"
        if not self.is_complete(model):
            return (
                "the last change of checkpoint failed and left an incomplete model; "
                f"{self.another_checkpoint()}, or merge: that loads it first"
            )
        if not model.lowvram and _device_type(model) != host_module("devices").device.type:
            return "the model is not on the device that generates; move it back first"
        return ""

    def weights_reason(self, model: Any) -> str:
        """Whether a parameter is absent or an integer."""
        for name, owner, leaf in parameters_of(model):
            parameter = getattr(owner, leaf)
            if parameter.is_meta or not parameter.is_floating_point():
                return quantised_reason(name)
        return ""


def _hijacked(model: Any) -> bool:
    """Whether the host has wrapped the text encoders, which it does at the end of a load."""
    conditioner = getattr(model, "conditioner", None)
    if conditioner is None:
        return hasattr(model.cond_stage_model, "wrapped")
    return any(hasattr(embedder, "wrapped") for embedder in conditioner.embedders)


def _device_type(model: Any) -> str:
    """The device type of the model's first parameter."""
    return next(model.model.diffusion_model.parameters()).device.type
