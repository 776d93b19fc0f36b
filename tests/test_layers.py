"""A layer that cannot leak: what a plain import may load, asked of a fresh process.

The import contracts themselves are in pyproject.toml; `python3 start.py test` checks them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Slow to load, or another's business: each is imported where it is used, when it is used.
HEAVY = ("diffusers", "gradio", "matplotlib", "modules", "numpy", "pandas", "scipy", "torch", "transformers")
PROBE = f"import json, sys; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"


def loaded(program: str) -> list[str]:
    """Which of the heavy packages a fresh process has loaded after running `program`."""
    command = [sys.executable, "-c", f"{program}\n{PROBE}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_room_is_a_package_that_the_import_contracts_see() -> None:
    rooms = {file.parent for file in (ROOT / "lib_merge").rglob("*.py")}
    assert [str(room) for room in rooms if not (room / "__init__.py").exists()] == []


@pytest.mark.parametrize("module", ["lib_merge", "lib_merge.cli", "lib_merge.plan", "lib_merge.checkpoint"])
def test_importing_the_library_loads_nothing_heavy(module: str) -> None:
    assert loaded(f"import {module}") == []


def test_asking_the_command_line_for_help_loads_nothing_heavy() -> None:
    program = """
import contextlib
from lib_merge.cli import main
with contextlib.suppress(SystemExit):
    main(["--help"])
"""
    assert loaded(program) == []


@pytest.mark.parametrize("name", HEAVY)
def test_the_probe_would_notice(name: str) -> None:
    assert loaded(f"import sys, types; sys.modules[{name!r}] = types.ModuleType({name!r})") == [name]
