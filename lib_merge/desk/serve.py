"""The desk as a page of its own: the same tab, with our script and style in the page's head."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lib_merge.desk import static
from lib_merge.desk.http_guard import HttpGuard
from lib_merge.errors import ExtraError, MergeError

if TYPE_CHECKING:
    from lib_merge.hosts.host import Host

Say = Callable[[str], object]

ADDRESS = "127.0.0.1"
PORT = 7865
MOST_PORT = 65_535
BARE = (  # clip, not hidden: in what is hidden nothing can stay in sight while the page scrolls
    "footer { display: none !important } "
    ".gradio-container { width: 100% !important; max-width: 2200px !important; "
    "margin: 0 auto !important; overflow: clip !important } "
    ".gradio-container > .fillable { max-width: none !important }"
)


def head() -> str:
    """The page's scripts and style."""
    script = "\n".join(path.read_text(encoding="utf-8") for path in static.scripts())
    style = static.style().read_text(encoding="utf-8")
    return f"<style>{style}{BARE}</style><script>{script}</script>"


def check_port(port: int) -> None:
    """MergeError where no page can be served at this port of this machine."""
    if not 1 <= port <= MOST_PORT:
        raise MergeError(f"there is no port {port}", hint=f"--port 1 to {MOST_PORT}")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        if os.name != "nt":  # as the server itself asks for it; on Windows it would share a taken port
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((ADDRESS, port))
        except OSError as cause:
            in_use = cause.errno in (errno.EADDRINUSE, errno.EACCES) and port >= 1024
            what = f"port {port} is taken by another program" if in_use else f"port {port} cannot be opened"
            where = "" if in_use else f"{cause.strerror}"
            hint = f"--port {port + 1 if 1024 <= port < MOST_PORT else PORT}, or stop what uses {port}"
            raise MergeError(what, where=where, hint=hint) from cause


def serve(
    host: Host, *, port: int = PORT, open_browser: bool = True, block: bool = True, say: Say | None = None
) -> Any:
    """Open the desk at http://127.0.0.1:PORT, for this machine alone; returns what Gradio's launch gives.

    say  gets the address once the page answers
    """
    check_port(port)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        from lib_merge.desk.components import theme
        from lib_merge.desk.page import build
    except ImportError as cause:
        raise ExtraError(
            "the desk needs Gradio, which is not installed", hint="python3 start.py installs it"
        ) from cause
    from starlette.middleware import Middleware

    from lib_merge.service.merging import MergeService
    from lib_merge.service.services import Services

    page = build(Services(MergeService(host)))
    launched = page.launch(
        server_name=ADDRESS,
        server_port=port,
        inbrowser=open_browser,
        prevent_thread_lock=True,
        quiet=True,
        head=head(),
        theme=theme(),
        app_kwargs={"middleware": [Middleware(HttpGuard)]},
    )
    if say:
        say(f"http://{ADDRESS}:{port}")
    if block:
        page.block_thread()
    return launched
