"use strict";
/* What shapes the merge besides the sliders, as the page names it: what Python says of the recipe that is applied,
 * and solo and mute, which are the page's own. Pure: functions of the state. */
{
  /** @typedef {DeskPage["state"]} State */

  /** What rules do to the block of a slider. @param {State} state @param {string} slot
   * @returns {Desk.RuleOverride | undefined} */
  const overrideOf = (state, slot, parameter = state.param) => state.effects.overrides[parameter]?.[slot];

  /** Whether rules set all of a block, whichever parameter's sliders are shown.
   * @param {State} state @param {string} slot */
  const isSetByRules = (state, slot) =>
    state.faders().length > 0 && state.faders().every(({ name }) => overrideOf(state, slot, name)?.complete);

  /** Solo and mute: of blocks that rules set they change nothing, which is said.
   * @param {State} state */
  function toggleItems(state) {
    const kinds = /** @type {const} */ (["solo", "mute"]);
    return kinds
      .filter((kind) => state.canKeepA && state.toggles[kind].size)
      .map((kind) => ({
        kind,
        text: `${kind} ${[...state.toggles[kind]].join(", ")}${unused(state, kind)}`,
      }));
  }
  /** @param {State} state @param {"solo" | "mute"} kind @param {string} slot */
  const keepsA = (state, kind, slot) => state.toggles[kind].has(slot) === (kind === "mute");
  /** @param {State} state @param {"solo" | "mute"} kind */
  function unused(state, kind) {
    const kept = state.activeSlots().filter((slot) => keepsA(state, kind, slot));
    const ruled = kept.filter((slot) => isSetByRules(state, slot));
    if (!ruled.length) return "";
    return ruled.length === kept.length
      ? " (no effect: rules set these blocks)"
      : ` (but rules set ${ruled.join(", ")})`;
  }
  /** Everything that the strip names. @param {State} state */
  const items = (state) => [...state.effects.items, ...toggleItems(state)];

  const inEffect = { overrideOf, isSetByRules, items };
  if (typeof module !== "undefined") module.exports = inEffect;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, inEffect };
}
