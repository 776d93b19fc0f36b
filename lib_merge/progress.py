"""The protocol by which long work reports its progress and learns that the user asked to stop."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a caller passes in: receives the progress of the work, and says whether to stop it."""

    def start(self, total: int, what: str) -> None:
        """Work of `total` bytes (or steps) begins; `what` describes it: "merging"."""
        ...

    def advance(self, amount: int) -> None:
        """`amount` more bytes (or steps) are done. Called from several threads."""
        ...

    def stopped(self) -> bool:
        """Whether the user asked to stop; called often, so it must be cheap."""
        ...


class NoProgress:
    """A Progress that ignores all reports and never stops the work."""

    def start(self, total: int, what: str) -> None:
        """Ignore that the work begins."""

    def advance(self, amount: int) -> None:
        """Ignore the amount."""

    def stopped(self) -> bool:
        """Never ask the work to stop."""
        return False
