"""The first pass: aligns the ingredients that a recipe says are aligned, and reads them rearranged."""

from __future__ import annotations

from collections.abc import Sequence

from lib_merge.checkpoint import Checkpoint
from lib_merge.errors import StoppedError
from lib_merge.plan import Plan, models_of
from lib_merge.progress import Progress
from lib_merge.rebasin import Alignments, ArrangedCheckpoint, Solution


def align_ingredients(
    plan: Plan, checkpoints: Sequence[Checkpoint], alignments: Alignments, progress: Progress, device: str
) -> list[Checkpoint]:
    """The plan's checkpoints, those of aligned ingredients rearranged.

    An alignment depends on the files and the recipe alone, not on which keys are computed now. Raises
    StoppedError where `progress` says so: a recipe means the complete search.
    """
    arranged = list(checkpoints)
    for number in _wanted(plan):
        solution = solve(plan, number, checkpoints, alignments, progress, device)
        if solution.stopped:
            raise StoppedError("stopped; nothing was written")
        if solution.arrangements:
            arranged[number] = ArrangedCheckpoint(checkpoints[number], solution.groups, solution.arrangements)
    return arranged


def solve(
    plan: Plan,
    number: int,
    checkpoints: Sequence[Checkpoint],
    alignments: Alignments,
    progress: Progress,
    device: str,
) -> Solution:
    """The alignment of the ingredient with that index, which must be an aligned one."""
    by_name = {ingredient.name: index for index, ingredient in enumerate(plan.recipe.ingredients)}
    alignment = plan.recipe.ingredients[number].alignment
    assert alignment is not None
    source, target = (checkpoints[by_name[name]] for name in (alignment.solved_ingredient, alignment.to))
    return alignments.of(plan.identity.family, source, target, alignment.options, progress, device=device)


def _wanted(plan: Plan) -> list[int]:
    expressions = {entry.expression for entry in plan.keys if entry.expression is not None}
    read = frozenset[int]().union(*map(models_of, expressions))
    ingredients = plan.recipe.ingredients
    return [n for n in sorted(read) if n < len(ingredients) and ingredients[n].alignment is not None]
