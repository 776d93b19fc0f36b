"""A comparison as a picture: one line for each model, and the blocks of each model arranged as a U-Net."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lib_merge.report.render.heat import color_position, nines
from lib_merge.report.similarity.comparison import INPUT_SLOT, OUTPUT_SLOT, ComparedModel, Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_SHAPES = 6  # models drawn as a U-Net; more would be too small to read
COLUMNS = 3
DPI = 110
COLOURS = "cividis"  # the brighter, the more it differs: the same to colour-blind eyes, and in grey
BRIGHT = 0.5  # of the scale, from which black text is readable on it, and white text below
LINE_STYLES = ("-", "--", "-.", ":")  # so that no two lines differ by colour alone
LINE_MARKERS = "os^Dv"
PERCENT_TICKS = (0, 50, 80, 90, 95, 98, 99, 99.5, 99.9, 99.99, 99.999)  # percent


def plot(comparison: Comparison) -> Figure:
    """The figure: percentages by slot as lines, and one U-Net for each of the first models."""
    from matplotlib.figure import Figure

    shown = comparison.models[:MOST_SHAPES]
    rows = math.ceil(len(shown) / COLUMNS)
    figure = Figure(figsize=(13, 4.2 + 4.8 * rows), dpi=DPI, layout="constrained")
    grid: Any = figure.add_gridspec(1 + rows, COLUMNS, height_ratios=[4.2] + [4.8] * rows)
    seed = "" if comparison.seed is None else f", seed {comparison.seed}"
    _lines(figure.add_subplot(grid[0, :]), comparison)
    figure.suptitle(f"{comparison.value}, in percent, compared with {comparison.name}{seed}")
    for number, model in enumerate(shown):
        _u(figure.add_subplot(grid[1 + number // COLUMNS, number % COLUMNS]), model)
    return figure


def plot_png(comparison: Comparison) -> bytes:
    """The picture as bytes of a PNG file; needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = plot(comparison)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _lines(axes: Any, comparison: Comparison) -> None:
    slots = list(dict.fromkeys(slot for model in comparison.models for slot in model.values))
    for number, model in enumerate(comparison.models):
        heights = [nines(model.values.get(slot, math.nan)) for slot in slots]
        style, marker = LINE_STYLES[number % len(LINE_STYLES)], LINE_MARKERS[number % len(LINE_MARKERS)]
        axes.plot(
            range(len(slots)), heights, ls=style, marker=marker, markersize=4, label=_short(model.name, 40)
        )
    axes.set_xticks(range(len(slots)), slots, rotation=60)
    low, high = axes.get_ylim()
    ticks = [tick for tick in PERCENT_TICKS if low <= nines(tick / 100) <= high]
    axes.set_yticks([nines(tick / 100) for tick in ticks], [_tick(tick) for tick in ticks])
    axes.set_ylabel("percent")
    axes.grid(alpha=0.3)
    axes.margins(x=0.02)
    axes.legend(fontsize="small", loc="best")


def _u(axes: Any, model: ComparedModel) -> None:
    """Input blocks from top to bottom on the left, the middle block at the bottom, output blocks on the
    right.
    """
    import matplotlib as mpl
    from matplotlib.patches import Rectangle

    colours = mpl.colormaps[COLOURS]
    depth = 1 + max((_number(slot) for slot in model.values if _in_u(slot)), default=0)
    for slot, (x, y) in _places(model.values, depth).items():
        value = model.values[slot]
        shade = 1 - color_position(value)
        colour = "lightgrey" if math.isnan(value) else colours(shade)
        look = {"va": "center", "fontsize": 7.5, "color": "white" if shade < BRIGHT else "black"}
        axes.add_patch(Rectangle((x, y), 1.9, 0.86, facecolor=colour, edgecolor="white"))
        axes.text(x + 0.08, y + 0.43, slot, **look)
        axes.text(x + 1.82, y + 0.43, f"{100 * value:.2f}", ha="right", **look)
    totals = "   ".join(f"{name} {100 * value:.2f}" for name, value in model.totals.items())
    axes.set_title(f"{_short(model.name, 32)}\n{totals}", fontsize=9)
    axes.set_xlim(-0.2, 6.9)
    axes.set_ylim(depth + 1.2, -0.2)
    axes.axis("off")


def _places(slots: Mapping[str, float], depth: int) -> dict[str, tuple[float, float]]:
    """The position of each block's box; other slots are inside the U."""
    places: dict[str, tuple[float, float]] = {}
    inside = 0
    for slot in slots:
        if slot.startswith("IN"):
            places[slot] = (0, _number(slot))
        elif OUTPUT_SLOT.fullmatch(slot):
            places[slot] = (4.5, depth - 1 - _number(slot))
        elif INPUT_SLOT.fullmatch(slot):
            places[slot] = (2.25, depth)
        else:
            places[slot] = (2.25, inside)
            inside += 1
    return places


def _in_u(slot: str) -> bool:
    return bool(INPUT_SLOT.fullmatch(slot) or OUTPUT_SLOT.fullmatch(slot))


def _number(slot: str) -> int:
    return int("".join(letter for letter in slot if letter.isdigit()) or 0)


def _tick(percent: float) -> str:
    return f"{percent:g}" if percent < PERCENT_TICKS[-1] else f"≥ {percent:g}"


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
