"use strict";
/* The tab Search, the drawings of its trials: the score of each in order, the front of two objectives, and the line
 * below them that names a trial. Where marks are comes from search_shapes.js; the map of the blocks is in
 * view_search_map.js, the parallel axes in view_search_axes.js. */
{
  const WIDE = 720; // of a drawing, in its own units
  const HIGH = 260;
  const EDGE = { left: 64, right: 16, top: 14, bottom: 34 };
  const FLOOR = 22; // between the lowest score and the marks of the trials without one
  const RING = 9; // radius of what marks the chosen trial
  /** Marks differ in shape, not by colour alone. @type {Record<string, string>} */
  const MARKS = {
    done: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
    best: "M0 -7L2 -2L7 -2L3 1.5L4.5 7L0 3.8L-4.5 7L-3 1.5L-7 -2L-2 -2Z",
    front: "M0 -6L6 0L0 6L-6 0Z",
    failed: "M-4 -4L4 4M-4 4L4 -4",
    pruned: "M-5 -3L5 -3L0 5Z",
  };

  /** @param {{ select: (trial: number) => void }} page  what a click on a trial does */
  function create({ select }) {
    const { make, draw: drawing, find, part } = globalThis.mergeDesk.dom;
    const shapes = globalThis.mergeDesk.searchShapes;
    const map = globalThis.mergeDesk.searchMap.create();
    const axes = globalThis.mergeDesk.searchAxes.create({ point, select });
    /** @type {SearchDrawing | null} */
    let shown = null;
    let chosen = -1;

    // --- trials ---

    /** @param {SearchTrial} trial @returns {string} */
    function stateOf(trial) {
      if (trial.values.length) return trial.values.map(shapes.shortNumber).join(", ");
      return trial.problem || trial.state;
    }
    /** @param {SearchTrial} trial */
    const nameOf = (trial) => `Trial ${trial.number}: ${stateOf(trial)}`;

    /** Names a trial in the line below the drawings; the chosen one where none is pointed at.
     * @param {number} number -1 for none */
    function point(number) {
      const line = part("plot-trial");
      const trial = shown?.trials.find((one) => one.number === (number < 0 ? chosen : number));
      line?.replaceChildren(
        ...(trial
          ? [
              make("b", {}, `Trial ${trial.number}`),
              make("span", {}, stateOf(trial)),
              make("i", {}, trial.origin),
            ]
          : [make("span", {}, "Point at a trial to see which it is; a click chooses it.")]),
      );
    }

    /** A mark that can be pointed at, focused and chosen.
     * @param {SearchTrial} trial @param {string} kind of MARKS @param {number} x @param {number} y */
    function mark(trial, kind, x, y) {
      const { number } = trial;
      const isChosen = number === chosen;
      return drawing(
        "g",
        {
          ...{
            transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
            class: `md-plot-mark md-plot-${kind}`,
          },
          ...{ role: "button", "aria-label": nameOf(trial), "aria-pressed": String(isChosen) },
          ...{ tabindex: isChosen ? 0 : -1, "data-mark": number },
          onclick: () => select(number),
          onpointerenter: () => point(number),
          onfocus: () => point(number),
        },
        drawing("path", {
          d: `M${-RING} 0a${RING} ${RING} 0 1 0 ${2 * RING} 0a${RING} ${RING} 0 1 0 ${-2 * RING} 0Z`,
          class: "md-plot-ring",
        }),
        drawing("path", { d: MARKS[kind] }),
      );
    }
    /** One of the marks takes the tab key, the arrow keys go on from there. @param {SVGElement} svg */
    function reachable(svg) {
      if (svg.querySelector("[data-mark][tabindex='0']")) return svg;
      const marks = svg.querySelectorAll("[data-mark]");
      (svg.querySelector(".md-plot-best") ?? marks[marks.length - 1])?.setAttribute("tabindex", "0");
      return svg;
    }
    const STEPS = /** @type {Record<string, number>} */ ({
      ArrowLeft: -1,
      ArrowUp: -1,
      ArrowRight: 1,
      ArrowDown: 1,
    });
    /** @param {KeyboardEvent} e */
    function walk(e) {
      const here = /** @type {Element} */ (e.target).closest?.("[data-mark]");
      const svg = here?.closest("svg");
      if (!here || !svg) return;
      if (e.key === "Enter" || e.key === " ") {
        e.preventDefault();
        select(Number(here.getAttribute("data-mark")));
      }
      const step = STEPS[e.key];
      if (!step) return;
      e.preventDefault();
      const marks = /** @type {SVGElement[]} */ ([...svg.querySelectorAll("[data-mark]")]);
      marks.sort((a, b) => Number(a.dataset.mark) - Number(b.dataset.mark));
      const next = marks[marks.findIndex((one) => one === here) + step];
      if (!next) return;
      here.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    }

    // --- frames ---

    /** @param {[number, number]} x @param {[number, number]} y @param {number} floor of the lowest value */
    function scales(x, y, floor) {
      const [width, height] = [WIDE - EDGE.left - EDGE.right, HIGH - EDGE.top - EDGE.bottom - floor];
      const across = (/** @type {number} */ value) => EDGE.left + ((value - x[0]) / (x[1] - x[0])) * width;
      const up = (/** @type {number} */ value) => EDGE.top + (1 - (value - y[0]) / (y[1] - y[0])) * height;
      return { across, up };
    }
    /** @param {[number, number]} range @param {(value: number) => number} up */
    const levels = (range, up) =>
      shapes.ticks(...range).map((value) => [
        drawing("path", {
          d: `M${EDGE.left} ${up(value).toFixed(1)}H${WIDE - EDGE.right}`,
          class: "md-level",
        }),
        drawing(
          "text",
          { x: EDGE.left - 7, y: up(value) + 4, "text-anchor": "end" },
          shapes.shortNumber(value),
        ),
      ]);
    /** @param {[number, number]} range @param {(value: number) => number} across @param {boolean} counts of trials */
    const columns = (range, across, counts) =>
      shapes
        .ticks(...range)
        .filter((value) => !counts || Number.isInteger(value))
        .map((value) =>
          drawing(
            "text",
            { x: across(value), y: HIGH - EDGE.bottom + 17, "text-anchor": "middle" },
            shapes.shortNumber(value),
          ),
        );
    /** @param {string} name @param {string} title @param {string} label @param {(Node | null)[]} inside */
    const figure = (name, title, label, inside) =>
      make(
        "figure",
        { class: "md-plot", "data-plot": name },
        make("figcaption", {}, title),
        reachable(
          drawing(
            "svg",
            {
              ...{ viewBox: `0 0 ${WIDE} ${HIGH}`, role: "group", "aria-label": label, "data-figure": name },
              ...{ onkeydown: walk, onpointerleave: () => point(-1) },
            },
            inside,
          ),
        ),
      );

    // --- the history ---

    /** @param {SearchTrial} trial @param {number} best */
    const kindOf = (trial, best) =>
      trial.number === best ? "best" : trial.values.length ? "done" : trial.state;

    /** @param {SearchDrawing} search */
    function history({ trials, best }) {
      const ended = trials.filter(
        ({ values, state }) => values.length || state === "failed" || state === "pruned",
      );
      const range = shapes.span(shapes.scored(trials).map(({ values }) => values[0]));
      const last = Math.max(1, ...ended.map(({ number }) => number));
      const without = ended.some(({ values }) => !values.length);
      const { across, up } = scales([0, last], range, without ? FLOOR : 0);
      const floor = HIGH - EDGE.bottom - 6;
      const path = shapes
        .bestSoFar(trials)
        .map(({ number, value }, n) =>
          n
            ? `H${across(number).toFixed(1)}V${up(value).toFixed(1)}`
            : `M${across(number).toFixed(1)} ${up(value).toFixed(1)}`,
        )
        .join("");
      const winner = trials.find(({ number }) => number === best);
      const label = winner
        ? `The score of each of ${ended.length} trials; the best is trial ${best} with ${stateOf(winner)}`
        : `The score of each of ${ended.length} trials`;
      return figure("history", "Scores, and the best so far", label, [
        ...levels(range, up).flat(),
        ...columns([0, last], across, true),
        path
          ? drawing("path", { d: `${path}H${across(last).toFixed(1)}`, class: "md-plot-best-line" })
          : null,
        ...ended.map((trial) =>
          mark(
            trial,
            kindOf(trial, best),
            across(trial.number),
            trial.values.length ? up(trial.values[0]) : floor,
          ),
        ),
      ]);
    }

    // --- two objectives ---

    /** @param {SearchDrawing} search */
    function front({ trials, front, objectives }) {
      const done = shapes.scored(trials).filter(({ same_as }) => same_as < 0);
      const [x, y] = [0, 1].map((n) => shapes.span(done.map(({ values }) => values[n])));
      const { across, up } = scales(x, y, 0);
      const at = (/** @type {SearchTrial} */ { values }) => [across(values[0]), up(values[1])];
      const isFront = (/** @type {SearchTrial} */ { number }) => front.includes(number);
      const path = done
        .filter(isFront)
        .sort((a, b) => a.values[0] - b.values[0])
        .map(at)
        .map(([left, top], n) =>
          n ? `V${top.toFixed(1)}H${left.toFixed(1)}` : `M${left.toFixed(1)} ${top.toFixed(1)}`,
        )
        .join("");
      const label = `Two scores of ${done.length} trials; ${front.length} of them are beaten by no other one`;
      return figure("front", "Two scores, and the trials that no other one beats", label, [
        ...levels(y, up).flat(),
        ...columns(x, across, false),
        drawing(
          "text",
          { x: WIDE - EDGE.right, y: HIGH - 4, "text-anchor": "end", class: "md-plot-axis" },
          `${objectives[0]} →`,
        ),
        drawing("text", { x: EDGE.left, y: 10, class: "md-plot-axis" }, `↑ ${objectives[1]}`),
        path ? drawing("path", { d: path, class: "md-plot-best-line" }) : null,
        ...done.map((trial) => mark(trial, isFront(trial) ? "front" : "done", at(trial)[0], at(trial)[1])),
      ]);
    }

    // --- all of it ---

    /** @param {SearchDrawing} search */
    function table({ trials, dimensions, objectives }) {
      const heads = ["trial", ...objectives, "from", ...dimensions.map(({ name }) => name)];
      const cells = (/** @type {SearchTrial} */ trial) => [
        ...(trial.values.length
          ? trial.values.map((value) => make("td", {}, shapes.shortNumber(value)))
          : [make("td", { colspan: objectives.length }, stateOf(trial))]),
        make("td", {}, trial.origin),
        ...dimensions.map(({ name }) => make("td", {}, String(trial.point[name] ?? ""))),
      ];
      return make(
        "details",
        { class: "md-plot-table", "data-part": "plot-table" },
        make("summary", {}, "All trials as a table"),
        make(
          "div",
          { class: "md-plot-scroll", tabindex: 0, role: "group", "aria-label": "All trials as a table" },
          make(
            "table",
            { class: "md-table" },
            make(
              "thead",
              {},
              make(
                "tr",
                {},
                heads.map((head) => make("th", { scope: "col" }, head)),
              ),
            ),
            make(
              "tbody",
              {},
              trials.map((trial) =>
                make("tr", {}, make("th", { scope: "row" }, String(trial.number)), cells(trial)),
              ),
            ),
          ),
        ),
      );
    }
    /** Draws again what has changed, in the place that was drawn before: what is open stays open, and what has the
     * focus keeps it. @param {HTMLElement} root @param {SearchDrawing} search @param {number} [selected] */
    function show(root, search, selected = chosen) {
      [shown, chosen] = [search, selected];
      const focused = root.contains(document.activeElement) ? document.activeElement : null;
      const trial = focused?.closest("[data-mark]")?.getAttribute("data-mark");
      const plot = focused?.closest("[data-figure]")?.getAttribute("data-figure");
      const open = /** @type {HTMLDetailsElement | null} */ (find("[data-part=plot-table]", root))?.open;
      root.replaceChildren(...draw(search, root.clientWidth));
      const details = /** @type {HTMLDetailsElement | null} */ (find("[data-part=plot-table]", root));
      if (details) details.open = !!open;
      if (plot) find(`[data-figure="${plot}"] [data-mark="${trial}"]`, root)?.focus();
      point(-1);
    }
    /** @param {SearchDrawing} search @param {number} width @returns {Node[]} */
    function draw(search, width) {
      if (!search.trials.length) return [];
      const several = search.objectives.length > 1;
      return [
        make(
          "div",
          { class: "md-plots" },
          several && shapes.scored(search.trials).length ? front(search) : history(search),
          map.draw(search),
          axes.draw(search, chosen, width),
        ),
        make("p", { class: "md-plot-trial", "data-part": "plot-trial", role: "status" }),
        table(search),
      ];
    }
    return { show };
  }

  const searchDrawings = { create };
  if (typeof module !== "undefined") module.exports = searchDrawings;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, searchDrawings };
}
