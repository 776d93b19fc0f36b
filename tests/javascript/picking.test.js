"use strict";

const { test } = require("node:test");
const assert = require("node:assert/strict");
const { filterMenu } = require("../../javascript/menu.js");
const { splitValues, joinValues, toggleValue } = require("../../javascript/axis_values.js");

const GROUPS = [
  { title: "Block weights", items: [{ id: "alpha", help: "0 keeps A, 1 takes B" }, { id: "beta weights" }] },
  { title: "Picture", items: [{ id: "negative prompts" }, { id: "prompts", help: "whole prompts" }] },
];
const ids = (/** @type {string} */ query) =>
  filterMenu(GROUPS, query).map(({ title, items }) => [title, items.map(({ id }) => id)]);

test("without a word the menu has everything under its heading", () => {
  assert.deepEqual(ids(" "), [
    ["Block weights", ["alpha", "beta weights"]],
    ["Picture", ["negative prompts", "prompts"]],
  ]);
});

test("each word must be in the name or the help, and names that begin with them come first", () => {
  assert.deepEqual(ids("prompts"), [["Picture", ["prompts", "negative prompts"]]]);
  assert.deepEqual(ids("KEEPS alp"), [["Block weights", ["alpha"]]]);
  assert.deepEqual(ids("nothing"), []);
});

test("a value is added to a list and taken out of it again", () => {
  assert.equal(toggleValue("", "ink", false), "ink");
  assert.equal(toggleValue("ink,  pastel", "base", false), "ink, pastel, base");
  assert.equal(toggleValue("ink, pastel", "ink", false), "pastel");
  assert.equal(toggleValue("a cat\n", "a dog, running", true), "a cat\na dog, running");
});

test("a name with a comma or a quote is read as it was written", () => {
  for (const values of [["a, b", "c"], ['say "x"', "0-1 [5]"], ["one"]])
    assert.deepEqual(splitValues(joinValues(values, false), false), values);
});
