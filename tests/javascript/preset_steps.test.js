"use strict";

const assert = require("node:assert/strict");
const { describe, test } = require("node:test");
const { hasOwn, stepsBack } = require("../../javascript/preset_steps.js");

/** @param {string} name @param {Record<string, number>} values @param {boolean} [own] */
const preset = (name, values, own = true) => ({ name, family: "sd1", values, own, about: "" });
const shipped = preset("GRAD_V", { IN00: 1 }, false);

/** Does to a list what the server does. @param {ReturnType<typeof preset>[]} presets
 * @param {ReturnType<typeof stepsBack>} steps */
function follow(presets, steps) {
  let list = [...presets];
  for (const { name, data } of steps) {
    const at = list.findIndex((each) => each.own && each.name === data.name);
    if (name === "mix.delete_preset") list = list.filter((_, n) => n !== at);
    else if (at < 0) list.push(preset(data.name, data.amounts));
    else list[at] = preset(data.name, data.amounts);
  }
  return list;
}
const sorted = (/** @type {ReturnType<typeof preset>[]} */ list) =>
  list.map((each) => JSON.stringify(each)).sort();

describe("the way back to earlier presets", () => {
  const before = [preset("faces", { IN00: 0.5 }), preset("hands", { IN00: 1, OUT05: 0.2 }), shipped];
  const changes = {
    "a deleted one": before.slice(1),
    "one that was saved": [...before, preset("new", { IN00: 0 })],
    "a replaced one": [preset("faces", { IN00: 0.9 }), ...before.slice(1)],
    "one that lost a slot": [before[0], preset("hands", { IN00: 1 }), shipped],
    "a renamed one": [preset("portraits", { IN00: 0.5 }), ...before.slice(1)],
    "all of an import": [
      preset("faces", { IN00: 0 }),
      preset("hands", { IN00: 0 }),
      preset("x", { M00: 1 }),
      shipped,
    ],
    "the last one of all": [shipped],
  };
  for (const [what, after] of Object.entries(changes))
    test(`leads from ${what} to all as they were`, () => {
      assert.deepEqual(sorted(follow(after, stepsBack(after, before))), sorted(before));
    });
  test("asks for nothing where nothing has changed, and never for a shipped preset", () => {
    assert.deepEqual(stepsBack(before, before), []);
    assert.deepEqual(stepsBack([], [shipped]), []);
  });
  test("a name is taken by the user's own presets alone", () => {
    assert.deepEqual([hasOwn(before, " faces "), hasOwn(before, "GRAD_V")], [true, false]);
  });
});
