"use strict";
/* The tab Methods: cards by purpose. Python's side is lib_merge/desk/tabs/methods/view.py. */
{
  const WIDE = 118;
  const HIGH = 44;
  const HINT =
    "Thin lines: A, B and C. Thick line: the result of the method with its default parameters. Click a card to choose the method.";

  /** @param {DeskPage} page @returns {DeskTab} */
  function create({ wire, open }) {
    const { part, make, draw: drawing } = globalThis.mergeDesk.dom;
    /** @type {Desk.MethodGroup[]} */
    let groups = [];
    let chosen = "";
    let query = "";
    let blocks = false; // only methods with block weights
    const { filterMenu } = globalThis.mergeDesk.menu;

    /** The method itself on three small waves: the models thin, the result thick. @param {Desk.MethodCard["drawing"]} waves */
    function sketch(waves) {
      const all = Object.values(waves).flat();
      const low = Math.min(...all);
      const high = Math.max(...all, low + 1e-6);
      const x = (/** @type {number} */ n, /** @type {number} */ count) => (n / (count - 1)) * WIDE;
      const y = (/** @type {number} */ value) => HIGH - 2 - ((value - low) / (high - low)) * (HIGH - 4);
      const line = (/** @type {number[]} */ numbers) =>
        numbers
          .map((value, n) => `${n ? "L" : "M"}${x(n, numbers.length).toFixed(1)} ${y(value).toFixed(1)}`)
          .join("");
      return drawing(
        "svg",
        { viewBox: `0 0 ${WIDE} ${HIGH}`, "aria-hidden": "true" },
        Object.entries(waves).map(([name, numbers]) =>
          drawing("path", { d: line(numbers), class: `md-wave md-wave-${name}` }),
        ),
      );
    }
    /** @param {Desk.ParameterView} parameter */
    function range({ name, kind, low, high, default: usual, help }) {
      const values = kind === "bool" ? "yes or no" : `${low} to ${high}`;
      return make("li", { title: help }, `${name}: ${values}, default ${usual}`);
    }
    /** @param {Desk.MethodCard} card */
    function card({
      id,
      title,
      summary,
      formula,
      models,
      block_weights,
      parameters,
      source,
      unavailable_reason,
      drawing: waves,
    }) {
      const pick = () => {
        chosen = id;
        wire.ask("methods.choose", { name: id }, { again: pick });
        show();
        open("mix");
      };
      return make(
        "button",
        {
          ...{
            type: "button",
            class: "md-card",
            "data-method": id,
            disabled: !!unavailable_reason,
            title: source,
          },
          ...{ "aria-pressed": String(id === chosen), onclick: pick },
        },
        sketch(waves),
        make("b", {}, title),
        make("small", {}, `needs ${models}; ${block_weights ? "block weights" : "for the whole model"}`),
        make("code", {}, formula),
        make("span", {}, summary),
        make("ul", {}, parameters.map(range)),
        unavailable_reason ? make("em", {}, unavailable_reason) : null,
      );
    }
    /** The cards in which each word of the search is found, under their headings. */
    function found() {
      const texts = groups.map(({ purpose, cards }) => ({
        title: purpose,
        items: cards
          .filter(({ block_weights }) => block_weights || !blocks)
          .map((each) => ({ id: each.id, help: cardText(each) })),
      }));
      const matching = filterMenu(texts, query).flatMap(({ items }) => items.map(({ id }) => id));
      return groups
        .map((group) => ({ ...group, cards: group.cards.filter(({ id }) => matching.includes(id)) }))
        .filter(({ cards }) => cards.length);
    }
    /** @param {Desk.MethodCard} card */
    const cardText = ({ title, summary, formula, models, parameters, source }) =>
      [title, summary, formula, models, source, ...parameters.map(({ name }) => name)].join(" ");
    function searchBox() {
      const field = make("input", {
        ...{ type: "search", "data-part": "methods-query", "aria-label": "Search the methods", value: query },
        placeholder: "search names, formulas, parameters",
        oninput: (e) => {
          query = e.target.value;
          show();
        },
      });
      const only = make("input", {
        ...{ type: "checkbox", checked: blocks, "data-part": "methods-blocks" },
        onchange: (e) => {
          blocks = e.target.checked;
          show();
        },
      });
      return make(
        "div",
        { class: "md-toolbar" },
        field,
        make("label", { class: "md-check" }, only, "with block weights"),
        make("span", { class: "md-hint", role: "status", "data-part": "methods-count" }),
      );
    }
    function show() {
      const shown = found();
      const count = part("methods-count");
      const number = shown.reduce((sum, { cards }) => sum + cards.length, 0);
      if (count && groups.length) count.textContent = number === 1 ? "1 method" : `${number} methods`;
      part("cards")?.replaceChildren(
        ...shown.map(({ purpose, sentence, cards }) =>
          make(
            "section",
            { "data-purpose": purpose },
            make("h3", {}, sentence),
            make("div", { class: "md-method-cards" }, cards.map(card)),
          ),
        ),
      );
    }
    async function ask() {
      const response = await wire.ask("methods.open", {}, { again: ask });
      if (!response?.data) return;
      ({ chosen, groups } = response.data);
      show();
    }
    /** @param {HTMLElement} place */
    function draw(place) {
      place.replaceChildren(
        make("p", { class: "md-hint" }, HINT),
        searchBox(),
        make("div", { "data-part": "cards" }),
      );
      show();
    }
    return { draw, shown: ask };
  }

  const methods = { create };
  if (typeof module !== "undefined") module.exports = methods;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, views: { ...globalThis.mergeDesk?.views, methods } };
}
