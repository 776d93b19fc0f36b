"""A recipe from wherever it stands: a text, a recipe file, a merged checkpoint, a picture, an infotext."""

from __future__ import annotations

import json
import re
import struct
import warnings
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from lib_merge.checkpoint import read_header
from lib_merge.errors import CheckpointError, RecipeError
from lib_merge.json_data import dump
from lib_merge.limits import MOST_HISTORY, require_text
from lib_merge.recipe.imports import Imported, import_text
from lib_merge.recipe.imports.detect import INSTEAD, WORKFLOW, is_workflow
from lib_merge.recipe.imports.history_csv import decoded
from lib_merge.recipe.model import Recipe
from lib_merge.recipe.parse import parse_recipe
from lib_merge.recipe.text import is_recipe

RECIPE_KEY = "merge_desk.recipe"
RECIPE = "Merge recipe"  # of the infotext of a picture drawn with a merge
# a value that holds commas or line ends is quoted as JSON (modules/infotext_utils.py, quote)
IN_INFOTEXT = re.compile(rf'{RECIPE}: ("(?:\\.|[^"\\])*"|[^,\n]+)')

OTHERS = ("sd_merge_recipe", "sd_merge_models")  # of AUTOMATIC1111, SuperMerger, Model Mixer
MODELS = (".safetensors", ".ckpt", ".pt", ".pth")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".avif")
HISTORY = ".csv"  # SuperMerger's, in whatever encoding
# what Pillow raises of a damaged picture, by its format and the place of the damage
DAMAGED = (
    *(SyntaxError, ValueError, TypeError, LookupError, AttributeError, EOFError, ArithmeticError),
    *(struct.error, zlib.error, RuntimeError),
)
COMMENT = 0x9286  # Exif's UserComment, where JPEG and WebP carry an infotext
EXIF = 0x8769


def recipe_text(given: str) -> str:
    """The text that holds the recipe, of a file's name or of the text itself.

    given  the name of a recipe file, checkpoint or picture, or any text: a recipe, an infotext
    Raises RecipeError where there is none, CheckpointError for a file that cannot be read.
    """
    path = Path(given)
    if len(given) > 1000 or "\n" in given or not _is_file(path):
        if not re.search(r"[=\n]", given):
            hint = "check the path and the spelling"
            raise CheckpointError("there is no such file, and this is no recipe", where=given, hint=hint)
        return given
    if path.suffix.lower() in PICTURES:
        return infotext_of(path)
    if path.suffix.lower() in MODELS:
        return metadata_text(path)
    try:
        if path.stat().st_size > 2 * MOST_HISTORY:  # bytes, of which a character takes at least one
            raise RecipeError("this file is too large for a recipe", where=given)
        raw = path.read_bytes()
        if path.suffix.lower() == HISTORY or raw.startswith((BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE)):
            return decoded(raw)
        return raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        hint = "save it as UTF-8"
        raise RecipeError("the recipe cannot be read", where=f"{given}: {cause}", hint=hint) from cause


def read_recipe(given: str) -> Recipe:
    """The recipe in what is given; see `recipe_text`."""
    return read_imported(given).recipe


def read_imported(given: str) -> Imported:
    """`read_recipe` with what has to be said about it; `mergehistory.csv#12` means the row of that ID."""
    file, mark, entry = given.rpartition("#")
    if mark and file.endswith(".csv") and entry.strip("-").isdigit():
        return recipe_in(recipe_text(file), entry)
    return recipe_in(recipe_text(given))


def recipe_of(text: str) -> Recipe:
    """The recipe in a text: the text itself, what an infotext carries, or another tool's."""
    return recipe_in(text).recipe


def recipe_in(text: str, entry: str = "") -> Imported:
    """`recipe_of` with what has to be said about it; `entry` is a row of a history, by its ID."""
    require_text(text, MOST_HISTORY)
    if is_recipe(text):
        return Imported(parse_recipe(text), "")
    if own := from_infotext(text):
        return Imported(parse_recipe(own), "")
    return import_text(text, entry) or Imported(parse_recipe(text), "")


def from_infotext(text: str) -> str:
    """The recipe that an infotext carries, "" where it carries none."""
    found = IN_INFOTEXT.search(text)
    if found is None:
        return ""
    try:
        return str(json.loads(found[1])) if found[1].startswith('"') else found[1].strip()
    except ValueError as cause:
        raise RecipeError("the recipe in this infotext is cut short", where=found[1][:80]) from cause


def in_infotext(recipe: str) -> str:
    """What an infotext says of a recipe, quoted as A1111 does it."""
    return f"{RECIPE}: {dump(recipe)}"


def metadata_text(path: Path) -> str:
    """The recipe in a checkpoint's metadata."""
    metadata = read_header(path).metadata
    if metadata.get(RECIPE_KEY):
        return metadata[RECIPE_KEY]
    others = {name: metadata[name] for name in OTHERS if metadata.get(name)}
    if OTHERS[0] not in others and is_workflow(metadata):
        raise RecipeError(WORKFLOW, where=str(path), hint=INSTEAD)
    if OTHERS[0] not in others:
        raise RecipeError("this checkpoint carries no recipe", where=str(path))
    return json.dumps(others)


def infotext_of(path: Path) -> str:
    """The infotext of a picture: PNG's "parameters", the comment of the others."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # no pixel of it is read
            with Image.open(path) as picture:
                told = dict(cast("Mapping[str, object]", picture.info))
                text = told.get("parameters")
                if not isinstance(text, str):
                    text = _comment(picture.getexif().get_ifd(EXIF).get(COMMENT))
    except Image.DecompressionBombError as cause:
        hint = "a smaller copy that keeps its infotext, or the infotext itself"
        raise RecipeError(
            "this picture has more pixels than are read", where=f"{path}: {cause}", hint=hint
        ) from cause
    except (OSError, MemoryError, *DAMAGED) as cause:
        raise RecipeError("this picture cannot be read", where=f"{path}: {cause}") from cause
    if not text and is_workflow(told):
        raise RecipeError(WORKFLOW, where=str(path), hint=INSTEAD)
    if not text:
        raise RecipeError("this picture carries no infotext", where=str(path), hint="use the original file")
    return text


def _comment(raw: object) -> str:
    """Exif's comment: eight bytes that name the encoding, then the text (piexif.helper.UserComment)."""
    if not isinstance(raw, bytes):
        return raw if isinstance(raw, str) else ""
    name, text = raw[:8], raw[8:]
    return text.decode("utf-16-be" if name.startswith(b"UNICODE") else "utf-8", "replace")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a text that can be no name
        return False
