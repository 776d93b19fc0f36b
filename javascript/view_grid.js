"use strict";
/* The tab Grid: the plan before it starts, the grid while it runs, and its buttons. The fields of the axes are in
 * view_grid_axes.js, the cells in view_grid_sheet.js. What it shows comes from lib_merge/desk/tabs/grid/view.py. */
{
  const DELAY = 600; // ms after the last key before the plan is asked for
  const POLL = 900; // ms between two questions to a running grid
  const POLL_SOON = 50; // ms until the next where cells have just come
  const BUSY = ["grid.start", "grid.map", "grid.resume"];

  /** @param {DeskPage} page @returns {DeskTab} */
  function create(page) {
    const { state, wire, mix, open } = page;
    const { field, part, make, button, problemBox } = globalThis.mergeDesk.dom;
    const { startProgress, endProgress, download } = globalThis.mergeDesk.dom;
    const axes = globalThis.mergeDesk.gridAxes.create({ state, changed: planSoon });
    const saved = globalThis.mergeDesk.gridSaved.create({ wire, axes: axes.axes, use: useAxes, failed });
    const sheet = globalThis.mergeDesk.gridSheet.create({
      mark: (marks, label) => mix.mark(marks, label),
      load: loadCell,
      whole: wholePicture,
      saveRow: (row, number) => save("grid.row", { row, sheet: number }),
    });
    let plan = "";
    let opened = false;
    let run = 0;
    let events = 0; // of the run that this page has seen
    let running = false;
    let progress = "";
    /** @type {Desk.Problem | null} */
    let problem = null;
    let pending = ""; // which of BUSY is asked for and not answered yet
    /** @type {Desk.CellSetup | null} */
    let shownCell = null; // a cell whose recipe has no faders
    let planTimer = 0;
    let pollTimer = 0;

    // --- what the user asks for ---

    /** @template {keyof Desk.Results & `grid.${string}`} N
     * @param {N} name @param {Partial<Desk.Requests[N]>} data
     * @param {{ task?: string, latest?: boolean, setsLists?: boolean, again: () => void }} how */
    async function ask(name, data, how) {
      problem = null;
      showProblem();
      const response = await wire.ask(name, data, how);
      if (response) problem = response.problem;
      showProblem();
      return response;
    }
    /** @param {Desk.Problem | null} found */
    function failed(found) {
      problem = found;
      showProblem();
    }
    /** @param {Record<string, [string, string]>} chosen */
    function useAxes(chosen) {
      axes.setAxes(chosen);
      planSoon();
    }
    const input = () => ({ parameters: state.ui ? state.parameters() : {}, axes: axes.axes });
    function planSoon() {
      clearTimeout(planTimer);
      planTimer = window.setTimeout(() => {
        if (!running) askPlan();
      }, DELAY);
    }
    async function askPlan() {
      const response = await ask("grid.plan", input(), { latest: true, again: askPlan });
      if (response) plan = response.data?.summary ?? "";
      showState();
    }
    /** @param {"grid.start" | "grid.map" | "grid.resume"} name */
    async function start(name) {
      const task = startProgress();
      pending = name;
      showState();
      const response = await ask(name, name === "grid.resume" ? {} : input(), {
        task,
        again: () => start(name),
      });
      pending = "";
      if (response?.data) begin(response.data);
      else endProgress(task);
      showState();
    }
    async function addToQueue() {
      const response = await ask("grid.add", input(), { again: addToQueue });
      if (response?.data) page.queue.take(response.data);
      showState();
    }
    function stop() {
      ask("grid.stop", {}, { again: stop });
      const status = part("grid-status");
      if (status) status.textContent = "Stopping …";
    }
    /** @param {"grid.sheet" | "grid.table" | "grid.row"} name @param {Partial<Desk.GridRow>} [data] */
    async function save(name, data = {}) {
      const response = await ask(name, data, { again: () => save(name, data) });
      if (response?.data) download(response.data.name, response.data.url);
    }
    /** @param {[number, number, number]} position @returns {Promise<string>} */
    async function wholePicture(position) {
      const again = () => void wholePicture(position);
      const response = await wire.ask("grid.picture", { position }, { latest: true, again });
      return response?.data?.url ?? "";
    }
    /** @param {[number, number, number]} position */
    async function loadCell(position) {
      const again = () => loadCell(position);
      const response = await ask("grid.load_cell", { position }, { setsLists: true, again });
      const cell = response?.data;
      if (!cell) return;
      shownCell = cell.recipe ? cell : null;
      showRecipe();
      if (cell.recipe) return;
      mix.applySetup(cell, { revision: response.revision, done: () => open("mix") });
    }

    // --- what Python says ---

    async function openTab() {
      const response = await ask("grid.open", {}, { again: openTab });
      if (!response?.data) return;
      axes.setKinds(response.data.kinds);
      axes.setAxes(response.data.axes);
      saved.set(response.data.saved);
      if (response.data.started) begin(response.data.started);
      else planSoon();
      showState();
    }
    /** @param {Desk.GridStarted} started */
    function begin(started) {
      if (started.run === run && running) return; // shown already
      run = started.run;
      axes.setAxes(started.axes);
      events = 0;
      shownCell = null;
      running = true;
      sheet.begin(started.sheet);
      poll();
    }
    async function poll() {
      clearTimeout(pollTimer);
      const response = await wire.ask("grid.poll", { run, events }, { latest: true, again: poll });
      const update = response?.data;
      if (!update) return;
      if (update.run !== run) return;
      update.cells.forEach(sheet.add);
      ({ events, running, progress } = update);
      if (update.blocks) sheet.setBlocks(update.blocks);
      if (update.problem) {
        problem = update.problem;
        showProblem();
      }
      showState();
      if (running) pollTimer = window.setTimeout(poll, update.cells.length ? POLL_SOON : POLL);
      else page.queue.look(); // Stop holds it
    }

    // --- showing the state ---

    function showState() {
      const status = part("grid-status");
      const summary = part("grid-plan");
      if (!status || !summary) return;
      status.textContent = running || run ? progress : "";
      summary.textContent = plan;
      const busy = running || BUSY.includes(pending);
      const any = sheet.hasCells();
      const able = {
        ...{ "grid-start": !busy, "grid-map": !busy, "grid-resume": !busy, "grid-stop": running },
        ...{ "grid-add": true, "grid-sheet": any, "grid-table": any },
      };
      for (const [act, can] of Object.entries(able)) {
        const found = field(`[data-act=${act}]`);
        if (found) found.disabled = !can;
      }
    }
    function showProblem() {
      part("grid-problem")?.replaceChildren(...(problem ? [problemBox(problem)] : []));
    }
    function showRecipe() {
      const words =
        shownCell &&
        `The sliders cannot show this cell's recipe: ${shownCell.why}. Its text, to paste into the History tab:`;
      part("grid-recipe")?.replaceChildren(
        ...(shownCell ? [make("p", { class: "md-hint" }, words), make("pre", {}, shownCell.recipe)] : []),
      );
    }
    function toolbar() {
      const act = (/** @type {string} */ name, more = {}) => ({ "data-act": `grid-${name}`, ...more });
      const first = { class: "md-button md-primary" };
      const off = { disabled: true };
      const startTitle = "Merge and generate every cell; finished cells are kept";
      const mapTitle = "Take one block at a time from B and measure how much the picture changes";
      const resumeTitle = "Continue the last grid: generate the cells that are missing or failed";
      const queueTitle = "Start this grid when the jobs before it have ended";
      const sheetTitle = "Download the sheet as a PNG with labels and every cell's recipe";
      return make(
        "div",
        { class: "md-toolbar" },
        button("Start", startTitle, () => start("grid.start"), act("start", first)),
        button("Stop", "Stop; finished cells are kept", stop, act("stop", off)),
        button("Resume", resumeTitle, () => start("grid.resume"), act("resume")),
        button("Add to queue", queueTitle, addToQueue, act("add", off)),
        button("Block map", mapTitle, () => start("grid.map"), act("map")),
        make("span", { class: "md-space" }),
        button("Sheet", sheetTitle, () => save("grid.sheet"), act("sheet", off)),
        button("CSV", "Download a table with one row per cell", () => save("grid.table"), act("table", off)),
      );
    }
    /** @param {HTMLElement} root */
    function draw(root) {
      root.replaceChildren(
        make("h3", {}, "Axes"),
        saved.place(),
        ...axes.draw(),
        make("p", { class: "md-hint", "data-part": "grid-plan", role: "status" }),
        toolbar(),
        make("div", { "data-part": "grid-progress" }),
        make("div", { "data-part": "grid-problem" }),
        make("p", {
          ...{ class: "md-grid-progress", "data-part": "grid-status" },
          ...{ role: "status", "aria-live": "polite" },
        }),
        make("div", { class: "md-queue", "data-part": "grid-queue" }),
        make("h3", { class: "md-unseen" }, "Cells"),
        make("div", { "data-part": "grid-recipe" }),
        make("div", { class: "md-grid-sheet", "data-part": "grid-sheet" }),
      );
      axes.show();
      saved.draw();
      sheet.draw();
      showState();
      showProblem();
      page.queue.show();
      opened = false;
    }
    function shown() {
      if (!opened) openTab();
      else planSoon();
      opened = true;
      axes.show(); // the method may be another
      page.queue.look();
    }
    page.queue.onGrid((started) => {
      if (opened && started > run) openTab(); // the next of the queue
    });
    return { draw, shown };
  }

  const grid = { create };
  if (typeof module !== "undefined") module.exports = grid;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, views: { ...globalThis.mergeDesk?.views, grid } };
}
