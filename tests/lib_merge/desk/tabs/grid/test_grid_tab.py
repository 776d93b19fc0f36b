"""The handlers of the tab *Grid*: plan, start in the background, poll, stop, resume, load a cell."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lib_merge.architectures import family_by_id
from lib_merge.desk.selection import VAE_OF_A, Selection, drawing_settings
from lib_merge.desk.tabs.grid.axis_menu import (
    BLOCK_WEIGHTS,
    METHOD_PARAMETERS,
    MODELS_AND_FILES,
    PICTURE_SETTINGS,
)
from lib_merge.desk.tabs.grid.view import GridOptions, GridStarted, GridUpdate
from lib_merge.errors import MergeError
from lib_merge.grid.blockmap import block_rows
from lib_merge.picture import DrawSettings
from lib_merge.service.services import Services
from tests.support.desk_page import DeskPage, call
from tests.support.full_size import write_tiny
from tests.support.grid_host import SIDE, Bench
from tests.support.swaps import restore, swap_in

pytestmark = pytest.mark.newest_only

AB = Selection("a", "b", "", "Weighted sum", VAE_OF_A)
FIELDS = {"prompt": "a cat", "steps": 2, "width": SIDE, "height": SIDE, "seed": 1}
GRID = {"x": ["alpha", "0, 1"], "y": ["seed", "1-3"]}


def page_of(bench: Bench) -> DeskPage:
    page = DeskPage(bench.service, AB)
    page.drawing = FIELDS
    return page


def start(page: DeskPage, axes: dict[str, list[str]], **parameters: Any) -> GridStarted:
    return page.data("grid.start", axes=axes, parameters=parameters)


def wait(page: DeskPage) -> None:
    assert page.services.grids.wait(280)


def everything(page: DeskPage) -> GridUpdate:
    wait(page)
    news = page.data("grid.poll")
    while len(news.cells) and news.running:
        more = page.data("grid.poll", run=news.run, events=news.events)
        news = GridUpdate(
            more.run, more.events, more.running, more.progress, (*news.cells, *more.cells), more.blocks
        )
    return news


def test_the_plan_is_shown_before_anything_runs(bench: Bench) -> None:
    planned = page_of(bench).data("grid.plan", axes=GRID)
    assert planned.summary.startswith("6 cells: 2 merges, 6 images")
    assert page_of(bench).data("grid.plan", axes={"x": ["", "1"]}).summary == ""
    assert bench.host.drawn == 0


@pytest.mark.parametrize("text", [5, None, ["0, 1"], {"a": 1}])
def test_an_axis_that_is_no_text_is_refused(bench: Bench, text: Any) -> None:
    assert page_of(bench).problem("grid.plan", axes={"x": ["alpha", text]}).what.startswith("'axes' must be")


def test_an_axis_of_no_known_name_is_refused(bench: Bench) -> None:
    assert page_of(bench).problem("grid.plan", axes={"w": ["alpha", "1"]}).what == "There is no axis 'w'"


def test_two_files_of_one_name_are_distinguished_in_every_cell(tmp_path: Path) -> None:
    for number, folder in enumerate("xyz"):
        (tmp_path / "models" / folder).mkdir(parents=True)
        write_tiny(tmp_path / "models" / folder / "same.safetensors", seed=number)
    bench = Bench(tmp_path, tmp_path / "models")
    truth: list[bytes] = []
    settings = drawing_settings(bench.service, FIELDS)
    for b in ("y/same", "z/same"):
        swap_in(bench.service, {"a": "x/same", "b": b, "alpha": 1.0})
        truth.append(bench.host.draw(settings).image.tobytes())
    restore(bench.service)
    truth.append(bench.host.draw(settings).image.tobytes())
    page = page_of(bench)
    page.selection = Selection("x/same", "y/same", "", "Weighted sum", VAE_OF_A)
    start(page, {"x": ["model B", "y/same, z/same"], "y": ["alpha", "1, 0"]})
    wait(page)
    now = page.services.grids.job
    assert now is not None
    cells = {position: done.record for position, done in now.finished.items()}
    shown = {position: now.store.picture(done.name) for position, done in now.finished.items()}
    drawn = {position: image.tobytes() for position, image in shown.items() if image is not None}
    assert drawn == {(0, 0, 0): truth[0], (1, 0, 0): truth[1], (0, 1, 0): truth[2], (1, 1, 0): truth[2]}
    assert "z/same" in cells[(1, 0, 0)].recipe
    page.data("grid.resume")
    wait(page)
    again = page.services.grids.job
    assert again is not None
    assert all(cell.reused for cell in again.finished_cells)
    assert "z/same" in str(page.data("grid.load_cell", position=[1, 0, 0]).lists)


def test_a_wrong_value_is_a_problem_and_starts_nothing(bench: Bench) -> None:
    page = page_of(bench)
    problem = page.problem("grid.start", axes={"x": ["alpha", "x"], "y": ["model B", "none"]})
    assert len(problem.more) == 2
    assert page.data("grid.poll") == GridUpdate()


def test_cells_come_as_they_finish_and_hold_their_pictures(bench: Bench) -> None:
    page = page_of(bench)
    started = start(page, GRID)
    assert started.run == 1
    assert started.sheet.labels == {"x": ("0", "1"), "y": ("1", "2", "3")}
    news = everything(page)
    assert {cell.position for cell in news.cells} == {(x, y, 0) for x in range(2) for y in range(3)}
    raw = base64.b64decode(news.cells[0].picture.split(",")[1])
    with Image.open(io.BytesIO(raw)) as picture:
        assert picture.size == (SIDE, SIDE)
    assert "Finished: 6 of 6" in news.progress
    assert "Saved as 00001.png" in news.progress
    assert page.data("grid.poll", run=1, events=news.events).cells == ()


def test_a_failing_cell_says_why(bench: Bench) -> None:
    bench.host.broken = lambda settings: settings.seed == 2
    page = page_of(bench)
    start(page, GRID)
    news = everything(page)
    assert {cell.position[1] for cell in news.cells if "NaN" in cell.problem} == {1}
    assert "2 without a picture" in news.progress


def test_stop_keeps_and_resume_goes_on_also_after_a_restart(bench: Bench, tmp_path: Path) -> None:
    page = page_of(bench)

    def press(settings: DrawSettings) -> bool:
        if bench.host.drawn == 3:
            page.data("grid.stop")
        return False

    bench.host.broken = press
    start(page, GRID)
    assert "Stopped: 3 of 6" in everything(page).progress
    again = Bench(tmp_path, bench.models)
    fresh = page_of(again)
    opened: GridOptions = fresh.data("grid.open")
    assert opened.axes == {"x": ("alpha", "0, 1"), "y": ("seed", "1, 2, 3")}
    assert (bool(opened.kinds), opened.started) == (True, None)
    fresh.data("grid.resume")
    assert "Finished: 6 of 6" in everything(fresh).progress
    assert again.host.drawn == 3


def test_a_click_takes_a_cell_to_the_desk(bench: Bench) -> None:
    page = page_of(bench)
    start(page, {"x": ["M00", "0, 1"], "y": ["seed", "7"]}, alpha={"OUT05": 0.25, "*": 0.5})
    wait(page)
    taken = page.data("grid.load_cell", position=[1, 0, 0])
    assert (taken.lists["a"], taken.lists["b"], taken.lists["method"]) == ("a", "b", "Weighted sum")
    amounts = taken.amounts["alpha"]
    assert (amounts["M00"], amounts["OUT05"], amounts["IN00"]) == (1.0, 0.25, 0.5)
    assert taken.drawing["seed"] == 7


def test_a_look_at_a_cell_gets_its_whole_picture(bench: Bench) -> None:
    page = page_of(bench)
    start(page, {"x": ["alpha", "0, 1"]})
    wait(page)
    url = page.data("grid.picture", position=[1, 0, 0]).url
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        assert image.size == (SIDE, SIDE)
    assert page.problem("grid.picture", position=[5, 0, 0]).what == "This cell has no picture"


def test_the_menu_has_every_axis_under_a_heading_with_values_to_pick(bench: Bench) -> None:
    kinds = {kind.name: kind for kind in page_of(bench).data("grid.open").kinds}
    assert {kind.group for kind in kinds.values()} == {
        BLOCK_WEIGHTS,
        METHOD_PARAMETERS,
        MODELS_AND_FILES,
        PICTURE_SETTINGS,
    }
    assert (kinds["detail_in"].group, kinds["adjust"].group) == (METHOD_PARAMETERS, METHOD_PARAMETERS)
    assert set(kinds["model B"].choices) == {"a", "b", "c"}
    assert kinds["gamma"].examples == ("0-15 [5]",)


def test_every_value_that_the_menu_offers_is_read(bench: Bench) -> None:
    page = page_of(bench)
    for kind in page.data("grid.open").kinds:
        for text in (*kind.examples, *kind.choices):
            if kind.group == METHOD_PARAMETERS or kind.name in ("beta", "model C", "method"):
                continue  # of another method
            page.data("grid.plan", axes={"x": [kind.name, text]})


def test_a_grid_of_the_queue_starts_when_the_one_before_has_ended_and_stop_holds_it(bench: Bench) -> None:
    page, others = page_of(bench), [{"x": ["alpha", f"0, 0.{n}"]} for n in range(1, 4)]

    def add_others(_: DrawSettings) -> bool:
        if bench.host.drawn == 1:
            queues = [page.data("grid.add", axes=axes).waiting for axes in others]
            assert [len(queue) for queue in queues] == [1, 2, 3]
            page.data("queue.remove", number=queues[-1][1].number)
        if bench.host.drawn == 4:
            page.data("grid.stop")
        return False

    bench.host.broken = add_others
    start(page, {"x": ["alpha", "0, 0.5, 1"]})
    for _ in range(3):  # the queue begins the next in the thread of the one before
        wait(page)
    update = page.data("grid.poll")
    assert (update.run, "Stopped" in update.progress) == (2, True)
    assert len(page.data("queue.poll").waiting) == 1
    assert page.data("queue.next").waiting == ()
    wait(page)
    assert page.data("grid.poll").run == 3


def test_axes_are_saved_under_a_name_replaced_and_deleted(bench: Bench) -> None:
    page = page_of(bench)
    mine = {"x": ["alpha", "0, 1"], "y": ["", ""]}
    assert [each.name for each in page.data("grid.save_axes", name=" mine ", axes=mine).saved] == ["mine"]
    page.data("grid.save_axes", name="mine", axes=GRID)
    (opened,) = page_of(bench).data("grid.open").saved
    assert opened.axes["y"] == ("seed", "1-3")
    assert page.problem("grid.save_axes", name=" ", axes=GRID).what == "saved axes need a name"
    assert page.problem("grid.save_axes", name="x", axes={"x": ["", "1"]}).what.startswith("There is no axis")
    assert page.data("grid.delete_axes", name="mine").saved == ()


def test_a_cell_that_the_faders_cannot_show_gives_its_recipe(bench: Bench) -> None:
    page = page_of(bench)
    steps = 'A = "a"; B = "b"; N = weighted_sum(A, B, alpha = 0.5); M = weighted_sum(N, A, alpha = 0.5)'
    start(page, {"x": ["recipe", steps]})
    wait(page)
    taken = page.data("grid.load_cell")
    assert (taken.lists, bool(taken.why)) == ({}, True)
    assert taken.recipe.startswith("merge-desk recipe")


def test_rules_of_a_cell_go_to_their_tab(bench: Bench) -> None:
    page = page_of(bench)
    start(page, {"x": ["elements", "attn1: 0.5"]})
    wait(page)
    assert "attn1: 0.5" in page.data("grid.load_cell").extras["weights"]


def test_a_checkpoint_alone_is_a_without_b(bench: Bench) -> None:
    page = page_of(bench)
    page.selection = Selection("a")
    start(page, {"x": ["checkpoint", "a, b"]})
    assert len(everything(page).cells) == 2
    assert page.data("grid.load_cell", position=[1, 0, 0]).lists == {"a": "b"}


def test_the_map_measures_every_block_and_says_where_it_stands(bench: Bench) -> None:
    page = page_of(bench)
    started: GridStarted = page.data("grid.map")
    assert started.axes is None
    rows = started.sheet.rows
    assert rows == block_rows(family_by_id("sd1"))
    assert rows is not None
    standing = [*rows.beside, *(slot for pair in rows.pairs for slot in pair), *rows.middle]
    assert ("A", *sorted(standing)) == ("A", *sorted(started.sheet.labels["x"][1:]))
    news = everything(page)
    assert news.blocks is not None
    assert len(news.blocks) == 28
    assert all(change > 0 for change in news.blocks.values())
    assert page.data("grid.sheet").url.startswith("data:image/png;base64,"), "the map is a sheet too"


def test_the_sheet_the_table_and_a_row_are_files_to_take_away(bench: Bench) -> None:
    page = page_of(bench)
    assert page.problem("grid.sheet").what == "There is no grid yet"
    start(page, GRID)
    wait(page)
    for verb, kind in (("sheet", "image/png"), ("table", "text/csv"), ("row", "image/webp")):
        assert page.data(f"grid.{verb}").url.startswith(f"data:{kind};base64,")
    count = bench.host.drawn
    start(page, GRID)
    wait(page)
    assert bench.host.drawn == count


def test_a_second_grid_waits_for_the_first(bench: Bench) -> None:
    page = page_of(bench)
    messages: list[str] = []

    def again(settings: DrawSettings) -> bool:
        if not messages:
            messages.append(page.problem("grid.start", axes=GRID).what)
        return False

    bench.host.broken = again
    start(page, GRID)
    wait(page)
    assert "already" in messages[0]


def test_the_name_of_an_axis_is_read_whatever_its_spaces(bench: Bench) -> None:
    axes = {"x": ["  model  B ", "a"], "y": ["", ""], "z": ["alpha", "1"]}
    assert page_of(bench).data("grid.plan", axes=axes).summary.startswith("1 cell: 1 merge")


# --- the same for programs ---


def test_a_program_plans_starts_and_fetches_cells(bench: Bench) -> None:
    drawing = {"prompt": "a cat", "steps": 2, "width": SIDE, "height": SIDE}
    body = {"a": "a", "b": "b", "axes": {"x": "alpha: 0.25, 1", "y": "seed: 1, 2"}, "drawing": drawing}
    services = Services(bench.service)
    assert call(services, "GET", "grid")["cells"] == []
    planned = call(services, "POST", "grid", {**body, "action": "plan"})["planned"]
    assert (planned["cells"], planned["merges"]) == (4, 2)
    call(services, "POST", "grid", body)
    assert services.grids.wait(280)
    status = call(services, "GET", "grid")
    assert (status["running"], status["merges"], len(status["cells"])) == (False, 2, 4)
    picture = call(services, "POST", "grid", {"action": "cell", "place": [1, 1, 0]})["picture"]
    with Image.open(io.BytesIO(base64.b64decode(picture))) as drawn:
        work = next(job for job in services.grids.job.plan.jobs if job.position == (1, 1, 0))  # type: ignore[union-attr]
        alone = bench.alone(work.cell, bench.folder / "alone")
        assert drawn.convert("RGB").tobytes() == alone.tobytes()


@pytest.mark.parametrize(
    "body",
    [
        {"a": "a", "b": "b"},
        {"action": "dance"},
        {"a": "a", "b": "b", "axes": {"w": "alpha: 1"}},
        {"a": "a", "b": "b", "axes": {"x": "alpha: 1"}, "drawing": {"brush": 1}},
        {"a": "a", "b": "b", "axes": {"x": "alpha: 1"}, "drawing": {"steps": "many"}},
        {"action": "cell", "place": [0, 0, 0]},
        {"action": "resume"},
    ],
)
def test_a_program_gets_an_error_for_what_is_wrong(bench: Bench, body: dict[str, object]) -> None:
    with pytest.raises(MergeError):
        call(Services(bench.service), "POST", "grid", body)
    assert bench.host.drawn == 0


def test_a_page_sees_the_grid_that_another_has_started(bench: Bench) -> None:
    page, other = page_of(bench), page_of(bench)
    other.services = page.services
    start(page, GRID)
    assert len(everything(other).cells) == 6
    assert other.data("grid.open").started.run == 1
