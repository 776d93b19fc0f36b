"""A search runs through the model in memory, and leaves it as it was: at its end, on stop and on error."""

# pyright: basic
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")

from lib_merge.errors import MergeError, StoppedError
from lib_merge.library.history import SEARCHED
from lib_merge.picture import DrawSettings
from lib_merge.recipe import parse_recipe, print_recipe
from lib_merge.search.spec import Budget, StudySpec
from lib_merge.search.studies import create_study
from lib_merge.search.study import DONE, FAILED, GIVEN_BACK_STATE, SearchStudy
from lib_merge.service.grids import GridBackend
from lib_merge.service.request import MergeRequest
from lib_merge.service.searches import SearchJob, bind_study_space, run_search_job, starting_points
from tests.support.grid_host import SIDE, Bench

SPACE = "IN00: 0..1; OUT00: tied 0..1"


class Searching:
    """A bench, and a study over its models."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench, self.folder = bench, folder
        self.backend = GridBackend(bench.service)
        bench.host.load(next(file for file in bench.host.checkpoints() if file.name == "a"))

    def study(
        self, name: str = "study", score: str = "contrast", space: str = SPACE, **fields: object
    ) -> SearchStudy:
        drawing = DrawSettings(steps=2, width=SIDE, height=SIDE)
        spec = StudySpec(
            recipe=print_recipe(self.bench.recipe(alpha=0.5)),
            space=space,
            objectives=(score,),
            drawing=drawing,
            **fields,  # type: ignore[arg-type]
        )
        bound = bind_study_space(spec, self.backend)
        return create_study(str(self.folder / f"{name}.db"), name, spec, bound)

    def run(self, study: SearchStudy, trials: int, **options: object):
        return run_search_job(
            self.bench.service,
            study,
            self.backend,
            Budget(trials=trials),
            **options,  # type: ignore[arg-type]
        )

    def weights(self) -> dict[str, bytes]:
        """Every weight in memory."""
        memory = self.bench.host.memory
        assert memory is not None
        return {key: tensor.numpy().tobytes() for key, tensor in memory.weights.items()}

    def engage(self) -> None:
        """Put a merge of the user's into memory."""
        service = self.bench.service
        with service.job("test") as job:
            job.apply(service.prepare(MergeRequest.from_flags(("a", "b"), "weighted_sum", {"alpha": "0.3"})))


@pytest.fixture
def searching(bench: Bench, tmp_path: Path) -> Searching:
    return Searching(bench, tmp_path)


def failing_scorer(searching: Searching, body: str) -> None:
    """A scorer `mine` of the user's folder."""
    folder = searching.bench.host.data_dir() / "scorers"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text(f"def score(images, prompts):\n    {body}\n")


Ending = Callable[[Searching], None]


def ends_by_itself(searching: Searching) -> None:
    searching.run(searching.study(), 3)


def is_stopped(searching: Searching) -> None:
    asked: list[int] = []

    def stopped() -> bool:
        asked.append(1)
        return len(asked) > 6

    assert searching.run(searching.study(), 30, stopped=stopped).stopped


def is_interrupted(searching: Searching) -> None:
    """*Interrupt* of the host, in the middle of a picture."""
    drawn: list[int] = []

    def broken(settings: DrawSettings) -> bool:
        drawn.append(1)
        if len(drawn) == 2:
            searching.bench.host.interrupt()
            raise StoppedError("stopped")
        return False

    searching.bench.host.broken = broken
    assert searching.run(searching.study(), 30).stopped


def its_scorer_raises(searching: Searching) -> None:
    failing_scorer(searching, "raise RuntimeError('no idea')")
    assert "no idea" in searching.run(searching.study(score="mine"), 30).reason


def its_scorer_is_missing(searching: Searching) -> None:
    with pytest.raises(MergeError, match="the scorer 'clip' has no weights"):
        searching.run(searching.study(score="clip"), 3)


def is_ended_by_ctrl_c(searching: Searching) -> None:
    def broken(settings: DrawSettings) -> bool:
        raise KeyboardInterrupt

    searching.bench.host.broken = broken
    with pytest.raises(KeyboardInterrupt):
        searching.run(searching.study(), 3)


@pytest.mark.parametrize(
    "end",
    [
        ends_by_itself,
        is_stopped,
        is_interrupted,
        its_scorer_raises,
        its_scorer_is_missing,
        is_ended_by_ctrl_c,
    ],
)
@pytest.mark.parametrize("merged", [False, True])
def test_the_model_is_what_it_was_however_a_search_ends(
    end: Ending, merged: bool, searching: Searching
) -> None:
    with searching.bench.service.job("load"):
        searching.bench.host.model()
    if merged:
        searching.engage()
    before, ident = searching.weights(), searching.bench.service.live_ident()
    end(searching)
    after = searching.bench.service.live_ident()
    assert searching.weights() == before
    assert (after is not None) == (ident is not None) == merged
    assert after is None or ident is None or after.id == ident.id


def test_a_trial_merges_only_what_differs_and_loads_no_model(searching: Searching) -> None:
    loads: list[object] = []
    load = searching.bench.host.load
    searching.bench.host.load = lambda checkpoint=None: (loads.append(checkpoint), load(checkpoint))[1]  # type: ignore[method-assign]
    study = searching.study()
    searching.run(study, 4)
    assert [row.state for row in study.rows()] == [DONE] * 4
    assert searching.bench.host.drawn == 4
    assert loads == []


def test_every_trial_is_in_the_history_with_its_picture(searching: Searching) -> None:
    study = searching.study()
    searching.run(study, 3)
    entries = searching.bench.service.history.entries()
    assert [entry.kind for entry in entries] == [SEARCHED] * 3
    newest = study.rows()[-1]
    assert parse_recipe(entries[0].recipe) == study.space.recipe(newest.point)
    assert searching.bench.service.history.picture(entries[0].id)


def test_the_pictures_of_a_model_are_references_of_closeness(searching: Searching) -> None:
    study = searching.study(score="closeness(A)", prompts=("x", "y"), held_out=("z",))
    searching.run(study, 2)
    rows = study.rows()
    assert all(row.state == DONE and row.scores[0] < 1 for row in rows)
    assert rows[0].held_out
    a = searching.study("a", score="closeness(A)")
    a.enqueue(starting_points(a.space, [], []))
    with pytest.raises(MergeError, match="this merge has no C"):
        searching.run(searching.study("c", score="closeness(C)"), 1)


def test_the_recipe_presets_and_starred_merges_are_tried_first(searching: Searching) -> None:
    service, study = searching.bench.service, searching.study()
    service.history.add(searching.bench.recipe(alpha=0.25))
    other = parse_recipe(
        print_recipe(searching.bench.recipe(alpha=0.25)).replace("b.safetensors", "c.safetensors")
    )
    service.history.add(other)
    starts = starting_points(study.space, ["GRAD_V"], service.history.entries())
    assert [start.origin for start in starts] == ["the recipe as it was", "preset GRAD_V", "history 1"]
    assert [start.point["IN00"] for start in starts] == [0.5, 1.0, 0.25]
    with pytest.raises(MergeError, match="there is no preset 'GRAD_X'"):
        starting_points(study.space, ["GRAD_X"], ())


@pytest.mark.parametrize(
    ("space", "origin"),
    [
        ("OUT: tied 0..1", "the recipe as it was"),
        ("OUT: tied 0.7..1", "near the recipe as it was"),
        ("OUT: tied 0..1; M00: 0.3", "near the recipe as it was"),
        ("OUT: tied 0..1; M00: 0.5", "the recipe as it was"),
        ("OUT: 0..1 step 0.2", "near the recipe as it was"),
        ("GRAD_V: 0..1; OUT00: 0..1", "near the recipe as it was"),
        ("method: weighted_sum | slerp; OUT00: 0..1", "the recipe as it was"),
        ("method: slerp | add_difference; OUT00: 0..1", "near the recipe as it was"),
    ],
)
def test_the_first_trial_is_called_the_recipe_only_where_the_space_has_it(
    searching: Searching, space: str, origin: str
) -> None:
    bound = searching.study("named", space=space).space
    (first,) = starting_points(bound, [], ())
    assert first.origin == origin
    if len(first.point) == len(bound.dimensions):
        assert bound.has(bound.recipe(first.point)), "the point itself is in the space"


def test_a_picture_that_takes_too_long_fails_its_trial_and_the_search_goes_on(searching: Searching) -> None:
    drawn: list[int] = []
    interrupted = threading.Event()
    searching.bench.host.interrupt = interrupted.set  # type: ignore[method-assign]

    def broken(settings: DrawSettings) -> bool:
        drawn.append(1)
        if len(drawn) == 2:
            interrupted.clear()  # on a busy machine the first trial may have taken as long
            assert interrupted.wait(60)
            raise StoppedError("stopped")
        return False

    searching.bench.host.broken = broken
    study = searching.study(time_limit=5.0)  # a busy machine takes more than a second for a trial
    done = searching.run(study, 3)
    assert [row.state for row in study.rows()] == [DONE, FAILED, DONE]
    assert study.rows()[1].problem == "the trial took more than 5 s"
    assert (done.trials, done.reason) == (3, "3 trials are done")


# --- in a thread ---


def wait_for(condition: Callable[[], bool]) -> None:
    """At most a minute."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_search_is_paused_continued_and_stopped(searching: Searching) -> None:
    with searching.bench.service.job("load"):
        searching.bench.host.model()
    before = searching.weights()
    study = searching.study()
    job = SearchJob(searching.bench.service, study, searching.backend, Budget(trials=10_000))
    job.start()
    wait_for(lambda: len(job.results) >= 2)
    job.pause()
    wait_for(lambda: job.waiting)
    with searching.bench.service.job("the user's"):  # the host is free meanwhile
        assert searching.weights() == before
    count = len(job.results)
    job.start()
    wait_for(lambda: len(job.results) > count)
    job.stop()
    assert job.wait(60)
    assert job.failure is None
    assert job.end_message == "The search has ended: stopped."
    assert searching.weights() == before
    assert sum(row.state == DONE for row in study.rows()) >= 3
    assert all(row.state in (DONE, GIVEN_BACK_STATE, "waiting") for row in study.rows())


def test_a_search_that_cannot_begin_says_why(searching: Searching) -> None:
    job = SearchJob(
        searching.bench.service, searching.study(score="nothing"), searching.backend, Budget(trials=1)
    )
    job.start()
    assert job.wait(60)
    assert "there is no scorer 'nothing'" in str(job.failure)
    assert job.end_message == "This search ended with an error; its finished trials are kept."
