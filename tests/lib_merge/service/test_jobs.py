"""Jobs: one lock, a merge is complete or undone, the history afterwards, and memory is restored."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lib_merge.desk.protocol import Response
from lib_merge.desk.selection import Selection
from lib_merge.errors import MergeError, StoppedError
from lib_merge.hosts.host import ListedFile
from lib_merge.live import LiveModel
from lib_merge.picture import DrawSettings, Picture
from lib_merge.progress import Progress
from lib_merge.service.merging import MergeService
from lib_merge.service.request import MergeRequest
from tests.support.desk_page import DeskPage
from tests.support.full_size import write_tiny
from tests.support.grid_host import Bench, NoiseHost
from tests.support.swaps import draw, swap_in

pytestmark = pytest.mark.newest_only

SUM = MergeRequest(models=("a", "b"), settings={"alpha": 0.5})
OTHER = replace(SUM, models=("a", "c"))


class Counting(NoiseHost):
    """Counts the jobs that were started."""

    jobs = 0

    @contextmanager
    def job(self, label: str, task: str = "", *, model: bool = True) -> Generator[Progress]:
        with super().job(label, task, model=model) as progress:
            self.jobs += 1
            yield progress


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in "abc":
        write_tiny(folder / f"{name}.safetensors", seed=ord(name))
    write_tiny(folder / "xl.safetensors", family="sdxl")
    return folder


@pytest.fixture
def models(originals: Path, tmp_path: Path) -> Path:
    return shutil.copytree(originals, tmp_path / "models")


@pytest.fixture
def host(models: Path, tmp_path: Path) -> Counting:
    return Counting([models], output=tmp_path / "out", data=tmp_path / "data")


@pytest.fixture
def service(host: Counting) -> MergeService:
    return MergeService(host, threads=1)


def weights(model: LiveModel) -> dict[str, torch.Tensor]:
    return {key: model.places(key)[0].tensor.clone() for key in model.keys()}  # noqa: SIM118  a protocol, no mapping


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def by_name(host: Counting, name: str) -> ListedFile:
    return next(checkpoint for checkpoint in host.checkpoints() if checkpoint.name == name)


# --- preserving ---


@pytest.mark.parametrize("engaged", [True, False])
def test_what_was_in_memory_is_there_again_and_the_block_engaged_nothing(
    service: MergeService, host: Counting, engaged: bool
) -> None:
    if engaged:
        swap_in(service, SUM)
    before, request = weights(host.model()), service.engaged
    with service.job("test") as job, job.preserving():
        job.apply(service.prepare(OTHER))
        assert not same(weights(host.model()), before)
    assert same(weights(host.model()), before)
    assert service.engaged == request
    assert (service.status().live is not None) == engaged
    assert len(service.history.entries()) == engaged


def test_a_host_that_loads_late_has_its_own_checkpoint_again_before_the_merge(
    service: MergeService, host: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap_in(service, SUM)
    before = weights(host.model())
    with service.job("test") as job, job.preserving():
        job.restore()
        host.load(by_name(host, "c"))
        monkeypatch.setattr(host, "ensure_loaded", lambda: host.load(by_name(host, "a")))
    assert service.status().base == "a"
    assert same(weights(host.model()), before)


@pytest.mark.parametrize("engaged", [True, False])
def test_after_an_error_it_is_there_again(service: MergeService, host: Counting, engaged: bool) -> None:
    if engaged:
        swap_in(service, SUM)
    before = weights(host.model())

    def block() -> None:
        with service.job("test") as job, job.preserving():
            job.apply(service.prepare(OTHER))
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        block()
    assert same(weights(host.model()), before)


@pytest.mark.parametrize("engaged", [True, False])
def test_after_stop_it_is_there_again(service: MergeService, host: Counting, engaged: bool) -> None:
    if engaged:
        swap_in(service, SUM)
    before = weights(host.model())

    def block() -> None:
        with service.job("test") as job, job.preserving():
            job.apply(service.prepare(OTHER))
            host.interrupt()
            job.apply(service.prepare(replace(OTHER, settings={"alpha": 0.25})))

    with pytest.raises(StoppedError):
        block()
    assert same(weights(host.model()), before)


def test_a_merge_is_there_again_when_the_host_loaded_another_checkpoint_meanwhile(
    service: MergeService, host: Counting
) -> None:
    swap_in(service, SUM)
    before = weights(host.model())
    with service.job("test") as job, job.preserving():
        host.load(by_name(host, "c"))
        assert not service.is_live()
    assert same(weights(host.model()), before)
    assert service.engaged == SUM


def test_a_merge_that_does_not_fit_what_was_loaded_meanwhile_is_released_and_the_status_says_why(
    service: MergeService, host: Counting
) -> None:
    swap_in(service, SUM)
    with service.job("test") as job, job.preserving():
        host.load(by_name(host, "xl"))
        loaded = weights(host.model())
    assert same(weights(host.model()), loaded)
    assert (service.engaged, service.status().live) == (None, None)
    assert "does not fit into the model in memory" in service.status().note


def test_a_merge_whose_file_is_gone_is_released_and_the_checkpoint_is_as_its_file(
    service: MergeService, host: Counting, models: Path
) -> None:
    plain = weights(host.model())
    swap_in(service, SUM)
    with service.job("test") as job, job.preserving():
        job.apply(service.prepare(OTHER))
        (models / "b.safetensors").unlink()
    assert same(weights(host.model()), plain)
    assert service.engaged is None
    assert "b.safetensors is gone" in service.status().note
    swap_in(service, OTHER)
    assert "gone" not in service.status().note


def test_what_was_never_touched_is_left_alone(service: MergeService, models: Path) -> None:
    live = swap_in(service, SUM).ident
    with service.job("test") as job, job.preserving():
        (models / "b.safetensors").unlink()
    assert service.status().live == live
    assert service.engaged == SUM


# --- one lock ---


def test_a_job_inside_the_hosts_own_takes_no_second_lock_and_engages_nothing(
    service: MergeService, host: Counting
) -> None:
    plain = weights(host.model())
    with host.job("the host's own") as progress:
        job = service.current(progress)
        job.apply(service.prepare(SUM))
        assert not same(weights(host.model()), plain)
        with job.preserving():
            job.apply(service.prepare(OTHER))
        job.restore()
    assert host.jobs == 1
    assert same(weights(host.model()), plain)
    assert (service.engaged, service.history.entries()) == (None, ())


def test_nothing_is_swapped_in_or_drawn_between_apply_and_draw(tmp_path: Path, originals: Path) -> None:
    bench = Bench(tmp_path, originals)
    service, settings = bench.service, bench.base().cell.drawing
    swap_in(service, SUM)
    alone = draw(service, settings).image.tobytes()
    other = threading.Thread(target=swap_in, args=(service, OTHER))
    with service.job("test") as job:
        job.apply(service.prepare(SUM))
        other.start()
        other.join(0.2)
        assert other.is_alive()
        picture = job.draw(settings)
    other.join()
    assert picture.image.tobytes() == alone
    assert draw(service, settings).image.tobytes() != alone


def test_what_can_be_refused_is_refused_without_waiting_for_a_job(
    service: MergeService, host: Counting
) -> None:
    with pytest.raises(MergeError, match="no checkpoint called 'gone'"):
        swap_in(service, replace(SUM, models=("a", "gone")))
    assert host.jobs == 0


# --- the history ---


def test_the_history_is_written_when_the_job_is_over_with_the_last_picture(
    tmp_path: Path, originals: Path
) -> None:
    bench = Bench(tmp_path, originals)
    with bench.service.job("test") as job:
        job.apply(bench.service.prepare(SUM))
        job.draw(bench.base().cell.drawing)
        assert bench.service.history.entries() == ()
    (entry,) = bench.service.history.entries()
    assert "a cat" in entry.infotext


def test_a_job_that_fails_to_draw_keeps_its_merge_and_writes_no_history(
    tmp_path: Path, originals: Path
) -> None:
    bench = Bench(tmp_path, originals)
    bench.host.broken = lambda settings: True

    def block() -> None:
        with bench.service.job("test") as job:
            job.apply(bench.service.prepare(SUM))
            job.draw(bench.base().cell.drawing)

    with pytest.raises(MergeError, match="NaN"):
        block()
    assert bench.service.history.entries() == ()
    assert (bench.service.engaged, bench.service.is_live()) == (SUM, True)


# --- previews ---


class Drawing(Counting):
    """Its pictures take until they are stopped."""

    begun = threading.Event()

    def draw(self, settings: DrawSettings) -> Picture:
        self.begun.set()
        if not self._stop.wait(60):
            raise AssertionError("nobody stopped this picture")
        raise StoppedError("stopped")


def test_unloading_does_not_wait_for_a_preview_and_a_preview_that_waits_is_not_drawn(
    models: Path, tmp_path: Path
) -> None:
    host = Drawing([models], output=tmp_path / "out", data=tmp_path / "data")
    page = DeskPage(MergeService(host, threads=1), Selection("a", "b", method="weighted_sum"))
    responses: list[Response] = []

    def preview() -> None:
        responses.append(page.ask("mix.apply", parameters={"alpha": 0.5}))

    threads = [threading.Thread(target=preview) for _ in range(2)]
    for thread in threads:
        thread.start()
        assert host.begun.wait(60)
    time.sleep(0.2)
    assert page.data("mix.unload") is not None
    for thread in threads:
        thread.join(60)
    assert [response.problem is not None and response.problem.calm for response in responses] == [True, True]
    assert not page.services.merging.is_live()
    assert page.services.merging.engaged is None


def test_stopping_previews_stops_no_other_job(service: MergeService, host: Counting) -> None:
    with service.job("grid") as job:
        service.stop_previews()
        assert not job.progress.stopped()
    with service.job("preview", preview=True) as job:
        service.stop_previews()
        assert job.progress.stopped()
