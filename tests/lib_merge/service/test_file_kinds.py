"""What kind of checkpoint a file is, and which files can be mixed into A: as the plan of their merge says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lib_merge.architectures import read_header
from lib_merge.checkpoint import Header
from lib_merge.errors import MergeError
from lib_merge.service.file_kinds import FILE, FileKind, FileKinds, misfit_reason
from lib_merge.service.request import MergeRequest
from tests.support.desk_host import PaperHost, PaperService
from tests.support.full_size import write_tiny

FILES = {
    "plain": {},
    "other": {"seed": 2},
    "inpaint": {"variant": "inpaint"},
    "unet": {"parts": ("unet",)},
    "vae": {"parts": ("vae",)},
    "xl": {"family": "sdxl"},
    "two": {"family": "sd2"},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    for name, how in FILES.items():
        write_tiny(folder / f"{name}.safetensors", **how)  # type: ignore[arg-type]
    (folder / "damaged.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{damaged")
    return folder


class Counting:
    """Kinds of files, with a count of the headers that were read."""

    def __init__(self, folder: Path) -> None:
        self.headers: list[str] = []
        self.kinds = FileKinds(lambda: folder, self._stamp, self._read)

    def _stamp(self, path: Path) -> tuple[int, int, int]:
        try:
            state = path.stat()
        except OSError as cause:
            raise MergeError(f"{path.name} is gone") from cause
        return state.st_ino, state.st_size, state.st_mtime_ns

    def _read(self, path: Path) -> Header:
        self.headers.append(path.stem)
        return read_header(path)


@pytest.fixture
def counting(tmp_path: Path) -> Counting:
    return Counting(tmp_path)


def pairs() -> Iterator[tuple[str, str]]:
    for a in ("plain", "inpaint", "xl"):
        for b in (*FILES, "damaged"):
            if a != b:
                yield a, b


@pytest.mark.newest_only
@pytest.mark.parametrize(("a", "b"), list(pairs()))
def test_a_file_fits_exactly_where_its_merge_can_be_planned(
    models: Path, tmp_path: Path, a: str, b: str
) -> None:
    service = PaperService(PaperHost(models, tmp_path))
    reason = misfit_reason(*(service.kinds.kind(models / f"{name}.safetensors") for name in (a, b)))
    request = MergeRequest(models=(a, b), settings={"alpha": 0.37})
    try:
        service.plan(request)
    except MergeError:
        assert reason != ""
    else:
        assert reason == ""


def test_the_reason_is_a_few_words(models: Path, counting: Counting) -> None:
    kinds = {path.stem: counting.kinds.kind(path) for path in models.iterdir()}
    assert misfit_reason(kinds["plain"], kinds["xl"]) == "SDXL, A is SD1"
    assert misfit_reason(kinds["plain"], kinds["vae"]) == "a VAE alone"
    assert misfit_reason(kinds["plain"], kinds["inpaint"]) == "an inpaint model, A is plain"
    assert misfit_reason(kinds["plain"], kinds["damaged"]) == kinds["damaged"].problem != ""


def test_a_file_is_read_once_also_by_the_next_run_until_it_changes(
    models: Path, tmp_path: Path, counting: Counting
) -> None:
    path = tmp_path / "mine.safetensors"
    write_tiny(path)
    first = counting.kinds.kind(path)
    assert counting.kinds.read([path, models / "xl.safetensors"], 60) == 0
    assert counting.headers == ["mine", "xl"]
    again = Counting(tmp_path)
    assert again.kinds.cached(path) == first
    assert again.headers == []
    write_tiny(path, "sdxl")
    assert again.kinds.cached(path) is None
    assert again.kinds.kind(path).title == "SDXL"


def test_a_file_that_cannot_be_read_is_tried_again_by_the_next_run(
    models: Path, tmp_path: Path, counting: Counting
) -> None:
    path = models / "damaged.safetensors"
    assert counting.kinds.read([path, models / "plain.safetensors"], 60) == 0
    assert counting.kinds.read([path], 60) == 0
    assert counting.headers == ["damaged", "plain"]
    again = Counting(tmp_path)
    assert again.kinds.cached(models / "plain.safetensors") is not None
    assert again.kinds.cached(path) is None


@pytest.mark.parametrize("text", ["", "{", '{"format": "merge-desk kinds 1", "program": "0", "files": 3}'])
def test_a_file_of_kinds_that_cannot_be_used_is_as_none(models: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    counting = Counting(tmp_path)
    assert counting.kinds.cached(models / "plain.safetensors") is None
    assert counting.kinds.kind(models / "plain.safetensors").family == "sd1"


def test_no_more_is_read_than_fits_into_the_time(models: Path, counting: Counting) -> None:
    paths = [models / f"{name}.safetensors" for name in FILES]
    assert counting.kinds.read(paths, 0) == len(paths) - 1
    assert counting.headers == ["plain"]
    assert counting.kinds.read(paths, 60) == 0
    assert counting.headers == list(FILES)


def test_the_rest_is_read_in_the_background_while_nothing_more_urgent_runs(
    models: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib_merge.service.file_kinds.REST", 0.01)
    busy = iter([True, True, False])
    paths = [models / f"{name}.safetensors" for name in ("plain", "xl")]
    counting.kinds.read_in_background(paths, lambda: next(busy, False))
    counting.kinds.join()
    assert counting.headers == ["plain", "xl"]
    assert next(busy, None) is None


def test_a_file_that_is_gone_is_a_kind_with_a_problem(tmp_path: Path, counting: Counting) -> None:
    assert counting.kinds.kind(tmp_path / "gone.safetensors") == FileKind(problem="gone.safetensors is gone")
