"""What the desk shows, as plain values: where every fader stands, what a method takes, what is said.

Nothing here knows Gradio or a host's model; everything is turned into JSON for the page as it is.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from functools import cache
from html import escape
from typing import Any, cast

from lib_merge.architectures import DEFAULT_LAYOUT, LAYOUTS, Component, Family, read_numbers
from lib_merge.checkpoint import Header, TensorInfo, read_header
from lib_merge.desk.effect import Effects
from lib_merge.desk.mixer import Saved, Status
from lib_merge.desk.presets import Preset
from lib_merge.desk.server_paths import without_paths
from lib_merge.dtypes import SAVEABLE, SOURCE
from lib_merge.errors import MergeError, PlanError, RecipeError, StoppedError
from lib_merge.methods import METHODS
from lib_merge.registry import Method
from lib_merge.report.sheet import FactSheet, sheet_of

log = logging.getLogger(__name__)

FADED = ("alpha", "beta")  # parameters that have a fader for each block; the others are single sliders
SENTENCES = (
    "a",
    "an",
    "choose",
    "it",
    "no",
    "number",
    "step",
    "the",
    "there",
    "this",
    "your",
)  # as they begin
MOST_NUMBERS = 80  # no family's list is longer
STEP_OF_LEVELS = 3  # blocks on one resolution of an LDM U-Net

VAE_OF_A, VAE_OF_B, VAE_FADER = "A's", "B's", "blend, by the fader VAE"
VAES = {VAE_OF_A: "a", VAE_OF_B: "b", VAE_FADER: "blend"}
# what the Save box asks for beside the number format -> words of a request
OF_THE_FILE = {
    "without VAE": {"vae": "none"},
    "without text encoder": {"text_encoder": "none"},
    "U-Net from EMA weights": {"ema": "use"},
    "cut what outgrows the format": {"overflow": "clip"},
}
AS_SOURCE = "as in A"
DTYPES = {AS_SOURCE: SOURCE, **{label: label for label in SAVEABLE}}


@dataclass(frozen=True)
class Board:
    """Where the faders of a family stand.

    above   text encoders
    left    downwards, IN00 first
    middle  at the bottom, between the columns
    right   downwards beside `left`, the last OUT first: skip partners stand on one row
    beside  small: what lies outside of the blocks
    level   rows that belong together, 0 for none
    """

    above: tuple[str, ...]
    left: tuple[str, ...]
    middle: tuple[str, ...]
    right: tuple[str, ...]
    beside: tuple[str, ...]
    level: int = 0


@dataclass(frozen=True)
class Knobs:
    """One parameter of a method as a slider."""

    name: str
    kind: str
    low: float
    high: float
    step: float
    default: Any
    help: str


@dataclass(frozen=True)
class MethodView:
    """A method: its words, what has faders, and what has single sliders."""

    id: str
    title: str
    summary: str
    formula: str
    faders: tuple[Knobs, ...]
    knobs: tuple[Knobs, ...]
    models: int


@dataclass(frozen=True)
class Reading:
    """How lists of numbers are read under one layout.

    spread  how many numbers -> slot -> place in the list; -1 keeps what the fader has, -2 is A's
    """

    id: str
    title: str
    spread: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Scene:
    """Everything that the faders are drawn from.

    choice   what the lists above say, as JSON; where it changes, what was swapped in is out of date
    numbers  the names of a full list, in order, and `groups` the slots of those that are no slot
    empty    what to do first, "" where the desk is ready
    still    faders that do nothing now, each with the reason
    engaged  the merge in memory, by its id (see desk.engaged), "" for none
    unused   why no fader does anything with this method, "" where faders do
    """

    choice: str
    family: str
    title: str
    board: Board
    numbers: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    readings: tuple[Reading, ...]
    method: MethodView
    presets: tuple[Preset, ...]
    still: Mapping[str, str]
    unused: str
    empty: str
    status: str
    engaged: str
    problem: Problem | None = None


@dataclass(frozen=True)
class Marks:
    """How far A and B lie apart at each fader.

    at      slot -> relative difference
    broken  slots where A or B holds numbers that are not finite
    """

    a: str
    b: str
    at: Mapping[str, float] = field(default_factory=dict[str, float])
    broken: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """An error for a person: a headline, where, and what to try; `calm` for what is no error at all."""

    what: str
    where: str = ""
    hint: str = ""
    more: tuple[str, ...] = ()
    calm: bool = False


@dataclass(frozen=True)
class Answer:
    """What comes back from a move.

    seq      the move's number, as the page counts
    picture  a PNG as a data URL
    sheet    the fact sheet of a file that was written, as rows
    card     the model card's text, ready to be copied
    notes    what came of taking presets over
    against  what A's picture for comparison depends on: while it stays the same, so does that picture
    effects  what shapes the merge besides the faders
    engaged  the merge in memory, by its id (see desk.engaged), "" for none
    elsewhere  nothing was done: a merge is in memory that this page has not seen
    changes  what that merge has that this page does not
    """

    seq: int
    action: str
    status: str = ""
    picture: str = ""
    infotext: str = ""
    sheet: tuple[tuple[str, str], ...] = ()
    card: str = ""
    against: str = ""
    presets: tuple[Preset, ...] | None = None
    notes: tuple[str, ...] = ()
    effects: Effects | None = None
    engaged: str = ""
    elsewhere: bool = False
    changes: str = ""
    problem: Problem | None = None


# --- faders ---


def board_of(family: Family) -> Board:
    """The desk of a family: facing columns for a U-Net, two plain columns for a transformer."""
    texts = tuple(slot.id for slot in family.slots if slot.component is Component.TEXT)
    blocks = tuple(name for name in family.numbers if name not in (*texts, *family.groups))
    ins = _named(blocks, "IN")
    outs = _named(blocks, "OUT")
    beside = tuple(slot.id for slot in family.slots if slot.id not in (*texts, *blocks))
    if ins and outs:
        middle = tuple(name for name in blocks if name not in (*ins, *outs))
        return Board(texts, ins, middle, outs[::-1], beside, STEP_OF_LEVELS)
    half = (len(blocks) + 1) // 2
    return Board(texts, blocks[:half], (), blocks[half:], beside)


def _named(blocks: Sequence[str], prefix: str) -> tuple[str, ...]:
    return tuple(name for name in blocks if name.removeprefix(prefix).isdigit())


@cache
def readings_of(family: Family) -> tuple[Reading, ...]:
    """How every layout spreads lists over the slots: asked of `read_numbers`, with places as the amounts."""
    order = (DEFAULT_LAYOUT, *(layout for layout in LAYOUTS if layout is not DEFAULT_LAYOUT))
    found: list[Reading] = []
    for layout in order:
        spread: dict[str, dict[str, int]] = {}
        for count in range(1, MOST_NUMBERS):
            try:
                places = read_numbers(range(1, count + 1), family, layout, base=-1.0)
            except RecipeError:
                continue  # no list of so many numbers
            spread[str(count)] = {slot: _place(amount) for slot, amount in places.items()}
        found.append(Reading(layout.id, layout.title, spread))
    return tuple(found)


def _place(amount: float) -> int:
    """1 is the first number; 0 is what stays A's; -1 is what BASE has already."""
    if amount > 0:
        return int(amount) - 1
    return -2 if amount == 0 else -1


# --- methods ---


def desk_methods() -> tuple[Method, ...]:
    """The methods that work on up to three whole models and need no share for each."""
    return tuple(
        method
        for method in METHODS.all()
        if not any(parameter.per_model and not parameter.default for parameter in method.parameters)
        and not any(model.delta for model in method.inputs)
        and (method.most_models or 2) in (1, 2, 3)
    )


def method_by_title(title: str) -> Method:
    """A method of the desk by what its list calls it."""
    methods = desk_methods()
    return next((method for method in methods if title in (method.title, method.id)), methods[0])


def knobs_of(method: Method) -> tuple[Knobs, ...]:
    """A method's parameters as the page draws them, but for those with one number for each model."""
    return tuple(
        Knobs(
            parameter.name,
            parameter.kind.__name__,
            parameter.knob.low,
            parameter.knob.high,
            parameter.knob.step,
            parameter.default,
            parameter.knob.help,
        )
        for parameter in method.parameters
        if not parameter.per_model
    )


def method_view(method: Method) -> MethodView:
    """What is shown of a method."""
    knobs = knobs_of(method)
    return MethodView(
        method.id,
        method.title,
        method.summary,
        method.formula,
        tuple(knob for knob in knobs if knob.name in FADED and knob.kind == "float"),
        tuple(knob for knob in knobs if knob.name not in FADED or knob.kind != "float"),
        method.most_models or 2,
    )


# --- words ---


def no_block_weights(method: Method) -> str:
    """Why no fader does anything with a method; "" where faders have a parameter to set."""
    view = method_view(method)
    if view.faders:
        return ""
    names = ", ".join(knob.name for knob in view.knobs)
    instead = f" What it takes stands above them: {names}." if names else ""
    return f"{method.title} has no block weights, so the faders do nothing.{instead}"


def status_line(status: Status, held: str | None = None) -> str:
    """What is in memory, in one sentence, and what else must be known.

    held  after a move: of the faders that were moved, those that rules hold, "" for none. Only then, and
          where rules hold none, a swap without a changed block is told as "Nothing changed".
    """
    return f"{_memory_line(status, held)} {status.note}".rstrip()


def _memory_line(status: Status, held: str | None) -> str:
    if status.refusal:
        return f"Nothing can be swapped in now: {status.refusal}."
    if not status.base:
        return "No checkpoint is loaded yet."
    if status.live is None:
        as_file = "" if status.note else ", as its file is"
        return f"{status.base} is in memory{as_file}."
    line = f"{status.live.name} is in memory, on top of {status.base}."
    last = status.last
    if last is None:
        return line
    if not last.slots and (held or held is None):
        return f"{line} {held or ''}".rstrip()
    changed = f"{_counted(len(last.slots), 'block')} changed in {_took(last.seconds)}."
    return f"{line} {changed} {held or ''}".rstrip()


def _counted(count: int, word: str) -> str:
    return "Nothing" if not count else f"{count} {word}" if count == 1 else f"{count} {word}s"


def _took(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def problem_of(error: BaseException) -> Problem:
    """An error as a person would want to read it."""
    if isinstance(error, StoppedError):
        return Problem("Stopped. The model in memory is as it was before.", calm=True)
    if isinstance(error, PlanError) and len(error.problems) > 1:
        what = f"{len(error.problems)} things stand in the way of this merge"
        return Problem(what, more=tuple(_one_line(each) for each in error.problems))
    if isinstance(error, MergeError):
        return Problem(_headline(without_paths(error.what)), without_paths(error.where), error.hint)
    return Problem(
        "Merge Desk met an error of its own; your settings are kept",
        where=without_paths(f"{type(error).__name__}: {error}"),
        hint="the console has the details; a report of them is welcome",
    )


def _headline(text: str) -> str:
    """With a capital, unless it begins with a name, which keeps its own letters."""
    plain = text.split(" ", 1)[0] in SENTENCES
    return text[:1].upper() + text[1:] if plain else text


def _one_line(error: MergeError) -> str:
    extra = "; ".join(
        part for part in (without_paths(error.where), error.hint and f"try: {error.hint}") if part
    )
    what = _headline(without_paths(error.what))
    return f"{what} ({extra})" if extra else what


def fact_sheet(saved: Saved) -> FactSheet:
    """What there is to know of a file that was written; of a folder, of the plan that wrote it."""
    path = saved.checkpoint.path
    if path.is_file():
        return sheet_of(read_header(path), saved.hashes)
    tensors = {entry.key: TensorInfo(entry.dtype, entry.shape) for entry in saved.plan.keys}
    header = Header(path, tensors, saved.plan.metadata, file_size=saved.nbytes, data_start=1)
    sheet = sheet_of(header, saved.hashes)
    return sheet if path.suffix else replace(sheet, format="diffusers folder")


# --- for the page ---


def to_json(value: Any) -> str:
    """A value of this module as JSON; numbers that JSON has no word for (NaN, infinity) are null."""
    plain: object = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    try:
        return json.dumps(plain, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(plain), allow_nan=False)


def _finite(value: object) -> object:
    """The value with None for every number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(each) for name, each in cast("Mapping[object, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in cast("Sequence[object]", value)]
    return value


def read_page(text: str) -> dict[str, Any]:
    """What the page's script sends: a JSON object. RecipeError for anything else."""
    try:
        found: object = json.loads(text or "{}")
    except (ValueError, RecursionError) as cause:
        raise RecipeError("the page sent something that cannot be read", hint="reload the page") from cause
    if not isinstance(found, dict):
        raise RecipeError("the page sent something that cannot be read", hint="reload the page")
    return cast("dict[str, Any]", found)


def page_number(found: Mapping[str, Any], name: str) -> int:
    """A whole number that the page's script sends, 0 where it sends none."""
    value: object = found.get(name) or 0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or abs(value) > 2**53:
        raise RecipeError(f"the page sent '{name}' as no number", hint="reload the page")
    return int(value)


def said(error: BaseException) -> Problem:
    """An error as the page shows it; one that is no MergeError is a defect of ours, and logged."""
    if not isinstance(error, MergeError):
        log.exception("Merge Desk met an error of its own", exc_info=error)
    return problem_of(error)


def carrier(value: Any) -> str:
    """A value as an element that the page's script reads and nobody sees; never twice the same."""
    return (
        f'<div data-at="{time.monotonic_ns()}" data-merge-desk="{escape(to_json(value), quote=True)}"></div>'
    )
