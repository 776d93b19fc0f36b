"use strict";

const assert = require("node:assert/strict");
const { describe, test } = require("node:test");
const { changedCards, packCard, unpackCard } = require("../../javascript/kept_cards.js");
const { changesBetween } = require("../../javascript/picture_changes.js");
const { PictureList, MOST } = require("../../javascript/picture_list.js");
const { selection } = require("./ui.js");

/** @param {number} at @returns {DeskPicture} */
const picture = (at) => ({
  ...{ src: `data:,${at}`, id: `id-${at}`, infotext: `Seed: ${at}`, comparison_key: "", seed: at },
  ...{ history_id: at, made: { selection: selection(), parameters: { alpha: { M00: at } }, snapshot: "{}" } },
});
/** @param {number} count */
function filled(count) {
  const list = new PictureList(changesBetween);
  for (let at = 1; at <= count; at++) list.add(picture(at), at > 1 ? picture(at - 1) : null);
  return list;
}
/** The list of a page that is opened again. @param {InstanceType<typeof PictureList>} list */
function opened(list, fresh = new PictureList(changesBetween)) {
  const { cards } = changedCards(list.all, new Map());
  fresh.load(cards.flatMap((card) => unpackCard({ ...card }) ?? []));
  return fresh;
}
const withoutSrc = (/** @type {ListedPicture} */ card) => ({ ...card, src: "", number: 0 });

describe("the cards of a page that is opened again", () => {
  test("are those of the earlier one, with pins, stars and notes; pictures come later", () => {
    const list = filled(4);
    Object.assign(list.all[1], { pinned: true, starred: true, note: "this one" });
    const again = opened(list);
    assert.deepEqual(again.all.map(withoutSrc), list.all.map(withoutSrc));
    assert.ok(again.all.every(({ src }) => src === ""));
  });
  test("stand before its own, and are not there twice", () => {
    const fresh = new PictureList(changesBetween);
    fresh.add(picture(3), null);
    const again = opened(filled(3), fresh);
    assert.deepEqual(
      again.all.map(({ id, src }) => [id, src]),
      [
        ["id-1", ""],
        ["id-2", ""],
        ["id-3", "data:,3"],
      ],
    );
    assert.deepEqual(again.last?.changes, ["M00 2 to 3", "seed 2 to 3"]);
    assert.equal(again.add(picture(4), picture(3)).number, 4);
    assert.equal(new Set(again.all.map(({ number }) => number)).size, 4);
  });
  test("are found by their id, where none has its picture yet", () => {
    const again = opened(filled(3));
    assert.equal(again.of({ src: "", id: "id-2" })?.id, "id-2");
    assert.equal(again.of({ src: "", id: "" }), null);
  });
});

describe("what is kept", () => {
  test("is only what has changed, and what is gone", () => {
    const list = filled(2);
    const known = new Map(changedCards(list.all, new Map()).cards.map(({ id, text }) => [id, text]));
    assert.deepEqual(changedCards(list.all, known), { cards: [], gone: [] });
    list.all[0].note = "kept";
    const { cards, gone } = changedCards(list.all, known);
    assert.deepEqual([cards.map(({ id, marked }) => [id, marked]), gone], [[["id-1", true]], []]);
    list.all.shift();
    assert.deepEqual(changedCards(list.all, known), { cards: [], gone: ["id-1"] });
  });
  test("is no picture that the server could not keep", () => {
    const list = filled(1);
    list.all[0].id = "";
    assert.deepEqual(changedCards(list.all, new Map()), { cards: [], gone: [] });
  });
  test("of another version, or damaged, is left out", () => {
    assert.equal(unpackCard({ id: "x", marked: false, text: '{"version": 2}' }), null);
    assert.equal(unpackCard({ id: "x", marked: false, text: "{" }), null);
    const [card] = filled(1).all;
    const kept = unpackCard({ id: card.id, marked: false, text: packCard(card) });
    assert.deepEqual({ ...kept, number: card.number }, { ...card, src: "" });
  });
  test("is bounded: the oldest without a mark go first", () => {
    const list = filled(MOST);
    list.all[0].pinned = true;
    const known = new Map(list.all.map(({ id }) => [id, ""]));
    for (const at of [97, 98]) list.add(picture(at), null);
    assert.deepEqual(changedCards(list.all, known).gone, ["id-2"]);
  });
});
