"use strict";

const assert = require("node:assert/strict");
const { describe, test } = require("node:test");
const { amountText, applyEntry, entryProblem, readEntry } = require("../../javascript/number_input.js");

/** What becomes of 0.4 where this is typed. @param {string} text */
function typed(text, amount = 0.4) {
  const entry = readEntry(text);
  return entry && applyEntry(entry, amount);
}

describe("a typed number", () => {
  for (const [text, amount] of /** @type {[string, number][]} */ ([
    ["0.5", 0.5],
    [" .5 ", 0.5],
    ["0,25", 0.25],
    ["50%", 0.5],
    ["50 %", 0.5],
    ["-12.5%", -0.125],
    ["1/3", 0.3333],
    ["1/4", 0.25],
    ["0.123456", 0.123456],
    ["1e-3", 0.001],
    ["-1", -1],
    ["−0.5", -0.5],
    ["5", 5],
  ]))
    test(`${text} is ${amount}, whatever was there`, () => assert.equal(typed(text), amount));

  for (const [text, amount] of /** @type {[string, number][]} */ ([
    ["+0.1", 0.5],
    ["+=0.1", 0.5],
    ["+-0.1", 0.3],
    ["-=0.1", 0.3],
    ["+10%", 0.5],
    ["*1.5", 0.6],
    ["*50%", 0.2],
    ["×2", 0.8],
    ["/2", 0.2],
    ["*1/4", 0.1],
  ]))
    test(`${text} makes ${amount} of 0.4`, () => assert.equal(typed(text), amount));

  for (const text of ["", "abc", "1..2", "50%%", "1/0", "/0", "1 2", "0.5x", "1e999", "--1", "NaN"])
    test(`"${text}" is none, and one sentence says so`, () => {
      assert.equal(readEntry(text), null);
      assert.match(entryProblem(text), /(is not a number|There is no number)\. Write 0\.5, 50% or 1\/3; /);
    });
});

test("an amount says when it lies beyond its slider's range", () => {
  assert.equal(amountText(0.30000000000000004, { low: 0, high: 1 }), "0.3");
  assert.equal(amountText(1, { low: 0, high: 1 }), "1");
  assert.equal(amountText(1.25, { low: 0, high: 1 }), "1.25, beyond the range 0 to 1");
  assert.equal(amountText(-2, { low: -1, high: 1 }), "-2, beyond the range -1 to 1");
});
