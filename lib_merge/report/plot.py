"""A comparison as a picture: a line a model, and each model's blocks laid out as the U that they form."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lib_merge.report.comparison import INPUT, OUTPUT, Comparison, Model
from lib_merge.report.heat import likeness, nines

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_SHAPES = 6  # models that get a U of their own; more would be too small to read
COLUMNS = 3
DPI = 110
COLOURS = "RdYlGn"  # red differs, green is alike; every box says its number too
SHADES = (0.15, 0.85)  # of these, which black letters can be read on
TICKS = (0, 50, 80, 90, 95, 98, 99, 99.5, 99.9, 99.99, 99.999)  # percent


def plot(comparison: Comparison) -> Figure:
    """The figure: percentages by slot as lines, and one U for each of the first models."""
    from matplotlib.figure import Figure

    shown = comparison.models[:MOST_SHAPES]
    rows = math.ceil(len(shown) / COLUMNS)
    figure = Figure(figsize=(13, 4.2 + 4.8 * rows), dpi=DPI, layout="constrained")
    grid: Any = figure.add_gridspec(1 + rows, COLUMNS, height_ratios=[4.2] + [4.8] * rows)
    seed = "" if comparison.seed is None else f", seed {comparison.seed}"
    _lines(figure.add_subplot(grid[0, :]), comparison)
    figure.suptitle(f"{comparison.value}, in percent, beside {comparison.name}{seed}")
    for number, model in enumerate(shown):
        _u(figure.add_subplot(grid[1 + number // COLUMNS, number % COLUMNS]), model)
    return figure


def plot_png(comparison: Comparison) -> bytes:
    """The picture as a PNG file's bytes; no screen is asked for."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = plot(comparison)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _lines(axes: Any, comparison: Comparison) -> None:
    slots = list(dict.fromkeys(slot for model in comparison.models for slot in model.values))
    for model in comparison.models:
        found = [nines(model.values.get(slot, math.nan)) for slot in slots]
        axes.plot(range(len(slots)), found, marker="o", markersize=4, label=_short(model.name, 40))
    axes.set_xticks(range(len(slots)), slots, rotation=60)
    low, high = axes.get_ylim()
    ticks = [tick for tick in TICKS if low <= nines(tick / 100) <= high]
    axes.set_yticks([nines(tick / 100) for tick in ticks], [_tick(tick) for tick in ticks])
    axes.set_ylabel("percent")
    axes.grid(alpha=0.3)
    axes.margins(x=0.02)
    axes.legend(fontsize="small", loc="best")


def _u(axes: Any, model: Model) -> None:
    """Inputs go down on the left, the middle lies at the bottom, outputs come up on the right."""
    import matplotlib as mpl
    from matplotlib.patches import Rectangle

    colours = mpl.colormaps[COLOURS]
    depth = 1 + max((_number(slot) for slot in model.values if _in_u(slot)), default=0)
    for slot, (x, y) in _places(model.values, depth).items():
        value = model.values[slot]
        colour = "lightgrey" if math.isnan(value) else colours(_shade(value))
        axes.add_patch(Rectangle((x, y), 1.9, 0.86, facecolor=colour, edgecolor="white"))
        axes.text(x + 0.08, y + 0.43, slot, va="center", fontsize=7.5)
        axes.text(x + 1.82, y + 0.43, f"{100 * value:.2f}", va="center", ha="right", fontsize=7.5)
    totals = "   ".join(f"{name} {100 * value:.2f}" for name, value in model.totals.items())
    axes.set_title(f"{_short(model.name, 32)}\n{totals}", fontsize=9)
    axes.set_xlim(-0.2, 6.9)
    axes.set_ylim(depth + 1.2, -0.2)
    axes.axis("off")


def _places(slots: Mapping[str, float], depth: int) -> dict[str, tuple[float, float]]:
    """Where each block's box begins; slots outside of the U stand in its hollow."""
    places: dict[str, tuple[float, float]] = {}
    inside = 0
    for slot in slots:
        if slot.startswith("IN"):
            places[slot] = (0, _number(slot))
        elif OUTPUT.fullmatch(slot):
            places[slot] = (4.5, depth - 1 - _number(slot))
        elif INPUT.fullmatch(slot):
            places[slot] = (2.25, depth)
        else:
            places[slot] = (2.25, inside)
            inside += 1
    return places


def _in_u(slot: str) -> bool:
    return bool(INPUT.fullmatch(slot) or OUTPUT.fullmatch(slot))


def _number(slot: str) -> int:
    return int("".join(letter for letter in slot if letter.isdigit()) or 0)


def _tick(percent: float) -> str:
    return f"{percent:g}" if percent < TICKS[-1] else f"≥ {percent:g}"


def _shade(value: float) -> float:
    low, high = SHADES
    return low + (high - low) * likeness(value)


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
