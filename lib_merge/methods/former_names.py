"""Parameters that version 0.1 had under another name: its recipes, flags, JSON and axes are still read.

The id of a merge in pictures and in the history ("merge-" and eight hex digits) is a hash of its recipe with
the names of version 0.1, so that pictures of that version find their merge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from lib_merge.registry import Method

Value = TypeVar("Value")


class Renamed(NamedTuple):
    """A parameter's name now; `methods` are those where it had the former one, empty for all."""

    name: str
    methods: tuple[str, ...] = ()


# former name -> name now
FORMER_PARAMETERS: Mapping[str, Renamed] = {
    "shares": Renamed("model_weights"),
    "normalise": Renamed("normalize"),
    "count": Renamed("count_votes"),
    "outliers": Renamed("gamma", ("breadcrumbs",)),
    "spread": Renamed("epsilon"),
}


def with_current_names(method: Method, settings: Mapping[str, Value]) -> dict[str, Value]:
    """The settings of a method, or a mapping that contains them, with former parameter names replaced."""
    names = _names(method)

    def current(name: str) -> str:
        renamed = FORMER_PARAMETERS.get(name)
        new = renamed.name if renamed else name
        return new if name not in names and new in names and new not in settings else name

    return {current(name): value for name, value in settings.items()}


def with_former_names(method: Method, settings: Mapping[str, Value]) -> dict[str, Value]:
    """The settings of a method as version 0.1 called them."""
    former = {
        renamed.name: old
        for old, renamed in FORMER_PARAMETERS.items()
        if not renamed.methods or method.id in renamed.methods
    }
    return {former.get(name, name): value for name, value in settings.items()}


def _names(method: Method) -> set[str]:
    return {parameter.name for parameter in method.parameters}
