"""The handlers of the lists above the tabs: their choices, and what is drawn for a choice."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import replace

from lib_merge.architectures import DEFAULT_FAMILY, Family, family_by_id, identify
from lib_merge.architectures.blocks import block_notes
from lib_merge.desk.common import Problem, fader_layout, problem_of
from lib_merge.desk.lists.fitting import with_suggestion
from lib_merge.desk.lists.view import (
    AlignmentNote,
    Differences,
    UiState,
    fader_groups,
    method_view,
    no_block_weights_reason,
    number_layouts,
    same_models_note,
)
from lib_merge.desk.protocol import Action, EmptyRequest, action
from lib_merge.desk.selection import (
    FADER_PARAMETERS,
    TRIAL_AMOUNT,
    VAE_FADER,
    VAE_SLOT_ID,
    ListOptions,
    Selection,
    merge_request,
    method_by_title,
    next_step,
    options_of,
)
from lib_merge.errors import MergeError
from lib_merge.execute import open_sources
from lib_merge.execute.alignment import solve
from lib_merge.library import presets
from lib_merge.library.presets import NamedPreset
from lib_merge.plan import Plan, Source
from lib_merge.rebasin.report import AlignmentReport, alignment_report
from lib_merge.recipe import options
from lib_merge.registry import Method
from lib_merge.service.merging import MergeService
from lib_merge.service.services import Services

DEFAULT_FAMILY_ID = DEFAULT_FAMILY.id  # shown while no A is chosen
LORA_NOTE = "LoRAs trained on {} do not fit the result; LoRAs trained on A do."

log = logging.getLogger(__name__)


@action("lists.open")
def open_(service: Services, action: Action[EmptyRequest]) -> ListOptions:
    """The choices of the lists, as a page opens."""
    return options_of(service.merging)


@action("lists.refresh")
def refresh(service: Services, action: Action[EmptyRequest]) -> ListOptions:
    """The choices of the lists, read from disk again."""
    return options_of(service.merging, refresh=True)


@action("lists.changed")
def changed(service: Services, action: Action[EmptyRequest]) -> UiState:
    """Everything that the faders are drawn from, after a list has changed; reads headers only."""
    return ui_state(service.merging, action.selection)


@action("lists.settled")
def settled(service: Services, action: Action[EmptyRequest]) -> UiState:
    """Everything that the faders are drawn from, once all lists are set as this revision asked."""
    return ui_state(service.merging, action.selection)


@action("lists.differences", status=False)
def differences(service: Services, action: Action[EmptyRequest]) -> Differences:
    """How much A and B differ in each block; nothing where they cannot be compared."""
    selection = action.selection
    none = Differences(selection.a, selection.b)
    if not selection.a or not selection.b:
        return none
    try:
        by_slot = service.merging.slot_differences(selection.a, selection.b)
    except MergeError as error:
        log.info("no marks of difference: %s", error)  # the state says why
        return none
    finite = {slot: far for slot, far in by_slot.items() if math.isfinite(far)}
    return replace(none, by_slot=finite, not_finite=tuple(slot for slot in by_slot if slot not in finite))


@action("lists.align", stopped="Not aligned: stopped.")
def align(service: Services, action: Action[EmptyRequest]) -> AlignmentNote:
    """Aligns B to A where that is ticked, and reports the result; minutes for full-size models, once."""
    selection = action.selection
    if not (selection.align and selection.a and selection.b):
        return AlignmentNote()
    reports = alignment_reports(service.merging, selection)
    texts = [_render_alignment_text(name, report) for name, report in reports.items()]
    return AlignmentNote(texts[-1] if any(report.stopped for report in reports.values()) else " ".join(texts))


# --- the state ---


def ui_state(service: MergeService, selection: Selection) -> UiState:
    """Everything that the faders are drawn from."""
    problem = None
    family = family_by_id(DEFAULT_FAMILY_ID)
    try:
        family = family_of_checkpoint(service, selection.a) or family
    except MergeError as error:
        problem = problem_of(error)
    all_presets, preset_problem = presets_of(service, family)
    method = method_by_title(selection.method)
    unavailable = no_block_weights_reason(method)
    plan, misfit = _trial_plan(service, selection, method)
    return UiState(
        family.id,
        family.title,
        fader_layout(family),
        family.listed_names,
        family.groups,
        fader_groups(fader_layout(family)),
        block_notes(family),
        number_layouts(family),
        method_view(method),
        all_presets,
        _disabled_faders(family, selection, unavailable, plan),
        unavailable,
        next_step(selection, method.max_models or 2),
        same_models_note(method, selection.a, selection.b, selection.c),
        problem or preset_problem or misfit,
    )


def family_of_checkpoint(service: MergeService, name: str) -> Family | None:
    """The family of a checkpoint of the list; None for no name."""
    if not name:
        return None
    header = service.header(service.checkpoint(name))
    return identify(header.tensors, metadata=header.metadata, where=name).family


def presets_of(service: MergeService, family: Family) -> tuple[tuple[NamedPreset, ...], Problem | None]:
    """The user's presets, then the shipped ones; and why those of the user cannot be read."""
    shipped = presets.shipped_presets(family)
    try:
        own = presets.own_presets(service.host.data_dir())
    except MergeError as error:
        return shipped, problem_of(error)
    return (*(preset for preset in own if preset.family == family.id), *shipped), None


def _trial_plan(
    service: MergeService, selection: Selection, method: Method
) -> tuple[Plan | None, Problem | None]:
    """The plan of a merge with every fader up, or why there is none; made before the first change."""
    if next_step(selection, method.max_models or 2):
        return None, None
    try:
        return service.plan(
            merge_request(service, selection, dict.fromkeys(FADER_PARAMETERS, TRIAL_AMOUNT))
        ), None
    except MergeError as error:
        return None, with_suggestion(service, selection, problem_of(error))


def _disabled_faders(
    family: Family, selection: Selection, unavailable: str, plan: Plan | None
) -> Mapping[str, str]:
    """Slot -> why its fader has no effect."""
    if unavailable:
        return {slot.id: unavailable for slot in family.slots}
    disabled = _without_tensors(family, plan) if plan else {}
    vae = selection.vae
    return disabled if vae == VAE_FADER else {**disabled, VAE_SLOT_ID: f"the VAE is {_render_vae_text(vae)}"}


def _without_tensors(family: Family, plan: Plan) -> dict[str, str]:
    """Slots without tensors in A, or without any to mix in from B (a U-Net alone, a file without VAE)."""
    slots = [slot.id for slot in family.slots]
    there = {entry.slot for entry in plan.keys}
    mixed = {entry.slot for entry in plan.keys if not isinstance(entry.expression, Source | None)}
    absent = {slot: "A has no tensors in this block" for slot in slots if slot not in there}
    alone = {
        slot: "only A has tensors in this block; they stay unchanged"
        for slot in slots
        if slot in there - mixed
    }
    return {**absent, **alone}


def _render_vae_text(vae: str) -> str:
    title = options.VAE_OPTION.list_title(options.VAE_OPTION.word_of_title(vae))
    return f"{title}; choose '{VAE_FADER}' to mix it"


# --- aligning ---


def alignment_reports(service: MergeService, selection: Selection) -> dict[str, AlignmentReport]:
    """A report for each model that is aligned, by its name. The alignments are kept for the merges."""
    plan = service.plan(merge_request(service, selection, {}))
    reports: dict[str, AlignmentReport] = {}
    with service.work_on_files("aligning") as progress, open_sources(plan, mapped=True) as checkpoints:
        for number, ingredient in enumerate(plan.recipe.ingredients):
            if ingredient.alignment is not None and not ingredient.alignment.by:
                alignments, device = service.session.alignments, service.host.device()
                solution = solve(plan, number, checkpoints, alignments, progress, device)
                reports[ingredient.alignment.source] = alignment_report(solution)
                if solution.stopped:
                    break
    return reports


def _render_alignment_text(name: str, report: AlignmentReport) -> str:
    if report.stopped:
        return "Not aligned: stopped. The next merge starts the search again, or untick this."
    if report.is_aligned:
        return f"{name} is {report.verdict}."
    left = f" {len(report.left_out)} groups were left out." if report.left_out else ""
    return f"{name}: {report.verdict}.{left} {LORA_NOTE.format(name)}"
