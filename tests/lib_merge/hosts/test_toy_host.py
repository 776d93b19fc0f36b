"""A second live host in a WebUI needs one file (toy_host.py) and one line of the table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lib_merge.hosts import table
from lib_merge.recipe import INFOTEXT_KEY
from tests.lib_merge.hosts.stand_ins import StandIn
from tests.lib_merge.hosts.toy_host import ToyHost
from tests.support.desk_page import call
from tests.support.full_size import write_tiny
from tests.support.live_model import Memory

MERGE = {"method": "weighted_sum", "a": "a", "b": "b", "alpha": 0.5}
KEY = "model.diffusion_model.output_blocks.5.0.in_layers.2.weight"

pytest.importorskip("gradio")


@pytest.fixture
def webui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    for name in "ab":
        write_tiny(tmp_path / f"{name}.safetensors", seed=ord(name))
    monkeypatch.setattr(table, "WEBUIS", (ToyHost, *table.WEBUIS))
    return StandIn(tmp_path, "toy", monkeypatch)


def job() -> Any:
    comments: list[str] = []
    return SimpleNamespace(
        override_settings={},
        extra_generation_params={},
        sd_model_name="a",
        sd_model_hash=None,
        comments=comments,
        comment=comments.append,
    )


def test_it_is_chosen_swapped_into_and_its_jobs_draw_with_the_merge(webui: StandIn) -> None:
    names = webui.start()
    service = names["service"]
    assert isinstance(service.host, ToyHost)
    post, script = partial(call, names["services"], "POST"), names["MergeDeskScript"]()
    assert post("apply", MERGE)["report"]["keys"]
    merged = service.host.model().places(KEY)[0].tensor.clone()
    drawn = job()
    script.process(drawn)
    live = service.status().live
    assert (drawn.sd_model_name, drawn.sd_model_hash) == (live.name, live.id)
    assert drawn.extra_generation_params == {INFOTEXT_KEY: live.recipe}
    service.host.load()  # as the WebUI does for a refiner
    script.before_process_batch(drawn)
    assert torch.equal(service.host.model().places(KEY)[0].tensor, merged)
    assert drawn.comments == []
    post("restore")
    plain = job()
    script.process(plain)
    assert torch.equal(
        service.host.model().places(KEY)[0].tensor, Memory(webui.folder / "a.safetensors").weights[KEY]
    )
    assert (plain.sd_model_name, plain.extra_generation_params) == ("a", {})


def test_its_page_settings_and_xyz_axes_are_there(webui: StandIn) -> None:
    webui.start()
    ((page, title, _),) = webui.callbacks["on_ui_tabs"][0]()
    assert (page is not None, title) == (True, "Merge Desk")
    for settings in webui.callbacks["on_ui_settings"]:
        settings()
    assert "merge_desk_keep" in webui.opts.data_labels
    assert any("[Merge] alpha" in option.label for option in webui.xyz.axis_options)


def test_without_its_line_it_is_a_webui_that_nobody_knows(
    webui: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "WEBUIS", table.WEBUIS[1:])
    assert webui.start()["service"].host.id == "webui"
