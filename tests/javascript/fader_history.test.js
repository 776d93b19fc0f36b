"use strict";

const assert = require("node:assert/strict");
const { beforeEach, test } = require("node:test");
const { FaderHistory } = require("../../javascript/fader_history.js");

let clock = 0;
/** @type {InstanceType<typeof FaderHistory>} */
let history;
beforeEach(() => {
  history = new FaderHistory(() => clock);
});
/** @param {number[]} amounts @param {number} [apart] ms between them */
function had(amounts, apart = 2000) {
  for (const amount of amounts) {
    clock += apart;
    history.note("alpha", "IN00", amount);
  }
}

test("a fader remembers what it had, the newest first, without what it has now", () => {
  had([0, 0.3, 0.7]);
  assert.deepEqual(history.before("alpha", "IN00", 0.7), [0.3, 0]);
});
test("an amount that comes back is kept once", () => {
  had([0, 0.3, 0.7, 0.3]);
  assert.deepEqual(history.before("alpha", "IN00", 0.3), [0.7, 0]);
});
test("of steps that follow each other at once the end is kept", () => {
  had([0]);
  had([0.01, 0.02, 0.03], 50);
  had([0.5]);
  assert.deepEqual(history.before("alpha", "IN00", 0.5), [0.03, 0]);
});
test("each fader of each parameter has its own, and no more than eight", () => {
  had(Array.from({ length: 20 }, (_, n) => n / 20));
  assert.equal(history.before("alpha", "IN00", 2).length, 8);
  assert.deepEqual(history.before("beta", "IN00", 0), []);
});
