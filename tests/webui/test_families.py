"""SDXL, SD2 and Flux in hosts that can be taught narrow ones: each slot alone, live, saved and restored.

NARROW, the test's own extension, has the checkpoints in its folder `models`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.webui.server import Drawn, WebUI

pytestmark = [pytest.mark.webui, pytest.mark.slow, pytest.mark.timeout(1500)]

NAMES = ("sdxl_a", "sdxl_b", "sd2_a", "sd2_b", "flux_a", "flux_b")
ALL = {"alpha": 0.5}
VAE = {"alpha": {"VAE": 0.5}, "vae": "blend"}
SDXL = {"all": ALL, "VAE": VAE} | {
    slot: {"alpha": {slot: 0.5}} for slot in ("BASE", "CLIP_L", "CLIP_G", "LABEL", "OUT05")
}
SD2 = {"all": ALL, "VAE": VAE} | {slot: {"alpha": {slot: 0.5}} for slot in ("BASE", "OUT05")}

FLUX = {"all": ALL, "VAE": VAE} | {
    slot: {"alpha": {slot: 0.5}} for slot in ("BASE", "CLIP_L", "T5", "IN", "D01", "S01", "OUT")
}


@pytest.fixture(scope="module")
def narrow(server: WebUI) -> WebUI:
    """The running WebUI with these checkpoints too."""
    if not add_narrow(server):
        pytest.skip("no narrow SDXL, SD2 and Flux in the folder models of NARROW")
    return server


def add_narrow(ui: WebUI) -> bool:
    """Whether there are such checkpoints, which are in the WebUI's list then."""
    models = Path(os.environ.get("NARROW", "/nowhere")) / "models"
    if not all((models / f"{name}.safetensors").exists() for name in NAMES):
        return False
    for name in NAMES:
        link(models / f"{name}.safetensors", ui.checkpoints / f"{name}.safetensors")
        # A1111's kin tell SD2 by the width of full-size models, or by a YAML
        link(models / f"{name}.yaml", ui.checkpoints / f"{name}.yaml")
        link(models / f"{name}.yaml", ui.checkpoints / f"{name.partition('_')[0]}_saved.yaml")
    ui.post("/sdapi/v1/refresh-checkpoints")
    return True


def link(target: Path, name: Path) -> None:
    """A link, where there is something to link to."""
    if target.exists() and not name.exists():
        name.symlink_to(target)


@pytest.fixture(scope="module")
def before(narrow: WebUI) -> dict[str, Drawn]:
    """What each family's A draws: the truth of this module, drawn when first asked for."""
    return {}


def a_picture(ui: WebUI, family: str, before: dict[str, Drawn]) -> Drawn:
    """What A draws, after which it is loaded."""
    ui.pick(f"{family}_a")
    drawn = ui.draw()
    return before.setdefault(family, drawn)


def live_is_saved_and_restored_is_before(
    ui: WebUI, family: str, merge: dict[str, object], before: dict[str, Drawn]
) -> None:
    plain = a_picture(ui, family, before)
    body = {"method": "weighted_sum", "a": f"{family}_a", "b": f"{family}_b", **merge}
    ui.desk("save", **body, name=f"{family}_saved", overwrite=True)
    ui.desk("apply", **body)
    live = ui.draw()
    ui.desk("restore")
    assert ui.draw() == plain
    ui.pick(f"{family}_saved")
    assert ui.draw() == live
    assert live != plain


@pytest.mark.needs("sdxl")
@pytest.mark.parametrize("slot", SDXL)
def test_sdxl(narrow: WebUI, before: dict[str, Drawn], slot: str) -> None:
    live_is_saved_and_restored_is_before(narrow, "sdxl", SDXL[slot], before)


@pytest.mark.needs("sd2")
@pytest.mark.parametrize("slot", SD2)
def test_sd2(narrow: WebUI, before: dict[str, Drawn], slot: str) -> None:
    live_is_saved_and_restored_is_before(narrow, "sd2", SD2[slot], before)


@pytest.mark.needs("flux")
@pytest.mark.parametrize("slot", FLUX)
def test_flux(narrow: WebUI, before: dict[str, Drawn], slot: str) -> None:
    live_is_saved_and_restored_is_before(narrow, "flux", FLUX[slot], before)
