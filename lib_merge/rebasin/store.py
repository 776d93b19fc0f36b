"""A cache of solved alignments, valid while both files are unchanged.

A full-size alignment takes minutes, and a desk asks for it at every move of a fader. Solutions are kept
in memory, and in a folder where there is one, under the state of both files (path, inode, size, time of
change, whether their EMA weights are read) and the options.
"""

from __future__ import annotations

import json
import struct
import threading
import zlib
from collections.abc import Callable
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from zipfile import BadZipFile, ZipFile, is_zipfile

from lib_merge.architectures import Family
from lib_merge.checkpoint import Checkpoint, Header
from lib_merge.json_data import expect_number, expect_object, expect_texts, load
from lib_merge.progress import Progress
from lib_merge.rebasin.arrange import Arrangement
from lib_merge.rebasin.groups import groups_of
from lib_merge.rebasin.options import Options
from lib_merge.rebasin.solve import Solution, align
from lib_merge.store import CacheFolder
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1  # to be raised when the same files and options would be solved otherwise
MOST_KEPT = 1 << 30  # bytes of a solution
CLOSE = 1e-6  # rotations are orthogonal to this tolerance
# what zipfile, numpy and our own reading raise of a damaged file
DAMAGED_ERRORS = (
    *(ValueError, TypeError, LookupError, AttributeError, EOFError, ArithmeticError, SyntaxError),
    *(RuntimeError, struct.error, zlib.error),
)
# names in the files of every version, and in the code
SOLUTION_FIELDS = {"likeness": "similarity", "distance": "distance", "turns": "visits", "settled": "settled"}
DESCRIPTION = "told"  # the array that holds these as JSON, in the files of every version


class Alignments:
    """Solves each alignment once; safe to use from any thread.

    folder  where solutions are kept between runs, or a function that returns it, called when one is to be
            kept. What cannot be read is solved again; a folder that cannot be written to is no error
    """

    def __init__(self, folder: Path | Callable[[], Path] | None = None) -> None:
        self._kept = CacheFolder(folder, VERSION, ".npz")
        self._solutions: dict[str, Solution] = {}
        self._lock = threading.Lock()

    def of(
        self,
        family: Family,
        source: Checkpoint,
        target: Checkpoint,
        options: Options,
        progress: Progress,
        *,
        device: str = "cpu",
    ) -> Solution:
        """The alignment of `source` to `target`, cached or computed; a stopped search is not kept."""
        with self._lock:
            name = self.name(family, source.header, target.header, options)
            solution = self._solutions.get(name) or self._read(
                name, lambda: _empty(family, source, target, options)
            )
            if solution is None:
                solution = align(family, source, target, options, progress, device=device)
                if not solution.stopped:
                    self._write(name, solution)
            if not solution.stopped:
                self._solutions[name] = solution
            return solution

    def keep(
        self, family: Family, source: Header, target: Header, options: Options, solution: Solution
    ) -> None:
        """Keeps a stopped search as the complete one of these options, whose limit ends it there."""
        with self._lock:
            self._solutions[self.name(family, source, target, options)] = replace(solution, stopped=False)

    def name(self, family: Family, source: Header, target: Header, options: Options) -> str:
        """The cache key of a solution: the same for the same state of both files and the same options."""
        states = [(*_state(header), bool(header.aliases)) for header in (source, target)]
        return self._kept.key(family.id, *states, asdict(options))

    def _read(self, name: str, empty: Callable[[], Solution]) -> Solution | None:
        path = self._kept.path(name)
        if path is None or not is_zipfile(path):  # numpy leaves a broken object behind for what is none
            return None
        import numpy as np

        try:
            with ZipFile(path) as parts:
                if sum(part.file_size for part in parts.infolist()) > MOST_KEPT:
                    return None
            with np.load(path, allow_pickle=False) as kept:
                return _solution(empty(), {key: kept[key] for key in kept.files})
        except (OSError, MemoryError, BadZipFile, *DAMAGED_ERRORS):
            return None

    def _write(self, name: str, solution: Solution) -> None:
        if self._kept.folder is None:
            return
        import numpy as np

        stream = BytesIO()
        np.savez(stream, **_arrays(solution))
        self._kept.write(name, stream.getvalue())


def _state(header: Header) -> tuple[object, ...]:
    """The path and state of a file when its header was read; it may be gone since."""
    return str(header.path), *(header.state or ())


def _empty(family: Family, source: Checkpoint, target: Checkpoint, options: Options) -> Solution:
    grouping = groups_of(family, source.header.tensors, target.header.tensors, options)
    return Solution(groups=grouping.groups, arrangements={}, left_out=grouping.left_out)


def _arrays(solution: Solution) -> dict[str, Any]:
    import numpy as np

    description = {name: getattr(solution, attribute) for name, attribute in SOLUTION_FIELDS.items()}
    description["parts"] = list(solution.arrangements)
    arrays: dict[str, Any] = {DESCRIPTION: np.frombuffer(json.dumps(description).encode(), np.uint8)}
    for number, arrangement in enumerate(solution.arrangements.values()):
        arrays[f"order{number}"] = arrangement.order.numpy()
        if arrangement.rotations is not None:
            arrays[f"turns{number}"] = arrangement.rotations.numpy()
    return arrays


def _solution(empty: Solution, arrays: dict[str, Any]) -> Solution:
    description = expect_object(load(arrays[DESCRIPTION].tobytes(), allow_nan=True))
    sizes = {part.id: part.size for group in empty.groups for part in group.parts}
    arrangements: dict[str, Arrangement] = {}
    for number, id in enumerate(expect_texts(description["parts"])):
        rotations = arrays.get(f"turns{number}")
        order = torch.from_numpy(arrays[f"order{number}"])
        if order.dtype != torch.int64 or not torch.equal(order.sort().values, torch.arange(sizes[id])):
            raise ValueError("no permutation")
        if rotations is not None:
            _check_rotations(torch.from_numpy(rotations), sizes[id])
        arrangements[id] = Arrangement(order, None if rotations is None else torch.from_numpy(rotations))
    first, second = _numbers(description["distance"])
    return replace(
        empty,
        arrangements=arrangements,
        similarity=_numbers(description["likeness"]),
        distance=(first, second),
        visits=int(expect_number(description["turns"])),
        settled=description["settled"] is True,
    )


def _numbers(value: object) -> tuple[float, ...]:
    return tuple(map(float, cast("list[float]", value)))


def _check_rotations(rotations: Tensor, size: int) -> None:
    """Raises ValueError unless these are orthogonal matrices, one for each head of a part of this size."""
    heads, rows, columns = rotations.shape
    if rotations.dtype != torch.float64 or rows != columns or heads * rows != size:
        raise ValueError("no rotations")
    straight = torch.eye(rows, dtype=rotations.dtype).expand(rotations.shape)
    if not torch.allclose(rotations @ rotations.transpose(1, 2), straight, atol=CLOSE):
        raise ValueError("no rotations")
