import js from "@eslint/js";
import globals from "globals";

const script = { sourceType: "script", ecmaVersion: 2022 };

export default [
  { ignores: [".venv*/", "node_modules/", "output/", "samples/", "**/.cache/"] },
  js.configs.recommended,
  { rules: { eqeqeq: ["error", "always", { null: "ignore" }], "no-var": "error", "prefer-const": "error" } },
  {
    files: ["javascript/*.js"],
    languageOptions: { ...script, globals: { ...globals.browser, module: "readonly" } },
  },
  { files: ["tests/javascript/*.js"], languageOptions: { ...script, globals: globals.node } },
];
