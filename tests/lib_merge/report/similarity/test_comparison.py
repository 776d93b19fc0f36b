"""Comparisons as people get them: totals, tables, CSV, JSON, pictures, the cache, and the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from safetensors.torch import load_file

from lib_merge.architectures import read_header
from lib_merge.cli import main
from lib_merge.errors import MergeError
from lib_merge.report.render.plot import plot_png
from lib_merge.report.render.tables import (
    comparison_to_csv,
    long_frame,
    page_tables,
    percent_frame,
    ranking,
    render_comparison,
)
from lib_merge.report.similarity import cache as caching
from lib_merge.report.similarity.cache import cached_compare, content_digest
from lib_merge.report.similarity.comparison import ComparedModel, Comparison, compare, comparison_to_dict
from lib_merge.report.similarity.kinds import REPORT_KINDS, report_kind
from samples.assemble import assemble
from tests.support.full_size import write_tiny
from tests.support.merging import rewrite

pytestmark = pytest.mark.newest_only

Capture = pytest.CaptureFixture[str]

# Two rows of the chillyMixBase page, in percent, and the totals that it prints
# (docs/references.md#the-chillymixbase-table).
INPUTS = ("IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "M00")
NAMES = (*INPUTS, *(f"OUT{number:02}" for number in range(3, 12)))
CHILLY = (93.2390, 95.7006, 90.4897, 92.1093, 83.8271, 85.8409, 73.0998)
CHILLY += (91.6694, 91.3029, 93.1590, 93.6105, 94.5325, 96.1938, 99.4821, 99.6246, 99.9055)
NED = (99.8909, 99.2414, 98.8610, 99.2940, 98.3178, 98.3939, 96.9688)
NED += (91.5396, 91.6970, 91.1852, 92.7715, 94.1585, 96.0288, 99.3220, 99.1343, 99.9986)
PAGE = """\
model                IN01     IN02     IN04     IN05     IN07     IN08     MID0    total
chillyMixBaseV0   93.2390  95.7006  90.4897  92.1093  83.8271  85.8409  73.0998  87.7581
NeverEnding Dream  99.8909  99.2414  98.8610  99.2940  98.3178  98.3939  96.9688  98.7097

model                OUT03    OUT04    OUT05    OUT06    OUT07    OUT08    OUT09    OUT10    OUT11    total
chillyMixBaseV0    91.6694  91.3029  93.1590  93.6105  94.5325  96.1938  99.4821  99.6246  99.9055  95.4978
NeverEnding Dream  91.5396  91.6970  91.1852  92.7715  94.1585  96.0288  99.3220  99.1343  99.9986  95.0928"""


def model(name: str, percents: tuple[float, ...]) -> ComparedModel:
    values = {slot: percent / 100 for slot, percent in zip(NAMES, percents, strict=True)}
    return ComparedModel(name, f"{name}.safetensors", values)


@pytest.fixture
def page() -> Comparison:
    models = (model("chillyMixBaseV0", CHILLY), model("NeverEnding Dream", NED))
    return Comparison("attention", "chilloutmix_NiPrunedFp32Fix", "x.safetensors", models, 114514)


@pytest.fixture(scope="module")
def samples() -> dict[str, Path]:
    return assemble()


@pytest.fixture
def weights(samples: dict[str, Path]) -> Comparison:
    return compare(*headers(samples, "base", "ink", "other"))


def headers(samples: dict[str, Path], first: str, *others: str):
    return read_header(samples[first]), [read_header(samples[name]) for name in others]


def test_totals_are_the_plain_means_that_the_chilly_page_prints(page: Comparison) -> None:
    totals_by_model = [
        {name: round(100 * total, 4) for name, total in model.totals.items()} for model in page.models
    ]
    assert [(totals["input"], totals["output"]) for totals in totals_by_model] == [
        (87.7581, 95.4978),
        (98.7097, 95.0928),
    ]
    assert totals_by_model[0]["overall"] == pytest.approx(sum(CHILLY) / 16, abs=5e-5)


def test_the_tables_of_the_page_have_its_columns_digits_and_totals(page: Comparison) -> None:
    squeezed = [re.sub(" +", " ", line) for line in page_tables(page).splitlines()]
    assert squeezed == [re.sub(" +", " ", line) for line in PAGE.splitlines()]


def test_slots_outside_of_the_blocks_count_in_no_total() -> None:
    values = {"BASE": 0.0, "IN00": 0.5, "M00": 0.7, "OUT00": 0.9, "OUT": 0.0, "TIME": 0.0, "VAE": 0.0}
    assert ComparedModel("m", "m", values).totals == pytest.approx(
        {"input": 0.6, "output": 0.9, "overall": 0.7}
    )
    assert ComparedModel("vae", "vae", {"VAE": 1.0}).totals == {}


def test_models_are_ranked_by_any_total(page: Comparison) -> None:
    assert list(ranking(page, "input").index) == ["NeverEnding Dream", "chillyMixBaseV0"]
    assert list(ranking(page, "output").index) == ["chillyMixBaseV0", "NeverEnding Dream"]


def test_models_of_one_name_keep_a_row_each(page: Comparison) -> None:
    twice = Comparison("attention", "a", "a", (page.models[0], page.models[0]), 1)
    assert list(percent_frame(twice).index) == ["chillyMixBaseV0", "chillyMixBaseV0 (2)"]


def test_csv_of_a_model_with_a_line_break_in_its_name_reads_back(weights: Comparison) -> None:
    name = 'odd\rname\nof, "ours"'
    odd = replace(weights, models=tuple(replace(model, name=name) for model in weights.models))
    rows = list(csv.DictReader(io.StringIO(comparison_to_csv(odd), newline="")))
    assert {row["model"] for row in rows} == {name}
    assert len(rows) == len(long_frame(odd))


def test_csv_reads_back_to_the_same_numbers(weights: Comparison) -> None:
    again = pd.read_csv(io.StringIO(comparison_to_csv(weights)))
    pd.testing.assert_frame_equal(again, long_frame(weights), check_dtype=False, rtol=1e-14)


def test_json_has_one_object_a_slot_in_percent_and_the_totals(weights: Comparison) -> None:
    data = json.loads(json.dumps(comparison_to_dict(weights), allow_nan=False))
    for entry_of_model, model in zip(data["models"], weights.models, strict=True):
        assert {entry["slot"]: entry["percent"] for entry in entry_of_model["slots"]} == {
            slot: 100 * value for slot, value in model.values.items()
        }
        assert entry_of_model["totals"].keys() == {"input", "output", "overall"}
        assert entry_of_model["components"].keys() == {"unet", "text", "vae"}


def test_what_is_no_number_is_null_in_json(samples: dict[str, Path], tmp_path: Path) -> None:
    key = "first_stage_model.decoder.conv_in.bias"
    bad = rewrite(
        samples["ink"], {key: load_file(samples["ink"])[key] * float("nan")}, tmp_path / "bad.safetensors"
    )
    data = comparison_to_dict(compare(read_header(samples["base"]), [read_header(bad)]))
    vae = next(entry for entry in data["models"][0]["slots"] if entry["slot"] == "VAE")
    assert vae["percent"] is None
    json.dumps(data, allow_nan=False)
    assert render_comparison(compare(read_header(samples["base"]), [read_header(bad)]))


@pytest.mark.parametrize("count", [1, 7])
def test_a_plot_is_a_picture_for_one_model_and_for_many(page: Comparison, count: int) -> None:
    many = Comparison("attention", "a", "a", page.models[:1] * count, 1)
    with Image.open(io.BytesIO(plot_png(many))) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000
        assert picture.convert("L").getextrema() == (0, 255)


def test_a_broken_middle_block_is_named_beside_the_numbers(samples: dict[str, Path], tmp_path: Path) -> None:
    prefix = "model.diffusion_model.middle_block."
    changes = {key: tensor for key, tensor in load_file(samples["other"]).items() if key.startswith(prefix)}
    broken = rewrite(samples["ink"], changes, tmp_path / "F222.safetensors")
    text = render_comparison(compare(read_header(samples["base"]), [read_header(broken)]))
    assert "M00 of F222 looks broken: it differs from base's by 12" in text
    assert "; take base's?" in text


# --- the cache ---


def test_a_cached_comparison_is_the_same_and_reads_no_weights(
    samples: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, others = headers(samples, "base", "ink", "pastel")
    computed = cached_compare(tmp_path / "kept", first, others)
    monkeypatch.setattr(caching, "compare_one", None)
    assert cached_compare(tmp_path / "kept", first, others) == computed
    assert cached_compare(tmp_path / "kept", first, others[1:]).models[0].values == computed.models[1].values
    with pytest.raises(TypeError):
        cached_compare(tmp_path / "kept", first, others, "attention")


def test_a_moved_file_is_found_in_the_cache_under_its_new_name(
    samples: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, others = headers(samples, "base", "other")
    computed = cached_compare(tmp_path / "kept", first, others)
    moved = rewrite(samples["other"], {}, tmp_path / "renamed.safetensors")
    os.utime(moved, (1, 1))
    monkeypatch.setattr(caching, "compare_one", None)
    again = cached_compare(tmp_path / "kept", first, [read_header(moved)])
    assert again.models[0].name == "renamed"
    assert again.models[0].values == computed.models[0].values


def test_a_changed_tensor_of_the_same_size_and_date_is_another_content(
    samples: dict[str, Path], tmp_path: Path
) -> None:
    copy = rewrite(samples["ink"], {}, tmp_path / "copy.safetensors")
    before, stat = content_digest(read_header(copy)), copy.stat()
    key = "model.diffusion_model.out.2.weight"
    rewrite(copy, {key: load_file(copy)[key] * 0.5}, copy)
    os.utime(copy, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert copy.stat().st_size == stat.st_size
    assert content_digest(read_header(copy)) != before


@pytest.mark.parametrize("rubbish", ["", "{", "[]", "{}", '{"left_out": 3}', '{"left_out": [], "more": 1}'])
def test_a_damaged_entry_of_the_cache_is_made_again(
    samples: dict[str, Path], tmp_path: Path, rubbish: str
) -> None:
    first, others = headers(samples, "base", "ink")
    computed = cached_compare(tmp_path, first, others)
    (entry,) = tmp_path.iterdir()
    entry.write_text(rubbish)
    assert cached_compare(tmp_path, first, others) == computed
    assert json.loads(entry.read_text())["values"] == computed.models[0].values


def test_a_cache_that_cannot_be_written_to_is_no_error(samples: dict[str, Path], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    first, others = headers(samples, "base", "ink")
    assert cached_compare(blocked, first, others).models


# --- settings that do not go together ---


def test_settings_that_do_not_go_together_are_refused(samples: dict[str, Path]) -> None:
    first, others = headers(samples, "base", "ink")
    with pytest.raises(MergeError, match="did you mean 'weights'"):
        compare(first, others, "weight")
    with pytest.raises(MergeError, match="compares models without a base"):
        compare(first, others, "sdsim", base=first)
    with pytest.raises(MergeError, match="'weights' compares models without a seed"):
        compare(first, others, seed=1)


# --- the command line ---


def run(capture: Capture, *arguments: object) -> tuple[int, str, str]:
    status = main([str(word) for word in arguments])
    return status, *capture.readouterr()


EVERY_KIND = pytest.mark.parametrize("kind", [kind.id for kind in REPORT_KINDS])


@EVERY_KIND
def test_a_model_beside_itself_is_a_hundred_percent_in_every_block(
    samples: dict[str, Path], kind: str
) -> None:
    ink = read_header(samples["ink"])
    (model,) = compare(ink, [ink], kind).models
    assert model.values
    assert list(model.values.values()) == pytest.approx([1] * len(model.values), abs=1e-6)


@EVERY_KIND
def test_every_kind_says_what_it_is_and_takes_noise_or_none(samples: dict[str, Path], kind: str) -> None:
    ink, pastel = (read_header(samples[name]) for name in ("ink", "pastel"))
    row = report_kind(kind)
    assert row.title
    assert row.value
    assert row.help
    seed = compare(ink, [pastel], kind).seed
    assert (seed is None) == (row.seed is None)
    if row.seed is not None:
        assert compare(ink, [pastel], kind, seed=3).seed == 3


@EVERY_KIND
def test_compare_prints_every_kind_as_text_and_as_json(
    samples: dict[str, Path], kind: str, capsys: Capture
) -> None:
    files = [samples["base"], samples["ink"]]
    status, out, err = run(capsys, "compare", *files, "--kind", kind)
    assert (status, err) == (0, "")
    assert "in percent, compared with base" in out
    status, out, _ = run(capsys, "compare", *files, "--kind", kind, "--json")
    (model,) = json.loads(out)["models"]
    assert all(80 < entry["percent"] <= 100 and entry["slot"] for entry in model["slots"])
    assert f"{model['totals']['overall']:.4f}" in run(capsys, "compare", *files, "--kind", kind)[1]


def test_compare_shows_the_seed_and_takes_another(samples: dict[str, Path], capsys: Capture) -> None:
    arguments = ["compare", samples["base"], samples["ink"], "--kind", "supermerger"]
    assert "seed 2244096" in run(capsys, *arguments)[1]
    assert "seed 7" in run(capsys, *arguments, "--seed", 7)[1]


def test_compare_writes_csv_and_picture_and_keeps_results(
    samples: dict[str, Path], tmp_path: Path, capsys: Capture
) -> None:
    table, picture, kept = tmp_path / "t.csv", tmp_path / "t.png", tmp_path / "kept"
    arguments = ["compare", samples["base"], samples["ink"], samples["pastel"], "--cache", kept]
    status, out, _ = run(capsys, *arguments, "--csv", table, "--plot", picture)
    assert status == 0
    assert "totals, the most similar first\nmodel     input   output  overall\nink     99.8586" in out
    assert len(pd.read_csv(table)) == 2 * (29 + 3)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(list(kept.iterdir())) == 2


def test_compare_with_a_base_gives_the_cosine_of_differences(
    samples: dict[str, Path], capsys: Capture
) -> None:
    arguments = ["compare", samples["ink"], samples["pastel"], "--base", samples["base"], "--json"]
    comparison = json.loads(run(capsys, *arguments)[1])
    middle = next(entry for entry in comparison["models"][0]["slots"] if entry["slot"] == "M00")
    assert comparison["value"] == "cosine of the differences to base"
    assert (
        middle["percent"] == 100 * middle["cosine_of_differences"] < 50 < 100 * middle["cosine_concatenated"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["A"], "there is nothing to compare this model with"),
        (["A", "none.safetensors"], "there is no such checkpoint"),
        (
            ["A", "A", "--plot", "x.jpg"],
            "the result would be called 'x.jpg', but only .png files are written",
        ),
        (["A", "A", "--csv", "x.png"], "the result would be called 'x.png', but only .csv files are written"),
        (["A", "A", "--csv", ""], "the result needs a file name"),
        (["A", "A", "--plot", ""], "the result needs a file name"),
        (["A", "A", "--cache", ""], "--cache names no folder"),
        (
            ["A", "A", "--cache", "A"],
            "the result cannot be written: a part of its path is a file, not a folder",
        ),
        (["A", "A", "--csv", "/nowhere/t.csv"], "the result cannot be written: the folder does not exist"),
        (["A", "A", "--plot", "/nowhere/t.png"], "the result cannot be written: the folder does not exist"),
        (["A", "A", "--kind", "asim2", "--base", "A"], "'asim2' compares models without a base"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_compare_refuses_in_one_message(
    tmp_path: Path, capsys: Capture, arguments: list[str], message: str
) -> None:
    path = write_tiny(tmp_path / "a.safetensors")
    status, out, err = run(
        capsys, "compare", *(path if argument == "A" else argument for argument in arguments)
    )
    assert (status, out) == (2, "")
    assert err.startswith(f"merge-desk: {message}")


def test_check_reports_damage_without_failing(
    samples: dict[str, Path], tmp_path: Path, capsys: Capture
) -> None:
    key = "model.diffusion_model.middle_block.1.proj_in.weight"
    broken = rewrite(
        samples["ink"], {key: load_file(samples["ink"])[key] * 0}, tmp_path / "broken.safetensors"
    )
    status, out, err = run(capsys, "check", samples["ink"], broken)
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        f"{samples['ink']}: Stable Diffusion 1, 1131 tensors, nothing is wrong",
        f"{broken}: Stable Diffusion 1, 1131 tensors, 1 thing looks wrong",
        f"  M00 has 1 tensor of zeros only: {key}; take M00 from another model",
    ]
    files = json.loads(run(capsys, "check", broken, "--json")[1])["files"]
    assert [(file["healthy"], file["findings"][0]["slot"]) for file in files] == [(False, "M00")]


def test_check_refuses_what_it_cannot_read(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "cut.safetensors").write_bytes(b"\x00" * 5)
    status, out, err = run(capsys, "check", tmp_path / "cut.safetensors")
    assert (status, out) == (2, "")
    assert "the file is cut short" in err


def test_the_help_of_check_says_what_its_exit_status_means(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    assert "exit status is 0" in " ".join(capsys.readouterr().out.split())
