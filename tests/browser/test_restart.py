"""What comes back after a crash, of the server or of the browser, and after *Reload UI*."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.browser.driver import (
    CHROMIUM,
    CHROMIUM_WORDS,
    DRAWN,
    OFFLINE,
    SECOND,
    Desk,
    expect,
    free_port,
    start,
    stop,
)
from tests.browser.page import RELOAD

PROMPT = "a blue square"
GONE = "this merge is not in memory now"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")


class Server:
    """The page's process, which can be killed and started again at its port."""

    def __init__(self, models: Path, output: Path, *words: str) -> None:
        self._how, self._port = (sys.executable, models, output, *words), free_port()
        self.process: subprocess.Popen[bytes]
        self.address = ""
        self.start()

    def start(self) -> None:
        self.process, self.address = start(*self._how, port=self._port)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(60)


@pytest.fixture
def server(models: Path, tmp_path: Path, server_words: tuple[str, ...]) -> Generator[Server]:
    served = Server(models, tmp_path / "output", *server_words)
    yield served
    stop(served.process)


@pytest.fixture(scope="module")
def server_words() -> tuple[str, ...]:
    """Each picture takes a while, and is of another grey."""
    return ("--paper", "--slow")


def left_desk(chromium: Any, address: str) -> Desk:
    """A desk with two models, a picture, another prompt and a slider that was moved after it."""
    desk = Desk(chromium, address)
    desk.begin("base", "pastel")
    desk.drag("OUT05", 0.6)
    desk.act("generate").click()
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    desk.idle()
    desk.fill("prompt", PROMPT)
    desk.page.evaluate("scrollTo(0, 0)")  # the prompt is below the board
    desk.drag("IN03", 0.4)
    assert desk.at("IN03")
    desk.kept()
    return desk


class Left:
    """What a page shows that is to come back."""

    def __init__(self, desk: Desk) -> None:
        self.sliders = desk.text()
        self.picture = desk.picture().get_attribute("src")
        self.cards = desk.page.locator("[data-card]").count()

    def is_on(self, desk: Desk) -> None:
        """Lists, sliders, fields, pictures and undo."""
        expect(desk.page.locator("#merge_desk_a input")).to_have_value("base")
        expect(desk.page.locator("#merge_desk_b input")).to_have_value("pastel")
        expect(desk.page.locator("#merge_desk_prompt textarea")).to_have_value(PROMPT)
        expect(desk.picture()).to_have_attribute("src", self.picture)
        expect(desk.page.locator("[data-card]")).to_have_count(self.cards)
        assert desk.text() == self.sliders
        desk.act("undo").click()
        expect(desk.fader("IN03")).to_have_value("0")
        desk.act("redo").click()
        expect(desk.fader("IN03")).not_to_have_value("0")
        assert [said for said in desk.complaints if not OFFLINE.search(said)] == []


def merge_again(desk: Desk) -> None:
    """What came back can be worked with."""
    desk.act("generate").click()
    expect(desk.part("status")).to_contain_text("Loaded: base + pastel (unsaved)")
    desk.idle()
    expect(desk.page.locator("[data-caption=now]")).not_to_contain_text(GONE)


def test_after_the_server_was_killed_all_is_back_and_no_merge_is_claimed(
    chromium: Any, server: Server
) -> None:
    before = left_desk(chromium, server.address)
    left = Left(before)
    server.kill()
    server.start()
    desk = Desk(chromium, server.address, resumes=True)
    left.is_on(desk)
    expect(desk.part("status")).to_have_text("Loaded: base (original).")
    expect(desk.page.locator("[data-caption=now]")).to_contain_text(GONE)
    expect(desk.page.locator("[data-act=generate].md-pending")).to_be_visible()
    desk.page.wait_for_timeout(SECOND)  # nothing is merged unasked
    expect(desk.part("status")).to_have_text("Loaded: base (original).")
    merge_again(desk)
    before.page.close()
    desk.page.close()


def test_a_server_that_is_killed_while_it_draws_leaves_the_desk_before_that(
    chromium: Any, server: Server
) -> None:
    before = left_desk(chromium, server.address)
    left = Left(before)
    before.act("generate").click()
    expect(before.part("busy")).to_be_visible()
    server.kill()
    before.page.close()
    server.start()
    desk = Desk(chromium, server.address, resumes=True)
    left.is_on(desk)
    expect(desk.part("status")).to_have_text("Loaded: base (original).")
    merge_again(desk)
    desk.page.close()


def test_after_reload_ui_the_page_goes_on_with_the_merge_that_is_still_in_memory(
    chromium: Any, server: Server
) -> None:
    before = left_desk(chromium, server.address)
    left, held = Left(before), before.part("status").text_content()
    assert "(unsaved)" in held
    before.page.close()
    config = urllib.request.urlopen(f"{server.address}config", timeout=60).read()
    server.process.send_signal(RELOAD)
    desk = opened_after(chromium, server, config)
    left.is_on(desk)
    expect(desk.part("status")).to_contain_text("Loaded: base + pastel (unsaved)")
    expect(desk.page.locator("[data-caption=now]")).not_to_contain_text(GONE)
    expect(desk.part("engaged-notice")).to_be_empty()
    merge_again(desk)
    desk.page.close()


def opened_after(chromium: Any, server: Server, config: bytes) -> Desk:
    """A page once the server gives another configuration than before: each page has an id of its own."""
    for _ in range(240):
        with suppress(OSError):
            if urllib.request.urlopen(f"{server.address}config", timeout=60).read() != config:
                return Desk(chromium, server.address, resumes=True)
        assert server.process.poll() is None
        time.sleep(0.25)
    raise AssertionError("the page was not served again")


def test_a_browser_that_is_killed_while_a_picture_is_drawn_finds_the_merge_when_it_is_back(
    chromium: Any, server: Server
) -> None:
    browser = chromium.browser_type.launch(executable_path=CHROMIUM, args=CHROMIUM_WORDS)
    before = left_desk(browser, server.address)
    sliders = before.text()
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    before.act("generate").click()
    expect(before.part("busy")).to_be_visible()
    os.kill(next(each["id"] for each in processes if each["type"] == "browser"), signal.SIGKILL)
    desk = Desk(chromium, server.address, resumes=True)
    expect(desk.part("status")).to_contain_text("Loaded: base + pastel (unsaved)")
    expect(desk.page.locator("#merge_desk_prompt textarea")).to_have_value(PROMPT)
    assert desk.text() == sliders
    merge_again(desk)
    desk.page.close()
