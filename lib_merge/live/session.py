"""A session on a live model: it knows the state of each key, and recomputes only what changed.

Every value comes from the files, never from the live weights, which may be rounded or hold a LoRA.
A value is first rounded to the recipe's dtype and then to the parameter's, so that the live model draws what
the saved file will draw. A swap is either complete or undone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lib_merge.architectures import read_header
from lib_merge.checkpoint import Header
from lib_merge.errors import MergeError
from lib_merge.execute import MergeOptions, ReductionCache, run
from lib_merge.live.finite import FiniteSources
from lib_merge.live.model import LiveModel, MergeIdent, ident_of
from lib_merge.live.sink import LiveSink
from lib_merge.live.sources import Sources
from lib_merge.plan import KeyPlan, Plan, make_plan, note_for_loaded_model, replan, substitute_sources
from lib_merge.progress import NoProgress, Progress
from lib_merge.rebasin import Alignments
from lib_merge.recipe import Ingredient, Recipe
from lib_merge.tensors import equal, torch

if TYPE_CHECKING:
    from lib_merge.checkpoint import Checkpoint

PROBES = 3  # tensors of each slot's part that are compared before the first swap


@dataclass(frozen=True)
class KeyState:
    """The state of a key: the plan and the entry that its value was computed with, and its resolved value."""

    plan: Plan
    entry: KeyPlan
    value: object


@dataclass(frozen=True, kw_only=True)
class SwapReport:
    """What a swap wrote.

    slots    the slots of which at least one key was written
    notes    on the prediction of the merge, where it is mixed or not the one that the host samples for
    seconds  from the call until the model has its new name
    equal    whether the model holds the loaded file's own weights, as with a merge in which nothing is mixed
    """

    ident: MergeIdent | None
    slots: tuple[str, ...]
    keys: int
    nbytes: int
    seconds: float
    notes: tuple[str, ...] = ()
    equal: bool = False


class BrokenModelError(MergeError):
    """A swap failed and could not be undone: the host has to load its checkpoint again."""


class LiveSession:
    """The state of one live model: swaps recipes into it, and restores its checkpoint.

    device      the device of the arithmetic
    threads     threads of the arithmetic; None for one per core, four at most
    alignments  solved alignments of ingredients, which every swap reuses
    """

    def __init__(
        self, *, device: str = "cpu", threads: int | None = None, alignments: Alignments | None = None
    ) -> None:
        self.device, self.threads = device, threads
        self.alignments = alignments or Alignments()
        self.ident: MergeIdent | None = None
        self._sources = Sources()
        self._token: object = None
        self._file_states: dict[str, KeyState] = {}  # of the loaded file
        self._states: dict[str, KeyState | None] = {}  # None: unknown
        self._base: Plan | None = None
        self._last: Plan | None = None
        self._finite = FiniteSources()
        self._reductions = ReductionCache()

    def is_live(self, model: LiveModel) -> bool:
        """Whether this model holds the merge that was swapped in last."""
        return self.ident is not None and model.token() is self._token

    def forget(self) -> None:
        """Forgets the model, since the host has loaded another one."""
        self.ident, self._token, self._base, self._last = None, None, None, None
        self._states, self._file_states = {}, {}
        self._sources.keep_only(())
        self._finite.keep_only(())
        self._reductions.keep_only(())

    def apply(
        self,
        model: LiveModel,
        loaded: Path,
        recipe: Recipe,
        headers: Mapping[str, Header],
        progress: Progress | None = None,
    ) -> SwapReport:
        """Swap the result of a recipe into the model.

        loaded   the file that the host loaded the model from, which `restore` goes back to
        headers  of every file of the recipe, by the name that the recipe gives it
        Raises MergeError of the plan before anything is written; whatever is raised later, the model holds
        what it held before, or BrokenModelError says that it does not.
        """
        began = time.perf_counter()
        self._attach(model, loaded)
        plan = self._plan(recipe, headers)
        self._check_fit(model, plan)
        report = self._apply_plan(model, plan, ident_of(recipe), progress or NoProgress(), began)
        self._last = plan
        return replace(report, notes=self._notes(plan))

    def _notes(self, plan: Plan) -> tuple[str, ...]:
        assert self._base is not None
        note = note_for_loaded_model(self._base.prediction, plan.prediction)
        return (*plan.prediction_notes, *filter(None, (note,)))

    def restore(self, model: LiveModel, loaded: Path, progress: Progress | None = None) -> SwapReport:
        """Swap the tensors of the loaded file back into the model, in place."""
        began = time.perf_counter()
        self._attach(model, loaded)
        assert self._base is not None
        report = self._apply_plan(model, self._base, None, progress or NoProgress(), began)
        self._last = None
        return report

    def _attach(self, model: LiveModel, loaded: Path) -> None:
        """Starts to track the model, unless it is the one of the last call."""
        token = model.token()
        if token is self._token and self._base is not None and self._base.sources[0].path == loaded:
            return
        self.forget()
        base = _plan_of_file(loaded)
        values = _Values(base, self._sources)
        self._file_states = {entry.key: KeyState(base, entry, values.of(entry)) for entry in base.keys}
        self._states = dict(self._file_states)
        self._verify_against_file(model, base)
        self._base, self._token = base, token

    def _verify_against_file(self, model: LiveModel, base: Plan) -> None:
        """Mark slots as unknown where the model differs from the file: the next swap writes them whole."""
        entries: dict[str, list[KeyPlan]] = {}
        keys = model.keys()
        for entry in base.keys:
            if entry.expression is not None and entry.key in keys:
                entries.setdefault(entry.slot, []).append(entry)
        (checkpoint,) = self._sources.open(base.sources)
        for slot, of_slot in entries.items():
            probes = of_slot[:: max(1, len(of_slot) // PROBES)]
            if not all(_same(model, checkpoint, entry.key) for entry in probes):
                self._states.update({entry.key: None for entry in base.keys if entry.slot == slot})

    def _plan(self, recipe: Recipe, headers: Mapping[str, Header]) -> Plan:
        if self._last is not None and (plan := replan(self._last, recipe, headers)) is not None:
            return plan
        return make_plan(recipe, headers)

    def _check_fit(self, model: LiveModel, plan: Plan) -> None:
        """Raise MergeError where shapes differ from the model's, before anything is written."""
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

    def _apply_plan(
        self, model: LiveModel, plan: Plan, ident: MergeIdent | None, progress: Progress, began: float
    ) -> SwapReport:
        keys = model.keys()
        values = _Values(plan, self._sources)
        changed: dict[str, KeyState] = {}
        for entry in plan.keys:
            state = self._states.get(entry.key)
            if entry.expression is None or entry.key not in keys or (state and state.entry is entry):
                continue  # entries are shared between plans of the same files only
            value = values.of(entry)
            if state is None or state.value != value:
                changed[entry.key] = KeyState(plan, entry, value)
        if changed:
            # without the check, a damaged checkpoint can be restored as it was
            self._swap(model, changed, progress, check=ident is not None)
        if changed or ident != self.ident or not self.is_live(model):
            model.commit(ident, changed.keys())
        self.ident, self._token = ident, model.token()
        self._release_unused()
        entries = [state.entry for state in changed.values()]
        return SwapReport(
            ident=ident,
            slots=tuple(dict.fromkeys(entry.slot for entry in entries)),
            keys=len(entries),
            nbytes=sum(entry.nbytes for entry in entries),
            seconds=time.perf_counter() - began,
            equal=self._equals_file(),
        )

    def _equals_file(self) -> bool:
        values = ((self._states[key], own) for key, own in self._file_states.items())
        return all(state is not None and (state is own or state.value == own.value) for state, own in values)

    def _release_unused(self) -> None:
        """Close the files that no value in memory was computed from."""
        plans = {id(state.plan): state.plan for state in self._states.values() if state is not None}
        used = [*plans.values(), *filter(None, (self._base,))]
        headers = [header for plan in used for header in plan.sources]
        self._sources.keep_only(headers)
        self._finite.keep_only(headers)
        self._reductions.keep_only(headers)

    def _swap(
        self, model: LiveModel, changed: Mapping[str, KeyState], progress: Progress, *, check: bool
    ) -> None:
        """Write the changed keys; on any failure write back what they held."""
        model.prepare(changed.keys())
        touched: set[str] = set()
        before = {key: self._states.get(key) or self._file_states[key] for key in changed}
        try:
            self._write(model, changed.values(), progress, touched, check=check)
        except BaseException as cause:  # an interrupt of the user included
            before = {key: before[key] for key in touched}
            try:
                self._write(model, before.values(), NoProgress(), set(), check=False)
            except Exception as failure:
                self.forget()
                raise BrokenModelError(
                    "a swap failed and could not be undone, so the model in memory is incomplete",
                    where=str(failure).splitlines()[0],
                    hint="load the checkpoint again",
                ) from cause
            self._states.update(before)
            raise
        self._states.update(changed)

    def _write(
        self,
        model: LiveModel,
        wanted: Iterable[KeyState],
        progress: Progress,
        touched: set[str],
        *,
        check: bool,
    ) -> None:
        """Write states into the model; without `check`, also NaN and infinity of a damaged file."""
        by_plan: dict[int, list[KeyState]] = {}
        for state in wanted:
            by_plan.setdefault(id(state.plan), []).append(state)
        for group in by_plan.values():
            part = replace(group[0].plan, keys=tuple(state.entry for state in group))
            sink = LiveSink(model, self.device, touched)
            known_finite = {e.key for e in part.keys if not check or self._finite.covers(part, e)}
            run(
                part,
                self._sources.open(part.sources),
                sink,
                MergeOptions(
                    device=self.device,
                    threads=self.threads,
                    progress=progress,
                    alignments=self.alignments,
                ),
                known_finite=known_finite,
                reductions=self._reductions,
            )
            if check:
                self._finite.learn(part)


def _plan_of_file(path: Path) -> Plan:
    """The plan of the recipe that saves a file unchanged."""
    header = read_header(path)
    return make_plan(Recipe((Ingredient("A", path.name),), (), "A"), {path.name: header})


def _same(model: LiveModel, checkpoint: Checkpoint, key: str) -> bool:
    """Whether the model has the file's tensor, compared in the dtype of the model."""
    stored = checkpoint.tensor(key).reshape(-1)
    with torch.inference_mode():
        return all(
            equal(
                stored[place.start : place.end].to(place.tensor.device, place.tensor.dtype),
                place.tensor.reshape(-1),
            )
            for place in model.places(key)
        )


class _Values:
    """The values of a plan's keys in terms of files, so that they can be compared between plans."""

    def __init__(self, plan: Plan, sources: Sources) -> None:
        self._stamps = sources.stamps_of(plan)
        self._base = self._stamps[plan.base]
        self._by_expression: dict[int, object] = {}  # by id: the keys of a slot share one expression

    def of(self, entry: KeyPlan) -> object:
        """The value of one key."""
        expression = entry.expression
        if expression is None:
            return None
        if id(expression) not in self._by_expression:
            self._by_expression[id(expression)] = substitute_sources(expression, self._stamps)
        kept = self._base if entry.channels is not None else None
        return self._by_expression[id(expression)], entry.dtype, entry.channels, kept
