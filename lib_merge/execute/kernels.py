"""One expression on one piece: the arithmetic of a merge and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from lib_merge.methods import METHODS
from lib_merge.plan import Application, Combination, Expression, Source
from lib_merge.tensors import Scratch, combine, interpolate, torch, working_dtype

if TYPE_CHECKING:
    from torch import Tensor

Operands = Mapping[int, "Tensor"]
Kernel = Callable[[Operands, "Tensor", Scratch], None]


def kernel_of(expression: Expression) -> Kernel:
    """A function that writes the expression's value into its second argument, rounded once.

    operands  model -> its piece, all of one shape and device, any float dtypes
    """
    if isinstance(expression, Combination):
        models = [part.model for part, _ in expression.terms if isinstance(part, Source)]
        if len(models) == len(expression.terms):
            return _linear(models, [share for _, share in expression.terms])

    def tree(operands: Operands, out: Tensor, scratch: Scratch) -> None:
        out.copy_(_value(expression, operands, out))

    return tree


def _linear(models: list[int], shares: list[Fraction]) -> Kernel:
    if len(models) == 2 and sum(shares) == 1:
        first, second = models
        alpha = float(shares[1])
        return lambda operands, out, scratch: interpolate(
            operands[first], operands[second], alpha, out, scratch
        )
    coefficients = [float(share) for share in shares]
    return lambda operands, out, scratch: combine([operands[m] for m in models], coefficients, out, scratch)


def _value(expression: Expression, operands: Operands, out: Tensor) -> Tensor:
    """The expression in the working dtype, for trees with a method in them that is not linear."""
    working = working_dtype([operand.dtype for operand in operands.values()], out.dtype)
    if isinstance(expression, Source):
        return operands[expression.model].to(working)
    if isinstance(expression, Application):
        inputs = [_value(part, operands, out) for part in expression.inputs]
        return METHODS.get(expression.method)(*inputs, **dict(expression.settings))
    total = torch.zeros(out.shape, dtype=working, device=out.device)
    for part, share in expression.terms:
        total.add_(_value(part, operands, out), alpha=float(share))
    return total
