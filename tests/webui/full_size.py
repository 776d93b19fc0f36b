"""Merges of full-size checkpoints into the model of a real WebUI, timed next to its own load.

docs/hosts.md#full-size has the command.

The two files must be of one family. HF_HOME must hold what the WebUI wants for it.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.webui.server import Drawn, RefusedError, WebUI

ROUNDS = 7
SWAPS = 100  # after which the memory of the WebUI's process is compared
NAMES = ("full_a", "full_b")
SMALL = {"width": 128, "height": 128, "steps": 2}


def merge(alpha: float | Mapping[str, float]) -> dict[str, object]:
    """A weighted sum of the two."""
    return {"method": "weighted_sum", "a": NAMES[0], "b": NAMES[1], "alpha": alpha}


def timed(what: str, act: Callable[[], object]) -> None:
    """One act's wall time."""
    began = time.perf_counter()
    act()
    print(f"{what}: {time.perf_counter() - began:.2f} s", flush=True)


def swaps(ui: WebUI, what: str, amount: Callable[[float], float | Mapping[str, float]]) -> None:
    """Several swaps, each to another amount: whole requests, and the time of the merge in them."""
    ui.desk("apply", **merge(amount(0.2)))
    whole: list[float] = []
    own: list[float] = []
    report: Mapping[str, float] = {}
    for at in range(ROUNDS):
        began = time.perf_counter()
        report = ui.desk("apply", **merge(amount(0.3 + at / 100)))["report"]
        whole.append(time.perf_counter() - began)
        own.append(report["seconds"])
    for name, seconds in (("request", whole), ("merge", own)):
        print(
            f"apply, {what}, {name}: median {statistics.median(seconds):.3f} s "
            f"({min(seconds):.3f} to {max(seconds):.3f}), {report['bytes'] / 1e9:.2f} GB",
            flush=True,
        )


def interrupts(ui: WebUI, wanted: Drawn, where: str) -> None:
    """*Interrupt* at several moments of a swap: the picture stays what it was."""
    for delay in (0.1, 0.25, 0.4, 0.55):
        finger = threading.Timer(delay, lambda: ui.post("/sdapi/v1/interrupt"))
        finger.start()
        try:
            ui.desk("apply", **merge(0.7 + delay / 10))
            print(f"{where}, pressed after {delay} s: too late", flush=True)
            return
        except RefusedError as refused:
            same = ui.draw() == wanted
            print(f"{where}, pressed after {delay} s: {refused.status}, as before: {same}", flush=True)
        finally:
            finger.join()


def main(a: Path, b: Path) -> None:
    """The whole round."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Path(folder) / "checkpoints"
        checkpoints.mkdir()
        for name, path in zip(NAMES, (a, b), strict=True):
            (checkpoints / f"{name}.safetensors").symlink_to(path.resolve())
        with WebUI(Path(os.environ["WEBUI_DIR"]).resolve(), Path(folder)) as ui:
            ui.drawing |= SMALL
            _round(ui)


def _round(ui: WebUI) -> None:
    ui.load(NAMES[1])
    ui.load(NAMES[0])
    before = ui.draw()
    timed("first apply", lambda: ui.desk("apply", **merge(0.5)))
    live = ui.draw()
    swaps(ui, "26 blocks", lambda amount: amount)
    swaps(ui, "OUT05", lambda amount: {"OUT05": amount, "*": 0.5})
    timed("restore", lambda: ui.desk("restore"))
    print("restored == before:", ui.draw() == before)
    interrupts(ui, before, "from A")
    ui.desk("apply", **merge(0.5))
    interrupts(ui, live, "from a merge")
    timed("save", lambda: ui.desk("save", **merge(0.5), name="mix"))
    for _ in range(3):
        timed(f"the WebUI loads the saved merge{and_draws(ui)}", lambda: ui.load("mix"))
        print("  in its words:", loads(ui)[-1])
        saved = ui.draw()
        ui.load(NAMES[0])
    if ui.kind.lazy:
        timed("a picture of one step", lambda: ui.draw(steps=1))
    print("saved == live:", saved == live, "; live != before:", live != before)
    ui.desk("apply", **merge(0.5))
    ui.load(NAMES[1])
    ui.pick(NAMES[0])
    print("another one and back == before:", ui.draw() == before)
    memory(ui)


def and_draws(ui: WebUI) -> str:
    """What loading takes beside, where a checkpoint is loaded by the next picture."""
    return " and draws one step" if ui.kind.lazy else ""


def loads(ui: WebUI) -> list[str]:
    """The WebUI's own words on what its loads took."""
    return [line for line in ui.log().splitlines() if ui.kind.loaded in line]


def memory(ui: WebUI) -> None:
    """What its process holds before and after many swaps, the first of which makes room for the others."""
    ui.desk("apply", **merge(0.2))
    held = [ui.memory()]
    for at in range(1, SWAPS + 1):
        ui.desk("apply", **merge(0.2 + at / (2 * SWAPS)))
        if at % (SWAPS // 5) == 0:
            held.append(ui.memory())
    print("memory over", SWAPS, "swaps, GB:", *(f"{each / 1e9:.3f}" for each in held))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
