"""The rows of SuperMerger's mergehistory.csv: as it writes them, and as a spreadsheet saves them again.

SuperMerger quotes every field and writes in the system's own code page (hako-mikan/sd-webui-supermerger
0b1c491, scripts/mergers/mergers.py, rwmergelog). A spreadsheet leaves the quotes out, puts semicolons or tabs
between the fields, decimal commas into numbers and its language's words for True, and saves as UTF-8 with a
mark in front, as UTF-16 or in a code page.
"""

from __future__ import annotations

import csv
import io
import locale
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Mapping

from lib_merge.errors import RecipeError
from lib_merge.limits import MAX_HISTORY, check_text

TOOL = "SuperMerger"
COLUMNS = [
    "id",
    "time",
    "name",
    "weights_alpha",
    "weights_beta",
    "model_a",
    "model_b",
    "model_c",
    "base_alpha",
    "base_beta",
    "mode",
    "mbw",
    "custom_name",
    "save_sets",
    "id_sets",
    "elemental_merge",
    "calcmode",
    "seed",
    "adjust",
    "option",
    "inex",
    "blocks",
    "elements",
]
BEGINS = ["id", "time", "name", "weights alpha"]
DELIMITERS = ",;\t"
CODE_PAGES = ("utf-8", locale.getpreferredencoding(False), "cp932", "cp1252")
TRUE = ("true", "wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar", "prawda", "истина", "1")
FALSE = ("false", "falsch", "faux", "falso", "onwaar", "fałsz", "ложь", "0", "")
NUMBER_COLUMNS = ("base_alpha", "base_beta")
MODEL_COLUMNS = ("model_a", "model_b", "model_c")
SHORT_HASH = 10  # digits
HASH = re.compile(r"[0-9a-f]{8,64}", re.IGNORECASE)

HistoryRow = dict[str, str]


def decode_history(raw: bytes) -> str:
    """A text in the encoding that its byte order mark names, or else in the first code page that fits."""
    if raw.startswith(BOM_UTF8):
        return raw.decode("utf-8-sig", "replace")
    if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return raw.decode("utf-16", "replace")
    for name in CODE_PAGES:
        try:
            return raw.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
    return raw.decode("latin-1")


def is_history(text: str) -> bool:
    """Whether a text begins with the column names of such a history."""
    return _delimiter(text) != ""


def history_rows(text: str) -> list[HistoryRow]:
    """Every row by the names of COLUMNS, as SuperMerger would have written it."""
    check_text(text, MAX_HISTORY, "this history")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=_delimiter(text) or ",")
    try:
        rows = [row for row in reader if row and row[0].strip().isdigit()]
    except csv.Error as cause:
        raise RecipeError(f"{TOOL}: this history cannot be read", where=str(cause)) from cause
    return [_row(row) for row in rows]


def _delimiter(text: str) -> str:
    """The delimiter of the fields in the first line; "" where it is not that of a history."""
    lines = text.lstrip("\ufeff \t\r\n")[:2000].splitlines()
    if lines and lines[0].lower().startswith("sep="):  # for a spreadsheet
        lines = lines[1:]
    for delimiter in DELIMITERS if lines else "":
        names = [name.strip(' "').lower() for name in lines[0].split(delimiter)]
        if names[: len(BEGINS)] == BEGINS:
            return delimiter
    return ""


def _row(cells: list[str]) -> HistoryRow:
    row = dict(zip(COLUMNS, (cell.strip() for cell in cells), strict=False))
    for name in NUMBER_COLUMNS:
        if re.fullmatch(r"[+-]?\d*,\d+", row.get(name, "")):
            row[name] = row[name].replace(",", ".")
    word = row.get("mbw", "").lower()
    row["mbw"] = "True" if word in TRUE else "False" if word in FALSE else row["mbw"]
    for name in MODEL_COLUMNS:
        if row.get(name, "").isdigit():  # a spreadsheet takes zeros off the front
            row[name] = row[name].zfill(SHORT_HASH)
    return row


def check_row(row: Mapping[str, str]) -> None:
    """Raise RecipeError for what a spreadsheet has changed so that it cannot be restored."""
    if row["mbw"] not in ("True", "False"):
        raise RecipeError(f"{TOOL}: use MBW is '{row['mbw']}'", hint="True or False")
    for name in MODEL_COLUMNS:
        if row.get(name) and not HASH.fullmatch(row[name]):
            raise RecipeError(
                f"{TOOL}: {name.replace('_', ' ')} is '{row[name]}', which is no hash",
                hint="a spreadsheet rounds long numbers: use the file as SuperMerger wrote it",
            )
