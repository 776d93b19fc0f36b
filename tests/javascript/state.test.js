"use strict";

const assert = require("node:assert/strict");
const { beforeEach, describe, test } = require("node:test");
const { deviations, numbersText } = require("../../javascript/number_list.js");
const engaged = require("../../javascript/engaged.js");
const edits = require("../../javascript/edits.js");
const { ALL, DeskState } = require("../../javascript/state.js");
const { UndoStack } = require("../../javascript/undo.js");
const { ui, selection } = require("./ui.js");

/** @type {InstanceType<typeof DeskState>} */
let state;
let clock = 0;
const now = () => clock;

beforeEach(() => {
  clock = 1_000_000;
  state = new DeskState({ now, undo: new UndoStack(now) });
  state.setUi(ui(), selection());
});

/** @param {string} slot @param {number} value */
function moveTo(slot, value) {
  state.move(slot, value);
  return state.settle(slot);
}
const later = () => void (clock += 2000);

describe("undo", () => {
  test("takes a move back, and redo brings it again", () => {
    moveTo("IN00", 0.4);
    assert.ok(state.undo());
    assert.equal(state.amountOf("IN00"), 0);
    assert.ok(state.redo());
    assert.equal(state.amountOf("IN00"), 0.4);
  });
  test("merges moves of one fader that follow each other at once", () => {
    for (const value of [0.1, 0.2, 0.3]) {
      clock += 100;
      moveTo("IN00", value);
    }
    state.undo();
    assert.equal(state.amountOf("IN00"), 0);
    assert.equal(state.canUndo, false);
  });
  test("keeps moves of one fader apart where there is time between them", () => {
    moveTo("IN00", 0.1);
    later();
    moveTo("IN00", 0.2);
    state.undo();
    assert.equal(state.amountOf("IN00"), 0.1);
  });
  test("keeps moves of two faders apart", () => {
    moveTo("IN00", 0.1);
    moveTo("OUT00", 0.2);
    state.undo();
    assert.deepEqual([state.amountOf("IN00"), state.amountOf("OUT00")], [0.1, 0]);
  });
  test("counts a drag as one step, however many places it passes", () => {
    for (let value = 0; value <= 1; value += 0.1) state.move("IN00", value);
    state.settle("IN00");
    state.undo();
    assert.equal(state.amountOf("IN00"), 0);
  });
  test("has nothing to take back after a drag that ends where it began", () => {
    moveTo("IN00", 0.2);
    state.move("IN00", 0.5);
    state.move("IN00", 0.2);
    assert.equal(state.settle("IN00"), false);
  });
  test("forgets what was to be done again after a new move", () => {
    moveTo("IN00", 0.4);
    state.undo();
    moveTo("OUT00", 0.2);
    assert.equal(state.redo(), false);
  });
  test("brings solo, mute and scalars back as well", () => {
    state.toggle("solo", "IN00");
    later();
    state.change(() => void (state.scalars.ratio = 9), "ratio");
    state.undo();
    state.undo();
    assert.deepEqual([state.toggles.solo.size, state.scalars.ratio], [0, 0.5]);
  });
  test("remembers two hundred steps", () => {
    for (let n = 1; n <= 250; n++) {
      later();
      moveTo("IN00", n / 1000);
    }
    let steps = 0;
    while (state.undo()) steps++;
    assert.equal(steps, 200);
    assert.equal(state.amountOf("IN00"), 0.05);
  });
});

describe("link", () => {
  beforeEach(() => {
    for (const slot of ["IN00", "OUT00"]) state.toggle("link", slot);
  });
  test("moves linked faders together by the same amount", () => {
    state.set({ alpha: { IN00: 0.2, OUT00: 0.5 } });
    moveTo("IN00", 0.4);
    assert.deepEqual([state.amountOf("IN00"), state.amountOf("OUT00")], [0.4, 0.7]);
  });
  test("stops at the end of the range, and comes back to the distance of the start", () => {
    state.set({ alpha: { IN00: 0.2, OUT00: 0.9 } });
    state.move("IN00", 0.6);
    assert.equal(state.amountOf("OUT00"), 1);
    state.move("IN00", 0.2);
    assert.ok(Math.abs(state.amountOf("OUT00") - 0.9) < 1e-9);
  });
  test("leaves a fader alone that is not linked", () => {
    moveTo("M00", 0.5);
    assert.equal(state.amountOf("IN00"), 0);
  });
  test("is no step of undo", () => assert.equal(state.canUndo, false));
});

describe("lock", () => {
  const read = (/** @type {Record<string, number>} */ numbers) => state.setNumbers(numbers);
  beforeEach(() => {
    state.set({ alpha: { IN00: 0.2, OUT00: 0.6 } });
    state.toggle("lock", "OUT00");
  });
  for (const [name, act] of /** @type {[string, () => void][]} */ ([
    ["reset", () => state.reset()],
    ["invert", () => state.invert()],
    ["a preset", () => state.set({ alpha: { IN00: 1, OUT00: 1 } })],
    ["pasted numbers", () => read({ IN00: 1, OUT00: 1 })],
    ["the fader of all blocks", () => moveTo(ALL, 0.9)],
    ["a change of several", () => state.adjust(["IN00", "OUT00"], (amount) => amount + 0.1)],
    ["its own slider", () => moveTo("OUT00", 0.9)],
  ]))
    test(`protects a fader from ${name}, and its name is kept for a note`, () => {
      act();
      assert.deepEqual([state.amountOf("OUT00"), [...state.keptLocked]], [0.6, ["OUT00"]]);
    });
  test("protects a linked fader from the move of the others", () => {
    for (const slot of ["IN00", "OUT00"]) state.toggle("link", slot);
    moveTo("IN00", 0.4);
    assert.deepEqual([state.amountOf("IN00"), state.amountOf("OUT00")], [0.4, 0.6]);
    moveTo("OUT00", 0.1);
    assert.deepEqual([state.amountOf("IN00"), state.amountOf("OUT00")], [0.4, 0.6]);
  });
  test("is noted only where a fader would have moved, and until the next change", () => {
    state.set({ alpha: { OUT00: 0.6 } });
    assert.equal(state.keptLocked.size, 0);
    state.reset();
    moveTo("IN00", 0.3);
    assert.equal(state.keptLocked.size, 0);
  });
  test("gives way to a recipe that is loaded, and to undo", () => {
    state.applySetup({ alpha: { OUT00: 0.9 } }, {}, false);
    assert.equal(state.amountOf("OUT00"), 0.9);
    state.undo();
    assert.equal(state.amountOf("OUT00"), 0.6);
  });
  test("is no step of undo, and changes nothing that is sent", () => {
    const sent = state.requested();
    state.toggle("lock", "IN00");
    assert.equal(state.requested(), sent);
  });
});

describe("the fader of all blocks", () => {
  test("moves all but those that do nothing", () => {
    moveTo(ALL, 0.6);
    assert.deepEqual([state.amountOf("IN00"), state.amountOf("VAE")], [0.6, 0]);
  });
  test("stands at the mean, and says when the others differ", () => {
    assert.deepEqual(state.allBlocks(), { value: 0, mixed: false });
    moveTo("IN00", 0.6);
    assert.equal(state.allBlocks().mixed, true);
    assert.ok(Math.abs(state.allBlocks().value - 0.6 / 5) < 1e-9);
  });
});

describe("solo and mute", () => {
  beforeEach(() => state.set({ alpha: { IN00: 0.5, M00: 0.5, OUT00: 0.5 } }));
  test("of a soloed fader all others keep A", () => {
    edits.soloOnly(state, "IN00");
    assert.deepEqual([state.effective("IN00"), state.effective("OUT00")], [0.5, 0]);
  });
  test("a muted fader keeps A and remembers its amount", () => {
    edits.muteAlso(state, "IN00");
    assert.deepEqual(
      [state.effective("IN00"), state.amountOf("IN00"), state.effective("OUT00")],
      [0, 0.5, 0.5],
    );
  });
  test("mute wins over solo", () => {
    edits.soloOnly(state, "IN00");
    edits.muteAlso(state, "IN00");
    assert.equal(state.effective("IN00"), 0);
  });
  test("a second solo of the same fader ends it", () => {
    edits.soloOnly(state, "IN00");
    edits.soloOnly(state, "IN00");
    assert.equal(state.effective("OUT00"), 0.5);
  });
  test("a set of amounts ends both", () => {
    edits.soloOnly(state, "IN00");
    edits.muteAlso(state, "M00");
    state.set({ alpha: { IN00: 1 } });
    assert.deepEqual([state.effective("IN00"), state.effective("M00")], [1, 0.5]);
  });
  test("what is sent is what is in effect", () => {
    edits.soloOnly(state, "IN00");
    const { alpha } = /** @type {any} */ (state.parameters());
    assert.deepEqual(alpha, { TIME: 0, IN00: 0.5, M00: 0, OUT00: 0, BASE: 0, VAE: 0 });
  });
});

describe("a method's neutral amount", () => {
  /** @param {Record<string, number> | null} neutral @param {Partial<Desk.ParameterView>} [fader] */
  function choose(neutral, fader = {}) {
    const { method, ...rest } = ui();
    const faders = [{ ...method.faders[0], ...fader }];
    state.setUi({ ...rest, method: { ...method, id: "other", faders, neutral } }, selection());
  }
  test("is where sliders start, and what reset, solo and mute send", () => {
    choose({ alpha: 1 });
    assert.deepEqual(state.amounts(), { TIME: 1, IN00: 1, M00: 1, OUT00: 1, BASE: 1, VAE: 1 });
    state.set({ alpha: { IN00: 0.5, OUT00: 0.4 } });
    edits.muteAlso(state, "IN00");
    assert.deepEqual([state.effective("IN00"), state.effective("OUT00")], [1, 0.4]);
    state.reset();
    assert.deepEqual([state.amountOf("IN00"), state.amountOf("OUT00")], [1, 1]);
  });
  test("is taken by sliders that were never moved, or put back, when the method changes", () => {
    moveTo("IN00", 0.4);
    moveTo("M00", 0.3);
    moveTo("M00", 0);
    choose({ alpha: 1 });
    assert.deepEqual([state.amountOf("IN00"), state.amountOf("M00"), state.amountOf("OUT00")], [0.4, 1, 1]);
    choose({ alpha: 0 });
    assert.deepEqual([state.amountOf("IN00"), state.amountOf("M00"), state.amountOf("OUT00")], [0.4, 0, 0]);
  });
  test("is the parameter's default where the method names none for it", () => {
    choose({ alpha: 0 }, { name: "beta", default: 0.5 });
    assert.equal(state.restingAmount(), 0.5);
  });
  test("is missing in some methods: solo and mute then do nothing", () => {
    state.toggle("solo", "OUT00");
    choose(null, { default: 0.25 });
    edits.muteAlso(state, "IN00");
    assert.deepEqual([state.canKeepA, state.effective("IN00")], [false, 0.25]);
  });
  test("is no move: a slider that comes back to it leaves nothing to undo", () => {
    state.move("IN00", 0.5);
    state.move("IN00", 0);
    assert.equal(state.settle("IN00"), false);
  });
  test("is what a list leaves slots at that it does not name", () => {
    choose({ alpha: 1 });
    state.layout = "supermerger";
    assert.equal(numbersText(state), "1, 1, 1, 1");
    assert.deepEqual(deviations(state), []);
  });
});

describe("all faders", () => {
  test("invert turns low into high, but not what does nothing", () => {
    moveTo("IN00", 0.3);
    state.invert();
    assert.deepEqual([state.amountOf("IN00"), state.amountOf("OUT00"), state.amountOf("VAE")], [0.7, 1, 0]);
  });
  test("reset puts every fader at A, with nothing soloed or muted", () => {
    moveTo("IN00", 0.3);
    edits.soloOnly(state, "OUT00");
    state.reset();
    assert.deepEqual([state.amountOf("IN00"), state.toggles.solo.size], [0, 0]);
  });
});

describe("numbers as text", () => {
  test("are in the order of the list, short, as they are merged", () => {
    state.set({ alpha: { BASE: 0.123456, IN00: 0.5, M00: 1, OUT00: 0.25 } });
    edits.muteAlso(state, "M00");
    assert.equal(numbersText(state), "0.1235, 0.5, 0, 0.25");
  });
  test("set what Python read in them, and end solo and mute", () => {
    edits.soloOnly(state, "OUT00");
    state.setNumbers({ IN00: 0.2, M00: 0.3 });
    assert.deepEqual(
      [state.effective("IN00"), state.effective("M00"), state.effective("OUT00")],
      [0.2, 0.3, 0],
    );
  });
  test("typed one after the other are one step of undo", () => {
    state.setNumbers({ IN00: 0.1 });
    state.setNumbers({ IN00: 0.12 });
    state.undo();
    assert.equal(state.amountOf("IN00"), 0);
    assert.equal(state.canUndo, false);
  });
  test("say which faders differ from them", () => {
    state.setNumbers({ BASE: 0.2, IN00: 0.3, M00: 0.4, OUT00: 0.5, TIME: 0.2 });
    assert.deepEqual(deviations(state), []);
    moveTo("TIME", 0.7);
    assert.deepEqual(deviations(state), [{ slot: "TIME", from: "BASE" }]);
  });
});

describe("a new UI state", () => {
  test("is drawn again only where something that is drawn has changed", () => {
    assert.equal(state.setUi(ui(), selection({ dtype: "fp16" })).redraw, false);
    assert.equal(state.setUi(ui({ next_step: "Choose B to begin" }), selection()).redraw, true);
  });
  test("says whether the lists have changed", () => {
    assert.equal(state.setUi(ui(), selection()).reselected, false);
    assert.equal(state.setUi(ui(), selection({ vae: "B's" })).reselected, true);
  });
  test("of another pair has none of the marks of the pair before", () => {
    state.mark({ IN00: 0.5 }, "", ["M00"]);
    assert.equal(state.setUi(ui(), selection({ b: "pastel" })).pair, true);
    assert.deepEqual([state.marks, state.notFinite], [{}, []]);
  });
  test("keeps the scalars that its method has, and drops the others", () => {
    state.scalars.ratio = 0.9;
    state.scalars.old = 1;
    state.setUi(ui(), selection());
    assert.deepEqual(state.scalars, { ratio: 0.9 });
  });
  test("shows the amounts that its method has", () => {
    state.param = "beta";
    state.setUi(ui(), selection());
    assert.equal(state.param, "alpha");
  });
});

/** A response to a swap. @param {Partial<Desk.MixResult>} [attributes] @param {any} [problem]
 * @returns {DeskResponse<"mix.apply">} */
function response(attributes = {}, problem = null) {
  const none = {
    picture: "",
    history_id: 0,
    picture_id: "",
    infotext: "",
    seed: 1,
    drawing_key: "",
    comparison_key: "",
    note: "",
    effects: null,
    changed_elsewhere: false,
    changes: "",
  };
  const said = { base: "ink", next: "", name: "", text: "", note: "" };
  const status = { ...said, live: true, engaged: "one", read_at: 0 };
  const data = problem ? null : { ...none, ...attributes };
  return { seq: 1, action: "mix.apply", data, problem, status, selection: selection(), revision: 0, at: 1 };
}

test("a status that was read in the middle of Unload and comes after its response is not shown", () => {
  const { status } = response();
  assert.ok(status);
  assert.equal(engaged.isLatest(state, { ...status, read_at: 7 }), true);
  assert.equal(engaged.isLatest(state, { ...status, read_at: 9, engaged: "" }), true);
  assert.equal(engaged.isLatest(state, { ...status, read_at: 8, engaged: "" }), false);
  assert.equal(engaged.isLatest(state, { ...status, read_at: 9 }), true);
});
test("a status is shown after the server's machine has started again, and its clock with it", () => {
  const { status } = response();
  assert.ok(status);
  assert.equal(engaged.isLatest(state, { ...status, read_at: 3600e9 }), true);
  assert.equal(engaged.isLatest(state, { ...status, read_at: 20e9, engaged: "" }), true);
  assert.equal(engaged.isLatest(state, { ...status, read_at: 19e9 }), false);
});

describe("what was sent", () => {
  test("is compared with what the faders say now", () => {
    engaged.begin(state, "apply", "");
    assert.equal(state.compareSent(), false);
    moveTo("IN00", 0.5);
    assert.equal(state.compareSent(), true);
  });
  test("is to be sent again after nobody answered", () => {
    engaged.begin(state, "apply", "");
    engaged.fail(state);
    assert.deepEqual([state.busy, state.compareSent()], [null, true]);
  });
  test("is to be sent again after it failed", () => {
    engaged.begin(state, "apply", "");
    engaged.finish(state, "apply", response({}, { what: "no" }));
    assert.deepEqual([state.stale, state.compareSent()], [true, true]);
  });
  test("frees the desk for what was asked for meanwhile", () => {
    engaged.begin(state, "apply", "");
    state.queued = "unload";
    assert.equal(engaged.finish(state, "apply", response()), "unload");
    assert.equal(state.busy, null);
  });
  test("drops what was asked for meanwhile where another page's merge is in memory", () => {
    engaged.begin(state, "apply", "");
    state.queued = "apply";
    assert.equal(engaged.finish(state, "apply", response({ changed_elsewhere: true })), "");
  });
  test("leaves the picture before next to the new one, and A's own apart", () => {
    for (const picture of ["first", "second"]) {
      engaged.begin(state, "apply", "");
      engaged.finish(state, "apply", response({ picture, comparison_key: "A" }));
    }
    engaged.begin(state, "compare", "");
    engaged.finish(state, "compare", response({ picture: "of A", comparison_key: "A" }));
    assert.deepEqual(
      [state.picture?.src, state.pictureBefore?.src, state.comparison?.src],
      ["second", "first", "of A"],
    );
  });
  test("has no comparison where A's picture was drawn with other settings", () => {
    engaged.begin(state, "compare", "");
    engaged.finish(state, "compare", response({ picture: "of A", comparison_key: "512" }));
    engaged.begin(state, "apply", "");
    engaged.finish(state, "apply", response({ picture: "new", comparison_key: "768" }));
    assert.equal(state.comparison, null);
  });
});

describe("the settings of a picture", () => {
  const drawn = () => {
    engaged.begin(state, "apply", "");
    engaged.finish(state, "apply", response({ picture: "first", drawing_key: "a cat" }));
  };
  test("ask for a new picture once they differ from those of the last one, and once only", () => {
    drawn();
    assert.equal(engaged.setDrawing(state, "a cat"), false);
    assert.equal(engaged.setDrawing(state, "a dog"), true);
    assert.equal(engaged.setDrawing(state, "a dog"), false);
    assert.equal(state.compareSent(), true);
  });
  test("that are put back ask for nothing", () => {
    drawn();
    engaged.setDrawing(state, "a dog");
    assert.equal(engaged.setDrawing(state, "a cat"), false);
    assert.equal(state.stale, false);
  });
  test("ask for nothing before the first picture", () => {
    assert.equal(engaged.setDrawing(state, "a dog"), false);
  });
  test("make Generate due where the page is not live", () => {
    drawn();
    state.live = false;
    engaged.setDrawing(state, "a dog");
    assert.equal(engaged.isDue(state), true);
  });
  test("leave A's picture to the seed that the merge's own was drawn with", () => {
    engaged.begin(state, "apply", "");
    engaged.finish(state, "apply", response({ picture: "first", seed: 1234 }));
    assert.equal(state.picture?.seed, 1234);
  });
});

describe("undo of lists and fields", () => {
  beforeEach(() => {
    state.recording = true;
    state.setFields({ seed: 1, prompt: "a cat" });
  });
  test("asks for the method, models and seed of before, and redo for those after", () => {
    state.setUi(ui(), selection({ b: "pastel", method: "TIES" }));
    state.setFields({ seed: 7, prompt: "a cat" });
    assert.ok(state.undo());
    assert.equal(state.wanted?.fields.seed, 1);
    assert.equal(state.wanted?.selection.method, "TIES");
    state.setFields({ seed: 1, prompt: "a cat" });
    assert.ok(state.redo());
    assert.equal(state.wanted?.fields.seed, 7);
  });
  test("asks for the lists of before also while Python is setting others", () => {
    state.expected = { selection: selection({ b: "" }), fields: state.fields };
    moveTo("IN00", 0.5);
    state.expected = null;
    state.setUi(ui(), selection({ b: "pastel" }));
    state.expected = { selection: selection({ b: "ink" }), fields: state.fields };
    state.undo();
    assert.equal(state.wanted?.selection.b, "");
  });
  test("asks for nothing where only sliders were moved", () => {
    moveTo("IN00", 0.5);
    state.undo();
    assert.equal(state.wanted, null);
  });
  test("brings rules and Adjust back", () => {
    state.change(() => void state.setExtra("weights", "OUT: 0.5"));
    state.undo();
    assert.deepEqual(state.extras, {});
    state.redo();
    assert.equal(state.extras.weights, "OUT: 0.5");
  });
  test("has no step for what the page itself sets up", () => {
    state.recording = false;
    state.setUi(ui(), selection({ b: "pastel" }));
    state.setFields({ seed: 7, prompt: "a cat" });
    assert.equal(state.canUndo, false);
  });
  test("has no step for fields that are read for the first time", () => {
    assert.equal(state.canUndo, false);
  });
  test("has a step for a list whose answer had not come when the desk was emptied", () => {
    edits.noteSelection(state, selection({ method: "Cosine A" }));
    edits.noteSelection(state, selection({ method: "Cosine A" }));
    edits.startOver(state);
    assert.equal(state.selection?.method, "Cosine A");
    state.undo();
    assert.notEqual(state.wanted?.selection.method, "Cosine A");
    assert.equal(state.canUndo, false);
  });
  test("brings back all that New has emptied, in one step", () => {
    state.change(() => void state.setExtra("weights", "OUT: 0.5"));
    moveTo("IN00", 0.5);
    edits.startOver(state);
    assert.deepEqual([state.amountOf("IN00"), state.extras], [0, {}]);
    state.undo();
    assert.deepEqual([state.amountOf("IN00"), state.extras.weights], [0.5, "OUT: 0.5"]);
  });
});

describe("unloading the merge", () => {
  test("makes Generate due, also where the page is live, until it is pressed", () => {
    engaged.begin(state, "apply", "");
    engaged.finish(state, "apply", response({ picture: "first" }));
    engaged.begin(state, "unload", "");
    engaged.finish(state, "unload", response());
    assert.equal(engaged.isDue(state), true);
    engaged.begin(state, "apply", "");
    assert.equal(engaged.isDue(state), false);
  });
});

describe("the merge in memory", () => {
  test("is taken over by a page that knows of none", () => {
    assert.equal(engaged.compareEngaged(state, "one", 1), false);
    assert.deepEqual([state.engaged, state.notice.text], ["one", ""]);
  });
  test("that another page has changed is asked about once, and told", () => {
    engaged.compareEngaged(state, "one", 1);
    assert.equal(engaged.compareEngaged(state, "two", 2), true);
    assert.equal(engaged.compareEngaged(state, "two", 3), false);
    assert.deepEqual(state.notice, {
      text: "The merge in memory was changed elsewhere.",
      recipe: "",
      other: "two",
    });
  });
  test("is told with what is different about it", () => {
    engaged.compareEngaged(state, "one", 1);
    assert.equal(engaged.compareEngaged(state, "two", 2, "IN00 0.5, not 0"), false);
    assert.equal(state.notice.text, "The merge in memory was changed elsewhere: IN00 0.5, not 0.");
  });
  test("is no news where an older answer comes late", () => {
    engaged.compareEngaged(state, "one", 5);
    assert.equal(engaged.compareEngaged(state, "two", 4), false);
    assert.equal(state.notice.text, "");
  });
  test("is no news while this page is changing it", () => {
    engaged.compareEngaged(state, "one", 1);
    engaged.begin(state, "apply", "");
    assert.equal(engaged.compareEngaged(state, "two", 2), false);
  });
  test("that is gone is told, and the page knows of none", () => {
    engaged.compareEngaged(state, "one", 1);
    engaged.compareEngaged(state, "", 2);
    assert.deepEqual([state.engaged, state.notice.text], ["", "The merge was unloaded elsewhere."]);
  });
  test("that came back is told no longer", () => {
    engaged.compareEngaged(state, "one", 1);
    engaged.compareEngaged(state, "two", 2);
    engaged.compareEngaged(state, "one", 3);
    assert.equal(state.notice.text, "");
  });
  test("may be replaced once the user keeps this page's own", () => {
    engaged.compareEngaged(state, "one", 1);
    engaged.compareEngaged(state, "two", 2);
    engaged.keepMine(state);
    assert.deepEqual([state.engaged, state.notice.text], ["two", ""]);
  });
});

describe("setting up", () => {
  test("is one step of undo", () => {
    state.applySetup({ alpha: { IN00: 0.4, OUT00: 0.6 } }, { ratio: 0.1 }, false);
    state.undo();
    assert.deepEqual([state.amountOf("IN00"), state.scalars.ratio], [0, 0.5]);
  });
  test("leaves no amount that the recipe does not name", () => {
    state.set({ alpha: { IN00: 0.4 }, beta: { M00: 0.9 } });
    state.applySetup({ alpha: { OUT00: 0.6 } }, {}, false);
    assert.deepEqual([state.amountOf("IN00"), state.amountOf("OUT00")], [0, 0.6]);
    assert.equal(state.values.beta.M00, undefined);
    state.applySetup({}, {}, false); // of a method without faders
    assert.equal(state.amountOf("OUT00"), 0);
  });
  test("as what is in memory already needs no sending", () => {
    state.applySetup({ alpha: { IN00: 0.4 } }, {}, true);
    assert.deepEqual([state.applied, state.compareSent(), state.canUndo], [true, false, false]);
  });
  test("tells of an extra only where it is new", () => {
    assert.equal(state.setExtra("weights", "OUT: 0.5"), true);
    assert.equal(state.setExtra("weights", "OUT: 0.5"), false);
    assert.equal(state.parameters().weights, "OUT: 0.5");
    assert.equal(state.setExtra("weights", ""), true);
    assert.equal("weights" in state.parameters(), false);
  });
});
