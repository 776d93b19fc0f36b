"""The handlers of the tab Report: requests, results, and the actions offered for a finding."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from safetensors.torch import load_file

from lib_merge.architectures import family_by_id, read_header, slot_of
from lib_merge.checkpoint import Header
from lib_merge.desk.selection import Selection
from lib_merge.desk.tabs.report.drawing import slot_layout
from lib_merge.desk.tabs.report.view import FaderAction, Report, ReportRow, ReportTable
from lib_merge.errors import StoppedError
from lib_merge.hosts.host import ListedFile
from lib_merge.progress import NoProgress
from lib_merge.report.render.heat import color_position
from lib_merge.report.similarity.comparison import compare
from lib_merge.report.similarity.kinds import REPORT_KINDS
from lib_merge.service.reports import CompareRequest, ReportRun, compare_named
from tests.support.desk_host import PaperHost, PaperService
from tests.support.desk_page import DeskPage
from tests.support.full_size import write_tiny
from tests.support.merging import rewrite

pytestmark = pytest.mark.newest_only

INK, PASTEL, BROKEN = "ink", "pastel", "broken"
CHOICE = Selection(INK, BROKEN)
FAMILY = family_by_id("sd1")


def broken_middle(sound: Path, target: Path) -> Path:
    """The file with noise in its middle block, and one NaN in OUT05."""
    draw = torch.Generator().manual_seed(1)
    tensors = load_file(sound)
    damage = {
        key: (x + torch.randn(x.shape, generator=draw) * x.float().std() * 2).to(x.dtype)
        for key, x in tensors.items()
        if slot_of(FAMILY, key) == "M00" and x.ndim > 1
    }
    key = "model.diffusion_model.output_blocks.5.1.proj_in.weight"
    torn = tensors[key].clone()
    torn.view(-1)[0] = float("nan")
    return rewrite(sound, {**damage, key: torn}, target)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("report") / "models"
    models.mkdir()
    ink = write_tiny(models / f"{INK}.safetensors", seed=1)
    pastel = write_tiny(models / f"{PASTEL}.safetensors", seed=2, near=ink, scale=0.002)
    broken_middle(pastel, models / f"{BROKEN}.safetensors")
    return models


@pytest.fixture
def page(folder: Path, tmp_path: Path) -> DeskPage:
    return DeskPage(PaperService(PaperHost(folder, tmp_path / "data")), CHOICE)


def reported(page: DeskPage, *models: str, **more: Any) -> Report:
    return page.data("report.compare", reference=INK, models=models, **more)


def row(table: ReportTable, name: str) -> ReportRow:
    return next(row for row in table.rows if row.name == name)


def test_the_offer_names_the_checkpoints_and_what_the_lists_above_have(page: DeskPage) -> None:
    offer = page.data("report.open")
    assert offer.checkpoints == (BROKEN, INK, PASTEL)
    assert (offer.a, offer.b) == (INK, BROKEN)
    assert [(kind.id, kind.title) for kind in offer.kinds] == [(kind.id, kind.title) for kind in REPORT_KINDS]
    assert {kind.id: kind.seed for kind in offer.kinds}["sdsim"] == 114514
    assert offer.kinds[0].seed is None


def test_a_table_has_every_slot_with_its_number_and_the_totals(page: DeskPage, folder: Path) -> None:
    (table, *_) = reported(page, PASTEL).tables
    ink, pastel = (read_header(folder / f"{name}.safetensors") for name in (INK, PASTEL))
    (model,) = compare(ink, [pastel]).models
    for slot, value in model.values.items():
        cells_of_slot = row(table, slot)
        assert cells_of_slot.slot == slot
        assert cells_of_slot.cells[0].text == f"{100 * value:.4f}"
        assert cells_of_slot.cells[0].heat == pytest.approx(1 - color_position(value))
    for name, value in model.totals.items():
        assert row(table, f"{name} total").cells[0].text == f"{100 * value:.4f}"
        assert row(table, f"{name} total").slot == ""
    names = [table_row.name for table_row in table.rows]
    assert names.index("M00") + 1 == names.index("input total")
    assert names.index("OUT11") + 1 == names.index("output total")


def test_the_drawing_has_a_bar_for_each_slot_where_its_block_is_and_the_longer_the_more_it_differs(
    page: DeskPage,
) -> None:
    drawing = reported(page, PASTEL, BROKEN).drawing
    assert drawing.layout.left == tuple(f"IN{n:02}" for n in range(12))
    assert (drawing.layout.middle, drawing.layout.right[0]) == (("M00",), "OUT11")
    shown = [*drawing.layout.left, *drawing.layout.middle, *drawing.layout.right, *drawing.layout.outside]
    assert sorted(shown) == sorted(drawing.bars)
    pastel, broken = drawing.bars["M00"]
    assert 0 <= pastel.heat < broken.heat <= 1
    ticks = [tick.heat for tick in drawing.ticks]
    assert ticks == sorted(ticks, reverse=True)


def test_a_slot_outside_of_all_blocks_is_in_a_row_of_its_own() -> None:
    layout = slot_layout(("CLIP_L", "D00", "D01", "S00", "IMG"))
    assert (layout.left, layout.right, layout.outside) == (("D00", "D01"), ("S00",), ("CLIP_L", "IMG"))


def test_the_tables_of_the_chilly_mix_base_page_have_its_columns(page: DeskPage) -> None:
    report = reported(page, PASTEL, BROKEN, kind="attention")
    inputs, outputs = report.tables[-2:]
    assert inputs.columns == ("IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "MID0", "total")
    assert outputs.columns == (*(f"OUT{n:02}" for n in range(3, 12)), "total")
    for table in (inputs, outputs):
        assert [table_row.name for table_row in table.rows] == [PASTEL, BROKEN]
        numbers = [float(cell.text) for cell in table.rows[0].cells]
        assert numbers[-1] == pytest.approx(sum(numbers[:-1]) / len(numbers[:-1]), abs=1e-4)


def test_several_models_stand_beside_each_other_and_are_ranked(page: DeskPage) -> None:
    report = reported(page, BROKEN, PASTEL, kind="attention")
    assert report.tables[0].columns == (BROKEN, PASTEL)
    assert [rank.name for rank in report.ranking] == [PASTEL, BROKEN]
    first, last = report.ranking
    assert first.input is not None
    assert last.input is not None
    assert first.input > last.input


def test_weights_of_several_models_have_a_table_for_each_measure(page: DeskPage) -> None:
    report = reported(page, BROKEN, PASTEL, base=PASTEL)
    titles = [table.title for table in report.tables]
    assert titles[0].startswith("Cosine of the differences to pastel")
    assert report.notes[0].startswith("pastel is the base: its difference to itself is zero")
    assert {"Relative L2, %", "Equal elements, %", "Cosine of differences, %"} <= set(titles)


@pytest.mark.parametrize(("seed", "text"), [(None, "seed 2244096"), (7, "seed 7")])
def test_the_seed_is_shown_and_can_be_set(page: DeskPage, seed: int | None, text: str) -> None:
    assert text in reported(page, PASTEL, kind="supermerger", seed=seed).title


def test_a_broken_block_of_b_is_mended_by_a_mute_of_its_fader(page: DeskPage) -> None:
    (finding,) = reported(page, BROKEN).findings
    assert finding.text.startswith("M00 of broken looks broken: it differs from ink's by")
    assert finding.actions == (
        FaderAction("Take ink's M00", "mute", "M00"),
        FaderAction("Solo M00", "solo", "M00"),
    )


def test_a_broken_block_of_a_is_mended_by_b(page: DeskPage) -> None:
    turned = Selection(BROKEN, INK)
    report = page.data("report.compare", turned, reference=INK, models=[BROKEN])
    assert report.findings[0].actions[0] == FaderAction("Take ink's M00", "whole", "M00")


@pytest.mark.parametrize("names", [(), (INK,), (INK, PASTEL), ("gone", "lost")])
def test_a_model_that_is_not_on_the_desk_has_no_clicks(page: DeskPage, names: tuple[str, ...]) -> None:
    report = page.data("report.compare", Selection(*names), reference=INK, models=[BROKEN])
    assert [finding.actions for finding in report.findings] == [()]


def test_health_is_said_in_sentences_and_sound_files_raise_nothing(page: DeskPage) -> None:
    sound, broken = page.data("report.check", models=[INK, BROKEN]).files
    assert (sound.findings, sound.title) == ((), f"{FAMILY.title}, 1131 tensors, nothing is wrong")
    assert broken.title.endswith("1 thing looks wrong")
    assert broken.findings[0].text.startswith("OUT05 holds NaN or infinity, once in 1 tensor")
    assert broken.findings[0].actions[0] == FaderAction("Take ink's OUT05", "mute", "OUT05")


def test_health_beside_a_sound_model_finds_the_block_too(page: DeskPage) -> None:
    (checked,) = page.data("report.check", models=[BROKEN], base=INK).files
    assert any(finding.text.startswith("M00 of broken looks broken") for finding in checked.findings)


def test_csv_and_json_hold_every_digit(page: DeskPage) -> None:
    report = reported(page, PASTEL, BROKEN, kind="asim2")
    data = json.loads(report.json)
    rows = list(csv.DictReader(io.StringIO(report.csv)))
    for model in data["models"]:
        for slot in model["slots"]:
            (match,) = (
                line for line in rows if (line["model"], line["slot"]) == (model["name"], slot["slot"])
            )
            assert float(match["percent"]) == slot["percent"]
    assert "/" not in report.json + report.csv


def test_a_report_is_taken_from_the_disk_the_second_time(
    page: DeskPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = reported(page, PASTEL, kind="attention")

    def compared_again(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the report was computed again")

    monkeypatch.setattr("lib_merge.report.similarity.cache.compare_one", compared_again)
    assert reported(page, PASTEL, kind="attention").tables == first.tables


def test_a_picture_is_a_png(page: DeskPage) -> None:
    pytest.importorskip("matplotlib")
    assert page.data("report.plot", reference=INK, models=[PASTEL]).picture.startswith(
        "data:image/png;base64,iVBOR"
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"models": [PASTEL]}, "No reference is chosen"),
        ({"reference": INK}, "No model is chosen"),
        ({"reference": INK, "models": ["pastle"]}, "There is no checkpoint called 'pastle'"),
        ({"reference": INK, "models": "pastel"}, "'models' must be a list of names"),
        ({"reference": INK, "models": [PASTEL], "kind": "looks"}, "There is no comparison of kind 'looks'"),
        ({"reference": INK, "models": [PASTEL], "seed": 3}, "'weights' compares models without a seed"),
        ({"reference": INK, "models": [PASTEL], "base": INK}, "The base is the reference, ink"),
        ({"reference": INK, "models": [PASTEL], "kind": "asim2", "seed": 0.5}, "'seed' must be an integer"),
        ({"reference": INK, "models": [PASTEL], "sede": 3}, "'sede' is nothing that a comparison takes"),
    ],
)
def test_what_cannot_be_done_is_said(page: DeskPage, body: dict[str, object], message: str) -> None:
    assert page.problem("report.compare", **body).what.startswith(message)


def test_after_an_error_the_next_report_works(page: DeskPage) -> None:
    assert page.send('{"seq": 6, "name": "report.compare", "data": 3}').problem
    assert reported(page, PASTEL).tables


def test_a_run_tells_how_far_it_is_and_stops_when_asked() -> None:
    run = ReportRun()
    run.start(200, "comparing")
    run.advance(50)
    assert (run.progress().what, run.progress().share) == ("comparing", 0.25)
    run.start(100, "comparing")
    assert (run.progress().what, run.progress().share) == ("comparing, part 2", 0)
    run.stop()
    assert run.stopped()


def test_stop_ends_a_report(folder: Path, tmp_path: Path) -> None:
    class Pressing(PaperService):
        """Stop is pressed while the files are opened."""

        def header(self, checkpoint: ListedFile) -> Header:
            assert page.data("report.progress").running
            page.data("report.stop")
            return super().header(checkpoint)

    page = DeskPage(Pressing(PaperHost(folder, tmp_path / "data")), CHOICE)
    problem = page.problem("report.compare", reference=INK, models=[PASTEL])
    assert (problem.calm, problem.what) == (True, "Stopped; no report was made.")
    assert not page.data("report.progress").running


def test_what_was_finished_before_a_stop_is_kept(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "data" / "reports"

    class Watching(NoProgress):
        def stopped(self) -> bool:
            return kept.exists()

    service = PaperService(PaperHost(folder, tmp_path / "data"))
    with pytest.raises(StoppedError):
        compare_named(service, CompareRequest(INK, (PASTEL, BROKEN)), Watching())
    assert len(list(kept.iterdir())) == 1
