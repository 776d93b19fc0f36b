"""The cards of the pictures that the desk has drawn, kept for a page that is opened again.

A card is a picture (see `desk_state`), what it was made with, and what the user has marked it with. Several
pages may keep cards: each sends the ones that it has changed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lib_merge.errors import RecipeError
from lib_merge.json_data import expect_list, expect_object, expect_text
from lib_merge.library.desk_state import PICTURE_ID, picture_bytes
from lib_merge.store import JsonFile

FILE = "desk-cards.json"
MAX_CARDS = 80
MAX_PICTURE_BYTES = 256 << 20  # of the pictures of all cards
MAX_TEXT = 256 << 10  # characters of one card


@dataclass(frozen=True)
class KeptCard:
    """One card.

    id      of its picture
    marked  whether the user has pinned or starred it, or written a note on it: such cards go last
    text    what it was made with, as JSON, which only the page's script writes and reads
    """

    id: str = ""
    marked: bool = False
    text: str = ""


def read_cards(folder: Path) -> tuple[KeptCard, ...]:
    """The cards that are kept, the oldest first. StoreError where the file cannot be read."""
    return _file(folder).read(_parse) or ()


def keep_cards(folder: Path, changed: Sequence[KeptCard], gone: Collection[str] = ()) -> None:
    """Replace the cards of these pictures where they stand, add new ones, and forget those that are gone.

    Beyond MAX_CARDS or MAX_PICTURE_BYTES the oldest are forgotten, those without a mark first. RecipeError
    for a card that is too large; StoreError and OutputError as of `JsonFile`.
    """
    if any(len(card.text) > MAX_TEXT for card in changed):
        raise RecipeError("a card is too large to be kept", hint="shorter rules, or a shorter prompt")
    cards = {card.id: card for card in read_cards(folder) if card.id not in gone}
    cards |= {card.id: card for card in changed if PICTURE_ID.fullmatch(card.id)}
    sizes = {name: picture_bytes(folder, name) for name in cards}
    for card in sorted(cards.values(), key=lambda card: card.marked):  # stable: the oldest of each first
        if len(cards) <= MAX_CARDS and sum(sizes[name] for name in cards) <= MAX_PICTURE_BYTES:
            break
        del cards[card.id]
    _file(folder).write({"cards": [asdict(card) for card in cards.values()]})


def _file(folder: Path) -> JsonFile:
    return JsonFile(folder / FILE, "the cards of the pictures", "cards")


def _parse(data: object) -> tuple[KeptCard, ...]:
    rows = map(expect_object, expect_list(expect_object(data)["cards"]))
    return tuple(
        KeptCard(expect_text(row["id"]), row["marked"] is True, expect_text(row["text"])) for row in rows
    )
