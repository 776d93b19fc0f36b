"use strict";
/* The tab Mix, around the stage: Generate, Unload merge and the other buttons, problems, and what is in memory.
 * The pictures themselves are in view_mix_stage.js. */
{
  /** @type {Record<string, string>} */
  const DOING = { apply: "generating", compare: "generating A, once", unload: "unloading" };

  /** @param {DeskPage} page */
  function create(page) {
    const { state, mix } = page;
    const { engaged } = globalThis.mergeDesk;
    const { find, field, mount, part, make, button, problemBox } = globalThis.mergeDesk.dom;
    const { translate } = globalThis.mergeDesk.language;
    const stage = globalThis.mergeDesk.stage.create(page);

    function liveSwitch() {
      const set = (/** @type {boolean} */ on) => {
        state.live = on;
        if (on && state.stale) mix.scheduleApply();
      };
      const attributes = { type: "checkbox", role: "switch", checked: state.live, "data-act": "live" };
      return make(
        "label",
        { class: "md-live", title: "Merge and generate each time a slider is released" },
        make("input", { ...attributes, onchange: (e) => set(e.target.checked) }),
        make("i"),
        "Live",
      );
    }
    function holdButton() {
      const hold = (/** @type {boolean} */ down) => () => stage.hold(down);
      const keys = (/** @type {boolean} */ down) => (/** @type {KeyboardEvent} */ e) => {
        if (e.key !== " " && e.key !== "Enter") return;
        e.preventDefault();
        hold(down)();
      };
      const title = "While held down: the picture of A alone, with the same settings";
      return button("Hold to see A", title, () => {}, {
        "data-act": "hold",
        ...{ onpointerdown: hold(true), onpointerup: hold(false), onpointerleave: hold(false) },
        ...{ onkeydown: keys(true), onkeyup: keys(false), onblur: hold(false) },
      });
    }
    function toolbar() {
      const canStop = mount("faders")?.dataset.stop === "true";
      const main = { class: "md-button md-primary", "data-act": "generate" };
      const unload = "Remove the merge from memory: the loaded checkpoint's own weights are used again";
      return make(
        "div",
        { class: "md-toolbar" },
        liveSwitch(),
        button(
          "Generate",
          "Merge with these weights and generate a picture (Ctrl+Enter)",
          () => mix.send("apply"),
          main,
        ),
        holdButton(),
        make("span", { class: "md-space" }),
        canStop
          ? button("Stop", "Stop generating; the model in memory stays as it was before", mix.stop, {
              "data-act": "stop",
              disabled: true,
            })
          : null,
        button("Unload merge", unload, () => mix.send("unload"), { "data-act": "unload" }),
      );
    }
    function draw() {
      mount("preview")?.replaceChildren(
        toolbar(),
        make("div", { "data-part": "progress" }),
        make("div", { "data-part": "engaged-notice" }),
        make("div", { "data-part": "problem" }),
      );
      mount("strip")?.replaceChildren(
        make(
          "div",
          { class: "md-status", role: "status", "aria-live": "polite" },
          make("i", { class: "md-status-dot" }),
          make("span", { "data-part": "status" }, "Reading what is loaded …"),
        ),
      );
      stage.draw();
      mount("strip")?.append(
        make(
          "details",
          { class: "md-infotext", "data-part": "infotext", hidden: true },
          make("summary", {}, "Infotext"),
          make("pre"),
        ),
      );
      showPictures();
      showNotice();
    }

    // --- showing the state ---

    function showPictures() {
      stage.show();
      const text = part("infotext");
      if (!text) return;
      const infotext = state.picture?.infotext ?? "";
      text.hidden = !infotext;
      /** @type {HTMLElement} */ (text.lastChild).textContent = infotext;
    }
    /** What the buttons can do now, and what is being done. */
    function showState() {
      const { busy, ui } = state;
      const able = {
        ...{ undo: state.canUndo, redo: state.canRedo, stop: busy, hold: state.picture },
        generate: ui && !ui.next_step,
      };
      for (const [act, can] of Object.entries(able)) {
        const found = field(`[data-act=${act}]`);
        if (found) found.disabled = !can;
      }
      const live = field("[data-act=live]");
      if (live) live.checked = state.live;
      find("[data-act=generate]")?.classList.toggle("md-pending", engaged.isDue(state));
      const acting = busy?.act === "further" ? null : busy; // the sheet says it in its tiles
      find("[data-frame=now]")?.classList.toggle("md-busy", !!acting);
      const waits = acting || state.queued || state.scheduled || state.expected;
      part("stage")?.setAttribute("aria-busy", String(!!waits));
      stage.showFirst();
      stage.sheet.follow();
      stage.showStep(acting?.preview ?? "");
      const note = part("busy");
      const seconds = acting ? ((Date.now() - acting.since) / 1000).toFixed(0) : "";
      if (note)
        Object.assign(note, {
          hidden: !acting,
          textContent: acting ? `${translate(acting.doing || DOING[acting.act])} … ${seconds} s` : "",
        });
    }
    /** @param {Desk.StatusView} status @param {string} [done] a sentence on what was just done */
    function showStatus(status, done = "") {
      const { live, text, note, engaged: id } = status;
      const place = part("status");
      if (!place || !engaged.isLatest(state, status)) return;
      place.textContent = [text, done, note].filter(Boolean).map(translate).join(" ");
      place.dataset.engaged = id; // two merges may have one sentence
      place.parentElement?.classList.toggle("md-merge-loaded", live);
    }
    /** @param {Desk.Problem | null} problem */
    function showProblem(problem) {
      part("problem")?.replaceChildren(...(problem ? [problemBox(problem)] : []));
    }
    /** What is in memory from elsewhere, and what to do about it. */
    function showNotice() {
      const { text, recipe, other } = state.notice;
      const mine = () => {
        engaged.keepMine(state);
        showNotice();
      };
      const choice = () =>
        make(
          "div",
          { class: "md-toolbar" },
          button(
            "Load it here",
            "Set the lists and sliders of this page to the merge in memory",
            mix.loadEngaged,
            {
              "data-act": "load-engaged",
            },
          ),
          button(
            "Keep mine",
            "Leave this page as it is; its next change replaces the merge in memory",
            mine,
            {
              "data-act": "keep-mine",
            },
          ),
        );
      const box = make(
        "div",
        { class: "md-problem md-calm", role: "status" },
        make("p", {}, text),
        recipe ? make("pre", { class: "md-recipe" }, recipe) : null,
        other ? choice() : null,
      );
      part("engaged-notice")?.replaceChildren(...(text ? [box] : []));
      stage.showCaptions();
    }

    const { sheet: furtherPictures } = stage;
    return {
      draw,
      furtherPictures,
      showPictures,
      showState,
      showStatus,
      showProblem,
      showNotice,
    };
  }

  const pictures = { create };
  if (typeof module !== "undefined") module.exports = pictures;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, pictures };
}
