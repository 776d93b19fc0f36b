"use strict";
/* The tab Mix, below the faders: their weights as a list of numbers, to copy and to paste. Python reads what is pasted
 * (lib_merge/desk/tabs/mix/numbers.py). */
{
  /** @param {DeskPage} page */
  function create({ state, wire, mix }) {
    const { part, make } = globalThis.mergeDesk.dom;
    const { inEffect } = globalThis.mergeDesk;
    const { translate } = globalThis.mergeDesk.language;
    const { layoutOf, numbersText, deviations } = globalThis.mergeDesk.numberList;
    const ui = () => /** @type {Desk.UiState} */ (state.ui);

    function draw() {
      const note = make("span", { class: "md-hint", "data-part": "numbers-note", role: "status" });
      const text = make("textarea", {
        ...{
          rows: 2,
          class: "md-textarea",
          spellcheck: "false",
          "data-part": "numbers",
          "data-needs-faders": true,
        },
        ...{ "aria-label": "Block weights as numbers", title: "Paste block weights from another tool here" },
        oninput: (e) => readNumbers(e.target.value),
        onblur: () => {
          note.classList.remove("md-bad"); // what was wrong is gone with the text
          show();
        },
      });
      const layout = make(
        "select",
        {
          ...{
            "aria-label": "Which tool the numbers come from",
            title: "How TIME, OUT and VAE are set from a pasted list",
          },
          onchange: (e) => {
            state.layout = e.target.value;
            show();
          },
        },
        ui().number_layouts.map(({ id, title }) =>
          make("option", { value: id, selected: id === state.layout }, `as in ${title}`),
        ),
      );
      const title = make("div", { class: "md-head" }, make("b", {}, "Numbers"), note, layout);
      return make("div", { class: "md-numbers" }, title, text);
    }

    /** @param {string} text a pasted list, or one that is still being typed */
    async function readNumbers(text) {
      const asked = { text, layout: state.layout, family: ui().family, parameter: state.param };
      const response = await wire.ask("mix.numbers", asked, { latest: true, again: () => readNumbers(text) });
      if (!response) return;
      const { data, problem } = response;
      const wrong = data ? data.problem : (problem?.what ?? "");
      const note = part("numbers-note");
      if (note && document.activeElement === part("numbers")) {
        note.textContent = wrong;
        note.classList.toggle("md-bad", !!wrong);
      }
      if (data && !wrong) mix.edit(() => state.setNumbers(data.amounts));
    }
    function show() {
      const text = /** @type {HTMLTextAreaElement | null} */ (part("numbers"));
      const note = part("numbers-note");
      if (!text || !note) return;
      const typing = document.activeElement === text;
      if (!typing) text.value = ui().no_block_weights ? "" : numbersText(state);
      if (!note.classList.contains("md-bad") || !typing) note.textContent = numbersNote();
    }
    function numbersNote() {
      const { no_block_weights, listed_names } = ui();
      const overridden = state.slots().filter((slot) => inEffect.overrideOf(state, slot)?.complete);
      const apart = deviations(state);
      if (no_block_weights) return "";
      if (overridden.length) return `${overridden.length} blocks are set by rules, not by these numbers`;
      if (apart.length) {
        const pairs = apart.map(({ slot, from }) => translate(`${slot} differs from ${from}`));
        return `${pairs.join(", ")} (${layoutOf(state).title} moves them together)`;
      }
      return `${listed_names.length} numbers: ${listed_names[0] ?? ""} … ${listed_names.at(-1) ?? ""}`;
    }
    return { draw, show };
  }

  const numbers = { create };
  if (typeof module !== "undefined") module.exports = numbers;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, numbers };
}
