"""The room *History*: what its buttons do, plain values in, plain values out."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from lib_merge.desk.history import History, as_data
from lib_merge.desk.mixer import Mixer
from lib_merge.desk.paste import Setup, read_pasted, setup_of
from lib_merge.desk.view import Problem, fact_sheet, page_number, read_page, said
from lib_merge.errors import MergeError
from lib_merge.hosts.saving import FORMATS
from lib_merge.recipe import recipe_of

LIMIT = 60  # entries that are shown at once


@dataclass(frozen=True)
class Told:
    """What the room is told.

    entries  those that fit the search, the newest first; None where the list has not changed
    setup    what was pasted or is to be restored
    done     one sentence about what was done
    sheet    the fact sheet of a file that was written
    """

    action: str = ""
    seq: int = 0
    entries: tuple[Mapping[str, Any], ...] | None = None
    setup: Setup | None = None
    done: str = ""
    sheet: tuple[tuple[str, str], ...] = ()
    problem: Problem | None = None


class Memory:
    """The handlers of the room."""

    def __init__(self, mixer: Mixer) -> None:
        self._mixer = mixer

    @property
    def _history(self) -> History:
        return self._mixer.history

    def ask(self, text: str) -> Told:
        """One request of the page; whatever happens, an answer."""
        try:
            asked = read_page(text)
            action, seq = str(asked.get("action", "")), page_number(asked, "seq")
        except MergeError as problem:
            return Told(problem=said(problem))
        doing = {
            "list": self._list,
            "star": self._star,
            "name": self._name,
            "drop": self._drop,
            "restore": self._restore,
            "paste": self._paste,
            "apply": self._apply,
            "save": self._save,
        }
        if action not in doing:
            return Told(action, seq)
        try:
            return replace(doing[action](asked), action=action, seq=seq)
        except Exception as error:
            return Told(action, seq, problem=said(error))

    def _entries(self, asked: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
        query, starred = str(asked.get("query", "")), bool(asked.get("starred"))
        found = self._history.entries(query, starred=starred, limit=LIMIT)
        return tuple({**as_data(entry), "picture": self._picture(entry.id)} for entry in found)

    def _picture(self, number: int) -> str:
        raw = self._history.picture(number)
        return f"data:image/webp;base64,{base64.b64encode(raw).decode('ascii')}" if raw else ""

    def _list(self, asked: Mapping[str, Any]) -> Told:
        return Told(entries=self._entries(asked))

    def _star(self, asked: Mapping[str, Any]) -> Told:
        self._history.star(page_number(asked, "id"), bool(asked.get("star")))
        return self._list(asked)

    def _name(self, asked: Mapping[str, Any]) -> Told:
        self._history.name(page_number(asked, "id"), str(asked.get("name", "")))
        return self._list(asked)

    def _drop(self, asked: Mapping[str, Any]) -> Told:
        self._history.drop(page_number(asked, "id"))
        return self._list(asked)

    def _restore(self, asked: Mapping[str, Any]) -> Told:
        entry = self._history.get(page_number(asked, "id"))
        return Told(setup=setup_of(self._mixer, self._mixer.locate(recipe_of(entry.recipe))))

    def _paste(self, asked: Mapping[str, Any]) -> Told:
        text, picture = str(asked.get("text", "")), str(asked.get("picture", ""))
        return Told(setup=read_pasted(self._mixer, text, picture, str(asked.get("file", ""))))

    def _apply(self, asked: Mapping[str, Any]) -> Told:
        report = self._mixer.apply({"recipe": str(asked.get("text", ""))}, str(asked.get("task", "")))
        name = report.ident.name if report.ident else "the merge"
        blocks = f"{len(report.slots)} blocks changed in {report.seconds:.1f} s"
        return Told(done=f"{name} is in memory: {blocks}.", entries=self._entries(asked))

    def _save(self, asked: Mapping[str, Any]) -> Told:
        saved = self._mixer.save(
            {"recipe": str(asked.get("text", ""))},
            str(asked.get("name", "")),
            format=str(asked.get("format") or FORMATS[0]),
            overwrite=bool(asked.get("overwrite")),
            task=str(asked.get("task", "")),
        )
        sheet = fact_sheet(saved).rows()
        return Told(done=f"{saved.checkpoint.path.name} is saved.", sheet=sheet, entries=self._entries(asked))


def told_as_data(told: Told) -> dict[str, Any]:
    """As the page reads it."""
    return asdict(told)
