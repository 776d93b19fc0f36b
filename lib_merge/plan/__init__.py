"""Plans a merge: from a recipe and the headers of its files, what happens to every key. Reads no tensor."""

from lib_merge.callables import make_callable
from lib_merge.plan.fold import (
    Application,
    Combination,
    Expression,
    Rounded,
    Source,
    is_elementwise,
    is_linear,
    models_of,
    render_expression,
    substitute_sources,
)
from lib_merge.plan.identify import base_index
from lib_merge.plan.make import make_plan, replan, slot_summaries
from lib_merge.plan.model import LINEAR_CHUNK, METHOD_CHUNK, KeyPlan, Plan
from lib_merge.plan.prediction import note_for_loaded_model
from lib_merge.plan.render import plan_to_dict, render_plan

__all__ = [
    "LINEAR_CHUNK",
    "METHOD_CHUNK",
    "Application",
    "Combination",
    "Expression",
    "KeyPlan",
    "Plan",
    "Rounded",
    "Source",
    "base_index",
    "is_elementwise",
    "is_linear",
    "make_plan",
    "models_of",
    "note_for_loaded_model",
    "plan_to_dict",
    "render_expression",
    "render_plan",
    "replan",
    "slot_summaries",
    "substitute_sources",
]

make_callable(__name__)  # `lib_merge.plan(...)` is a function of the public library too
