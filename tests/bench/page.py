"""What the page costs a user: `python -m tests.bench.page MODELS [--checkout DIR ...] [--rounds 9]`.

From an empty tab of a browser until the faders are drawn; until the first merged picture is there, with one
click and the usual settings; from letting a fader go until the status says that the merge is in memory, less
the time that it says the merge took; and until the picture of the merge stands on the page: the whole click,
the page's own waiting, the swap and one step of drawing included. Beside these, what a click for nothing
costs at the same moments. With --strict it fails where the first picture takes more than 60 seconds or the
status more than 150 ms. Each checkout runs `merge-desk desk` of its own on the same models; rounds alternate
between them; medians and ranges are quoted. MODELS is a folder with two checkpoints called ink and pastel.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.browser.driver import CHROMIUM, CHROMIUM_WORDS, DRAWN, Desk

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"steps": "1", "width": "64", "height": "64"}  # so that little of the time is drawing
SLOTS = ("OUT05", "IN04", "OUT03", "M00")
FIRST, STATUS, IDLE = "first merged picture", "fader release to status", "a click for nothing"
# a click on a hidden button that the page did not mean: Python answers that it was asked for nothing
NOTHING = """async () => {
  const response = document.querySelector("#merge_desk_mix_progress_response");
  const at = () => response.querySelector("[data-at]")?.dataset.at;
  const before = at();
  const all = { subtree: true, childList: true, attributes: true, characterData: true };
  const began = performance.now();
  const heard = new Promise((done) => {
    new MutationObserver(() => at() !== before && done()).observe(response, all);
  });
  document.querySelector("#merge_desk_mix_progress").click();
  await heard;
  return performance.now() - began;
}"""
STRICT = {FIRST: 60.0, STATUS: 0.15}  # seconds


@contextmanager
def served(checkout: Path, models: Path, data: Path) -> Generator[str]:
    """The address of a checkout's own desk."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["desk", "--models", str(models), "--port", str(port), "--no-browser", "--output", str(data)]
    server = subprocess.Popen(
        [sys.executable, "-m", "lib_merge", *words], cwd=checkout, stdout=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}/"
    try:
        while True:
            try:
                urllib.request.urlopen(address, timeout=2).close()
                break
            except OSError:
                if server.poll() is not None:
                    raise SystemExit(f"the desk of {checkout} ended") from None
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait()


def load(browser: Any, address: str) -> float:
    """Seconds from opening the page until the faders are drawn and say what is in memory."""
    began = time.perf_counter()
    desk = Desk(browser, address, hints=True)
    seconds = time.perf_counter() - began
    desk.page.close()
    return seconds


def first_picture(browser: Any, address: str) -> float:
    """Seconds from opening a page that nobody has used until its first merged picture, after one click."""
    desk = Desk(browser, address, hints=True)
    desk.act("first-mix").click()
    desk.page.wait_for_selector("[data-frame=now] img", timeout=DRAWN)
    seconds = time.perf_counter() - desk.opened_at
    desk.idle()
    desk.take_out()
    desk.page.close()
    return seconds


def ready(browser: Any, address: str) -> Desk:
    """A page with two models chosen, small pictures, and the first of them drawn."""
    desk = Desk(browser, address)
    desk.begin(live=True)
    for field, value in SMALL.items():
        desk.page.locator(f"#merge_desk_{field} input").fill(value)
        desk.page.locator(f"#merge_desk_{field} input").press("Tab")
    release(desk, SLOTS[0], 0.2)
    desk.idle()
    return desk


def release(desk: Desk, slot: str, to: float) -> float:
    """Seconds from letting a fader go until its picture stands on the page."""
    picture = desk.picture()
    old = picture.get_attribute("src") if picture.count() else ""
    box = desk.place(slot)
    at, y = desk.at(slot), box["y"] + box["height"] / 2
    desk.page.mouse.move(box["x"] + 6 + at * (box["width"] - 12), y)
    desk.page.mouse.down()
    desk.page.mouse.move(box["x"] + 6 + to * (box["width"] - 12), y, steps=4)
    began = time.perf_counter()
    desk.page.mouse.up()
    new = "old => { const i = document.querySelector('[data-frame=now] img'); return i && i.src !== old; }"
    desk.page.wait_for_function(new, arg=old, timeout=DRAWN, polling="raf")
    seconds = time.perf_counter() - began
    desk.idle()
    return seconds


def main() -> None:
    """Run the rounds and print medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=lambda name: Path(name).resolve())
    parser.add_argument("--checkout", type=lambda name: Path(name).resolve(), action="append")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    checkouts: list[Path] = options.checkout or [ROOT]
    loads: dict[Path, list[float]] = {each: [] for each in checkouts}
    firsts: dict[Path, list[float]] = {each: [] for each in checkouts}
    statuses: dict[Path, list[float]] = {each: [] for each in checkouts}
    releases: dict[Path, list[float]] = {each: [] for each in checkouts}
    requests: dict[Path, list[float]] = {each: [] for each in checkouts}
    with ExitStack() as stack:
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=CHROMIUM, args=CHROMIUM_WORDS
        )
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        addresses = {
            each: stack.enter_context(served(each, options.models, data / str(number)))
            for number, each in enumerate(checkouts)
        }
        for _ in range(options.rounds):
            for each, address in addresses.items():
                loads[each].append(load(browser, address))
        for each, address in addresses.items():  # once: the first picture loads the pipeline
            firsts[each].append(first_picture(browser, address))
        desks = {each: ready(browser, address) for each, address in addresses.items()}
        for count in range(options.rounds):
            for each, desk in desks.items():
                releases[each].append(release(desk, SLOTS[count % len(SLOTS)], 0.3 + 0.06 * (count % 10)))
                requests[each].append(desk.page.evaluate(NOTHING) / 1000)
                to = 0.33 + 0.06 * (count % 10)
                statuses[each].append(desk.release_to_status(SLOTS[(count + 1) % len(SLOTS)], to))
        browser.close()
    all_times = {"page load": loads, FIRST: firsts, IDLE: requests, STATUS: statuses}
    all_times["fader release to picture"] = releases
    for what, times in all_times.items():
        for each, runs in times.items():
            print(
                f"{what:26} {each.name:20} {statistics.median(runs):.3f} s  "
                f"({min(runs):.3f} to {max(runs):.3f})"
            )
            if options.strict and statistics.median(runs) > STRICT.get(what, float("inf")):
                raise SystemExit(f"{what}: more than {STRICT[what]:g} s")


if __name__ == "__main__":
    main()
