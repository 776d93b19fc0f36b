"""The page's scripts and style: inside the package of an installed wheel, at the top of a repository.

A tab's script is javascript/view_NAME.js and its style javascript/view_NAME.css, next to it. A WebUI loads
every script of that folder, but of style sheets only style.css at the top of an extension: `python3 start.py
docs` writes style.css from the parts, and a test compares the two.
"""

from __future__ import annotations

from pathlib import Path

from lib_merge.errors import MergeError

FOLDERS = (Path(__file__).with_name("static"), Path(__file__).parents[2])
STYLE_HEADER = "/* Assembled from javascript/*.css: edit those, then run python3 start.py docs. */\n"


def scripts() -> list[Path]:
    """The page's scripts, in the order in which a WebUI loads them."""
    return sorted((_folder() / "javascript").glob("*.js"))


def style() -> Path:
    """The page's style sheet."""
    return _folder() / "style.css"


def style_parts() -> list[Path]:
    """The parts of the style sheet in order: page.css, which all tabs share, then those of the tabs."""
    return sorted((_folder() / "javascript").glob("*.css"))


def assembled_style() -> str:
    """The text of style.css as its parts give it."""
    return "\n".join([STYLE_HEADER, *(path.read_text(encoding="utf-8") for path in style_parts())])


def _folder() -> Path:
    for folder in FOLDERS:
        if (folder / "style.css").is_file() and (folder / "javascript").is_dir():
            return folder
    hint = "install Merge Desk again, as a wheel or as a whole repository"
    raise MergeError("the page's scripts and style are missing", where=str(FOLDERS[0].parent), hint=hint)
