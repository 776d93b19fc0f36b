"""How many examples a law draws where that is not what the profile says."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

USUAL = 100  # of a profile that says nothing; tests/conftest.py has one with fewer
FEWEST = 2


def examples(count: int, **options: Any) -> settings:
    """So many examples in a usual run, and in the same proportion fewer in a quick one."""
    return settings(max_examples=max(FEWEST, count * settings.default.max_examples // USUAL), **options)
