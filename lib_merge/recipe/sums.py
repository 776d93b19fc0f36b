"""Sums of models as mixers write them: read into terms, and written as steps of a recipe."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NoReturn

from lib_merge.architectures import DEFAULT_LAYOUT
from lib_merge.errors import RecipeError
from lib_merge.json_data import dump
from lib_merge.methods import METHODS
from lib_merge.recipe.presets import preset_names
from lib_merge.recipe.text import print_setting, unquoted
from lib_merge.recipe.weights import read_weights

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
class Model:
    """A model by name: a file, or the result of an earlier line."""

    name: str
    at: int


@dataclass(frozen=True)
class Call:
    """A method with what stands in its brackets."""

    method: str
    arguments: str
    at: int


@dataclass(frozen=True)
class Scale:
    """What a model is multiplied by: a number, a symbol (alpha), what it leaves of 1, or block weights."""

    number: Decimal | None = None
    symbol: str = ""
    rest: bool = False
    weights: str = ""


@dataclass(frozen=True)
class Term:
    """One summand: its sign, the model or sum in it, and its factor, None where none is written."""

    model: Model | Call | Sum
    scale: Scale | None = None
    negative: bool = False
    at: int = 0


@dataclass(frozen=True)
class Sum:
    """Summands; `weights` is a list that stands behind them all."""

    terms: tuple[Term, ...]
    weights: str = ""

    @property
    def is_difference(self) -> bool:
        """Whether it is one model less another, and nothing else."""
        return len(self.terms) == 2 and [term.negative for term in self.terms] == [False, True]


@dataclass(frozen=True)
class Token:
    """One word of a sum, and where it stands."""

    kind: str
    text: str
    at: int


def name_in(text: str, where: str) -> str:
    """What a text in quotes says."""
    try:
        return unquoted(text)
    except ValueError as cause:
        hint = "a backslash is written \\\\"
        raise RecipeError("this text in quotes cannot be read", where=where, hint=hint) from cause


def read_sum(text: str, where: Where) -> Sum:
    """The sum that a text is; an error names the place."""
    reader = _Reader(_tokens(text, where), text, where)
    found = reader.sum()
    if reader.peek().kind != "end":
        reader.fail(
            f"'{reader.peek().text}' is not expected here", "+ between two models, quotes around a name"
        )
    return found


def _tokens(text: str, where: Where) -> list[Token]:
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = WORD.match(text, at)
        if match is None:
            hint = "put names with signs into quotes"
            raise RecipeError(f"'{text[at]}' means nothing in a sum of models", where=where(at), hint=hint)
        kind = str(match.lastgroup)
        kind = "one_less" if kind == "of" else kind
        if kind == "one_less" and match[0].startswith("(") != match[0].endswith(")"):
            match = re.compile(r"\(").match(text, at) or match
            kind = "mark" if match[0] == "(" else kind
        end = match.end()
        if kind == "times" and match[0] in "xX" and not _stands_behind(tokens):
            kind = "word"  # a model called X
        if kind == "word" and text[end : end + 1] == "(" and _is_method(match[0]):
            kind, end = "call", _closing(text, end, where)
        if kind != "space":
            tokens.append(Token(kind, text[at:end], at))
        at = end
    return [*tokens, Token("end", "", len(text))]


def _stands_behind(tokens: Sequence[Token]) -> bool:
    """Whether there is something to multiply before the next word."""
    return (
        bool(tokens) and tokens[-1].kind not in ("times", "minus") and tokens[-1].text not in ("+", "(", ":")
    )


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def _closing(text: str, opening: int, where: Where) -> int:
    """Where the bracket that opens there has closed."""
    depth = 0
    for place, character in enumerate(QUOTED.sub(_blank, text[opening:]), opening):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0:
            return place + 1
    raise RecipeError("a bracket is not closed", where=where(opening), hint="a ) is missing")


class _Reader:
    """Recursive descent over the tokens of one sum."""

    def __init__(self, tokens: Sequence[Token], text: str, where: Where) -> None:
        self.tokens, self.text, self.where, self.at = tokens, text, where, 0

    def peek(self) -> Token:
        return self.tokens[self.at]

    def fail(self, what: str, hint: str = "", token: Token | None = None) -> NoReturn:
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
        """A model among the factors, which may stand before and behind it."""
        begin = self.peek()
        model: Model | Call | Sum | None = None
        scale: Scale | None = None
        while True:
            token = self.peek()
            if (found := self.scale()) is not None:
                if scale is not None:
                    self.fail("there are two factors for one model", "multiply them yourself", token)
                scale = found
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
        """A factor, if one stands here."""
        token = self.peek()
        if token.kind == "number":
            self.at += 1
            percent = token.text.endswith("%")
            number = Decimal(token.text.rstrip("%"))
            return Scale(number / 100 if percent else number)
        if token.kind in ("symbol", "one_less"):
            self.at += 1
            found = re.search(r"(?:alpha|beta|gamma)(?:_\d+)?", token.text)
            return Scale(symbol=found[0] if found else "alpha", rest=token.kind == "one_less")
        if token.kind in ("weights", "list") and self.tokens[self.at - 1].kind == "times":
            self.at += 1
            return Scale(weights=token.text)
        if token.kind in ("word", "string") and self.tokens[self.at - 1].kind == "times":
            bare = name_in(token.text, self.where(token.at)) if token.kind == "string" else token.text
            if bare in preset_names() or (token.kind == "string" and re.search(r":\s*[\d.]", bare)):
                self.at += 1
                return Scale(weights=bare)
        return None

    def model(self) -> Model | Call | Sum:
        token = self.peek()
        self.at += 1
        if token.kind == "string":
            return Model(name_in(token.text, self.where(token.at)) + self.hash(), token.at)
        if token.kind == "call":
            method, _, arguments = token.text.partition("(")
            return Call(method, arguments[:-1], token.at)
        if token.text == "(":
            found = self.sum()
            if self.peek().text != ")":
                self.fail("a bracket is not closed", "a ) is missing", token)
            self.at += 1
            return found
        words = [token.text]
        while self.peek().kind in ("word", "number") and not self.peek().text.endswith("%"):
            words.append(self.peek().text)
            self.at += 1
        return Model(" ".join(words) + self.hash(), token.at)

    def hash(self) -> str:
        """The short hash that WebUIs show behind a name: `ink.safetensors [3f2a9c01d4]`."""
        if not HASH.fullmatch(self.peek().text):
            return ""
        self.at += 1
        return f" {self.tokens[self.at - 1].text}"


def _is_method(word: str) -> bool:
    return word == "rebasin" or any(method.id == word for method in METHODS.all())


@dataclass
class Writer:
    """Writes sums as canonical lines; knows what names stand for.

    taken  identifiers that canonical lines define
    """

    taken: Iterable[str]
    idents: dict[str, str] = field(default_factory=dict[str, str])
    deltas: set[str] = field(default_factory=set[str])
    numbers: dict[str, int] = field(default_factory=dict[str, int])  # the last one behind each name

    def __post_init__(self) -> None:
        self.idents |= {name: name for name in self.taken}
        self.numbers |= dict.fromkeys(self.taken, 1)

    def write(self, found: Sum, result: str, amounts: Mapping[str, str], where: str) -> list[str]:
        """The lines that make `result` of a sum; an unnamed one is called M, M2, ..."""
        lines: list[str] = []
        state = _State(lines, self._amounts(found, amounts), where)
        if len(found.terms) == 1 and found.terms[0].scale is None and isinstance(found.terms[0].model, Model):
            file = found.terms[0].model.name
            return [f"{self.name(result or file, new=True)} = {dump(file)}"]
        self.sum(found, state, result or "M")
        return lines

    def _amounts(self, found: Sum, given: Mapping[str, str]) -> dict[str, str]:
        amounts = dict(given)
        behind = found.weights or next(
            (t.model.weights for t in found.terms if isinstance(t.model, Sum) and t.model.weights), ""
        )
        if behind and "alpha" not in amounts:
            amounts["alpha"] = weights(behind)
        return amounts

    def define(self, ident: str) -> None:
        """A canonical line has defined this identifier."""
        self.idents[ident] = ident
        self.numbers.setdefault(ident, 1)

    def name(self, written: str, *, new: bool = False) -> str:
        """The identifier of a name; a new one where it is to be defined."""
        if written in self.idents and not new:
            return self.idents[written]
        bare = re.sub(r"[^A-Za-z0-9_-]+", "_", re.sub(r"\.(safetensors|ckpt|pt)$", "", written)).strip("_")
        bare = bare if re.match(r"[A-Za-z_]", bare) else f"m_{bare}"
        bare = f"{bare}_" if bare in ("save", "rules") else bare
        ident = bare
        while ident in self.numbers:
            self.numbers[bare] += 1
            ident = f"{bare}_{self.numbers[bare]}"
        self.numbers[ident] = 1
        self.idents[written] = ident
        return ident

    def model(self, model: Model | Call | Sum, state: _State, hint: str) -> str:
        """The identifier of a summand, whose own lines are written first."""
        if isinstance(model, Sum):
            return self.sum(model, state, f"{hint}_part")
        if isinstance(model, Call):
            return self.call(model, state, f"{hint}_part")
        if model.name not in self.idents:
            file = model.name
            state.lines.append(f"{self.name(file)} = {dump(file)}")
        return self.idents[model.name]

    def call(self, call: Call, state: _State, result: str) -> str:
        """A method by name, with models named as mixers name them."""
        words: list[str] = []
        for part in _parts(call.arguments):
            name, equals, value = part.partition("=")
            if not equals or '"' in name:
                words.append(self.model(_model_of(part, state.where), state, result))
            elif call.method == "rebasin" and name.strip() in ("to", "by"):
                words.append(f"{name.strip()} = {self.model(_model_of(value, state.where), state, result)}")
            else:
                words.append(part.strip())
        ident = self.name(result, new=True)
        state.lines.append(f"{ident} = {call.method}({', '.join(words)})")
        return ident

    def step(self, method: str, inputs: Sequence[str], settings: str, state: _State, result: str) -> str:
        """One canonical line."""
        ident = self.name(result, new=True)
        told = ", ".join([*inputs, *([settings] if settings else [])])
        state.lines.append(f"{ident} = {method}({told})")
        return ident

    def sum(self, found: Sum, state: _State, result: str) -> str:
        """The identifier of a sum."""
        terms = found.terms
        if len(terms) == 1 and terms[0].scale is None and not terms[0].negative:
            only = terms[0].model
            if isinstance(only, Call):
                return self.call(only, state, result)
            return self.model(only, state, result)
        groups = [term for term in terms[1:] if _adds_a_difference(term)]
        if groups and terms[0].scale is None and len(groups) == len(terms) - 1:
            return self.differences(terms[0], groups, state, result)
        if (group := _flat_difference(terms)) is not None:
            return self.differences(terms[0], [group], state, result)
        names = [self.model(term.model, state, result) for term in terms]
        is_delta = any(t.negative for t in terms) or any(name in self.deltas for name in names)
        if len(terms) == 2 and not is_delta and (settings := self.pair(terms, state)):
            order, alpha = settings
            return self.step("weighted_sum", [names[n] for n in order], f"alpha = {alpha}", state, result)
        return self.shares(terms, names, state, result, is_delta=is_delta)

    def differences(self, first: Term, groups: Sequence[Term], state: _State, result: str) -> str:
        """A + (B - C) x s + ...: one add difference after the other."""
        base = self.model(first.model, state, result)
        for number, group in enumerate(groups, 1):
            assert isinstance(group.model, Sum)
            plus, minus = (self.model(term.model, state, result) for term in group.model.terms)
            scale = group.scale or (Scale(symbol="alpha") if "alpha" in state.amounts else None)
            alpha = state.amount(scale) if scale else "1"
            name = result if number == len(groups) else f"{result}_part"
            base = self.step("add_difference", [base, plus, minus], f"alpha = {alpha}", state, name)
        return base

    def pair(self, terms: Sequence[Term], state: _State) -> tuple[tuple[int, int], str] | None:
        """Two models whose shares are 1 - alpha and alpha: in which order, and alpha as text."""
        a, b = (term.scale for term in terms)
        if a is None and b is None:
            return (0, 1), state.amounts.get("alpha", "0.5")
        if a is not None and b is not None and a.number is not None and b.number is not None:
            return ((0, 1), _decimal(b.number)) if a.number + b.number == 1 else None
        if a is None or (a.rest and b is not None and not b.rest):
            return ((0, 1), state.amount(b)) if b is not None and not b.rest else None
        if b is None and a.number is not None:
            return (0, 1), _decimal(1 - a.number)
        if b is None or b.rest:
            return (1, 0), state.amount(a)
        return None

    def shares(
        self, terms: Sequence[Term], names: Sequence[str], state: _State, result: str, *, is_delta: bool
    ) -> str:
        """Any number of models, each with its share."""
        open_ones = [n for n, term in enumerate(terms) if term.scale is None]
        shares = ["" if term.scale is None else state.amount(term.scale) for term in terms]
        normalise = False
        if is_delta:
            shares = [share or "1" for share in shares]
        elif len(open_ones) == len(terms):
            shares, normalise = ["1"] * len(terms), True
        elif len(open_ones) == 1:
            numbers = [term.scale.number for term in terms if term.scale is not None]
            if any(number is None for number in numbers):
                state.fail("a share is missing beside block weights", "write every model's share")
            shares[open_ones[0]] = _decimal(1 - sum((n for n in numbers if n is not None), Decimal(0)))
        elif open_ones:
            what = f"{len(open_ones)} of {len(terms)} models have no share"
            state.fail(what, "write all of them, or all but one")
        signed = [f"-{share}" if term.negative else share for term, share in zip(terms, shares, strict=True)]
        settings = f"shares = [{', '.join(signed)}]" + (", normalise = true" if normalise else "")
        name = self.step("weighted_models", names, settings, state, result)
        if any(t.negative for t in terms) and sum(-1 if t.negative else 1 for t in terms) == 0:
            self.deltas.add(name)
        return name


def _flat_difference(terms: Sequence[Term]) -> Term | None:
    """B - C of A + B - C, and of A + B x s - C x s."""
    if len(terms) != 3 or terms[0].scale or [term.negative for term in terms] != [False, False, True]:
        return None
    _, plus, minus = terms
    if plus.scale != minus.scale:
        return None
    return Term(Sum((Term(plus.model), Term(minus.model, None, True))), plus.scale)


def _adds_a_difference(term: Term) -> bool:
    return isinstance(term.model, Sum) and term.model.is_difference and not term.negative


@dataclass
class _State:
    """What one statement's lines are written with."""

    lines: list[str]
    amounts: Mapping[str, str]
    where: str

    def amount(self, scale: Scale) -> str:
        """A factor as a canonical line holds it."""
        if scale.number is not None:
            return _decimal(scale.number)
        if scale.weights:
            return weights(scale.weights)
        if scale.symbol not in self.amounts:
            what = f"{scale.symbol} is used and never set"
            self.fail(what, f"{scale.symbol} = 0.3, or its numbers by block, behind the sum")
        if scale.rest:
            self.fail(f"1 - {scale.symbol} has no {scale.symbol} beside it", "A x (1-alpha) + B x alpha")
        return self.amounts[scale.symbol]

    def fail(self, what: str, hint: str) -> NoReturn:
        raise RecipeError(what, where=self.where, hint=hint)


def weights(text: str) -> str:
    """Block weights as a canonical line holds them."""
    if re.match(r"[a-z][a-z-]*\[|\{", text):
        return text
    bare = text[1:-1] if text[:1] in "([" else text
    return print_setting(read_weights(bare, layout=DEFAULT_LAYOUT.id))


def _decimal(number: Decimal) -> str:
    return print_setting(float(number))


def _parts(text: str) -> list[str]:
    """What stands between commas outside of brackets and quotes."""
    parts: list[str] = []
    depth, begin = 0, 0
    for place, character in enumerate(QUOTED.sub(_blank, text)):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append(text[begin:place])
            begin = place + 1
    return [part for part in (*parts, text[begin:]) if part.strip()]


def _model_of(text: str, where: str) -> Model | Call | Sum:
    """What a method is given: a model by name, or a sum of models."""
    found = read_sum(text.strip(), lambda at: where)
    only = found.terms[0]
    return only.model if len(found.terms) == 1 and only.scale is None else found
