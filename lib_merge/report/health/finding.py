"""One damage of a checkpoint, with a sentence that says what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_KEYS_SHOWN = 3  # keys that a sentence lists; `keys` has all of them


@dataclass(frozen=True)
class Finding:
    """One damage of a checkpoint.

    kind  missing, extra, misshapen, not_finite, zero, constant, overflow, position_ids, stale_ema, outlier,
          scale, broken_block
    slot  the slot of the keys, "" where there is none
    what  a sentence that says what is wrong
    fix   what to do about it
    keys  all affected keys
    """

    kind: str
    slot: str
    what: str
    fix: str
    keys: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What is wrong, and what to do about it, in one line."""
        return f"{self.what}; {self.fix}"

    def to_dict(self) -> dict[str, Any]:
        """The finding as a dictionary for JSON."""
        return {
            "kind": self.kind,
            "slot": self.slot or None,
            "text": self.text,
            "what": self.what,
            "fix": self.fix,
            "keys": list(self.keys),
        }


def list_keys(keys: tuple[str, ...]) -> str:
    """The first few keys, and how many more there are."""
    rest = len(keys) - MAX_KEYS_SHOWN
    return ", ".join(keys[:MAX_KEYS_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def count_keys(keys: tuple[str, ...]) -> str:
    """The number of keys with its noun: "1 tensor", "3 tensors"."""
    return "1 tensor" if len(keys) == 1 else f"{len(keys)} tensors"
