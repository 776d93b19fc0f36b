"""The queue: in order, removed and put back, held by Stop; and saves in it, each as it was asked for."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.architectures import read_header
from lib_merge.errors import MergeError, OutputError, PlanError, RecipeError, StoppedError
from lib_merge.grid import AxisSpec
from lib_merge.picture import DrawSettings
from lib_merge.recipe import RECIPE_KEY
from lib_merge.service.job_queue import MOST_WAITING, JobQueue, Turn
from lib_merge.service.kept_jobs import JOBS_FILE, KeptSave, read_kept_jobs
from lib_merge.service.merging import MergeService
from lib_merge.service.request import MergeRequest
from lib_merge.service.search_plans import SearchOptions
from lib_merge.service.services import Services
from tests.support.desk_page import call
from tests.support.full_size import write_tiny
from tests.support.grid_host import NoiseHost

pytestmark = pytest.mark.newest_only

SUM = MergeRequest(models=("a", "b"), settings={"alpha": 0.5})
MOVES = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "restore", "end", "stop", "next"]), st.integers(0, 5)),
    max_size=40,
)


# --- the queue itself, of jobs that end when they are told to ---


@dataclass
class ManualJob:
    """A job that begins and ends when a test says so."""

    name: str
    begun: list[ManualJob] = field(default_factory=list["ManualJob"])
    target: Path | None = None
    fails: bool = False
    kept: KeptSave = field(default_factory=lambda: KeptSave("", "manual"))
    kind: str = "grid"
    recipe: str = ""
    turn: Turn | None = None

    @property
    def summary(self) -> str:
        return self.name

    def begin(self, turn: Turn) -> None:
        if self.fails:
            raise MergeError("it cannot begin")
        assert turn.take()
        self.turn = turn
        self.begun.append(self)

    def end(self, *, stopped: bool = False) -> None:
        assert self.turn is not None
        self.turn.end(stopped=stopped)


def names(queue: JobQueue) -> list[str]:
    return [queued.job.summary for queued in queue.waiting]


@given(MOVES)
def test_whatever_is_done_one_job_runs_at_a_time_in_the_order_of_the_list_and_none_is_lost(
    moves: list[tuple[str, int]],
) -> None:
    queue, begun = JobQueue(), list[ManualJob]()
    ended, removed = list[ManualJob](), list[int]()
    for number, (move, which) in enumerate(moves):
        first = names(queue)[:1]
        running = [job for job in begun if job not in ended]
        count = len(begun)
        if move == "add":
            queue.add(ManualJob(str(number), begun))
        elif move == "remove" and which < len(queue.waiting):
            removed.append(queue.waiting[which].number)
            queue.remove(removed[-1])
        elif move == "restore" and removed:
            queue.restore(removed.pop())
        elif move == "next":
            queue.start_next()
        elif move in ("end", "stop") and running:
            ended.append(running[0])
            running[0].end(stopped=move == "stop")
            assert len(begun) - count <= 1
            if len(begun) > count:
                assert [begun[-1].name] == first
        assert len([job for job in begun if job not in ended]) <= 1
        assert len(begun) + len(queue.waiting) + len(removed) == sum(
            1 for done, _ in moves[: number + 1] if done == "add"
        )
        assert not queue.waiting or queue.is_held or not queue.is_idle


def test_a_removed_job_comes_back_in_its_place() -> None:
    queue, begun = JobQueue(), list[ManualJob]()
    for name in "abcd":
        queue.add(ManualJob(name, begun))
    number = queue.waiting[1].number
    queue.remove(number)
    assert names(queue) == ["b", "d"]
    queue.restore(number)
    assert names(queue) == ["b", "c", "d"]
    with pytest.raises(RecipeError, match="no longer there"):
        queue.restore(number)


def test_after_stop_the_others_wait_for_the_user_and_what_is_asked_for_now_does_not() -> None:
    queue, begun = JobQueue(), list[ManualJob]()
    for name in "abc":
        queue.add(ManualJob(name, begun))
    begun[-1].end(stopped=True)
    assert (names(queue), queue.is_held) == (["b", "c"], True)
    queue.add(ManualJob("now", begun))
    assert begun[-1].name == "now"
    begun[-1].end()
    assert names(queue) == ["b", "c"]
    queue.start_next()
    assert (begun[-1].name, queue.is_held) == ("b", False)


def test_a_job_that_cannot_begin_does_not_stop_the_queue() -> None:
    queue, begun = JobQueue(), list[ManualJob]()
    for name in "abc":
        queue.add(ManualJob(name, begun, fails=name == "b"))
    begun[-1].end()
    assert [job.name for job in begun] == ["a", "c"]


def test_one_that_the_user_begins_says_why_it_cannot_and_the_others_go_on_waiting() -> None:
    queue, begun = JobQueue(), list[ManualJob]()
    queue.hold([ManualJob("a", begun, fails=True), ManualJob("b", begun)])
    assert (names(queue), queue.is_held, begun) == (["a", "b"], True, [])
    with pytest.raises(MergeError, match="cannot begin"):
        queue.start_next()
    assert (names(queue), queue.is_held) == (["b"], True)
    queue.start_next()
    assert ([job.name for job in begun], queue.is_held) == (["b"], False)


def test_a_name_that_a_job_has_is_refused_until_that_job_has_ended_or_gone() -> None:
    queue, begun = JobQueue(), list[ManualJob]()
    queue.add(ManualJob("a", begun, Path("out/Mix.safetensors")))
    with pytest.raises(OutputError, match="in the queue already"):
        queue.add(ManualJob("b", begun, Path("out/mix.safetensors")))
    begun[-1].end()
    queue.add(ManualJob("c", begun))
    queue.add(ManualJob("d", begun, Path("out/mix.safetensors")))
    number = queue.waiting[0].number
    queue.remove(number)
    queue.add(ManualJob("e", begun, Path("out/mix.safetensors")))
    with pytest.raises(OutputError, match="in the queue already"):
        queue.restore(number)


def test_the_queue_has_an_end() -> None:
    queue = JobQueue()
    for _ in range(MOST_WAITING + 1):
        queue.add(ManualJob("job"))
    with pytest.raises(RecipeError, match="waiting already"):
        queue.add(ManualJob("one more"))


# --- saves ---


@pytest.fixture
def services(tmp_path: Path) -> Services:
    (tmp_path / "models").mkdir()
    for name in "ab":
        write_tiny(tmp_path / "models" / f"{name}.safetensors", seed=ord(name))
    host = NoiseHost([tmp_path / "models"], output=tmp_path / "out", data=tmp_path / "data")
    return Services(MergeService(host, threads=1))


@contextmanager
def another_job(services: Services) -> Generator[None]:
    """The host is busy: with a picture, say."""
    with services.merging.host.job("another"):
        yield


def until(holds: Callable[[], bool]) -> None:
    for _ in range(1200):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("this took too long")


def done(services: Services, count: int) -> None:
    until(lambda: len(services.saves.results) == count and services.queue.is_idle)


def out(services: Services, name: str) -> Path:
    return services.merging.host.folders()[0] / f"{name}.safetensors"


def test_a_save_waits_for_the_running_job_and_is_of_the_moment_it_was_asked_for(services: Services) -> None:
    with another_job(services):
        services.saves.add(SUM, "half")
        services.saves.add(replace(SUM, settings={"alpha": 0.25}), "quarter", is_previewed=False)
        time.sleep(0.2)
        answer = call(services, "GET", "queue")
        assert [job["summary"] for job in answer["waiting"]] == [
            "Save half.safetensors: a + b",
            "Save quarter.safetensors: a + b",
        ]
        assert "alpha=0.25" in answer["waiting"][1]["recipe"].replace(" ", "")
        assert not out(services, "half").exists()
    done(services, 2)
    results = list(services.saves.results.values())
    assert [job.is_previewed for job in results] == [True, False]
    for name, alpha in (("half", "0.5"), ("quarter", "0.25")):
        assert f"alpha={alpha}" in read_header(out(services, name)).metadata[RECIPE_KEY].replace(" ", "")
    assert out(services, "half").stat().st_mtime_ns <= out(services, "quarter").stat().st_mtime_ns
    assert [save["problem"] for save in call(services, "GET", "queue")["saved"]] == ["", ""]


def test_a_waiting_save_is_removed_and_put_back(services: Services) -> None:
    with another_job(services):
        number = services.saves.add(SUM, "first")
        services.saves.add(SUM, "second")
        services.queue.remove(number)
        assert len(services.queue.waiting) == 1
    done(services, 1)
    assert not out(services, "first").exists()
    services.queue.restore(number)
    done(services, 2)
    assert out(services, "first").is_file()


def test_a_save_that_fails_says_why_and_the_next_one_is_written(services: Services, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "models" / "b.safetensors", tmp_path / "models" / "c.safetensors")
    services.merging.host.checkpoints(refresh=True)
    with another_job(services):
        services.saves.add(replace(SUM, models=("a", "c")), "of c")
        services.saves.add(SUM, "taken")
        services.saves.add(SUM, "last")
        (tmp_path / "models" / "c.safetensors").unlink()
        out(services, "taken").write_bytes(b"another program's")
    done(services, 3)
    changed, taken, last = services.saves.results.values()
    assert isinstance(changed.failure, MergeError)
    assert isinstance(taken.failure, PlanError | OutputError)
    assert out(services, "taken").read_bytes() == b"another program's"
    assert last.failure is None
    assert not out(services, "of c").exists()


def test_a_file_that_is_changed_while_the_save_waits_is_not_merged(
    services: Services, tmp_path: Path
) -> None:
    with another_job(services):
        services.saves.add(SUM, "mix")
        write_tiny(tmp_path / "models" / "b.safetensors", seed=7)
    done(services, 1)
    (job,) = services.saves.results.values()
    assert isinstance(job.failure, MergeError)
    assert "changed" in str(job.failure)
    assert not out(services, "mix").exists()


def test_a_name_is_refused_when_asked_for_where_a_file_or_a_waiting_save_has_it(services: Services) -> None:
    with another_job(services):
        services.saves.add(SUM, "mix")
        with pytest.raises(OutputError, match="in the queue already"):
            services.saves.add(SUM, "mix", overwrite=True)
        with pytest.raises(OutputError, match="in the queue already"):
            services.saves.save_now(SUM, "MIX")
    done(services, 1)
    with pytest.raises(MergeError, match="is there already"):
        services.saves.add(SUM, "mix")
    services.saves.add(SUM, "mix", overwrite=True)
    done(services, 2)
    assert [job.failure for job in services.saves.results.values()] == [None, None]


def test_a_running_save_is_stopped_and_leaves_no_file(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, merging = threading.Event(), services.merging
    from lib_merge.service import saving

    def slow(*_: object, **__: object) -> None:
        begun.set()
        activity = merging.activity
        assert activity is not None
        until(activity.stopped)
        raise StoppedError("stopped")

    monkeypatch.setattr(saving, "save_merge", slow)
    number = services.saves.add(SUM, "mix")
    assert begun.wait(60)
    assert services.saves.running is not None
    services.saves.stop(number + 1)  # of another one
    services.saves.stop(number)
    done(services, 1)
    assert isinstance(services.saves.result(number).failure, StoppedError)
    assert services.saves.running is None
    services.saves.dismiss(number)
    with pytest.raises(RecipeError, match="no longer listed"):
        services.saves.result(number)


# --- after a restart ---

DAMAGED = ("", "{", '{"format": "merge-desk queue 1", "jobs": [{}]}', '{"jobs": 3}')


def waiting_jobs(services: Services) -> list[tuple[str, str, str]]:
    return [(each.job.kind, each.job.summary, each.job.recipe) for each in services.queue.waiting]


def again(services: Services) -> Services:
    """The services of a server that is started on the same folders."""
    before = services.merging.host
    assert isinstance(before, NoiseHost)
    host = NoiseHost([*before._folders], output=before.folders()[0], data=before.data_dir())
    return Services(MergeService(host, threads=1))


def test_what_waited_waits_again_after_a_restart_and_nothing_begins_by_itself(services: Services) -> None:
    axes = {"x": AxisSpec("alpha", "0, 1")}
    drawing = DrawSettings(prompt="a cat", steps=1, width=64, height=64)
    with another_job(services):
        services.saves.add(SUM, "half", is_previewed=False)
        services.grids.add(*services.grids.plan(SUM, axes, drawing))
        services.saves.add(replace(SUM, settings={"alpha": 0.25}), "quarter", overwrite=True)
        waiting = waiting_jobs(services)
        restarted = again(services)
        assert waiting_jobs(restarted) == waiting
        assert [kind for kind, _, _ in waiting] == ["save", "grid", "save"]
        assert restarted.queue.is_held
        time.sleep(0.2)
        assert not out(restarted, "half").exists()
        with pytest.raises(OutputError, match="in the queue already"):
            restarted.saves.add(SUM, "half")
        for queued in services.queue.waiting:  # that server is gone
            services.queue.remove(queued.number)
    restarted.queue.start_next()
    until(lambda: len(restarted.saves.results) == 2 and restarted.queue.is_idle)
    results = list(restarted.saves.results.values())
    assert [job.failure for job in results] == [None, None]
    assert [job.is_previewed for job in results] == [False, True]
    assert "alpha=0.25" in read_header(out(restarted, "quarter")).metadata[RECIPE_KEY].replace(" ", "")
    assert restarted.grids.job is not None
    assert len(restarted.grids.job.finished_cells) == 2
    assert again(restarted).queue.waiting == ()


def test_a_search_that_waited_is_made_after_a_restart_with_all_that_was_chosen(services: Services) -> None:
    drawing = DrawSettings(prompt="a cat", steps=1, width=64, height=64)
    options = SearchOptions(
        space="IN00-IN02: 0..1 step 0.25",
        score=("brightness",),
        budget="4 trials",
        prompt=("a cat", "a dog"),
        held_out=("a hat",),
        seeds="3, 4",
        sampler="random",
        sampler_seed=5,
        penalty=0.25,
        start=("GRAD_V",),
        study="later",
    )
    plan = services.searches.plan(lambda: SUM, options, drawing)
    with another_job(services):
        services.saves.add(SUM, "first")
        services.searches.add(plan)
        waiting = waiting_jobs(services)
        restarted = again(services)
        assert waiting_jobs(restarted) == waiting
        for queued in services.queue.waiting:  # that server is gone
            services.queue.remove(queued.number)
    restarted.queue.start_next()
    until(lambda: restarted.searches.job is not None and restarted.queue.is_idle)
    study = restarted.searches.shown().study
    assert (study.name, study.spec, study.budget) == ("later", plan.spec, "4 trials")
    rows = study.rows()
    assert [row.state for row in rows] == ["done"] * 4
    assert [row.origin for row in rows[:2]] == [start.origin for start in plan.starts]
    assert [row.point for row in rows[:2]] == [start.point for start in plan.starts]


def test_a_save_that_was_being_written_when_the_server_ended_waits_again(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lib_merge.service import saving

    begun, ended, write = threading.Event(), threading.Event(), saving.save_merge

    def slow(*words: Any, **options: Any) -> Any:
        begun.set()
        ended.wait(60)
        return write(*words, **options)

    monkeypatch.setattr(saving, "save_merge", slow)
    services.saves.add(SUM, "mix")
    assert begun.wait(60)
    folder = services.merging.host.data_dir()
    assert [job.summary for job in read_kept_jobs(folder)] == ["Save mix.safetensors: a + b"]
    ended.set()
    done(services, 1)
    assert read_kept_jobs(folder) == ()


def test_a_save_whose_model_is_gone_after_a_restart_says_so(services: Services, tmp_path: Path) -> None:
    with another_job(services):
        services.saves.add(SUM, "mix")
        restarted = again(services)
        services.queue.remove(services.queue.waiting[0].number)
    (tmp_path / "models" / "b.safetensors").unlink()
    restarted.merging.host.checkpoints(refresh=True)
    restarted.queue.start_next()
    done(restarted, 1)
    (job,) = restarted.saves.results.values()
    assert isinstance(job.failure, MergeError)
    assert "b.safetensors" in str(job.failure)


@pytest.mark.parametrize(
    "content", ["", "{", '{"format": "merge-desk queue 1", "jobs": [{}]}', '{"jobs": 3}']
)
def test_a_damaged_file_of_the_queue_is_an_empty_queue(services: Services, content: str) -> None:
    (services.merging.host.data_dir() / JOBS_FILE).write_text(content)
    restarted = again(services)
    assert (restarted.queue.waiting, restarted.queue.is_held) == ((), False)
    restarted.saves.add(SUM, "mix")
    done(restarted, 1)
