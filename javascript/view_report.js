"use strict";
/* The tab Report: which models are compared, and how far that is. The tables are in view_report_result.js. What is
 * shown comes from lib_merge/desk/tabs/report/view.py. */
{
  const POLL = 400; // ms between two questions how far a report is
  const MIN_FILTERED = 9; // models from which there is a filter
  const BASE =
    "Compare the differences to this model; for the health check, a model that is known to be good";

  /** @typedef {"solo" | "mute" | "whole"} ActionKind */

  /** @param {DeskPage} page @returns {DeskTab} */
  function create({ state, wire, mix, open }) {
    const { edits } = globalThis.mergeDesk;
    const { field, part, make, button, problemBox, whenShown } = globalThis.mergeDesk.dom;
    const { translate } = globalThis.mergeDesk.language;
    const result = globalThis.mergeDesk.reportResult.create({ act, plot });

    // what is asked for
    /** @type {Desk.ReportOptions | null} */
    let options = null;
    let touched = false;
    let reference = "";
    /** @type {Set<string>} */
    let chosen = new Set();
    let kindId = "weights";
    let seed = "";
    let base = "";
    let filter = "";
    /** @type {Partial<Desk.CompareRequest>} */
    let body = {};
    // what is running
    let busy = ""; // what is being made
    /** @type {Desk.ReportProgress | null} */
    let progress = null;
    /** @type {Desk.Problem | null} */
    let problem = null;
    let status = "";

    const kind = () => options?.kinds.find((each) => each.id === kindId);
    const isSeeded = () => kind()?.seed != null;

    // --- asking ---

    /** @template {"report.open" | "report.compare" | "report.check" | "report.plot"} N
     * @param {N} name @param {Partial<Desk.Requests[N]>} [asked]
     * @returns {Promise<Desk.Results[N] | null>} */
    async function ask(name, asked = {}) {
      busy = name;
      progress = problem = null;
      showState();
      const response = await wire.ask(name, asked, { again: () => void ask(name, asked) });
      busy = "";
      progress = null;
      problem = response?.problem ?? null;
      showState();
      return response?.data ?? null;
    }
    async function openTab() {
      const found = await ask("report.open");
      if (found) setOptions(found);
      showState();
    }
    async function plot() {
      const found = await ask("report.plot", body);
      if (!found) return;
      result.setPicture(found.picture);
    }
    async function compare() {
      body = { reference, models: [...chosen], kind: kindId };
      if (base && kind()?.base) body.base = base;
      if (seed !== "" && isSeeded()) body.seed = Number(seed);
      status = "";
      const found = await ask("report.compare", body);
      if (!found) return;
      result.setReport(found, kindId);
    }
    async function check() {
      const models = [...new Set([reference, ...chosen])].filter(Boolean);
      status = "";
      const others = models.filter((name) => name !== base);
      const found = await ask("report.check", base ? { models: others, base } : { models });
      if (!found) return;
      result.setFiles(found.files);
    }
    const making = () => busy !== "" && busy !== "report.open";
    setInterval(async () => {
      if (!making()) return;
      const response = await wire.ask("report.progress", {}, { latest: true });
      if (!making() || !response?.data?.running) return;
      progress = response.data;
      showState();
    }, POLL);
    /** @param {Desk.ReportOptions} fresh */
    function setOptions(fresh) {
      options = fresh;
      if (!touched) {
        reference = fresh.a || fresh.checkpoints[0] || "";
        chosen = new Set(fresh.b ? [fresh.b] : []);
      }
      const there = (/** @type {string} */ name) => fresh.checkpoints.includes(name);
      chosen = new Set([...chosen].filter(there));
      if (!there(base)) base = "";
      drawForm();
    }

    // --- what is asked for ---

    /** @param {() => void} change */
    function choose(change) {
      touched = true;
      change();
      showState();
    }
    /** @param {string} label @param {string} title @param {HTMLElement} input */
    const labelled = (label, title, input) =>
      make("label", { class: "md-field", title }, make("span", {}, label), input);
    /** @param {string} name @param {string} label @param {[string, string][]} choices @param {string} value @param {(value: string) => void} change */
    function list(name, label, choices, value, change) {
      return make(
        "select",
        { "aria-label": label, "data-report": name, onchange: (e) => choose(() => change(e.target.value)) },
        choices.map(([id, title]) =>
          make("option", { value: id, selected: id === value, translate: id === title ? "no" : null }, title),
        ),
      );
    }
    function filterBox() {
      return make("input", {
        ...{ type: "search", placeholder: "filter", "aria-label": "Filter the models", value: filter },
        oninput: (e) => {
          filter = e.target.value;
          showModels();
        },
      });
    }
    function seedBox() {
      const input = make("input", {
        ...{ type: "number", step: 1, "data-report": "seed", value: seed === "" ? kind()?.seed : seed },
        onchange: (e) => choose(() => void (seed = e.target.value)),
      });
      return labelled(
        "Seed",
        "Random seed of the noise fed to the attention layers; results depend on it",
        input,
      );
    }
    function actButtons() {
      const compares = { class: "md-button md-primary", "data-act": "report-compare" };
      const stops = () => wire.ask("report.stop");
      return make(
        "div",
        { class: "md-toolbar" },
        button("Compare", "How much each block differs from model A", compare, compares),
        button("Check health", "Look for damaged weights in all of these models", check, {
          "data-act": "report-check",
        }),
        button("Stop", "Stop; finished parts are cached for the next run", stops, {
          "data-act": "report-stop",
        }),
      );
    }
    function progressBar() {
      const limits = { "aria-valuemin": 0, "aria-valuemax": 100 };
      const attributes = {
        role: "progressbar",
        "aria-label": "Progress",
        ...limits,
        "data-part": "report-progress",
      };
      return make("div", { class: "md-progress", ...attributes }, make("i"), make("span", {}));
    }
    function drawForm() {
      const root = part("report-form");
      if (!root || !options) return;
      /** @type {[string, string][]} */
      const models = options.checkpoints.map((name) => [name, name]);
      /** @type {[string, string][]} */
      const kinds = options.kinds.map(({ id, title }) => [id, title]);
      const setReference = (/** @type {string} */ name) => {
        reference = name;
        drawForm();
      };
      const setKind = (/** @type {string} */ id) => {
        kindId = id;
        seed = "";
        drawForm();
      };
      // a difference to itself is none; of a known-good model it is asked nothing else
      const bases = models.filter(([name]) => name !== reference || isSeeded());
      if (!bases.some(([name]) => name === base)) base = "";
      const setBase = (/** @type {string} */ name) => void (base = name);
      const baseLabel = isSeeded() ? "Known-good model" : "Base";
      root.replaceChildren(
        make("h3", { class: "md-unseen" }, "What is compared"),
        labelled(
          "Model A",
          "The model that the others are compared with",
          list("reference", "Model A", models, reference, setReference),
        ),
        make(
          "fieldset",
          { class: "md-field" },
          make("legend", {}, "Compare with"),
          models.length < MIN_FILTERED ? null : filterBox(),
          make("div", { class: "md-models", "data-part": "report-models" }),
        ),
        labelled("Measure", "What is compared", list("kind", "Measure", kinds, kindId, setKind)),
        ...(isSeeded() ? [seedBox()] : []),
        labelled(
          baseLabel,
          isSeeded() ? "For the health check: a model that is known to be good" : BASE,
          list("base", baseLabel, [["", "none"], ...bases], base, setBase),
        ),
        actButtons(),
        progressBar(),
      );
      showModels();
    }
    function showModels() {
      const requested = filter.trim().toLowerCase();
      const set = (/** @type {string} */ name, /** @type {boolean} */ on) =>
        choose(() => void (on ? chosen.add(name) : chosen.delete(name)));
      const box = (/** @type {string} */ name) =>
        make("input", {
          ...{ type: "checkbox", checked: chosen.has(name), "data-model": name },
          onchange: (e) => set(name, e.target.checked),
        });
      const names = (options?.checkpoints ?? []).filter(
        (name) => name !== reference && name.toLowerCase().includes(requested),
      );
      part("report-models")?.replaceChildren(
        ...names.map((name) =>
          make("label", { title: name, translate: "no" }, box(name), make("span", {}, name)),
        ),
      );
      if (chosen.delete(reference)) showState();
    }
    function showState() {
      const can = {
        ...{ compare: !making() && reference && chosen.size, check: !making() && (reference || chosen.size) },
        stop: making(),
      };
      for (const [act, able] of Object.entries(can)) {
        const found = field(`[data-act=report-${act}]`);
        if (found) found.disabled = !able;
      }
      showProgress();
      part("report-problem")?.replaceChildren(...(problem ? [problemBox(problem)] : []));
      const desk = () => button("Go to Mix", "Show the sliders", () => open("mix"));
      part("report-status")?.replaceChildren(...(status ? [status, " ", desk()] : []));
    }
    function showProgress() {
      const bar = part("report-progress");
      if (!bar) return;
      const percent = Math.round(100 * (progress?.share ?? 0));
      const [filled, words] = /** @type {HTMLElement[]} */ ([...bar.children]);
      bar.hidden = !making();
      bar.setAttribute("aria-valuenow", String(percent));
      filled.style.width = `${percent}%`;
      words.textContent = progress ? `${translate(progress.what)} … ${percent} %` : "reading …";
    }

    // --- what a click on a result does ---

    /** @type {Record<ActionKind, (slot: string) => string>} */
    const ACTIONS = {
      solo: (slot) => {
        mix.edit(() => edits.soloOnly(state, slot));
        return `${slot} is soloed on the Mix tab: all other blocks keep A.`;
      },
      mute: (slot) => {
        mix.edit(() => edits.muteAlso(state, slot));
        return `${slot} is muted on the Mix tab: this block keeps A.`;
      },
      whole: (slot) => {
        mix.edit(() => state.set({ alpha: { [slot]: 1 } }));
        return `${slot} is set to 1 on the Mix tab: this block is B's.`;
      },
    };
    /** @param {ActionKind} kind @param {string} slot */
    function act(kind, slot) {
      const known = state.slots().includes(slot);
      const none = `The Mix tab has no slider ${slot} for these models.`;
      const useless = kind !== "whole" && !state.canKeepA;
      const never = `No amount keeps A with ${state.ui?.method.title}, so that a block cannot be left out.`;
      status = state.ui?.no_block_weights || (known ? (useless ? never : ACTIONS[kind](slot)) : none);
      showState();
    }
    /** @param {HTMLElement} root */
    function draw(root) {
      const looking = make("p", { class: "md-hint" }, "Reading the list of models …");
      root.replaceChildren(
        make(
          "div",
          { class: "md-report" },
          make("div", { class: "md-report-form", "data-part": "report-form" }, looking),
          make(
            "div",
            { class: "md-result" },
            make("div", { "data-part": "report-problem" }),
            make("p", { class: "md-report-action", role: "status", "data-part": "report-status" }),
            make("div", { "data-part": "report-result" }),
          ),
        ),
      );
      drawForm();
      result.draw();
      showState();
      whenShown(root, () => {
        if (!busy) openTab(); // what there is may have changed meanwhile
      });
    }
    return { draw };
  }

  const report = { create };
  if (typeof module !== "undefined") module.exports = report;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, views: { ...globalThis.mergeDesk?.views, report } };
}
