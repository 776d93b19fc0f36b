"""The error messages of lib_merge as a page, read off the calls that make the errors."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Assigned = Mapping[str, Sequence[ast.expr]]
Table = Callable[[Sequence[str], Iterable[Sequence[str]]], str]

GAP = "…"  # in the place of what differs: a name, a number, a path
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
    makers = _makers(trees)
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
    for call, assigned in _calls(tree):
        if not (maker := makers.get(_called(call))):
            continue
        what = maker.argument(call)
        hints = [keyword.value for keyword in call.keywords if keyword.arg == "hint"]
        hint = "; or: ".join(_readable_texts(hints[0], assigned)) if hints else ""
        for text in _readable_texts(what, assigned) if what else ():
            yield Message(maker.kind, text, hint)


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, Assigned]]:
    """Every call of a module, with what the variables of its function and of the module may be."""
    return _calls_below(tree, _assigned(tree.body))


def _calls_below(node: ast.AST, assigned: Assigned) -> Iterator[tuple[ast.Call, Assigned]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child, assigned
        is_function = isinstance(child, ast.FunctionDef)
        of_child = {**assigned, **_assigned(ast.walk(child))} if is_function else assigned
        yield from _calls_below(child, of_child)


def _assigned(nodes: Iterable[ast.AST]) -> Assigned:
    """Variable -> every expression that is assigned to it."""
    values: dict[str, list[ast.expr]] = {}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                values.setdefault(name, []).append(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                values.setdefault(name, []).append(value)
            case _:
                pass
    return values


def _called(node: ast.Call) -> str:
    """The name of what is called, without the object that it is a method of."""
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def _makers(trees: Sequence[ast.Module]) -> dict[str, Maker]:
    """The classes of errors, and the functions that make an error of a text that they are given."""
    makers = {name: Maker(name, 0, "what") for name in _error_classes(trees)}
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        names = [argument.arg for argument in function.args.args if argument.arg not in ("self", "cls")]
        for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
            if not (maker := makers.get(_called(call))):
                continue
            what = maker.argument(call)
            if isinstance(what, ast.Name) and what.id in names:
                makers.setdefault(function.name, Maker(maker.kind, names.index(what.id), what.id))
    return makers


def _readable_texts(node: ast.expr, assigned: Assigned) -> list[str]:
    """The texts that an expression may be, each once, without those of hardly a word."""
    texts = dict.fromkeys(re.sub(f"{GAP}+", GAP, text) for text in _texts(node, assigned))
    return [text for text in texts if len(re.sub(r"[^A-Za-z]", "", text)) >= MIN_LETTERS]


def _texts(node: ast.expr, assigned: Assigned) -> list[str]:
    """The texts that an expression may be, where a variable may be whatever is assigned to it."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.Name(id=name) if name in assigned:
            others = {other: values for other, values in assigned.items() if other != name}
            return [text for value in assigned[name] for text in _texts(value, others)]
        case ast.JoinedStr(values=parts):
            texts = [""]
            for part in parts:
                texts = [before + after for before in texts for after in _texts(part, assigned)]
            return texts
        case ast.FormattedValue(value=ast.IfExp() as choice):
            return _texts(choice, assigned)
        case ast.IfExp(body=one, orelse=other):
            return [*_texts(one, assigned), *_texts(other, assigned)]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return [one + other for one in _texts(left, assigned) for other in _texts(right, assigned)]
        case ast.BoolOp(values=values):
            return [text for value in values for text in _texts(value, assigned)]
        case _:
            return [GAP]
