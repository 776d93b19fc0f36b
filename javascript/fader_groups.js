"use strict";
/* Several faders at once: which are selected, in which order they follow each other, and what smoothing and a drawn
 * line make of their amounts. Pure. */
{
  /** The slots in the order of the network: those of a list of numbers, then the others.
   * @param {Desk.UiState} ui @returns {string[]} */
  function slotOrder({ listed_names, groups, fader_layout }) {
    const { above, left, middle, right, outside } = fader_layout;
    const listed = listed_names.flatMap((name) => groups[name] ?? [name]);
    return [...new Set([...listed, ...above, ...left, ...middle, ...right, ...outside])];
  }

  class FaderSelection {
    /** @type {Set<string>} */
    slots = new Set();
    /** Where a range begins. */
    #anchor = "";
    #order;

    /** @param {() => string[]} order  the slots that there are, in their order */
    constructor(order) {
      this.#order = order;
    }
    /** The selected slots, in their order. */
    list() {
      return this.#order().filter((slot) => this.slots.has(slot));
    }
    /** @param {string[]} slots */
    choose(slots) {
      this.slots = new Set(slots);
      this.#anchor = slots[0] ?? "";
    }
    /** This one alone; none where it was the only one. @param {string} slot */
    only(slot) {
      this.choose(this.slots.size === 1 && this.slots.has(slot) ? [] : [slot]);
    }
    /** This one more, or less. @param {string} slot */
    flip(slot) {
      if (!this.slots.delete(slot)) this.slots.add(slot);
      this.#anchor = slot;
    }
    /** All from where the last selection began to this one, in place of what was selected. @param {string} slot */
    extendTo(slot) {
      const order = this.#order();
      if (!order.includes(this.#anchor)) this.#anchor = slot;
      const [from, to] = [order.indexOf(this.#anchor), order.indexOf(slot)].sort((a, b) => a - b);
      this.slots = new Set(order.slice(from, to + 1));
    }
  }

  /** Each amount becomes the mean of itself and its neighbours; at the ends there is one neighbour.
   * @param {number[]} amounts @returns {number[]} */
  const smooth = (amounts) =>
    amounts.map((_, n) => {
      const near = amounts.slice(Math.max(0, n - 1), n + 2);
      return Math.round((near.reduce((sum, each) => sum + each, 0) / near.length) * 1e4) / 1e4;
    });

  /** The places that a pen passes between two points, so that a fast move leaves none out.
   * @param {{ n: number, amount: number }} from @param {{ n: number, amount: number }} to
   * @returns {{ n: number, amount: number }[]} without the first */
  function lineBetween(from, to) {
    const count = Math.abs(to.n - from.n);
    if (!count) return [to];
    return Array.from({ length: count }, (_, i) => ({
      n: from.n + Math.sign(to.n - from.n) * (i + 1),
      amount: from.amount + ((to.amount - from.amount) * (i + 1)) / count,
    }));
  }

  /** An amount on the slider's steps and within its range.
   * @param {number} amount @param {{ low: number, high: number, step: number }} range */
  function snap(amount, { low, high, step }) {
    const steps = Math.round((amount - low) / step) * step + low;
    return Number(Math.min(high, Math.max(low, steps)).toFixed(6));
  }

  const faderGroups = { FaderSelection, slotOrder, smooth, lineBetween, snap };
  if (typeof module !== "undefined") module.exports = faderGroups;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, faderGroups };
}
