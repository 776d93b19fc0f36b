"""A host for grids that draws in no time: a picture is noise from the very bytes of the weights and settings.

Two pictures are equal exactly where weights and settings are, so byte equality of pictures is as strict as
with a real sampler.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lib_merge.errors import NumericalError
from lib_merge.grid import (
    AxisSpec,
    GridBase,
    GridCell,
    GridPlan,
    GridRun,
    GridStore,
    parse_axis_spec,
    plan_grid,
)
from lib_merge.grid.run import CellResult
from lib_merge.hosts.host import ListedFile
from lib_merge.hosts.standalone import StandaloneHost
from lib_merge.live import LiveModel
from lib_merge.picture import DrawSettings, Picture
from lib_merge.recipe import Ingredient, Recipe, Setting, Step
from lib_merge.service.grids import GridBackend
from lib_merge.service.merging import MergeService
from tests.support.live_model import Memory

SIDE = 8


class NoiseHost(StandaloneHost):
    """The standalone host with plain tensors for a model, and noise for pictures.

    broken  settings whose pictures come out as NaN
    """

    memory: Memory | None = None
    drawn = 0
    broken: Callable[[DrawSettings], bool] = staticmethod(lambda settings: False)

    def model(self) -> LiveModel:
        loaded = self.loaded().checkpoint
        assert loaded is not None
        if self.memory is None:
            self.memory = Memory(loaded.path)
        return self.memory

    def load(self, checkpoint: ListedFile | None = None) -> None:
        super().load(checkpoint)
        self.memory = None

    def draw(self, settings: DrawSettings) -> Picture:
        self.model()
        assert self.memory is not None
        self.drawn += 1
        if self.broken(settings):
            raise NumericalError("this model draws nothing but NaN")
        return Picture(noise(self.memory.weights, settings), f"{settings.prompt}\nSeed: {settings.seed}")


def noise(weights: Mapping[str, torch.Tensor], settings: DrawSettings) -> Image.Image:
    """A picture that depends on every bit of the weights and on every setting."""
    digest = hashlib.sha256(repr(settings).encode())
    for key in sorted(weights):
        digest.update(weights[key].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    random = np.random.default_rng(int.from_bytes(digest.digest()[:8], "big"))
    return Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))


class Bench:
    """A folder of models, a service over it, and a recipe to vary."""

    def __init__(self, folder: Path, models: Path) -> None:
        self.folder, self.models = folder, models
        self.host = NoiseHost([models], output=folder / "out", data=folder / "data")
        self.service = MergeService(self.host, threads=1)
        self.backend = GridBackend(self.service)

    def recipe(self, **settings: Setting) -> Recipe:
        """A weighted sum of a and b."""
        step = Step("M", "weighted_sum", ("A", "B"), tuple(sorted(settings.items())))
        return Recipe((Ingredient("A", "a.safetensors"), Ingredient("B", "b.safetensors")), (step,), "M")

    def plan(self, recipe: Recipe | None = None, prompt: str = "a cat", **axes: str) -> GridPlan:
        """The plan of a grid, `x="alpha: 0-1 [5]"`."""
        asked: dict[str, AxisSpec] = {name: parse_axis_spec(text) for name, text in axes.items()}
        return plan_grid(self.base(recipe, prompt), asked, loaded=self.backend.now())

    def base(self, recipe: Recipe | None = None, prompt: str = "a cat") -> GridBase:
        """What a grid varies."""
        drawing = DrawSettings(prompt=prompt, steps=2, width=SIDE, height=SIDE)
        return GridBase(GridCell(recipe or self.recipe(), drawing), self.backend)

    def store(self, name: str = "grid") -> GridStore:
        """Where cells are kept."""
        return GridStore(self.folder / name)

    def alone(self, cell: GridCell, folder: Path) -> Image.Image:
        """The single picture of a cell: a fresh model, this one recipe, drawn once."""
        fresh = Bench(folder, self.models)
        if cell.recipe.steps or cell.recipe.ingredients[0].file != "a.safetensors":
            with fresh.host.job("alone") as progress:
                fresh.backend.merge(cell.recipe, progress)
        return fresh.host.draw(cell.drawing).image


def pictures(done: GridRun, store: GridStore) -> dict[tuple[int, int, int], bytes]:
    """Every finished cell's pixels."""
    found = {place: store.picture(each.name) for place, each in done.results.items()}
    return {place: image.tobytes() for place, image in found.items() if image is not None}


class After:
    """Presses *Stop* when so many cells are done."""

    def __init__(self, count: int) -> None:
        self.left = count

    def tell(self, done: CellResult) -> None:
        """Counts."""
        self.left -= not done.reused

    def pressed(self) -> bool:
        """Whether it is time."""
        return self.left <= 0
