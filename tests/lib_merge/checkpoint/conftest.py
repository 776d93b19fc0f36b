"""What the tests of this room share: raw files, drawn tensors, and real small or read-only disks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]


def raw_file(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    """A safetensors file as bytes, with whatever lie the header tells."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


@pytest.fixture(name="raw_file")
def raw_file_fixture() -> Callable[..., bytes]:
    """`raw_file`, for tests that cannot import this file."""
    return raw_file


@pytest.fixture
def python() -> Callable[..., subprocess.Popen[str]]:
    """Starts a process of its own that runs some lines of Python and can import the library."""
    started: list[subprocess.Popen[str]] = []

    def start(lines: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", lines, *map(str, arguments)],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,  # pyright: ignore[reportArgumentType, reportCallIssue]
        )
        started.append(process)
        return process

    yield start  # pyright: ignore[reportReturnType]
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real filesystem of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("a small disk of its own can only be mounted by root")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"this machine does not let root mount a small disk: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
