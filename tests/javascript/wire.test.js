"use strict";

const assert = require("node:assert/strict");
const { beforeEach, describe, test } = require("node:test");
const { Wire } = require("../../javascript/wire.js");

/** @typedef {keyof Desk.Results} Name */

/** A page with the buttons that are named, which asks as Gradio does: the inputs are filled in at a click. */
class FakePage {
  /** @type {Record<string, any[]>} what was asked, by endpoint */
  asked = {};
  /** @type {{ problem: any, again?: () => void }[]} */
  failures = [];
  /** @type {(() => void)[]} */
  later = [];
  /** @param {string[]} buttons */
  constructor(...buttons) {
    this.buttons = new Set(buttons);
    this.wire = new Wire({
      find: (name) => (this.buttons.has(name) ? { click: () => this.click(name) } : null),
      later: (act) => this.later.push(act),
      failed: (problem, again) => this.failures.push({ problem, again }),
    });
  }
  /** @param {string} name */
  click(name) {
    const [text, ...rest] = this.wire.fill(["", "A", "B", "an output"], 3, /** @type {Name} */ (name));
    assert.deepEqual(rest, ["A", "B"]);
    (this.asked[name] ??= []).push(JSON.parse(String(text)));
  }
  /** @param {Name} name @param {number} seq @param {object} [more] */
  say(name, seq, more = {}, at = 1) {
    this.wire.hear(name, JSON.stringify({ seq, action: name, data: null, revision: 0, ...more }), at);
  }
  run() {
    for (const act of this.later.splice(0)) act();
  }
}

/** @type {FakePage} */
let page;
const BUTTONS = ["mix.apply", "mix.effects", "mix.save", "grid.plan", "grid.load_cell", "weights.test"];
beforeEach(() => void (page = new FakePage(...BUTTONS)));

describe("a question", () => {
  test("goes along as the first input of a click, and its response comes back", async () => {
    const response = page.wire.ask("mix.apply", { parameters: { alpha: 1 } }, { task: "t" });
    const asked = { seq: 1, name: "mix.apply", task: "t", revision: 0, data: { parameters: { alpha: 1 } } };
    assert.deepEqual(page.asked["mix.apply"], [asked]);
    page.say("mix.apply", 1, { data: { picture: "p" } }, 7);
    const { data, at } = (await response) ?? {};
    assert.deepEqual([data?.picture, at], ["p", 7]);
  });
  test("waits until the one before it is answered", async () => {
    const first = page.wire.ask("mix.apply");
    const second = page.wire.ask("mix.apply");
    assert.equal(page.asked["mix.apply"].length, 1);
    page.say("mix.apply", 1);
    await first;
    assert.equal(page.asked["mix.apply"][1].seq, 2);
    page.say("mix.apply", 2);
    assert.equal((await second)?.seq, 2);
  });
  test("of another endpoint waits for nobody", () => {
    page.wire.ask("mix.apply");
    page.wire.ask("mix.effects");
    assert.equal(page.asked["mix.effects"].length, 1);
  });
  test("waits until its button is on the page, and is asked once then", () => {
    page.buttons.clear();
    page.wire.ask("mix.effects");
    page.wire.resume();
    assert.equal("mix.effects" in page.asked, false);
    page.buttons.add("mix.effects");
    page.wire.resume();
    page.wire.resume();
    assert.equal(page.asked["mix.effects"].length, 1);
  });
  test("is not answered by the response to another", async () => {
    let done = false;
    page.wire.ask("mix.apply").then(() => (done = true));
    page.say("mix.apply", 99);
    await Promise.resolve();
    assert.equal(done, false);
  });
  test("takes the place of an older one that still waits", async () => {
    page.wire.ask("grid.plan", { parameters: {} });
    const second = page.wire.ask("grid.plan", {}, { latest: true });
    page.wire.ask("grid.plan", { axes: {} }, { latest: true });
    assert.equal(await second, null);
    page.say("grid.plan", 1);
    assert.deepEqual(
      page.asked["grid.plan"].map(({ data }) => data),
      [{ parameters: {} }, { axes: {} }],
    );
  });
});

describe("a question that is to be answered in any case", () => {
  test("waits until it is, also behind one that takes the place of others", async () => {
    page.wire.ask("mix.effects", {}, { latest: true });
    const kept = page.wire.ask("mix.effects", { engaged: "mix" });
    page.wire.ask("mix.effects", { engaged: "" }, { latest: true });
    page.say("mix.effects", 1);
    page.say("mix.effects", 2);
    assert.notEqual(await kept, null);
    assert.deepEqual(
      page.asked["mix.effects"].map(({ data }) => data),
      [{}, { engaged: "mix" }, { engaged: "" }],
    );
  });
});

describe("the revision", () => {
  test("grows with each wish to have the lists set, and goes along with all that follows", () => {
    page.wire.ask("grid.load_cell", {}, { setsLists: true });
    page.wire.ask("mix.effects");
    assert.deepEqual(
      [page.asked["grid.load_cell"][0].revision, page.asked["mix.effects"][0].revision],
      [1, 1],
    );
  });
  test("goes along with what Gradio asks by itself when a list has changed", () => {
    page.wire.ask("grid.load_cell", {}, { setsLists: true });
    page.click("lists.settled");
    assert.deepEqual(page.asked["lists.settled"], [{ name: "lists.settled", revision: 1 }]);
  });
});

describe("a click", () => {
  test("that nobody asked for carries nothing", () => {
    page.click("mix.apply");
    assert.deepEqual(page.asked["mix.apply"], [{}]);
  });
  test("that comes twice carries its question once", () => {
    page.wire.ask("mix.apply");
    page.click("mix.apply");
    assert.deepEqual(page.asked["mix.apply"][1], {});
  });
  test("of the user's own carries what the page gives it then, once until it is answered", async () => {
    /** @type {any[]} */
    const responses = [];
    const data = { parameters: {} };
    page.wire.onPress("mix.save", () => ({ data, task: "t", hear: (response) => responses.push(response) }));
    page.click("mix.save");
    page.click("mix.save");
    assert.deepEqual(page.asked["mix.save"], [
      { seq: 1, name: "mix.save", task: "t", revision: 0, data },
      {},
    ]);
    page.say("mix.save", 1);
    await Promise.resolve();
    assert.equal(responses.length, 1);
    page.click("mix.save");
    assert.equal(page.asked["mix.save"][2].seq, 2);
  });
});

describe("a failure", () => {
  test("is told when a click ends without a response, with what may be done again", async () => {
    const again = () => {};
    const response = page.wire.ask("weights.test", {}, { again });
    page.wire.ended("weights.test");
    assert.equal(page.failures.length, 0);
    page.run();
    assert.equal(await response, null);
    assert.deepEqual([page.failures[0].problem.where, page.failures[0].again], ["weights.test", again]);
  });
  test("may be asked once more as it was", () => {
    page.wire.ask("weights.test", { text: "one" });
    page.wire.ended("weights.test");
    page.run();
    page.failures[0].again?.();
    assert.deepEqual(page.asked["weights.test"][1].data, { text: "one" });
  });
  test("frees the endpoint for the next question", () => {
    page.wire.ask("weights.test", { text: "one" });
    page.wire.ask("weights.test", { text: "two" });
    page.wire.ended("weights.test");
    page.run();
    assert.equal(page.asked["weights.test"][1].data.text, "two");
  });
  test("is none where the response comes a little after the end of the click", async () => {
    const response = page.wire.ask("weights.test");
    page.wire.ended("weights.test");
    page.say("weights.test", 1);
    page.run();
    assert.ok(await response);
    assert.equal(page.failures.length, 0);
  });
  test("is none where a click ends after its response, when the next question is asked already", async () => {
    const first = page.wire.ask("mix.apply");
    page.say("mix.apply", 1);
    await first;
    page.wire.ask("mix.apply");
    page.wire.ended("mix.apply");
    page.run();
    assert.equal(page.failures.length, 0);
    page.wire.ended("mix.apply");
    page.run();
    assert.equal(page.failures.length, 1);
  });
  test("is none where a click that carried nothing ends first", () => {
    page.wire.ask("mix.apply");
    page.click("mix.apply");
    page.wire.ended("mix.apply");
    page.run();
    assert.equal(page.failures.length, 0);
  });
  test("is a response that cannot be read", () => {
    page.wire.hear("mix.apply", "{", 1);
    assert.equal(page.failures[0].problem.hint, "reload the page");
  });
});

describe("what Gradio asked by itself", () => {
  test("is heard by who listens to its endpoint", () => {
    /** @type {any[]} */
    const responses = [];
    page.wire.on("lists.changed", ({ revision, at }) => responses.push([revision, at]));
    page.say("lists.changed", 0, { revision: 2 }, 3);
    page.say("lists.differences", 0);
    assert.deepEqual(responses, [[2, 3]]);
  });
});

test("what Gradio asks by itself is heard when it begins, and asks nothing twice", () => {
  /** @type {string[]} */
  const begun = [];
  page.wire.onBegin("lists.align", () => begun.push("align"));
  page.wire.fill(["", "A"], 2, "lists.align");
  page.wire.fill(["", "A"], 2, "lists.changed");
  assert.deepEqual(begun, ["align"]);
});
