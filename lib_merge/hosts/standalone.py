"""The desk's host where there is no WebUI: a folder of checkpoints, and pictures drawn by diffusers."""

from __future__ import annotations

import threading
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.architectures import identify
from lib_merge.architectures.diffusers_names import TEXT, UNET, VAE, forward_table
from lib_merge.checkpoint import read_header
from lib_merge.errors import FamilyError, MergeError
from lib_merge.grid.files import save_sheet
from lib_merge.hosts.host import (
    Ckpt,
    DrawSettings,
    HostError,
    Loaded,
    Picture,
    Surface,
    shown_names,
    unforeseen,
)
from lib_merge.hosts.pictures import infotext, usual_size
from lib_merge.live import LiveModel, MergeIdent
from lib_merge.progress import Progress
from lib_merge.recipe.names import Named, below, files_in

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

DRAWN = "sd1"  # the family that is drawn without a WebUI


class PipelineModel:
    """A diffusers pipeline's weights under the names of the file that they came from."""

    def __init__(self, pipeline: Any, keys: Collection[str]) -> None:
        self._pipeline = pipeline
        parts = {UNET: pipeline.unet, VAE: pipeline.vae, TEXT: pipeline.text_encoder}
        named = {prefix: dict(part.named_parameters()) for prefix, part in parts.items()}
        self._places: dict[str, Tensor] = {}
        self.ident: MergeIdent | None = None
        for key, name in forward_table(keys).items():
            parameters = next(found for prefix, found in named.items() if key.startswith(prefix))
            place = parameters.get(name, parameters.get(name.removeprefix("text_model.")))
            if place is not None:
                self._places[key] = place

    def token(self) -> object:
        """The pipeline: it is made anew whenever a checkpoint is loaded."""
        return self._pipeline

    def keys(self) -> Collection[str]:
        """The keys that the pipeline has a parameter for."""
        return self._places.keys()

    def prepare(self, keys: Collection[str]) -> None:
        """Nothing else writes to these weights."""

    def tensors(self, key: str) -> Sequence[Tensor]:
        """The one parameter."""
        return (self._places[key],)

    def commit(self, ident: MergeIdent | None, keys: Collection[str]) -> None:
        """Nothing is kept that was computed with the old weights, but pictures say what drew them."""
        self.ident = ident


class Listed:
    """What the folders hold: checkpoints, VAE files, and what cannot be read, with the reason."""

    def __init__(self) -> None:
        self.checkpoints: list[Named] = []
        self.vaes: list[Named] = []
        self.unreadable: dict[str, str] = {}

    def add(self, file: Named) -> None:
        """One more file; a LoRA or an embedding is nothing to choose."""
        try:
            header = read_header(file.path)
            identity = identify(header.tensors, metadata=header.metadata, where=str(file.path))
        except FamilyError:
            return
        except Exception as cause:  # whatever an odd file makes its reader raise must not end the desk
            problem = cause if isinstance(cause, MergeError) else unforeseen(cause, file.path)
            self.unreadable[file.name] = problem.what
        else:
            (self.vaes if identity.is_vae_only else self.checkpoints).append(file)


class StandaloneHost:
    """Checkpoints in folders and one diffusers pipeline; see hosts.host for what each method promises.

    folders  where checkpoints lie; the first that is there is listed first
    output   where results are saved
    data     where the desk keeps its presets
    """

    id = "standalone"
    title = "Merge Desk"

    def __init__(self, folders: Sequence[Path], *, output: Path, data: Path, device: str = "cpu") -> None:
        self._folders, self._output, self._data, self._device = tuple(folders), output, data, device
        self._door = threading.Lock()
        self._stop = threading.Event()
        self._listed = Listed()
        self._offered: list[tuple[Ckpt, bool]] = []  # and whether it is a VAE file
        self._pipeline: Any = None
        self._model: PipelineModel | None = None
        self._chosen: Ckpt | None = None
        self.refresh()
        self._chosen = next(iter(self.checkpoints()), None)

    def refresh(self) -> None:
        """Looks at the folders again; what is no checkpoint of a known family is left out."""
        listed = Listed()
        for folder in dict.fromkeys((*self._folders, self._output)):
            for file in files_in(folder) if folder.is_dir() else ():
                listed.add(file)
        self._listed = listed

    def unreadable(self) -> Mapping[str, str]:
        """The files of the folders that cannot be read, and why."""
        return self._listed.unreadable

    def surface(self) -> Surface:
        """It draws, with one sampler and without LoRAs."""
        return Surface(loras=False)

    def checkpoints(self, *, refresh: bool = False) -> Sequence[Ckpt]:
        """Every model in the folders and among the results, by name."""
        if refresh:
            self.refresh()
        return self._all(vae=False)

    def vaes(self) -> Sequence[Ckpt]:
        """Files that hold a VAE and no more."""
        return self._all(vae=True)

    def _all(self, *, vae: bool) -> tuple[Ckpt, ...]:
        offered = (checkpoint for checkpoint, is_vae in self._offered if is_vae == vae)
        files = self._listed.vaes if vae else self._listed.checkpoints
        return (
            *offered,
            *(Ckpt(*each) for each in zip(shown_names(files), (f.path for f in files), strict=True)),
        )

    def loaded(self) -> Loaded:
        """The chosen checkpoint; its pipeline is made when it is first needed."""
        return Loaded(self._chosen)

    @contextmanager
    def job(self, label: str, task: str = "", *, model: bool = True) -> Generator[Progress]:
        """One at a time."""
        with self._door:
            self._stop.clear()
            yield _Job(self._stop)

    def interrupt(self) -> None:
        """Stops the job that is running, at its next piece or step."""
        self._stop.set()

    def load(self, checkpoint: Ckpt | None = None) -> None:
        """Forgets the pipeline; the next use makes it anew, from the file."""
        self._chosen = checkpoint or self._chosen
        self._pipeline, self._model = None, None

    def model(self) -> LiveModel:
        """The pipeline's weights."""
        if self._model is None:
            pipeline = self._ready()
            assert self._chosen is not None
            self._model = PipelineModel(pipeline, read_header(self._chosen.path).tensors)
        return self._model

    def _ready(self) -> Any:
        if self._chosen is None:
            folders = ", ".join(folder.name for folder in self._folders)
            raise HostError("there is no checkpoint to begin with", where=folders, hint="--models DIR")
        if self._pipeline is None:
            from lib_merge.hosts.drawing import load_pipeline

            header = read_header(self._chosen.path)
            identity = identify(header.tensors, metadata=header.metadata, where=str(header.path))
            if identity.family.id != DRAWN:
                raise HostError(
                    f"{self._chosen.name} is {identity.title}, which the desk draws inside a WebUI only",
                    hint="choose an SD1 checkpoint as A, or save the merge without drawing it",
                )
            self._pipeline = load_pipeline(self._chosen.path, device=self._device)
        return self._pipeline

    def device(self) -> str:
        """As it was made with."""
        return self._device

    def usual(self) -> DrawSettings:
        """A prompt that the samples draw, at the size that the file says it was made for."""
        metadata: Mapping[str, str] = read_header(self._chosen.path).metadata if self._chosen else {}
        width, height = usual_size(metadata)
        return DrawSettings(prompt="a red circle", steps=15, cfg=4.0, width=width, height=height, seed=1)

    def draw(self, settings: DrawSettings) -> Picture:
        """One picture by DPM-Solver++ 2M."""
        from lib_merge.hosts.drawing import draw

        (image,) = draw(
            self._ready(),
            [settings.prompt],
            seeds=[settings.seed],
            steps=settings.steps,
            guidance=settings.cfg,
            width=settings.width,
            height=settings.height,
            negative_prompt=settings.negative,
            stopped=self._stop.is_set,
        )
        ident = self._model.ident if self._model else None
        return Picture(image, infotext(settings, self._chosen, ident.recipe if ident else ""))

    def offer(self, checkpoint: Ckpt) -> None:
        """One more checkpoint (or VAE) in the list, wherever it lies; the first becomes the chosen one."""
        header = read_header(checkpoint.path)
        identity = identify(header.tensors, metadata=header.metadata, where=str(checkpoint.path))
        self._offered.insert(0, (checkpoint, identity.is_vae_only))
        self._chosen = self._chosen or checkpoint

    def folders(self) -> Sequence[Path]:
        """The one folder for results, made when it is asked for."""
        self._output.mkdir(parents=True, exist_ok=True)
        return (self._output,)

    def saved(self, path: Path) -> Ckpt:
        """It joins the list."""
        if not any(each.path == path for each in (*self._listed.checkpoints, *self._listed.vaes)):
            self._listed.add(below(self._output, path))
        return next(each for each in (*self.checkpoints(), *self.vaes()) if each.path == path)

    def keep_grid(self, image: Image.Image, infotext: str, data: Mapping[str, object]) -> Path | None:
        """A PNG with the next free number in the folder of grids."""
        folder = self._output / "grids"
        folder.mkdir(parents=True, exist_ok=True)
        numbers = (int(path.stem) for path in folder.glob("*.png") if path.stem.isdigit())
        path = folder / f"{max(numbers, default=0) + 1:05}.png"
        save_sheet(image, path, infotext, data)
        return path

    def data(self) -> Path:
        """The folder that it was made with."""
        self._data.mkdir(parents=True, exist_ok=True)
        return self._data


class _Job:
    """A job's progress: nobody listens, but it can be stopped."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def start(self, total: int, what: str) -> None:
        """Not shown."""

    def advance(self, amount: int) -> None:
        """Not shown."""

    def stopped(self) -> bool:
        """Whether `interrupt` was called since the job began."""
        return self._stop.is_set()
