"""What stands in the way of a target, told before anything is written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lib_merge.checkpoint import StreamingWriter, check_target
from lib_merge.dtypes import F32
from lib_merge.errors import OutputError, printable


def target_problems(target: Path, **options: object) -> list[str]:
    problems = check_target(target, **options)  # type: ignore[arg-type]
    assert all(
        isinstance(problem, OutputError) and problem.where == printable(str(target)) for problem in problems
    )
    assert all(problem.hint for problem in problems)
    return [problem.what.removeprefix("the result cannot be written: ") for problem in problems]


def test_a_good_target_has_nothing_in_its_way(tmp_path: Path) -> None:
    assert target_problems(tmp_path / "out.safetensors", size=1000) == []
    assert target_problems(tmp_path / "OUT.SafeTensors") == []
    assert list(tmp_path.iterdir()) == []


def test_a_relative_target_is_taken_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with StreamingWriter(Path("out.safetensors"), [("a", F32, (1,))]) as writer:
        writer.write("a", 0, bytes(4))
        writer.commit()
    assert target_problems(Path("out.safetensors")) == ["'out.safetensors' is there already"]


def test_an_existing_file_is_refused_unless_it_may_be_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "out.safetensors"
    target.touch()
    assert target_problems(target) == ["'out.safetensors' is there already"]
    assert target_problems(target, overwrite=True) == []
    dangling = tmp_path / "link.safetensors"
    dangling.symlink_to(tmp_path / "nowhere")
    assert target_problems(dangling) == ["'link.safetensors' is there already"]


def test_an_input_is_never_the_target_by_whatever_name(tmp_path: Path) -> None:
    source = tmp_path / "source.safetensors"
    source.touch()
    soft, hard = tmp_path / "soft.safetensors", tmp_path / "hard.safetensors"
    soft.symlink_to(source)
    hard.hardlink_to(source)
    folder = tmp_path / "folder"
    folder.symlink_to(tmp_path)
    for target in (source, soft, hard, folder / "source.safetensors", tmp_path / "." / "source.safetensors"):
        assert target_problems(target, inputs=[tmp_path / "missing", source], overwrite=True) == [
            "the result would replace 'source.safetensors', one of its own inputs"
        ]
    assert target_problems(tmp_path / "other.safetensors", inputs=[source]) == []


def test_several_problems_are_reported_at_once(tmp_path: Path) -> None:
    target = tmp_path / "out.ckpt"
    target.touch()
    *others, space = target_problems(target, inputs=[target], size=2**62)
    assert others == [
        "the result would be called 'out.ckpt', but only .safetensors files are written",
        "'out.ckpt' is there already",
        "the result would replace 'out.ckpt', one of its own inputs",
    ]
    assert space.startswith("there is not enough space for the result: 4.61 EB needed, ")


FOLDERS = {
    "missing": ("no/such/out.safetensors", "the folder does not exist"),
    "a file": ("file/out.safetensors", "a part of its path is a file, not a folder"),
    "below a file": ("file/deeper/out.safetensors", "a part of its path is a file, not a folder"),
    "a folder in its place": ("folder.safetensors", "there is a folder of that name"),
    "too long": ("x" * 250 + ".safetensors", "the name is too long for this disk"),
    "a zero byte": ("zero\0byte.safetensors", "this disk does not accept such a name or file"),
}


@pytest.mark.parametrize(("name", "problem"), list(FOLDERS.values()), ids=list(FOLDERS))
def test_a_path_where_no_file_can_be_is_refused_and_the_writer_agrees(
    name: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.safetensors").mkdir()
    assert target_problems(tmp_path / name) == [problem]
    with pytest.raises(OutputError) as caught:
        StreamingWriter(tmp_path / name, [("a", F32, (1,))])
    assert problem in caught.value.what
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.safetensors"]


NOBODY = """
import os, pathlib, sys
from lib_merge.checkpoint import StreamingWriter, check_target
from lib_merge.dtypes import F32
from lib_merge.errors import OutputError, printable
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for folder in sys.argv[1:]:
    target = pathlib.Path(folder) / "out.safetensors"
    print([problem.what for problem in check_target(target, inputs=[target])])
    try:
        StreamingWriter(target, [("a", F32, (1,))])
    except OutputError as error:
        print(error.what)
"""


@pytest.mark.skipif(os.name != "posix", reason="permissions of another kind")
def test_a_folder_that_one_may_not_write_to_or_look_into_is_reported(
    tmp_path: Path, python: Callable[..., subprocess.Popen[str]]
) -> None:
    readable, closed = tmp_path / "readable", tmp_path / "closed"
    (closed / "deeper").mkdir(parents=True)
    readable.mkdir()
    readable.chmod(0o555)
    closed.chmod(0o000)
    above = [folder for folder in tmp_path.parents if folder.name.startswith("pytest-")] + [tmp_path]
    modes = [folder.stat().st_mode for folder in above]
    try:
        for folder in above:  # pytest closes its folders to other users, and root becomes one
            folder.chmod(0o755)
        said = python(NOBODY, readable, closed, closed / "deeper").communicate(timeout=280)
    finally:
        for folder, mode in zip(above, modes, strict=True):
            folder.chmod(mode)
        closed.chmod(0o755)
    problem = "the result cannot be written: writing there is not permitted"
    assert said == (f"['{problem}']\n{problem}\n" * 3, "")


def test_a_read_only_disk_is_reported_even_to_root(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert target_problems(small_disk / "out.safetensors") == ["the disk is read-only"]


def test_a_disk_too_small_is_reported(small_disk: Path) -> None:
    assert target_problems(small_disk / "out.safetensors", size=5_000_000) == [
        "there is not enough space for the result: 5 MB needed, 4.19 MB free"
    ]
