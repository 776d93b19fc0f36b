"""Reads block weights as rules; `rules.py` documents the language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NoReturn

from lib_merge.architectures import DEFAULT_LAYOUT, LAYOUTS, parse_numbers
from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.limits import MAX_ENTRY, MAX_RULES, check_nesting, check_text
from lib_merge.recipe.weights.lists import Numbers
from lib_merge.recipe.weights.presets import preset_names
from lib_merge.recipe.weights.rules import (
    BLOCK,
    DIVIDER,
    EVERYTHING,
    EXCLUDE,
    INCLUDE,
    KEY,
    NORMAL,
    NOT,
    OPTIONAL,
    UNIFORM,
    UNTITLED,
    AmountSum,
    Curve,
    Divider,
    Line,
    Preset,
    RandomAmount,
    Restriction,
    Rule,
    Rules,
    Target,
    WordSet,
    constant,
)
from lib_merge.recipe.weights.supermerger_elements import USE_EXTENDED, split_elements, with_extended
from lib_merge.recipe.weights.supermerger_random import (
    ELEMENT_U,
    LETTER,
    PRESETS,
    RANDOM_LETTERS,
    RANGE_LETTERS,
    RandomWeights,
    has_letters,
    read_random_weights,
    repeat_letter,
)
from lib_merge.recipe.weights.untitledmerger import Sliders, is_selector, read_selector

BLOCK_OR_RANGE = re.compile(r"[A-Z][A-Z0-9_]*(-[A-Z][A-Z0-9_]*)?")
UNSIGNED_NUMBER = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
MISSING_COLON = re.compile(
    rf"(?P<target>[A-Za-z][\w.*-]*(?: [\w.*-]+)*?)\s+(?P<amount>[+-]?{UNSIGNED_NUMBER.pattern})"
)
CURVE_HINT = "such as 0.5, or GRAD_V; a preset of your own is put in by a click on the tab Weights"
MOST_LINES = 1000  # rules in one text
MOST_WORDS = 200  # in one target
NAME = re.compile(r"[A-Za-z_][\w-]*")
NUMBER_OR_LETTER = rf"(?:[+-]?{UNSIGNED_NUMBER.pattern}|{LETTER})"
LISTED = re.compile(
    rf"\s*{NUMBER_OR_LETTER}(?:[\s,]+{NUMBER_OR_LETTER})+[\s,]*(?:(?<=[\s,])seed\s*=\s*\d+\s*)?"
)


def parse_rules(text: str, *, layout: str = DEFAULT_LAYOUT.id, slider: float | None = None) -> Rules:
    """Read rules; an error names the line and shows the entry.

    layout  how a plain list of numbers is read
    slider  the value of UntitledMerger's slider_a, where the text does not set it
    """
    check_text(text, MAX_RULES, "these rules")
    lines: list[Line] = []
    sliders, extended = Sliders(slider), False
    for number, line in enumerate(text.split("\n"), 1):
        for entry in _entries(line.split("#", 1)[0]):
            where = f"line {number}: {entry}"
            check_text(entry, MAX_ENTRY, "this rule", where=where)
            check_nesting(entry, "this rule", where=where)
            if USE_EXTENDED.fullmatch(entry):
                extended = True
            elif not sliders.set(entry):
                lines.append(_Entry(sliders.fill(entry, where), where, layout).line())
            if len(lines) > MOST_LINES:
                raise RecipeError(f"there are more than {MOST_LINES} rules", where=where)
    if not lines:
        raise RecipeError("there is no rule", hint="such as OUT: 0.5")
    return Rules(with_extended(lines, always=extended))


def _entries(line: str) -> Iterator[str]:
    """The entries of a line: between semicolons, and between commas outside of brackets."""
    for part in line.split(";"):
        if is_selector(part.partition(":")[0].strip()) or LISTED.fullmatch(part):
            yield part.strip()
        else:
            yield from _parts(part)


def _parts(text: str) -> Iterator[str]:
    """The parts of a text between commas that are outside of brackets."""
    depth, start = 0, 0
    for at, mark in enumerate(text):
        depth += (mark in "[(") - (mark in "])")
        if mark == "," and depth == 0:
            yield from filter(None, [text[start:at].strip()])
            start = at + 1
    yield from filter(None, [text[start:].strip()])


class _Entry:
    """The parser of one entry; `at` is its position in the text."""

    def __init__(self, text: str, where: str, layout: str) -> None:
        self.text, self.where, self.layout = text, where, layout
        self.at = 0

    def line(self) -> Line:
        """Parses the entry as a line of rules."""
        if set(self.text) == {"-"} and len(self.text) >= len(DIVIDER):
            return Divider()
        word, _, rest = self.text.partition(" ")
        if word in (INCLUDE, EXCLUDE):
            if ":" in rest:
                self._fail(f"'{word}' takes no amount", f"{word} {rest.split(':')[0].strip()}")
            return Restriction(word, self._target(rest))
        if word == OPTIONAL:
            return self._optional(rest.strip())
        parts = self.text.split(":")
        if len(parts) == 1:
            return Rule(Target(), self._amount(0))
        if is_selector(parts[0].strip()):
            return self._untitled(*parts)
        if len(parts) == 2:
            return Rule(self._target(parts[0]), self._amount(len(parts[0]) + 1))
        if len(parts) == 3:
            return self._elemental(*parts)
        raise self._error("there are too many ':'", "TARGET: AMOUNT, or SuperMerger's BLOCKS:ELEMENTS:RATIO")

    def _optional(self, rest: str) -> Rule:
        line = self._inner(rest).line()
        if not isinstance(line, Rule) or line.target.optional:
            self._fail(f"'{OPTIONAL}' stands once, before a rule", f"{OPTIONAL} IN01 attn1: 0.5")
        return replace(line, target=replace(line.target, optional=True))

    def _target(self, text: str) -> Target:
        """Words for blocks and for names, each kind with NOT before it or not."""
        words_by_kind: dict[str, list[str]] = {BLOCK: [], KEY: []}
        negated: dict[str, bool] = {BLOCK: False, KEY: False}
        pending = False
        if text.count(" ") > MOST_WORDS:
            self._fail(f"there are more than {MOST_WORDS} words before the ':'", "several rules")
        for word in text.split():
            if word == NOT:
                pending = True
                continue
            if word == EVERYTHING:
                if pending or len(text.split()) > 1:
                    self._fail("'*' stands alone", "leave it out, or write the other words alone")
                continue
            kind = BLOCK if BLOCK_OR_RANGE.fullmatch(word) else KEY
            if pending and words_by_kind[kind]:
                self._fail(f"NOT stands before the first word of its kind, not before '{word}'", "")
            negated[kind] |= pending
            pending = False
            words_by_kind[kind].append(word)
        if pending:
            self._fail("NOT stands before nothing", "NOT IN00-IN03: 0.5")
        if not text.split():
            self._fail("it is not said what the amount is for", "write * for everything")
        return Target(
            WordSet(tuple(words_by_kind[BLOCK]), negated[BLOCK]),
            WordSet(tuple(words_by_kind[KEY]), negated[KEY]),
        )

    def _elemental(self, blocks: str, elements: str, ratio: str) -> Rule:
        """SuperMerger's: an empty list of blocks or elements means all; a letter draws for every tensor."""
        target, tool = split_elements(blocks, elements)
        odd = [word for word in target.blocks.words if not BLOCK_OR_RANGE.fullmatch(word)]
        if odd:
            self._fail(f"'{odd[0]}' is no block", "BLOCKS:ELEMENTS:RATIO, such as IN01-IN04:attn1:0.5")
        letter = ratio.strip()
        if letter in RANGE_LETTERS:
            low, high = ELEMENT_U if letter == "U" else (0.0, 1.0)
            drawn = RandomAmount(UNIFORM, constant(low), constant(high), seed=0, per=KEY)
            return Rule(target, AmountSum(((1.0, drawn),)), tool)
        return Rule(target, self._amount(len(blocks) + len(elements) + 2), tool)

    def _untitled(self, selector: str, *amounts: str) -> Rule:
        amount = ":".join(amounts)
        if len(list(_parts(amount))) > 1:
            self._fail(
                "there is more than one number", "the second is beta's: write it into the rules for beta"
            )
        # it reads its targets in lowercase
        target = Target(names=WordSet((selector.strip().lower(),)))
        try:
            read_selector(selector.strip())
        except RecipeError as problem:
            raise self._error(problem.what, problem.hint) from problem
        return Rule(target, self._amount(len(selector) + 1), UNTITLED)

    # --- amounts ---

    def _amount(self, start: int) -> AmountSum:
        self.at = start
        if start == 0 and LISTED.fullmatch(self.text):
            return AmountSum(((1.0, self._listed(self.layout, self.text)),))
        mix = self._mix()
        self._skip_spaces()
        if rest := self.text[self.at :]:
            self._fail(f"'{rest}' is not understood", "an amount is such as 0.5, GRAD_V, or 0.5*GRAD_V + 0.1")
        return mix

    def _mix(self) -> AmountSum:
        terms = [self._term()]
        while self._stands("+") or self._stands("-"):
            terms.append(self._term())
        return AmountSum(tuple(terms))

    def _term(self) -> tuple[float, Curve | None]:
        sign = 1.0
        if self._skip("-"):
            sign = -1.0
        else:
            self._skip("+")
        factor = self._number_if_any()
        if factor is not None and not self._skip("*"):
            return sign * factor + 0.0, None
        curve = self._curve()
        if factor is None and self._skip("*"):
            factor = self._number()
        return sign * (1.0 if factor is None else factor) + 0.0, curve

    def _curve(self) -> Curve:
        for spelling, name in preset_names().items():
            if self._stands(spelling):
                after = self.text[self.at + len(spelling) : self.at + len(spelling) + 1]
                if not (after.isalnum() or (after in ("_", ".") and after)):
                    self.at += len(spelling)
                    return Preset(name)
        word = NAME.match(self.text, self.at)
        name = word.group() if word else ""
        if name in (UNIFORM, NORMAL):
            self._skip(name)
            return self._drawn(name)
        if name in {layout.id for layout in LAYOUTS}:
            self._skip(name)
            return self._list(name)
        if name in RANDOM_LETTERS or name in PRESETS:
            self._skip(name)
            options = self._brackets("(", ")") if self._stands("(") else ""
            return repeat_letter(PRESETS.get(name, name), options, self.where)
        what = f"'{name}' is no preset" if name else "an amount is expected"
        raise self._error(what, self._curve_hint(name))

    def _curve_hint(self, name: str) -> str:
        """What to write instead of a name that is no curve's."""
        without_colon = MISSING_COLON.fullmatch(self.text.strip())
        if without_colon:
            return f"a rule has a colon: {without_colon['target']}: {without_colon['amount']}"
        curve_names = [*preset_names(), *PRESETS, *(layout.id for layout in LAYOUTS), UNIFORM, NORMAL]
        return (name and did_you_mean(name, curve_names)) or CURVE_HINT

    def _list(self, layout: str) -> Numbers | RandomWeights:
        return self._listed(layout, self._brackets("[", "]"))

    def _listed(self, layout: str, inside: str) -> Numbers | RandomWeights:
        if has_letters(inside):
            return read_random_weights(inside, layout, self.where)
        numbers, _, base = inside.partition("base")
        values = parse_numbers(numbers, where=self.where)
        if not base:
            return Numbers(layout, values)
        return Numbers(layout, values, parse_numbers(base.strip().removeprefix("="), where=self.where)[0])

    def _drawn(self, kind: str) -> RandomAmount:
        """`uniform(LOW, HIGH, seed = N)`, `normal(MEAN, DEVIATION, low = X, high = Y, seed = N)`."""
        positional: list[AmountSum] = []
        named: dict[str, str] = {}
        for part in _parts(self._brackets("(", ")")):
            name, equals, value = part.partition("=")
            if equals:
                named[name.strip()] = value.strip()
            else:
                positional.append(self._inner(part)._amount(0))
        option_names = {"seed", "each"} | ({"low", "high"} if kind == NORMAL else set[str]())
        odd = sorted(set(named) - option_names)
        form = (
            f"{kind}(0, 1, seed = 1)" if kind == UNIFORM else f"{kind}(0.5, 0.2, low = 0, high = 1, seed = 1)"
        )
        if odd or len(positional) != 2 or not re.fullmatch(r"\d{1,18}", named.get("seed", "")):
            self._fail(f"{kind} takes two numbers and a seed" + (f", and no {odd[0]}" if odd else ""), form)
        per = named.get("each", BLOCK)
        if per not in (BLOCK, KEY):
            self._fail(f"each = {per} is not understood", "each = block, or each = key")
        seed = int(named["seed"])
        if kind == UNIFORM:
            return RandomAmount(kind, positional[0], positional[1], seed, per)
        low, high = (self._inner(named[n])._amount(0) if n in named else None for n in ("low", "high"))
        deviation = positional[1].terms[0] if len(positional[1].terms) == 1 else (0.0, Preset(""))
        if deviation[1] is not None or deviation[0] < 0:
            self._fail("the deviation of normal is a number of at least 0", form)
        return RandomAmount(kind, low, high, seed, per, positional[0], deviation[0])

    def _inner(self, text: str) -> _Entry:
        return _Entry(text, self.where, self.layout)

    def _brackets(self, opening: str, closing: str) -> str:
        if not self._skip(opening):
            self._fail(f"'{opening}' is expected", "")
        depth = 1
        for at in range(self.at, len(self.text)):
            depth += (self.text[at] in "[(") - (self.text[at] in "])")
            if depth == 0 and self.text[at] == closing:
                inside, self.at = self.text[self.at : at], at + 1
                return inside
        raise self._error(f"'{closing}' is missing", "")

    def _number_if_any(self) -> float | None:
        if any(self._stands(name) for name in preset_names() if name[0].isdigit()):
            return None
        match = UNSIGNED_NUMBER.match(self.text, self.at)
        if match is None:
            return None
        value = float(match.group())
        if value == float("inf"):
            self._fail(f"{match.group()} is too large", "")
        self._skip(match.group())
        return value

    def _number(self) -> float:
        number = self._number_if_any()
        if number is None:
            self._fail("a number is expected after '*'", "0.5*GRAD_V")
        return number

    def _skip(self, word: str) -> bool:
        """Skips a word if it is next; returns whether it was."""
        stands = self._stands(word)
        self.at += len(word) if stands else 0
        return stands

    def _stands(self, word: str) -> bool:
        """Whether a word is next, after spaces."""
        self._skip_spaces()
        return self.text.startswith(word, self.at)

    def _skip_spaces(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def _fail(self, what: str, hint: str) -> NoReturn:
        raise self._error(what, hint)

    def _error(self, what: str, hint: str) -> RecipeError:
        return RecipeError(what, where=self.where, hint=hint)
