"""The guard of jobs, with a host in memory that reloads its checkpoint over the merge as WebUIs do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lib_merge.desk.webui.jobs import JobGuard
from lib_merge.errors import MergeError
from lib_merge.hosts.host import ListedFile
from lib_merge.hosts.webui import INFOTEXT_KEY, RECIPE_OPTION
from lib_merge.recipe import parse_recipe, without_hashes
from lib_merge.service.merging import MergeService
from tests.support.full_size import write_tiny
from tests.support.live_model import Memory
from tests.support.swaps import restore, swap_in
from tests.support.webui_host import FakeWebUI

SUM: Mapping[str, object] = {"method": "weighted_sum", "a": "a", "b": "b", "alpha": 0.5}


class Job:
    """The host's processing object of a job."""

    hr_checkpoint_info: Any = None
    refiner_checkpoint_info: Any = None
    conditioned = 0

    def __init__(self, **override: str) -> None:
        self.override_settings: dict[str, str] = override
        self.extra_generation_params: dict[str, str] = {INFOTEXT_KEY: "left over"}
        self.sd_model_name, self.sd_model_hash = "", None
        self.comments: list[str] = []

    def comment(self, text: str) -> None:
        self.comments.append(text)


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    (tmp_path / "models").mkdir()
    for name in "abc":
        write_tiny(tmp_path / "models" / f"{name}.safetensors", seed=ord(name))
    host = FakeWebUI([tmp_path / "models"], output=tmp_path / "out", data=tmp_path / "data")
    service = MergeService(host)
    return SimpleNamespace(
        host=host, service=service, watch=JobGuard(service, host), models=tmp_path / "models"
    )  # type: ignore[arg-type]


def run(desk: Any, **override: str) -> Job:
    job = Job(**override)
    desk.watch.before(job)
    return job


def by_name(desk: Any, name: str) -> ListedFile:
    return next(checkpoint for checkpoint in desk.host.checkpoints() if checkpoint.name == name)


def test_nothing_engaged_leaves_the_job_as_it_is(desk: Any) -> None:
    job = run(desk)
    assert (job.sd_model_name, job.sd_model_hash, job.comments) == ("a", None, [])
    assert INFOTEXT_KEY not in job.extra_generation_params


def test_a_live_merge_signs_the_picture(desk: Any) -> None:
    live = swap_in(desk.service, SUM).ident
    job = run(desk)
    assert (job.sd_model_name, job.sd_model_hash) == (live.name, live.id)
    assert job.extra_generation_params[INFOTEXT_KEY] == live.recipe


def test_a_merge_that_the_host_loaded_over_is_swapped_in_again(desk: Any) -> None:
    live = swap_in(desk.service, SUM).ident
    desk.host.load()
    assert not desk.service.is_live()
    assert run(desk).sd_model_hash == live.id
    assert desk.service.is_live()


def test_unless_the_user_wants_that_left(desk: Any) -> None:
    swap_in(desk.service, SUM)
    desk.host.options["merge_desk_keep"] = False
    desk.host.load()
    assert run(desk).sd_model_name == "a"
    assert desk.service.engaged is None


def test_picking_another_checkpoint_ends_the_merge(desk: Any) -> None:
    swap_in(desk.service, SUM)
    desk.host.load(by_name(desk, "c"))
    desk.watch.checkpoint_loaded()
    desk.host.load(by_name(desk, "a"))
    assert run(desk).sd_model_name == "a"
    assert not desk.service.is_live()


def test_picking_the_same_one_does_not(desk: Any) -> None:
    swap_in(desk.service, SUM)
    desk.watch.checkpoint_loaded()
    assert desk.service.engaged is not None


def test_choosing_the_merges_own_checkpoint_in_the_hosts_list_brings_it_back(desk: Any) -> None:
    before = Memory(desk.models / "a.safetensors").copy()
    swap_in(desk.service, SUM)
    desk.watch.checkpoint_chosen("b.safetensors [3f2a9c01d4]")  # the host sees to that one itself
    assert desk.service.is_live()
    desk.watch.checkpoint_chosen("a.safetensors [3f2a9c01d4]")
    assert not desk.service.is_live()
    assert desk.service.engaged is None
    assert all(torch.equal(desk.host.memory.weights[key], value) for key, value in before.items())


def test_choosing_it_by_the_hosts_title_brings_one_in_a_subfolder_back(desk: Any) -> None:
    for name in "ab":
        (desk.models / name).mkdir()
        (desk.models / f"{name}.safetensors").rename(desk.models / name / "x.safetensors")
    desk.host.checkpoints(refresh=True)
    desk.host.load(by_name(desk, "a/x"))
    swap_in(desk.service, {**SUM, "a": "a/x.safetensors", "b": "b/x"})
    desk.watch.checkpoint_chosen("b/x.safetensors [3f2a9c01d4]")
    assert desk.service.is_live()
    desk.watch.checkpoint_chosen("a\\x.safetensors [3f2a9c01d4]")
    assert not desk.service.is_live()


def test_a_checkpoint_that_came_without_a_word_ends_it_too(desk: Any) -> None:
    swap_in(desk.service, SUM)
    desk.host.load(by_name(desk, "c"))
    assert run(desk).comments == []
    assert desk.service.engaged is None


def test_a_jobs_own_checkpoint_only_suspends_it(desk: Any) -> None:
    live = swap_in(desk.service, SUM).ident
    desk.host.load(by_name(desk, "c"))
    job = run(desk, sd_model_checkpoint="c")
    assert job.sd_model_name == "c"
    assert "generated with c alone" in job.comments[0]
    desk.host.load(by_name(desk, "a"))
    assert run(desk).sd_model_hash == live.id


def test_a_merge_that_cannot_come_back_stops_the_job_and_is_released(desk: Any) -> None:
    swap_in(desk.service, SUM)
    desk.host.load()
    (desk.models / "b.safetensors").unlink()
    job = run(desk)
    assert desk.host.interrupted == 1
    assert "b.safetensors is gone" in job.comments[0]
    assert job.sd_model_name == "a"
    assert run(desk).comments == []


@pytest.mark.parametrize("failure", [MergeError("odd"), RuntimeError("out of memory"), KeyError("x")])
def test_whatever_goes_wrong_stops_the_job(
    desk: Any, failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap_in(desk.service, SUM)
    desk.host.load()

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(desk.service, "prepare", fail)
    job = run(desk)
    assert desk.host.interrupted == 1
    assert len(job.comments) == 1
    assert desk.service.engaged is None


def test_a_job_that_cannot_be_stopped_is_drawn_with_the_checkpoint_and_never_with_half_a_merge(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = desk.host.model().copy()
    swap_in(desk.service, SUM)

    def fail(*_: object) -> None:
        raise RuntimeError("no such thing here")

    monkeypatch.setattr(desk.host, "interrupt", fail)
    monkeypatch.setattr(desk.host, "release_unused", fail)
    job = run(desk)
    assert same(desk.host.model().copy(), plain)
    assert "no such thing here" in job.comments[0]
    assert desk.service.engaged is None
    assert "no such thing here" in desk.service.status().note


def test_a_job_that_another_extension_made_by_hand_is_drawn_with_the_merge(desk: Any) -> None:
    live = swap_in(desk.service, SUM).ident
    job: Any = SimpleNamespace(override_settings=None)  # no name, no hash, no place for infotexts or comments
    desk.watch.before(job)
    desk.watch.before(job)
    assert desk.host.interrupted == 0
    assert (job.sd_model_hash, job.extra_generation_params) == (live.id, {INFOTEXT_KEY: live.recipe})


def test_an_error_of_ours_before_any_merge_leaves_the_job_alone(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AttributeError("'SdModelData' object has no attribute 'loaded_sd_models'")

    monkeypatch.setattr(desk.host, "release_unused", fail)
    job = run(desk)
    assert desk.host.interrupted == 0
    assert (job.comments, job.extra_generation_params) == ([], {INFOTEXT_KEY: "left over"})
    assert "loaded_sd_models" in desk.service.status().note
    monkeypatch.undo()
    run(desk)
    assert desk.service.status().note == ""


# --- weights of a job's own ---


def weights(desk: Any) -> dict[str, torch.Tensor]:
    return desk.host.model().copy()


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[key]) for key, value in one.items())


def test_a_job_that_chooses_the_checkpoint_under_the_merge_gets_that_checkpoint(desk: Any) -> None:
    plain = weights(desk)
    live = swap_in(desk.service, SUM).ident
    merged = weights(desk)
    job = run(desk, sd_model_checkpoint="a.safetensors")  # the X/Y/Z script's axis, or a pasted hash
    assert same(weights(desk), plain)
    assert (job.sd_model_name, INFOTEXT_KEY in job.extra_generation_params) == ("a", False)
    assert "generated with a alone" in job.comments[0]
    desk.watch.before(job)  # its second batch
    assert same(weights(desk), plain)
    assert run(desk).sd_model_hash == live.id
    assert same(weights(desk), merged)


def test_a_plot_over_checkpoints_leaves_the_engaged_merge_in_memory(desk: Any) -> None:
    swap_in(desk.service, SUM)
    merged = weights(desk)
    own = type("Script", (), {"run": lambda self, job: desk.watch.before(job)})
    module = SimpleNamespace(AxisOption=lambda label, *_, **__: SimpleNamespace(label=label), axis_options=[])
    desk.watch.axes.register(SimpleNamespace(module=module, script_class=own))
    own().run(Job(sd_model_checkpoint="a.safetensors"))
    assert same(weights(desk), merged)


def recipe_of_sum(desk: Any, **more: object) -> str:
    """As a picture's infotext carries it; afterwards nothing is engaged."""
    recipe = swap_in(desk.service, {**SUM, **more}).ident.recipe
    restore(desk.service)
    return recipe


def test_a_pictures_recipe_is_drawn_with_and_gone_without(desk: Any) -> None:
    plain = weights(desk)
    recipe = recipe_of_sum(desk)
    job = run(desk, **{RECIPE_OPTION: recipe})
    assert (job.sd_model_name, job.comments) == ("a + b (unsaved)", [])
    live_recipe = parse_recipe(job.extra_generation_params[INFOTEXT_KEY])  # hashes are learnt meanwhile
    assert without_hashes(live_recipe) == without_hashes(parse_recipe(recipe))
    merged = weights(desk)
    assert not same(merged, plain)
    assert desk.service.engaged is None
    desk.watch.before(job)  # its second batch
    assert same(weights(desk), merged)
    assert run(desk).sd_model_name == "a"
    assert same(weights(desk), plain)


def test_a_pictures_recipe_comes_before_what_is_engaged_for_its_job_alone(desk: Any) -> None:
    own = recipe_of_sum(desk, b="c")
    live = swap_in(desk.service, SUM).ident
    merged = weights(desk)
    assert run(desk, **{RECIPE_OPTION: own}).sd_model_name == "a + c (unsaved)"
    assert not same(weights(desk), merged)
    assert run(desk).sd_model_hash == live.id
    assert same(weights(desk), merged)


@pytest.mark.parametrize("engaged", [False, True])
def test_a_recipe_whose_files_are_gone_is_reported_and_the_infotext_is_honest(
    desk: Any, engaged: bool
) -> None:
    recipe = recipe_of_sum(desk, b="c")
    (desk.models / "c.safetensors").unlink()
    if engaged:
        swap_in(desk.service, SUM)
    before = weights(desk)
    job = run(desk, **{RECIPE_OPTION: recipe})
    assert "was not applied" in job.comments[0]
    assert "c.safetensors" in job.comments[0]
    assert desk.host.interrupted == 0
    assert job.sd_model_name == ("a + b (unsaved)" if engaged else "a")
    assert (INFOTEXT_KEY in job.extra_generation_params) == engaged
    assert same(weights(desk), before)


def test_a_recipe_that_is_none_is_refused(desk: Any) -> None:
    job = run(desk, **{RECIPE_OPTION: "a cat in a hat"})
    assert "was not applied" in job.comments[0]
    assert (job.sd_model_name, desk.host.interrupted) == ("a", 0)


def test_an_id_alone_finds_its_merge_in_the_history(desk: Any) -> None:
    live = swap_in(desk.service, SUM).ident
    restore(desk.service)
    assert run(desk, **{RECIPE_OPTION: live.id}).sd_model_hash == live.id
    job = run(desk, **{RECIPE_OPTION: "merge-00000000"})
    assert "the history has no merge 'merge-00000000'" in job.comments[0]
    assert job.sd_model_name == "a"


def test_a_checkpoint_and_a_recipe_in_one_job_are_the_checkpoint_and_a_word(desk: Any) -> None:
    recipe = recipe_of_sum(desk)
    job = run(desk, sd_model_checkpoint="a.safetensors", **{RECIPE_OPTION: recipe})
    assert (job.sd_model_name, INFOTEXT_KEY in job.extra_generation_params) == ("a", False)
    assert "is not used" in job.comments[0]


def test_a_refiner_and_a_hires_checkpoint_are_loaded_apart_from_the_merge(desk: Any) -> None:
    swap_in(desk.service, SUM)
    job = Job()
    job.refiner_checkpoint_info, job.hr_checkpoint_info = "a", "b"
    desk.watch.before(job)
    assert (job.refiner_checkpoint_info, job.hr_checkpoint_info) == (("apart", "a"), ("apart", "b"))


def test_the_second_pass_after_a_refiner_has_the_merge_again(desk: Any) -> None:
    swap_in(desk.service, SUM)
    merged, job = weights(desk), run(desk)
    desk.watch.before_second_pass(job)
    assert job.conditioned == 0
    desk.host.load(by_name(desk, "a"))  # what the host does for it
    desk.watch.before_second_pass(job)
    assert job.conditioned == 1
    assert same(weights(desk), merged)
    desk.host.load(by_name(desk, "a"))
    (desk.models / "b.safetensors").unlink()
    desk.watch.before_second_pass(job)
    assert desk.host.interrupted


# --- pasting ---


def test_a_pasted_merge_is_no_checkpoint_to_look_for(desk: Any) -> None:
    params = {"Model hash": "merge-12345678", "Model": "a + b (unsaved)"}
    desk.watch.infotext_pasted(params)
    assert "Model hash" not in params
    params = {"Model hash": "0123456789"}
    desk.watch.infotext_pasted(params)
    assert params == {"Model hash": "0123456789"}


def test_a_pasted_merge_without_a_recipe_brings_its_id(desk: Any) -> None:
    params = {"Model hash": "merge-12345678"}
    desk.watch.infotext_pasted(params)
    assert params == {INFOTEXT_KEY: "merge-12345678"}
    params = {"Model hash": "merge-12345678", INFOTEXT_KEY: "merge-desk recipe 2"}
    desk.watch.infotext_pasted(params)
    assert params == {INFOTEXT_KEY: "merge-desk recipe 2"}
    desk.host.options["infotext_skip_pasting"] = [INFOTEXT_KEY]
    params = {"Model hash": "merge-12345678"}
    desk.watch.infotext_pasted(params)
    assert params == {}
