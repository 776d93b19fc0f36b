"""Records which tensors of which files are finite, so that dragging a slider checks each once.

Checking a result costs three quarters of the sum itself: 0.064 compared with 0.083 ms for 512K numbers
of fp16 (torch.aminmax and torch.lerp, one thread).
"""

from __future__ import annotations

from collections.abc import Iterable

from lib_merge.checkpoint import Header
from lib_merge.plan import Combination, KeyPlan, Plan, Source


class FiniteSources:
    """Tensors that earlier results have shown to be finite."""

    def __init__(self) -> None:
        # by the header's identity, which is kept alive
        self._finite_keys: dict[int, tuple[Header, set[str]]] = {}

    def covers(self, plan: Plan, entry: KeyPlan) -> bool:
        """Whether the result must be finite: a convex combination of finite tensors in their own dtype."""
        expression = entry.expression
        if not isinstance(expression, Combination):
            return False
        coefficients = [coefficient for _, coefficient in expression.terms]
        models = [part.model for part, _ in expression.terms if isinstance(part, Source)]
        return (
            len(models) == len(coefficients)
            and min(coefficients) >= 0
            and sum(coefficients) <= 1
            and all(self._is_finite(plan.sources[model], entry) for model in models)
        )

    def _is_finite(self, source: Header, entry: KeyPlan) -> bool:
        _, keys = self._finite_keys.get(id(source), (source, ()))
        return entry.key in keys and source.tensors[entry.key].dtype == entry.dtype

    def learn(self, plan: Plan) -> None:
        """Records the tensors of a plan whose results are finite: the terms of a finite sum are finite."""
        for entry in plan.keys:
            if isinstance(entry.expression, Combination) and entry.channels is None:
                for part, coefficient in entry.expression.terms:
                    if isinstance(part, Source) and coefficient:
                        source = plan.sources[part.model]
                        self._finite_keys.setdefault(id(source), (source, set()))[1].add(entry.key)

    def keep_only(self, headers: Iterable[Header]) -> None:
        """Forget all other files."""
        wanted = {id(header) for header in headers}
        self._finite_keys = {
            identity: finite for identity, finite in self._finite_keys.items() if identity in wanted
        }
