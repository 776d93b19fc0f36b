"""A cache of comparisons on disk, keyed by the content of the files and not by their names.

The key is a digest of a file's tensor table (keys, dtypes, shapes) and of samples of every tensor: its first,
middle and last 64 bytes. This takes about ten milliseconds; sha256 of two full-size files takes longer than
comparing them. A merge, a conversion or a training step changes numbers all over a tensor and so the key; a
few numbers changed by hand within one tensor may not: a caller that has AutoV3 passes it as `identify`.
Metadata, names and folders do not change the key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from lib_merge.architectures import open_from_header
from lib_merge.checkpoint import Header
from lib_merge.json_data import expect_object, load_file
from lib_merge.progress import Progress
from lib_merge.report.similarity.comparison import (
    ComparedModel,
    Comparison,
    build_comparison,
    check_base,
    compare_one,
)
from lib_merge.report.similarity.kinds import DEFAULT_KIND, report_kind, seed_for_kind
from lib_merge.store import CacheFolder

VERSION = 2  # to be raised when a cached value changes its meaning
REPORTS_FOLDER = "reports"  # the usual name of the cache folder within a data folder
# the fields of a ComparedModel that are cached; names and findings are computed again
CACHED_FIELDS = ("values", "measures", "parts", "left_out")
CHECK = "sha256"  # of the other fields
SAMPLE = 64  # bytes at each of three places of a tensor


def content_digest(header: Header) -> str:
    """The digest of a file's content, 40 hex digits; see the module's docstring."""
    digest = hashlib.sha256()
    with open_from_header(header) as file:
        for key in sorted(header.tensors):
            info = header.tensors[key]
            digest.update(json.dumps([key, info.dtype.name, info.shape]).encode())
            middle = info.nbytes // 2
            for start in (0, middle, max(0, info.nbytes - SAMPLE)):
                digest.update(file.read_bytes(key, start, SAMPLE))
    return digest.hexdigest()[:40]


def cached_compare(
    folder: Path,
    reference: Header,
    others: Sequence[Header],
    kind: str = DEFAULT_KIND,
    *,
    base: Header | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
    identify: Callable[[Header], str] = content_digest,
) -> Comparison:
    """`compare`, or its cached result for files of the same content.

    folder  where results are cached, one file for each compared model. Unreadable files are computed again;
            a folder that cannot be written to is no error.
    """
    chosen = report_kind(kind)
    seed = seed_for_kind(chosen, base, seed)
    check_base(reference, base)
    models: list[ComparedModel] = []
    digests = {header.path: identify(header) for header in (reference, *others, *([base] if base else []))}
    kept = CacheFolder(folder, VERSION, ".json")
    for other in others:
        files = [reference, other, *([base] if base else [])]
        name = kept.key(kind, seed, *(digests[header.path] for header in files))
        model = _read(kept.path(name), other)
        if model is None:
            model = compare_one(reference, other, chosen, base=base, seed=seed, progress=progress)
            kept.write(name, _as_json(model))
        models.append(model)
    return build_comparison(reference, models, kind, base=base, seed=seed)


def slot_differences(
    a: Header, b: Header, folder: Path, progress: Progress | None = None
) -> Mapping[str, float]:
    """The relative difference of each slot that both files have, which colors the faders.

        |A - B| / sqrt(|A| |B|)     over all weights of the slot, |.| the Euclidean norm

    folder  where comparisons are cached, which reports about the same files share
    0 for equal blocks, about 1.4 for unrelated ones of one size; the same for (A, B) and (B, A). Raises
    FamilyError for models of different families and StoppedError when `progress` is stopped.
    """
    (model,) = cached_compare(folder, a, [b], progress=progress).models
    return {slot: measures["apart"] for slot, measures in model.measures.items()}


def _read(path: Path | None, header: Header) -> ComparedModel | None:
    """The cached result, with the present name of the file."""
    if path is None:
        return None
    try:
        kept = cast("dict[str, Any]", expect_object(load_file(path, allow_nan=True)))
        if kept.pop(CHECK, None) != _check(kept):
            return None
        left_out = tuple(cast("list[str]", kept.pop("left_out")))
        return ComparedModel(header.name, str(header.path), **kept, left_out=left_out)
    except (OSError, ValueError, RecursionError):
        return None


def _as_json(model: ComparedModel) -> str:
    kept = {name: value for name, value in asdict(model).items() if name in CACHED_FIELDS}
    return json.dumps({**kept, CHECK: _check(kept)})


def _check(kept: Mapping[str, object]) -> str:
    """A digest of the cached fields, by which damage is detected."""
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
