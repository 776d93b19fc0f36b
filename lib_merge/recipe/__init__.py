"""A merge as a frozen value, and its text form."""

from lib_merge.recipe.adjust import adjusted
from lib_merge.recipe.aligned import aligned_to_first
from lib_merge.recipe.alignment import REBASIN, Alignment
from lib_merge.recipe.ingredients import (
    Found,
    Recorded,
    find_ingredients,
    recorded,
    renamed,
    with_hashes,
    without_hashes,
)
from lib_merge.recipe.model import (
    BLEND,
    KEEP_A,
    NONE,
    PREDICTION_WORDS,
    TAKE_B,
    TEXT_WORDS,
    VAE_WORDS,
    Amount,
    Ingredient,
    Recipe,
    Setting,
    Step,
)
from lib_merge.recipe.numbers import Numbers, Slots
from lib_merge.recipe.parse import parse_recipe
from lib_merge.recipe.reading import (
    RECIPE,
    RECIPE_KEY,
    from_infotext,
    in_infotext,
    read_imported,
    read_recipe,
    recipe_in,
    recipe_of,
    recipe_text,
)
from lib_merge.recipe.rules import Rules, over, print_rules
from lib_merge.recipe.rules_text import parse_rules
from lib_merge.recipe.text import is_recipe, print_recipe, print_setting
from lib_merge.recipe.weights import read_weights

__all__ = [
    "BLEND",
    "KEEP_A",
    "NONE",
    "PREDICTION_WORDS",
    "REBASIN",
    "RECIPE",
    "RECIPE_KEY",
    "TAKE_B",
    "TEXT_WORDS",
    "VAE_WORDS",
    "Alignment",
    "Amount",
    "Found",
    "Ingredient",
    "Numbers",
    "Recipe",
    "Recorded",
    "Rules",
    "Setting",
    "Slots",
    "Step",
    "adjusted",
    "aligned_to_first",
    "find_ingredients",
    "from_infotext",
    "in_infotext",
    "is_recipe",
    "over",
    "parse_recipe",
    "parse_rules",
    "print_recipe",
    "print_rules",
    "print_setting",
    "read_imported",
    "read_recipe",
    "read_weights",
    "recipe_in",
    "recipe_of",
    "recipe_text",
    "recorded",
    "renamed",
    "with_hashes",
    "without_hashes",
]
