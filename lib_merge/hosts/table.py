"""The supported WebUIs, and the detection of the one that this process is.

Merges are loaded only into the model of a WebUI whose internals the host class uses as they are. To add a
WebUI, write a class with `detect` in a file of its own and add a line to WEBUIS.
"""

from __future__ import annotations

from typing import Protocol

from lib_merge.hosts.a1111 import A1111Host
from lib_merge.hosts.forge import ForgeHost
from lib_merge.hosts.host import WebUIHost
from lib_merge.hosts.live_webui import LiveWebUI
from lib_merge.hosts.reforge import ClassicHost, ReForgeHost
from lib_merge.hosts.sdnext import SDNextHost
from lib_merge.hosts.webui import NO_LIVE, FilesOnlyWebUI


class KnownWebUI(Protocol):
    """A row of the table: a host class whose constructor takes no arguments."""

    def __call__(self) -> WebUIHost:
        """Create the host."""
        ...

    def detect(self) -> bool:
        """Whether this process is its WebUI, by its modules and not by its name; imports none of them."""
        ...


LIVE: tuple[type[LiveWebUI], ...] = (ForgeHost, ReForgeHost, ClassicHost, A1111Host)


class UnknownWebUI(FilesOnlyWebUI):
    """A WebUI that was never tested, or that lacks attributes of the WebUI that it looks like."""

    def __init__(self) -> None:
        like = next((host for host in LIVE if host.looks_like_it()), None)
        missing = like.missing() if like else ()
        super().__init__(unavailable_reason=f"{NO_LIVE} (it has no {missing[0]})" if missing else NO_LIVE)

    @classmethod
    def detect(cls) -> bool:
        """True: the last row matches every WebUI."""
        return True


WEBUIS: tuple[KnownWebUI, ...] = (*LIVE, SDNextHost, UnknownWebUI)  # the first match


def webui_host() -> WebUIHost:
    """The host for the WebUI that this process is."""
    return next(row() for row in WEBUIS if row.detect())
