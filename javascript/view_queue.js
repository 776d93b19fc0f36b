"use strict";
/* The queue of grids, searches and saves: what waits, with a way to remove it and put it back, what is being saved, and what
 * came of the saves. It stands below the box Save and on the tab History, and its list on the tab Grid too. What it
 * shows comes from lib_merge/desk/queue/view.py. */
{
  const SAVING = 300; // ms between two questions while a save is written
  const WAITING = 1200; // ms while jobs wait
  const LISTS = { queue: "save-queue", grid: "grid-queue", history: "history-queue", search: "search-queue" };
  const SAVES = ["saving", "history-saving"]; // of the save that is being written
  const RESULTS = ["fact-sheet", "history-saved"];
  const NOT_PREVIEWED = "Saved as the sliders were then: no picture was generated with these weights.";

  /** @param {DeskPage} page @returns {DeskQueue} */
  function create({ state, wire }) {
    const { mount, part, make, button, problemBox, sheet, whenReleased } = globalThis.mergeDesk.dom;
    const { translate } = globalThis.mergeDesk.language;
    /** @type {Desk.QueueState} */
    let queue = { waiting: [], saving: null, saved: [], held: false, grid: 0, search: 0 };
    /** Of the saves that have ended. @type {Map<number, DeskResponse<"mix.saved">>} */
    const results = new Map();
    /** @type {Set<number>} */
    const asked = new Set();
    /** A job that can be put back. @type {Desk.WaitingView | null} */
    let removed = null;
    /** Why a save was refused, or the queue could not be changed. @type {Desk.Problem | null} */
    let problem = null;
    let pressed = false; // Save, and not answered yet
    let timer = 0;
    /** @type {(run: number) => void} */
    let gridStarted = () => {};
    let searchStarted = () => {};
    let hasSaved = () => {};

    // --- asking ---

    async function look() {
      clearTimeout(timer);
      const response = await wire.ask("queue.poll", {}, { latest: true, again: look });
      if (response?.data) take(response.data);
    }
    /** @param {Desk.QueueState} fresh */
    function take(fresh) {
      const before = queue;
      queue = fresh;
      for (const { number } of queue.saved) if (!asked.has(number)) askResult(number);
      if (JSON.stringify(before.saved) !== JSON.stringify(queue.saved)) showResults();
      show();
      gridStarted(queue.grid);
      if (queue.search !== before.search) searchStarted();
      clearTimeout(timer);
      if (queue.saving || queue.waiting.length)
        timer = window.setTimeout(look, queue.saving || !queue.grid ? SAVING : WAITING);
    }
    /** @param {number} number of a save that has ended */
    async function askResult(number) {
      asked.add(number);
      const again = () => void askResult(number);
      const response = await wire.ask("mix.saved", { number }, { again });
      if (!response) return;
      results.set(number, response);
      showResults();
      hasSaved();
    }
    /** @param {"queue.remove" | "queue.restore" | "queue.next" | "queue.stop" | "queue.dismiss"} name
     * @param {number} [number] */
    async function change(name, number = 0) {
      problem = null;
      const again = () => void change(name, number);
      const response = await wire.ask(name, name === "queue.next" ? {} : { number }, { again });
      problem = response?.problem ?? null;
      if (response?.data) take(response.data);
      showResults();
    }
    /** @param {Desk.WaitingView} job */
    function remove(job) {
      removed = job;
      change("queue.remove", job.number);
    }
    /** @param {Desk.WaitingView} job */
    function putBack(job) {
      removed = null;
      change("queue.restore", job.number);
    }
    function press() {
      [pressed, problem, removed] = [true, null, null];
      showResults();
    }
    /** The save of a recipe. @param {Partial<Desk.Requests["history.save"]>} data */
    async function save(data) {
      press();
      const response = await wire.ask("history.save", data, { again: () => void save(data) });
      answered(response ?? { data: null, problem: null });
    }
    wire.onPress("mix.save", () => {
      press();
      const previewed = !state.ui || state.requested() === state.sent;
      return {
        data: { parameters: state.ui ? state.parameters() : {}, previewed },
        task: "",
        hear: answered,
      };
    });
    /** @param {Pick<DeskResponse<"mix.save">, "data" | "problem">} response */
    function answered({ data, problem: refused }) {
      pressed = false;
      problem = refused;
      if (data) {
        for (const [number, result] of results) if (result.data) change("queue.dismiss", number); // it was seen
        take(data);
      }
      showResults();
    }

    // --- showing ---

    const show = () => whenReleased(drawLists);
    function drawLists() {
      for (const [place, name] of Object.entries(LISTS)) part(name)?.replaceChildren(...list(place));
      for (const name of SAVES) part(name)?.replaceChildren(...(queue.saving ? [saving(queue.saving)] : []));
    }
    /** @param {string} place */
    function list(place) {
      const { waiting, held } = queue;
      const act = (/** @type {string} */ name) => ({ "data-act": `${place}-${name}` });
      const row = (/** @type {Desk.WaitingView} */ job) =>
        make(
          "li",
          {},
          make("span", { title: job.recipe }, job.summary),
          button("✕", `Remove from the queue: ${job.summary}`, () => remove(job), act("remove")),
        );
      const undone = removed;
      const back = undone
        ? make(
            "p",
            { role: "status" },
            make("span", {}, `Removed: ${undone.summary}`),
            button("Undo", "Put it back in its place", () => putBack(undone), act("undo")),
          )
        : null;
      const next = () => change("queue.next");
      return [
        waiting.length ? make("p", {}, "Waiting:") : null,
        waiting.length ? make("ol", {}, waiting.map(row)) : null,
        back,
        held && waiting.length
          ? button("Start the next", "Start the first job of the queue", next, act("next"))
          : null,
      ].filter((each) => each !== null);
    }
    /** @param {Desk.SavingView} job */
    function saving({ number, summary, text, share }) {
      const percent = Math.round(100 * share);
      const bar = { role: "progressbar", "aria-label": "Saving", "aria-valuemin": 0, "aria-valuemax": 100 };
      return make(
        "div",
        { class: "md-saving" },
        make(
          "div",
          { class: "md-align-progress", ...bar, "aria-valuenow": percent },
          make("i", { style: `width:${percent}%` }),
          make("span", {}, `${translate(summary)} … ${translate(text)}`),
        ),
        button("Stop", "Stop saving; no file is left", () => change("queue.stop", number), {
          "data-act": "save-stop",
        }),
      );
    }
    const showResults = () => whenReleased(drawResults);
    function drawResults() {
      const listed = queue.saved.filter(({ number }) => results.has(number)).reverse();
      for (const name of RESULTS)
        part(name)?.replaceChildren(
          ...(problem ? [problemBox(problem)] : []),
          ...(pressed ? [make("p", { class: "md-hint" }, "Saving …")] : []),
          ...listed.map((each, nth) => result(each, nth === 0 && !problem)),
        );
    }
    function showAll() {
      show();
      showResults();
    }
    /** @param {Desk.SavedView} save @param {boolean} open */
    function result({ number, file, summary }, open) {
      const { data, problem: failure } = /** @type {DeskResponse<"mix.saved">} */ (results.get(number));
      const close = () => change("queue.dismiss", number);
      return make(
        "details",
        { class: "md-saved", open: open || !!failure },
        make("summary", {}, failure ? `Not saved: ${file}` : `Saved: ${file}`),
        failure ? make("p", { class: "md-hint" }, summary) : null,
        failure ? problemBox(failure) : null,
        data && !data.previewed ? make("p", { class: "md-hint" }, NOT_PREVIEWED) : null,
        data ? sheet(data.sheet) : null,
        data?.card ? card(data.card) : null,
        button("Close", "Close this result; the tab History keeps what was saved", close, {
          "data-act": "save-close",
        }),
      );
    }
    const card = (/** @type {string} */ text) =>
      make(
        "details",
        { "data-part": "model-card" },
        make("summary", {}, "Text for a model card"),
        button("Copy", "Copy the text for a model card", () => navigator.clipboard?.writeText(text)),
        make("pre", { class: "md-model-card" }, text),
      );
    function draw() {
      mount("queue")?.replaceChildren(
        make("div", { class: "md-queue", "data-part": LISTS.queue }),
        make("div", { "data-part": "saving" }),
        make("div", { "data-part": "fact-sheet" }),
      );
      showAll();
    }
    return {
      ...{ draw, show, showAll, look, take, save },
      onSaved: (listener) => void (hasSaved = listener),
      onGrid: (listener) => void (gridStarted = listener),
      onSearch: (listener) => void (searchStarted = listener),
    };
  }

  const queue = { create };
  if (typeof module !== "undefined") module.exports = queue;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, queue };
}
