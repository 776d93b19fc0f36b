"""What the tab *History* does: merges are listed, named and restored; recipes are pasted, applied, saved."""

from __future__ import annotations

from dataclasses import dataclass

from lib_merge.desk.common import data_url
from lib_merge.desk.protocol import Action, action
from lib_merge.desk.queue.view import QueueState, queue_state
from lib_merge.desk.tabs.history.paste import PageSetup, page_setup_of, read_pasted
from lib_merge.library.history import entry_to_dict
from lib_merge.recipe import recipe_from_text
from lib_merge.save.saving import SAVE_FORMATS
from lib_merge.service.request import MergeRequest
from lib_merge.service.services import Services

MAX_ENTRIES = 60  # entries that are shown at once
MOST_ENTRIES = 2000  # that a page may ask for


@dataclass(frozen=True)
class HistoryQuery:
    """Which entries are listed: those that contain these words; with `starred`, only starred ones.

    limit  how many at most
    """

    query: str = ""
    starred: bool = False
    limit: int = MAX_ENTRIES


@dataclass(frozen=True)
class HistoryStar(HistoryQuery):
    """The id of an entry, and whether it gets a star or loses it."""

    id: int = 0
    star: bool = False


@dataclass(frozen=True)
class HistoryName(HistoryQuery):
    """The id of an entry, and its new name."""

    id: int = 0
    name: str = ""


@dataclass(frozen=True)
class HistoryId(HistoryQuery):
    """The id of an entry."""

    id: int = 0


@dataclass(frozen=True)
class PastedData:
    """What was pasted or dropped.

    text     a recipe, an infotext, or the name of a file
    picture  a picture as a data URL
    file     the file name of the picture
    """

    text: str = ""
    picture: str = ""
    file: str = ""


@dataclass(frozen=True)
class RecipeText(HistoryQuery):
    """The text of a recipe to load into memory."""

    text: str = ""


@dataclass(frozen=True)
class RecipeSave:
    """The text of a recipe to save, and the name and format of the file."""

    text: str = ""
    name: str = ""
    format: str = SAVE_FORMATS[0]
    overwrite: bool = False


@dataclass(frozen=True)
class HistoryEntry:
    """A merge that was made.

    at       when, as local time
    kind     applied or saved
    title    the title that is shown where it has no name
    file     the file's name, "" where none was saved
    picture  a small picture as a data URL, "" for none
    """

    id: int
    at: str
    kind: str
    title: str
    name: str
    star: bool
    file: str
    sha256: str
    recipe: str
    picture: str


@dataclass(frozen=True)
class HistoryResult:
    """The entries of the tab, and the result of the last action.

    entries  those that match the query, the newest first
    matching how many match it, shown or not
    done     the result of the action in one sentence
    """

    entries: tuple[HistoryEntry, ...]
    matching: int
    done: str = ""


@action("history.list", status=False)
def list_(service: Services, action: Action[HistoryQuery]) -> HistoryResult:
    """The entries that match a query."""
    return _result(service, action.data)


@action("history.star", status=False)
def star(service: Services, action: Action[HistoryStar]) -> HistoryResult:
    """Stars an entry, or removes its star."""
    service.merging.history.star(action.data.id, action.data.star)
    return _result(service, action.data)


@action("history.rename", status=False)
def rename(service: Services, action: Action[HistoryName]) -> HistoryResult:
    """Renames an entry."""
    service.merging.history.rename(action.data.id, action.data.name)
    return _result(service, action.data)


@action("history.delete", status=False)
def delete(service: Services, action: Action[HistoryId]) -> HistoryResult:
    """Deletes an entry."""
    service.merging.history.delete(action.data.id)
    return _result(service, action.data)


@action("history.undelete", status=False)
def undelete(service: Services, action: Action[HistoryId]) -> HistoryResult:
    """Brings a deleted entry back."""
    service.merging.history.undelete(action.data.id)
    return _result(service, action.data)


@action("history.load")
def load(service: Services, action: Action[HistoryId]) -> PageSetup:
    """The settings that an entry was made with."""
    merging = service.merging
    entry = merging.history.get(action.data.id)
    return page_setup_of(merging, merging.locate(recipe_from_text(entry.recipe)))


@action("history.paste")
def paste(service: Services, action: Action[PastedData]) -> PageSetup:
    """The settings in what was pasted or dropped."""
    return read_pasted(service.merging, action.data.text, action.data.picture, action.data.file)


@action("history.apply")
def apply(service: Services, action: Action[RecipeText]) -> HistoryResult:
    """Loads the merge of a recipe into memory."""
    merge = service.merging.prepare(MergeRequest.from_recipe(recipe_from_text(action.data.text)))
    with service.merging.job("merging", action.task) as job:
        report = job.apply(merge)
    name = report.ident.name if report.ident else "the merge"
    blocks = f"{len(report.slots)} blocks changed in {report.seconds:.1f} s"
    return _result(service, action.data, f"Loaded: {name}. {blocks[:1].upper()}{blocks[1:]}.")


@action("history.save", queued=False)
def save(service: Services, action: Action[RecipeSave]) -> QueueState:
    """Lets the merge of a recipe be written to a file in its turn; `mix.saved` is asked for the result."""
    order = action.data
    request = MergeRequest.from_recipe(recipe_from_text(order.text))
    service.saves.add(request, order.name, format=order.format, overwrite=order.overwrite)
    return queue_state(service)


def _result(service: Services, request: HistoryQuery, done: str = "") -> HistoryResult:
    history, limit = service.merging.history, min(max(request.limit, 1), MOST_ENTRIES)
    entries = tuple(
        HistoryEntry(**entry_to_dict(entry), picture=_picture(service, entry.id))
        for entry in history.entries(request.query, starred=request.starred, limit=limit)
    )
    return HistoryResult(entries, history.count(request.query, starred=request.starred), done)


def _picture(service: Services, number: int) -> str:
    raw = service.merging.history.picture(number)
    return data_url(raw, "image/webp") if raw else ""
