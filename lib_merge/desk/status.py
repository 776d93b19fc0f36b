"""What is in memory, as every response of the page reports it."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

from lib_merge.service.merging import MergeService, Status


@dataclass(frozen=True)
class StatusView:
    """What is in memory.

    live     whether a merge is in memory that is not a saved file
    base     the checkpoint that the host loaded, "" for none
    next     the selected checkpoint that the host loads with its next picture, "" for none
    name     the name of the merge, "" for none
    text     all of that in one sentence, with what the last merge changed
    note     warnings, in sentences
    engaged  id of the engaged merge's request, "" where none is engaged
    read_at  when reading it began, in nanoseconds: of two responses the later one holds, in whatever order
    """

    live: bool
    base: str
    next: str
    name: str
    text: str
    note: str
    engaged: str
    read_at: int


def status_view(service: MergeService) -> StatusView:
    """What is in memory now; does not touch the model."""
    read_at = time.monotonic_ns()
    status = service.status()
    live = status.live is not None
    name = status.live.name if status.live else ""
    text, engaged = memory_line(status), engaged_id(service)
    return StatusView(live, status.base, status.next_base, name, text, status.note, engaged, read_at)


def memory_line(status: Status) -> str:
    """What is in memory, in one sentence."""
    following = f" Next: {status.next_base}, with the next picture or merge." if status.next_base else ""
    return f"{_now(status)}{following}"


def _now(status: Status) -> str:
    if status.unavailable_reason:
        return f"No merge can be loaded now: {status.unavailable_reason}."
    if not status.base:
        return "No checkpoint is loaded yet."
    if status.live is None:
        return f"Loaded: {status.base}{'' if status.note else ' (original)'}."
    name = status.live.name
    equal = status.last_report is not None and status.last_report.equal
    place = "" if name.startswith(status.base) else f", in place of {status.base}"
    line = f"Loaded: {name}{place}{f', which equals {status.base}: nothing is mixed in' if equal else ''}."
    changed = "" if status.last_report is None or not status.last_report.slots else changed_line(status)
    return f"{line} {changed}".rstrip()


def changed_line(status: Status) -> str:
    """How much the last merge changed and how long it took; "" before the first."""
    if status.last_report is None:
        return ""
    count, seconds = len(status.last_report.slots), status.last_report.seconds
    blocks = "Nothing" if not count else "1 block" if count == 1 else f"{count} blocks"
    return f"{blocks} changed in {f'{seconds * 1000:.0f} ms' if seconds < 1 else f'{seconds:.1f} s'}."


def engaged_id(service: MergeService) -> str:
    """Id of the engaged merge's request; "" where none is engaged."""
    if service.engaged is None:
        return ""
    return hashlib.sha256(repr(service.engaged).encode("utf-8", "replace")).hexdigest()[:16]
