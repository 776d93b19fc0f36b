"""What only Forge and Neo have: modules of the user's own, number formats, LoRAs added while they draw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.webui.conftest import TEXT
from tests.webui.server import RefusedError, WebUI
from tests.webui.test_swap import LORA, MERGE

pytestmark = [
    pytest.mark.webui,
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.needs("modules"),
]

ALL = {"method": "weighted_sum", "a": "ink", "b": "brush", "alpha": 0.5, "vae": "b"}
TAUGHT = """# the WebUI knows a text encoder by the width of full-size ones, and so do we
import sys

from backend import loader
from modules import script_callbacks

known = loader.replace_state_dict


def with_narrow_ones(sd, module, *rest):
    if "text_model.final_layer_norm.weight" not in module:
        return known(sd, module, *rest)
    return {**sd, **{f"cond_stage_model.transformer.{name}": module[name] for name in module}}


def teach_us(*_):
    sys.modules["lib_merge.hosts.forge"].ENCODER_WIDTHS += (NARROW,)


loader.replace_state_dict = with_narrow_ones
script_callbacks.on_app_started(teach_us)
"""


@pytest.fixture(scope="module")
def server(webui: Path, stage: Path) -> Iterator[WebUI]:
    """Beside the VAE `grey` it has a module `words`, the text encoder of `brush`."""
    folder = stage / "data/models/text_encoder"
    folder.mkdir(parents=True, exist_ok=True)
    brush = load_file(stage / "checkpoints/brush.safetensors")
    prefix = TEXT.removesuffix("text_model.")
    words = {name.removeprefix(prefix): brush[name] for name in brush if name.startswith(TEXT)}
    save_file(words, folder / "words.safetensors")
    width = words["text_model.final_layer_norm.weight"].shape[0]
    scripts = stage / "data/extensions/taught/scripts"
    scripts.mkdir(parents=True, exist_ok=True)
    (scripts / "taught.py").write_text(TAUGHT.replace("NARROW", str(width)), encoding="utf-8")
    with WebUI(webui, stage) as running:
        yield running


@pytest.fixture
def own(ui: WebUI) -> Iterator[WebUI]:
    """Modules are taken off again."""
    yield ui
    ui.options(forge_additional_modules=[])


def use(ui: WebUI, *names: str) -> None:
    ui.options(forge_additional_modules=[f"{name}.safetensors" for name in names])
    chosen = ui.get("/sdapi/v1/options")["forge_additional_modules"]
    assert [Path(path).stem for path in chosen] == list(names), "the WebUI does not list this module"


@pytest.mark.parametrize("name", ["grey", "words"])
def test_a_module_of_the_users_own_stays_under_a_merge(own: WebUI, name: str) -> None:
    ui = own
    plain = ui.draw()
    ui.desk("save", **ALL, name="mixvae", overwrite=True)
    ui.pick("mixvae")
    merged = ui.draw()
    use(ui, name)
    truth = ui.draw()  # the saved merge with this module
    ui.pick("ink")
    before = ui.draw()
    assert len({each.pixels for each in (plain, merged, truth, before)}) == 4
    ui.desk("apply", **ALL)
    assert ui.draw() == truth
    use(ui)  # the WebUI loads its checkpoint again
    assert ui.draw() == merged
    use(ui, name)
    assert ui.draw() == truth
    ui.desk("restore")
    assert ui.draw() == before
    use(ui)
    assert ui.draw() == plain


def test_a_merge_of_what_the_module_replaces_changes_nothing(own: WebUI) -> None:
    ui = own
    use(ui, "grey")
    before = ui.draw()
    ui.desk("apply", **{**ALL, "alpha": 0})
    assert ui.draw() == before
    ui.desk("restore")
    assert ui.draw() == before


STORED = ["float8-e4m3fn", "float8-e4m3fn (fp16 LoRA)", "float8-e5m2"]


@pytest.fixture(params=STORED)
def stored(request: pytest.FixtureRequest, ui: WebUI) -> Iterator[WebUI]:
    """Weights in eight bits; with `(fp16 LoRA)` LoRAs are added while a picture is drawn."""
    ui.load("pastel", forge_unet_storage_dtype=request.param)
    ui.load("ink")
    yield ui
    ui.load("pastel", forge_unet_storage_dtype="Automatic")
    ui.load("ink")


def test_weights_in_eight_bits_with_and_without_a_lora(stored: WebUI) -> None:
    ui = stored
    before, before_lora = ui.draw(), ui.draw(prompt=LORA)
    ui.desk("save", **MERGE, name="mix", overwrite=True)
    ui.pick("mix")
    saved, saved_lora = ui.draw(), ui.draw(prompt=LORA)
    assert len({each.pixels for each in (before, before_lora, saved, saved_lora)}) == 4
    ui.pick("ink")
    assert ui.draw(prompt=LORA) == before_lora
    ui.desk("apply", **MERGE)
    assert ui.draw(prompt=LORA) == saved_lora
    assert ui.draw() == saved
    assert ui.draw(prompt=LORA) == saved_lora
    ui.desk("restore")
    assert ui.draw(prompt=LORA) == before_lora
    assert ui.draw() == before


@pytest.mark.needs("memory options")
def test_the_host_reloads_its_checkpoint_in_eight_bits_over_the_merge(ui: WebUI) -> None:
    plain = ui.draw()
    ui.desk("save", **MERGE, name="mix", overwrite=True)
    ui.load("pastel", forge_unet_storage_dtype="float8-e4m3fn")
    ui.pick("mix")
    eight = ui.draw()
    ui.load("pastel", forge_unet_storage_dtype="Automatic")
    ui.pick("ink")
    ui.desk("apply", **MERGE)
    whole = ui.draw()
    assert len({each.pixels for each in (plain, eight, whole)}) == 3
    memory = ui.get("/sdapi/v1/options")["forge_inference_memory"]
    # its page reads the number format by itself, its API when this option changes too
    ui.options(forge_unet_storage_dtype="float8-e4m3fn", forge_inference_memory=memory + 512)
    again = ui.draw()
    assert again == eight
    assert "Merge recipe" in again.infotext
    ui.options(forge_unet_storage_dtype="Automatic", forge_inference_memory=memory)
    assert ui.draw() == whole
    ui.desk("restore")
    assert ui.draw() == plain


def test_unloading_and_reloading_by_the_api(ui: WebUI) -> None:
    plain = ui.draw()
    ui.desk("apply", **MERGE)
    before = ui.draw(prompt=LORA), ui.draw()
    ui.post("/sdapi/v1/unload-checkpoint")
    with suppress(RefusedError):  # Neo has no such route, and reloads with the next picture
        ui.post("/sdapi/v1/reload-checkpoint")
    assert (ui.draw(prompt=LORA), ui.draw()) == before
    ui.desk("restore")
    assert ui.draw() == plain
