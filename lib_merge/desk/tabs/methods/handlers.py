"""What the tab *Methods* does: its cards, and the choice of one."""

from __future__ import annotations

from lib_merge.desk.protocol import Action, EmptyRequest, action
from lib_merge.desk.selection import method_by_title
from lib_merge.desk.tabs.methods.view import (
    MethodCards,
    MethodChoice,
    MethodName,
    method_groups,
    title_in_list,
)
from lib_merge.service.services import Services


@action("methods.open", status=False)
def open_(service: Services, action: Action[EmptyRequest]) -> MethodCards:
    """Every merge method by purpose, and which is chosen."""
    return MethodCards(method_by_title(action.selection.method).id, method_groups())


@action("methods.choose", status=False)
def choose(service: Services, action: Action[MethodName]) -> MethodChoice:
    """Chooses a method for the list above."""
    return MethodChoice(title_in_list(action.data.name))
