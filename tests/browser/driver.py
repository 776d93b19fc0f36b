"""What a browser test drives: the desk's page in a process of its own, and what a person does on it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from sysconfig import get_path
from typing import Any

import pytest

from lib_merge.desk.table import TABS
from tests.support.ports import free_port

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect

PAGE = Path(__file__).with_name("page.py")
SECOND = 1000  # milliseconds
WAIT = 120 * SECOND  # for what has no time limit of its own, on a machine that may be busy
DRAWN = 200 * SECOND  # the first picture loads a pipeline
expect.set_options(timeout=WAIT)  # 5 seconds otherwise
LIST_OPEN = 10 * SECOND
VIEW = {"width": 1280, "height": 900}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# a container's /dev/shm may be small
CHROMIUM_WORDS = ["--no-sandbox", "--disable-dev-shm-usage"]
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"
)
# what a page says where there is no internet
OFFLINE = re.compile(r"font|ERR_NAME_NOT_RESOLVED|ERR_INTERNET|ERR_NETWORK|preload", re.IGNORECASE)

OUTPUTS: dict[
    str, Path
] = {}  # of the pages that were started: what the desk keeps there is removed by a new page


@contextmanager
def chromium_browser() -> Generator[Any]:
    """A browser without a window."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_WORDS)
        yield browser
        browser.close()


def start(
    python: Path | str, models: Path, output: Path, *extra: str, port: int = 0
) -> tuple[subprocess.Popen[bytes], str]:
    """The desk's page in a process of its own, once it answers; at a free port where none is given."""
    port = port or free_port()
    log = (output.parent / f"{output.name}.log").open("wb")
    server = subprocess.Popen([python, PAGE, models, output, str(port), *extra], stdout=log, stderr=log)
    return server, _answering(server, port, output, Path(log.name))


def _answering(server: subprocess.Popen[bytes], port: int, output: Path, log: Path) -> str:
    """The address of a page, once it answers."""
    address = f"http://127.0.0.1:{port}/"
    for _ in range(480):
        try:
            urllib.request.urlopen(address, timeout=60).close()
            OUTPUTS[address] = output
            return address
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.5)
    server.kill()
    raise AssertionError("the desk's page did not come up")


class Pages:
    """A process that serves many pages, each on folders of its own: for a Gradio of another environment."""

    def __init__(self, python: Path, log: Path) -> None:
        words = [python, PAGE, "--several", "--packages", get_path("purelib")]
        self._log = log
        with log.open("wb") as said:
            self._server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=said, stderr=said)

    def serve(self, models: Path, output: Path, *words: str) -> str:
        """The address of one more page, once it answers."""
        port = free_port()
        line = json.dumps([str(models), str(output), str(port), *words])
        assert self._server.stdin is not None
        self._server.stdin.write(f"{line}\n".encode())
        self._server.stdin.flush()
        return _answering(self._server, port, output, self._log)

    def stop(self) -> None:
        """End the process and its pages."""
        stop(self._server)


def stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(60)
    except subprocess.TimeoutExpired:
        server.kill()


class Desk:
    """One open page, and what a person does on it.

    saves_in  the name of the folder that merges are saved in
    """

    saves_in = "output"

    def __init__(
        self,
        browser: Any,
        address: str,
        tab: str = "",
        *,
        dark: bool = False,
        status: str = "Loaded: ",
        locale: str = "en-US",
        resumes: bool = False,
        hints: bool = False,
        script: str = "",
    ) -> None:
        """Opens the page.

        resumes  as the last one was left, else as nobody has used it
        hints    whether the callouts of a first visit stay
        script   JavaScript that the page is to run before its own
        """
        self.output = OUTPUTS.get(address.partition("?")[0], Path("nowhere"))
        if not resumes:
            self._forget()
        self.page = browser.new_page(viewport=VIEW, locale=locale)
        self.page.set_default_timeout(WAIT)
        self.complaints: list[str] = []
        self.page.on("pageerror", self._note_exception)
        self.page.on("console", self._note_error)
        self.page.on("dialog", self._note_dialog)
        if script:
            self.page.add_init_script(script)
        self.opened_at = time.perf_counter()
        self.page.goto(address + ("?__theme=dark" if dark else ""))
        if tab:  # of a host with tabs of its own; their role is tab in Gradio 4, and button in Gradio 3
            tabs = self.page.locator("#tabs > .tab-nav button")
            tabs.filter(has_text=re.compile(rf"^\s*{re.escape(tab)}\s*$")).click()
        self.page.wait_for_selector("[data-slot=IN05]")
        expect(self.part("status")).to_contain_text(status)
        faders = self.page.locator("[data-mount=faders][data-resumed]")
        expect(faders).to_be_attached()
        while not resumes and self.output.exists() and faders.get_attribute("data-resumed") == "true":
            self._forget()  # the page before was closed while the server still kept what it had sent last
            self.open_again()
            expect(faders).to_be_attached()
        never = self.act("hints-never")
        if not hints and never.count():
            never.first.press("Enter")

    def _forget(self) -> None:
        """Remove the desk that the page before left."""
        for kept in self.output.glob("**/desk*.json"):
            kept.unlink(missing_ok=True)

    def _note_exception(self, error: Any) -> None:
        self.complaints.append(str(error))

    def _note_dialog(self, dialog: Any) -> None:
        self.complaints.append(f"the page asks in a window of the browser's: {dialog.message}")
        dialog.accept()

    def _note_error(self, said: Any) -> None:
        whole = (
            f"{said.text} {said.location.get('url', '')}".strip()
        )  # a failed request is said without its address
        if said.type == "error" and not OFFLINE.search(whole):
            self.complaints.append(whole)

    def open_again(self) -> None:
        """Reload the page. What the page that is left complains of while the browser breaks off its
        requests is no fault (Gradio logs each as an error); what it complained of before is one."""
        before = list(self.complaints)

        def forget(_: object) -> None:
            self.complaints[:] = before

        self.page.once("framenavigated", forget)
        self.page.reload()

    def part(self, name: str) -> Any:
        return self.page.locator(f"[data-part={name}]")

    def act(self, name: str) -> Any:
        return self.page.locator(f"[data-act={name}]")

    def tab(self, name: str) -> Any:
        """The button of a tab: Gradio 3 gives these buttons no id."""
        nth = [each.name for each in TABS].index(name) + 1
        old = f"#merge_desk_tabs > .tab-nav > button:nth-of-type({nth})"
        return self.page.locator(f"#merge_desk_tab_{name}-button, {old}").first

    def show(self, tab: str) -> None:
        self.tab(tab).click()

    def fader(self, slot: str) -> Any:
        return self.page.locator(f"[data-slot={slot}] .md-range")

    def _took(self, box: Any, name: str) -> bool:
        """Whether a list says this now: its entries may have moved under the pointer as they were read."""
        try:
            expect(box).to_have_value(name, timeout=2 * SECOND)
        except AssertionError:
            return False
        return True

    def choose(self, field: str, name: str) -> None:
        box = self.page.locator(f"#merge_desk_{field} input")
        options = self.page.locator(f"#merge_desk_{field} [role=option], ul.options li:visible")
        option = options.filter(has_text=re.compile(rf"^[\s✓]*{re.escape(name)}\s*$")).first
        for _ in range(WAIT // LIST_OPEN):  # a list that is open does not show what came meanwhile
            box.click()
            with suppress(sync_api.TimeoutError):
                option.click(timeout=LIST_OPEN)
                if not self._took(box, name):
                    continue
                if field == "method":  # its sliders are drawn once Python has answered
                    expect(self.page.locator("[data-mount=faders]")).to_have_attribute("data-method", name)
                return
            box.blur()
        raise AssertionError(f"there is no {name} to choose for {field}")

    def setting(self, field: str) -> Any:
        """The field of one of a picture's settings."""
        return self.page.locator(f"#merge_desk_{field} :is(input, textarea)").first

    def write(self, field: str, value: str) -> None:
        """Write one of a picture's settings into its field, and leave the field."""
        box = self.setting(field)
        box.fill(value)
        box.press("Tab")

    def generate_by_key(self, field: str) -> None:
        """Ctrl+Enter in the field of one of a picture's settings."""
        self.setting(field).press("Control+Enter")

    def fill(self, field: str, value: str) -> None:
        """One of a picture's settings, until the page knows that Python has it."""
        self.write(field, value)
        response = "document.querySelector('#merge_desk_mix_effects_response [data-merge-desk]')"
        fields = f"JSON.parse({response}?.dataset.mergeDesk || 'null')?.data?.fields"
        self.page.wait_for_function(
            f"([field, value]) => String({fields}?.[field]) === value", arg=[field, value]
        )

    def kept(self) -> None:
        """Until the server has all of the page."""
        expect(self.page.locator("[data-mount=faders]")).to_have_attribute("data-kept", "true")

    def begin(self, a: str = "ink", b: str = "pastel", *, live: bool = False) -> None:
        self.choose("b", b)
        expect(self.part("next-step")).to_be_hidden()
        if a != "base":
            self.choose("a", a)
        # marks come after the faders of these two: before that the desk may draw all faders once more
        between = re.compile(rf"^{re.escape(a)}(\.\w+)?\|{re.escape(b)}(\.\w+)?$")
        expect(self.page.locator("[data-mount=faders]")).to_have_attribute("data-between", between)
        expect(self.page.locator("[data-slot=OUT05].md-marked")).to_be_visible()
        if self.act("live").is_checked() is not live:
            self.act("live").press("Space")  # not a click: the page is still finding its height
        expect(self.act("live")).to_be_checked(checked=live)

    def drag(self, slot: str, to: float) -> None:
        box = self.place(slot)
        at, y = float(self.fader(slot).input_value()), box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + 6 + at * (box["width"] - 12), y)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + 6 + to * (box["width"] - 12), y, steps=6)
        self.page.mouse.up()

    def place(self, slot: str) -> dict[str, float]:
        """Where a slider stands still; the desk may be drawing its sliders again at this very moment."""
        before = None
        for _ in range(100):
            expect(self.fader(slot)).to_be_visible()
            with suppress(sync_api.Error):  # it may be drawn again meanwhile, and is looked for once more
                self.fader(slot).scroll_into_view_if_needed(timeout=2 * SECOND)
            box = self.fader(slot).bounding_box()
            if box and box == before:
                return box
            before = box
            self.page.wait_for_timeout(100)
        raise AssertionError(f"the fader {slot} is nowhere, or does not stand still")

    def release_to_status(self, slot: str, to: float) -> float:
        """Seconds from letting a slider go until the status names the merge, less what it says that took."""
        box = self.place(slot)
        at, y = self.at(slot), box["y"] + box["height"] / 2
        before = self.part("status").get_attribute("data-engaged")
        self.page.mouse.move(box["x"] + 6 + at * (box["width"] - 12), y)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + 6 + to * (box["width"] - 12), y, steps=4)
        began = time.perf_counter()
        self.page.mouse.up()
        script = "old => document.querySelector('[data-part=status]').dataset.engaged !== old"
        self.page.wait_for_function(script, arg=before, timeout=DRAWN, polling="raf")
        seconds = time.perf_counter() - began
        merge = re.search(r"changed in ([\d.]+) (ms|s)", self.part("status").text_content())
        assert merge, self.part("status").text_content()
        self.idle()
        return seconds - float(merge[1]) / (1000 if merge[2] == "ms" else 1)

    def at(self, slot: str) -> float:
        return float(self.fader(slot).input_value())

    def text(self) -> list[float]:
        return [float(word) for word in self.part("numbers").input_value().split(",")]

    def paste(self, numbers: str) -> None:
        """A list into the box of numbers, until it is read."""
        response = "#merge_desk_mix_numbers_response [data-merge-desk]"
        read = f"document.querySelector('{response}')?.dataset.at ?? ''"
        before = self.page.evaluate(read)
        self.part("numbers").fill(numbers)
        self.page.wait_for_function(f"before => ({read}) !== before", arg=before)

    def picture(self, frame: str = "now") -> Any:
        return self.page.locator(f"[data-frame={frame}] img")

    def take_out(self) -> None:
        """Leave no merge in memory: the next page would take it up."""
        if "(unsaved)" in self.part("status").text_content():
            self.show("mix")
            self.idle()
            self.act("unload").click()
            expect(self.part("status")).not_to_contain_text("(unsaved)", timeout=DRAWN)

    def idle(self) -> None:
        """Until nothing is being made, and nothing is about to be sent."""
        expect(self.part("stage")).to_have_attribute("aria-busy", "false", timeout=DRAWN)
