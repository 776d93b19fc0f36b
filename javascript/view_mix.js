"use strict";
/* The tab Mix: what the user does to the faders goes to Python, and what Python answers is shown. The faders,
 * presets and pictures themselves are in view_mix_faders.js, view_mix_presets.js and view_mix_pictures.js. Other
 * tabs change the faders through what is returned here. */
{
  const DELAY = 60; // ms after the last key or typed change before it is sent
  const STOPPED = 10000; // ms after Stop until the page waits no longer
  const LATE = 600; // ms after lists were set in which answers to earlier states of them may come
  const REFRESHED = 900; // ms within which the merge in memory is not looked at again
  const EXTRAS = ["weights", "adjust"]; // what the tab Weights adds to every merge
  /** Each act's endpoint. @type {{ [act in DeskAct]: `mix.${act}` }} */
  const ENDPOINTS = { apply: "mix.apply", compare: "mix.compare", unload: "mix.unload" };

  /** @param {DeskPage} page */
  function create(page) {
    const { state, wire } = page;
    const { edits, engaged } = globalThis.mergeDesk;
    const { find, mount, visible, whenShown, startProgress, endProgress } = globalThis.mergeDesk.dom;
    /** @type {DeskMix} */
    const mix = {
      ...{ edit, show, scheduleApply, send, stop, loadEngaged, showResponse, refreshEffects },
      ...{ applySetup, afterLists, applyExtra, onExtra, mark, mergeChangedHere, listen },
      ...{ travel, restored, startOver, showAll, showPictures: () => pictures.showPictures() },
      ...{ showHints: () => hints.showAgain(), fittingFiles: () => fitting.files() },
    };
    page.mix = mix;
    page.queue = globalThis.mergeDesk.queue.create(page);
    const faders = globalThis.mergeDesk.faders.create(page);
    const presets = globalThis.mergeDesk.presets.create(page);
    const pictures = globalThis.mergeDesk.pictures.create(page);
    const progress = globalThis.mergeDesk.progress.create(page, pictures);
    const keeping = globalThis.mergeDesk.keeping.create(page);
    const fitting = globalThis.mergeDesk.fitting.create(page);
    const hints = globalThis.mergeDesk.hints.create(page);
    /** @type {((name: string, value: string) => void)[]} */
    const extraListeners = [];
    /** What follows once the lists are set as this revision asked.
     * @type {{ revision: number, finish: () => void } | null} */
    let pending = null;
    let timer = 0;
    /** What the lists say on a new page. @type {Desk.Selection | null} */
    let firstSelection = null;
    let refreshedAt = 0;
    let recordTimer = 0;
    let listsAt = 0; // when Python said what the lists say

    // --- showing ---

    function show() {
      if (!state.ui) return;
      faders.show();
      pictures.showState();
      keeping.keep();
    }
    function drawFaders() {
      faders.draw();
      presets.draw();
      show();
      faders.showMarks();
    }
    function tellExtras() {
      for (const name of EXTRAS)
        for (const listener of extraListeners) listener(name, state.extras[name] ?? "");
    }
    function showAll() {
      tellExtras();
      drawFaders();
      hints.show();
      pictures.showPictures();
    }
    /** Whatever `act` does to the faders is shown, and sent where the desk is live.
     * @param {() => unknown} act @param {boolean} [atOnce] whether no other change follows it */
    function edit(act, atOnce) {
      act();
      show();
      scheduleApply(atOnce);
    }
    /** @param {Record<string, number>} marks @param {string} words */
    function mark(marks, words) {
      state.mark(marks, words);
      faders.showMarks();
    }
    // --- asking ---

    /** Sends the faders a little later, where they say something else than what was sent.
     * @param {boolean} [atOnce] */
    function scheduleApply(atOnce) {
      if (!state.ui || state.ui.next_step || state.expected) return;
      clearTimeout(timer);
      state.scheduled = state.compareSent() && state.live;
      if (state.scheduled && atOnce) send("apply");
      else if (state.scheduled) timer = window.setTimeout(() => send("apply"), DELAY);
      pictures.showState();
    }
    /** @param {DeskAct} act */
    async function send(act) {
      state.scheduled = false;
      if (state.busy) {
        state.queued = act;
        if (state.busy.act === "further" && act !== "compare") pictures.furtherPictures.cancel();
        if (act === "unload") wire.ask("mix.stop_previews");
        return;
      }
      if (!state.ui || (state.ui.next_step && act !== "unload")) return;
      clearTimeout(timer);
      const task = startProgress();
      const busy = engaged.begin(state, act, task);
      const seed = act === "compare" ? state.picture?.seed : undefined; // of a picture whose seed was random
      const data = { parameters: state.parameters(), engaged: state.engaged ?? "", seed };
      pictures.showProblem(null);
      pictures.showState();
      if (act === "apply") progress.watch(busy);
      const response = await wire.ask(ENDPOINTS[act], data, { task, again: () => send(act) });
      endProgress(task);
      if (response) answered(busy, response);
      else if (state.busy === busy) engaged.fail(state);
      pictures.showState();
    }
    /** @param {NonNullable<DeskPage["state"]["busy"]>} busy @param {DeskResponse<"mix.apply">} response */
    function answered(busy, response) {
      const queued = state.busy === busy ? engaged.finish(state, busy.act, response) : "";
      if (response.data?.effects) state.effects = response.data.effects;
      showResponse(response, response.data?.changes, response.data?.note);
      // the user has seen it: the next move may replace it
      if (response.data?.changed_elsewhere) state.engaged = response.status?.engaged ?? state.engaged;
      show();
      pictures.showNotice();
      if (response.action === "mix.apply" && response.data?.picture) pictures.furtherPictures.begin();
      pictures.showPictures();
      if (queued) send(queued);
      else pictures.furtherPictures.next();
    }
    function stop() {
      const waiting = state.busy;
      state.queued = "";
      pictures.furtherPictures.end();
      wire.ask("mix.stop");
      setTimeout(() => {
        if (!waiting || state.busy !== waiting) return;
        state.busy = null;
        pictures.showState();
      }, STOPPED);
    }
    /** What a response says of the merge in memory.
     * @param {DeskResponse<any>} response @param {string} [changes] how it differs from what this page asks for
     * @param {string} [done] a sentence on what was just done */
    function showResponse({ status, problem, at }, changes, done) {
      pictures.showProblem(problem);
      if (!status) return;
      pictures.showStatus(status, done);
      compareEngaged(status.engaged, at, changes);
    }

    // --- the merge in memory, and other pages ---

    /** @param {string} id @param {number} at @param {string} [changes] */
    function compareEngaged(id, at, changes) {
      const unclear = engaged.compareEngaged(state, id, at, changes);
      pictures.showNotice();
      if (unclear) refreshEffects();
    }
    /** Asks what is in memory, and what shapes the merge besides the faders, before the next move does. */
    async function refreshEffects() {
      if (!state.ui) return;
      refreshedAt = Date.now();
      const data = { parameters: state.parameters(), engaged: state.engaged };
      const response = await wire.ask("mix.effects", data, { latest: true, again: refreshEffects });
      if (!response?.status) return;
      const { status, data: found, at } = response;
      if (!status.engaged || status.engaged !== state.engaged) pictures.showStatus(status); // else what the last move did stays
      compareEngaged(status.engaged, at, found?.changes);
      if (!found) return;
      state.effects = found.effects;
      state.setFields(found.fields);
      if (engaged.setDrawing(state, found.drawing_key)) scheduleApply();
      show();
    }
    /** The merge was changed by another tab of this very page. */
    function mergeChangedHere() {
      state.engaged = null;
      refreshEffects();
    }
    /** Another page may have changed the merge while this one was out of sight. */
    function refreshOnFocus() {
      const seen = document.visibilityState === "visible" && visible(mount("faders"));
      if (seen && Date.now() - refreshedAt > REFRESHED) refreshEffects();
    }
    globalThis.mergeDesk.mixEvents.listen(page, { refreshOnFocus, fieldChanged: () => keeping.keep(true) });

    /** Sets this page up as the merge in memory is. */
    async function loadEngaged() {
      const response = await wire.ask("mix.load_engaged", {}, { setsLists: true, again: loadEngaged });
      if (!response?.data?.setup) return;
      const { id, setup, effects, notes } = response.data;
      Object.assign(state, { engaged: id, respondedAt: response.at, effects });
      setNotice("");
      if (setup.why)
        setNotice(
          `The sliders cannot show its recipe: ${setup.why}. The next change on this page replaces it.`,
          setup.recipe,
        );
      else
        applySetup(setup, {
          revision: response.revision,
          quiet: true,
          done: () => setNotice(notes.join(" ")),
        });
    }
    /** @param {string} text @param {string} [recipe] */
    function setNotice(text, recipe) {
      state.setNotice(text, { recipe });
      pictures.showNotice();
    }
    /** @type {DeskMix["applySetup"]} */
    function applySetup(setup, how) {
      const before = state.snapshot();
      afterLists(how.revision, () => finishSetup(setup, how, before));
    }
    /** @type {DeskMix["afterLists"]} */
    function afterLists(revision, finish) {
      pending = { revision, finish };
    }
    /** @param {"undo" | "redo"} step */
    function travel(step) {
      if (state[step]()) restored();
    }
    /** The state is that of a snapshot, which the lists and fields follow. */
    function restored() {
      tellExtras();
      if (state.wanted) setUp(state.wanted);
      else edit(() => {});
    }
    async function startOver() {
      if (!firstSelection) return;
      // a list that was changed a moment ago may not be known here yet, and the step of undo is to have it
      const response = await wire.ask("mix.effects", { parameters: state.parameters() });
      if (response?.data) state.setFields(response.data.fields);
      if (response) edits.noteSelection(state, response.selection);
      edits.startOver(state);
      tellExtras();
      setUp({ selection: { ...firstSelection, a: state.selection?.a ?? "" }, fields: {} });
    }
    /** Has Python set lists and fields, and goes on once they are set.
     * @param {NonNullable<DeskPage["state"]["wanted"]>} wanted */
    async function setUp(wanted) {
      const expected = { selection: wanted.selection, fields: { ...state.fields, ...wanted.fields } };
      state.expected = expected;
      const { align, ...lists } = wanted.selection;
      const data = { lists, align, drawing: wanted.fields };
      const response = await wire.ask("mix.set_up", data, { setsLists: true, again: () => setUp(wanted) });
      const ended = () => {
        const last = state.expected === expected; // else another step was asked for meanwhile
        if (last) state.expected = null;
        return last;
      };
      if (!response) return void ended();
      afterLists(response.revision, () => {
        if (!ended()) return;
        showAll();
        refreshEffects();
        scheduleApply();
      });
    }
    /** The lists are set as the page asked at this revision. @param {number} revision */
    function settled(revision) {
      if (!pending || revision < pending.revision) return;
      const { finish } = pending;
      pending = null;
      finish();
      // an answer to lists that were half set may come late: it is no change of the user's
      state.recording = false;
      clearTimeout(recordTimer);
      recordTimer = window.setTimeout(() => void (state.recording = true), LATE);
    }
    /** @param {DeskSetup} setup @param {Parameters<DeskMix["applySetup"]>[1]} how
     * @param {string} before  the snapshot from before the lists were set */
    function finishSetup(setup, how, before) {
      for (const word of EXTRAS) setExtra(word, setup.extras[word] ?? "");
      state.applySetup(setup.amounts, setup.scalars, how.quiet ?? false, before);
      show();
      refreshEffects();
      scheduleApply();
      how.done?.();
    }

    // --- what other tabs ask for with every move ---

    /** @param {string} name @param {string} value */
    function setExtra(name, value) {
      const fresh = state.setExtra(name, value);
      if (fresh) for (const listener of extraListeners) listener(name, value);
      return fresh;
    }
    /** Rules (weights) or Adjust; "" takes them back. @param {string} name @param {string} value */
    function applyExtra(name, value) {
      if ((state.extras[name] ?? "") === value) return;
      state.change(() => setExtra(name, value), name);
      refreshEffects();
      scheduleApply();
    }
    /** @param {(name: string, value: string) => void} listener  gets what was set, by whomever */
    function onExtra(listener) {
      extraListeners.push(listener);
    }

    // --- the lists above the tabs ---

    /** @param {DeskResponse<"lists.changed">} response */
    function showLists(response) {
      const { data: ui, selection, status, at } = response;
      if (at < listsAt) return; // of lists that were half set when it was asked
      listsAt = at;
      if (!ui) {
        showResponse(response);
        return;
      }
      const { first, redraw, reselected, pair } = state.setUi(ui, selection, !pending);
      if (pair) faders.showMarks();
      const board = mount("faders");
      if (board) board.dataset.method = ui.method.title; // whose sliders these are
      if (first) {
        firstSelection = selection;
        keeping.resume(status?.engaged ?? "");
      }
      showResponse({ ...response, problem: response.problem ?? ui.problem });
      fitting.follow();
      if (redraw) drawFaders(); // never under the user's hands without a reason
      if (!reselected) return;
      if (!first && state.applied && !pending) scheduleApply();
      if (selection.align || Object.keys(state.extras).length || state.effects.items.length) refreshEffects();
      pictures.showState();
      keeping.keep();
      page.reselected();
    }
    wire.on("lists.changed", showLists);
    wire.on("lists.settled", (response) => {
      listsAt = 0; // this one was asked when all lists were set, and holds whatever was said before it
      showLists(response);
      fitting.follow(true);
      settled(response.revision);
    });
    wire.on("lists.differences", ({ data }) => {
      if (!data) return;
      const { a, b, by_slot, not_finite } = data;
      state.mark(by_slot, "", not_finite, `${a}|${b}`);
      faders.showMarks();
      const fader_layout = mount("faders");
      if (fader_layout) fader_layout.dataset.between = state.between; // the page says whose marks these are: after them it stands still
    });
    async function openLists() {
      await wire.ask("lists.open", {}, { latest: true, again: openLists });
    }

    // --- coming to life ---

    /** @param {HTMLElement} root */
    function listen(root) {
      faders.listen(root);
      pictures.draw();
      page.queue.draw();
      if (state.ui) drawFaders();
      // on a narrow page the sliders are below the window, and have no height before they are drawn
      whenShown(find("#merge_desk_lists") ?? root, openLists);
      whenShown(root, () => state.ui && openLists());
      whenShown(root, page.queue.look);
      whenShown(root, refreshOnFocus); // the host's own fields may have been changed on another tab
    }
    return { tick: progress.tick };
  }

  const mix = { create };
  if (typeof module !== "undefined") module.exports = mix;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, mix };
}
