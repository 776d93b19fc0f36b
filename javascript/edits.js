"use strict";
/* What other parts of the page do to the sliders as a whole, each as one step of undo. Pure: functions of the state. */
{
  /** @typedef {DeskPage["state"]} State */

  /** All others keep A; a second time, none. @param {State} state @param {string} slot */
  function soloOnly(state, slot) {
    const { solo } = state.toggles;
    const others = solo.size === 1 && solo.has(slot) ? [] : [slot];
    state.change(() => void (state.toggles.solo = new Set(others)));
  }
  /** @param {State} state @param {string} slot */
  function muteAlso(state, slot) {
    state.change(() => void state.toggles.mute.add(slot));
  }
  /** @param {State} state @param {"solo" | "mute"} kind */
  function clearToggle(state, kind) {
    state.change(() => state.toggles[kind].clear());
  }
  /** What the lists say now, where an answer to their change has not come yet: the change is a step of undo.
   * @param {State} state @param {Desk.Selection} selection */
  function noteSelection(state, selection) {
    if (JSON.stringify(selection) === JSON.stringify(state.selection)) return;
    if (state.recording && !state.expected) state.change(() => void (state.selection = selection), "lists");
  }
  /** Every slider and setting as on a new page. @param {State} state */
  function startOver(state) {
    state.change(() => {
      Object.assign(state, { values: {}, scalars: {}, extras: {} });
      for (const kind of /** @type {const} */ (["solo", "mute"])) state.toggles[kind].clear();
      for (const { name } of state.faders()) state.values[name] = {};
      for (const { name, default: usual } of state.ui?.method.scalars ?? []) state.scalars[name] = usual;
    });
  }

  const edits = { soloOnly, muteAlso, clearToggle, noteSelection, startOver };
  if (typeof module !== "undefined") module.exports = edits;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, edits };
}
