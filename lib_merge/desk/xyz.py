"""Our axes in the WebUI's own X/Y/Z script: its cells only say what they want, the always-on script merges.

The script splits values, orders its loops by the cost of each axis and draws cell by cell (A1111 v1.10.1,
scripts/xyz_grid.py). An axis of ours notes its value on the cell's job; `bring` makes the model hold that
merge before the job computes anything. When the script ends, however it ends, the model is what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from lib_merge.desk.mixer import Mixer
from lib_merge.desk.studio import Studio
from lib_merge.errors import MergeError, RecipeError
from lib_merge.grid.axes import kinds, with_pins
from lib_merge.grid.cell import MODELS, Base, Cell, Kind, Value
from lib_merge.grid.values import split_list
from lib_merge.hosts.host import HostError
from lib_merge.hosts.webui import RECIPE_OPTION
from lib_merge.picture import DrawSettings
from lib_merge.progress import Progress, Silent
from lib_merge.recipe import Ingredient, Recipe, Step

PREFIX = "[Merge] "
NOTE = "merge_desk_axes"  # on a cell's job: kind -> value
MODEL_COST, AMOUNT_COST = 1.0, 0.8  # as the script's own: 1 for its checkpoints, 0.7 for its VAEs
OFFERED = (
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
)


class Axes:
    """The axes of one WebUI."""

    def __init__(self, mixer: Mixer) -> None:
        self._mixer = mixer
        self._kinds = {kind.id: kind for kind in kinds() if kind.id in OFFERED}
        self._read: dict[tuple[str, str], Value] = {}
        self.moved = False  # whether a job has had other weights than those that are engaged

    # --- joining the script ---

    def join(self, script: Any) -> None:
        """Append our axes to the script's module, once; indices that programs use stay as they are.

        script  the module; None where the host has none
        """
        options = getattr(script, "axis_options", None)
        if options is None or any(option.label.startswith(PREFIX) for option in options):
            return
        for name in OFFERED:
            script.axis_options.append(self._option(script.AxisOption, self._kinds[name]))
        script.Script.run = self._watched(script.Script.run)

    def _option(self, make: Callable[..., Any], kind: Kind) -> Any:
        def apply(p: Any, x: str, xs: Sequence[str]) -> None:
            # a cell's job is a shallow copy of the user's: what is noted on it must be a new thing
            setattr(p, NOTE, {**getattr(p, NOTE, {}), kind.id: x})

        def confirm(p: Any, xs: Sequence[str]) -> None:
            self._check(kind, xs)

        def told(p: Any, option: Any, x: str) -> str:
            return f"{kind.id}: {self._value(kind, x).label}"

        def prepare(text: str) -> list[str]:
            return self.entries(kind, text)

        return make(
            PREFIX + kind.id,
            str,
            apply,
            format_value=told,
            confirm=confirm,
            cost=MODEL_COST if kind.rank <= MODELS else AMOUNT_COST,
            prepare=prepare,
        )

    def _watched(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def watched(script: Any, *given: Any, **named: Any) -> Any:
            try:
                return run(script, *given, **named)
            finally:
                self.ended()

        return watched

    # --- values ---

    def entries(self, kind: Kind, text: str) -> list[str]:
        """The script's field as single values: ranges are worked out, lines and quotes are kept together."""
        if kind.lines:
            return list(kind.split(text))
        values = kind.read(text, self._base())
        if all(isinstance(value.to, (int, float)) for value in values):
            return [repr(value.to) for value in values]
        entries = list(split_list(text))
        return entries if len(entries) == len(values) else [value.label for value in values]

    def _check(self, kind: Kind, xs: Sequence[str]) -> None:
        for x in xs:
            self._value(kind, x)

    def _value(self, kind: Kind, x: str) -> Value:
        if (kind.id, x) not in self._read:
            quoted = x if kind.lines or '"' in x else f'"{x}"'
            found = kind.read(quoted, self._base())
            if len(found) != 1:
                raise RecipeError(f"'{x}' is no value of {kind.id}", hint=kind.help)
            self._read[kind.id, x] = found[0]
        return self._read[kind.id, x]

    def _base(self) -> Base:
        """What the tab has engaged; without that the loaded checkpoint, into which `model B` is mixed."""
        mixer = self._mixer
        if mixer.asked is not None:
            asked = mixer.read(mixer.asked)
            return Base(Cell(asked.recipe, DrawSettings()), Studio(mixer, asked.files))
        loaded = mixer.host.loaded().checkpoint
        if loaded is None:
            raise HostError("no checkpoint is loaded yet", hint="choose one in the WebUI")
        studio = Studio(mixer)
        a = studio.registered(loaded)
        step = Step("M", "weighted_sum", ("A", "B"))
        recipe = Recipe((Ingredient("A", a), Ingredient("B", a)), (step,), "M")
        return Base(Cell(recipe, DrawSettings()), studio)

    # --- inside of the host's job ---

    def wants(self, p: Any) -> bool:
        """Whether this job is a cell with a merge of its own."""
        return bool(getattr(p, NOTE, None))

    def bring(self, p: Any, progress: Progress | None = None) -> None:
        """Make the model what the cell wants; where that fails the cell, and it alone, is not drawn.

        The host swallows what a script raises here, and would draw with other weights than the cell says.
        What its sampler raises it shows, leaves that cell empty, and goes on.
        """
        self.moved = True
        try:
            self._merge(p, progress or Silent())
        except Exception as failure:
            reason = str(failure) or type(failure).__name__

            def refuse(*_: Any, **__: Any) -> Any:
                raise HostError(f"Merge Desk: this cell is not drawn: {reason}")

            p.sample = refuse

    def _merge(self, p: Any, progress: Progress) -> None:
        noted = cast("Mapping[str, str]", getattr(p, NOTE))
        own = cast("Mapping[str, object]", getattr(p, "override_settings", None) or {})
        if own.get("sd_model_checkpoint"):
            raise RecipeError("this job chooses a checkpoint of its own", hint="the axis '[Merge] model A'")
        if own.get(RECIPE_OPTION):
            raise RecipeError(
                "this job brings a recipe of its own", hint="take it out of 'Override settings'"
            )
        base = self._base()
        if self._mixer.asked is None and not {"model B", "checkpoint", "recipe", "merge ID"} & set(noted):
            hint = "swap a merge in on the tab first, or let an axis be '[Merge] model B'"
            raise RecipeError("there is nothing to mix in", hint=hint)
        chosen = [(self._kinds[name], self._value(self._kinds[name], x).to) for name, x in noted.items()]
        cell = base.cell
        for kind, value in sorted(with_pins(chosen), key=lambda each: each[0].rank):
            cell = kind.apply(cell, value, base)
        studio = cast("Studio", base.shelf)
        if not studio.holds(cell.recipe):
            studio.merge(cell.recipe, progress)

    def ended(self) -> None:
        """The script is done: what was in memory before is there again."""
        self._read.clear()
        if not self.moved:
            return
        self.moved = False
        mixer = self._mixer
        try:
            if mixer.asked is not None:
                mixer.apply_inside(mixer.asked, Silent())
                return
        except MergeError as failure:
            mixer.trouble("the end of an X/Y/Z plot", failure)
            mixer.asked = None
        mixer.restore_inside()


def find_script(loaded: Sequence[Any]) -> Any:
    """The X/Y/Z script's module among the host's loaded scripts, None where it has none."""
    return next((each.module for each in loaded if each.script_class.__module__ == "xyz_grid.py"), None)
