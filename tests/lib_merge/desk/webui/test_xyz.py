"""Our axes in an X/Y/Z script like the WebUI's: registered once, values validated, the model restored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lib_merge.desk.webui.xyz import CHECKPOINT_AXIS, LABEL_PREFIX, MergeAxes, checkpoint_of, find_script
from lib_merge.errors import MergeError
from lib_merge.hosts.webui import RECIPE_OPTION
from tests.support.grid_host import Bench
from tests.support.swaps import restore, swap_in

pytestmark = pytest.mark.newest_only

KEY = "model.diffusion_model.output_blocks.5.0.in_layers.2.weight"
BODY = {"method": "weighted_sum", "a": "a", "b": "b", "alpha": 0.5}

# in this order: programs that use the script name an axis by its number
OFFERED = [
    "alpha",
    "beta",
    "alpha and beta",
    "weights",
    "beta weights",
    "preset",
    "amount",
    "random",
    "blocks",
    "XL blocks",
    "elements",
    "include",
    "exclude",
    "adjust",
    "pinpoint adjust",
    "model A",
    "model B",
    "model C",
    "method",
    "VAE",
    "dtype",
    "checkpoint",
    "recipe",
    "merge ID",
]


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
            option = next(
                axis_option for axis_option in self.module.axis_options if axis_option.label == label
            )
            entries = option.prepare(text)
            option.confirm(p, entries)
            options.append(option)
            values.append(entries)
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


def weights(bench: Bench) -> torch.Tensor:
    return bench.host.model().places(KEY)[0].tensor.clone()


def script_of(bench: Bench) -> tuple[MergeAxes, Script]:
    axes = MergeAxes(bench.service)
    module, own = SimpleNamespace(AxisOption=AxisOption, axis_options=[]), type("Own", (Script,), {})
    loaded = SimpleNamespace(module=module, script_class=own)

    def draw(cell: Any) -> object:
        cell.sample = lambda: weights(bench)
        assert axes.is_merge_cell(cell)
        axes.apply_to_cell(cell)
        return cell.sample()

    axes.register(loaded)
    axes.register(loaded)
    script = own(module, draw)
    assert [option.label for option in module.axis_options] == [LABEL_PREFIX + name for name in OFFERED]
    return axes, script


def job() -> Any:
    return SimpleNamespace(override_settings={})


def merged(bench: Bench, **more: object) -> torch.Tensor:
    swap_in(bench.service, {**BODY, **more})
    tensors = weights(bench)
    restore(bench.service)
    return tensors


def test_the_script_is_found_among_the_hosts() -> None:
    named = type("Script", (), {"__module__": "xyz_grid.py"})
    data = [SimpleNamespace(script_class=int, module=1), SimpleNamespace(script_class=named, module=2)]
    assert find_script(data) is data[1]
    assert find_script(data[:1]) is None


def test_cells_hold_their_merges_and_the_engaged_one_comes_back(bench: Bench) -> None:
    truth = {(alpha, b): merged(bench, alpha=alpha, b=b) for alpha in (0.0, 0.5, 1.0) for b in "bc"}
    swap_in(bench.service, BODY)
    engaged = weights(bench)
    _, script = script_of(bench)
    cells = script.run(job(), (f"{LABEL_PREFIX}alpha", "0-1 [3]"), (f"{LABEL_PREFIX}model B", "b, c"))
    for cell, key in zip(cells, product((0.0, 0.5, 1.0), "bc"), strict=True):
        assert isinstance(cell, torch.Tensor)
        assert torch.equal(cell, truth[key])
    assert script.labels == [["alpha: 0", "alpha: 0.5", "alpha: 1"], ["model B: b", "model B: c"]]
    assert torch.equal(weights(bench), engaged)
    assert bench.service.status().live is not None


def test_without_an_engaged_merge_the_checkpoint_comes_back(bench: Bench) -> None:
    before = weights(bench)
    _, script = script_of(bench)
    (cell,) = script.run(job(), (f"{LABEL_PREFIX}model B", "b"))
    assert isinstance(cell, torch.Tensor)
    assert torch.equal(cell, merged(bench, alpha=0.5))
    assert torch.equal(weights(bench), before)
    assert bench.service.status().live is None


def test_amounts_with_nothing_to_mix_in_are_refused_cell_by_cell(bench: Bench) -> None:
    _, script = script_of(bench)
    (cell,) = script.run(job(), (f"{LABEL_PREFIX}alpha", "0.5"))
    assert "no model B to mix in" in str(cell)


def test_a_failing_cell_is_skipped_and_the_model_is_put_back(tmp_path: Path, models: Path) -> None:
    import shutil

    own = shutil.copytree(models, tmp_path / "own")
    bench = Bench(tmp_path, own)
    before = weights(bench)
    axes, script = script_of(bench)
    bring = axes.apply_to_cell

    def lose(p: Any, progress: Any = None) -> None:
        (own / "c.safetensors").unlink(missing_ok=True)
        bring(p)

    axes.apply_to_cell = lose  # type: ignore[method-assign]
    cells = script.run(job(), (f"{LABEL_PREFIX}model B", "c, b"))
    assert "is not generated" in str(cells[0])
    assert isinstance(cells[1], torch.Tensor)
    assert torch.equal(weights(bench), before)


@pytest.mark.parametrize(
    ("axis", "values"),
    [("alpha", "often"), ("model B", "b, none"), ("method", "sum"), ("blocks", "IN99=1"), ("preset", "X")],
)
def test_wrong_values_are_reported_before_anything_runs(bench: Bench, axis: str, values: str) -> None:
    _, script = script_of(bench)
    with pytest.raises(MergeError):
        script.run(job(), (LABEL_PREFIX + axis, values))
    assert bench.service.session.ident is None


def test_a_cell_with_a_checkpoint_of_its_own_is_refused(bench: Bench) -> None:
    _, script = script_of(bench)
    cell = job()
    cell.override_settings["sd_model_checkpoint"] = "c"
    (error,) = script.run(cell, (f"{LABEL_PREFIX}model B", "b"))
    assert "chooses another checkpoint" in str(error)


def test_the_scripts_own_axis_of_checkpoints_leaves_its_value_on_the_cell(bench: Bench) -> None:
    chosen: list[str] = []
    own = AxisOption(CHECKPOINT_AXIS, str, lambda p, x, xs: chosen.append(x))  # as in Neo: it only selects
    module = SimpleNamespace(AxisOption=AxisOption, axis_options=[own])
    loaded = SimpleNamespace(module=module, script_class=type("XYZ", (Script,), {}))
    MergeAxes(bench.service).register(loaded)
    cell = job()
    assert checkpoint_of(cell) == ""
    own.apply(cell, "c", ["c"])
    assert (chosen, checkpoint_of(cell), checkpoint_of(job())) == (["c"], "c", "")


def test_a_cell_of_a_job_without_override_settings_is_drawn(bench: Bench) -> None:
    _, script = script_of(bench)
    (cell,) = script.run(SimpleNamespace(override_settings=None), (f"{LABEL_PREFIX}model B", "b"))
    assert isinstance(cell, torch.Tensor)
    assert torch.equal(cell, merged(bench, alpha=0.5))


def test_a_cell_with_a_recipe_of_its_own_is_refused(bench: Bench) -> None:
    _, script = script_of(bench)
    cell = job()
    cell.override_settings[RECIPE_OPTION] = "merge-desk recipe 2"
    (error,) = script.run(cell, (f"{LABEL_PREFIX}model B", "b"))
    assert "has its own recipe" in str(error)


def test_a_script_of_another_kind_is_left_alone(bench: Bench) -> None:
    MergeAxes(bench.service).register(SimpleNamespace(Script=int))


def test_lists_and_rules_are_single_values(bench: Bench) -> None:
    axes, script = script_of(bench)
    del axes
    option = next(
        axis_option
        for axis_option in script.module.axis_options
        if axis_option.label == f"{LABEL_PREFIX}weights"
    )
    assert option.prepare("GRAD_V\n" + "0.5, " * 25 + "1") == ["GRAD_V", "0.5, " * 25 + "1"]
    everything = next(
        axis_option
        for axis_option in script.module.axis_options
        if axis_option.label == f"{LABEL_PREFIX}blocks"
    )
    assert len(everything.prepare("ALL")) == 28
