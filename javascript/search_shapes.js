"use strict";
/* Where the drawings of a search have their marks, lines and cells: numbers alone. Pure. */
{
  const DONE = "done";

  /** A number as the drawings write it: four digits that matter. @param {number} value */
  const shortNumber = (value) => String(Number(value.toPrecision(4)));

  /** The trials with a score of their own. @template {SearchTrial} T @param {readonly T[]} trials */
  const scored = (trials) => trials.filter(({ state, values }) => state === DONE && values.length);

  /** The least and the most of some numbers, apart even where all are the same. @param {number[]} numbers
   * @returns {[number, number]} */
  function span(numbers) {
    if (!numbers.length) return [0, 1];
    const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
    const apart = Math.max(Math.abs(high), 1) * 1e-9;
    return high - low > apart ? [low, high] : [low - 0.5, high + 0.5];
  }
  /** Round numbers between two, some five of them. @param {number} low @param {number} high @returns {number[]} */
  function ticks(low, high) {
    const rough = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? 10 * power;
    const first = Math.ceil(low / step - 1e-9);
    const count = Math.floor(high / step + 1e-9) - first + 1;
    return Array.from({ length: count }, (_, n) => Number(((first + n) * step).toPrecision(12)));
  }
  /** The best value of the trials so far, where it changes: the corners of a line that only rises.
   * @param {readonly SearchTrial[]} trials by number @returns {{ number: number, value: number }[]} */
  function bestSoFar(trials) {
    /** @type {{ number: number, value: number }[]} */
    const corners = [];
    for (const { number, values } of scored(trials))
      if (!corners.length || values[0] > corners[corners.length - 1].value)
        corners.push({ number, value: values[0] });
    return corners;
  }
  /** Trial -> how good it is among all, from 0 for the worst to 1 for the best. @param {readonly SearchTrial[]} trials
   * @returns {Map<number, number>} */
  function ranks(trials) {
    const sorted = [...scored(trials)].sort((a, b) => a.values[0] - b.values[0]);
    return new Map(sorted.map(({ number }, n) => [number, sorted.length > 1 ? n / (sorted.length - 1) : 1]));
  }

  // --- parallel axes ---

  /** Where a value is on the axis of its dimension, from 0 at the bottom to 1; null for a value that it has not.
   * @param {SearchDimension} dimension @param {number | string | undefined} value @returns {number | null} */
  function share({ low, high, options }, value) {
    if (value === undefined) return null;
    if (options.length) {
      const at = options.findIndex((option) => option === String(value) || Number(option) === value);
      return at < 0 ? null : options.length > 1 ? at / (options.length - 1) : 0.5;
    }
    return high > low ? Math.min(1, Math.max(0, (Number(value) - low) / (high - low))) : 0.5;
  }
  /** The lines of the trials, those drawn last that are to be seen best. Each is the shares of its values.
   * @param {readonly SearchTrial[]} trials @param {readonly SearchDimension[]} dimensions
   * @returns {{ number: number, rank: number, shares: (number | null)[] }[]} */
  function lines(trials, dimensions) {
    const order = ranks(trials);
    return scored(trials)
      .map(({ number, point }) => ({
        number,
        rank: order.get(number) ?? 0,
        shares: dimensions.map((dimension) => share(dimension, point[dimension.name])),
      }))
      .sort((a, b) => a.rank - b.rank);
  }

  // --- the U-Net ---

  /** The cells of the blocks, as columns and rows: inputs go down on the left, outputs up on the right, each
   * resolution a step further in, the middle below. `step` counts the steps, negative ones to the left.
   * @param {SearchDrawing["layout"]} layout
   * @returns {{ slot: string, side: "left" | "right" | "middle" | "above" | "outside", row: number, step: number }[]} */
  function unetCells({ above, left, middle, right, outside, rows_per_level: level }) {
    const rows = Math.max(left.length, right.length);
    const top = above.length ? 1 : 0;
    /** @param {readonly string[]} slots @param {"left" | "right"} side */
    const column = (slots, side) =>
      slots.map((slot, n) => ({ slot, side, row: top + n, step: level ? Math.floor(n / level) : 0 }));
    /** @param {readonly string[]} slots @param {"middle" | "above" | "outside"} side @param {number} row */
    const across = (slots, side, row) =>
      slots.map((slot, n) => ({ slot, side, row, step: n - (slots.length - 1) / 2 }));
    return [
      ...across(above, "above", 0),
      ...column(left, "left"),
      ...column(right, "right"),
      ...across(middle, "middle", top + rows),
      ...across(outside, "outside", top + rows + (middle.length ? 1 : 0)),
    ];
  }
  /** Block -> the dimension that sets it. @param {readonly SearchDimension[]} dimensions
   * @returns {Map<string, SearchDimension>} */
  const dimensionOfSlot = (dimensions) =>
    new Map(dimensions.flatMap((dimension) => dimension.slots.map((slot) => [slot, dimension])));

  const searchShapes = {
    ...{ DONE, shortNumber, scored, span, ticks, bestSoFar, ranks, share, lines, unetCells, dimensionOfSlot },
  };
  if (typeof module !== "undefined") module.exports = searchShapes;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, searchShapes };
}
