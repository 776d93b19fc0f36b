"use strict";
/* The tab Grid, its sheet: a table of cells that fills as they finish, or the map of blocks. */
{
  /** @typedef {[number, number, number]} Position column, row and sheet, from 0 */
  const LEVEL = 3; // blocks of one resolution

  /** @param {{ mark: DeskMix["mark"], load: (position: Position) => void, saveRow: (row: number, sheet: number) => void,
   *   whole: (position: Position) => Promise<string> }} page
   *   load: loads a cell's settings; saveRow: downloads a row as an animation; whole: a picture in its full size */
  function create({ mark, load, saveRow, whole }) {
    const { AXIS_NAMES } = globalThis.mergeDesk.gridAxes;
    const { find, findAll, field, part, make, button } = globalThis.mergeDesk.dom;
    const { translate } = globalThis.mergeDesk.language;
    const { heatStyle } = globalThis.mergeDesk.colours;
    const large = globalThis.mergeDesk.gridLook.create({
      ...{ describe, whole, take: load },
      cell: (position) => cells[position.join()],
    });
    /** @type {Desk.SheetView | null} */
    let sheet = null;
    /** @type {Record<string, Desk.CellView>} */
    let cells = {};
    /** @type {Record<string, number> | null} */
    let blocks = null;

    /** The labels of an axis, one where there is no such axis. @param {string} name */
    const labels = (name) => sheet?.labels[name] ?? [""];
    /** @param {number[]} position */
    function describe(position) {
      if (!sheet) return "";
      const { titles, labels: all } = sheet;
      const used = AXIS_NAMES.map((name, n) => ({ name, n })).filter(({ name }) => all[name]);
      return used.map(({ name, n }) => `${titles[name]} ${labels(name)[position[n]] ?? ""}`).join(", ");
    }
    /** @param {Position} position */
    function drawCell(position) {
      const style = `aspect-ratio: ${sheet?.width} / ${sheet?.height}`;
      const attributes = {
        "data-position": position.join(),
        title: describe(position),
        "aria-label": describe(position),
      };
      return make("button", {
        type: "button",
        class: "md-cell",
        style,
        ...attributes,
        disabled: true,
        onclick: () => large.show(position),
      });
    }
    function drawSheet() {
      const root = part("grid-sheet");
      if (!root || !sheet) return;
      const { rows } = sheet;
      root.replaceChildren(
        ...(rows ? [drawMap(rows)] : labels("z").map((_, z) => drawTable(z))),
        large.dialog,
      );
      Object.values(cells).forEach(showCell);
      if (rows && blocks) showBlocks(blocks);
    }
    /** @param {number} z */
    function drawTable(z) {
      const { titles } = /** @type {Desk.SheetView} */ (sheet);
      const columns = labels("x");
      const head = (/** @type {string} */ label, /** @type {number} */ x) =>
        make(
          "th",
          { scope: "col", translate: "no" },
          x === 0 && titles.x ? make("small", {}, titles.x) : null,
          label,
        );
      return make(
        "table",
        { class: "md-grid-table" },
        sheet?.labels.z ? make("caption", { translate: "no" }, `${titles.z}: ${labels("z")[z]}`) : null,
        make("thead", {}, make("tr", {}, make("th", { translate: "no" }, titles.y ?? ""), columns.map(head))),
        make(
          "tbody",
          {},
          labels("y").map((label, y) => drawRow(label, y, z)),
        ),
      );
    }
    /** @param {string} label @param {number} y @param {number} z */
    function drawRow(label, y, z) {
      const columns = labels("x");
      const move = () => saveRow(y, z);
      const attributes = { class: "md-button md-small", "data-act": `row-${y}` };
      const activeSlots = () => button("▷", "Download this row as an animation", move, attributes);
      return make(
        "tr",
        {},
        make(
          "th",
          { scope: "row" },
          make("span", { translate: "no" }, label),
          columns.length > 1 ? activeSlots() : null,
        ),
        columns.map((_, x) => make("td", {}, drawCell([x, y, z]))),
      );
    }
    /** @param {Desk.CellView} cell */
    function showCell(cell) {
      const cellButton = field(`.merge-desk-grid [data-position="${cell.position.join()}"]`);
      if (!cellButton) return;
      const { picture, problem: failure } = cell;
      cellButton.disabled = false;
      cellButton.classList.toggle("md-failed", !!failure);
      cellButton.replaceChildren(
        picture ? make("img", { src: picture, alt: describe(cell.position) }) : make("span", {}, failure),
      );
      cellButton.title = [describe(cell.position), translate(failure), translate("Click to look at it")]
        .filter(Boolean)
        .join("\n");
    }

    // --- the map ---

    /** A cell for A alone and one for each slot, standing as in a U-Net. @param {Desk.BlockRows} rows */
    function drawMap({ beside, pairs, middle }) {
      const slots = labels("x");
      const cellAt = (/** @type {number} */ x) => drawCell([x, 0, 0]);
      const blockCell = (/** @type {string} */ slot) =>
        make(
          "figure",
          { class: "md-map-cell", "data-block": slot },
          make("figcaption", {}, make("b", {}, slot), make("span", {})),
          cellAt(slots.indexOf(slot)),
        );
      const alone = make(
        "figure",
        { class: "md-map-cell" },
        make("figcaption", {}, make("b", {}, "A alone")),
        cellAt(0),
      );
      return make(
        "div",
        { class: "md-map" },
        make("div", { class: "md-map-top" }, alone, beside.map(blockCell)),
        levels(pairs).map((level) => make("div", { class: "md-map-row" }, level.map(blockCell))),
        make("div", { class: "md-map-row md-map-middle" }, middle.map(blockCell)),
      );
    }
    /** The blocks of one resolution beside each other, inputs on the left, the outputs that they lead to mirrored.
     * @param {Desk.BlockRows["pairs"]} pairs */
    function levels(pairs) {
      const many = Math.ceil(pairs.length / LEVEL);
      return Array.from({ length: many }, (_, n) => {
        const level = pairs.slice(n * LEVEL, (n + 1) * LEVEL);
        return [...level.map(([left]) => left), ...level.map(([, right]) => right).reverse()];
      });
    }
    /** @param {Record<string, number>} changes percent by slot */
    function showBlocks(changes) {
      const most = Math.max(1e-9, ...Object.values(changes));
      for (const each of findAll("[data-block]")) {
        const change = changes[each.dataset.block ?? ""];
        each.setAttribute("style", change === undefined ? "" : heatStyle(change / most));
        const caption = find("figcaption span", each);
        if (caption) caption.textContent = change === undefined ? "" : `${change.toFixed(1)} %`;
      }
      const marks = Object.entries(changes).map(([slot, value]) => [slot, value / 100]);
      mark(Object.fromEntries(marks), "Change of the picture when one block is taken from B: ");
    }

    // --- what is new ---

    /** @param {Desk.SheetView} fresh */
    function begin(fresh) {
      sheet = fresh;
      cells = {};
      blocks = null;
      drawSheet();
    }
    /** @param {Desk.CellView} cell */
    function add(cell) {
      cells[cell.position.join()] = cell;
      showCell(cell);
    }
    /** @param {Record<string, number>} changes */
    function setBlocks(changes) {
      blocks = changes;
      showBlocks(changes);
    }
    return {
      ...{ begin, add, setBlocks, draw: drawSheet },
      hasCells: () => Object.keys(cells).length > 0,
      isMap: () => !!sheet?.rows,
    };
  }

  const gridSheet = { create };
  if (typeof module !== "undefined") module.exports = gridSheet;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, gridSheet };
}
