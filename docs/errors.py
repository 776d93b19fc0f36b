"""The error messages of lib_merge as a page, read off the calls that make the errors."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from docs.code_texts import CLOSE, OPEN, Assigned, assigned_to, calls, name_of, texts_of

Table = Callable[[Sequence[str], Iterable[Sequence[str]]], str]

GAP = "…"  # in the place of what differs: a name, a number, a path
GAPS = re.compile(f"({GAP}|{OPEN}\\w+{CLOSE})+")
PHRASE_PARAMETERS = ("what", "why")  # of a function that makes an error: a part of its text in words
MIN_LETTERS = 4  # of a message without its gaps; below it nothing can be looked up


@dataclass(frozen=True)
class Maker:
    """A class of errors, or a function that makes one.

    kind            the class
    position, name  of the parameter that takes the text
    before, after   what a function puts around it, where it is no sentence of its own: "{tool}: "
    hint_position   of the parameter `hint` of a function; -1 where it takes none, or by name alone
    usual_hint      what that parameter is where a call says nothing, "" for nothing
    """

    kind: str
    position: int
    name: str
    before: str = ""
    after: str = ""
    hint_position: int = -1
    usual_hint: str = ""

    def argument(self, call: ast.Call) -> ast.expr | None:
        """The expression for the text in a call, None where it has none."""
        named = [keyword.value for keyword in call.keywords if keyword.arg == self.name]
        return next(iter([*call.args[self.position : self.position + 1], *named]), None)

    def texts(self, call: ast.Call, assigned: Assigned) -> list[str]:
        """What the error of a call may say."""
        what = self.argument(call)
        return [self.before + text + self.after for text in texts_of(what, assigned)] if what else []

    def hints(self, call: ast.Call, assigned: Assigned) -> list[str]:
        """What the error of a call may say to try."""
        named = [keyword.value for keyword in call.keywords if keyword.arg == "hint"]
        at = self.hint_position
        by_position = call.args[at : at + 1] if at >= 0 else []
        expression = next(iter([*named, *by_position]), None)
        if expression is None:
            return [self.usual_hint] if self.usual_hint else []
        return texts_of(expression, assigned)


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
        hint = "; or: ".join(_readable(maker.hints(call, assigned)))
        for text in _readable(maker.texts(call, assigned)):
            yield Message(maker.kind, text, hint)


def called(node: ast.Call) -> str:
    """The name of what is called, without the object that it is a method of."""
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def error_makers(trees: Sequence[ast.Module]) -> dict[str, Maker]:
    """The classes of errors, and the functions that make an error of a text that they are given."""
    makers = {name: Maker(name, 0, "what") for name in _error_classes(trees)}
    for tree in trees:
        of_module = assigned_to(tree.body)
        functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
        for function in functions:
            if maker := _maker_of(function, makers, of_module):
                makers.setdefault(function.name, maker)
    return makers


def _maker_of(function: ast.FunctionDef, makers: Mapping[str, Maker], of_module: Assigned) -> Maker | None:
    """The maker that a function is, None where it makes no error of a text that it is given."""
    arguments = [argument for argument in function.args.args if argument.arg not in ("self", "cls")]
    names = [argument.arg for argument in arguments]
    for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
        if not (maker := makers.get(called(call))):
            continue
        what = maker.argument(call)
        name, before, after = _around(what, names) if what else ("", "", "")
        if name:
            at = names.index("hint") if "hint" in names else -1
            hint = _default(function, "hint", of_module)
            return Maker(maker.kind, names.index(name), name, before, after, at, hint)
    return None


def _around(what: ast.expr, names: Sequence[str]) -> tuple[str, str, str]:
    """The parameter that is a whole text but for some signs, "" for none, and what is before and after it."""
    parts = what.values if isinstance(what, ast.JoinedStr) else [what]
    for n, part in enumerate(parts):
        value = part.value if isinstance(part, ast.FormattedValue) else part
        if not isinstance(value, ast.Name) or value.id not in names:
            continue
        before, after = (texts_of(ast.JoinedStr(rest), {})[0] for rest in (parts[:n], parts[n + 1 :]))
        if not re.search("[A-Za-z]", GAPS.sub("", before + after)):
            return value.id, before, after
    return "", "", ""


def phrase_makers(trees: Sequence[ast.Module], makers: Mapping[str, Maker]) -> dict[str, Maker]:
    """The functions that put a phrase that they are given, PHRASE_PARAMETERS, into the text of an error.

    The phrase that is used where a call has none is the `usual_hint` of each.
    """
    phrases: dict[str, Maker] = {}
    for tree in trees:
        of_module = assigned_to(tree.body)
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            names = [argument.arg for argument in function.args.args if argument.arg not in ("self", "cls")]
            for name in (name for name in PHRASE_PARAMETERS if name in names):
                if function.name not in makers and any(
                    _holds(call, name, makers) for call in ast.walk(function)
                ):
                    usual = _default(function, name, of_module)
                    phrases[function.name] = Maker("", names.index(name), name, usual_hint=usual)
    return phrases


def _holds(call: ast.AST, name: str, makers: Mapping[str, Maker]) -> bool:
    """Whether it is a call that makes an error, with a phrase of that name in its text."""
    if not isinstance(call, ast.Call) or not (maker := makers.get(called(call))):
        return False
    what = maker.argument(call)
    parts = ast.walk(what) if what else ()
    return any(isinstance(part, ast.FormattedValue) and name_of(part) == name for part in parts)


def _default(function: ast.FunctionDef, name: str, of_module: Assigned) -> str:
    """The text that is the default of a parameter of a function, "" for none."""
    positional = function.args.args
    defaults = [None] * (len(positional) - len(function.args.defaults)) + [*function.args.defaults]
    both = [
        *zip(positional, defaults, strict=True),
        *zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True),
    ]
    expressions = [default for argument, default in both if argument.arg == name and default is not None]
    return texts_of(expressions[0], of_module)[0] if expressions else ""


def _readable(texts: Iterable[str]) -> list[str]:
    """Texts with gaps, each once, without those of hardly a word."""
    distinct = dict.fromkeys(GAPS.sub(GAP, text) for text in texts)
    return [text for text in distinct if len(re.sub(r"[^A-Za-z]", "", text)) >= MIN_LETTERS]
