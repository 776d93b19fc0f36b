"""Search spaces: which numbers of a merge a search may change, and within which ranges.

    OUT04-OUT11: 0..1 step 0.05      # a number for each of these blocks
    IN: tied 0..1                    # one number for all blocks of the group
    OUT: by level 0..1               # one number for each resolution: OUT00-OUT02, OUT03-OUT05, ...
    M00: 0.3                         # this block stays at 0.3
    beta BASE: 0..0.5                # of another parameter than the first; M.beta names the step too
    GRAD_V: 0..1                     # the amount of every block is this number times the preset ...
    COSINE: 0..0.5                   # ... and several presets are added
    preset: GRAD_V | GRAD_A | ALL_B  # or one preset of these
    gamma: 0..2                      # any number that an axis of a grid sets: M.gamma, adjust contrast
    method: ties | dare              # or any of its words

An entry is `TARGET: VALUES` on a line of its own, or after `;`; `#` begins a comment. TARGET is blocks as in
rules (recipe/weights/rules.py), a preset, or an axis of a grid that changes the merge (grid/axes). VALUES is
what `ranges.py` reads. Of the entries that name a block the one that names the fewest blocks sets it, and on
a tie the last one. What no entry names stays as the recipe has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from lib_merge.errors import MergeError, PlanError, RecipeError
from lib_merge.limits import MAX_ENTRY, MAX_RULES, check_text
from lib_merge.search.ranges import FixedValue, Values, parse_values

MOST_ENTRIES = 200
SPACE_HINT = "such as 'OUT04-OUT11: 0..1 step 0.05; IN: tied 0..1; M00: 0.3'"


class Tie(Enum):
    """Which blocks of an entry share one number; the value is its text."""

    EACH = ""
    TIED = "tied"
    LEVELS = "by level"


@dataclass(frozen=True)
class SpaceEntry:
    """One line of a search space."""

    target: str
    values: Values
    tie: Tie = Tie.EACH

    def __str__(self) -> str:
        return f"{self.target}: {' '.join(filter(None, (self.tie.value, str(self.values))))}"


@dataclass(frozen=True)
class SearchSpace:
    """A search space as it is written; `bound.py` says what it means for one recipe."""

    entries: tuple[SpaceEntry, ...]

    def __str__(self) -> str:
        return "; ".join(map(str, self.entries))


def parse_space(text: str) -> SearchSpace:
    """The search space of a text; PlanError with the problems of all entries."""
    check_text(text, MAX_RULES, "this search space")
    entries: list[SpaceEntry] = []
    problems: list[MergeError] = []
    for where, entry in _written_entries(text):
        try:
            check_text(entry, MAX_ENTRY, "this entry")
            entries.append(_parse_entry(entry))
        except MergeError as problem:
            problems.append(type(problem)(problem.what, where=where, hint=problem.hint))
        if len(entries) > MOST_ENTRIES:
            raise RecipeError(f"there are more than {MOST_ENTRIES} entries", where=where, hint="use groups")
    if not entries and not problems:
        problems.append(RecipeError("the search space is empty", hint=SPACE_HINT))
    if problems:
        raise PlanError(problems)
    return SearchSpace(tuple(entries))


def _written_entries(text: str) -> Iterator[tuple[str, str]]:
    """Where each entry is, and its text."""
    for number, line in enumerate(text.split("\n"), 1):
        for entry in line.split("#", 1)[0].split(";"):
            if words := " ".join(entry.split()):
                yield f"line {number}: {words}", words


def _parse_entry(text: str) -> SpaceEntry:
    target, colon, rest = (part.strip() for part in text.partition(":"))
    if not colon or not target:
        raise RecipeError("it is not said what is searched", hint=f"TARGET: VALUES, {SPACE_HINT}")
    tie = next((tie for tie in (Tie.TIED, Tie.LEVELS) if f"{rest} ".startswith(f"{tie.value} ")), Tie.EACH)
    values = parse_values(rest.removeprefix(tie.value))
    if tie is not Tie.EACH and isinstance(values, FixedValue):
        raise RecipeError(f"'{tie.value}' needs a range", hint=f"{target}: {values} fixes all of them")
    return SpaceEntry(target, values, tie)
