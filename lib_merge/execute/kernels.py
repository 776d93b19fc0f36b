"""One expression on one piece: the arithmetic of a merge and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from lib_merge.dtypes import to_torch
from lib_merge.methods import METHODS
from lib_merge.plan import STEP, Application, Combination, Expression, Rounded, Source
from lib_merge.registry import Method, Seed, Spot, seed_for
from lib_merge.tensors import Scratch, combine, interpolate, torch, working_dtype

if TYPE_CHECKING:
    from torch import Tensor

Operands = Mapping[int, "Tensor"]
Known = Mapping[Application, Mapping[str, Sequence[float]]]


@dataclass(frozen=True)
class Place:
    """Where a piece belongs.

    key, start  its tensor, and the number of the piece's first element
    known       what surveys of the whole model have found for applications
    family      the model's
    """

    key: str = ""
    start: int = 0
    known: Known = field(default_factory=dict[Application, Mapping[str, Sequence[float]]])
    family: str = ""


Kernel = Callable[[Operands, "Tensor", Scratch, Place], None]


def kernel_of(expression: Expression) -> Kernel:
    """A function that writes the expression's value into its second argument, rounded once.

    operands  model -> its piece, all of one shape and device, any float dtypes; a whole tensor where the
              expression cannot be worked on in pieces
    """
    if isinstance(expression, Combination):
        models = [part.model for part, _ in expression.terms if isinstance(part, Source)]
        if len(models) == len(expression.terms):
            return _linear(models, [share for _, share in expression.terms])
    applications = tuple(applications_of(expression))
    stepwise = all(METHODS.get(each.method).elementwise for each in applications)

    def tree(operands: Operands, out: Tensor, scratch: Scratch, place: Place) -> None:
        working = working_dtype([operand.dtype for operand in operands.values()], out.dtype)
        known = dict(place.known)
        for application in applications:
            known[application] = _survey(application, _Piece(operands, working, scratch, place, known))
        if not stepwise:
            out.copy_(_Piece(operands, working, scratch, place, known).value(expression))
            return
        flat = {model: operand.reshape(-1) for model, operand in operands.items()}
        into, count = out.view(-1), out.numel()
        step = STEP if out.device.type == "cpu" else max(count, 1)
        for start in range(0, count, step):
            cut = {model: operand[start : start + step] for model, operand in flat.items()}
            here = replace(place, start=place.start + start)
            into[start : start + step].copy_(_Piece(cut, working, scratch, here, known).value(expression))

    return tree


def _linear(models: list[int], shares: list[Fraction]) -> Kernel:
    if len(models) == 2 and sum(shares) == 1:
        first, second = models
        alpha = float(shares[1])
        return lambda operands, out, scratch, place: interpolate(
            operands[first], operands[second], alpha, out, scratch
        )
    coefficients = [float(share) for share in shares]
    return lambda operands, out, scratch, place: combine(
        [operands[m] for m in models], coefficients, out, scratch
    )


def applications_of(expression: Expression) -> Iterator[Application]:
    """The methods in an expression that are not linear, inner ones first."""
    if isinstance(expression, Combination):
        for part, _ in expression.terms:
            yield from applications_of(part)
    if isinstance(expression, Rounded):
        yield from applications_of(expression.inner)
    if isinstance(expression, Application):
        for part in expression.inputs:
            yield from applications_of(part)
        yield expression


def _survey(application: Application, piece: _Piece) -> Mapping[str, Sequence[float]]:
    """What the method has to know of the whole tensors before it goes over them piece by piece."""
    found = dict(piece.known.get(application, {}))
    for name, survey in METHODS.get(application.method).surveys.items():
        if name not in found:
            looked = look(application, name, piece)
            found[name] = survey.conclude([looked]) if survey.conclude else looked
    return found


def look(application: Application, name: str, piece: _Piece) -> Any:
    """One survey's look at one key's whole tensors; those of files are not copied to the working dtype."""
    survey = METHODS.get(application.method).surveys[name]
    settings = dict(application.settings)
    inputs = [
        piece.operands[part.model] if isinstance(part, Source) else piece.value(part)
        for part in application.inputs
    ]
    return survey.look(*inputs, dtype=piece.working, **{knob: settings[knob] for knob in survey.knobs()})


@dataclass(frozen=True)
class _Piece:
    """Operands of one piece, and what it takes to compute with them."""

    operands: Operands
    working: torch.dtype
    scratch: Scratch
    place: Place
    known: Known

    def value(self, expression: Expression) -> Tensor:
        """The expression in the working dtype; not to be written into."""
        if isinstance(expression, Source):
            operand = self.operands[expression.model]
            if operand.dtype == self.working:
                return operand
            return self.scratch.take(f"model {expression.model}", self.working, operand).copy_(operand)
        if isinstance(expression, Rounded):
            return self.stored(expression).to(self.working)
        if isinstance(expression, Application):
            return self._apply(expression)
        parts = [(self.value(part), float(share)) for part, share in expression.terms]
        if not parts:
            return torch.zeros_like(next(iter(self.operands.values())), dtype=self.working)
        total = parts[0][0] * parts[0][1]
        for part, share in parts[1:]:
            total.add_(part, alpha=share)
        return total

    def stored(self, expression: Source | Rounded) -> Tensor:
        """What a file of this holds, in its number format; computed as that file would be."""
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
        held = dict(enumerate(map(self.stored, parts)))
        scratch = Scratch()
        _linear(list(held), [share for _, share in inner.terms])(held, out, scratch, self.place)
        return out

    def _apply(self, application: Application) -> Tensor:
        method = METHODS.get(application.method)
        inputs = [self.value(part) for part in application.inputs]
        return method(*inputs, **self._settings(method, application))

    def _settings(self, method: Method, application: Application) -> dict[str, Any]:
        settings: dict[str, Any] = dict(application.settings)
        for parameter in method.parameters:
            if isinstance(parameter.knob, Seed):
                settings[parameter.name] = seed_for(settings[parameter.name], self.place.key)
        if method.start:
            settings[method.start] = self.place.start
        if method.spot:
            settings[method.spot] = Spot(self.place.family, self.place.key)
        return settings | dict(self.known.get(application, {}))


def looked_at(application: Application, name: str, operands: Operands, scratch: Scratch, place: Place) -> Any:
    """`look` at whole tensors of any format, for a survey of the whole model."""
    dtypes = [operand.dtype for operand in operands.values()]
    working = working_dtype(dtypes, torch.float32 if torch.float32 in dtypes else dtypes[0])
    return look(application, name, _Piece(operands, working, scratch, place, place.known))
