"""A grid's folder: each cell as a picture with its infotext and a few words of JSON, whole or not there.

A cell's file is called by what it was made of: recipe, the state of every file, and what was drawn with. So
nothing stale is ever taken for a cell, whatever the axes say now, and a grid with one more value on an axis
finds the cells that it shares with the one before.

    grid.json             what was asked for, to go on after a restart
    3f2a9c01d4e5b677.png  a cell, its infotext inside
    3f2a9c01d4e5b677.json the same cell's recipe, times, or what went wrong
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.checkpoint import keep_file
from lib_merge.checkpoint.state import FileState, state_of
from lib_merge.errors import MergeError, RecipeError
from lib_merge.grid.axes import NAMES, Asked
from lib_merge.grid.cell import Cell, Shelf
from lib_merge.grid.plan import GridPlan, Speeds
from lib_merge.json_data import load_file, number_of, object_of, text_of, texts_of
from lib_merge.picture import DrawSettings, Picture, printable, read_settings
from lib_merge.recipe import parse_recipe, print_recipe
from lib_merge.recipe.reading import DAMAGED

if TYPE_CHECKING:
    from PIL import Image

FILE = "grid.json"
SPEEDS = "speeds.json"
FORMAT = "merge-desk grid 1"
DIGITS = 16  # of a cell's name
CELL = re.compile(rf"[0-9a-f]{{{DIGITS}}}\.(png|json)")
OLD = 0.5  # what the last measurement counts for beside the new one


@dataclass(frozen=True)
class Record:
    """What is known of a cell that was tried.

    infotext       of its picture
    merge_seconds  of the merge that was made for it; None where it was in memory already
    slots, nbytes  what that merge wrote
    problem        why there is no picture, "" where there is one
    """

    recipe: str
    drawing: DrawSettings
    infotext: str = ""
    merge_seconds: float | None = None
    slots: tuple[str, ...] = ()
    nbytes: int = 0
    draw_seconds: float = 0.0
    problem: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is no picture."""
        return bool(self.problem)


@dataclass(frozen=True)
class Order:
    """What was asked for: enough to ask for it again."""

    recipe: str
    drawing: DrawSettings
    axes: Mapping[str, Asked]

    @property
    def digest(self) -> str:
        """Equal orders have equal ones."""
        return _digest(_order_as_data(self))


def order_of(plan: GridPlan) -> Order:
    """The order of a plan; seeds that were thrown are told by number, so that they are never thrown again."""
    axes = {
        name: Asked(axis.kind.id, ", ".join(axis.labels) if axis.kind.id == "seed" else axis.text)
        for name, axis in plan.axes.items()
    }
    cell = plan.base.cell
    return Order(print_recipe(cell.recipe), cell.drawing, axes)


class Store:
    """One grid's folder; made when the first thing is kept in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # --- what was asked for ---

    def keep_order(self, order: Order) -> None:
        """Write down what the grid is."""
        data = {"format": FORMAT, **_order_as_data(order)}
        keep_file(self.folder / FILE, json.dumps(data, indent=1, ensure_ascii=False))

    def has_order(self) -> bool:
        """Whether a grid was begun in this folder."""
        return (self.folder / FILE).is_file()

    def order(self) -> Order:
        """What the grid in this folder is; RecipeError where there is none."""
        path = self.folder / FILE
        try:
            data = object_of(load_file(path))
            if data["format"] != FORMAT:
                found = printable(str(data["format"]))
                raise RecipeError(f"this grid is of another version: {found}", where=path.name)
            order = Order(text_of(data["recipe"]), _drawing(data["drawing"]), _axes(data["axes"]))
        except (OSError, ValueError, KeyError) as cause:
            raise RecipeError("there is no grid to go on with here", where=self.folder.name) from cause
        parse_recipe(order.recipe)
        return order

    # --- cells ---

    def name(self, cell: Cell, shelf: Shelf) -> str:
        """What the cell's files are called; depends on the state of every file that goes into it."""
        stamps = [(file, *_stamp(shelf.header(file).path)) for file in cell.recipe.files]
        return _digest([print_recipe(cell.recipe), stamps, asdict(cell.drawing)])

    def record(self, name: str) -> Record | None:
        """What is known of a cell; None where it was never tried or its picture is gone."""
        try:
            record = _record(object_of(load_file(self.folder / f"{name}.json")))
        except (OSError, ValueError, KeyError, MergeError):
            return None
        return record if record.failed or self.path(name).is_file() else None

    def path(self, name: str) -> Path:
        """Where the cell's picture is."""
        return self.folder / f"{name}.png"

    def picture(self, name: str) -> Image.Image | None:
        """The cell's picture, None where there is none that can be read."""
        from PIL import Image

        unreadable = (OSError, MemoryError, Image.DecompressionBombError, *DAMAGED)
        with suppress(*unreadable), Image.open(self.path(name)) as found:
            return found.convert("RGB")
        return None

    def keep(self, name: str, record: Record, picture: Picture | None) -> None:
        """A cell is finished, or failed: the picture first, then the words, each whole or not at all."""
        if picture is not None:
            keep_file(self.path(name), _png(picture))
        keep_file(self.folder / f"{name}.json", json.dumps(asdict(record), ensure_ascii=False))

    def count(self) -> int:
        """How many cells have a picture here."""
        return sum(path.suffix == ".png" for path in self._cells())

    def clear(self) -> None:
        """Forget every cell; other files of the folder stay."""
        for path in self._cells():
            path.unlink(missing_ok=True)

    def _cells(self) -> list[Path]:
        return (
            [path for path in self.folder.iterdir() if CELL.fullmatch(path.name)]
            if self.folder.is_dir()
            else []
        )


# --- speeds ---


def read_speeds(folder: Path) -> Speeds:
    """What was measured last; nothing where nothing was."""
    with suppress(OSError, ValueError):
        data = object_of(load_file(folder / SPEEDS))
        return Speeds(_positive(data.get("merge")), _positive(data.get("draw")))
    return Speeds()


def keep_speeds(folder: Path, new: Speeds) -> None:
    """Remember what was measured, beside what was before; a failure to do so costs only the estimate."""
    old = read_speeds(folder)
    made = Speeds(_mean(old.merge, new.merge), _mean(old.draw, new.draw))
    with suppress(MergeError):
        keep_file(folder / SPEEDS, json.dumps(asdict(made)))


def _mean(old: float | None, new: float | None) -> float | None:
    if old is None or new is None:
        return old if new is None else new
    return OLD * old + (1 - OLD) * new


def _positive(value: object) -> float | None:
    number = None if value is None else number_of(value)
    return number if number is not None and number > 0 else None


# --- as files hold them ---


def orders(folder: Path) -> Iterator[tuple[Path, Order]]:
    """Every grid under a folder, the newest first."""
    found = [path for path in folder.glob(f"*/{FILE}") if path.is_file()] if folder.is_dir() else []
    for path in sorted(found, key=lambda each: -each.stat().st_mtime_ns):
        with suppress(MergeError):
            yield path.parent, Store(path.parent).order()


def _order_as_data(order: Order) -> dict[str, Any]:
    axes = {name: asdict(order.axes[name]) for name in NAMES if name in order.axes}
    return {"recipe": order.recipe, "drawing": asdict(order.drawing), "axes": axes}


def _axes(data: object) -> dict[str, Asked]:
    axes = {name: object_of(each) for name, each in object_of(data).items()}
    if odd := set(axes) - set(NAMES):
        raise ValueError(f"there is no axis {odd}")
    return {name: Asked(text_of(each["name"]), text_of(each["text"])) for name, each in axes.items()}


def _drawing(data: object) -> DrawSettings:
    return read_settings(object_of(data), DrawSettings())


def _record(data: Mapping[str, object]) -> Record:
    seconds, nbytes = data["merge_seconds"], number_of(data["nbytes"])
    return Record(
        text_of(data["recipe"]),
        _drawing(data["drawing"]),
        text_of(data["infotext"]),
        None if seconds is None else number_of(seconds),
        texts_of(data["slots"]),
        int(nbytes),
        number_of(data["draw_seconds"]),
        text_of(data["problem"]),
    )


def _digest(data: object) -> str:
    text = json.dumps(data, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:DIGITS]


def _stamp(path: Path) -> FileState:
    try:
        return state_of(path)
    except OSError as cause:
        raise RecipeError(f"{path.name} is gone", hint="put it back, and resume") from cause


def _png(picture: Picture) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    told, stream = PngInfo(), BytesIO()
    if picture.infotext:
        told.add_text("parameters", picture.infotext)
    picture.image.save(stream, format="PNG", pnginfo=told)
    return stream.getvalue()
