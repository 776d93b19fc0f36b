"""Our axes in the WebUI's own X/Y/Z script: its cells only say what they want, the always-on script merges.

The script splits values, orders its loops by the cost of each axis and draws cell by cell (A1111 v1.10.1,
scripts/xyz_grid.py). Our axes store their values on the cell's job; `MergeAxes.apply_to_cell` loads that
merge before the job computes anything. When the script ends, however it ends, the model is what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from lib_merge.errors import RecipeError
from lib_merge.grid import GridBase, GridCell, axis_kinds
from lib_merge.grid.axes.read import fill_open_blocks
from lib_merge.grid.axes.values import split_list
from lib_merge.grid.cell import AxisKind, AxisRank, AxisValue
from lib_merge.hosts.host import HostError
from lib_merge.hosts.webui import RECIPE_OPTION
from lib_merge.picture import DrawSettings
from lib_merge.progress import NoProgress, Progress
from lib_merge.recipe import Ingredient, Recipe, Step
from lib_merge.service.grids import GridBackend
from lib_merge.service.merging import MergeService

LABEL_PREFIX = "[Merge] "
AXES_ATTRIBUTE = "merge_desk_axes"  # on a cell's job: kind -> value
CHECKPOINT_AXIS = "Checkpoint name"  # the script's own
CHECKPOINT_ATTRIBUTE = "merge_desk_checkpoint"  # on a cell's job: the value of that axis
MODEL_COST, AMOUNT_COST = 1.0, 0.8  # as the script's own: 1 for its checkpoints, 0.7 for its VAEs


class MergeAxes:
    """The axes of one WebUI."""

    def __init__(self, service: MergeService) -> None:
        self._service = service
        self._kinds = {kind.id: kind for kind in axis_kinds() if kind.in_webui}
        self._read: dict[tuple[str, str], AxisValue] = {}

    # --- joining the script ---

    def register(self, script: Any) -> None:
        """Append our axes to the script's module, once; indices that programs use stay as they are.

        script  what the host has loaded of it: `module` and `script_class`, whose names differ from host to
                host; None where the host has none
        """
        module = getattr(script, "module", None)
        options = getattr(module, "axis_options", None)
        if module is None or options is None:
            return
        if any(option.label.startswith(LABEL_PREFIX) for option in options):
            return
        for option in options:
            if option.label == CHECKPOINT_AXIS:
                option.apply = _noting_checkpoint(option.apply)
        for kind in self._kinds.values():
            options.append(self._option(module.AxisOption, kind))
        script.script_class.run = self._watched(script.script_class.run)

    def _option(self, make: Callable[..., Any], kind: AxisKind) -> Any:
        def apply(p: Any, x: str, xs: Sequence[str]) -> None:
            # a cell's job is a shallow copy of the user's, so its mapping of axes must be a new object
            setattr(p, AXES_ATTRIBUTE, {**getattr(p, AXES_ATTRIBUTE, {}), kind.id: x})

        def confirm(p: Any, xs: Sequence[str]) -> None:
            self._check(kind, xs)

        def label(p: Any, option: Any, x: str) -> str:
            return f"{kind.id}: {self._value(kind, x).label}"

        def prepare(text: str) -> list[str]:
            return self.entries(kind, text)

        return make(
            LABEL_PREFIX + kind.id,
            str,
            apply,
            format_value=label,
            confirm=confirm,
            cost=MODEL_COST if kind.rank <= AxisRank.MODELS else AMOUNT_COST,
            prepare=prepare,
        )

    def _watched(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def watched(script: Any, *args: Any, **kwargs: Any) -> Any:
            with self._service.current().preserving():
                try:
                    return run(script, *args, **kwargs)
                finally:
                    self._read.clear()

        return watched

    # --- values ---

    def entries(self, kind: AxisKind, text: str) -> list[str]:
        """The script's field as single values: ranges are worked out, lines and quotes are kept together."""
        if kind.lines:
            return list(kind.split(text))
        values = kind.read(text, self._base())
        if all(isinstance(value.value, (int, float)) for value in values):
            return [repr(value.value) for value in values]
        entries = list(split_list(text))
        return entries if len(entries) == len(values) else [value.label for value in values]

    def _check(self, kind: AxisKind, xs: Sequence[str]) -> None:
        for x in xs:
            self._value(kind, x)

    def _value(self, kind: AxisKind, x: str) -> AxisValue:
        if (kind.id, x) not in self._read:
            quoted = x if kind.lines or '"' in x else f'"{x}"'
            values = kind.read(quoted, self._base())
            if len(values) != 1:
                raise RecipeError(f"'{x}' is not a value of {kind.id}", hint=kind.help)
            self._read[kind.id, x] = values[0]
        return self._read[kind.id, x]

    def _base(self) -> GridBase:
        """The engaged merge; where none is engaged, the loaded checkpoint, for `model B` to be mixed into."""
        service = self._service
        if service.engaged is not None:
            resolved = service.resolve(service.engaged)
            return GridBase(GridCell(resolved.recipe, DrawSettings()), GridBackend(service, resolved.files))
        loaded = service.host.loaded().checkpoint
        if loaded is None:
            raise HostError("no checkpoint is loaded yet", hint="choose one in the WebUI")
        backend = GridBackend(service)
        a = backend.register(loaded)
        step = Step("M", "weighted_sum", ("A", "B"))
        recipe = Recipe((Ingredient("A", a), Ingredient("B", a)), (step,), "M")
        return GridBase(GridCell(recipe, DrawSettings()), backend)

    # --- inside of the host's job ---

    def is_merge_cell(self, p: Any) -> bool:
        """Whether this job is a cell with a merge of its own."""
        return bool(getattr(p, AXES_ATTRIBUTE, None))

    def apply_to_cell(self, p: Any, progress: Progress | None = None) -> None:
        """Load the merge of a cell into the model; where that fails, only this cell is not drawn.

        The host ignores exceptions of a script here, and would draw with other weights than the label says.
        An exception of the sampler is shown, and the script continues with the next cell.
        """
        try:
            self._merge(p, progress or NoProgress())
        except Exception as failure:
            reason = str(failure) or type(failure).__name__

            def refuse(*_: Any, **__: Any) -> Any:
                raise HostError(f"Merge Desk: this cell is not generated: {reason}")

            p.sample = refuse

    def _merge(self, p: Any, progress: Progress) -> None:
        noted = cast("Mapping[str, str]", getattr(p, AXES_ATTRIBUTE))
        own = cast("Mapping[str, object]", getattr(p, "override_settings", None) or {})
        if checkpoint_of(p):
            raise RecipeError("this job chooses another checkpoint", hint="use the axis '[Merge] model A'")
        if own.get(RECIPE_OPTION):
            raise RecipeError("this job has its own recipe", hint="remove it from 'Override settings'")
        base = self._base()
        if self._service.engaged is None and not {"model B", "checkpoint", "recipe", "merge ID"} & set(noted):
            hint = "load a merge on the Merge Desk tab first, or add the axis '[Merge] model B'"
            raise RecipeError("there is no model B to mix in", hint=hint)
        chosen = [(self._kinds[name], self._value(self._kinds[name], x).value) for name, x in noted.items()]
        cell = base.cell
        for kind, value in sorted(fill_open_blocks(chosen), key=lambda choice: choice[0].rank):
            cell = kind.apply(cell, value, base)
        backend = cast("GridBackend", base.catalog)
        if not backend.holds(cell.recipe):
            backend.merge(cell.recipe, progress)


def checkpoint_of(p: Any) -> str:
    """The checkpoint in a job's override settings, from which the host has removed unknown names, or in its
    cell's axis of checkpoints.
    """
    settings = cast("Mapping[str, object]", getattr(p, "override_settings", None) or {})
    return str(settings.get("sd_model_checkpoint") or getattr(p, CHECKPOINT_ATTRIBUTE, "") or "").strip()


def _noting_checkpoint(apply: Callable[..., Any]) -> Callable[..., Any]:
    """The axis of checkpoints, which in Neo selects one without leaving a trace in the cell's settings."""

    def noting(p: Any, x: str, xs: Sequence[str]) -> Any:
        setattr(p, CHECKPOINT_ATTRIBUTE, x)
        return apply(p, x, xs)

    return noting


def find_script(loaded: Sequence[Any]) -> Any:
    """The X/Y/Z script among the host's loaded scripts, None where it has none."""
    return next((script for script in loaded if script.script_class.__module__ == "xyz_grid.py"), None)
