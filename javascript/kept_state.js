"use strict";
/* What the page keeps on the server so that it outlives the page: sliders, undo and which pictures were shown.
 * Python keeps it as text (lib_merge/desk/tabs/mix/kept.py), with the lists and the fields of a picture's settings.
 * Pure: no document, no window. */
{
  const VERSION = 1; // of what is kept: another one is not loaded
  /** @typedef {InstanceType<typeof import("./state.js")["DeskState"]>} DeskState */
  /** @typedef {"picture" | "pictureBefore" | "pictureOfA"} Shown */
  const SHOWN = /** @type {Shown[]} */ (["picture", "pictureBefore", "pictureOfA"]);
  const PLAIN = /** @type {const} */ ([
    "param",
    "layout",
    "values",
    "scalars",
    "extras",
    "fields",
    "live",
    "applied",
    "sheet",
    "hints",
  ]);

  /** @param {DeskState} state @returns {string} */
  function pack(state) {
    const plain = Object.fromEntries(PLAIN.map((name) => [name, state[name]]));
    const toggles = Object.fromEntries(
      Object.entries(state.toggles).map(([kind, slots]) => [kind, [...slots]]),
    );
    const shown = Object.fromEntries(
      SHOWN.flatMap((name) => (state[name]?.id ? [[name, { ...state[name], src: "" }]] : [])),
    );
    const { sent, drawing } = state;
    return JSON.stringify({
      version: VERSION,
      ...plain,
      toggles,
      sent,
      drawing,
      undo: state.undoSteps,
      shown,
    });
  }

  /** Loads what was kept.
   * @param {DeskState} state @param {string} text @param {string} engaged  the id of the merge that is in memory
   * @returns {boolean} whether it could be */
  function unpack(state, text, engaged) {
    const kept = parse(text);
    if (!kept) return false;
    for (const name of PLAIN)
      if (typeof kept[name] === typeof state[name]) state[name] = /** @type {never} */ (kept[name]);
    for (const [kind, slots] of Object.entries(kept.toggles ?? {}))
      state.toggles[/** @type {keyof typeof state.toggles} */ (kind)] = new Set(slots);
    for (const name of SHOWN) state[name] = kept.shown?.[name] ?? null;
    state.undoSteps = kept.undo ?? { past: [], future: [] };
    state.drawing = { now: "", drawn: "", ...kept.drawing };
    const there = !!kept.applied && !!engaged;
    Object.assign(state, {
      applied: there,
      sent: there ? kept.sent : "",
      unloaded: !there && !!kept.shown?.picture,
    });
    return true;
  }
  /** @param {string} text @returns {any} null for what this version does not know */
  function parse(text) {
    try {
      const kept = JSON.parse(text);
      return kept?.version === VERSION ? kept : null;
    } catch {
      return null;
    }
  }

  const keptState = { pack, unpack, SHOWN };
  if (typeof module !== "undefined") module.exports = keptState;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, keptState };
}
