"use strict";
/* The tab Mix, below the faders: presets as little curves, and those of the user. */
{
  /** @param {DeskPage} page */
  function create({ state, wire, mix }) {
    const { clamp } = globalThis.mergeDesk.state;
    const { part, make, draw: drawing, button } = globalThis.mergeDesk.dom;
    const ui = () => /** @type {Desk.UiState} */ (state.ui);

    /** @template {"mix.save_preset" | "mix.import_presets" | "mix.rename_preset" | "mix.delete_preset"} N
     * @param {N} name @param {Partial<Desk.Requests[N]>} asked */
    async function change(name, asked) {
      const data = { family: ui().family, ...asked };
      const response = await wire.ask(name, data, { again: () => change(name, asked) });
      if (!response) return;
      if (response.data) {
        ui().presets = response.data.presets;
        draw(response.data.notes);
      }
      mix.showResponse(response);
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
    /** @param {string} old */
    function rename(old) {
      const fresh = window.prompt("New name of this preset", old);
      if (fresh?.trim() && fresh !== old) change("mix.rename_preset", { name: old, new_name: fresh });
    }
    /** @param {string} name */
    function drop(name) {
      if (window.confirm(`Delete the preset ${name}?`)) change("mix.delete_preset", { name });
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
          button("✎", `Rename ${name}`, () => rename(name)),
          button("✕", `Delete ${name}`, () => drop(name)),
        );
      return make(
        "div",
        { class: `md-preset ${own ? "md-own-preset" : ""}` },
        make(
          "button",
          {
            ...{ type: "button", title: about ? `${name}: ${about}` : name, ...attributes },
            onclick: () => mix.edit(() => state.set({ [state.param]: values })),
          },
          curve(values),
          make("span", {}, name),
        ),
        own ? edit() : null,
      );
    }
    function importBox() {
      const theirs = make("textarea", {
        ...{ rows: 3, class: "md-textarea", spellcheck: "false", "data-part": "presets-text" },
        "aria-label": "Presets from another tool",
        placeholder: "One per line: name, tab, 26 numbers, as in SuperMerger's mbwpresets.txt",
      });
      const take = () => theirs.value.trim() && change("mix.import_presets", { text: theirs.value });
      return make(
        "details",
        { class: "md-import" },
        make("summary", {}, "Import presets"),
        theirs,
        button("Import", "Add these presets to your own", take, { "data-act": "import-presets" }),
      );
    }
    /** @param {string[]} [notes] what came of an import */
    function draw(notes = []) {
      const save = () => {
        if (name.value.trim()) {
          change("mix.save_preset", { name: name.value, amounts: state.amounts() });
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
          make("span", { class: "md-hint", "data-part": "presets-note", role: "status" }, notes.join("; ")),
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
