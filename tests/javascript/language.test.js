"use strict";

const { readFileSync, readdirSync } = require("node:fs");
const { join } = require("node:path");
const { test } = require("node:test");
const assert = require("node:assert/strict");
const {
  Translator,
  chooseLanguage,
  languageNamed,
  originalsIn,
  LANGUAGES,
} = require("../../javascript/language.js");

const FOLDER = join(__dirname, "../../lib_merge/desk/languages");
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));
const TEXTS = {
  Generate: "生成",
  "Choose B.": "选 B。",
  "{slot} is locked and keeps {amount}.": "{amount}：{slot} 已锁定。",
  "{slot} is locked.": "{slot} 锁了。",
  "{count} blocks": "{count} 个块",
  "The recipe is not shown: {why}.": "配方未显示：{why}。",
  "it has {steps} steps": "有 {steps} 步",
  "{parameter} {from} to {to}": "{parameter} {from} → {to}",
  "Loaded: {base}.": "已加载：{base}。",
  "{name} (unsaved)": "{name}（未保存）",
  "{parts} in all": "共 {parts}",
  "no such file: {path}": "没有文件：{path}",
};
const translator = new Translator(TEXTS, "");
/** @param {string} text */
const translate = (text) => translator.translate(text);

test("a text is translated as a whole, and spaces around it stay", () => {
  assert.equal(translate("Generate"), "生成");
  assert.equal(translate("  Generate "), "  生成 ");
});
test("what has no translation stays as it is, and so do numbers", () => {
  for (const text of ["a road to rome", "0.35", "", " ", "B (ink)", "IN05"])
    assert.equal(translate(text), text);
});
test("a template takes over names and numbers, in the order of the other language", () => {
  assert.equal(translate("IN05 is locked and keeps 0.3."), "0.3：IN05 已锁定。");
});
test("of two templates that fit, the one that says more is taken", () => {
  assert.equal(translate("IN05 is locked."), "IN05 锁了。");
});
test("a name within a text is never translated, even where it is a text of ours", () => {
  assert.equal(translate("Loaded: Generate."), "已加载：Generate。");
  assert.equal(translate("Loaded: 2 blocks."), "已加载：2 blocks。");
});
test("signs of patterns in a name are only signs", () => {
  assert.equal(translate("Loaded: a.*(b)+$&{base}."), "已加载：a.*(b)+$&{base}。");
});
test("a phrase of ours within a text is translated too", () => {
  assert.equal(translate("The recipe is not shown: it has 3 steps."), "配方未显示：有 3 步。");
});
test("a list of phrases within a text is translated piece by piece, or not at all", () => {
  assert.equal(translate("2 blocks, 3 blocks in all"), "共 2 个块, 3 个块");
  assert.equal(translate("2 blocks, ink in all"), "共 2 blocks, ink");
});
test("sentences that were put behind each other are translated one by one", () => {
  assert.equal(translate("Choose B. IN05 is locked."), "选 B。IN05 锁了。");
  assert.equal(translate("Choose B. Nothing known."), "选 B。Nothing known.");
});
test("two amounts are recognised by their being numbers", () => {
  assert.equal(translate("alpha 0.3 to 0.7"), "alpha 0.3 → 0.7");
  assert.equal(translate("cannot write to disk"), "cannot write to disk");
});
test("a capital letter or a full stop where a text is shown does not matter", () => {
  assert.equal(translate("No such file: x"), "没有文件：x");
  assert.equal(translate("Generate."), "生成。");
});
test("a merge in memory is named as such", () => {
  assert.equal(translate("Loaded: ink + b (unsaved)."), "已加载：ink + b（未保存）。");
});
test("what is translated stays as it is when it is looked up again", () => {
  for (const text of Object.keys(TEXTS)) assert.equal(translate(translate(text)), translate(text));
});
test("the same text is looked for once", () => {
  const fresh = new Translator(TEXTS);
  for (let n = 0; n < 50; n++) fresh.translate("IN05 is locked.");
  for (let n = 0; n < 50; n++) fresh.translate(String(n / 100));
  assert.equal(fresh.lookups, 1);
});
test("English is no translation: nothing is looked for", () => {
  const english = new Translator();
  assert.equal(english.translate("Generate"), "Generate");
  assert.equal(english.lookups, 0);
});

test("each way to name a language is understood", () => {
  const names = {
    zh_CN: ["zh_CN", "zh-Hans (Stable)", "zh-Hans", "zh", "zh-SG", "chinese-all-0313", "简体中文", "zh_Hans"],
    zh_TW: ["zh_TW", "zh-Hant (Stable)", "zh-HK", "zh-Hant-TW", "zh-MO", "繁體中文", "chinese traditional"],
    ja: ["ja_JP", "ja", "ja-JP", "Japanese"],
    ko: ["ko_KR", "ko", "ko-KR", "Korean"],
    en: ["en", "en-GB", "en_US", "English"],
    "": ["", "de_DE", "fr", "kok", "japan", "zebra"].filter((name) => name !== "japan"),
  };
  for (const [language, all] of Object.entries(names))
    for (const name of all) assert.equal(languageNamed(name), language, name);
});
test("the host's localisation decides where one is chosen, then the menu, then the browser", () => {
  const choose = (host = "", menu = "", /** @type {string[]} */ browser = []) =>
    chooseLanguage({ host, menu, browser });
  assert.equal(choose("zh_TW", "ja", ["ko"]), "zh_TW");
  assert.equal(choose("None", "ja", ["ko"]), "ja");
  assert.equal(choose("", "", ["de-DE", "ko-KR", "ja"]), "ko");
  assert.equal(choose("", "", ["de-DE", "en", "ja"]), "en");
  assert.equal(choose("", "", []), "en");
});
test("a host in a language that the page lacks leaves the page English, whatever the browser speaks", () => {
  assert.equal(chooseLanguage({ host: "de_DE", menu: "", browser: ["ja"] }), "en");
});

test("there is a file for each language but English", () => {
  const languages = Object.keys(LANGUAGES).filter((name) => name !== "en");
  assert.deepEqual(FILES.map((name) => name.replace(".json", "")).sort(), languages.sort());
});
for (const file of FILES) {
  const texts = JSON.parse(readFileSync(join(FOLDER, file), "utf8"));
  test(`${file}: every template fits itself, with its values in their places`, () => {
    const own = new Translator(texts, "");
    const value = (/** @type {string} */ _, /** @type {string} */ name) =>
      /^(nths?|seconds|rest|from|to|blocks|left|percentage)$/.test(name) ? "7" : "<x>";
    const shown = (/** @type {string} */ template) => template.replace(/\{(\w+)\}/g, value);
    /** @type {Record<string, string[]>} */
    const expected = {}; // two templates may differ only in the names of their placeholders
    for (const [key, text] of Object.entries(texts)) (expected[shown(key)] ??= []).push(shown(text));
    for (const [key, all] of Object.entries(expected)) assert.ok(all.includes(own.translate(key)), key);
  });
}
test("what a localisation file has translated is known again, where it is a text of ours", () => {
  const words = { Generate: "绘制", Draw: "绘制", IN05: "输入层 05" };
  const originals = originalsIn(words, (text) => text in TEXTS);
  assert.deepEqual([...originals], [["绘制", "Generate"]]);
});
