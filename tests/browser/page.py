"""The desk as a page for a browser test, on whatever Gradio the interpreter has.

    python tests/browser/page.py MODELS OUTPUT PORT [--paper] [--slow] [--usual] [--noise]
    python tests/browser/page.py --several [--packages FOLDER]

--paper draws and merges nothing and needs no torch: for the Gradio of a WebUI in an environment of its own.
--slow has each of those pictures take a while, which Stop ends.
--usual draws with the steps that the desk has by default.
--noise merges, compares and saves, and draws noise, a step at a time: all of the desk without diffusers.
--several serves a page for each line that it reads, a JSON list of the first form's words, until there are
no more: an old Gradio is imported once for many tests.
--packages has torch, and whatever else the interpreter lacks, from another one's packages: an old Gradio's
environment has none of its own.

With --paper and --noise a signal, RELOAD, has the page closed and served again in this process, as
*Reload UI* does it: what is in memory stays.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
if "--packages" in sys.argv:
    sys.path.append(sys.argv[sys.argv.index("--packages") + 1])  # last: its own Gradio, numpy and Pillow stay

from lib_merge.desk.serve import head, serve

SLOW = 1.5  # seconds of a picture
STEP = 0.02  # seconds of one of its steps, with --noise
LONG_TO_ALIGN = "long to align"  # the name of a B that takes long to align, as a model of full size does
GAINS_SECONDS = 0.1  # what each group of its channels costs more
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


def delay_alignment() -> None:
    """Has the B called LONG_TO_ALIGN take long: others are aligned before a busy page asks how far it is."""
    from lib_merge.rebasin.gains import Pair

    gains = Pair.gains

    def delayed(pair: Any, *arguments: Any) -> Any:
        if pair.b.header.path.stem == LONG_TO_ALIGN:
            time.sleep(GAINS_SECONDS)
        return gains(pair, *arguments)

    Pair.gains = delayed  # type: ignore[method-assign]


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


def noise_host(models: Path, output: Path) -> Any:
    """The standalone host, whose pictures are noise of weights and settings, and come a step at a time."""
    from dataclasses import replace

    from lib_merge.errors import StoppedError
    from lib_merge.hosts.host import DrawSettings, Picture
    from lib_merge.hosts.pictures import format_infotext
    from lib_merge.picture import with_seed
    from tests.support.grid_host import NoiseHost

    class Stepwise(NoiseHost):
        def default_settings(self) -> DrawSettings:
            return replace(super().default_settings(), steps=3)

        def draw(self, settings: DrawSettings) -> Picture:
            settings = with_seed(settings)
            for step in range(settings.steps):
                self._step = step
                if self._stop.wait(STEP):
                    raise StoppedError("stopped")
            image = super().draw(settings).image.resize((settings.width, settings.height), 0)
            assert self.memory is not None
            ident = self.memory.named[-1] if self.memory.named else None
            return Picture(image, format_infotext(settings, self._chosen, ident.recipe if ident else ""))

    return Stepwise([models], output=output, data=output / "desk")


def services_of(models: Path, output: Path, words: Sequence[str]) -> Any:
    """What the page of a WebUI stands on, on paper or with noise for pictures."""
    from lib_merge.service.merging import MergeService
    from lib_merge.service.services import Services
    from tests.support.desk_host import PaperHost, PaperService

    if "--noise" in words:
        return Services(MergeService(noise_host(models, output)))
    return Services(PaperService((slow_host if "--slow" in words else PaperHost)(models, output)))


def takes_head() -> bool:
    """Whether this Gradio takes the head of a page when it is served."""
    import gradio

    return int(gradio.__version__.split(".")[0]) >= 6


def launched(services: Any, port: int) -> Any:
    """The tab as a WebUI shows it, script and style put into the page as a WebUI does."""
    from lib_merge.desk.page import build

    page: Any = build(services)
    queued = page if takes_head() else page.queue(64)
    where = {"server_port": port, "server_name": "127.0.0.1", "quiet": True, "prevent_thread_lock": True}
    queued.launch(**where, **({"head": head()} if takes_head() else {}))
    return page


def as_in_a_webui(models: Path, output: Path, port: int, words: Sequence[str]) -> None:
    """One page, and the same again at each signal."""
    services = services_of(models, output, words)
    if not takes_head():
        put_into_head()
    reload = threading.Event()

    def ask(number: int, frame: object) -> None:
        reload.set()

    signal.signal(RELOAD, ask)
    while True:
        page = launched(services, port)
        reload.wait()
        reload.clear()
        page.close()


def several() -> None:
    """A page for each line of the standard input."""
    if not takes_head():
        put_into_head()
    delay_alignment()
    for line in sys.stdin:
        models, output, port, *words = json.loads(line)
        launched(services_of(Path(models), Path(output), words), int(port))


def real(models: Path, output: Path, port: int, words: Sequence[str]) -> None:
    """The standalone desk on real checkpoints, with few steps."""
    from dataclasses import replace

    from lib_merge.hosts.host import DrawSettings
    from lib_merge.hosts.standalone import StandaloneHost

    class Quick(StandaloneHost):
        def default_settings(self) -> DrawSettings:
            return replace(super().default_settings(), steps=3)

    delay_alignment()
    host = StandaloneHost if "--usual" in words else Quick
    serve(host([models], output=output, data=output / "desk"), port=port, open_browser=False)


def main() -> None:
    if "--several" in sys.argv:
        return several()
    place, target, number, *words = sys.argv[1:]
    serves = as_in_a_webui if {"--paper", "--noise"} & set(words) else real
    return serves(Path(place), Path(target), int(number), words)


if __name__ == "__main__":
    main()
