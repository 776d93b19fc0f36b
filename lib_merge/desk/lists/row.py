"""The row above all tabs: A, B, C, the method and the VAE; and the events that it causes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, cast

from lib_merge.desk.lists.fitting import FittingFiles, ordered
from lib_merge.desk.lists.view import AlignmentNote, c_label
from lib_merge.desk.protocol import ID_PREFIX, Response
from lib_merge.desk.selection import DTYPE_OF_A, VAE_OF_A, ListOptions, method_by_title
from lib_merge.desk.tab import Binding, Lists, Page, component
from lib_merge.recipe.options import ALIGN_OPTION, DTYPE_OPTION, VAE_OPTION

ALIGN_LABEL = "Align to A first"
FIT = '<div class="merge-desk merge-desk-fit" data-mount="fit"></div>'  # which files fit A


@dataclass(frozen=True)
class ListRow:
    """The other components of the row: buttons and notes."""

    swap: Any
    refresh: Any
    note: Any
    unreadable: Any


def build_lists(gr: Any, options: ListOptions) -> tuple[Lists, ListRow]:
    """Builds the row; the lists are filled when the page opens."""

    def dropdown(name: str, label: str, choices: Sequence[str], value: str | None = None, **more: Any) -> Any:
        more = {"scale": 4, "min_width": 130, "allow_custom_value": True, **more}
        return component(gr.Dropdown, name, label=label, choices=list(choices), value=value, **more)

    def tool(name: str, sign: str) -> Any:
        look = {"elem_classes": ["merge-desk-tool"], "scale": 0, "min_width": 40}
        return gr.Button(sign, elem_id=ID_PREFIX + name, **look)

    with gr.Row(elem_id=f"{ID_PREFIX}lists"):
        a = dropdown("a", "A, start from", options.checkpoints, options.loaded or None)
        swap = tool("lists_swap", "\u21c4")
        b = dropdown("b", "B, mix in", options.checkpoints)
        c = dropdown("c", "C", options.checkpoints, visible=False)
        refresh = tool("lists_refresh", "\u21bb")
        gr.HTML('<div class="merge-desk" data-mount="method_menu"></div>', elem_id=f"{ID_PREFIX}method_menu")
        method = dropdown("method", "Method", options.methods, options.methods[0])
        vae = dropdown(VAE_OPTION.name, "VAE", options.vaes, VAE_OF_A)
    with gr.Row(elem_id=f"{ID_PREFIX}align_row"):
        align = component(
            gr.Checkbox, ALIGN_OPTION.name, label=ALIGN_LABEL, value=False, scale=0, min_width=200
        )
        gr.HTML('<div class="merge-desk merge-desk-align" data-mount="align"></div>')
        note = gr.HTML("", elem_id=f"{ID_PREFIX}align_note")
        gr.HTML(FIT, elem_id=f"{ID_PREFIX}fit")
    unreadable = gr.HTML(_unreadable(options.unreadable), elem_id=f"{ID_PREFIX}unreadable")
    dtype = dropdown(DTYPE_OPTION.name, "Precision", options.dtypes, DTYPE_OF_A, scale=1, render=False)
    return Lists(a, b, c, method, vae, dtype, align), ListRow(swap, refresh, note, unreadable)


def list_bindings(page: Page, row: ListRow) -> dict[str, Binding]:
    """The components that the endpoints of the lists set."""
    lists = page.lists
    filled = [lists.a, lists.b, lists.c, lists.vae, row.unreadable]
    fill = _filler(page.gr)
    c_is_used = _c_is_used(page.gr)
    return {
        "lists.open": Binding(outputs=filled, updates=fill, sets_lists=True),
        "lists.refresh": Binding(row.refresh, outputs=filled, updates=fill, sets_lists=True),
        "lists.changed": Binding(outputs=[lists.c], updates=c_is_used),
        "lists.settled": Binding(outputs=[lists.c], updates=c_is_used),
        "lists.fit": Binding(outputs=[lists.b, lists.c, row.unreadable], updates=_fitting_first(page.gr)),
        "lists.align": Binding(outputs=[row.note], updates=lambda answer: [_note(alignment_note(answer))]),
    }


def swapped(a: str | None, b: str | None) -> tuple[str | None, str | None]:
    """B and A: the values of the two lists after *Swap*."""
    return b, a


def _filler(gr: Any) -> Callable[[Response], Sequence[Any]]:
    def fill(response: Response) -> Sequence[Any]:
        if response.data is None:
            return [gr.update()] * 5
        options = cast("ListOptions", response.data)
        names = list(options.checkpoints)
        first = options.loaded or (names[0] if names else None)
        return [
            gr.update(choices=names) if response.selection.a else gr.update(choices=names, value=first),
            gr.update(choices=names),
            gr.update(choices=names),
            gr.update(choices=list(options.vaes)),
            _unreadable(options.unreadable),
        ]

    return fill


def _c_is_used(gr: Any) -> Callable[[Response], Sequence[Any]]:
    def shown(response: Response) -> Sequence[Any]:
        method = method_by_title(response.selection.method)
        return [gr.update(visible=(method.max_models or 3) > 2, label=c_label(method))]

    return shown


def _fitting_first(gr: Any) -> Callable[[Response], Sequence[Any]]:
    """The choices of B and C in another order, once all files have been read and some do not fit.

    And what cannot be read, of which a WebUI says nothing.
    """

    def sort(response: Response) -> Sequence[Any]:
        if response.data is None:
            return [gr.update()] * 3
        fit = cast("FittingFiles", response.data)
        sorted_choices = not fit.left and fit.misfits
        choices = gr.update(choices=list(ordered(fit))) if sorted_choices else gr.update()
        return [choices, choices, _unreadable(fit.unreadable)]

    return sort


def alignment_note(response: Response) -> str:
    """The result of aligning, or why it failed."""
    problem = response.problem
    if problem is not None:
        return " ".join(filter(None, (f"Not aligned: {problem.what}.", problem.where, problem.hint)))
    return cast("AlignmentNote", response.data).text if response.data else ""


def _unreadable(unreadable: str) -> str:
    """The note on the files that cannot be read; the standalone desk does not list them."""
    return _note(f"Cannot be read: {unreadable}" if unreadable else "")


def _note(text: str) -> str:
    return f'<p class="merge-desk-note">{escape(text)}</p>' if text else ""
