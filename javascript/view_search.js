"use strict";
/* The tab Search: the plan before it starts, the search while it runs, and its buttons. What is chosen is in
 * view_search_space.js, view_search_score.js and view_search_fields.js, the trials are in view_search_trials.js. What
 * it shows comes from lib_merge/desk/tabs/search/view.py.
 *
 * Two places are for other scripts. view_search_drawings.js draws the trials into data-mount=search_drawings. What compares
 * two pictures (mergeDesk.searchEye, a SearchPart of types/page.d.ts) gets data-mount=search_eye: it is made with the
 * wire, and is shown the whole study after every change (SearchShown). */
{
  const DELAY = 600; // ms after the last key before the plan is asked for
  const POLL = 900; // ms between two questions to a running search
  const POLL_SOON = 50; // ms until the next where there are more trials
  const BUSY = ["search.start", "search.go_on"];
  const UNMADE = ["waiting", "given back"];
  const FINAL = ["done", "failed", "pruned", "given back"];

  /** @param {DeskPage} page @returns {DeskTab} */
  function create(page) {
    const { state, wire, mix, open } = page;
    const { field, part, mount, make, button, problemBox, startProgress, endProgress, whenReleased } =
      globalThis.mergeDesk.dom;
    const space = globalThis.mergeDesk.searchSpaceView.create({ state, changed: planSoon });
    const score = globalThis.mergeDesk.searchScoreView.create({ wire, changed: planSoon, failed });
    const fields = globalThis.mergeDesk.searchFields.create({ state, changed: planSoon });
    const list = globalThis.mergeDesk.searchTrials.create({ take, whole, looked: () => showDrawings() });
    const drawings = globalThis.mergeDesk.searchDrawings.create({ select: (number) => list.look(number) });
    const eye = globalThis.mergeDesk.searchEye?.create({ wire, take, poll });

    let opened = false;
    /** @type {Desk.Problem | null} */
    let missing = null;
    /** @type {string[]} */
    let studies = [];
    let plan = "";
    /** What of the plan is wrong. @type {Desk.Problem | null} */
    let wrong = null;
    /** @type {Desk.Problem | null} */
    let problem = null;
    /** @type {Desk.SearchUpdate | null} */
    let update = null;
    /** All trials of the study, by number. @type {Desk.TrialView[]} */
    let trials = [];
    let pending = ""; // which of BUSY is asked for and not answered yet
    /** @type {Desk.CellSetup | null} */
    let shownRecipe = null; // of a trial, where the sliders cannot show it
    let planTimer = 0;
    let pollTimer = 0;

    // --- what the user asks for ---

    /** @template {keyof Desk.Results & `search.${string}`} N
     * @param {N} name @param {Partial<Desk.Requests[N]>} data
     * @param {{ task?: string, latest?: boolean, setsLists?: boolean, again: () => void }} how */
    async function ask(name, data, how) {
      failed(null);
      const response = await wire.ask(name, data, how);
      if (response) failed(response.problem);
      return response;
    }
    /** @param {Desk.Problem | null} what */
    function failed(what) {
      problem = what;
      showProblem();
    }
    const input = () => ({
      parameters: state.ui ? state.parameters() : {},
      options: /** @type {Desk.SearchOptions} */ ({
        ...fields.options(),
        ...{ space: space.text(), score: score.texts() },
      }),
    });
    function planSoon() {
      clearTimeout(planTimer);
      planTimer = window.setTimeout(() => {
        if (!missing) askPlan();
      }, DELAY);
    }
    async function askPlan() {
      const response = await wire.ask("search.plan", input(), { latest: true, again: askPlan });
      if (!response) return;
      plan = response.data?.summary ?? "";
      wrong = response.data?.problem ?? response.problem;
      showState();
      showProblem();
    }
    /** @param {"search.start" | "search.go_on"} name */
    async function begin(name) {
      const task = startProgress();
      pending = name;
      showState();
      const data =
        name === "search.start" ? input() : { study: update?.study ?? "", budget: fields.budget() };
      const response = await ask(name, data, { task, again: () => begin(name) });
      pending = "";
      if (response?.data) {
        if (name === "search.start") fields.forgetName();
        const setup = /** @type {HTMLDetailsElement | null} */ (part("search-setup"));
        if (setup) setup.open = false;
        takeIn(response.data);
        poll();
      } else endProgress(task);
      showState();
    }
    async function addToQueue() {
      const response = await ask("search.add", input(), { again: addToQueue });
      if (response?.data) page.queue.take(response.data);
      showState();
    }
    /** @param {"search.pause" | "search.stop"} name */
    async function end(name) {
      const response = await ask(name, {}, { again: () => end(name) });
      if (response?.data) poll();
    }
    /** @param {string} study */
    async function showStudy(study) {
      const response = await ask("search.show", { study }, { again: () => showStudy(study) });
      if (!response?.data) return;
      takeIn(response.data);
      choose(response.data.options);
      poll();
    }
    /** @param {number} number @param {number} picture @returns {Promise<string>} */
    async function whole(number, picture) {
      const again = () => void whole(number, picture);
      const response = await wire.ask("search.picture", { number, picture }, { again });
      return response?.data?.url ?? "";
    }
    /** @param {number} number of a trial */
    async function take(number) {
      const again = () => take(number);
      const response = await ask("search.take", { number }, { setsLists: true, again });
      const setup = response?.data;
      if (!setup) return;
      shownRecipe = setup.recipe ? setup : null;
      showRecipe();
      if (setup.recipe) return;
      mix.applySetup(setup, { revision: response.revision, done: () => open("mix") });
    }

    // --- what Python says ---

    async function openTab() {
      const response = await ask("search.open", {}, { again: openTab });
      const menu = response?.data;
      if (!menu) return;
      missing = menu.missing;
      studies = menu.studies;
      score.setScorers(menu.scorers);
      fields.setSamplers(menu.samplers);
      if (menu.chosen) choose(menu.chosen);
      takeIn(menu.update);
      const setup = /** @type {HTMLDetailsElement | null} */ (part("search-setup"));
      if (setup) setup.open = !menu.update.study;
      planSoon();
      if (menu.update.running || menu.update.more) poll();
    }
    /** @param {Desk.SearchOptions} chosen */
    function choose(chosen) {
      score.set(chosen.score);
      fields.set(chosen);
      space.set(chosen.space);
    }
    /** @param {Desk.SearchUpdate} fresh */
    function takeIn(fresh) {
      if (fresh.study !== update?.study) {
        trials = [];
        list.forget();
      }
      trials = [...trials.slice(0, fresh.first), ...fresh.trials];
      if (fresh.study && !studies.includes(fresh.study)) studies = [...studies, fresh.study];
      update = fresh;
      if (fresh.problem) problem = fresh.problem;
      showAll();
    }
    /** The first trial that may still change. */
    function firstOpen() {
      const nth = trials.findIndex((trial) => !FINAL.includes(trial.state));
      return nth < 0 ? trials.length : nth;
    }
    async function poll() {
      clearTimeout(pollTimer);
      const seen = { study: update?.study ?? "", first: firstOpen() };
      const response = await wire.ask("search.poll", seen, { latest: true, again: poll });
      if (!response?.data) return;
      takeIn(response.data);
      const { running, more, ending } = response.data; // what ends may be another study than the one shown
      if (running || more || ending) pollTimer = window.setTimeout(poll, more ? POLL_SOON : POLL);
      else page.queue.look(); // Stop holds it
    }

    // --- showing the state ---

    function showAll() {
      showState();
      showProblem();
      if (!update) return;
      list.show({ trials, best: update.best, front: update.front });
      showDrawings();
      eye?.show({ update, trials });
    }
    const showDrawings = () => whenReleased(drawPlots);
    function drawPlots() {
      const place = mount("search_drawings");
      if (!place || !update || !state.ui) return;
      const { objectives, front, best, importances } = update;
      const dimensions = update.dimensions.map(({ name, slots, low, high, choices }) => ({
        ...{ name, slots, low: low ?? 0, high: high ?? 1, options: choices },
        importance: importances[name] ?? -1,
      }));
      const listed = trials.filter((trial) => !UNMADE.includes(trial.state));
      const layout = state.ui.fader_layout;
      place.hidden = listed.every((trial) => !FINAL.includes(trial.state));
      drawings.show(place, { trials: listed, dimensions, objectives, front, best, layout }, list.looked());
    }
    function showState() {
      const status = part("search-status");
      const summary = part("search-plan");
      if (!status || !summary) return;
      const running = !!update?.running;
      status.textContent = update?.message ?? "";
      summary.textContent = plan;
      const busy = running || !!update?.ending || BUSY.includes(pending);
      const able = {
        ...{ "search-start": !busy && !missing && !wrong, "search-add": !missing && !wrong },
        ...{ "search-pause": running && !update?.ending, "search-stop": running },
        "search-go": !busy && !!update?.study,
      };
      for (const [act, can] of Object.entries(able)) {
        const found = field(`[data-act=${act}]`);
        if (found) found.disabled = !can;
      }
      showStudies(busy);
    }
    /** @param {boolean} busy */
    function showStudies(busy) {
      const select = /** @type {HTMLSelectElement | null} */ (part("search-studies"));
      if (!select) return;
      select.hidden = !studies.length;
      select.disabled = busy;
      select.replaceChildren(
        make("option", { value: "", disabled: true, selected: !update?.study }, "studies …"),
        ...studies.map((name) =>
          make("option", { value: name, selected: name === update?.study, translate: "no" }, name),
        ),
      );
    }
    function showProblem() {
      part("search-problem")?.replaceChildren(...(problem ? [problemBox(problem)] : []));
      part("search-wrong")?.replaceChildren(
        ...(wrong && !missing ? [problemBox({ ...wrong, calm: true })] : []),
      );
      part("search-missing")?.replaceChildren(...(missing ? [problemBox(missing)] : []));
    }
    function showRecipe() {
      const words =
        shownRecipe &&
        `The sliders cannot show this trial's recipe: ${shownRecipe.why}. Its text, to paste into the History tab:`;
      part("search-recipe")?.replaceChildren(
        ...(shownRecipe ? [make("p", { class: "md-hint" }, words), make("pre", {}, shownRecipe.recipe)] : []),
      );
    }
    function toolbar() {
      const act = (/** @type {string} */ name, more = {}) => ({ "data-act": `search-${name}`, ...more });
      const first = { class: "md-button md-primary", disabled: true };
      const off = { disabled: true };
      const startTitle = "Merge, draw and score trial after trial, as a new study";
      const pauseTitle = "Finish the picture that is being drawn, and give the model back";
      const goTitle = "Continue this study where it was, with the trials and minutes above";
      const queueTitle = "Start this search when the jobs before it have ended";
      return make(
        "div",
        { class: "md-toolbar" },
        button("Start", startTitle, () => begin("search.start"), act("start", first)),
        button("Pause", pauseTitle, () => end("search.pause"), act("pause", off)),
        button("Go on", goTitle, () => begin("search.go_on"), act("go", off)),
        button("Stop", "Stop at once; finished trials are kept", () => end("search.stop"), act("stop", off)),
        button("Add to queue", queueTitle, addToQueue, act("add", off)),
        make("span", { class: "md-space" }),
        make("select", {
          ...{ "aria-label": "Studies", "data-part": "search-studies", hidden: true },
          onchange: (e) => showStudy(e.target.value),
        }),
      );
    }
    /** A place for another script. @param {string} name */
    const mountOf = (name) =>
      make("div", { class: `merge-desk merge-desk-${name.replace("_", "-")}`, "data-mount": name });
    /** @param {HTMLElement} root */
    function draw(root) {
      const [drawingsPlace, eyePlace] = ["search_drawings", "search_eye"].map(mountOf);
      root.replaceChildren(
        make("div", { "data-part": "search-missing" }),
        make(
          "details",
          { class: "md-search-setup", "data-part": "search-setup", open: true },
          make("summary", {}, "What to search, and by which score"),
          make(
            "div",
            { class: "md-search-columns" },
            space.draw(),
            make("div", {}, score.draw(), fields.draw()),
          ),
          make("div", { "data-part": "search-wrong" }),
          make("p", { class: "md-hint", "data-part": "search-plan", role: "status" }),
        ),
        toolbar(),
        make("div", { "data-part": "search-progress" }),
        make("div", { "data-part": "search-problem" }),
        make("p", {
          ...{ class: "md-search-status", "data-part": "search-status" },
          ...{ role: "status", "aria-live": "polite" },
        }),
        make("div", { class: "md-queue", "data-part": "search-queue" }),
        make("div", { "data-part": "search-recipe" }),
        eyePlace,
        make("div", { class: "md-search-result" }, list.drawBest(), list.draw()),
        drawingsPlace,
      );
      eye?.draw(eyePlace);
      space.show();
      score.show();
      fields.show();
      showAll();
      page.queue.show();
      opened = false;
    }
    function shown() {
      if (!opened) openTab();
      else planSoon();
      opened = true;
      space.show();
      fields.show();
      page.queue.look();
    }
    page.queue.onSearch(() => {
      if (opened) poll(); // the next of the queue
    });
    return { draw, shown };
  }

  const search = { create };
  if (typeof module !== "undefined") module.exports = search;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, views: { ...globalThis.mergeDesk?.views, search } };
}
