"use strict";
/* The tab Mix: what a block is, what is known of it, and the amounts that its fader had, on hover of its name, with
 * the key I, or where a finger stays on the name. What a block is comes from lib_merge/architectures/blocks.py. */
{
  const [OPEN_AFTER, CLOSE_AFTER] = [500, 300]; // ms

  /** @param {DeskPage} page @param {ReturnType<typeof import("./view_mix_fader.js")["create"]>} strip */
  function create({ state, mix }, strip) {
    const { ALL } = globalThis.mergeDesk.state;
    const { inEffect } = globalThis.mergeDesk;
    const { FaderHistory } = globalThis.mergeDesk.faderHistory;
    const { formatNumber } = globalThis.mergeDesk.numberList;
    const { field, findAll, make, sheet } = globalThis.mergeDesk.dom;
    const history = new FaderHistory();
    /** @type {HTMLElement | null} */
    let card = null;
    let timer = 0;

    // --- what it says ---

    /** @param {string} slot @returns {[string, string][]} */
    function facts(slot) {
      const note = state.ui?.block_notes[slot];
      const held = state.ui?.disabled_faders[slot] ?? inEffect.overrideOf(state, slot)?.text ?? "";
      /** @type {[string, string][]} */
      const rows = [
        ["Place", note?.place ?? ""],
        ["Full size", note?.tensors ?? ""],
        ["Mixers say", note?.said ?? ""],
        ["Measured", strip.differenceText(slot)],
        ["Now", held],
      ];
      return rows.filter(([, text]) => text);
    }
    /** @param {string} slot */
    function earlier(slot) {
      const amounts = history.before(state.param, slot, state.amountOf(slot));
      const take = (/** @type {number} */ amount) => () => {
        mix.edit(() => state.adjust([slot], () => amount));
        field(".md-range", card?.parentElement ?? undefined)?.focus();
        close();
      };
      return make(
        "p",
        { class: "md-earlier" },
        make("span", {}, amounts.length ? "Earlier: " : "Not moved in this session."),
        amounts.map((amount) =>
          make(
            "button",
            { type: "button", class: "md-button", "data-earlier": amount, onclick: take(amount) },
            formatNumber(amount),
          ),
        ),
      );
    }
    /** @param {HTMLElement} each a fader */
    function open(each) {
      clearTimeout(timer);
      const slot = each.dataset.slot ?? "";
      if (slot === ALL || card?.parentElement === each) return;
      close();
      const above = each.getBoundingClientRect().top > window.innerHeight * 0.55;
      card = make(
        "div",
        {
          ...{
            class: `md-card ${above ? "md-card-above" : ""}`,
            role: "group",
            "aria-label": `About ${slot}`,
          },
          onkeydown: (/** @type {KeyboardEvent} */ e) => e.key === "Escape" && leave(),
        },
        make("b", {}, slot),
        earlier(slot),
        sheet(facts(slot)),
      );
      each.append(card);
    }
    function close() {
      clearTimeout(timer);
      card?.remove();
      card = null;
    }
    function leave() {
      field(".md-range", card?.parentElement ?? undefined)?.focus();
      close();
    }

    // --- when ---

    /** @param {EventTarget | null} target @returns {HTMLElement | null} */
    const faderOf = (target) => (target instanceof Element ? target.closest(".md-fader") : null);
    /** @param {PointerEvent} e */
    function onOver(e) {
      const target = e.target instanceof Element ? e.target : null;
      if (target?.closest(".md-card")) clearTimeout(timer);
      const each = target?.closest(".md-slot") ? faderOf(target) : null;
      if (!each || e.buttons || e.pointerType === "touch") return;
      clearTimeout(timer);
      timer = window.setTimeout(() => open(each), OPEN_AFTER);
    }
    /** @param {PointerEvent} e */
    function onOut(e) {
      if (!(e.target instanceof Element) || !e.target.closest(".md-slot, .md-card")) return;
      clearTimeout(timer);
      if (e.pointerType === "touch") return; // the finger is lifted: the next touch elsewhere closes
      timer = window.setTimeout(close, CLOSE_AFTER);
    }
    /** @param {PointerEvent} e */
    function onDown(e) {
      const target = e.target instanceof Element ? e.target : null;
      if (target?.closest(".md-card")) return;
      close();
      const each = target?.closest(".md-slot") ? faderOf(target) : null;
      if (each && e.pointerType === "touch") timer = window.setTimeout(() => open(each), OPEN_AFTER);
    }
    /** @param {KeyboardEvent} e */
    function onKey(e) {
      const each = faderOf(e.target);
      const onSlider = e.target instanceof Element && e.target.matches(".md-range");
      if (!each || !onSlider || e.ctrlKey || e.metaKey || e.altKey) return;
      if (e.key === "Escape") close();
      if (e.key.toLowerCase() !== "i") return;
      e.preventDefault();
      open(each);
      field("button", card ?? undefined)?.focus();
    }
    /** @param {HTMLElement} root */
    function listen(root) {
      root.addEventListener("pointerover", onOver);
      root.addEventListener("pointerout", onOut);
      root.addEventListener("keydown", onKey);
    }
    document.addEventListener("pointerdown", onDown);
    /** Takes note of where the faders are, once a move has ended. */
    function note() {
      if (state.moving) return;
      for (const { name } of state.faders())
        for (const slot of state.activeSlots()) history.note(name, slot, state.amountOf(slot, name));
      if (card && !findAll(".md-card").length) card = null; // the board was drawn again
    }
    return { listen, note };
  }

  const faderCard = { create };
  if (typeof module !== "undefined") module.exports = faderCard;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, faderCard };
}
