"""The proof of the live swap is a picture, drawn by a real WebUI: byte for byte that of the saved merge."""

from __future__ import annotations

import base64
import io
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.webui.server import Drawn, RefusedError, WebUI

pytestmark = [pytest.mark.webui, pytest.mark.slow, pytest.mark.timeout(1500)]

WEIGHTS = ", ".join(f"{1 - step / 30:.3f}" for step in range(26))
MERGE = {"method": "weighted_sum", "a": "ink", "b": "brush", "alpha": 0.5, "weights": WEIGHTS}
OTHER = {"method": "weighted_sum", "a": "ink", "b": "brush", "alpha": {"BASE": 1, "OUT05": 0.7}}
LORA = "a red circle <lora:tiny:1>"


@pytest.fixture(scope="module", params=["float32", "medvram", "fp16", "fp8"])
def way(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def drawn(server: WebUI) -> dict[str, Drawn]:
    """The truth of this module."""
    return drawn_from_files(server)


def drawn_from_files(server: WebUI) -> dict[str, Drawn]:
    """What the host itself draws from files, with and without a LoRA."""
    server.pick("ink")
    truth = {"ink": server.draw(), "ink lora": server.draw(prompt=LORA)}
    for name, body in (("mix", MERGE), ("text", OTHER)):
        server.desk("save", **body, name=name, overwrite=True)
        server.pick(name)
        truth |= {name: server.draw(), f"{name} lora": server.draw(prompt=LORA)}
    assert len({picture.pixels for picture in truth.values()}) == len(truth)
    return truth


def test_the_live_merge_draws_what_the_saved_one_draws(drawn: dict[str, Drawn], ui: WebUI) -> None:
    assert ui.draw() == drawn["ink"]
    report = ui.desk("apply", **MERGE)["report"]
    assert ui.draw() == drawn["mix"]
    assert ui.draw(n_iter=2) == drawn["mix"]  # the host looks at its checkpoint for every batch
    assert report["keys"] > 700
    assert ui.desk("restore")["report"]["live"] is None
    assert ui.draw() == drawn["ink"]


def starting_picture() -> str:
    stream = io.BytesIO()
    Image.linear_gradient("L").resize((128, 128)).convert("RGB").save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


WAYS_TO_DRAW: dict[str, dict[str, Any]] = {
    "hires": {"enable_hr": True, "hr_upscaler": "Latent", "hr_scale": 1.5, "denoising_strength": 0.6},
    "img2img": {"route": "img2img", "init_images": [starting_picture()], "denoising_strength": 0.7},
}


@pytest.mark.parametrize("pass_", WAYS_TO_DRAW)
def test_hires_and_img2img_draw_with_the_merge_too(ui: WebUI, pass_: str) -> None:
    def draw() -> Drawn:  # twice: the host's first step takes random numbers that the job before has left
        return [ui.draw(**WAYS_TO_DRAW[pass_]) for _ in range(2)][-1]

    ink = draw()
    ui.desk("save", **MERGE, name="mix", overwrite=True)
    ui.desk("apply", **MERGE)
    live = draw()
    ui.desk("restore")
    assert draw() == ink
    ui.pick("mix")
    assert draw() == live
    assert live != ink


def test_a_second_merge_over_the_first_is_the_second(drawn: dict[str, Drawn], ui: WebUI) -> None:
    ui.desk("apply", **MERGE)
    ui.draw()
    ui.desk("apply", **OTHER)
    assert ui.draw() == drawn["text"]


def test_a_lora_active_before_during_and_after(drawn: dict[str, Drawn], ui: WebUI) -> None:
    assert ui.draw(prompt=LORA) == drawn["ink lora"]  # baked into the weights now
    ui.desk("apply", **MERGE)
    assert ui.draw(prompt=LORA) == drawn["mix lora"]
    ui.desk("apply", **OTHER)
    assert ui.draw(prompt=LORA) == drawn["text lora"]
    assert ui.draw() == drawn["text"]
    ui.desk("restore")
    assert ui.draw() == drawn["ink"]
    assert ui.draw(prompt=LORA) == drawn["ink lora"]


def test_a_lora_that_was_used_once_and_is_off(drawn: dict[str, Drawn], ui: WebUI) -> None:
    ui.draw(prompt=LORA)
    ui.draw()
    ui.desk("apply", **MERGE)
    assert ui.draw() == drawn["mix"]
    assert ui.draw(prompt=LORA) == drawn["mix lora"]
    ui.desk("restore")
    assert ui.draw(prompt=LORA) == drawn["ink lora"]
    assert ui.draw() == drawn["ink"]


def test_infotext_names_the_merge_and_carries_the_recipe(drawn: dict[str, Drawn], ui: WebUI) -> None:
    live = ui.desk("apply", **MERGE)["report"]["live"]
    told = ui.draw().infotext
    assert f"Model hash: {live['id']}," in told
    assert f"Model: {live['name']}," in told
    assert 'Merge recipe: "merge-desk recipe 2\\n' in told
    ui.desk("restore")
    assert "erge" not in ui.draw().infotext


def test_another_checkpoint_is_picked_and_the_first_again(drawn: dict[str, Drawn], ui: WebUI) -> None:
    ui.desk("apply", **MERGE)
    ui.draw()
    ui.pick("pastel")
    status = ui.status()
    # what is in memory, and what the next picture loads
    assert (bool(status["live"]), status["next"]) == ((True, "pastel") if ui.kind.lazy else (False, ""))
    other = ui.draw()
    assert "Model: pastel" in other.infotext
    assert "erge" not in other.infotext
    assert ui.status() | {"live": None, "next": "", "base": "pastel"} == ui.status()
    ui.pick("ink")
    assert ui.draw() == drawn["ink"]
    assert ui.status() | {"live": None, "engaged": False, "base": "ink", "next": ""} == ui.status()
    ui.desk("apply", **MERGE)
    assert ui.draw() == drawn["mix"]


def test_a_merge_of_a_checkpoint_that_is_chosen_and_not_loaded_yet(
    drawn: dict[str, Drawn], ui: WebUI
) -> None:
    ui.load("pastel")
    ui.pick("ink")
    assert ui.status()["next"] == ("ink" if ui.kind.lazy else "")
    ui.desk("apply", **MERGE)
    assert ui.status()["next"] == ""
    assert ui.draw() == drawn["mix"]
    ui.desk("restore")
    assert ui.draw() == drawn["ink"]


@pytest.mark.needs("two checkpoints")
def test_two_checkpoints_in_memory(drawn: dict[str, Drawn], ui: WebUI) -> None:
    ui.options(sd_checkpoints_limit=2)
    ui.desk("apply", **MERGE)
    ui.draw()
    ui.pick("pastel")
    other = ui.draw()
    ui.pick("ink")
    assert ui.draw() == drawn["ink"]
    ui.desk("apply", **MERGE)
    assert ui.draw() == drawn["mix"]
    ui.pick("pastel")
    assert ui.draw() == other
    ui.pick("ink")
    assert ui.draw() == drawn["ink"]
    ui.desk("apply", **OTHER)
    ui.desk("restore")
    assert ui.draw() == drawn["ink"]


@pytest.mark.needs("sd_vae")
def test_a_vae_of_the_users_own_stays(ui: WebUI) -> None:
    merge = {**MERGE, "vae": "b"}
    ui.desk("save", **merge, name="mixvae", overwrite=True)
    ui.options(sd_vae="grey.safetensors")
    try:
        before = ui.draw()
        ui.pick("mixvae")
        truth = ui.draw()
        ui.pick("ink")
        ui.desk("apply", **merge)
        assert ui.draw() == truth
        ui.desk("restore")
        assert ui.draw() == before
    finally:
        ui.options(sd_vae="Automatic")
        ui.pick("pastel")  # so that the WebUI loads ink's own VAE from its file


@pytest.mark.needs("sd_vae", "sd_vae off")
def test_under_a_vae_of_the_users_own_lies_the_merges(drawn: dict[str, Drawn], ui: WebUI) -> None:
    merge = {**MERGE, "vae": "b"}
    ui.desk("save", **merge, name="mixvae", overwrite=True)
    ui.pick("mixvae")
    truth = ui.draw()
    ui.options(sd_vae="grey.safetensors")
    grey = ui.draw()
    assert len({picture.pixels for picture in (truth, grey, drawn["mix"])}) == 3
    ui.pick("ink")
    ui.desk("apply", **merge)
    assert ui.draw() == grey
    ui.options(sd_vae="None")
    assert ui.draw() == truth
    ui.options(sd_vae="grey.safetensors")
    assert ui.draw() == grey
    ui.desk("restore")
    ui.options(sd_vae="None")
    assert ui.draw() == drawn["ink"]


def test_an_interrupt_half_way(drawn: dict[str, Drawn], ui: WebUI) -> None:
    done = threading.Event()

    def press() -> None:
        while not done.is_set():
            ui.post("/sdapi/v1/interrupt")

    finger = threading.Thread(target=press)
    finger.start()
    try:
        with pytest.raises(RefusedError) as refused:
            ui.desk("apply", **MERGE)
    finally:
        done.set()
        finger.join()
    assert refused.value.status == 409
    assert ui.status()["live"] is None
    assert ui.draw() == drawn["ink"]


def test_an_error_half_way(drawn: dict[str, Drawn], ui: WebUI) -> None:
    with pytest.raises(RefusedError) as refused:
        ui.desk("apply", **{**MERGE, "b": "bad"})
    assert refused.value.status == 422
    assert ui.draw() == drawn["ink"]
    ui.desk("apply", **MERGE)
    with pytest.raises(RefusedError):
        ui.desk("apply", **{**MERGE, "b": "bad"})
    assert ui.draw() == drawn["mix"]
    assert "Model: ink + brush (unsaved)" in ui.draw().infotext


def test_an_ingredient_that_is_damaged_between_two_swaps(drawn: dict[str, Drawn], ui: WebUI) -> None:
    brush = ui.checkpoints / "brush.safetensors"
    ui.desk("apply", **MERGE)
    whole = brush.with_name("whole")
    shutil.copy(brush, whole)
    try:
        replace_by_half(brush)
        with pytest.raises(RefusedError) as refused:
            ui.desk("apply", **OTHER)
        assert refused.value.status == 422
        assert str(ui.checkpoints) not in refused.value.text
        assert ui.draw() == drawn["mix"]
        ui.desk("restore")
        assert ui.draw() == drawn["ink"]
    finally:
        whole.replace(brush)


def replace_by_half(path: Path) -> None:
    """As a download does that broke off: another file under the same name."""
    part = path.with_name("part")
    part.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    part.replace(path)


@pytest.mark.needs("cache_fp16_weight")
def test_the_host_reloads_its_checkpoint_over_the_merge(drawn: dict[str, Drawn], ui: WebUI) -> None:
    ui.desk("apply", **MERGE)
    cached = ui.get("/sdapi/v1/options")["cache_fp16_weight"]
    ui.options(cache_fp16_weight=not cached)  # has the host load again
    assert ui.status()["live"] is None
    assert ui.status()["engaged"]
    again = ui.draw()
    assert again == drawn["mix"]
    assert "Merge recipe" in again.infotext
    ui.options(cache_fp16_weight=cached)
    ui.desk("restore")
    assert ui.draw() == drawn["ink"]


def test_a_list_refresh_while_live(drawn: dict[str, Drawn], ui: WebUI) -> None:
    ui.desk("apply", **MERGE)
    ui.post("/sdapi/v1/refresh-checkpoints")
    assert ui.draw() == drawn["mix"]
    ui.desk("restore")
    assert ui.draw() == drawn["ink"]
    ui.load("pastel")
    ui.pick("ink")
    assert ui.draw() == drawn["ink"]


def test_a_job_with_a_checkpoint_of_its_own(drawn: dict[str, Drawn], ui: WebUI) -> None:
    ui.desk("apply", **MERGE)
    other = ui.draw(override_settings={"sd_model_checkpoint": "pastel.safetensors"})
    assert "Model: pastel" in other.infotext
    assert "erge" not in other.infotext
    again = ui.draw()
    assert again == drawn["mix"]
    assert "Merge recipe" in again.infotext


def test_a_refiner_does_not_leave_later_batches_without_the_merge(ui: WebUI) -> None:
    refiner = {"refiner_checkpoint": "pastel.safetensors", "refiner_switch_at": 0.5}
    ui.desk("apply", **MERGE)
    alone = ui.draw(**refiner, seed=2)
    assert ui.draw(seed=2) != alone
    both = ui.draw_all(**refiner, seed=1, n_iter=2)
    assert both[-1] == alone
    assert "Merge recipe" in both[-1].infotext


def test_reload_ui(drawn: dict[str, Drawn], ui: WebUI) -> None:
    ui.desk("apply", **MERGE)
    ui.reload_page()
    status = ui.status()
    assert status["live"]["name"] == "ink + brush (unsaved)"
    assert ui.draw() == drawn["mix"]
    ui.desk("restore")
    assert ui.draw() == drawn["ink"]
