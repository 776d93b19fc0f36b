"use strict";
/* The texts that the page's scripts show, read off the scripts: `node tests/javascript/page_texts.js` prints them as
 * JSON, text -> file. A text with variable parts is a template, with a placeholder for each: "{slot} is locked". */

const { readFileSync, readdirSync } = require("node:fs");
const { join } = require("node:path");
const { Linter } = require("eslint");

const FOLDER = join(__dirname, "../../javascript");
const MOST_CHOICES = 40; // texts that one expression may be

/** From which argument on whatever is given to these is shown. @type {Record<string, number>} */
const SHOWN_FROM = {
  ...{ make: 2, button: 0, tool: 0, goButton: 0, labelled: 0, hint: 0, translate: 0, setNotice: 0, table: 0 },
  ...{ labelledLines: 0, prompt: 0, confirm: 0, choose: 1, number: 1, off: 1, chip: 1 },
};
/** How many arguments of these are shown. @type {Record<string, number>} */
const SHOWN_ARGUMENTS = {
  button: 2,
  tool: 2,
  goButton: 2,
  labelled: 2,
  labelledLines: 2,
  number: 1,
  choose: 1,
};
const SHOWN_PROPERTIES = [
  "title",
  "aria-label",
  "aria-valuetext",
  "placeholder",
  "alt",
  "textContent",
  "text",
  "what",
];
SHOWN_PROPERTIES.push("hint");
/** What is never shown, whatever it looks like. */
const SILENT_PROPERTIES =
  /^(class|style|type|id|role|d|viewBox|transform|data-.*|aria-(?!label|valuetext).*)$/;
const SILENT_CALLS = [
  "find",
  "findAll",
  "field",
  "part",
  "mount",
  "querySelector",
  "querySelectorAll",
  "closest",
];
SILENT_CALLS.push(
  "Error",
  "setProperty",
  "createElementNS",
  "getElementById",
  "downloadText",
  "settle",
  "replace",
);
SILENT_CALLS.push(
  "get",
  "push",
  "kindOf",
  "setText",
  "join",
  "RegExp",
  "is",
  "ask",
  "startsWith",
  "split",
  "column",
);
const SILENT_VARIABLES =
  /^(style|side|d|place|key|start|normal|HOST_LISTS|OURS|KEPT|kind|between|name|OF_BLOCKS|PRESETS|TEXT_FIELDS)$/;
/** What only looks like a text: values of fields, selectors; and what WORDS says better. */
const SILENT_TEXTS =
  /^(my-mix|both bad|\{indexOf\}.*|the picture follows when you release it|then Generate|1 slider|\{slots\} sliders|\((but|no effect:) .*|payloads|\.md-.*|input, textarea|\{LIST_WORDS.*|\{word\}.*|(uniform|normal)\(.*|\{low\} to \{high\}|by level|OUT04-.*)$/;
/** Single words that are shown through a table of words. @type {Record<string, string[]>} */
const WORDS = {
  "picture_changes.js": [
    ...["method {before} to {after}", "precision {before} to {after}", "sampler {before} to {after}"],
    ...["schedule {before} to {after}", "seed {before} to {after}", "size {before} to {after}"],
    ...["steps {before} to {after}", "rules off", "rules {value}", "Adjust off"],
  ],
  "picture_list.js": ["{nth} of {nths}"],
  "view_history.js": ["applied", "saved", "searched"],
  "view_mix_fader.js": ["mixed", "linked", "locked", "muted", "solo"],
  "view_mix_fader_card.js": ["Place", "Measured", "Now"],
  "in_effect.js": [
    ...[
      "solo {slots}",
      "solo {slots} (no effect: rules set these blocks)",
      "solo {slots} (but rules set {ruled})",
    ],
    ...[
      "mute {slots}",
      "mute {slots} (no effect: rules set these blocks)",
      "mute {slots} (but rules set {ruled})",
    ],
  ],
  "view_mix_pictures.js": ["generating", "unloading"],
  "view_mix_stage.js": ["previous", "now", "Wipe", "Blink"],
  "view_mix_strip.js": ["Star"],
  "view_search_space.js": ["from", "to", "step"],
  "view_search_trials.js": ["done", "failed", "running", "waiting"],
  "view_report.js": ["none", "Base"],
  "view_report_result.js": ["input", "output", "overall"],
  "view_weights.js": ["uniform", "Distribution", "low", "high", "mean", "deviation", "seed"],
};
const WRAPPERS = [
  "join",
  "trim",
  "slice",
  "toFixed",
  "trimEnd",
  "String",
  "formatNumber",
  "round",
  "translate",
  "at",
];
WRAPPERS.push("amountText", "map", "split", "length", "toUpperCase");

const PLACEHOLDERS = /\{\w+\}/g;
const WORD = /[A-Za-z]{2}/;
const SEVERAL_WORDS = /[A-Za-z]{2}[^]* [^]*|[^]* [^]*[A-Za-z]{2}/;
/** @param {string} text */
const letters = (text) => text.replace(PLACEHOLDERS, "");
/** @param {string} text */
const readable = (text) => text.replace(/\s+/g, " ").trim();

/** The name of what is called, without the object that it is a method of. @param {any} callee @returns {string} */
const nameOf = (callee) => callee.name ?? callee.property?.name ?? "";

/** A name for the placeholder of an expression. @param {any} node @returns {string} */
function placeholderName(node) {
  if (node.type === "Identifier") return node.name;
  if (node.type === "ChainExpression") return placeholderName(node.expression);
  if (node.type === "MemberExpression") {
    const name = node.computed ? "" : node.property.name;
    return name && !WRAPPERS.includes(name) ? name : placeholderName(node.object);
  }
  if (node.type === "CallExpression") {
    const name = nameOf(node.callee);
    if (!WRAPPERS.includes(name)) return name || "value";
    const from = node.callee.type === "MemberExpression" ? node.callee.object : node.arguments[0];
    return from ? placeholderName(from) : "value";
  }
  if (node.type === "LogicalExpression" || node.type === "BinaryExpression")
    return placeholderName(node.left);
  return "value";
}

class Reader {
  /** @param {any} source  ESLint's SourceCode */
  constructor(source) {
    this.source = source;
  }
  /** What a constant is set to, null for any other name. @param {any} node an identifier @returns {any} */
  #constant(node) {
    for (let scope = this.source.getScope(node); scope; scope = scope.upper) {
      const [definition] = scope.set.get(node.name)?.defs ?? [];
      if (definition) return definition.node.id === definition.name ? definition.node.init : null;
    }
    return null;
  }
  /** What an expression may be. @param {any} node @param {string[]} [resolved] @returns {string[]} */
  choices(node, resolved = []) {
    if (node.type === "Literal") return [typeof node.value === "string" ? node.value : `{value}`];
    if (node.type === "TemplateLiteral") return this.#template(node, resolved);
    if (node.type === "ConditionalExpression")
      return [...this.choices(node.consequent, resolved), ...this.choices(node.alternate, resolved)];
    if (node.type === "LogicalExpression" && node.operator === "&&" && this.#saysSomething(node.right))
      return ["", ...this.choices(node.right, resolved)];
    if (node.type === "BinaryExpression" && node.operator === "+")
      return this.#product([this.choices(node.left, resolved), this.choices(node.right, resolved)]);
    if (node.type === "Identifier" && !resolved.includes(node.name)) {
      const value = this.#constant(node);
      if (value && this.#saysSomething(value)) return this.choices(value, [...resolved, node.name]);
    }
    return [`{${placeholderName(node)}}`];
  }
  /** Whether there is a text of ours in an expression. @param {any} node @returns {boolean} */
  #saysSomething(node) {
    if (node.type === "Literal") return typeof node.value === "string";
    if (node.type === "TemplateLiteral") return true;
    if (node.type === "ConditionalExpression")
      return this.#saysSomething(node.consequent) || this.#saysSomething(node.alternate);
    return node.type === "BinaryExpression" && node.operator === "+" && this.#saysSomething(node.left);
  }
  /** @param {any} node @param {string[]} resolved */
  #template(node, resolved) {
    /** @type {string[][]} */
    const parts = [];
    node.quasis.forEach((/** @type {any} */ quasi, /** @type {number} */ n) => {
      parts.push([quasi.value.cooked]);
      if (node.expressions[n]) parts.push(this.choices(node.expressions[n], resolved));
    });
    return this.#product(parts);
  }
  /** @param {string[][]} parts @returns {string[]} */
  #product(parts) {
    const texts = parts.reduce((sums, each) => sums.flatMap((sum) => each.map((one) => sum + one)), [""]);
    if (texts.length > MOST_CHOICES) throw new Error(`too many texts: ${texts[0]}`);
    return texts;
  }
}

/** Placeholders of one name are told apart by a number. @param {string} text */
function numbered(text) {
  /** @type {Record<string, number>} */
  const seen = {};
  return text.replace(PLACEHOLDERS, (whole) => {
    const name = whole.slice(1, -1);
    seen[name] = (seen[name] ?? 0) + 1;
    return seen[name] > 1 ? `{${name}${seen[name]}}` : whole;
  });
}

/** Whether what is written here is shown: yes, no, or where it has several words.
 * @param {any} node @returns {"always" | "never" | "words"} */
function place(node) {
  let [inner, outer] = [node, node.parent];
  while (
    (outer.type === "ConditionalExpression" && inner !== outer.test) ||
    outer.type === "LogicalExpression" ||
    (outer.type === "BinaryExpression" && outer.operator === "+") ||
    outer.type === "ArrayExpression" ||
    outer.type === "SpreadElement"
  )
    [inner, outer] = [outer, outer.parent];
  if (outer.type === "TemplateLiteral") return "never"; // part of a text
  if (outer.type === "BinaryExpression" || outer.type === "ConditionalExpression") return "never"; // a comparison
  if (outer.type === "CallExpression" || outer.type === "NewExpression") {
    const name = nameOf(outer.callee);
    const at = outer.arguments.indexOf(inner);
    if (SILENT_CALLS.includes(name)) return "never";
    if (!(name in SHOWN_FROM)) return "words";
    const within = at >= SHOWN_FROM[name] && at < SHOWN_FROM[name] + (SHOWN_ARGUMENTS[name] ?? 99);
    return within ? "always" : "never";
  }
  if (outer.type === "Property") {
    const key = outer.key.name ?? outer.key.value;
    if (inner === outer.key || SILENT_PROPERTIES.test(key)) return "never";
    return SHOWN_PROPERTIES.includes(key) ? "always" : "words";
  }
  if (outer.type === "AssignmentExpression")
    return SHOWN_PROPERTIES.includes(outer.left.property?.name) ? "always" : "words";
  if (outer.type === "VariableDeclarator") return SILENT_VARIABLES.test(outer.id.name) ? "never" : "words";
  return outer.type === "ExpressionStatement" || outer.type === "TaggedTemplateExpression"
    ? "never"
    : "words";
}

/** @param {string} file @returns {string[]} */
function textsOf(file) {
  /** @type {Set<string>} */
  const texts = new Set(WORDS[file] ?? []);
  /** @type {any[]} */
  const found = [];
  const rule = {
    create: () => ({
      Literal: (/** @type {any} */ node) => typeof node.value === "string" && found.push(node),
      TemplateLiteral: (/** @type {any} */ node) => found.push(node),
    }),
  };
  const linter = new Linter();
  const [problem] = linter.verify(readFileSync(join(FOLDER, file), "utf8"), {
    languageOptions: { sourceType: "script", ecmaVersion: 2022 },
    plugins: { page: { rules: { texts: rule } } },
    rules: { "page/texts": "error" },
  });
  if (problem) throw new Error(`${file}: ${problem.message}`);
  const reader = new Reader(linter.getSourceCode());
  for (const node of found) {
    const where = place(node);
    let whole = node;
    while (whole.parent.type === "BinaryExpression" && whole.parent.operator === "+") whole = whole.parent;
    if (where === "never") continue;
    for (const choice of reader.choices(whole)) {
      const text = readable(numbered(choice));
      const says =
        where === "always" ? WORD.test(letters(text)) : SEVERAL_WORDS.test(letters(text)) || / /.test(text);
      if (says && WORD.test(letters(text)) && !SILENT_TEXTS.test(text)) texts.add(text);
    }
  }
  return [...texts];
}

/** Every text, and the file that it is in first. @returns {Record<string, string>} */
function scriptTexts() {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".js"));
  const pairs = files.flatMap((file) => textsOf(file).map((text) => /** @type {const} */ ([text, file])));
  return Object.fromEntries(pairs.reverse());
}

module.exports = { scriptTexts };
if (require.main === module) console.log(JSON.stringify(scriptTexts(), null, 1));
