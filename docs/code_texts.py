"""The texts that code may say, read off its syntax: a part that differs becomes a placeholder, {name}."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence

Assigned = Mapping[str, Sequence[ast.expr]]

# around the name of a placeholder while texts are put together: braces of a text's own are no placeholders
OPEN, CLOSE = "\ue000", "\ue001"
# what stands for a phrase of its own, which is translated by itself: each in place of all its texts
PHRASES = ("also", "how", "images", "merges", "more", "shown", "time", "verdict", "left_out")
WRAPPERS = (
    "len",
    "str",
    "sorted",
    "join",
    "min",
    "max",
    "abs",
    "round",
    "repr",
    "tuple",
    "list",
    "format_number",
)


def texts_of(node: ast.expr, assigned: Assigned, *, inline: bool = False) -> list[str]:
    """The texts that an expression may be, where a variable may be whatever is assigned to it.

    inline  read variables in the middle of a text too: their texts, in place of a placeholder
    """

    def read(node: ast.expr, assigned: Assigned = assigned) -> list[str]:
        return texts_of(node, assigned, inline=inline)

    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.Name(id=name) if name in assigned:
            others = {other: values for other, values in assigned.items() if other != name}
            return [_named(text, name) for value in assigned[name] for text in read(value, others)]
        case ast.JoinedStr(values=parts):
            texts = [""]
            for part in parts:
                texts = [before + after for before in texts for after in read(part)]
            return texts
        case ast.FormattedValue(value=ast.IfExp() as choice):
            return read(choice)
        case ast.FormattedValue(value=ast.Name(id=name) as variable) if inline and name not in PHRASES:
            return read(variable)
        case ast.IfExp(body=one, orelse=other):
            return [*read(one), *read(other)]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return [one + other for one in read(left) for other in read(right)]
        case ast.BoolOp(values=values):
            return [text for value in values for text in read(value)]
        case _:
            return [_gap(node)]


def calls(tree: ast.Module) -> Iterator[tuple[ast.Call, Assigned]]:
    """Every call of a module, with what the variables of its function and of the module may be."""
    for node, assigned in nodes(tree):
        if isinstance(node, ast.Call):
            yield node, assigned


def nodes(tree: ast.Module) -> Iterator[tuple[ast.AST, Assigned]]:
    """Every node below a module, with what the variables of its function and of the module may be."""
    return _nodes_below(tree, assigned_to(tree.body))


def _nodes_below(node: ast.AST, assigned: Assigned) -> Iterator[tuple[ast.AST, Assigned]]:
    for child in ast.iter_child_nodes(node):
        yield child, assigned
        is_function = isinstance(child, ast.FunctionDef)
        of_child = {**assigned, **assigned_to(ast.walk(child))} if is_function else assigned
        yield from _nodes_below(child, of_child)


def assigned_to(nodes: Iterable[ast.AST]) -> Assigned:
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


def _named(text: str, name: str) -> str:
    """A text that is nothing but a placeholder has the name of the variable."""
    is_gap = text.startswith(OPEN) and text.endswith(CLOSE) and text.count(OPEN) == 1
    return f"{OPEN}{name}{CLOSE}" if is_gap else text


def _gap(node: ast.expr) -> str:
    return f"{OPEN}{name_of(node) or 'value'}{CLOSE}"


def name_of(node: ast.expr) -> str:
    """A name for what an expression gives: the variable, the attribute, or what a function is given."""
    match node:
        case ast.Name(id=name):
            return name.strip("_").lower()
        case ast.Attribute(attr=name):
            return name.strip("_").lower()
        case ast.FormattedValue(value=value) | ast.Subscript(value=value) | ast.Starred(value=value):
            return name_of(value)
        case ast.Call(func=ast.Attribute(value=ast.expr() as value, attr=name), args=[]):
            return name_of(value) or name
        case ast.Call(func=function, args=[first, *_]) if name_of(function) in WRAPPERS:
            return name_of(first)
        case ast.Call(func=function):
            return name_of(function)
        case ast.BinOp(left=left, right=right):
            return name_of(left) or name_of(right)
        case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element):
            return name_of(element)
        case _:
            return ""
