"""What the desk asks of the program that it runs in: checkpoints, a live model, pictures, a place to save.

One protocol for every host, so that the desk, the API and the grid know no WebUI. What touches the
model is called inside `job`, which keeps everything else off it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lib_merge.errors import MergeError, did_you_mean
from lib_merge.live import LiveModel
from lib_merge.picture import DrawSettings, Picture
from lib_merge.progress import Progress

if TYPE_CHECKING:
    from PIL import Image


class HostError(MergeError):
    """The host cannot do what it is asked for now."""


TITLE_HASH = re.compile(r" \[[0-9a-f]{8,10}\]$")  # "ink.safetensors [3f2a9c01d4]"


@dataclass(frozen=True)
class Ckpt:
    """A checkpoint of the host's list; `name` is what people and requests call it, never a path."""

    name: str
    path: Path


@dataclass(frozen=True)
class Loaded:
    """What the host holds in memory.

    checkpoint  the file that it loaded, None where nothing is loaded yet
    refusal     why no merge can be swapped into it, empty where one can
    """

    checkpoint: Ckpt | None
    refusal: str = ""


@dataclass(frozen=True)
class Surface:
    """Which of the host's own abilities the desk may show.

    draws       whether it draws pictures of merges
    live        whether merges are swapped into its model; where not, files are all that is worked on
    samplers    names for a list of samplers, empty where there is no choice
    schedulers  likewise
    loras       whether a prompt may name LoRAs
    """

    draws: bool = True
    live: bool = True
    samplers: tuple[str, ...] = ()
    schedulers: tuple[str, ...] = ()
    loras: bool = True
    notes: tuple[str, ...] = field(default=())


class Host(Protocol):
    """A program with a model in memory; see the module's first lines."""

    id: str
    title: str

    def surface(self) -> Surface:
        """What the desk may show."""
        ...

    def checkpoints(self, *, refresh: bool = False) -> Sequence[Ckpt]:
        """The checkpoints that it offers, in its order; `refresh` looks at the disk again."""
        ...

    def vaes(self) -> Sequence[Ckpt]:
        """The VAE files that it offers."""
        ...

    def loaded(self) -> Loaded:
        """What is in memory now; loads nothing."""
        ...

    def job(self, label: str, task: str = "", *, model: bool = True) -> AbstractContextManager[Progress]:
        """The model to ourselves; the host's progress bar and *Interrupt* belong to it meanwhile.

        task   the id under which the host's page asks for progress, empty where none does
        model  False for what works on files alone: the host then loads nothing for it
        """
        ...

    def load(self, checkpoint: Ckpt | None = None) -> None:
        """Inside a job: has the host load a checkpoint from its file, the current one anew by default."""
        ...

    def model(self) -> LiveModel:
        """Inside a job: the model in memory; HostError where `loaded` refuses."""
        ...

    def device(self) -> str:
        """Where to compute, in torch's words."""
        ...

    def usual(self) -> DrawSettings:
        """What to draw with until the user says otherwise."""
        ...

    def draw(self, settings: DrawSettings) -> Picture:
        """Inside a job: a picture with the model as it is."""
        ...

    def folders(self) -> Sequence[Path]:
        """Where a result may be saved; the first is the usual one."""
        ...

    def saved(self, path: Path) -> Ckpt:
        """A file was written: it joins the host's list, without a scan of the others."""
        ...

    def keep_grid(self, image: Image.Image, infotext: str, data: Mapping[str, object]) -> Path | None:
        """Saves a finished sheet where and as the user has it set; None where that is switched off.

        data  every cell's labels and recipe, to be written into the file
        """
        ...

    def data(self) -> Path:
        """A folder for what the desk itself keeps (presets)."""
        ...


def find(known: Sequence[Ckpt], name: str, what: str = "checkpoint") -> Ckpt:
    """The one that is called so, with or without its ending and the hash that A1111 shows behind it.

    Nothing fuzzy: HostError names the nearest.
    """
    name = TITLE_HASH.sub("", name)
    for checkpoint in known:
        if name in (checkpoint.name, checkpoint.path.name, checkpoint.path.stem):
            return checkpoint
    near = did_you_mean(name, [checkpoint.name for checkpoint in known])
    raise HostError(f"there is no {what} called '{name}'", hint=near or "refresh the list")


def changed(settings: DrawSettings, **values: object) -> DrawSettings:
    """The settings with some of them changed; None leaves one as it is."""
    return replace(settings, **{name: value for name, value in values.items() if value is not None})  # type: ignore[arg-type]
