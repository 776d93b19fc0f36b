"""One name, one meaning: no two public classes, functions or shared constants of lib_merge have one name.

A function under `@action` or `@route`, or in `lib_merge.cli`, has the name of its endpoint or command and is
reached through that, and `lib_merge.api` gives the library's functions to users: these are not counted. A
constant counts where another module imports one of that name; the constants that no module imports may have
any name.

`python -m tests.test_names` prints every name that is used twice, with its modules.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.newest_only

# Names that may be used twice, and why.
REASONS: Mapping[str, str] = {
    "log": "each module's own logger, as the standard library's documentation has it",
    "HEADS": "data of a family, in that family's module",
    "MIDDLE": "data of a family, in that family's module",
    "LAST": "data of a family, in that family's module",
}


ENDPOINTS = ("action", "route")
NAMESPACES = ("cli.", "api")
Definitions = dict[str, set[str]]  # name -> modules


def module_of(path: Path) -> str:
    """The dotted name of a module below lib_merge."""
    return ".".join(path.relative_to(ROOT / "lib_merge").with_suffix("").parts)


def trees() -> Iterator[tuple[str, ast.Module]]:
    """Every module of lib_merge, read."""
    for path in sorted((ROOT / "lib_merge").rglob("*.py")):
        yield module_of(path), ast.parse(path.read_text("utf-8"))


def statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, also those under `if` and `try`."""
    for statement in body:
        yield statement
        if isinstance(statement, (ast.If, ast.Try)):
            yield from statements([*statement.body, *statement.orelse])


def is_endpoint(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a decorator registers it under a name of the protocol."""
    calls = [decorator for decorator in function.decorator_list if isinstance(decorator, ast.Call)]
    return any(isinstance(call.func, ast.Name) and call.func.id in ENDPOINTS for call in calls)


def names_of(module: str, statement: ast.stmt) -> Iterator[tuple[str, str]]:
    """Kind and name of what a statement of a module defines for other modules."""
    if isinstance(statement, ast.ClassDef):
        yield "classes", statement.name
    elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        if not module.startswith(NAMESPACES) and not is_endpoint(statement):
            yield "functions", statement.name
    elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            yield from (("constants", node.id) for node in ast.walk(target) if isinstance(node, ast.Name))


@cache
def definitions() -> Mapping[str, Definitions]:
    """For classes, functions and constants: the modules that define each public name."""
    found = {kind: defaultdict[str, set[str]](set) for kind in ("classes", "functions", "constants")}
    for module, tree in trees():
        for statement in statements(tree.body):
            for kind, name in names_of(module, statement):
                if not name.startswith("_"):
                    found[kind][name].add(module)
    return found


@cache
def imported() -> frozenset[str]:
    """Every name that a module of lib_merge imports from another."""
    return frozenset(
        alias.name
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lib_merge")
        for alias in node.names
    )


def used_twice(kind: str) -> dict[str, list[str]]:
    """The names of a kind that several modules define, without those that have a reason."""
    return {
        name: sorted(modules)
        for name, modules in sorted(definitions()[kind].items())
        if len(modules) > 1 and name not in REASONS and (kind != "constants" or name in imported())
    }


@pytest.mark.parametrize("kind", ["classes", "functions", "constants"])
def test_no_public_name_has_two_meanings(kind: str) -> None:
    twice = used_twice(kind)
    lines = [f"{name}: {', '.join(modules)}" for name, modules in twice.items()]
    assert not twice, "\n".join(lines)


def test_every_name_with_a_reason_is_used_twice() -> None:
    several = {
        name for found in definitions().values() for name, modules in found.items() if len(modules) > 1
    }
    assert set(REASONS) <= several
    assert all(REASONS.values())


def test_a_name_that_is_used_twice_would_be_noticed() -> None:
    source = "@action('x.y')\ndef a(): ...\ndef b(): ...\nclass C: ...\nif 1:\n    D, E = 1, 2\nF: int = 3\n"
    found = [pair for line in statements(ast.parse(source).body) for pair in names_of("plan.x", line)]
    assert found == [
        ("functions", "b"),
        ("classes", "C"),
        *(("constants", name) for name in "DEF"),
    ]


# Names that say nothing of what they hold, for any variable or argument.
VAGUE = frozenset({"asked", "each", "found", "given", "known", "made", "told"})
FIELDS = {("lib_merge/desk/tabs/grid/api.py", "told")}  # a field of version 0.1's JSON


def vague_names(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of every identifier of VAGUE."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and token.string in VAGUE:
            yield token.start[0], token.string


def test_a_name_says_what_it_holds() -> None:
    places = [
        f"{file}:{line}: {name}"
        for path in sorted((ROOT / "lib_merge").rglob("*.py"))
        for line, name in vague_names(path.read_text("utf-8"))
        if ((file := path.relative_to(ROOT).as_posix()), name) not in FIELDS
    ]
    assert places == []


def test_a_vague_name_would_be_noticed_and_a_text_is_none() -> None:
    assert list(vague_names("a = [each for each in 'found']\n# known\n")) == [(1, "each"), (1, "each")]


if __name__ == "__main__":
    for kind in definitions():
        twice = used_twice(kind)
        print(f'--- "{kind}": {len(twice)},')
        print(*(f"{name}: {', '.join(modules)}" for name, modules in twice.items()), sep="\n")
