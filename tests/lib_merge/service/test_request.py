"""Flags, JSON, the page and the text of a recipe give the same request for the same merge."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib_merge.cli.main import build_parser
from lib_merge.errors import MergeError
from lib_merge.methods import METHODS
from lib_merge.recipe import Recipe, parse_recipe, print_recipe
from lib_merge.recipe.options import CHECKBOXES, OPTIONS, SAVE_OPTIONS, VAE_OPTION, Option, SaveOption
from lib_merge.service.request import MergeRequest, Resolved

HOUSE = Path(__file__).parents[3] / "lib_merge"
ALIGNED = ("weighted_sum", "add_difference")


class Names:
    """A resolver that takes every name for a file's."""

    def name_models(self, models: Sequence[str], vae: str) -> list[tuple[str, str]]:
        return [(name, name) for name in (*models, *([vae] if vae else []))]

    def locate(self, recipe: Recipe) -> Resolved[str]:
        return Resolved(recipe, {file: file for file in recipe.files})


def recipe_of(request: MergeRequest) -> Recipe:
    return request.recipe(Names()).recipe


@st.composite
def option_values(draw: st.DrawFn) -> dict[str, str]:
    """Values of any save options."""
    said: dict[str, str] = {}
    for option in SAVE_OPTIONS:
        if draw(st.booleans()):
            said[option.name] = draw(st.sampled_from(list(option.values)))
    if said.get("rounding") == "steps":
        said.pop("dtype", None)  # eight bits are too few to round to
    return said


@given(st.sampled_from(ALIGNED), st.floats(-1, 1), option_values(), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_flags_json_and_a_recipe_say_the_same_merge(
    method: str, alpha: float, saving: dict[str, str], align: bool, adjusted: bool
) -> None:
    models = ["a", "b", "c"][: METHODS.get(method).max_models]
    more = {"adjust": "0, 0, 0, 2"} if adjusted else {}
    body = {"method": method, **dict(zip("abc", models, strict=False)), "alpha": alpha, "align": align}
    from_json = recipe_of(MergeRequest.from_json({**body, **more, **saving}))
    switch = {"align": True} if align else {}
    flags = MergeRequest.from_flags(models, method, {"alpha": repr(alpha), **more, **saving, **switch})
    assert recipe_of(flags) == from_json
    text = print_recipe(from_json)
    assert print_recipe(recipe_of(MergeRequest.from_recipe(parse_recipe(text)))) == text


@given(
    st.sampled_from(list(VAE_OPTION.list_titles)),
    st.lists(st.sampled_from(list(CHECKBOXES)), unique=True),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_the_page_says_what_json_says(vae: str, ticks: list[str], align: bool) -> None:
    chosen = {CHECKBOXES[tick][0].name: CHECKBOXES[tick][1] for tick in ticks}
    method = METHODS.get("weighted_sum")
    faders = {"alpha": {"OUT05": 0.5}, "weights": "attn1: 0.2"}

    def page() -> MergeRequest:
        return MergeRequest.from_page(("a", "b"), method, faders, vae=vae, align=align, ticks=ticks)

    if len({CHECKBOXES[tick][0].name for tick in ticks}) < len(ticks):
        with pytest.raises(MergeError, match="two checkboxes set"):
            page()
        return
    body = {"a": "a", "b": "b", "vae": VAE_OPTION.list_titles[vae], "align": align, **faders, **chosen}
    assert page() == MergeRequest.from_json(body)


@pytest.mark.parametrize("option", SAVE_OPTIONS, ids=lambda option: option.name)
def test_a_wrong_word_is_one_error_by_the_name_it_was_given_under(option: SaveOption) -> None:
    if option.takes_file:
        pytest.skip("any text may be a file")
    with pytest.raises(MergeError) as flag:
        MergeRequest.from_flags(["a", "b"], "weighted_sum", {option.name: "odd"})
    with pytest.raises(MergeError) as field:
        MergeRequest.from_json({"a": "a", "b": "b", option.name: "odd"})
    assert "odd" in str(field.value)
    assert str(flag.value).replace("--", "").replace("-", "_") == str(field.value).replace("-", "_")


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_is_a_flag_a_field_of_json_and_on_the_page(option: Option) -> None:
    commands = build_parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr, index]
    assert f"{option.flag}" in commands["merge"].format_help()  # type: ignore[index, call-overload]
    word = {"align": True, "layout": "mbw", "adjust": "1", "weights": "0.5", "beta_weights": "0.5"}
    value = word.get(option.name) or next(iter(option.values))  # type: ignore[attr-defined]
    body = {"method": "triple_sum", "a": "a", "b": "b", "c": "c", option.name: value}
    assert MergeRequest.from_json(body).models == ("a", "b", "c")
    if isinstance(option, SaveOption):
        assert option.checkboxes or option.list_titles


# what means something else in this file: (file, literal)
OTHER_MEANINGS = {
    ("desk/tabs/weights/tab.py", "weights"),  # the tab
    ("desk/tabs/weights/handlers.py", "adjust"),  # the method
    ("grid/edit.py", "adjust"),  # the method
    ("recipe/text/sums.py", "weights"),  # a kind of token
    ("desk/rendering/api.py", "vae"),  # a kind of file
    ("service/remote_webui.py", "vae"),  # a kind of file
    ("service/render_messages.py", "vae"),  # a kind of file
}
THE_ROWS = "recipe/options.py"
OTHER_TOOLS = "recipe/imports/"  # their words for their fields, which are theirs to change


@pytest.mark.parametrize("package", ["recipe", "grid", "cli", "service", "desk"])
def test_no_option_is_declared_outside_of_its_row(package: str) -> None:
    names = {option.name for option in OPTIONS} | {option.flag for option in OPTIONS}
    uses = {
        (str(file.relative_to(HOUSE)), node.value)
        for file in sorted((HOUSE / package).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names
        if (path := file.relative_to(HOUSE).as_posix()) != THE_ROWS and not path.startswith(OTHER_TOOLS)
    }
    assert uses - OTHER_MEANINGS == set()


def test_only_one_function_reads_the_namespace_of_argparse() -> None:
    takers = [
        node.name
        for file in sorted(HOUSE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and "Namespace" in json.dumps([ast.unparse(a.annotation) for a in node.args.args if a.annotation])
    ]
    assert sorted(takers) == ["__call__", "read_command"]  # argparse's own Action, and the reader
