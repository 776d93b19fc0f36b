"""Seeded checkpoints to test with: full-size files with the real keys and shapes, and tiny ones.

    python tests/support/full_size.py sd1 OUT.safetensors --seed 1

The numbers are noise: a few of each key's own, then pieces of one pool begun at a place that follows
from the seed and the key, so that gigabytes take seconds and neither two files nor two keys are alike.
The writer is this file's own, so that it tests the library's and does not lean on it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lib_merge.architectures import (
    FAMILIES,
    Component,
    Family,
    Role,
    Topology,
    component_of,
    ema_key,
    family_by_id,
    role_of,
)
from lib_merge.dtypes import BY_NAME

Numbers = NDArray[Any]
Shape = tuple[int, ...]

POOL = 4_000_003  # random numbers; 8 MB in half precision, 16 MB in single
OWN = 4096  # numbers at the head of every tensor that no other tensor shares
CHUNK = 4_000_000  # numbers handled at a time
STORED = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "BF16": np.dtype("<u2"), "I64": np.dtype("<i8")}
PARTS = ("unet", "text", "vae")

SCHEDULE = ("betas", "alphas_cumprod", "sqrt_alphas_cumprod")


def write_full_size(
    path: Path,
    family: str = "sd1",
    seed: int = 0,
    dtype: str = "F16",
    variant: str = "",
    *,
    ema: bool = False,
    vae: bool = True,
    scale: float = 0.03,
    near: Path | None = None,
) -> Path:
    """A file with every key and shape of a real one: sd1 2.1 GB, sd2 2.6 GB, sdxl 6.9 GB in half precision.

    near  a file like which the new one shall be: its numbers, plus noise of `scale`
    """
    known = family_by_id(family)
    shapes = _shapes(known, known.topology, variant, parts=PARTS if vae else ("unet", "text"), ema=ema)
    return write_file(path, shapes, known, seed=seed, dtype=dtype, scale=scale, near=near)


def write_tiny(
    path: Path,
    family: str = "sd1",
    seed: int = 0,
    dtype: str = "F16",
    variant: str = "",
    *,
    parts: Sequence[str] = PARTS,
    ema: bool = False,
    schedule: bool = False,
    without: Sequence[str] = (),
    extra: Mapping[str, Shape] | None = None,
    misshape: Mapping[str, Shape] | None = None,
    metadata: Mapping[str, str] | None = None,
    scale: float = 0.03,
    near: Path | None = None,
) -> Path:
    """A file with the same keys and all widths shrunk to a few numbers.

    parts     which of "unet", "text" and "vae" it holds
    without   prefixes of keys to leave out
    extra     more keys and their shapes
    misshape  keys and the wrong shapes to give them
    """
    shapes = tiny_shapes(family, variant, parts=parts, ema=ema, schedule=schedule)
    shapes = {key: shape for key, shape in shapes.items() if not key.startswith(tuple(without))}
    shapes |= {**(extra or {}), **(misshape or {})}
    known = family_by_id(family)
    return write_file(path, shapes, known, seed=seed, dtype=dtype, scale=scale, near=near, metadata=metadata)


def tiny_shapes(
    family: str,
    variant: str = "",
    *,
    parts: Sequence[str] = PARTS,
    ema: bool = False,
    schedule: bool = False,
) -> dict[str, Shape]:
    """The keys of a family and their shapes with all widths shrunk."""
    known = family_by_id(family)
    shapes = _shapes(known, known.topology.narrow(), variant, parts=parts, ema=ema)
    return {**shapes, **({key: (10,) for key in SCHEDULE} if schedule else {})}


def _shapes(
    family: Family, topology: Topology, variant: str, *, parts: Sequence[str], ema: bool
) -> dict[str, Shape]:
    wanted = {Component(part) for part in parts}
    shapes = {key: shape for key, shape in topology.shapes().items() if component_of(family, key) in wanted}
    if family.conv_in in shapes and variant:
        out, _, *kernel = shapes[family.conv_in]
        shapes[family.conv_in] = (out, _channels(family, variant), *kernel)
    if ema:
        averaged = [key for key in shapes if component_of(family, key) is Component.UNET]
        shapes |= {ema_key(key): shapes[key] for key in averaged}
        shapes |= {"model_ema.decay": (), "model_ema.num_updates": ()}
    return shapes


def _channels(family: Family, variant: str) -> int:
    """What the U-Net of a kind takes at its first convolution."""
    clues = dict(family.variants)[variant]
    return next(clue.size for clue in clues if clue.key == family.conv_in and clue.size is not None)


def write_file(
    path: Path,
    shapes: Mapping[str, Shape],
    family: Family,
    *,
    seed: int = 0,
    dtype: str = "F16",
    scale: float = 0.03,
    near: Path | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Writes the keys one after another with bounded memory; position_ids as int64 0, 1, 2, ..."""
    dtypes = {key: "I64" if role_of(family, key) is Role.IDS else dtype for key in shapes}
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for key, shape in shapes.items():
        start, end = end, end + _count(shape) * BY_NAME[dtypes[key]].itemsize
        header[key] = {"dtype": dtypes[key], "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    noise = _Noise(seed, scale, "F32" if near else dtype)
    older = _Near(near) if near else None
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for key, shape in shapes.items():
            count = _count(shape)
            if dtypes[key] == "I64":
                file.write(np.arange(count, dtype="<i8").tobytes())
                continue
            chunks = older.chunks(key) if older and older.has(key, count) else None
            for piece in noise.pieces(key, count) if chunks is None else noise.added_to(key, chunks):
                file.write(_encode(piece, dtype).tobytes())
    return path


def _count(shape: Shape) -> int:
    return math.prod(shape)


class _Noise:
    """Random numbers for every key, in the format that a file stores."""

    def __init__(self, seed: int, scale: float, dtype: str) -> None:
        self.seed, self.scale, self.dtype = seed, scale, dtype

    @cached_property
    def pool(self) -> Numbers:
        """What large tensors are cut from."""
        return self._draw(np.random.default_rng(self.seed), POOL)

    def pieces(self, key: str, count: int) -> Iterator[Numbers]:
        """`count` numbers: the first the key's own, the others from a place in the pool that is the key's."""
        digest = hashlib.blake2b(f"{self.seed} {key}".encode(), digest_size=8).digest()
        generator = np.random.default_rng(int.from_bytes(digest, "little"))
        yield self._draw(generator, min(count, OWN))
        left = count - OWN
        while left > 0:
            start = int(generator.integers(POOL))
            for part in (self.pool[start:], self.pool[:start]):
                yield part[:left]
                left -= min(left, len(part))

    def added_to(self, key: str, chunks: Iterable[NDArray[np.float32]]) -> Iterator[Numbers]:
        """The numbers of the chunks with noise on them."""
        for number, chunk in enumerate(chunks):
            yield chunk + np.concatenate(list(self.pieces(f"{key} {number}", len(chunk))))

    def _draw(self, generator: np.random.Generator, count: int) -> Numbers:
        values = generator.standard_normal(count, dtype=np.float32) * np.float32(self.scale)
        return _encode(values, self.dtype)


def _encode(values: Numbers, dtype: str) -> Numbers:
    """Numbers as a file stores them; bfloat16, which numpy lacks, as its bits, rounded to even."""
    if values.dtype != np.float32 or dtype == "F32":
        return values
    if dtype != "BF16":
        return values.astype(STORED[dtype])
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


class _Near:
    """The older file that a new one shall be like, read in chunks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            self.header: dict[str, dict[str, Any]] = json.loads(file.read(length))
        self.start = 8 + int(length)

    def has(self, key: str, count: int) -> bool:
        """Whether the file holds that many numbers under the key."""
        entry = self.header.get(key)
        return entry is not None and _count(entry["shape"]) == count

    def chunks(self, key: str) -> Iterator[NDArray[np.float32]]:
        """The key's numbers."""
        entry = self.header[key]
        dtype = STORED[entry["dtype"]]
        begin, end = entry["data_offsets"]
        with self.path.open("rb") as file:
            file.seek(self.start + begin)
            while begin < end:
                data = file.read(min(CHUNK * dtype.itemsize, end - begin))
                begin += len(data)
                values = np.frombuffer(data, dtype)
                if entry["dtype"] == "BF16":
                    values = (values.astype(np.uint32) << 16).view(np.float32)
                yield values.astype(np.float32)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write a full-size checkpoint of random numbers.")
    parser.add_argument("family", choices=[each.id for each in FAMILIES])
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", default="F16", choices=("F16", "BF16", "F32"))
    parser.add_argument("--variant", default="", help="inpaint, pix2pix, depth, ...")
    parser.add_argument("--ema", action="store_true", help="with training averages")
    parser.add_argument("--no-vae", action="store_true")
    parser.add_argument("--scale", type=float, default=0.03, help="spread of the numbers")
    parser.add_argument("--near", type=Path, help="a file to be like: its numbers, plus noise of --scale")
    args = parser.parse_args(arguments)
    path = write_full_size(
        args.path,
        args.family,
        args.seed,
        args.dtype,
        args.variant,
        ema=args.ema,
        vae=not args.no_vae,
        scale=args.scale,
        near=args.near,
    )
    print(f"{path}: {path.stat().st_size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
