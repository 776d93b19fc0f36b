"""What the desk asks of the program that it runs in: checkpoints, a live model, pictures, a place to save.

One protocol for every host, so that the desk, the API and the grid know no WebUI. What touches the
model is called inside `job`, which keeps everything else off it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from lib_merge.checkpoint import Hashes
from lib_merge.errors import CheckpointError, MergeError, did_you_mean, encodable
from lib_merge.live import LiveModel
from lib_merge.picture import DrawSettings, Picture
from lib_merge.progress import Progress
from lib_merge.recipe.ingredients import HASH, TITLE, Recorded, holds
from lib_merge.recipe.names import Fits, Named, distinct, fitting, shortest, without_ending

if TYPE_CHECKING:
    from PIL import Image


class HostError(MergeError):
    """The host cannot do what it is asked for now."""


@dataclass(frozen=True)
class Ckpt:
    """A checkpoint of the host's list; `name` is what people and requests call it, never a path.

    ids  what else the host calls it: titles, hashes
    """

    name: str
    path: Path
    ids: tuple[str, ...] = ()


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

    def unreadable(self) -> Mapping[str, str]:
        """Files of its folders that it met and that cannot be read, by name, and why."""
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


def unforeseen(cause: Exception, path: Path) -> CheckpointError:
    """The error for a file whose reader raised what it should not have."""
    what = f"this file cannot be read ({type(cause).__name__}: {cause})"
    return CheckpointError(what, where=str(path), hint="copy or download it again")


def named_of(checkpoint: Ckpt) -> Named:
    """A file of the list under its name with the file's ending."""
    own = encodable(checkpoint.path.name)
    whole = PurePosixPath(checkpoint.name).name == own
    return Named(checkpoint.name if whole else checkpoint.name + PurePosixPath(own).suffix, checkpoint.path)


def shown_names(files: Sequence[Named]) -> list[str]:
    """What a list shows: names without ending where that is clear, with it where it is not."""
    bare = Counter(without_ending(each.name) for each in files)
    whole = Counter(each.name for each in files)
    paths = [each.path for each in files]
    return [
        shortest(each.path, paths)
        if whole[each.name] > 1
        else each.name
        if bare[without_ending(each.name)] > 1
        else without_ending(each.name)
        for each in files
    ]


def fitting_files(name: str, known: Sequence[Ckpt]) -> Fits:
    """The files of a list that a name fits: the name that is shown, one of its ids, or the end of a path."""
    for found in (
        [each for each in known if each.name == name],
        [each for each in known if name in each.ids],
    ):
        if len(paths := distinct(each.path for each in found)) == 1:
            return Fits(paths)
    return fitting(name, map(named_of, known))


def find(
    known: Sequence[Ckpt],
    name: str,
    what: str = "checkpoint",
    *,
    hashes: Callable[[Path], Hashes] | None = None,
) -> Ckpt:
    """The one that is called so: by any name that WebUIs take.

    That is the name in the list or the end of its path, with or without ending and with "/" or "\\"; with the
    hash that is shown behind it; and the hash alone.

    hashes  a file's hashes, where its ids do not hold them
    Nothing fuzzy: HostError names the nearest, or those that a name fits where it fits several.
    """
    fits = fitting_files(name, known)
    named, sha256 = name, ""
    if not fits.files and (title := TITLE.fullmatch(name)):
        named, sha256 = title["name"], title["hash"].lower()
        fits = fitting_files(named, known)
    elif not fits.files and (title := HASH.fullmatch(name)):
        sha256 = (title["bracketed"] or title["bare"]).lower()
        fits = Fits(tuple(each.path for each in known))
    found = [each for each in known if each.path in fits.files]
    if sha256:
        told = [each for each in found if sha256 in _hashes_told(each)]
        if not told and hashes is not None:
            told = [each for each in found if holds(each.path, Recorded("", sha256), hashes)]
        if not told and hashes is None and named != name:  # nobody can say that it is another one
            told = [each for each in found if not _hashes_told(each)]
        found = told
    if len(distinct(each.path for each in found)) > 1:
        shown = [each.name for each in found]
        what = f"'{name}' fits {len(found)} files"
        raise HostError(what, where=", ".join(shown), hint=f"write which one: {shown[0]}")
    if not found:
        held = f"'{named}' holds something else than [{sha256}]" if fits.files and named != name else ""
        near = did_you_mean(named, [each.name for each in known])
        raise HostError(held or f"there is no {what} called '{name}'", hint=near or "refresh the list")
    return found[0]


def _hashes_told(checkpoint: Ckpt) -> frozenset[str]:
    """The hashes that the host's own names of a file tell."""
    titles = (TITLE.fullmatch(each) for each in checkpoint.ids)
    behind = (title["hash"].lower() for title in titles if title)
    return frozenset([*behind, *(each.lower() for each in checkpoint.ids if HASH.fullmatch(each))])


def changed(settings: DrawSettings, **values: object) -> DrawSettings:
    """The settings with some of them changed; None leaves one as it is."""
    return replace(settings, **{name: value for name, value in values.items() if value is not None})  # type: ignore[arg-type]
