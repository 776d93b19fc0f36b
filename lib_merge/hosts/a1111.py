"""The live swap in AUTOMATIC1111's WebUI: the model stays "pinned" to its checkpoint.

Whatever the host compares before it reloads (`sd_model_checkpoint`, the setting) goes on naming A, so
that no batch overwrites the merge; `sd_checkpoint_info` becomes an unregistered copy that says
honestly what is in memory, and whose identity is the one test of that.
"""

from __future__ import annotations

import copy
import logging
import os
import re
import weakref
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.checkpoint import open_checkpoint, read_header
from lib_merge.errors import MergeError
from lib_merge.hosts.host import Ckpt, HostError, Loaded
from lib_merge.hosts.webui import WebUIHost, host_module
from lib_merge.live import LiveModel, MergeIdent
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

UNET, VAE = "model.diffusion_model.", "first_stage_model."
TEXT = ("cond_stage_model.", "conditioner.")
PARTS = (UNET, VAE, *TEXT)
ENDING = ".livemerge"  # no file has it, but it leaves the stem, by which VAE, yaml and json are found
WRAPPED = re.compile(r"\.wrapped(?=\.)")  # what the host's hijack puts between
READ_IN_PART = ".safetensors"  # a legacy file would be read whole
BLOCK = re.compile(r"model\.diffusion_model\.(?:(?:in|out)put_blocks\.\d+|[a-z_]+)\.")

CACHES = {
    "StableDiffusionProcessing": ("cached_c", "cached_uc"),
    "StableDiffusionProcessingTxt2Img": ("cached_hr_c", "cached_hr_uc"),
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pinned:
    """What hangs on the copy of A's checkpoint info while a merge is in memory.

    origin  A's own info; `hash` is what the model's field held with it
    """

    ident: MergeIdent
    origin: Any
    hash: str | None


@dataclass(frozen=True)
class _Seen:
    """A model as it was met: other weights come with another info, or another file name in it."""

    model: weakref.ref[Any]
    info: Any
    filename: str

    def still(self, model: Any) -> bool:
        info = model.sd_checkpoint_info
        return self.model() is model and self.info is info and self.filename == info.filename


class A1111Host(WebUIHost):
    """A1111 1.10 and what keeps to its model code (ux)."""

    def __init__(self) -> None:
        super().__init__("a1111", "AUTOMATIC1111", refusal="")
        self._seen: _Seen | None = None
        self._checked: tuple[weakref.ref[Any], str] | None = None
        self._compared: tuple[weakref.ref[Any], Sequence[str]] | None = None

    def wake(self) -> None:
        """As the host does before each picture: a refiner may still be in memory, or nothing be there yet.

        The host itself would not load again what a failed load has left unfinished: its name is that of
        the checkpoint that is chosen.
        """
        models = host_module("sd_models")
        try:
            if models.model_data.was_loaded_at_least_once:
                models.reload_model_weights()
            else:
                _ = host_module("shared").sd_model
            model = _model()
            if model is not None and not _whole(model):
                self.load()
        except Exception as cause:  # whatever the host's loaders raise
            raise HostError(
                "the WebUI could not load its checkpoint", where=str(cause), hint=self._another()
            ) from cause
        if model is None:  # the host has kept the reason for its console
            raise HostError("the WebUI could not load its checkpoint", hint=self._another())

    def tidy(self) -> None:
        """Where the host keeps several models, a merge that the user has left would stay among them, though
        no file name leads to it any more.
        """
        models = host_module("sd_models")
        for model in list(models.model_data.loaded_sd_models):
            if model is not models.model_data.sd_model and _pinned(model):
                models.model_data.loaded_sd_models.remove(model)
                models.send_model_to_trash(model)

    def loaded(self) -> Loaded:
        """The file that the host took the model from; never makes it load."""
        model = _model()
        if model is None or not getattr(model, "sd_model_checkpoint", None):
            return Loaded(None)
        return Loaded(self.named(Path(model.sd_model_checkpoint)), self._refusal(model))

    def ident(self) -> MergeIdent | None:
        """The merge that the host's own info of its model names."""
        pinned = _pinned(_model())
        return pinned.ident if pinned else None

    def signature(self) -> tuple[str, str | None]:
        """As the host itself would fill them in now."""
        model = _model()
        return model.sd_checkpoint_info.name_for_extra, model.sd_model_hash

    def load(self, checkpoint: Ckpt | None = None) -> None:
        """Anew from the file; with several models resident the host would else load it beside the merge."""
        models, model = host_module("sd_models"), _model()
        if model is not None:
            pinned = _pinned(model)
            if pinned:
                model.sd_checkpoint_info = pinned.origin
        here = Path(model.sd_model_checkpoint) if model is not None else None
        path = checkpoint.path if checkpoint else here
        if path is None:
            raise HostError("no checkpoint is loaded yet", hint=self._another())
        models.reload_model_weights(info=_info(path), forced_reload=path == here)

    def model(self) -> LiveModel:
        """The model in memory, its places looked up when they are first needed."""
        loaded = self.loaded()
        if loaded.refusal:
            raise HostError(loaded.refusal)
        if loaded.checkpoint is None:
            raise HostError("no checkpoint is loaded yet", hint=self._another())
        return A1111Model(self, _model())

    def token(self, model: Any) -> object:
        """See live.model; the same object until somebody puts another info into the model."""
        if self._seen is None or not self._seen.still(model):
            info = model.sd_checkpoint_info
            self._seen = _Seen(weakref.ref(model), info, info.filename)
        return self._seen

    def apart(self, info: Any) -> Any:
        """A refiner's or a hires checkpoint as the host must be told it, so that it loads the file: while a
        merge lies over that very checkpoint it would take the merge for it, by the spelling of its path.
        """
        model = _model()
        if _pinned(model) is None or info is None or info.filename != model.sd_model_checkpoint:
            return info
        folder, name = os.path.split(info.filename)
        other = copy.copy(info)
        other.filename = os.path.join(folder, ".", name)  # noqa: PTH118  pathlib would tidy it up
        other.calculate_shorthash = info.calculate_shorthash  # its own would join the host's list
        return other

    def condition_again(self, p: Any) -> None:
        """Compute the conditioning of a job's second pass again: the weights have changed since the first."""
        p.hr_c = p.hr_uc = None
        with host_module("devices").autocast(), torch.no_grad():
            p.calculate_hr_conds()

    def altered(self) -> bool:
        """Whether the weights in memory are not those of the file that the host names, though no merge of
        ours is there: one row of one tensor of each block is compared.

        False while a job runs, where LoRAs are in the weights, and where the file cannot be read in part.
        """
        model, queue = _model(), host_module("call_queue").queue_lock
        if model is None or _pinned(model) or not _whole(model):
            return False
        path = Path(model.sd_model_checkpoint)
        if path.suffix.lower() != READ_IN_PART or not queue.acquire(blocking=False):
            return False
        try:
            return _differs(model, path, self._samples(model))
        except (MergeError, OSError) as cause:
            log.info("the weights in memory could not be compared: %s", cause)
            return False
        finally:
            queue.release()

    def _samples(self, model: Any) -> Sequence[str]:
        if self._compared is None or self._compared[0]() is not model:
            self._compared = weakref.ref(model), _largest_of_blocks(model)
        return self._compared[1]

    def _another(self) -> str:
        """What to choose: the host takes the name that is chosen already for one that it has loaded."""
        here = getattr(_model(), "sd_model_checkpoint", None)
        chosen = str(self.option("sd_model_checkpoint", "") or "")
        for each in self.checkpoints():
            if here is None and chosen.startswith((f"{each.name}.", f"{each.path.name} ")):
                continue
            if str(each.path) != here and _readable(each.path):
                return f"choose another checkpoint in the WebUI, such as {each.name}"
        return "choose another checkpoint in the WebUI"

    def _refusal(self, model: Any) -> str:
        unet = host_module("sd_unet").current_unet
        if unet is not None:
            return (
                f"another U-Net ({unet.option.label}) draws in place of the model's, so a merge has no effect"
            )
        if getattr(model, "is_sd3", False) or not hasattr(model.model, "diffusion_model"):
            return "models of this kind are not merged in memory"
        if not _whole(model):
            return (
                "the last change of checkpoint failed and left no whole model; "
                f"{self._another()}, or merge: that loads it first"
            )
        if not model.lowvram and _place(model) != host_module("devices").device.type:
            return "the model was sent away from the device that draws; load it back first"
        if self._checked is None or self._checked[0]() is not model:
            self._checked = weakref.ref(model), _odd_numbers(model)
        return self._checked[1]


class A1111Model:
    """The host's model under the names that files use; made for one job."""

    def __init__(self, host: A1111Host, model: Any) -> None:
        self._host, self._model = host, model
        self._places: dict[str, tuple[Any, str]] = {}

    def token(self) -> object:
        """See live.model."""
        return self._host.token(self._model)

    def keys(self) -> Collection[str]:
        """Every parameter of the U-Net, the VAE and the text encoders."""
        if not self._places:
            for name, owner, leaf in _parameters(self._model):
                self._places[name] = owner, leaf
        return self._places.keys()

    def tensors(self, key: str) -> Sequence[Tensor]:
        """The parameter and, under fp8, the copy in fp16 that LoRAs start from.

        While the user's own VAE is in the VAE's place: the checkpoint's, which the host keeps for later.
        """
        self.keys()
        if key.startswith(VAE) and (vae := host_module("sd_vae")).loaded_vae_file:
            kept = (vae.base_vae or {}).get(key.removeprefix(VAE))
            return () if kept is None else (kept,)
        owner, leaf = self._places[key]
        spare = getattr(owner, f"fp16_{leaf}", None)
        place = getattr(owner, leaf)
        return (place,) if spare is None else (place, spare)

    def prepare(self, keys: Collection[str]) -> None:
        """Takes LoRAs out of the touched parts' weights; their next use puts them in again."""
        parts = tuple(part for part in PARTS if any(key.startswith(part) for key in keys))
        with torch.inference_mode():
            for name, module in self._model.named_modules():
                if f"{name}.".startswith(parts):
                    _drop_lora(module)

    def commit(self, ident: MergeIdent | None, keys: Collection[str]) -> None:
        """Puts the name in, and drops what was computed with the old weights."""
        model, pinned = self._model, _pinned(self._model)
        origin = pinned.origin if pinned else model.sd_checkpoint_info
        known = pinned.hash if pinned else model.sd_model_hash
        if ident is None:
            info = _info(Path(model.sd_model_checkpoint), origin)
            self._name(info, info.shorthash or known, info.sha256)
        else:
            self._name(_pin(origin, Pinned(ident, origin, known)), ident.id, "")
            self._host.merged = Path(model.sd_model_checkpoint)
        _forget_conditioning()
        if any(key.startswith(TEXT) for key in keys):
            _empty_prompt(model)
        host_module("devices").torch_gc()

    def _name(self, info: Any, shorthash: str | None, sha256: str | None) -> None:
        model, vae = self._model, host_module("sd_vae")
        model.sd_checkpoint_info, model.sd_model_hash = info, shorthash
        host_module("shared").opts.data["sd_checkpoint_hash"] = sha256
        if vae.loaded_vae_file and vae.base_vae is not None:
            vae.checkpoint_info = info  # or the host's next change of VAE fails an assertion
        else:
            vae.delete_base_vae()  # with a name and no VAE beside it the host would not keep ours
            model.base_vae = None


def _model() -> Any:
    """The host's model or None; `shared.sd_model` would load one."""
    return host_module("sd_models").model_data.sd_model


def _pinned(model: Any) -> Pinned | None:
    return getattr(getattr(model, "sd_checkpoint_info", None), "merge_desk", None)


def _info(path: Path, otherwise: Any = None) -> Any:
    """The host's info of a file; a refresh of its list makes new ones."""
    models = host_module("sd_models")
    for info in models.checkpoints_list.values():
        if Path(info.filename) == path:
            return info
    return otherwise or models.CheckpointInfo(str(path))


def _pin(origin: Any, pinned: Pinned) -> Any:
    """A copy of A's info that names the merge, unknown to the host's lists."""
    info = copy.copy(origin)
    info.filename = os.path.splitext(origin.filename)[0] + ENDING  # noqa: PTH122  the host's own way
    for name in ("name", "name_for_extra", "model_name", "title", "short_title"):
        setattr(info, name, pinned.ident.name)
    info.hash = info.shorthash = pinned.ident.id
    info.sha256, info.metadata, info.ids = None, {}, []
    info.merge_desk = pinned

    def become_origin() -> str | None:
        """The host asks this only when it is about to load this very info from disk: after a failure."""
        info.__dict__.clear()
        info.__dict__.update(origin.__dict__)
        return origin.calculate_shorthash()

    info.calculate_shorthash = become_origin
    return info


def _parameters(model: Any) -> Iterator[tuple[str, Any, str]]:
    """File key, module and attribute of every parameter that a merge may touch."""
    for prefix, module in model.named_modules():
        for leaf, parameter in module._parameters.items():
            name = WRAPPED.sub("", f"{prefix}.{leaf}")
            if parameter is not None and name.startswith(PARTS):
                yield name, module, leaf


def _drop_lora(module: Any) -> None:
    """What the host's Lora extension does on its own unload: the backup back, and no memory of it.

    Its backup of an attention layer with fused weights is on the layer, though the bias is its out_proj's.
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
        setattr(owner, leaf, None)  # the LoRA had made one
    else:
        getattr(owner, leaf).copy_(backup)


def _forget_conditioning() -> None:
    """In place: jobs that are under way hold the same lists."""
    processing = host_module("processing")
    for owner, names in CACHES.items():
        for name in names:
            cache = getattr(getattr(processing, owner), name)
            cache[:] = [None] * len(cache)


def _empty_prompt(model: Any) -> None:
    devices = host_module("devices")
    with devices.autocast(), torch.no_grad():
        model.cond_stage_model_empty_prompt = host_module("sd_models").get_empty_cond(model)


def _readable(path: Path) -> bool:
    try:
        return bool(read_header(path).tensors)
    except MergeError:
        return False


def _whole(model: Any) -> bool:
    """Whether the last load came to its end; a failed one leaves the model out of the host's list."""
    return model in host_module("sd_models").model_data.loaded_sd_models and _hijacked(model)


def _largest_of_blocks(model: Any) -> Sequence[str]:
    """The key of the largest matrix of each block of the U-Net."""
    found: dict[str, tuple[int, str]] = {}
    for name, owner, leaf in _parameters(model):
        block, parameter = BLOCK.match(name), getattr(owner, leaf)
        if block and parameter.ndim > 1:
            found[block[0]] = max(found.get(block[0], (0, "")), (parameter.numel(), name))
    return tuple(name for _, name in found.values())


def _differs(model: Any, path: Path, keys: Sequence[str]) -> bool:
    places = {name: (owner, leaf) for name, owner, leaf in _parameters(model) if name in keys}
    with open_checkpoint(path) as file, torch.inference_mode():
        for key, (owner, leaf) in places.items():
            place = getattr(owner, leaf)
            if key not in file.header.tensors or place.is_meta or getattr(owner, "network_current_names", ()):
                continue
            if not _row_equal(place, file.tensor(key)):
                return True
    return False


def _row_equal(place: Tensor, stored: Tensor) -> bool:
    """The first row, in the number format of the place; to eight bits the host may go by way of sixteen."""
    if place.shape != stored.shape:
        return False
    held, row = place[0].cpu(), stored[0]
    return torch.equal(held.float(), row.to(held.dtype).float()) or torch.equal(
        held.float(), row.half().to(held.dtype).float()
    )


def _hijacked(model: Any) -> bool:
    """Whether the text encoders are as the host leaves them after a whole load."""
    conditioner = getattr(model, "conditioner", None)
    if conditioner is None:
        return hasattr(model.cond_stage_model, "wrapped")
    return any(hasattr(embedder, "wrapped") for embedder in conditioner.embedders)


def _place(model: Any) -> str:
    """Where the model lies, by its first parameter."""
    return next(model.model.diffusion_model.parameters()).device.type


def _odd_numbers(model: Any) -> str:
    for name, owner, leaf in _parameters(model):
        parameter = getattr(owner, leaf)
        if parameter.is_meta or not parameter.is_floating_point():
            return (
                f"the model's weights are quantised or absent ({name}), so nothing can be swapped into them"
            )
    return ""
