"""The pass before all others: a recipe's aligned ingredients are looked at whole, and then seen arranged."""

from __future__ import annotations

from collections.abc import Sequence

from lib_merge.checkpoint import Checkpoint
from lib_merge.errors import StoppedError
from lib_merge.plan import Plan, models_of
from lib_merge.progress import Progress
from lib_merge.rebasin import Alignments, ArrangedCheckpoint, Solution


def aligned(
    plan: Plan, checkpoints: Sequence[Checkpoint], alignments: Alignments, progress: Progress, device: str
) -> list[Checkpoint]:
    """The plan's files, those that are aligned as they come out of it.

    What is found depends on the files and the recipe alone, not on which keys are wanted now. Raises
    StoppedError where `progress` asks for it: a recipe means the whole search.
    """
    found = list(checkpoints)
    for number in _wanted(plan):
        solution = solve(plan, number, checkpoints, alignments, progress, device)
        if solution.stopped:
            raise StoppedError("stopped; nothing was written")
        if solution.arrangements:
            found[number] = ArrangedCheckpoint(checkpoints[number], solution.groups, solution.arrangements)
    return found


def solve(
    plan: Plan,
    number: int,
    checkpoints: Sequence[Checkpoint],
    alignments: Alignments,
    progress: Progress,
    device: str,
) -> Solution:
    """The solution for the ingredient of that number, which is an aligned one."""
    by_name = {each.name: each_number for each_number, each in enumerate(plan.recipe.ingredients)}
    asked = plan.recipe.ingredients[number].aligned
    assert asked is not None
    source, target = (checkpoints[by_name[name]] for name in (asked.solved, asked.to))
    return alignments.of(plan.identity.family, source, target, asked.options, progress, device=device)


def _wanted(plan: Plan) -> list[int]:
    expressions = {entry.expression for entry in plan.keys if entry.expression is not None}
    read = frozenset[int]().union(*map(models_of, expressions))
    ingredients = plan.recipe.ingredients
    return [n for n in sorted(read) if n < len(ingredients) and ingredients[n].aligned is not None]
