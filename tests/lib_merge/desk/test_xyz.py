"""Our axes in an X/Y/Z script like the WebUI's: joined once, values checked first, the model put back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lib_merge.desk.xyz import OFFERED, PREFIX, Axes, find_script
from lib_merge.errors import MergeError
from lib_merge.hosts.webui import RECIPE_OPTION
from tests.full_size import write_tiny
from tests.grid_host import Bench

KEY = "model.diffusion_model.output_blocks.5.0.in_layers.2.weight"
BODY = {"method": "weighted_sum", "a": "a", "b": "b", "alpha": 0.5}


class AxisOption:
    """As in A1111 v1.10.1, scripts/xyz_grid.py."""

    def __init__(
        self,
        label: str,
        type: Callable[[str], Any],
        apply: Callable[[Any, Any, Sequence[Any]], None],
        format_value: Callable[[Any, Any, Any], str] | None = None,
        confirm: Callable[[Any, Sequence[Any]], None] | None = None,
        cost: float = 0.0,
        choices: Callable[[], Sequence[str]] | None = None,
        prepare: Callable[[str], Sequence[str]] | None = None,
    ) -> None:
        self.label, self.type, self.apply, self.format_value = label, type, apply, format_value
        self.confirm, self.cost, self.choices, self.prepare = confirm, cost, choices, prepare


class Script:
    """The part of the script that matters: values, cells by shallow copies, failing cells passed over."""

    def __init__(self, module: Any, draw: Callable[[Any], object]) -> None:
        self.module, self.draw = module, draw
        self.labels: list[list[str]] = []

    def run(self, p: Any, *axes: tuple[str, str]) -> list[object]:
        options, values = [], []
        for label, text in axes:
            option = next(each for each in self.module.axis_options if each.label == label)
            found = option.prepare(text)
            option.confirm(p, found)
            options.append(option)
            values.append(found)
        self.labels = [[o.format_value(p, o, x) for x in xs] for o, xs in zip(options, values, strict=True)]
        drawn: list[object] = []
        for chosen in product(*values):
            cell = copy(p)
            for option, x, xs in zip(options, chosen, values, strict=True):
                option.apply(cell, x, xs)
            try:
                drawn.append(self.draw(cell))
            except MergeError as failure:
                drawn.append(str(failure))
        return drawn


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in "abc":
        write_tiny(folder / f"{name}.safetensors", seed=ord(name))
    return folder


@pytest.fixture
def bench(tmp_path: Path, models: Path) -> Bench:
    return Bench(tmp_path, models)


def weights(bench: Bench) -> torch.Tensor:
    return bench.host.model().tensors(KEY)[0].clone()


def script_of(bench: Bench) -> tuple[Axes, Script]:
    axes = Axes(bench.mixer)
    module = SimpleNamespace(AxisOption=AxisOption, axis_options=[], Script=type("Own", (Script,), {}))

    def draw(cell: Any) -> object:
        cell.sample = lambda: weights(bench)
        assert axes.wants(cell)
        axes.bring(cell)
        return cell.sample()

    axes.join(module)
    axes.join(module)
    script = module.Script(module, draw)
    assert [option.label for option in module.axis_options] == [PREFIX + name for name in OFFERED]
    return axes, script


def job() -> Any:
    return SimpleNamespace(override_settings={})


def merged(bench: Bench, **more: object) -> torch.Tensor:
    bench.mixer.apply({**BODY, **more})
    found = weights(bench)
    bench.mixer.restore()
    return found


def test_the_script_is_found_among_the_hosts() -> None:
    named = type("Script", (), {"__module__": "xyz_grid.py"})
    data = [SimpleNamespace(script_class=int, module=1), SimpleNamespace(script_class=named, module=2)]
    assert find_script(data) == 2
    assert find_script(data[:1]) is None


def test_cells_hold_their_merges_and_the_engaged_one_comes_back(bench: Bench) -> None:
    truth = {(alpha, b): merged(bench, alpha=alpha, b=b) for alpha in (0.0, 0.5, 1.0) for b in "bc"}
    bench.mixer.apply(BODY)
    engaged = weights(bench)
    _, script = script_of(bench)
    cells = script.run(job(), (f"{PREFIX}alpha", "0-1 [3]"), (f"{PREFIX}model B", "b, c"))
    for cell, key in zip(cells, product((0.0, 0.5, 1.0), "bc"), strict=True):
        assert isinstance(cell, torch.Tensor)
        assert torch.equal(cell, truth[key])
    assert script.labels == [["alpha: 0", "alpha: 0.5", "alpha: 1"], ["model B: b", "model B: c"]]
    assert torch.equal(weights(bench), engaged)
    assert bench.mixer.status().live is not None


def test_without_an_engaged_merge_the_checkpoint_comes_back(bench: Bench) -> None:
    before = weights(bench)
    _, script = script_of(bench)
    (cell,) = script.run(job(), (f"{PREFIX}model B", "b"))
    assert isinstance(cell, torch.Tensor)
    assert torch.equal(cell, merged(bench, alpha=0.5))
    assert torch.equal(weights(bench), before)
    assert bench.mixer.status().live is None


def test_amounts_with_nothing_to_mix_in_are_refused_cell_by_cell(bench: Bench) -> None:
    _, script = script_of(bench)
    (cell,) = script.run(job(), (f"{PREFIX}alpha", "0.5"))
    assert "nothing to mix in" in str(cell)


def test_a_failing_cell_is_passed_over_and_the_model_is_put_back(tmp_path: Path, models: Path) -> None:
    import shutil

    own = shutil.copytree(models, tmp_path / "own")
    bench = Bench(tmp_path, own)
    before = weights(bench)
    axes, script = script_of(bench)
    bring = axes.bring

    def lose(p: Any, progress: Any = None) -> None:
        (own / "c.safetensors").unlink(missing_ok=True)
        bring(p)

    axes.bring = lose  # type: ignore[method-assign]
    cells = script.run(job(), (f"{PREFIX}model B", "c, b"))
    assert "is not drawn" in str(cells[0])
    assert isinstance(cells[1], torch.Tensor)
    assert torch.equal(weights(bench), before)


@pytest.mark.parametrize(
    ("axis", "values"),
    [("alpha", "often"), ("model B", "b, none"), ("method", "sum"), ("blocks", "IN99=1"), ("preset", "X")],
)
def test_wrong_values_are_told_before_anything_runs(bench: Bench, axis: str, values: str) -> None:
    _, script = script_of(bench)
    with pytest.raises(MergeError):
        script.run(job(), (PREFIX + axis, values))
    assert bench.mixer.session.ident is None


def test_a_cell_with_a_checkpoint_of_its_own_is_refused(bench: Bench) -> None:
    _, script = script_of(bench)
    cell = job()
    cell.override_settings["sd_model_checkpoint"] = "c"
    (told,) = script.run(cell, (f"{PREFIX}model B", "b"))
    assert "checkpoint of its own" in str(told)


def test_a_cell_of_a_job_without_override_settings_is_drawn(bench: Bench) -> None:
    _, script = script_of(bench)
    (cell,) = script.run(SimpleNamespace(override_settings=None), (f"{PREFIX}model B", "b"))
    assert isinstance(cell, torch.Tensor)
    assert torch.equal(cell, merged(bench, alpha=0.5))


def test_a_cell_with_a_recipe_of_its_own_is_refused(bench: Bench) -> None:
    _, script = script_of(bench)
    cell = job()
    cell.override_settings[RECIPE_OPTION] = "merge-desk recipe 2"
    (told,) = script.run(cell, (f"{PREFIX}model B", "b"))
    assert "a recipe of its own" in str(told)


def test_a_script_of_another_kind_is_left_alone(bench: Bench) -> None:
    Axes(bench.mixer).join(SimpleNamespace(Script=int))


def test_lists_and_rules_are_single_values(bench: Bench) -> None:
    axes, script = script_of(bench)
    del axes
    option = next(each for each in script.module.axis_options if each.label == f"{PREFIX}weights")
    assert option.prepare("GRAD_V\n" + "0.5, " * 25 + "1") == ["GRAD_V", "0.5, " * 25 + "1"]
    everything = next(each for each in script.module.axis_options if each.label == f"{PREFIX}blocks")
    assert len(everything.prepare("ALL")) == 28
