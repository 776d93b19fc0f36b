"use strict";

const assert = require("node:assert/strict");
const { describe, test } = require("node:test");
const shapes = require("../../javascript/search_shapes.js");
const { ui } = require("./ui.js");

/** @param {number} number @param {number | null} value @param {Partial<SearchTrial>} [more] @returns {SearchTrial} */
const trial = (number, value, more = {}) => ({
  ...{ number, state: value === null ? "failed" : "done", values: value === null ? [] : [value] },
  ...{ point: {}, origin: "", problem: "", same_as: -1, ...more },
});
/** @param {Partial<SearchDimension>} more @returns {SearchDimension} */
const dimension = (more) => ({ name: "x", slots: [], low: 0, high: 1, options: [], importance: -1, ...more });

describe("the history", () => {
  const trials = [trial(0, 0.2), trial(1, null), trial(2, 0.1), trial(3, 0.5), trial(4, 0.5)];
  test("has a line that rises only where a trial is better than all before", () => {
    assert.deepEqual(shapes.bestSoFar(trials), [
      { number: 0, value: 0.2 },
      { number: 3, value: 0.5 },
    ]);
    assert.deepEqual(shapes.bestSoFar([trial(0, null)]), []);
  });
  test("ranks trials from the worst, 0, to the best, 1, and leaves out those without a score", () => {
    assert.deepEqual(
      [...shapes.ranks(trials)].sort(([a], [b]) => a - b),
      [
        [0, 1 / 3],
        [2, 0],
        [3, 2 / 3],
        [4, 1],
      ],
    );
    assert.deepEqual([...shapes.ranks([trial(7, -3)])], [[7, 1]]);
  });
  test("has ticks that are round, within the span, and some five", () => {
    for (const [low, high] of [
      [0, 1],
      [0.99247, 0.99933],
      [-3, 12000],
      [1e-7, 2e-7],
    ]) {
      const marks = shapes.ticks(low, high);
      assert.ok(marks.length >= 2 && marks.length <= 7, `${low} to ${high}: ${marks}`);
      assert.ok(marks.every((mark) => mark >= low - 1e-12 && mark <= high + 1e-12));
      assert.ok(marks.every((mark) => shapes.shortNumber(mark).length <= 8));
    }
  });
  test("has space for a mark even where all scores are the same", () => {
    assert.deepEqual(shapes.span([2, 2]), [1.5, 2.5]);
    assert.deepEqual(shapes.span([]), [0, 1]);
  });
});

describe("parallel axes", () => {
  test("have a range from its low end to its high one, and words in their order", () => {
    assert.equal(shapes.share(dimension({ low: 1, high: 3 }), 2), 0.5);
    assert.equal(shapes.share(dimension({ low: 1, high: 3 }), 9), 1);
    const words = dimension({ options: ["GRAD_V", "COSINE", "ALL_B"] });
    assert.deepEqual(
      ["GRAD_V", "COSINE", "ALL_B", "gone"].map((word) => shapes.share(words, word)),
      [0, 0.5, 1, null],
    );
    assert.equal(shapes.share(dimension({ options: ["0.3", "0.50"] }), 0.5), 1, "a number among choices");
  });
  test("have the best trial on top, and a gap where a trial has no value", () => {
    const two = [dimension({ name: "IN00" }), dimension({ name: "gamma", high: 2 })];
    const trials = [
      trial(0, 0.9, { point: { IN00: 0.25, gamma: 1 } }),
      trial(1, 0.1, { point: { IN00: 1 } }),
    ];
    assert.deepEqual(shapes.lines(trials, two), [
      { number: 1, rank: 0, shares: [1, null] },
      { number: 0, rank: 1, shares: [0.25, 0.5] },
    ]);
  });
});

describe("the map of the U-Net", () => {
  const slots = (/** @type {string} */ stem) =>
    Array.from({ length: 12 }, (_, n) => `${stem}${String(n).padStart(2, "0")}`);
  const layout = {
    ...ui().fader_layout,
    ...{ above: ["BASE"], left: slots("IN"), right: slots("OUT").reverse(), outside: ["TIME", "OUT"] },
  };
  const cells = Object.fromEntries(shapes.unetCells(layout).map((cell) => [cell.slot, cell]));
  test("goes in by a step with each resolution, on both sides alike", () => {
    assert.deepEqual(
      [cells.IN00, cells.IN03, cells.IN11].map(({ side, step }) => [side, step]),
      [
        ["left", 0],
        ["left", 1],
        ["left", 3],
      ],
    );
    assert.equal(cells.OUT11.row, cells.IN00.row);
    assert.deepEqual([cells.OUT00.step, cells.OUT00.side], [3, "right"]);
  });
  test("has the middle below both, and each block once", () => {
    assert.ok(cells.M00.row > cells.IN11.row);
    assert.ok(cells.TIME.row > cells.M00.row);
    assert.equal(shapes.unetCells(layout).length, 28);
  });
  test("knows which dimension sets a block", () => {
    const level = dimension({ name: "OUT00-OUT02", slots: ["OUT00", "OUT01", "OUT02"] });
    const of = shapes.dimensionOfSlot([level, dimension({ name: "gamma" })]);
    assert.equal(of.get("OUT01"), level);
    assert.equal(of.get("IN00"), undefined);
  });
});
