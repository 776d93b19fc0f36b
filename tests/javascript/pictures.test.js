"use strict";

const assert = require("node:assert/strict");
const { describe, test } = require("node:test");
const { changesBetween, readInfotext } = require("../../javascript/picture_changes.js");
const { PictureList, MOST } = require("../../javascript/picture_list.js");
const { begin, finish } = require("../../javascript/engaged.js");
const { DeskState } = require("../../javascript/state.js");
const { UndoStack } = require("../../javascript/undo.js");
const { selection, ui } = require("./ui.js");

const TEXT = "a red circle\nNegative prompt: blur\nSteps: 3, CFG scale: 5, Seed: 1, Size: 64x64";

/** @param {DeskMade["parameters"]} parameters @param {Partial<Desk.Selection>} [lists] @param {string} [infotext]
 * @returns {DeskPicture} */
const picture = (parameters, lists = {}, infotext = TEXT) => ({
  ...{ src: "data:,", id: "", infotext, comparison_key: "", seed: 1, history_id: 0 },
  made: { selection: selection(lists), parameters, snapshot: "" },
});

describe("the changes between two pictures", () => {
  test("name the blocks, from and to", () => {
    const before = picture({ alpha: { OUT05: 0.3, IN00: 0 } });
    assert.deepEqual(changesBetween(before, picture({ alpha: { OUT05: 0.7, IN00: 0 } })), [
      "OUT05 0.3 to 0.7",
    ]);
  });
  test("name the parameter too where there are several with sliders", () => {
    const before = picture({ alpha: { M00: 0 }, beta: { M00: 0 } });
    const after = picture({ alpha: { M00: 0 }, beta: { M00: 0.5 } });
    assert.deepEqual(changesBetween(before, after), ["beta M00 0 to 0.5"]);
  });
  test("count the blocks where many move", () => {
    const slots = ["IN00", "IN01", "IN02", "IN03", "IN04"];
    const all = (/** @type {(at: number) => number} */ amount) =>
      picture({ alpha: Object.fromEntries(slots.map((slot, at) => [slot, amount(at)])) });
    const alike = changesBetween(
      all(() => 0),
      all(() => 0.5),
    );
    assert.deepEqual(alike, ["5 blocks 0 to 0.5"]);
    const different = changesBetween(
      all(() => 0),
      all((at) => (at + 1) / 10),
    );
    assert.deepEqual(different, ["IN00 0 to 0.1", "IN01 0 to 0.2", "3 more blocks"]);
  });
  test("name models, method, rules and Adjust", () => {
    const before = picture({ alpha: { M00: 0 }, weights: "OUT: 0.9" }, { b: "pastel" });
    const after = picture({ density: 0.2, adjust: "contrast = 0.1" }, { b: "other", method: "TIES" });
    assert.deepEqual(changesBetween(before, after), [
      ...["method Weighted sum to TIES", "B pastel to other"],
      ...["density none to 0.2", "Adjust contrast = 0.1", "rules off"],
    ]);
  });
  test("name prompt, seed and the other settings", () => {
    const other = TEXT.replace("red", "blue").replace("Seed: 1", "Seed: 2").replace("64x64", "96x64");
    const after = picture({}, {}, other);
    assert.deepEqual(changesBetween(picture({}), after), [
      ...["other prompt", "seed 1 to 2", "size 64x64 to 96x64"],
    ]);
  });
  test("say so where there are none, or nothing to compare with", () => {
    assert.deepEqual(changesBetween(picture({}), picture({})), ["nothing changed"]);
    assert.deepEqual(changesBetween(null, picture({})), ["first picture"]);
  });
});

test("an infotext is read with and without its parts", () => {
  assert.deepEqual(readInfotext(TEXT).facts, { Steps: "3", "CFG scale": "5", Seed: "1", Size: "64x64" });
  assert.equal(readInfotext(TEXT).prompt, "a red circle");
  assert.equal(readInfotext(TEXT).negative, "blur");
  assert.deepEqual(readInfotext("Seed: 7"), { prompt: "", negative: "", facts: { Seed: "7" } });
  assert.equal(readInfotext('two\nlines\nSteps: 3, Note: "a, b"').prompt, "two\nlines");
});

describe("the list of pictures", () => {
  const filled = (/** @type {number} */ count) => {
    const list = new PictureList(changesBetween);
    for (let seed = 1; seed <= count; seed++)
      list.add(
        { ...picture({}, {}, TEXT.replace("Seed: 1", `Seed: ${seed}`)), src: `data:,${seed}` },
        list.last,
      );
    return list;
  };
  test("says of each what changed against the one before", () => {
    const list = filled(2);
    assert.deepEqual(
      list.all.map(({ changes }) => changes),
      [["first picture"], ["seed 1 to 2"]],
    );
  });
  test("is walked through and ends at its ends", () => {
    const list = filled(3);
    assert.equal(list.next(list.last, -1)?.number, 2);
    assert.equal(list.next(list.numbered(2), -9)?.number, 1);
    assert.equal(list.next(list.numbered(2), 9)?.number, 3);
    assert.equal(list.place(/** @type {ListedPicture} */ (list.numbered(2))), "2 of 3");
  });
  test("has one place for pictures that were made with the same", () => {
    const list = filled(3);
    const again = list.add(
      { ...picture({}, {}, TEXT.replace("Seed: 1", "Seed: 2")), src: "again" },
      list.last,
    );
    assert.deepEqual([again.number, again.src, list.all.length], [2, "again", 3]);
  });
  test("forgets the oldest, but none with a pin or a note", () => {
    const list = filled(3);
    Object.assign(list.all[0], { pinned: true });
    Object.assign(list.all[1], { note: "good eyes" });
    for (let n = 0; n < MOST; n++) list.add(picture({ ratio: n }), null);
    assert.equal(list.all.length, MOST + 2);
    assert.deepEqual([list.numbered(1)?.number, list.numbered(2)?.number, list.numbered(3)], [1, 2, null]);
  });
});

test("going back to a picture is one step of undo, and leaves the one before it where it is", () => {
  const state = new DeskState({ undo: new UndoStack() });
  state.setUi(ui(), selection());
  const draw = (/** @type {number} */ amount) => {
    state.set({ alpha: { IN00: amount } });
    begin(state, "apply", "");
    const data = { picture: `at ${amount}`, picture_id: "", infotext: "", comparison_key: "", seed: 1 };
    const more = {
      history_id: 0,
      drawing_key: "",
      note: "",
      effects: null,
      changed_elsewhere: false,
      changes: "",
    };
    const rest = { seq: 1, action: "mix.apply", problem: null, status: null, revision: 0, at: 0 };
    finish(state, "apply", { ...rest, selection: selection(), data: { ...data, ...more } });
    return /** @type {DeskPicture} */ (state.picture);
  };
  const shown = () => [state.picture?.src, state.pictureBefore?.src];
  const first = draw(0.2);
  draw(0.7);
  state.goBack(first);
  assert.equal(state.amountOf("IN00"), 0.2);
  assert.deepEqual(shown(), ["at 0.2", "at 0.7"]);
  draw(0.2); // merged again, as a live desk does it
  assert.deepEqual(shown(), ["at 0.2", "at 0.7"]);
  state.undo();
  assert.equal(state.amountOf("IN00"), 0.7);
});
