"""A copy of this repository in which a change recipe of docs/architecture.md is carried out.

Only the files that the recipe names can be changed, and all of them have to be.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
COPIED = (
    "lib_merge",
    "docs",
    "javascript",
    "scripts",
    "tests",
    "types",
    "README.md",
    "mkdocs.yml",
    "pyproject.toml",
    "style.css",
)
NAME = "NAME"  # in the path of a file that a recipe makes: what the thing is called
RECIPE = re.compile(r"^### ([^\n]+)\n((?:(?!^### ).)*?)^Test: `(\S+)::(\w+)`", re.MULTILINE | re.DOTALL)
STEP = re.compile(r"^\d\. `([^`]+)`", re.MULTILINE)
Step = tuple[str, ...]  # what Python is given: -m MODULE or -c PROGRAM, and arguments
PYTEST: Step = ("-m", "pytest")
WRITE_DOCUMENTATION: Step = ("-m", "docs.write")
WRITTEN = re.compile(r"`python3 start\.py docs` then writes (.*)")


@dataclass(frozen=True)
class Recipe:
    """One change recipe: its title, the files that it touches, the test that carries it out.

    written  what `python3 start.py docs` may write beside these
    """

    title: str
    files: tuple[str, ...]
    written: tuple[str, ...]
    test_file: str
    test: str


def recipes() -> dict[str, Recipe]:
    """Every change recipe of the page by its title."""
    text = PAGE.read_text(encoding="utf-8")
    found = (
        Recipe(match[1], tuple(STEP.findall(match[2])), _written(match[2]), match[3], match[4])
        for match in RECIPE.finditer(text)
    )
    return {recipe.title: recipe for recipe in found}


def _written(text: str) -> tuple[str, ...]:
    return tuple(file for line in WRITTEN.findall(text) for file in re.findall(r"`([^`]+)`", line))


class RepositoryCopy:
    """The copy. It serves one recipe after the other; each begins with the files of the repository."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.recipe = Recipe("", (), (), "", "")
        self.changed: set[str] = set()
        self._runner: subprocess.Popen[str] | None = None
        self._errors = root / "errors.log"
        skipped = shutil.ignore_patterns("__pycache__", ".cache", "node_modules", "pictures")
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, root / name, ignore=skipped)
            else:
                shutil.copy2(ROOT / name, root / name)

    def begin(self, recipe: Recipe) -> None:
        """From now on this recipe is carried out."""
        self.recipe = recipe

    def restore(self) -> None:
        """Every changed file as the repository has it."""
        for path in self.changed:
            if (ROOT / path).exists():
                shutil.copy2(
                    ROOT / path, self.root / path
                )  # with its time, by which Python knows its bytecode
            else:
                (self.root / path).unlink()
        self.changed.clear()

    def text(self, path: str) -> str:
        """What a file holds now."""
        return (self.root / path).read_text(encoding="utf-8")

    def write(self, path: str, text: str) -> None:
        """A new file."""
        assert not (self.root / path).exists(), path
        self._change(path, text)

    def append(self, path: str, text: str) -> None:
        """More at the end of a file."""
        self._change(path, self.text(path) + text)

    def insert(self, path: str, before: str, line: str) -> None:
        """A line before the first one that begins as `before` does."""
        lines = self.text(path).splitlines(keepends=True)
        place = next(number for number, other in enumerate(lines) if other.startswith(before))
        lines.insert(place, line + "\n")
        self._change(path, "".join(lines))

    def replace(self, path: str, old: str, new: str) -> None:
        """Another text in the place of the only one that is `old`."""
        text = self.text(path)
        assert text.count(old) == 1, old
        self._change(path, text.replace(old, new))

    def run(self, *steps: Step) -> list[str]:
        """What each step prints, run one after the other in one fresh process; all of them succeed."""
        runner = self._started()
        assert runner.stdin
        assert runner.stdout
        runner.stdin.write(json.dumps(steps) + "\n")
        runner.stdin.flush()
        answer = json.loads(runner.stdout.readline() or '{"failed": "the process that runs steps has ended"}')
        assert "failed" not in answer, f"{answer['failed']}\n{self._errors.read_text(encoding='utf-8')}"
        outputs: list[str] = answer["outputs"]
        for step, output in zip(steps, outputs, strict=True):
            self._check(step, output)
        return outputs

    def close(self) -> None:
        """Ends the process that runs steps."""
        if self._runner and self._runner.stdin:
            self._runner.stdin.close()
            self._runner.wait()

    def _started(self) -> subprocess.Popen[str]:
        """The process that runs steps (tests/support/run_steps.py)."""
        if self._runner and self._runner.poll() is None:
            return self._runner
        with self._errors.open("w", encoding="utf-8") as errors:
            self._runner = subprocess.Popen(
                [sys.executable, "-m", "tests.support.run_steps"],
                cwd=self.root,
                env={**os.environ, "PYTHONPATH": str(self.root)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
            )
        return self._runner

    def untouched(self) -> set[str]:
        """The recipe's files that were not changed."""
        return {file for file in self.recipe.files if not any(map(_pattern(file).fullmatch, self.changed))}

    def _check(self, step: Step, output: str) -> None:
        if step == WRITE_DOCUMENTATION:
            for line in output.splitlines():
                self._mark(line.removesuffix(": written"))
        if step[:2] == PYTEST:
            assert " passed" in output, output

    def _change(self, path: str, text: str) -> None:
        self._mark(path)
        (self.root / path).write_text(text, encoding="utf-8")

    def _mark(self, path: str) -> None:
        named = (*self.recipe.files, *self.recipe.written)
        assert _any(named, path), f"the recipe '{self.recipe.title}' does not name {path}"
        self.changed.add(path)


def run_tests(*arguments: str) -> Step:
    """The step that runs tests of the copy."""
    return (
        *PYTEST,
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--hypothesis-profile=quick",
        *arguments,
    )


def command(*arguments: str) -> Step:
    """The step that runs a command of merge-desk."""
    return ("-m", "lib_merge", *arguments)


def program(text: str, *arguments: str) -> Step:
    """The step that runs a program."""
    return ("-c", text, *arguments)


def _any(files: Iterable[str], path: str) -> bool:
    return any(_pattern(file).fullmatch(path) for file in files)


def _pattern(file: str) -> re.Pattern[str]:
    """A path of a recipe, in which NAME stands for any word."""
    return re.compile(re.escape(file).replace(NAME, r"\w+"))
