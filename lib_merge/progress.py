"""The one small protocol that a caller passes in to hear of progress and to ask for a stop."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told of work done; asked, between pieces of work, whether to go on."""

    def start(self, total: int, what: str) -> None:
        """A stretch of work begins: `total` bytes (or steps), described in a few words."""
        ...

    def advance(self, amount: int) -> None:
        """`amount` more of it is done. Called from several threads."""
        ...

    def stopped(self) -> bool:
        """Whether the user asked to stop; polled between pieces, so it must be cheap."""
        ...


class Silent:
    """Hears nothing and never stops."""

    def start(self, total: int, what: str) -> None:
        """Ignored."""

    def advance(self, amount: int) -> None:
        """Ignored."""

    def stopped(self) -> bool:
        """Never."""
        return False
