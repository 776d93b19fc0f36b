"""Swaps of full-size checkpoints in a real WebUI, timed beside its own load; see RESULTS.md for the command.

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
    """Several swaps, each to another amount."""
    ui.desk("apply", **merge(amount(0.2)))
    reports = [ui.desk("apply", **merge(amount(0.3 + at / 100)))["report"] for at in range(ROUNDS)]
    seconds = [report["seconds"] for report in reports]
    print(
        f"apply, {what}: median {statistics.median(seconds):.3f} s "
        f"({min(seconds):.3f} to {max(seconds):.3f}), {reports[-1]['bytes'] / 1e9:.2f} GB",
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
        with WebUI(Path(os.environ["WEBUI_DIR"]).resolve(), Path(folder), "--no-half") as ui:
            ui.drawing |= SMALL
            _round(ui)


def _round(ui: WebUI) -> None:
    ui.pick(NAMES[1])
    ui.pick(NAMES[0])
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
        timed("the WebUI loads the saved merge", lambda: ui.pick("mix"))
        saved = ui.draw()
        ui.pick(NAMES[0])
    print("saved == live:", saved == live, "; live != before:", live != before)
    ui.desk("apply", **merge(0.5))
    ui.pick(NAMES[1])
    ui.pick(NAMES[0])
    print("another one and back == before:", ui.draw() == before)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
