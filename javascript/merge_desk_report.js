/* Merge Desk, the room Report: which models to look at, the tables, the ranking, and what a click on them does
 * to the faders. What is shown comes from lib_merge/desk/report_view.py as JSON. */
(() => {
  "use strict";

  const EVERY = 400; // ms between two looks at how far a report is
  const FEW = 9; // models from which a filter helps
  const HERE = { offer: null, touched: false, reference: "", chosen: new Set(), kind: "weights", seed: "", base: "", filter: "",
    busy: null, far: null, problem: null, report: null, checked: null, picture: "", shown: 0, sort: "overall", body: null, told: "" };
  const { $, make, button, mount, part, problemBox } = window.mergeDesk.tools;
  const faders = window.mergeDesk.faders;
  const kind = () => HERE.offer?.kinds.find((each) => each.id === HERE.kind);

  // --- asking ---

  const ask = (action, body = {}) => {
    HERE.busy = { seq: window.mergeDesk.ask("report", { action, body }), action };
    Object.assign(HERE, { far: null, problem: null });
    showState();
  };
  function body() {
    const asked = { reference: HERE.reference, models: [...HERE.chosen], kind: HERE.kind };
    if (HERE.base && HERE.kind === "weights") asked.base = HERE.base;
    if (HERE.seed !== "" && kind()?.seed != null) asked.seed = Number(HERE.seed);
    return asked;
  }
  function compare() {
    Object.assign(HERE, { body: body(), picture: "", told: "" });
    ask("compare", HERE.body);
  }
  function check() {
    const models = [...new Set([HERE.reference, ...HERE.chosen])].filter(Boolean);
    HERE.told = "";
    ask("check", HERE.base ? { models: models.filter((name) => name !== HERE.base), base: HERE.base } : { models });
  }
  const press = (name) => $(`#merge_desk_${name}`)?.click();
  setInterval(() => { if (HERE.busy && HERE.busy.action !== "offer") press("report_far"); }, EVERY);

  const hear = {
    report_answer(answer) {
      if (!answer.action || HERE.busy?.seq !== answer.seq) return;
      Object.assign(HERE, { busy: null, far: null, problem: answer.problem });
      if (answer.offer) { takeOffer(answer.offer); return; }
      if (answer.report) Object.assign(HERE, { report: answer.report, checked: null, shown: 0 });
      if (answer.checked) HERE.checked = answer.checked;
      if (answer.picture) HERE.picture = answer.picture;
      drawResult();
      showState();
    },
    report_progress(far) { if (HERE.busy) { HERE.far = far.running ? far : HERE.far; showState(); } },
  };
  function takeOffer(offer) {
    HERE.offer = offer;
    if (!HERE.touched) Object.assign(HERE, { reference: offer.a || offer.checkpoints[0] || "", chosen: new Set(offer.b ? [offer.b] : []) });
    const there = (name) => offer.checkpoints.includes(name);
    HERE.chosen = new Set([...HERE.chosen].filter(there));
    if (!there(HERE.base)) HERE.base = "";
    drawAsking();
    showState();
  }

  // --- what is asked for ---

  const choose = (change) => { HERE.touched = true; change(); showState(); };
  function field(label, title, input) {
    return make("label", { class: "md-field", title }, make("span", {}, label), input);
  }
  function list(name, label, options, value, change) {
    return make("select", { "aria-label": label, "data-report": name, onchange: (e) => choose(() => change(e.target.value)) },
      options.map(([id, title]) => make("option", { value: id, selected: id === value }, title)));
  }
  function drawAsking() {
    const root = part("report-ask");
    if (!root || !HERE.offer) return;
    const names = HERE.offer.checkpoints;
    const options = names.map((name) => [name, name]);
    const seeded = kind().seed != null;
    const filter = names.length < FEW ? null : make("input", { type: "search", placeholder: "filter", "aria-label": "Filter the models", value: HERE.filter,
      oninput: (e) => { HERE.filter = e.target.value; showModels(); } });
    root.replaceChildren(...[
      field("Reference", "The model that all others are seen beside",
        list("reference", "Reference", options, HERE.reference, (name) => { HERE.reference = name; showModels(); })),
      make("fieldset", { class: "md-field" }, make("legend", {}, "Models beside it"), filter,
        make("div", { class: "md-models", "data-part": "report-models" })),
      field("Kind", "Which number to compare by",
        list("kind", "Kind", HERE.offer.kinds.map(({ id, title }) => [id, title]), HERE.kind, (id) => { HERE.kind = id; HERE.seed = ""; drawAsking(); })),
      seeded ? field("Seed", "Of the noise that attention is given; results depend on it", make("input", { type: "number", step: 1, "data-report": "seed",
        value: HERE.seed === "" ? kind().seed : HERE.seed, onchange: (e) => choose(() => { HERE.seed = e.target.value; }) })) : null,
      field(seeded ? "Sound model" : "Base", seeded ? "For the health check: a model that is known to be sound" : "Compare the differences to this model; for the health check, a model that is known to be sound",
        list("base", "Base", [["", "none"], ...options], HERE.base, (name) => { HERE.base = name; })),
      make("div", { class: "md-toolbar" },
        button("Compare", "How the models differ from the reference, block by block", compare, { class: "md-button md-go", "data-act": "report-compare" }),
        button("Check health", "Look for damage in all of these models", check, { "data-act": "report-check" }),
        button("Stop", "Stop; what is finished is kept for the next time", () => press("report_stop"), { "data-act": "report-stop" })),
      make("div", { class: "md-far", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100, "data-part": "report-far" }, make("i"), make("span", {}))].filter(Boolean));
    showModels();
  }
  function showModels() {
    const wanted = HERE.filter.trim().toLowerCase();
    part("report-models")?.replaceChildren(...HERE.offer.checkpoints.filter((name) => name !== HERE.reference && name.toLowerCase().includes(wanted)).map((name) =>
      make("label", { title: name }, make("input", { type: "checkbox", checked: HERE.chosen.has(name), "data-model": name,
        onchange: (e) => choose(() => { if (e.target.checked) HERE.chosen.add(name); else HERE.chosen.delete(name); }) }), make("span", {}, name))));
    if (HERE.chosen.delete(HERE.reference)) showState();
  }
  function showState() {
    const busy = HERE.busy && HERE.busy.action !== "offer";
    const can = { compare: !busy && HERE.reference && HERE.chosen.size, check: !busy && (HERE.reference || HERE.chosen.size), stop: busy };
    for (const [act, able] of Object.entries(can)) { const found = $(`[data-act=report-${act}]`); if (found) found.disabled = !able; }
    const far = part("report-far");
    if (far) {
      const percent = Math.round(100 * (HERE.far?.share ?? 0));
      far.hidden = !busy;
      far.setAttribute("aria-valuenow", percent);
      far.firstChild.style.width = `${percent}%`;
      far.lastChild.textContent = HERE.far ? `${HERE.far.what} … ${percent} %` : "reading …";
    }
    part("report-problem")?.replaceChildren(...(HERE.problem ? [problemBox(HERE.problem)] : []));
    const told = part("report-told");
    if (told) told.replaceChildren(...(HERE.told ? [HERE.told, " ", button("Show the desk", "To the faders", () => window.mergeDesk.open("mix"))] : []));
  }

  // --- what came back ---

  const doing = {
    solo: (slot) => { faders.solo(slot); HERE.told = `${slot} is soloed on the desk: all other blocks keep A's.`; },
    mute: (slot) => { faders.mute(slot); HERE.told = `${slot} is muted on the desk: it keeps A's block.`; },
    whole: (slot) => { faders.set({ alpha: { [slot]: 1 } }); HERE.told = `${slot} is at 1 on the desk: it takes B's block.`; },
  };
  function act(what, slot) {
    if (faders.unused()) HERE.told = faders.unused();
    else if (!faders.slots().includes(slot)) HERE.told = `The desk has no fader ${slot} for these models.`;
    else doing[what](slot);
    showState();
  }
  const said = ({ text, acts }) => make("li", {}, make("span", {}, text),
    acts.map(({ label, do: what, slot }) => button(label, `${label}, on the desk`, () => act(what, slot), { "data-do": what, "data-at": slot })));

  function drawResult() {
    const root = part("report-result");
    if (!root) return;
    root.replaceChildren(...(HERE.checked ?? []).map(health), ...(HERE.report ? comparison(HERE.report) : []));
    if (!HERE.report && !HERE.checked)
      root.append(make("p", { class: "md-hint" }, "Compare shows block by block how much models differ from the reference; Check health looks for damage in them. Results are kept, and the model in memory takes no part."));
  }
  function health({ name, title, findings }) {
    return make("section", { class: `md-health ${findings.length ? "md-ill" : ""}`, "data-health": name },
      make("b", {}, name), make("span", { class: "md-hint" }, ` ${title}`), findings.length ? make("ul", { class: "md-findings" }, findings.map(said)) : null);
  }
  function comparison(report) {
    const choice = make("select", { "aria-label": "Which table", "data-report": "table", onchange: (e) => { HERE.shown = Number(e.target.value); showTable(); } },
      report.tables.map(({ title }, n) => make("option", { value: n, selected: n === HERE.shown }, title)));
    const name = `report-${HERE.body.kind}`;
    return [
      make("h4", { class: "md-title" }, report.title),
      report.findings.length ? make("ul", { class: "md-findings md-ill" }, report.findings.map(said)) : null,
      make("div", { class: "md-toolbar" }, choice,
        make("span", { class: "md-space" }),
        button("Copy", "All tables as text", (e) => copy(report.text, e.currentTarget), { "data-act": "report-copy" }),
        button("CSV", "Every number, one row a model and slot", () => save(`${name}.csv`, report.csv, "text/csv"), { "data-act": "report-csv" }),
        button("JSON", "Every number, one object a slot", () => save(`${name}.json`, report.json, "application/json"), { "data-act": "report-json" }),
        button("Picture", "A line a model, and each model's blocks as a U", () => ask("plot", HERE.body), { "data-act": "report-plot" })),
      make("div", { class: "md-sheets" },
        make("div", { class: "md-sheetwrap", "data-part": "report-table" }, table(report.tables[HERE.shown])),
        report.ranking.length > 1 ? make("div", { "data-part": "report-ranking" }, ranking(report.ranking)) : null),
      make("p", { class: "md-hint" }, "Red differs, green is alike. A click on a row solos that fader on the desk."),
      ...report.notes.map((note) => make("p", { class: "md-hint" }, note)),
      HERE.picture ? make("a", { href: HERE.picture, download: `${name}.png`, title: "Click to download" }, make("img", { class: "md-plot", src: HERE.picture, alt: `${report.title}: lines and U shapes` })) : null,
    ].filter(Boolean);
  }
  const showTable = () => part("report-table")?.replaceChildren(table(HERE.report.tables[HERE.shown]));
  const warm = (heat) => (heat < 0 ? null : `--heat:${heat.toFixed(3)}`);
  function table({ corner, columns, rows }) {
    const row = ({ name, slot, cells }) => make("tr", slot
      ? { "data-row": slot, tabindex: 0, title: `Solo ${slot} on the desk`, onclick: () => act("solo", slot),
        onkeydown: (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); act("solo", slot); } } }
      : { class: corner === "slot" ? "md-total" : "" },
      make("th", { scope: "row" }, name), cells.map(({ text, heat }) => make("td", heat < 0 ? {} : { class: "md-heat", style: warm(heat) }, text)));
    return make("table", { class: "md-table" },
      make("thead", {}, make("tr", {}, make("th", {}, corner), columns.map((title) => make("th", { scope: "col", title }, title)))),
      make("tbody", {}, rows.map(row)));
  }
  function ranking(ranks) {
    const by = (name) => button(name, `Rank by the ${name} total`, () => { HERE.sort = name; part("report-ranking").replaceChildren(ranking(ranks)); }, { "data-rank": name, "aria-pressed": String(HERE.sort === name) });
    const sorted = [...ranks].sort((x, y) => (y[HERE.sort] ?? -Infinity) - (x[HERE.sort] ?? -Infinity));
    const names = ["input", "output", "overall"];
    return make("table", { class: "md-table md-ranking" },
      make("thead", {}, make("tr", {}, make("th", {}, "the most alike first"), names.map((name) => make("th", { scope: "col" }, by(name))))),
      make("tbody", {}, sorted.map((rank, n) => make("tr", {}, make("th", { scope: "row" }, `${n + 1}. ${rank.name}`),
        names.map((name) => make("td", {}, rank[name] == null ? "" : rank[name].toFixed(4)))))));
  }

  // --- out of the page ---

  function save(name, text, type) {
    const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
  async function copy(text, knob) {
    try { await navigator.clipboard.writeText(text); } catch { // a page without https may not
      const area = make("textarea", {}, text);
      knob.after(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    knob.textContent = "Copied";
    setTimeout(() => { knob.textContent = "Copy"; }, 1500);
  }

  function draw(root) {
    root.replaceChildren(
      make("div", { class: "md-report" },
        make("div", { class: "md-asking", "data-part": "report-ask" }, make("p", { class: "md-hint" }, "Looking at what is there …")),
        make("div", { class: "md-result" }, make("div", { "data-part": "report-problem" }), make("p", { class: "md-told-report", role: "status", "data-part": "report-told" }),
          make("div", { "data-part": "report-result" }))));
    drawAsking();
    drawResult();
    showState();
    new IntersectionObserver((seen) => { if (seen.some((each) => each.isIntersecting) && !HERE.busy) ask("offer"); }).observe(root);
  }
  window.mergeDesk.room("report", { draw, hear });
})();
