"""Detects which tool wrote a recipe. A new kind is a file here and its line in IMPORTERS."""

from __future__ import annotations

from lib_merge.errors import RecipeError
from lib_merge.limits import check_text
from lib_merge.recipe.imports.common import Imported
from lib_merge.recipe.imports.importer import USE_INSTEAD, Importer, ImportSource
from lib_merge.recipe.imports.mecha import MECHA
from lib_merge.recipe.imports.mergekit import MERGEKIT
from lib_merge.recipe.imports.model_mixer import MODEL_MIXER, MODEL_MIXER_INFOTEXT
from lib_merge.recipe.imports.unsupported import CHATTIORI, COMFYUI
from lib_merge.recipe.imports.webui import A1111_METADATA, SUPERMERGER_HISTORY, SUPERMERGER_METADATA

IMPORTERS: tuple[Importer, ...] = (
    SUPERMERGER_HISTORY,  # the longest, so it comes before the others measure the text
    MECHA,
    COMFYUI,
    A1111_METADATA,
    SUPERMERGER_METADATA,
    MODEL_MIXER,
    CHATTIORI,
    MODEL_MIXER_INFOTEXT,
    MERGEKIT,
)


def import_text(text: str, entry: str = "") -> Imported | None:
    """The recipe of another tool in a text, or None where no importer recognises it.

    entry  which row of a history, by its ID; the last where it is ""
    """
    source = ImportSource(text.lstrip("\ufeff \t\r\n"), entry)
    for importer in IMPORTERS:
        check_text(text, importer.most)
        if importer.recognises(source):
            return importer.read(source)
    if source.type:
        raise RecipeError(f"a recipe of '{source.type}' is not imported", hint=USE_INSTEAD)
    return None
