"use strict";
/* The tab Mix, one fader: its mark, name, slider, number and toggles, and how these show the state. */
{
  /** @typedef {"link" | "lock" | "solo" | "mute"} Toggle */
  /** @type {[letter: string, kind: Toggle, title: string][]} */
  const TOGGLES = [
    ["L", "link", "Link: linked sliders move together (L)"],
    ["K", "lock", "Lock: nothing moves this slider until it is unlocked (K)"],
    ["S", "solo", "Solo: all other blocks keep A (S)"],
    ["M", "mute", "Mute: this block keeps A, the slider keeps its value (M)"],
  ];
  const PADLOCK = "M3 5V3.5a2.5 2.5 0 0 1 5 0V5M2 5h7v5.5H2z";
  const NOT_FINITE =
    "A or B has NaN or infinite weights in this block: Check health on the Report tab lists them";

  /** @param {DeskPage} page */
  function create({ state }) {
    const { ALL } = globalThis.mergeDesk.state;
    const { inEffect } = globalThis.mergeDesk;
    const { formatNumber } = globalThis.mergeDesk.numberList;
    const { HOW, amountText, isBeyond } = globalThis.mergeDesk.numberInput;
    const { field, find, make, draw: drawing, updateTrack } = globalThis.mergeDesk.dom;
    const { translate } = globalThis.mergeDesk.language;
    const ui = () => /** @type {Desk.UiState} */ (state.ui);
    /** @param {string} slot */
    const label = (slot) => (slot === ALL ? "All blocks" : slot);

    const padlock = () =>
      drawing("svg", { viewBox: "0 0 11 12", "aria-hidden": "true" }, drawing("path", { d: PADLOCK }));
    /** @param {string} slot */
    const toggleButton =
      (slot) =>
      (/** @type {typeof TOGGLES[number]} */ [letter, kind, title]) =>
        make(
          "button",
          {
            type: "button",
            tabindex: -1,
            "data-kind": kind,
            title,
            "aria-label": `${slot}, ${translate(title)}`,
          },
          kind === "lock" ? padlock() : letter,
        );
    /** @param {string} slot @param {string} [side] */
    function draw(slot, side = "") {
      return make(
        "div",
        { class: `md-fader ${side}`, "data-slot": slot },
        make("span", { class: "md-mark", "aria-hidden": "true" }, make("i")),
        make("span", { class: "md-slot", translate: slot === ALL ? null : "no" }, label(slot)),
        make("input", {
          ...{ type: "range", class: "md-range" },
          ...{ "aria-label": label(slot), "aria-keyshortcuts": "L K S M I Space Enter Delete" },
        }),
        make("input", {
          ...{ type: "text", inputmode: "text", class: "md-number", tabindex: -1, autocomplete: "off" },
          ...{ "aria-label": `${label(slot)}, as a number`, title: HOW },
        }),
        make("span", { class: "md-toggles" }, slot === ALL ? [] : TOGGLES.map(toggleButton(slot))),
      );
    }

    // --- what was typed and cannot be taken ---

    /** Says why by the box, which keeps what was typed. @param {HTMLInputElement} number @param {string} text */
    function showEntryProblem(number, text) {
      clearEntryProblem(number);
      number.setAttribute("aria-invalid", "true");
      number.dataset.amount = String(amountOf(slotOf(number)));
      number.parentElement?.append(make("span", { class: "md-entry-problem", role: "alert" }, text));
    }
    /** @param {HTMLInputElement} number */
    function clearEntryProblem(number) {
      number.removeAttribute("aria-invalid");
      find(".md-entry-problem", number.parentElement ?? undefined)?.remove();
    }
    /** @param {HTMLElement} within */
    const slotOf = (within) =>
      /** @type {HTMLElement | null} */ (within.closest(".md-fader"))?.dataset.slot ?? "";
    /** @param {string} slot */
    const amountOf = (slot) => (slot === ALL ? state.allBlocks().value : state.amountOf(slot));

    // --- showing the state ---

    /** @param {HTMLElement} each */
    function show(each) {
      const slot = slotOf(each);
      const slide = /** @type {HTMLInputElement} */ (field(".md-range", each));
      const { next_step, no_block_weights, disabled_faders } = ui();
      const { low, high, step } = state.range();
      const value = no_block_weights ? state.restingAmount() : amountOf(slot);
      const disabled = !!next_step || !!no_block_weights || slot in disabled_faders;
      Object.assign(slide, { min: low, max: high, step, value, disabled });
      slide.setAttribute("aria-disabled", String(disabled));
      each.classList.toggle("md-inactive", slot !== ALL && state.inactive(slot));
      each.classList.toggle("md-above-range", value > high);
      each.classList.toggle("md-below-range", value < low);
      for (const [, kind] of TOGGLES) showToggle(each, slot, kind);
      showNumber(each, value, disabled);
      showOverride(each, slot);
      slide.setAttribute("aria-valuetext", valueText(slot, value));
      updateTrack(slide);
    }
    /** @param {HTMLElement} each @param {number} value @param {boolean} disabled */
    function showNumber(each, value, disabled) {
      const number = /** @type {HTMLInputElement} */ (field(".md-number", each));
      const typing = document.activeElement === number;
      const moved = number.dataset.amount !== String(value);
      if (number.matches("[aria-invalid]") && moved && !typing) clearEntryProblem(number);
      number.disabled = disabled;
      number.title = isBeyond(value, state.range())
        ? `${translate(amountText(value, state.range()))}. ${translate(HOW)}`
        : HOW;
      if (typing || number.matches("[aria-invalid]")) return;
      const override = inEffect.overrideOf(state, slotOf(each));
      if (override?.complete && !disabled) {
        number.value = override.value;
        number.title = `${override.text}. The slider stands at ${formatNumber(value)}`;
        return;
      }
      const mixed = slotOf(each) === ALL && state.allBlocks().mixed;
      number.value = ui().no_block_weights ? "" : mixed ? "mixed" : String(Math.round(value * 1e3) / 1e3);
    }
    /** What a screen reader says of a fader when it moves. @param {string} slot @param {number} value */
    function valueText(slot, value) {
      if (slot === ALL) return state.allBlocks().mixed ? "mixed" : formatNumber(value);
      const { link, lock, solo, mute } = state.toggles;
      const states = Object.entries({ linked: link, locked: lock, solo, muted: mute });
      const on = states.filter(([, slots]) => slots.has(slot)).map(([name]) => name);
      return [amountText(value, state.range()), ...on].map(translate).join(", ");
    }
    /** A fader whose block is decided elsewhere says so, and what the block ends with.
     * @param {HTMLElement} each @param {string} slot */
    function showOverride(each, slot) {
      const override = inEffect.overrideOf(state, slot);
      const words = ui().disabled_faders[slot] ?? override?.text ?? "";
      const slide = find(".md-range", each);
      each.classList.toggle("md-overridden", !!override);
      each.classList.toggle("md-fully-overridden", !!override?.complete);
      if (!slide) return;
      slide.title = words;
      const said = [label(slot), words, differenceText(slot)];
      slide.setAttribute("aria-label", said.filter(Boolean).map(translate).join(", "));
    }
    /** @param {HTMLElement} each @param {string} slot @param {Toggle} kind */
    function showToggle(each, slot, kind) {
      const on = state.toggles[kind].has(slot);
      each.classList.toggle(`md-${kind}`, on);
      const toggle = field(`[data-kind=${kind}]`, each);
      toggle?.setAttribute("aria-pressed", String(on));
      if (!toggle) return;
      const useless = (kind === "solo" || kind === "mute") && !state.canKeepA;
      toggle.disabled = !!ui().no_block_weights || useless;
      const [, , title] = TOGGLES.find(([, each]) => each === kind) ?? ["", "", ""];
      toggle.title = useless
        ? "No amount keeps A with this method, so that a block cannot be left out"
        : title;
    }

    // --- marks ---

    /** How much A and B differ in a block, in words. @param {string} slot */
    function differenceText(slot) {
      const difference = state.marks[slot];
      if (state.notFinite.includes(slot)) return NOT_FINITE;
      if (difference === undefined) return "";
      const percent = `${(difference * 100).toFixed(1)} %`;
      if (state.markLabel) return translate(state.markLabel) + percent;
      return difference === 0
        ? "A and B are equal in this block"
        : `A and B differ by ${percent} in this block`;
    }
    /** @param {HTMLElement} each @param {number} max the greatest difference of all */
    function showMark(each, max) {
      const slot = slotOf(each);
      const difference = state.marks[slot];
      each.style.setProperty("--difference", String(difference === undefined ? 0 : difference / max));
      each.classList.toggle("md-marked", difference !== undefined);
      each.classList.toggle("md-not-finite", state.notFinite.includes(slot));
      /** @type {HTMLElement} */ (each.firstChild).title = differenceText(slot);
      showOverride(each, slot);
    }
    return { draw, show, showMark, showEntryProblem, clearEntryProblem, differenceText };
  }

  const fader = { create };
  if (typeof module !== "undefined") module.exports = fader;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, fader };
}
