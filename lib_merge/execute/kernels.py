"""The arithmetic of a merge: evaluates one expression on one chunk of a tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from lib_merge.dtypes import to_torch
from lib_merge.methods import METHODS
from lib_merge.parameters import Seed, TensorRef, seed_for
from lib_merge.plan import METHOD_CHUNK, Application, Combination, Expression, Rounded, Source
from lib_merge.registry import Method
from lib_merge.tensors import Scratch, combine, interpolate, torch, working_dtype

if TYPE_CHECKING:
    from torch import Tensor

Operands = Mapping[int, "Tensor"]
Statistics = Mapping[Application, Mapping[str, Sequence[float]]]


@dataclass(frozen=True)
class ChunkRef:
    """Which chunk of which tensor is computed.

    key, start  its tensor, and the index of the chunk's first element
    statistics  of the whole model, for the methods that need them
    family      id of the model's family
    """

    key: str = ""
    start: int = 0
    statistics: Statistics = field(default_factory=dict[Application, Mapping[str, Sequence[float]]])
    family: str = ""


Kernel = Callable[[Operands, "Tensor", Scratch, ChunkRef], None]


def kernel_of(expression: Expression) -> Kernel:
    """A function that writes the expression's value into its second argument, rounded once.

    operands  model -> its chunk; all of one shape, on one device, of any floating dtypes. Whole tensors where
              the expression is not elementwise
    """
    if isinstance(expression, Combination):
        models = [part.model for part, _ in expression.terms if isinstance(part, Source)]
        if len(models) == len(expression.terms):
            return _linear(models, [coefficient for _, coefficient in expression.terms])
    applications = tuple(applications_of(expression))
    stepwise = all(METHODS.get(application.method).elementwise for application in applications)

    def tree(operands: Operands, out: Tensor, scratch: Scratch, chunk: ChunkRef) -> None:
        working = working_dtype([operand.dtype for operand in operands.values()], out.dtype)
        statistics = dict(chunk.statistics)
        for application in applications:
            evaluation = _Evaluation(operands, working, scratch, chunk, statistics)
            statistics[application] = _statistics_of(application, evaluation)
        if not stepwise:
            out.copy_(_Evaluation(operands, working, scratch, chunk, statistics).value(expression))
            return
        flat = {model: operand.reshape(-1) for model, operand in operands.items()}
        flat_out, count = out.view(-1), out.numel()
        step = METHOD_CHUNK if out.device.type == "cpu" else max(count, 1)
        for start in range(0, count, step):
            views = {model: operand[start : start + step] for model, operand in flat.items()}
            part = replace(chunk, start=chunk.start + start)
            evaluation = _Evaluation(views, working, scratch, part, statistics)
            flat_out[start : start + step].copy_(evaluation.value(expression))

    return tree


def _linear(models: list[int], coefficients: list[Fraction]) -> Kernel:
    if len(models) == 2 and sum(coefficients) == 1:
        first, second = models
        alpha = float(coefficients[1])
        return lambda operands, out, scratch, chunk: interpolate(
            operands[first], operands[second], alpha, out, scratch
        )
    factors = [float(coefficient) for coefficient in coefficients]
    return lambda operands, out, scratch, chunk: combine(
        [operands[model] for model in models], factors, out, scratch
    )


def applications_of(expression: Expression) -> Iterator[Application]:
    """The applications of non-linear methods in an expression, inner ones first."""
    if isinstance(expression, Combination):
        for part, _ in expression.terms:
            yield from applications_of(part)
    if isinstance(expression, Rounded):
        yield from applications_of(expression.inner)
    if isinstance(expression, Application):
        for part in expression.inputs:
            yield from applications_of(part)
        yield expression


def _statistics_of(application: Application, evaluation: _Evaluation) -> Mapping[str, Sequence[float]]:
    """The statistics of whole tensors that a method takes, reduced here where they are of one key."""
    statistics = dict(evaluation.statistics.get(application, {}))
    for name, reduction in METHODS.get(application.method).reductions.items():
        if name not in statistics:
            mapped = map_key(application, name, evaluation)
            statistics[name] = reduction.reduce([mapped]) if reduction.reduce else mapped
    return statistics


def map_key(application: Application, name: str, evaluation: _Evaluation) -> Any:
    """One reduction's `map` of one key's whole tensors; those of files are not cast to the working dtype."""
    reduction = METHODS.get(application.method).reductions[name]
    settings = dict(application.settings)
    inputs = [
        evaluation.operands[part.model] if isinstance(part, Source) else evaluation.value(part)
        for part in application.inputs
    ]
    wanted = {name: settings[name] for name in reduction.settings()}
    return reduction.map(*inputs, dtype=evaluation.working, **wanted)


@dataclass(frozen=True)
class _Evaluation:
    """Evaluates expressions on the operands of one chunk, in the working dtype."""

    operands: Operands
    working: torch.dtype
    scratch: Scratch
    chunk: ChunkRef
    statistics: Statistics

    def value(self, expression: Expression) -> Tensor:
        """The expression's value in the working dtype; may be an operand, so it must not be written into."""
        if isinstance(expression, Source):
            operand = self.operands[expression.model]
            if operand.dtype == self.working:
                return operand
            return self.scratch.take(f"model {expression.model}", self.working, operand).copy_(operand)
        if isinstance(expression, Rounded):
            return self.stored(expression).to(self.working)
        if isinstance(expression, Application):
            return self._apply(expression)
        parts = [(self.value(part), float(coefficient)) for part, coefficient in expression.terms]
        if not parts:
            return torch.zeros_like(next(iter(self.operands.values())), dtype=self.working)
        total = parts[0][0] * parts[0][1]
        for part, coefficient in parts[1:]:
            total.add_(part, alpha=coefficient)
        return total

    def stored(self, expression: Source | Rounded) -> Tensor:
        """The value as a file of it would hold it: computed and rounded to the dtype of that file."""
        if isinstance(expression, Source):
            return self.operands[expression.model]
        like = self.operands[expression.like]
        dtype = to_torch(expression.dtype) if expression.dtype else like.dtype
        inner = expression.inner
        if not isinstance(inner, Combination):
            return self.value(inner).to(dtype)
        parts = [part for part, _ in inner.terms if isinstance(part, (Source, Rounded))]
        if len(parts) != len(inner.terms):
            return self.value(inner).to(dtype)
        out = torch.empty_like(like, dtype=dtype, memory_format=torch.contiguous_format)
        operands = dict(enumerate(map(self.stored, parts)))
        scratch = Scratch()
        kernel = _linear(list(operands), [coefficient for _, coefficient in inner.terms])
        kernel(operands, out, scratch, self.chunk)
        return out

    def _apply(self, application: Application) -> Tensor:
        method = METHODS.get(application.method)
        inputs = [self.value(part) for part in application.inputs]
        return method(*inputs, **self._settings(method, application))

    def _settings(self, method: Method, application: Application) -> dict[str, Any]:
        settings: dict[str, Any] = dict(application.settings)
        for parameter in method.parameters:
            if isinstance(parameter.range, Seed):
                settings[parameter.name] = seed_for(settings[parameter.name], self.chunk.key)
        if method.offset:
            settings[method.offset] = self.chunk.start
        if method.tensor_ref:
            settings[method.tensor_ref] = TensorRef(self.chunk.family, self.chunk.key)
        return settings | dict(self.statistics.get(application, {}))


def map_whole_key(
    application: Application, name: str, operands: Operands, scratch: Scratch, chunk: ChunkRef
) -> Any:
    """`map_key` of whole tensors of any dtypes, for statistics of the whole model."""
    dtypes = [operand.dtype for operand in operands.values()]
    working = working_dtype(dtypes, torch.float32 if torch.float32 in dtypes else dtypes[0])
    return map_key(application, name, _Evaluation(operands, working, scratch, chunk, chunk.statistics))
