"""Resolves rules for the tensors of a model: which rule decides where, and the amount of each tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from lib_merge.architectures import Family, extended_name, slot_of
from lib_merge.errors import MergeError, RecipeError
from lib_merge.plan.block_words import BlockWords
from lib_merge.plan.random_amounts import (
    check_list,
    list_amount,
    normal_number,
    uniform_number,
    unit_uniform,
)
from lib_merge.recipe import Numbers, Rules
from lib_merge.recipe.weights.presets import preset_amounts
from lib_merge.recipe.weights.rules import (
    BLOCK,
    EXTENDED,
    INCLUDE,
    NORMAL,
    SUPERMERGER,
    UNTITLED,
    VAE_SLOT_ID,
    AmountSum,
    Curve,
    Divider,
    Preset,
    RandomAmount,
    Restriction,
    Rule,
    Target,
    count_names,
    pattern_of,
    print_line,
)
from lib_merge.recipe.weights.supermerger_random import RandomWeights


@dataclass(frozen=True)
class RuleStat:
    """What one rule does to a model.

    line  its number, counted from 1
    text  the rule in its canonical form
    hits  how many tensors it matches
    wins  for how many of those it decides the weight
    """

    line: int
    text: str
    hits: int
    wins: int


class RuleResolver:
    """Resolves rules for one family and the tensors of one model; every answer is cached.

    keys  every key of the model
    """

    def __init__(self, rules: Rules, family: Family, keys: Sequence[str]) -> None:
        self.rules, self.family, self.keys = rules, family, tuple(keys)
        self._slots = slots_by_key(family, self.keys)
        self._block_words = BlockWords(family)
        self._matching: dict[tuple[str, str], frozenset[str]] = {}
        self._winners: dict[str, Rule | None] = {}
        self._amounts: dict[tuple[AmountSum, str, str], float] = {}
        self._slots_of_targets: dict[tuple[Target, str], frozenset[str]] = {}

    def amount(self, slot: str, key: str = "") -> float:
        """The amount of a tensor, or without `key` that of the tensors of a slot that no rule names."""
        return self.amount_or_none(slot, key) or 0.0

    def amount_or_none(self, slot: str, key: str = "") -> float | None:
        """As `amount`, but None where no rule matches."""
        rule = self.winning_rule(slot, key)
        return None if rule is None else self._amount(rule.amount, slot, key)

    def is_excluded(self, slot: str, key: str = "") -> bool:
        """Whether `include` and `exclude` keep a tensor as in the first model."""
        restrictions = self.rules.restrictions
        keywords = [r.keyword for r in restrictions if self._in(r.target, slot, key)]
        included = INCLUDE in keywords or not any(r.keyword == INCLUDE for r in restrictions)
        return not included or any(keyword != INCLUDE for keyword in keywords)

    def winning_rule(self, slot: str, key: str = "") -> Rule | None:
        """The rule that decides the amount of a tensor; None where no rule matches it."""
        name = key or f"{slot}:"
        if name not in self._winners:
            rules = (self._most_specific(section, slot, key) for section in reversed(self.rules.sections))
            self._winners[name] = next((rule for rule in rules if rule is not None), None)
        return self._winners[name]

    @cached_property
    def per_key_slots(self) -> frozenset[str]:
        """Slots in which two tensors may have different amounts."""
        slots: set[str] = set()
        for rule in (rule for section in self.rules.sections for rule in section):
            if rule.target.names.words or rule.amount.is_per_key or rule.tool == EXTENDED:
                slots |= self._slots_of_rule(rule)
        for restriction in self.rules.restrictions:
            if restriction.target.names.words:
                slots |= self._blocks(restriction.target)
        return frozenset(slots)

    def rule_stats(self) -> Iterator[RuleStat]:
        """The statistics of every rule, in order; `include` and `exclude` decide all that they match."""
        for number, line in enumerate(self.rules.lines, 1):
            if not isinstance(line, Divider):
                matches = list(self._matches(line))
                wins = len(matches)
                if isinstance(line, Rule):
                    wins = sum(self.winning_rule(slot, key) is line for slot, key in matches)
                yield RuleStat(number, print_line(line), len(matches), wins)

    def _matches(self, line: Rule | Restriction) -> Iterator[tuple[str, str]]:
        """Slot and key of every tensor that a line matches."""
        for key, slot in self._slots.items():
            if (
                self._in(line.target, slot, key)
                if isinstance(line, Restriction)
                else self._hits(line, slot, key)
            ):
                yield slot, key

    def _matches_any(self, line: Rule | Restriction) -> bool:
        """Whether a line matches any tensor."""
        tool = line.tool if isinstance(line, Rule) else ""
        if line.target.names.words or tool == EXTENDED:
            return any(self._matches(line))
        slots = self._blocks(line.target, tool)
        return bool(slots & set(self._slots.values()))

    def problems(self, where: str) -> Iterator[MergeError]:
        """Blocks and presets that the family does not have; if there are none, rules that match nothing."""
        has_problems = False
        for line in self.rules.lines:
            try:
                if isinstance(line, (Rule, Restriction)):
                    self._blocks(line.target, line.tool if isinstance(line, Rule) else "")
                if isinstance(line, Rule):
                    self._check_amount(line.amount)
            except MergeError as problem:
                has_problems = True
                line_text = f"{where}: {print_line(line)}"
                yield RecipeError(problem.what, where=line_text, hint=problem.hint)
        for line in () if has_problems else self.rules.lines:
            if not isinstance(line, Divider) and not line.target.optional and not self._matches_any(line):
                text = print_line(line)
                what = f"this rule matches no tensor of {self.family.title}"
                yield RecipeError(what, where=f"{where}: {text}", hint=self._hint(text))

    def notes(self) -> Iterator[str]:
        """Notes on optional rules that match nothing, or name blocks that the family does not have."""
        for line in self.rules.lines:
            if isinstance(line, Rule) and line.target.optional:
                unknown = self._block_words.unknown(line.target.blocks, line.tool)
                if not self._matches_any(line):
                    what = f"a rule matches no tensor of {self.family.title} and is skipped"
                    yield f"{what}: {print_line(line)}"
                elif unknown:
                    has = f"{self.family.title} has no block {', '.join(unknown)}"
                    yield f"{has}, which is skipped in a rule: {print_line(line)}"

    def _hint(self, text: str) -> str:
        uppercase = text.split(":")[0].strip().upper()
        if uppercase in self._block_words.slots_by_word:
            return f"did you mean '{uppercase}'? Block names are uppercase"
        return "rules name blocks (OUT05, IN04-IN08), groups (OUT, TEXT) or parts of tensor names (attn1)"

    # --- which tensors ---

    def _most_specific(self, section: Sequence[Rule], slot: str, key: str) -> Rule | None:
        """The rule of one section that decides the amount of a tensor; None where none matches."""
        matching = [(number, rule) for number, rule in enumerate(section) if self._hits(rule, slot, key)]
        if not matching:
            return None
        tool = matching[0][1].tool
        if tool in (SUPERMERGER, EXTENDED):
            return matching[-1][1]
        if (
            tool == UNTITLED
        ):  # the one with the fewest tensors, and on a tie the first: so does UntitledMerger
            return min(matching, key=lambda entry: (self._count(entry[1]), entry[0]))[1]
        return max(matching, key=lambda entry: (*self._rank(entry[1].target, key), entry[0]))[1]

    def _rank(self, target: Target, key: str) -> tuple[int, int]:
        """How specific a target is, as the module recipe.weights.rules defines it."""
        names = target.names
        if names.negated or not names.words:
            return int(names.negated), self._block_words.rank(target.blocks)
        counts = [count_names(word) for word in names.words if key in self._keys_with(word)]
        return max(counts, default=0), self._block_words.rank(target.blocks)

    def _hits(self, rule: Rule, slot: str, key: str) -> bool:
        if rule.tool == EXTENDED:
            allowed = slot != VAE_SLOT_ID or rule.target.names_vae
            return allowed and self._in(rule.target, slot, key, rule.tool)
        if rule.tool:
            return slot != VAE_SLOT_ID and self._in(rule.target, slot, key, rule.tool)
        if slot == VAE_SLOT_ID and not rule.target.names_vae:
            return False
        return self._in(rule.target, slot, key)

    def _in(self, target: Target, slot: str, key: str, tool: str = "") -> bool:
        if slot not in self._blocks(target, tool):
            return False
        by_extended_name = tool == EXTENDED and bool(target.blocks.words)
        if by_extended_name and extended_name(key) not in self._block_words.extended_names(target):
            return False
        names = target.names
        if not names.words:
            return not names.negated
        return bool(key) and any(key in self._keys_with(word, tool) for word in names.words) != names.negated

    def _keys_with(self, word: str, tool: str = "") -> frozenset[str]:
        if (word, tool) not in self._matching:
            self._matching[word, tool] = keys_matching(word, tool, self.keys)
        return self._matching[word, tool]

    def _count(self, rule: Rule) -> int:
        return len(self._keys_with(rule.target.names.words[0], rule.tool))

    def _slots_of_rule(self, rule: Rule) -> frozenset[str]:
        slots = self._blocks(rule.target, rule.tool)
        with_vae = rule.target.names_vae and rule.tool in ("", EXTENDED)
        return slots if with_vae else slots - {VAE_SLOT_ID}

    # --- which blocks ---

    def _blocks(self, target: Target, tool: str = "") -> frozenset[str]:
        """The slots of a target's words for blocks; without words, every slot."""
        cache_key = (target, tool)
        if cache_key not in self._slots_of_targets and tool == EXTENDED and target.blocks.words:
            parts = self._block_words.extended_names(target)
            self._slots_of_targets[cache_key] = frozenset(
                s for key, s in self._slots.items() if extended_name(key) in parts
            )
        if cache_key not in self._slots_of_targets:
            words = target.blocks.words
            skipped = self._block_words.unknown(target.blocks, tool) if target.optional else ()
            slots_of, all_slots = self._block_words.slots_of, self._block_words.all_slots
            slots = frozenset[str]().union(*(slots_of(word, tool) for word in words if word not in skipped))
            inside = all_slots - slots if target.blocks.negated else slots
            self._slots_of_targets[cache_key] = inside if words else all_slots
        return self._slots_of_targets[cache_key]

    # --- amounts ---

    @cached_property
    def _first_of(self) -> dict[str, str]:
        """The first tensor of every slot."""
        return {slot: key for key, slot in reversed(list(self._slots.items()))}

    def _amount(self, amount: AmountSum, slot: str, key: str) -> float:
        own_key = key if amount.is_per_key else ""
        cache_key = (amount, slot, own_key)
        if cache_key not in self._amounts:
            terms = amount.terms
            self._amounts[cache_key] = sum(f * self._curve(c, slot, own_key) if c else f for f, c in terms)
        return self._amounts[cache_key]

    def _curve(self, curve: Curve, slot: str, key: str) -> float:
        if isinstance(curve, Preset):
            return preset_amounts(curve.name, self.family)[slot]
        if isinstance(curve, (Numbers, RandomWeights)):
            return list_amount(curve, self.family, slot, key or self._first_of.get(slot, ""))
        return self._random(curve, slot, key)

    def _random(self, random: RandomAmount, slot: str, key: str) -> float:
        quantile = unit_uniform(random.seed, slot if random.per == BLOCK else key or slot)
        low, high = (bound and self._amount(bound, slot, key) for bound in (random.low, random.high))
        if random.distribution != NORMAL:
            assert low is not None
            assert high is not None
            return uniform_number(quantile, low, high)
        assert random.mean is not None
        return normal_number(quantile, self._amount(random.mean, slot, key), random.deviation, low, high)

    def _check_amount(self, amount: AmountSum) -> None:
        """Raises RecipeError for presets and lists that the family does not have."""
        for _, curve in amount.terms:
            if isinstance(curve, Preset):
                preset_amounts(curve.name, self.family)
            elif isinstance(curve, (Numbers, RandomWeights)):
                check_list(curve, self.family)
            elif isinstance(curve, RandomAmount):
                for part in filter(None, (curve.low, curve.high, curve.mean)):
                    self._check_amount(part)


@lru_cache(maxsize=256)
def keys_matching(word: str, tool: str, keys: tuple[str, ...]) -> frozenset[str]:
    """The keys that a word for names matches; cached, since moving a fader does not change them."""
    pattern = pattern_of(word, tool)
    return frozenset(key for key in keys if pattern.search(key))


@lru_cache(maxsize=8)
def slots_by_key(family: Family, keys: tuple[str, ...]) -> Mapping[str, str]:
    """Key -> its slot, "" for a key that is in none."""
    return {key: slot_of(family, key) or "" for key in keys}
