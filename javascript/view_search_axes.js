"use strict";
/* The tab Search, the parallel axes: one for each dimension, and a line for each trial through its values. A good trial
 * is as far from the page's background as a colour can be, a bad one is near to it: so it reads in grey too. */
{
  const WIDE = { least: 480, usual: 1100 };
  const HIGH = 250;
  const EDGE = { left: 44, right: 44, top: 18, bottom: 20 };
  const NAMES = { upright: 20, slanted: 84 }; // space for the names of few axes, and of many
  const FEW = 9; // axes whose names have space side by side
  const MOST = 400; // lines: the best of a longer study

  /** @param {{ point: (trial: number) => void, select: (trial: number) => void }} page */
  function create({ point, select }) {
    const { make, draw: drawing } = globalThis.mergeDesk.dom;
    const { colourOf } = globalThis.mergeDesk.colours;
    const shapes = globalThis.mergeDesk.searchShapes;

    /** @param {(number | null)[]} shares @param {(n: number) => number} across @param {(share: number) => number} up */
    function path(shares, across, up) {
      const moves = (/** @type {number} */ n) => !n || shares[n - 1] === null;
      return shares
        .map((share, n) =>
          share === null ? "" : `${moves(n) ? "M" : "L"}${across(n).toFixed(1)} ${up(share).toFixed(1)}`,
        )
        .join("");
    }
    /** @param {SearchDimension} dimension @param {number} x @param {(share: number) => number} up @param {boolean} few
     * @param {boolean} last */
    function axis({ name, low, high, options }, x, up, few, last) {
      const ends = options.length
        ? options.map(
            (option, n) =>
              /** @type {const} */ ([option, options.length > 1 ? n / (options.length - 1) : 0.5]),
          )
        : [
            /** @type {const} */ ([shapes.shortNumber(low), 0]),
            /** @type {const} */ ([shapes.shortNumber(high), 1]),
          ];
      const bottom = HIGH - EDGE.bottom + 14;
      const title = few
        ? { x, y: bottom + 16, "text-anchor": "middle" }
        : { transform: `translate(${(x + 4).toFixed(1)} ${bottom + 10}) rotate(-60)`, "text-anchor": "end" };
      const words = options.length > 0;
      return [
        drawing("path", { d: `M${x.toFixed(1)} ${up(0)}V${up(1)}`, class: "md-plot-rail" }),
        drawing("text", { ...title, class: "md-plot-axis" }, name),
        ...ends.map(([text, share]) =>
          drawing(
            "text",
            words
              ? {
                  x: x + (last ? -6 : 6),
                  y: up(share) + 4,
                  class: "md-plot-word",
                  "text-anchor": last ? "end" : "start",
                }
              : { x, y: share ? up(1) - 6 : up(0) + 13, "text-anchor": "middle" },
            text,
          ),
        ),
      ];
    }
    /** @param {SearchDrawing} search @param {number} chosen @param {number} space  its width on the page */
    function draw({ trials, dimensions, best }, chosen, space) {
      const drawn = shapes.lines(trials, dimensions).slice(-MOST);
      if (!drawn.length || dimensions.length < 2) return null;
      const few = dimensions.length <= FEW;
      const height = HIGH + (few ? NAMES.upright : NAMES.slanted);
      const wide = Math.max(WIDE.least, space || WIDE.usual);
      const step = (wide - EDGE.left - EDGE.right) / (dimensions.length - 1);
      const across = (/** @type {number} */ n) => EDGE.left + n * step;
      const up = (/** @type {number} */ share) => EDGE.top + (1 - share) * (HIGH - EDGE.top - EDGE.bottom);
      const front = drawn.filter(({ number }) => number === best || number === chosen);
      const line = (/** @type {typeof drawn[0]} */ { number, rank, shares }) => {
        const classes = ["md-plot-line"];
        if (number === best) classes.push("md-plot-winner");
        if (number === chosen) classes.push("md-plot-chosen");
        return drawing(
          "path",
          {
            ...{ d: path(shares, across, up), class: classes.join(" "), "data-line": number },
            style: `--on-light:${colourOf(0.92 * (1 - rank))};--on-dark:${colourOf(0.15 + 0.85 * rank)}`,
            onclick: () => select(number),
            onpointerenter: () => point(number),
          },
          drawing("title", {}, `Trial ${number}`),
        );
      };
      const label = `The values of ${drawn.length} trials on ${dimensions.length} axes; those of the best are drawn thick`;
      return make(
        "figure",
        { class: "md-plot md-plot-axes", "data-plot": "axes" },
        make("figcaption", {}, "The values of each trial; the best is drawn thick"),
        drawing(
          "svg",
          {
            viewBox: `0 0 ${wide} ${height}`,
            role: "img",
            "aria-label": label,
            onpointerleave: () => point(-1),
          },
          drawn.filter((one) => !front.includes(one)).map(line),
          front.map((one) => [
            drawing("path", { d: path(one.shares, across, up), class: "md-plot-halo" }),
            line(one),
          ]),
          dimensions.flatMap((dimension, n) =>
            axis(dimension, across(n), up, few, n > 0 && n === dimensions.length - 1),
          ),
        ),
        make(
          "p",
          { class: "md-plot-scale" },
          make("span", {}, "worst"),
          make("i", { "aria-hidden": "true" }),
          make("span", {}, "best"),
        ),
      );
    }
    return { draw };
  }

  const searchAxes = { create };
  if (typeof module !== "undefined") module.exports = searchAxes;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, searchAxes };
}
