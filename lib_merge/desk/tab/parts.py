"""What every room of the page is made with: ids, carriers, and the input that the page's script fills in.

The only file that imports Gradio.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio

from lib_merge.desk.handlers import Choice, Desk

gr: Any = gradio  # its types differ from release to release

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]

PREFIX = "merge_desk_"
HIDDEN = "merge-desk-hidden"
JS = "js" if int(gr.__version__.split(".")[0]) >= 4 else "_js"
QUIET: Mapping[str, Any] = {"show_progress": "hidden", "api_name": False}


@dataclass(frozen=True)
class Lists:
    """The lists above the rooms, in the order of `Choice`, and what is said beside the last of them."""

    a: Any
    b: Any
    c: Any
    method: Any
    vae: Any
    dtype: Any
    align: Any
    note: Any
    unreadable: Any

    @property
    def inputs(self) -> list[Any]:
        """As the inputs of an event."""
        return [self.a, self.b, self.c, self.method, self.vae, self.dtype, self.align]


@dataclass(frozen=True)
class Page:
    """What all rooms share.

    fields   what pictures are drawn with, the host's own fields among them; filled by the first room
    wrap     how the host runs what touches the model
    stop     what *Stop* calls, None where nothing can be stopped
    move     the carrier whose place the page's script fills with what is asked
    """

    desk: Desk
    lists: Lists
    wrap: Wrap
    stop: Callable[[], object] | None
    borrowed: Mapping[str, Any]
    move: Any
    fields: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Room:
    """One tab of the page.

    answers  carriers from Python to the page's script, which hears them by these names
    asks     hidden buttons that the page's script presses, by name
    place    puts the components; what it returns is given to `wire`
    wire     binds the events: page, what was placed, carriers and buttons by name
    """

    name: str
    title: str
    answers: tuple[str, ...]
    asks: tuple[str, ...]
    place: Callable[[Page], Any]
    wire: Callable[[Page, Any, Mapping[str, Any]], None]


def ours(kind: Any, name: str, **options: Any) -> Any:
    """A component with our id, which the host does not store as a default of its own."""
    component = kind(elem_id=PREFIX + name, **options)
    component.do_not_save_to_config = True
    return component


def mount(name: str, **facts: bool) -> str:
    """An empty element that the page's script draws into."""
    told = "".join(f' data-{fact}="{str(value).lower()}"' for fact, value in facts.items())
    return f'<div class="merge-desk merge-desk-{name}" data-mount="{name}"{told}></div>'


def bind(
    page: Page, name: str, button: Any, act: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any]
) -> None:
    """Have a click call `act` with what the page's script fills in first, then the inputs.

    Outputs are trimmed off what the script is given: some Gradios hand them over too.
    """
    count = len(inputs) + 1
    script = f"(...given) => window.mergeDesk.fill(given, {count}, '{name}')"
    button.click(fn=act, inputs=[page.move, *inputs], outputs=list(outputs), **QUIET, **{JS: script})


def silent(act: Callable[[], object]) -> Callable[[], None]:
    """The act without what it returns."""

    def run() -> None:
        act()

    return run


def choice_of(chosen: Sequence[Any]) -> Choice:
    """What the lists say."""
    *texts, align = chosen
    return Choice(*(str(each or "") for each in texts), align=bool(align))
