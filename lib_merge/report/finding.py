"""One thing that looks wrong with a checkpoint, in a sentence that says what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SHOWN = 3  # keys that a sentence names; the data has all of them


@dataclass(frozen=True)
class Finding:
    """A piece of damage.

    kind  missing, extra, misshapen, not_finite, zero, constant, overflow, position_ids, stale_ema, outlier,
          scale, broken_block
    slot  where it is, or "" where that cannot be said
    what  a sentence; fix  what to do about it
    keys  every key concerned
    """

    kind: str
    slot: str
    what: str
    fix: str
    keys: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Both sentences."""
        return f"{self.what}; {self.fix}"

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": self.kind,
            "slot": self.slot or None,
            "text": self.text,
            "what": self.what,
            "fix": self.fix,
            "keys": list(self.keys),
        }


def named(keys: tuple[str, ...]) -> str:
    """The first few keys in words."""
    rest = len(keys) - SHOWN
    return ", ".join(keys[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def count_keys(keys: tuple[str, ...]) -> str:
    """ "1 tensor", "3 tensors"."""
    return "1 tensor" if len(keys) == 1 else f"{len(keys)} tensors"
