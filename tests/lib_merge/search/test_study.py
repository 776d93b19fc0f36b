"""A study proposes what its space allows, keeps what its trials come to, and goes on after any failure."""

# pyright: basic
from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from itertools import count
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")

from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from PIL import Image

from lib_merge.errors import MergeError, NumericalError, OutputError, StoppedError, StoreError
from lib_merge.picture import DrawSettings
from lib_merge.progress import NoProgress
from lib_merge.search import claims, storage
from lib_merge.search.claims import WorkerName
from lib_merge.search.ranges import NumberRange
from lib_merge.search.scorers.timed import TimedScorer
from lib_merge.search.spec import SAMPLER_TITLES, StudySpec, View, spec_from_dict, spec_to_dict
from lib_merge.search.storage import open_storage, storage_errors, without_password
from lib_merge.search.studies import check_same, create_study, has_study, read_spec
from lib_merge.search.study import DONE, FAILED, GIVEN_BACK_STATE, PRUNED, RUNNING, StartPoint
from lib_merge.search.summary import best_row, dimension_importances, pareto_front, study_to_dict
from tests.support.examples import examples
from tests.support.grid_host import Bench
from tests.support.search_bench import SearchBench, amounts_in, near_hidden, points, sqlite

Images = Sequence[Image.Image]


@pytest.fixture
def search(bench: Bench, tmp_path: Path) -> SearchBench:
    """A SQLite file and a space of three blocks."""
    return SearchBench(bench, sqlite(tmp_path))


class StopAfter(NoProgress):
    """Stops when it was asked so many times."""

    def __init__(self, count: int) -> None:
        self.left = count

    def stopped(self) -> bool:
        self.left -= 1
        return self.left < 0


# --- what is proposed ---


@pytest.mark.parametrize("sampler", SAMPLER_TITLES)
def test_the_same_seed_proposes_the_same_trials(sampler: str, bench: Bench, tmp_path: Path) -> None:
    runs = [SearchBench(bench, sqlite(tmp_path / name)) for name in "abc"]
    studies = [each.study(sampler=sampler, seed=seed) for each, seed in zip(runs, (3, 3, 4), strict=True)]
    for each, study in zip(runs, studies, strict=True):
        each.run(study, 12)
    first, same, other = map(points, studies)
    assert first == same != other


@pytest.mark.parametrize("sampler", ["tpe", "cma-es"])
def test_a_resumed_study_proposes_what_it_would_have_proposed(
    sampler: str, bench: Bench, tmp_path: Path
) -> None:
    whole, parts = (SearchBench(bench, sqlite(tmp_path / name)) for name in ("whole", "parts"))
    uninterrupted = whole.study(sampler=sampler, seed=5)
    whole.run(uninterrupted, 13)
    parts.run(parts.study(sampler=sampler, seed=5), 7)
    parts.run(parts.again(), 11)
    parts.run(parts.again(), 13)
    assert points(parts.again()) == points(uninterrupted)


@examples(6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    low=st.integers(-100, 100),
    step=st.integers(1, 30),
    steps=st.integers(1, 20),
    sampler=st.sampled_from(["tpe", "cma-es", "random"]),
    seed=st.integers(0, 1000),
)
def test_every_trial_is_in_its_range_and_on_its_step_and_tied_blocks_are_equal(
    low: int,
    step: int,
    steps: int,
    sampler: str,
    seed: int,
    bench: Bench,
    tmp_path: Path,
) -> None:
    text = f"IN: tied {NumberRange(low / 100, (low + step * steps) / 100, step / 100)}; M00: 0.3; OUT00: 0..1"
    search = SearchBench(bench, sqlite(tmp_path / f"{seed} {low} {step} {steps} {sampler}"), text)
    study = search.study(sampler=sampler, seed=seed)
    for _ in range(8):
        trial = study.ask()
        number = float(trial.point["IN"])
        assert Fraction(low, 100) <= Fraction(repr(number)) <= Fraction(low + step * steps, 100)
        assert ((Fraction(repr(number)) - Fraction(low, 100)) / Fraction(step, 100)).denominator == 1
        assert 0 <= float(trial.point["OUT00"]) <= 1
        amounts = search.space.point_of(search.space.recipe(trial.point))
        assert amounts == {"IN": pytest.approx(number), "OUT00": trial.point["OUT00"]}
        assert "M00" not in trial.point
        study.fail(trial, "not drawn")


def test_trials_that_were_asked_for_come_first_and_only_once(search: SearchBench) -> None:
    study = search.study()
    starts = [
        StartPoint(search.space.point_of_preset("GRAD_V"), "preset GRAD_V"),
        StartPoint({"IN00": 0.25}, "history 7"),
        StartPoint(search.space.point_of_preset("GRAD_V"), "preset GRAD_V, once more"),
    ]
    assert study.enqueue(starts) == 2
    search.run(study, 4)
    assert study.enqueue(starts) == 0
    first, second, third, _ = study.rows()
    assert (first.origin, second.origin, third.origin) == ("preset GRAD_V", "history 7", "")
    assert first.point == search.space.point_of_preset("GRAD_V")
    assert second.point["IN00"] == 0.25


def test_words_and_integers_can_be_searched_too(bench: Bench, tmp_path: Path) -> None:
    search = SearchBench(bench, sqlite(tmp_path), "preset: GRAD_V | GRAD_A | ALL_B; amount: 0..1 step 0.5")
    study = search.study(sampler="random")
    names: set[object] = set()
    for _ in range(12):
        trial = study.ask()
        names.add(trial.point["preset"])
        study.fail(trial, "not drawn")
    assert names == {"GRAD_V", "GRAD_A", "ALL_B"}


# --- what trials come to ---


def test_every_trial_draws_the_same_prompts_and_seeds(search: SearchBench) -> None:
    study = search.study(prompts=("a cat", "a dog"), seeds=(7, 8))
    search.run(study, 3)
    drawn = [(settings.prompt, settings.seed) for settings in search.renderer.drawn]
    assert drawn == [("a cat", 7), ("a dog", 7), ("a cat", 8), ("a dog", 8)] * 3


def test_a_search_gets_near_the_optimum_that_it_does_not_know(search: SearchBench) -> None:
    study = search.study(seed=1)
    search.run(study, 40)
    best = best_row(study.rows())
    assert best is not None
    assert best.values[0] > -0.01
    importances = dimension_importances(study, study.rows())
    assert importances.keys() == {"IN00", "M00", "OUT00"}
    assert sum(importances.values()) == pytest.approx(1)


def test_a_point_that_was_scored_before_costs_no_picture(bench: Bench, tmp_path: Path) -> None:
    search = SearchBench(bench, sqlite(tmp_path), "M00: 0..1 step 0.5")
    study = search.study(sampler="random")
    done = search.run(study, 200, lambda images, prompts: amounts_in(images[0])[0])
    assert len(search.renderer.drawn) == 3
    assert done.reason == "every point that the sampler proposes has been scored"
    same = next(row for row in study.rows() if row.same_as >= 0)
    assert same.scores == study.rows()[same.same_as].scores


def test_the_penalty_counts_the_distance_to_the_start(search: SearchBench) -> None:
    study = search.study(penalty=3.0)
    study.enqueue(
        [
            StartPoint({"IN00": 0.5, "M00": 1.0, "OUT00": 0.5}, "far"),
            StartPoint({"IN00": 0.5, "M00": 0.5, "OUT00": 0.5}, "start"),
        ]
    )
    search.run(study, 2, lambda images, prompts: 1.0)
    far, start = study.rows()
    assert (far.scores, start.scores) == ((1.0,), (1.0,))
    assert start.values[0] == 1.0
    assert far.values[0] == pytest.approx(1 - 3 * 0.25 / 3)


def test_a_trial_that_is_clearly_worse_ends_after_its_first_pictures(search: SearchBench) -> None:
    study = search.study(prompts=tuple("abcd"), prune_after=1, sampler="random")
    search.run(study, 24)
    rows = study.rows()
    pruned = [row for row in rows if row.state == PRUNED]
    assert pruned
    assert len(search.renderer.drawn) == 4 * len(rows) - 3 * len(pruned)
    assert all(row.number >= 8 for row in pruned)
    best = best_row(rows)
    assert best is not None
    assert best.state == DONE


def test_what_improves_the_best_is_scored_on_held_out_prompts_too(search: SearchBench) -> None:
    study = search.study(prompts=("a",), held_out=("b",), sampler="random")

    def score(images: Images, prompts: Sequence[str]) -> float:
        near = near_hidden(images, prompts)
        return near if prompts[0] == "a" else -abs(near + 0.2)  # on b another point is the best

    search.run(study, 20, score)
    rows = study.rows()
    improved = [row for n, row in enumerate(rows) if all(row.values > old.values for old in rows[:n])]
    assert [row.number for row in rows if row.held_out] == [row.number for row in improved]
    best = best_row(rows)
    assert best is not None
    assert best.held_out == max(row.held_out for row in improved)


def test_two_objectives_have_a_front_of_trials_that_nothing_beats(search: SearchBench) -> None:
    study = search.study(objectives=("one", "two"), sampler="random")
    scorers = (
        lambda images, prompts: amounts_in(images[0])[0],
        lambda images, prompts: -amounts_in(images[0])[0],
    )
    numbers = count()

    def score(images: Images, prompts: Sequence[str]) -> float:
        return scorers[next(numbers) % 2](images, prompts)

    search.run(study, 6, score)
    assert len(pareto_front(study.rows())) == 6
    best = best_row(study.rows())
    assert best == max(study.rows(), key=lambda row: row.values[0])


def test_a_study_is_one_json_object(search: SearchBench) -> None:
    study = search.study()
    search.run(study, 3)
    data = json.loads(json.dumps(study_to_dict(study, study.rows())))
    assert len(data["trials"]) == 3
    assert data["best"]["values"] == [max(trial["values"][0] for trial in data["trials"])]
    assert "weighted_sum" in data["recipe"]


# --- failures ---


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (math.nan, "its score is nan"),
        (math.inf, "its score is inf"),
        (ValueError("no such colour\nand more"), "the score 'mine' failed (ValueError: no such colour)"),
        ("bright", "the score 'mine' is no number but str"),
        (None, "the score 'mine' is no number but NoneType"),
        (MergeError("the scorer does not answer", where="http://127.0.0.1:1"), "the scorer does not answer"),
        (SystemExit(3), "the score 'mine' failed (SystemExit: 3)"),
    ],
)
def test_a_scorer_that_fails_costs_its_trial_one_sentence_and_no_more(
    answer: object, said: str, search: SearchBench
) -> None:
    calls = count()

    class Mine:
        def score(self, images: Images, prompts: Sequence[str]) -> float:
            if next(calls) != 1:
                return near_hidden(images, prompts)
            if isinstance(answer, BaseException):
                raise answer
            return answer  # type: ignore[return-value]

    study = search.study()
    done = search.run(study, 4, TimedScorer(Mine(), 10, "mine").score)
    assert [row.state for row in study.rows()] == [DONE, FAILED, DONE, DONE]
    assert said in study.rows()[1].problem
    assert "\n" not in study.rows()[1].problem
    assert done.reason == "4 trials are done"


def test_a_scorer_that_hangs_fails_its_trial_and_ends_the_search_kindly(search: SearchBench) -> None:
    def hang(images: Images, prompts: Sequence[str]) -> float:
        time.sleep(600)
        return 0.0

    class Hangs:
        score = staticmethod(hang)

    study = search.study()
    done = search.run(study, 9, TimedScorer(Hangs(), 0.2, "slow").score)
    rows = study.rows()
    assert rows[0].problem == "the score 'slow' took more than 0.2 s"
    assert all("still has no answer" in row.problem for row in rows[1:])
    assert done.reason.startswith("3 trials in a row failed: the score 'slow'")
    search.run(study, 6)
    assert [row.state for row in study.rows()] == [FAILED] * 4 + [DONE] * 2


def test_a_picture_that_cannot_be_drawn_fails_its_trial(search: SearchBench) -> None:
    calls = count()

    def draws(settings: DrawSettings) -> None:
        if next(calls) == 0:
            raise NumericalError("this model draws nothing but NaN")

    search.renderer.draws = draws
    study = search.study()
    search.run(study, 2)
    assert [row.state for row in study.rows()] == [FAILED, DONE]
    assert study.rows()[0].problem == "this model draws nothing but NaN"


def test_a_picture_that_hangs_is_interrupted_and_the_search_goes_on_in_another_job(
    search: SearchBench,
) -> None:
    interrupted: list[float] = []

    def draws(settings: DrawSettings) -> None:
        while not interrupted:
            time.sleep(0.01)
        raise StoppedError("stopped")

    study = search.study(time_limit=0.1)
    search.renderer.draws = draws
    done = search.run(study, 3, interrupt=lambda: interrupted.append(0.0))
    assert (done.spoiled, done.stopped) == (True, False)
    assert study.rows()[0].problem == "the trial took more than 0.1 s"


def test_three_equal_failures_in_a_row_end_the_search_and_keep_the_study(search: SearchBench) -> None:
    def fails(images: Images, prompts: Sequence[str]) -> float:
        raise MergeError("no weights")

    study = search.study()
    assert search.run(study, 50, fails).reason == "3 trials in a row failed: no weights"
    assert len(study.rows()) == 3
    assert search.run(study, 5).reason == "5 trials are done"


# --- stop, resume, workers ---


def test_a_stopped_trial_is_given_back_and_made_by_the_next_run(search: SearchBench) -> None:
    study = search.study(prompts=("a", "b"))
    done = search.run(study, 5, progress=StopAfter(5))
    assert (done.stopped, done.trials) == (True, 1)
    given_back = study.rows()[1]
    assert (given_back.state, given_back.problem) == (GIVEN_BACK_STATE, "the search was stopped")
    search.run(search.again(), 5)
    rows = study.rows()
    assert rows[2].point == given_back.point
    assert rows[2].origin == "trial 1 again: the search was stopped"
    assert sum(row.state == DONE for row in rows) == 5


def test_a_trial_of_a_worker_that_died_on_this_machine_is_given_back_at_once(
    search: SearchBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = search.study()
    with monkeypatch.context() as patch:
        patch.setattr(claims, "this_worker", lambda: WorkerName(claims.this_worker.__name__, 1))
        dead = WorkerName(study.claims._here.machine, 2**22 + 1)  # above the largest id of a process
        patch.setattr(study.claims, "_here", dead)
        lost = study.ask()
        lost.claim.close()
    assert study.rows()[0].state == RUNNING
    taken = search.again().ask()
    taken.claim.close()
    rows = study.rows()
    assert (rows[0].state, rows[0].problem) == (GIVEN_BACK_STATE, "its worker died")
    assert taken.point == lost.point


def test_a_trial_of_a_silent_worker_of_another_machine_is_given_back_after_a_while(
    search: SearchBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = search.study()
    monkeypatch.setattr(study.claims, "_here", WorkerName("elsewhere", 1))
    lost = study.ask()
    lost.claim.close()
    other, now = search.again(), [0.0]
    other.claims._clock = lambda: now[0]
    assert other.claims.give_back_lost() == 0
    now[0] = claims.STALE_SECONDS - 1
    assert other.claims.give_back_lost() == 0
    lost.handle.set_user_attr(claims.BEAT, 1)
    assert other.claims.give_back_lost() == 0
    now[0] += claims.STALE_SECONDS + 1
    assert other.claims.give_back_lost() == 1
    row = study.finish(lost, study_result())
    assert row.state == GIVEN_BACK_STATE


def study_result():  # type: ignore[no-untyped-def]
    """Scores that come too late."""
    from lib_merge.search.study import ScoredTrial

    return ScoredTrial((1.0,))


def test_a_database_that_comes_back_loses_no_trial(
    search: SearchBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "STORAGE_PAUSE", 0.01)
    study, calls = search.study(), count()
    finish = study.finish

    def away(trial, result):  # type: ignore[no-untyped-def]
        if next(calls) in (1, 2):
            raise StoreError("the storage of the study cannot be used")
        return finish(trial, result)

    monkeypatch.setattr(study, "finish", away)
    search.run(study, 3)
    assert [row.state for row in study.rows()] == [DONE] * 3


# --- storages ---


def test_a_journal_file_keeps_a_study_too(bench: Bench, tmp_path: Path) -> None:
    search = SearchBench(bench, str(tmp_path / "deep" / "search.journal"))
    search.run(search.study(), 3)
    search.run(search.again(), 5)
    assert sum(row.state == DONE for row in search.again().rows()) == 5


def test_a_study_is_begun_once_and_resumed_as_it_was(search: SearchBench) -> None:
    study = search.study()
    with pytest.raises(OutputError, match="there is a study called 'study' already"):
        search.study()
    assert has_study(search.address, "study")
    assert read_spec(search.address, "study") == study.spec
    with pytest.raises(OutputError, match="was begun with other settings: --prompt, --sampler-seed"):
        check_same(study.spec, search.spec(prompts=("other",), seed=9), "study")
    with pytest.raises(StoreError, match="there is no study called 'studio'"):
        read_spec(search.address, "studio")


def test_a_study_of_another_program_is_refused(search: SearchBench) -> None:
    import optuna

    optuna.create_study(storage=open_storage(search.address), study_name="theirs")
    with pytest.raises(StoreError, match="the study 'theirs' cannot be read"):
        read_spec(search.address, "theirs")


def test_a_storage_that_cannot_be_opened_says_so_without_a_password(tmp_path: Path) -> None:
    (tmp_path / "not.db").write_text("hello " * 1000)
    with pytest.raises(StoreError, match="the storage of the study cannot be used"):
        open_storage(str(tmp_path / "not.db"))
    with pytest.raises(MergeError) as caught:
        open_storage("postgresql://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)
    assert without_password("mysql://me:p:q@host/db") == "mysql://me:***@host/db"
    with pytest.raises(StoreError), storage_errors("x"):
        raise ValueError("odd")


# --- the specification ---


def test_a_specification_reads_back_as_it_was_written() -> None:
    spec = StudySpec(
        recipe='A = "a"',
        space="M00: 0..1",
        objectives=("sharpness", "clip"),
        drawing=DrawSettings(steps=3, styles=("ink",)),
        prompts=("a", "b"),
        seeds=(1, 2),
        held_out=("c",),
        sampler="gp",
        seed=4,
        penalty=0.5,
        time_limit=9.5,
    )
    assert spec_from_dict(json.loads(json.dumps(spec_to_dict(spec)))) == spec
    assert spec.views == (View("a", 1), View("b", 1), View("a", 2), View("b", 2))
    assert asdict(spec).keys() == spec_to_dict(spec).keys() - {"format"}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"sampler": "tpes"}, "there is no sampler 'tpes'"),
        ({"objectives": ()}, "a search needs a score"),
        ({"objectives": ("a", "b", "c")}, "two objectives at most"),
        ({"objectives": ("a", "b"), "sampler": "cma-es"}, "cma-es searches for one objective"),
        ({"prompts": ()}, "a trial needs a prompt and a seed"),
        ({"seeds": (-1,)}, "the seeds are the same in every trial"),
        ({"prune_after": 1}, "cannot be pruned after 1"),
        ({"penalty": -1.0}, "the penalty cannot be -1"),
        ({"time_limit": 0.0}, "is above 0 seconds"),
        ({"seed": -3}, "the sampler's seed cannot be -3"),
    ],
)
def test_a_specification_that_makes_no_sense_says_why(fields: dict[str, object], said: str) -> None:
    with pytest.raises(MergeError) as caught:
        StudySpec(**{"recipe": "", "space": "", "objectives": ("a",), **fields})  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_creating_a_study_needs_a_name(search: SearchBench) -> None:
    with pytest.raises(MergeError, match="a study cannot be called ''"):
        create_study(search.address, "", search.spec(), search.space)
