"""The row above all rooms: A, B, C, the method and the VAE."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from lib_merge.desk.aligning import alignment_note
from lib_merge.desk.handlers import Offer
from lib_merge.desk.tab.parts import PREFIX, QUIET, Lists, Page, choice_of, gr, ours
from lib_merge.desk.view import AS_SOURCE, VAE_OF_A, carrier, method_by_title

ALIGN = "Align to A first"


def place_lists(offer: Offer) -> tuple[Lists, Any, Any]:
    """The row of ingredients; the lists are filled when the page opens."""

    def pick(name: str, label: str, choices: Sequence[str], value: str | None = None, **options: Any) -> Any:
        options = {"scale": 4, "min_width": 130, **options}
        return ours(
            gr.Dropdown,
            name,
            label=label,
            choices=list(choices),
            value=value,
            allow_custom_value=True,
            **options,
        )

    with gr.Row(elem_id=f"{PREFIX}ingredients"):
        a = pick("a", "A, start from", offer.checkpoints, offer.loaded or None)
        swap = gr.Button(
            "\u21c4", elem_id=f"{PREFIX}swap", elem_classes=["merge-desk-tool"], scale=0, min_width=40
        )
        b = pick("b", "B, mix in", offer.checkpoints)
        c = pick("c", "C", offer.checkpoints, visible=False)
        refresh = gr.Button(
            "\u21bb", elem_id=f"{PREFIX}refresh", elem_classes=["merge-desk-tool"], scale=0, min_width=40
        )
        method = pick("method", "Method", offer.methods, offer.methods[0])
        vae = pick("vae", "VAE", offer.vaes, VAE_OF_A)
    with gr.Row(elem_id=f"{PREFIX}aligning"):
        align = ours(gr.Checkbox, "align", label=ALIGN, value=False, scale=0, min_width=200)
        note = gr.HTML("", elem_id=f"{PREFIX}align_note")
    unreadable = gr.HTML(unreadable_note(offer), elem_id=f"{PREFIX}unreadable")
    dtype = pick("dtype", "Number format", offer.dtypes, AS_SOURCE, scale=1, render=False)
    return Lists(a, b, c, method, vae, dtype, align, note, unreadable), swap, refresh


def unreadable_note(offer: Offer) -> str:
    """The files that are in no list because they cannot be read."""
    told = escape(f"Cannot be read: {offer.unreadable}")
    return f'<p class="merge-desk-note">{told}</p>' if offer.unreadable else ""


def wire_lists(page: Page, carriers: Mapping[str, Any], hello: Any, swap: Any, refresh: Any) -> None:
    """Lists redraw the scene and then the marks; they are filled when the page opens and on a refresh."""
    desk, lists = page.desk, page.lists

    def scene(*chosen: str | None) -> list[Any]:
        choice = choice_of(chosen)
        models = method_by_title(choice.method).most_models or 3
        return [carrier(desk.scene(choice)), gr.update(visible=models > 2)]

    def marks(*chosen: str | None) -> str:
        return carrier(desk.marks(choice_of(chosen)))

    def offered(again: bool) -> Callable[..., list[Any]]:
        def fill(*chosen: str | None) -> list[Any]:
            choice, offer = choice_of(chosen), desk.offer(refresh=again)
            names = list(offer.checkpoints)
            a = offer.loaded or (names[0] if names else None)
            return [
                gr.update(choices=names) if choice.a else gr.update(choices=names, value=a),
                gr.update(choices=names),
                gr.update(choices=names),
                gr.update(choices=list(offer.vaes)),
                unreadable_note(offer),
            ]

        return fill

    def aligned(*chosen: Any) -> str:
        """Takes minutes for full-size models, the first time."""
        told = alignment_note(desk, choice_of(chosen))
        return f'<p class="merge-desk-note">{escape(told)}</p>' if told else ""

    def swapped(a: str | None, b: str | None) -> tuple[str | None, str | None]:
        return b, a

    for each in (lists.a, lists.b, lists.c, lists.method, lists.vae, lists.align):
        drawn = each.change(fn=scene, inputs=lists.inputs, outputs=[carriers["scene"], lists.c], **QUIET)
        drawn.then(fn=marks, inputs=lists.inputs, outputs=[carriers["marks"]], **QUIET)
        if each not in (lists.method, lists.vae):
            each.change(fn=aligned, inputs=lists.inputs, outputs=[lists.note], api_name=False)
    filled = [lists.a, lists.b, lists.c, lists.vae, lists.unreadable]
    for bell, again in ((hello, False), (refresh, True)):
        known = bell.click(fn=offered(again), inputs=lists.inputs, outputs=filled, **QUIET)
        # with what the lists say by then: a list that was set meanwhile must not be drawn as it was
        known.then(fn=scene, inputs=lists.inputs, outputs=[carriers["scene"], lists.c], **QUIET)
    swap.click(fn=swapped, inputs=[lists.a, lists.b], outputs=[lists.a, lists.b], **QUIET)
