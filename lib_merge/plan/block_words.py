"""The words for blocks in rules, for one family: which slots a block, a group or a range names."""

from __future__ import annotations

from functools import cached_property, lru_cache

from lib_merge.architectures import EXTENDED_NAMES, Component, Family, layout_by_name, read_numbers
from lib_merge.errors import RecipeError, did_you_mean
from lib_merge.plan.random_amounts import require_extended
from lib_merge.recipe.weights.rules import EXTENDED, FINAL, SUPERMERGER, Target, WordSet

COMPONENTS = {"UNET": Component.UNET, "TEXT": Component.TEXT}
LAST_SLOT = "OUT"  # the slot of the last convolution; the word also means all output blocks
EVERYWHERE, COMPONENT, SEVERAL, ONE = range(4)  # how specific the blocks of a target are


class BlockWords:
    """The words for blocks that rules for a family may use."""

    def __init__(self, family: Family) -> None:
        self.family = family

    @cached_property
    def all_slots(self) -> frozenset[str]:
        """The id of every slot of the family."""
        return frozenset(slot.id for slot in self.family.slots)

    @cached_property
    def single_blocks(self) -> frozenset[str]:
        """Words for one block. A word for several slots is a group, also where lists of numbers have it."""
        words = (word for word, slots in self.slots_by_word.items() if len(slots) == 1)
        return frozenset(words) - COMPONENTS.keys()

    @cached_property
    def slots_by_word(self) -> dict[str, frozenset[str]]:
        """Every word for blocks -> its slots."""
        slots_by_word = {slot: frozenset({slot}) for slot in self.all_slots}
        slots_by_word |= {group: frozenset(slots) for group, slots in self.family.groups.items()}
        for word, component in COMPONENTS.items():
            slots_by_word[word] = frozenset(s.id for s in self.family.slots if s.component is component)
        numbered = {slot: slot.rstrip("0123456789") for slot in self.all_slots if slot[-1:].isdigit()}
        for word in set(numbered.values()):
            blocks = frozenset(slot for slot, stem in numbered.items() if stem == word)
            if word == LAST_SLOT and word in self.all_slots:
                slots_by_word[FINAL] = slots_by_word[word]
            slots_by_word[word] = slots_by_word.get(word, frozenset[str]()) | blocks
        if "M00" in slots_by_word:
            slots_by_word["MID"] = slots_by_word["M00"]
        return slots_by_word

    def rank(self, blocks: WordSet) -> int:
        """How specific the blocks of a target are, as the module recipe.weights.rules defines it."""
        words = blocks.words
        if not words:
            return EVERYWHERE
        if len(words) == 1 and not blocks.negated:
            return ONE if words[0] in self.single_blocks else COMPONENT if words[0] in COMPONENTS else SEVERAL
        return SEVERAL

    def slots_of(self, word: str, tool: str) -> frozenset[str]:
        """The slots of one word: a block, a group or a range; RecipeError for a word that is none."""
        if word in self.slots_by_word:
            return self._with_following(word) if tool == SUPERMERGER else self.slots_by_word[word]
        first, dash, last = word.partition("-")
        order = [name for name in self.family.listed_names if name]
        if dash and first in order and last in order:
            start, stop = sorted((order.index(first), order.index(last)))
            names = order[start : stop + 1]
            return frozenset[str]().union(*(self.slots_of(name, tool) for name in names))
        names = list(dict.fromkeys([*order, *self.slots_by_word]))
        unknown = next((part for part in (first, last) if dash and part not in order), word)
        raise RecipeError(f"{self.family.title} has no block '{unknown}'", hint=did_you_mean(unknown, names))

    def _with_following(self, word: str) -> frozenset[str]:
        """The block, and what SuperMerger merges with it: TIME with the first, FINAL with the last."""
        marks = dict.fromkeys(self.family.listed_names, 0.0) | {word: 1.0}
        numbers = [marks[name] for name in self.family.listed_names]
        if word not in self.family.listed_names:
            return self.slots_by_word[word]
        spread = read_numbers(numbers, self.family, layout_by_name(SUPERMERGER), base=0.0)
        return frozenset(slot for slot, mark in spread.items() if mark)

    def unknown(self, blocks: WordSet, tool: str) -> list[str]:
        """The words for single blocks that this family does not have."""
        names = EXTENDED_NAMES if tool == EXTENDED else self.slots_by_word
        return [word for word in blocks.words if "-" not in word and word not in names]

    def extended_names(self, target: Target) -> frozenset[str]:
        """SuperMerger's extended names of a target's words for blocks."""
        require_extended(self.family, "this entry has extended names")
        blocks = target.blocks
        skipped = self.unknown(blocks, EXTENDED) if target.optional else ()
        names = tuple(word for word in blocks.words if word not in skipped)
        return extended_parts(WordSet(names, blocks.negated))


@lru_cache(maxsize=256)
def extended_parts(words: WordSet) -> frozenset[str]:
    """The extended names of words: single names, ranges in the order of the list, or all but these."""
    names: set[str] = set()
    for word in words.words:
        ends = word.split("-", 1)
        unknown = next((end for end in ends if end not in EXTENDED_NAMES), None)
        if unknown is not None:
            hint = did_you_mean(unknown, EXTENDED_NAMES) or "IN40, IN410-IN411, MID103, OUT22"
            raise RecipeError(f"SuperMerger has no extended name '{unknown}'", hint=hint)
        start, stop = sorted(map(EXTENDED_NAMES.index, (ends[0], ends[-1])))
        names.update(EXTENDED_NAMES[start : stop + 1])
    return frozenset(EXTENDED_NAMES) - names if words.negated else frozenset(names)
