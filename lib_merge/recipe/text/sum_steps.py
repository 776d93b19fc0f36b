"""Writes sums of models, as sums.py reads them, as steps of a recipe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NoReturn

from lib_merge.architectures import DEFAULT_LAYOUT
from lib_merge.errors import RecipeError
from lib_merge.json_data import dump
from lib_merge.recipe.text.canonical import print_setting
from lib_merge.recipe.text.sums import Call, ModelName, Scale, Sum, Term, arguments_of, model_of
from lib_merge.recipe.weights.read import read_weights


@dataclass
class SumWriter:
    """Writes sums as canonical lines, and keeps the identifier of every name.

    taken  identifiers that canonical lines define
    """

    taken: Iterable[str]
    idents: dict[str, str] = field(default_factory=dict[str, str])
    deltas: set[str] = field(default_factory=set[str])
    numbers: dict[str, int] = field(default_factory=dict[str, int])  # the last one behind each name

    def __post_init__(self) -> None:
        self.idents |= {name: name for name in self.taken}
        self.numbers |= dict.fromkeys(self.taken, 1)

    def write(self, parsed_sum: Sum, result: str, amounts: Mapping[str, str], where: str) -> list[str]:
        """The canonical lines that compute a sum as `result`; without a name it is M, M2, ..."""
        lines: list[str] = []
        state = _State(lines, self._amounts(parsed_sum, amounts), where)
        if (
            len(parsed_sum.terms) == 1
            and parsed_sum.terms[0].scale is None
            and isinstance(parsed_sum.terms[0].model, ModelName)
        ):
            file = parsed_sum.terms[0].model.name
            return [f"{self.name(result or file, new=True)} = {dump(file)}"]
        self.sum(parsed_sum, state, result or "M")
        return lines

    def _amounts(self, parsed_sum: Sum, set_amounts: Mapping[str, str]) -> dict[str, str]:
        amounts = dict(set_amounts)
        behind = parsed_sum.weights or next(
            (t.model.weights for t in parsed_sum.terms if isinstance(t.model, Sum) and t.model.weights), ""
        )
        if behind and "alpha" not in amounts:
            amounts["alpha"] = print_weights(behind)
        return amounts

    def define(self, ident: str) -> None:
        """Records an identifier that a canonical line has defined."""
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

    def model(self, model: ModelName | Call | Sum, state: _State, hint: str) -> str:
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
        """Writes the call of a method, whose models may be files or sums; returns its identifier."""
        arguments: list[str] = []
        for part in arguments_of(call.arguments):
            name, equals, value = part.partition("=")
            if not equals or '"' in name:
                arguments.append(self.model(model_of(part, state.where), state, result))
            elif call.method == "rebasin" and name.strip() in ("to", "by"):
                arguments.append(
                    f"{name.strip()} = {self.model(model_of(value, state.where), state, result)}"
                )
            else:
                arguments.append(part.strip())
        ident = self.name(result, new=True)
        state.lines.append(f"{ident} = {call.method}({', '.join(arguments)})")
        return ident

    def step(self, method: str, inputs: Sequence[str], settings: str, state: _State, result: str) -> str:
        """Writes one canonical line and returns its identifier."""
        ident = self.name(result, new=True)
        arguments = ", ".join([*inputs, *([settings] if settings else [])])
        state.lines.append(f"{ident} = {method}({arguments})")
        return ident

    def sum(self, parsed_sum: Sum, state: _State, result: str) -> str:
        """Writes the steps of a sum and returns its identifier."""
        terms = parsed_sum.terms
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
        """Writes A + (B - C) x s + ... as a chain of add_difference steps."""
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
        """Writes the sum of any number of models, each with its share, as a step of weighted_models."""
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
    """The lines of one statement that are written so far, and its amounts by symbol."""

    lines: list[str]
    amounts: Mapping[str, str]
    where: str

    def amount(self, scale: Scale) -> str:
        """The text of a factor in a canonical line."""
        if scale.number is not None:
            return _decimal(scale.number)
        if scale.weights:
            return print_weights(scale.weights)
        if scale.symbol not in self.amounts:
            what = f"{scale.symbol} is used and never set"
            self.fail(what, f"{scale.symbol} = 0.3, or its numbers by block, behind the sum")
        if scale.rest:
            self.fail(f"1 - {scale.symbol} has no {scale.symbol} to go with it", "A x (1-alpha) + B x alpha")
        return self.amounts[scale.symbol]

    def fail(self, what: str, hint: str) -> NoReturn:
        raise RecipeError(what, where=self.where, hint=hint)


def print_weights(text: str) -> str:
    """The text of block weights in a canonical line."""
    if re.match(r"[a-z][a-z-]*\[|\{", text):
        return text
    bare = text[1:-1] if text[:1] in "([" else text
    return print_setting(read_weights(bare, layout=DEFAULT_LAYOUT.id))


def _decimal(number: Decimal) -> str:
    return print_setting(float(number))
