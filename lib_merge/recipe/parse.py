"""The one door for recipe texts: canonical lines, what mixers write, or both in one."""

from __future__ import annotations

from lib_merge.recipe.model import Recipe
from lib_merge.recipe.notation import expand
from lib_merge.recipe.text import parse_lines


def parse_recipe(text: str) -> Recipe:
    """Read a recipe; an error names line and column and shows the line."""
    expanded = expand(text)
    return parse_lines(expanded.text, expanded.origin, text)
