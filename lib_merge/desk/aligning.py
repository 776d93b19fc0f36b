"""The tick *Align to A first*: finds how B lies in A once, and says what that came to."""

from __future__ import annotations

from lib_merge.desk.handlers import Choice, Desk
from lib_merge.desk.view import said
from lib_merge.execute import opened
from lib_merge.execute.alignment import solve
from lib_merge.rebasin.report import AlignmentReport, report_of

COST = "LoRAs trained on {} do not fit the result; those of A do."


def alignment_note(desk: Desk, choice: Choice) -> str:
    """What stands beside the tick: a sentence for each model that is aligned; an error in its own words."""
    if not (choice.align and choice.a and choice.b):
        return ""
    try:
        return " ".join(_sentence(name, report) for name, report in reports_of(desk, choice).items())
    except Exception as error:
        problem = said(error)
        return " ".join(filter(None, (f"Not aligned: {problem.what}.", problem.where, problem.hint)))


def reports_of(desk: Desk, choice: Choice) -> dict[str, AlignmentReport]:
    """A report for each model that is looked at, by its name. What is found is kept for the merges."""
    plan = desk.mixer.plan(desk.body(choice, {}))
    found: dict[str, AlignmentReport] = {}
    with desk.mixer.host.job("Merge Desk: aligning") as progress, opened(plan, mapped=True) as checkpoints:
        for number, each in enumerate(plan.recipe.ingredients):
            if each.aligned is not None and not each.aligned.by:
                alignments, device = desk.mixer.session.alignments, desk.mixer.host.device()
                solution = solve(plan, number, checkpoints, alignments, progress, device)
                found[each.aligned.source] = report_of(solution)
                if solution.stopped:
                    break
    return found


def _sentence(name: str, report: AlignmentReport) -> str:
    if report.stopped:
        return f"{name}: stopped; so far {report.verdict}. The next move begins the search anew."
    if report.is_aligned:
        return f"{name} is {report.verdict}."
    left = f" {len(report.left_out)} groups were left out." if report.left_out else ""
    return f"{name}: {report.verdict}.{left} {COST.format(name)}"
