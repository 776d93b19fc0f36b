"""The first of two passes, for methods that have to know the whole model before they begin.

What a survey finds depends on the files alone: not on which keys are wanted now (a live swap wants
few), nor on the amounts of other blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lib_merge.architectures import Role, role_of, slot_of
from lib_merge.checkpoint import Checkpoint, Header
from lib_merge.errors import StoppedError
from lib_merge.execute.kernels import Known, Place, applications_of, looked_at
from lib_merge.methods import METHODS
from lib_merge.plan import Application, Plan, models_of
from lib_merge.progress import Progress
from lib_merge.tensors import Scratch, torch

VAE = "VAE"


class Surveys:
    """What surveys have found; kept from run to run, it spares the first pass while the files stay."""

    def __init__(self) -> None:
        self._found: dict[object, Sequence[float]] = {}
        self._sources: dict[object, tuple[Header, ...]] = {}  # kept alive: they are known by identity

    def get(self, plan: Plan, question: object) -> Sequence[float] | None:
        """The answer to a question that was asked of these very files."""
        return self._found.get(_of(plan, question))

    def put(self, plan: Plan, question: object, answer: Sequence[float]) -> None:
        """Remember an answer."""
        key = _of(plan, question)
        self._found[key], self._sources[key] = answer, plan.sources

    def keep(self, headers: Iterable[Header]) -> None:
        """Forget what was found in other files than these."""
        wanted = {id(header) for header in headers}
        for key, sources in list(self._sources.items()):
            if any(id(header) not in wanted for header in sources):
                del self._found[key], self._sources[key]


def _of(plan: Plan, question: object) -> object:
    aligned = tuple(
        ingredient.aligned for ingredient in plan.recipe.ingredients
    )  # the same file, seen otherwise
    return tuple(id(header) for header in plan.sources), aligned, plan.base, question


def survey_models(
    plan: Plan,
    checkpoints: Sequence[Checkpoint],
    pool: ThreadPoolExecutor,
    progress: Progress,
    device: str,
    surveys: Surveys,
) -> Known:
    """What every application in the plan has to know of the whole model."""
    known: dict[Application, Mapping[str, Sequence[float]]] = {}
    for application, name in _wanted(plan):
        method = METHODS.get(application.method)
        knobs = method.surveys[name].knobs()
        settings = tuple(pair for pair in application.settings if pair[0] in knobs)
        question = (application.method, application.inputs, name, settings)
        answer = surveys.get(plan, question)
        if answer is None:
            looks = _Looks(plan, checkpoints, application, name, known, progress, device)
            conclude = method.surveys[name].conclude
            assert conclude is not None
            answer = conclude(list(pool.map(looks.of, looks.keys())))
            surveys.put(plan, question, answer)
        known[application] = {**known.get(application, {}), name: answer}
    return known


def _wanted(plan: Plan) -> Iterator[tuple[Application, str]]:
    expressions = dict.fromkeys(entry.expression for entry in plan.keys if entry.expression is not None)
    applications = dict.fromkeys(each for expression in expressions for each in applications_of(expression))
    for application in applications:
        for name, survey in METHODS.get(application.method).surveys.items():
            if survey.conclude is not None:
                yield application, name


class _Looks:
    """One survey, key by key."""

    def __init__(
        self,
        plan: Plan,
        checkpoints: Sequence[Checkpoint],
        application: Application,
        name: str,
        known: Known,
        progress: Progress,
        device: str,
    ) -> None:
        self.plan, self.checkpoints = plan, checkpoints
        self.application, self.name, self.known = application, name, known
        self.progress, self.device = progress, device
        self.models = sorted(models_of(application))

    def keys(self) -> list[str]:
        """The weights outside the VAE that all of the application's models have."""
        family = self.plan.identity.family
        headers = [self.plan.sources[model].tensors for model in self.models]
        return [
            key
            for key, info in sorted(self.plan.sources[self.plan.base].tensors.items())
            if info.dtype.floating
            and role_of(family, key) is Role.WEIGHT
            and slot_of(family, key) != VAE
            and all(key in tensors and tensors[key].shape == info.shape for tensors in headers)
        ]

    def of(self, key: str) -> Any:
        """What the survey sees of one key."""
        if self.progress.stopped():
            raise StoppedError("stopped; nothing was written")
        operands = {model: self.checkpoints[model].tensor(key).to(self.device) for model in self.models}
        looked = looked_at(self.application, self.name, operands, Scratch(), Place(key, 0, self.known))
        return looked.cpu() if isinstance(looked, torch.Tensor) else looked
