"use strict";
/* The tab Search, the map: how much each block matters, where it is in the U-Net. */
{
  const CELL = { wide: 112, high: 22, gap: 3 };
  const INWARD = 15; // of each resolution
  const BETWEEN = 34; // the two columns where they are nearest

  function create() {
    const { make, draw: drawing } = globalThis.mergeDesk.dom;
    const { colourOf, channels, luminance } = globalThis.mergeDesk.colours;
    const shapes = globalThis.mergeDesk.searchShapes;

    const percent = (/** @type {number} */ value) => `${(100 * value).toFixed(value < 0.0995 ? 1 : 0)} %`;
    /** Black or white, whichever is read better on this share of the scale. @param {number} share */
    const ink = (share) => (luminance(channels(share)) > 0.179 ? "#000" : "#fff");

    /** @param {string} name @param {number} x @param {number} y @param {number} importance -1 for none
     * @param {number} most
     * @param {number} [wide] */
    function cell(name, x, y, importance, most, wide = CELL.wide) {
      const share = most > 0 ? importance / most : 0;
      const known = importance >= 0;
      const fill = known ? ink(share) : null;
      return [
        drawing("rect", {
          ...{
            x,
            y,
            width: wide,
            height: CELL.high,
            rx: 4,
            class: known ? "md-map-cell" : "md-map-empty",
          },
          fill: known ? colourOf(share) : "none",
        }),
        drawing("text", { x: x + 8, y: y + 15, fill, class: "md-map-name" }, name),
        known
          ? drawing("text", { x: x + wide - 8, y: y + 15, fill, "text-anchor": "end" }, percent(importance))
          : null,
      ];
    }

    /** @param {SearchDrawing} search */
    function places({ layout, dimensions }) {
      const cells = shapes.unetCells(layout);
      const deepest = Math.max(0, ...cells.filter(({ side }) => side === "left").map(({ step }) => step));
      const width = 2 * CELL.wide + 2 * deepest * INWARD + BETWEEN;
      const across = (/** @type {typeof cells[0]} */ { side, step }) => {
        if (side === "left") return step * INWARD;
        if (side === "right") return width - CELL.wide - step * INWARD;
        return width / 2 - CELL.wide / 2 + step * (CELL.wide + CELL.gap);
      };
      const placed = cells.map((one) => ({ ...one, x: across(one), y: one.row * (CELL.high + CELL.gap) }));
      if (!dimensions.some(({ slots }) => slots.length)) return { placed: [], left: 0, width }; // no block varies
      const left = Math.min(0, ...placed.map(({ x }) => x));
      const right = Math.max(width, ...placed.map(({ x }) => x + CELL.wide));
      return { placed, left, width: right - left };
    }

    /** The map, and under it what is no block. @param {SearchDrawing} search */
    function draw(search) {
      const { dimensions } = search;
      const most = Math.max(0, ...dimensions.map(({ importance }) => importance));
      const known = dimensions.some(({ importance }) => importance >= 0);
      if (!known) return unknown();
      const { placed, left, width } = places(search);
      const of = shapes.dimensionOfSlot(dimensions);
      const there = new Set(placed.map(({ slot }) => slot));
      const others = dimensions.filter(({ slots }) => !slots.some((slot) => there.has(slot)));
      const bottom = Math.max(0, ...placed.map(({ y }) => y + CELL.high + CELL.gap));
      const first = others.length && bottom ? bottom + 14 : bottom;
      const height = first + others.length * (CELL.high + CELL.gap);
      const listed = dimensions.map(({ name, importance }) => `${name} ${percent(Math.max(0, importance))}`);
      const shared = dimensions.some(({ slots }) => slots.length > 1);
      return make(
        "figure",
        { class: "md-plot md-plot-map", "data-plot": "map" },
        make("figcaption", {}, "How much each block matters"),
        drawing(
          "svg",
          {
            ...{ viewBox: `${left - 1} -1 ${width + 2} ${height + 2}`, role: "img" },
            "aria-label": `How much each block matters: ${listed.join(", ")}`,
          },
          placed.flatMap(({ slot, x, y }) => cell(slot, x, y, of.get(slot)?.importance ?? -1, most)),
          others.flatMap(({ name, importance }, n) =>
            cell(name, left, first + n * (CELL.high + CELL.gap), importance, most, width),
          ),
        ),
        shared ? make("p", { class: "md-hint" }, "Blocks that share a number share its percentage.") : null,
      );
    }
    const unknown = () =>
      make(
        "figure",
        { class: "md-plot md-plot-map", "data-plot": "map" },
        make("figcaption", {}, "How much each block matters"),
        make("p", { class: "md-hint" }, "Known after some 16 trials."),
      );
    return { draw };
  }

  const searchMap = { create };
  if (typeof module !== "undefined") module.exports = searchMap;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, searchMap };
}
