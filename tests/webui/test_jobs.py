"""Jobs that ask for other weights than the engaged merge's: each gets them, and says what it drew with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.webui.server import Drawn, RefusedError, WebUI
from tests.webui.test_xyz import plot

pytestmark = [pytest.mark.webui, pytest.mark.slow, pytest.mark.timeout(1500)]

MERGE = {"method": "weighted_sum", "a": "ink", "b": "brush", "alpha": 0.5}
OTHER = {"method": "weighted_sum", "a": "ink", "b": "pastel", "alpha": {"OUT05": 0.7}}
HIRES = {"enable_hr": True, "hr_upscaler": "Latent", "hr_scale": 1.5, "denoising_strength": 0.6}
OPTION = "merge_desk_recipe"
ANOTHER = """from modules import call_queue, script_callbacks, sd_models
import torch


def change(_, app):
    def act():
        model = sd_models.model_data.sd_model
        forge = getattr(model, "forge_objects", None)
        unet = (forge.unet.model if forge else model.model).diffusion_model
        with call_queue.queue_lock, torch.inference_mode():
            for parameter in unet.output_blocks[5].parameters():
                parameter.mul_(1.25)

    app.add_api_route("/another/merge", act, methods=["POST"])


script_callbacks.on_app_started(change)
"""


@pytest.fixture(scope="module")
def server(webui: Path, stage: Path) -> Iterator[WebUI]:
    """With another extension that changes weights in memory, as merging extensions do."""
    folder = stage / "data/extensions/another/scripts"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "another.py").write_text(ANOTHER, encoding="utf-8")
    with WebUI(webui, stage) as running:
        yield running


@pytest.fixture(scope="module")
def drawn(server: WebUI) -> dict[str, Drawn]:
    """What the host itself draws from files."""
    server.pick("ink")
    truth = {"ink": server.draw()}
    server.pick("pastel")
    truth["pastel"] = server.draw()
    server.pick("ink")
    server.desk("save", **MERGE, name="mix", overwrite=True)
    server.pick("mix")
    truth["mix"] = server.draw()
    server.pick("ink")
    return truth


def test_the_axis_of_checkpoints_draws_them_while_a_merge_is_engaged(
    drawn: dict[str, Drawn], ui: WebUI
) -> None:
    ui.desk("apply", **MERGE)
    cells = plot(ui, ("Checkpoint name", "ink.safetensors, pastel.safetensors"))
    assert cells == [drawn["ink"], drawn["pastel"]]
    assert "Model: ink" in cells[0].infotext
    assert "Merge recipe" not in cells[0].infotext
    assert ui.status()["live"]["name"] == "ink + brush (unsaved)"
    assert ui.draw() == drawn["mix"]


def test_a_job_that_chooses_the_checkpoint_under_the_merge(drawn: dict[str, Drawn], ui: WebUI) -> None:
    ui.desk("apply", **MERGE)
    both = ui.draw_all(override_settings={"sd_model_checkpoint": "ink.safetensors"}, n_iter=2)
    assert both[0] == drawn["ink"]
    assert all("erge" not in each.infotext for each in both)
    assert ui.draw() == drawn["mix"]


@pytest.mark.parametrize(
    "job",
    [
        {"refiner_checkpoint": "ink.safetensors", "refiner_switch_at": 0.5},
        {**HIRES, "hr_checkpoint_name": "ink.safetensors"},
        {**HIRES, "hr_checkpoint_name": "pastel.safetensors"},
        {**HIRES, "refiner_checkpoint": "pastel.safetensors", "refiner_switch_at": 0.5},
    ],
    ids=["refiner", "hires checkpoint", "another hires checkpoint", "second pass after a refiner"],
)
def test_what_a_job_loads_half_way(drawn: dict[str, Drawn], ui: WebUI, job: dict[str, object]) -> None:
    ui.desk("save", **MERGE, name="mix", overwrite=True)
    ui.pick("mix")
    ui.draw(**job)
    truth = ui.draw(**job)
    ui.pick("ink")
    ui.desk("apply", **MERGE)
    ui.draw(**job)
    assert ui.draw(**job) == truth
    assert ui.draw() == drawn["mix"]


@pytest.mark.needs("infotext")
def test_a_pictures_infotext_engages_its_merge_for_the_job(drawn: dict[str, Drawn], ui: WebUI) -> None:
    ui.desk("apply", **MERGE)
    picture = ui.draw()
    ui.desk("restore")
    again = ui.draw(infotext=picture.infotext)
    assert again == drawn["mix"]
    assert "Model: ink + brush (unsaved)" in again.infotext
    assert "Merge recipe" in again.infotext
    assert not ui.status()["engaged"]
    plain = ui.draw()
    assert plain == drawn["ink"]
    assert "erge" not in plain.infotext


def test_a_recipe_of_a_job_stands_above_the_engaged_merge_for_that_job(
    drawn: dict[str, Drawn], ui: WebUI
) -> None:
    recipe = ui.desk("apply", **MERGE)["report"]["live"]["recipe"]
    ui.desk("apply", **OTHER)
    other = ui.draw()
    assert ui.draw(override_settings={OPTION: recipe}) == drawn["mix"]
    assert ui.draw() == other
    ui.desk("restore")
    assert ui.draw() == drawn["ink"]


def test_a_recipe_that_cannot_be_had_leaves_the_plain_checkpoint_and_its_name(
    drawn: dict[str, Drawn], ui: WebUI
) -> None:
    for recipe in ('merge-desk recipe 2\nA = "gone.safetensors"\nsave A\n', "a cat", "merge-00000000"):
        plain = ui.draw(override_settings={OPTION: recipe})
        assert plain == drawn["ink"]
        assert "Model: ink" in plain.infotext
        assert "erge" not in plain.infotext


def test_after_a_failed_load_another_checkpoint_is_named_and_a_merge_loads_the_chosen_one(
    drawn: dict[str, Drawn], ui: WebUI
) -> None:
    broken = ui.checkpoints / "broken.safetensors"
    broken.write_bytes((ui.checkpoints / "pastel.safetensors").read_bytes()[:2000])
    ui.post("/sdapi/v1/refresh-checkpoints")
    try:
        with suppress(RefusedError):
            ui.load("broken")
        hint = ui.status()["refusal"]
        if "broken" in ui.get("/sdapi/v1/options")["sd_model_checkpoint"]:  # A1111 has gone back to ink
            with pytest.raises(RefusedError) as refused:
                ui.desk("apply", **MERGE)
            hint = refused.value.error["try"]
            ui.pick("ink")
        assert "choose another checkpoint in the WebUI, such as" in hint
        assert "such as broken" not in hint
        ui.desk("apply", **MERGE)
        assert ui.draw() == drawn["mix"]
        ui.desk("restore")
        assert ui.draw() == drawn["ink"]
    finally:
        for left in ui.checkpoints.glob("broken*"):  # Forge gives damaged files another name
            left.unlink()
        ui.post("/sdapi/v1/refresh-checkpoints")


def test_weights_that_another_extension_has_changed_are_reported(drawn: dict[str, Drawn], ui: WebUI) -> None:
    assert ui.draw() == drawn["ink"]
    assert ui.status()["note"] == ""
    ui.post("/another/merge")
    assert "The weights in memory are not those of ink's file" in ui.status()["note"]
    assert ui.draw() != drawn["ink"]
    ui.desk("apply", **MERGE)  # it starts from the files
    assert ui.status()["note"] == ""
    assert ui.draw() == drawn["mix"]
    ui.desk("restore")
    assert ui.status()["note"] == ""
    assert ui.draw() == drawn["ink"]
