"use strict";
/* What the page shows for texts in each language: `node tests/javascript/translated.js` reads a JSON list of texts,
 * and prints {language: [translation of each]}. */

const { readFileSync, readdirSync } = require("node:fs");
const { join } = require("node:path");
const { Translator } = require("../../javascript/language.js");

const FOLDER = join(__dirname, "../../lib_merge/desk/languages");
/** @type {string[]} */
const texts = JSON.parse(readFileSync(0, "utf8"));
const languages = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));
const shown = languages.map((file) => {
  const translator = new Translator(JSON.parse(readFileSync(join(FOLDER, file), "utf8")));
  return [file.replace(".json", ""), texts.map((text) => translator.translate(text))];
});
process.stdout.write(JSON.stringify(Object.fromEntries(shown)));
