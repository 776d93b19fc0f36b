"use strict";
/* The tab Mix, below the faders: presets as little curves, and those of the user. */
{
  /** @param {DeskPage} page */
  function create({ state, wire, mix }) {
    const { hasOwn, stepsBack } = globalThis.mergeDesk.presetSteps;
    const { clamp } = globalThis.mergeDesk.state;
    const { part, make, draw: drawing, button } = globalThis.mergeDesk.dom;
    const { translate } = globalThis.mergeDesk.language;
    const ui = () => /** @type {Desk.UiState} */ (state.ui);

    /** What was done last, and the presets from before it. @type {{ said: string, before: Desk.NamedPreset[] } | null} */
    let last = null;
    let renamed = ""; // the preset whose name is being written

    /** @typedef {"mix.save_preset" | "mix.import_presets" | "mix.rename_preset" | "mix.delete_preset"} PresetChange */

    /** @template {PresetChange} N
     * @param {N} name @param {Partial<Desk.Requests[N]>} asked @param {string} said  what was done, "" for a step back */
    async function change(name, asked, said) {
      const before = ui().presets;
      const data = { family: ui().family, ...asked };
      const response = await wire.ask(name, data, { again: () => void change(name, asked, said) });
      if (!response) return false;
      if (response.data) {
        const { presets, notes } = response.data;
        ui().presets = presets;
        last = said ? { said: notes.join("; ") || said, before: [...before] } : null;
        draw();
      }
      mix.showResponse(response);
      return !!response.data;
    }
    async function undo() {
      if (!last) return;
      const steps = stepsBack(ui().presets, last.before);
      for (const { name, data } of steps) if (!(await change(name, data, ""))) return;
      draw("The presets are as they were.");
    }
    /** @param {Record<string, number>} values */
    function curve(values) {
      const names = ui().listed_names.slice(1);
      const x = (/** @type {number} */ n) => (n / Math.max(1, names.length - 1)) * 70 + 1;
      const y = (/** @type {string} */ name) => 25 - clamp(values[name] ?? 0, 0, 1) * 22;
      const line = names.map((name, n) => `${x(n).toFixed(1)} ${y(name).toFixed(1)}`).join("L");
      return drawing(
        "svg",
        { viewBox: "0 0 72 27", "aria-hidden": "true" },
        drawing("path", { d: `M1 26L${line}L71 26Z`, class: "md-area" }),
        drawing("path", { d: `M${line}`, class: "md-line" }),
      );
    }
    /** @param {string} old @param {string} written */
    function rename(old, written) {
      if (renamed !== old) return; // Escape, or Enter before
      renamed = "";
      const fresh = written.trim();
      if (fresh && fresh !== old)
        change("mix.rename_preset", { name: old, new_name: fresh }, `Renamed: ${old} is now ${fresh}`);
      else draw();
    }
    /** The name of a preset, to be written. @param {string} old */
    function nameField(old) {
      return make("input", {
        ...{
          type: "text",
          class: "md-preset-name",
          value: old,
          maxlength: 60,
          "aria-label": `New name of ${old}`,
        },
        "data-part": "preset-new-name",
        onblur: (e) => rename(old, e.target.value),
        onkeydown: (e) => {
          e.stopPropagation(); // a letter is no shortcut here
          if (e.key === "Enter") rename(old, e.target.value);
          if (e.key === "Escape") rename(old, old);
        },
      });
    }
    /** @param {string} name */
    function startRenaming(name) {
      renamed = name;
      draw();
      const field = /** @type {HTMLInputElement | null} */ (part("preset-new-name"));
      field?.focus();
      field?.select();
    }
    /** @param {Desk.NamedPreset} preset */
    function card({ name, values, own, about }) {
      const attributes = {
        "data-preset": name,
        "data-needs-faders": true,
        disabled: !!ui().no_block_weights,
      };
      const edit = () =>
        make(
          "span",
          { class: "md-edit" },
          button("✎", `Rename ${name}`, () => startRenaming(name)),
          button("✕", `Delete ${name}`, () => change("mix.delete_preset", { name }, `Deleted: ${name}`)),
        );
      return make(
        "div",
        { class: `md-preset ${own ? "md-own-preset" : ""}` },
        make(
          "button",
          {
            ...{ type: "button", title: about ? `${name}: ${translate(about)}` : name, ...attributes },
            onclick: () => mix.edit(() => state.set({ [state.param]: values })),
          },
          curve(values),
          own && renamed === name ? null : make("span", { translate: "no" }, name),
        ),
        own ? (renamed === name ? nameField(name) : edit()) : null,
      );
    }
    function importBox() {
      const theirs = make("textarea", {
        ...{ rows: 3, class: "md-textarea", spellcheck: "false", "data-part": "presets-text" },
        "aria-label": "Presets from another tool",
        placeholder: "One per line: name, tab, 26 numbers, as in SuperMerger's mbwpresets.txt",
      });
      const take = () =>
        theirs.value.trim() && change("mix.import_presets", { text: theirs.value }, "Imported");
      return make(
        "details",
        { class: "md-import" },
        make("summary", {}, "Import presets"),
        theirs,
        button("Import", "Add these presets to your own", take, { "data-act": "import-presets" }),
      );
    }
    /** @param {string} [said] what was done last, where there is no way back from it */
    function draw(said = "") {
      const save = () => {
        if (name.value.trim()) {
          const done = hasOwn(ui().presets, name.value) ? "Replaced" : "Saved";
          const asked = { name: name.value, amounts: state.amounts() };
          change("mix.save_preset", asked, `${done}: ${name.value.trim()}`);
          return;
        }
        const note = part("presets-note");
        if (note) note.textContent = "Write a name first.";
        name.focus();
      };
      const name = make("input", {
        ...{ type: "text", placeholder: "preset name", maxlength: 60, "data-part": "preset-name" },
        "aria-label": "Preset name",
        onkeydown: (e) => e.key === "Enter" && save(),
      });
      part("presets")?.replaceChildren(
        make(
          "div",
          { class: "md-head" },
          make("h3", {}, "Presets"),
          make("span", { class: "md-hint", "data-part": "presets-note", role: "status" }, last?.said ?? said),
          last
            ? button("Undo", "The presets as they were before", undo, { "data-act": "undo-presets" })
            : null,
          name,
          button("Save preset", "Save these block weights as a preset under this name", save, {
            "data-act": "save-preset",
            "data-needs-faders": true,
          }),
        ),
        make("div", { class: "md-cards" }, ui().presets.map(card)),
        importBox(),
      );
    }
    return { draw };
  }

  const presets = { create };
  if (typeof module !== "undefined") module.exports = presets;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, presets };
}
