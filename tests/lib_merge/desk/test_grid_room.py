"""The room *Grid* as plain functions: plan, run in the background, look, stop, resume, take a cell."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lib_merge.desk.grid_api import grid_act, grid_status
from lib_merge.desk.grid_handlers import GridMove, GridRoom
from lib_merge.desk.grid_run import grids_of
from lib_merge.desk.grid_view import GridAnswer, GridNews
from lib_merge.desk.handlers import Choice, Desk
from lib_merge.desk.view import VAE_OF_A
from lib_merge.errors import MergeError
from lib_merge.picture import DrawSettings
from tests.full_size import write_tiny
from tests.grid_host import SIDE, Bench

AB = Choice("a", "b", "", "Weighted sum", VAE_OF_A)
FIELDS = {"prompt": "a cat", "steps": 2, "width": SIDE, "height": SIDE, "seed": 1}
GRID = {"x": ["alpha", "0, 1"], "y": ["seed", "1-3"]}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in "ab":
        write_tiny(folder / f"{name}.safetensors", seed=ord(name))
    return folder


@pytest.fixture
def bench(tmp_path: Path, models: Path) -> Bench:
    return Bench(tmp_path, models)


def room_of(bench: Bench) -> GridRoom:
    return GridRoom(Desk(bench.mixer))


def asked(action: str, axes: dict[str, list[str]] | None = None, **more: Any) -> str:
    return json.dumps({"seq": 3, "action": action, "axes": axes or {}, **more})


def turn(room: GridRoom, action: str, axes: dict[str, list[str]] | None = None, **more: Any) -> GridAnswer:
    return room.turn(asked(action, axes, **more), AB, FIELDS)


def everything(room: GridRoom) -> GridNews:
    assert room.wait(60)
    news = room.look("{}")
    while len(news.cells) and news.running:
        more = room.look(json.dumps({"run": news.run, "at": news.at}))
        news = GridNews(more.run, more.at, more.running, more.told, (*news.cells, *more.cells), more.blocks)
    return news


def test_the_plan_is_told_before_anything_runs(bench: Bench) -> None:
    answer = turn(room_of(bench), "plan", GRID)
    assert answer.problem is None
    assert answer.sheet is not None
    assert answer.sheet.told.startswith("6 cells: 2 merges, 6 images")
    assert answer.sheet.labels == {"x": ("0", "1"), "y": ("1", "2", "3")}
    assert bench.host.drawn == 0


@pytest.mark.parametrize("text", [5, None, ["0, 1"], {"a": 1}])
def test_an_axis_that_is_no_text_is_refused(bench: Bench, text: Any) -> None:
    answer = turn(room_of(bench), "plan", {"x": ["alpha", text]})
    assert answer.problem is not None
    assert "cannot be read" in answer.problem.what


def test_two_files_of_one_name_are_told_apart_in_every_cell(tmp_path: Path) -> None:
    for number, folder in enumerate("xyz"):
        (tmp_path / "models" / folder).mkdir(parents=True)
        write_tiny(tmp_path / "models" / folder / "same.safetensors", seed=number)
    bench = Bench(tmp_path, tmp_path / "models")
    truth: list[bytes] = []
    settings = Desk(bench.mixer).settings(FIELDS)
    for b in ("y/same", "z/same"):
        bench.mixer.apply({"a": "x/same", "b": b, "alpha": 1.0})
        truth.append(bench.host.draw(settings).image.tobytes())
    bench.mixer.restore()
    truth.append(bench.host.draw(settings).image.tobytes())
    room = room_of(bench)
    choice = Choice("x/same", "y/same", "", "Weighted sum", VAE_OF_A)
    axes = {"x": ["model B", "y/same, z/same"], "y": ["alpha", "1, 0"]}
    answer = room.turn(asked("start", axes), choice, FIELDS)
    assert answer.problem is None
    assert room.wait(60)
    now = grids_of(bench.mixer).now
    assert now is not None
    cells = {place: done.record for place, done in now.finished.items()}
    shown = {place: now.store.picture(done.name) for place, done in now.finished.items()}
    drawn = {place: image.tobytes() for place, image in shown.items() if image is not None}
    assert drawn == {(0, 0, 0): truth[0], (1, 0, 0): truth[1], (0, 1, 0): truth[2], (1, 1, 0): truth[2]}
    assert "z/same" in cells[(1, 0, 0)].recipe
    again = room.turn(asked("resume"), choice, FIELDS)
    assert again.problem is None
    assert room.wait(60)
    assert all(each.kept for each in grids_of(bench.mixer).now.events)
    taken, cell = room.take(asked("take", place=[1, 0, 0]))
    assert taken.problem is None
    assert taken.taken is not None
    assert "z/same" in str(taken.taken)
    assert cell is not None


def test_a_wrong_value_is_a_problem_and_starts_nothing(bench: Bench) -> None:
    room = room_of(bench)
    answer = turn(room, "start", {"x": ["alpha", "x"], "y": ["model B", "none"]})
    assert answer.problem is not None
    assert len(answer.problem.more) == 2
    assert room.look("{}") == GridNews()


def test_cells_come_as_they_finish_and_hold_their_pictures(bench: Bench) -> None:
    room = room_of(bench)
    answer = turn(room, "start", GRID)
    assert (answer.problem, answer.run) == (None, 1)
    news = everything(room)
    assert {cell.place for cell in news.cells} == {(x, y, 0) for x in range(2) for y in range(3)}
    raw = base64.b64decode(news.cells[0].picture.split(",")[1])
    with Image.open(io.BytesIO(raw)) as picture:
        assert picture.size == (SIDE, SIDE)
    assert "Finished: 6 of 6" in news.told
    assert "Saved as 00001.png" in news.told
    assert room.look(json.dumps({"run": 1, "at": news.at})).cells == ()


def test_a_failing_cell_says_why(bench: Bench) -> None:
    bench.host.broken = lambda settings: settings.seed == 2
    room = room_of(bench)
    turn(room, "start", GRID)
    news = everything(room)
    assert {cell.place[1] for cell in news.cells if "NaN" in cell.problem} == {1}
    assert "2 without a picture" in news.told


def test_stop_keeps_and_resume_goes_on_also_after_a_restart(bench: Bench, tmp_path: Path) -> None:
    room = room_of(bench)

    def press(settings: DrawSettings) -> bool:
        if bench.host.drawn == 3:
            turn(room, "stop")
        return False

    bench.host.broken = press
    turn(room, "start", GRID)
    news = everything(room)
    assert "Stopped: 3 of 6" in news.told
    again = Bench(tmp_path, bench.models)
    fresh = room_of(again)
    hello = turn(fresh, "hello")
    assert hello.axes == {"x": ("alpha", "0, 1"), "y": ("seed", "1, 2, 3")}
    assert hello.kinds is not None
    assert turn(fresh, "resume").problem is None
    assert "Finished: 6 of 6" in everything(fresh).told
    assert again.host.drawn == 3


def test_a_click_takes_a_cell_to_the_desk(bench: Bench) -> None:
    room = room_of(bench)
    parameters = {"alpha": {"OUT05": 0.25, "*": 0.5}}
    turn(room, "start", {"x": ["M00", "0, 1"], "y": ["seed", "7"]}, parameters=parameters)
    assert room.wait(60)
    answer, cell = room.take(asked("take", place=[1, 0, 0]))
    assert answer.problem is None
    assert answer.taken is not None
    lists = answer.taken.lists
    assert (lists["a"], lists["b"], lists["method"]) == ("a", "b", "Weighted sum")
    amounts = answer.taken.amounts["alpha"]
    assert (amounts["M00"], amounts["OUT05"], amounts["IN00"]) == (1.0, 0.25, 0.5)
    assert cell is not None
    assert cell.drawing.seed == 7


def test_a_cell_that_the_faders_cannot_show_gives_its_recipe(bench: Bench) -> None:
    room = room_of(bench)
    steps = 'A = "a"; B = "b"; N = weighted_sum(A, B, alpha = 0.5); M = weighted_sum(N, A, alpha = 0.5)'
    turn(room, "start", {"x": ["recipe", steps]})
    assert room.wait(60)
    answer, _ = room.take(asked("take"))
    assert answer.taken is not None
    assert answer.taken.lists == {}
    assert answer.taken.why
    assert answer.taken.recipe.startswith("merge-desk recipe")


def test_rules_of_a_cell_go_to_their_room(bench: Bench) -> None:
    room = room_of(bench)
    turn(room, "start", {"x": ["elements", "attn1: 0.5"]})
    assert room.wait(60)
    answer, _ = room.take(asked("take"))
    assert answer.taken is not None
    assert "attn1: 0.5" in answer.taken.extras["weights"]


def test_a_checkpoint_alone_is_a_without_b(bench: Bench) -> None:
    room = room_of(bench)
    answer = room.turn(asked("start", {"x": ["checkpoint", "a, b"]}), Choice("a"), FIELDS)
    assert answer.problem is None
    assert len(everything(room).cells) == 2
    answer, _ = room.take(asked("take", place=[1, 0, 0]))
    assert answer.taken is not None
    assert answer.taken.lists == {"a": "b"}


def test_the_map_measures_every_block(bench: Bench) -> None:
    room = room_of(bench)
    answer = turn(room, "map")
    assert answer.map
    news = everything(room)
    assert news.blocks is not None
    assert len(news.blocks) == 28
    assert all(change > 0 for change in news.blocks.values())


def test_the_sheet_the_table_and_a_row_are_files_to_take_away(bench: Bench) -> None:
    room = room_of(bench)
    turn(room, "start", GRID)
    assert room.wait(60)
    for action, kind in (("sheet", "image/png"), ("table", "text/csv"), ("row", "image/webp")):
        answer = turn(room, action)
        assert answer.file is not None
        assert answer.file[1].startswith(f"data:{kind};base64,")
    count = bench.host.drawn
    turn(room, "start", GRID)
    assert room.wait(60)
    assert bench.host.drawn == count


def test_a_second_grid_waits_for_the_first(bench: Bench) -> None:
    room = room_of(bench)
    told: list[GridAnswer] = []

    def again(settings: DrawSettings) -> bool:
        if not told:
            told.append(turn(room, "start", GRID))
        return False

    bench.host.broken = again
    turn(room, "start", GRID)
    assert room.wait(60)
    assert told[0].problem is not None
    assert "already" in told[0].problem.what


def test_what_the_page_sends_is_read() -> None:
    move = GridMove.read(asked("start", {"x": ["  model  B ", "a"], "y": ["", ""]}, place=[1, 2, 0]))
    assert str(move.axes["x"]) == "model B: a"
    assert "y" not in move.axes
    assert move.place == (1, 2, 0)


# --- the same for programs ---


def test_a_program_plans_starts_and_fetches_cells(bench: Bench) -> None:
    drawing = {"prompt": "a cat", "steps": 2, "width": SIDE, "height": SIDE}
    body = {"a": "a", "b": "b", "axes": {"x": "alpha: 0.25, 1", "y": "seed: 1, 2"}, "drawing": drawing}
    assert grid_status(bench.mixer)["cells"] == []
    planned = grid_act(bench.mixer, {**body, "action": "plan"})["planned"]
    assert (planned["cells"], planned["merges"]) == (4, 2)
    grid_act(bench.mixer, body)
    assert grids_of(bench.mixer).wait(60)
    told = grid_status(bench.mixer)
    assert (told["running"], told["merges"], len(told["cells"])) == (False, 2, 4)
    assert json.loads(json.dumps(told)) == told
    picture = grid_act(bench.mixer, {"action": "cell", "place": [1, 1, 0]})["picture"]
    with Image.open(io.BytesIO(base64.b64decode(picture))) as drawn:
        work = next(each for each in grids_of(bench.mixer).now.plan.work if each.place == (1, 1, 0))  # type: ignore[union-attr]
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
def test_a_program_is_told_what_it_got_wrong(bench: Bench, body: dict[str, object]) -> None:
    with pytest.raises(MergeError):
        grid_act(bench.mixer, body)
    assert bench.host.drawn == 0


def test_a_page_sees_the_grid_that_another_has_started(bench: Bench) -> None:
    turn(room_of(bench), "start", GRID)
    other = room_of(bench)
    assert len(everything(other).cells) == 6
    assert turn(other, "hello").run == 1
