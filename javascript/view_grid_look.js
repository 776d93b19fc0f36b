"use strict";
/* The tab Grid, a cell looked at: its whole picture, what it was made with, and buttons that take its settings or go
 * to its neighbours. */
{
  /** @typedef {[number, number, number]} Position column, row and sheet, from 0 */

  /** @param {{ describe: (position: Position) => string, cell: (position: Position) => Desk.CellView | undefined,
   *   whole: (position: Position) => Promise<string>, take: (position: Position) => void }} sheet
   *   whole: the address of the picture in its full size; take: sets the desk up as the cell was made */
  function create({ describe, cell, whole, take }) {
    const { make, button } = globalThis.mergeDesk.dom;
    /** @type {Position} */
    let at = [0, 0, 0];
    const dialog = make("dialog", {
      class: "md-look",
      "aria-label": "A cell of the grid",
      tabindex: -1,
      onkeydown: key,
    });
    /** @type {Record<string, [number, number]>} columns and rows by key */
    const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

    /** @param {[number, number]} step @returns {Position} */
    const beside = ([columns, rows]) => [at[0] + columns, at[1] + rows, at[2]];
    /** @param {KeyboardEvent} event */
    function key(event) {
      const step = STEPS[event.key];
      if (!step || !cell(beside(step))) return;
      event.preventDefault();
      show(beside(step));
    }
    /** @param {string} sign @param {string} title @param {string} name of a key */
    function goButton(sign, title, name) {
      const place = beside(STEPS[name]);
      return button(sign, title, () => show(place), { disabled: !cell(place), "data-go": name });
    }
    /** @param {Position} position */
    async function show(position) {
      const found = cell(position);
      if (!found) return;
      at = position;
      const picture = make("img", { src: found.picture, alt: describe(position) });
      const taken = () => {
        dialog.close();
        take(position);
      };
      dialog.replaceChildren(
        make(
          "div",
          { class: "md-toolbar" },
          make("h3", { "data-part": "grid-look-title" }, describe(position)),
          make("span", { class: "md-space" }),
          goButton("←", "The cell to the left (arrow key)", "ArrowLeft"),
          goButton("→", "The cell to the right (arrow key)", "ArrowRight"),
          goButton("↑", "The cell above (arrow key)", "ArrowUp"),
          goButton("↓", "The cell below (arrow key)", "ArrowDown"),
          button(
            "Use these settings",
            "Set the lists, the sliders and the picture's fields to this cell",
            taken,
            {
              ...{ class: "md-button md-primary", "data-act": "grid-take" },
            },
          ),
          button("Close", "Back to the grid (Escape)", () => dialog.close(), {
            "data-act": "grid-look-close",
          }),
        ),
        found.picture ? picture : make("p", { class: "md-failed" }, found.problem),
        make(
          "details",
          {},
          make("summary", {}, "Infotext"),
          make("pre", { "data-part": "grid-infotext" }, found.infotext),
        ),
      );
      if (!dialog.open) dialog.showModal();
      dialog.focus(); // what had it is gone
      if (!found.picture) return;
      const address = await whole(position);
      if (address) picture.src = address;
    }
    return { dialog, show };
  }

  const gridLook = { create };
  if (typeof module !== "undefined") module.exports = gridLook;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, gridLook };
}
