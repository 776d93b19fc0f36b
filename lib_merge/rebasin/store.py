"""Solutions, found again for as long as the files they were found for are the same.

A full-size alignment takes minutes, and a desk asks for it at every move of a fader. Solutions are kept
in memory, and in a folder where there is one, under the state of both files (path, inode, size, time of
change, whether their averages are used) and the options.
"""

from __future__ import annotations

import hashlib
import json
import struct
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from zipfile import BadZipFile, ZipFile, is_zipfile

from lib_merge.architectures import Family
from lib_merge.checkpoint import Checkpoint, Header, keep_file
from lib_merge.errors import MergeError
from lib_merge.json_data import load, number_of, object_of, texts_of
from lib_merge.progress import Progress
from lib_merge.rebasin.arrange import Arrangement
from lib_merge.rebasin.groups import groups_of
from lib_merge.rebasin.options import Options
from lib_merge.rebasin.solve import Solution, align
from lib_merge.tensors import torch

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1  # to be raised when the same files and options would be solved otherwise
MOST_KEPT = 1 << 30  # bytes of a solution
CLOSE = 1e-6  # turns are orthogonal to so much
# what zipfile, numpy and our own reading raise of a damaged file
DAMAGED = (
    *(ValueError, TypeError, LookupError, AttributeError, EOFError, ArithmeticError, SyntaxError),
    *(RuntimeError, struct.error, zlib.error),
)
KEPT = ("likeness", "distance", "turns", "settled")


class Alignments:
    """Solves each alignment once; safe to use from any thread.

    folder  where solutions outlive the process, or what tells it once there is one to keep; what is there
            and cannot be read is solved anew, and a folder that cannot be written to is no error
    """

    def __init__(self, folder: Path | Callable[[], Path] | None = None) -> None:
        self._folder = folder
        self._known: dict[str, Solution] = {}
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
        """How `source` is to be arranged to be like `target`; a search that was stopped is not kept."""
        with self._lock:
            name = _name(family, source.header, target.header, options)
            found = self._known.get(name) or self._read(name, lambda: _empty(family, source, target, options))
            if found is None:
                found = align(family, source, target, options, progress, device=device)
                if not found.stopped:
                    self._write(name, found)
            if not found.stopped:
                self._known[name] = found
            return found

    def keep(self, family: Family, source: Header, target: Header, options: Options, found: Solution) -> None:
        """Take a search that was stopped for the whole one with these options, which end it there."""
        with self._lock:
            self._known[_name(family, source, target, options)] = replace(found, stopped=False)

    def _place(self, name: str) -> Path | None:
        if self._folder is None:
            return None
        folder = self._folder if isinstance(self._folder, Path) else self._folder()
        return folder / f"{name}.npz"

    def _read(self, name: str, empty: Callable[[], Solution]) -> Solution | None:
        place = self._place(name)
        if place is None or not is_zipfile(place):  # numpy leaves a broken object behind for what is none
            return None
        import numpy as np

        try:
            with ZipFile(place) as parts:
                if sum(part.file_size for part in parts.infolist()) > MOST_KEPT:
                    return None
            with np.load(place, allow_pickle=False) as kept:
                return _solution(empty(), {key: kept[key] for key in kept.files})
        except (OSError, MemoryError, BadZipFile, *DAMAGED):
            return None

    def _write(self, name: str, found: Solution) -> None:
        place = self._place(name)
        if place is None:
            return
        import numpy as np

        stream = BytesIO()
        np.savez(stream, **_arrays(found))
        with suppress(MergeError):
            keep_file(place, stream.getvalue())


def _name(family: Family, source: Header, target: Header, options: Options) -> str:
    states = [(*_state(each), bool(each.aliases)) for each in (source, target)]
    asked = json.dumps([VERSION, family.id, *states, asdict(options)])
    return hashlib.sha256(asked.encode()).hexdigest()[:40]


def _state(header: Header) -> tuple[object, ...]:
    """The file as it was when its header was read, gone though it may be by now."""
    return str(header.path), *(header.state or ())


def _empty(family: Family, source: Checkpoint, target: Checkpoint, options: Options) -> Solution:
    grouping = groups_of(family, source.header.tensors, target.header.tensors, options)
    return Solution(grouping.groups, {}, left_out=grouping.left_out)


def _arrays(found: Solution) -> dict[str, Any]:
    import numpy as np

    told = {name: getattr(found, name) for name in KEPT} | {"parts": list(found.arrangements)}
    arrays: dict[str, Any] = {"told": np.frombuffer(json.dumps(told).encode(), np.uint8)}
    for number, arrangement in enumerate(found.arrangements.values()):
        arrays[f"order{number}"] = arrangement.order.numpy()
        if arrangement.turns is not None:
            arrays[f"turns{number}"] = arrangement.turns.numpy()
    return arrays


def _solution(empty: Solution, arrays: dict[str, Any]) -> Solution:
    told = object_of(load(arrays["told"].tobytes(), constants=True))
    sizes = {part.id: part.size for group in empty.groups for part in group.parts}
    arrangements: dict[str, Arrangement] = {}
    for number, id in enumerate(texts_of(told["parts"])):
        turns = arrays.get(f"turns{number}")
        order = torch.from_numpy(arrays[f"order{number}"])
        if order.dtype != torch.int64 or not torch.equal(order.sort().values, torch.arange(sizes[id])):
            raise ValueError("no permutation")
        if turns is not None:
            _check_turns(torch.from_numpy(turns), sizes[id])
        arrangements[id] = Arrangement(order, None if turns is None else torch.from_numpy(turns))
    first, second = _numbers(told["distance"])
    return replace(
        empty,
        arrangements=arrangements,
        likeness=_numbers(told["likeness"]),
        distance=(first, second),
        turns=int(number_of(told["turns"])),
        settled=told["settled"] is True,
    )


def _numbers(value: object) -> tuple[float, ...]:
    return tuple(map(float, cast("list[float]", value)))


def _check_turns(turns: Tensor, size: int) -> None:
    """Raise ValueError for what are not orthogonal matrices, one for each head of a part of this size."""
    heads, rows, columns = turns.shape
    if turns.dtype != torch.float64 or rows != columns or heads * rows != size:
        raise ValueError("no turns")
    straight = torch.eye(rows, dtype=turns.dtype).expand(turns.shape)
    if not torch.allclose(turns @ turns.transpose(1, 2), straight, atol=CLOSE):
        raise ValueError("no turns")
