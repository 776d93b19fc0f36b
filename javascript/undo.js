"use strict";
/* Steps of undo and redo, as snapshots. Pure: the time is given. */
{
  const SAME_MOVE_MS = 900; // within which changes of one kind are one step
  const MAX_STEPS = 200;
  const MAX_KEPT = 40; // of each, when the page is opened again

  /** @typedef {Pick<DeskPage["state"], "values" | "scalars" | "extras" | "selection" | "fields" | "toggles" | "expected">} Snapshot */

  class UndoStack {
    /** @type {string[]} */
    #past = [];
    /** @type {string[]} */
    #future = [];
    /** What was changed last, and when.
     * @type {[string, number]} */
    #last = ["", 0];
    #now;

    /** @param {() => number} [now]  the time in milliseconds */
    constructor(now = Date.now) {
      this.#now = now;
    }
    get canUndo() {
      return this.#past.length > 0;
    }
    get canRedo() {
      return this.#future.length > 0;
    }
    /** The steps themselves, the newest last, for a page that is opened again. */
    get steps() {
      return { past: this.#past.slice(-MAX_KEPT), future: this.#future.slice(-MAX_KEPT) };
    }
    set steps({ past, future }) {
      [this.#past, this.#future] = [[...past], [...future]];
    }
    /** What a step restores. @param {Snapshot} state */
    snapshotOf({ values, scalars, extras, selection, fields, toggles, expected }) {
      const [solo, mute] = [[...toggles.solo], [...toggles.mute]];
      const lists = { selection, fields, ...expected };
      return JSON.stringify({ values, scalars, extras, solo, mute, ...lists });
    }
    /** `wanted` of the state gets the lists and fields that Python has to set, where they are others.
     * @param {Snapshot} state @param {string} snapshot */
    restore(state, snapshot) {
      const { values, scalars, extras, solo, mute, selection, fields } = JSON.parse(snapshot);
      const now = { selection: state.selection, fields: state.fields, ...state.expected };
      const same = JSON.stringify([selection, fields]) === JSON.stringify([now.selection, now.fields]);
      const wanted = same ? null : { selection, fields };
      Object.assign(state.toggles, { solo: new Set(solo), mute: new Set(mute) });
      Object.assign(state, { values, scalars, extras, wanted, fields }); // such fields are no change of the user's
    }
    /** A change was made.
     * @param {string} before @param {string} [what] changes of the same within a short time are one step */
    push(before, what = "") {
      const [last, when] = this.#last;
      if (!what || what !== last || this.#now() - when > SAME_MOVE_MS) this.#past.push(before);
      this.#last = [what, this.#now()];
      this.#past.splice(0, this.#past.length - MAX_STEPS);
      this.#future = [];
    }
    /** @param {string} current @returns {string | undefined} the snapshot before the last step */
    undo(current) {
      return this.#step(this.#past, this.#future, current);
    }
    /** @param {string} current @returns {string | undefined} the snapshot after the step that was undone */
    redo(current) {
      return this.#step(this.#future, this.#past, current);
    }
    /** @param {string[]} from @param {string[]} to @param {string} current */
    #step(from, to, current) {
      const snapshot = from.pop();
      if (snapshot === undefined) return undefined;
      to.push(current);
      this.#last = ["", 0];
      return snapshot;
    }
  }

  const undo = { UndoStack };
  if (typeof module !== "undefined") module.exports = undo;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, undo };
}
