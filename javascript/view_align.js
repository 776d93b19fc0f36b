"use strict";
/* Beside Align to A first: how far the search is, while it runs, and Stop. Gradio starts it when a list or the tick
 * changes; what came of it is Python's note in the same row. */
{
  const SHOWN_AFTER = 700; // ms: what is kept comes at once
  const ASKED = 500; // ms from one question to the next

  /** @param {DeskPage} page @returns {DeskTab} */
  function create({ wire }) {
    const { field, mount, make, button } = globalThis.mergeDesk.dom;
    /** How many searches Gradio has started that have no answer yet. */
    let running = 0;
    let since = 0;
    let asking = false;
    let stopping = false;
    let timer = 0;
    /** @type {Desk.MixProgress | null} */
    let progress = null;

    const isTicked = () => field("#merge_desk_align input")?.checked ?? false;
    function begin() {
      if (!isTicked()) return;
      running++;
      if (running > 1) return;
      [since, stopping, progress] = [Date.now(), false, null];
      timer = window.setInterval(look, ASKED);
    }
    function end() {
      running = Math.max(0, running - 1);
      if (!running) hide();
    }
    function hide() {
      clearInterval(timer);
      running = 0;
      show();
    }
    async function look() {
      if (asking || Date.now() - since < SHOWN_AFTER) return;
      asking = true;
      const response = await wire.ask("mix.progress", {}, { latest: true });
      asking = false;
      if (!running || !response?.data) return;
      if (progress && !response.data.text) return hide(); // it has ended, and no answer came
      progress = response.data;
      show();
    }
    function stop() {
      stopping = true;
      wire.ask("mix.stop");
      show();
    }
    function show() {
      const place = mount("align");
      if (!place) return;
      if (!running || !progress) return void place.replaceChildren();
      if (!place.childElementCount) place.replaceChildren(bar(), stopButton());
      const percent = Math.round(100 * progress.share);
      const [shown, stopper] = /** @type {HTMLElement[]} */ ([...place.children]);
      const [line, words] = /** @type {HTMLElement[]} */ ([...shown.children]);
      shown.setAttribute("aria-valuenow", String(percent));
      line.style.width = `${percent}%`;
      words.textContent = stopping ? "stopping …" : progress.text || "aligning …";
      /** @type {HTMLButtonElement} */ (stopper).disabled = stopping;
    }
    function bar() {
      const range = { "aria-label": "Aligning", "aria-valuemin": 0, "aria-valuemax": 100 };
      const named = { class: "md-align-progress", "data-part": "align-progress" };
      return make(
        "div",
        { ...named, role: "progressbar", ...range },
        make("i"),
        make("span", { "aria-live": "off" }),
      );
    }
    /** Made once: a button that is replaced between press and release of the mouse is not clicked. */
    function stopButton() {
      return button("Stop", "Stop aligning; the models stay as they are", stop, { "data-act": "align-stop" });
    }
    wire.onBegin("lists.align", begin);
    wire.on("lists.align", end);
    return { draw: show };
  }

  const align = { create };
  if (typeof module !== "undefined") module.exports = align;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, views: { ...globalThis.mergeDesk?.views, align } };
}
