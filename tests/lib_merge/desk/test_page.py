"""The tab's wiring on three Gradios: every event's inputs and outputs, by id, in the handlers' order."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lib_merge.desk.table import endpoints
from tests.support.full_size import write_tiny
from tests.support.gradio_env import PINS, python_with_gradio

ROOT = Path(__file__).parents[3]
LISTS = ["a", "b", "c", "method", "vae", "dtype", "align"]
OWN = ["prompt", "negative", "sampler", "scheduler", "steps", "cfg", "width", "height", "seed"]

# Builds the tab alone, and within a page that lends it fields, as a WebUI does; prints its events by id.
PROGRAM = """
import json, sys, warnings
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import gradio as gr
from lib_merge.desk.page import build
from lib_merge.service.services import Services
from tests.support.desk_host import PaperHost, PaperService

models, data = Path(sys.argv[2]), Path(sys.argv[3])
warnings.filterwarnings("error", module="lib_merge")
def name(config, id):
    found = next(c for c in config["components"] if c["id"] == id)["props"].get("elem_id") or "?"
    return found.replace("merge_desk_", "")
def events(page):
    config = page.get_config_file()
    return [
        {
            "inputs": [name(config, i) for i in each["inputs"]],
            "outputs": [name(config, i) for i in each["outputs"]],
            "js": each.get("js") or "",
            "queued": each.get("queue"),
        }
        for each in config["dependencies"]
    ]
alone = build(Services(PaperService(PaperHost(models, data))))
with gr.Blocks() as host:
    lent = {"prompt": gr.Textbox(elem_id="txt2img_prompt"), "seed": gr.Number(elem_id="txt2img_seed")}
tab = build(Services(PaperService(PaperHost(models, data))), host_fields=lent)
with gr.Blocks() as root, gr.Tabs():
    for each in (host, tab):
        with gr.TabItem("x"):
            each.render()
ours = [b for b in alone.blocks.values() if getattr(b, "label", None)]
kept = [type(b).__name__ for b in ours if not getattr(b, "do_not_save_to_config", False)]
kept = [kind for kind in kept if kind not in ("Accordion", "Button", "HTML", "Tab")]
deps = root.get_config_file()["dependencies"]
public = [d["api_name"] for d in deps if d.get("api_name") and d.get("api_visibility") != "private"]
print(json.dumps({"alone": events(alone), "within": events(root), "kept": kept, "public": public}))
"""


# another environment's Gradio is the same from whatever environment it is asked
OTHERS = [pytest.param(version, marks=pytest.mark.newest_only) for version in PINS]


@pytest.fixture(scope="module", params=["current", *OTHERS])
def wiring(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cache: Path
) -> dict[str, Any]:
    pytest.importorskip("gradio", reason="Gradio is not installed")
    folder = tmp_path_factory.mktemp("tab")
    write_tiny(folder / "ink.safetensors")
    python = sys.executable if request.param == "current" else python_with_gradio(request.param, cache)
    command = [python, "-c", PROGRAM, ROOT, folder, folder / "data"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def event(wiring: dict[str, Any], name: str, page: str = "alone") -> dict[str, Any]:
    return next(bound for bound in wiring[page] if f"'{name}'" in bound["js"])


def test_a_swap_takes_the_lists_and_then_the_fields(wiring: dict[str, Any]) -> None:
    swap = event(wiring, "mix.apply")
    assert swap["inputs"] == ["action", *LISTS, *OWN]
    assert swap["outputs"] == ["mix_apply_response"]


def test_the_hosts_own_fields_take_the_place_of_ours_except_the_seed(wiring: dict[str, Any]) -> None:
    swap = event(wiring, "mix.apply", "within")
    assert swap["inputs"] == ["action", *LISTS, "txt2img_prompt", *OWN[1:]]


def test_every_endpoint_has_its_event_its_response_and_as_many_inputs_as_the_page_fills_in(
    wiring: dict[str, Any],
) -> None:
    for name in (endpoint.name for endpoint in endpoints()):
        binding = event(wiring, name)
        assert f"fill(given, {len(binding['inputs'])}, '{name}')" in binding["js"]
        assert binding["inputs"][:8] == ["action", *LISTS]
        assert binding["outputs"][0] == f"{name.replace('.', '_')}_response"


def test_saving_takes_a_name_and_renews_the_lists(wiring: dict[str, Any]) -> None:
    save = event(wiring, "mix.save")
    assert save["inputs"] == ["action", *LISTS, "name", "format", "overwrite", "save_options"]
    assert save["outputs"] == ["mix_save_response", "overwrite"]
    assert event(wiring, "mix.saved")["outputs"] == ["mix_saved_response", "a", "b", "c"]


def test_what_is_kept_and_undone_sets_the_hosts_fields_but_its_seed(wiring: dict[str, Any]) -> None:
    for name in ("mix.resume", "mix.set_up"):
        outputs = event(wiring, name, "within")["outputs"]
        assert "txt2img_prompt" in outputs
        assert "txt2img_seed" not in outputs
        assert "seed" in outputs


def test_every_list_draws_the_state_and_then_the_differences(wiring: dict[str, Any]) -> None:
    outputs = [bound["outputs"] for bound in wiring["alone"]]
    assert outputs.count(["lists_changed_response", "c"]) == 6 + 1  # and its own button
    assert outputs.count(["lists_differences_response"]) == 6 + 1
    assert outputs.count(["lists_align_response", "align_note"]) == 4 + 1


def test_what_sets_lists_is_followed_by_the_state_that_they_settle_in(wiring: dict[str, Any]) -> None:
    setting = [bound for bound in wiring["alone"] if {"a", "method"} <= set(bound["outputs"])]
    names = [bound["outputs"][0].removesuffix("_response") for bound in setting]
    assert names == [
        "mix_load_engaged",
        "mix_resume",
        "mix_set_up",
        "grid_load_cell",
        "search_take",
        "history_load",
        "history_paste",
    ]
    outputs = [bound["outputs"] for bound in wiring["alone"]]
    assert outputs.count(["lists_settled_response", "c"]) == len(names) + 2 + 1  # open, refresh; its button


def test_what_is_asked_while_another_event_is_under_way_waits_in_no_queue(wiring: dict[str, Any]) -> None:
    for endpoint in endpoints():
        assert (event(wiring, endpoint.name)["queued"] is False) is not endpoint.queued
    assert [endpoint.name for endpoint in endpoints() if not endpoint.queued] == [
        "lists.fit",
        "language.open",
        "queue.poll",
        "queue.remove",
        "queue.restore",
        "queue.next",
        "queue.stop",
        "queue.dismiss",
        "mix.stop",
        "mix.stop_previews",
        "mix.progress",
        "mix.numbers",
        "mix.save",
        "mix.keep",
        "mix.picture",
        "report.progress",
        "report.stop",
        "search.eye",
        "search.eye_click",
        "search.eye_back",
        "history.save",
    ]


def test_nothing_of_ours_is_stored_as_a_default_of_the_host(wiring: dict[str, Any]) -> None:
    assert wiring["kept"] == []


def test_no_event_of_ours_is_offered_as_an_endpoint_of_the_hosts_api(wiring: dict[str, Any]) -> None:
    assert wiring["public"] == []
