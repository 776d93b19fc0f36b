"""Grids waste no work and lose no cell: counts, order, byte equality, stop, resume, failing cells."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lib_merge.desk.studio import paint
from lib_merge.errors import StoppedError
from lib_merge.grid import Base, Cell, GridPlan, Speeds, Store, order_of, orders, plan_grid, read_speeds
from lib_merge.grid.files import TEXT_KEY, as_csv, grid_as_data, grid_infotext, save_moving, save_sheet
from lib_merge.grid.order import Print, in_order
from lib_merge.grid.sheet import BLANK, draw_row, draw_sheet, tiles_of
from lib_merge.recipe import parse_recipe
from tests.grid_host import SIDE, After, Bench, pictures

AXES = (
    "alpha: 0-1 [3]",
    "OUT05: 0, 0.5",
    "seed: 1, 2",
    "model B: b, c",
    "prompts: a cat\na dog",
    "exclude: M00, IN05",
)


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(axes=st.permutations(AXES).map(lambda axes: axes[:2]))
def test_every_cell_is_the_single_picture_of_its_recipe(
    axes: list[str], models: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bench = Bench(tmp_path_factory.mktemp("grid"), models)
    plan = bench.plan(bench.recipe(alpha=0.3), **dict(zip("xy", axes, strict=True)))
    done = paint(bench.mixer, plan, bench.studio, bench.store())
    found = pictures(done, bench.store())
    assert len(found) == plan.cells
    for work in plan.work[:: max(1, plan.cells // 2)]:
        alone = bench.alone(work.cell, tmp_path_factory.mktemp("alone"))
        assert found[work.place] == alone.tobytes()


def test_five_alphas_by_five_seeds_are_five_merges(bench: Bench) -> None:
    plan = bench.plan(x="alpha: 0-1 [5]", y="seed: 1-5")
    done = paint(bench.mixer, plan, bench.studio, bench.store())
    assert (plan.cells, plan.merges, done.merges) == (25, 5, 5)
    assert sum(each.record.merge_seconds is not None for each in done.finished.values()) == 5
    assert bench.host.drawn == 25


def test_one_block_over_eleven_values_writes_only_that_block(bench: Bench) -> None:
    plan = bench.plan(bench.recipe(alpha=0.5), x="OUT05: 0-1 [11]")
    done = paint(bench.mixer, plan, bench.studio, bench.store())
    records = [each.record for each in done.finished.values()]
    assert len(records) == 11
    assert all(record.slots == ("OUT05",) for record in records[1:])
    told = [(change.slots, change.nbytes) for change in plan.changes[1:]]
    assert told == [(("OUT05",), records[1].nbytes)] * 10


def test_the_model_axis_changes_least_whichever_axis_it_is(bench: Bench) -> None:
    for axes in ({"x": "alpha: 0, 0.5, 1", "y": "seed: 1, 2"}, {"y": "alpha: 0, 0.5, 1", "x": "seed: 1, 2"}):
        merges = [work.merge for work in bench.plan(**axes).work]
        assert merges == [0, 0, 1, 1, 2, 2]


def test_neighbours_share_blocks(bench: Bench) -> None:
    """M00 changes inside of B's change, which costs everything, whichever stands where."""
    plan = bench.plan(bench.recipe(alpha=0.5), x="M00: 0, 0.5, 1", y="model B: b, c")
    whole = sum(len(change.slots) > 1 for change in plan.changes)
    assert (len(plan.changes), whole) == (6, 2)


@given(
    values=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=7
    )
)
def test_the_order_has_every_merge_once_and_the_nearest_first(values: list[tuple[int, int, int]]) -> None:
    prints = [Print({str(s): v for s, v in enumerate(each)}, {"0": 1, "1": 10, "2": 100}) for each in values]
    order = in_order(prints, None)
    assert sorted(order) == list(range(len(prints)))
    way = [prints[place] for place in order]
    for step, (here, following) in enumerate(pairwise(way)):
        assert following.cost(here) == min(other.cost(here) for other in way[step + 1 :])


def test_equal_merges_are_made_once_however_they_are_written(bench: Bench) -> None:
    ways = ("weighted_sum(A, B, alpha = 1)", "replace(A, B)")
    lines = "\n".join(f'A = "a"; B = "c"; M = {way}' for way in ways)
    plan = bench.plan(x=f"recipe: {lines}", y="seed: 1, 2")
    done = paint(bench.mixer, plan, bench.studio, bench.store())
    assert (plan.merges, done.merges) == (1, 1)
    found = pictures(done, bench.store())
    assert found[0, 0, 0] == found[1, 0, 0]


def test_a_cell_whose_merge_is_live_merges_nothing(bench: Bench) -> None:
    body = {"method": "weighted_sum", "a": "a", "b": "b", "alpha": 0.5}
    bench.mixer.apply(body)
    plan = bench.plan(x="alpha: 0.25, 0.5", y="seed: 1, 2")
    assert plan.merges == 1
    assert {work.labels["x"] for work in plan.work[:2]} == {"0.5"}
    done = paint(bench.mixer, plan, bench.studio, bench.store())
    assert done.merges == 1


def test_the_model_is_afterwards_what_it_was_before(bench: Bench) -> None:
    before = bench.host.model().tensors(KEY)[0].clone()
    paint(bench.mixer, bench.plan(x="alpha: 0.25, 0.5"), bench.studio, bench.store("one"))
    assert torch.equal(bench.host.model().tensors(KEY)[0], before)
    assert bench.mixer.status().live is None
    bench.mixer.apply({"method": "weighted_sum", "a": "a", "b": "b", "alpha": 0.5})
    merged = bench.host.model().tensors(KEY)[0].clone()
    paint(bench.mixer, bench.plan(x="alpha: 0.25, 1"), bench.studio, bench.store("two"))
    assert torch.equal(bench.host.model().tensors(KEY)[0], merged)
    assert bench.mixer.status().live is not None


KEY = "model.diffusion_model.output_blocks.5.0.in_layers.2.weight"
GRID = {"x": "alpha: 0-1 [4]", "y": "seed: 1-3"}


@pytest.mark.parametrize("count", [0, 1, 5, 12])
def test_stop_keeps_what_is_done_and_resume_draws_the_rest(bench: Bench, tmp_path: Path, count: int) -> None:
    finger, store = After(count), bench.store()
    first = paint(
        bench.mixer, bench.plan(**GRID), bench.studio, store, tell=finger.tell, stopped=finger.pressed
    )
    assert (first.stopped, len(first.finished)) == (count < 12, count)
    again = Bench(tmp_path / "after a restart", bench.models)
    second = paint(again.mixer, again.plan(**GRID), again.studio, store)
    assert (again.host.drawn, len(second.finished), second.stopped) == (12 - count, 12, False)
    whole = bench.store("whole")
    at_once = paint(bench.mixer, bench.plan(**GRID), bench.studio, whole)
    assert pictures(second, store) == pictures(at_once, whole)


def test_the_order_is_written_down_for_a_restart(bench: Bench) -> None:
    plan = bench.plan(x="alpha: 0, 1", y="seed: -1")
    paint(bench.mixer, plan, bench.studio, bench.store())
    ((folder, order),) = orders(bench.folder)
    assert folder == bench.store().folder
    assert order == order_of(plan)
    base = Base(Cell(parse_recipe(order.recipe), order.drawing), bench.studio)
    again = plan_grid(base, order.axes)
    assert [work.cell for work in again.work] == [work.cell for work in plan.work]


def test_one_more_value_draws_only_the_new_cells(bench: Bench) -> None:
    paint(bench.mixer, bench.plan(x="alpha: 0, 1"), bench.studio, bench.store())
    paint(bench.mixer, bench.plan(x="alpha: 0, 0.5, 1"), bench.studio, bench.store())
    assert bench.host.drawn == 3


def test_nothing_stale_is_kept(tmp_path: Path, models: Path) -> None:
    own = shutil.copytree(models, tmp_path / "own")
    bench = Bench(tmp_path, own)
    paint(bench.mixer, bench.plan(x="model B: b, c"), bench.studio, bench.store())
    shutil.copy(own / "a.safetensors", own / "part")
    (own / "part").replace(own / "c.safetensors")  # another model under the same name
    again = Bench(tmp_path, own)
    done = paint(again.mixer, again.plan(x="model B: b, c"), again.studio, again.store())
    assert [done.finished[x, 0, 0].kept for x in (0, 1)] == [True, False]


def test_a_cell_that_draws_nan_is_a_labelled_blank_and_is_tried_again(bench: Bench) -> None:
    bench.host.broken = lambda settings: settings.seed == 2
    store, plan = bench.store(), bench.plan(**GRID)
    done = paint(bench.mixer, plan, bench.studio, store)
    assert len(done.finished) == 12
    assert {each.place[1] for each in done.failed} == {1}
    tiles = tiles_of(plan, store)
    assert tiles[0, 1, 0].image is None
    assert "NaN" in tiles[0, 1, 0].note
    bench.host.broken = lambda settings: False
    healed = paint(bench.mixer, plan, bench.studio, store)
    assert healed.failed == ()
    assert sum(not each.kept for each in healed.finished.values()) == 4


def test_a_model_that_goes_missing_costs_its_cells_alone(tmp_path: Path, models: Path) -> None:
    own = shutil.copytree(models, tmp_path / "own")
    bench = Bench(tmp_path, own)
    plan = bench.plan(x="model B: b, c", y="seed: 1, 2")
    (own / "c.safetensors").unlink()
    done = paint(bench.mixer, plan, bench.studio, bench.store())
    assert {each.place[0] for each in done.failed} == {1}
    assert "gone" in done.failed[0].record.problem
    assert len(pictures(done, bench.store())) == 2
    assert draw_sheet(plan.axes, tiles_of(plan, bench.store()), (SIDE, SIDE)).size > (0, 0)


def test_a_merge_that_meets_nan_fails_once_and_its_other_cells_do_not_try(
    tmp_path: Path, models: Path
) -> None:
    from safetensors.torch import load_file, save_file

    own = shutil.copytree(models, tmp_path / "own")
    bad = load_file(own / "c.safetensors")
    bad[KEY] = torch.full_like(bad[KEY], float("nan"))
    save_file(bad, own / "c.safetensors")
    bench = Bench(tmp_path, own)
    plan = bench.plan(bench.recipe(alpha=0.5), x="model B: b, c", y="seed: 1, 2")
    done = paint(bench.mixer, plan, bench.studio, bench.store())
    assert {each.place[0] for each in done.failed} == {1}
    assert len(done.failed) == 2
    assert bench.mixer.status().live is None


def test_a_torn_record_is_drawn_again(bench: Bench) -> None:
    store, plan = bench.store(), bench.plan(x="alpha: 0, 1")
    done = paint(bench.mixer, plan, bench.studio, store)
    (store.folder / f"{done.finished[0, 0, 0].name}.json").write_text('{"recipe": ', encoding="utf-8")
    store.path(done.finished[1, 0, 0].name).unlink()
    assert not any(each.kept for each in paint(bench.mixer, plan, bench.studio, store).finished.values())


def test_cells_are_kept_with_their_infotext(bench: Bench) -> None:
    done = paint(bench.mixer, bench.plan(x="seed: 7"), bench.studio, bench.store())
    with Image.open(bench.store().path(done.finished[0, 0, 0].name)) as picture:
        assert "Seed: 7" in picture.info["parameters"]


def test_the_time_is_told_from_the_last_measured_speeds(bench: Bench) -> None:
    plan = bench.plan(x="alpha: 0, 1")
    assert plan.seconds is None
    paint(bench.mixer, plan, bench.studio, bench.store())
    speeds = read_speeds(bench.host.data())
    assert speeds.draw is not None
    told = plan_grid(plan.base, {}, speeds=Speeds(merge=1e9, draw=2.0))
    assert told.seconds == pytest.approx(2.0 * 2 * SIDE * SIDE / 1e6 + told.changes[0].nbytes / 1e9)


# --- the sheet ---


def sheet_of(bench: Bench, **axes: str) -> tuple[GridPlan, Image.Image, Mapping[tuple[int, int, int], bytes]]:
    plan = bench.plan(**axes)
    done = paint(bench.mixer, plan, bench.studio, bench.store())
    tiles = tiles_of(plan, bench.store())
    return plan, draw_sheet(plan.axes, tiles, (SIDE, SIDE)), pictures(done, bench.store())


def test_the_sheet_holds_every_cell_pixel_for_pixel(bench: Bench) -> None:
    _, sheet, cells = sheet_of(bench, x="alpha: 0.5, 1", y="seed: 1, 2", z="model B: b, c")
    raw = sheet.tobytes()
    for cell in cells.values():
        row = cell[: SIDE * 3]
        assert raw.count(row) == 1


def test_a_cell_that_is_not_there_is_blank(bench: Bench) -> None:
    plan = bench.plan(x="alpha: 0, 1")
    sheet = draw_sheet(plan.axes, tiles_of(plan, bench.store()), (64, 64))
    colour = tuple(int(BLANK[n : n + 2], 16) for n in (1, 3, 5))
    assert colour in {found for _, found in sheet.getcolors(1 << 20) or []}


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_the_file_holds_a_recipe_for_every_cell(bench: Bench, tmp_path: Path, ending: str) -> None:
    plan, sheet, _ = sheet_of(bench, x="alpha: 0, 1", y="seed: 1, 2")
    target = tmp_path / f"grid.{ending}"
    data = grid_as_data(plan, {})
    save_sheet(sheet, target, grid_infotext(plan, {}), data)
    with Image.open(target) as found:
        if ending == "png":
            inside = json.loads(found.info[TEXT_KEY])
            assert "X Type: alpha" in found.info["parameters"]
        else:
            raw = found.getexif().get_ifd(0x8769)[0x9286]
            inside = json.loads(raw[8:].decode("utf-16-be").split(f"{TEXT_KEY}: ")[1])
        assert found.convert("RGB").tobytes() == sheet.tobytes()
    recipes = [parse_recipe(inside["recipes"][cell["recipe"]]) for cell in inside["cells"]]
    by_place = {work.place: work.cell.recipe for work in plan.work}
    assert recipes == [by_place[cell["x"], cell["y"], cell["z"]] for cell in inside["cells"]]


def test_a_row_moves_frame_by_frame(bench: Bench, tmp_path: Path) -> None:
    plan, _, _ = sheet_of(bench, x="alpha: 0, 0.5, 1", y="seed: 1, 2")
    frames = draw_row(plan.axes, tiles_of(plan, bench.store()), 1, 0)
    for ending in ("gif", "webp"):
        save_moving(frames, tmp_path / f"row.{ending}")
        with Image.open(tmp_path / f"row.{ending}") as moving:
            assert getattr(moving, "n_frames", 1) == 3


def test_the_table_has_a_line_for_every_cell(bench: Bench) -> None:
    plan = bench.plan(**GRID)
    finger = After(5)
    done = paint(bench.mixer, plan, bench.studio, bench.store(), tell=finger.tell, stopped=finger.pressed)
    lines = as_csv(plan, done.finished).splitlines()
    assert lines[0].startswith("alpha,seed,state")
    assert len(lines) == 13
    assert sum(",not drawn," in line for line in lines) == 7


def test_an_interrupted_picture_ends_the_grid_and_no_cell_is_written(bench: Bench) -> None:
    def interrupt(settings: object) -> bool:
        raise StoppedError("stopped")

    bench.host.broken = interrupt
    done = paint(bench.mixer, bench.plan(x="seed: 1, 2"), bench.studio, bench.store())
    assert (done.stopped, done.finished) == (True, {})
    assert Store(bench.store().folder).count() == 0
