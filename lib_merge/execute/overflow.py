"""What of a result outgrew its number format: fp16 ends at 65,504."""

from __future__ import annotations

from dataclasses import dataclass, field

from lib_merge.errors import NumbersError
from lib_merge.plan import KeyPlan


@dataclass
class Overflow:
    """How many numbers of which keys were too large; false where none was.

    counts  key -> how many
    label   of the format that they outgrew
    """

    counts: dict[str, int] = field(default_factory=dict[str, int])
    label: str = ""

    def __bool__(self) -> bool:
        """Whether there was any."""
        return bool(self.counts)

    @property
    def numbers(self) -> int:
        """How many in all."""
        return sum(self.counts.values())

    def count(self, entry: KeyPlan, numbers: int) -> None:
        """So many more of this key."""
        self.counts[entry.key] = self.counts.get(entry.key, 0) + numbers
        self.label = entry.dtype.label

    def in_words(self) -> str:
        """One sentence with the number and the place."""
        key = min(self.counts)
        where = key + (f" and {len(self.counts) - 1} more keys" if len(self.counts) > 1 else "")
        many = "1 number outgrows" if self.numbers == 1 else f"{self.numbers} numbers outgrow"
        return f"{many} {self.label}: in {where}"

    def note(self) -> str:
        """What is told where they were cut."""
        return f"{self.in_words()}; the largest that {self.label} holds was written instead"

    def refusal(self) -> NumbersError:
        """What is raised where they may not be cut."""
        return NumbersError(
            f"the result does not fit into {self.label}",
            where=self.in_words(),
            hint="save as bf16 or fp32 (--dtype), use smaller amounts, or cut the numbers (--overflow clip)",
        )
