"""The handlers of the tab *Mix*: generate, compare, unload, presets, numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lib_merge.architectures import Family, family_by_id
from lib_merge.desk.lists.handlers import DEFAULT_FAMILY_ID, presets_of
from lib_merge.desk.protocol import Action, EmptyRequest, action
from lib_merge.desk.selection import (
    Selection,
    drawing_settings,
    has_block_weights,
    merge_request,
    method_by_title,
    resting_amount,
)
from lib_merge.desk.status import changed_line, engaged_id
from lib_merge.desk.tabs.mix.effects import (
    Effects,
    effects_of,
    moved_faders,
    render_override_text,
    requested_effects,
    unused_rules,
)
from lib_merge.desk.tabs.mix.engaged import EngagedMerge, engaged_merge, render_changes_text
from lib_merge.desk.tabs.mix.further import only_a
from lib_merge.desk.tabs.mix.numbers import read_list
from lib_merge.desk.tabs.mix.pictures import PictureKeys, drawing_key, preview_url
from lib_merge.desk.tabs.mix.view import (
    EffectsResult,
    FaderAmounts,
    MixProgress,
    MixResult,
    NumbersResult,
    NumberText,
    ParameterValue,
    PresetAmounts,
    PresetName,
    PresetRename,
    PresetsResult,
    PresetText,
    ProgressRequest,
)
from lib_merge.errors import MergeError, RecipeError
from lib_merge.library import presets
from lib_merge.library.desk_state import plain_values
from lib_merge.library.presets import NamedPreset
from lib_merge.picture import RANDOM_SEED, with_seed
from lib_merge.recipe import options
from lib_merge.service.merging import MergeService
from lib_merge.service.services import Services

MAX_NOTES = 3  # rows of a preset file that are named one by one
MAX_AMOUNT = 1e9  # of a fader in a preset
MOST_WAIT = 1000  # milliseconds: each such question holds a thread of the host


# --- the model in memory ---


@action("mix.apply", drawing=True)
def apply(service: Services, action: Action[FaderAmounts]) -> MixResult:
    """Merges by the lists and faders into the model in memory, and generates a picture."""
    merging, selection = service.merging, action.selection
    parameters = action.data.parameters
    settings = with_seed(drawing_settings(merging, action.drawing))
    keys = PictureKeys.of(selection, settings, action.drawing)
    if _is_changed_elsewhere(merging, action.data):  # do not replace it
        changes = _changes(merging, action.data, selection)
        return replace(keys.result(service), changed_elsewhere=True, changes=changes)
    request, before = merge_request(merging, selection, parameters), merging.engaged
    effects = _in_effect(merging, selection, parameters)
    overridden = render_override_text(effects, moved_faders(before, request))
    merge = merging.prepare(request)
    if not merging.host.capabilities().draws:
        with merging.job("merging", action.task) as job:
            job.apply(merge)
        return replace(keys.result(service), note=_note(merging, overridden), effects=effects)
    with merging.job("preview", action.task, preview=True) as job:
        job.apply(merge)
        picture = job.draw(settings)
    drawn = keys.result(service, picture)
    return replace(drawn, history_id=job.entry, note=_note(merging, overridden), effects=effects)


@action("mix.compare", drawing=True)
def compare(service: Services, action: Action[FaderAmounts]) -> MixResult:
    """Generates a picture with A alone; afterwards the model in memory is what it was before."""
    merging, selection = service.merging, action.selection
    settings = drawing_settings(merging, action.drawing)
    if settings.seed == RANDOM_SEED and action.data.seed is not None:
        settings = replace(settings, seed=action.data.seed)
    settings = with_seed(settings)
    merge = merging.prepare(only_a(selection))
    with merging.job("preview", action.task, preview=True) as job, job.preserving():
        job.apply(merge)
        picture = job.draw(settings)
    keys = PictureKeys.of(selection, settings, action.drawing)
    return keys.result(service, picture)


@action("mix.unload")
def unload(service: Services, action: Action[FaderAmounts]) -> MixResult:
    """Unloads the merge: the loaded checkpoint's own weights are used again. A preview is not waited for."""
    service.merging.disengage()
    service.merging.stop_previews()
    with service.merging.job("unloading the merge", action.task) as job:
        job.restore()
    return MixResult()


@action("mix.effects", drawing=True)
def effects(service: Services, action: Action[FaderAmounts]) -> EffectsResult:
    """What is in effect besides the faders; merges nothing."""
    merging, selection = service.merging, action.selection
    changes = _changes(merging, action.data, selection) if _is_changed_elsewhere(merging, action.data) else ""
    in_effect = _in_effect(merging, selection, action.data.parameters)
    return EffectsResult(in_effect, changes, drawing_key(action.drawing), plain_values(action.drawing))


@action("mix.load_engaged")
def load_engaged(service: Services, action: Action[EmptyRequest]) -> EngagedMerge:
    """The merge in memory, as lists and faders for the page."""
    return engaged_merge(service.merging)


@action("mix.stop", queued=False, status=False)
def stop(service: Services, action: Action[EmptyRequest]) -> EmptyRequest:
    """Asks the host to stop; the model in memory stays as it was before."""
    service.merging.host.interrupt()
    return EmptyRequest()


@action("mix.stop_previews", queued=False, status=False)
def stop_previews(service: Services, action: Action[EmptyRequest]) -> EmptyRequest:
    """Stops a preview and nothing else: what runs may be a grid, a save, or a picture of the host's own."""
    service.merging.stop_previews()
    return EmptyRequest()


@action("mix.progress", queued=False)
def progress(service: Services, action: Action[ProgressRequest]) -> MixProgress:
    """What the running job does now, and what is in memory by now."""
    merging, wait = service.merging, min(action.data.wait, MOST_WAIT)
    if wait > 0:
        merging.wait_for_merge(lambda: engaged_id(merging) != action.data.engaged, wait / 1000)
    text, share = service.merging.activity_now()
    image = service.merging.host.step_preview() if text else None
    return MixProgress(text, share, preview_url(image) if image else "")


# --- presets and numbers ---


@action("mix.save_preset")
def save_preset(service: Services, action: Action[PresetAmounts]) -> PresetsResult:
    """Saves the faders as a preset of the user."""
    family, amounts = _family(action.data.family), action.data.amounts
    if any(abs(amount) > MAX_AMOUNT for amount in amounts.values()):
        raise RecipeError(f"a preset's weights are at most {MAX_AMOUNT:g}")
    presets.save_preset(_folder(service), NamedPreset(action.data.name, family.id, amounts))
    return _presets(service, family)


@action("mix.import_presets")
def import_presets(service: Services, action: Action[PresetText]) -> PresetsResult:
    """Adds another tool's presets to those of the user."""
    family = _family(action.data.family)
    imported = presets.import_presets(_folder(service), action.data.text, family)
    return replace(_presets(service, family), notes=(imported.summary, *imported.rejected_lines(MAX_NOTES)))


@action("mix.rename_preset")
def rename_preset(service: Services, action: Action[PresetRename]) -> PresetsResult:
    """Renames a preset of the user."""
    family = _family(action.data.family)
    presets.rename_preset(_folder(service), action.data.name, action.data.new_name, family.id)
    return _presets(service, family)


@action("mix.delete_preset")
def delete_preset(service: Services, action: Action[PresetName]) -> PresetsResult:
    """Deletes a preset of the user."""
    family = _family(action.data.family)
    presets.delete_preset(_folder(service), action.data.name, family.id)
    return _presets(service, family)


@action("mix.numbers", queued=False, status=False)
def numbers(service: Services, action: Action[NumberText]) -> NumbersResult:
    """What a pasted list of numbers sets."""
    method = method_by_title(action.selection.method)
    rest = resting_amount(method, action.data.parameter)
    return read_list(action.data.text, _family(action.data.family), action.data.layout, rest=rest)


# --- helpers ---


def _is_changed_elsewhere(merging: MergeService, faders: FaderAmounts) -> bool:
    """Whether a merge is in memory that this page has not seen."""
    return faders.engaged is not None and engaged_id(merging) not in ("", faders.engaged)


def _changes(merging: MergeService, faders: FaderAmounts, selection: Selection) -> str:
    """How the merge in memory differs from this page's settings; "" where these are not complete."""
    engaged = merging.engaged
    try:
        mine = merge_request(merging, selection, faders.parameters)
        return render_changes_text(mine, engaged) if engaged else ""
    except MergeError:  # B is not chosen yet
        return ""


def _in_effect(
    merging: MergeService, selection: Selection, parameters: Mapping[str, ParameterValue]
) -> Effects:
    """What the page's merge holds besides the faders; what is asked for, where it cannot be merged yet."""
    method = method_by_title(selection.method)
    rules = str(parameters.get(options.WEIGHTS_OPTION.name) or "").strip()
    is_used = has_block_weights(method)
    try:
        in_effect = effects_of(merging, merge_request(merging, selection, parameters))
    except MergeError:  # B is not chosen yet, or the merge says what is wrong
        adjust = str(parameters.get(options.ADJUST_OPTION.name) or "")
        in_effect = requested_effects(rules if is_used else "", adjust, align=selection.align)
    if not rules or is_used:
        return in_effect
    return replace(in_effect, items=(unused_rules(method), *in_effect.items))


def _note(merging: MergeService, overridden: str) -> str:
    """Which moved faders rules override; else, that nothing was changed."""
    status = merging.status()
    nothing = status.live is not None and status.last_report is not None and not status.last_report.slots
    return overridden or (changed_line(status) if nothing else "")


def _family(name: str) -> Family:
    return family_by_id(name or DEFAULT_FAMILY_ID)


def _folder(service: Services) -> Path:
    return service.merging.host.data_dir()


def _presets(service: Services, family: Family) -> PresetsResult:
    return PresetsResult(presets_of(service.merging, family)[0])
