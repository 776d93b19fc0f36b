"use strict";
/* What may be typed into a box for a number: 0.5, 50%, 1/3; and with a sign of arithmetic, what is to be done with the
 * amount that is there: +0.1, -=0.1, *1.5, /2. A minus alone is a negative number, since that is an amount too. Pure. */
{
  /** @typedef {{ kind: "set" | "add" | "multiply", by: number }} Entry */

  const NUMBER = String.raw`[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?`;
  const ENTRY = new RegExp(
    String.raw`^(\+=?|-=|[*×]=?|\/=?)?\s*(${NUMBER})\s*(%?)\s*(?:\/\s*(${NUMBER})\s*)?$`,
    "i",
  );
  const HOW = "0.5, 50% or 1/3; +0.1 adds, -=0.1 subtracts, *1.5 multiplies";
  const DIGITS = 1e4; // what is computed is rounded to four decimal places, as a list of numbers shows it

  /** @param {string} text */
  function decimal(text) {
    const plain = text.trim().replace(/[−–]/g, "-");
    return plain.includes(".") ? plain : plain.replace(",", "."); // a decimal comma
  }
  /** @param {number} value */
  const round = (value) => Math.round(value * DIGITS) / DIGITS;

  /** What was typed; null where it is no number.
   * @param {string} text @returns {Entry | null} */
  function readEntry(text) {
    const found = ENTRY.exec(decimal(text));
    if (!found) return null;
    const [, sign = "", number, percent, divisor] = found;
    const plain = Number(number) / (percent ? 100 : 1);
    const value = plain / (divisor === undefined ? 1 : Number(divisor));
    const entry = entryOf(sign[0] ?? "", percent || divisor ? value : plain);
    return Number.isFinite(entry.by) ? entry : null;
  }
  /** @param {string} sign @param {number} value @returns {Entry} */
  function entryOf(sign, value) {
    if (sign === "+") return { kind: "add", by: value };
    if (sign === "-") return { kind: "add", by: -value };
    if (sign === "*" || sign === "×") return { kind: "multiply", by: value };
    if (sign === "/") return { kind: "multiply", by: 1 / value };
    return { kind: "set", by: value };
  }
  /** The amount that an entry makes of another.
   * @param {Entry} entry @param {number} amount */
  function applyEntry({ kind, by }, amount) {
    if (kind === "set") return Number.isInteger(by * DIGITS * 1e2) ? by : round(by); // 1/3 has no end
    return round(kind === "add" ? amount + by : amount * by);
  }
  /** Why a text cannot be taken, in one sentence. @param {string} text */
  const entryProblem = (text) =>
    text.trim() ? `“${text.trim()}” is not a number. Write ${HOW}.` : `There is no number. Write ${HOW}.`;

  /** What is said of an amount: the number, and whether it lies beyond the slider's range.
   * @param {number} amount @param {{ low: number, high: number }} range */
  function amountText(amount, { low, high }) {
    return `${round(amount)}${isBeyond(amount, { low, high }) ? `, beyond the range ${low} to ${high}` : ""}`;
  }
  /** @param {number} amount @param {{ low: number, high: number }} range */
  const isBeyond = (amount, { low, high }) => amount < low || amount > high;

  const numberInput = { HOW, readEntry, applyEntry, entryProblem, amountText, isBeyond };
  if (typeof module !== "undefined") module.exports = numberInput;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, numberInput };
}
