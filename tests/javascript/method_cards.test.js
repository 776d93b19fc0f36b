"use strict";

const assert = require("node:assert/strict");
const { describe, test } = require("node:test");
const menu = require("../../javascript/menu.js");
const { matchingCards } = require("../../javascript/method_cards.js");

Object.assign(globalThis, { mergeDesk: { menu } });

/** @param {string} id @param {Partial<Desk.MethodCard>} [more] @returns {Desk.MethodCard} */
const card = (id, more) => ({
  ...{ id, title: id, summary: "", formula: "", models: "A, B", block_weights: true, parameters: [] },
  ...{ source: "", unavailable_reason: "", drawing: {}, ...more },
});
const groups = [
  {
    purpose: "mix",
    sentence: "Mixes",
    cards: [
      card("weighted_sum", { summary: "Mixes two models evenly" }),
      card("ties", { block_weights: false }),
    ],
  },
  {
    purpose: "difference",
    sentence: "Adds",
    cards: [
      card("add_difference", { models: "A, B, C", formula: "A + alpha (B - C)" }),
      card("extract", { unavailable_reason: "gives a difference" }),
    ],
  },
];
/** @param {string} query @param {{ blocks: boolean, usable?: boolean }} [only] */
const ids = (query, only = { blocks: false }) =>
  matchingCards(groups, query, only).map(({ cards }) => cards.map(({ id }) => id));

describe("the menu of methods", () => {
  test("shows all of them in their groups where nothing is searched", () => {
    assert.deepEqual(ids(""), [
      ["weighted_sum", "ties"],
      ["add_difference", "extract"],
    ]);
  });
  test("finds what a method needs, does and is called, in any order of the words", () => {
    assert.deepEqual(ids("A, B, C"), [["add_difference"]]);
    assert.deepEqual(ids("evenly two"), [["weighted_sum"]]);
    assert.deepEqual(ids("B - C"), [["add_difference"]]);
    assert.deepEqual(ids("no such words"), []);
  });
  test("leaves out what has no block weights, or cannot be chosen", () => {
    assert.deepEqual(ids("", { blocks: true }), [["weighted_sum"], ["add_difference", "extract"]]);
    assert.deepEqual(ids("", { blocks: false, usable: true }), [
      ["weighted_sum", "ties"],
      ["add_difference"],
    ]);
  });
});
