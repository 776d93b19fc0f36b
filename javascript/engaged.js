"use strict";
/* The merge in memory as the page knows it: what a response says of it, and whether another page has changed it.
 * Pure: functions of the state. */
{
  const MOST_LATE = 60e9; // ns that one answer may be older than another that came before it

  /** @typedef {DeskPage["state"]} State */

  /** What the fields of a picture's settings hold now.
   * @param {State} state @param {string} key @returns {boolean} whether a picture is due */
  function setDrawing(state, key) {
    const fresh = (!state.busy || state.busy.act === "further") && key !== state.drawing.now;
    state.drawing.now = key;
    return fresh && state.applied && state.compareSent();
  }
  /** Whether a merge is due that nothing will start but the user. @param {State} state */
  const isDue = (state) => state.stale && (!state.live || state.unloaded);

  /** What is asked for now, as a copy. @param {State} state @returns {DeskMade | null} */
  function copyOfRequest(state) {
    const { selection } = state;
    const made = { selection, parameters: state.parameters(), snapshot: state.snapshot() };
    return selection && JSON.parse(JSON.stringify(made));
  }
  /** @param {State} state @param {DeskAct | "further"} act @param {string} task */
  function begin(state, act, task) {
    if (act === "apply") Object.assign(state, { stale: false, unloaded: false, sent: state.requested() });
    const busy = { act, task, since: state.now(), made: copyOfRequest(state), doing: "" };
    state.busy = busy;
    return busy;
  }
  /** The response to what made the page busy has come.
   * @param {State} state @param {DeskAct | "further"} act @param {DeskResponse<"mix.apply">} response
   * @returns {DeskAct | ""} what was asked for meanwhile */
  function finish(state, act, { data, problem, status, at, selection }) {
    const queued = state.queued;
    const asked = state.busy?.made;
    const made = asked ? { ...asked, selection } : null; // Python reads the lists itself
    const changed_elsewhere = data?.changed_elsewhere ?? false;
    Object.assign(state, { busy: null, queued: "" });
    if (status && !changed_elsewhere) Object.assign(state, { engaged: status.engaged, respondedAt: at });
    if (act === "apply" && !changed_elsewhere) {
      state.applied = true;
      state.setNotice("");
    }
    if (act === "unload" && !problem)
      Object.assign(state, { applied: false, sent: "", stale: !!state.picture, unloaded: true });
    if (data?.picture) takePicture(state, act, data, made);
    if (act === "apply" && (problem || changed_elsewhere)) Object.assign(state, { stale: true, sent: "" });
    return changed_elsewhere ? "" : queued;
  }
  /** What was asked has failed: the desk is as it was before. @param {State} state */
  function fail(state) {
    Object.assign(state, { busy: null, queued: "", stale: true, sent: "" });
  }
  /** @param {State} state @param {DeskAct | "further"} act @param {Desk.MixResult} result @param {DeskMade | null} made */
  function takePicture(state, act, result, made) {
    const { picture: src, picture_id: id, infotext, comparison_key, seed, drawing_key, history_id } = result;
    const shown = { src, id, infotext, comparison_key, seed, history_id };
    const picture = { ...shown, made: act === "compare" ? null : made };
    if (act === "compare") state.pictureOfA = picture;
    else if (state.again && state.again === JSON.stringify(made?.parameters)) state.picture = picture;
    else Object.assign(state, { pictureBefore: state.picture, picture });
    if (act === "apply") state.again = "";
    if (act === "apply") state.drawing = { now: drawing_key, drawn: drawing_key };
  }
  /** Whether Python said something before what the page has from it. One that is more than a minute older is no late answer:
   * the server's machine has started again, and its clock with it. @param {number} at @param {number} newest  both in ns */
  const isLate = (at, newest) => at < newest && newest - at < MOST_LATE;
  /** Whether a status is to be shown: one that was read before another one may be of the middle of a merge or of
   * *Unload*, and come after it. @param {State} state @param {Desk.StatusView} status */
  function isLatest(state, { read_at }) {
    if (isLate(read_at, state.statusReadAt)) return false;
    state.statusReadAt = read_at;
    return true;
  }
  /** Compares what is in memory with what this page last knew of, and sets `notice`.
   * @param {State} state
   * @param {string} engaged  its id, "" for none
   * @param {number} at  when Python said so: an answer may come late
   * @param {string} [changes]  how it differs from what this page asks for
   * @returns {boolean} whether Python should be asked how it differs */
  function compareEngaged(state, engaged, at, changes = "") {
    if (state.busy || isLate(at, state.respondedAt)) return false;
    state.respondedAt = at;
    state.engaged ??= engaged;
    const { other } = state.notice;
    if (engaged === state.engaged) {
      if (other && other !== engaged) state.setNotice("");
      return false;
    }
    if (!engaged) {
      state.engaged = "";
      state.setNotice("The merge was unloaded elsewhere.");
      return false;
    }
    if (changes || other !== engaged) {
      const how = changes ? `: ${changes}` : "";
      state.setNotice(`The merge in memory was changed elsewhere${how}.`, { other: engaged });
    }
    return other !== engaged && !changes;
  }
  /** The user leaves this page as it is: its next move replaces the merge in memory. @param {State} state */
  function keepMine(state) {
    state.engaged = state.notice.other;
    state.setNotice("");
  }

  const engaged = { begin, finish, fail, setDrawing, isDue, isLatest, compareEngaged, keepMine };
  if (typeof module !== "undefined") module.exports = engaged;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, engaged };
}
