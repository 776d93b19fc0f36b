"""The tab *Mix*: faders, pictures, what they are drawn with, and saving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from lib_merge.desk.protocol import ID_PREFIX, Response, element_id, endpoints_of
from lib_merge.desk.rendering import api as rendering_api
from lib_merge.desk.route import routes_of
from lib_merge.desk.selection import default_draw_settings, options_of
from lib_merge.desk.tab import RECIPE_LISTS, Binding, Page, Tab
from lib_merge.desk.tabs.mix import api, cards, further, handlers, kept, saving
from lib_merge.desk.tabs.mix.engaged import EngagedMerge
from lib_merge.desk.tabs.mix.kept import ListsAndFields, ResumedDesk
from lib_merge.recipe.options import CHECKBOXES
from lib_merge.save.saving import SAVE_FORMATS

FIELDS = ("prompt", "negative", "sampler", "scheduler", "steps", "cfg", "width", "height", "seed", "styles")
PROMPTS = ("prompt", "negative")
HOST_SETTINGS_NOTE = "Pictures are generated with the settings of the txt2img tab and this seed."


def _build(page: Page) -> Mapping[str, Binding]:
    gr, lists = page.gr, page.lists
    page.mount("hints")
    with gr.Row(elem_id=f"{ID_PREFIX}mix_columns"):
        with gr.Column(scale=1, min_width=320, elem_id=f"{ID_PREFIX}left"):
            page.mount("faders", skip_to="preview", host_fields=bool(page.host_fields), stop=True)
            page.fields.update(_fields(page))
            page.mount("pictures")
            save_box = _saving(page)
            page.mount("queue")
        with gr.Column(scale=1, min_width=320, elem_id=f"{ID_PREFIX}right"):
            for name in ("preview", "stage", "strip"):
                page.mount(name)

    def engaged_updates(response: Response) -> Sequence[Any]:
        engaged = cast("EngagedMerge", response.data) if response.data else EngagedMerge()
        values: Mapping[str, str] = engaged.setup.lists if engaged.setup else {}
        align = gr.update(value=engaged.align) if values else gr.update()
        return [*page.set_lists(values), align]

    def list_updates(response: Response) -> Sequence[Any]:
        choices = list(options_of(page.service.merging).checkpoints)
        return [gr.update(choices=choices) for _ in "abc"]

    def overwrite_update(response: Response) -> Sequence[Any]:
        return [gr.update(value=False) if response.problem is None else gr.update()]  # it was for that file

    def set_updates(lists: Mapping[str, str], align: Any, drawing: Mapping[str, object]) -> Sequence[Any]:
        offered = {name: value for name, value in drawing.items() if _is_offered(page, name, value)}
        fields = [_field_update(gr, offered.get(name)) for name in page.fields]
        return [*page.set_lists(lists), align, *fields]

    def resumed_updates(response: Response) -> Sequence[Any]:
        desk = cast("ResumedDesk", response.data) if response.data else ResumedDesk()
        lists = {name: value for name, value in desk.lists.items() if value}
        left = () if _is_unprompted(page, desk.present) else tuple(page.host_fields)
        drawing = {name: value for name, value in desk.drawing.items() if name not in left}
        return set_updates(lists, gr.update(value=desk.align) if desk.page else gr.update(), drawing)

    def set_up_updates(response: Response) -> Sequence[Any]:
        if response.data is None:
            return set_updates({}, gr.update(), {})
        wanted = cast("ListsAndFields", response.data)
        return set_updates(wanted.lists, gr.update(value=wanted.align), wanted.drawing)

    outputs = [*(getattr(lists, name) for name in RECIPE_LISTS), lists.align]
    everything = [*outputs, *page.fields.values()]
    button = save_box.pop("button")
    return {
        "mix.load_engaged": Binding(outputs=outputs, updates=engaged_updates, sets_lists=True),
        "mix.resume": Binding(outputs=everything, updates=resumed_updates, sets_lists=True),
        "mix.set_up": Binding(outputs=everything, updates=set_up_updates, sets_lists=True),
        "mix.save": Binding(button, save_box, [save_box["overwrite"]], overwrite_update),
        "mix.saved": Binding(outputs=[lists.a, lists.b, lists.c], updates=list_updates),
    }


def _fields(page: Page) -> dict[str, Any]:
    """The fields of a preview's settings: the host's own where it has them on its page, else ours."""
    gr, host_fields, merging = page.gr, page.host_fields, page.service.merging
    usual, can = default_draw_settings(merging), merging.host.capabilities()
    own: dict[str, Any] = {}

    def field(name: str, kind: Any, label: str, **options: Any) -> None:
        if name not in host_fields:
            own[name] = page.component(kind, name, label=label, value=getattr(usual, name), **options)

    with gr.Group(elem_id=f"{ID_PREFIX}drawing"):
        if "prompt" in host_fields:
            gr.HTML(f'<p class="merge-desk-note">{HOST_SETTINGS_NOTE}</p>')
        field("prompt", gr.Textbox, "Prompt", lines=2, max_lines=6)
        field("negative", gr.Textbox, "Negative prompt", lines=1, max_lines=4)
        with gr.Row():
            if can.samplers:
                field("sampler", gr.Dropdown, "Sampler", choices=list(can.samplers), min_width=100)
            if can.schedulers:
                field("scheduler", gr.Dropdown, "Schedule", choices=list(can.schedulers), min_width=100)
        with gr.Row():
            field("steps", gr.Number, "Steps", precision=0, min_width=60)
            field("cfg", gr.Number, "CFG", min_width=60)
            field("width", gr.Number, "Width", precision=0, min_width=60)
            field("height", gr.Number, "Height", precision=0, min_width=60)
            field("seed", gr.Number, "Seed", precision=0, min_width=60)
    components = {**host_fields, **own}
    return {name: components[name] for name in FIELDS if name in components}


def _saving(page: Page) -> dict[str, Any]:
    """The fields of SaveRequest, and the button."""
    gr, component = page.gr, page.component
    with gr.Accordion("Save the merge", open=False, elem_id=f"{ID_PREFIX}saving"):
        name = component(gr.Textbox, "name", label="Name", placeholder="my-mix", max_lines=1)
        with gr.Row():
            page.lists.dtype.render()
            kinds = {"choices": list(SAVE_FORMATS), "value": SAVE_FORMATS[0], "min_width": 200}
            format = component(gr.Radio, "format", label="File format", **kinds)
        checkboxes = {"choices": list(CHECKBOXES), "value": []}
        save_options = component(gr.CheckboxGroup, "save_options", label="Include / Prune", **checkboxes)
        with gr.Row(equal_height=True):
            overwrite = component(gr.Checkbox, "overwrite", label="Overwrite", value=False, min_width=120)
            button = gr.Button("Save", variant="primary", elem_id=element_id("mix.save"), min_width=120)
    fields = {"name": name, "format": format, "overwrite": overwrite, "save_options": save_options}
    return {**fields, "button": button}


def _is_unprompted(page: Page, present: Mapping[str, object]) -> bool:
    """Whether the host's prompts hold what its page begins with: the user has asked for no picture there yet.

    Its other fields may be others by then, as Forge sets them by its preset.
    """
    prompts = {name: page.host_fields[name] for name in PROMPTS if name in page.host_fields}
    return all((present.get(name) or "") == (field.value or "") for name, field in prompts.items())


def _is_offered(page: Page, name: str, value: object) -> bool:
    """Whether a field can have a value: a list of this host may lack it."""
    can = page.service.merging.host.capabilities()
    choices = {"sampler": can.samplers, "scheduler": can.schedulers}
    if isinstance(value, tuple):
        entries: Sequence[Any] = getattr(page.fields.get(name), "choices", None) or ()
        # Gradio 4 keeps pairs of a label and a value
        names = {entry if isinstance(entry, str) else entry[-1] for entry in entries}
        return names.issuperset(cast("tuple[str, ...]", value))
    return value is not None and (name not in choices or value in choices[name])


def _field_update(gr: Any, value: object) -> Any:
    """Gradio's update that sets a field to a value; None leaves the field as it is."""
    if value is None:
        return gr.update()
    return gr.update(value=list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value)


MODULES = (handlers, saving, further, kept, cards)
ENDPOINTS = tuple(endpoint for module in MODULES for endpoint in endpoints_of(module))
MIX_TAB = Tab("mix", "Mix", ENDPOINTS, (*routes_of(api), *routes_of(rendering_api)), _build)
