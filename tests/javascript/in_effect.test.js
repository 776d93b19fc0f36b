"use strict";

const assert = require("node:assert/strict");
const { beforeEach, describe, test } = require("node:test");
const edits = require("../../javascript/edits.js");
const { items, overrideOf } = require("../../javascript/in_effect.js");
const { DeskState } = require("../../javascript/state.js");
const { UndoStack } = require("../../javascript/undo.js");
const { ui, selection } = require("./ui.js");

/** @type {InstanceType<typeof DeskState>} */
let state;

beforeEach(() => {
  state = new DeskState({ undo: new UndoStack() });
  state.setUi(ui(), selection());
});
/** @param {string[]} slots that rules set to 0.9 */
function rule(...slots) {
  const override = { complete: true, value: "0.9", rules: "the rule OUT: 0.9", text: "set to 0.9" };
  const overrides = { alpha: Object.fromEntries(slots.map((slot) => [slot, override])) };
  state.effects = { items: [{ kind: "rules", text: "rules OUT: 0.9" }], overrides };
}

describe("what is in effect", () => {
  test("is what Python says of the recipe, then solo and mute", () => {
    rule("OUT00");
    edits.muteAlso(state, "IN00");
    assert.deepEqual(
      items(state).map(({ text }) => text),
      ["rules OUT: 0.9", "mute IN00"],
    );
  });
  test("is no mute of a block that rules set, which is said", () => {
    rule("OUT00");
    edits.muteAlso(state, "OUT00");
    assert.equal(items(state).at(-1)?.text, "mute OUT00 (no effect: rules set these blocks)");
    edits.muteAlso(state, "IN00");
    assert.equal(items(state).at(-1)?.text, "mute OUT00, IN00 (but rules set OUT00)");
  });
  test("of a solo, the blocks that rules set all the same are named", () => {
    rule("OUT00");
    edits.soloOnly(state, "IN00");
    assert.equal(items(state).at(-1)?.text, "solo IN00 (but rules set OUT00)");
  });
  test("is said of the sliders that are shown: rules of alpha set none of beta", () => {
    rule("OUT00");
    assert.equal(overrideOf(state, "OUT00")?.value, "0.9");
    assert.equal(overrideOf(state, "OUT00", "beta"), undefined);
  });
});
