"use strict";
/* The tab Report, what came of it: the health of files, tables, the ranking, and what a click on them does. */
{
  const EMPTY =
    "Compare shows how much each block differs from model A; Check health looks for damaged weights. Both read the files: the model in memory is not used. Results are cached.";

  /** @typedef {"input" | "output" | "overall"} Total */
  /** @typedef {"solo" | "mute" | "whole"} ActionKind what a click does to a fader */

  /** @param {{ act: (kind: ActionKind, slot: string) => void, plot: () => void }} page */
  function create({ act, plot }) {
    const { part, make, button, copy, downloadText } = globalThis.mergeDesk.dom;
    const { translate } = globalThis.mergeDesk.language;
    const { heatStyle } = globalThis.mergeDesk.colours;
    const drawn = globalThis.mergeDesk.reportDrawing.create({ solo: (slot) => act("solo", slot) });
    /** @type {Desk.Report | null} */
    let report = null;
    /** @type {Desk.HealthView[]} */
    let files = [];
    let kind = "";
    let picture = "";
    let tableAt = 0;
    let tablesOpen = false;
    /** @type {Total} */
    let sort = "overall";

    /** @param {Desk.FindingView} finding */
    const findingItem = ({ text, actions }) =>
      make(
        "li",
        {},
        make("span", {}, text),
        actions.map(({ label, action: kind, slot }) =>
          button(
            label,
            `${translate(label)}, on the Mix tab`,
            () => act(/** @type {ActionKind} */ (kind), slot),
            {
              "data-action": kind,
              "data-action-slot": slot,
            },
          ),
        ),
      );

    function draw() {
      const root = part("report-result");
      if (!root) return;
      const shown = [...files.map(health), ...(report ? comparison(report) : [])];
      root.replaceChildren(...shown.filter((each) => each != null));
      if (!root.firstChild) root.append(make("p", { class: "md-hint" }, EMPTY));
    }
    /** @param {Desk.HealthView} file */
    function health({ name, title, findings }) {
      return make(
        "section",
        { class: `md-health ${findings.length ? "md-unhealthy" : ""}`, "data-health": name },
        make("h3", { translate: "no" }, name),
        make("span", { class: "md-hint" }, ` ${title}`),
        findings.length ? make("ul", { class: "md-findings" }, findings.map(findingItem)) : null,
      );
    }
    /** @param {Desk.Report} report */
    function comparison(report) {
      const name = `report-${kind}`;
      const { title, findings, tables, ranking: ranks, notes } = report;
      const image = () =>
        make("img", { class: "md-plot", src: picture, alt: `${title}: lines and U-Net drawings` });
      return [
        make("h3", { class: "md-title" }, title),
        ...(findings.length
          ? [make("ul", { class: "md-findings md-unhealthy" }, findings.map(findingItem))]
          : []),
        drawn.draw(report.drawing),
        make(
          "p",
          { class: "md-hint" },
          "The longer and brighter a bar, the more the block differs. Click a block to solo it on the Mix tab.",
        ),
        ranks.length > 1 ? make("div", { "data-part": "report-ranking" }, ranking(ranks)) : null,
        resultButtons(report, name),
        make(
          "details",
          {
            ...{ class: "md-report-tables", open: tablesOpen, "data-part": "report-tables" },
            ontoggle: (/** @type {any} */ e) => void (tablesOpen = e.currentTarget.open),
          },
          make("summary", {}, "Tables"),
          tableChoice(report),
          make("div", { class: "md-table-scroll", "data-part": "report-table" }, table(tables[tableAt])),
        ),
        ...notes.map((note) => make("p", { class: "md-hint" }, note)),
        ...(picture
          ? [make("a", { href: picture, download: `${name}.png`, title: "Click to download" }, image())]
          : []),
      ];
    }
    /** @param {Desk.Report} report */
    function tableChoice({ tables }) {
      return make(
        "select",
        {
          ...{ "aria-label": "Which table", "data-report": "table" },
          onchange: (e) => {
            tableAt = Number(e.target.value);
            part("report-table")?.replaceChildren(table(tables[tableAt]));
          },
        },
        tables.map(({ title }, n) => make("option", { value: n, selected: n === tableAt }, title)),
      );
    }
    /** @param {Desk.Report} report @param {string} name */
    function resultButtons({ text, csv, json }, name) {
      const saveCsv = () => downloadText(`${name}.csv`, csv, "text/csv");
      const saveJson = () => downloadText(`${name}.json`, json, "application/json");
      return make(
        "div",
        { class: "md-toolbar" },
        button("Copy", "Copy all tables as text", (e) => copy(text, e.currentTarget), {
          "data-act": "report-copy",
        }),
        button("CSV", "Download every number, one row per model and block", saveCsv, {
          "data-act": "report-csv",
        }),
        button("JSON", "Download every number, one object per block", saveJson, {
          "data-act": "report-json",
        }),
        button("Picture", "Show a line per model, and each model's blocks as a U-Net", plot, {
          "data-act": "report-plot",
        }),
      );
    }
    /** The name of a model is no text of ours. @param {string} name */
    const kept = (name) => (report?.ranking.some((rank) => rank.name === name) ? "no" : null);
    /** @param {Desk.ReportTable} table */
    function table({ corner, columns, rows }) {
      const heatCell = (/** @type {Desk.ReportCell} */ { text, heat }) =>
        make("td", heat < 0 ? {} : { style: heatStyle(heat) }, text);
      const soloRow = (/** @type {string} */ slot) => ({
        ...{ "data-row": slot, tabindex: 0, title: `Solo ${slot} on the Mix tab` },
        onclick: () => act("solo", slot),
        onkeydown: (/** @type {KeyboardEvent} */ e) => {
          if (e.key !== "Enter" && e.key !== " ") return;
          e.preventDefault();
          act("solo", slot);
        },
      });
      const row = (/** @type {Desk.ReportRow} */ { name, slot, cells }) =>
        make(
          "tr",
          slot ? soloRow(slot) : { class: corner === "block" ? "md-total" : "" },
          make("th", { scope: "row", translate: kept(name) }, name),
          cells.map(heatCell),
        );
      const titles = columns.map((title) =>
        make("th", { scope: "col", title, translate: kept(title) }, title),
      );
      return make(
        "table",
        { class: "md-table" },
        make("thead", {}, make("tr", {}, make("th", {}, corner), titles)),
        make("tbody", {}, rows.map(row)),
      );
    }
    /** @param {Desk.Rank[]} ranks */
    function ranking(ranks) {
      /** @type {Total[]} */
      const totals = ["input", "output", "overall"];
      const by = (/** @type {Total} */ name) => {
        const rank = () => {
          sort = name;
          part("report-ranking")?.replaceChildren(ranking(ranks));
        };
        const attributes = { "data-rank": name, "aria-pressed": String(sort === name) };
        return make("th", { scope: "col" }, button(name, `Rank by the ${name} total`, rank, attributes));
      };
      const sorted = [...ranks].sort((x, y) => (y[sort] ?? -Infinity) - (x[sort] ?? -Infinity));
      const cell = (/** @type {number | null} */ value) =>
        make("td", {}, value == null ? "" : value.toFixed(4));
      const row = (/** @type {Desk.Rank} */ rank, /** @type {number} */ n) =>
        make(
          "tr",
          {},
          make("th", { scope: "row", translate: "no" }, `${n + 1}. ${rank.name}`),
          totals.map((name) => cell(rank[name])),
        );
      return make(
        "table",
        { class: "md-table md-ranking" },
        make("thead", {}, make("tr", {}, make("th", {}, "most similar first"), totals.map(by))),
        make("tbody", {}, sorted.map(row)),
      );
    }

    /** @param {Desk.Report} fresh @param {string} kindId */
    function setReport(fresh, kindId) {
      [report, kind, files, tableAt, picture] = [fresh, kindId, [], 0, ""];
      draw();
    }
    /** @param {Desk.HealthView[]} fresh */
    function setFiles(fresh) {
      files = fresh;
      draw();
    }
    /** @param {string} url */
    function setPicture(url) {
      picture = url;
      draw();
    }
    return { draw, setReport, setFiles, setPicture };
  }

  const reportResult = { create };
  if (typeof module !== "undefined") module.exports = reportResult;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, reportResult };
}
