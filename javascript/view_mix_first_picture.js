"use strict";
/* The tab Mix: what the stage says while it has no picture: what comes next, with a button that does it. */
{
  const HALF = 0.5;

  /** @param {DeskPage} page */
  function create({ state, mix }) {
    const { ALL } = globalThis.mergeDesk.state;
    const { find, make, button } = globalThis.mergeDesk.dom;
    let shown = "";

    /** Whether every slider keeps A. */
    const resting = () =>
      state
        .faders()
        .every(({ name }) =>
          state.activeSlots().every((slot) => state.effective(slot, name) === state.restingAmount(name)),
        );
    /** A sentence on where the page stands. */
    function words() {
      const { ui, selection, live } = state;
      if (!ui) return "Reading what is loaded …";
      if (ui.next_step) return ui.next_step;
      if (ui.no_block_weights) return "This method merges the whole model. Generate shows what comes out.";
      if (!state.canKeepA || !resting()) return "Generate merges with these sliders and shows the picture.";
      const rest = state.restingAmount();
      const then = live ? "the picture follows when you release it" : "then Generate";
      return `Every slider is at ${rest}: the result is still A. Drag one, or click a preset, to mix in ${
        selection?.b || "B"
      }; ${then}.`;
    }
    /** A and the merge, one after the other. */
    function generate() {
      mix.send("compare");
      mix.send("apply");
    }
    function half() {
      mix.edit(() => {
        state.move(ALL, HALF);
        state.settle(ALL);
      });
      generate();
    }
    /** Whether half of B is a place to begin at. */
    function canHalf() {
      const { low, high } = state.range();
      return state.canKeepA && !state.ui?.no_block_weights && low === 0 && high === 1 && resting();
    }
    function buttons() {
      if (!state.ui || state.ui.next_step) return [];
      const both = "Generate a picture of A alone and one of the merge, with the same prompt and seed";
      const all = button("Generate A and the merge", both, generate, { "data-act": "first-generate" });
      const mixed = "Set every slider to 0.5 and generate a picture of A alone and one of the merge";
      return canHalf()
        ? [
            button("Try half of B", mixed, half, { "data-act": "first-half", class: "md-button md-primary" }),
            all,
          ]
        : [all];
    }
    function show() {
      const place = find("[data-frame=now] .md-first-picture");
      const signature = JSON.stringify([words(), !!state.busy, !!state.ui && canHalf()]);
      if (!place || (signature === shown && place.firstChild)) return;
      shown = signature;
      place.replaceChildren(
        make("p", {}, words()),
        make("div", { class: "md-toolbar" }, state.busy ? [] : buttons()),
      );
    }
    const draw = () => make("div", { class: "md-first-picture", onclick: (e) => e.stopPropagation() });
    return { draw, show };
  }

  const firstPicture = { create };
  if (typeof module !== "undefined") module.exports = firstPicture;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, firstPicture };
}
