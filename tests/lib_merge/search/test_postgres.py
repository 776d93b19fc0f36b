"""A study in a PostgreSQL server: several workers of one study, and a server that dies in the middle."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")
pytest.importorskip("psycopg", reason="psycopg, the driver of PostgreSQL, is not installed")

from lib_merge.search.study import DONE
from tests.support.grid_host import Bench
from tests.support.postgres import Postgres, postgres, programs
from tests.support.search_bench import SearchBench, near_hidden
from tests.support.workers import begin, outputs, start_workers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.newest_only,
    pytest.mark.skipif(not programs(), reason="PostgreSQL is not installed: apt-get install postgresql"),
]
WORKERS, TRIALS = 4, 24
# works on the study until it has so many trials, and prints the number of each that it ended
WORKER = """
import sys, time
from pathlib import Path
from tests.support.grid_host import Bench
from tests.support.search_bench import SearchBench, near_hidden

search = SearchBench(Bench(Path(sys.argv[1]), Path(sys.argv[2])), sys.argv[3])

def score(images, prompts):
    time.sleep(0.2)
    return near_hidden(images, prompts)

print("ready", flush=True)
sys.stdin.readline()
search.run(search.again(), int(sys.argv[4]), score, on_trial=lambda result: print(result.row.number))
"""


@pytest.fixture(scope="module")
def server() -> Generator[Postgres]:
    """One server for all tests of this module."""
    with postgres() as running:
        yield running


def test_four_workers_of_one_study_end_every_trial_once(
    server: Postgres, bench: Bench, models: Path, tmp_path: Path
) -> None:
    search = SearchBench(bench, server.url)
    study = search.study(name="study", sampler="tpe", seed=1)
    words = [str(models), server.url, str(TRIALS)]
    workers = start_workers(WORKER, [(tmp_path / f"worker{index}", *words) for index in range(WORKERS)])
    begin(workers)
    ended = [list(map(int, printed.split())) for printed in outputs(workers)]
    rows = study.rows()
    assert sorted(number for numbers in ended for number in numbers) == [row.number for row in rows]
    assert all(row.state == DONE for row in rows)
    assert TRIALS <= len(rows) < TRIALS + WORKERS  # those that were at work when the last one was begun
    assert all(numbers for numbers in ended)


def test_a_server_that_is_killed_loses_no_finished_trial_and_the_search_goes_on(
    server: Postgres, bench: Bench
) -> None:
    search = SearchBench(bench, server.url)
    study = search.study(name="killed", seed=2)
    search.run(study, 4)
    before = study.rows()

    def come_back() -> None:
        time.sleep(3)
        server.start()

    server.kill()
    thread = threading.Thread(target=come_back)
    thread.start()
    ended = search.run(study, 8, near_hidden)
    thread.join()
    assert ended.reason == "8 trials are done"
    rows = study.rows()
    assert rows[:4] == before
    assert [row.state for row in rows] == [DONE] * 8
