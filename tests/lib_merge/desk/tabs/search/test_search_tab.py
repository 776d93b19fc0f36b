"""The handlers of the tab *Search*: plan, start in the background, pause, go on, take a trial."""

from __future__ import annotations

import base64
import io
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")

from lib_merge.desk.selection import VAE_OF_A, Selection
from lib_merge.desk.tabs.search.view import SearchUpdate
from lib_merge.errors import RecipeError, StoppedError
from lib_merge.library.history import SEARCHED
from lib_merge.picture import DrawSettings
from tests.support.desk_page import DeskPage, call
from tests.support.grid_host import SIDE, Bench

pytestmark = pytest.mark.newest_only

AB = Selection("a", "b", "", "Weighted sum", VAE_OF_A)
FIELDS = {"prompt": "a cat", "steps": 2, "width": SIDE, "height": SIDE, "seed": 1}
SEARCH = {
    "space": "IN00: 0..1; OUT00: 0..1",
    "score": ["contrast"],
    "budget": "4 trials",
    "sampler": "random",
}


def page_of(bench: Bench) -> DeskPage:
    page = DeskPage(bench.service, AB)
    page.drawing = FIELDS
    return page


@pytest.fixture
def page(bench: Bench) -> DeskPage:
    return page_of(bench)


def start(page: DeskPage, **more: Any) -> SearchUpdate:
    return page.data("search.start", options={**SEARCH, **more}, parameters={"alpha": 0.5})


def ended(page: DeskPage) -> SearchUpdate:
    assert page.services.searches.wait(120)
    return page.data("search.poll")


def wait_for(condition: Callable[[], bool]) -> None:
    """At most a minute."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_plan_says_what_a_search_would_do_and_draws_nothing(bench: Bench, page: DeskPage) -> None:
    options = {**SEARCH, "seeds": "1, 2"}
    planned = page.data("search.plan", options=options, parameters={"alpha": 0.5})
    assert planned.problem is None
    assert planned.summary == "2 numbers to find, 2 pictures per trial, 4 trials: time not measured yet."
    assert bench.host.drawn == 0
    assert not page.services.searches.studies()


def test_all_that_is_wrong_is_said_at_once_and_no_study_is_made(page: DeskPage) -> None:
    options = {"space": "IN00: 1..0", "score": ["clip", "nothing"], "sampler": "cma-es", "seeds": "often"}
    problem = page.data("search.plan", Selection("a", "", "", "Weighted sum"), options=options).problem
    said = "\n".join(problem.more)
    for part in (
        "Choose B first",
        "no numbers to choose from",
        "'often' is no number",
        "cma-es searches for one objective",
        "'clip' has no weights",
        "no scorer 'nothing'",
    ):
        assert part in said
    assert page.problem("search.start", options={**SEARCH, "score": ["clip"]}).what.startswith(
        "The scorer 'clip' has no weights"
    )
    assert not page.services.searches.studies()


def test_the_trials_of_a_search_come_with_their_pictures(bench: Bench, page: DeskPage) -> None:
    assert start(page).study == "search 1"
    update = ended(page)
    assert update.message == "The search has ended: 4 trials are done."
    assert [trial.state for trial in update.trials] == ["done"] * 4
    assert update.trials[0].origin == "the recipe as it was"
    assert update.best == max(update.trials, key=lambda trial: trial.values).number
    assert [entry.kind for entry in bench.service.history.entries()] == [SEARCHED] * 4
    url = page.data("search.picture", number=update.best).url
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as picture:
        assert picture.size == (SIDE, SIDE)
    assert update.trials[0].thumbnail.startswith("data:image/webp")
    assert page.data("search.poll", study="search 1", first=3).trials == update.trials[3:]
    planned = page.data("search.plan", options=SEARCH, parameters={"alpha": 0.5})
    assert re.search(r"4 trials: about \d+ (s|min)\.$", planned.summary), "the pictures were measured"


def test_a_search_is_paused_and_goes_on_and_is_stopped(bench: Bench, page: DeskPage) -> None:
    searches = page.services.searches
    start(page, budget="10000 trials")
    wait_for(lambda: len(page.data("search.poll").trials) > 2)
    page.data("search.pause")
    paused = ended(page)
    assert (paused.running, paused.waiting) == (False, True)
    assert paused.message.startswith("Paused.")
    assert bench.service.live_ident() is None
    count = sum(trial.state == "done" for trial in paused.trials)
    page.data("search.go_on", budget="10000 trials")
    wait_for(lambda: sum(row.state == "done" for row in searches.shown().study.rows()) > count)  # type: ignore[union-attr]
    page.data("search.stop")
    stopped = ended(page)
    assert (stopped.running, stopped.waiting) == (False, False)
    assert stopped.message == "The search has ended: stopped."
    assert bench.service.live_ident() is None


def test_interrupt_of_the_host_pauses_a_search(bench: Bench, page: DeskPage) -> None:
    drawn: list[int] = []

    def broken(settings: DrawSettings) -> bool:
        drawn.append(1)
        if len(drawn) == 3:
            bench.host.interrupt()
            raise StoppedError("stopped")
        return False

    bench.host.broken = broken
    start(page, budget="20 trials")
    update = ended(page)
    assert (update.running, update.waiting) == (False, True)
    assert update.message == "Interrupted by the WebUI. The finished trials are kept; Go on continues."
    page.data("search.go_on")
    assert sum(trial.state == "done" for trial in ended(page).trials) == 20


def test_a_study_goes_on_after_a_restart(bench: Bench, page: DeskPage) -> None:
    start(page)
    before = ended(page)
    restarted = page_of(bench)
    menu = restarted.data("search.open")
    assert menu.studies == ("search 1",)
    assert menu.update.message == "4 trials of an earlier search."
    assert menu.update.trials == before.trials
    assert menu.update.options.score == ("contrast",)
    restarted.data("search.go_on", study="search 1", budget="6 trials")
    update = ended(restarted)
    assert update.trials[:4] == before.trials
    assert [trial.state for trial in update.trials] == ["done"] * 6


def test_what_was_chosen_is_there_for_a_page_that_is_opened_later(bench: Bench, page: DeskPage) -> None:
    page.data("search.plan", options={**SEARCH, "held_out": ["a dog"], "start": ["GRAD_V"]})
    chosen = page_of(bench).data("search.open").chosen
    assert chosen.space == SEARCH["space"]
    assert (chosen.held_out, chosen.start) == (("a dog",), ("GRAD_V",))


def test_a_trial_is_taken_to_the_desk(page: DeskPage) -> None:
    start(page)
    best = ended(page).trials[1]
    setup = page.data("search.take", number=1)
    assert setup.lists["a"] == "a"
    assert setup.amounts["alpha"]["IN00"] == pytest.approx(best.point["IN00"])
    assert setup.amounts["alpha"]["OUT05"] == pytest.approx(0.5)
    assert (setup.drawing["prompt"], setup.drawing["seed"]) == ("a cat", 1)
    assert page.problem("search.take", number=99).what == "The study has no trial 99"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("raise RuntimeError('no idea')", "the score 'mine' failed (RuntimeError: no idea)"),
        ("return float('nan')", "its score is nan"),
        ("import time; time.sleep(600)", "took more than 2 s"),
        ("return 'much'", "(ValueError: could not convert string to float: 'much')"),
    ],
)
def test_a_scorer_that_fails_says_so_in_a_sentence_and_the_study_is_kept(
    body: str, problem: str, bench: Bench, page: DeskPage
) -> None:
    folder = bench.host.data_dir() / "scorers"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text(f"def score(images, prompts):\n    {body}\n")
    start(page, score=["mine"], trial_limit=2 if "sleep" in body else 300)
    update = ended(page)
    assert update.problem is None
    assert update.trials[0].problem.endswith(problem)
    assert all(trial.state == "failed" for trial in update.trials if trial.problem)
    assert page.services.searches.studies() == ["search 1"]


def test_files_and_addresses_of_scorers_are_not_for_a_page_to_name(bench: Bench, page: DeskPage) -> None:
    for score in ("http(http://127.0.0.1:9/x)", "clip(/etc/passwd)"):
        problem = page.problem("search.start", options={**SEARCH, "score": [score]})
        assert problem.what.startswith("The files and addresses of scorers are set on the server")
    problem = page.problem("search.start", options={**SEARCH, "score": ["closeness(../x.png)"]})
    assert problem.what == "'../x.png' is not a picture that was given to Merge Desk"
    (bench.host.data_dir() / "scorers.json").write_text(
        '{"format": "merge-desk scorers 1", "http": {"address": "http://127.0.0.1:9/x"}}'
    )
    assert page.data("search.plan", options={**SEARCH, "score": ["http"]}).problem is None
    scorers = {scorer.name: scorer.missing for scorer in page.data("search.open").scorers}
    assert scorers["contrast"] == scorers["http"] == ""
    assert scorers["clip"].startswith("The scorer 'clip' has no weights")


def test_a_picture_is_given_to_compare_with(page: DeskPage) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (200, 30, 30)).save(stream, format="PNG")
    url = f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
    name = page.data("search.reference", picture=url, name="a red one.png").name
    assert name.startswith("a-red-one-")
    start(page, score=[f"closeness({name})"])
    assert [trial.state for trial in ended(page).trials] == ["done"] * 4
    assert page.problem("search.reference", picture="data:,x", name="x").what == "This picture cannot be read"


def test_one_search_or_grid_runs_and_others_wait(page: DeskPage) -> None:
    start(page, budget="10000 trials")
    assert page.problem("search.start", options=SEARCH).what == "A search is running already"
    grid = {"x": ["alpha", "0, 1"]}
    assert page.problem("grid.start", axes=grid).what == "A search is running"
    queue = page.data("search.add", options={**SEARCH, "study": "later"}, parameters={"alpha": 0.5})
    assert [job.kind for job in queue.waiting] == ["search"]
    assert queue.waiting[0].summary.startswith("2 numbers to find")
    page.data("search.stop")
    ended(page)
    assert page.data("queue.poll").held
    page.data("queue.next")
    wait_for(lambda: page.data("search.poll").study == "later")
    assert len(ended(page).trials) == 4
    problem = page.problem("search.start", options={**SEARCH, "study": "later"})
    assert problem.what == "There is a study named 'later' already"


def test_two_objectives_have_a_front(page: DeskPage) -> None:
    start(page, score=["contrast", "brightness"])
    update = ended(page)
    assert len(update.objectives) == 2
    assert update.front
    assert all(len(update.trials[number].values) == 2 for number in update.front)


def test_where_optuna_is_missing_the_tab_says_so_and_opens(
    page: DeskPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    menu = page.data("search.open")
    assert menu.missing is not None
    assert menu.missing.what == "searching needs optuna, which is not installed"
    assert menu.missing.hint == "pip install optuna cmaes"
    assert menu.scorers
    assert "searching needs optuna" in page.data("search.plan", options=SEARCH).problem.what
    assert page.data("search.poll").study == ""


def test_a_program_searches_over_http(bench: Bench, page: DeskPage) -> None:
    merge = {"method": "weighted_sum", "a": "a", "b": "b", "alpha": 0.5}
    body = {**merge, **SEARCH, "score": "contrast", "drawing": FIELDS}
    planned = call(page.services, "POST", "search", {**body, "action": "plan"})
    assert planned == {"dimensions": ["IN00", "OUT00"], "pictures": 1, "budget": "4 trials", "seconds": None}
    call(page.services, "POST", "search", body)
    assert page.services.searches.wait(120)
    status = call(page.services, "GET", "search")
    assert (status["study"], status["running"], len(status["trials"])) == ("search 1", False, 4)
    assert "weighted_sum" in status["recipe"]
    call(page.services, "POST", "search", {"action": "go_on", "budget": "5 trials"})
    assert page.services.searches.wait(120)
    assert len(call(page.services, "GET", "search")["trials"]) == 5
    with pytest.raises(RecipeError, match="a search cannot 'dance'"):
        call(page.services, "POST", "search", {"action": "dance"})
