"use strict";
/* The languages of the page. English is what scripts and Python write; a language is a table from English texts to
 * translated ones, in which a text with variable parts is a template: "{slot} is locked and keeps {amount}.". What
 * is shown is looked up as a whole first, then by the templates, then sentence by sentence. Pure; what it is used on
 * is in language_page.js. */
{
  /** @typedef {Record<string, string>} Texts */

  /** Languages by their file in lib_merge/desk/languages, under the name that they have for themselves. */
  const LANGUAGES = { en: "English", zh_CN: "简体中文", zh_TW: "繁體中文", ja: "日本語", ko: "한국어" };
  /** What a browser, a localisation file of a WebUI or a person calls them. @type {[RegExp, string][]} */
  const PATTERNS = [
    [/^(zh|chinese).*(hant|tw|hk|mo|traditional)|繁/i, "zh_TW"],
    [/^(zh|chinese)|^简|中文/i, "zh_CN"],
    [/^(ja|japanese)([^a-z]|$)|日本/i, "ja"],
    [/^(ko|korean)([^a-z]|$)|한국/i, "ko"],
    [/^(en|english)([^a-z]|$)/i, "en"],
  ];
  /** Placeholders for texts of ours, which are translated too; all others are names and numbers. */
  const PHRASES = [
    ...[
      "about",
      "also",
      "budget",
      "changed",
      "changes",
      "count",
      "done",
      "format_duration",
      "help",
      "hint",
      "how",
      "images",
    ],
    ...[
      "capitalised",
      "label",
      "left_out",
      "merges",
      "millions",
      "more",
      "note",
      "now",
      "part",
      "parts",
      "percent",
    ],
    ...[
      "reason",
      "reasons",
      "render_grid_plan_text",
      "render_vae_text",
      "shown",
      "size",
      "text",
      "then",
      "time",
    ],
    ...[
      "count_keys",
      "title",
      "total",
      "vae_of",
      "value",
      "verdict",
      "what",
      "whole",
      "why",
      "words",
      "words2",
    ],
  ];
  /** What Python puts behind the name of a merge. */
  const UNSAVED = "{name} (unsaved)";
  const PLACEHOLDER = /\{(\w+)\}/g;
  const LETTER = /[A-Za-z]/;
  const NUMBERS = ["left", "nth", "nths", "percentage", "rest", "seconds"];
  const SENTENCE_END = /(?<=[.!?]) (?=[A-Z0-9“"])/;
  const MOST_KEPT = 4000; // texts whose translation is kept
  const DEEPEST = 2; // a text in a text in a text

  /** @param {string} name @returns {string} "" for one that the page does not have */
  const languageNamed = (name) => PATTERNS.find(([pattern]) => pattern.test(name.trim()))?.[1] ?? "";

  /** The language of the page.
   * @param {{ host: string, menu: string, browser: readonly string[] }} wishes  host: the localisation that a WebUI is
   *   set to, which decides where there is one; menu: what the user has chosen on our own page; then the browser's */
  function chooseLanguage({ host, menu, browser }) {
    if (host && host !== "None") return languageNamed(host) || "en";
    return languageNamed(menu) || browser.map(languageNamed).find(Boolean) || "en";
  }

  /** @param {string} text */
  const quoted = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

  /** Whether a placeholder is for a number alone, as in "0.3 to 0.7" or "2 of 7", where hardly a word is around it.
   * @param {string} name @param {string[]} names all of the text */
  const isNumber = (name, names) =>
    NUMBERS.includes(name) ||
    (name === "blocks" && names.includes("prefix")) ||
    (["from", "to"].includes(name) && names.includes("from") && names.includes("to"));

  /** A text with placeholders as a pattern, and their names in order. @param {string} key */
  function templateOf(key) {
    const names = [...key.matchAll(PLACEHOLDER)].map(([, name]) => name);
    const [first, ...others] = key.split(PLACEHOLDER).filter((_, n) => n % 2 === 0);
    const value = (/** @type {string} */ name) => (isNumber(name, names) ? "([-+\\d.]+|none)" : "([^]*?)");
    const pattern = others.reduce(
      (sum, part, n) => sum + value(names[n]) + quoted(part),
      `^${quoted(first)}`,
    );
    return {
      key,
      names,
      first,
      pattern: new RegExp(`${pattern}$`),
      letters: key.replace(PLACEHOLDER, "").length,
    };
  }

  /** A template with its placeholders filled. @param {string} text @param {Record<string, string>} values */
  const filled = (text, values) => text.replace(PLACEHOLDER, (whole, name) => values[name] ?? whole);

  class Translator {
    /** How often a text was looked for that was not kept: a test holds it down. */
    lookups = 0;
    /** @type {Map<string, string>} */
    #kept = new Map();
    #texts;
    #templates;
    #joint;

    /** @param {Texts} [texts] none for English @param {string} [joint]  what stands between two sentences */
    constructor(texts = {}, joint = " ") {
      this.#texts = new Map(Object.entries(texts));
      this.#joint = joint;
      this.#templates = Object.keys(texts)
        .filter((key) => key.search(PLACEHOLDER) >= 0)
        .map(templateOf)
        .sort((one, other) => other.letters - one.letters); // what says most is tried first
    }
    get isEmpty() {
      return !this.#texts.size;
    }
    /** What is shown for an English text; the text itself where there is no translation.
     * @param {string} text @returns {string} */
    translate(text) {
      if (this.isEmpty) return text;
      if (!LETTER.test(text)) return this.#texts.get(text) ?? text;
      const kept = this.#kept.get(text);
      if (kept !== undefined) return kept;
      this.lookups++;
      const translated = this.#trimmed(text, 0);
      if (this.#kept.size >= MOST_KEPT) this.#kept.clear();
      this.#kept.set(text, translated);
      return translated;
    }
    /** Spaces around a text stay. @param {string} text @param {number} depth */
    #trimmed(text, depth) {
      const [, before, inner, after] = /** @type {RegExpExecArray} */ (/^(\s*)([^]*?)(\s*)$/.exec(text));
      return before + (this.#find(inner.replace(/\s+/g, " "), depth) ?? inner) + after;
    }
    /** @param {string} text @param {number} depth @returns {string | undefined} */
    #find(text, depth) {
      return (
        this.#texts.get(text) ??
        this.#bySentence(text, depth, true) ??
        (depth ? this.#byList(text, depth) : undefined) ??
        this.#byTemplate(text, depth) ??
        this.#bySentence(text, depth, false) ??
        this.#inAnotherForm(text, depth)
      );
    }
    /** @param {string} text @param {number} depth */
    #byTemplate(text, depth) {
      for (const { key, names, first, pattern } of this.#templates) {
        const groups = text.startsWith(first) && pattern.exec(text);
        if (!groups) continue;
        const values = Object.fromEntries(
          names.map((name, n) => [name, this.#value(name, groups[n + 1], depth)]),
        );
        return filled(this.#texts.get(key) ?? key, values);
      }
      return undefined;
    }
    /** What replaces a placeholder. @param {string} name @param {string} group @param {number} depth */
    #value(name, group, depth) {
      if (PHRASES.includes(name)) return depth < DEEPEST ? this.#trimmed(group, depth + 1) : group;
      const unsaved = group.endsWith(UNSAVED.slice(6)) ? this.#texts.get(UNSAVED) : undefined;
      return unsaved ? filled(unsaved, { name: group.slice(0, 6 - UNSAVED.length) }) : group;
    }
    /** Sentences one by one; `all`: only where each of them is known.
     * @param {string} text @param {number} depth @param {boolean} all */
    #bySentence(text, depth, all) {
      const sentences = text.split(SENTENCE_END);
      if (sentences.length < 2) return undefined;
      const each = sentences.map(
        (sentence) => this.#texts.get(sentence) ?? this.#byTemplate(sentence, depth),
      );
      const known = each.filter((found) => found !== undefined).length;
      if (known < (all ? each.length : 1)) return undefined;
      return each.map((found, n) => found ?? sentences[n]).join(this.#joint);
    }
    /** A text that has got a full stop or a capital letter where it is shown.
     * @param {string} text @param {number} depth @returns {string | undefined} */
    #inAnotherForm(text, depth) {
      if (text.endsWith(".")) {
        const found = this.#find(text.slice(0, -1), depth);
        return found && found + (this.#joint ? "." : "。");
      }
      if (/^[A-Z][a-z]/.test(text)) return this.#find(text[0].toLowerCase() + text.slice(1), depth);
      return undefined;
    }
    /** A list within a text, where all of it is known. @param {string} text @param {number} depth */
    #byList(text, depth) {
      const parts = text.split(/, | and /);
      const each = parts.map((part) => this.#texts.get(part) ?? this.#byTemplate(part, depth));
      return parts.length > 1 && each.every((found) => found !== undefined) ? each.join(", ") : undefined;
    }
  }

  /** English texts by what a WebUI's localisation file makes of them.
   * @param {Readonly<Texts>} localization @param {(text: string) => boolean} isOurs of two with one translation the
   *   one that is ours is meant */
  const originalsIn = (localization, isOurs) =>
    new Map(
      Object.entries(localization).flatMap(([text, translated]) =>
        isOurs(text) ? [[String(translated).trim(), text]] : [],
      ),
    );

  let current = new Translator();
  /** What is shown for an English text from now on. @param {string} language @param {Texts} texts */
  function use(language, texts) {
    current = new Translator(texts, language === "ko" ? " " : "");
  }
  /** @param {string} text @returns {string} */
  const translate = (text) => current.translate(text);
  const isEnglish = () => current.isEmpty;
  const lookups = () => current.lookups;

  const language = {
    ...{ LANGUAGES, Translator, languageNamed, chooseLanguage },
    ...{ originalsIn, use, translate, isEnglish, lookups },
  };
  if (typeof module !== "undefined") module.exports = language;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, language };
}
