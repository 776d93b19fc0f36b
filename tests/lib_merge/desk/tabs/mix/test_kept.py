"""The desk outlives its page: what is kept on the server, and what a page that is opened again gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib_merge.desk.selection import Selection
from lib_merge.library.desk_state import FILE
from tests.support.desk_host import PaperHost, PaperService
from tests.support.desk_page import DeskPage
from tests.support.full_size import write_tiny

BOTH = Selection("ink", "pastel", method="TIES", align=True)


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
    opened.drawing = {"prompt": "a cat", "seed": 3, "styles": ["one"]}
    return opened


def test_a_page_gets_what_the_last_one_has_kept(page: DeskPage, service: PaperService) -> None:
    assert page.data("mix.resume").page == ""
    page.data("mix.keep", page='{"version": 1}', engaged="merge-1")
    reopened = DeskPage(service, Selection())
    reopened.drawing = {"prompt": "", "seed": -1}
    desk = reopened.data("mix.resume")
    assert (desk.page, desk.engaged, desk.align) == ('{"version": 1}', "merge-1", True)
    assert (desk.lists["a"], desk.lists["b"], desk.lists["method"]) == ("ink", "pastel", "TIES")
    assert desk.drawing == {"prompt": "a cat", "seed": 3, "styles": ("one",)}
    assert desk.present == {"prompt": "", "seed": -1}


def test_a_checkpoint_that_is_gone_is_not_chosen(page: DeskPage, service: PaperService) -> None:
    page.data("mix.keep", page="{}")
    service.host.checkpoints()[1].path.unlink()
    service.host.checkpoints(refresh=True)
    desk = page.data("mix.resume")
    assert (desk.lists["a"], desk.lists["b"]) == ("ink", "")


def test_a_drawn_picture_is_there_for_the_next_page(page: DeskPage) -> None:
    drawn = page.data("mix.apply", Selection("ink", "pastel", method="Weighted sum"))
    assert page.data("mix.picture", id=drawn.picture_id).picture == drawn.picture
    assert page.data("mix.picture", id="nothing").picture == ""


def test_a_damaged_file_is_one_clear_error(page: DeskPage, service: PaperService) -> None:
    (service.host.data_dir() / FILE).write_text("{")
    problem = page.problem("mix.resume")
    assert (problem.what, problem.where) == ("The desk as it was left cannot be read", FILE)


def test_a_picture_is_shown_though_it_cannot_be_kept(page: DeskPage, service: PaperService) -> None:
    (service.host.data_dir() / "desk-pictures").write_text("a file where the folder should be")
    drawn = page.data("mix.apply", Selection("ink", "pastel", method="Weighted sum"))
    assert drawn.picture.startswith("data:image/png")
    assert drawn.picture_id == ""


def test_a_second_page_gets_the_cards_of_the_first_and_adds_its_own(
    page: DeskPage, service: PaperService
) -> None:
    chosen = Selection("ink", "pastel", method="Weighted sum")
    first, second = (
        page.data("mix.apply", chosen, parameters={"alpha": {"OUT05": at}}).picture_id for at in (0.2, 0.7)
    )
    page.data("mix.keep_cards", cards=[{"id": first, "marked": True, "text": '{"note": "mine"}'}])
    other = DeskPage(service, chosen)
    assert [(card.id, card.text) for card in other.data("mix.cards").cards] == [(first, '{"note": "mine"}')]
    other.data("mix.keep_cards", cards=[{"id": second, "marked": False, "text": "{}"}])
    assert [card.id for card in page.data("mix.cards").cards] == [first, second]
    page.data("mix.keep_cards", gone=[second])
    assert [card.id for card in page.data("mix.cards").cards] == [first]
