"""The tab's wiring on three Gradios: every event's inputs and outputs, by id, in the handlers' order."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.full_size import write_tiny
from tests.gradio_env import PINS, python_with_gradio

ROOT = Path(__file__).parents[3]
LISTS = ["a", "b", "c", "method", "vae", "dtype", "align"]
OWN = ["prompt", "negative", "sampler", "scheduler", "steps", "cfg", "width", "height", "seed"]

# Builds the tab alone, and within a page that lends it fields, as a WebUI does; prints its events by id.
PROGRAM = """
import json, sys, warnings
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import gradio as gr
from lib_merge.desk.tab import build
from tests.desk_host import PaperHost, PaperMixer

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
alone = build(PaperMixer(PaperHost(models, data)))
with gr.Blocks() as host:
    lent = {"prompt": gr.Textbox(elem_id="txt2img_prompt"), "seed": gr.Number(elem_id="txt2img_seed")}
tab = build(PaperMixer(PaperHost(models, data)), borrowed=lent)
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


@pytest.fixture(scope="module", params=["current", *PINS])
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
    return next(each for each in wiring[page] if f"'{name}'" in each["js"])


def test_a_move_takes_the_lists_and_then_the_fields(wiring: dict[str, Any]) -> None:
    turn = event(wiring, "turn")
    assert turn["inputs"] == ["move", *LISTS, *OWN]
    assert turn["outputs"] == ["answer"]


def test_the_hosts_own_fields_take_the_place_of_ours_except_the_seed(wiring: dict[str, Any]) -> None:
    turn = event(wiring, "turn", "within")
    assert turn["inputs"] == ["move", *LISTS, "txt2img_prompt", *OWN[1:]]


def test_the_page_fills_in_exactly_as_many_inputs_as_there_are(wiring: dict[str, Any]) -> None:
    for name in ("turn", "keep", "save", "report"):
        found = event(wiring, name)
        assert f"fill(given, {len(found['inputs'])}, '{name}')" in found["js"]


def test_saving_takes_a_name_and_renews_the_lists(wiring: dict[str, Any]) -> None:
    save = event(wiring, "save")
    assert save["inputs"] == ["move", *LISTS, "name", "format", "overwrite", "of_the_file"]
    assert save["outputs"] == ["answer", "a", "b", "c"]


def test_every_list_redraws_the_scene_and_then_the_marks_and_filling_them_the_scene(
    wiring: dict[str, Any],
) -> None:
    scenes = [each for each in wiring["alone"] if each["outputs"] == ["scene", "c"]]
    marks = [each for each in wiring["alone"] if each["outputs"] == ["marks"]]
    assert (len(scenes), len(marks)) == (8, 6)
    assert all(each["inputs"] == LISTS for each in scenes + marks)


def test_stop_waits_in_no_queue(wiring: dict[str, Any]) -> None:
    stops = [each for each in wiring["alone"] if not each["inputs"] and not each["outputs"]]
    assert [each["queued"] for each in stops] == [False, False]  # of pictures, of reports


def test_a_report_takes_the_lists_and_is_asked_how_far_it_is_outside_of_the_queue(
    wiring: dict[str, Any],
) -> None:
    report = event(wiring, "report")
    assert (report["inputs"], report["outputs"]) == (["move", *LISTS], ["report_answer"])
    far = [each for each in wiring["alone"] if each["outputs"] == ["report_progress"]]
    assert [(each["inputs"], each["queued"]) for each in far] == [([], False)]


def test_nothing_of_ours_is_stored_as_a_default_of_the_host(wiring: dict[str, Any]) -> None:
    assert wiring["kept"] == []


def test_no_event_of_ours_is_offered_as_an_endpoint_of_the_hosts_api(wiring: dict[str, Any]) -> None:
    assert wiring["public"] == []
