"""Rules for block weights over HTTP."""

from __future__ import annotations

from dataclasses import dataclass

from lib_merge.architectures import DEFAULT_LAYOUT
from lib_merge.desk.route import route, unknown_names_as_404
from lib_merge.plan.explain import RuleReport, explain_for_header
from lib_merge.recipe import read_weights
from lib_merge.recipe.options import WEIGHTS_OPTION
from lib_merge.service.services import Services


@dataclass(frozen=True)
class RulesRequest:
    """Block weights to try on a model.

    a        the model
    weights  numbers by block, or rules
    layout   whose order the numbers are in
    """

    a: str = ""
    weights: str = ""
    layout: str = ""


@route("POST", "rules")
def rules(service: Services, request: RulesRequest) -> RuleReport:
    """What block weights do to a model: which tensors each rule hits, and what each tensor ends with."""
    layout = request.layout.strip() or DEFAULT_LAYOUT.id
    amount = read_weights(request.weights, layout=layout, where=WEIGHTS_OPTION.name)
    with unknown_names_as_404():
        checkpoint = service.merging.checkpoint(request.a)
    return explain_for_header(amount, service.merging.header(checkpoint))
