"""A merge as a frozen value, and its text form."""

from lib_merge.recipe.model import (
    BLEND,
    KEEP_A,
    NONE,
    TAKE_B,
    TEXT_WORDS,
    VAE_WORDS,
    Amount,
    Ingredient,
    Numbers,
    Recipe,
    Setting,
    Slots,
    Step,
)
from lib_merge.recipe.text import is_recipe, parse_recipe, print_recipe, print_setting

__all__ = [
    "BLEND",
    "KEEP_A",
    "NONE",
    "TAKE_B",
    "TEXT_WORDS",
    "VAE_WORDS",
    "Amount",
    "Ingredient",
    "Numbers",
    "Recipe",
    "Setting",
    "Slots",
    "Step",
    "is_recipe",
    "parse_recipe",
    "print_recipe",
    "print_setting",
]
