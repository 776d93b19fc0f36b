"""The merge in memory, for a page that did not request it: reloaded, a second tab, or after an API call.

The service keeps the request of the merge. Its id changes with the request, so that a page can see when the
merge was changed elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lib_merge.architectures import DEFAULT_LAYOUT
from lib_merge.desk.selection import FADER_PARAMETERS, Selection, merge_request, resting_amount
from lib_merge.desk.status import engaged_id
from lib_merge.desk.tab import RECIPE_LISTS
from lib_merge.desk.tabs.history.paste import PageSetup, page_setup_of
from lib_merge.desk.tabs.mix.effects import Effects, effects_of, fader_amounts
from lib_merge.errors import MergeError
from lib_merge.methods import METHODS
from lib_merge.recipe import NONE
from lib_merge.recipe.options import (
    ADJUST_OPTION,
    ALIGN_OPTION,
    LAYOUT_OPTION,
    OPTIONS,
    SAVE_OPTIONS,
    VAE_OPTION,
    WEIGHTS_OPTION,
)
from lib_merge.service.merging import MergeService
from lib_merge.service.request import MODEL_FIELDS, MergeRequest

EXTRAS = (WEIGHTS_OPTION.name, ADJUST_OPTION.name)  # set on the tab Weights
MAX_CHANGES = 4  # changes that are named one by one
MAX_VALUE_SHOWN = 60  # characters of the value of a change
OPTION_TITLES = {option.name: option.title for option in OPTIONS}
SHOWN_OPTIONS = (*EXTRAS, ALIGN_OPTION.name, *(option.name for option in SAVE_OPTIONS if option.list_titles))
HIDDEN_OPTIONS = {
    name: title for name, title in OPTION_TITLES.items() if name not in SHOWN_OPTIONS
}  # no list and no fader shows these


@dataclass(frozen=True)
class EngagedMerge:
    """The merge that is engaged, as lists and faders.

    id       of its request, "" where no merge is engaged
    setup    lists and faders, None where no merge is engaged; `setup.why` says why there are no faders for it
    align    whether B is aligned to A first
    effects  what is in effect besides the faders
    notes    sentences on what the page cannot show
    """

    id: str = ""
    setup: PageSetup | None = None
    align: bool = False
    effects: Effects = field(default_factory=Effects)
    notes: tuple[str, ...] = ()


def engaged_merge(service: MergeService) -> EngagedMerge:
    """The engaged merge; reads headers only. What cannot be shown is named in `notes`, never raised."""
    request = service.engaged
    if request is None:
        return EngagedMerge()
    try:
        setup = _setup(service, request)
    except MergeError as problem:
        setup = PageSetup("", why=str(problem.what))
    settings = _settings_by_name(request)
    hidden = [title for name, title in HIDDEN_OPTIONS.items() if name in settings]
    if settings.get(VAE_OPTION.name) == NONE:
        hidden.append("a merge without VAE")
    notes = (
        (f"Not shown on this page, and lost with the next change: {', '.join(hidden)}.",) if hidden else ()
    )
    return EngagedMerge(
        engaged_id(service), setup, request.align, _effects(service, request, setup), (*notes, *setup.notes)
    )


def _effects(service: MergeService, request: MergeRequest, setup: PageSetup) -> Effects:
    """What is in effect besides the faders; nothing for a recipe that the page has no faders for."""
    try:
        if request.whole_recipe is None:
            return effects_of(service, request)
        lists = Selection.of([*(setup.lists.get(name, "") for name in RECIPE_LISTS), False])
        parameters = {**setup.amounts, **setup.scalars, **setup.extras}
        return effects_of(service, merge_request(service, lists, parameters))
    except MergeError:
        return Effects()


def render_changes_text(mine: MergeRequest, theirs: MergeRequest) -> str:
    """How the engaged merge (`theirs`) differs from the page's own: "OUT05 is 0.4, B is ink"."""
    if theirs.whole_recipe is not None:
        return "it was made from a recipe"
    old, new = _settings_by_name(mine), _settings_by_name(theirs)
    changes = [
        f"{_title(name)} is {_format_value(new.get(name))}"
        for name in dict.fromkeys((*new, *old))
        if old.get(name) != new.get(name) and name not in FADER_PARAMETERS
    ]
    for name in FADER_PARAMETERS:
        before, after = fader_amounts(mine, name), fader_amounts(theirs, name)
        rest = resting_amount(METHODS.get(mine.method), name)
        changes += [
            f"{slot} is {_format_value(after[slot])}"
            for slot in after
            if after[slot] != before.get(slot, rest)
        ]
        plain = new.get(name)
        if not after and plain is not None and plain != old.get(name):
            changes.append(f"{name} is {_format_value(plain)}")
    more = f" and {len(changes) - MAX_CHANGES} more" if len(changes) > MAX_CHANGES else ""
    return f"{', '.join(changes[:MAX_CHANGES])}{more}"


def _title(name: str) -> str:
    return OPTION_TITLES.get(name) or (name.upper() if name in MODEL_FIELDS else name)


def _settings_by_name(request: MergeRequest) -> Mapping[str, object]:
    """The settings of a request by the names of options, of parameters and of a, b and c."""
    layout = {} if request.layout == DEFAULT_LAYOUT.id else {LAYOUT_OPTION.name: request.layout}
    marked = {ADJUST_OPTION.name: request.adjust, ALIGN_OPTION.name: request.align}
    return {
        "method": request.method,
        **dict(zip(MODEL_FIELDS, request.models, strict=False)),
        **request.settings,
        **request.block_lists,
        **layout,
        **{name: value for name, value in marked.items() if value},
        **request.save_options,
    }


def _format_value(value: object) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    text = " ".join(str(value).split())
    return text if len(text) <= MAX_VALUE_SHOWN else f"{text[: MAX_VALUE_SHOWN - 1]}…"


def _setup(service: MergeService, request: MergeRequest) -> PageSetup:
    """The faders as requested, and separately the rules and Adjust that act on top of them."""
    if request.whole_recipe is not None:
        return page_setup_of(service, service.resolve(request))
    listed = {option.name: option.list_titles for option in SAVE_OPTIONS if option.list_titles}
    save_options = request.save_options.items()
    saving = {
        name: value
        for name, value in save_options
        if name in listed and (name, value) != (VAE_OPTION.name, NONE)
    }
    plain = replace(
        request, block_lists={}, adjust="", align=False, layout=DEFAULT_LAYOUT.id, save_options=saving
    )
    setup = page_setup_of(service, service.resolve(plain))
    if setup.why:
        return setup
    extras = {
        WEIGHTS_OPTION.name: request.block_lists.get(WEIGHTS_OPTION.name, ""),
        ADJUST_OPTION.name: request.adjust,
    }
    return replace(setup, extras={name: text for name, text in extras.items() if text})
