"""What every test runs under: how Hypothesis draws, no hub, no screen, and a place for large files."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# before anything imports them: nothing in a test may ask a hub, and plots need no screen
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"
# several test processes at once (pytest-xdist) share the cores
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))

# a shared machine with two cores is no place to time an example
settings.register_profile("dev", deadline=None)
settings.register_profile(
    "ci",
    settings.get_profile("dev"),
    max_examples=30,  # the same in each run, where others draw 100 new ones
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# for a suite that has already run in full with other packages: start.py
settings.register_profile("quick", settings.get_profile("ci"), max_examples=10)

LONG = ("browser", "full_size", "slow")  # marks
LONG_COST = 40  # of a test with such a mark, in tests without
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Several processes take the files in our order, not those with the most tests first."""
    if hasattr(config.option, "loadscopereorder"):  # of pytest-xdist 3.7 and later
        config.option.loadscopereorder = False


@pytest.hookimpl(trylast=True)  # after those that add marks and take items out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the files, those that take longest begin first: none is left for last."""
    if not workers:
        return
    cost: Counter[Path] = Counter()
    for item in items:
        long = any(mark.name in LONG for mark in item.iter_markers())
        cost[item.path] += LONG_COST if long else 1
    items.sort(key=lambda item: -cost[item.path])  # stable: a file stays in its order


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The first failure of a test that was run once more: pytest-rerunfailures shows the last one only."""
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"first try of {report.nodeid}", red=True)
        terminalreporter.line(report.longreprtext)


@pytest.fixture(scope="session")
def cache() -> Path:
    """tests/.cache, ignored by git: for files that take long to make and may stay between runs."""
    folder = Path(__file__).parent / ".cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def user_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder for caches: another one in every test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setenv("LOCALAPPDATA", str(folder))
    return folder
