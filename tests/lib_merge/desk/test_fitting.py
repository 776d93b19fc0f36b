"""Which files the lists of B and C offer first, and why the others do not fit A."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lib_merge.desk.lists.fitting import FittingFiles, ordered
from lib_merge.desk.lists.view import UiState
from lib_merge.desk.selection import Selection
from tests.support.desk_host import PaperHost, PaperService
from tests.support.desk_page import DeskPage
from tests.support.full_size import write_tiny


@pytest.fixture
def service(tmp_path: Path) -> PaperService:
    models = tmp_path / "models"
    models.mkdir()
    for seed, name in enumerate(("base", "cat", "pastel")):
        write_tiny(models / f"{name}.safetensors", seed=seed)
    write_tiny(models / "anime-xl.safetensors", "sdxl")
    return PaperService(PaperHost(models, tmp_path / "data"))


@pytest.fixture
def page(service: PaperService) -> DeskPage:
    return DeskPage(service)


def fit(page: DeskPage, a: str) -> FittingFiles:
    return page.data("lists.fit", Selection(a))


def whole_fit(page: DeskPage, service: PaperService, a: str) -> FittingFiles:
    """The answer once every file is read: a busy machine leaves some of them to the thread."""
    found = fit(page, a)
    service.kinds.join()
    return fit(page, a) if found.left else found


def test_the_lists_say_what_fits_a_and_why_the_others_do_not(page: DeskPage, service: PaperService) -> None:
    found = whole_fit(page, service, "base")
    assert (found.a, found.fits, found.left) == ("base", ("cat", "pastel"), 0)
    assert [(misfit.name, misfit.why) for misfit in found.misfits] == [("anime-xl", "SDXL, A is SD1")]
    assert ordered(found) == ("cat", "pastel", "base", "anime-xl")
    other = whole_fit(page, service, "anime-xl")
    assert other.fits == ()
    assert {misfit.why for misfit in other.misfits} == {"SD1, A is SDXL"}


def test_without_an_a_that_can_be_read_no_file_fits_or_misfits(page: DeskPage, service: PaperService) -> None:
    service.host.checkpoints()[0].path.with_name("damaged.safetensors").write_bytes(b"nothing")
    for a in ("", "gone", "damaged"):
        assert replace(fit(page, a), unreadable="") == FittingFiles(a)
    assert "damaged" in {misfit.name for misfit in whole_fit(page, service, "base").misfits}


def test_a_long_list_is_answered_before_all_of_it_is_read(
    page: DeskPage, service: PaperService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib_merge.desk.lists.fitting.AT_ONCE", 0)
    monkeypatch.setattr(service.kinds, "read_in_background", lambda *_: None)
    found = fit(page, "base")
    assert (len(found.fits) + len(found.misfits), found.left) == (1, 2)
    assert fit(page, "base").left == 1
    assert fit(page, "base").left == 0


def test_a_b_that_does_not_fit_is_a_problem_with_files_that_do(page: DeskPage, service: PaperService) -> None:
    whole_fit(page, service, "base")
    state: UiState = page.data("lists.changed", Selection("base", "anime-xl", method="Weighted sum"))
    assert state.problem is not None
    assert "they cannot be merged" in state.problem.what
    assert state.problem.hint.endswith("; these fit base: cat, pastel")
