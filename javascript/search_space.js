"use strict";
/* The text of a search space (docs/search.md): its entries, each with its place in the text, and the text with an
 * entry more, less or another. What is written beside the entries (comments, empty lines) stays. Pure. */
{
  const NUMBER = "[+-]?(?:\\d+\\.?\\d*|\\.\\d+)(?:[eE][+-]?\\d+)?";
  const RANGE = new RegExp(`^(${NUMBER})\\s*\\.\\.\\s*(${NUMBER})(?:\\s+step\\s+(${NUMBER}))?$`);
  const TIES = ["tied", "by level"];

  /** @typedef {{ low: string, high: string, step: string }} Range  as written; step "" for none */
  /** @typedef {{ target: string, tie: string, range: Range | null, values: string, from: number, to: number }} Entry
   *   tie: "", tied or by level; range: null for a fixed value or words; values: what is behind the colon and the tie;
   *   from, to: its place in the text */

  /** @param {string} text @returns {Entry[]} */
  function readSpace(text) {
    /** @type {Entry[]} */
    const entries = [];
    let at = 0;
    for (const line of text.split("\n")) {
      let from = at;
      for (const part of line.split("#", 1)[0].split(";")) {
        const start = from + (part.length - part.trimStart().length);
        const entry = part.trim();
        if (entry) entries.push(readEntry(entry, start));
        from += part.length + 1;
      }
      at += line.length + 1;
    }
    return entries;
  }
  /** @param {string} entry @param {number} from @returns {Entry} */
  function readEntry(entry, from) {
    const [target, ...rest] = entry.split(":");
    const written = rest.join(":").trim();
    const tie = TIES.find((word) => written.startsWith(`${word} `)) ?? "";
    const values = written.slice(tie.length).trim();
    const match = RANGE.exec(values);
    const range = match && { low: match[1], high: match[2], step: match[3] ?? "" };
    return { target: target.trim(), tie, range, values, from, to: from + entry.length };
  }
  /** @param {{ target: string, tie: string, range: Range }} entry */
  function printEntry({ target, tie, range: { low, high, step } }) {
    const numbers = [`${low}..${high}`, ...(step ? ["step", step] : [])];
    return [`${target}:`, ...(tie ? [tie] : []), ...numbers].join(" ");
  }
  /** The text with another entry in the place of one. @param {string} text @param {Entry} old @param {string} fresh */
  const replaceEntry = (text, { from, to }, fresh) => text.slice(0, from) + fresh + text.slice(to);
  /** @param {string} text @param {string} entry */
  const addEntry = (text, entry) => (text.trim() ? `${text.trimEnd()}\n${entry}` : entry);
  /** Without an entry, and without its line or its `;` where nothing else is left of these.
   * @param {string} text @param {Entry} old */
  function removeEntry(text, { from, to }) {
    const start = text.lastIndexOf("\n", from - 1) + 1;
    const end = text.indexOf("\n", to) < 0 ? text.length : text.indexOf("\n", to);
    const others = [...text.slice(start, from).split(";"), ...text.slice(to, end).split(";")]
      .map((each) => each.trim())
      .filter(Boolean);
    const line = others.join("; ");
    if (line) return text.slice(0, start) + line + text.slice(end);
    return (text.slice(0, start) + text.slice(end + 1)).trimEnd();
  }
  /** An entry more, or without those of this target where there are any.
   * @param {string} text @param {string} target @param {string} entry */
  function toggleEntry(text, target, entry) {
    const there = readSpace(text).filter((each) => each.target === target);
    if (!there.length) return addEntry(text, entry);
    return there.reverse().reduce(removeEntry, text);
  }
  /** One entry a line, as a study's text has them behind `;`. @param {string} text */
  const asLines = (text) => text.split("; ").join("\n");

  const searchSpace = { readSpace, printEntry, replaceEntry, addEntry, removeEntry, toggleEntry, asLines };
  if (typeof module !== "undefined") module.exports = searchSpace;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, searchSpace };
}
