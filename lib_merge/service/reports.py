"""Reports about files of the host's lists: comparisons and checks, for the page and the HTTP API.

Reports read the files on disk; they do not use the model in memory and block no job of the host.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from lib_merge.errors import RecipeError
from lib_merge.hosts.host import ListedFile
from lib_merge.progress import Progress
from lib_merge.report.health.check import Health, check
from lib_merge.report.similarity.cache import REPORTS_FOLDER, cached_compare
from lib_merge.report.similarity.comparison import Comparison
from lib_merge.report.similarity.kinds import DEFAULT_KIND
from lib_merge.schema import described_field
from lib_merge.service.merging import MergeService

MODELS_DESCRIPTION = ("a list of names", '"models": ["pastel"]')  # type, and an example for hints


@dataclass(frozen=True)
class CompareRequest:
    """A comparison of models of the host's list with a reference.

    reference  the model to compare with
    models     the models to compare
    kind       the measure: an id of `merge-desk compare --kind`
    base       compare the differences to this model, for a kind that takes a base
    seed       of the noise, for a kind that takes a seed
    """

    taker: ClassVar[str] = "a comparison"

    reference: str = ""
    models: tuple[str, ...] = described_field(*MODELS_DESCRIPTION, default=())
    kind: str = DEFAULT_KIND
    base: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class CheckRequest:
    """A check of models of the host's list for damage.

    models  the models to check
    base    a known-good model of the same family, to compare with
    """

    taker: ClassVar[str] = "a check"

    models: tuple[str, ...] = described_field(*MODELS_DESCRIPTION, default=())
    base: str = ""


@dataclass(frozen=True)
class ReportProgress:
    """The progress of a report: a text, and a fraction from 0 to 1."""

    running: bool
    what: str = ""
    share: float = 0.0


class ReportRun:
    """The `Progress` of a running report; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._what, self._total, self._done, self._part = "", 0, 0, 0
        self._stop = threading.Event()

    def start(self, total: int, what: str) -> None:
        """Start a part of the work."""
        with self._lock:
            self._what, self._total, self._done = what, total, 0
            self._part += 1

    def advance(self, amount: int) -> None:
        """Advance the current part."""
        with self._lock:
            self._done += amount

    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Stop at the next chunk of work."""
        self._stop.set()

    def progress(self) -> ReportProgress:
        """The progress now."""
        with self._lock:
            share = self._done / self._total if self._total else 0.0
            part = f", part {self._part}" if self._part > 1 else ""
            return ReportProgress(True, f"{self._what or 'reading'}{part}", share)


class Reports:
    """The reports of one host: one runs at a time, with progress, and can be stopped."""

    def __init__(self, merging: MergeService) -> None:
        self._merging = merging
        self._one = threading.Lock()
        self._run: ReportRun | None = None

    def compare(self, request: CompareRequest) -> Comparison:
        """`compare_named`, after a running report has ended."""
        with self._one:
            self._run = run = ReportRun()
            try:
                return compare_named(self._merging, request, run)
            finally:
                self._run = None

    def check(self, request: CheckRequest) -> tuple[Health, ...]:
        """`check_named`, after a running report has ended."""
        with self._one:
            self._run = run = ReportRun()
            try:
                return check_named(self._merging, request, run)
            finally:
                self._run = None

    def progress(self) -> ReportProgress:
        """The progress of the running report; cheap."""
        run = self._run
        return run.progress() if run else ReportProgress(False)

    def stop(self) -> None:
        """Stop the running report."""
        run = self._run
        if run:
            run.stop()


def compare_named(
    merging: MergeService, request: CompareRequest, progress: Progress | None = None
) -> Comparison:
    """Compare models of the host's list with a reference; earlier results are read from disk.

    Raises RecipeError for an incomplete request, HostError for a name that is not in the list, and the errors
    of `compare`. The result has the host's names and no folders.
    """
    reference = _one(merging, request.reference)
    if reference is None:
        raise RecipeError("no reference is chosen", hint="name one of the checkpoints")
    others, base = _models(merging, request.models), _one(merging, request.base)
    comparison = cached_compare(
        merging.host.data_dir() / REPORTS_FOLDER,
        merging.header(reference),
        [merging.header(checkpoint) for checkpoint in others],
        request.kind.strip() or DEFAULT_KIND,
        base=merging.header(base) if base else None,
        seed=request.seed,
        progress=progress,
    )
    models = tuple(
        replace(model, name=checkpoint.name, file=merging.recipe_name(checkpoint))
        for model, checkpoint in zip(comparison.models, others, strict=True)
    )
    return replace(
        comparison,
        name=reference.name,
        file=merging.recipe_name(reference),
        models=models,
        base=merging.recipe_name(base) if base else "",
    )


def check_named(
    merging: MergeService, request: CheckRequest, progress: Progress | None = None
) -> tuple[Health, ...]:
    """Check models of the host's list for damage. Raises the errors of `compare_named`."""
    base = _one(merging, request.base)
    header = merging.header(base) if base else None
    models = _models(merging, request.models)
    checked = [(model, check(merging.header(model), header, progress)) for model in models]
    return tuple(
        replace(health, name=model.name, file=merging.recipe_name(model)) for model, health in checked
    )


def _models(merging: MergeService, names: Sequence[str]) -> tuple[ListedFile, ...]:
    """The checkpoints of these names, without duplicates."""
    if not names:
        raise RecipeError("no model is chosen", hint="name one or more of the checkpoints")
    return tuple(dict.fromkeys(merging.checkpoint(name) for name in names))


def _one(merging: MergeService, name: str) -> ListedFile | None:
    return merging.checkpoint(name.strip()) if name.strip() else None
