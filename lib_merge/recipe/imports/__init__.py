"""Recipes of other tools, as far as ours can express them; what cannot be expressed is reported."""

from lib_merge.recipe.imports.common import Imported
from lib_merge.recipe.imports.detect import import_text

__all__ = ["Imported", "import_text"]
