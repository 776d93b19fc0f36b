"""What a tab of the page is, and what it is built with. A tab is registered by its line in desk/table.py.

    SEARCH = Tab("search", "Search", endpoints_of(handlers), routes_of(api), build)

From that line follow, with the tab's name N: its endpoints (`N.VERB`) with a hidden button and a hidden
element for the response each, its HTTP routes and their documentation. Its script is javascript/view_N.js;
its style is javascript/view_N.css, where everything is under `.merge-desk-N`.

Nothing here imports Gradio: `Page.gr` is it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lib_merge.desk.protocol import ID_PREFIX, Endpoint, Response
from lib_merge.desk.route import Route
from lib_merge.recipe.options import DTYPE_OPTION, VAE_OPTION
from lib_merge.service.services import Services

RECIPE_LISTS = (
    "a",
    "b",
    "c",
    "method",
    VAE_OPTION.name,
    DTYPE_OPTION.name,
)  # of Lists: those that a recipe sets


@dataclass(frozen=True)
class Lists:
    """The lists above the tabs, in the order of `Selection`."""

    a: Any
    b: Any
    c: Any
    method: Any
    vae: Any
    dtype: Any
    align: Any

    @property
    def inputs(self) -> list[Any]:
        """The lists in the order of `Selection`, as the inputs of an event."""
        return [self.a, self.b, self.c, self.method, self.vae, self.dtype, self.align]


@dataclass(frozen=True)
class Page:
    """What all tabs are built with.

    gr           the module gradio
    host_fields  the host's own fields, used in place of ours
    fields       the fields of a picture's settings, those of the host among them; filled by the tab Mix
    """

    gr: Any
    service: Services
    lists: Lists
    host_fields: Mapping[str, Any]
    fields: dict[str, Any] = field(default_factory=dict[str, Any])

    def component(self, kind: Any, name: str, **options: Any) -> Any:
        """A component with our id; the host does not store its value in ui-config.json."""
        return component(kind, name, **options)

    def mount(self, name: str, *, skip_to: str = "", **facts: bool) -> None:
        """Adds an empty element that the page's script draws into, and its heading for a screen reader.

        skip_to  the element that a link before this one leads to, shown when a key comes to it
        """
        attributes = "".join(f' data-{fact}="{str(value).lower()}"' for fact, value in facts.items())
        skip = f'<a class="md-skip" href="#{ID_PREFIX}{skip_to}">Skip the {name}</a>' if skip_to else ""
        heading = f'<div class="merge-desk"><h2 class="md-unseen">{name.capitalize()}</h2>{skip}</div>'
        self.gr.HTML(
            f'{heading}<div class="merge-desk merge-desk-{name}" data-mount="{name}"{attributes}></div>',
            elem_id=f"{ID_PREFIX}{name}",
        )

    def set_lists(self, values: Mapping[str, str]) -> list[Any]:
        """Gradio's updates for RECIPE_LISTS; a list that is not named keeps its value, and "" empties one."""
        gr = self.gr
        return [
            gr.update(value=values[name] or None) if name in values else gr.update() for name in RECIPE_LISTS
        ]


@dataclass(frozen=True)
class Binding:
    """What an endpoint's event has besides the action and its response.

    trigger    the button that is clicked, None for a hidden one
    fields     further inputs, which join the action's data by these names
    outputs    components that the response sets, and `updates` their values
    sets_lists whether these set lists: `lists.settled` follows
    """

    trigger: Any = None
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    outputs: Sequence[Any] = ()
    updates: Callable[[Response], Sequence[Any]] = lambda response: ()
    sets_lists: bool = False


@dataclass(frozen=True)
class Tab:
    """One tab of the page.

    name       of its endpoints, its script, its style and its element
    title      on the page
    endpoints  what its script can call
    routes     what it adds to the HTTP API
    build      adds its components; returns, by an endpoint's name, what its event has besides the response
    """

    name: str
    title: str
    endpoints: tuple[Endpoint, ...]
    routes: tuple[Route, ...]
    build: Callable[[Page], Mapping[str, Binding]]


def component(kind: Any, name: str, **options: Any) -> Any:
    """A component of Gradio with our id, which the host does not store as a default of its own."""
    component = kind(elem_id=ID_PREFIX + name, **options)
    component.do_not_save_to_config = True
    return component
