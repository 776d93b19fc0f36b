"""The room Report without a page: what it is asked, what comes back, and what a click may do about it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from safetensors.torch import load_file

from lib_merge.architectures import family_by_id, slot_of
from lib_merge.checkpoint import Header, read_header
from lib_merge.desk.handlers import Choice
from lib_merge.desk.report_handlers import ReportDesk, Run
from lib_merge.desk.report_request import compare_named
from lib_merge.desk.report_show import TITLES
from lib_merge.desk.report_view import Act, Report, ReportAnswer, Row, Table
from lib_merge.errors import StoppedError
from lib_merge.hosts.host import Ckpt
from lib_merge.progress import Silent
from lib_merge.report.comparison import KINDS, compare
from lib_merge.report.heat import likeness
from tests.desk_host import PaperHost, PaperMixer
from tests.full_size import write_tiny
from tests.merging import rewrite

INK, PASTEL, BROKEN = "ink", "pastel", "broken"
CHOICE = Choice(INK, BROKEN)
FAMILY = family_by_id("sd1")


def broken_middle(sound: Path, target: Path) -> Path:
    """The file with noise over its middle block, and one number of OUT05 that is none."""
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
def desk(folder: Path, tmp_path: Path) -> ReportDesk:
    return ReportDesk(PaperMixer(PaperHost(folder, tmp_path / "data")))


def ask(desk: ReportDesk, action: str, choice: Choice = CHOICE, **body: Any) -> ReportAnswer:
    return desk.ask(json.dumps({"seq": 5, "action": action, "body": body}), choice)


def reported(desk: ReportDesk, *models: str, **more: Any) -> Report:
    answer = ask(desk, "compare", reference=INK, models=list(models), **more)
    assert answer.problem is None
    assert answer.report
    return answer.report


def row(table: Table, name: str) -> Row:
    return next(row for row in table.rows if row.name == name)


def test_the_offer_names_the_checkpoints_and_what_the_lists_above_have(desk: ReportDesk) -> None:
    offer = ask(desk, "offer").offer
    assert offer
    assert offer.checkpoints == (BROKEN, INK, PASTEL)
    assert (offer.a, offer.b) == (INK, BROKEN)
    assert [kind.id for kind in offer.kinds] == list(KINDS) == list(TITLES)
    assert {kind.id: kind.seed for kind in offer.kinds}["sdsim"] == 114514
    assert offer.kinds[0].seed is None


def test_a_table_has_every_slot_with_its_number_and_the_totals(desk: ReportDesk, folder: Path) -> None:
    (table, *_) = reported(desk, PASTEL).tables
    ink, pastel = (read_header(folder / f"{name}.safetensors") for name in (INK, PASTEL))
    (model,) = compare(ink, [pastel]).models
    for slot, value in model.values.items():
        found = row(table, slot)
        assert found.slot == slot
        assert found.cells[0].text == f"{100 * value:.4f}"
        assert found.cells[0].heat == pytest.approx(1 - likeness(value))
    for name, value in model.totals.items():
        assert row(table, f"{name} total").cells[0].text == f"{100 * value:.4f}"
        assert row(table, f"{name} total").slot == ""
    names = [each.name for each in table.rows]
    assert names.index("M00") + 1 == names.index("input total")
    assert names.index("OUT11") + 1 == names.index("output total")


def test_the_tables_of_the_chilly_mix_base_page_have_its_columns(desk: ReportDesk) -> None:
    report = reported(desk, PASTEL, BROKEN, kind="attention")
    inputs, outputs = report.tables[-2:]
    assert inputs.columns == ("IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "MID0", "total")
    assert outputs.columns == (*(f"OUT{n:02}" for n in range(3, 12)), "total")
    for table in (inputs, outputs):
        assert [each.name for each in table.rows] == [PASTEL, BROKEN]
        numbers = [float(cell.text) for cell in table.rows[0].cells]
        assert numbers[-1] == pytest.approx(sum(numbers[:-1]) / len(numbers[:-1]), abs=1e-4)


def test_several_models_stand_beside_each_other_and_are_ranked(desk: ReportDesk) -> None:
    report = reported(desk, BROKEN, PASTEL, kind="attention")
    assert report.tables[0].columns == (BROKEN, PASTEL)
    assert [rank.name for rank in report.ranking] == [PASTEL, BROKEN]
    first, last = report.ranking
    assert first.input is not None
    assert last.input is not None
    assert first.input > last.input


def test_weights_of_several_models_have_a_table_for_each_measure(desk: ReportDesk) -> None:
    titles = [table.title for table in reported(desk, BROKEN, PASTEL, base=INK).tables]
    assert titles[0].startswith("Cosine of the differences to ink")
    assert {"Relative L2, %", "Equal elements, %", "Cosine of differences, %"} <= set(titles)


@pytest.mark.parametrize(("seed", "told"), [(None, "seed 2244096"), (7, "seed 7")])
def test_the_seed_is_shown_and_can_be_set(desk: ReportDesk, seed: int | None, told: str) -> None:
    assert told in reported(desk, PASTEL, kind="supermerger", seed=seed).title


def test_a_broken_block_of_b_is_mended_by_a_mute_of_its_fader(desk: ReportDesk) -> None:
    (found,) = reported(desk, BROKEN).findings
    assert found.text.startswith("M00 of broken looks broken: it differs from ink's by")
    assert found.acts == (Act("Take ink's M00", "mute", "M00"), Act("Solo M00", "solo", "M00"))


def test_a_broken_block_of_a_is_mended_by_b(desk: ReportDesk) -> None:
    turned = Choice(BROKEN, INK)
    report = ask(desk, "compare", turned, reference=INK, models=[BROKEN]).report
    assert report
    assert report.findings[0].acts[0] == Act("Take ink's M00", "whole", "M00")


@pytest.mark.parametrize("choice", [Choice(), Choice(INK), Choice(INK, PASTEL), Choice("gone", "lost")])
def test_a_model_that_is_not_on_the_desk_has_no_clicks(desk: ReportDesk, choice: Choice) -> None:
    report = ask(desk, "compare", choice, reference=INK, models=[BROKEN]).report
    assert report
    assert [found.acts for found in report.findings] == [()]


def test_health_is_said_in_sentences_and_sound_files_raise_nothing(desk: ReportDesk) -> None:
    checked = ask(desk, "check", models=[INK, BROKEN]).checked
    assert checked
    sound, broken = checked
    assert (sound.findings, sound.title) == ((), f"{FAMILY.title}, 1131 tensors, nothing is wrong")
    assert broken.title.endswith("1 thing looks wrong")
    assert broken.findings[0].text.startswith("OUT05 holds NaN or infinity, once in 1 tensor")
    assert broken.findings[0].acts[0] == Act("Take ink's OUT05", "mute", "OUT05")


def test_health_beside_a_sound_model_finds_the_block_too(desk: ReportDesk) -> None:
    checked = ask(desk, "check", models=[BROKEN], base=INK).checked
    assert checked
    assert any(found.text.startswith("M00 of broken looks broken") for found in checked[0].findings)


def test_csv_and_json_hold_every_digit(desk: ReportDesk) -> None:
    report = reported(desk, PASTEL, BROKEN, kind="asim2")
    data = json.loads(report.json)
    rows = list(csv.DictReader(io.StringIO(report.csv)))
    for model in data["models"]:
        for slot in model["slots"]:
            (found,) = (
                each for each in rows if (each["model"], each["slot"]) == (model["name"], slot["slot"])
            )
            assert float(found["percent"]) == slot["percent"]
    assert "/" not in report.json + report.csv


def test_a_report_is_taken_from_the_disk_the_second_time(
    desk: ReportDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = reported(desk, PASTEL, kind="attention")

    def compared_again(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the report was computed again")

    monkeypatch.setattr("lib_merge.report.cache.compare_one", compared_again)
    assert reported(desk, PASTEL, kind="attention").tables == first.tables


def test_a_picture_is_a_png(desk: ReportDesk) -> None:
    pytest.importorskip("matplotlib")
    answer = ask(desk, "plot", reference=INK, models=[PASTEL])
    assert answer.picture.startswith("data:image/png;base64,iVBOR")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"models": [PASTEL]}, "No reference is chosen"),
        ({"reference": INK}, "No model is chosen"),
        ({"reference": INK, "models": ["pastle"]}, "There is no checkpoint called 'pastle'"),
        ({"reference": INK, "models": "pastel"}, "models must be a list of names"),
        ({"reference": INK, "models": [PASTEL], "kind": "looks"}, "There is no comparison of kind 'looks'"),
        ({"reference": INK, "models": [PASTEL], "seed": 3}, "weights are compared without a seed"),
        ({"reference": INK, "models": [PASTEL], "kind": "asim2", "seed": 0.5}, "The seed must be a whole"),
        ({"reference": INK, "models": [PASTEL], "sede": 3}, "'sede' is nothing that a comparison takes"),
    ],
)
def test_what_cannot_be_done_is_said(desk: ReportDesk, body: dict[str, object], told: str) -> None:
    answer = ask(desk, "compare", **body)
    assert (answer.seq, answer.action, answer.report) == (5, "compare", None)
    assert answer.problem
    assert answer.problem.what.startswith(told)


def test_an_error_of_our_own_is_told_and_the_next_report_works(desk: ReportDesk) -> None:
    answer = desk.ask(json.dumps({"seq": 6, "action": "compare", "body": 3}), CHOICE)
    assert answer.problem
    assert reported(desk, PASTEL).tables


def test_a_click_that_asks_nothing_answers_nothing(desk: ReportDesk) -> None:
    assert desk.ask("{}", CHOICE) == ReportAnswer(0, "")


def test_a_run_tells_how_far_it_is_and_stops_when_asked() -> None:
    run = Run()
    run.start(200, "comparing")
    run.advance(50)
    assert (run.far().what, run.far().share) == ("comparing", 0.25)
    run.start(100, "comparing")
    assert (run.far().what, run.far().share) == ("comparing, part 2", 0)
    run.stop()
    assert run.stopped()


def test_stop_ends_a_report(folder: Path, tmp_path: Path) -> None:
    class Pressing(PaperMixer):
        """Somebody presses Stop while the files are being opened."""

        def header(self, checkpoint: Ckpt) -> Header:
            desk.stop()
            return super().header(checkpoint)

    desk = ReportDesk(Pressing(PaperHost(folder, tmp_path / "data")))
    answer = ask(desk, "compare", reference=INK, models=[PASTEL])
    assert answer.problem
    assert (answer.problem.calm, answer.report) == (True, None)
    assert not desk.far().running


def test_what_was_finished_before_a_stop_is_kept(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "data" / "reports"

    class Watching(Silent):
        def stopped(self) -> bool:
            return kept.exists()

    mixer = PaperMixer(PaperHost(folder, tmp_path / "data"))
    with pytest.raises(StoppedError):
        compare_named(mixer, {"reference": INK, "models": [PASTEL, BROKEN]}, Watching())
    assert len(list(kept.iterdir())) == 1
