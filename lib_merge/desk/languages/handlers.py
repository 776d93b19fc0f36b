"""The language of the page: its script asks for the texts of one, and translates what is shown.

The English text is the key. A text with variable parts is a template, "{slot} is locked and keeps {amount}.",
and its translation has the same placeholders, in any order. docs/texts.py lists the texts of the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

from lib_merge.desk.protocol import Action, action
from lib_merge.errors import RecipeError
from lib_merge.json_data import load
from lib_merge.service.services import Services

FOLDER = Path(__file__).parent
LANGUAGES = ("zh_CN", "zh_TW", "ja", "ko")  # beside English


@dataclass(frozen=True)
class LanguageName:
    """A language by its file: "zh_CN"."""

    language: str = ""


@dataclass(frozen=True)
class LanguageTexts:
    """English text -> translation; templates have named placeholders in braces."""

    texts: Mapping[str, str]


@action("language.open", status=False, queued=False)
def open_(service: Services, action: Action[LanguageName]) -> LanguageTexts:
    """The texts of a language; none for English."""
    name = action.data.language
    if name in ("", "en"):
        return LanguageTexts({})
    if name not in LANGUAGES:
        raise RecipeError(f"the page has no language '{name}'", hint=f"one of {', '.join(LANGUAGES)}")
    return LanguageTexts(texts_of(name))


@cache
def texts_of(language: str) -> Mapping[str, str]:
    """A language's file; the page shows a text that is missing there in English."""
    return cast("Mapping[str, str]", load((FOLDER / f"{language}.json").read_bytes()))
