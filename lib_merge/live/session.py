"""A session on a live model: it knows what each key holds, and redoes only what changed.

Every value comes from the files, never from the live weights, which may be rounded or hold a LoRA.
A value is first rounded to the recipe's number format and then to the parameter's, so that the live
model draws what the saved file will draw. A swap either ends whole or is taken back whole.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.checkpoint import Header, read_header
from lib_merge.errors import MergeError
from lib_merge.execute import Surveys, run
from lib_merge.live.finite import FiniteSources
from lib_merge.live.model import LiveModel, MergeIdent, ident_of
from lib_merge.live.sink import LiveSink
from lib_merge.live.sources import Sources
from lib_merge.plan import KeyPlan, Plan, make_plan, note_for_memory, replan, resolved
from lib_merge.progress import Progress, Silent
from lib_merge.rebasin import Alignments
from lib_merge.recipe import Ingredient, Recipe
from lib_merge.tensors import equal, torch

if TYPE_CHECKING:
    from lib_merge.checkpoint import Checkpoint

PROBES = 3  # tensors of each slot's part that are compared before the first swap


@dataclass(frozen=True)
class Held:
    """What a key holds: the plan and the entry that made it, and what they came down to."""

    plan: Plan
    entry: KeyPlan
    value: object


@dataclass(frozen=True)
class SwapReport:
    """What a swap did.

    slots    those of which at least one key was written
    notes    what the merge predicts, where that is more than one thing or not what the host samples for
    seconds  from the call to the model's new name
    """

    ident: MergeIdent | None
    slots: tuple[str, ...]
    keys: int
    nbytes: int
    seconds: float
    notes: tuple[str, ...] = ()


class BrokenModelError(MergeError):
    """A swap failed and could not be taken back: the host has to load its checkpoint anew."""


class LiveSession:
    """What one live model holds, and the way from there to a recipe and back to its checkpoint.

    device      where the arithmetic runs
    threads     for the arithmetic; None for as many as help
    alignments  of ingredients, which are found once and used at every swap
    """

    def __init__(
        self, *, device: str = "cpu", threads: int | None = None, alignments: Alignments | None = None
    ) -> None:
        self.device, self.threads = device, threads
        self.alignments = alignments or Alignments()
        self.ident: MergeIdent | None = None
        self._sources = Sources()
        self._token: object = None
        self._first: dict[str, Held] = {}  # what the loaded file holds
        self._held: dict[str, Held | None] = {}  # None: unknown
        self._base: Plan | None = None
        self._last: Plan | None = None
        self._finite = FiniteSources()
        self._surveys = Surveys()

    def is_live(self, model: LiveModel) -> bool:
        """Whether this model holds the merge that was swapped in last."""
        return self.ident is not None and model.token() is self._token

    def forget(self) -> None:
        """The host has loaded something else: nothing is known any more."""
        self.ident, self._token, self._base, self._last = None, None, None, None
        self._held, self._first = {}, {}
        self._sources.keep(())
        self._finite.keep(())
        self._surveys.keep(())

    def apply(
        self,
        model: LiveModel,
        loaded: Path,
        recipe: Recipe,
        headers: Mapping[str, Header],
        progress: Progress | None = None,
    ) -> SwapReport:
        """Bring the model to what the recipe makes of these files.

        loaded   the file that the host loaded the model from, which `restore` goes back to
        headers  of every file of the recipe, by the name that the recipe gives it
        Raises MergeError of the plan before anything is written; whatever is raised later, the model holds
        what it held before, or BrokenModelError says that it does not.
        """
        began = time.perf_counter()
        self._meet(model, loaded)
        plan = self._plan(recipe, headers)
        self._check_fit(model, plan)
        report = self._go(model, plan, ident_of(recipe), progress or Silent(), began)
        self._last = plan
        return replace(report, notes=self._notes(plan))

    def _notes(self, plan: Plan) -> tuple[str, ...]:
        assert self._base is not None
        note = note_for_memory(self._base.prediction, plan.prediction)
        return (*plan.prediction_notes, *filter(None, (note,)))

    def restore(self, model: LiveModel, loaded: Path, progress: Progress | None = None) -> SwapReport:
        """Bring the model back to the file that the host loaded, in place."""
        began = time.perf_counter()
        self._meet(model, loaded)
        assert self._base is not None
        report = self._go(model, self._base, None, progress or Silent(), began)
        self._last = None
        return report

    def _meet(self, model: LiveModel, loaded: Path) -> None:
        """Takes stock of a model that is not the one of the last call."""
        token = model.token()
        if token is self._token and self._base is not None and self._base.sources[0].path == loaded:
            return
        self.forget()
        base = _plan_of_file(loaded)
        values = _Values(base, self._sources)
        self._first = {entry.key: Held(base, entry, values.of(entry)) for entry in base.keys}
        self._held = dict(self._first)
        self._doubt(model, base)
        self._base, self._token = base, token

    def _doubt(self, model: LiveModel, base: Plan) -> None:
        """Forgets what a slot holds where the model is not what the file says: all of it gets written."""
        entries: dict[str, list[KeyPlan]] = {}
        places = model.keys()
        for entry in base.keys:
            if entry.expression is not None and entry.key in places:
                entries.setdefault(entry.slot, []).append(entry)
        (checkpoint,) = self._sources.open(base.sources)
        for slot, all_of in entries.items():
            probes = all_of[:: max(1, len(all_of) // PROBES)]
            if not all(_same(model, checkpoint, entry.key) for entry in probes):
                self._held.update({entry.key: None for entry in base.keys if entry.slot == slot})

    def _plan(self, recipe: Recipe, headers: Mapping[str, Header]) -> Plan:
        if self._last is not None and (plan := replan(self._last, recipe, headers)) is not None:
            return plan
        return make_plan(recipe, headers)

    def _check_fit(self, model: LiveModel, plan: Plan) -> None:
        """Other shapes than the model's are refused before a byte is written."""
        assert self._base is not None
        shapes = {entry.key: entry.numel for entry in self._base.keys}
        misfits = [entry for entry in plan.keys if shapes.get(entry.key, entry.numel) != entry.numel]
        if misfits or plan.identity.family != self._base.identity.family:
            other = plan.sources[plan.base].name
            raise MergeError(
                f"{other} does not fit into the model in memory ({self._base.sources[0].name})",
                where=misfits[0].key if misfits else f"{plan.identity.title}, {self._base.identity.title}",
                hint="choose this checkpoint in the WebUI first, or save the merge to a file",
            )

    def _go(
        self, model: LiveModel, plan: Plan, ident: MergeIdent | None, progress: Progress, began: float
    ) -> SwapReport:
        places = model.keys()
        values = _Values(plan, self._sources)
        changed: dict[str, Held] = {}
        for entry in plan.keys:
            held = self._held.get(entry.key)
            if entry.expression is None or entry.key not in places or (held and held.entry is entry):
                continue  # entries are shared between plans of the same files only
            value = values.of(entry)
            if held is None or held.value != value:
                changed[entry.key] = Held(plan, entry, value)
        if changed:
            # a damaged checkpoint of the host's is restored as damaged as it was
            self._swap(model, changed, progress, check=ident is not None)
        if changed or ident != self.ident or not self.is_live(model):
            model.commit(ident, changed.keys())
        self.ident, self._token = ident, model.token()
        self._let_go()
        entries = [held.entry for held in changed.values()]
        slots = tuple(dict.fromkeys(entry.slot for entry in entries))
        nbytes = sum(entry.nbytes for entry in entries)
        return SwapReport(ident, slots, len(entries), nbytes, time.perf_counter() - began)

    def _let_go(self) -> None:
        """Closes the files that nothing in memory was made from."""
        plans = {id(held.plan): held.plan for held in self._held.values() if held is not None}
        kept = [*plans.values(), *filter(None, (self._base,))]
        headers = [header for plan in kept for header in plan.sources]
        self._sources.keep(headers)
        self._finite.keep(headers)
        self._surveys.keep(headers)

    def _swap(
        self, model: LiveModel, changed: Mapping[str, Held], progress: Progress, *, check: bool
    ) -> None:
        """Write the changed keys; on any failure write back what they held."""
        model.prepare(changed.keys())
        touched: set[str] = set()
        before = {key: self._held.get(key) or self._first[key] for key in changed}
        try:
            self._write(model, changed.values(), progress, touched, check=check)
        except BaseException as cause:  # an interrupt of the user included
            before = {key: before[key] for key in touched}
            try:
                self._write(model, before.values(), Silent(), set(), check=False)
            except Exception as failure:
                self.forget()
                raise BrokenModelError(
                    "a swap failed and could not be taken back, so the model in memory is unfinished",
                    where=str(failure).splitlines()[0],
                    hint="load the checkpoint again",
                ) from cause
            self._held.update(before)
            raise
        self._held.update(changed)

    def _write(
        self,
        model: LiveModel,
        wanted: Iterable[Held],
        progress: Progress,
        touched: set[str],
        *,
        check: bool,
    ) -> None:
        """Into the model. Without `check` a damaged file's numbers pass, as they must on the way back."""
        by_plan: dict[int, list[Held]] = {}
        for held in wanted:
            by_plan.setdefault(id(held.plan), []).append(held)
        for group in by_plan.values():
            part = replace(group[0].plan, keys=tuple(held.entry for held in group))
            sink = LiveSink(model, self.device, touched)
            trusted = {e.key for e in part.keys if not check or self._finite.covers(part, e)}
            run(
                part,
                self._sources.open(part.sources),
                sink,
                progress=progress,
                device=self.device,
                threads=self.threads,
                trusted=trusted,
                surveys=self._surveys,
                alignments=self.alignments,
            )
            if check:
                self._finite.learn(part)


def _plan_of_file(path: Path) -> Plan:
    """The plan that takes a file as it is."""
    header = read_header(path)
    return make_plan(Recipe((Ingredient("A", path.name),), (), "A"), {path.name: header})


def _same(model: LiveModel, checkpoint: Checkpoint, key: str) -> bool:
    """Whether the model holds the file's tensor, as far as its number format can tell."""
    stored = checkpoint.tensor(key).reshape(-1)
    with torch.inference_mode():
        return all(
            equal(stored.to(place.device, place.dtype), place.reshape(-1)) for place in model.tensors(key)
        )


class _Values:
    """What the values of a plan's keys come down to, comparable between plans: files, not their numbers."""

    def __init__(self, plan: Plan, sources: Sources) -> None:
        self._stamps = sources.stamps_of(plan)
        self._base = self._stamps[plan.base]
        self._known: dict[int, object] = {}  # a slot's keys share one expression

    def of(self, entry: KeyPlan) -> object:
        """The value of one key."""
        expression = entry.expression
        if expression is None:
            return None
        if id(expression) not in self._known:
            self._known[id(expression)] = resolved(expression, self._stamps)
        kept = self._base if entry.channels is not None else None
        return self._known[id(expression)], entry.dtype, entry.channels, kept
