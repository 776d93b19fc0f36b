"use strict";
/* The amounts that each fader had in this session, newest first. Pure: the time is given. */
{
  const KEPT = 8; // amounts of one fader
  const SAME_MOVE_MS = 900; // amounts that follow each other within it are one move: its end is kept

  /** @typedef {{ amount: number, at: number }} Entry */

  class FaderHistory {
    /** By parameter and slot. @type {Map<string, Entry[]>} */
    #entries = new Map();
    #now;

    /** @param {() => number} [now]  the time in milliseconds */
    constructor(now = Date.now) {
      this.#now = now;
    }
    /** A fader has this amount now; nothing where it had it before.
     * @param {string} param @param {string} slot @param {number} amount */
    note(param, slot, amount) {
      const key = `${param} ${slot}`;
      const entries = this.#entries.get(key) ?? [];
      const [last] = entries;
      const at = this.#now();
      if (last?.amount === amount) return;
      const sameMove = entries.length > 1 && at - last.at < SAME_MOVE_MS;
      const older = (sameMove ? entries.slice(1) : entries).filter((each) => each.amount !== amount);
      this.#entries.set(key, [{ amount, at }, ...older].slice(0, KEPT));
    }
    /** The amounts before the one that it has now, newest first.
     * @param {string} param @param {string} slot @param {number} now */
    before(param, slot, now) {
      const entries = this.#entries.get(`${param} ${slot}`) ?? [];
      return entries.map(({ amount }) => amount).filter((amount) => amount !== now);
    }
  }

  const faderHistory = { FaderHistory };
  if (typeof module !== "undefined") module.exports = faderHistory;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, faderHistory };
}
