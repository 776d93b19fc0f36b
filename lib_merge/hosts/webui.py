"""What the WebUIs share, A1111 and those that descend from it: lists, jobs, previews, folders.

Their own package is called `modules`; it has no types, and is reached through `host_module` alone.
"""

from __future__ import annotations

import importlib
import json
import os
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from lib_merge.checkpoint import read_header
from lib_merge.errors import MergeError, StoppedError
from lib_merge.grid.files import TEXT_KEY
from lib_merge.hosts.host import Ckpt, DrawSettings, HostError, Loaded, Picture, Surface
from lib_merge.hosts.pictures import usual_size
from lib_merge.live import MergeIdent
from lib_merge.progress import Progress
from lib_merge.recipe import RECIPE

if TYPE_CHECKING:
    from PIL import Image

KEPT: dict[str, Any] = {}  # what outlives *Reload UI*, which runs scripts/ anew but keeps our package
GRAIN = 1000  # steps of the host's progress bar


def host_module(name: str) -> Any:
    """A module of the host, by its name under `modules`."""
    return importlib.import_module(f"modules.{name}")


class WebUIHost:
    """The part of a host that does not depend on how it holds its model; hosts.host has the promises."""

    id = "webui"
    title = "WebUI"
    merged: Path | None = None  # the checkpoint that the last merge was swapped into

    # --- what each WebUI does its own way ---

    def loaded(self) -> Loaded:
        """What is in memory."""
        raise NotImplementedError

    def wake(self) -> None:
        """At a job's begin: has the host load the checkpoint that the user chose, where it has not."""

    def tidy(self) -> None:
        """Inside a job: gives back what merges of before have left in memory."""

    def ident(self) -> MergeIdent | None:
        """The merge in memory."""
        raise NotImplementedError

    def signature(self) -> tuple[str, str | None]:
        """Name and hash that an infotext gives the model in memory."""
        raise NotImplementedError

    # --- lists ---

    def surface(self) -> Surface:
        """The samplers and schedulers that the host's own lists show."""
        samplers = tuple(str(name) for name in host_module("sd_samplers").visible_sampler_names())
        schedulers = tuple(str(each.label) for each in host_module("sd_schedulers").schedulers)
        return Surface(samplers=samplers, schedulers=schedulers)

    def checkpoints(self, *, refresh: bool = False) -> Sequence[Ckpt]:
        """The host's list; names are the host's, less the file's ending where that is unambiguous."""
        models = host_module("sd_models")
        if refresh:
            models.list_models()
        infos = list(dict.fromkeys(models.checkpoints_list.values()))
        return _named((str(info.name), Path(info.filename)) for info in infos)

    def vaes(self) -> Sequence[Ckpt]:
        """The host's list of VAE files."""
        return _named((name, Path(path)) for name, path in host_module("sd_vae").vae_dict.items())

    def named(self, path: Path) -> Ckpt:
        """A file under the name that the list gives it; its own where the list has lost it."""
        known = next((each for each in self.checkpoints() if each.path == path), None)
        return known or Ckpt(path.stem, path)

    # --- jobs ---

    @contextmanager
    def job(self, label: str, task: str = "") -> Generator[Progress]:
        """The host's queue, its progress bar and its *Interrupt*."""
        progress, state = host_module("progress"), host_module("shared").state
        if task:
            progress.add_task_to_queue(task)
        with host_module("call_queue").queue_lock:
            state.begin(job=task or label)
            if task:
                progress.start_task(task)
            try:
                self.wake()
                self.tidy()
                yield JobProgress(state)
            finally:
                if task:
                    progress.finish_task(task)
                state.end()
                state.skipped = state.interrupted = state.stopping_generation = False

    def inside(self) -> Progress:
        """The progress of the job that is running already."""
        return JobProgress(host_module("shared").state, silent=True)

    def interrupt(self) -> None:
        """What the host's *Interrupt* button does."""
        host_module("shared").state.interrupt()

    def device(self) -> str:
        """Where the host computes; the CPU where that has no double precision, which sums need."""
        device = host_module("devices").device
        return "cpu" if device.type not in ("cpu", "cuda") else str(device)

    # --- pictures ---

    def usual(self) -> DrawSettings:
        """The host's first sampler, and the size that the loaded checkpoint was made for."""
        samplers = host_module("sd_samplers").visible_sampler_names()
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
        return getattr(host_module("shared").opts, key, default)

    # --- files ---

    def folders(self) -> Sequence[Path]:
        """Where the host looks for checkpoints: the folder of its command line first."""
        own = host_module("shared").cmd_opts.ckpt_dir
        folders = [Path(folder) for folder in (own, host_module("sd_models").model_path) if folder]
        return tuple(folder for folder in dict.fromkeys(folders) if folder.is_dir())

    def saved(self, path: Path) -> Ckpt:
        """It is registered by itself: a scan would make new objects of all the others."""
        host_module("sd_models").CheckpointInfo(str(path)).register()
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
        folder = Path(host_module("paths").data_path) / "merge-desk"
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
        return bool(self._state.interrupted or self._state.stopping_generation)


def _named(files: Iterable[tuple[str, Path]]) -> tuple[Ckpt, ...]:
    """Names without ending, except where two files would be called the same."""
    files = [(name.replace(os.sep, "/"), path) for name, path in files]
    bare = [str(PurePath(name).with_suffix("")).replace(os.sep, "/") for name, _ in files]
    return tuple(
        Ckpt(name if bare.count(short) > 1 else short, path)
        for (name, path), short in zip(files, bare, strict=True)
    )


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
