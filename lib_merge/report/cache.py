"""Comparisons kept on disk, found again by what the files hold, not by what they are called.

A file's content is known by a digest of its tensor table (keys, number formats, shapes) and of bytes
taken from every tensor: its first, middle and last 64. That takes some ten milliseconds; sha256 of two
full-size files takes longer than comparing them. A merge, a conversion or a training step changes numbers
all over a tensor and is noticed; a few numbers changed by hand within one tensor may not be: a caller that
knows AutoV3 hands it in as `identify`. Metadata, names and folders change nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from lib_merge.checkpoint import Header, keep_file, open_planned
from lib_merge.errors import MergeError
from lib_merge.json_data import load_file, object_of
from lib_merge.progress import Progress
from lib_merge.report.comparison import WEIGHTS, Comparison, Model, compare_one, gathered, settled_seed

VERSION = 2  # to be raised when a number that is kept here changes its meaning
FOLDER = "reports"  # what callers with a folder of their own call the place inside it
KEPT = ("values", "measures", "parts", "left_out")  # of a Model; names and judgements are made anew
CHECK = "sha256"  # of the rest
SAMPLE = 64  # bytes at each of three places of a tensor


def content_digest(header: Header) -> str:
    """What a file holds, as 40 hex digits; see the module."""
    digest = hashlib.sha256()
    with open_planned(header) as file:
        for key in sorted(header.tensors):
            info = header.tensors[key]
            digest.update(json.dumps([key, info.dtype.name, info.shape]).encode())
            middle = info.nbytes // 2
            for start in (0, middle, max(0, info.nbytes - SAMPLE)):
                digest.update(file.part(key, start, SAMPLE))
    return digest.hexdigest()[:40]


def cached_compare(
    folder: Path,
    reference: Header,
    others: Sequence[Header],
    kind: str = WEIGHTS,
    *,
    base: Header | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
    identify: Callable[[Header], str] = content_digest,
) -> Comparison:
    """`compare`, or what it found when it was last asked about files of this content.

    folder  where results are kept, one file for each model beside the reference. What is there and cannot be
            read is made anew; a folder that cannot be written to is no error, only nothing is kept.
    """
    seed = settled_seed(kind, base, seed)
    models: list[Model] = []
    digests = {header.path: identify(header) for header in (reference, *others, *([base] if base else []))}
    for other in others:
        files = [reference, other, *([base] if base else [])]
        place = folder / _name(VERSION, kind, seed, *(digests[header.path] for header in files))
        model = _read(place, other)
        if model is None:
            model = compare_one(reference, other, kind, base=base, seed=seed, progress=progress)
            _write(place, model)
        models.append(model)
    return gathered(reference, models, kind, base=base, seed=seed)


def _name(*asked: object) -> str:
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:40] + ".json"


def _read(place: Path, header: Header) -> Model | None:
    """What is kept there, under the name that the file has today."""
    try:
        kept = cast("dict[str, Any]", object_of(load_file(place, constants=True)))
        if kept.pop(CHECK, None) != _check(kept):
            return None
        left_out = tuple(cast("list[str]", kept.pop("left_out")))
        return Model(header.name, str(header.path), **kept, left_out=left_out)
    except (OSError, ValueError, RecursionError):
        return None


def _write(place: Path, model: Model) -> None:
    kept = {name: value for name, value in asdict(model).items() if name in KEPT}
    with suppress(MergeError):
        keep_file(place, json.dumps({**kept, CHECK: _check(kept)}))


def _check(kept: Mapping[str, object]) -> str:
    """A digest of what is kept, by which a damaged file is known."""
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
