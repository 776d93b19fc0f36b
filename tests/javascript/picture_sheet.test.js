"use strict";

const assert = require("node:assert/strict");
const { beforeEach, describe, test } = require("node:test");
const { PictureSheet, further, settingsOf, MOST } = require("../../javascript/picture_sheet.js");

/** @param {Partial<SheetSettings>} [given] @returns {SheetSettings} */
const settings = (given = {}) => ({ count: 3, by: "seeds", prompts: "", ...given });
const picture = (/** @type {string} */ src, seed = 7) => ({ src, infotext: `Seed: ${seed}`, seed });
const MEANT = { engaged: "merge-1", drawing: "0123" };

describe("the further pictures of a sheet", () => {
  test("have the next seeds and the prompt of the field", () => {
    assert.deepEqual(further(settings(), 7), [
      { seed: 8, prompt: null },
      { seed: 9, prompt: null },
    ]);
  });
  test("have the prompts of the lines and the same seed, and empty lines are none", () => {
    const prompts = "a cat\n\n  a dog \na cow";
    assert.deepEqual(further(settings({ by: "prompts", prompts }), 7), [
      { seed: 7, prompt: "a cat" },
      { seed: 7, prompt: "a dog" },
    ]);
  });
  test("are none where there is one picture, or no prompt", () => {
    assert.deepEqual(further(settings({ count: 1 }), 7), []);
    assert.deepEqual(further(settings({ by: "prompts", prompts: " \n" }), 7), []);
  });
  for (const seed of [0, 7, 2 ** 53 - 3, 2 ** 63])
    test(`differ in their seeds from each other and from the first, also after ${seed}`, () => {
      const seeds = [seed, ...further(settings({ count: MOST }), seed).map((each) => each.seed)];
      assert.equal(new Set(seeds).size, MOST);
      assert.ok(seeds.slice(1).every((each) => Number.isSafeInteger(each) && each >= 0));
    });
});

describe("settings that were kept", () => {
  test("are the same again", () => {
    const kept = settings({ count: 6, by: "prompts", prompts: "a cat" });
    assert.deepEqual(settingsOf(JSON.parse(JSON.stringify(kept))), kept);
  });
  for (const kept of [undefined, null, 3, [], { count: "7", by: 1, prompts: null }, { count: 0 }])
    test(`draw one picture where they are ${JSON.stringify(kept)}`, () => {
      assert.deepEqual(settingsOf(kept), settings({ count: 1 }));
    });
  test("are six pictures at most", () => {
    assert.equal(settingsOf({ count: 60 }).count, MOST);
  });
});

describe("a sheet", () => {
  /** @type {InstanceType<typeof PictureSheet>} */
  let sheet;
  const next = () => sheet.next()?.tile.seed;
  beforeEach(() => {
    sheet = new PictureSheet();
    sheet.begin(picture("one"), settings(), MEANT);
  });
  test("begins with the picture that is there, and draws the others one by one", () => {
    assert.deepEqual([sheet.tiles.length, sheet.missing, next()], [3, 2, 8]);
    sheet.tiles[1].picture = picture("two");
    assert.equal(next(), 9);
    sheet.tiles[2].picture = picture("three");
    assert.equal(sheet.next(), null);
  });
  test("draws nothing more once it has ended", () => {
    sheet.tiles[2].wantsA = true;
    sheet.end();
    assert.deepEqual([sheet.next(), sheet.missing], [null, 2]);
  });
  test("draws A first where it is asked for, also after its end", () => {
    sheet.end();
    sheet.tiles[1].wantsA = true;
    assert.deepEqual(sheet.next(), { tile: sheet.tiles[1], ofA: true });
    sheet.tiles[1].ofA = picture("A");
    assert.equal(sheet.next(), null);
  });
  test("of the next merge has the pictures of this one as those before, and draws all again", () => {
    sheet.tiles[1].picture = picture("two");
    sheet.begin(picture("other"), settings(), MEANT);
    assert.deepEqual([sheet.tiles[1].picture, sheet.tiles[1].before?.src, next()], [null, "two", 8]);
  });
  test("keeps what was drawn where only its settings change", () => {
    sheet.tiles[1].picture = picture("two");
    sheet.begin(picture("one"), settings({ count: 4 }), MEANT, true);
    assert.deepEqual([sheet.tiles[1].picture?.src, sheet.missing, next()], ["two", 2, 9]);
  });
});
