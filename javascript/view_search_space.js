"use strict";
/* The tab Search, what is searched: blocks, groups and presets to pick, a row for each entry, and the text of the
 * whole space. The text is what counts; chips and rows change it, and are drawn from it. */
{
  const TIES = [
    ["", "a number for each block"],
    ["tied", "one number for all of them"],
    ["by level", "one number for each resolution"],
  ];
  const MAX_LINES = 12;
  const FINAL = "FINAL"; // what rules call the last layers where their slot has the name of a group

  /** @param {{ state: DeskPage["state"], changed: () => void }} page  changed is called after each change */
  function create({ state, changed }) {
    const { field, part, make, button } = globalThis.mergeDesk.dom;
    const { readSpace, printEntry, replaceEntry, removeEntry, toggleEntry, asLines } =
      globalThis.mergeDesk.searchSpace;
    let text = "";
    /** What a picked block is searched with. */
    const fresh = { tie: "", low: "0", high: "1", step: "0.05" };

    // --- changes ---

    /** @param {string} written @param {boolean} [typed] whether the user types into the text itself */
    function setText(written, typed = false) {
      text = written;
      const area = /** @type {HTMLTextAreaElement | null} */ (part("search-space"));
      if (area && !typed) area.value = text;
      if (area) area.rows = Math.min(MAX_LINES, Math.max(2, text.split("\n").length));
      showPicks();
      showRows();
      changed();
    }
    /** @param {string} target */
    function pick(target) {
      const { tie, ...range } = fresh;
      const isGroup = groups().some((group) => group.target === target);
      setText(toggleEntry(text, target, printEntry({ target, tie: isGroup ? tie : "", range })));
    }
    /** @param {string} preset */
    function pickPreset(preset) {
      if (preset) setText(toggleEntry(text, preset, `${preset}: 0..1`));
    }
    /** @param {number} nth @param {{ tie?: string, low?: string, high?: string, step?: string }} more */
    function changeRow(nth, { tie, ...numbers }) {
      const old = readSpace(text)[nth];
      if (!old?.range) return;
      const range = { ...old.range, ...numbers };
      setText(replaceEntry(text, old, printEntry({ target: old.target, tie: tie ?? old.tie, range })));
    }

    // --- what there is to pick ---

    /** @param {string} slot */
    const stem = (slot) => slot.replace(/\d+$/, "");
    /** The words of a space for several slots: IN, IN00-IN02, or BASE IN M00 OUT. @param {string[]} slots */
    function targetOf(slots) {
      const stems = [...new Set(slots.map(stem))];
      const ofStem = (/** @type {string} */ word) =>
        state.slots().filter((slot) => /\d$/.test(slot) && stem(slot) === word);
      if (stems.length > 1)
        return stems.map((word) => (ofStem(word).length === 1 ? ofStem(word)[0] : word)).join(" ");
      const ordered = [...slots].sort();
      return ofStem(stems[0]).length === slots.length ? stems[0] : `${ordered[0]}-${ordered.at(-1)}`;
    }
    const groups = () =>
      (state.ui?.fader_groups ?? [])
        .filter(({ slots }) => slots.length > 1)
        .map(({ title, slots }) => ({ title, target: targetOf(slots) }));
    const single = () => {
      const names = groups().map(({ target }) => target);
      return state.slots().map((slot) => (names.includes(slot) ? FINAL : slot));
    };

    // --- what is shown ---

    /** @param {string} target @param {string} title */
    function chip(target, title) {
      const isThere = readSpace(text).some((entry) => entry.target === target);
      const attributes = { class: "md-button md-chip", "data-target": target, "aria-label": null };
      const made = button("", title, () => pick(target), attributes);
      made.setAttribute("aria-pressed", String(isThere));
      made.append(make("span", { translate: "no" }, target));
      return made;
    }
    function showPicks() {
      const ui = state.ui;
      if (!ui) return;
      const focused = document.activeElement?.getAttribute("data-target");
      part("search-groups")?.replaceChildren(...groups().map(({ target, title }) => chip(target, title)));
      part("search-blocks")?.replaceChildren(
        ...single().map((slot) => chip(slot, `Search this block, or leave it as it is: ${slot}`)),
      );
      if (focused) field(`.merge-desk-search [data-target="${focused}"]`)?.focus();
      showPresets(ui);
    }
    /** @param {Desk.UiState} ui */
    function showPresets(ui) {
      const there = readSpace(text).map(({ target }) => target);
      const free = ui.presets.filter(({ name, own }) => !own && !there.includes(name));
      part("search-presets")?.replaceChildren(
        make("option", { value: "" }, "How much of a preset …"),
        ...free.map(({ name }) => make("option", { value: name, translate: "no" }, name)),
      );
    }
    /** @param {string} label @param {string} value @param {(value: string) => void} change
     * @param {string} name */
    function numberField(label, value, change, name) {
      return make("input", {
        ...{
          type: "text",
          inputmode: "decimal",
          class: "md-number",
          "aria-label": label,
          title: label,
          value,
        },
        ...{ "data-number": name, placeholder: label },
        onchange: (e) => change(e.target.value.trim()),
      });
    }
    /** @param {string} value @param {(value: string) => void} change @param {string} [label] */
    function tieList(value, change, label = "Which of the blocks share a number") {
      return make(
        "select",
        { "aria-label": label, "data-part": "search-tie", onchange: (e) => change(e.target.value) },
        TIES.map(([id, title]) => make("option", { value: id, selected: id === value }, title)),
      );
    }
    /** @param {ReturnType<typeof readSpace>[number]} entry @param {number} nth */
    function row({ target, tie, range, values }, nth) {
      const remove = button(
        "✕",
        `Do not search this: ${target}`,
        () => setText(removeEntry(text, readSpace(text)[nth])),
        { class: "md-button md-small", "data-act": "search-remove" },
      );
      const name = make("b", { translate: "no" }, target);
      if (!range) return make("li", {}, name, make("code", { translate: "no" }, values), remove);
      const isBlocks = !state.ui?.presets.some((preset) => preset.name === target);
      return make(
        "li",
        { "data-space": target },
        name,
        numberField("from", range.low, (low) => changeRow(nth, { low }), "low"),
        numberField("to", range.high, (high) => changeRow(nth, { high }), "high"),
        numberField("step", range.step, (step) => changeRow(nth, { step }), "step"),
        isBlocks ? tieList(tie, (chosen) => changeRow(nth, { tie: chosen })) : null,
        remove,
      );
    }
    function showRows() {
      const list = part("search-entries");
      if (!list || list.contains(document.activeElement)) {
        window.setTimeout(showRowsUnfocused);
        return;
      }
      drawRows(list);
    }
    /** A field that is left by a change of its own is drawn again once the next has the focus. */
    function showRowsUnfocused() {
      const list = part("search-entries");
      const within = list?.contains(document.activeElement) && document.activeElement;
      const at = within ? [...(list?.querySelectorAll("input, select, button") ?? [])].indexOf(within) : -1;
      if (list) drawRows(list);
      if (at >= 0)
        /** @type {NodeListOf<HTMLElement> | undefined} */ (
          list?.querySelectorAll("input, select, button")
        )?.[at]?.focus();
    }
    /** @param {HTMLElement} list */
    const drawRows = (list) => list.replaceChildren(...readSpace(text).map(row));

    function draw() {
      const keep = (/** @type {keyof typeof fresh} */ name) => (/** @type {string} */ value) =>
        void (fresh[name] = value);
      return make(
        "section",
        { class: "md-search-space" },
        make("h3", {}, "What is searched"),
        make(
          "div",
          { class: "md-toolbar" },
          make("span", { class: "md-hint" }, "Blocks that you pick vary"),
          numberField("from", fresh.low, keep("low"), "low"),
          numberField("to", fresh.high, keep("high"), "high"),
          numberField("step", fresh.step, keep("step"), "step"),
          tieList(fresh.tie, keep("tie"), "Which blocks of a picked group share a number"),
        ),
        make("div", { class: "md-chips", "data-part": "search-groups" }),
        make("div", { class: "md-chips", "data-part": "search-blocks" }),
        make("select", {
          ...{ "aria-label": "How much of a preset", "data-part": "search-presets" },
          onchange: (e) => pickPreset(e.target.value),
        }),
        make("ul", { class: "md-search-entries", "data-part": "search-entries" }),
        make("textarea", {
          ...{ class: "md-textarea", "data-part": "search-space", spellcheck: "false", rows: 2 },
          ...{ "aria-label": "The search space as text", placeholder: "OUT04-OUT11: 0..1 step 0.05" },
          oninput: (e) => setText(e.target.value, true),
        }),
      );
    }
    return {
      draw,
      /** What there is to pick may have changed. */
      show: () => {
        const area = /** @type {HTMLTextAreaElement | null} */ (part("search-space"));
        if (area && document.activeElement !== area) area.value = text;
        showPicks();
        showRows();
      },
      text: () => text,
      /** @param {string} written */
      set: (written) => setText(asLines(written)),
    };
  }

  const searchSpaceView = { create };
  if (typeof module !== "undefined") module.exports = searchSpaceView;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, searchSpaceView };
}
