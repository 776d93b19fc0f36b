"""Reports over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lib_merge.desk.route import route, unknown_names_as_404
from lib_merge.report.similarity.comparison import comparison_to_dict
from lib_merge.service.reports import CheckRequest, CompareRequest, check_named, compare_named
from lib_merge.service.services import Services


@dataclass(frozen=True)
class CompareAnswer:
    """How models differ from a reference.

    value      what the numbers are
    reference  its name and file
    models     of each: name, file, slots (each with its percent and other measures), totals; of weights also
               components, left_out and findings
    """

    kind: str
    value: str
    seed: int | None
    reference: Mapping[str, str]
    base: str | None
    models: tuple[Mapping[str, object], ...]


@dataclass(frozen=True)
class CheckAnswer:
    """The damage that was found in models.

    files  name, file, family, tensors, healthy and findings of each
    """

    files: tuple[Mapping[str, object], ...]


@route("POST", "compare")
def compare(service: Services, request: CompareRequest) -> CompareAnswer:
    """How models differ from a reference; results are kept on the disk."""
    with unknown_names_as_404():  # HostError means an unknown name here
        return CompareAnswer(**comparison_to_dict(compare_named(service.merging, request)))


@route("POST", "check")
def check(service: Services, request: CheckRequest) -> CheckAnswer:
    """Checks models for damage."""
    with unknown_names_as_404():
        return CheckAnswer(tuple(health.to_dict() for health in check_named(service.merging, request)))
