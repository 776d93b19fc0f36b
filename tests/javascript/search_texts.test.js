"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const space = require("../../javascript/search_space.js");
const score = require("../../javascript/search_score.js");

const { readSpace, printEntry, replaceEntry, addEntry, removeEntry, toggleEntry, asLines } = space;
const TEXT =
  "# blocks\nOUT04-OUT11: 0..1 step 0.05; IN: tied 0..1 # both\n\nM00: 0.3\npreset: GRAD_V | COSINE";

test("the entries of a space are read with their places", () => {
  const entries = readSpace(TEXT);
  assert.deepEqual(
    entries.map(({ from, to }) => TEXT.slice(from, to)),
    ["OUT04-OUT11: 0..1 step 0.05", "IN: tied 0..1", "M00: 0.3", "preset: GRAD_V | COSINE"],
  );
  assert.deepEqual(
    entries.map(({ target, tie, range }) => [target, tie, range]),
    [
      ["OUT04-OUT11", "", { low: "0", high: "1", step: "0.05" }],
      ["IN", "tied", { low: "0", high: "1", step: "" }],
      ["M00", "", null],
      ["preset", "", null],
    ],
  );
});

test("an entry that is written again is the same text", () => {
  for (const { from, to, range, ...entry } of readSpace(TEXT))
    if (range) assert.equal(printEntry({ ...entry, range }), TEXT.slice(from, to));
});

test("an entry is replaced where it stands, and comments stay", () => {
  const [, tied] = readSpace(TEXT);
  const fresh = replaceEntry(TEXT, tied, "IN: by level 0..0.5");
  assert.equal(readSpace(fresh)[1].tie, "by level");
  assert.match(fresh, /# blocks[^]*# both/);
});

test("an entry is added on a line of its own, and taken out with what only it needed", () => {
  assert.equal(addEntry("", "IN: 0..1"), "IN: 0..1");
  const more = addEntry("IN: 0..1", "OUT: 0..1");
  assert.equal(more, "IN: 0..1\nOUT: 0..1");
  assert.equal(removeEntry(more, readSpace(more)[0]), "OUT: 0..1");
  assert.equal(removeEntry(more, readSpace(more)[1]), "IN: 0..1");
  const line = "IN: 0..1; OUT: 0..1; M00: 0.5";
  assert.equal(removeEntry(line, readSpace(line)[1]), "IN: 0..1; M00: 0.5");
});

test("a target is toggled", () => {
  const once = toggleEntry("IN: 0..1", "OUT05", "OUT05: 0..1");
  assert.equal(once, "IN: 0..1\nOUT05: 0..1");
  assert.equal(toggleEntry(once, "OUT05", "OUT05: 0..1"), "IN: 0..1");
});

test("a study's text is shown with an entry a line", () => {
  assert.equal(asLines("IN: 0..1; OUT: 0..1"), "IN: 0..1\nOUT: 0..1");
});

test("a score is read as terms and written as it was", () => {
  for (const text of [
    "contrast",
    "-sharpness",
    "2*contrast - 0.5*sharpness + closeness(a picture.png)",
    "clip(x)",
  ]) {
    const terms = score.readScore(text);
    assert.ok(terms);
    assert.equal(score.printScore(terms), text);
  }
  assert.deepEqual(score.readScore("2*contrast - sharpness"), [
    { factor: "2", scorer: "contrast", argument: "" },
    { factor: "-1", scorer: "sharpness", argument: "" },
  ]);
});

test("what is no score is null", () => {
  for (const text of ["contrast sharpness", "2*", "contrast + (", "*contrast"])
    assert.equal(score.readScore(text), null, text);
  assert.deepEqual(score.readScore(""), []);
});
