"""Gradio, as the page uses it: the only module that imports it.

The same code runs on Gradio 3.41.2 (A1111), 4.40.0 (Forge) and the current release.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio

from lib_merge.desk.common import payload
from lib_merge.desk.protocol import Endpoint, dispatch
from lib_merge.desk.selection import Selection
from lib_merge.desk.tab import Binding, Page

gr: Any = gradio  # its types differ from release to release

HIDDEN_CLASS = "merge-desk-hidden"
GRADIO_MAJOR = int(gr.__version__.split(".")[0])
JS_OPTION = "js" if GRADIO_MAJOR >= 4 else "_js"
QUIET: Mapping[str, Any] = {"show_progress": "hidden", "api_name": False}
# Gradio 4 and later drop a click while another one of the same button runs, unless trigger_mode is set
EVERY_CLICK: Mapping[str, Any] = {"trigger_mode": "multiple"} if GRADIO_MAJOR >= 4 else {}

Event = Callable[..., Any]


def bind(
    event: Event,
    endpoint: Endpoint,
    page: Page,
    message: Any,
    response: Any,
    binding: Binding,
    **options: Any,
) -> Any:
    """Makes an event (`button.click`, `list.change`, `other.then`) call an endpoint; returns Gradio's event.

    message   the hidden textbox; the page's script replaces its value by the action
    response  the element that the response is written to

    The script cuts the inputs to their number: some versions of Gradio append the outputs to them.
    """
    drawing = list(page.fields) if endpoint.drawing else []
    lists, further = page.lists.inputs, list(binding.fields)
    fields = [page.fields[name] for name in drawing]
    inputs = [message, *lists, *fields, *binding.fields.values()]

    def run(text: str, *values: Any) -> Any:
        chosen, rest = values[: len(lists)], values[len(lists) :]
        answer = dispatch(
            text,
            (endpoint,),
            page.service,
            Selection.of(chosen),
            dict(zip(drawing, rest, strict=False)),
            dict(zip(further, rest[len(drawing) :], strict=True)),
        )
        updates = list(binding.updates(answer)) if binding.outputs else []
        return [payload(answer), *updates] if updates else payload(answer)

    script = f"(...given) => window.mergeDesk.fill(given, {len(inputs)}, '{endpoint.name}')"
    waiting = {} if endpoint.queued else {"queue": False}
    options = {**QUIET, **waiting, **options, JS_OPTION: script}
    return event(fn=run, inputs=inputs, outputs=[response, *binding.outputs], **options)


def notify_end(event: Any, endpoint: Endpoint) -> None:
    """Notifies the page's script that an event has ended, with success or not."""
    ended = f"() => window.mergeDesk.ended('{endpoint.name}')"
    follow: dict[str, Any] = {"fn": None, "inputs": [], "outputs": [], **QUIET, JS_OPTION: ended}
    event.then(**follow)
    if hasattr(event, "failure"):  # there, contrary to its documentation, `then` does not follow an error
        event.failure(**follow)


def theme() -> Any:
    """The theme of the standalone page, with fonts of the machine: nothing is downloaded."""
    return gr.themes.Default(
        font=["Inter", "Segoe UI", "system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
