"""The folder of a grid: each cell as a picture with its infotext and a JSON record, written atomically.

A cell's files are named by a hash of its inputs: recipe, state of every file, settings of the picture. So an
outdated picture is never taken for a cell, and a grid with one more value on an axis reuses the cells that it
shares with the previous one.

    grid.json             the request, to resume the grid after a restart
    3f2a9c01d4e5b677.png  a cell's picture, with its infotext
    3f2a9c01d4e5b677.json the cell's record: its recipe, times and problem
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib_merge.checkpoint import write_data_file
from lib_merge.checkpoint.state import FileState, file_state
from lib_merge.errors import MergeError, RecipeError
from lib_merge.grid.axes.image import SEED_AXIS
from lib_merge.grid.axes.read import AXIS_NAMES, AxisSpec
from lib_merge.grid.axes.values import parse_axis_numbers
from lib_merge.grid.cell import GridCell, ModelCatalog
from lib_merge.grid.plan import GridPlan, Speeds
from lib_merge.json_data import expect_number, expect_object, expect_text, expect_texts
from lib_merge.picture import RANDOM_SEED, DrawSettings, Picture, read_settings
from lib_merge.recipe import parse_recipe, print_recipe
from lib_merge.recipe.reading import PILLOW_ERRORS
from lib_merge.store import JsonFile

if TYPE_CHECKING:
    from PIL import Image

GRID_FILE = "grid.json"
SPEEDS_FILE = "speeds.json"
DIGITS = 16  # of a cell's name
CELL = re.compile(rf"[0-9a-f]{{{DIGITS}}}\.(png|json)")
OLD_SHARE = 0.5  # weight of the previous speed in the mean with the new one


@dataclass(frozen=True)
class CellRecord:
    """The record of a cell that was tried.

    infotext       infotext of its picture
    merge_seconds  duration of the merge computed for it; None where the merge was in memory already
    slots, nbytes  the slots and the number of bytes that this merge wrote
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
        """Whether the cell has a problem, and so no picture."""
        return bool(self.problem)


@dataclass(frozen=True)
class GridRequest:
    """The request that a grid was started with, from which it can be resumed."""

    recipe: str
    drawing: DrawSettings
    axes: Mapping[str, AxisSpec]

    @property
    def digest(self) -> str:
        """The digest of the request, equal for equal requests."""
        return _digest(grid_request_to_dict(self))


def request_of_plan(plan: GridPlan) -> GridRequest:
    """The request of a plan; random seeds are written as numbers, so that they are not drawn again."""
    axes = {
        name: AxisSpec(axis.kind.id, ", ".join(axis.labels) if axis.kind.id == "seed" else axis.text)
        for name, axis in plan.axes.items()
    }
    cell = plan.base.cell
    return GridRequest(print_recipe(cell.recipe), cell.drawing, axes)


def keep_random_seeds(
    recorded: GridRequest, drawing: DrawSettings, axes: Mapping[str, AxisSpec]
) -> tuple[DrawSettings, dict[str, AxisSpec]]:
    """The settings and axes, with the seeds of `recorded` in place of random seeds (-1).

    So a resumed grid keeps its cells, whose pictures a new seed would change. An axis of seeds with another
    number of values keeps its random seeds.
    """
    if drawing.seed == RANDOM_SEED:
        drawing = replace(drawing, seed=recorded.drawing.seed)
    pairs = {name: (recorded.axes.get(name), axis) for name, axis in axes.items()}
    return drawing, {name: _with_seeds_of(old, axis) if old else axis for name, (old, axis) in pairs.items()}


def _with_seeds_of(recorded: AxisSpec, requested: AxisSpec) -> AxisSpec:
    if not recorded.name.lower() == requested.name.lower() == SEED_AXIS.id:
        return requested
    numbers, drawn = (parse_axis_numbers(axis.text, whole=True) for axis in (requested, recorded))
    if len(numbers) != len(drawn):
        return requested
    pairs = zip(numbers, drawn, strict=True)
    return AxisSpec(requested.name, ", ".join(f"{old if new == RANDOM_SEED else new}" for new, old in pairs))


class GridStore:
    """The folder of one grid, created with the first file in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def _request_file(self) -> JsonFile:
        return JsonFile(self.folder / GRID_FILE, f"the grid '{self.folder.name}'", "grid")

    def _record_file(self, name: str) -> JsonFile:
        return JsonFile(self.folder / f"{name}.json", "the record of a cell", "cell", has_format=False)

    # --- the request ---

    def save_request(self, request: GridRequest) -> None:
        """Write the grid's request."""
        self._request_file.write(grid_request_to_dict(request))

    def has_request(self) -> bool:
        """Whether the folder has the request of a grid."""
        return (self.folder / GRID_FILE).is_file()

    def load_request(self) -> GridRequest:
        """The request of the grid in this folder; RecipeError where there is none."""
        request = self._request_file.read(parse_grid_request)
        if request is None:
            raise RecipeError("there is no grid to go on with here", where=self.folder.name)
        return request

    # --- cells ---

    def cell_name(self, cell: GridCell, catalog: ModelCatalog) -> str:
        """The name of the cell's files, without suffix: a hash of the cell and the state of its inputs."""
        stamps = [(file, *_stamp(catalog.header(file).path)) for file in cell.recipe.files]
        return _digest([print_recipe(cell.recipe), stamps, asdict(cell.drawing)])

    def record(self, name: str) -> CellRecord | None:
        """The record of a cell; None where it was never tried or its picture is missing."""
        record = self._record_file(name).read_cached(record_from_dict)
        return record if record is not None and (record.failed or self.path(name).is_file()) else None

    def path(self, name: str) -> Path:
        """The path of the cell's picture, whether or not it exists."""
        return self.folder / f"{name}.png"

    def picture(self, name: str) -> Image.Image | None:
        """The cell's picture; None where it is missing or cannot be read."""
        from PIL import Image

        unreadable = (OSError, MemoryError, Image.DecompressionBombError, *PILLOW_ERRORS)
        with suppress(*unreadable), Image.open(self.path(name)) as image:
            return image.convert("RGB")
        return None

    def save_cell(self, name: str, record: CellRecord, picture: Picture | None) -> None:
        """Write a finished or failed cell: first the picture, then the record, each of them atomically."""
        if picture is not None:
            write_data_file(self.path(name), _png(picture))
        self._record_file(name).write(asdict(record))

    def count(self) -> int:
        """The number of cells with a picture in this folder."""
        return sum(path.suffix == ".png" for path in self._cells())

    def clear(self) -> None:
        """Delete the files of all cells; other files of the folder stay."""
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
    """The speeds measured last, both None where nothing was measured."""
    return _speeds_file(folder).read_cached(_speeds) or Speeds()


def save_speeds(folder: Path, new: Speeds) -> None:
    """Store the mean of the previous and the new speeds; a failure is ignored, as for every cache."""
    old = read_speeds(folder)
    speeds = Speeds(_mean(old.merge, new.merge), _mean(old.draw, new.draw))
    _speeds_file(folder).write_cached(asdict(speeds))


def _speeds_file(folder: Path) -> JsonFile:
    return JsonFile(folder / SPEEDS_FILE, "the measured speeds", "speeds", has_format=False)


def _speeds(data: object) -> Speeds:
    fields = expect_object(data)
    return Speeds(_positive(fields.get("merge")), _positive(fields.get("draw")))


def _mean(old: float | None, new: float | None) -> float | None:
    if old is None or new is None:
        return old if new is None else new
    return OLD_SHARE * old + (1 - OLD_SHARE) * new


def _positive(value: object) -> float | None:
    number = None if value is None else expect_number(value)
    return number if number is not None and number > 0 else None


# --- from and to JSON ---


def saved_requests(folder: Path) -> Iterator[tuple[Path, GridRequest]]:
    """The folder and request of every grid under a folder, the newest first."""
    files = [file for file in folder.glob(f"*/{GRID_FILE}") if file.is_file()] if folder.is_dir() else []
    for file in sorted(files, key=lambda file: -file.stat().st_mtime_ns):
        with suppress(MergeError):
            yield file.parent, GridStore(file.parent).load_request()


def grid_request_to_dict(request: GridRequest) -> dict[str, Any]:
    """The request as plain values; `parse_grid_request` reads them."""
    axes = {name: asdict(request.axes[name]) for name in AXIS_NAMES if name in request.axes}
    return {"recipe": request.recipe, "drawing": asdict(request.drawing), "axes": axes}


def parse_grid_request(data: object) -> GridRequest:
    """The request in plain values; ValueError, KeyError or MergeError where they are damaged."""
    fields = expect_object(data)
    request = GridRequest(expect_text(fields["recipe"]), _drawing(fields["drawing"]), _axes(fields["axes"]))
    parse_recipe(request.recipe)
    return request


def _axes(data: object) -> dict[str, AxisSpec]:
    axes = {name: expect_object(axis) for name, axis in expect_object(data).items()}
    if odd := set(axes) - set(AXIS_NAMES):
        raise ValueError(f"there is no axis {odd}")
    return {
        name: AxisSpec(expect_text(axis["name"]), expect_text(axis["text"])) for name, axis in axes.items()
    }


def _drawing(data: object) -> DrawSettings:
    return read_settings(expect_object(data), DrawSettings())


def record_from_dict(data: object) -> CellRecord:
    """The record of a dictionary from JSON; ValueError or KeyError for anything else."""
    fields = expect_object(data)
    seconds, nbytes = fields["merge_seconds"], expect_number(fields["nbytes"])
    return CellRecord(
        expect_text(fields["recipe"]),
        _drawing(fields["drawing"]),
        expect_text(fields["infotext"]),
        None if seconds is None else expect_number(seconds),
        expect_texts(fields["slots"]),
        int(nbytes),
        expect_number(fields["draw_seconds"]),
        expect_text(fields["problem"]),
    )


def _digest(data: object) -> str:
    text = json.dumps(data, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:DIGITS]


def _stamp(path: Path) -> FileState:
    try:
        return file_state(path)
    except OSError as cause:
        raise RecipeError(f"{path.name} is gone", hint="put it back, and resume") from cause


def _png(picture: Picture) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    text, stream = PngInfo(), BytesIO()
    if picture.infotext:
        text.add_text("parameters", picture.infotext)
    picture.image.save(stream, format="PNG", pnginfo=text)
    return stream.getvalue()
