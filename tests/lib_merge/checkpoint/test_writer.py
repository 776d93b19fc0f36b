"""The writer: the same content is the same file, and no file is ever there by halves."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import safetensors
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from lib_merge.architectures import open_checkpoint, read_header
from lib_merge.checkpoint import StreamingWriter, TensorSpec, plan_layout, tensor_bytes
from lib_merge.checkpoint.linux import reserve
from lib_merge.checkpoint.system_errors import write_failure
from lib_merge.checkpoint.target import create_part
from lib_merge.dtypes import ALL_DTYPES, BF16, F16, F32, I64, from_torch, to_torch
from lib_merge.errors import OutputError
from tests.support.examples import examples

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(lambda name: f"key {name}!")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SHAPES = st.lists(st.integers(0, 5), max_size=4)
KNOWN_TO_TORCH = [to_torch(dtype) for dtype in ALL_DTYPES if hasattr(torch, dtype.torch)]  # 2.1 lacks some


def drawn(dtype: torch.dtype, shape: list[int], seed: int) -> torch.Tensor:
    size = torch.empty(shape, dtype=dtype).nbytes
    high = 2 if dtype is torch.bool else 256
    raw = torch.randint(0, high, (size,), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return raw.view(dtype).reshape(shape)


TENSORS = st.dictionaries(
    NAMES,
    st.builds(drawn, st.sampled_from(KNOWN_TO_TORCH), SHAPES, st.integers(0, 2**32)),
    max_size=6,
)


def specs(tensors: dict[str, torch.Tensor]) -> list[TensorSpec]:
    specs: list[TensorSpec] = []
    for key, tensor in tensors.items():
        dtype = from_torch(tensor.dtype)
        assert dtype is not None
        specs.append((key, dtype, tuple(tensor.shape)))
    return specs


def write(
    target: Path,
    tensors: dict[str, torch.Tensor],
    metadata: dict[str, str] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    with StreamingWriter(target, specs(tensors), metadata, overwrite=overwrite) as writer:
        for key, tensor in tensors.items():
            writer.write(key, 0, tensor_bytes(tensor))
        writer.commit()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- the file ------------------------------------------------------------------------------------


@examples(60)
@given(TENSORS, st.dictionaries(TEXT, TEXT, max_size=3))
def test_what_is_written_is_read_by_the_safetensors_package_and_by_us(
    tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, torch.Tensor], metadata: dict[str, str]
) -> None:
    target = tmp_path_factory.mktemp("writer") / "out.safetensors"
    write(target, tensors, metadata)
    theirs = load_file(target)
    with safetensors.safe_open(target, "pt") as opened:
        assert (opened.metadata() or {}) == metadata
    assert set(theirs) == set(tensors)
    with open_checkpoint(target) as ours:
        assert ours.header.metadata == metadata
        for key, tensor in tensors.items():
            for read in (theirs[key], ours.tensor(key)):
                assert (read.dtype, read.shape) == (tensor.dtype, tensor.shape)
                assert bytes(tensor_bytes(read)) == bytes(tensor_bytes(tensor))


@given(st.dictionaries(NAMES, st.tuples(st.sampled_from(ALL_DTYPES), SHAPES), max_size=8))
def test_tensors_lie_aligned_without_holes_whatever_order_they_are_named_in(drawn: dict[str, tuple]) -> None:
    tensors = [(key, dtype, tuple(shape)) for key, (dtype, shape) in drawn.items()]
    layout = plan_layout(tensors, {"b": "2", "a": "1"})
    assert layout == plan_layout(tensors[::-1], {"a": "1", "b": "2"})
    assert len(layout.header) % 8 == 0
    spans = sorted(layout.spans.values())
    ends = [begin + nbytes for begin, nbytes in spans]
    assert [begin for begin, _ in spans] == [len(layout.header), *ends][: len(spans)]
    assert layout.size == [len(layout.header), *ends][-1]
    assert all(layout.spans[key][0] % dtype.itemsize == 0 for key, dtype, _ in tensors)


def test_the_header_is_the_one_json_that_these_contents_have() -> None:
    layout = plan_layout([("b", F16, (2,)), ("é", I64, ()), ("a", BF16, (1, 2))], {"z": "1", "format": "pt"})
    assert layout.header[8:].decode().rstrip(" ") == (
        '{"__metadata__":{"format":"pt","z":"1"},'
        '"é":{"dtype":"I64","shape":[],"data_offsets":[0,8]},'
        '"a":{"dtype":"BF16","shape":[1,2],"data_offsets":[8,12]},'
        '"b":{"dtype":"F16","shape":[2],"data_offsets":[12,16]}}'
    )
    assert plan_layout([], {}).header == b"\x08\0\0\0\0\0\0\0{}      "


MAKE = """
import pathlib, sys
from lib_merge.checkpoint import StreamingWriter
from lib_merge.dtypes import F16, F32
names = set("abcdefghijklmnopqrstuvwxyz")
target = pathlib.Path(sys.argv[1])
tensors = [(name, F16 if name in "aeiou" else F32, (2,)) for name in names]
with StreamingWriter(target, tensors, {name: name for name in names}) as writer:
    for name in names:
        writer.write(name, 0, bytes([ord(name)]) * writer.layout.spans[name][1])
    writer.commit()
"""


def test_the_same_content_is_the_same_file_in_every_process(
    tmp_path: Path, python: Callable[..., subprocess.Popen[str]]
) -> None:
    targets = [tmp_path / f"{n}.safetensors" for n in range(3)]  # sets come in another order each time
    for process in [python(MAKE, target) for target in targets]:
        assert process.communicate(timeout=280) == ("", "")
    first, *others = [target.read_bytes() for target in targets]
    assert all(other == first for other in others)


def test_many_threads_write_pieces_in_any_order(tmp_path: Path) -> None:
    tensors = {f"t{n}": drawn(torch.float16, [100 + n, 50], n) for n in range(20)}
    tensors["ids"] = torch.arange(77)
    raw = {key: bytes(tensor_bytes(tensor)) for key, tensor in tensors.items()}
    pieces = [
        (key, at, data[at : at + 1000]) for key, data in raw.items() for at in range(0, len(data), 1000)
    ]
    random.Random(3).shuffle(pieces)
    target = tmp_path / "out.safetensors"
    with StreamingWriter(target, specs(tensors)) as writer, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda piece: writer.write(*piece), pieces))
        writer.commit()
    assert {key: bytes(tensor_bytes(tensor)) for key, tensor in load_file(target).items()} == raw
    assert left_in(tmp_path) == ["out.safetensors"]


def test_any_contiguous_buffer_will_do(tmp_path: Path) -> None:
    target = tmp_path / "out.safetensors"
    with StreamingWriter(target, [("a", F32, (2, 2)), ("b", F32, (0, 3))]) as writer:
        writer.write("a", 0, torch.ones(1, 2).numpy())
        writer.write("a", 8, bytearray(torch.full((2,), 2.0).numpy().tobytes()))
        writer.write("b", 0, torch.empty(0, 3).numpy())
        writer.commit()
    assert load_file(target)["a"].tolist() == [[1, 1], [2, 2]]


def test_the_finished_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write(tmp_path / "out.safetensors", {"a": torch.ones(1)})
    (tmp_path / "other").touch()
    assert (tmp_path / "out.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


# --- never by halves -----------------------------------------------------------------------------


def test_nothing_has_the_final_name_before_commit_and_nothing_is_left_without_it(tmp_path: Path) -> None:
    target = tmp_path / "out.safetensors"
    with StreamingWriter(target, [("a", F32, (2,))]) as writer:
        writer.write("a", 0, bytes(8))
        assert left_in(tmp_path) == [f".out.safetensors.{os.getpid()}.part"]
    assert left_in(tmp_path) == []


def test_an_exception_leaves_no_trace_and_an_old_file_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "out.safetensors"
    target.write_bytes(b"the old one")

    def fail() -> None:
        with StreamingWriter(target, [("a", F32, (2,))], overwrite=True) as writer:
            writer.write("a", 0, bytes(4))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert left_in(tmp_path) == ["out.safetensors"]
    assert target.read_bytes() == b"the old one"


def test_a_file_with_a_piece_missing_is_not_committed(tmp_path: Path) -> None:
    for pieces in ([(0, 40), (80, 120)], [(0, 119)], [(1, 120)], []):
        writer = StreamingWriter(tmp_path / "out.safetensors", [("a", F32, (30,))])
        for low, high in pieces:
            writer.write("a", low, bytes(high - low))
        with pytest.raises(OutputError, match=r"the result is incomplete: .* of 'a' were written"):
            writer.commit()
        assert left_in(tmp_path) == []


def test_a_piece_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with StreamingWriter(tmp_path / "out.safetensors", [("a", F32, (2,)), ("b", F32, (2,))]) as writer:
        for offset, size in ((-1, 4), (0, 9), (8, 1), (9, 0)):
            with pytest.raises(ValueError, match="do not fit"):
                writer.write("a", offset, bytes(size))
        with pytest.raises(KeyError):
            writer.write("c", 0, bytes(1))


def test_a_finished_writer_takes_no_more(tmp_path: Path) -> None:
    for end in (StreamingWriter.commit, StreamingWriter.abort):
        writer = StreamingWriter(tmp_path / f"{end.__name__}.safetensors", [("a", F32, (1,))])
        writer.write("a", 0, bytes(4))
        end(writer)
        with pytest.raises(ValueError, match="is not being written any more"):
            writer.write("a", 0, bytes(4))
        with pytest.raises(ValueError, match="is not being written any more"):
            writer.commit()
        writer.abort()
    assert left_in(tmp_path) == ["commit.safetensors"]


def test_an_abort_waits_for_the_threads_that_write(tmp_path: Path) -> None:
    """Else their bytes would go to whatever file gets the same number next."""
    bystander = tmp_path / "bystander"
    for _ in range(20):
        writer = StreamingWriter(tmp_path / "out.safetensors", [("a", F32, (1 << 18,))])
        refusals: list[ValueError] = []

        def keep_writing(writer: StreamingWriter = writer, refusals: list[ValueError] = refusals) -> None:
            try:
                while True:
                    writer.write("a", 0, b"x" * 4096)
            except ValueError as error:
                refusals.append(error)

        threads = [threading.Thread(target=keep_writing) for _ in range(4)]
        for thread in threads:
            thread.start()
        writer.abort()
        with bystander.open("wb") as file:  # takes the number that the part file had
            file.write(b"safe")
            file.flush()
            for thread in threads:
                thread.join()
        assert len(refusals) == 4
        assert bystander.read_bytes() == b"safe"
    assert left_in(tmp_path) == ["bystander"]


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "out.safetensors"
    with StreamingWriter(target, [("a", F32, (1,))]) as writer:
        writer.write("a", 0, bytes(4))
        target.write_bytes(b"someone else's")
        with pytest.raises(OutputError, match="is there already"):
            writer.commit()
    assert target.read_bytes() == b"someone else's"
    assert left_in(tmp_path) == ["out.safetensors"]


def test_an_input_that_is_open_keeps_its_bytes_when_it_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "model.safetensors"
    write(target, {"a": torch.ones(1000)})
    source = open_checkpoint(target)  # not by `with`, which would tell of the replacement at its end
    try:
        write(target, {"a": torch.zeros(1000)}, overwrite=True)
        assert source.tensor("a").unique().tolist() == [1]
    finally:
        source.close()
    assert load_file(target)["a"].unique().tolist() == [0]


def test_a_link_is_replaced_and_what_it_leads_to_is_not_touched(tmp_path: Path) -> None:
    real, link = tmp_path / "real.safetensors", tmp_path / "link.safetensors"
    write(real, {"a": torch.ones(1)})
    link.symlink_to(real)
    write(link, {"a": torch.zeros(1)}, overwrite=True)
    assert load_file(real)["a"].item() == 1
    assert load_file(link)["a"].item() == 0
    assert not link.is_symlink()


# --- killed --------------------------------------------------------------------------------------

WRITE_FOREVER = """
import pathlib, sys
from lib_merge.checkpoint import StreamingWriter
from lib_merge.dtypes import F32
with StreamingWriter(pathlib.Path(sys.argv[1]), [("a", F32, (1 << 20,))]) as writer:
    print("started", flush=True)
    while True:
        writer.write("a", 0, bytes(1 << 20))
"""


def test_a_killed_writer_leaves_a_part_that_the_next_one_removes(
    tmp_path: Path, python: Callable[..., subprocess.Popen[str]]
) -> None:
    target = tmp_path / "out.safetensors"
    process = python(WRITE_FOREVER, target)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    part = f".out.safetensors.{process.pid}.part"
    with StreamingWriter(target, [("a", F32, (1,))]):  # the other still lives: its part stays
        assert part in left_in(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=280)
    assert left_in(tmp_path) == [part]
    write(target, {"a": torch.ones(1)})
    assert left_in(tmp_path) == ["out.safetensors"]


WRITE_AND_COMMIT = """
import itertools, pathlib, sys
from lib_merge.checkpoint import StreamingWriter
from lib_merge.dtypes import F32
for n in itertools.count():
    with StreamingWriter(pathlib.Path(sys.argv[1]) / f"{n}.safetensors", [("a", F32, (1 << 14,))]) as writer:
        for at in range(0, 1 << 16, 1 << 12):
            writer.write("a", at, b"\\1" * (1 << 12))
        writer.commit()
    print("one done", flush=True)
"""


def test_whenever_it_is_killed_every_file_that_is_there_is_whole(
    tmp_path: Path, python: Callable[..., subprocess.Popen[str]]
) -> None:
    chance = random.Random(5)
    folders = [tmp_path / str(n) for n in range(5)]
    seen = 0
    for folder in folders:
        folder.mkdir()
        process = python(WRITE_AND_COMMIT, folder)
        assert process.stdout is not None
        assert process.stdout.readline() == "one done\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=chance.uniform(0.01, 0.15))
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=280)
        for path in folder.glob("*.safetensors"):
            if not path.name.startswith("."):
                assert load_file(path)["a"].view(torch.uint8).unique().tolist() == [1]
                seen += 1
    assert seen >= len(folders)


def test_parts_of_other_targets_and_other_files_are_left_alone(tmp_path: Path) -> None:
    others = [
        ".other.safetensors.1.part",
        ".out.safetensors.old.part",
        "out.safetensors.1.part",
        ".x[1].part",
    ]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".out.safetensors.99999999.part").touch()  # of a dead process
    write(tmp_path / "out.safetensors", {"a": torch.ones(1)})
    assert left_in(tmp_path) == sorted([*others, "out.safetensors"])


def test_two_writers_of_one_file_in_one_process_are_not_mixed(tmp_path: Path) -> None:
    target = tmp_path / "out.safetensors"
    with StreamingWriter(target, [("a", F32, (1,))]) as first:
        with pytest.raises(OutputError, match="another merge is writing this file"):
            StreamingWriter(target, [("a", F32, (1,))])
        first.write("a", 0, bytes(4))
        first.commit()
    assert read_header(target).tensors["a"].shape == (1,)


# --- disks that are full, limited or read-only -----------------------------------------------------


def test_a_disk_too_small_is_reported_before_anything_is_written(small_disk: Path) -> None:
    with pytest.raises(OutputError) as caught:
        StreamingWriter(small_disk / "out.safetensors", [("a", F32, (2_000_000,))])
    assert caught.value.what == "there is not enough space for the result: 8 MB needed, 4.19 MB free"
    assert left_in(small_disk) == []


@pytest.mark.skipif(sys.platform != "linux", reason="space is only reserved on Linux")
def test_nobody_can_fill_the_disk_under_a_writer(small_disk: Path) -> None:
    tensors = {"a": torch.ones(500_000)}
    with StreamingWriter(small_disk / "out.safetensors", specs(tensors)) as writer:
        with (
            pytest.raises(OSError, match=os.strerror(errno.ENOSPC)),
            (small_disk / "other").open("wb") as other,
        ):
            other.write(bytes(8 << 20))
        writer.write("a", 0, tensor_bytes(tensors["a"]))
        writer.commit()
    assert load_file(small_disk / "out.safetensors")["a"].min() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="sparse files and fallocate as on Linux")
def test_a_disk_that_is_full_after_all_leaves_no_trace_and_the_old_file(small_disk: Path) -> None:
    target = small_disk / "out.safetensors"
    target.write_bytes(b"the old one")
    part = create_part(small_disk / ".out.safetensors.1.part")
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as caught:
        reserve(part, 8 << 20)  # what the look at the free space would have told, had it been in time
    os.close(part)
    assert str(write_failure(caught.value, target)) == (
        "the result cannot be written: the disk is full\n"
        f"  at   {target}\n"
        "  try  free some space, or name a folder on another disk"
    )
    write(target, {"a": torch.ones(1)}, overwrite=True)
    assert left_in(small_disk) == ["out.safetensors"]


LIMITED = """
import pathlib, resource, sys
from lib_merge.checkpoint import StreamingWriter
from lib_merge.dtypes import F32
from lib_merge.errors import OutputError
target, when = pathlib.Path(sys.argv[1]), sys.argv[2]
limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    if when == "before":
        limit()
    with StreamingWriter(target, [("a", F32, (1 << 20,))], overwrite=True) as writer:
        for at in range(0, 4 << 20, 300_000):
            writer.write("a", at, bytes(300_000))
            limit()
except OutputError as error:
    print(error.what, sorted(path.name for path in target.parent.iterdir()))
"""


@pytest.mark.skipif(os.name != "posix", reason="only POSIX limits the size of a process's files")
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_limit_on_the_size_of_files_is_reported_and_leaves_the_old_file(
    when: str, tmp_path: Path, python: Callable[..., subprocess.Popen[str]]
) -> None:
    target = tmp_path / "out.safetensors"
    target.write_bytes(b"the old one")
    said = "the result cannot be written: the file would be larger than this system allows"
    assert python(LIMITED, target, when).communicate(timeout=280) == (f"{said} ['out.safetensors']\n", "")
    assert target.read_bytes() == b"the old one"


def test_a_disk_that_turns_read_only_is_reported(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OutputError, match="the disk is read-only"):
        StreamingWriter(small_disk / "out.safetensors", [("a", F32, (1,))])
    assert left_in(small_disk) == []


# --- contents that no file can have --------------------------------------------------------------


def test_contents_that_no_file_can_have_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "out.safetensors"
    for tensors in ([("a", F32, (1,)), ("a", F16, (1,))], [("__metadata__", F32, (1,))], [("a", F32, (-1,))]):
        with pytest.raises(ValueError, match=r"distinct names|cannot be negative"):
            StreamingWriter(target, tensors)
    with pytest.raises(ValueError, match="encode_metadata"):
        StreamingWriter(target, [], {"number": 1})  # type: ignore[dict-item]
    with pytest.raises(OutputError, match="half of a character"):
        StreamingWriter(target, [], {"title": "broken \ud83d emoji"})
    with pytest.raises(OutputError, match="more than the 100 MB that a safetensors file may have"):
        StreamingWriter(target, [], {"text": "x" * 100_000_000})
    assert left_in(tmp_path) == []
