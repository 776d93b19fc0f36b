"""The tab: places Gradio's components and wires them to the handlers. Only this package knows Gradio.

It is built alike on Gradio 3.41.2 (A1111), 4.40.0 (Forge) and the current release. What is more than
a list or a field is drawn by javascript/merge_desk*.js into empty elements. The page and Python talk
through carriers that nobody sees: what is asked goes into the first input of an event, and answers come
back as JSON in an attribute.

The lists of ingredients stand above; below them each `Room` of ROOMS is a tab of its own: one file here,
its handlers and view as plain functions in lib_merge/desk/, and its script in
javascript/merge_desk_NAME.js, which calls `mergeDesk.room("NAME", {draw, hear})`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lib_merge.desk.handlers import Desk
from lib_merge.desk.mixer import Mixer
from lib_merge.desk.tab.grid import GRID
from lib_merge.desk.tab.history import HISTORY
from lib_merge.desk.tab.ingredients import place_lists, wire_lists
from lib_merge.desk.tab.methods import METHODS_ROOM
from lib_merge.desk.tab.mix import MIX
from lib_merge.desk.tab.parts import HIDDEN, PREFIX, QUIET, Page, Room, Wrap, gr, ours, silent
from lib_merge.desk.tab.report import REPORT
from lib_merge.desk.tab.weights import WEIGHTS

ROOMS: tuple[Room, ...] = (MIX, WEIGHTS, METHODS_ROOM, REPORT, GRID, HISTORY)


def build(
    mixer: Mixer,
    *,
    wrap: Wrap | None = None,
    borrowed: Mapping[str, Any] | None = None,
    stop: Callable[[], object] | None = None,
) -> Any:
    """The tab as Gradio Blocks.

    wrap      how the host runs what touches the model, where it wants to
    borrowed  the host's own fields (prompt, negative, sampler, ...), used in place of ours; not the seed,
              since a preview must not change for another reason than the faders
    stop      what *Stop* calls; without it the host's `interrupt`, where it has one
    """
    desk = Desk(mixer)
    stop = stop or getattr(mixer.host, "interrupt", None)
    lent = {name: each for name, each in (borrowed or {}).items() if name != "seed"}
    with gr.Blocks(analytics_enabled=False, title=mixer.host.title) as tab:
        lists, swap, refresh = place_lists(desk.offer())
        with gr.Column(elem_classes=[HIDDEN]):
            move = ours(gr.Textbox, "move", show_label=False)
        page = Page(desk, lists, wrap or (lambda act: act), stop, lent, move)
        placed = _place_rooms(page)
        with gr.Column(elem_classes=[HIDDEN], elem_id=f"{PREFIX}carriers"):
            carriers = {name: gr.HTML("", elem_id=PREFIX + name) for name in ("scene", "marks")}
            bells = {name: gr.Button(name, elem_id=PREFIX + name) for name in ("hello", "stop")}
            ends = {room.name: _ends(room) for room in ROOMS}
    with tab:
        wire_lists(page, carriers, bells["hello"], swap, refresh)
        for room in ROOMS:
            room.wire(page, placed[room.name], ends[room.name])
        if stop:
            bells["stop"].click(fn=silent(stop), inputs=[], outputs=[], queue=False, **QUIET)
    return tab


def theme() -> Any:
    """The look of a page of our own, from the fonts of the machine: nothing is fetched."""
    return gr.themes.Default(
        font=["Inter", "Segoe UI", "system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )


def _place_rooms(page: Page) -> dict[str, Any]:
    if len(ROOMS) == 1:
        return {ROOMS[0].name: ROOMS[0].place(page)}
    placed: dict[str, Any] = {}
    with gr.Tabs(elem_id=f"{PREFIX}rooms") as rooms:
        rooms.do_not_save_to_config = True
        for room in ROOMS:
            with gr.TabItem(room.title, elem_id=f"{PREFIX}room_{room.name}") as tab:
                tab.do_not_save_to_config = True
                placed[room.name] = room.place(page)
    return placed


def _ends(room: Room) -> dict[str, Any]:
    """The room's hidden carriers and buttons, by name."""
    answers = {name: gr.HTML("", elem_id=PREFIX + name) for name in room.answers}
    return {**answers, **{name: gr.Button(name, elem_id=PREFIX + name) for name in room.asks}}
