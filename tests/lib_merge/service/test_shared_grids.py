"""A grid over several workers: every cell once, the same pictures, and no cell lost with its worker."""

from __future__ import annotations

import itertools
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="the extra `search` (Optuna) is not installed")

from lib_merge.cli import main
from lib_merge.errors import ExtraError, StoreError
from lib_merge.grid import GridPlan, GridRun, GridStore
from lib_merge.library.hashes import HashCache
from lib_merge.search import storage
from lib_merge.search.cells import LOST, SharedGrid, join_cells, shared_names
from lib_merge.search.claims import DIED
from lib_merge.service.grids import run_grid_job
from lib_merge.service.shared_grids import run_grid_worker, run_shared_grid, share_grid
from tests.support.grid_host import Bench, pictures
from tests.support.postgres import postgres, programs
from tests.support.workers import begin, outputs, start_workers

# makes cells of the grid, and prints a line for each; with a word more it stays in its first picture
WORKER = """
import sys, time
from pathlib import Path
from lib_merge.search.cells import join_cells
from lib_merge.service.shared_grids import run_grid_worker
from tests.support.grid_host import Bench

bench = Bench(Path(sys.argv[1]), Path(sys.argv[2]))
draw = bench.host.draw

def slow(settings):
    print("drawing", flush=True)
    time.sleep(600 if len(sys.argv) > 5 else 0.2)
    return draw(settings)

bench.host.draw = slow
shared = join_cells(sys.argv[3], sys.argv[4])
print("ready", flush=True)
sys.stdin.readline()
run_grid_worker(bench.service, bench.backend, shared)
"""
NAME = "grid"


def plan_of(bench: Bench) -> GridPlan:
    """Three merges with two seeds each."""
    return bench.plan(x="alpha: 0.2, 0.5, 0.8", y="seed: 1, 2")


def share(bench: Bench, address: str, store: GridStore) -> SharedGrid:
    """The grid, whose cells wait."""
    return share_grid(plan_of(bench), store, HashCache(bench.folder / "book"), address, NAME)


def collect(bench: Bench, shared: SharedGrid, store: GridStore, **options: object) -> GridRun:
    """Run it to the end."""
    plan = plan_of(bench)
    return run_shared_grid(bench.service, plan, bench.backend, store, shared, **options)  # type: ignore[arg-type]


@pytest.fixture
def expected(models: Path, tmp_path: Path) -> dict[tuple[int, int, int], bytes]:
    """The pictures of the same grid made by one process."""
    alone = Bench(tmp_path / "alone", models)
    done = run_grid_job(alone.service, plan_of(alone), alone.backend, alone.store())
    return pictures(done, alone.store())


def test_a_grid_without_other_workers_is_made_by_the_process_that_started_it(
    bench: Bench, tmp_path: Path, expected: dict[tuple[int, int, int], bytes]
) -> None:
    store, address = bench.store(), str(tmp_path / "cells.db")
    shared = share(bench, address, store)
    done = collect(bench, shared, store)
    assert pictures(done, store) == expected
    assert (done.merges, bench.host.drawn) == (3, 6)
    assert shared_names(address) == []
    assert not shared.is_open()
    assert not bench.service.is_live()


def test_a_worker_takes_the_cells_of_one_merge_after_another(bench: Bench, tmp_path: Path) -> None:
    shared = share(bench, str(tmp_path / "cells.db"), bench.store())
    other = join_cells(shared.address, NAME)
    first, second = shared.claim(), other.claim()
    assert first is not None
    assert second is not None
    assert first.cell.recipe != second.cell.recipe
    again = shared.claim()
    assert again is not None
    assert again.cell.recipe == first.cell.recipe
    assert again.cell.drawing.seed != first.cell.drawing.seed
    for grid, claimed in ((shared, first), (other, second), (shared, again)):
        grid.give_back(claimed, "a test has ended")


def test_a_grid_that_was_stopped_is_resumed_with_what_workers_made_meanwhile(
    bench: Bench, models: Path, tmp_path: Path, expected: dict[tuple[int, int, int], bytes]
) -> None:
    store, address = bench.store(), str(tmp_path / "cells.db")
    cells: list[object] = []
    stopped: Callable[[], bool] = lambda: len(cells) >= 2  # noqa: E731
    done = collect(bench, share(bench, address, store), store, tell=cells.append, stopped=stopped)
    assert done.stopped
    assert store.count() == 2
    helper = Bench(tmp_path / "helper", models)
    assert run_grid_worker(helper.service, helper.backend, join_cells(address, NAME)) == 4
    drawn = bench.host.drawn
    done = collect(bench, share(bench, address, store), store)
    assert pictures(done, store) == expected
    assert bench.host.drawn == drawn
    assert sum(result.reused for result in done.results.values()) == 2


def test_a_cell_that_fails_has_its_sentence_and_is_tried_again(bench: Bench, tmp_path: Path) -> None:
    store, address = bench.store(), str(tmp_path / "cells.db")
    bench.host.broken = lambda settings: settings.seed == 2
    done = collect(bench, share(bench, address, store), store)
    assert [result.record.problem for result in done.failed] == ["this model draws nothing but NaN"] * 3
    bench.host.broken = lambda settings: False
    done = collect(bench, share(bench, address, store), store)
    assert done.failed == ()
    assert store.count() == 6


def test_a_cell_of_which_three_workers_die_is_a_failure(bench: Bench, tmp_path: Path) -> None:
    store, plan = bench.store(), bench.plan(x="alpha: 0.5")
    shared = share_grid(plan, store, HashCache(tmp_path / "book"), str(tmp_path / "cells.db"), NAME)
    for _ in range(3):
        claimed = shared.claim()
        assert claimed is not None
        shared.give_back(claimed, DIED)
    done = run_shared_grid(bench.service, plan, bench.backend, store, shared)
    assert [result.record.problem for result in done.failed] == [LOST]
    assert bench.host.drawn == 0


def test_a_name_that_no_grid_has(bench: Bench, tmp_path: Path) -> None:
    shared = share(bench, str(tmp_path / "cells.db"), bench.store())
    with pytest.raises(StoreError, match="there is no grid called 'grids'") as caught:
        join_cells(shared.address, "grids")
    assert "'grid'" in caught.value.hint


def test_without_optuna_a_sentence_says_what_to_install(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    arguments = [str(models / "a.safetensors"), str(models / "b.safetensors"), "--x", "alpha: 0, 1"]
    monkeypatch.chdir(tmp_path)
    for words in (["worker"], [*arguments, "-o", "grid.png", "--width", "8", "--height", "8"]):
        assert main(["grid", *words, "--workers", "cells.db"]) == 2
        err = capsys.readouterr().err
        assert "spreading a grid over workers needs optuna, which is not installed" in err
        assert "pip install optuna cmaes" in err
    assert issubclass(ExtraError, Exception)


@pytest.mark.parametrize("works", [True, False])
def test_a_grid_outlasts_a_storage_that_is_away_for_a_while(
    works: bool,
    bench: Bench,
    models: Path,
    tmp_path: Path,
    expected: dict[tuple[int, int, int], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage, "STORAGE_PAUSE", 0.01)
    store = bench.store()
    shared = share(bench, str(tmp_path / "cells.db"), store)
    failures = fail_in_turns(monkeypatch)
    made = 0
    if not works:
        helper = Bench(tmp_path / "helper", models)
        made = run_grid_worker(helper.service, helper.backend, join_cells(shared.address, NAME))
    done = collect(bench, shared, store, works=works)
    assert pictures(done, store) == expected
    assert made + bench.host.drawn == 6
    assert set(failures) == set(USED)
    assert shared_names(shared.address) == []


USED = ("claim", "finish", "is_open", "picture", "empty_picture", "remove")


def fail_in_turns(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Every other use of a shared grid finds the storage away, before or after what it does there."""
    failures: Counter[str] = Counter()

    def flaky(name: str) -> Callable[..., object]:
        method, calls = getattr(SharedGrid, name), itertools.count()

        def call(self: SharedGrid, *arguments: object) -> object:
            if next(calls) % 2 == 0:
                failures[name] += 1
                raise StoreError("the storage of the study cannot be used")
            return method(self, *arguments)

        return call

    for name in USED:
        monkeypatch.setattr(SharedGrid, name, flaky(name))
    return failures


# --- other processes ---


def workers_of(models: Path, folder: Path, shared: SharedGrid, count: int, *more: str) -> list:  # type: ignore[type-arg]
    """Worker processes that are ready."""
    words = [(folder / f"worker{index}", models, shared.address, NAME, *more) for index in range(count)]
    return start_workers(WORKER, words)


def check_two_workers(
    address: str, bench: Bench, models: Path, folder: Path, expected: dict[tuple[int, int, int], bytes]
) -> None:
    """Two processes make all cells, each once, and a third one has the pictures."""
    store = bench.store()
    shared = share(bench, address, store)
    workers = workers_of(models, folder, shared, 2)
    begin(workers)
    done = collect(bench, shared, store, works=False)
    counts = [printed.count("drawing") for printed in outputs(workers)]
    assert pictures(done, store) == expected
    assert sum(counts) == 6
    assert all(counts)
    assert bench.host.drawn == 0


@pytest.mark.slow
@pytest.mark.newest_only
@pytest.mark.parametrize("file", ["cells.db", "cells.journal"])
def test_two_workers_make_every_cell_once(
    file: str, bench: Bench, models: Path, tmp_path: Path, expected: dict[tuple[int, int, int], bytes]
) -> None:
    check_two_workers(str(tmp_path / file), bench, models, tmp_path, expected)


@pytest.mark.slow
@pytest.mark.newest_only
@pytest.mark.skipif(not programs(), reason="PostgreSQL is not installed: apt-get install postgresql")
def test_two_workers_make_every_cell_once_in_postgresql(
    bench: Bench, models: Path, tmp_path: Path, expected: dict[tuple[int, int, int], bytes]
) -> None:
    pytest.importorskip("psycopg", reason="psycopg, the driver of PostgreSQL, is not installed")
    with postgres() as server:
        check_two_workers(server.url, bench, models, tmp_path, expected)


@pytest.mark.slow
@pytest.mark.newest_only
@pytest.mark.skipif(not programs(), reason="PostgreSQL is not installed: apt-get install postgresql")
def test_a_killed_database_loses_no_cell_and_the_grid_goes_on(
    bench: Bench, models: Path, tmp_path: Path, expected: dict[tuple[int, int, int], bytes]
) -> None:
    pytest.importorskip("psycopg", reason="psycopg, the driver of PostgreSQL, is not installed")
    with postgres() as server:
        store = bench.store()
        shared = share(bench, server.url, store)
        workers = workers_of(models, tmp_path, shared, 1)
        begin(workers)
        assert workers[0].stdout is not None
        assert workers[0].stdout.readline() == "drawing\n"
        server.kill()
        comes_back = threading.Timer(3, server.start)
        comes_back.start()
        done = collect(bench, shared, store)
        comes_back.join()
        (printed,) = outputs(workers)
    assert pictures(done, store) == expected
    assert bench.host.drawn + 1 + printed.count("drawing") == 6


@pytest.mark.slow
@pytest.mark.newest_only
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_worker_that_is_killed_in_a_cell_loses_it_to_another(
    bench: Bench, models: Path, tmp_path: Path, expected: dict[tuple[int, int, int], bytes]
) -> None:
    store = bench.store()
    shared = share(bench, str(tmp_path / "cells.db"), store)
    (worker,) = workers_of(models, tmp_path, shared, 1, "for ever")
    begin([worker])
    assert worker.stdout is not None
    assert worker.stdout.readline() == "drawing\n"
    worker.kill()
    worker.wait()
    done = collect(bench, shared, store)
    assert pictures(done, store) == expected
    assert bench.host.drawn == 6
