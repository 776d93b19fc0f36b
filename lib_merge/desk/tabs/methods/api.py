"""The merge methods over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lib_merge.desk.route import route
from lib_merge.methods import METHODS
from lib_merge.report.render.describe import method_to_dict
from lib_merge.schema import EmptyRequest
from lib_merge.service.services import Services


@dataclass(frozen=True)
class MethodSchema:
    """A merge method.

    name        its name in requests and recipes
    purpose     the group of methods that it belongs to
    models      how many models it takes, or "any number"
    parameters  name, kind, per_model, range, step, default and help of each
    formula     the formula of the result, as text
    source      the paper or program that it is from
    """

    name: str
    title: str
    purpose: str
    models: int | str
    parameters: tuple[Mapping[str, object], ...]
    summary: str
    formula: str
    source: str


@route("GET", "methods")
def methods(service: Services, request: EmptyRequest) -> tuple[MethodSchema, ...]:
    """Every method's schema."""
    return tuple(MethodSchema(**method_to_dict(method)) for method in METHODS.all())
