"""Sums of models as mixers write them, read into terms."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NoReturn

from lib_merge.errors import MethodError, RecipeError
from lib_merge.methods import METHODS
from lib_merge.recipe.text.parser import unquoted
from lib_merge.recipe.weights.presets import preset_names

Where = Callable[[int], str]

TIMES = "x*×·"
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
HASH = re.compile(r"\[[0-9a-fA-F]{8,64}\]")
WORD = re.compile(
    r"""(?P<space>\s+)
      | (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<one_less>\(?\s*1\s*-\s*(?P<of>alpha(?:_\d+)?|beta(?:_\d+)?)\s*\)?)
      | (?P<symbol>(?:alpha|beta|gamma)(?:_\d+)?(?![\w.-]))
      | (?P<weights>\[[^\]]*\]|\{[^}]*\}|[a-z][a-z-]*\[[^\]]*\])
      | (?P<list>\((?=[^()]*,)[\s\d.,;eE+-]+\))
      | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)%?(?![\w-]|\.\w))
      | (?P<times>[*×·]|[xX](?=\s|\(|$|\.?\d))
      | (?P<minus>-(?=[\s(]))
      | (?P<mark>[+():])
      | (?P<word>[^\s+*×·()=:,"\[\]{}?|<>;%]+)""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class ModelName:
    """A model by name: a file, or the result of an earlier line."""

    name: str
    at: int


@dataclass(frozen=True)
class Call:
    """The call of a method; `arguments` is the text between its brackets."""

    method: str
    arguments: str
    at: int


@dataclass(frozen=True)
class Scale:
    """The factor of a model: a number, a symbol (alpha), 1 minus the symbol (`rest`), or block weights."""

    number: Decimal | None = None
    symbol: str = ""
    rest: bool = False
    weights: str = ""


@dataclass(frozen=True)
class Term:
    """One summand: its sign, the model or sum in it, and its factor, None where none is written."""

    model: ModelName | Call | Sum
    scale: Scale | None = None
    negative: bool = False
    at: int = 0


@dataclass(frozen=True)
class Sum:
    """A sum of terms; `weights` is the list of block weights after the last one."""

    terms: tuple[Term, ...]
    weights: str = ""

    @property
    def is_difference(self) -> bool:
        """Whether it is one model less another, and nothing else."""
        return len(self.terms) == 2 and [term.negative for term in self.terms] == [False, True]


@dataclass(frozen=True)
class SumToken:
    """A token of a sum, and its offset in the text."""

    kind: str
    text: str
    at: int


def name_in(text: str, where: str) -> str:
    """The contents of a quoted string; RecipeError where it cannot be read."""
    try:
        return unquoted(text)
    except ValueError as cause:
        hint = "a backslash is written \\\\"
        raise RecipeError("this text in quotes cannot be read", where=where, hint=hint) from cause


def read_sum(text: str, where: Where) -> Sum:
    """Parses a sum of models; RecipeError names line and column."""
    reader = _Reader(_tokens(text, where), text, where)
    parsed_sum = reader.sum()
    if reader.peek().kind != "end":
        reader.fail(
            f"'{reader.peek().text}' is not expected here", "+ between two models, quotes around a name"
        )
    return parsed_sum


def _tokens(text: str, where: Where) -> list[SumToken]:
    tokens: list[SumToken] = []
    at = 0
    while at < len(text):
        match = WORD.match(text, at)
        if match is None:
            _check_call(text, at, where)
            hint = "put names with signs into quotes"
            raise RecipeError(f"'{text[at]}' means nothing in a sum of models", where=where(at), hint=hint)
        kind = str(match.lastgroup)
        kind = "one_less" if kind == "of" else kind
        if kind == "one_less" and match[0].startswith("(") != match[0].endswith(")"):
            match = re.compile(r"\(").match(text, at) or match
            kind = "mark" if match[0] == "(" else kind
        end = match.end()
        if kind == "times" and match[0] in "xX" and not _has_left_operand(tokens):
            kind = "word"  # a model called X
        if kind == "word" and text[end : end + 1] == "(" and _is_method(match[0]):
            kind, end = "call", _closing(text, end, where)
        if kind != "space":
            tokens.append(SumToken(kind, text[at:end], at))
        at = end
    return [*tokens, SumToken("end", "", len(text))]


def _check_call(text: str, comma: int, where: Where) -> None:
    """Raises MethodError where the comma is between the arguments of an unknown method."""
    call = re.search(r"([A-Za-z_]\w*)\([^()]*$", text[:comma])
    if call and text[comma] == "," and not _is_method(call[1]):
        try:
            METHODS.get(call[1])
        except MethodError as problem:
            raise MethodError(problem.what, where=where(call.start()), hint=problem.hint) from None


def _has_left_operand(tokens: Sequence[SumToken]) -> bool:
    """Whether the tokens end with something that the next token can multiply."""
    return (
        bool(tokens) and tokens[-1].kind not in ("times", "minus") and tokens[-1].text not in ("+", "(", ":")
    )


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _closing(text: str, opening: int, where: Where) -> int:
    """The index after the bracket that closes the one at `opening`."""
    depth = 0
    for index, character in enumerate(QUOTED.sub(_blank, text[opening:]), opening):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0:
            return index + 1
    raise RecipeError("a bracket is not closed", where=where(opening), hint="a ) is missing")


class _Reader:
    """Recursive descent over the tokens of one sum."""

    def __init__(self, tokens: Sequence[SumToken], text: str, where: Where) -> None:
        self.tokens, self.text, self.where, self.at = tokens, text, where, 0

    def peek(self) -> SumToken:
        return self.tokens[self.at]

    def fail(self, what: str, hint: str = "", token: SumToken | None = None) -> NoReturn:
        raise RecipeError(what, where=self.where((token or self.peek()).at), hint=hint)

    def sum(self) -> Sum:
        terms = [self.term(negative=False)]
        while self.peek().text in ("+", ":") or self.peek().kind == "minus":
            negative = self.peek().kind == "minus"
            self.at += 1
            terms.append(self.term(negative=negative))
        weights = ""
        while self.peek().kind in ("list", "weights"):  # SuperMerger: ... + B x alpha (0.5, 0, ...)
            weights = self.peek().text
            self.at += 1
        return Sum(tuple(terms), weights)

    def term(self, *, negative: bool) -> Term:
        """Parses a model with its factor, which may be before or after it."""
        begin = self.peek()
        model: ModelName | Call | Sum | None = None
        scale: Scale | None = None
        while True:
            token = self.peek()
            if (factor := self.scale()) is not None:
                if scale is not None:
                    self.fail("there are two factors for one model", "multiply them yourself", token)
                scale = factor
            elif token.text == "(" or (model is None and token.kind in ("word", "string", "call")):
                if model is not None:
                    self.fail("two models stand beside each other", "a + between them, or quotes", token)
                model = self.model()
            elif token.kind == "times":
                self.at += 1
            else:
                break
        if model is None:
            met = ", but the line ends" if begin.kind == "end" else f" where '{begin.text}' is"
            number = f"'{begin.text}' is a number, and a model is expected"
            what = number if begin.kind == "number" else f"a model is expected{met}"
            self.fail(what, "A x 0.7 + B x 0.3 = M", begin)
        if isinstance(model, Sum) and scale is None and len(model.terms) == 1:
            inner = model.terms[0]
            return Term(inner.model, inner.scale, inner.negative != negative, begin.at)
        return Term(model, scale, negative, begin.at)

    def scale(self) -> Scale | None:
        """Parses a factor; None where the next token begins none."""
        token = self.peek()
        if token.kind == "number":
            self.at += 1
            percent = token.text.endswith("%")
            number = Decimal(token.text.rstrip("%"))
            return Scale(number / 100 if percent else number)
        if token.kind in ("symbol", "one_less"):
            self.at += 1
            match = re.search(r"(?:alpha|beta|gamma)(?:_\d+)?", token.text)
            return Scale(symbol=match[0] if match else "alpha", rest=token.kind == "one_less")
        if token.kind in ("weights", "list") and self.tokens[self.at - 1].kind == "times":
            self.at += 1
            return Scale(weights=token.text)
        if token.kind in ("word", "string") and self.tokens[self.at - 1].kind == "times":
            bare = name_in(token.text, self.where(token.at)) if token.kind == "string" else token.text
            if bare in preset_names() or (token.kind == "string" and re.search(r":\s*[\d.]", bare)):
                self.at += 1
                return Scale(weights=bare)
        return None

    def model(self) -> ModelName | Call | Sum:
        token = self.peek()
        self.at += 1
        if token.kind == "string":
            return ModelName(name_in(token.text, self.where(token.at)) + self.hash(), token.at)
        if token.kind == "call":
            method, _, arguments = token.text.partition("(")
            return Call(method, arguments[:-1], token.at)
        if token.text == "(":
            inner_sum = self.sum()
            if self.peek().text != ")":
                self.fail("a bracket is not closed", "a ) is missing", token)
            self.at += 1
            return inner_sum
        name_parts = [token.text]
        while self.peek().kind in ("word", "number") and not self.peek().text.endswith("%"):
            name_parts.append(self.peek().text)
            self.at += 1
        return ModelName(" ".join(name_parts) + self.hash(), token.at)

    def hash(self) -> str:
        """The short hash that WebUIs show behind a name: `ink.safetensors [3f2a9c01d4]`."""
        if not HASH.fullmatch(self.peek().text):
            return ""
        self.at += 1
        return f" {self.tokens[self.at - 1].text}"


def _is_method(word: str) -> bool:
    return word == "rebasin" or any(method.id == word for method in METHODS.all())


def arguments_of(text: str) -> list[str]:
    """The parts of a text between commas that are outside of brackets and quotes."""
    parts: list[str] = []
    depth, begin = 0, 0
    for index, character in enumerate(QUOTED.sub(_blank, text)):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append(text[begin:index])
            begin = index + 1
    return [part for part in (*parts, text[begin:]) if part.strip()]


def model_of(text: str, where: str) -> ModelName | Call | Sum:
    """The argument of a method: a model by name, or a sum of models."""
    parsed_sum = read_sum(text.strip(), lambda at: where)
    only = parsed_sum.terms[0]
    return only.model if len(parsed_sum.terms) == 1 and only.scale is None else parsed_sum
