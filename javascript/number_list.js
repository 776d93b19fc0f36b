"use strict";
/* The block weights as a list of numbers, as SuperMerger and other tools write it. Pure, of a DeskState. */
{
  /** @param {number} x */
  const formatNumber = (x) => String(Math.round(x * 1e4) / 1e4);
  const TOLERANCE = 1e-9; // amounts that differ by less are the same

  /** @typedef {InstanceType<typeof import("./state.js")["DeskState"]>} DeskState */

  /** The layout that the list is written in. @param {DeskState} state */
  function layoutOf({ ui, layout }) {
    if (!ui) throw new Error("there is no UI state yet");
    return ui.number_layouts.find((each) => each.id === layout) ?? ui.number_layouts[0];
  }
  /** @param {DeskState} state */
  function numbersOf(state) {
    if (!state.ui) throw new Error("there is no UI state yet");
    const { listed_names, groups } = state.ui;
    return listed_names.map((name) => state.effective((groups[name] ?? [name])[0]));
  }
  /** @param {DeskState} state */
  const numbersText = (state) => numbersOf(state).map(formatNumber).join(", ");
  /** Slots whose amount is not the one that the list sets.
   * @param {DeskState} state
   * @returns {{ slot: string, from: string }[]} `from` is the number of the list that sets the slot, or the amount that keeps A */
  function deviations(state) {
    const numbers = numbersOf(state);
    const { positions } = layoutOf(state);
    const places = positions[numbers.length] ?? {};
    /** @param {string} slot */
    const listed = (slot) => (places[slot] < 0 ? state.restingAmount() : numbers[places[slot]]);
    return state
      .activeSlots()
      .filter((slot) => slot in places && Math.abs(state.effective(slot) - listed(slot)) > TOLERANCE)
      .map((slot) => ({
        slot,
        from: state.ui?.listed_names[places[slot]] ?? formatNumber(state.restingAmount()),
      }));
  }

  const numberList = { formatNumber, layoutOf, numbersText, deviations };
  if (typeof module !== "undefined") module.exports = numberList;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, numberList };
}
