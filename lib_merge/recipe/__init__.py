"""Recipes: a merge as a frozen value, its text form, and recipes of other tools."""

from lib_merge.recipe.adjust import with_adjust
from lib_merge.recipe.alignment import align_to_first
from lib_merge.recipe.ingredients import (
    LocatedRecipe,
    RecordedFile,
    find_ingredients,
    recorded_files,
    rename_files,
    with_hashes,
    without_hashes,
)
from lib_merge.recipe.model import (
    REBASIN,
    Alignment,
    Amount,
    Ingredient,
    Recipe,
    Setting,
    Step,
)
from lib_merge.recipe.options import BLEND, KEEP_A, NONE, TAKE_B, VAE_CHOICES
from lib_merge.recipe.reading import (
    INFOTEXT_KEY,
    RECIPE_KEY,
    import_from_text,
    infotext_entry,
    read_imported,
    read_recipe,
    read_recipe_text,
    recipe_from_text,
    recipe_in_infotext,
)
from lib_merge.recipe.text.canonical import is_recipe, print_recipe, print_setting
from lib_merge.recipe.text.shorthand import parse_recipe
from lib_merge.recipe.weights.lists import Numbers, Slots
from lib_merge.recipe.weights.parse import parse_rules
from lib_merge.recipe.weights.read import read_weights
from lib_merge.recipe.weights.rules import Rules, overlay_rules, print_rules

__all__ = [
    "BLEND",
    "INFOTEXT_KEY",
    "KEEP_A",
    "NONE",
    "REBASIN",
    "RECIPE_KEY",
    "TAKE_B",
    "VAE_CHOICES",
    "Alignment",
    "Amount",
    "Ingredient",
    "LocatedRecipe",
    "Numbers",
    "Recipe",
    "RecordedFile",
    "Rules",
    "Setting",
    "Slots",
    "Step",
    "align_to_first",
    "find_ingredients",
    "import_from_text",
    "infotext_entry",
    "is_recipe",
    "overlay_rules",
    "parse_recipe",
    "parse_rules",
    "print_recipe",
    "print_rules",
    "print_setting",
    "read_imported",
    "read_recipe",
    "read_recipe_text",
    "read_weights",
    "recipe_from_text",
    "recipe_in_infotext",
    "recorded_files",
    "rename_files",
    "with_adjust",
    "with_hashes",
    "without_hashes",
]
