"use strict";
/* The tab Methods: cards by purpose. Python's side is lib_merge/desk/tabs/methods/view.py. */
{
  const HINT =
    "Thin lines: A, B and C. Thick line: the result of the method with its default parameters. Click a card to choose the method.";

  /** @param {DeskPage} page @returns {DeskTab} */
  function create({ wire, open }) {
    const { make } = globalThis.mergeDesk.dom;
    const pick = (/** @type {string} */ name) => {
      wire.ask("methods.choose", { name }, { again: () => pick(name) });
      open("mix");
    };
    const cards = globalThis.mergeDesk.methodCards.create({ name: "methods", pick });

    async function ask() {
      const response = await wire.ask("methods.open", {}, { again: ask });
      if (response?.data) cards.set(response.data);
    }
    /** @param {HTMLElement} place */
    function draw(place) {
      place.replaceChildren(make("p", { class: "md-hint" }, HINT), ...cards.draw());
      cards.show();
    }
    return { draw, shown: ask };
  }

  const methods = { create };
  if (typeof module !== "undefined") module.exports = methods;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, views: { ...globalThis.mergeDesk?.views, methods } };
}
