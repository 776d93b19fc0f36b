"""The tick *Align to A first*: what it asks for, what it says, and that the search is made once."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lib_merge.desk.lists.row import alignment_note
from lib_merge.desk.selection import Selection, merge_request
from lib_merge.desk.tabs.mix.view import MixProgress
from lib_merge.errors import RecipeError
from lib_merge.progress import Progress
from lib_merge.recipe import print_recipe
from samples.assemble import assemble
from tests.support.desk_host import PaperHost, PaperService
from tests.support.desk_page import DeskPage
from tests.support.full_size import write_tiny
from tests.support.swaps import asked

TICKED = Selection("base", "other", method="Weighted sum", align=True)


@pytest.fixture
def service(tmp_path: Path) -> PaperService:
    return PaperService(PaperHost(assemble()["base"].parent, tmp_path / "data"))


def note(service: PaperService, selection: Selection) -> str:
    return alignment_note(DeskPage(service, selection).ask("lists.align"))


def steps(service: PaperService, choice: Selection) -> list[str]:
    """The recipe's lines behind the files."""
    lines = print_recipe(service.resolve(merge_request(service, choice, {})).recipe).splitlines()
    return [line for line in lines if "(" in line]


def test_without_the_tick_nothing_is_aligned_and_nothing_said(service: PaperService) -> None:
    plain = Selection("base", "other", method="Weighted sum")
    assert not merge_request(service, plain, {}).align
    assert note(service, plain) == ""
    assert note(service, Selection("base", method="Weighted sum", align=True)) == ""  # no B yet


def test_the_tick_aligns_b_for_every_move(service: PaperService) -> None:
    assert steps(service, TICKED) == ["B2 = rebasin(B, to = A)", "M = weighted_sum(A, B2)"]
    DeskPage(service, TICKED).ask("mix.apply", parameters={"alpha": 0.5})
    assert service.requests[-1].align


def test_a_base_is_aligned_and_what_was_trained_from_it_moves_as_it_does(service: PaperService) -> None:
    choice = Selection("other", "ink", "base", "Add difference", align=True)
    lines = ["B2 = rebasin(B, to = A, by = C)", "C2 = rebasin(C, to = A)", "M = add_difference(A, B2, C2)"]
    assert steps(service, choice) == lines


def test_models_that_are_mixed_are_each_aligned_for_themselves(service: PaperService) -> None:
    choice = Selection("base", "other", "ink", "Triple sum", align=True)
    assert steps(service, choice)[:2] == ["B2 = rebasin(B, to = A)", "C2 = rebasin(C, to = A)"]


def test_it_says_what_moved_and_what_that_costs_and_keeps_what_it_found(service: PaperService) -> None:
    said = note(service, TICKED)
    assert said.startswith("B: 83 of 138 groups moved, ")
    assert said.endswith("LoRAs trained on B do not fit the result; LoRAs trained on A do.")
    (kept,) = (service.host.data_dir() / "alignments").iterdir()
    written = kept.stat().st_mtime_ns
    again = PaperService(service.host)  # type: ignore[arg-type]
    assert note(again, TICKED) == said
    assert kept.stat().st_mtime_ns == written


class StoppingProgress:
    """What a page is shown at each report, and a stop after the first."""

    def __init__(self, host: StoppingHost) -> None:
        self.host = host

    def start(self, total: int, what: str) -> None:
        self.host.shown.append(self.host.page.data("mix.progress"))

    def advance(self, amount: int) -> None:
        self.host.shown.append(self.host.page.data("mix.progress"))
        self.host.page.data("mix.stop")

    def stopped(self) -> bool:
        return self.host.interrupted


class StoppingHost(PaperHost):
    """Is stopped while it works, as by the page's Stop; notes what a page would show then."""

    page: DeskPage
    interrupted = False
    shown: list[MixProgress]

    @contextmanager
    def job(self, label: str, task: str = "", *, model: bool = True) -> Generator[Progress]:
        assert not model
        yield StoppingProgress(self)

    def interrupt(self) -> None:
        self.interrupted = True


def test_stop_ends_the_search_and_the_page_saw_how_far_it_was(tmp_path: Path) -> None:
    host = StoppingHost(assemble()["base"].parent, tmp_path / "data")
    service = PaperService(host)
    host.page, host.shown = DeskPage(service), []
    assert note(service, TICKED).startswith("Not aligned: stopped.")
    assert host.shown[0].text.startswith("aligning")
    assert 0 < host.shown[-1].share < 1
    assert host.page.data("mix.progress") == MixProgress()
    assert not list(tmp_path.glob("data/alignments/*"))


def test_it_says_plainly_where_nothing_was_to_be_done(service: PaperService) -> None:
    said = note(service, Selection("base", "ink", method="Weighted sum", align=True))
    assert said.startswith("B is already aligned: ")
    assert "LoRA" not in said


def test_an_error_is_shown_in_its_own_words(tmp_path: Path) -> None:
    for name, family in (("a", "sd1"), ("b", "sdxl")):
        write_tiny(tmp_path / f"{name}.safetensors", family=family)
    service = PaperService(PaperHost(tmp_path, tmp_path / "data"))
    assert note(service, Selection("a", "b", method="Weighted sum", align=True)).startswith("Not aligned: ")


def test_over_http_it_is_true_or_false(service: PaperService) -> None:
    body = {"method": "weighted_sum", "a": "base", "b": "other"}
    assert len(service.resolve(asked({**body, "align": True})).recipe.ingredients) == 3
    assert len(service.resolve(asked({**body, "align": False})).recipe.ingredients) == 2
    with pytest.raises(RecipeError, match="align is true or false"):
        service.resolve(asked({**body, "align": "yes"}))
