"use strict";
/* Begins: makes the desk's parts, and gives the scripts of the tabs their places as these come onto the page.
 *
 * About all scripts in this folder. A WebUI adds each javascript/*.js of an extension to its page as a classic
 * script of its own, by name and with the file's time behind it (?mtime). ES modules that a loader imports would
 * come without that time, and a browser would take them from its cache after an update. So each file is a block,
 * and its names are put into the one global name, mergeDesk; a file reads the others' names when it runs, never
 * while it loads, so that their order does not matter. */
{
  const TICK = 300; // ms between two looks for places that have appeared

  function start() {
    const { state, undo, wire, dom, mix, views, languagePage } = globalThis.mergeDesk;
    const { find, findAll, mount, visible, make, problemBox, whenShown } = dom;
    const button = (/** @type {string} */ name) => find(`#merge_desk_${name.replace(".", "_")}`);

    /** Nothing is asked or drawn before: some texts are put together of translated ones. */
    let languageIsKnown = false;
    const page = /** @type {DeskPage} */ ({
      state: new state.DeskState({ undo: new undo.UndoStack() }),
      wire: new wire.Wire({
        find: (name) => (languageIsKnown || name.startsWith("language.") ? button(name) : null),
        later: (act, ms) => setTimeout(act, ms),
        failed: showFailure,
      }),
      open,
      reselected: () => {
        for (const [name, { shown }] of Object.entries(tabs)) if (visible(mount(name))) shown?.();
      },
    });
    const language = languagePage.create(page);
    const made = mix.create(page);
    const tabs = Object.fromEntries(Object.entries(views).map(([name, view]) => [name, view.create(page)]));

    /** Brings a tab into sight. @param {string} name */
    function open(name) {
      const place = find(`#merge_desk_tab_${name}`);
      const nth = findAll("#merge_desk_tabs > [id^=merge_desk_tab_]").findIndex((each) => each === place);
      const tab =
        find(`#merge_desk_tab_${name}-button`) ?? // Gradio 3 gives these buttons no id
        findAll("#merge_desk_tabs > .tab-nav > button")[nth];
      tab?.click();
    }

    // --- responses ---

    /** A question without a response, at the top of what is in sight, until the same has one.
     * @param {Parameters<typeof problemBox>[0]} problem @param {() => void} [again] */
    function showFailure(problem, again) {
      const retry = again && (() => (endFailure(problem.where), again()));
      endFailure(problem.where);
      const box = make("div", { "data-failed": problem.where }, problemBox(problem, retry));
      findAll(".merge-desk[data-mount]").find(visible)?.prepend(box);
    }
    /** @param {string} name */
    function endFailure(name) {
      for (const each of findAll(`[data-failed="${name}"]`)) each.remove();
    }

    /** @type {Record<string, string | undefined>} */
    const seen = {};
    function listen() {
      for (const each of findAll("#merge_desk_payloads [data-merge-desk]")) {
        const place = each.closest("[id^=merge_desk_][id$=_response]");
        const name = place?.id.replace("merge_desk_", "").replace("_response", "").replace("_", ".") ?? "";
        const { at, mergeDesk: text } = each.dataset;
        if (at === seen[name] || !text) continue;
        seen[name] = at;
        endFailure(name);
        page.wire.hear(name, text, Number(at));
      }
    }

    // --- places ---

    /** Calls `act` for a place that has appeared, or appeared again: some Gradios throw away what a closed tab holds.
     * @param {HTMLElement | null} place @param {(place: HTMLElement) => void} act */
    function once(place, act) {
      if (!place || place.dataset.alive) return;
      place.dataset.alive = "yes";
      act(place);
    }
    /** @param {HTMLElement} fader_layout */
    function drawPlaces(fader_layout) {
      language.watchPlaces();
      once(fader_layout, page.mix.listen);
      for (const [name, tab] of Object.entries(tabs))
        once(mount(name), (place) => {
          tab.draw(place);
          whenShown(place, () => tab.shown?.());
        });
    }
    /** @type {HTMLElement | null} */
    let watched = null;
    function tick() {
      const fader_layout = mount("faders");
      const payloads = button("payloads");
      if (!fader_layout || !payloads) return;
      if (watched !== payloads) {
        watched = payloads;
        new MutationObserver(listen).observe(payloads, {
          ...{ subtree: true, childList: true, attributes: true, characterData: true },
        });
      }
      languageIsKnown = language.ready();
      if (languageIsKnown) drawPlaces(fader_layout);
      listen();
      page.wire.resume();
      if (page.state.busy) made.tick();
    }
    setInterval(tick, TICK);

    globalThis.mergeDesk.open = open;
    globalThis.mergeDesk.fill = (given, count, name) => page.wire.fill(given, count, name);
    globalThis.mergeDesk.ended = (name) => page.wire.ended(name);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start, { once: true });
  else setTimeout(start);
}
