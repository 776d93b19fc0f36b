"use strict";
/* The tab Grid, axes with a name: saved on the server, chosen from a list, deleted with a way back. */
{
  /** @typedef {Record<string, [string, string]>} Axes */

  /** @param {{ wire: DeskPage["wire"], axes: Axes, use: (axes: Axes) => void,
   *   failed: (problem: Desk.Problem | null) => void }} page */
  function create({ wire, axes, use, failed }) {
    const { part, make, button } = globalThis.mergeDesk.dom;
    /** @type {Desk.SavedAxes[]} */
    let saved = [];
    let chosen = "";
    let note = "";
    /** @type {(() => void) | null} */
    let undo = null;

    const find = (/** @type {string} */ name) => saved.find((each) => each.name === name);
    /** @param {"grid.save_axes" | "grid.delete_axes"} endpoint @param {Desk.AxesName} data @param {string} said
     * @param {(() => void) | null} back */
    async function change(endpoint, data, said, back) {
      const again = () => void change(endpoint, data, said, back);
      const response = await wire.ask(endpoint, data, { again });
      failed(response?.problem ?? null);
      if (!response?.data) return;
      ({ saved } = response.data);
      [note, undo] = [said, back];
      if (!find(chosen)) chosen = "";
      draw();
    }
    /** @param {string} name @param {Axes} values @param {string} [said] */
    function save(name, values, said) {
      const old = find(name);
      const back = old
        ? () => save(name, /** @type {Axes} */ (old.axes), `${name} is as it was`)
        : () => forget(name);
      chosen = name;
      change(
        "grid.save_axes",
        { name, axes: values },
        said ?? (old ? `Replaced: ${name}` : `Saved: ${name}`),
        back,
      );
    }
    /** @param {string} name */
    function forget(name) {
      const old = find(name);
      if (!old) return;
      const back = () => save(name, /** @type {Axes} */ (old.axes));
      change("grid.delete_axes", { name, axes: {} }, `Deleted: ${name}`, back);
    }
    /** @param {string} name */
    function choose(name) {
      chosen = name;
      const found = find(name);
      if (found) use(/** @type {Axes} */ (found.axes));
      draw();
    }
    /** @param {string} name */
    function keepAs(name) {
      if (name) {
        save(name, { ...axes });
        return;
      }
      [note, undo] = ["Write a name first.", null];
      draw();
      part("axes-name")?.focus();
    }
    function draw() {
      /** @type {HTMLInputElement} */
      const name = make("input", {
        ...{ type: "text", placeholder: "name", maxlength: 60, "aria-label": "Name of these axes" },
        ...{ "data-part": "axes-name", value: chosen },
        onkeydown: (e) => e.key === "Enter" && keep(),
      });
      const keep = () => keepAs(name.value.trim());
      const list = make(
        "select",
        {
          ...{ "aria-label": "Saved axes", "data-part": "axes-saved" },
          onchange: (/** @type {any} */ e) => choose(e.target.value),
        },
        make("option", { value: "" }, saved.length ? "saved axes …" : "no saved axes"),
        saved.map((each) =>
          make("option", { value: each.name, selected: each.name === chosen, translate: "no" }, each.name),
        ),
      );
      part("saved-axes")?.replaceChildren(
        list,
        name,
        button("Save axes", "Save all three axes under this name", keep, { "data-act": "save-axes" }),
        button("Delete", "Delete the saved axes of the list", () => forget(chosen), {
          ...{ "data-act": "delete-axes", disabled: !chosen },
        }),
        make("span", { class: "md-hint", role: "status", "data-part": "axes-note" }, note),
        ...(undo ? [button("Undo", "As it was before", undo, { "data-act": "undo-axes" })] : []),
      );
    }
    /** @param {Desk.SavedAxes[]} fresh */
    function set(fresh) {
      saved = fresh;
      draw();
    }
    return { set, draw, place: () => make("div", { class: "md-toolbar", "data-part": "saved-axes" }) };
  }

  const gridSaved = { create };
  if (typeof module !== "undefined") module.exports = gridSaved;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, gridSaved };
}
