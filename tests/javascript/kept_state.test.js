"use strict";

const assert = require("node:assert/strict");
const { beforeEach, describe, test } = require("node:test");
const { pack, unpack } = require("../../javascript/kept_state.js");
const engaged = require("../../javascript/engaged.js");
const { DeskState } = require("../../javascript/state.js");
const { UndoStack } = require("../../javascript/undo.js");
const { ui, selection } = require("./ui.js");

const picture = {
  src: "data:image/png;base64,AAAA",
  id: "0011",
  infotext: "a cat",
  comparison_key: "A",
  seed: 7,
};

function desk() {
  const state = new DeskState({ undo: new UndoStack() });
  state.setUi(ui(), selection());
  return state;
}
/** @type {ReturnType<typeof desk>} */
let left;
beforeEach(() => {
  left = desk();
  left.set({ alpha: { IN00: 0.4, OUT00: 0.6 } }, { ratio: 0.1 });
  left.toggle("link", "IN00");
  left.setExtra("weights", "OUT: 0.5");
  left.live = false;
  Object.assign(left, { picture, applied: true, sent: left.requested(), drawing: { now: "a", drawn: "a" } });
});

describe("a page that is opened again", () => {
  test("has the sliders, rules, links and the switch Live of the page before", () => {
    const state = desk();
    assert.equal(unpack(state, pack(left), "merge-1"), true);
    assert.deepEqual(
      [state.amountOf("IN00"), state.scalars.ratio, state.extras.weights],
      [0.4, 0.1, "OUT: 0.5"],
    );
    assert.deepEqual([[...state.toggles.link], state.live], [["IN00"], false]);
  });
  test("undoes what was done on the page that was left", () => {
    const state = desk();
    unpack(state, pack(left), "merge-1");
    state.undo();
    assert.equal(state.amountOf("IN00"), 0);
    state.redo();
    assert.equal(state.amountOf("IN00"), 0.4);
  });
  test("names its picture without the picture itself, which is asked for apart", () => {
    const state = desk();
    unpack(state, pack(left), "merge-1");
    assert.deepEqual(state.picture, { ...picture, src: "" });
    assert.equal(pack(left).includes("base64"), false);
  });
  test("needs to send nothing where the merge is still in memory", () => {
    const state = desk();
    unpack(state, pack(left), "merge-1");
    assert.equal(state.compareSent(), false);
  });
  test("has Generate due where the merge is gone, and starts nothing by itself", () => {
    left.live = true;
    const state = desk();
    unpack(state, pack(left), "");
    state.compareSent();
    assert.deepEqual([engaged.isDue(state), state.applied], [true, false]);
  });
  test("packs the same again", () => {
    const state = desk();
    unpack(state, pack(left), "merge-1");
    assert.equal(pack(state), pack(left));
  });
});

describe("what cannot be loaded", () => {
  for (const text of ["", "{", "[]", "null", '{"version": 99, "values": {"alpha": {"IN00": 1}}}']) {
    test(`leaves the page as it is: ${text || "nothing"}`, () => {
      const state = desk();
      const before = pack(state);
      assert.equal(unpack(state, text, ""), false);
      assert.equal(pack(state), before);
    });
  }
  test("of one kind leaves that alone", () => {
    const state = desk();
    unpack(state, '{"version": 1, "values": 3, "live": false}', "");
    assert.deepEqual([state.amountOf("IN00"), state.live], [0, false]);
  });
});
