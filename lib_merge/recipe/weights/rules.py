"""Block weights as rules: which tensors, and how much of them.

    0.5*GRAD_V + 0.5*COSINE          # every block, by a mix of presets
    IN04-IN08: 0.3                   # a range of blocks
    OUT: 0.7                         # a group of blocks
    attn1: 0.2                       # every tensor with this in its name
    OUT03-OUT05 attn2.to_k: 0.4      # both
    *.proj_out.bias: 0               # a whole name, with stars
    exclude TIME FINAL               # these stay as they are

A rule is `TARGET: AMOUNT`. Each rule has a line of its own, or follows `;` or `,`; `#` begins a comment.

TARGET is words with spaces between. Those in capitals are blocks: a slot (IN05, BASE, TIME), a range of
the list (IN04-IN08), a group (IN, OUT, MID; UNET, TEXT; and on SDXL BASE), or FINAL, the last convolution,
which belongs to OUT too. The others are parts of names: `attn1` matches every tensor that has it in its
name, where a number at an end is an integer; with a star in it the word has to fit the whole name.
Several words of a kind mean any of them, blocks and names together mean both, NOT before the words of
a kind means all but these, and `*` alone, or nothing, means everything.

Of the rules that match a tensor the most specific wins, and on a tie the last one. More specific is, in
this order: a word for names with more names in it (attn2.to_k has two), and any such word before none;
then one block before a range, group, list or NOT, these before UNET and TEXT, and these before
everything. A line `---` divides: every rule below it wins over every rule above it.

AMOUNT is a number, a preset, a list of numbers (`supermerger[...]`), drawn at random by `uniform` or
`normal`, or a sum of such: `0.5*GRAD_V + 0.1`. What no rule matches stays A's (0). The VAE is matched
only by rules that name it: `VAE: 0.5`, or a word that begins with first_stage_model.

`exclude TARGET` leaves what it matches as the step's first model has it, whatever else the step is set
to; `include TARGET` does so with all that no `include` matches. Their order among the rules does not matter.

A rule that matches nothing, or names a block that the model does not have, is an error, unless `optional`
precedes it: rules of other tools, which ignore such ones, are imported that way.

What other tools write is read as they read it, in a section of its own, which wins over what is
above it and gives way to what is below: SuperMerger's `BLOCKS:ELEMENTS:RATIO`, of which the last
that matches wins, and UntitledMerger's `in.2-5.attn1: 0.5`, of which the one that matches the fewest tensors
wins. `XL IN40 OUT010:attn1:0.5` has SuperMerger's extended names of SDXL (architectures/extended.py); as
with its setting, a line `use extended XL` reads all of its entries so, and so does a name that is no
block's. `R`, `U`, `X` are its numbers drawn at random (recipe/weights/supermerger_random.py). A line
`slider_a: 0.3` is the value of UntitledMerger's slider.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from lib_merge.architectures.keys import VAE_PREFIX
from lib_merge.recipe.weights.lists import Numbers, Slots, print_number, print_numbers
from lib_merge.recipe.weights.supermerger_random import RandomWeights, print_random_weights
from lib_merge.recipe.weights.untitledmerger import Selector, is_selector, read_selector

SUPERMERGER, UNTITLED = "supermerger", "untitledmerger"
EXTENDED = "supermerger-xl"
XL = "XL"  # before an entry of extended names
INCLUDE, EXCLUDE = "include", "exclude"
OPTIONAL = "optional"
BLOCK, KEY = "block", "key"
DIVIDER = "---"
EVERYTHING = "*"
NOT = "NOT"
VAE_SLOT_ID, FINAL = "VAE", "FINAL"
VAE_KEYS = VAE_PREFIX.removesuffix(".")
UNIFORM, NORMAL = "uniform", "normal"


@dataclass(frozen=True)
class Preset:
    """A preset by name."""

    name: str


@dataclass(frozen=True)
class RandomAmount:
    """Numbers drawn at random, the same on every run.

    distribution  "uniform" between low and high, or "normal" about `mean`, truncated at low and high
    per           one number for each "block" or for each "key"
    deviation     of the normal distribution
    """

    distribution: str
    low: AmountSum | None
    high: AmountSum | None
    seed: int
    per: str = BLOCK
    mean: AmountSum | None = None
    deviation: float = 0.0

    @property
    def is_per_key(self) -> bool:
        """Whether tensors of one block get different numbers."""
        parts = (self.low, self.high, self.mean)
        return self.per == KEY or any(part is not None and part.is_per_key for part in parts)


Curve = Preset | Numbers | RandomAmount | RandomWeights


@dataclass(frozen=True)
class AmountSum:
    """An amount: a sum of curves, each times a factor; a term without a curve is a number."""

    terms: tuple[tuple[float, Curve | None], ...]

    @property
    def is_per_key(self) -> bool:
        """Whether tensors of one block get different amounts."""
        return any(
            not isinstance(curve, Preset) and curve is not None and curve.is_per_key
            for _, curve in self.terms
        )


def constant(number: float) -> AmountSum:
    """An amount that is a number."""
    return AmountSum(((number, None),))


@dataclass(frozen=True)
class WordSet:
    """Some words of a target, or all but them; no words at all mean everything."""

    words: tuple[str, ...] = ()
    negated: bool = False


@dataclass(frozen=True)
class Target:
    """Which tensors: in these blocks, with these parts of names.

    optional  whether it may hit nothing, and name blocks that the model does not have
    """

    blocks: WordSet = WordSet()
    names: WordSet = WordSet()
    optional: bool = False

    @property
    def names_vae(self) -> bool:
        """Whether it names the VAE, which nothing else hits."""
        blocks = not self.blocks.negated and VAE_SLOT_ID in self.blocks.words
        return blocks or (not self.names.negated and any(w.startswith(VAE_KEYS) for w in self.names.words))


@dataclass(frozen=True)
class Rule:
    """How much of some tensors; `tool` says as whose syntax it is read, "" for our own."""

    target: Target
    amount: AmountSum
    tool: str = ""


@dataclass(frozen=True)
class Restriction:
    """A line `include TARGET` or `exclude TARGET`."""

    keyword: str
    target: Target


@dataclass(frozen=True)
class Divider:
    """A line `---`: rules below it win over rules above it."""


Line = Rule | Restriction | Divider


@dataclass(frozen=True)
class Rules:
    """Block weights as rules; see the top of this module."""

    lines: tuple[Line, ...]

    @cached_property
    def restrictions(self) -> tuple[Restriction, ...]:
        """The `include` and `exclude` lines."""
        return tuple(line for line in self.lines if isinstance(line, Restriction))

    @cached_property
    def sections(self) -> tuple[tuple[Rule, ...], ...]:
        """The rules by section: the most specific of a section wins, and the last section that matches."""
        sections: list[list[Rule]] = [[]]
        for line in self.lines:
            if isinstance(line, Divider) or (
                isinstance(line, Rule) and sections[-1] and sections[-1][-1].tool != line.tool
            ):
                sections.append([])
            if isinstance(line, Rule):
                sections[-1].append(line)
        return tuple(tuple(section) for section in sections if section)

    @property
    def names_vae(self) -> bool:
        """Whether some rule names the VAE."""
        return any(
            rule.target.names_vae and rule.tool in ("", EXTENDED)
            for section in self.sections
            for rule in section
        )


def list_or_rules(amount: Numbers) -> Numbers | Rules:
    """A list as recipes hold it: one of extended names is a rule, since it is finer than slots."""
    return Rules((Rule(Target(), AmountSum(((1.0, amount),))),)) if amount.is_per_key else amount


def make_optional(rules: Rules) -> Rules:
    """The same rules, none of which has to hit anything."""
    lines = (
        replace(line, target=replace(line.target, optional=True)) if isinstance(line, Rule) else line
        for line in rules.lines
    )
    return Rules(tuple(lines))


def rules_of_slots(amounts: Mapping[str, float]) -> Rules:
    """Slot -> amount as rules, one for all slots of an amount. The VAE is named only where it is mixed."""
    words: dict[float, list[str]] = {}
    for slot, amount in amounts.items():
        if slot != VAE_SLOT_ID or amount:
            words.setdefault(amount, []).append(FINAL if slot == "OUT" else slot)
    return Rules(
        tuple(Rule(Target(WordSet(tuple(named))), constant(amount)) for amount, named in words.items())
    )


def overlay_rules(base: float | Numbers | Slots | Rules, rules: Rules) -> Rules:
    """The rules, and below them an amount for whatever they do not hit."""
    if isinstance(base, Rules):
        below = base.lines
    elif isinstance(base, Slots):
        named = ((FINAL if slot == "OUT" else slot, value) for slot, value in base.values)
        below = (
            Rule(Target(), constant(base.rest)),
            *(Rule(Target(WordSet((slot,))), constant(value)) for slot, value in named),
        )
    else:
        below = (Rule(Target(), AmountSum(((1.0, base),)) if isinstance(base, Numbers) else constant(base)),)
    return Rules((*below, Divider(), *rules.lines))


# --- printing ---


def print_line(line: Line) -> str:
    """One line in its canonical form."""
    if isinstance(line, Divider):
        return DIVIDER
    if isinstance(line, Restriction):
        return f"{line.keyword} {_print_target(line.target)}"
    return f"{OPTIONAL} {_print_rule(line)}" if line.target.optional else _print_rule(line)


def _print_rule(line: Rule) -> str:
    if line.tool in (SUPERMERGER, EXTENDED):
        blocks, names = (_print_words(words) for words in (line.target.blocks, line.target.names))
        marked = f"{XL} {blocks}" if line.tool == EXTENDED else blocks
        return f"{marked}:{names}:{print_amount(line.amount)}"
    if line.tool == UNTITLED:
        return f"{line.target.names.words[0]}: {print_amount(line.amount)}"
    return f"{_print_target(line.target)}: {print_amount(line.amount)}"


def print_rules(rules: Rules) -> str:
    """The rules as a text of lines."""
    return "\n".join(map(print_line, rules.lines))


def _print_target(target: Target) -> str:
    return " ".join(filter(None, map(_print_words, (target.blocks, target.names)))) or EVERYTHING


def _print_words(words: WordSet) -> str:
    return " ".join([NOT] * words.negated + list(words.words))


def print_amount(mix: AmountSum) -> str:
    """An amount in its canonical form."""
    text = ""
    for factor, curve in mix.terms:
        sign = ("- " if factor < 0 else "+ ") if text else ("-" if factor < 0 else "")
        text += f"{' ' if text else ''}{sign}{_print_term(abs(factor), curve)}"
    return text


def _print_term(factor: float, curve: Curve | None) -> str:
    if curve is None:
        return print_number(factor)
    return ("" if factor == 1 else f"{print_number(factor)}*") + _print_curve(curve)


def _print_curve(curve: Curve) -> str:
    if isinstance(curve, Preset):
        return curve.name
    if isinstance(curve, Numbers):
        return print_numbers(curve)
    if isinstance(curve, RandomWeights):
        return print_random_weights(curve)
    settings = [f"seed = {curve.seed}"] + ([f"each = {KEY}"] if curve.per == KEY else [])
    bounds = [
        (name, bound) for name, bound in (("low", curve.low), ("high", curve.high)) if bound is not None
    ]
    if curve.distribution == UNIFORM:
        return f"{UNIFORM}({', '.join([*(print_amount(bound) for _, bound in bounds), *settings])})"
    assert curve.mean is not None
    parameters = [print_amount(curve.mean), print_number(curve.deviation)]
    cut = [f"{name} = {print_amount(bound)}" for name, bound in bounds]
    return f"{NORMAL}({', '.join([*parameters, *cut, *settings])})"


# --- names ---


def count_names(word: str) -> int:
    """How many names a word for names has in it."""
    return sum(any(c.isalnum() for c in part) for part in word.split("."))


@dataclass(frozen=True)
class Wildcard:
    """A word with stars, which has to fit a whole name: its parts between the stars, in order."""

    first: str
    between: tuple[str, ...]
    last: str

    def search(self, key: str) -> bool:
        """Whether it fits a key."""
        at, end = len(self.first), len(key) - len(self.last)
        if end < at or not key.startswith(self.first) or not key.endswith(self.last):
            return False
        for part in self.between:
            index = key.find(part, at, end)
            if index < 0:
                return False
            at = index + len(part)
        return True


def pattern_of(word: str, tool: str = "") -> re.Pattern[str] | Selector | Wildcard:
    """The matcher of a word for names, with a method `search`; see the top of this module."""
    if tool in (SUPERMERGER, EXTENDED):
        return re.compile(re.escape(word))
    if is_selector(word):
        return read_selector(word)
    if "*" in word:
        first, *between, last = word.split("*")
        return Wildcard(first, tuple(filter(None, between)), last)
    start = r"(?<!\d)" if word[:1].isdigit() else ""
    end = r"(?!\d)" if word[-1:].isdigit() else ""
    return re.compile(f"{start}{re.escape(word)}{end}")
