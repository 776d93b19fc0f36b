"""The room *Mix*: faders, pictures, what they are drawn with, and saving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib_merge.desk.handlers import Desk
from lib_merge.desk.mixer import FORMATS
from lib_merge.desk.tab.parts import PREFIX, Page, Room, bind, choice_of, gr, mount, ours
from lib_merge.desk.view import OF_THE_FILE, carrier

FIELDS = ("prompt", "negative", "sampler", "scheduler", "steps", "cfg", "width", "height", "seed", "styles")
LISTS = ("a", "b", "c", "method", "vae", "dtype")
LENT = "Pictures are drawn with the settings of the txt2img tab, and with this seed."


def _place(page: Page) -> dict[str, Any]:
    with gr.Row(elem_id=f"{PREFIX}page"):
        with gr.Column(scale=7, min_width=600, elem_id=f"{PREFIX}left"):
            board = mount("board", borrowed=bool(page.borrowed), stop=bool(page.stop))
            gr.HTML(board, elem_id=f"{PREFIX}board")
        with gr.Column(scale=4, min_width=380, elem_id=f"{PREFIX}right"):
            gr.HTML(mount("stage"), elem_id=f"{PREFIX}stage")
            page.fields.update(_fields(page.desk, page.borrowed))
            return _saving(page.lists.dtype)


def _fields(desk: Desk, borrowed: Mapping[str, Any]) -> dict[str, Any]:
    """What a preview is drawn with: the host's own fields where it lends them."""
    usual, surface = desk.usual(), desk.mixer.host.surface()
    own: dict[str, Any] = {}

    def field(name: str, kind: Any, label: str, **options: Any) -> None:
        if name not in borrowed:
            own[name] = ours(kind, name, label=label, value=getattr(usual, name), **options)

    with gr.Group(elem_id=f"{PREFIX}drawing"):
        if "prompt" in borrowed:
            gr.HTML(f'<p class="merge-desk-note">{LENT}</p>')
        field("prompt", gr.Textbox, "Prompt", lines=2, max_lines=6)
        field("negative", gr.Textbox, "Negative prompt", lines=1, max_lines=4)
        with gr.Row():
            if surface.samplers:
                field("sampler", gr.Dropdown, "Sampler", choices=list(surface.samplers), min_width=100)
            if surface.schedulers:
                field("scheduler", gr.Dropdown, "Schedule", choices=list(surface.schedulers), min_width=100)
        with gr.Row():
            field("steps", gr.Number, "Steps", precision=0, min_width=60)
            field("cfg", gr.Number, "CFG", min_width=60)
            field("width", gr.Number, "Width", precision=0, min_width=60)
            field("height", gr.Number, "Height", precision=0, min_width=60)
            field("seed", gr.Number, "Seed", precision=0, min_width=60)
    found = {**borrowed, **own}
    return {name: found[name] for name in FIELDS if name in found}


def _saving(dtype: Any) -> dict[str, Any]:
    with gr.Accordion("Save the merge", open=False, elem_id=f"{PREFIX}saving"):
        name = ours(gr.Textbox, "name", label="Name", placeholder="my-mix", max_lines=1)
        with gr.Row():
            dtype.render()
            format = ours(
                gr.Radio, "format", label="File", choices=list(FORMATS), value=FORMATS[0], min_width=200
            )
        of_the_file = ours(
            gr.CheckboxGroup, "of_the_file", label="Of the file", choices=list(OF_THE_FILE), value=[]
        )
        with gr.Row(equal_height=True):
            overwrite = ours(gr.Checkbox, "overwrite", label="Overwrite", value=False, min_width=120)
            button = gr.Button("Save", variant="primary", elem_id=f"{PREFIX}save", min_width=120)
        gr.HTML('<div class="merge-desk" data-part="sheet"></div>', elem_id=f"{PREFIX}sheet")
    asked = {"name": name, "format": format, "overwrite": overwrite, "of_the_file": of_the_file}
    return {**asked, "button": button}


def _wire(page: Page, saving: Mapping[str, Any], ends: Mapping[str, Any]) -> None:
    desk, lists = page.desk, page.lists
    names, count = list(page.fields), len(lists.inputs)

    def turn(text: str, *given: Any) -> str:
        drawing = dict(zip(names, given[count:], strict=True))
        return carrier(desk.turn(text, choice_of(given[:count]), drawing))

    def look(text: str, *given: Any) -> str:
        return carrier(desk.look(text, choice_of(given)))

    def take(text: str) -> list[Any]:
        found = desk.take()
        said = dict(found.setup.lists) if found.setup else {}
        updates = [gr.update(value=said[name]) if name in said else gr.update() for name in LISTS]
        align = gr.update(value=found.align) if said else gr.update()
        return [carrier(found), *updates, align]

    def save(text: str, *given: Any) -> list[Any]:
        answer = desk.save(text, choice_of(given[:count]), *given[count:])
        choices = list(desk.offer().checkpoints)
        return [carrier(answer), *(gr.update(choices=choices) for _ in "abc")]

    def keep(text: str) -> str:
        return carrier(desk.keep(text))

    inputs = [*lists.inputs, *page.fields.values()]
    bind(page, "turn", ends["turn"], page.wrap(turn), inputs, [ends["answer"]])
    bind(page, "keep", ends["keep"], keep, [], [ends["answer"]])
    bind(page, "look", ends["look"], look, lists.inputs, [ends["looked"]])
    taken = [ends["taken"], *(getattr(lists, name) for name in LISTS), lists.align]
    bind(page, "take", ends["take"], take, [], taken)
    lent = [saving[name] for name in ("name", "format", "overwrite", "of_the_file")]
    saved = [ends["answer"], lists.a, lists.b, lists.c]
    bind(page, "save", saving["button"], page.wrap(save), [*lists.inputs, *lent], saved)


MIX = Room("mix", "Mix", ("answer", "looked", "taken"), ("turn", "keep", "look", "take"), _place, _wire)
