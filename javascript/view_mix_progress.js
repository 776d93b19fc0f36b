"use strict";
/* The tab Mix: while something is being done, how far it is, and what is in memory by then. The merge is in memory long
 * before its picture is drawn, and the status says so at once. */
{
  const SOON = 40; // ms between two looks at a merge that has just been sent
  const WAIT = 600; // ms that Python waits for the merge with its response
  const LONG = 700; // ms after which the page says how far a job is

  /** @param {DeskPage} page
   * @param {{ showState: () => void, showStatus: (status: Desk.StatusView) => void }} given */
  function create({ state, wire }, { showState, showStatus }) {
    let asking = false;

    /** @param {NonNullable<typeof state.busy>} busy @param {number} [wait] ms for another merge
     * @returns {Promise<boolean>} whether one is in memory by now */
    async function look(busy, wait = 0) {
      if (asking) return false;
      asking = true;
      const response = await wire.ask("mix.progress", { engaged: state.engaged ?? "", wait });
      asking = false;
      if (state.busy !== busy || !response?.data) return false;
      const { text: doing, preview } = response.data;
      if (state.now() - busy.since >= LONG) Object.assign(busy, { doing, preview });
      const { status } = response;
      if (busy.act === "apply" && status) showStatus(status);
      return !!status && status.engaged !== state.engaged;
    }
    /** Looks for a merge that has just been sent, until it is in memory: the response comes when it is.
     * @param {NonNullable<typeof state.busy>} busy */
    async function watch(busy) {
      while (state.busy === busy && state.now() - busy.since < LONG) {
        if (await look(busy, WAIT)) return;
        await new Promise((done) => setTimeout(done, SOON)); // a later look may be all that is allowed
      }
    }
    async function tick() {
      showState();
      const { busy } = state;
      if (!busy || state.now() - busy.since < LONG) return;
      await look(busy);
      showState();
    }
    return { tick, watch };
  }

  const progress = { create };
  if (typeof module !== "undefined") module.exports = progress;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, progress };
}
