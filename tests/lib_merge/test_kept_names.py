"""Names that an earlier Merge Desk wrote or was called by: whatever is renamed, they mean the same merge.

The files of written_before/names were made by lib_merge at commit 885dd6c: for every method, save option,
kind of axis and route what a user may have in a script, a history or a file, and its result (the first two
numbers of a few tensors of small models).
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, cast

import pytest

from lib_merge.architectures import family_by_id, read_header
from lib_merge.cli.arguments import read_command
from lib_merge.cli.main import COMMAND, build_parser
from lib_merge.cli.request import read_merge
from lib_merge.desk.api import answer_text
from lib_merge.desk.table import TABS
from lib_merge.execute import MergeOptions, merge_to_memory
from lib_merge.grid import GridStore
from lib_merge.grid.axes.read import AxisSpec, cell_at, cell_positions, find_axis_kind, read_axes
from lib_merge.grid.store import saved_requests
from lib_merge.library.history import History
from lib_merge.plan import make_plan
from lib_merge.plan.metadata import ANCESTRY_KEY
from lib_merge.recipe import Recipe, parse_recipe, print_recipe, read_imported
from lib_merge.recipe.weights.presets import family_presets
from lib_merge.service.grids import GridBackend
from lib_merge.service.merging import MergeService
from lib_merge.service.request import MergeRequest, Resolved
from lib_merge.service.services import Services
from tests.support.grid_host import Bench, NoiseHost

pytestmark = pytest.mark.newest_only

EARLIER = Path(__file__).parent / "written_before" / "names"
MODELS = EARLIER / "models"
PRECISE = 1e-5
COARSE = {
    "torch.float16": 1e-4,
    "torch.bfloat16": 1e-3,
    "torch.float8_e4m3fn": 5e-3,
    "torch.float8_e5m2": 1e-2,
}


def earlier(name: str) -> Any:
    return json.loads((EARLIER / name).read_text(encoding="utf-8"))


MERGES: Mapping[str, Any] = {merge["name"]: merge for merge in earlier("merges.json")["merges"]}
RECIPES: Mapping[str, Any] = earlier("merges.json")["recipes"]
AXES: Mapping[str, Any] = earlier("axes.json")


class Names:
    """A resolver that takes every name for a file's."""

    def name_models(self, models: Sequence[str], vae: str) -> list[tuple[str, str]]:
        names = [*models, *([vae] if vae else [])]
        return [(name if "." in name else f"{name}.safetensors", name) for name in names]

    def locate(self, recipe: Recipe) -> Resolved[str]:
        return Resolved(recipe, {file: file for file in recipe.files})


def canonical(text: str) -> str:
    """A recipe's text as it is printed today."""
    return print_recipe(parse_recipe(text))


def check_numbers(recipe: Recipe, numbers: Mapping[str, Sequence[float]], dtype: str) -> None:
    """That the merge has the tensors it had."""
    headers = {file: read_header(MODELS / Path(file).with_suffix(".safetensors")) for file in recipe.files}
    tensors = merge_to_memory(make_plan(recipe, headers), MergeOptions(threads=1))
    assert str(next(iter(tensors.values())).dtype) == dtype
    assert {key for key in tensors if key in numbers} == set(numbers)
    for key, values in numbers.items():
        first = [float(number) for number in tensors[key].flatten()[: len(values)]]
        assert first == pytest.approx(values, rel=COARSE.get(dtype, PRECISE), abs=COARSE.get(dtype, PRECISE))


@pytest.mark.parametrize("name", MERGES)
def test_earlier_flags_json_and_recipe_make_the_merge_that_they_made(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge = MERGES[name]
    today = canonical(merge["recipe"])
    assert canonical(today) == today
    check_numbers(parse_recipe(merge["recipe"]), merge["numbers"], merge["dtype"])
    monkeypatch.chdir(MODELS)
    parsed = build_parser().parse_args(["plan", *merge["flags"]])
    flags = read_command(getattr(parsed, COMMAND)[0], parsed)
    assert print_recipe(read_merge(flags).recipe) == today
    if len(parsed.models) <= 3:  # of JSON
        request = MergeRequest.from_json(merge["body"])
        assert print_recipe(request.recipe(Names()).recipe) == today


@pytest.mark.parametrize("name", [name for name, each in RECIPES.items() if "runs" in each])
def test_earlier_recipes_of_all_words_make_what_they_made(name: str) -> None:
    written = RECIPES[name]
    assert canonical(written["text"]) == canonical(written["canonical"])
    check_numbers(parse_recipe(written["runs"]), written["numbers"], written["dtype"])


@pytest.mark.parametrize("name", [name for name, each in RECIPES.items() if "options" in each])
def test_earlier_recipes_of_aligned_models_say_the_same_alignment(name: str) -> None:
    written = RECIPES[name]
    assert canonical(written["text"]) == canonical(written["canonical"])
    (aligned,) = [each.alignment for each in parse_recipe(written["text"]).ingredients if each.alignment]
    assert json.loads(json.dumps(list(asdict(aligned.options).values()))) == written["options"]
    assert sorted(str(each) for name, each in asdict(aligned).items() if name != "options") == sorted(
        str(value) for _, value in written["alignment"]
    )


def test_earlier_presets_have_their_names_and_numbers() -> None:
    known = family_presets(family_by_id("sd1"))
    for name, amounts in earlier("shipped_presets.json").items():
        assert dict(known[name]) == pytest.approx(amounts), name


@pytest.mark.parametrize("command", earlier("commands.json"), ids=lambda command: command["line"])
def test_earlier_command_lines_are_read_with_every_flag(command: Mapping[str, Any]) -> None:
    parsed = build_parser().parse_args(command["line"].split())
    read = read_command(getattr(parsed, COMMAND)[0], parsed)
    values = [value for each in fields(read) if not isinstance(value := getattr(read, each.name), dict)]
    added = Counter(map(json.dumps, values))
    added.subtract(command["values"])
    assert min(added.values()) == 0
    assert {text for text, count in added.items() if count} <= {"null", "false"}  # flags since then, not set


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, MODELS)


def test_earlier_axes_have_their_names(bench: Bench) -> None:
    for name in AXES["names"]:
        if name != "lora x":  # of a WebUI
            assert find_axis_kind(name, bench.base()), name


@pytest.mark.parametrize("axis", AXES["read"], ids=lambda axis: axis["axis"])
def test_earlier_axes_make_the_cells_that_they_made(axis: Mapping[str, Any], bench: Bench) -> None:
    base = bench.base(parse_recipe(MERGES[axis["method"]]["recipe"]))
    axes = read_axes({"x": AxisSpec(axis["axis"], axis["values"])}, base)
    cells = [cell_at(place, axes, base) for place in cell_positions(axes)]
    if axis["axis"] != "random":  # its seeds are drawn as it is read
        assert [print_recipe(cell.recipe) for cell in cells] == [canonical(each) for each in axis["recipes"]]
    assert [cell.drawing.prompt for cell in cells] == axis["prompts"]


def holds(answer: Any, before: Any) -> bool:
    """Whether an answer has every field that it had; of lists the first entries are compared."""
    if isinstance(before, Mapping):
        fields_before = cast("Mapping[str, Any]", before)
        return all(name in answer and holds(answer[name], inside) for name, inside in fields_before.items())
    if isinstance(before, list) and before:
        return bool(answer) and holds(answer[0], before[0])
    return True


def test_every_route_takes_earlier_bodies_and_answers_with_the_earlier_fields(bench: Bench) -> None:
    services = Services(bench.service)
    routes = {(route.verb, route.path): route for tab in TABS for route in tab.routes}
    for asked in earlier("api.json"):
        text, status = answer_text(routes[asked["verb"], asked["path"]], asked["body"], services)
        assert status == asked.get("status", 200), (asked["path"], text)
        assert holds(json.loads(text), asked["answer"]), (asked["path"], text)
        assert services.grids.wait(280)


def test_an_earlier_file_and_picture_tell_their_recipes() -> None:
    saved = read_imported(str(EARLIER / "saved.safetensors")).recipe
    assert [(step.method, step.inputs) for step in saved.steps] == [("weighted_sum", ("A", "B"))]
    assert saved.prediction == "eps"
    (mother,) = json.loads(read_header(EARLIER / "saved.safetensors").metadata[ANCESTRY_KEY]).values()
    (first,) = parse_recipe(mother["recipe"]).steps
    ties = parse_recipe(MERGES["ties"]["recipe"])
    assert first.method == ties.steps[0].method
    assert first.settings
    assert set(first.settings) <= set(ties.steps[0].settings)
    drawn = read_imported(str(EARLIER / "picture.png")).recipe
    assert print_recipe(drawn) == print_recipe(ties)


def test_an_earlier_history_is_searched_by_its_names_and_by_the_ids_in_pictures(tmp_path: Path) -> None:
    shutil.copytree(EARLIER / "data", tmp_path / "data")
    entries = {entry.name: entry for entry in History(tmp_path / "data").entries()}
    assert set(entries) == {"weighted_models", "ties", "breadcrumbs", "rounding steps"}
    service = MergeService(NoiseHost([MODELS], output=tmp_path / "out", data=tmp_path / "data"))
    backend = GridBackend(service)
    for name in entries:
        found = [backend.from_history(name), backend.from_history(MERGES[name]["id"])]
        assert [print_recipe(recipe) for recipe in found] == [canonical(MERGES[name]["recipe"])] * 2


def test_an_earlier_grid_is_found_and_its_finished_cell_is_shown(bench: Bench) -> None:
    ((folder, order),) = saved_requests(EARLIER / "data" / "grids")
    assert canonical(order.recipe) == canonical(MERGES["ties"]["recipe"])
    axes = read_axes(order.axes, bench.base(parse_recipe(order.recipe)))
    assert [len(axis.values) for axis in axes.values()] == [2, 2]
    (picture,) = folder.glob("*.png")
    record = GridStore(folder).record(picture.stem)
    assert record is not None
    assert canonical(record.recipe)
    assert not record.failed
