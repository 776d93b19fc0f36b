"""The arguments of `merge-desk grid`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from lib_merge.cli.arguments import threads
from lib_merge.cli.remote import RemoteFlags, add_remote_arguments

AXES = ("x", "y", "z")
WORKER = "worker"  # in place of A: make cells of a grid that another process has started


def add_grid_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `grid` but those of a recipe and --json."""
    for name in AXES:
        text = "an axis, NAME: VALUES, such as 'alpha: 0-1 [5]', 'seed: 1,2,3', 'OUT05: 0, 0.5, 1'"
        parser.add_argument(f"--{name}", metavar="AXIS", help=text)
    parser.add_argument("--prompt", default="", help="the prompt of every cell")
    parser.add_argument("--negative", default="", metavar="PROMPT")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=5.0)
    parser.add_argument(
        "--width", type=int, help="in pixels (default: the size that the model was trained for)"
    )
    parser.add_argument("--height", type=int)
    parser.add_argument("-o", "--output", metavar="OUT", help="the sheet: .png or .webp")
    parser.add_argument("--cells", metavar="DIR", help="folder of the cells (default: OUT.cells)")
    parser.add_argument(
        "--resume", action="store_true", help="continue: keep finished cells, try failed ones again"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT, and delete its old cells")
    text = "the map of effective blocks instead of axes: each block in turn taken from B"
    parser.add_argument("--blocks", action="store_true", help=text)
    parser.add_argument("--plan", action="store_true", help="print what would be done, and do nothing")
    parser.add_argument("--csv", metavar="FILE", help="write a CSV line for each cell")
    parser.add_argument("--animate", metavar="FILE", help="write a row as an animation: .webp or .gif")
    parser.add_argument("--row", type=int, default=1, help="the row to animate (default: %(default)s)")
    parser.add_argument(
        "--device", default="cpu", help="where to merge and generate: cpu (default), cuda, ..."
    )
    parser.add_argument(
        "--threads", type=threads, help="threads to merge with (default: as many as are useful)"
    )
    text = "spread the cells over workers by this storage: a SQLite file, a .journal file, a database"
    parser.add_argument("--workers", metavar="URL", help=text)
    text = "name of the grid there (default: one of its own; of a worker: every grid in turn)"
    parser.add_argument("--study", metavar="NAME", help=text)
    text = "make no cell here, and wait for the workers"
    parser.add_argument("--only-workers", action="store_true", help=text)
    add_remote_arguments(parser)


@dataclass(frozen=True, kw_only=True)
class GridCommand(RemoteFlags):
    """The arguments of `grid`.

    x, y, z  axes as text
    cells    folder of the cells; None for a folder next to the sheet
    blocks   make the map of effective blocks instead of axes
    plan     print what would be done, and do nothing
    animate  a file for row `row` as an animation, counted from 1
    workers  the storage of a grid that is spread over workers, None for a grid of this process
    """

    x: str | None
    y: str | None
    z: str | None
    prompt: str
    negative: str
    steps: int
    guidance: float
    width: int | None
    height: int | None
    output: str | None
    cells: str | None
    resume: bool
    overwrite: bool
    blocks: bool
    plan: bool
    csv: str | None
    animate: str | None
    row: int
    device: str
    threads: int | None
    workers: str | None
    study: str | None
    only_workers: bool
    json: bool

    @property
    def is_worker(self) -> bool:
        """Whether it makes cells of a grid that another process has started."""
        return self.models == (WORKER,)

    @property
    def axes(self) -> dict[str, str]:
        """Axis -> its text, of the axes that are given."""
        texts = {"x": self.x, "y": self.y, "z": self.z}
        return {name: text for name, text in texts.items() if text is not None}
