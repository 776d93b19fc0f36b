"use strict";

/** What the lists of a fresh desk say. @param {Partial<Desk.Selection>} [attributes] @returns {Desk.Selection} */
function selection(attributes = {}) {
  const lists = {
    a: "ink",
    b: "",
    c: "",
    method: "Weighted sum",
    vae: "A's",
    dtype: "as in A",
    align: false,
  };
  return { ...lists, ...attributes };
}
/** A small desk: text encoder, one block on each side, one between them.
 * @param {Partial<Desk.UiState>} [attributes] @returns {Desk.UiState} */
function ui(attributes = {}) {
  const fader = {
    name: "alpha",
    title: "Alpha",
    kind: "float",
    low: 0,
    high: 1,
    step: 0.01,
    default: 0.5,
    help: "",
  };
  return {
    family: "sd1",
    title: "Stable Diffusion 1",
    fader_layout: {
      above: ["TIME"],
      left: ["IN00"],
      middle: ["M00"],
      right: ["OUT00"],
      outside: ["BASE", "VAE"],
      rows_per_level: 3,
    },
    listed_names: ["BASE", "IN00", "M00", "OUT00"],
    groups: {},
    fader_groups: [{ title: "All", slots: ["BASE", "IN00", "M00", "OUT00"] }],
    block_notes: {},
    number_layouts: [
      {
        id: "supermerger",
        title: "SuperMerger",
        positions: {
          3: { IN00: 0, M00: 1, OUT00: 2, BASE: -1, TIME: -2 },
          4: { BASE: 0, IN00: 1, M00: 2, OUT00: 3, TIME: 0 },
        },
      },
    ],
    method: {
      ...{
        id: "weighted_sum",
        title: "Weighted sum",
        summary: "",
        formula: "",
        models: 2,
        mixed_models: {},
        neutral: { alpha: 0 },
        faders: [fader],
      },
      scalars: [{ ...fader, name: "ratio" }],
    },
    presets: [],
    disabled_faders: { VAE: "the VAE is A's" },
    no_block_weights: "",
    next_step: "",
    same_models: "",
    problem: null,
    ...attributes,
  };
}

module.exports = { ui, selection };
