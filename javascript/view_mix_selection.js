"use strict";
/* The tab Mix, above the faders: what is done to the selected ones, and drawing a curve over all blocks. */
{
  /** @typedef {InstanceType<typeof import("./fader_groups.js")["FaderSelection"]>} FaderSelection */
  const HINT =
    "Click a block's name to select it (Space on its slider); Shift: a range, Ctrl: one more; drag over names.";

  /** @param {DeskPage} page @param {FaderSelection} selected */
  function create({ state, mix }, selected) {
    const { applyEntry, readEntry, entryProblem, HOW } = globalThis.mergeDesk.numberInput;
    const { smooth } = globalThis.mergeDesk.faderGroups;
    const { formatNumber } = globalThis.mergeDesk.numberList;
    const { findAll, part, make, button } = globalThis.mergeDesk.dom;
    const ui = () => /** @type {Desk.UiState} */ (state.ui);
    let text = "0.5"; // of the amount, kept when the faders are drawn again
    let wrong = ""; // why it is none
    const box = () => /** @type {HTMLInputElement | null} */ (part("selection-amount"));

    // --- what is done to the selected faders ---

    /** Sets, adds or multiplies by what is in the box; a sign in it decides before the button does.
     * @param {"set" | "add" | "multiply"} kind */
    function apply(kind) {
      const entry = readEntry(text);
      wrong = entry ? "" : entryProblem(text);
      if (!entry) {
        showNote();
        box()?.focus();
        return;
      }
      const meant = entry.kind === "set" ? { ...entry, kind } : entry;
      mix.edit(() => state.adjust(selected.list(), (amount) => applyEntry(meant, amount)));
    }
    function smoothSelected() {
      const slots = selected.list();
      const amounts = smooth(slots.map((slot) => state.amountOf(slot)));
      mix.edit(() => state.adjust(slots, (_, slot) => amounts[slots.indexOf(slot)]));
    }
    const resetSelected = () => mix.edit(() => state.adjust(selected.list(), () => state.restingAmount()));
    /** On for all of them, or off where it is on for all. @param {"link" | "lock"} kind */
    function toggleSelected(kind) {
      const slots = selected.list();
      const on = !slots.every((slot) => state.toggles[kind].has(slot));
      for (const slot of slots) if (state.toggles[kind].has(slot) !== on) state.toggle(kind, slot);
      mix.show();
    }

    // --- the bar ---

    function groupMenu() {
      const groups = ui().fader_groups;
      const menu = make(
        "select",
        {
          ...{ class: "md-select-group", "aria-label": "Select sliders", "data-part": "select-group" },
          onchange: (e) => {
            const { value } = e.target;
            selected.choose(value === "none" ? [] : (groups[Number(value)]?.slots ?? []));
            e.target.value = "";
            mix.show();
          },
        },
        make("option", { value: "" }, "Select …"),
        groups.map(({ title }, n) => make("option", { value: n }, title)),
        make("option", { value: "none" }, "none"),
      );
      menu.value = "";
      return menu;
    }
    function amountBox() {
      const input = make("input", {
        ...{
          type: "text",
          class: "md-selection-amount",
          autocomplete: "off",
          "data-part": "selection-amount",
        },
        ...{ "aria-label": "Amount for the selected sliders", title: HOW, "data-needs-selection": true },
        oninput: (e) => {
          text = e.target.value;
          wrong = "";
          showNote();
        },
        onkeydown: (e) => e.key === "Enter" && apply("set"),
      });
      input.value = text;
      return input;
    }
    /** @param {string} words @param {string} title @param {string} act @param {() => void} run */
    const tool = (words, title, act, run) =>
      button(words, title, run, { "data-act": act, "data-needs-selection": true });
    function draw() {
      return make(
        "div",
        {
          class: `md-selection ${ui().no_block_weights || ui().next_step ? "md-set-aside" : ""}`,
          ...{ role: "group", "aria-label": "Selected sliders" },
        },
        make(
          "div",
          { class: "md-toolbar" },
          groupMenu(),
          amountBox(),
          make(
            "span",
            { class: "md-group" },
            tool("Set", "Set the selected sliders to this amount (Enter)", "selection-set", () =>
              apply("set"),
            ),
            tool("Add", "Add this amount to each selected slider", "selection-add", () => apply("add")),
            tool("Multiply", "Multiply each selected slider by this", "selection-multiply", () =>
              apply("multiply"),
            ),
          ),
          make(
            "span",
            { class: "md-group" },
            tool(
              "Smooth",
              "Each selected slider becomes the mean of itself and its neighbours",
              "selection-smooth",
              smoothSelected,
            ),
            tool("Put back", "Reset the selected sliders alone", "selection-reset", resetSelected),
            tool("Link", "Link the selected sliders, or end it", "selection-link", () =>
              toggleSelected("link"),
            ),
            tool("Lock", "Lock the selected sliders, or unlock them", "selection-lock", () =>
              toggleSelected("lock"),
            ),
          ),
        ),
        make("p", { class: "md-selection-note", "data-part": "selection-note", role: "status" }),
      );
    }
    /** Which locked faders the last change left. */
    function keptText() {
      const kept = [...state.keptLocked];
      if (kept.length > 1) return `${kept.join(", ")} are locked and keep their weights.`;
      return kept
        .map((slot) => `${slot} is locked and keeps ${formatNumber(state.amountOf(slot))}.`)
        .join("");
    }
    function showNote() {
      const note = part("selection-note");
      const slots = selected.list();
      const kept = keptText();
      const count = slots.length === 1 ? "1 slider" : `${slots.length} sliders`;
      if (!note) return;
      note.textContent = wrong || kept || (slots.length ? `${count} selected: ${slots.join(", ")}` : HINT);
      note.title = note.textContent;
      note.classList.toggle("md-bad", !!wrong);
      note.classList.toggle("md-kept-locked", !wrong && !!kept);
      box()?.toggleAttribute("aria-invalid", !!wrong);
    }
    function show() {
      const able = selected.list().length > 0 && !ui().no_block_weights;
      for (const each of findAll("[data-needs-selection]"))
        /** @type {HTMLInputElement} */ (each).disabled = !able;
      for (const each of findAll(".md-fader"))
        each.classList.toggle("md-selected", selected.slots.has(each.dataset.slot ?? ""));
      showNote();
    }
    return { draw, show };
  }

  const selectionBar = { create };
  if (typeof module !== "undefined") module.exports = selectionBar;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, selectionBar };
}
