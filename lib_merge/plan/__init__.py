"""A recipe and the headers of its files -> what will happen to every key, with no tensor read."""

from lib_merge.plan.fold import (
    Application,
    Combination,
    Expression,
    Rounded,
    Source,
    in_words,
    is_elementwise,
    is_linear,
    models_of,
    resolved,
)
from lib_merge.plan.make import base_of, make_plan, replan, summaries
from lib_merge.plan.model import PIECE, STEP, KeyPlan, Plan
from lib_merge.plan.prediction import note_for_memory
from lib_merge.plan.render import plan_as_data, plan_as_text

__all__ = [
    "PIECE",
    "STEP",
    "Application",
    "Combination",
    "Expression",
    "KeyPlan",
    "Plan",
    "Rounded",
    "Source",
    "base_of",
    "in_words",
    "is_elementwise",
    "is_linear",
    "make_plan",
    "models_of",
    "note_for_memory",
    "plan_as_data",
    "plan_as_text",
    "replan",
    "resolved",
    "summaries",
]
