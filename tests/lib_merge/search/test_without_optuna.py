"""Where Optuna is not installed a search says so in one sentence, and nothing else changes."""

from __future__ import annotations

import sys

import pytest

from lib_merge.cli import main
from lib_merge.errors import ExtraError
from lib_merge.search.storage import need_optuna


@pytest.fixture(autouse=True)
def no_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it is not installed."""
    monkeypatch.setitem(sys.modules, "optuna", None)


def test_a_search_names_the_package_and_the_line_that_installs_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["search", "a.safetensors", "b.safetensors", "--space", "OUT: 0..1", "--score", "contrast"]) == 2
    )
    printed = capsys.readouterr().err
    assert "searching needs optuna, which is not installed" in printed
    assert "pip install optuna cmaes" in printed
    with pytest.raises(ExtraError):
        need_optuna()


def test_other_commands_do_not_notice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    assert "weighted_sum" in capsys.readouterr().out
