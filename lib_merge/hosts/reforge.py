"""reForge and Classic: A1111's way of loading, and ComfyUI's patchers underneath."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from lib_merge.architectures.keys import TEXT_PREFIXES, VAE_PREFIX
from lib_merge.hosts.a1111_model import empty_prompt
from lib_merge.hosts.forge_model import ForgeModel
from lib_merge.hosts.host import ListedFile
from lib_merge.hosts.live_webui import WebUIModel, load_selected
from lib_merge.hosts.patcher_webui import PatcherWebUI
from lib_merge.hosts.pinned import info_of, pinned_of
from lib_merge.hosts.webui_modules import host_module
from lib_merge.live import MergeIdent, Place

AUTOMATIC = ("Automatic", "None", "", None)  # of the option sd_text_encoder: the checkpoint's own


class ReForgeHost(PatcherWebUI):
    """reForge."""

    own_modules = ("ldm_patched.modules.model_management", "modules.sd_text_encoder")
    used: ClassVar[Mapping[str, Sequence[str]]] = {
        "sd_models": (
            "model_data",
            "checkpoints_list",
            "CheckpointInfo",
            "load_model",
            "reload_model_weights",
            "get_empty_cond",
        ),
        "sd_vae": ("base_vae", "loaded_vae_file", "checkpoint_info"),
        "devices": ("device", "autocast", "torch_gc"),
        "scripts": ("ScriptRunner",),
        "processing": ("StableDiffusionProcessing", "StableDiffusionProcessingTxt2Img"),
    }

    def __init__(self, id: str = "reforge", title: str = "reForge") -> None:
        super().__init__(id, title)

    def live_model(self, model: Any) -> WebUIModel:
        """Text encoders of a file of their own are left alone."""
        own = self.option("sd_text_encoder", None) in AUTOMATIC
        return ReForgeModel(self, model, () if own else TEXT_PREFIXES)

    def ensure_loaded(self) -> None:
        """Load the selected checkpoint, as the host does before each picture."""
        with self.loading():
            load_selected()

    def complete_job(self, p: Any) -> None:
        """An empty list of scripts: the host looks into it without asking whether there is one
        (modules/processing.py:1065).
        """
        p.scripts = host_module("scripts").ScriptRunner()

    def release_unused(self) -> None:
        """Remove merges that are no longer used from the resident models: the host finds those by their file
        name, and would give the merge out as its checkpoint (modules/sd_models.py:1097).
        """
        models = host_module("sd_models")
        for model in list(models.model_data.loaded_sd_models):
            if model is not models.model_data.sd_model and pinned_of(model):
                models.model_data.loaded_sd_models.remove(model)

    def load(self, checkpoint: ListedFile | None = None) -> None:
        """Load from the file, by default the one in memory again."""
        host_module("sd_models").load_model(info_of(self.file_to_load(checkpoint)), forced_reload=True)


class ClassicHost(ReForgeHost):
    """Forge Classic, which keeps one model."""

    own_modules = ("ldm_patched.modules.model_management", "modules.uni_pc")

    def __init__(self) -> None:
        super().__init__("classic", "Forge Classic")

    def load(self, checkpoint: ListedFile | None = None) -> None:
        """Removes the model first: the host keeps one of this file name as it is."""
        path, models = self.file_to_load(checkpoint), host_module("sd_models")
        models.model_data.sd_model = None
        models.load_model(info_of(path))


class ReForgeModel(ForgeModel):
    """Forge's model with AUTOMATIC1111's handling of VAE files."""

    def places(self, key: str) -> Sequence[Place]:
        """While the host uses a separate VAE file: the checkpoint's own VAE tensors, which it keeps aside."""
        vae = host_module("sd_vae")
        if key.startswith(VAE_PREFIX) and vae.loaded_vae_file:
            kept = vae.base_vae if isinstance(vae.base_vae, dict) else {}
            stored = kept.get(key.removeprefix(VAE_PREFIX))
            return () if stored is None else (Place(stored),)
        return super().places(key)

    def commit(self, ident: MergeIdent | None, keys: Collection[str]) -> None:
        """Also for the host's VAE code and its embedding of the empty prompt."""
        super().commit(ident, keys)
        host_module("sd_vae").checkpoint_info = self._model.sd_checkpoint_info
        if any(key.startswith(TEXT_PREFIXES) for key in keys):
            empty_prompt(self._model)
