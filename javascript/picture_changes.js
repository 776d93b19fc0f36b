"use strict";
/* What a picture was made with, and how it differs from another: a caption's words. Pure;
 * tests/javascript/pictures.test.js runs it. */
{
  const NAMED = 3; // blocks that are named one by one
  const LIST_WORDS = { method: "method", a: "A", b: "B", c: "C", vae: "VAE", dtype: "precision" };
  /** @type {Record<string, string>} */
  const EXTRA_WORDS = { weights: "rules", adjust: "Adjust" };
  const FACT_WORDS = {
    Seed: "seed",
    Steps: "steps",
    "CFG scale": "CFG",
    Sampler: "sampler",
    "Schedule type": "schedule",
    Size: "size",
  };
  const FACT = /\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)/g; // as WebUIs read their own infotexts

  /** @typedef {Pick<DeskPicture, "made" | "infotext">} Described */
  /** @typedef {{ prompt: string, negative: string, facts: Record<string, string> }} Infotext */
  /** One slot of one parameter; `slot` is "" for a parameter of the whole model.
   * @typedef {{ parameter: string, slot: string, from: string, to: string }} Difference */

  /** @param {unknown} value */
  const shown = (value) =>
    typeof value === "number" ? String(Math.round(value * 1e3) / 1e3) : String(value);

  /** @param {string} text @returns {Infotext} */
  function readInfotext(text) {
    const lines = text.split("\n");
    const last = lines.findLastIndex((line) => /^(Steps|Seed): /.test(line));
    const above = last < 0 ? lines : lines.slice(0, last);
    const at = above.findIndex((line) => line.startsWith("Negative prompt:"));
    const negative = at < 0 ? "" : above.slice(at).join("\n").replace("Negative prompt:", "");
    const prompt = (at < 0 ? above : above.slice(0, at)).join("\n");
    const found = last < 0 ? [] : [...lines.slice(last).join(" ").matchAll(FACT)];
    const facts = Object.fromEntries(found.map(([, name, value]) => [name, value]));
    return { prompt: prompt.trim(), negative: negative.trim(), facts };
  }

  /** @param {unknown} amounts @returns {Record<string, number> | null} */
  const bySlot = (amounts) =>
    amounts !== null && typeof amounts === "object" ? /** @type {Record<string, number>} */ (amounts) : null;
  /** Every amount of a merge that is not the same in another.
   * @param {DeskMade["parameters"]} before @param {DeskMade["parameters"]} after @returns {Difference[]} */
  function differences(before, after) {
    const names = [...new Set([...Object.keys(after), ...Object.keys(before)])];
    return names.flatMap((parameter) => differencesOf(parameter, before[parameter], after[parameter]));
  }
  /** @param {string} parameter @param {unknown} from @param {unknown} to @returns {Difference[]} */
  function differencesOf(parameter, from, to) {
    const [old, now] = [bySlot(from), bySlot(to)];
    if (!old && !now)
      return from === to
        ? []
        : [{ parameter, slot: "", from: shown(from ?? "none"), to: shown(to ?? "none") }];
    if (!old || !now) return []; // a parameter of another method: the method is named
    return Object.keys(now)
      .filter((slot) => slot in old && shown(old[slot]) !== shown(now[slot]))
      .map((slot) => ({ parameter, slot, from: shown(old[slot]), to: shown(now[slot]) }));
  }

  /** @param {Difference[]} blocks of one parameter @param {string} prefix @returns {string[]} */
  function blockWords(blocks, prefix) {
    if (!blocks.length) return [];
    const [{ from, to }] = blocks;
    const alike = blocks.every((each) => each.from === from && each.to === to);
    if (blocks.length > NAMED && alike) return [`${prefix}${blocks.length} blocks ${from} to ${to}`];
    const named = blocks.slice(0, blocks.length > NAMED ? NAMED - 1 : NAMED);
    const words = named.map((each) => `${prefix}${each.slot} ${each.from} to ${each.to}`);
    const more = blocks.length - named.length;
    return more ? [...words, `${more} more blocks`] : words;
  }
  /** @param {DeskMade["parameters"]} before @param {DeskMade["parameters"]} after */
  function parameterWords(before, after) {
    const all = differences(before, after);
    const parameters = [...new Set(all.filter(({ slot }) => slot).map(({ parameter }) => parameter))];
    const sliders = Object.values(after).filter(bySlot).length;
    const blocks = parameters.flatMap((name) =>
      blockWords(
        all.filter(({ slot, parameter }) => slot && parameter === name),
        sliders > 1 ? `${name} ` : "",
      ),
    );
    const whole = all
      .filter(({ slot }) => !slot)
      .map(({ parameter, from, to }) => {
        const word = EXTRA_WORDS[parameter];
        if (!word) return `${parameter} ${from} to ${to}`;
        return to === "none" ? `${word} off` : `${word} ${to}`;
      });
    return [...blocks, ...whole];
  }
  /** @param {Desk.Selection} before @param {Desk.Selection} after */
  function listWords(before, after) {
    const words = /** @type {(keyof typeof LIST_WORDS)[]} */ (Object.keys(LIST_WORDS))
      .filter((name) => before[name] !== after[name])
      .map((name) => `${LIST_WORDS[name]} ${before[name] || "none"} to ${after[name] || "none"}`);
    const aligned = before.align === after.align ? [] : [after.align ? "aligned to A" : "not aligned"];
    return [...words, ...aligned];
  }
  /** @param {string} before @param {string} after infotexts */
  function settingWords(before, after) {
    const [old, now] = [readInfotext(before), readInfotext(after)];
    const prompts = old.prompt === now.prompt ? [] : ["other prompt"];
    const negatives = old.negative === now.negative ? [] : ["other negative prompt"];
    const facts = Object.entries(FACT_WORDS)
      .filter(([name]) => name in old.facts && name in now.facts && old.facts[name] !== now.facts[name])
      .map(([name, word]) => `${word} ${old.facts[name]} to ${now.facts[name]}`);
    return [...prompts, ...negatives, ...facts];
  }
  /** How a picture differs from the one before it, the most telling first.
   * @param {Described | null} before @param {Described} after @returns {string[]} */
  function changesBetween(before, after) {
    if (!before) return ["first picture"];
    const [old, now] = [before.made, after.made];
    const merge = old && now ? [...listWords(old.selection, now.selection)] : [];
    const amounts = old && now ? parameterWords(old.parameters, now.parameters) : [];
    const words = [...merge, ...amounts, ...settingWords(before.infotext, after.infotext)];
    return words.length ? words : ["nothing changed"];
  }

  /** What differs besides the sliders: lists and settings.
   * @param {Desk.Selection} before @param {Desk.Selection} after @param {string} [old] @param {string} [now] infotexts */
  const otherChanges = (before, after, old = "", now = "") => [
    ...listWords(before, after),
    ...settingWords(old, now),
  ];

  const pictureChanges = { changesBetween, differences, otherChanges, readInfotext };
  if (typeof module !== "undefined") module.exports = pictureChanges;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, pictureChanges };
}
