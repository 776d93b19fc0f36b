"""The backend of grids: the model in memory and the host's lists, for `lib_merge.grid`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lib_merge.architectures import Family
from lib_merge.checkpoint import Header
from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.grid import (
    GridPlan,
    GridRun,
    GridStore,
    measured_speeds,
    request_of_plan,
    run_grid,
    save_speeds,
)
from lib_merge.grid.edit import checkpoint_recipe
from lib_merge.grid.run import OnResult
from lib_merge.hosts.host import HostError, ListedFile
from lib_merge.library import presets
from lib_merge.live import SwapReport, ident_of
from lib_merge.picture import DrawSettings, Picture, random_seed
from lib_merge.progress import Progress
from lib_merge.recipe import RECIPE_KEY, Recipe, parse_recipe, rename_files, without_hashes
from lib_merge.service.merging import MergeService
from lib_merge.service.request import Resolved

MAX_HISTORY_ENTRIES = 2000  # of the history that are searched for an id


class FileLookup(Protocol):
    """Finds the files and recipes that values of axes name; MergeError where there is none."""

    def checkpoint(self, name: str) -> ListedFile:
        """A checkpoint by its name."""
        ...

    def vae(self, name: str) -> ListedFile:
        """A VAE file by its name."""
        ...

    def recipe(self, text: str) -> Resolved[ListedFile]:
        """The recipe in a file or text; files that are not in the result are looked up when needed."""
        ...


@dataclass(frozen=True)
class HostLists:
    """Looks up names in the host's lists."""

    service: MergeService

    def checkpoint(self, name: str) -> ListedFile:
        """A checkpoint by any name that the host shows."""
        return self.service.checkpoint(name)

    def vae(self, name: str) -> ListedFile:
        """A VAE file by any name that the host shows."""
        return self.service.vae(name)

    def recipe(self, text: str) -> Resolved[ListedFile]:
        """The recipe in the metadata of a merged checkpoint."""
        checkpoint = self.service.checkpoint(text)
        recipe_text = self.service.header(checkpoint).metadata.get(RECIPE_KEY)
        if not recipe_text:
            raise RecipeError(
                f"{checkpoint.name} has no recipe",
                hint="to use the checkpoint itself, take the axis 'checkpoint'",
            )
        return Resolved(parse_recipe(recipe_text), {})


class GridBackend:
    """A ModelCatalog and a GridRenderer over one service; drawing happens inside the host's job.

    files   where the files of the base recipe are, by the names that it gives them
    lookup  what values of axes name; the host's lists unless it says more
    """

    def __init__(
        self,
        service: MergeService,
        files: Mapping[str, ListedFile] | None = None,
        lookup: FileLookup | None = None,
    ) -> None:
        self._service, self._host = service, service.host
        self._lookup = lookup or HostLists(service)
        self._files: dict[str, ListedFile] = dict(files or {})

    # --- the catalog ---

    def checkpoint(self, name: str) -> str:
        """See grid.cell.ModelCatalog; two files of one name have folders in their names."""
        return self.register(self._files.get(name) or self._lookup.checkpoint(name))

    def vae(self, name: str) -> str:
        """The name in recipes of a VAE file; see grid.cell.ModelCatalog."""
        return self.register(self._files.get(name) or self._lookup.vae(name))

    def register(self, listed_file: ListedFile) -> str:
        """The name of a file in the recipes of this grid; adds the file where it is new."""
        name = next((file for file, other in self._files.items() if other.path == listed_file.path), None)
        if name is not None:
            return name
        file = self._service.recipe_name(listed_file)
        if file in self._files:  # the host's list has changed since the name was given
            file = listed_file.name
        self._files[file] = listed_file
        return file

    def header(self, file: str) -> Header:
        """The header of a file, read again only when the file has changed."""
        return self._service.header(self._listed_file(file))

    def _listed_file(self, file: str) -> ListedFile:
        if file not in self._files:
            try:
                self._files[file] = self._service.checkpoint(file)
            except HostError:
                self._files[file] = self._service.vae(file)
        return self._files[file]

    def preset(self, name: str, family: Family) -> Mapping[str, float]:
        """A preset by its name: the user's own before the shipped ones."""
        return find_preset(self._host.data_dir(), name, family)

    def recipe(self, text: str) -> Recipe:
        """The recipe of a merged checkpoint, or what else the lookup finds."""
        resolved = self._lookup.recipe(text)
        return rename_files(
            resolved.recipe,
            {file: self.register(listed_file) for file, listed_file in resolved.files.items()},
        )

    def from_history(self, text: str) -> Recipe:
        """A recipe of the history: by an entry's number, the id in infotexts, or its name."""
        history = self._service.history
        if text.isascii() and text.isdigit():
            return parse_recipe(history.get(int(text)).recipe)
        for entry in history.entries(limit=MAX_HISTORY_ENTRIES):
            recipe = parse_recipe(entry.recipe)
            if text in (entry.name, ident_of(recipe).id):
                return recipe
        raise RecipeError(f"the history has no merge '{text}'", hint="the tab History lists them")

    def samplers(self) -> Sequence[str]:
        """The host's samplers."""
        return self._host.capabilities().samplers

    def schedulers(self) -> Sequence[str]:
        """The host's schedulers."""
        return self._host.capabilities().schedulers

    def loras(self) -> Sequence[str] | None:
        """None where the host reads LoRAs from the prompt, which may be any; () where it uses none."""
        return None if self._host.capabilities().loras else ()

    def random_seed(self) -> int:
        """A random seed, for a cell whose seed is -1."""
        return random_seed()

    # --- the renderer ---

    def holds(self, recipe: Recipe) -> bool:
        """Whether the model in memory is this merge, or the checkpoint where the recipe has no step."""
        if self._is_loaded(recipe):
            return not self._service.is_live()
        ident = self._service.session.ident
        # hashes of files are computed in the background and do not change the id
        return ident is not None and ident.id == ident_of(recipe).id and self._service.is_live()

    def _is_loaded(self, recipe: Recipe) -> bool:
        loaded = self._host.loaded().checkpoint
        files = [ingredient.file for ingredient in recipe.ingredients]
        if loaded is None or recipe.steps or recipe.vae not in ("", "a") or recipe.dtype or len(files) != 1:
            return False
        return self._listed_file(files[0]).path == loaded.path

    def now(self) -> Recipe | None:
        """The recipe of the model in memory."""
        ident = self._service.session.ident
        if ident is not None and self._service.is_live():
            return without_hashes(parse_recipe(ident.recipe))
        loaded = self._host.loaded().checkpoint
        return checkpoint_recipe(self.register(loaded)) if loaded else None

    def merge(self, recipe: Recipe, progress: Progress) -> SwapReport:
        """Load a merge into the model, or restore the checkpoint where the recipe is that alone."""
        job = self._service.current(progress)
        if self._is_loaded(recipe):
            return job.restore() or SwapReport(ident=None, slots=(), keys=0, nbytes=0, seconds=0.0)
        return job.apply(self._service.prepare(self.resolve(recipe)))

    def resolve(self, recipe: Recipe) -> Resolved[ListedFile]:
        """A recipe with the paths of its files."""
        return Resolved(recipe, {file: self._listed_file(file) for file in recipe.files})

    def draw(self, settings: DrawSettings) -> Picture:
        """Generate a picture with the host."""
        return self._host.draw(settings)


def find_preset(data: Path, name: str, family: Family) -> Mapping[str, float]:
    """A preset by its name: the user's own in a data folder before the shipped ones."""
    own = [preset for preset in presets.own_presets(data) if preset.family == family.id]
    values_by_name = {
        preset.name.lower(): preset.values for preset in (*presets.shipped_presets(family), *own)
    }
    if name.lower() not in values_by_name:
        near = did_you_mean(name.upper(), [key.upper() for key in values_by_name])
        raise RecipeError(f"there is no preset '{name}' for {family.title}", hint=near)
    return values_by_name[name.lower()]


@dataclass(frozen=True)
class CombinedProgress:
    """The progress of a job that is also stopped by the grid's *Stop*."""

    job: Progress
    stop_requested: Callable[[], bool]

    def start(self, total: int, what: str) -> None:
        """Start the job's bar of `total` units of work."""
        self.job.start(total, what)

    def advance(self, amount: int) -> None:
        """Advance the job's bar."""
        self.job.advance(amount)

    def stopped(self) -> bool:
        """Whether the host's *Interrupt* or the grid's *Stop* was pressed."""
        return self.stop_requested() or self.job.stopped()


def run_grid_job(
    service: MergeService,
    plan: GridPlan,
    backend: GridBackend,
    store: GridStore,
    *,
    task: str = "",
    tell: OnResult = lambda done: None,
    stopped: Callable[[], bool] = lambda: False,
) -> GridRun:
    """Run a grid in one job of the host; afterwards the model is what it was before.

    Measured speeds are stored for the next plan.
    """
    store.save_request(request_of_plan(plan))
    with service.job("grid", task) as job:
        service.host.model()  # loads the checkpoint where none is loaded; HostError where that is impossible
        with job.preserving():
            done = run_grid(plan, backend, store, CombinedProgress(job.progress, stopped), tell)
    save_speeds(service.host.data_dir(), measured_speeds(done))
    return done
