"use strict";
/* The text of a score, "2*contrast - 0.5*sharpness + closeness(A)", as terms and back (docs/search.md). Pure. */
{
  const TERM =
    /\s*([+-]?)\s*(?:((?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*\*\s*)?([A-Za-z_][\w-]*)\s*(?:\(([^()]*)\))?\s*/y;

  /** @typedef {{ factor: string, scorer: string, argument: string }} ScoreTerm  factor: as typed, with its sign */

  /** @param {string} text @returns {ScoreTerm[] | null} null for a text that is no score */
  function readScore(text) {
    /** @type {ScoreTerm[]} */
    const terms = [];
    TERM.lastIndex = 0;
    while (TERM.lastIndex < text.length) {
      const match = TERM.exec(text);
      if (!match || (terms.length && !match[1])) return null;
      const [, sign, factor, scorer, argument] = match;
      terms.push({
        factor: `${sign === "-" ? "-" : ""}${factor ?? "1"}`,
        scorer,
        argument: (argument ?? "").trim(),
      });
    }
    return terms;
  }
  /** @param {ScoreTerm[]} terms */
  function printScore(terms) {
    let text = "";
    for (const { factor, scorer, argument } of terms) {
      const negative = factor.trim().startsWith("-");
      const number = factor.trim().replace(/^[+-]/, "") || "1";
      const sign = text ? (negative ? " - " : " + ") : negative ? "-" : "";
      text += `${sign}${Number(number) === 1 ? "" : `${number}*`}${scorer}${argument ? `(${argument})` : ""}`;
    }
    return text;
  }

  const searchScore = { readScore, printScore };
  if (typeof module !== "undefined") module.exports = searchScore;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, searchScore };
}
