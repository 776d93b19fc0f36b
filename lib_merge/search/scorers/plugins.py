"""All scorers: those that come with Merge Desk, those of installed packages, and those of the user's folder.

    entry points   a package names a function `score(images, prompts) -> float`, or a ScorerKind, under the
                   group merge_desk.scorers
    a folder       scorers/NAME.py in the data folder, with a function `score(images, prompts) -> float`

Both are programs that run with the user's rights, and are imported only when a score names them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.errors import MergeError, RecipeError, did_you_mean
from lib_merge.search.eye import EYE
from lib_merge.search.scorers.clip import clip_kinds
from lib_merge.search.scorers.closeness import CLOSENESS
from lib_merge.search.scorers.http_hook import HTTP_HOOK
from lib_merge.search.scorers.scorer import (
    MakeScorer,
    Scorer,
    ScorerContext,
    ScorerKind,
    ScoreSum,
    SummedScorer,
)
from lib_merge.search.scorers.statistics import statistic_kinds

if TYPE_CHECKING:
    from PIL.Image import Image

ENTRY_POINTS = "merge_desk.scorers"
SCORERS_FOLDER = "scorers"  # under the data folder
FUNCTION = "score"


@dataclass(frozen=True)
class FunctionScorer:
    """A function as a scorer."""

    function: Callable[[Sequence[Image], Sequence[str]], Any]

    def score(self, images: Sequence[Image], prompts: Sequence[str]) -> float:
        """What the function returns."""
        return self.function(images, prompts)


def builtin_scorers() -> tuple[ScorerKind, ...]:
    """The scorers that come with Merge Desk."""
    return (*statistic_kinds(), CLOSENESS, *clip_kinds(), HTTP_HOOK, EYE)


def all_scorers(data: Path | None) -> Mapping[str, ScorerKind]:
    """Name -> scorer; the user's own before those of packages, and these before those that come with us.

    data  Merge Desk's data folder; None for no scorers of the user's
    """
    kinds = {kind.id: kind for kind in builtin_scorers()}
    kinds |= {point.name: _of_entry_point(point) for point in entry_points(group=ENTRY_POINTS)}
    kinds |= {kind.id: kind for kind in _of_folder(data)}
    return kinds


def make_scorer(score: ScoreSum, kinds: Mapping[str, ScorerKind], context: ScorerContext) -> Scorer:
    """The scorer of a sum; MergeError where one of it is unknown, or lacks what it needs."""
    parts = [(term.factor, _kind(term.scorer, kinds).make(term.argument, context)) for term in score.terms]
    return SummedScorer(tuple(parts))


def check_scorer(score: ScoreSum, kinds: Mapping[str, ScorerKind], context: ScorerContext) -> None:
    """MergeError where one of a sum is unknown, or seen to lack something; imports no plug-in."""
    for term in score.terms:
        kind = _kind(term.scorer, kinds)
        (kind.check or kind.make)(term.argument, context)


def _kind(name: str, kinds: Mapping[str, ScorerKind]) -> ScorerKind:
    if name not in kinds:
        hint = did_you_mean(name, kinds) or ", ".join(kinds)
        raise RecipeError(f"there is no scorer '{name}'", hint=hint)
    return kinds[name]


def _unchecked(argument: str, context: ScorerContext) -> None:
    """A plug-in is a program: it is run when a search starts, and not before."""


def _of_entry_point(point: EntryPoint) -> ScorerKind:
    def make(argument: str, context: ScorerContext) -> Scorer:
        loaded = _loaded(point.name, point.value, point.load)
        if isinstance(loaded, ScorerKind):
            return loaded.make(argument, context)
        return _function_scorer(loaded, point.name, point.value)

    return ScorerKind(point.name, f"of {point.value}", make, check=_unchecked)


def _of_folder(data: Path | None) -> Iterator[ScorerKind]:
    folder = data / SCORERS_FOLDER if data else None
    if folder is not None and folder.is_dir():
        for path in sorted(folder.glob("*.py")):
            yield ScorerKind(path.stem, f"your own, {path.name}", _maker_of_file(path), check=_unchecked)


def _maker_of_file(path: Path) -> MakeScorer:
    def make(argument: str, context: ScorerContext) -> Scorer:
        def load() -> object:
            spec = importlib.util.spec_from_file_location(f"merge_desk_scorer_{path.stem}", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return getattr(module, FUNCTION, None)

        return _function_scorer(_loaded(path.stem, path.name, load), path.stem, path.name)

    return make


def _loaded(name: str, where: str, load: Callable[[], object]) -> object:
    """What a plug-in has, MergeError for whatever its import raises."""
    try:
        return load()
    except MergeError:
        raise
    except BaseException as failure:
        if isinstance(failure, KeyboardInterrupt):
            raise
        text = f"{type(failure).__name__}: {failure}".splitlines()[0]
        raise MergeError(f"the scorer '{name}' cannot be imported ({text})", where=where) from failure


def _function_scorer(function: object, name: str, where: str) -> Scorer:
    if not callable(function):
        hint = "def score(images, prompts): return 0.5"
        raise MergeError(f"the scorer '{name}' has no function '{FUNCTION}'", where=where, hint=hint)
    return FunctionScorer(function)
