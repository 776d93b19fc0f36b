"""In every WebUI that is not A1111: no harm, a reason, and all that works on files (forge.md 9.1)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lib_merge.checkpoint import read_header
from lib_merge.desk.api import Answers
from lib_merge.desk.handlers import Desk
from lib_merge.desk.view import status_line
from lib_merge.errors import MergeError
from lib_merge.hosts import detect
from lib_merge.hosts.a1111 import A1111Host
from lib_merge.hosts.webui import RECIPE_OPTION
from tests.full_size import write_tiny
from tests.lib_merge.hosts.stand_ins import EVENTS, FOREIGN, StandIn

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
    assert "was not swapped in" in job.comments[0]
    assert not webui.state.interrupted


def test_choosing_a_checkpoint_is_the_hosts_own_affair(webui: StandIn) -> None:
    own = webui.opts.data_labels["sd_model_checkpoint"].onchange = lambda: None
    names = webui.start()
    assert webui.opts.data_labels["sd_model_checkpoint"].onchange is own
    component = SimpleNamespace(select=lambda *_, **__: pytest.fail("listened to"))
    names["remember"](component, elem_id="setting_sd_model_checkpoint")
    assert webui.xyz.axis_options == []


def test_status_says_why_and_names_the_chosen_checkpoint(webui: StandIn) -> None:
    mixer = webui.start()["mixer"]
    status = Answers(mixer).status({})
    assert "cannot swap merges into the memory" in status["refusal"]
    assert (status["live"], status["engaged"], status["base"]) == (None, False, "a")
    assert status["checkpoints"] == ["a", "b"]
    assert "Nothing can be swapped in now: Merge Desk cannot" in status_line(mixer.status())


def test_a_merge_is_saved_from_the_api_and_from_the_page(webui: StandIn) -> None:
    mixer = webui.start()["mixer"]
    saved = Answers(mixer).save({**MERGE, "name": "mix"})
    written = webui.folder / "mix.safetensors"
    assert saved["file"] == written.name
    assert read_header(written).tensors.keys() == read_header(webui.folder / "a.safetensors").tensors.keys()
    assert "mix" in Answers(mixer).status({})["checkpoints"]
    choice = SimpleNamespace(a="a", b="b", c="", method="weighted_sum", vae="", dtype="", align=False)
    answer = Desk(mixer).save('{"parameters": {"alpha": 0.25}}', choice, "page", "safetensors", False)
    assert answer.problem is None
    assert (webui.folder / "page.safetensors").is_file()


def test_plans_and_reports_are_made_and_grids_are_refused_with_the_reason(webui: StandIn) -> None:
    mixer = webui.start()["mixer"]
    answers = Answers(mixer)
    assert answers.plan(MERGE)["slots"]
    assert answers.check({"models": ["a"]})["files"]
    assert answers.compare({"reference": "a", "models": ["b"]})
    grid = {**MERGE, "axes": {"x": "alpha: 0, 1"}}
    assert answers.grid({**grid, "action": "plan"})["planned"]
    with pytest.raises(MergeError, match="cannot swap merges into the memory"):
        answers.grid(grid)


def test_swapping_and_restoring_are_no_server_errors(webui: StandIn) -> None:
    mixer = webui.start()["mixer"]
    answers = Answers(mixer)
    with pytest.raises(MergeError, match="cannot swap merges into the memory"):
        answers.apply(MERGE)
    assert answers.restore({}) == {"report": None}
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
    told = names["mixer"].troubles

    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("broken on purpose")

        def __call__(self, *_: object, **__: object) -> Any:
            raise RuntimeError("broken on purpose")

        def __contains__(self, name: object) -> bool:
            raise RuntimeError("broken on purpose")

    inner = webui.callbacks[event][0].__wrapped__.__globals__  # type: ignore[attr-defined]
    for name in ("shared", "build", "watch", "BORROWED"):
        monkeypatch.setitem(inner, name, Broken())
    given: dict[str, tuple[object, ...]] = {
        "on_app_started": (None, None),
        "on_after_component": (None,),
        "on_infotext_pasted": ("", {}),
    }
    assert not webui.callbacks[event][0](*given.get(event, ()))
    assert "broken on purpose" in " ".join(told.values())
    assert "broken on purpose" in status_line(names["mixer"].status())


def test_a_webui_that_has_all_that_is_used_is_a1111(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"modules.sd_hijack", "modules.lowvram"}
    monkeypatch.setattr(detect, "has", lambda name: name in present)
    monkeypatch.setattr(detect, "lacking", lambda: ())
    assert isinstance(detect.webui_host(), A1111Host)
    present.add("ldm_patched.modules.model_management")
    assert detect.webui_host().id == "reforge"
    present.add("backend.memory_management")
    assert detect.webui_host().id == "forge"


def test_a_package_that_is_missing_above_a_module_is_no_error() -> None:
    assert not detect.has("no_such_package.no_such_module")
    assert not detect.has("json.no_such_module")
    assert not detect.has("math.no_such_module")
    assert detect.has("json.decoder")
