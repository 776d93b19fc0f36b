"""Values of a result that overflow its dtype: fp16 ends at 65504."""

from __future__ import annotations

from dataclasses import dataclass, field

from lib_merge.errors import NumericalError
from lib_merge.plan import KeyPlan


@dataclass
class Overflow:
    """How many values of which keys overflow; false where there are none.

    counts  key -> number of values
    label   of the dtype that they overflow
    """

    counts: dict[str, int] = field(default_factory=dict[str, int])
    label: str = ""

    def __bool__(self) -> bool:
        """Whether any value overflows."""
        return bool(self.counts)

    @property
    def total(self) -> int:
        """The number of values in all keys."""
        return sum(self.counts.values())

    def count(self, entry: KeyPlan, numbers: int) -> None:
        """Count further values of a key."""
        self.counts[entry.key] = self.counts.get(entry.key, 0) + numbers
        self.label = entry.dtype.label

    def render_text(self) -> str:
        """One sentence with the number of values and the keys."""
        key = min(self.counts)
        where = key + (f" and {len(self.counts) - 1} more keys" if len(self.counts) > 1 else "")
        many = "1 value overflows" if self.total == 1 else f"{self.total} values overflow"
        return f"{many} {self.label}: in {where}"

    def note(self) -> str:
        """What is reported where the values were clamped."""
        return f"{self.render_text()}; they were clamped to the largest value of {self.label}"

    def to_error(self) -> NumericalError:
        """The error where the recipe does not allow clamping."""
        return NumericalError(
            f"the result overflows {self.label}",
            where=self.render_text(),
            hint="save as bf16 or fp32 (--dtype), use smaller amounts, or clamp the values (--overflow clip)",
        )
