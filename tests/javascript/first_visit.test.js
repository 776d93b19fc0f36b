"use strict";

const assert = require("node:assert/strict");
const { describe, test } = require("node:test");
const { hintsOf, openHints } = require("../../javascript/view_mix_hints.js");
const { summaryOf } = require("../../javascript/view_fit.js");
const { DeskState } = require("../../javascript/state.js");
const { UndoStack } = require("../../javascript/undo.js");
const { pack, unpack } = require("../../javascript/kept_state.js");
const { selection, ui } = require("./ui.js");

describe("the hints of a first visit", () => {
  test("are three, and none where they are not to be shown", () => {
    assert.equal(openHints({ shown: true, closed: [] }).length, 3);
    assert.deepEqual(openHints({ shown: false, closed: [] }), []);
  });
  test("are without those that were closed", () => {
    assert.deepEqual(openHints({ shown: true, closed: ["sliders", "what is no hint"] }), [
      "saving",
      "pictures",
    ]);
  });
  for (const kept of [null, undefined, 3, [], { shown: 1, closed: "saving" }])
    test(`are none where ${JSON.stringify(kept)} was kept`, () => {
      assert.deepEqual(hintsOf(kept), { shown: false, closed: [] });
    });
  test("are not shown on a desk that knows nothing of them, and are kept with one that does", () => {
    const [left, state] = [0, 1].map(() => new DeskState({ undo: new UndoStack() }));
    for (const each of [left, state]) each.setUi(ui(), selection());
    assert.deepEqual(openHints(state.hints), []);
    left.hints = { shown: true, closed: ["saving"] };
    unpack(state, pack(left), "");
    assert.deepEqual(openHints(state.hints), ["sliders", "pictures"]);
  });
});

describe("how many files fit A", () => {
  /** @param {number} fits @param {number} misfits @param {number} [left] @returns {Desk.FittingFiles} */
  const files = (fits, misfits, left = 0) => ({
    a: "base",
    fits: Array.from({ length: fits }, (_, at) => `fits ${at}`),
    misfits: Array.from({ length: misfits }, (_, at) => ({ name: `not ${at}`, why: "SDXL, A is SD1" })),
    left,
    unreadable: "",
  });
  test("is said in one line", () => {
    assert.equal(summaryOf(files(12, 3)), "12 of 15 other files fit base");
    assert.equal(summaryOf(files(0, 2)), "0 of 2 other files fit base");
  });
  test("is said where all do, and where there are none", () => {
    assert.equal(summaryOf(files(3, 0)), "All 3 other files fit base");
    assert.equal(summaryOf(files(1, 0)), "The other file fits base");
    assert.equal(summaryOf(files(0, 0)), "");
  });
  test("says how far the reading is", () => {
    assert.equal(summaryOf(files(80, 40, 380)), "Reading the files: 120 of 500, 80 fit base so far");
  });
});
