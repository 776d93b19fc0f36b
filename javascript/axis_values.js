"use strict";
/* The text of an axis' values: a list with commas, or one value a line. Pure. */
{
  const ENTRY = /\s*("(?:[^"]|"")*"|[^,\n]*)\s*(?:,|\n|$)/g;

  /** @param {string} text @param {boolean} lines one value a line @returns {string[]} */
  function splitValues(text, lines) {
    const entries = lines
      ? text.split("\n")
      : [...text.matchAll(ENTRY)].map(([, entry]) =>
          entry.startsWith('"') ? entry.slice(1, -1).replaceAll('""', '"') : entry,
        );
    return entries.map((entry) => entry.trim()).filter(Boolean);
  }
  /** @param {string[]} values @param {boolean} lines @returns {string} */
  function joinValues(values, lines) {
    const quoted = (/** @type {string} */ value) =>
      /[",]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
    return lines ? values.join("\n") : values.map(quoted).join(", ");
  }
  /** The text with a value more, or without it where it was there.
   * @param {string} text @param {string} value @param {boolean} lines @returns {string} */
  function toggleValue(text, value, lines) {
    const values = splitValues(text, lines);
    const others = values.filter((each) => each !== value);
    return joinValues(others.length < values.length ? others : [...values, value], lines);
  }

  const axisValues = { splitValues, joinValues, toggleValue };
  if (typeof module !== "undefined") module.exports = axisValues;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, axisValues };
}
