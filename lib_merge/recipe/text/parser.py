"""Reads the canonical lines of a recipe; see canonical.py for what they look like."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from lib_merge.errors import MergeError, RecipeError, did_you_mean
from lib_merge.methods import METHODS
from lib_merge.methods.former_names import with_current_names
from lib_merge.recipe.alignment import MODEL_ARGUMENTS, read_alignment
from lib_merge.recipe.model import (
    REBASIN,
    Amount,
    Ingredient,
    Recipe,
    Setting,
    Step,
    step_problems,
)
from lib_merge.recipe.options import recipe_fields
from lib_merge.recipe.text.canonical import FIRST_LINE, HASH_NAMES, READABLE, RULES_KEYWORD, SAVE_LINE_NAMES
from lib_merge.recipe.weights.lists import Numbers, Slots
from lib_merge.recipe.weights.parse import parse_rules
from lib_merge.recipe.weights.rules import Rules, list_or_rules

TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|\#[^\n]*)
      | (?P<newline>\n)
      | (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_-]*)
      | (?P<mark>[=(){}\[\],:*])""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """A token of a recipe's text with its line and column; the last token has the kind `end`."""

    kind: str
    text: str
    line: int
    column: int


def parse_lines(text: str, origin: Sequence[int], written: str) -> Recipe:
    """Read canonical lines; an error names line and column and shows the line.

    origin   for each line the number of the line that it was written in, in `written`
    """
    return _Parser(text, origin, written).recipe()


class _Parser:
    """Recursive descent over the tokens of one recipe."""

    def __init__(self, text: str, origin: Sequence[int], written: str) -> None:
        self.lines, self.origin = text.split("\n"), origin
        self.written = written.split("\n")
        self.tokens = self._tokens(text)
        self.at = 0
        self.ingredients: list[Ingredient] = []
        self.steps: list[Step] = []
        self.save: dict[str, str] = {}
        self.defined_names: dict[str, None] = {}  # names that are defined so far

    def recipe(self) -> Recipe:
        """Parses the whole recipe."""
        self._first_line()
        while self._peek().kind != "end":
            self._statement()
        parts = [*self.ingredients, *self.steps]
        if not parts:
            self._fail("the recipe is empty", 'write   A = "model.safetensors"')
        result = self.save.pop("result", parts[-1].name)
        return Recipe(
            tuple(self.ingredients),
            tuple(self.steps),
            result,
            **recipe_fields(self.save, where="the save line"),
        )

    def _first_line(self) -> None:
        self._skip_newlines()
        token = self._peek()
        line = self.lines[token.line - 1].split("#")[0].strip()
        if not line.startswith("merge-desk"):
            self._fail("this is not a recipe of Merge Desk", f"the first line of one is: {FIRST_LINE}")
        if line not in READABLE:
            self._fail(
                f"this recipe is of another version: {line}", f"this program reads: {' and '.join(READABLE)}"
            )
        while self._peek().kind not in ("newline", "end"):
            self.at += 1
        self._skip_newlines()

    def _statement(self) -> None:
        name = self._take("name", "a name")
        if name.text == "save" and self._peek().text != "=":
            self._save_line()
        else:
            self._take("=", "'='")
            self._definition(name)
        if self._peek().kind != "end":
            self._take("newline", "the end of the line")
        self._skip_newlines()

    def _definition(self, name: Token) -> None:
        if self._peek().kind == "string":
            file, hashes = self._string(), self._hashes()
            sha256, autov3 = (hashes.get(hash_name, "") for hash_name in HASH_NAMES)
            self.ingredients.append(Ingredient(name.text, file, sha256, autov3))
            self.defined_names[name.text] = None
            return
        method = self._take("name", "a file name in quotes or a merge method")
        self._take("(", f"'(' after {method.text}")
        if method.text == REBASIN:
            self.ingredients.append(self._aligned(name.text))
            self.defined_names[name.text] = None
            return
        inputs, settings = self._arguments()
        if method.text in METHODS:
            settings = with_current_names(METHODS.get(method.text), settings)
        step = Step(name.text, method.text, tuple(inputs), tuple(sorted(settings.items())))
        self._check(step, method)
        self.steps.append(step)
        self.defined_names[name.text] = None

    def _check(self, step: Step, token: Token) -> None:
        """Raises the first problem of a step, with the line that defines it."""
        try:
            for problem in step_problems(step, self.defined_names):
                raise problem
        except MergeError as problem:
            where = self._where(token) + (f" ({problem.where})" if problem.where else "")
            raise type(problem)(problem.what, where=where, hint=problem.hint) from None

    def _aligned(self, name: str) -> Ingredient:
        """The file of an earlier ingredient, aligned: what is in the brackets of `rebasin(B, to = A)`."""
        argument_names: list[str] = []
        settings: dict[str, Setting] = {}

        def argument() -> None:
            word = self._take("name", "the name of a model or an option").text
            argument_names.append(word)
            if len(argument_names) > 1:
                self._take("=", f"'=' after {word}")
                models = word in MODEL_ARGUMENTS
                settings[word] = self._take("name", "a model's name").text if models else self._setting()

        self._list(")", argument)
        aligned = read_alignment(argument_names[0] if argument_names else "", settings)
        files_by_name = {ingredient.name: ingredient for ingredient in self.ingredients}
        return replace(files_by_name.get(aligned.source, Ingredient("", "")), name=name, alignment=aligned)

    def _hashes(self) -> dict[str, str]:
        """The hashes after a file's name: sha256 and autov3, each in quotes."""
        hashes: dict[str, str] = {}
        while self._peek().text == ",":
            self.at += 1
            word = self._take("name", "sha256 or autov3")
            if word.text not in HASH_NAMES:
                self._fail(f"'{word.text}' is no hash", did_you_mean(word.text, HASH_NAMES), word)
            self._take("=", "'='")
            hashes[word.text] = self._string().lower()
        return hashes

    def _arguments(self) -> tuple[list[str], dict[str, Setting]]:
        inputs: list[str] = []
        settings: dict[str, Setting] = {}

        def argument() -> None:
            name = self._take("name", "the name of a model or of a parameter")
            if self._peek().text == "=":
                self.at += 1
                settings[name.text] = self._setting()
            elif settings:
                self._fail("models come before parameters", f"move {name.text} to the front", name)
            else:
                inputs.append(name.text)

        self._list(")", argument)
        return inputs, settings

    def _setting(self) -> Setting:
        token = self._peek()
        if token.text == "{":
            return self._slots()
        if token.text == "[":
            self.at += 1
            amounts: list[Amount] = []
            self._list("]", lambda: amounts.append(self._amount()))
            return tuple(amounts)
        if token.text in ("true", "false"):
            self.at += 1
            return token.text == "true"
        return self._string() if token.kind == "string" else self._amount()

    def _amount(self) -> Amount:
        token = self._peek()
        if token.text == "{":
            return self._slots()
        if token.kind != "name":
            return self._number()
        self.at += 1
        if token.text == RULES_KEYWORD:
            return self._rules()
        self._take("[", f"'[' after the layout {token.text}")
        numbers: list[float] = []
        base: list[float] = []

        def item() -> None:
            if self._peek().kind != "name":
                numbers.append(self._number())
                return
            self._take("base", "a number, or base = for a list that leaves BASE open")
            self._take("=", "'='")
            base.append(self._number())

        self._list("]", item)
        return list_or_rules(Numbers(token.text, tuple(numbers), base[0] if base else None))

    def _rules(self) -> Rules:
        self._take("[", f"'[' after {RULES_KEYWORD}")
        lines: list[str] = []
        self._list("]", lambda: lines.append(self._string()))
        return parse_rules("\n".join(lines))

    def _slots(self) -> Slots:
        self._take("{", "'{'")
        values: dict[str, float] = {}

        def pair() -> None:
            slot = self._next(
                "a slot such as OUT05, or *", lambda token: token.kind == "name" or token.text == "*"
            )
            self._take(":", f"':' after {slot.text}")
            if slot.text in values:
                self._fail(f"{slot.text} is set twice", "keep one of them", slot)
            values[slot.text] = self._number()

        self._list("}", pair)
        rest = values.pop("*", 0.0)
        return Slots(tuple(sorted(values.items())), rest)

    def _save_line(self) -> None:
        self.save["result"] = self._take("name", "the name of what is saved").text
        while self._peek().text == ",":
            self.at += 1
            word = self._take("name", "dtype or vae")
            if word.text not in SAVE_LINE_NAMES:
                self._fail(
                    f"'{word.text}' is not a way of saving", did_you_mean(word.text, SAVE_LINE_NAMES), word
                )
            self._take("=", "'='")
            if self._peek().kind == "string":
                self.save[word.text] = self._string()
            else:
                self.save[word.text] = self._take("name", "a word, or a file name in quotes").text

    def _list(self, closing: str, item: Callable[[], None]) -> None:
        """Items between commas up to the closing mark; a comma before it and line ends are fine."""
        opening = self.tokens[self.at - 1]
        self._skip_newlines()
        while self._peek().text != closing:
            item()
            self._skip_newlines()
            if self._peek().text != closing:
                is_open = self._peek().kind == "end" or self._peek().line > opening.line
                line = self.origin[opening.line - 1]
                hint = f"the '{opening.text}' of line {line} is not closed" if is_open else ""
                self._take(",", f"',' or '{closing}'", hint)
                self._skip_newlines()
        self.at += 1

    def _number(self) -> float:
        token = self._take("number", "a number")
        value = float(token.text)
        if value in (float("inf"), float("-inf")):
            self._fail(f"{token.text} is too large", "", token)
        return value

    def _string(self) -> str:
        token = self._take("string", "text in quotes")
        try:
            return unquoted(token.text)
        except ValueError:
            self._fail("this text in quotes cannot be read", "a backslash is written \\\\", token)

    def _take(self, wanted: str, expected: str, hint: str = "") -> Token:
        return self._next(expected, lambda token: wanted in (token.kind, token.text), hint)

    def _next(self, expected: str, fits: Callable[[Token], bool], hint: str = "") -> Token:
        token = self._peek()
        if not fits(token):
            actual = {"end": "the recipe ends", "newline": "the line ends"}.get(
                token.kind, f"there is '{token.text}'"
            )
            self._fail(f"{expected} is expected, but {actual}", hint, token)
        self.at += 1
        return token

    def _peek(self) -> Token:
        return self.tokens[self.at]

    def _skip_newlines(self) -> None:
        while self._peek().kind == "newline":
            self.at += 1

    def _tokens(self, text: str) -> list[Token]:
        tokens: list[Token] = []
        position, line, start = 0, 1, 0
        while position < len(text):
            match = TOKEN.match(text, position)
            column = position - start + 1
            if match is None:
                odd = Token("odd", text[position], line, column)
                self._fail(f"'{text[position]}' means nothing in a recipe", "", odd)
            kind = str(match.lastgroup)
            if kind != "space":
                tokens.append(Token(kind, match.group(), line, column))
            position = match.end()
            if kind == "newline":
                line, start = line + 1, position
        return [*tokens, Token("end", "", line, position - start + 1)]

    def _fail(self, what: str, hint: str, token: Token | None = None) -> NoReturn:
        raise RecipeError(what, where=self._where(token or self._peek()), hint=hint)

    def _where(self, token: Token) -> str:
        """Line, column and the line itself; no column where the line was written as a sum."""
        line = self.origin[token.line - 1]
        shown = self.written[line - 1]
        column = f", column {token.column}" if shown == self.lines[token.line - 1] else ""
        return f"line {line}{column}" + (f": {shown.strip()}" if shown.strip() else "")


def unquoted(text: str) -> str:
    """The contents of a quoted string, whose escapes are JSON's.

    Where one of its backslashes begins no escape they are all parts of the name, as in "C:\\models\\ink".
    What reads as escapes throughout, as "SD15\\new" does, is distinguished from a path by the files that
    there are: names.match_name. Raises ValueError for anything else.
    """
    try:
        return str(json.loads(text))
    except ValueError:
        if '\\"' in text or any(character < " " for character in text):
            raise
        return text[1:-1]
