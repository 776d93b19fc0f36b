"use strict";
/* The tab Mix: the desk is kept on the server after each change, and loaded when a page is opened. */
{
  const KEPT_AFTER = 400; // ms after the last change

  /** @param {DeskPage} page */
  function create({ state, wire, mix }) {
    const { pack, unpack, SHOWN } = globalThis.mergeDesk.keptState;
    const { mount } = globalThis.mergeDesk.dom;
    let kept = "";
    let timer = 0;
    /** Whether this page knows what was kept, and may replace it. */
    let open = false;

    /** @param {boolean} [fields] whether a field of a picture's settings was changed, which Python reads itself */
    function keep(fields) {
      if (!open || !state.ui) return;
      if (fields) kept = "";
      mark(false);
      clearTimeout(timer);
      timer = window.setTimeout(send, KEPT_AFTER);
    }
    /** The page says whether all of it is kept. @param {boolean} all */
    function mark(all) {
      const board = mount("faders");
      if (board) board.dataset.kept = String(all);
    }
    async function send() {
      timer = 0;
      const text = pack(state);
      const now = JSON.stringify([text, state.selection, state.engaged]);
      if (state.busy) return; // what follows a response keeps it
      if (now === kept) return mark(true);
      kept = now;
      const data = { page: text, engaged: state.engaged ?? "" };
      const response = await wire.ask("mix.keep", data, { latest: true });
      if (response && !timer) mark(true);
    }
    /** Loads what was kept, as a page is opened; `engaged` is the merge in memory.
     * @param {string} engaged */
    async function resume(engaged) {
      const response = await wire.ask("mix.resume", {}, { setsLists: true });
      if (!response?.data) {
        state.recording = true;
        if (engaged) mix.loadEngaged();
        if (response) mix.showResponse(response);
        return;
      }
      const { page, engaged: known } = response.data;
      mix.afterLists(response.revision, () => finish(page, engaged, known));
    }
    /** @param {string} page @param {string} engaged @param {string} known */
    function finish(page, engaged, known) {
      open = true;
      if (!page) state.hints = { shown: true, closed: [] }; // nobody has used this desk before
      const found = unpack(state, page, engaged === known ? engaged : "");
      if (engaged && (!found || engaged !== known)) mix.loadEngaged();
      else if (found) state.engaged = engaged;
      if (found) {
        state.compareSent();
        bringPictures();
      }
      const place = mount("faders");
      if (place) place.dataset.resumed = String(found);
      mix.refreshEffects();
      mix.showAll();
    }
    async function bringPictures() {
      for (const name of SHOWN) {
        const picture = state[name];
        if (!picture) continue;
        const response = await wire.ask("mix.picture", { id: picture.id });
        if (state[name] !== picture) return; // a new one has come meanwhile
        if (response?.data?.picture) picture.src = response.data.picture;
        else state[name] = null;
        mix.showPictures();
      }
    }
    return { keep, resume };
  }

  const keeping = { create };
  if (typeof module !== "undefined") module.exports = keeping;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, keeping };
}
