"""A layer that cannot leak: what a plain import may load, asked of a fresh process.

The import contracts themselves are in pyproject.toml; `python3 start.py test` checks them.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import grimp
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


def test_every_folder_is_a_package_that_the_import_contracts_see() -> None:
    folders = {file.parent for file in (ROOT / "lib_merge").rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


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


# --- modules ---

MOST_LINES = 450


def graph() -> grimp.ImportGraph:
    """Every import between the modules of lib_merge: those within functions and for types alone, too."""
    sys.path.insert(0, str(ROOT))
    try:
        return grimp.build_graph("lib_merge", exclude_type_checking_imports=False, cache_dir=None)
    finally:
        sys.path.remove(str(ROOT))


def circles(links: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules of which each leads to all others (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = low[module] = len(order)
        path.append(module)
        for other in sorted(links[module]):
            if other not in order:
                visit(other)
            if other in path:
                low[module] = min(low[module], low[other])
        if low[module] == order[module]:
            group = path[path.index(module) :]
            del path[path.index(module) :]
            if len(group) > 1:
                found.append(sorted(group))

    for module in links:
        if module not in order:
            visit(module)
    return found


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Counted is every import statement as it stands; not what Python runs besides, a package's __init__.

    A module that imports its sibling by name also runs the package above both, which imports that sibling:
    grimp does not count this, and no module could leave it out.
    """
    found = graph()
    links = {module: found.find_modules_directly_imported_by(module) for module in found.modules}
    assert len(links) > 200
    assert circles(links) == []


def test_a_circle_would_be_found() -> None:
    links = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": set[str]()}
    assert circles(links) == [["a", "b", "c"]]


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    lengths = {
        file.relative_to(ROOT).as_posix(): len(file.read_text(encoding="utf-8").splitlines())
        for file in (ROOT / "lib_merge").rglob("*.py")
    }
    assert len(lengths) > 200
    assert {file: length for file, length in lengths.items() if length > MOST_LINES} == {}


def offered() -> dict[str, set[str]]:
    """Package -> what its __init__ offers in __all__."""
    found: dict[str, set[str]] = {}
    for file in (ROOT / "lib_merge").glob("*/__init__.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                found[f"lib_merge.{file.parent.name}"] = set(ast.literal_eval(node.value))
    return found


def test_what_a_package_offers_is_imported_from_the_package() -> None:
    """A name in a package's __all__ has one address for all other packages; other names have their module."""
    packages = offered()
    assert {"lib_merge.checkpoint", "lib_merge.plan", "lib_merge.recipe"} <= packages.keys()
    past: list[str] = []
    for file in (ROOT / "lib_merge").rglob("*.py"):
        own = f"lib_merge.{file.relative_to(ROOT / 'lib_merge').parts[0]}"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                package = ".".join(node.module.split(".")[:2])
                names = {each.name for each in node.names} & packages.get(package, set())
                if names and package not in (own, node.module):
                    past.append(f"{file.relative_to(ROOT)}: {', '.join(sorted(names))} of {package}")
    assert past == []
