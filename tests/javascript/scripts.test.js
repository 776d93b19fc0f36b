"use strict";

const { readFileSync, readdirSync } = require("node:fs");
const { join } = require("node:path");
const { test } = require("node:test");
const { Script } = require("node:vm");

const FOLDER = join(__dirname, "../../javascript");

for (const name of readdirSync(FOLDER).filter((name) => name.endsWith(".js"))) {
  test(`${name} is a classic script, as a WebUI puts it into its page`, () => {
    new Script(readFileSync(join(FOLDER, name), "utf8"), { filename: name });
  });
}
