"""In every WebUI that has no adapter, or lacks what one uses: no harm, a reason, and all that works on files.

Why: docs/hosts.md.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lib_merge.architectures import read_header
from lib_merge.desk.selection import Selection
from lib_merge.desk.status import memory_line
from lib_merge.errors import MergeError
from lib_merge.hosts import detect, live_webui, sdnext, table
from lib_merge.hosts.a1111 import A1111Host
from lib_merge.hosts.webui import RECIPE_OPTION
from tests.lib_merge.hosts.stand_ins import EVENTS, FOREIGN, StandIn
from tests.support.desk_page import DeskPage, call
from tests.support.full_size import write_tiny

pytestmark = pytest.mark.newest_only

MERGE = {"method": "weighted_sum", "a": "a", "b": "b", "alpha": 0.5}

pytest.importorskip("gradio")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    for name in "ab":
        write_tiny(folder / f"{name}.safetensors", seed=ord(name))
    return folder


@pytest.fixture(params=FOREIGN)
def webui(
    request: pytest.FixtureRequest, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> StandIn:
    for path in models.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return StandIn(tmp_path, request.param, monkeypatch)


class Job:
    """A job whose every change is noted."""

    changed: list[tuple[str, object]]
    comments: list[str]
    extra_generation_params: dict[str, object]

    def __init__(self, **settings: str) -> None:
        self.__dict__.update(override_settings=settings, extra_generation_params={"Seed": 1}, changed=[])
        self.__dict__.update(comments=[], sd_model_name="a", sd_model_hash="0123456789")

    def __setattr__(self, name: str, value: object) -> None:
        self.changed.append((name, value))

    def comment(self, text: str) -> None:
        self.comments.append(text)


def test_a_job_is_left_as_it_is(webui: StandIn) -> None:
    script = webui.start()["MergeDeskScript"]()
    job = Job()
    script.process(job)
    script.before_process_batch(job, batch_number=0)
    script.before_hr(job)
    assert (job.changed, job.comments, job.extra_generation_params) == ([], [], {"Seed": 1})
    assert not webui.state.interrupted


def test_a_picture_with_a_recipe_is_drawn_and_says_that_it_is_not_used(webui: StandIn) -> None:
    script = webui.start()["MergeDeskScript"]()
    job = Job(**{RECIPE_OPTION: "merge-desk recipe 2\n"})
    script.process(job)
    assert job.changed == []
    assert "was not applied" in job.comments[0]
    assert not webui.state.interrupted


def must_not_be_called(*_: object, **__: object) -> None:
    pytest.fail("listened to")


def test_choosing_a_checkpoint_is_the_hosts_own_affair(webui: StandIn) -> None:
    own = webui.opts.data_labels["sd_model_checkpoint"].onchange = lambda: None
    names = webui.start()
    assert webui.opts.data_labels["sd_model_checkpoint"].onchange is own
    component = SimpleNamespace(select=must_not_be_called)
    names["remember"](component, elem_id="setting_sd_model_checkpoint")
    assert webui.xyz.axis_options == []


def test_status_says_why_and_names_the_chosen_checkpoint(webui: StandIn) -> None:
    services = webui.start()["services"]
    status = call(services, "GET", "status")
    assert "cannot load merges into the memory" in status["refusal"]
    assert (status["live"], status["engaged"], status["base"]) == (None, False, "a")
    assert status["checkpoints"] == ["a", "b"]
    assert "No merge can be loaded now: Merge Desk cannot" in memory_line(services.merging.status())


def test_a_merge_is_saved_from_the_api_and_from_the_page(webui: StandIn) -> None:
    services = webui.start()["services"]
    saved = call(services, "POST", "save", {**MERGE, "name": "mix"})
    written = webui.folder / "mix.safetensors"
    assert saved["file"] == written.name
    assert read_header(written).tensors.keys() == read_header(webui.folder / "a.safetensors").tensors.keys()
    assert "mix" in call(services, "GET", "status")["checkpoints"]
    page = DeskPage(services.merging, Selection("a", "b", method="weighted_sum"))
    data: Any = page.saved(name="page", parameters={"alpha": 0.25}).data
    assert data.sheet
    assert (webui.folder / "page.safetensors").is_file()


def test_plans_and_reports_are_made_and_grids_are_refused_with_the_reason(webui: StandIn) -> None:
    services = webui.start()["services"]
    post = partial(call, services, "POST")
    assert post("plan", MERGE)["slots"]
    assert post("check", {"models": ["a"]})["files"]
    assert post("compare", {"reference": "a", "models": ["b"]})
    grid = {**MERGE, "axes": {"x": "alpha: 0, 1"}}
    assert post("grid", {**grid, "action": "plan"})["planned"]
    with pytest.raises(MergeError, match="cannot load merges into the memory"):
        post("grid", grid)


def test_swapping_and_restoring_are_no_server_errors(webui: StandIn) -> None:
    services = webui.start()["services"]
    post = partial(call, services, "POST")
    with pytest.raises(MergeError, match="cannot load merges into the memory"):
        post("apply", MERGE)
    assert post("restore") == {"report": None}
    assert not webui.state.interrupted


def test_the_tab_is_built(webui: StandIn) -> None:
    webui.start()
    ((page, title, name),) = webui.callbacks["on_ui_tabs"][0]()
    assert (title, name) == ("Merge Desk", "merge_desk")
    assert page is not None
    for settings in webui.callbacks["on_ui_settings"]:
        settings()


@pytest.mark.parametrize("event", EVENTS)
def test_no_callback_of_ours_raises_into_the_host(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    webui = StandIn(tmp_path, "forge", monkeypatch)
    names = webui.start()
    failures = names["service"].failures

    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("broken on purpose")

        def __call__(self, *_: object, **__: object) -> Any:
            raise RuntimeError("broken on purpose")

        def __contains__(self, name: object) -> bool:
            raise RuntimeError("broken on purpose")

    inner = webui.callbacks[event][0].__wrapped__.__globals__  # type: ignore[attr-defined]
    for name in ("shared", "build", "watch", "TXT2IMG_FIELDS"):
        monkeypatch.setitem(inner, name, Broken())
    arguments: dict[str, tuple[object, ...]] = {
        "on_app_started": (None, None),
        "on_after_component": (None,),
        "on_infotext_pasted": ("", {}),
    }
    assert not webui.callbacks[event][0](*arguments.get(event, ()))
    assert "broken on purpose" in " ".join(failures.values())
    assert "broken on purpose" in names["service"].status().note


def test_a_webui_is_known_by_its_modules_and_only_with_all_that_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    present = {"modules.sd_hijack", "modules.lowvram"}
    for module in (live_webui, sdnext):
        monkeypatch.setattr(module, "has_module", present.__contains__)
    lost: list[str] = []
    for host in table.LIVE:
        monkeypatch.setattr(host, "missing", lambda: lost)
    assert isinstance(table.webui_host(), A1111Host)
    for module, id in (
        ("ldm_patched.modules.model_management", "a1111"),  # Forge before its backend, with A1111's modules
        ("modules.uni_pc", "classic"),
        ("modules.sd_text_encoder", "reforge"),
        ("backend.memory_management", "forge"),
    ):
        present.add(module)
        assert table.webui_host().id == id
    lost.append("sd_models.checkpoint_aliases")
    unknown = table.webui_host()
    assert unknown.id == "webui"
    assert "it has no sd_models.checkpoint_aliases" in unknown.unavailable_reason


def test_sd_next_is_known_and_says_why_no_merge_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"modules.modeldata", "modules.processing_diffusers"}
    for module in (live_webui, sdnext):
        monkeypatch.setattr(module, "has_module", present.__contains__)
    host = table.webui_host()
    assert host.id == "sdnext"
    assert "diffusers pipeline" in host.unavailable_reason


def test_a_package_that_is_missing_above_a_module_is_no_error() -> None:
    assert not detect.has_module("no_such_package.no_such_module")
    assert not detect.has_module("json.no_such_module")
    assert not detect.has_module("math.no_such_module")
    assert detect.has_module("json.decoder")
