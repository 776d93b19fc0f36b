"""The model of AUTOMATIC1111's WebUI under the keys of checkpoint files, pinned to its checkpoint."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.architectures.keys import TEXT_PREFIXES, UNET_PREFIX, VAE_PREFIX
from lib_merge.hosts.pinned import Owner, Pinned, forget_conditioning, info_of, pin, pinned_of
from lib_merge.hosts.webui_modules import host_module
from lib_merge.live import MergeIdent, Place
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

PARTS = (UNET_PREFIX, VAE_PREFIX, *TEXT_PREFIXES)
ENDING = ".livemerge"  # no file has this suffix; the stem, by which the host finds VAE, yaml and json, stays
WRAPPED = re.compile(r"\.wrapped(?=\.)")  # the host's hijack inserts this into module names


class A1111Model:
    """The host's model under the keys of checkpoint files; used for one job."""

    def __init__(self, host: Owner, model: Any) -> None:
        self._host, self._model = host, model
        self._parameters: dict[str, tuple[Any, str]] = {}

    def token(self) -> object:
        """See live.model."""
        return self._host.token(self._model)

    def keys(self) -> Collection[str]:
        """Every parameter of the U-Net, the VAE and the text encoders."""
        if not self._parameters:
            for name, owner, leaf in parameters_of(self._model):
                self._parameters[name] = owner, leaf
        return self._parameters.keys()

    def places(self, key: str) -> Sequence[Place]:
        """The parameter and, with fp8 storage, the fp16 copy that the host applies LoRAs to.

        While the host uses a separate VAE file: the checkpoint's own VAE tensors, which it keeps aside.
        """
        self.keys()
        if key.startswith(VAE_PREFIX) and (vae := host_module("sd_vae")).loaded_vae_file:
            stored = (vae.base_vae or {}).get(key.removeprefix(VAE_PREFIX))
            return () if stored is None else (Place(stored),)
        owner, leaf = self._parameters[key]
        spare = getattr(owner, f"fp16_{leaf}", None)
        parameter = getattr(owner, leaf)
        return (Place(parameter),) if spare is None else (Place(parameter), Place(spare))

    def has_lora(self, key: str) -> bool:
        """The host's Lora extension notes in each layer which LoRAs are in it."""
        self.keys()
        owner, _ = self._parameters[key]
        return bool(getattr(owner, "network_current_names", ()))

    def prepare(self, keys: Collection[str]) -> None:
        """Removes LoRAs from the weights of these parts; the host applies them again at their next use."""
        parts = tuple(part for part in PARTS if any(key.startswith(part) for key in keys))
        with torch.inference_mode():
            for name, module in self._model.named_modules():
                if f"{name}.".startswith(parts):
                    _drop_lora(module)

    def commit(self, ident: MergeIdent | None, keys: Collection[str]) -> None:
        """Names what is in memory, and drops conditioning that was computed with the old weights."""
        model, pinned = self._model, pinned_of(self._model)
        origin = pinned.origin if pinned else model.sd_checkpoint_info
        model_hash = pinned.hash if pinned else model.sd_model_hash
        if ident is None:
            info = info_of(Path(model.sd_model_checkpoint), origin)
            self._name(info, info.shorthash or model_hash, info.sha256)
        else:
            info = pin(origin, Pinned(ident, origin, model_hash))
            # among resident models the host searches by this name
            info.filename = os.path.splitext(origin.filename)[0] + ENDING  # noqa: PTH122  the host's own way
            self._name(info, ident.id, "")
            self._host.merged_checkpoint = Path(model.sd_model_checkpoint)
        forget_conditioning()
        if any(key.startswith(TEXT_PREFIXES) for key in keys):
            empty_prompt(model)
        host_module("devices").torch_gc()

    def _name(self, info: Any, shorthash: str | None, sha256: str | None) -> None:
        model, vae = self._model, host_module("sd_vae")
        model.sd_checkpoint_info, model.sd_model_hash = info, shorthash
        host_module("shared").opts.data["sd_checkpoint_hash"] = sha256
        if vae.loaded_vae_file and vae.base_vae is not None:
            vae.checkpoint_info = info  # or the host's next change of VAE fails an assertion
        else:
            vae.delete_base_vae()  # the host would not keep the VAE of a named model without a VAE file
            model.base_vae = None


def parameters_of(model: Any) -> Iterator[tuple[str, Any, str]]:
    """File key, module and attribute of every parameter that a merge may touch."""
    for prefix, module in model.named_modules():
        for leaf, parameter in module._parameters.items():
            name = WRAPPED.sub("", f"{prefix}.{leaf}")
            if parameter is not None and name.startswith(PARTS):
                yield name, module, leaf


def _drop_lora(module: Any) -> None:
    """Restores the backup weights, as the host's Lora extension does when it unloads a LoRA.

    Of an attention layer with fused weights the backup is on the layer, but the bias belongs to out_proj.
    """
    weight = getattr(module, "network_weights_backup", None)
    bias = getattr(module, "network_bias_backup", None)
    fused = isinstance(module, torch.nn.MultiheadAttention)
    if weight is not None or bias is not None:
        if fused and weight is not None:
            _put_back(module, "in_proj_weight", weight[0])
            _put_back(module.out_proj, "weight", weight[1])
        elif weight is not None:
            _put_back(module, "weight", weight)
        _put_back(module.out_proj if fused else module, "bias", bias)
    if hasattr(module, "network_current_names"):
        module.network_current_names = ()
        module.network_weights_backup = None
        module.network_bias_backup = None


def _put_back(owner: Any, leaf: str, backup: Tensor | None) -> None:
    if backup is None:
        setattr(owner, leaf, None)  # the LoRA added this parameter
    else:
        getattr(owner, leaf).copy_(backup)


def empty_prompt(model: Any) -> None:
    """Has the host compute its embedding of the empty prompt again."""
    devices = host_module("devices")
    with devices.autocast(), torch.no_grad():
        model.cond_stage_model_empty_prompt = host_module("sd_models").get_empty_cond(model)
