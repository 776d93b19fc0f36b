"""What is to be made once is taken once, whoever takes it at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")

from lib_merge.picture import DrawSettings
from lib_merge.search.cells import SharedCell, SharedGrid, join_cells, share_cells
from lib_merge.search.storage import LOCK_SUFFIX
from lib_merge.search.study import SearchStudy, StartPoint
from tests.support.grid_host import Bench
from tests.support.search_bench import SearchBench

WORKERS, ROUNDS = 4, 12
pytestmark = [pytest.mark.slow, pytest.mark.newest_only]


def at_once(actions: list[Callable[[], object]]) -> list[object]:
    """What these answer, begun together."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], object]) -> object:
        barrier.wait()
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


@pytest.mark.parametrize(
    "address",
    ["{}/cells.db", " {}/cells.db ", "sqlite:///{}/cells.db", "sqlite+pysqlite:///{}/c.db", "{}/c.journal"],
)
def test_a_cell_is_taken_by_one_worker(address: str, tmp_path: Path) -> None:
    address = address.format(tmp_path)
    cells = [SharedCell(f"cell {number}", "recipe", DrawSettings()) for number in range(ROUNDS)]
    share_cells(address, "grid", cells)
    workers = [join_cells(address, "grid") for _ in range(WORKERS)]

    def take(worker: SharedGrid) -> str:
        claimed = worker.claim()
        if claimed is None:
            return ""
        claimed.claim.close()
        return claimed.cell.name

    names: list[object] = []
    while len(names) < ROUNDS:
        found = [name for name in at_once([lambda worker=worker: take(worker) for worker in workers]) if name]
        if not found:
            break
        names += found
    assert sorted(map(str, names)) == sorted(cell.name for cell in cells)
    locks = [
        file.name for file in tmp_path.iterdir() if file.suffix == LOCK_SUFFIX and "journal" not in file.name
    ]
    assert len(locks) == ("journal" not in address)


@pytest.mark.parametrize("file", ["study.db", "study.journal"])
def test_a_trial_that_waits_is_asked_for_by_one_worker_and_given_back_by_one(
    file: str, bench: Bench, tmp_path: Path
) -> None:
    search = SearchBench(bench, str(tmp_path / file))
    study = search.study()
    middle = search.space.point_of(search.space.base.cell.recipe)
    study.enqueue([StartPoint(middle, f"start {number}") for number in range(WORKERS)])
    workers: list[SearchStudy] = [search.again() for _ in range(WORKERS)]
    trials = at_once([lambda worker=worker: worker.ask() for worker in workers])
    numbers = [trial.number for trial in trials]  # type: ignore[attr-defined]
    assert sorted(numbers) == list(range(WORKERS))
    for trial in trials:
        trial.claim.close()  # type: ignore[attr-defined]

    def give_back(worker: SearchStudy) -> bool:
        return worker.claims.give_back(0, "a test")

    backs = at_once([lambda worker=worker: give_back(worker) for worker in workers])
    assert backs.count(True) == 1
    assert len(study.rows()) == WORKERS + 1
