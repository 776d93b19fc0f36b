"""The pictures of the contact sheet: of the merge in memory, with other seeds and prompts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lib_merge.desk.selection import Selection
from lib_merge.desk.tabs.mix.view import MixResult
from lib_merge.errors import StoppedError
from lib_merge.hosts.host import DrawSettings, Picture
from tests.support.desk_host import PaperHost, PaperService
from tests.support.desk_page import DeskPage
from tests.support.full_size import write_tiny

BOTH = Selection("ink", "pastel", method="Weighted sum")
OTHER_MERGE = "The merge in memory is no longer the one of this sheet"


@pytest.fixture
def service(tmp_path: Path) -> PaperService:
    models = tmp_path / "models"
    models.mkdir()
    for name in ("ink", "pastel"):
        write_tiny(models / f"{name}.safetensors", seed=len(name))
    return PaperService(PaperHost(models, tmp_path / "data"))


@pytest.fixture
def page(service: PaperService) -> DeskPage:
    opened = DeskPage(service, BOTH)
    opened.drawing = {"prompt": "a cat", "seed": 3, "steps": 7}
    return opened


def first(page: DeskPage, amount: float = 0.5) -> dict[str, Any]:
    """What the page says of the merge and of the first picture with every further one."""
    answer = page.ask("mix.apply", parameters={"alpha": {"OUT05": amount}})
    assert answer.problem is None
    assert isinstance(answer.data, MixResult)
    assert answer.status is not None
    return {"engaged": answer.status.engaged, "drawing": answer.data.drawing_key}


def test_a_further_picture_differs_in_its_seed_alone_and_merges_nothing(
    page: DeskPage, service: PaperService
) -> None:
    meant = first(page)
    found = page.data("mix.further_picture", **meant, seed=4)
    main, more = service.host.drawn
    assert more == replace(main, seed=4)
    assert found.picture.startswith("data:image/png;base64,")
    assert (found.seed, found.infotext) == (4, "Seed: 4")
    assert len(service.requests) == 1


def test_a_further_picture_can_have_a_prompt_of_its_own(page: DeskPage, service: PaperService) -> None:
    meant = first(page)
    page.data("mix.further_picture", **meant, seed=3, prompt="a dog, (wet:1.2)")
    main, more = service.host.drawn
    assert more == replace(main, prompt="a dog, (wet:1.2)")
    page.data("mix.further_picture", **meant, seed=3, prompt="")
    assert service.host.drawn[-1].prompt == ""


def test_as_picture_of_the_sheet_leaves_the_merge_in_memory(page: DeskPage, service: PaperService) -> None:
    meant = first(page, 0.5)
    page.data("mix.further_picture", **meant, seed=4, of_a=True)
    one, of_a, again = service.requests
    assert (of_a.models, of_a.settings) == (("ink", "pastel"), {"alpha": 0.0})
    assert again == one
    assert service.host.drawn[-1].seed == 4
    page.data("mix.further_picture", **meant, seed=5)  # which is still the merge that is meant


def test_the_history_has_the_merge_once_with_its_first_picture(page: DeskPage, service: PaperService) -> None:
    meant = first(page)
    for seed in (4, 5):
        page.data("mix.further_picture", **meant, seed=seed)
    assert len(page.data("history.list").entries) == 1
    assert len(list((service.host.data_dir() / "desk-pictures").iterdir())) == 1


def test_another_merge_in_memory_or_none_is_refused_and_nothing_is_drawn(
    page: DeskPage, service: PaperService
) -> None:
    meant = first(page, 0.5)
    DeskPage(service, BOTH).ask("mix.apply", parameters={"alpha": {"OUT05": 0.9}})
    drawn = len(service.host.drawn)
    problem = page.problem("mix.further_picture", **meant, seed=4)
    assert problem.what == OTHER_MERGE
    assert problem.hint.startswith("press Generate")
    page.ask("mix.unload")
    assert page.problem("mix.further_picture", **meant, seed=4).what == OTHER_MERGE
    assert page.problem("mix.further_picture", seed=4).what == OTHER_MERGE
    assert len(service.host.drawn) == drawn


def test_a_merge_that_came_while_the_picture_waited_for_its_turn_is_refused(
    page: DeskPage, service: PaperService, monkeypatch: pytest.MonkeyPatch
) -> None:
    meant = first(page, 0.5)
    job = service.job

    def busy(label: str, task: str = "", **how: Any) -> Any:
        monkeypatch.setattr(service, "job", job)
        DeskPage(service, BOTH).ask("mix.apply", parameters={"alpha": {"OUT05": 0.9}})
        return job(label, task, **how)

    monkeypatch.setattr(service, "job", busy)
    assert page.problem("mix.further_picture", **meant, seed=4).what == OTHER_MERGE
    assert [drawn.seed for drawn in service.host.drawn] == [3, 1]


def test_changed_settings_of_the_pictures_are_refused(page: DeskPage, service: PaperService) -> None:
    meant = first(page)
    page.drawing = {**page.drawing, "steps": 9}
    what = page.problem("mix.further_picture", **meant, seed=4).what
    assert what == "The settings of the pictures have been changed since this sheet began"
    assert len(service.host.drawn) == 1


@pytest.mark.parametrize("seed", [-1, -2, 2**80])
def test_a_seed_that_is_none_is_refused(page: DeskPage, seed: int) -> None:
    assert "seed" in page.problem("mix.further_picture", **first(page), seed=seed).what


def test_a_picture_that_was_stopped_leaves_everything_as_it_was(
    page: DeskPage, service: PaperService, monkeypatch: pytest.MonkeyPatch
) -> None:
    meant = first(page)

    def stopped(settings: DrawSettings) -> Picture:
        raise StoppedError("stopped")

    with monkeypatch.context() as context:
        context.setattr(service.host, "draw", stopped)
        assert page.problem("mix.further_picture", **meant, seed=4).calm
    page.data("mix.further_picture", **meant, seed=4)
