/* Merge Desk, the room Methods: cards by purpose. Python's side is lib_merge/desk/methods.py. */
(() => {
  "use strict";

  const { room, ask, open, faders, tools: { make, part } } = window.mergeDesk;
  const WIDE = 118, HIGH = 44;
  let groups = [];
  let chosen = "";

  /** The method itself on three small waves: the models thin, the result thick. */
  function sketch(drawing) {
    const all = Object.values(drawing).flat();
    const low = Math.min(...all), high = Math.max(...all, low + 1e-6);
    const line = (numbers) => numbers.map((y, n) => `${n ? "L" : "M"}${((n / (numbers.length - 1)) * WIDE).toFixed(1)} ${(HIGH - 2 - ((y - low) / (high - low)) * (HIGH - 4)).toFixed(1)}`).join("");
    return make("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, "aria-hidden": true },
      Object.entries(drawing).map(([name, numbers]) => make("path", { d: line(numbers), class: `md-wave md-wave-${name}` })));
  }
  function card({ id, title, summary, formula, models, knobs, source, refusal, drawing }) {
    const range = ({ name, kind, low, high, default: usual, help }) => make("li", { title: help }, `${name} ${kind === "bool" ? "yes or no" : `${low} to ${high}`}, usually ${usual}`);
    return make("button", { type: "button", class: "md-card", "data-method": id, disabled: !!refusal, "aria-pressed": id === chosen, title: source,
      onclick: () => { chosen = id; ask("pick", { name: id }); show(); open("mix"); } },
    sketch(drawing), make("b", {}, title), make("small", {}, models), make("code", {}, formula), make("span", {}, summary),
    make("ul", {}, knobs.map(range)), refusal ? make("em", {}, refusal) : null);
  }
  function show() {
    part("cards")?.replaceChildren(...groups.map(({ purpose, sentence, cards }) => make("section", { "data-purpose": purpose },
      make("h4", {}, sentence), make("div", { class: "md-shelf" }, cards.map(card)))));
  }
  function draw(place) {
    place.replaceChildren(make("p", { class: "md-hint" }, "Thin lines are A, B and C, the thick one is what the method makes of them with its usual settings. A click takes the method."),
      make("div", { "data-part": "cards" }));
    show();
    ask("shelf", { action: "open", family: faders.family() });
  }
  const hear = {
    cards(answer) {
      chosen = answer.chosen;
      if (answer.groups.length) groups = answer.groups;
      show();
    },
  };
  room("methods", { draw, hear });
})();
