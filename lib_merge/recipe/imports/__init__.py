"""Recipes of other tools, as far as ours can say what they say; what cannot be said is told."""

from lib_merge.recipe.imports.common import Imported
from lib_merge.recipe.imports.detect import import_text

__all__ = ["Imported", "import_text"]
