"""Small files, written whole or not at all: what had the name stays when anything goes wrong."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lib_merge.checkpoint import StreamingWriter, check_targets, part_file, write_data_file, write_file
from lib_merge.dtypes import F32
from lib_merge.errors import OutputError

posix = pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX's")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_and_bytes_are_written_and_never_over_a_file_unasked(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    write_file(target, "größe,\ud83d\n", suffixes=(".csv",))
    assert target.read_bytes() == "größe,\\ud83d\n".encode()
    with pytest.raises(OutputError, match="is there already"):
        write_file(target, b"other")
    write_file(target, b"other", overwrite=True)
    assert target.read_bytes() == b"other"
    assert names(tmp_path) == ["table.csv"]


def test_a_file_that_appears_while_it_is_written_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"

    def write() -> None:
        with part_file(target) as file:
            file.write(b"mine")
            target.write_bytes(b"theirs")

    with pytest.raises(OutputError, match="is there already"):
        write()
    assert target.read_bytes() == b"theirs"
    assert names(tmp_path) == ["table.csv"]


def test_an_input_is_not_replaced_under_any_name(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("1")
    (tmp_path / "soft.csv").symlink_to(source)
    (tmp_path / "hard.csv").hardlink_to(source)
    (tmp_path / "here").symlink_to(tmp_path)
    for name in ("in.csv", "soft.csv", "hard.csv", "here/in.csv", "./in.csv"):
        with pytest.raises(OutputError, match=r"would replace 'in\.csv'"):
            write_file(tmp_path / name, "2", inputs=[source], overwrite=True)
    assert source.read_text() == "1"


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(OutputError, match="needs a file name"):
        write_file(Path(name), "x", overwrite=True)
    with pytest.raises(OutputError, match="needs a file name"):
        StreamingWriter(Path(name), [("a", F32, (1,))])


def test_two_results_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(tmp_path)
    (problem,) = check_targets([(tmp_path / "a.webp", ()), (tmp_path / "here" / "a.webp", ())])
    assert problem.what == "two results would be called 'a.webp'"


@posix
def test_only_files_are_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="is not a file, but a pipe"):
        write_file(pipe, "x", overwrite=True)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_what_the_program_keeps_makes_its_folder(tmp_path: Path) -> None:
    for text in ("1", "2"):
        write_data_file(tmp_path / "new" / "deeper" / "presets.json", text)
        assert (tmp_path / "new" / "deeper" / "presets.json").read_text() == text
    with pytest.raises(OutputError, match="a part of its path is a file"):
        write_data_file(tmp_path / "new" / "deeper" / "presets.json" / "x.json", "3")


def test_a_full_disk_leaves_the_old_file(small_disk: Path) -> None:
    target = small_disk / "plot.png"
    target.write_bytes(b"the old one")
    with pytest.raises(OutputError, match="not enough space"):
        write_file(target, bytes(8 << 20), overwrite=True)
    with pytest.raises(OutputError, match="the disk is full"), part_file(target, overwrite=True) as file:
        file.write(bytes(8 << 20))
    assert target.read_bytes() == b"the old one"
    assert names(small_disk) == ["plot.png"]


LIMITED = """
import pathlib, resource, sys
from lib_merge.checkpoint import write_file
from lib_merge.errors import OutputError
target = pathlib.Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_file(target, bytes(5000), overwrite=True)
except OutputError as error:
    print(error.what)
"""


@posix
def test_a_limit_on_the_size_of_files_leaves_the_old_file(
    tmp_path: Path, python: Callable[..., subprocess.Popen[str]]
) -> None:
    target = tmp_path / "table.csv"
    target.write_bytes(b"the old one")
    said = "the result cannot be written: the file would be larger than this system allows\n"
    assert python(LIMITED, target).communicate(timeout=280) == (said, "")
    assert (target.read_bytes(), names(tmp_path)) == (b"the old one", ["table.csv"])


# --- what a replaced file was ---------------------------------------------------------------------


def checkpoint(target: Path) -> None:
    with StreamingWriter(target, [("a", F32, (1,))], overwrite=True) as writer:
        writer.write("a", 0, bytes(4))
        writer.commit()


WRITERS = {
    "table.csv": lambda target: write_file(target, "x", overwrite=True),
    "out.safetensors": checkpoint,
}


@posix
@pytest.mark.parametrize("name", WRITERS)
def test_a_replaced_file_keeps_its_permissions(name: str, tmp_path: Path) -> None:
    target = tmp_path / name
    for mode in (0o600, 0o664, 0o444):
        target.touch()
        target.chmod(mode)
        WRITERS[name](target)
        assert stat.S_IMODE(target.stat().st_mode) == mode


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("name", WRITERS)
def test_roots_output_over_another_owners_file_stays_that_owners(name: str, tmp_path: Path) -> None:
    target = tmp_path / name
    target.touch()
    target.chmod(0o640)
    os.chown(target, 65534, 65534)
    WRITERS[name](target)
    state = target.stat()
    assert (state.st_uid, state.st_gid, stat.S_IMODE(state.st_mode)) == (65534, 65534, 0o640)
    assert state.st_size > 0


NOBODY = """
import os, pathlib, sys
from lib_merge.checkpoint import write_file
from lib_merge.errors import OutputError
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    write_file(pathlib.Path(sys.argv[1]), "x", overwrite=True)
except OutputError as error:
    print(error.what)
"""


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="takes two users")
def test_anyone_elses_output_over_it_is_refused_before_anything_is_done(
    tmp_path: Path, python: Callable[..., subprocess.Popen[str]]
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    target = folder / "table.csv"
    target.write_text("root's")
    space = Path(tempfile.gettempdir()).resolve()
    above = [
        folder_above
        for folder_above in (tmp_path, *tmp_path.parents)
        if space in folder_above.resolve().parents
    ]
    modes = [folder_above.stat().st_mode for folder_above in above]
    try:
        for folder_above in above:
            folder_above.chmod(0o755)
        output = python(NOBODY, target).communicate(timeout=280)
    finally:
        for folder_above, mode in zip(above, modes, strict=True):
            folder_above.chmod(mode)
    assert output == ("'table.csv' belongs to another user, but the new file would belong to you\n", "")
    assert target.read_text() == "root's"
