"use strict";
/* The tab Search, the score: scorers picked from a list, each with a factor, and a second sum for two objectives. */
{
  const MODELS = ["A", "B", "C"];
  const PICTURES = "image/png,image/jpeg,image/webp";

  /** @typedef {{ factor: string, scorer: string, argument: string }} Term */

  /** @param {{ wire: DeskPage["wire"], changed: () => void, failed: (problem: Desk.Problem | null) => void }} page */
  function create({ wire, changed, failed }) {
    const { part, make, button } = globalThis.mergeDesk.dom;
    const { translate } = globalThis.mergeDesk.language;
    const { readScore, printScore } = globalThis.mergeDesk.searchScore;
    /** @type {Desk.ScorerView[]} */
    let scorers = [];
    /** The sums; one that cannot be shown as rows stays a text. @type {(Term[] | string)[]} */
    let sums = [[]];

    /** @param {string} name */
    const scorerOf = (name) => scorers.find((each) => each.name === name);
    const texts = () => sums.map((sum) => (typeof sum === "string" ? sum : printScore(sum)));

    // --- changes ---

    /** @param {number} nth @param {(terms: Term[]) => Term[]} change */
    function edit(nth, change) {
      const sum = sums[nth];
      sums[nth] = change(typeof sum === "string" ? (readScore(sum) ?? []) : sum);
      show();
      changed();
    }
    /** @param {number} nth @param {number} place @param {Partial<Term>} more */
    const set = (nth, place, more) =>
      edit(nth, (terms) => terms.map((term, at) => (at === place ? { ...term, ...more } : term)));
    /** @param {number} nth @param {string} name */
    function add(nth, name) {
      const found = scorerOf(name);
      if (!found) return;
      const argument = found.argument.endsWith("C") ? "A" : "";
      edit(nth, (terms) => [...terms, { factor: "1", scorer: name, argument }]);
    }
    /** @param {boolean} two */
    function setObjectives(two) {
      sums = two ? [sums[0], sums[1] ?? []] : [sums[0]];
      show();
      changed();
    }
    /** @param {File | undefined} file @param {number} nth @param {number} place */
    function upload(file, nth, place) {
      if (!file) return;
      const reader = new FileReader();
      reader.onload = async () => {
        const data = { picture: String(reader.result), name: file.name };
        const again = () => upload(file, nth, place);
        const response = await wire.ask("search.reference", data, { again });
        failed(response?.problem ?? null);
        if (response?.data) set(nth, place, { argument: response.data.name });
      };
      reader.readAsDataURL(file);
    }

    // --- what is shown ---

    /** What a score is compared with. @param {Term} term @param {number} nth @param {number} place */
    function argumentOf({ argument }, nth, place) {
      const choices = [...MODELS, ...(argument && !MODELS.includes(argument) ? [argument] : [])];
      const file = make("input", {
        ...{ type: "file", accept: PICTURES, hidden: true, "data-part": "search-reference" },
        onchange: (e) => upload(e.target.files[0], nth, place),
      });
      return make(
        "span",
        { class: "md-search-to" },
        "to",
        make(
          "select",
          {
            ...{ "aria-label": "What it is compared with", "data-part": "search-closeness" },
            onchange: (e) => set(nth, place, { argument: e.target.value }),
          },
          choices.map((each) =>
            make("option", { value: each, selected: each === argument, translate: "no" }, each),
          ),
        ),
        make("label", { class: "md-button" }, "Choose a picture …", file),
      );
    }
    /** @param {Term} term @param {number} nth @param {number} place */
    function row(term, nth, place) {
      const scorer = scorerOf(term.scorer);
      return make(
        "li",
        { "data-scorer": term.scorer },
        make("input", {
          ...{ type: "text", inputmode: "decimal", class: "md-number", value: term.factor },
          ...{ "aria-label": `Factor of ${term.scorer}`, title: "Factor: below 0 for as little as possible" },
          onchange: (e) => set(nth, place, { factor: e.target.value.trim() || "1" }),
        }),
        "× ",
        make("b", { translate: "no" }, term.scorer),
        scorer?.argument.endsWith("C") ? argumentOf(term, nth, place) : null,
        button(
          "✕",
          `Take this scorer out: ${term.scorer}`,
          () => edit(nth, (terms) => terms.filter((_, at) => at !== place)),
          { class: "md-button md-small", "data-act": "search-score-remove" },
        ),
        make("span", { class: "md-hint" }, scorer?.help ?? ""),
      );
    }
    /** @param {number} nth */
    function addList(nth) {
      return make(
        "select",
        {
          ...{ "aria-label": nth ? "Add a scorer to the second score" : "Add a scorer" },
          ...{ "data-part": `search-add-score-${nth}`, onchange: (e) => add(nth, e.target.value) },
        },
        make("option", { value: "" }, "Add a scorer …"),
        scorers.map(({ name, help, missing }) =>
          make(
            "option",
            { value: name, disabled: !!missing, title: missing || help },
            `${name}: ${translate(missing || help)}`,
          ),
        ),
      );
    }
    /** @param {Term[] | string} sum @param {number} nth */
    function sumBox(sum, nth) {
      if (typeof sum === "string") return make("code", { translate: "no" }, sum);
      return make(
        "div",
        {},
        make(
          "ul",
          { class: "md-search-scores" },
          sum.map((term, at) => row(term, nth, at)),
        ),
        addList(nth),
      );
    }
    function show() {
      const two = make("input", {
        ...{ type: "checkbox", checked: sums.length > 1, "data-part": "search-two" },
        onchange: (e) => setObjectives(e.target.checked),
      });
      part("search-scores")?.replaceChildren(
        ...sums.map(sumBox),
        make("label", { class: "md-check" }, two, "Two scores at once: shows what no trial beats in both"),
      );
    }
    return {
      draw: () =>
        make("section", {}, make("h3", {}, "The score"), make("div", { "data-part": "search-scores" })),
      show,
      texts,
      /** @param {Desk.ScorerView[]} offered */
      setScorers: (offered) => {
        scorers = offered;
        show();
      },
      /** @param {string[]} written */
      set: (written) => {
        sums = (written.length ? written : [""]).map((each) => readScore(each) ?? each);
        show();
      },
    };
  }

  const searchScoreView = { create };
  if (typeof module !== "undefined") module.exports = searchScoreView;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, searchScoreView };
}
