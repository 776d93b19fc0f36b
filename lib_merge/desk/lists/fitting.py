"""Which files of the lists of B and C can be mixed into A, and why the others cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lib_merge.desk.common import Problem
from lib_merge.desk.protocol import Action, EmptyRequest, action
from lib_merge.desk.selection import Selection, unreadable_note
from lib_merge.errors import MergeError
from lib_merge.hosts.host import ListedFile
from lib_merge.service.file_kinds import misfit_reason
from lib_merge.service.merging import MergeService
from lib_merge.service.server_paths import without_paths
from lib_merge.service.services import Services

AT_ONCE = 0.25  # seconds in which headers are read before the page is answered; a thread reads the rest
SUGGESTED = 3  # files that are named in place of one that does not fit


@dataclass(frozen=True)
class Misfit:
    """A file that cannot be mixed into A, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class FittingFiles:
    """Which files can be mixed into A, in the order of the list; A itself is neither.

    a           A
    left        how many files have not been read yet: the page asks again
    unreadable  the files that cannot be read, and why, "" for none; a WebUI lists them all the same
    """

    a: str = ""
    fits: tuple[str, ...] = ()
    misfits: tuple[Misfit, ...] = ()
    left: int = 0
    unreadable: str = ""


@action("lists.fit", queued=False, status=False)
def fit(services: Services, action: Action[EmptyRequest]) -> FittingFiles:
    """Which files fit A; reads headers, a few at once, and the others in the background."""
    files = _fitting(services.merging, action.selection.a)
    return replace(files, unreadable=unreadable_note(services.merging))


def _fitting(merging: MergeService, a: str) -> FittingFiles:
    files = _others(merging, a)
    paths = [file.path for file in files]
    try:
        kind = merging.kinds.kind(merging.checkpoint(a).path)
    except MergeError:  # it is gone; the state of the lists says so
        return FittingFiles(a)
    if kind.problem:
        return FittingFiles(a)
    if not merging.kinds.reading and merging.kinds.read(paths, AT_ONCE):
        merging.kinds.read_in_background(paths, lambda: merging.activity is not None)
    return _known_fit(merging, a, files)


def with_suggestion(merging: MergeService, selection: Selection, problem: Problem) -> Problem:
    """A problem of the choice in the lists, with files that fit where B or C does not."""
    kinds = merging.kinds
    try:
        a = kinds.kind(merging.checkpoint(selection.a).path)
        chosen = [kinds.kind(merging.checkpoint(name).path) for name in (selection.b, selection.c) if name]
    except MergeError:
        return problem
    if a.problem or not any(misfit_reason(a, kind) for kind in chosen):
        return problem
    names = _known_fit(merging, selection.a, _others(merging, selection.a)).fits[:SUGGESTED]
    hints = (problem.hint, f"these fit {selection.a}: {', '.join(names)}" if names else "")
    return replace(problem, hint="; ".join(filter(None, hints)))


def ordered(fit: FittingFiles) -> tuple[str, ...]:
    """The choices of B and C: what fits, then A, which is a choice too, then what does not fit."""
    return (*fit.fits, fit.a, *(misfit.name for misfit in fit.misfits))


def _others(merging: MergeService, a: str) -> Sequence[ListedFile]:
    return [file for file in merging.host.checkpoints() if file.name != a]


def _known_fit(merging: MergeService, a: str, files: Sequence[ListedFile]) -> FittingFiles:
    """What is known of these files by now."""
    base = merging.kinds.kind(merging.checkpoint(a).path)
    kinds = [(file.name, merging.kinds.cached(file.path)) for file in files]
    reasons = [(name, misfit_reason(base, kind)) for name, kind in kinds if kind is not None]
    return FittingFiles(
        a,
        tuple(name for name, why in reasons if not why),
        tuple(Misfit(name, without_paths(why)) for name, why in reasons if why),
        len(kinds) - len(reasons),
    )
