"use strict";
/* The tab Report, the drawing: the blocks of each model as bars where they are in the U-Net, and several models as
 * lines. The numbers come from lib_merge/desk/tabs/report/drawing.py. */
{
  const WIDE = 900; // of the lines, in units of the drawing
  const HIGH = 240;
  const EDGE = { left: 58, right: 12, top: 10, bottom: 46 };

  /** @typedef {Desk.ReportDrawing} Drawing */

  /** @param {{ solo: (slot: string) => void }} page */
  function create({ solo }) {
    const { make, draw: drawing } = globalThis.mergeDesk.dom;
    const { heatStyle, lineStyle } = globalThis.mergeDesk.colours;

    // --- the U-Net ---

    /** @param {string} slot @param {Desk.ReportCell} [cell] */
    function block(slot, { text, heat } = { text: "", heat: -1 }) {
      const bar =
        heat < 0 ? null : make("i", { style: `${heatStyle(heat)};width:${(heat * 100).toFixed(1)}%` });
      return make(
        "button",
        {
          ...{ type: "button", class: "md-bar-block", "data-bar": slot },
          ...{ title: `Solo ${slot} on the Mix tab`, onclick: () => solo(slot) },
        },
        make("b", {}, slot),
        make("span", { class: "md-bar-track", "aria-hidden": "true" }, bar),
        make("output", {}, text),
      );
    }
    /** @param {Drawing} drawn @param {number} n of the model */
    function unet({ layout, bars, models }, n) {
      const column = (/** @type {string} */ name, /** @type {readonly string[]} */ slots) =>
        slots.length
          ? make(
              "div",
              { class: `md-unet-${name}` },
              slots.map((slot) => block(slot, bars[slot][n])),
            )
          : null;
      return make(
        "figure",
        { class: "md-unet", "data-unet": models[n] },
        models.length > 1 ? make("figcaption", {}, sample(n), models[n]) : null,
        column("left", layout.left),
        column("right", layout.right),
        column("middle", layout.middle),
        column("outside", layout.outside),
      );
    }

    // --- lines ---

    /** A bit of a model's line. @param {number} n */
    function sample(n) {
      const { colour, dash } = lineStyle(n);
      return drawing(
        "svg",
        { viewBox: "0 0 28 8", class: "md-line-sample", "aria-hidden": "true" },
        drawing("path", { d: "M1 4L27 4", stroke: colour, "stroke-dasharray": dash }),
      );
    }
    /** The blocks in the order of the model: down the inputs, through the middle, up the outputs, then the others.
     * @param {Drawing["layout"]} layout */
    const inOrder = ({ left, middle, right, outside }) => [
      ...left,
      ...middle,
      ...[...right].reverse(),
      ...outside,
    ];

    /** @param {Drawing} drawn */
    function lines({ layout, models, bars, ticks }) {
      const slots = inOrder(layout);
      const step = (WIDE - EDGE.left - EDGE.right) / Math.max(1, slots.length - 1);
      const x = (/** @type {number} */ n) => EDGE.left + n * step;
      const y = (/** @type {number} */ heat) => HIGH - EDGE.bottom - heat * (HIGH - EDGE.top - EDGE.bottom);
      const level = (/** @type {Desk.ReportCell} */ { text, heat }) => [
        drawing("path", { d: `M${EDGE.left} ${y(heat)}H${WIDE - EDGE.right}`, class: "md-level" }),
        drawing("text", { x: EDGE.left - 6, y: y(heat) + 4, "text-anchor": "end" }, text),
      ];
      const name = (/** @type {string} */ slot, /** @type {number} */ n) => {
        const place = `translate(${x(n) + 4} ${HIGH - EDGE.bottom + 12}) rotate(-60)`;
        return drawing("text", { transform: place, "text-anchor": "end" }, slot);
      };
      return make(
        "figure",
        { class: "md-lines" },
        drawing(
          "svg",
          {
            viewBox: `0 0 ${WIDE} ${HIGH}`,
            role: "img",
            "aria-label": `Lines: ${models.join(", ")}; higher differs more`,
          },
          ticks.map(level),
          slots.map(name),
          models.map((_, m) =>
            line(
              m,
              slots.map((slot, n) => ({ x: x(n), ...bars[slot][m] })),
              y,
            ),
          ),
        ),
        make(
          "figcaption",
          {},
          models.map((model, n) => make("span", {}, sample(n), model)),
        ),
      );
    }
    /** @param {number} model @param {({ x: number } & Desk.ReportCell)[]} points @param {(heat: number) => number} y */
    function line(model, points, y) {
      const { colour, dash } = lineStyle(model);
      const known = points.filter(({ heat }) => heat >= 0);
      const path = known
        .map(({ x, heat }, n) => `${n ? "L" : "M"}${x.toFixed(1)} ${y(heat).toFixed(1)}`)
        .join("");
      return drawing("path", { d: path, class: "md-model-line", stroke: colour, "stroke-dasharray": dash });
    }

    /** The whole drawing. @param {Drawing} drawn */
    function draw(drawn) {
      return make(
        "div",
        { class: "md-report-drawing", "data-part": "report-drawing" },
        drawn.models.length > 1 ? lines(drawn) : null,
        make(
          "div",
          { class: "md-unets" },
          drawn.models.map((_, n) => unet(drawn, n)),
        ),
      );
    }
    return { draw };
  }

  const reportDrawing = { create };
  if (typeof module !== "undefined") module.exports = reportDrawing;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, reportDrawing };
}
