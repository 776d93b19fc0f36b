"""The tab: places Gradio's components and wires them to the handlers. The only file that knows Gradio.

It is built alike on Gradio 3.41.2 (A1111), 4.40.0 (Forge) and the current release. Faders and pictures
are drawn by javascript/merge_desk.js into two empty elements. The page and Python talk through
carriers that nobody sees: the page's state goes into the first input of an event, and answers
come back as JSON in an attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio

from lib_merge.desk.handlers import Choice, Desk, Offer
from lib_merge.desk.mixer import FORMATS, Mixer
from lib_merge.desk.view import AS_SOURCE, VAE_OF_A, carrier, method_by_title

gr: Any = gradio  # its types differ from release to release

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]

PREFIX = "merge_desk_"
HIDDEN = "merge-desk-hidden"
JS = "js" if int(gr.__version__.split(".")[0]) >= 4 else "_js"
FIELDS = ("prompt", "negative", "sampler", "scheduler", "steps", "cfg", "width", "height", "seed", "styles")
LENT = "Pictures are drawn with the settings of the txt2img tab, and with this seed."


@dataclass(frozen=True)
class Lists:
    """The lists above the faders, in the order of `Choice`."""

    a: Any
    b: Any
    c: Any
    method: Any
    vae: Any
    dtype: Any

    @property
    def inputs(self) -> list[Any]:
        """As the inputs of an event."""
        return [self.a, self.b, self.c, self.method, self.vae, self.dtype]


@dataclass(frozen=True)
class Carriers:
    """What Python and the page talk through."""

    move: Any
    scene: Any
    marks: Any
    answer: Any


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
    with gr.Blocks(analytics_enabled=False, title=mixer.host.title) as tab:
        lists, swap, refresh = _lists(desk.offer())
        with gr.Row(elem_id=f"{PREFIX}page"):
            with gr.Column(scale=7, min_width=600, elem_id=f"{PREFIX}left"):
                gr.HTML(_mount("board", borrowed=bool(borrowed), stop=bool(stop)), elem_id=f"{PREFIX}board")
            with gr.Column(scale=4, min_width=380, elem_id=f"{PREFIX}right"):
                gr.HTML(_mount("stage"), elem_id=f"{PREFIX}stage")
                fields = _fields(
                    desk, {name: each for name, each in (borrowed or {}).items() if name != "seed"}
                )
                saving = _saving(lists.dtype)
        with gr.Column(elem_classes=[HIDDEN], elem_id=f"{PREFIX}carriers"):
            carriers = Carriers(
                _ours(gr.Textbox, "move", show_label=False),
                *(gr.HTML("", elem_id=f"{PREFIX}{name}") for name in ("scene", "marks", "answer")),
            )
            hidden = {
                name: gr.Button(name, elem_id=f"{PREFIX}{name}") for name in ("hello", "turn", "keep", "stop")
            }
    with tab:
        _wire_lists(desk, lists, carriers, hidden["hello"], swap, refresh)
        _wire_moves(desk, lists, fields, saving, carriers, hidden, wrap or (lambda act: act))
        if stop:
            hidden["stop"].click(fn=_silent(stop), inputs=[], outputs=[], queue=False, show_progress="hidden")
    return tab


def theme() -> Any:
    """The look of a page of our own, from the fonts of the machine: nothing is fetched."""
    return gr.themes.Default(
        font=["Inter", "Segoe UI", "system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )


def _ours(kind: Any, name: str, **options: Any) -> Any:
    """A component with our id, which the host does not store as a default of its own."""
    component = kind(elem_id=PREFIX + name, **options)
    component.do_not_save_to_config = True
    return component


def _mount(name: str, **facts: bool) -> str:
    told = "".join(f' data-{fact}="{str(value).lower()}"' for fact, value in facts.items())
    return f'<div class="merge-desk merge-desk-{name}" data-mount="{name}"{told}></div>'


def _lists(offer: Offer) -> tuple[Lists, Any, Any]:
    """The row of ingredients; the lists are filled when the page opens."""

    def pick(name: str, label: str, choices: Sequence[str], value: str | None = None, **options: Any) -> Any:
        options = {"scale": 4, "min_width": 130, **options}
        return _ours(
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
    dtype = pick("dtype", "Number format", offer.dtypes, AS_SOURCE, scale=1, render=False)
    return Lists(a, b, c, method, vae, dtype), swap, refresh


def _fields(desk: Desk, borrowed: dict[str, Any]) -> dict[str, Any]:
    """What a preview is drawn with: the host's own fields where it lends them."""
    usual, surface = desk.usual(), desk.mixer.host.surface()
    own: dict[str, Any] = {}

    def field(name: str, kind: Any, label: str, **options: Any) -> None:
        if name not in borrowed:
            own[name] = _ours(kind, name, label=label, value=getattr(usual, name), **options)

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
        name = _ours(gr.Textbox, "name", label="Name", placeholder="my-mix", max_lines=1)
        with gr.Row():
            dtype.render()
            format = _ours(
                gr.Radio, "format", label="File", choices=list(FORMATS), value=FORMATS[0], min_width=200
            )
        with gr.Row(equal_height=True):
            overwrite = _ours(gr.Checkbox, "overwrite", label="Overwrite", value=False, min_width=120)
            button = gr.Button("Save", variant="primary", elem_id=f"{PREFIX}save", min_width=120)
        gr.HTML('<div class="merge-desk" data-part="sheet"></div>', elem_id=f"{PREFIX}sheet")
    return {"name": name, "format": format, "overwrite": overwrite, "button": button}


# --- wiring ---


def _filled(name: str, count: int) -> dict[str, str]:
    """The event's first input is what the page's script puts there; outputs are trimmed off."""
    return {JS: f"(...given) => window.mergeDesk.fill(given, {count}, '{name}')"}


def _silent(act: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        act()

    return run


def _wire_lists(desk: Desk, lists: Lists, carriers: Carriers, hello: Any, swap: Any, refresh: Any) -> None:
    def scene(*chosen: str | None) -> list[Any]:
        choice = _choice(chosen)
        models = method_by_title(choice.method).most_models or 3
        return [carrier(desk.scene(choice)), gr.update(visible=models > 2)]

    def marks(*chosen: str | None) -> str:
        choice = _choice(chosen)
        return carrier({"a": choice.a, "b": choice.b, "at": dict(desk.marks(choice))})

    def offered(again: bool) -> Callable[..., list[Any]]:
        def fill(*chosen: str | None) -> list[Any]:
            choice, offer = _choice(chosen), desk.offer(refresh=again)
            names = list(offer.checkpoints)
            a = choice.a or offer.loaded or (names[0] if names else None)
            shown = scene(a, *chosen[1:])
            return [
                gr.update(choices=names, value=a),
                gr.update(choices=names),
                gr.update(choices=names),
                gr.update(choices=list(offer.vaes)),
                shown[0],
            ]

        return fill

    def swapped(a: str | None, b: str | None) -> tuple[str | None, str | None]:
        return b, a

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_name": False}
    for each in (lists.a, lists.b, lists.c, lists.method, lists.vae):
        drawn = each.change(fn=scene, inputs=lists.inputs, outputs=[carriers.scene, lists.c], **quiet)
        drawn.then(fn=marks, inputs=lists.inputs, outputs=[carriers.marks], **quiet)
    filled = [lists.a, lists.b, lists.c, lists.vae, carriers.scene]
    hello.click(fn=offered(False), inputs=lists.inputs, outputs=filled, **quiet)
    refresh.click(fn=offered(True), inputs=lists.inputs, outputs=filled, **quiet)
    swap.click(fn=swapped, inputs=[lists.a, lists.b], outputs=[lists.a, lists.b], **quiet)


def _wire_moves(
    desk: Desk,
    lists: Lists,
    fields: Mapping[str, Any],
    saving: Mapping[str, Any],
    carriers: Carriers,
    hidden: Mapping[str, Any],
    wrap: Wrap,
) -> None:
    names, count = list(fields), len(lists.inputs)

    def turn(text: str, *given: Any) -> str:
        drawing = dict(zip(names, given[count:], strict=True))
        return carrier(desk.turn(text, _choice(given[:count]), drawing))

    def save(text: str, *given: Any) -> list[Any]:
        answer = desk.save(text, _choice(given[:count]), *given[count:])
        choices = list(desk.offer().checkpoints)
        return [carrier(answer), *(gr.update(choices=choices) for _ in "abc")]

    def keep(text: str) -> str:
        return carrier(desk.keep(text))

    def wire(name: str, button: Any, act: Callable[..., Any], inputs: list[Any], outputs: list[Any]) -> None:
        button.click(
            fn=act,
            inputs=[carriers.move, *inputs],
            outputs=outputs,
            show_progress="hidden",
            api_name=False,
            **_filled(name, len(inputs) + 1),
        )

    lent = [saving[name] for name in ("name", "format", "overwrite")]
    wire("turn", hidden["turn"], wrap(turn), [*lists.inputs, *fields.values()], [carriers.answer])
    wire("keep", hidden["keep"], keep, [], [carriers.answer])
    saved = [carriers.answer, lists.a, lists.b, lists.c]
    wire("save", saving["button"], wrap(save), [*lists.inputs, *lent], saved)


def _choice(chosen: Sequence[Any]) -> Choice:
    return Choice(*(str(each or "") for each in chosen))
