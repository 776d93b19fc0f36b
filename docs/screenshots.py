"""Takes the pictures of the page in docs/pictures: `python3 start.py docs --pictures desk drag ...`.

The page of the browser tests (tests/browser) on the samples, with a damaged copy of pastel called `torn`. The
visible words of each tab are written to LABELS; tests/browser/test_screenshots.py compares them with the
page, so that pictures which show other words fail. Needs chromium and playwright.
"""

from __future__ import annotations

import io
import json
import re
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageDraw

from lib_merge.checkpoint import write_file
from lib_merge.cli import main as merge_desk
from samples.assemble import assemble

ROOT = Path(__file__).parents[1]
PICTURES = Path(__file__).with_name("pictures")
LABELS = ROOT / "tests" / "browser" / "screenshots.json"
TABS = ("mix", "weights", "report", "grid", "search", "history")  # those that a picture shows
STEPS = "8"  # of the sampler: the picture differs little from one with more
WAIT = 1_200_000  # milliseconds for one picture, on a machine that does other work too
MOVES = (("OUT10", 1.0), ("OUT09", 0.8), ("OUT11", 1.0))  # of the animated picture
MARGIN = 16  # pixels below the last thing on the page
WIDTH = 1120  # pixels of the animated picture
TOP, HEIGHT = 180, 604  # of the page, what the animated picture shows

# what a person reads on a tab: its buttons, names of fields, headings; presets and numbers aside
WORDS = """() => {
  const names = "button:not([data-preset]), label, legend, summary, h1, h2, h3, h4, [data-testid=block-info]";
  const shown = (element) => element.checkVisibility({ visibilityProperty: true });
  const text = (element) => {
    const copy = element.cloneNode(true);
    copy.querySelectorAll("select, input, textarea, svg").forEach((inner) => inner.remove());
    return copy.textContent.replace(/[^\\x20-\\x7e]/g, " ").replace(/\\s+/g, " ").trim();
  };
  const words = [...document.querySelectorAll(names)].filter(shown).map(text);
  return [...new Set(words.filter((word) => /[a-z]{2}/.test(word)))].sort();
}"""


SIGNS = {  # what is there once a tab is open
    "mix": "[data-slot=IN05]",
    "weights": "[data-part=rules]",
    "report": "[data-act=report-compare]",
    "grid": "[data-axis=x]",
    "search": "[data-act=search-start]",
    "history": "[data-act=history-load-pasted]",
}


@contextmanager
def page_on_samples() -> Generator[tuple[Any, str]]:
    """A browser, and the address of the page on the samples and `torn`."""
    from tests.browser.driver import chromium_browser, start, stop

    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder, "models")
        assemble(models)
        add_torn(models)
        server, address = start(sys.executable, models, Path(folder, "output"))
        try:
            with chromium_browser() as browser:
                yield browser, address
        finally:
            stop(server)


def add_torn(models: Path) -> None:
    """Puts a copy of pastel with noise in OUT08 next to the samples."""
    noise = ("--method", "add_noise", "--weights", "OUT08: 0.1", "--seed", "1", "--no-hashes")
    files = (str(models / "pastel.safetensors"), "-o", str(models / "torn.safetensors"))
    if merge_desk(["merge", *files, *noise]):
        raise RuntimeError("no damaged sample was made")


def open_tab(desk: Any, name: str) -> None:
    """Clicks a tab, and waits for what it shows."""
    desk.page.locator(f"#merge_desk_tab_{name}-button").click()
    desk.page.locator(SIGNS[name]).wait_for(state="visible", timeout=60_000)


def words_of(desk: Any, name: str, expected: list[str] | None) -> list[str]:
    """The words of a tab as it is when it is opened on ink and pastel, once they are as expected or stay."""
    open_tab(desk, name)
    words: list[str] = []
    for _ in range(60):
        before = words
        desk.page.wait_for_timeout(1000)
        words = desk.page.evaluate(WORDS)
        if words == (before if expected is None else expected):
            break
    return words


def labels(
    browser: Any, address: str, expected: Mapping[str, list[str]] | None = None
) -> dict[str, list[str]]:
    """The words of every tab that a picture shows; those that are expected are waited for."""
    from tests.browser.driver import Desk

    desk = Desk(browser, address)
    desk.begin()
    words_by_tab = {name: words_of(desk, name, (expected or {}).get(name)) for name in TABS}
    desk.page.close()
    return words_by_tab


def begin(browser: Any, address: str, b: str = "pastel", *, live: bool = False) -> Any:
    """The page with ink as A, few steps and a known seed."""
    from tests.browser.driver import Desk

    desk = Desk(browser, address)
    desk.begin("ink", b, live=live)
    for field, value in (("steps", STEPS), ("seed", "1")):
        desk.page.locator(f"#merge_desk_{field} input").fill(value)
        desk.page.keyboard.press("Tab")
    return desk


def generate(desk: Any) -> None:
    """Another picture, of settings that have changed."""
    before = desk.picture().get_attribute("src") if desk.picture().count() else ""
    desk.act("generate").click()
    changed(desk, before)


def changed(desk: Any, before: str | None) -> None:
    """Waits for another picture than `before`."""
    script = """before => {
      const image = document.querySelector("[data-frame=now]:not(.md-busy) img");
      return image && image.src !== before;
    }"""
    desk.page.wait_for_function(script, arg=before, timeout=WAIT)


def unload(desk: Any) -> None:
    """No merge stays in memory: the next page would show it."""
    open_tab(desk, "mix")
    desk.act("unload").click()
    desk.page.wait_for_timeout(2000)
    desk.page.close()


def shot(desk: Any, *, full: bool = False) -> Image.Image:
    """The page as it is, without a pointer over it."""
    desk.page.mouse.move(2, 2)
    desk.page.wait_for_timeout(300)
    desk.page.evaluate("scrollTo(0, 0)")
    image = Image.open(io.BytesIO(desk.page.screenshot(full_page=full))).convert("RGB")
    empty = Image.new("RGB", image.size, image.getpixel((1, 1)))
    box = ImageChops.difference(image, empty).getbbox() or (0, 0, *image.size)
    return image.crop((0, 0, image.width, min(box[3] + MARGIN, image.height)))


# --- the pictures ---


def desk_tab(browser: Any, address: str) -> Mapping[str, Image.Image]:
    """The tab Mix in light and in dark: two curves one after the other, so that there are two pictures."""
    desk = begin(browser, address)
    desk.paste(",".join(["0"] * 13 + ["0", *(f"{0.05 * block:.2f}" for block in range(12))]))
    generate(desk)
    falling = [f"{1 - block / 12:.4f}" for block in range(12)]
    desk.paste(",".join(["0", *falling, "0", *reversed(falling)]))
    generate(desk)
    light = shot(desk)
    desk.page.evaluate("document.body.classList.add('dark')")
    dark = shot(desk)
    unload(desk)
    return {"desk": light, "desk_dark": dark}


def weights_tab(browser: Any, address: str) -> Mapping[str, Image.Image]:
    """The tab Weights with four rules, and which tensors they match."""
    desk = begin(browser, address)
    open_tab(desk, "weights")
    desk.part("rules").fill("GRAD_V\nIN04-IN08: 0.3\nOUT attn1: 0.2\nexclude FINAL")
    desk.act("test-rules").click()
    desk.page.locator("[data-part=rule-test] table").first.wait_for(state="visible", timeout=WAIT)
    image = shot(desk)
    unload(desk)
    return {"weights": image}


def history_tab(browser: Any, address: str) -> Mapping[str, Image.Image]:
    """The tab History after three merges, one of them with a name and a star."""
    desk = begin(browser, address)
    for weight in (0.3, 0.6, 0.9):
        desk.paste(",".join(["0"] * 14 + [str(weight)] * 12))
        generate(desk)
    open_tab(desk, "history")
    desk.page.locator("[data-entry]").first.wait_for(state="visible", timeout=60_000)
    name = desk.page.locator("[data-entry] input.md-name-field").first
    name.fill("chalk on blue")
    name.press("Tab")
    desk.page.wait_for_timeout(2000)
    desk.page.locator("[data-act=history-star]").first.click()
    desk.page.wait_for_timeout(2000)
    image = shot(desk)
    unload(desk)
    return {"history": image}


def report_tab(browser: Any, address: str) -> Mapping[str, Image.Image]:
    """The tab Report with a model whose OUT08 is damaged."""
    desk = begin(browser, address, "torn")
    open_tab(desk, "report")
    desk.page.locator('[data-model="torn"]').check()
    desk.act("report-compare").click()
    desk.page.locator(".md-findings li").first.wait_for(state="visible", timeout=WAIT)
    image = shot(desk, full=True)
    unload(desk)
    return {"report": image}


def grid_tab(browser: Any, address: str) -> Mapping[str, Image.Image]:
    """The tab Grid with five presets by two seeds."""
    desk = begin(browser, address)
    open_tab(desk, "grid")
    presets = "ALL_A, GRAD_A, STYLE, TEXTURE, ALL_B"
    for name, axis, values in (("x", "preset", presets), ("y", "seed", "1, 2")):
        desk.page.locator(f"[data-axis={name}]").fill(axis)
        desk.page.locator(f"[data-values={name}]").fill(values)
    desk.page.wait_for_timeout(3000)
    desk.act("grid-start").click()
    desk.page.get_by_text(re.compile("Finished: 10 of 10")).first.wait_for(state="visible", timeout=WAIT)
    image = shot(desk, full=True)
    unload(desk)
    return {"grid": image}


def search_tab(browser: Any, address: str) -> Mapping[str, Image.Image]:
    """The tab Search after 24 trials: what makes the most colourful picture."""
    desk = begin(browser, address)
    open_tab(desk, "search")
    desk.part("search-space").fill("IN: by level 0..1; M00: 0..1; OUT: by level 0..1")
    desk.page.get_by_label("Add a scorer").first.select_option("colourfulness")
    desk.page.locator("[data-field=trials]").fill("24")
    desk.page.locator("[data-act=search-start]:not([disabled])").click(timeout=60_000)
    desk.page.get_by_text("24 trials are done").first.wait_for(state="visible", timeout=WAIT)
    desk.page.wait_for_timeout(2000)
    image = shot(desk, full=True)
    unload(desk)
    return {"search": image}


def drag(browser: Any, address: str) -> Sequence[tuple[Image.Image, int]]:
    """Sliders that are dragged, and the picture that follows: frames, each with its milliseconds."""
    desk = begin(browser, address, live=True)
    desk.page.wait_for_timeout(2000)  # a change of seed or steps may have begun a picture
    desk.act("generate").click()
    changed(desk, "")
    desk.idle()
    desk.page.evaluate("scrollTo(0, 0)")
    frames = [(frame(desk), 1200)]
    for slot, to in MOVES:
        box, now = desk.place(slot), desk.at(slot)
        left, width = box["x"] + 6, box["width"] - 12
        y = box["y"] + box["height"] / 2
        before = desk.picture().get_attribute("src")
        desk.page.mouse.move(left + now * width, y)
        frames.append((frame(desk, (left + now * width, y)), 350))
        desk.page.mouse.down()
        for step in range(1, 10):
            x = left + (now + (to - now) * step / 9) * width
            desk.page.mouse.move(x, y)
            frames.append((frame(desk, (x, y)), 70))
        desk.page.mouse.up()
        changed(desk, before)
        desk.page.wait_for_timeout(500)
        frames.append((frame(desk, (left + to * width, y)), 1300))
    unload(desk)
    return [*frames[:-1], (frames[-1][0], 2500)]


POINTER = ((0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12))


def frame(desk: Any, at: tuple[float, float] | None = None) -> Image.Image:
    """The page from the sliders down, with a pointer where the mouse is."""
    image = Image.open(io.BytesIO(desk.page.screenshot())).convert("RGB")
    if at:
        pen = ImageDraw.Draw(image)
        pen.polygon([(at[0] + x, at[1] + y) for x, y in POINTER], "black", "white")
    cut = image.crop((0, TOP, image.width, TOP + HEIGHT))
    return cut.resize((WIDTH, HEIGHT * WIDTH // image.width), Image.Resampling.LANCZOS)


SCREENSHOTS: Mapping[str, Callable[[Any, str], Mapping[str, Image.Image]]] = {
    "desk": desk_tab,
    "weights": weights_tab,
    "report": report_tab,
    "grid": grid_tab,
    "history": history_tab,
    "search": search_tab,
}
ANIMATED = "drag"
NAMES = (*SCREENSHOTS, ANIMATED)


def main(names: Sequence[str]) -> int:
    """Takes the pictures of these names, and writes the words of all tabs."""
    with page_on_samples() as (browser, address):
        write_file(LABELS, (json.dumps(labels(browser, address), indent=1) + "\n").encode(), overwrite=True)
        for name in names:
            if name == ANIMATED:
                frames = drag(browser, address)
                save(f"{name}.webp", animated(frames))
                continue
            for file, image in SCREENSHOTS[name](browser, address).items():
                stream = io.BytesIO()
                image.save(stream, "PNG", optimize=True)
                save(f"{file}.png", stream.getvalue())
    return 0


def animated(frames: Sequence[tuple[Image.Image, int]]) -> bytes:
    """An animated WebP that repeats."""
    stream = io.BytesIO()
    images = [image for image, _ in frames]
    durations = [milliseconds for _, milliseconds in frames]
    options = {"duration": durations, "loop": 0, "quality": 80, "method": 6, "minimize_size": True}
    images[0].save(stream, "WEBP", save_all=True, append_images=images[1:], **options)
    return stream.getvalue()


def save(name: str, data: bytes) -> None:
    """Into docs/pictures, and says so."""
    write_file(PICTURES / name, data, overwrite=True)
    print(f"docs/pictures/{name}: {len(data) / 1000:.0f} KB", flush=True)
