"""The interface to the program that Merge Desk runs in: checkpoints, the model in memory, pictures, folders.

The desk, the HTTP API and grids use `Host` only, so that they depend on no WebUI; `WebUIHost` adds what the
integration with a WebUI's jobs and page needs. Methods that touch the model are called inside `job`, which
excludes all other jobs. `HostDefaults` implements the optional methods.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from lib_merge.checkpoint import Hashes
from lib_merge.checkpoint.suffixes import without_suffix
from lib_merge.errors import CheckpointError, MergeError, did_you_mean, encodable
from lib_merge.live import LiveModel, MergeIdent
from lib_merge.picture import DrawSettings, Picture
from lib_merge.progress import Progress
from lib_merge.recipe import RecordedFile
from lib_merge.recipe.ingredients import BARE_HASH, TITLE_WITH_HASH, has_recorded_hash
from lib_merge.recipe.names import NamedFile, NameMatch, distinct_files, match_name, shortest_name

if TYPE_CHECKING:
    from PIL import Image


class HostError(MergeError):
    """The host cannot do this in its present state."""


@dataclass(frozen=True)
class ListedFile:
    """A checkpoint or VAE file of the host's list; `name` is what requests call it, never a path.

    ids  the host's other names of it: titles, hashes
    """

    name: str
    path: Path
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loaded:
    """What is in the host's memory.

    checkpoint          the loaded file, None where nothing is loaded yet
    unavailable_reason  why no merge can be loaded into the model, "" where one can
    next_checkpoint     the selected file, where the host loads it only for the next picture (Forge)
    """

    checkpoint: ListedFile | None
    unavailable_reason: str = ""
    next_checkpoint: ListedFile | None = None


@dataclass(frozen=True)
class Capabilities:
    """What the host can do.

    draws       whether it generates pictures of merges
    live        whether merges can be loaded into its model; otherwise only files are read and written
    samplers    names of samplers to choose from, empty where there is no choice
    schedulers  names of schedulers to choose from, empty where there is no choice
    loras       whether prompts may name LoRAs
    """

    draws: bool = True
    live: bool = True
    samplers: tuple[str, ...] = ()
    schedulers: tuple[str, ...] = ()
    loras: bool = True
    notes: tuple[str, ...] = field(default=())


class Host(Protocol):
    """A program with a model in memory; see the module's docstring."""

    id: str
    title: str

    def capabilities(self) -> Capabilities:
        """What the host can do."""
        ...

    def checkpoints(self, *, refresh: bool = False) -> Sequence[ListedFile]:
        """The checkpoints of its list, in its order; `refresh` reads the folders again."""
        ...

    def vaes(self) -> Sequence[ListedFile]:
        """The VAE files of its list."""
        ...

    def unreadable_files(self) -> Mapping[str, str]:
        """File name -> why the file, which is in the host's folders, cannot be read."""
        ...

    def loaded(self) -> Loaded:
        """What is in memory; loads nothing."""
        ...

    def job(self, label: str, task: str = "", *, model: bool = True) -> AbstractContextManager[Progress]:
        """Exclusive use of the model, with the host's progress bar and *Interrupt*.

        task   the id under which the host's page asks for progress, "" for none
        model  False for a job that works on files only: the host then loads nothing for it
        """
        ...

    def load(self, checkpoint: ListedFile | None = None) -> None:
        """Inside a job: has the host load a checkpoint from its file; by default the current one again."""
        ...

    def model(self) -> LiveModel:
        """Inside a job: the model in memory; HostError where `loaded().unavailable_reason` is set."""
        ...

    def device(self) -> str:
        """The torch device to compute on, such as "cpu" or "cuda:0"."""
        ...

    def default_settings(self) -> DrawSettings:
        """The default settings of a picture."""
        ...

    def draw(self, settings: DrawSettings) -> Picture:
        """Inside a job: generate a picture with the model in memory."""
        ...

    def folders(self) -> Sequence[Path]:
        """The folders of checkpoints; results are saved into the first one by default."""
        ...

    def register(self, path: Path) -> ListedFile:
        """Add a new file to the host's list without a scan of its folders."""
        ...

    def save_grid(self, image: Image.Image, infotext: str, data: Mapping[str, object]) -> Path | None:
        """Save the sheet of a finished grid as the user's settings say; None where saving grids is off.

        data  labels and recipe of each cell, to be written into the file
        """
        ...

    def data_dir(self) -> Path:
        """Merge Desk's own folder: history, presets, hashes, grids."""
        ...

    def ensure_loaded(self) -> None:
        """At the start of a job: load the selected checkpoint where the host would do so."""
        ...

    def release_unused(self) -> None:
        """Inside a job: free models of earlier merges that the host keeps in memory."""
        ...

    def interrupt(self) -> None:
        """Stop the running job, as the host's *Interrupt* does."""
        ...

    def sampling_step(self) -> int:
        """How many steps of the picture that is being generated are done; 0 where that is unknown."""
        ...

    def step_preview(self) -> Image.Image | None:
        """The picture that is being generated as far as it is, small; None where there is none, or where the
        host's own page shows it."""
        ...

    def weights_altered(self) -> bool:
        """Whether the weights in memory differ from the loaded file though no merge is in memory; False where
        that is unknown."""
        ...


class WebUIHost(Host, Protocol):
    """A WebUI, with its own jobs, infotexts and settings.

    merged_checkpoint   the checkpoint that the last merge was swapped into
    unavailable_reason  why no merge can be loaded into its model at all, "" where one can
    """

    merged_checkpoint: Path | None
    unavailable_reason: str

    def current_progress(self) -> Progress:
        """Inside one of the host's own jobs: reports *Interrupt*, and leaves the progress bar alone."""
        ...

    def live_ident(self) -> MergeIdent | None:
        """The merge that the host's model is marked with, None for a checkpoint."""
        ...

    def infotext_model(self) -> tuple[str, str | None]:
        """Name and hash that an infotext gives the model in memory."""
        ...

    def infotext_fields(self) -> Mapping[str, str]:
        """Fields that Merge Desk adds to the infotext of a picture of the model in memory."""
        ...

    def option(self, key: str, default: Any) -> Any:
        """The user's value of a setting; the default until the host has registered it."""
        ...

    def separate_checkpoints(self, p: Any) -> None:
        """Inside a job: have the host load the job's refiner and hires checkpoint from their files.

        Otherwise it would use the model in memory, which was loaded from such a file but may hold a merge.
        """
        ...

    def recompute_conditioning(self, p: Any) -> None:
        """Inside the hires pass of a job: compute its conditioning again with the weights in memory."""
        ...

    def on_checkpoint_option(self, then: Callable[[], None]) -> Callable[[], None]:
        """Call `then` when the user changes the checkpoint setting; returns a function that ends this."""
        ...

    def checkpoint_listener(self, then: Callable[[str], None]) -> Callable[[Any, str], None]:
        """A function to be called with each component of the host's page and its id, as the page is built.

        `then` is called with the name when the user selects a checkpoint with that component.
        """
        ...


class HostDefaults:
    """The optional methods, for a host that loads on demand and keeps one model."""

    def unreadable_files(self) -> Mapping[str, str]:
        """An empty mapping: the host does not record files that it could not read."""
        return {}

    def ensure_loaded(self) -> None:
        """Does nothing: `model` loads on demand."""

    def release_unused(self) -> None:
        """Does nothing: there is one model only."""

    def interrupt(self) -> None:
        """Does nothing: its jobs cannot be stopped."""

    def sampling_step(self) -> int:
        """0: the host does not report its steps."""
        return 0

    def step_preview(self) -> Image.Image | None:
        """None: the host shows its previews itself, or has none."""
        return None

    def weights_altered(self) -> bool:
        """False: the host offers no way to tell."""
        return False


def unreadable_error(cause: Exception, path: Path) -> CheckpointError:
    """The error for a file whose reader raised an unexpected exception."""
    what = f"this file cannot be read ({type(cause).__name__}: {cause})"
    return CheckpointError(what, where=str(path), hint="copy or download it again")


def named_file(checkpoint: ListedFile) -> NamedFile:
    """A file of the list with its name and the file's suffix."""
    own = encodable(checkpoint.path.name)
    whole = PurePosixPath(checkpoint.name).name == own
    return NamedFile(
        checkpoint.name if whole else checkpoint.name + PurePosixPath(own).suffix, checkpoint.path
    )


def display_names(files: Sequence[NamedFile]) -> list[str]:
    """The names that a list shows: without suffix where that is unambiguous, else with it."""
    bare = Counter(without_suffix(file.name) for file in files)
    whole = Counter(file.name for file in files)
    paths = [file.path for file in files]
    return [
        shortest_name(file.path, paths)
        if whole[file.name] > 1
        else file.name
        if bare[without_suffix(file.name)] > 1
        else without_suffix(file.name)
        for file in files
    ]


def matching_files(name: str, files: Sequence[ListedFile]) -> NameMatch:
    """The files of a list that a name matches: by the shown name, one of the ids, or the end of a path."""
    for matches in (
        [file for file in files if file.name == name],
        [file for file in files if name in file.ids],
    ):
        if len(paths := distinct_files(file.path for file in matches)) == 1:
            return NameMatch(paths)
    return match_name(name, map(named_file, files))


def find_file(
    files: Sequence[ListedFile],
    name: str,
    what: str = "checkpoint",
    *,
    hashes: Callable[[Path], Hashes] | None = None,
) -> ListedFile:
    """The file of that name, in any form that WebUIs accept.

    These are the name in the list or the end of its path, with or without suffix, with "/" or "\\", also
    followed by the hash in brackets; or the hash alone.

    hashes  returns a file's hashes, where its ids do not have them
    The match is exact: HostError suggests the nearest name, or lists the files where a name matches several.
    """
    fits = matching_files(name, files)
    named, sha256 = name, ""
    if not fits.files and (title := TITLE_WITH_HASH.fullmatch(name)):
        named, sha256 = title["name"], title["hash"].lower()
        fits = matching_files(named, files)
    elif not fits.files and (title := BARE_HASH.fullmatch(name)):
        sha256 = (title["bracketed"] or title["bare"]).lower()
        fits = NameMatch(tuple(file.path for file in files))
    matches = [file for file in files if file.path in fits.files]
    if sha256:
        same = [file for file in matches if sha256 in _hashes_in_ids(file)]
        if not same and hashes is not None:
            same = [
                file for file in matches if has_recorded_hash(file.path, RecordedFile("", sha256), hashes)
            ]
        if not same and hashes is None and named != name:  # their hashes are unknown
            same = [file for file in matches if not _hashes_in_ids(file)]
        matches = same
    if len(distinct_files(file.path for file in matches)) > 1:
        shown = [file.name for file in matches]
        what = f"'{name}' fits {len(matches)} files"
        raise HostError(what, where=", ".join(shown), hint=f"write which one: {shown[0]}")
    if not matches:
        mismatch = f"'{named}' holds something else than [{sha256}]" if fits.files and named != name else ""
        near = did_you_mean(named, [file.name for file in files])
        raise HostError(mismatch or f"there is no {what} called '{name}'", hint=near or "refresh the list")
    return matches[0]


def _hashes_in_ids(checkpoint: ListedFile) -> frozenset[str]:
    """The hashes in the host's names of a file."""
    titles = (TITLE_WITH_HASH.fullmatch(name) for name in checkpoint.ids)
    behind = (title["hash"].lower() for title in titles if title)
    return frozenset([*behind, *(name.lower() for name in checkpoint.ids if BARE_HASH.fullmatch(name))])
