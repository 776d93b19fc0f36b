"""Translates the shorthand that people write into the canonical lines of a recipe.

    pyro_pov_a + pyro_pov_b = pyAB                                  half and half
    analogDiffusion x 0.85 + pyAB x 0.15 = MERGE1
    MERGE1Fix + (F222_v1 - v1-5-pruned-emaonly) x 1 = MERGE2        add difference
    MERGE_BASE (1-alpha) + NED x alpha = V1, alpha = 1,1,...,0      26 numbers
    75% Nothing v2.3 : 25% rebasin(MeinaMix 9, to = Nothing v2.3) = D1
    A + B x GRAD_V = M                                              a preset, or rules in quotes
    slerp(D1, ICBINP, alpha = 0.4) = D2                             any method by name
    0.7(A) + 0.3(B)                                                 as AUTOMATIC1111 names its files

`x`, `*`, `×` and `·` multiply, also where nothing stands between a number and a bracket. A minus needs
spaces, since names have hyphens; a name that holds signs goes into quotes. The name of the result stands
on either side of the `=`. Weights need not all be written: without any, every model has the same share;
one that is missing is what the others leave of 1. `alpha` and `beta` (or alpha_0, ...) are set behind
the sum, on the next line, or as a list in brackets behind it, as SuperMerger and Model Mixer write them.
A name that nothing was called before is a file, whose ending may be left out.

Canonical lines (recipe/text/canonical.py) stand among these as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lib_merge.architectures import DEFAULT_LAYOUT
from lib_merge.errors import RecipeError
from lib_merge.limits import MAX_ENTRY, MAX_RECIPE, check_nesting, check_text
from lib_merge.recipe.model import Recipe
from lib_merge.recipe.text.canonical import FIRST_LINE, is_recipe, print_setting
from lib_merge.recipe.text.parser import parse_lines
from lib_merge.recipe.text.sum_steps import SumWriter
from lib_merge.recipe.text.sums import name_in, read_sum
from lib_merge.recipe.weights.read import read_weights

OPENING, CLOSING = "([{", ")]}"
NO_SUM = r'(?!"(?:[^"\\]|\\.)*"\s*[^\s,])'  # a name in quotes with more than hashes behind it begins a sum
STRICT = re.compile(rf'\s*(?:[A-Za-z_][A-Za-z0-9_-]*\s*=\s*{NO_SUM}"|save\b(?!\s*=)|merge-desk\b)')
CALL = re.compile(r"\s*(?:[A-Za-z_][A-Za-z0-9_-]*\s*=\s*)?([A-Za-z_]\w*)\(")
SETS = re.compile(
    r"(?:(?:^|[\n,;])[^\S\n]*(?P<behind>alpha(?:_\d+)?|beta(?:_\d+)?|gamma|MBW)\s*[=:]"
    r"|\s(?P<beside>alpha(?:_\d+)?|beta(?:_\d+)?|gamma|MBW)\s*[=:](?=\s*[\d.\0]))",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Statement:
    """A statement of a recipe: one line, or several while a bracket is open; `line` counts from 1."""

    text: str
    line: int

    def where(self, at: int) -> str:
        """Line and column of the offset `at`, and the line itself."""
        before = self.text[:at]
        line, column = self.line + before.count("\n"), at - (before.rfind("\n") + 1) + 1
        shown = self.text.split("\n")[line - self.line].strip()
        return f"line {line}, column {column}: {shown}"


@dataclass(frozen=True)
class Expanded:
    """A recipe in canonical lines; `origin` has for each the number of the line that it comes from."""

    text: str
    origin: tuple[int, ...]


def parse_recipe(text: str) -> Recipe:
    """Read a recipe of canonical lines, of what mixers write, or of both.

    RecipeError names line and column and shows the line.
    """
    expanded = expand_shorthand(text)
    return parse_lines(expanded.text, expanded.origin, text)


def expand_shorthand(text: str) -> Expanded:
    """Translates shorthand into canonical lines; canonical text is returned unchanged."""
    check_text(text, MAX_RECIPE, "this recipe")
    statements = list(_statements(text))
    if is_recipe(text) and all(_is_strict(statement.text) for statement in statements):
        return Expanded(text, tuple(range(1, text.count("\n") + 2)))
    if not is_recipe(text) and not any(
        "=" in statement.text or "+" in statement.text for statement in statements
    ):
        first = statements[0].where(0) if statements else "line 1"
        hint = f"a sum such as   A x 0.7 + B x 0.3 = M   or a first line: {FIRST_LINE}"
        raise RecipeError("this is not a recipe", where=first, hint=hint)
    writer = SumWriter(_taken(statements))
    lines, origin = ([] if is_recipe(text) else [FIRST_LINE]), ([] if is_recipe(text) else [1])
    for statement in _joined(statements):
        canonical_lines = _lines(statement, writer, implicit=not is_recipe(text))
        lines += canonical_lines
        for line in canonical_lines:
            origin += range(statement.line, statement.line + line.count("\n") + 1)
    return Expanded("\n".join(lines) + "\n", (*origin, *origin[-1:]))


def _statements(text: str) -> Iterator[Statement]:
    """Lines, joined while a bracket is open; comments and empty lines are left out."""
    begun, first, depth = "", 1, 0
    for number, line in enumerate(text.split("\n"), 1):
        bare = _without_comment(line)
        if not begun:
            first = number
        begun += ("\n" if begun else "") + bare
        depth += sum(c in OPENING for c in _unquoted(bare)) - sum(c in CLOSING for c in _unquoted(bare))
        if depth <= 0:
            if begun.strip():
                yield Statement(begun.rstrip(), first)
            begun, depth = "", 0
    if begun.strip():
        yield Statement(begun.rstrip(), first)


def _unquoted(line: str) -> str:
    return re.sub(r'"(?:[^"\\]|\\.)*"', lambda match: " " * len(match[0]), line)


def _without_comment(line: str) -> str:
    comment_start = _unquoted(line).find("#")
    return line if comment_start < 0 else line[:comment_start]


def _joined(statements: Sequence[Statement]) -> list[Statement]:
    """The statements, where a line that only sets alpha is joined to the line before it."""
    groups: list[list[Statement]] = []
    open_ended = False
    for statement in statements:
        if open_ended and SETS.match(statement.text):
            groups[-1].append(statement)
        else:
            groups.append([statement])
            open_ended = not _is_strict(statement.text)
    return [_as_one(group) for group in groups]


def _as_one(statements: Sequence[Statement]) -> Statement:
    """The statements as one, its lines as far apart as they are written."""
    text, line = "", statements[0].line
    for statement in statements:
        text += "\n" * max(1, statement.line - line) if text else ""
        text += statement.text
        line = statement.line + statement.text.count("\n")
    return Statement(text, statements[0].line)


def _is_strict(text: str) -> bool:
    """Whether it is a canonical line: a file, `save`, the first line, or a call and nothing else."""
    if STRICT.match(text):
        return True
    call = CALL.match(text)
    return bool(call) and "=" in text[: call.start(1)] and _closes(text, call.end() - 1) == len(text.rstrip())


def _closes(text: str, opening: int) -> int:
    """The index after the bracket that closes the one at `opening`; the text's length without one."""
    depth = 0
    for index, character in enumerate(_unquoted(text[opening:]), opening):
        depth += (character in OPENING) - (character in CLOSING)
        if depth == 0:
            return index + 1
    return len(text)


def _taken(statements: Sequence[Statement]) -> list[str]:
    """The names that canonical lines define, in any line."""
    matches = (re.match(r"\s*([A-Za-z_][A-Za-z0-9_-]*)\s*=", statement.text) for statement in statements)
    return [
        match[1]
        for match, statement in zip(matches, statements, strict=True)
        if match and STRICT.match(statement.text)
    ]


def _lines(statement: Statement, writer: SumWriter, *, implicit: bool) -> list[str]:
    """The canonical lines of one statement.

    implicit  whether a name that nothing was called before may be a file in a call, too
    """
    text = statement.text
    if _is_line(text, writer if implicit else None):
        defined = re.match(r"\s*([A-Za-z_][A-Za-z0-9_-]*)\s*=", text)
        if defined:
            writer.define(defined[1])
        return [text]
    check_text(text, MAX_ENTRY, "this line", where=f"line {statement.line}")
    check_nesting(text, "this line", where=f"line {statement.line}")
    bare, settings = _cut_settings(statement)
    result, sum_at, sum_text = _sides(statement, bare)
    parsed_sum = read_sum(sum_text, lambda at: statement.where(sum_at + at))
    amounts = {name: _amount(value, statement.where(at)) for name, (value, at) in settings.items()}
    return writer.write(parsed_sum, result, amounts, statement.where(sum_at))


def _is_line(text: str, writer: SumWriter | None = None) -> bool:
    """Whether it needs no translation: in a call, models are named in one word each.

    writer  knows the names that stand for something; without it every word does
    """
    if STRICT.match(text):
        return True
    call = CALL.match(text)
    if call is None or not _is_strict(text):
        return False
    plain = re.sub(r"\[[^\[\]]*\]|\{[^{}]*\}", "", _unquoted(text[call.end() - 1 :]).strip("() \n"))
    names = [part.strip() for part in plain.split(",") if "=" not in part and part.strip()]
    if not all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name) for name in names):
        return False
    return writer is None or all(name in writer.idents for name in names)


def _cut_settings(statement: Statement) -> tuple[str, dict[str, tuple[str, int]]]:
    """The statement without the settings after it (`alpha = ...`), and those: name -> text, offset."""
    text, depth = statement.text, 0
    plain = list(_unquoted(text))
    for index, character in enumerate(plain):
        depth += (character in OPENING) - (character in CLOSING)
        if depth > 0 or character in CLOSING:
            plain[index] = "\0"
    matches = list(SETS.finditer("".join(plain)))
    if not matches:
        return text, {}
    settings: dict[str, tuple[str, int]] = {}
    for match, end in zip(matches, [*(m.start() for m in matches[1:]), len(text)], strict=True):
        name = (match["behind"] or match["beside"]).lower()
        settings["alpha" if name == "mbw" else name] = text[match.end() : end].strip(" ,;\n"), match.end()
    return text[: matches[0].start()].rstrip(" ,;\n"), settings


def _amount(text: str, where: str) -> str:
    """The text of an amount in a canonical line."""
    bare = text.strip()
    if bare.startswith('"'):
        bare = name_in(bare, where)
    if bare[:1] in OPENING and bare[-1:] in CLOSING and bare[:1] != "{":
        bare = bare[1:-1]
    try:
        return print_setting(float(bare))
    except ValueError:
        return print_setting(read_weights(bare, layout=DEFAULT_LAYOUT.id, where=where))


def _sides(statement: Statement, bare: str) -> tuple[str, int, str]:
    """The result's name, and the sum's offset and text; the name is the side of = without arithmetic."""
    plain = list(_unquoted(bare))
    depth = 0
    for index, character in enumerate(plain):
        depth += (character in OPENING) - (character in CLOSING)
        if depth > 0:
            plain[index] = "\0"
    if depth > 0:
        opening = max(map(_unquoted(bare).rfind, OPENING))
        hint = "a closing bracket is missing"
        raise RecipeError("a bracket is not closed", where=statement.where(opening), hint=hint)
    equals = [index for index, character in enumerate(plain) if character == "="]
    if not equals:
        return "", 0, bare
    if len(equals) > 1:
        raise RecipeError(
            "there are two = in one line", where=statement.where(equals[1]), hint="one result a line"
        )
    left, right = bare[: equals[0]], bare[equals[0] + 1 :]
    if _is_name(right) and not (_is_name(left) and not left.strip().startswith('"')):
        return _named(right, statement), 0, left
    if _is_name(left):
        return _named(left, statement), equals[0] + 1, right
    hint = "A x 0.7 + B x 0.3 = M, or M = A x 0.7 + B x 0.3"
    raise RecipeError("neither side of = is a plain name", where=statement.where(equals[0]), hint=hint)


def _named(text: str, statement: Statement) -> str:
    bare = text.strip()
    return name_in(bare, statement.where(0)) if bare.startswith('"') else bare


def _is_name(text: str) -> bool:
    bare = text.strip()
    if not bare or (bare.startswith('"') and re.fullmatch(r'"(?:[^"\\]|\\.)*"', bare)):
        return bool(bare)
    return not re.search(r'[+*×·()=:%,"?|<>;]|\s[-xX]\s', bare) and not re.fullmatch(r"[\d.]+", bare)
