"""Rules laid over the tensors of a model: which rule wins where, and what each tensor ends with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from lib_merge.architectures import (
    EXTENDED_NAMES,
    Component,
    Family,
    extended_name,
    layout_by_name,
    read_numbers,
    slot_of,
)
from lib_merge.errors import MergeError, RecipeError, did_you_mean
from lib_merge.plan.draws import check_list, listed, normal, require_extended, share_of, uniform
from lib_merge.recipe.dice import Dice
from lib_merge.recipe.numbers import Numbers
from lib_merge.recipe.presets import curve
from lib_merge.recipe.rules import (
    BLOCK,
    EXTENDED,
    FINAL,
    INCLUDE,
    NORMAL,
    SUPERMERGER,
    UNTITLED,
    VAE,
    Bound,
    Curve,
    Divider,
    Drawn,
    Mix,
    Preset,
    Rule,
    Rules,
    Target,
    Words,
    count_names,
    pattern_of,
    print_line,
)

COMPONENTS = {"UNET": Component.UNET, "TEXT": Component.TEXT}
LAST_SLOT = "OUT"  # the slot of the last convolution, which shares its name with the blocks of the way up
EVERYWHERE, PART, SEVERAL, ONE = range(4)  # how specific the blocks of a target are


@dataclass(frozen=True)
class Hit:
    """What one rule does to a model.

    hits  how many tensors are its; wins  for how many of them it has the last word
    """

    line: int
    text: str
    hits: int
    wins: int


class Ruler:
    """Rules for one family and the tensors of one model."""

    def __init__(self, rules: Rules, family: Family, keys: Sequence[str]) -> None:
        self.rules, self.family, self.keys = rules, family, tuple(keys)
        self._slots = slots_of(family, self.keys)
        self._named: dict[tuple[str, str], frozenset[str]] = {}
        self._found: dict[str, Rule | None] = {}
        self._amounts: dict[tuple[Mix, str, str], float] = {}
        self._spans: dict[tuple[Target, str], frozenset[str]] = {}

    def at(self, slot: str, key: str = "") -> float:
        """The amount of a tensor, or without one of those tensors of a slot that no rule names."""
        return self.of(slot, key) or 0.0

    def of(self, slot: str, key: str = "") -> float | None:
        """The same, None for what no rule hits."""
        rule = self.winner(slot, key)
        return None if rule is None else self._amount(rule.amount, slot, key)

    def keeps(self, slot: str, key: str = "") -> bool:
        """Whether `include` and `exclude` leave a tensor as it is."""
        hit = [bound.word for bound in self.rules.bounds if self._in(bound.target, slot, key)]
        wanted = INCLUDE in hit or not any(bound.word == INCLUDE for bound in self.rules.bounds)
        return not wanted or any(word != INCLUDE for word in hit)

    def winner(self, slot: str, key: str = "") -> Rule | None:
        """The rule that has the last word on a tensor."""
        place = key or f"{slot}:"
        if place not in self._found:
            found = (self._strongest(section, slot, key) for section in reversed(self.rules.sections))
            self._found[place] = next((rule for rule in found if rule is not None), None)
        return self._found[place]

    @cached_property
    def by_key(self) -> frozenset[str]:
        """Slots whose tensors may end with different amounts."""
        found: set[str] = set()
        for rule in (rule for section in self.rules.sections for rule in section):
            if rule.target.names.words or rule.amount.by_key or rule.tool == EXTENDED:
                found |= self._slots_of_rule(rule)
        for bound in self.rules.bounds:
            if bound.target.names.words:
                found |= self._blocks(bound.target)
        return frozenset(found)

    def tally(self) -> Iterator[Hit]:
        """What every rule does, in the order of the rules; `include` and `exclude` win all that they hit."""
        for number, line in enumerate(self.rules.lines, 1):
            if not isinstance(line, Divider):
                hit = list(self._reached(line))
                bound = isinstance(line, Bound)
                wins = len(hit) if bound else sum(self.winner(slot, key) is line for slot, key in hit)
                yield Hit(number, print_line(line), len(hit), wins)

    def _reached(self, line: Rule | Bound) -> Iterator[tuple[str, str]]:
        """Slot and key of every tensor that a line hits."""
        for key, slot in self._slots.items():
            if self._in(line.target, slot, key) if isinstance(line, Bound) else self._hits(line, slot, key):
                yield slot, key

    def _reaches(self, line: Rule | Bound) -> bool:
        """Whether a line hits anything."""
        tool = line.tool if isinstance(line, Rule) else ""
        if line.target.names.words or tool == EXTENDED:
            return any(self._reached(line))
        wanted = self._blocks(line.target, tool)
        return bool(wanted & set(self._slots.values()))

    def problems(self, where: str) -> Iterator[MergeError]:
        """Blocks and presets that the family does not have, and rules that hit nothing."""
        found = False
        for line in self.rules.lines:
            try:
                if isinstance(line, (Rule, Bound)):
                    self._blocks(line.target, line.tool if isinstance(line, Rule) else "")
                if isinstance(line, Rule):
                    self._check_mix(line.amount)
            except MergeError as problem:
                found = True
                at = f"{where}: {print_line(line)}"
                yield RecipeError(problem.what, where=at, hint=problem.hint)
        for line in () if found else self.rules.lines:
            if not isinstance(line, Divider) and not line.target.optional and not self._reaches(line):
                text = print_line(line)
                what = f"this rule hits no tensor of {self.family.title}"
                yield RecipeError(what, where=f"{where}: {text}", hint=self._hint(text))

    def notes(self) -> Iterator[str]:
        """The optional rules that hit nothing, and the words in them that are no block of the family."""
        for line in self.rules.lines:
            if isinstance(line, Rule) and line.target.optional:
                odd = self._odd_blocks(line.target.blocks, line.tool)
                if not self._reaches(line):
                    what = f"a rule hits no tensor of {self.family.title} and is passed over"
                    yield f"{what}: {print_line(line)}"
                elif odd:
                    has = f"{self.family.title} has no block {', '.join(odd)}"
                    yield f"{has}, which is passed over in a rule: {print_line(line)}"

    def _odd_blocks(self, blocks: Words, tool: str) -> list[str]:
        """The words for single blocks that mean nothing in this family."""
        known = EXTENDED_NAMES if tool == EXTENDED else self._known
        return [word for word in blocks.words if "-" not in word and word not in known]

    def _hint(self, text: str) -> str:
        capital = text.split(":")[0].strip().upper()
        if capital in self._known:
            return f"did you mean '{capital}'? Blocks are written in capitals"
        return "merge-desk rules TEXT FILE tells what each rule hits"

    # --- which tensors ---

    def _strongest(self, section: Sequence[Rule], slot: str, key: str) -> Rule | None:
        hit = [(place, rule) for place, rule in enumerate(section) if self._hits(rule, slot, key)]
        if not hit:
            return None
        tool = hit[0][1].tool
        if tool in (SUPERMERGER, EXTENDED):
            return hit[-1][1]
        if tool == UNTITLED:  # of equals the first, as it sorts them
            return min(hit, key=lambda each: (self._count(each[1]), each[0]))[1]
        return max(hit, key=lambda each: (*self._rank(each[1].target, key), each[0]))[1]

    def _rank(self, target: Target, key: str) -> tuple[int, int]:
        names = target.names
        if names.negated or not names.words:
            return int(names.negated), self._blocks_rank(target)
        fitting = [count_names(word) for word in names.words if key in self._keys_with(word)]
        return max(fitting, default=0), self._blocks_rank(target)

    def _blocks_rank(self, target: Target) -> int:
        words = target.blocks.words
        if not words:
            return EVERYWHERE
        if len(words) == 1 and not target.blocks.negated:
            single = words[0] in self._single
            return ONE if single else PART if words[0] in COMPONENTS else SEVERAL
        return SEVERAL

    def _hits(self, rule: Rule, slot: str, key: str) -> bool:
        if rule.tool == EXTENDED:
            named = slot != VAE or rule.target.asks_for_vae
            return named and self._in(rule.target, slot, key, rule.tool)
        if rule.tool:
            return slot != VAE and self._in(rule.target, slot, key, rule.tool)
        if slot == VAE and not rule.target.asks_for_vae:
            return False
        return self._in(rule.target, slot, key)

    def _in(self, target: Target, slot: str, key: str, tool: str = "") -> bool:
        if slot not in self._blocks(target, tool):
            return False
        if tool == EXTENDED and target.blocks.words and extended_name(key) not in self._parts(target):
            return False
        names = target.names
        if not names.words:
            return not names.negated
        return bool(key) and any(key in self._keys_with(word, tool) for word in names.words) != names.negated

    def _keys_with(self, word: str, tool: str = "") -> frozenset[str]:
        if (word, tool) not in self._named:
            self._named[word, tool] = keys_with(word, tool, self.keys)
        return self._named[word, tool]

    def _count(self, rule: Rule) -> int:
        return len(self._keys_with(rule.target.names.words[0], rule.tool))

    def _slots_of_rule(self, rule: Rule) -> frozenset[str]:
        found = self._blocks(rule.target, rule.tool)
        asked = rule.target.asks_for_vae and rule.tool in ("", EXTENDED)
        return found if asked else found - {VAE}

    # --- which blocks ---

    @cached_property
    def _all(self) -> frozenset[str]:
        return frozenset(slot.id for slot in self.family.slots)

    @cached_property
    def _first_of(self) -> dict[str, str]:
        """The first tensor of every slot."""
        return {slot: key for key, slot in reversed(list(self._slots.items()))}

    @cached_property
    def _single(self) -> frozenset[str]:
        """Words for one block; a word that means several slots is a group, whatever a list calls it."""
        found = (word for word, slots in self._known.items() if len(slots) == 1)
        return frozenset(found) - COMPONENTS.keys()

    @cached_property
    def _known(self) -> dict[str, frozenset[str]]:
        """Every word for blocks and the slots that it means."""
        known = {slot: frozenset({slot}) for slot in self._all}
        known |= {group: frozenset(slots) for group, slots in self.family.groups.items()}
        for word, component in COMPONENTS.items():
            known[word] = frozenset(s.id for s in self.family.slots if s.component is component)
        numbered = {slot: slot.rstrip("0123456789") for slot in self._all if slot[-1:].isdigit()}
        for word in set(numbered.values()):
            blocks = frozenset(slot for slot, stem in numbered.items() if stem == word)
            if word == LAST_SLOT and word in self._all:
                known[FINAL] = known[word]
            known[word] = known.get(word, frozenset[str]()) | blocks
        if "M00" in known:
            known["MID"] = known["M00"]
        return known

    def _blocks(self, target: Target, tool: str = "") -> frozenset[str]:
        """The slots that a target's words for blocks mean; no words at all mean every slot."""
        known = (target, tool)
        if known not in self._spans and tool == EXTENDED and target.blocks.words:
            parts = self._parts(target)
            self._spans[known] = frozenset(s for key, s in self._slots.items() if extended_name(key) in parts)
        if known not in self._spans:
            words = target.blocks.words
            passed = self._odd_blocks(target.blocks, tool) if target.optional else ()
            found = frozenset[str]().union(*(self._word(word, tool) for word in words if word not in passed))
            inside = self._all - found if target.blocks.negated else found
            self._spans[known] = inside if words else self._all
        return self._spans[known]

    def _parts(self, target: Target) -> frozenset[str]:
        """SuperMerger's extended names that a target's words for blocks mean."""
        require_extended(self.family, "this is an entry of extended names")
        blocks = target.blocks
        passed = self._odd_blocks(blocks, EXTENDED) if target.optional else ()
        known = tuple(word for word in blocks.words if word not in passed)
        return extended_parts(Words(known, blocks.negated))

    def _word(self, word: str, tool: str) -> frozenset[str]:
        if word in self._known:
            return self._followed(word) if tool == SUPERMERGER else self._known[word]
        first, dash, last = word.partition("-")
        order = [name for name in self.family.numbers if name]
        if dash and first in order and last in order:
            start, stop = sorted((order.index(first), order.index(last)))
            names = order[start : stop + 1]
            return frozenset[str]().union(*(self._word(name, tool) for name in names))
        known = list(dict.fromkeys([*order, *self._known]))
        odd = next((part for part in (first, last) if dash and part not in order), word)
        raise RecipeError(f"{self.family.title} has no block '{odd}'", hint=did_you_mean(odd, known))

    def _followed(self, word: str) -> frozenset[str]:
        """With what SuperMerger counts to a block: TIME to the first, the last convolution to the last."""
        marks = dict.fromkeys(self.family.numbers, 0.0) | {word: 1.0}
        numbers = [marks[name] for name in self.family.numbers]
        if word not in self.family.numbers:
            return self._known[word]
        spread = read_numbers(numbers, self.family, layout_by_name(SUPERMERGER), base=0.0)
        return frozenset(slot for slot, mark in spread.items() if mark)

    # --- how much ---

    def _amount(self, mix: Mix, slot: str, key: str) -> float:
        place = key if mix.by_key else ""
        known = (mix, slot, place)
        if known not in self._amounts:
            terms = mix.terms
            self._amounts[known] = sum(f * self._curve(c, slot, place) if c else f for f, c in terms)
        return self._amounts[known]

    def _curve(self, found: Curve, slot: str, key: str) -> float:
        if isinstance(found, Preset):
            return curve(found.name, self.family)[slot]
        if isinstance(found, (Numbers, Dice)):
            return listed(found, self.family, slot, key or self._first_of.get(slot, ""))
        return self._drawn(found, slot, key)

    def _drawn(self, drawn: Drawn, slot: str, key: str) -> float:
        share = share_of(drawn.seed, slot if drawn.each == BLOCK else key or slot)
        low, high = (m and self._amount(m, slot, key) for m in (drawn.low, drawn.high))
        if drawn.kind != NORMAL:
            assert low is not None
            assert high is not None
            return uniform(share, low, high)
        assert drawn.mean is not None
        return normal(share, self._amount(drawn.mean, slot, key), drawn.deviation, low, high)

    def _check_mix(self, mix: Mix) -> None:
        for _, found in mix.terms:
            if isinstance(found, Preset):
                curve(found.name, self.family)
            elif isinstance(found, (Numbers, Dice)):
                check_list(found, self.family)
            elif isinstance(found, Drawn):
                for part in filter(None, (found.low, found.high, found.mean)):
                    self._check_mix(part)


@lru_cache(maxsize=256)
def extended_parts(words: Words) -> frozenset[str]:
    """The extended names behind words for them: names, ranges in the order of the list, or all but these."""
    found: set[str] = set()
    for word in words.words:
        ends = word.split("-", 1)
        odd = next((end for end in ends if end not in EXTENDED_NAMES), None)
        if odd is not None:
            hint = did_you_mean(odd, EXTENDED_NAMES) or "IN40, IN410-IN411, MID103, OUT22"
            raise RecipeError(f"SuperMerger has no extended name '{odd}'", hint=hint)
        start, stop = sorted(map(EXTENDED_NAMES.index, (ends[0], ends[-1])))
        found.update(EXTENDED_NAMES[start : stop + 1])
    return frozenset(EXTENDED_NAMES) - found if words.negated else frozenset(found)


@lru_cache(maxsize=256)
def keys_with(word: str, tool: str, keys: tuple[str, ...]) -> frozenset[str]:
    """The keys that a word for names hits; remembered, since a fader's move leaves them alone."""
    found = pattern_of(word, tool)
    return frozenset(key for key in keys if found.search(key))


@lru_cache(maxsize=8)
def slots_of(family: Family, keys: tuple[str, ...]) -> Mapping[str, str]:
    """Every key's slot, "" for what lies outside of all."""
    return {key: slot_of(family, key) or "" for key in keys}
