"""Grids waste no work and lose no cell: counts, order, byte equality, stop, resume, failing cells."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from PIL import Image

from lib_merge.errors import StoppedError
from lib_merge.grid import (
    GridBase,
    GridCell,
    GridPlan,
    GridStore,
    Speeds,
    plan_grid,
    read_speeds,
    request_of_plan,
    saved_requests,
)
from lib_merge.grid.files import (
    TEXT_KEY,
    grid_infotext,
    grid_to_csv,
    grid_to_dict,
    save_animation,
    save_sheet,
)
from lib_merge.grid.order import MergeSignature, merge_order
from lib_merge.grid.sheet import BLANK, draw_row, draw_sheet, load_tiles
from lib_merge.recipe import parse_recipe
from lib_merge.service.grids import run_grid_job
from tests.support.examples import examples
from tests.support.grid_host import SIDE, After, Bench, pictures
from tests.support.swaps import swap_in

AXES = (
    "alpha: 0-1 [3]",
    "OUT05: 0, 0.5",
    "seed: 1, 2",
    "model B: b, c",
    "prompts: a cat\na dog",
    "exclude: M00, IN05",
)


@examples(3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(axes=st.permutations(AXES).map(lambda axes: axes[:2]))
def test_every_cell_is_the_single_picture_of_its_recipe(
    axes: list[str], models: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bench = Bench(tmp_path_factory.mktemp("grid"), models)
    plan = bench.plan(bench.recipe(alpha=0.3), **dict(zip("xy", axes, strict=True)))
    done = run_grid_job(bench.service, plan, bench.backend, bench.store())
    drawn = pictures(done, bench.store())
    assert len(drawn) == plan.num_cells
    for work in plan.jobs[:: max(1, plan.num_cells // 2)]:
        alone = bench.alone(work.cell, tmp_path_factory.mktemp("alone"))
        assert drawn[work.position] == alone.tobytes()


def test_five_alphas_by_five_seeds_are_five_merges(bench: Bench) -> None:
    plan = bench.plan(x="alpha: 0-1 [5]", y="seed: 1-5")
    done = run_grid_job(bench.service, plan, bench.backend, bench.store())
    assert (plan.num_cells, plan.num_merges, done.merges) == (25, 5, 5)
    assert sum(result.record.merge_seconds is not None for result in done.results.values()) == 5
    assert bench.host.drawn == 25


def test_one_block_over_eleven_values_writes_only_that_block(bench: Bench) -> None:
    plan = bench.plan(bench.recipe(alpha=0.5), x="OUT05: 0-1 [11]")
    done = run_grid_job(bench.service, plan, bench.backend, bench.store())
    records = [result.record for result in done.results.values()]
    assert len(records) == 11
    assert all(record.slots == ("OUT05",) for record in records[1:])
    differences = [(change.slots, change.nbytes) for change in plan.planned_merges[1:]]
    assert differences == [(("OUT05",), records[1].nbytes)] * 10


def test_the_model_axis_changes_least_whichever_axis_it_is(bench: Bench) -> None:
    for axes in ({"x": "alpha: 0, 0.5, 1", "y": "seed: 1, 2"}, {"y": "alpha: 0, 0.5, 1", "x": "seed: 1, 2"}):
        merges = [work.merge for work in bench.plan(**axes).jobs]
        assert merges == [0, 0, 1, 1, 2, 2]


def test_neighbours_share_blocks(bench: Bench) -> None:
    """M00 changes inside of B's change, which costs everything, whichever stands where."""
    plan = bench.plan(bench.recipe(alpha=0.5), x="M00: 0, 0.5, 1", y="model B: b, c")
    whole = sum(len(change.slots) > 1 for change in plan.planned_merges)
    assert (len(plan.planned_merges), whole) == (6, 2)


@given(
    values=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=7
    )
)
def test_the_order_has_every_merge_once_and_the_nearest_first(values: list[tuple[int, int, int]]) -> None:
    signatures = [
        MergeSignature({str(s): v for s, v in enumerate(numbers)}, {"0": 1, "1": 10, "2": 100})
        for numbers in values
    ]
    order = merge_order(signatures, None)
    assert sorted(order) == list(range(len(signatures)))
    way = [signatures[index] for index in order]
    for step, (here, following) in enumerate(pairwise(way)):
        assert following.cost(here) == min(other.cost(here) for other in way[step + 1 :])


def test_equal_merges_are_made_once_however_they_are_written(bench: Bench) -> None:
    ways = ("weighted_sum(A, B, alpha = 1)", "replace(A, B)")
    lines = "\n".join(f'A = "a"; B = "c"; M = {way}' for way in ways)
    plan = bench.plan(x=f"recipe: {lines}", y="seed: 1, 2")
    done = run_grid_job(bench.service, plan, bench.backend, bench.store())
    assert (plan.num_merges, done.merges) == (1, 1)
    drawn = pictures(done, bench.store())
    assert drawn[0, 0, 0] == drawn[1, 0, 0]


def test_a_cell_whose_merge_is_live_merges_nothing(bench: Bench) -> None:
    body = {"method": "weighted_sum", "a": "a", "b": "b", "alpha": 0.5}
    swap_in(bench.service, body)
    plan = bench.plan(x="alpha: 0.25, 0.5", y="seed: 1, 2")
    assert plan.num_merges == 1
    assert {work.labels["x"] for work in plan.jobs[:2]} == {"0.5"}
    done = run_grid_job(bench.service, plan, bench.backend, bench.store())
    assert done.merges == 1


def test_the_model_is_afterwards_what_it_was_before(bench: Bench) -> None:
    before = bench.host.model().places(KEY)[0].tensor.clone()
    run_grid_job(bench.service, bench.plan(x="alpha: 0.25, 0.5"), bench.backend, bench.store("one"))
    assert torch.equal(bench.host.model().places(KEY)[0].tensor, before)
    assert bench.service.status().live is None
    swap_in(bench.service, {"method": "weighted_sum", "a": "a", "b": "b", "alpha": 0.5})
    merged = bench.host.model().places(KEY)[0].tensor.clone()
    run_grid_job(bench.service, bench.plan(x="alpha: 0.25, 1"), bench.backend, bench.store("two"))
    assert torch.equal(bench.host.model().places(KEY)[0].tensor, merged)
    assert bench.service.status().live is not None


KEY = "model.diffusion_model.output_blocks.5.0.in_layers.2.weight"
GRID = {"x": "alpha: 0-1 [4]", "y": "seed: 1-3"}


@pytest.mark.parametrize("count", [0, 1, 5, 12])
def test_stop_keeps_what_is_done_and_resume_draws_the_rest(bench: Bench, tmp_path: Path, count: int) -> None:
    finger, store = After(count), bench.store()
    first = run_grid_job(
        bench.service, bench.plan(**GRID), bench.backend, store, tell=finger.tell, stopped=finger.pressed
    )
    assert (first.stopped, len(first.results)) == (count < 12, count)
    again = Bench(tmp_path / "after a restart", bench.models)
    second = run_grid_job(again.service, again.plan(**GRID), again.backend, store)
    assert (again.host.drawn, len(second.results), second.stopped) == (12 - count, 12, False)
    whole = bench.store("whole")
    at_once = run_grid_job(bench.service, bench.plan(**GRID), bench.backend, whole)
    assert pictures(second, store) == pictures(at_once, whole)


def test_the_order_is_written_down_for_a_restart(bench: Bench) -> None:
    plan = bench.plan(x="alpha: 0, 1", y="seed: -1")
    run_grid_job(bench.service, plan, bench.backend, bench.store())
    ((folder, order),) = saved_requests(bench.folder)
    assert folder == bench.store().folder
    assert order == request_of_plan(plan)
    base = GridBase(GridCell(parse_recipe(order.recipe), order.drawing), bench.backend)
    again = plan_grid(base, order.axes)
    assert [work.cell for work in again.jobs] == [work.cell for work in plan.jobs]


def test_one_more_value_draws_only_the_new_cells(bench: Bench) -> None:
    run_grid_job(bench.service, bench.plan(x="alpha: 0, 1"), bench.backend, bench.store())
    run_grid_job(bench.service, bench.plan(x="alpha: 0, 0.5, 1"), bench.backend, bench.store())
    assert bench.host.drawn == 3


def test_nothing_stale_is_kept(tmp_path: Path, models: Path) -> None:
    own = shutil.copytree(models, tmp_path / "own")
    bench = Bench(tmp_path, own)
    run_grid_job(bench.service, bench.plan(x="model B: b, c"), bench.backend, bench.store())
    shutil.copy(own / "a.safetensors", own / "part")
    (own / "part").replace(own / "c.safetensors")  # another model under the same name
    again = Bench(tmp_path, own)
    done = run_grid_job(again.service, again.plan(x="model B: b, c"), again.backend, again.store())
    assert [done.results[x, 0, 0].reused for x in (0, 1)] == [True, False]


def test_a_cell_that_draws_nan_is_a_labelled_blank_and_is_tried_again(bench: Bench) -> None:
    bench.host.broken = lambda settings: settings.seed == 2
    store, plan = bench.store(), bench.plan(**GRID)
    done = run_grid_job(bench.service, plan, bench.backend, store)
    assert len(done.results) == 12
    assert {result.position[1] for result in done.failed} == {1}
    tiles = load_tiles(plan, store)
    assert tiles[0, 1, 0].image is None
    assert "NaN" in tiles[0, 1, 0].note
    bench.host.broken = lambda settings: False
    healed = run_grid_job(bench.service, plan, bench.backend, store)
    assert healed.failed == ()
    assert sum(not result.reused for result in healed.results.values()) == 4


def test_a_model_that_goes_missing_costs_its_cells_alone(tmp_path: Path, models: Path) -> None:
    own = shutil.copytree(models, tmp_path / "own")
    bench = Bench(tmp_path, own)
    plan = bench.plan(x="model B: b, c", y="seed: 1, 2")
    (own / "c.safetensors").unlink()
    done = run_grid_job(bench.service, plan, bench.backend, bench.store())
    assert {result.position[0] for result in done.failed} == {1}
    assert "gone" in done.failed[0].record.problem
    assert len(pictures(done, bench.store())) == 2
    assert draw_sheet(plan.axes, load_tiles(plan, bench.store()), (SIDE, SIDE)).size > (0, 0)


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
    done = run_grid_job(bench.service, plan, bench.backend, bench.store())
    assert {result.position[0] for result in done.failed} == {1}
    assert len(done.failed) == 2
    assert bench.service.status().live is None


def test_a_torn_record_is_drawn_again(bench: Bench) -> None:
    store, plan = bench.store(), bench.plan(x="alpha: 0, 1")
    done = run_grid_job(bench.service, plan, bench.backend, store)
    (store.folder / f"{done.results[0, 0, 0].name}.json").write_text('{"recipe": ', encoding="utf-8")
    store.path(done.results[1, 0, 0].name).unlink()
    assert not any(
        result.reused for result in run_grid_job(bench.service, plan, bench.backend, store).results.values()
    )


def test_cells_are_kept_with_their_infotext(bench: Bench) -> None:
    done = run_grid_job(bench.service, bench.plan(x="seed: 7"), bench.backend, bench.store())
    with Image.open(bench.store().path(done.results[0, 0, 0].name)) as picture:
        assert "Seed: 7" in picture.info["parameters"]


def test_the_time_is_estimated_from_the_last_measured_speeds(bench: Bench) -> None:
    plan = bench.plan(x="alpha: 0, 1")
    assert plan.seconds is None
    run_grid_job(bench.service, plan, bench.backend, bench.store())
    speeds = read_speeds(bench.host.data_dir())
    assert speeds.draw is not None
    estimate = plan_grid(plan.base, {}, speeds=Speeds(merge=1e9, draw=2.0))
    assert estimate.seconds == pytest.approx(
        2.0 * 2 * SIDE * SIDE / 1e6 + estimate.planned_merges[0].nbytes / 1e9
    )


# --- the sheet ---


def sheet_of(bench: Bench, **axes: str) -> tuple[GridPlan, Image.Image, Mapping[tuple[int, int, int], bytes]]:
    plan = bench.plan(**axes)
    done = run_grid_job(bench.service, plan, bench.backend, bench.store())
    tiles = load_tiles(plan, bench.store())
    return plan, draw_sheet(plan.axes, tiles, (SIDE, SIDE)), pictures(done, bench.store())


def test_the_sheet_holds_every_cell_pixel_for_pixel(bench: Bench) -> None:
    _, sheet, cells = sheet_of(bench, x="alpha: 0.5, 1", y="seed: 1, 2", z="model B: b, c")
    raw = sheet.tobytes()
    for cell in cells.values():
        row = cell[: SIDE * 3]
        assert raw.count(row) == 1


def test_a_cell_that_is_not_there_is_blank(bench: Bench) -> None:
    plan = bench.plan(x="alpha: 0, 1")
    sheet = draw_sheet(plan.axes, load_tiles(plan, bench.store()), (64, 64))
    colour = tuple(int(BLANK[n : n + 2], 16) for n in (1, 3, 5))
    assert colour in {pixel for _, pixel in sheet.getcolors(1 << 20) or []}


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_the_file_holds_a_recipe_for_every_cell(bench: Bench, tmp_path: Path, ending: str) -> None:
    plan, sheet, _ = sheet_of(bench, x="alpha: 0, 1", y="seed: 1, 2")
    target = tmp_path / f"grid.{ending}"
    data = grid_to_dict(plan, {})
    save_sheet(sheet, target, grid_infotext(plan, {}), data)
    with Image.open(target) as image:
        if ending == "png":
            inside = json.loads(image.info[TEXT_KEY])
            assert "X Type: alpha" in image.info["parameters"]
        else:
            raw = image.getexif().get_ifd(0x8769)[0x9286]
            inside = json.loads(raw[8:].decode("utf-16-be").split(f"{TEXT_KEY}: ")[1])
        assert image.convert("RGB").tobytes() == sheet.tobytes()
    recipes = [parse_recipe(inside["recipes"][cell["recipe"]]) for cell in inside["cells"]]
    by_place = {work.position: work.cell.recipe for work in plan.jobs}
    assert recipes == [by_place[cell["x"], cell["y"], cell["z"]] for cell in inside["cells"]]


def test_a_row_moves_frame_by_frame(bench: Bench, tmp_path: Path) -> None:
    plan, _, _ = sheet_of(bench, x="alpha: 0, 0.5, 1", y="seed: 1, 2")
    frames = draw_row(plan.axes, load_tiles(plan, bench.store()), 1, 0)
    for ending in ("gif", "webp"):
        save_animation(frames, tmp_path / f"row.{ending}")
        with Image.open(tmp_path / f"row.{ending}") as moving:
            assert getattr(moving, "n_frames", 1) == 3


def test_the_table_has_a_line_for_every_cell(bench: Bench) -> None:
    plan = bench.plan(**GRID)
    finger = After(5)
    done = run_grid_job(
        bench.service, plan, bench.backend, bench.store(), tell=finger.tell, stopped=finger.pressed
    )
    lines = grid_to_csv(plan, done.results).splitlines()
    assert lines[0].startswith("alpha,seed,state")
    assert len(lines) == 13
    assert sum(",not drawn," in line for line in lines) == 7


def test_an_interrupted_picture_ends_the_grid_and_no_cell_is_written(bench: Bench) -> None:
    def interrupt(settings: object) -> bool:
        raise StoppedError("stopped")

    bench.host.broken = interrupt
    done = run_grid_job(bench.service, bench.plan(x="seed: 1, 2"), bench.backend, bench.store())
    assert (done.stopped, done.results) == (True, {})
    assert GridStore(bench.store().folder).count() == 0
