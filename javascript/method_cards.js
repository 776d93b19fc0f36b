"use strict";
/* The methods as cards by purpose, searched while typing: on the tab Methods, and in the menu beside the list of
 * methods. Which cards match is pure; tests/javascript/method_cards.test.js runs it. */
{
  const WIDE = 118;
  const HIGH = 44;
  /** @param {Desk.MethodCard} card */
  const cardText = ({ title, summary, formula, models, parameters, source }) =>
    [title, summary, formula, models, source, ...parameters.map(({ name }) => name)].join(" ");

  /** The cards in which each word of the search is found, under their headings.
   * @param {Desk.MethodGroup[]} groups @param {string} query
   * @param {{ blocks: boolean, usable?: boolean }} only  blocks: those with block weights; usable: those of the list
   * @returns {Desk.MethodGroup[]} */
  function matchingCards(groups, query, { blocks, usable = false }) {
    const { filterMenu } = globalThis.mergeDesk.menu;
    const texts = groups.map(({ purpose, cards }) => ({
      title: purpose,
      items: cards
        .filter(({ block_weights }) => block_weights || !blocks)
        .filter(({ unavailable_reason }) => !usable || !unavailable_reason)
        .map((each) => ({ id: each.id, help: cardText(each) })),
    }));
    const matching = filterMenu(texts, query).flatMap(({ items }) => items.map(({ id }) => id));
    return groups
      .map((group) => ({ ...group, cards: group.cards.filter(({ id }) => matching.includes(id)) }))
      .filter(({ cards }) => cards.length);
  }

  /** One place that shows the cards.
   * @param {{ name: string, usable?: boolean, pick: (id: string) => void }} how
   *   name: of its parts; usable: without the methods that the list does not have */
  function create({ name, usable, pick }) {
    const { part, make, draw: drawing } = globalThis.mergeDesk.dom;
    const { translate } = globalThis.mergeDesk.language;
    /** @type {Desk.MethodGroup[]} */
    let groups = [];
    let chosen = "";
    let query = "";
    let blocks = false; // only methods with block weights

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
      const take = () => {
        chosen = id;
        show();
        pick(id);
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
          ...{ "aria-pressed": String(id === chosen), onclick: take },
        },
        sketch(waves),
        make("b", {}, title),
        make(
          "small",
          {},
          `needs ${models.split(", ").map(translate).join(", ")}; ${block_weights ? "block weights" : "for the whole model"}`,
        ),
        make("code", {}, formula),
        make("span", {}, summary),
        make("ul", {}, parameters.map(range)),
        unavailable_reason ? make("em", {}, unavailable_reason) : null,
      );
    }
    function searchBox() {
      const field = make("input", {
        ...{ type: "search", "data-part": `${name}-query`, "aria-label": "Search the methods", value: query },
        placeholder: "search names, formulas, parameters",
        oninput: (e) => {
          query = e.target.value;
          show();
        },
      });
      const only = make("input", {
        ...{ type: "checkbox", checked: blocks, "data-part": `${name}-blocks` },
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
        make("span", { class: "md-hint", role: "status", "data-part": `${name}-count` }),
      );
    }
    function show() {
      const shown = matchingCards(groups, query, { blocks, usable });
      const count = part(`${name}-count`);
      const number = shown.reduce((sum, { cards }) => sum + cards.length, 0);
      if (count && groups.length) count.textContent = number === 1 ? "1 method" : `${number} methods`;
      part(`${name}-cards`)?.replaceChildren(
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
    /** @param {Desk.MethodCards} data */
    function set(data) {
      ({ chosen, groups } = data);
      show();
    }
    /** What a place shows; the menu, which is opened for one choice, begins without the search of before. */
    function draw() {
      if (usable) query = "";
      return [searchBox(), make("div", { "data-part": `${name}-cards` })];
    }
    return { draw, show, set };
  }

  const methodCards = { matchingCards, create };
  if (typeof module !== "undefined") module.exports = methodCards;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, methodCards };
}
