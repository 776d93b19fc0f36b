"""Known hashes: kept for as long as a file stays what it is, wherever they come from."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lib_merge.checkpoint import Hashes, hash_file
from lib_merge.library.hashes import HashCache, cache_folder
from tests.support.full_size import write_tiny


def test_a_book_remembers_hashes_until_the_file_changes(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.safetensors")
    book = HashCache()
    assert book.cached(path) is None
    first = book.hashes(path)
    again = HashCache()
    assert again.cached(path) == first == hash_file(path, algorithms=("sha256",))
    write_tiny(path, seed=5, extra={"model.diffusion_model.more": (3,)})
    assert again.cached(path) is None
    thread = again.compute_in_background([path])
    assert thread is not None
    thread.join()
    assert again.cached(path) == hash_file(path, algorithms=("sha256",))


def test_another_file_of_the_same_size_and_time_is_another_file(tmp_path: Path) -> None:
    path, other = (write_tiny(tmp_path / f"{n}.safetensors", seed=n) for n in (1, 2))
    first = HashCache().hashes(path)
    state = path.stat()
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    assert HashCache().hashes(path) != first


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no time that a program cannot set")
def test_other_numbers_with_the_time_set_back_are_hashed_again(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.safetensors")
    first, before = HashCache().hashes(path), path.stat()
    time.sleep(0.02)  # the clock of a file system stands still for some milliseconds
    with path.open("r+b") as file:
        file.seek(-64, os.SEEK_END)
        file.write(bytes(64))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert HashCache().cached(path) is None
    assert HashCache().hashes(path) == hash_file(path, algorithms=("sha256",)) != first


def test_hashes_join_those_that_are_known_already_and_a_desk_keeps_them_too(
    tmp_path: Path, user_cache: Path
) -> None:
    path = write_tiny(tmp_path / "a.safetensors")
    book = HashCache(tmp_path / "data")
    book.hashes(path)
    book.hashes(path, ("autov3", "autov1"))
    every = hash_file(path)
    assert HashCache().cached(path, ("sha256", "autov1", "autov3")) == replace(every, md5=None)
    assert HashCache().cached(path, ("sha256", "md5")) is None
    shutil.rmtree(user_cache)
    assert HashCache(tmp_path / "data").cached(path) == hash_file(path, algorithms=("sha256",))
    pickled = tmp_path / "old.ckpt"
    pickled.write_bytes(b"no safetensors header")
    HashCache().hashes(pickled, ("sha256", "autov3"))
    hashes = HashCache().cached(pickled, ("sha256", "autov3"))
    assert hashes is not None
    assert hashes.autov3 is None


def test_the_cache_is_the_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which the specification has ignored
    assert cache_folder() == tmp_path / ".cache" / "merge-desk"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / "merge-desk"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == tmp_path / "Library" / "Caches" / "merge-desk"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder() == tmp_path / "local" / "merge-desk"


# --- what a WebUI knows already -------------------------------------------------------------------


@pytest.fixture
def in_webui(tmp_path: Path) -> Path:
    folder = tmp_path / "webui" / "models" / "Stable-diffusion" / "mine"
    folder.mkdir(parents=True)
    return write_tiny(folder / "a.safetensors")


def test_a1111s_cache_json_is_read_where_it_is(in_webui: Path, tmp_path: Path) -> None:
    entry = {"mtime": in_webui.stat().st_mtime, "sha256": "ab" * 32}
    cache = tmp_path / "webui" / "cache.json"
    for name in ("mine/a.safetensors", "mine\\a.safetensors", "a.safetensors"):
        cache.write_text(json.dumps({"hashes": {f"checkpoint/{name}": entry}}), encoding="utf-8")
        assert HashCache().cached(in_webui) == Hashes(sha256="ab" * 32, autov2="ab" * 5)
    for odd in (
        {**entry, "mtime": entry["mtime"] - 1},
        {**entry, "sha256": "AB"},
        {**entry, "sha256": None},
        [1],
    ):
        cache.write_text(json.dumps({"hashes": {"checkpoint/a.safetensors": odd}}), encoding="utf-8")
        assert HashCache().cached(in_webui) is None
    for text in ("{", "[]", '{"hashes": 3}', "[" * 5000):
        cache.write_text(text, encoding="utf-8")
        assert HashCache().cached(in_webui) is None


def test_its_diskcache_is_read_and_nothing_in_it_is_run(in_webui: Path, tmp_path: Path) -> None:
    database = tmp_path / "webui" / "cache" / "hashes" / "cache.db"
    database.parent.mkdir(parents=True)
    entry = {"mtime": in_webui.stat().st_mtime, "sha256": "cd" * 32}

    class Evil:
        def __reduce__(self) -> object:
            return Path.touch, (tmp_path / "it ran",)

    with closing(sqlite3.connect(database)) as connection, connection:
        # the columns of diskcache 5.6 that are read
        connection.execute(
            "CREATE TABLE Cache (rowid INTEGER PRIMARY KEY, key BLOB, raw INTEGER, mode INTEGER, value BLOB)"
        )
        put = "INSERT INTO Cache (key, raw, mode, value) VALUES (?, 1, 4, ?)"
        connection.execute(put, ("checkpoint/a.safetensors", pickle.dumps({**entry, "more": Evil()})))
    assert HashCache().cached(in_webui) is None
    assert not (tmp_path / "it ran").exists()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(put, ("checkpoint/mine/a.safetensors", pickle.dumps(entry)))
    assert HashCache().cached(in_webui) == Hashes(sha256="cd" * 32, autov2="cd" * 5)


def test_a_book_that_cannot_be_kept_still_answers(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    path = write_tiny(tmp_path / "a.safetensors")
    assert HashCache(tmp_path / "data").hashes(path).sha256 == hash_file(path).sha256
