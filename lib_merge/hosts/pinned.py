"""A model "pinned" to its checkpoint: the host keeps a merge in memory because it takes it for A.

Everything that the host compares before it reloads (the file name on the model, the setting) still names A,
so that no batch overwrites the merge. `sd_checkpoint_info` becomes an unregistered copy that names the merge;
the identity of this object tells whether the merge is in memory. A1111 and all of its forks have these
attributes; each one's file name on the model has another name.
"""

from __future__ import annotations

import copy
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lib_merge.hosts.webui_modules import host_module
from lib_merge.live import MergeIdent

CACHES = {
    "StableDiffusionProcessing": ("cached_c", "cached_uc"),
    "StableDiffusionProcessingTxt2Img": ("cached_hr_c", "cached_hr_uc"),
}


@dataclass(frozen=True)
class Pinned:
    """Attribute of the copy of A's checkpoint info while a merge is in memory.

    origin  A's own info
    hash    the model's `sd_model_hash` with that info
    """

    ident: MergeIdent
    origin: Any
    hash: str | None


class Owner(Protocol):
    """The host as its model uses it; `merged_checkpoint` is the file under the last merge."""

    merged_checkpoint: Path | None

    def token(self, model: Any) -> object:
        """See live.model."""
        ...


@dataclass(frozen=True)
class SeenModel:
    """The model and its checkpoint info when they were last seen; new weights come with new info or file
    name.
    """

    model: weakref.ref[Any]
    info: Any
    filename: str

    def still(self, model: Any) -> bool:
        """Whether the model still has the same weights."""
        info = model.sd_checkpoint_info
        return self.model() is model and self.info is info and self.filename == info.filename


def pinned_of(model: Any) -> Pinned | None:
    """The pin of a model that holds a merge, else None."""
    return getattr(getattr(model, "sd_checkpoint_info", None), "merge_desk", None)


def info_of(path: Path, otherwise: Any = None) -> Any:
    """The host's CheckpointInfo of a file; a refresh of its list creates new objects."""
    models = host_module("sd_models")
    for info in models.checkpoints_list.values():
        if Path(info.filename) == path:
            return info
    return otherwise or models.CheckpointInfo(str(path))


def pin(origin: Any, pinned: Pinned) -> Any:
    """A copy of A's info that names the merge, unknown to the host's lists."""
    info = copy.copy(origin)
    for name in ("name", "name_for_extra", "model_name", "title", "short_title"):
        setattr(info, name, pinned.ident.name)
    info.hash = info.shorthash = pinned.ident.id
    info.sha256, info.metadata, info.ids = None, {}, []
    info.merge_desk = pinned

    def become_origin() -> str | None:
        """Turns into A's info; the host calls this only before it loads from disk, after a failure."""
        info.__dict__.clear()
        info.__dict__.update(origin.__dict__)
        return origin.calculate_shorthash()

    info.calculate_shorthash = become_origin
    return info


def forget_conditioning() -> None:
    """Clears the caches in place, because running jobs hold references to the same lists."""
    processing = host_module("processing")
    for owner, names in CACHES.items():
        for name in names:
            cache = getattr(getattr(processing, owner), name)
            cache[:] = [None] * len(cache)
