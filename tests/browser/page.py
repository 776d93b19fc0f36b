"""The desk as a page for a browser test, on whatever Gradio the interpreter has.

    python tests/browser/page.py MODELS OUTPUT PORT [--paper] [--slow] [--usual]

--paper draws and merges nothing and needs no torch: for the Gradio of a WebUI in an environment of its own.
--slow has each of those pictures take a while, which Stop ends.
--usual draws with the steps that the desk has by default.

With --paper a signal, RELOAD, has the page closed and served again in this process, as *Reload UI* does it:
what is in memory stays.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from lib_merge.desk.serve import head, serve

SLOW = 1.5  # seconds of a picture
RELOAD = getattr(signal, "SIGHUP", signal.SIGTERM)  # Windows has no such signal


def slow_host(models: Path, output: Path) -> Any:
    """A host whose pictures take a while."""
    from lib_merge.errors import StoppedError
    from lib_merge.hosts.host import DrawSettings, Picture
    from tests.support.desk_host import PaperHost

    class Slow(PaperHost):
        stop = threading.Event()

        def interrupt(self) -> None:
            self.stop.set()

        def draw(self, settings: DrawSettings) -> Picture:
            self.stop.clear()
            if self.stop.wait(SLOW):
                raise StoppedError("stopped")
            return super().draw(settings)

    return Slow(models, output)


def put_into_head() -> None:
    """Has an old Gradio's page begin with our script and style, as a WebUI does it."""
    from gradio import routes

    templates: Any = routes.templates
    answer = templates.TemplateResponse

    def with_head(*args: Any, **options: Any) -> Any:
        response = answer(*args, **options)
        response.body = response.body.replace(b"</head>", head().encode() + b"</head>", 1)
        response.init_headers()
        return response

    templates.TemplateResponse = with_head


def paper(models: Path, output: Path, port: int) -> None:
    """The tab as a WebUI shows it, script and style put into the page as a WebUI does."""
    import gradio

    from lib_merge.desk.page import build
    from lib_merge.service.services import Services
    from tests.support.desk_host import PaperHost, PaperService

    host = slow_host(models, output) if "--slow" in sys.argv else PaperHost(models, output)
    services = Services(PaperService(host))
    takes_head = int(gradio.__version__.split(".")[0]) >= 6
    if not takes_head:
        put_into_head()
    reload = threading.Event()

    def ask(number: int, frame: object) -> None:
        reload.set()

    signal.signal(RELOAD, ask)
    while True:
        page: Any = build(services)
        queued = page if takes_head else page.queue(64)
        where = {"server_port": port, "server_name": "127.0.0.1", "quiet": True, "prevent_thread_lock": True}
        queued.launch(**where, **({"head": head()} if takes_head else {}))
        reload.wait()
        reload.clear()
        page.close()


def real(models: Path, output: Path, port: int) -> None:
    """The standalone desk on real checkpoints, with few steps."""
    from dataclasses import replace

    from lib_merge.hosts.host import DrawSettings
    from lib_merge.hosts.standalone import StandaloneHost

    class Quick(StandaloneHost):
        def default_settings(self) -> DrawSettings:
            return replace(super().default_settings(), steps=3)

    host = StandaloneHost if "--usual" in sys.argv else Quick
    serve(host([models], output=output, data=output / "desk"), port=port, open_browser=False)


if __name__ == "__main__":
    place, target, number = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    (paper if "--paper" in sys.argv else real)(place, target, number)
