"use strict";
/* The tab Mix: what the stage says while it has no picture: what comes next, with a button that does it. */
{
  const HALF = 0.5;

  const SMOOTH = "GRAD_V"; // a preset that mixes most blocks, and shows what the sliders are

  /** @param {DeskPage} page */
  function create({ state, wire, mix }) {
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
    /** The merge, and then A with the same seed. */
    function generate() {
      mix.send("apply");
      mix.send("compare");
    }
    /** The first file that fits A, where no B is chosen yet and every slider keeps A. */
    function firstFitting() {
      const { ui, selection } = state;
      const fit = mix.fittingFiles();
      const free = ui?.next_step && selection?.a && !selection.b && ui.method.models === 2;
      return free && isUntouched() && fit?.a === selection.a ? (fit.fits[0] ?? "") : "";
    }
    /** A smooth preset of this family, or half of B in each block.
     * @returns {{ name: string, values: Record<string, number> }} */
    function smooth() {
      const preset = state.ui?.presets.find(({ name, own }) => name === SMOOTH && !own);
      return preset ?? { name: "0.5", values: Object.fromEntries(state.slots().map((slot) => [slot, HALF])) };
    }
    /** Chooses B, sets the sliders and generates, as one step of undo. @param {string} b */
    async function mixIn(b) {
      const lists = { b };
      const align = state.selection?.align ?? false;
      const response = await wire.ask("mix.set_up", { lists, align }, { setsLists: true });
      if (!response?.data) return void (response && mix.showResponse(response));
      const amounts = { [state.param]: smooth().values };
      const setup = { amounts, scalars: {}, extras: { ...state.extras } };
      mix.applySetup(setup, { revision: response.revision, done: generate });
    }
    function half() {
      mix.edit(() => {
        state.move(ALL, HALF);
        state.settle(ALL);
      });
      generate();
    }
    /** Whether half of B is a place to begin at. */
    const canHalf = () => !state.ui?.next_step && isUntouched();
    /** Whether every slider keeps A, and goes from A to B. */
    function isUntouched() {
      const { low, high } = state.range();
      return state.canKeepA && !state.ui?.no_block_weights && low === 0 && high === 1 && resting();
    }
    /** @param {string} b */
    function mixButton(b) {
      const title =
        "Choose this B, set the sliders to a preset, and generate a picture of the merge and one of A";
      return button(`Mix in ${b} (preset ${smooth().name})`, title, () => mixIn(b), {
        ...{ "data-act": "first-mix", class: "md-button md-primary" },
      });
    }
    function buttons() {
      const b = firstFitting();
      if (b) return [mixButton(b)];
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
      const signature = JSON.stringify([words(), !!state.busy, !!state.ui && canHalf(), firstFitting()]);
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
