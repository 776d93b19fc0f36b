"""The first of two passes, for methods that need statistics of the whole model before they compute a chunk.

The statistics depend on the files alone: neither on which keys are computed now (a live swap computes few of
them), nor on the weights of other blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lib_merge.architectures import Role, role_of, slot_of
from lib_merge.checkpoint import Checkpoint, Header
from lib_merge.errors import StoppedError
from lib_merge.execute.kernels import ChunkRef, Statistics, applications_of, map_whole_key
from lib_merge.methods import METHODS
from lib_merge.plan import Application, Plan, models_of
from lib_merge.progress import Progress
from lib_merge.recipe.weights.rules import VAE_SLOT_ID
from lib_merge.tensors import Scratch, torch


class ReductionCache:
    """Statistics of whole models; kept from run to run, they spare the first pass while the files stay."""

    def __init__(self) -> None:
        self._statistics: dict[object, Sequence[float]] = {}
        self._sources: dict[object, tuple[Header, ...]] = {}  # kept alive: keys contain their identities

    def get(self, plan: Plan, reduction: object) -> Sequence[float] | None:
        """The statistics of these very files, None where they were not computed yet."""
        return self._statistics.get(_cache_key(plan, reduction))

    def put(self, plan: Plan, reduction: object, statistics: Sequence[float]) -> None:
        """Remember statistics of the plan's files."""
        key = _cache_key(plan, reduction)
        self._statistics[key], self._sources[key] = statistics, plan.sources

    def keep_only(self, headers: Iterable[Header]) -> None:
        """Forget the statistics of other files than these."""
        identities = {id(header) for header in headers}
        for key, sources in list(self._sources.items()):
            if any(id(header) not in identities for header in sources):
                del self._statistics[key], self._sources[key]


def _cache_key(plan: Plan, reduction: object) -> object:
    alignments = tuple(ingredient.alignment for ingredient in plan.recipe.ingredients)  # change what is read
    return tuple(id(header) for header in plan.sources), alignments, plan.base, reduction


def reduce_models(
    plan: Plan,
    checkpoints: Sequence[Checkpoint],
    pool: ThreadPoolExecutor,
    progress: Progress,
    device: str,
    cache: ReductionCache,
) -> Statistics:
    """The statistics of whole models for every application in the plan, from the cache or computed."""
    statistics: dict[Application, Mapping[str, Sequence[float]]] = {}
    for application, name in _model_reductions(plan):
        method = METHODS.get(application.method)
        names = method.reductions[name].settings()
        settings = tuple(pair for pair in application.settings if pair[0] in names)
        reduction = (application.method, application.inputs, name, settings)
        numbers = cache.get(plan, reduction)
        if numbers is None:
            mapping = _Mapping(plan, checkpoints, application, name, statistics, progress, device)
            reduce = method.reductions[name].reduce
            assert reduce is not None
            numbers = reduce(list(pool.map(mapping.map, mapping.keys())))
            cache.put(plan, reduction, numbers)
        statistics[application] = {**statistics.get(application, {}), name: numbers}
    return statistics


def _model_reductions(plan: Plan) -> Iterator[tuple[Application, str]]:
    expressions = dict.fromkeys(entry.expression for entry in plan.keys if entry.expression is not None)
    applications = dict.fromkeys(
        application for expression in expressions for application in applications_of(expression)
    )
    for application in applications:
        for name, reduction in METHODS.get(application.method).reductions.items():
            if reduction.reduce is not None:
                yield application, name


class _Mapping:
    """One reduction's first half: `map` for each key."""

    def __init__(
        self,
        plan: Plan,
        checkpoints: Sequence[Checkpoint],
        application: Application,
        name: str,
        statistics: Statistics,
        progress: Progress,
        device: str,
    ) -> None:
        self.plan, self.checkpoints = plan, checkpoints
        self.application, self.name, self.statistics = application, name, statistics
        self.progress, self.device = progress, device
        self.models = sorted(models_of(application))

    def keys(self) -> list[str]:
        """The weights outside of the VAE that all of the application's models have, in one shape."""
        family = self.plan.identity.family
        headers = [self.plan.sources[model].tensors for model in self.models]
        return [
            key
            for key, info in sorted(self.plan.sources[self.plan.base].tensors.items())
            if info.dtype.floating
            and role_of(family, key) is Role.WEIGHT
            and slot_of(family, key) != VAE_SLOT_ID
            and all(key in tensors and tensors[key].shape == info.shape for tensors in headers)
        ]

    def map(self, key: str) -> Any:
        """What `map` returns for one key, on the CPU; StoppedError where the user asked to stop."""
        if self.progress.stopped():
            raise StoppedError("stopped; nothing was written")
        operands = {model: self.checkpoints[model].tensor(key).to(self.device) for model in self.models}
        chunk = ChunkRef(key, 0, self.statistics)
        mapped = map_whole_key(self.application, self.name, operands, Scratch(), chunk)
        return mapped.cpu() if isinstance(mapped, torch.Tensor) else mapped
