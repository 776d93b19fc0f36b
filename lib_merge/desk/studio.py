"""Where grids are painted: the mixer's live model and the host's lists, as lib_merge.grid asks for them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lib_merge.architectures import Family
from lib_merge.checkpoint import Header
from lib_merge.desk import presets
from lib_merge.desk.mixer import Body, Mixer
from lib_merge.desk.request import Asked
from lib_merge.errors import MergeError, RecipeError, did_you_mean
from lib_merge.grid import GridPlan, GridRun, Store, keep_speeds, measured, order_of, run_grid
from lib_merge.grid.edit import alone
from lib_merge.grid.run import Tell
from lib_merge.hosts.host import Ckpt, HostError
from lib_merge.live import SwapReport, ident_of
from lib_merge.picture import DrawSettings, Picture
from lib_merge.progress import Progress, Silent
from lib_merge.recipe import Recipe, parse_recipe, without_hashes
from lib_merge.recipe.reading import RECIPE_KEY

MOST_SEED = 2**32
MOST_ENTRIES = 2000  # of the history that are looked through for an id


class Studio:
    """A Shelf and a Painter over one mixer; painting happens inside the host's job.

    files  where the files of the base recipe are, by the names that it gives them
    """

    def __init__(self, mixer: Mixer, files: Mapping[str, Ckpt] | None = None) -> None:
        self._mixer, self._host = mixer, mixer.host
        self._files: dict[str, Ckpt] = dict(files or {})

    # --- the shelf ---

    def checkpoint(self, name: str) -> str:
        """See grid.cell.Shelf; two files of one name are told apart by their folders."""
        return self.registered(self._files.get(name) or self._mixer.checkpoint(name))

    def vae(self, name: str) -> str:
        """Likewise."""
        return self.registered(self._files.get(name) or self._mixer.vae(name))

    def registered(self, found: Ckpt) -> str:
        """What recipes call a file from here on."""
        known = next((file for file, each in self._files.items() if each.path == found.path), None)
        if known is not None:
            return known
        file = self._mixer.called(found)
        if file in self._files:  # of a list that was another one when that name was given
            file = found.name
        self._files[file] = found
        return file

    def header(self, file: str) -> Header:
        """Read again only when the file has changed."""
        return self._mixer.header(self._found(file))

    def _found(self, file: str) -> Ckpt:
        if file not in self._files:
            try:
                self._files[file] = self._mixer.checkpoint(file)
            except HostError:
                self._files[file] = self._mixer.vae(file)
        return self._files[file]

    def preset(self, name: str, family: Family) -> Mapping[str, float]:
        """The user's own presets, then those that are shipped."""
        own = [each for each in presets.own(self._host.data()) if each.family == family.id]
        known = {each.name.lower(): each.values for each in (*presets.shipped(family), *own)}
        if name.lower() not in known:
            near = did_you_mean(name.upper(), [each.upper() for each in known])
            raise RecipeError(f"there is no preset '{name}' for {family.title}", hint=near)
        return known[name.lower()]

    def recipe(self, text: str) -> Recipe:
        """The recipe inside a checkpoint that was saved with one."""
        found = self._mixer.checkpoint(text)
        inside = self._mixer.header(found).metadata.get(RECIPE_KEY)
        if not inside:
            raise RecipeError(
                f"{found.name} tells no recipe", hint="it is a checkpoint: the axis 'checkpoint'"
            )
        return parse_recipe(inside)

    def remembered(self, text: str) -> Recipe:
        """Of the desk's history: an entry's number, the id that infotexts show, or its name."""
        history = self._mixer.history
        if text.isascii() and text.isdigit():
            return parse_recipe(history.get(int(text)).recipe)
        for entry in history.entries(limit=MOST_ENTRIES):
            recipe = parse_recipe(entry.recipe)
            if text in (entry.name, ident_of(recipe).id):
                return recipe
        raise RecipeError(f"the history has no merge '{text}'", hint="the room History lists them")

    def samplers(self) -> Sequence[str]:
        """The host's."""
        return self._host.surface().samplers

    def schedulers(self) -> Sequence[str]:
        """The host's."""
        return self._host.surface().schedulers

    def loras(self) -> Sequence[str] | None:
        """None where the host reads them from the prompt itself; none at all where it draws without."""
        return None if self._host.surface().loras else ()

    def dice(self) -> int:
        """A seed that nobody chose."""
        return random.SystemRandom().randrange(MOST_SEED)

    # --- the painter ---

    def holds(self, recipe: Recipe) -> bool:
        """Whether the model is this very merge, or the checkpoint itself where the recipe is that alone."""
        if self._is_loaded(recipe):
            return not self._mixer.is_live()
        ident = self._mixer.session.ident
        # hashes of files are learnt in the background, and make no other merge
        return ident is not None and ident.id == ident_of(recipe).id and self._mixer.is_live()

    def _is_loaded(self, recipe: Recipe) -> bool:
        loaded = self._host.loaded().checkpoint
        files = [each.file for each in recipe.ingredients]
        if loaded is None or recipe.steps or recipe.vae not in ("", "a") or recipe.dtype or len(files) != 1:
            return False
        return self._found(files[0]).path == loaded.path

    def now(self) -> Recipe | None:
        """The recipe of what is in memory."""
        ident = self._mixer.session.ident
        if ident is not None and self._mixer.is_live():
            return without_hashes(parse_recipe(ident.recipe))
        loaded = self._host.loaded().checkpoint
        return alone(self.registered(loaded)) if loaded else None

    def merge(self, recipe: Recipe, progress: Progress) -> SwapReport:
        """A swap, or for the loaded checkpoint itself the way back."""
        if self._is_loaded(recipe):
            return self._mixer.restore_inside(progress) or SwapReport(None, (), 0, 0, 0.0)
        return self._mixer.swap_inside(self.asked(recipe), progress)

    def asked(self, recipe: Recipe) -> Asked:
        """A recipe with its files."""
        return Asked(recipe, {file: self._found(file) for file in recipe.files})

    def draw(self, settings: DrawSettings) -> Picture:
        """The host's picture."""
        return self._host.draw(settings)


@dataclass(frozen=True)
class Brake:
    """The job's progress, which the grid's own *Stop* stops as well."""

    job: Progress
    pressed: Callable[[], bool]

    def start(self, total: int, what: str) -> None:
        """Passed on."""
        self.job.start(total, what)

    def advance(self, amount: int) -> None:
        """Passed on."""
        self.job.advance(amount)

    def stopped(self) -> bool:
        """By the host's *Interrupt* or by ours."""
        return self.pressed() or self.job.stopped()


def paint(
    mixer: Mixer,
    plan: GridPlan,
    studio: Studio,
    store: Store,
    *,
    task: str = "",
    tell: Tell = lambda done: None,
    stopped: Callable[[], bool] = lambda: False,
) -> GridRun:
    """Run a grid in one job of the host's; afterwards the model is what it was before.

    Whatever was in memory, an engaged merge or the checkpoint itself, is put back, also after a stop or an
    error. Speeds are remembered for the next plan.
    """
    store.keep_order(order_of(plan))
    with mixer.host.job("Merge Desk: grid", task) as job:
        mixer.host.model()  # loads what is not loaded yet, which is nobody's merge; refuses where it must
        before = mixer.asked if mixer.is_live() else None
        try:
            done = run_grid(plan, studio, store, Brake(job, stopped), tell)
        finally:
            _put_back(mixer, before)
    keep_speeds(mixer.host.data(), measured(done))
    return done


def _put_back(mixer: Mixer, before: Body | None) -> None:
    try:
        if before is not None:
            mixer.apply_inside(before, Silent())
            return
    except MergeError:  # one of its files is gone: the checkpoint itself is the next best
        mixer.asked = None
    mixer.restore_inside()
