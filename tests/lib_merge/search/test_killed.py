"""Workers of one study share its trials; one that is killed loses its trial to the next, and nothing else."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")

from lib_merge.search.study import DONE, GIVEN_BACK_STATE, RUNNING
from tests.support.grid_host import Bench
from tests.support.search_bench import SearchBench
from tests.support.workers import begin, outputs, start_workers

pytestmark = [pytest.mark.slow, pytest.mark.newest_only]
ROOT = Path(__file__).parents[3]
# scores two trials, and says so in the middle of the third, which never ends
WORKER = """
import sys, time
from pathlib import Path
from tests.support.grid_host import Bench
from tests.support.search_bench import SearchBench, near_hidden

folder, models, address = map(Path, sys.argv[1:])
search = SearchBench(Bench(folder, models), str(address))
scored = []

def score(images, prompts):
    scored.append(near_hidden(images, prompts))
    if len(scored) > 2:
        print("in the middle", flush=True)
        time.sleep(600)
    return scored[-1]

search.run(search.again(), 9, score)
"""


SHARING = """
import sys, time
from pathlib import Path
from tests.support.grid_host import Bench
from tests.support.search_bench import SearchBench, near_hidden

folder, models, address = map(Path, sys.argv[1:])
search = SearchBench(Bench(folder, models), str(address))
study = search.again()
print("ready", flush=True)
sys.stdin.readline()

def score(images, prompts):
    time.sleep(0.2)
    return near_hidden(images, prompts)

search.run(study, 14, score)
"""


def test_two_workers_make_every_trial_once(bench: Bench, models: Path, tmp_path: Path) -> None:
    search = SearchBench(bench, str(tmp_path / "search.db"))
    study = search.study(sampler="random")
    words = [(tmp_path / name, models, search.address) for name in ("one", "two")]
    workers = start_workers(SHARING, words)
    begin(workers)
    outputs(workers)
    rows = study.rows()
    assert all(row.state == DONE for row in rows)
    assert 14 <= len(rows) <= 15  # both may take the last one at the same moment
    assert len({str(sorted(row.point.items())) for row in rows}) == len(rows)
    shares = Counter(trial.user_attrs["worker"] for trial in study.handle.get_trials())
    assert len(shares) == 2


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("file", ["search.db", "search.journal"])
def test_a_killed_worker_loses_no_finished_trial(
    file: str, bench: Bench, models: Path, tmp_path: Path
) -> None:
    search = SearchBench(bench, str(tmp_path / file))
    study = search.study(sampler="cma-es", seed=2)
    command = [sys.executable, "-c", WORKER, str(tmp_path / "worker"), str(models), search.address]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "in the middle\n"
        worker.kill()
    before = study.rows()
    assert [row.state for row in before] == [DONE, DONE, RUNNING]
    resumed = search.again()
    search.run(resumed, 6)
    rows = resumed.rows()
    assert rows[:2] == before[:2]
    assert (rows[2].state, rows[2].problem) == (GIVEN_BACK_STATE, "its worker died")
    assert rows[3].point == before[2].point
    assert [row.state for row in rows[3:]] == [DONE] * 4
    assert len(rows) == 7
