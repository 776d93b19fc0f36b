"""The share of a search for an arrangement that is done, of all its sweeps."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib_merge.rebasin.forecast import Forecast

ENOUGH = 1e-5


@dataclass
class Heard:
    """What was reported."""

    total: int = 0
    names: list[str] = field(default_factory=list)
    done: list[int] = field(default_factory=lambda: [0])

    def start(self, total: int, what: str) -> None:
        self.total = total
        self.names.append(what)

    def advance(self, amount: int) -> None:
        self.done.append(self.done[-1] + amount)

    def stopped(self) -> bool:
        return False


def sweep(forecast: Forecast, groups: list[tuple[int, bool]], gain: float | None = None) -> None:
    forecast.begin_sweep(sum(nbytes for nbytes, _ in groups))
    for nbytes, moved in groups:
        forecast.solve(nbytes, moved=moved)
    if gain is not None:
        forecast.end_sweep(gain)


GROUPS = st.lists(st.tuples(st.integers(0, 10**9), st.booleans()), min_size=1, max_size=20)
GAINS = st.floats(0, 1) | st.none()


@given(sweeps=st.lists(st.tuples(GROUPS, GAINS), min_size=1, max_size=8))
def test_the_share_never_falls_nor_goes_beyond_the_whole(
    sweeps: list[tuple[list[tuple[int, bool]], float | None]],
) -> None:
    heard = Heard()
    forecast = Forecast(heard, len(sweeps), ENOUGH)
    for groups, gain in sweeps:
        sweep(forecast, groups, gain)
    assert heard.names == ["aligning"]
    assert heard.done == sorted(heard.done)
    assert heard.done[-1] <= heard.total


@given(groups=GROUPS)
def test_a_search_in_which_nothing_moves_ends_with_its_first_sweep(groups: list[tuple[int, bool]]) -> None:
    heard = Heard()
    sizes = [(max(1, nbytes), False) for nbytes, _ in groups]
    sweep(Forecast(heard, 100, ENOUGH), sizes)
    assert heard.done[-1] == heard.total


def test_so_does_one_that_is_allowed_no_more_sweeps() -> None:
    heard = Heard()
    sweep(Forecast(heard, 1, ENOUGH), [(500, True), (500, True)])
    assert heard.done[-1] == heard.total == 1000


def test_of_models_that_have_little_in_common_most_work_is_after_the_first_sweep() -> None:
    """Sweeps and gains of the samples' *other* aligned to *base*: 25 million of 62 are the first sweep's."""
    heard = Heard()
    forecast = Forecast(heard, 100, ENOUGH)
    shares: list[float] = []
    sizes = (25_171, 8_225, 7_208, 3_347, 7_665, 1_016, 7_846, 1_016)
    gains = (0.057232, 0.001927, 0.000219, 0.000069, 0.000049, 0.000018, 0.00002, 0.000007)
    for size, gain in zip(sizes, gains, strict=True):
        sweep(forecast, [(size // 10, nth % 5 < 3) for nth in range(10)], gain)
        shares.append(heard.done[-1] / heard.total)
    really = [sum(sizes[: nth + 1]) / sum(sizes) for nth in range(8)]
    assert shares[-1] == pytest.approx(1, abs=0.01)
    assert max(abs(share - real) for share, real in zip(shares, really, strict=True)) < 0.2
