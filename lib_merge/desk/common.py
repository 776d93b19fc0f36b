"""What all tabs share: errors as the page shows them, JSON, pictures as data URLs, where the faders are."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from html import escape
from typing import Any, cast

from lib_merge.architectures import Component, Family
from lib_merge.architectures.blocks import BLOCKS_PER_LEVEL
from lib_merge.errors import MergeError, PlanError, StoppedError
from lib_merge.json_data import finite
from lib_merge.service.server_paths import without_paths

MODEL_UNCHANGED = "Stopped. The model in memory is as it was before."
# an error text that begins with one of these words is a sentence, and gets a capital letter
SENTENCE_STARTS = ("a", "an", "choose", "it", "no", "number", "step", "the", "there", "this", "your")


@dataclass(frozen=True)
class Problem:
    """An error as the page shows it.

    what   what happened
    where  in which file, block or line
    hint   what to try
    more   several errors, one per line
    calm   true for what is not an error, such as a requested stop
    """

    what: str
    where: str = ""
    hint: str = ""
    more: tuple[str, ...] = ()
    calm: bool = False


@dataclass(frozen=True)
class FaderLayout:
    """Where the faders of a family are on the page.

    above           text encoders, at the top
    left            left column, IN00 first
    middle          below the columns
    right           right column, the last OUT first: blocks joined by a skip connection are in one row
    outside         small faders at the bottom: slots outside of the blocks
    rows_per_level  rows of one resolution, 0 where rows are not grouped
    """

    above: tuple[str, ...]
    left: tuple[str, ...]
    middle: tuple[str, ...]
    right: tuple[str, ...]
    outside: tuple[str, ...]
    rows_per_level: int = 0


def fader_layout(family: Family) -> FaderLayout:
    """A family's faders: IN and OUT columns for a U-Net, two plain columns for a transformer."""
    texts = tuple(slot.id for slot in family.slots if slot.component is Component.TEXT)
    blocks = tuple(name for name in family.listed_names if name not in (*texts, *family.groups))
    ins = _numbered(blocks, "IN")
    outs = _numbered(blocks, "OUT")
    beside = tuple(slot.id for slot in family.slots if slot.id not in (*texts, *blocks))
    if ins and outs:
        middle = tuple(name for name in blocks if name not in (*ins, *outs))
        return FaderLayout(texts, ins, middle, outs[::-1], beside, BLOCKS_PER_LEVEL)
    half = (len(blocks) + 1) // 2
    return FaderLayout(texts, blocks[:half], (), blocks[half:], beside)


def _numbered(blocks: Sequence[str], prefix: str) -> tuple[str, ...]:
    return tuple(name for name in blocks if name.removeprefix(prefix).isdigit())


# --- errors ---


def problem_of(error: BaseException, stopped: str = MODEL_UNCHANGED) -> Problem:
    """An error as the page shows it; `stopped` is the text for a StoppedError."""
    if isinstance(error, StoppedError):
        return Problem(stopped, calm=True)
    if isinstance(error, PlanError) and len(error.problems) > 1:
        what = f"{len(error.problems)} problems prevent this merge"
        return Problem(what, more=tuple(_one_line(problem) for problem in error.problems))
    if isinstance(error, MergeError):
        return Problem(_headline(without_paths(error.what)), without_paths(error.where), error.hint)
    return Problem(
        "Internal error in Merge Desk; your settings are kept",
        where=without_paths(f"{type(error).__name__}: {error}"),
        hint="the console has the details; please report them",
    )


def _headline(text: str) -> str:
    """With a capital letter, unless it begins with a name."""
    plain = text.split(" ", 1)[0] in SENTENCE_STARTS
    return text[:1].upper() + text[1:] if plain else text


def _one_line(error: MergeError) -> str:
    extra = "; ".join(
        part for part in (without_paths(error.where), error.hint and f"try: {error.hint}") if part
    )
    what = _headline(without_paths(error.what))
    return f"{what} ({extra})" if extra else what


# --- JSON and data URLs ---


def data_url(raw: bytes, kind: str) -> str:
    """Bytes as a URL that holds them; `kind` is their media type."""
    return f"data:{kind};base64,{base64.b64encode(raw).decode('ascii')}"


def payload(value: object) -> str:
    """A hidden element with a value as JSON for the page's script; the time makes each one different."""
    return (
        f'<div data-at="{time.monotonic_ns()}" data-merge-desk="{escape(to_json(value), quote=True)}"></div>'
    )


def to_json(value: object) -> str:
    """A dataclass as JSON; NaN and infinity, which JSON lacks, become null."""
    try:
        return json.dumps(to_plain(value), allow_nan=False)
    except ValueError:
        return json.dumps(finite(to_plain(value)), allow_nan=False)


def to_plain(value: object) -> Any:
    """A dataclass, or a tuple of them, as dictionaries and lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return (
        [to_plain(element) for element in cast("Sequence[object]", value)]
        if isinstance(value, tuple)
        else value
    )
