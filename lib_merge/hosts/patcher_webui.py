"""WebUIs whose model is behind patchers (Forge, Neo, reForge, Classic): where it is, what it cannot take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from lib_merge.hosts.engines import UNET_ENGINES, Engine, engine_of, weights_of
from lib_merge.hosts.live_webui import LiveWebUI, quantised_reason
from lib_merge.hosts.webui_modules import host_module


class PatcherWebUI(LiveWebUI):
    """A WebUI with Forge's engines; each one's class says how it loads and selects checkpoints.

    engines  whose parameters have the names of files: live and saved merges were compared in the real host
    """

    engines: ClassVar[Sequence[Engine]] = UNET_ENGINES

    def model_in_memory(self) -> Any:
        """The host's model; before the first picture there is another object in its place, and none after a
        failed load.
        """
        model = host_module("sd_models").model_data.sd_model
        return model if getattr(model, "forge_objects_original", None) is not None else None

    def file_of(self, model: Any) -> Path | None:
        """By an attribute that the host sets at the end of a load."""
        return Path(model.filename)

    def state_reason(self, model: Any) -> str:
        """Another architecture: the names of its parameters in memory were not compared with files'."""
        if engine_of(model) not in self.engines:
            return "models of this architecture are not merged in memory"
        return ""

    def weights_reason(self, model: Any) -> str:
        """Whether a parameter holds anything but numbers of its key: GGUF, nf4, scaled fp8, integers."""
        for key, parameter in weights_of(model):
            if is_quantised(parameter.owner, getattr(parameter.owner, parameter.leaf)):
                return quantised_reason(key)
        return ""


def is_quantised(owner: Any, parameter: Any) -> bool:
    """Whether a parameter is more than a matrix of numbers.

    GGUF, bitsandbytes (also before it quantises, on the way to the GPU) and ComfyUI's layouts mark the
    parameter, scaled fp8 and Neo's mixed precision and int8 the layer.
    """
    marked = any(hasattr(parameter, name) for name in ("gguf_cls", "bnb_quantized", "_layout_cls"))
    in_layer = any(getattr(owner, name, None) is not None for name in ("scale_weight", "quant_format"))
    quantised = marked or in_layer or getattr(owner, "_is_quantized", False)
    return quantised or parameter.is_meta or not parameter.is_floating_point()
