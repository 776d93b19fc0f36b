"""Sizes in words, and the system's refusals in words."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from lib_merge.checkpoint import human_size
from lib_merge.checkpoint.system_errors import READ_FAILURES, WRITE_FAILURES, read_failure, write_failure


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 KB"),
        (999_499, "999 KB"),
        (999_500, "1 MB"),
        (2_132_650_000, "2.13 GB"),
        (6_938_040_682, "6.94 GB"),
        (2**40, "1.1 TB"),
        (2**64, "18.4 EB"),
    ],
)
def test_a_size_is_said_in_powers_of_a_thousand(size: int, said: str) -> None:
    assert human_size(size) == said


def test_a_refusal_is_said_in_three_lines() -> None:
    assert str(write_failure(OSError(errno.ENOSPC, "No space left on device"), Path("out.safetensors"))) == (
        "the result cannot be written: the disk is full\n"
        "  at   out.safetensors\n"
        "  try  free some space, or name a folder on another disk"
    )
    assert str(read_failure(OSError(errno.EACCES, "Permission denied"), Path("in.safetensors"))) == (
        "the checkpoint cannot be read: reading it is not permitted\n"
        "  at   in.safetensors\n"
        "  try  change the file's permissions"
    )


def test_an_error_that_no_table_has_is_shown_as_the_system_words_it() -> None:
    error = OSError(errno.ETIMEDOUT, "Connection timed out")
    assert write_failure(error, Path("x")).what == "the result cannot be written: Connection timed out"
    assert read_failure(OSError(), Path("x")).what.endswith("the system gives no reason")


@pytest.mark.parametrize("table", [READ_FAILURES, WRITE_FAILURES])
def test_every_known_refusal_comes_with_something_to_try(table: dict[int, tuple[str, str]]) -> None:
    assert all(what and hint for what, hint in table.values())
