"""Which tests fail in Forge or Neo with one step of the live swap left out: prints a table.

docs/hosts.md#steps-left-out has the command. An extension of its own leaves steps out in the running WebUI.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.webui import test_families, test_swap
from tests.webui.conftest import set_stage
from tests.webui.server import Drawn, RefusedError, WebUI

NOTHING = "nothing"
STEPS = {
    NOTHING: "nothing",
    "lora": "taking LoRAs out of the weights",
    "hash": "the reset of the LoRA that counts as applied",
    "prepare": "both",
    "transposed": "the transposition of text_projection",
    "third": "the second of the three parts of in_proj",
    "conditioning": "forgetting the conditioning",
}
LEAVING_OUT = """
import sys

from modules import script_callbacks


def add(_, app):
    model = sys.modules["lib_merge.hosts.forge_model"]
    parameter = sys.modules["lib_merge.hosts.engines"].HeldParameter
    whole = model.ForgeModel
    steps = {
        "lora": (model, "take_loras_out", lambda patchers: None),
        "hash": (model, "forget_applied_loras", lambda engine: None),
        "prepare": (whole, "prepare", lambda self, keys: None),
        "transposed": (parameter, "place", untransposed()),
        "third": (whole, "places", without_a_third(whole)),
        "conditioning": (model, "forget_conditioning", lambda: None),
    }
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in steps.values()]

    def leave_out(step: str):
        for owner, name, function in kept:
            setattr(owner, name, function)
        if step in steps:
            setattr(*steps[step])
        return {}

    app.add_api_route("/leave-out/{step}", leave_out, methods=["POST"])


def untransposed():
    def place(self):
        tensor = getattr(self.owner, self.leaf)
        return sys.modules["lib_merge.live"].Place(tensor, (self.third or 0) * tensor.numel())

    return place


def without_a_third(whole):
    places = whole.places

    def some(self, key):
        found = places(self, key)
        return found[:1] + found[2:] if len(found) == 3 else found

    return some


script_callbacks.on_app_started(add)
"""
Truth = dict[str, Drawn]
Check = Callable[[Truth, WebUI], None]
CHECKS: dict[str, Check] = {
    "live == saved": test_swap.test_the_live_merge_draws_what_the_saved_one_draws,
    "second merge": test_swap.test_a_second_merge_over_the_first_is_the_second,
    "LoRA throughout": test_swap.test_a_lora_active_before_during_and_after,
    "LoRA once": test_swap.test_a_lora_that_was_used_once_and_is_off,
}


def slot(family: str, merge: dict[str, object]) -> Check:
    """The test of one slot of a family."""
    return lambda truth, ui: test_families.live_is_saved_and_restored_is_before(ui, family, merge, {})


def fails(check: Check, truth: Truth, ui: WebUI) -> bool:
    """Whether a test fails, which begins as pytest would have it begin."""
    try:
        ui.fresh()
        check(truth, ui)
    except (AssertionError, RefusedError):
        return True
    return False


def begin_again(ui: WebUI, truth: Truth) -> None:
    """Has the host load its checkpoint from the file, whatever was written over it."""
    ui.post(f"/leave-out/{NOTHING}")
    ui.desk("restore")
    ui.load("pastel")
    ui.load("ink")
    assert ui.draw() == truth["ink"]


def table(ui: WebUI) -> None:
    """One line for each step, with the tests that fail without it."""
    checks = dict(CHECKS)
    if test_families.add_narrow(ui):
        families = {"sdxl": test_families.SDXL["CLIP_G"], "sd2": test_families.SD2["BASE"]}
        checks |= {
            f"{family}'s OpenCLIP": slot(family, merge)
            for family, merge in families.items()
            if family not in ui.kind.lacks
        }
    truth = test_swap.drawn_from_files(ui)
    print(f"| left out in {ui.kind.title} | {' | '.join(checks)} |\n|---|{'---|' * len(checks)}", flush=True)
    for step, told in STEPS.items():
        cells = []
        for check in checks.values():
            ui.post(f"/leave-out/{step}")
            cells.append("fails" if fails(check, truth, ui) else "passes")
            begin_again(ui, truth)
        print(f"| {told} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Starts the WebUI with the extension that leaves steps out."""
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder)
        set_stage(stage)
        scripts = stage / "data/extensions/leaving-out/scripts"
        scripts.mkdir(parents=True)
        (scripts / "leaving_out.py").write_text(LEAVING_OUT, encoding="utf-8")
        with WebUI(Path(os.environ["WEBUI_DIR"]).resolve(), stage) as ui:
            table(ui)


if __name__ == "__main__":
    main()
