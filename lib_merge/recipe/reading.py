"""Reads a recipe from any source: a text, a recipe file, a merged checkpoint, a picture, an infotext."""

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

from lib_merge.architectures import read_header
from lib_merge.checkpoint.suffixes import has_suffix, is_checkpoint
from lib_merge.errors import CheckpointError, RecipeError
from lib_merge.json_data import dump
from lib_merge.limits import MAX_HISTORY, check_text
from lib_merge.recipe.imports import Imported, import_text
from lib_merge.recipe.imports.history_csv import decode_history
from lib_merge.recipe.imports.importer import USE_INSTEAD
from lib_merge.recipe.imports.unsupported import WORKFLOW, is_workflow
from lib_merge.recipe.model import Recipe
from lib_merge.recipe.text.canonical import is_recipe
from lib_merge.recipe.text.shorthand import parse_recipe

RECIPE_KEY = "merge_desk.recipe"
INFOTEXT_KEY = "Merge recipe"  # of the infotext of a picture drawn with a merge
# a value that holds commas or line ends is quoted as JSON (modules/infotext_utils.py, quote)
IN_INFOTEXT = re.compile(rf'{INFOTEXT_KEY}: ("(?:\\.|[^"\\])*"|[^,\n]+)')

OTHERS = ("sd_merge_recipe", "sd_merge_models")  # of AUTOMATIC1111, SuperMerger, Model Mixer
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif")
HISTORY_SUFFIX = ".csv"  # SuperMerger's, in whatever encoding
# what Pillow raises of a damaged picture, by its format and the place of the damage
PILLOW_ERRORS = (
    *(SyntaxError, ValueError, TypeError, LookupError, AttributeError, EOFError, ArithmeticError),
    *(struct.error, zlib.error, RuntimeError),
)
# the line of settings that every WebUI writes (modules/processing.py, create_infotext)
IS_INFOTEXT = re.compile(r"^Steps: \d+, .*\bSeed: \d+", re.MULTILINE)
COMMENT = 0x9286  # Exif's UserComment, where JPEG and WebP carry an infotext
EXIF = 0x8769


def read_recipe_text(source: str) -> str:
    """The text that holds the recipe, of a file's name or of the text itself.

    source  the name of a recipe file, checkpoint or picture, or any text: a recipe, an infotext
    Raises RecipeError where there is none, CheckpointError for a file that cannot be read.
    """
    path = Path(source)
    if not is_file_path(source):
        if not re.search(r"[=\n]", source):
            hint = "check the path and the spelling"
            raise CheckpointError("there is no such file, and this is no recipe", where=source, hint=hint)
        return source
    if has_suffix(path, *PICTURE_SUFFIXES):
        return read_infotext(path)
    if is_checkpoint(path):
        return recipe_text_in_checkpoint(path)
    try:
        if path.stat().st_size > 2 * MAX_HISTORY:  # bytes, of which a character takes at least one
            raise RecipeError("this file is too large for a recipe", where=source)
        raw = path.read_bytes()
        if has_suffix(path, HISTORY_SUFFIX) or raw.startswith((BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE)):
            return decode_history(raw)
        return raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        hint = "save it as UTF-8"
        raise RecipeError("the recipe cannot be read", where=f"{source}: {cause}", hint=hint) from cause


def read_recipe(source: str) -> Recipe:
    """The recipe of a source; see `read_recipe_text`."""
    return read_imported(source).recipe


def read_imported(source: str) -> Imported:
    """`read_recipe` with its notes; `mergehistory.csv#12` means the row of that ID."""
    file, mark, entry = source.rpartition("#")
    if mark and has_suffix(file, HISTORY_SUFFIX) and entry.strip("-").isdigit():
        return import_from_text(read_recipe_text(file), entry)
    return import_from_text(read_recipe_text(source))


def recipe_from_text(text: str) -> Recipe:
    """The recipe in a text: the text itself, the one in an infotext, or another tool's."""
    return import_from_text(text).recipe


def import_from_text(text: str, entry: str = "") -> Imported:
    """`recipe_from_text` with its notes; `entry` is a row of a history, by its ID."""
    check_text(text, MAX_HISTORY)
    if is_recipe(text):
        return Imported(parse_recipe(text), "")
    if own := recipe_in_infotext(text):
        return Imported(parse_recipe(own), "")
    if imported := import_text(text, entry):
        return imported
    if IS_INFOTEXT.search(text):
        hint = "a picture generated with a merge carries one; of a saved merge, paste the file's name"
        raise RecipeError("this infotext carries no recipe", hint=hint)
    return Imported(parse_recipe(text), "")


def recipe_in_infotext(text: str) -> str:
    """The recipe that an infotext carries, "" where it carries none."""
    match = IN_INFOTEXT.search(text)
    if match is None:
        return ""
    try:
        return str(json.loads(match[1])) if match[1].startswith('"') else match[1].strip()
    except ValueError as cause:
        raise RecipeError("the recipe in this infotext is cut short", where=match[1][:80]) from cause


def infotext_entry(recipe: str) -> str:
    """The entry of a recipe in an infotext, quoted as A1111 does it."""
    return f"{INFOTEXT_KEY}: {dump(recipe)}"


def recipe_text_in_checkpoint(path: Path) -> str:
    """The recipe in a checkpoint's metadata."""
    metadata = read_header(path).metadata
    if metadata.get(RECIPE_KEY):
        return metadata[RECIPE_KEY]
    others = {name: metadata[name] for name in OTHERS if metadata.get(name)}
    if OTHERS[0] not in others and is_workflow(metadata):
        raise RecipeError(WORKFLOW, where=str(path), hint=USE_INSTEAD)
    if OTHERS[0] not in others:
        raise RecipeError("this checkpoint carries no recipe", where=str(path))
    return json.dumps(others)


def read_infotext(path: Path) -> str:
    """The infotext of a picture: PNG's "parameters", the comment of the others."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # no pixel of it is read
            with Image.open(path) as picture:
                info = dict(cast("Mapping[str, object]", picture.info))
                text = info.get("parameters")
                if not isinstance(text, str):
                    text = _comment(picture.getexif().get_ifd(EXIF).get(COMMENT))
    except Image.DecompressionBombError as cause:
        hint = "a smaller copy that keeps its infotext, or the infotext itself"
        raise RecipeError(
            "this picture has more pixels than are read", where=f"{path}: {cause}", hint=hint
        ) from cause
    except (OSError, MemoryError, *PILLOW_ERRORS) as cause:
        raise RecipeError("this picture cannot be read", where=f"{path}: {cause}") from cause
    if not text and is_workflow(info):
        raise RecipeError(WORKFLOW, where=str(path), hint=USE_INSTEAD)
    if not text:
        raise RecipeError("this picture carries no infotext", where=str(path), hint="use the original file")
    return text


def _comment(raw: object) -> str:
    """Exif's comment: eight bytes that name the encoding, then the text (piexif.helper.UserComment)."""
    if not isinstance(raw, bytes):
        return raw if isinstance(raw, str) else ""
    name, text = raw[:8], raw[8:]
    return text.decode("utf-16-be" if name.startswith(b"UNICODE") else "utf-8", "replace")


def is_file_path(text: str) -> bool:
    """Whether a text is the path of a file, not a recipe: that may be longer than any path."""
    try:
        return "\n" not in text and Path(text).is_file()
    except (OSError, ValueError):  # a text that can be no name
        return False
