"use strict";
/* The tab Search, how trials are made: prompts, seeds, sampler, when it ends, what is tried first. */
{
  /** @typedef {Desk.SearchOptions} Options */

  const AMOUNT = /^\d*\.?\d*$/;

  /** @param {{ state: DeskPage["state"], changed: () => void }} page */
  function create({ state, changed }) {
    const { part, field, make, button } = globalThis.mergeDesk.dom;
    /** @type {[string, string][]} */
    let samplers = [];
    /** What the fields hold, as typed. */
    let values = {
      ...{ prompt: "", held_out: "", seeds: "", sampler: "tpe", sampler_seed: "0", penalty: "0", prune: "0" },
      ...{ trial_limit: "300", trials: "50", minutes: "", study: "" },
    };
    let starred = false;
    /** @type {string[]} */
    let start = [];

    const lines = (/** @type {string} */ text) =>
      text
        .split("\n")
        .map((line) => line.trim())
        .filter(Boolean);
    const amount = (/** @type {string} */ text) => (AMOUNT.test(text.trim()) ? Number(text) || 0 : NaN);
    /** @returns {string} */
    const budget = () =>
      [
        [values.trials, "trials"],
        [values.minutes, "minutes"],
      ]
        .filter(([count]) => count)
        .map((each) => each.join(" "))
        .join(" or ");
    /** What is not a number is said by Python, which gets it as a text. @param {string} text */
    const number = (text) => (Number.isNaN(amount(text)) ? /** @type {any} */ (text) : amount(text));

    /** @returns {Partial<Options>} */
    function options() {
      const { seeds, sampler, study } = values;
      return {
        ...{ seeds, sampler, study: study.trim(), starred, start, budget: budget() },
        ...{ prompt: lines(values.prompt), held_out: lines(values.held_out) },
        ...{ sampler_seed: number(values.sampler_seed), penalty: number(values.penalty) },
        ...{ prune: number(values.prune), trial_limit: number(values.trial_limit) },
      };
    }
    /** @param {Options} chosen */
    function set(chosen) {
      values = {
        ...values,
        ...{ prompt: chosen.prompt.join("\n"), held_out: chosen.held_out.join("\n"), seeds: chosen.seeds },
        ...{ sampler: chosen.sampler, sampler_seed: String(chosen.sampler_seed) },
        ...{ penalty: String(chosen.penalty), prune: String(chosen.prune) },
        ...{ trial_limit: String(chosen.trial_limit) },
        trials: /(\d+) trials/.exec(chosen.budget)?.[1] ?? "",
        minutes: /([\d.]+) minutes/.exec(chosen.budget)?.[1] ?? "",
      };
      ({ starred, start } = chosen);
      show();
    }

    // --- what is shown ---

    /** @typedef {keyof typeof values} Name */
    /** @param {Name} name @param {string} text */
    function take(name, text) {
      values[name] = text;
      if (name === "sampler") showSampler();
      changed();
    }
    /** @param {string} title @param {string} more @param {Name} name */
    function labelled(title, more, name) {
      const input = make("input", {
        ...{
          type: "text",
          "data-field": name,
          value: values[name],
          autocomplete: "off",
          spellcheck: "false",
        },
        oninput: (e) => take(name, e.target.value),
      });
      return make("label", {}, make("span", {}, title), input, more ? make("small", {}, more) : null);
    }
    /** @param {string} title @param {string} placeholder @param {Name} name */
    function labelledLines(title, placeholder, name) {
      const area = make("textarea", {
        ...{ "data-field": name, rows: 2, placeholder, class: "md-textarea" },
        oninput: (e) => take(name, e.target.value),
      });
      area.value = values[name];
      return make("label", { class: "md-wide" }, make("span", {}, title), area);
    }
    function showSampler() {
      const title = samplers.find(([name]) => name === values.sampler)?.[1] ?? "";
      const hint = part("search-sampler-hint");
      if (hint) hint.textContent = title;
    }
    function samplerList() {
      return make(
        "label",
        { class: "md-wide" },
        make("span", {}, "Sampler"),
        make(
          "select",
          { "data-field": "sampler", onchange: (e) => take("sampler", e.target.value) },
          samplers.map(([name]) =>
            make("option", { value: name, selected: name === values.sampler, translate: "no" }, name),
          ),
        ),
        make("small", { "data-part": "search-sampler-hint" }),
      );
    }
    /** @param {string[]} chosen */
    function setStart(chosen) {
      start = chosen;
      showStart();
      changed();
    }
    function showStart() {
      const presets = (state.ui?.presets ?? []).filter(({ own, name }) => !own && !start.includes(name));
      const remove = (/** @type {string} */ name) =>
        button(
          `${name} ✕`,
          `Do not try this preset first: ${name}`,
          () => setStart(start.filter((each) => each !== name)),
          { class: "md-button md-chip", "data-start": name, translate: "no" },
        );
      part("search-start")?.replaceChildren(
        ...start.map(remove),
        make(
          "select",
          {
            ...{ "aria-label": "Presets that are tried first", "data-part": "search-add-start" },
            onchange: (e) => setStart([...start, e.target.value]),
          },
          make("option", { value: "" }, "Add a preset …"),
          presets.map(({ name }) => make("option", { value: name, translate: "no" }, name)),
        ),
      );
    }
    function firstTrials() {
      const box = make("input", {
        ...{ type: "checkbox", checked: starred, "data-field": "starred" },
        onchange: (e) => {
          starred = e.target.checked;
          changed();
        },
      });
      return make(
        "div",
        { class: "md-wide" },
        make("span", {}, "Tried first: the desk as it is, and these presets"),
        make("div", { class: "md-chips", "data-part": "search-start" }),
        make("label", { class: "md-check" }, box, "starred merges of the history with the same files"),
      );
    }
    function show() {
      const place = part("search-fields");
      if (!place || place.contains(document.activeElement)) return;
      place.replaceChildren(
        labelledLines("Prompts, one a line", "the prompt of the tab Mix", "prompt"),
        labelledLines("Held-out prompts: no trial is chosen by them", "none", "held_out"),
        labelled("Seeds", "1, 2 or 1-4; empty: that of the tab Mix", "seeds"),
        labelled("Trials at most", "", "trials"),
        labelled("Minutes at most", "empty: no limit", "minutes"),
        labelled("Name of the study", "empty: the next number", "study"),
        samplerList(),
        firstTrials(),
        make(
          "details",
          { class: "md-wide" },
          make("summary", {}, "More"),
          make(
            "div",
            { class: "md-search-fields" },
            labelled("Sampler's seed", "the same seed proposes the same trials", "sampler_seed"),
            labelled("Penalty", "for the distance to the desk as it is; 0 for none", "penalty"),
            labelled("Prune after", "pictures of a trial that is clearly worse; 0 for never", "prune"),
            labelled("Seconds of a trial", "longer: the trial has failed", "trial_limit"),
          ),
        ),
      );
      showSampler();
      showStart();
    }
    return {
      draw: () =>
        make(
          "section",
          { class: "md-search-how" },
          make("h3", {}, "Pictures and trials"),
          make("div", { class: "md-search-fields", "data-part": "search-fields" }),
        ),
      ...{ show, set, options, budget },
      /** @param {[string, string][]} offered */
      setSamplers: (offered) => {
        samplers = offered;
        show();
      },
      /** The name of a study is used once. */
      forgetName: () => {
        values.study = "";
        const input = field(".merge-desk-search [data-field=study]");
        if (input) input.value = "";
      },
    };
  }

  const searchFields = { create };
  if (typeof module !== "undefined") module.exports = searchFields;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, searchFields };
}
