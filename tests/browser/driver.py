"""What a browser test drives: the desk's page in a process of its own, and what a person does on it."""

from __future__ import annotations

import re
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

PAGE = Path(__file__).with_name("page.py")
SECOND = 1000  # milliseconds
DRAWN = 200 * SECOND  # the first picture loads a pipeline, on a machine that may be busy
VIEW = {"width": 1280, "height": 900}


def start(python: Path | str, models: Path, output: Path, *extra: str) -> tuple[subprocess.Popen[bytes], str]:
    """The desk's page in a process of its own, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (output.parent / f"{output.name}.log").open("wb")
    server = subprocess.Popen([python, PAGE, models, output, str(port), *extra], stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}/"
    for _ in range(240):
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return server, address
        except OSError:
            assert server.poll() is None, Path(log.name).read_text()
            time.sleep(0.5)
    server.kill()
    raise AssertionError("the desk's page did not come up")


def stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()


class Desk:
    """One open page, and what a person does on it."""

    def __init__(self, browser: Any, address: str, tab: str = "", *, dark: bool = False) -> None:
        self.page = browser.new_page(viewport=VIEW)
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: said.type == "error" and self.complaints.append(said.text))
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.page.goto(address + ("?__theme=dark" if dark else ""))
        if tab:  # of a host with tabs of its own
            self.page.locator("#tabs > .tab-nav").get_by_role("button", name=tab, exact=True).click(
                timeout=60 * SECOND
            )
        self.page.wait_for_selector("[data-slot=IN05]", timeout=60 * SECOND)
        expect(self.part("status")).to_contain_text("in memory", timeout=20 * SECOND)

    def part(self, name: str) -> Any:
        return self.page.locator(f"[data-part={name}]")

    def act(self, name: str) -> Any:
        return self.page.locator(f"[data-act={name}]")

    def fader(self, slot: str) -> Any:
        return self.page.locator(f"[data-slot={slot}] .md-range")

    def choose(self, field: str, name: str) -> None:
        self.page.locator(f"#merge_desk_{field} input").click()
        options = self.page.locator(f"#merge_desk_{field} [role=option], ul.options li:visible")
        options.filter(has_text=re.compile(rf"^[\s✓]*{re.escape(name)}\s*$")).first.click()

    def begin(self, a: str = "ink", b: str = "pastel", *, live: bool = False) -> None:
        self.choose("b", b)
        expect(self.part("empty")).to_be_hidden(timeout=20 * SECOND)
        if a != "base":
            self.choose("a", a)
        # marks come after the faders of these two: before that the desk may draw all faders once more
        between = re.compile(rf"^{re.escape(a)}(\.\w+)?\|{re.escape(b)}(\.\w+)?$")
        expect(self.page.locator("[data-mount=board]")).to_have_attribute(
            "data-between", between, timeout=30 * SECOND
        )
        expect(self.page.locator("[data-slot=OUT05].md-marked")).to_be_visible()
        if not live:
            self.act("live").press("Space")  # not a click: the page is still finding its height
            expect(self.act("live")).not_to_be_checked()

    def drag(self, slot: str, to: float) -> None:
        box = self.place(slot)
        at, y = float(self.fader(slot).input_value()), box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + 6 + at * (box["width"] - 12), y)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + 6 + to * (box["width"] - 12), y, steps=6)
        self.page.mouse.up()

    def place(self, slot: str) -> dict[str, float]:
        """Where a fader stands; the desk may be drawing its faders anew at this very moment."""
        for _ in range(20):
            expect(self.fader(slot)).to_be_visible(timeout=20 * SECOND)
            if box := self.fader(slot).bounding_box():
                return box
            self.page.wait_for_timeout(200)
        raise AssertionError(f"the fader {slot} is nowhere")

    def at(self, slot: str) -> float:
        return float(self.fader(slot).input_value())

    def text(self) -> list[float]:
        return [float(word) for word in self.part("text").input_value().split(",")]

    def picture(self, frame: str = "now") -> Any:
        return self.page.locator(f"[data-frame={frame}] img")

    def take_out(self) -> None:
        """Leave no merge in memory: the next page would take it up."""
        if "(unsaved)" in self.part("status").text_content():
            self.page.locator("#merge_desk_room_mix-button").click()
            self.idle()
            self.act("restore").click()
            expect(self.part("status")).not_to_contain_text("(unsaved)", timeout=DRAWN)

    def idle(self) -> None:
        expect(self.page.locator("[data-frame=now]:not(.md-busy)")).to_be_visible(timeout=DRAWN)
