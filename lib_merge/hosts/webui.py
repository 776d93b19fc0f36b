"""Code shared by A1111 and its forks: lists of files, jobs, pictures, folders.

`hosts.webui_modules` reads the WebUI's own package, `hosts.webui_jobs` its state of a running job.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.architectures import read_header
from lib_merge.errors import MergeError, StoppedError, encodable
from lib_merge.grid.files import TEXT_KEY
from lib_merge.hosts.host import (
    Capabilities,
    DrawSettings,
    HostDefaults,
    HostError,
    ListedFile,
    Loaded,
    Picture,
    display_names,
    find_file,
)
from lib_merge.hosts.pictures import default_size
from lib_merge.hosts.webui_jobs import JobProgress, begin_job, end_job, job_state, update_task
from lib_merge.hosts.webui_modules import host_module, part
from lib_merge.live import LiveModel, MergeIdent
from lib_merge.progress import Progress
from lib_merge.recipe import INFOTEXT_KEY
from lib_merge.recipe.names import NamedFile, checkpoint_files

if TYPE_CHECKING:
    from PIL import Image

KEPT_ON_RELOAD: dict[
    str, Any
] = {}  # what outlives *Reload UI*, which runs scripts/ again but keeps our package
TXT2IMG_FIELDS = {  # element id of the txt2img tab -> field of DrawSettings
    "txt2img_prompt": "prompt",
    "txt2img_neg_prompt": "negative",
    "txt2img_styles": "styles",
    "txt2img_sampling": "sampler",
    "txt2img_scheduler": "scheduler",
    "txt2img_steps": "steps",
    "txt2img_cfg_scale": "cfg",
    "txt2img_width": "width",
    "txt2img_height": "height",
    "txt2img_seed": "seed",
}
RECIPE_OPTION = "merge_desk_recipe"  # override setting with a job's own recipe
NO_LIVE = "Merge Desk cannot load merges into the memory of this WebUI; saving them to files works"

log = logging.getLogger(__name__)


class FilesOnlyWebUI(HostDefaults):
    """A WebUI whose model is not changed; subclasses that load merges into it override methods.

    unavailable_reason  why no merge can be loaded into its model
    `hosts.host.WebUIHost` documents the methods.
    """

    merged_checkpoint: Path | None = None  # the checkpoint under the last merge

    def __init__(self, id: str = "webui", title: str = "WebUI", unavailable_reason: str = NO_LIVE) -> None:
        self.id, self.title, self.unavailable_reason = id, title, unavailable_reason
        self._own_lock = threading.Lock()  # where the host has no queue

    # --- what each WebUI does its own way ---

    def loaded(self) -> Loaded:
        """The checkpoint that is selected in the host's settings, which its next job uses."""
        title = str(self.option("sd_model_checkpoint", "") or "")
        try:
            return Loaded(find_file(self.checkpoints(), title), self.unavailable_reason)
        except HostError:
            return Loaded(None, self.unavailable_reason)

    def model(self) -> LiveModel:
        """Raise HostError with the reason: no merge can be loaded into this model."""
        raise HostError(self.loaded().unavailable_reason, hint="save the merge to a file and load that")

    def load(self, checkpoint: ListedFile | None = None) -> None:
        """Raise HostError with the reason: only the WebUI itself loads checkpoints."""
        raise HostError(self.loaded().unavailable_reason, hint="choose the checkpoint in the WebUI")

    def live_ident(self) -> MergeIdent | None:
        """None: no merge is ever in memory."""
        return None

    def infotext_model(self) -> tuple[str, str | None]:
        """Raise HostError with the reason: no infotext is changed."""
        raise HostError(self.loaded().unavailable_reason)

    def separate_checkpoints(self, p: Any) -> None:
        """Does nothing: no merge is in memory."""

    def recompute_conditioning(self, p: Any) -> None:
        """Does nothing: the weights do not change between passes."""

    def on_checkpoint_option(self, then: Callable[[], None]) -> Callable[[], None]:
        """Does nothing: the host handles the selection."""
        return lambda: None

    def checkpoint_listener(self, then: Callable[[str], None]) -> Callable[[Any, str], None]:
        """Does nothing: the host handles the selection."""
        return lambda component, name: None

    # --- lists ---

    def capabilities(self) -> Capabilities:
        """The samplers and schedulers of the host's lists; pictures only where merges can be loaded."""
        samplers, schedulers = _samplers(), part("sd_schedulers", "schedulers", ())
        labels = tuple(str(getattr(scheduler, "label", scheduler)) for scheduler in schedulers)
        live = not self.unavailable_reason
        return Capabilities(draws=live, live=live, samplers=samplers, schedulers=labels)

    def checkpoints(self, *, refresh: bool = False) -> Sequence[ListedFile]:
        """The host's list; names have no suffix where that is unambiguous.

        Where the list cannot be read: the files in the host's folders.
        """
        if refresh and (list_models := part("sd_models", "list_models")):
            list_models()
        infos = part("sd_models", "checkpoints_list")
        if not isinstance(infos, Mapping):
            return listed_files(_files(self.folders()))
        listed = [info for info in dict.fromkeys(infos.values()) if _has_file(info)]
        files = [(str(info.name), Path(info.filename)) for info in listed]
        return listed_files(files, [_ids_of(info) for info in listed])

    def vaes(self) -> Sequence[ListedFile]:
        """The host's list of VAE files; where it has none, the files in its VAE folders."""
        path_by_name = part("sd_vae", "vae_dict")
        if not isinstance(path_by_name, Mapping):
            return listed_files(_files(_folders_of("vae", part("paths", "models_path"), "VAE")))
        return listed_files((str(name), Path(path)) for name, path in path_by_name.items())

    def listed_file(self, path: Path) -> ListedFile:
        """A file with its name in the list; with its file name where the list does not have it."""
        listed = next((checkpoint for checkpoint in self.checkpoints() if checkpoint.path == path), None)
        return listed or ListedFile(encodable(path.stem), path)

    # --- jobs ---

    @contextmanager
    def job(self, label: str, task: str = "", *, model: bool = True) -> Generator[Progress]:
        """A job in the host's queue, with its progress bar and *Interrupt*.

        model  whether the job uses the model; a job on files only loads no checkpoint
        """
        state = job_state()
        update_task("progress", "add_task_to_queue", task)
        with part("call_queue", "queue_lock") or self._own_lock:
            begin_job(state, task or label)
            update_task("progress", "start_task", task)
            try:
                if model:
                    self.ensure_loaded()
                    self.release_unused()
                yield JobProgress(state)
            finally:
                update_task("progress", "finish_task", task)
                end_job(state)

    def current_progress(self) -> Progress:
        """The progress of the running job."""
        return JobProgress(job_state(), silent=True)

    def interrupt(self) -> None:
        """Do what the host's *Interrupt* button does."""
        state = job_state()
        if hasattr(state, "interrupt"):
            state.interrupt()

    def sampling_step(self) -> int:
        """As the host's own progress bar counts them."""
        return int(getattr(job_state(), "sampling_step", 0) or 0)

    def device(self) -> str:
        """The host's device; the CPU where that lacks float64, which reductions need."""
        device = part("devices", "device")
        return str(device) if getattr(device, "type", "") in ("cpu", "cuda") else "cpu"

    # --- pictures ---

    def default_settings(self) -> DrawSettings:
        """The host's first sampler, and the size in the loaded checkpoint's metadata."""
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
            return default_size(read_header(checkpoint.path).metadata if checkpoint else {})
        except MergeError:
            return default_size({})

    def draw(self, settings: DrawSettings) -> Picture:
        """One picture, without scripts of other extensions, and not saved to the host's output folders."""
        processing, shared = host_module("processing"), host_module("shared")
        p = self._new_job(settings)
        p.extra_generation_params.update(self.infotext_fields())
        shared.state.job_count, shared.state.job_no, shared.state.textinfo = 1, 0, None
        shared.state.sampling_step = 0
        try:
            with closing(p):
                done = processing.process_images(p)
        except host_module("devices").NansException as cause:
            raise HostError(
                "this merge gives a picture of NaN", hint="smaller amounts, or another base"
            ) from cause
        finally:
            shared.total_tqdm.clear()
        if shared.state.interrupted or not done.images:
            raise StoppedError("the preview was stopped")
        return Picture(done.images[done.index_of_first_image], done.infotexts[done.index_of_first_image])

    def _new_job(self, settings: DrawSettings) -> Any:
        job = host_module("processing").StableDiffusionProcessingTxt2Img
        # Classic has none, as AUTOMATIC1111 before 1.9: there the sampler's name says the schedule
        schedule = {"scheduler": settings.scheduler or None} if hasattr(job, "scheduler") else {}
        p = job(
            prompt=settings.prompt,
            negative_prompt=settings.negative,
            styles=list(settings.styles),
            seed=settings.seed,
            sampler_name=settings.sampler or self.default_settings().sampler,
            steps=settings.steps,
            cfg_scale=settings.cfg,
            width=settings.width,
            height=settings.height,
            do_not_save_samples=True,
            do_not_save_grid=True,
            **schedule,
        )
        self.complete_job(p)
        return p

    def complete_job(self, p: Any) -> None:
        """Hosts that need more of a job than AUTOMATIC1111 add it here."""

    def infotext_fields(self) -> Mapping[str, str]:
        """Fields that Merge Desk adds to the infotext of a picture of the model in memory."""
        ident = self.live_ident()
        return {INFOTEXT_KEY: ident.recipe} if ident and self.option("merge_desk_infotext", True) else {}

    def option(self, key: str, default: Any) -> Any:
        """The user's value of a setting; the default until the host has registered it."""
        return getattr(part("shared", "opts"), key, default)

    # --- files ---

    def folders(self) -> Sequence[Path]:
        """The host's folders of checkpoints, those of its command line first."""
        folders = _folders_of("ckpt", part("sd_models", "model_path"))
        return folders or _folders_of("ckpt", part("paths", "models_path"), "Stable-diffusion")

    def register(self, path: Path) -> ListedFile:
        """Register the file alone: a scan would replace the info objects of all other files."""
        try:
            host_module("sd_models").CheckpointInfo(str(path)).register()
        except Exception as cause:  # the file is written, and the user can refresh the list
            log.warning("the WebUI could not add %s to its list, refresh it: %s", path.name, cause)
        return self.listed_file(path)

    def save_grid(self, image: Image.Image, infotext: str, data: Mapping[str, object]) -> Path | None:
        """Save with the host's own function: its folder, file name pattern and format."""
        opts = host_module("shared").opts
        if not opts.grid_save:
            return None
        text = json.dumps(data, ensure_ascii=False)
        if str(opts.grid_format).lower() != "png":  # only PNG has a text chunk for it
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

    def data_dir(self) -> Path:
        """The folder `merge-desk` in the host's data folder."""
        folder = Path(part("paths", "data_path") or part("paths_internal", "data_path") or ".") / "merge-desk"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _samplers() -> tuple[str, ...]:
    names = part("sd_samplers", "visible_sampler_names")
    return tuple(str(name) for name in names()) if names else ()


def _has_file(info: Any) -> bool:
    return bool(getattr(info, "name", None) and getattr(info, "filename", None))


def _folders_of(kind: str, usual: Any, *below: str) -> tuple[Path, ...]:
    """The existing folders of a kind: from the command line, one (A1111) or several (Neo), and the default.

    kind  "ckpt" or "vae", as in `--ckpt-dir` and `--vae-dirs`
    """
    flags = part("shared", "cmd_opts")
    own = [getattr(flags, f"{kind}_dir", None), *(getattr(flags, f"{kind}_dirs", None) or ())]
    folders = [Path(path) for path in own if path]
    if usual:
        folders.append(Path(usual, *below))
    return tuple(folder for folder in dict.fromkeys(folders) if folder.is_dir())


def _files(folders: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Checkpoints below the folders, named as in the host's list."""
    for folder in folders:
        yield from ((file.name, file.path) for file in checkpoint_files(folder))


def _ids_of(info: Any) -> tuple[str, ...]:
    """The host's other names of a checkpoint (CheckpointInfo.ids): titles, short names, hashes."""
    names = (getattr(info, "title", None), *(getattr(info, "ids", None) or ()))
    return tuple(str(name) for name in names if name)


def listed_files(
    files: Iterable[tuple[str, Path]], ids: Iterable[tuple[str, ...]] = ()
) -> tuple[ListedFile, ...]:
    """Files with names without suffix, except where two files would have the same name.

    ids  the host's other names of each file
    """
    named = [NamedFile(encodable(name.replace(os.sep, "/")), path) for name, path in files]
    file_ids = list(ids) or [()] * len(named)
    rows = zip(display_names(named), named, file_ids, strict=True)
    return tuple(ListedFile(shown, file.path, tuple(map(encodable, also))) for shown, file, also in rows)
