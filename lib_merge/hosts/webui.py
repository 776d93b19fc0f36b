"""What the WebUIs share, A1111 and those that descend from it: lists, jobs, previews, folders.

Their own package is called `modules`; it has no types, and is reached through `host_module` alone. What
one of them may lack is reached through `part`, so that a WebUI that nobody has tried is read as far as
it goes, and never gets an exception of ours.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from lib_merge.checkpoint import read_header
from lib_merge.errors import MergeError, StoppedError, encodable
from lib_merge.grid.files import TEXT_KEY
from lib_merge.hosts.host import (
    Ckpt,
    DrawSettings,
    HostError,
    Loaded,
    Picture,
    Surface,
    find,
    shown_names,
)
from lib_merge.hosts.pictures import usual_size
from lib_merge.live import LiveModel, MergeIdent
from lib_merge.progress import Progress
from lib_merge.recipe import RECIPE
from lib_merge.recipe.names import Named, files_in

if TYPE_CHECKING:
    from PIL import Image

KEPT: dict[str, Any] = {}  # what outlives *Reload UI*, which runs scripts/ anew but keeps our package
GRAIN = 1000  # steps of the host's progress bar
RECIPE_OPTION = "merge_desk_recipe"  # a job's own recipe among its override settings
NO_LIVE = "Merge Desk cannot swap merges into the memory of this WebUI; saving them to files works"

log = logging.getLogger(__name__)


def host_module(name: str) -> Any:
    """A module of the host, by its name under `modules`."""
    return importlib.import_module(f"modules.{name}")


def part(module: str, name: str, default: Any = None) -> Any:
    """An attribute of one of the host's modules; the default where this host has no such thing."""
    try:
        return getattr(host_module(module), name, default)
    except Exception as cause:  # whatever the import of a module of theirs raises
        log.debug("modules.%s cannot be read: %s", module, cause)
        return default


class WebUIHost:
    """A WebUI whose model is left alone; one that merges are swapped into says so by overriding.

    refusal  why nothing is swapped in
    hosts.host has the promises of the methods.
    """

    merged: Path | None = None  # the checkpoint that the last merge was swapped into

    def __init__(self, id: str = "webui", title: str = "WebUI", refusal: str = NO_LIVE) -> None:
        self.id, self.title, self.refusal = id, title, refusal
        self._own_lock = threading.Lock()  # where the host has no queue

    # --- what each WebUI does its own way ---

    def loaded(self) -> Loaded:
        """The checkpoint that the host's setting names: what it draws with, now or from its next job on."""
        title = str(self.option("sd_model_checkpoint", "") or "")
        try:
            return Loaded(find(self.checkpoints(), title), self.refusal)
        except HostError:
            return Loaded(None, self.refusal)

    def model(self) -> LiveModel:
        """Refused; see hosts.host."""
        raise HostError(self.loaded().refusal, hint="save the merge to a file and load that")

    def load(self, checkpoint: Ckpt | None = None) -> None:
        """Refused; see hosts.host."""
        raise HostError(self.loaded().refusal, hint="choose the checkpoint in the WebUI")

    def wake(self) -> None:
        """At a job's begin: has the host load the checkpoint that the user chose, where it has not."""

    def tidy(self) -> None:
        """Inside a job: gives back what merges of before have left in memory."""

    def ident(self) -> MergeIdent | None:
        """The merge in memory."""
        return None

    def signature(self) -> tuple[str, str | None]:
        """Name and hash that an infotext gives the model in memory."""
        raise HostError(self.loaded().refusal)

    def apart(self, info: Any) -> Any:
        """A refiner's or a hires checkpoint, as the host must be told it to load the file."""
        return info

    def condition_again(self, p: Any) -> None:
        """Inside a job's second pass: computes its conditioning again, with the weights as they are."""

    # --- lists ---

    def surface(self) -> Surface:
        """The samplers and schedulers that the host's own lists show; no pictures, where none can show a
        merge."""
        samplers, schedulers = _samplers(), part("sd_schedulers", "schedulers", ())
        labels = tuple(str(getattr(each, "label", each)) for each in schedulers)
        live = not self.refusal
        return Surface(draws=live, live=live, samplers=samplers, schedulers=labels)

    def checkpoints(self, *, refresh: bool = False) -> Sequence[Ckpt]:
        """The host's list; names are the host's, less the file's ending where that is unambiguous. Where it
        keeps none that can be read: the files in its folders.
        """
        if refresh and (list_models := part("sd_models", "list_models")):
            list_models()
        infos = part("sd_models", "checkpoints_list")
        if not isinstance(infos, Mapping):
            return _named(_files(self.folders()))
        listed = [info for info in dict.fromkeys(infos.values()) if _has_file(info)]
        files = [(str(info.name), Path(info.filename)) for info in listed]
        return _named(files, [_ids_of(info) for info in listed])

    def vaes(self) -> Sequence[Ckpt]:
        """The host's list of VAE files; where it keeps none: the files in its folders of VAEs."""
        known = part("sd_vae", "vae_dict")
        if not isinstance(known, Mapping):
            return _named(_files(_folders_of("vae", part("paths", "models_path"), "VAE")))
        return _named((str(name), Path(path)) for name, path in known.items())

    def unreadable(self) -> Mapping[str, str]:
        """None: the host lists files without reading them."""
        return {}

    def named(self, path: Path) -> Ckpt:
        """A file under the name that the list gives it; its own where the list has lost it."""
        known = next((each for each in self.checkpoints() if each.path == path), None)
        return known or Ckpt(encodable(path.stem), path)

    # --- jobs ---

    @contextmanager
    def job(self, label: str, task: str = "", *, model: bool = True) -> Generator[Progress]:
        """The host's queue, its progress bar and its *Interrupt*.

        model  whether the job touches the model; what works on files alone waits for no checkpoint
        """
        state = _state()
        _told("progress", "add_task_to_queue", task)
        with part("call_queue", "queue_lock") or self._own_lock:
            _begin(state, task or label)
            _told("progress", "start_task", task)
            try:
                if model:
                    self.wake()
                    self.tidy()
                yield JobProgress(state)
            finally:
                _told("progress", "finish_task", task)
                _end(state)

    def inside(self) -> Progress:
        """The progress of the job that is running already."""
        return JobProgress(_state(), silent=True)

    def interrupt(self) -> None:
        """What the host's *Interrupt* button does."""
        state = _state()
        if hasattr(state, "interrupt"):
            state.interrupt()

    def device(self) -> str:
        """Where the host computes; the CPU where that has no double precision, which sums need."""
        device = part("devices", "device")
        return str(device) if getattr(device, "type", "") in ("cpu", "cuda") else "cpu"

    # --- pictures ---

    def usual(self) -> DrawSettings:
        """The host's first sampler, and the size that the loaded checkpoint was made for."""
        samplers = _samplers()
        width, height = self._usual_size()
        return DrawSettings(
            sampler=samplers[0] if samplers else "",
            scheduler="Automatic",
            cfg=7.0,
            width=width,
            height=height,
        )

    def _usual_size(self) -> tuple[int, int]:
        checkpoint = self.loaded().checkpoint
        try:
            return usual_size(read_header(checkpoint.path).metadata if checkpoint else {})
        except MergeError:
            return usual_size({})

    def draw(self, settings: DrawSettings) -> Picture:
        """One picture, without the scripts of other extensions, kept from the host's output folders."""
        processing, shared = host_module("processing"), host_module("shared")
        p = processing.StableDiffusionProcessingTxt2Img(
            prompt=settings.prompt,
            negative_prompt=settings.negative,
            styles=list(settings.styles),
            seed=settings.seed,
            sampler_name=settings.sampler or self.usual().sampler,
            scheduler=settings.scheduler or None,
            steps=settings.steps,
            cfg_scale=settings.cfg,
            width=settings.width,
            height=settings.height,
            do_not_save_samples=True,
            do_not_save_grid=True,
        )
        p.extra_generation_params.update(self.infotext())
        shared.state.job_count, shared.state.job_no, shared.state.textinfo = 1, 0, None
        shared.state.sampling_step = 0
        try:
            with closing(p):
                done = processing.process_images(p)
        except host_module("devices").NansException as cause:
            raise HostError(
                "this merge draws nothing but NaN", hint="smaller amounts, or another base"
            ) from cause
        finally:
            shared.total_tqdm.clear()
        if shared.state.interrupted or not done.images:
            raise StoppedError("the preview was stopped")
        return Picture(done.images[done.index_of_first_image], done.infotexts[done.index_of_first_image])

    def infotext(self) -> Mapping[str, str]:
        """What a picture of the model in memory says beyond the host's own words."""
        ident = self.ident()
        return {RECIPE: ident.recipe} if ident and self.option("merge_desk_infotext", True) else {}

    def option(self, key: str, default: Any) -> Any:
        """A setting of the user's; its default until the host has registered it."""
        return getattr(part("shared", "opts"), key, default)

    # --- files ---

    def folders(self) -> Sequence[Path]:
        """Where the host looks for checkpoints: the folders of its command line first."""
        folders = _folders_of("ckpt", part("sd_models", "model_path"))
        return folders or _folders_of("ckpt", part("paths", "models_path"), "Stable-diffusion")

    def saved(self, path: Path) -> Ckpt:
        """It is registered by itself: a scan would make new objects of all the others."""
        try:
            host_module("sd_models").CheckpointInfo(str(path)).register()
        except Exception as cause:  # the file is written; a list that a person can refresh undoes nothing
            log.warning("the WebUI could not add %s to its list, refresh it: %s", path.name, cause)
        return self.named(path)

    def keep_grid(self, image: Image.Image, infotext: str, data: Mapping[str, object]) -> Path | None:
        """By the host's own saver: its folder, its pattern of names, its format."""
        opts = host_module("shared").opts
        if not opts.grid_save:
            return None
        text = json.dumps(data, ensure_ascii=False)
        if str(opts.grid_format).lower() != "png":  # the only format with room for a text of its own
            infotext += f", Merge grid: {json.dumps(text, ensure_ascii=False)}"
        folder = opts.outdir_grids or opts.outdir_txt2img_grids
        written, _ = host_module("images").save_image(
            image,
            folder,
            "merge_grid",
            extension=opts.grid_format,
            info=infotext,
            short_filename=not opts.grid_extended_filename,
            grid=True,
            existing_info={TEXT_KEY: text},
        )
        return Path(written)

    def data(self) -> Path:
        """A folder of our own beside the host's."""
        folder = Path(part("paths", "data_path") or part("paths_internal", "data_path") or ".") / "merge-desk"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


class JobProgress:
    """Work told to the host's progress bar, and its *Interrupt* heard.

    silent  leaves the bar alone: it belongs to the job that we are called from
    """

    def __init__(self, state: Any, *, silent: bool = False) -> None:
        self._state, self._silent = state, silent
        self._total, self._done = 1, 0
        self._lock = threading.Lock()

    def start(self, total: int, what: str) -> None:
        """A new stretch of the bar."""
        self._total, self._done = max(total, 1), 0
        if not self._silent:
            self._state.textinfo = what
            self._state.job_count, self._state.sampling_steps, self._state.sampling_step = 1, GRAIN, 0

    def advance(self, amount: int) -> None:
        """The bar grows."""
        with self._lock:
            self._done += amount
            if not self._silent:
                self._state.sampling_step = GRAIN * self._done // self._total

    def stopped(self) -> bool:
        """Whether *Interrupt* was pressed."""
        state = self._state
        return bool(getattr(state, "interrupted", False) or getattr(state, "stopping_generation", False))


def _state() -> Any:
    """What the host tells of its running job; a blank one where it has none."""
    return part("shared", "state") or SimpleNamespace()


def _begin(state: Any, job: str) -> None:
    if hasattr(state, "begin"):
        state.begin(job)


def _end(state: Any) -> None:
    if hasattr(state, "end"):
        state.end()
    state.skipped = state.interrupted = state.stopping_generation = False


def _told(module: str, name: str, task: str) -> None:
    """The host's own list of tasks, where the page has given this one an id."""
    tell = part(module, name)
    if task and tell is not None:
        tell(task)


def _samplers() -> tuple[str, ...]:
    names = part("sd_samplers", "visible_sampler_names")
    return tuple(str(name) for name in names()) if names else ()


def _has_file(info: Any) -> bool:
    return bool(getattr(info, "name", None) and getattr(info, "filename", None))


def _folders_of(kind: str, usual: Any, *below: str) -> tuple[Path, ...]:
    """The existing folders of a kind: those of the command line, one (A1111) or several (Neo), and the usual.

    kind  "ckpt" or "vae", as in `--ckpt-dir` and `--vae-dirs`
    """
    flags = part("shared", "cmd_opts")
    own = [getattr(flags, f"{kind}_dir", None), *(getattr(flags, f"{kind}_dirs", None) or ())]
    folders = [Path(each) for each in own if each]
    if usual:
        folders.append(Path(usual, *below))
    return tuple(folder for folder in dict.fromkeys(folders) if folder.is_dir())


def _files(folders: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Checkpoints below the folders, under the names that a list of the host's would give them."""
    for folder in folders:
        yield from ((each.name, each.path) for each in files_in(folder))


def _ids_of(info: Any) -> tuple[str, ...]:
    """What else the host calls a checkpoint (CheckpointInfo.ids): titles, short names, hashes."""
    known = (getattr(info, "title", None), *(getattr(info, "ids", None) or ()))
    return tuple(str(each) for each in known if each)


def _named(files: Iterable[tuple[str, Path]], ids: Iterable[tuple[str, ...]] = ()) -> tuple[Ckpt, ...]:
    """Names without ending, except where two files would be called the same.

    ids  what else the host calls each of them
    """
    named = [Named(encodable(name.replace(os.sep, "/")), path) for name, path in files]
    known = list(ids) or [()] * len(named)
    rows = zip(shown_names(named), named, known, strict=True)
    return tuple(Ckpt(shown, file.path, tuple(map(encodable, also))) for shown, file, also in rows)


def on_option(key: str, then: Callable[[], None]) -> Callable[[], None]:
    """Has `then` called after what the host does when a person changes an option; returns what undoes it."""
    label = host_module("shared").opts.data_labels[key]
    before = label.onchange

    def changed() -> None:
        try:
            if before is not None:
                before()
        finally:
            then()

    def undo() -> None:
        if label.onchange is changed:
            label.onchange = before

    label.onchange = changed
    return undo
