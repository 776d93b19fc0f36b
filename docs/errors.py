"""The error messages of lib_merge as a page, read off the calls that make the errors."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from docs.code_texts import CLOSE, OPEN, Assigned, calls, texts_of

Table = Callable[[Sequence[str], Iterable[Sequence[str]]], str]

GAP = "…"  # in the place of what differs: a name, a number, a path
GAPS = re.compile(f"({GAP}|{OPEN}\\w+{CLOSE})+")
MIN_LETTERS = 4  # of a message without its gaps; below it nothing can be looked up


@dataclass(frozen=True)
class Maker:
    """A class of errors, or a function that makes one.

    kind            the class
    position, name  of the parameter that takes the text
    """

    kind: str
    position: int
    name: str

    def argument(self, call: ast.Call) -> ast.expr | None:
        """The expression for the text in a call, None where it has none."""
        named = [keyword.value for keyword in call.keywords if keyword.arg == self.name]
        return next(iter([*call.args[self.position : self.position + 1], *named]), None)


@dataclass(frozen=True, order=True)
class Message:
    """A message as the code has it, with GAP for each part that differs.

    hint  what the error says to try, "" where the code has no text of its own there
    """

    kind: str
    what: str
    hint: str = ""


@cache
def messages(folder: Path) -> tuple[Message, ...]:
    """Every message of the errors that users meet, sorted by its first words."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.py"))]
    makers = error_makers(trees)
    distinct = {message for tree in trees for message in _messages(tree, makers)}
    return tuple(sorted(distinct, key=_sort_key))


def _sort_key(message: Message) -> tuple[str, ...]:
    """What the list is sorted by: the class, and the text from its first letter on."""
    return message.kind, message.what.strip("'\" " + GAP).lower(), message.what, message.hint


def error_list(folder: Path, table: Table) -> str:
    """A chapter for each class of errors."""
    every = messages(folder)
    descriptions = dict(_descriptions(folder))
    chapters = [
        f"### {kind}\n\n{descriptions[kind]}\n\n{_rows([m for m in every if m.kind == kind], table)}"
        for kind in descriptions
        if any(m.kind == kind for m in every)
    ]
    return "\n\n".join(chapters)


def _rows(every: Sequence[Message], table: Table) -> str:
    hints: dict[str, list[str]] = {}
    for message in every:
        hints.setdefault(message.what, []).append(message.hint)
    rows = ((_cell(what), _cell("; or: ".join(filter(None, texts)))) for what, texts in hints.items())
    return table(("message", "what to try"), rows)


def _cell(text: str) -> str:
    """Text of a table: nothing in it is read as Markdown or HTML."""
    text = re.sub(r"([\\|*_`<>\[\]#])", r"\\\1", " ".join(text.split()))
    return text.replace("\\<", "&lt;").replace("\\>", "&gt;")


def _error_classes(trees: Sequence[ast.Module]) -> Iterator[str]:
    """MergeError and every class over it."""
    bases = {
        node.name: _base_names(node)
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    kinds = {"MergeError"}
    while new := {name for name, of in bases.items() if of & kinds} - kinds:
        kinds |= new
    yield from kinds


def _base_names(node: ast.ClassDef) -> set[str]:
    return {base.id for base in node.bases if isinstance(base, ast.Name)}


def _descriptions(folder: Path) -> Iterator[tuple[str, str]]:
    """Each class of errors with the first sentence of its docstring, those of errors.py first."""
    files = [folder / "errors.py", *sorted(folder.rglob("*.py"))]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    kinds = set(_error_classes(trees))
    for node in (node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)):
        if node.name in kinds:
            yield node.name, " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())


def _messages(tree: ast.Module, makers: Mapping[str, Maker]) -> Iterator[Message]:
    for call, assigned in calls(tree):
        if not (maker := makers.get(called(call))):
            continue
        what = maker.argument(call)
        hints = [keyword.value for keyword in call.keywords if keyword.arg == "hint"]
        hint = "; or: ".join(_readable_texts(hints[0], assigned)) if hints else ""
        for text in _readable_texts(what, assigned) if what else ():
            yield Message(maker.kind, text, hint)


def called(node: ast.Call) -> str:
    """The name of what is called, without the object that it is a method of."""
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def error_makers(trees: Sequence[ast.Module]) -> dict[str, Maker]:
    """The classes of errors, and the functions that make an error of a text that they are given."""
    makers = {name: Maker(name, 0, "what") for name in _error_classes(trees)}
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        names = [argument.arg for argument in function.args.args if argument.arg not in ("self", "cls")]
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            if not (maker := makers.get(called(call))):
                continue
            what = maker.argument(call)
            if isinstance(what, ast.Name) and what.id in names:
                makers.setdefault(function.name, Maker(maker.kind, names.index(what.id), what.id))
    return makers


def _readable_texts(node: ast.expr, assigned: Assigned) -> list[str]:
    """The texts that an expression may be, each once, without those of hardly a word."""
    texts = dict.fromkeys(GAPS.sub(GAP, text) for text in texts_of(node, assigned))
    return [text for text in texts if len(re.sub(r"[^A-Za-z]", "", text)) >= MIN_LETTERS]
