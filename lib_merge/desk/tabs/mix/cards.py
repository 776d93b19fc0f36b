"""The cards of the pictures outlive their page: what changes of them is kept, for a page that is opened."""

from __future__ import annotations

from dataclasses import dataclass

from lib_merge.desk.protocol import Action, EmptyRequest, action
from lib_merge.library import picture_cards
from lib_merge.library.picture_cards import KeptCard
from lib_merge.service.services import Services


@dataclass(frozen=True)
class ChangedCards:
    """Cards that are new or changed, and the pictures of those that the page no longer has."""

    cards: tuple[KeptCard, ...] = ()
    gone: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeptCards:
    """All cards, the oldest first."""

    cards: tuple[KeptCard, ...] = ()


@action("mix.cards", status=False)
def cards(service: Services, action: Action[EmptyRequest]) -> KeptCards:
    """The cards that are kept, for a page that is opened."""
    return KeptCards(picture_cards.read_cards(service.merging.host.data_dir()))


@action("mix.keep_cards", status=False)
def keep_cards(service: Services, action: Action[ChangedCards]) -> EmptyRequest:
    """Keeps what has changed of the cards."""
    picture_cards.keep_cards(service.merging.host.data_dir(), action.data.cards, action.data.gone)
    return EmptyRequest()
