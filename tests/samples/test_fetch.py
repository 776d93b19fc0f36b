"""The parts of the samples are in the history alone: a WebUI's clone is small, and git fetches them later."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from samples.fetch import COMMIT, HASHES, ROOT, SamplesMissingError, fetch_parts

MEGABYTE = 1_000_000
MAX_CLONE = 15 * MEGABYTE  # of what a WebUI's Install from URL fetches
# serves a clone as GitHub does, which lets a clone leave files out and fetch them later; whoever owns this
SERVER = (
    "git -c safe.directory=* -c uploadpack.allowFilter=true -c uploadpack.allowAnySHA1InWant=true upload-pack"
)
ADDRESS = f"file://{ROOT}"
pytestmark = pytest.mark.newest_only


def git(*arguments: str | Path) -> None:
    subprocess.run(["git", *map(str, arguments)], check=True, capture_output=True)


def here(*arguments: str) -> subprocess.CompletedProcess[str]:
    """git in this repository, whoever owns it."""
    command = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def has_whole_history() -> bool:
    """Whether this is neither a shallow nor a partial clone: only a whole one can be cloned from."""
    shallow = here("rev-parse", "--is-shallow-repository").stdout.strip()
    return shallow == "false" and not here("config", "--get-regexp", "promisor|partialclone").stdout


needs_whole_history = pytest.mark.skipif(
    not has_whole_history(), reason="this clone is shallow or partial: git fetch --unshallow"
)


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def clone(folder: Path, *how: str) -> Path:
    """A clone of this repository, whose server is the same when it fetches more."""
    server = f"remote.origin.uploadpack={SERVER}"
    git("clone", "--quiet", f"--upload-pack={SERVER}", "-c", server, *how, ADDRESS, folder)
    return folder


def assert_whole(folder: Path) -> None:
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    assert hashes == dict(HASHES)


@pytest.mark.slow
@needs_whole_history
def test_what_a_webui_fetches_is_small_and_the_samples_come_when_they_are_asked_for(tmp_path: Path) -> None:
    partial = clone(tmp_path / "clone", "--filter=blob:none")  # modules/ui_extensions.py of A1111
    assert size(partial / ".git") < MAX_CLONE
    fetch_parts(partial / "samples" / "parts", partial)
    assert_whole(partial / "samples" / "parts")


@pytest.mark.slow
@needs_whole_history
def test_a_shallow_clone_fetches_them_too(tmp_path: Path) -> None:
    shallow = clone(tmp_path / "clone", "--depth=1")
    assert size(shallow / ".git") < MAX_CLONE
    fetch_parts(shallow / "samples" / "parts", shallow)
    assert_whole(shallow / "samples" / "parts")


def test_only_what_is_missing_is_fetched_and_what_was_trained_again_stays(tmp_path: Path) -> None:
    (tmp_path / "vae.safetensors").write_bytes(b"mine")
    fetch_parts(tmp_path)
    assert (tmp_path / "vae.safetensors").read_bytes() == b"mine"
    (tmp_path / "vae.safetensors").unlink()
    fetch_parts(tmp_path)
    assert_whole(tmp_path)


def test_processes_that_fetch_at_once_replace_no_file_that_another_may_be_reading(tmp_path: Path) -> None:
    def fetch(_: int) -> int:
        fetch_parts(tmp_path)
        return (tmp_path / "vae.safetensors").stat().st_ino

    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(fetch, range(4)))
    assert len(set(files)) == 1
    assert_whole(tmp_path)


def test_a_folder_that_is_no_clone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(SamplesMissingError, match="git cannot fetch them") as caught:
        fetch_parts(tmp_path / "parts", tmp_path)
    assert "--models DIR" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_computer_without_git_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SamplesMissingError, match="no git to fetch them with"):
        fetch_parts(tmp_path / "parts", tmp_path)


def test_no_revision_of_today_has_them_among_its_files() -> None:
    tracked = here("ls-files", "samples/parts")
    assert (tracked.returncode, tracked.stdout) == (0, "")


def test_the_desk_says_so_in_one_error(tmp_path: Path) -> None:
    script = (
        "import samples.assemble as assemble, samples.__main__ as main, pathlib, sys\n"
        "def fail():\n    from samples.fetch import SamplesMissingError\n"
        "    raise SamplesMissingError('no samples', hint='--models DIR')\n"
        "assemble.fetch_parts = fail\nsys.exit(main.run([]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("merge-desk: no samples\n  try  --models DIR\n")


@needs_whole_history
def test_the_commit_is_part_of_the_history() -> None:
    assert here("merge-base", "--is-ancestor", COMMIT, "HEAD").returncode == 0
