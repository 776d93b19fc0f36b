"use strict";

const assert = require("node:assert/strict");
const { describe, test } = require("node:test");
const { FaderSelection, lineBetween, slotOrder, smooth, snap } = require("../../javascript/fader_groups.js");
const { ui } = require("./ui.js");

const ORDER = ["BASE", "IN00", "IN01", "M00", "OUT00", "OUT01"];
const selection = () => new FaderSelection(() => ORDER);

describe("the order of faders", () => {
  test("is that of the network, whatever column they are in", () => {
    assert.deepEqual(slotOrder(ui()), ["BASE", "IN00", "M00", "OUT00", "TIME", "VAE"]);
  });
  test("has the slots of a group where its number is", () => {
    const groups = { BASE: ["TIME", "VAE"] };
    assert.deepEqual(slotOrder(ui({ groups })), ["TIME", "VAE", "IN00", "M00", "OUT00", "BASE"]);
  });
});

describe("a selection", () => {
  test("is one fader, and none when it is clicked again", () => {
    const selected = selection();
    selected.only("IN01");
    assert.deepEqual(selected.list(), ["IN01"]);
    selected.only("IN01");
    assert.deepEqual(selected.list(), []);
  });
  test("goes from the first to the last of a range, in both directions, and can be changed", () => {
    const selected = selection();
    selected.only("M00");
    selected.extendTo("OUT01");
    assert.deepEqual(selected.list(), ["M00", "OUT00", "OUT01"]);
    selected.extendTo("IN00");
    assert.deepEqual(selected.list(), ["IN00", "IN01", "M00"]);
  });
  test("takes one more or less", () => {
    const selected = selection();
    for (const slot of ["OUT01", "IN00", "M00", "IN00"]) selected.flip(slot);
    assert.deepEqual(selected.list(), ["M00", "OUT01"]);
  });
  test("begins a range where nothing was selected", () => {
    const selected = selection();
    selected.extendTo("IN00");
    assert.deepEqual(selected.list(), ["IN00"]);
  });
  test("has no faders that the model lacks", () => {
    const selected = selection();
    selected.choose(["IN00", "LABEL"]);
    assert.deepEqual(selected.list(), ["IN00"]);
  });
});

test("smoothing takes the mean of each and its neighbours", () => {
  assert.deepEqual(smooth([0, 0.9, 0, 0.3]), [0.45, 0.3, 0.4, 0.15]);
  assert.deepEqual(smooth([0.7]), [0.7]);
  assert.deepEqual(smooth([]), []);
});

test("a fast stroke leaves no fader out", () => {
  const passed = lineBetween({ n: 5, amount: 0.8 }, { n: 2, amount: 0.2 });
  assert.deepEqual(
    passed.map(({ n, amount }) => [n, Number(amount.toFixed(9))]),
    [
      [4, 0.6],
      [3, 0.4],
      [2, 0.2],
    ],
  );
  assert.deepEqual(lineBetween({ n: 1, amount: 0 }, { n: 1, amount: 0.5 }), [{ n: 1, amount: 0.5 }]);
});

test("a drawn amount is on the slider's steps and within its range", () => {
  const range = { low: 0, high: 1, step: 0.01 };
  assert.deepEqual([snap(0.337, range), snap(1.4, range), snap(-3, range)], [0.34, 1, 0]);
  assert.equal(snap(0.27, { low: -1, high: 1, step: 0.05 }), 0.25);
});
