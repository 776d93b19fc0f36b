"use strict";
/* What leads from one list of the user's presets to another: the way back after a change. Pure. */
{
  /** @typedef {{ name: "mix.save_preset", data: { name: string, amounts: Record<string, number> } }
   *   | { name: "mix.delete_preset", data: { name: string } }} PresetStep */

  /** @param {readonly Desk.NamedPreset[]} presets of the page, shipped ones among them */
  const own = (presets) =>
    new Map(presets.filter((each) => each.own).map((each) => [each.name, each.values]));

  /** @param {Record<string, number>} one @param {Record<string, number> | undefined} other */
  const equal = (one, other) =>
    !!other &&
    Object.keys({ ...one, ...other }).every(
      (slot) => slot in one && slot in other && one[slot] === other[slot],
    );

  /** What must be asked for so that the presets are as they were; those that are no more come back last.
   * @param {readonly Desk.NamedPreset[]} now @param {readonly Desk.NamedPreset[]} before
   * @returns {PresetStep[]} */
  function stepsBack(now, before) {
    const [are, were] = [own(now), own(before)];
    const added = [...are.keys()].filter((name) => !were.has(name));
    const changed = [...were].filter(([name, values]) => !equal(values, are.get(name)));
    return [
      ...added.map((name) => /** @type {PresetStep} */ ({ name: "mix.delete_preset", data: { name } })),
      ...changed.map(
        ([name, amounts]) => /** @type {PresetStep} */ ({ name: "mix.save_preset", data: { name, amounts } }),
      ),
    ];
  }
  /** Whether the user has a preset of this name. @param {readonly Desk.NamedPreset[]} presets @param {string} name */
  const hasOwn = (presets, name) => own(presets).has(name.trim());

  const presetSteps = { stepsBack, hasOwn };
  if (typeof module !== "undefined") module.exports = presetSteps;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, presetSteps };
}
