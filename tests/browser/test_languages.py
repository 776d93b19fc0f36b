"""The page in each of its languages: what is ours is translated as it appears, what is the user's never."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from lib_merge.desk.languages.handlers import FOLDER, LANGUAGES
from samples.assemble import assemble
from tests.browser.driver import DRAWN, Desk, expect

pytestmark = pytest.mark.newest_only

LOCALES = {"zh_CN": "zh-CN", "zh_TW": "zh-TW", "ja": "ja-JP", "ko": "ko-KR"}
TABS = ("mix", "weights", "methods", "report", "grid", "history")
NAMED_LIKE_A_TEXT = "saved"  # a checkpoint of this name
# every text in sight and every attribute that is read out, but for what is marked as no text of ours
TEXTS = """() => {
  const kept = '[translate="no"], pre, code, textarea, script, style, ul.options, ul[role="listbox"], '
    + '.merge-desk-hidden';
  const out = [];
  const walker = document.createTreeWalker(document.querySelector('.gradio-container'), 5);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.nodeType === 3) {
      if (!node.parentElement.closest(kept)) out.push(node.data.trim());
    } else if (!node.closest('[translate="no"]'))
      for (const name of ['title', 'aria-label', 'aria-valuetext', 'placeholder', 'alt'])
        if (node.getAttribute(name)) out.push(node.getAttribute(name).trim());
  }
  return out;
}"""

# A1111's own script, in short: of what is added to the page it translates texts, as wholes
LOCALISED = """
window.opts = { localization: NAME };
window.localization = WORDS;
const translate = (node) => {
  const found = localization[node.textContent.trim()];
  if (found !== undefined) node.textContent = found;
};
const all = (node) => {
  if (node.nodeType === 3) return translate(node);
  if (node.title && localization[node.title]) node.title = localization[node.title];
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) found.push(walker.currentNode);
  found.forEach(translate);
};
addEventListener("DOMContentLoaded", () => {
  all(document.body);
  new MutationObserver((records) => records.forEach((each) => each.addedNodes.forEach(all)))
    .observe(document.body, { childList: true, subtree: true });
});
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples, and one of them under a name that is a text of the page."""
    folder = tmp_path_factory.mktemp("languages") / "models"
    assemble(folder)
    (found,) = folder.rglob("pastel.safetensors")
    shutil.copy(found, found.with_name(f"{NAMED_LIKE_A_TEXT}.safetensors"))
    return folder


def texts_of(language: str) -> dict[str, str]:
    return json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))


def open_desk(chromium: Any, address: str, language: str) -> Desk:
    return Desk(chromium, address, status="base", locale=LOCALES[language])


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def desk(chromium: Any, address: str, language: str) -> Generator[Desk]:
    desk = open_desk(chromium, address, language)
    yield desk
    assert desk.complaints == []
    desk.page.close()


def go(desk: Desk, tab: str) -> None:
    desk.show(tab)
    places = {"mix": "faders", "grid": "grid"}
    expect(desk.page.locator(f"[data-mount={places.get(tab, tab)}]")).to_be_visible()
    if tab == "methods":
        expect(desk.page.locator("[data-method=ties]")).to_be_visible()
    if tab == "report":
        expect(desk.act("report-compare")).to_be_visible()


def test_the_tabs_and_what_is_in_them_are_translated(desk: Desk, language: str) -> None:
    texts = texts_of(language)
    expect(desk.act("generate")).to_have_text(texts["Generate"])
    expect(desk.act("unload")).to_have_attribute("title", texts[unload_title()])
    expect(desk.tab("mix")).to_have_text(texts["Mix"])
    expect(desk.page.locator("#merge_desk_a")).to_contain_text(texts["A, start from"])
    expect(desk.page.locator("#merge_desk_steps")).to_contain_text(texts["Steps"])
    expect(desk.part("next-step")).to_have_text(texts[choose_b()])
    known = {
        "weights": ("test-rules", "Test"),
        "report": ("report-compare", "Compare"),
        "grid": ("grid-start", "Start"),
    }
    for tab, (act, text) in known.items():
        go(desk, tab)
        expect(desk.act(act)).to_have_text(texts[text])
    go(desk, "methods")
    expect(desk.page.locator("[data-method=weighted_sum]")).to_contain_text(
        texts["Interpolate linearly between A and B."]
    )
    go(desk, "history")
    expect(desk.part("history-query")).to_have_attribute("aria-label", texts["Search the history"])


def unload_title() -> str:
    return "Remove the merge from memory: the loaded checkpoint's own weights are used again"


def choose_b() -> str:
    return "Choose B to begin: the sliders then show how much A and B differ in each block."


def test_no_text_of_ours_is_left_in_english_and_nothing_is_wider_than_the_page(
    desk: Desk, language: str
) -> None:
    texts = texts_of(language)
    english = {text for text, other in texts.items() if text != other}
    for tab in TABS:
        go(desk, tab)
        desk.page.wait_for_timeout(1500)
        assert english & set(desk.page.evaluate(TEXTS)) == set(), tab
        wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert desk.page.evaluate(wide) <= 0, tab


def test_what_a_screen_reader_and_a_font_need_is_on_the_page(desk: Desk, language: str) -> None:
    expect(desk.page.locator(".gradio-container").first).to_have_attribute("lang", language.replace("_", "-"))
    label = desk.fader("OUT05").get_attribute("aria-label") or ""
    assert "OUT05" in label


def test_what_the_user_writes_or_names_stays_as_it_is(chromium: Any, address: str) -> None:
    desk = open_desk(chromium, address, "zh_CN")
    texts = texts_of("zh_CN")
    prompt = desk.page.locator("#merge_desk_prompt textarea")
    prompt.fill("Undo")
    desk.choose("b", NAMED_LIKE_A_TEXT)
    expect(desk.page.locator("[data-slot=OUT05].md-marked")).to_be_visible()
    expect(desk.page.locator("#merge_desk_b input")).to_have_value(NAMED_LIKE_A_TEXT)
    desk.part("preset-name").fill("Reset")
    desk.act("save-preset").click()
    expect(desk.page.locator('[data-preset="Reset"]')).to_have_text("Reset")
    desk.act("generate").click()
    expect(desk.picture()).to_be_visible(timeout=DRAWN)
    expect(desk.part("status")).to_contain_text(NAMED_LIKE_A_TEXT)
    expect(desk.part("captions")).to_contain_text("Undo")
    expect(prompt).to_have_value("Undo")
    go(desk, "report")
    expect(desk.page.locator(f'label[title="{NAMED_LIKE_A_TEXT}"]')).to_have_text(NAMED_LIKE_A_TEXT)
    assert texts["saved"] not in desk.page.locator("[data-report=reference]").inner_text()
    go(desk, "mix")
    desk.act("unload").click()
    expect(desk.part("status")).to_contain_text(texts["Loaded: {base} (original)."][:3])
    assert desk.complaints == []
    desk.page.close()


def test_a_slider_that_is_dragged_has_only_its_own_texts_looked_for(chromium: Any, address: str) -> None:
    desk = open_desk(chromium, address, "ja")
    desk.choose("b", "pastel")
    expect(desk.page.locator("[data-slot=OUT05].md-marked")).to_be_visible()
    desk.act("live").press("Space")
    desk.drag("OUT05", 0.2)
    lookups = "() => mergeDesk.language.lookups()"
    before = desk.page.evaluate(lookups)
    desk.drag("OUT05", 0.8)
    desk.drag("OUT05", 0.4)
    assert desk.page.evaluate(lookups) - before < 20
    desk.page.close()


def test_the_menu_of_our_own_page_changes_the_language_and_is_remembered(chromium: Any, address: str) -> None:
    desk = Desk(chromium, address)
    menu = desk.page.locator("#merge_desk_language_menu")
    expect(menu).to_have_value("en")
    expect(desk.act("generate")).to_have_text("Generate")
    with desk.page.expect_navigation():
        menu.select_option("ko")
    expect(desk.act("generate")).to_have_text(texts_of("ko")["Generate"])
    desk.page.reload()
    expect(menu).to_have_value("ko")
    expect(desk.act("generate")).to_have_text(texts_of("ko")["Generate"])
    with desk.page.expect_navigation():
        menu.select_option("en")
    expect(desk.act("generate")).to_have_text("Generate")
    desk.page.close()


@pytest.mark.parametrize(
    ("localization", "shown"),
    [("zh-Hant (Stable)", "zh_TW"), ("None", "ja"), ("de_DE", "en")],
)
def test_in_a_webui_its_localisation_decides_and_there_is_no_menu(
    chromium: Any, address: str, localization: str, shown: str
) -> None:
    page = chromium.new_page(locale="ja-JP")
    page.add_init_script(
        f"window.localization = {{}};setTimeout(() => window.opts = {{localization: '{localization}'}}, 1500)"
    )
    page.goto(address)
    expected = "Generate" if shown == "en" else texts_of(shown)["Generate"]
    expect(page.locator("[data-act=generate]")).to_have_text(expected)
    expect(page.locator("#merge_desk_language_menu")).to_have_count(0)
    page.close()


def localised(name: str, words: dict[str, str]) -> str:
    """A script that does to the page what a WebUI with such a localisation file does."""
    return LOCALISED.replace("NAME", json.dumps(name)).replace("WORDS", json.dumps(words))


def test_a_localisation_file_that_knows_our_words_in_another_sense_changes_nothing(
    chromium: Any, address: str
) -> None:
    ours = texts_of("zh_CN")
    words = {"Set": "设置", "Reset": "重设", "Method": "方案", "IN05": "输入层 05", "Undo (Ctrl+Z)": "返回"}
    desk = Desk(chromium, address, status="base", script=localised("zh-Hans (Stable)", words))
    desk.begin("ink", "pastel")
    expect(desk.act("reset")).to_have_text(ours["Reset"])
    expect(desk.act("undo")).to_have_attribute("title", ours["Undo (Ctrl+Z)"])
    expect(desk.page.locator("#merge_desk_method")).to_contain_text(ours["Method"])
    expect(desk.page.locator("[data-slot=IN05] .md-slot")).to_have_text("IN05")
    shown = desk.page.evaluate(TEXTS)
    assert ours["Set"] in shown
    assert not {*words.values()} & {*shown}
    assert desk.complaints == []
    desk.page.close()


def test_a_localisation_file_of_another_language_translates_our_texts_and_no_names(
    chromium: Any, address: str
) -> None:
    words = {"Reset": "Zurücksetzen", "Method": "Verfahren", "IN05": "Eingang 05"}
    desk = Desk(chromium, address, script=localised("de_DE", words))
    expect(desk.act("reset")).to_have_text("Zurücksetzen")
    expect(desk.page.locator("#merge_desk_method")).to_contain_text("Verfahren")
    expect(desk.page.locator("[data-slot=IN05] .md-slot")).to_have_text("IN05")
    desk.page.close()
