"use strict";

const { test } = require("node:test");
const assert = require("node:assert/strict");
const { channels, luminance, heatStyle, lineStyle } = require("../../javascript/colours.js");

const shares = Array.from({ length: 101 }, (_, n) => n / 100);

test("the scale is matplotlib's cividis at its ends and in its middle", () => {
  assert.deepEqual(channels(0), [0, 34, 78]);
  assert.deepEqual(channels(0.5), [125, 124, 120]);
  assert.deepEqual(channels(1), [254, 232, 56]);
  assert.deepEqual(channels(7), channels(1));
});

test("the scale is brighter with every step, so that it reads in grey", () => {
  const lights = shares.map((share) => luminance(channels(share)));
  assert.ok(lights.every((light, n) => n === 0 || light >= lights[n - 1]));
});

test("a text on the scale has a contrast of at least 4.5", () => {
  for (const share of shares) {
    const light = luminance(channels(share));
    const black = heatStyle(share).endsWith("#000");
    assert.ok((black ? (light + 0.05) / 0.05 : 1.05 / (light + 0.05)) >= 4.5);
  }
});

test("no two of twelve lines look the same", () => {
  const looks = Array.from({ length: 12 }, (_, n) => JSON.stringify(lineStyle(n)));
  assert.equal(new Set(looks).size, 12);
});
