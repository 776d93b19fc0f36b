"""The desk outlives its page: what the page keeps on the server, and loads when it is opened again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lib_merge.desk.common import data_url
from lib_merge.desk.protocol import Action, EmptyRequest, action
from lib_merge.desk.tab import RECIPE_LISTS
from lib_merge.library.desk_state import (
    FieldValue,
    KeptDesk,
    plain_values,
    read_desk,
    read_picture,
    write_desk,
)
from lib_merge.service.services import Services


@dataclass(frozen=True)
class PageToKeep:
    """What is kept besides the lists and the fields.

    page     as in KeptDesk
    engaged  the id of the merge in memory that the page knows of
    """

    page: str = ""
    engaged: str = ""


@dataclass(frozen=True)
class ResumedDesk:
    """The desk that was kept; `page` is "" where none was. The response sets lists and fields itself.

    present  what the fields hold now
    """

    page: str = ""
    engaged: str = ""
    lists: Mapping[str, str] = field(default_factory=dict[str, str])
    align: bool = False
    drawing: Mapping[str, FieldValue] = field(default_factory=dict[str, FieldValue])
    present: Mapping[str, FieldValue] = field(default_factory=dict[str, FieldValue])


@dataclass(frozen=True)
class ListsAndFields:
    """What lists and fields are to hold; what is not named keeps its value, and "" empties a list."""

    lists: Mapping[str, str] = field(default_factory=dict[str, str])
    align: bool = False
    drawing: Mapping[str, FieldValue] = field(default_factory=dict[str, FieldValue])


@dataclass(frozen=True)
class PictureId:
    """The id of a picture that was kept."""

    id: str = ""


@dataclass(frozen=True)
class KeptPicture:
    """A picture as a data URL, "" where it is no longer there."""

    picture: str = ""


@action("mix.keep", drawing=True, queued=False, status=False)
def keep(service: Services, action: Action[PageToKeep]) -> EmptyRequest:
    """Keeps the desk on the server."""
    selection = action.selection
    lists = {name: str(getattr(selection, name)) for name in RECIPE_LISTS}
    fields, kept = plain_values(action.drawing), action.data
    desk = KeptDesk(lists, selection.align, fields, kept.engaged, kept.page)
    write_desk(service.merging.host.data_dir(), desk)
    return EmptyRequest()


@action("mix.resume", drawing=True)
def resume(service: Services, action: Action[EmptyRequest]) -> ResumedDesk:
    """The desk as it was kept, for a page that is opened."""
    desk = read_desk(service.merging.host.data_dir())
    if desk is None:
        return ResumedDesk()
    files = {file.name for file in service.merging.host.checkpoints()}
    gone = {name: "" for name in "abc" if desk.lists.get(name, "") not in files}
    present = plain_values(action.drawing)
    return ResumedDesk(desk.page, desk.engaged, {**desk.lists, **gone}, desk.align, desk.drawing, present)


@action("mix.set_up")
def set_up(service: Services, action: Action[ListsAndFields]) -> ListsAndFields:
    """Sets lists and fields, for a step of undo."""
    return action.data


@action("mix.picture", queued=False, status=False)
def picture(service: Services, action: Action[PictureId]) -> KeptPicture:
    """A picture that was kept."""
    png = read_picture(service.merging.host.data_dir(), action.data.id)
    return KeptPicture(data_url(png, "image/png") if png else "")
