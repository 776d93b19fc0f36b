"use strict";
/* The tab Mix, left side: the faders with their marks, what is in effect besides them, and the numbers as text.
 * What is drawn comes from lib_merge/desk/lists/view.py; what a fader means is in state.js. */
{
  const TIPS =
    "Double-click resets; arrow keys and wheel move in small steps; Enter: type a number, 50%, 1/3 or +0.1; " +
    "L links, K locks, S solos, M mutes.";
  const MAX_NAMED = 3; // notFinite blocks that are named one by one

  /** @param {DeskPage} page */
  function create(page) {
    const { state, mix } = page;
    const { ALL } = globalThis.mergeDesk.state;
    const { formatNumber } = globalThis.mergeDesk.numberList;
    const { edits, inEffect } = globalThis.mergeDesk;
    const { findAll, field, mount, part, make, button, updateTrack } = globalThis.mergeDesk.dom;
    const { translate } = globalThis.mergeDesk.language;
    const strip = globalThis.mergeDesk.fader.create(page);
    const ui = () => /** @type {Desk.UiState} */ (state.ui);
    const numbers = globalThis.mergeDesk.numbers.create(page);
    const { FaderSelection, slotOrder } = globalThis.mergeDesk.faderGroups;
    const selected = new FaderSelection(() => (state.ui ? slotOrder(state.ui) : []));
    const selectionBar = globalThis.mergeDesk.selectionBar.create(page, selected);
    const curve = globalThis.mergeDesk.curve.create(page);
    const card = globalThis.mergeDesk.faderCard.create(page, strip);
    const events = globalThis.mergeDesk.faderEvents.create(page, { strip, selected });

    // --- the panel of faders ---

    const fader = strip.draw;
    /** @param {number} row */
    function faderRow(row) {
      const { left, right, rows_per_level: level } = ui().fader_layout;
      return make(
        "div",
        { class: `md-row ${level && row && row % level === 0 ? "md-level-start" : ""}` },
        left[row] ? fader(left[row]) : make("i"),
        make("span", { class: level ? "md-skip-line" : "" }),
        right[row] ? fader(right[row], "md-right") : make("i"),
      );
    }
    /** @param {string} name @param {string} words "" for none */
    const notice = (name, words) =>
      make("p", { class: "md-next-step", "data-part": name, hidden: !words }, words);
    const methodFacts = () =>
      make(
        "div",
        { class: "md-method" },
        make("code", {}, ui().method.formula),
        make("span", {}, ui().method.summary),
      );
    function parameters() {
      const { scalars } = ui().method;
      return scalars.length ? make("div", { class: "md-parameters" }, scalars.map(scalarInput)) : "";
    }
    /** @param {HTMLElement[]} rows @param {(HTMLElement | string)[]} instead what stands over sliders without an effect */
    function board(rows, instead) {
      const { fader_layout, next_step, no_block_weights } = ui();
      return make(
        "div",
        { class: "md-board" },
        make(
          "div",
          { class: `md-fader-panel ${next_step || no_block_weights ? "md-unavailable" : ""}` },
          make("span", { class: "md-legend", "data-part": "legend" }),
          make(
            "div",
            { class: "md-top" },
            fader(ALL),
            fader_layout.above.map((slot) => fader(slot, "md-right")),
          ),
          rows,
          make(
            "div",
            { class: "md-middle" },
            fader_layout.middle.map((slot) => fader(slot)),
          ),
          make(
            "div",
            { class: "md-outside" },
            fader_layout.outside.map((slot) => fader(slot)),
          ),
        ),
        instead.length ? make("div", { class: "md-instead" }, instead) : "",
      );
    }
    function draw() {
      const root = mount("faders");
      if (!root || !state.ui) return;
      const { fader_layout, next_step, no_block_weights, same_models } = state.ui;
      const rows = Array.from(
        { length: Math.max(fader_layout.left.length, fader_layout.right.length) },
        (_, row) => faderRow(row),
      );
      root.replaceChildren(
        toolbar(),
        make("p", { class: "md-next-step", "data-part": "same-models", hidden: !same_models }, same_models),
        make("div", { class: "md-effects", "data-part": "effects", role: "status", hidden: true }),
        make(
          "div",
          { class: "md-above-board" }, // in one place, so that no method moves the board
          notice("next-step", next_step),
          notice("no-block-weights", no_block_weights),
          selectionBar.draw(),
        ),
        curve.draw(),
        board(rows, no_block_weights ? [methodFacts(), parameters()] : []),
        ...(no_block_weights ? [] : [methodFacts(), parameters()]),
        make(
          "p",
          { class: "md-tips" },
          `${translate(`${keepsA()}.`)} ${translate(TIPS)} `,
          button("Show the hints", "Show the three hints of the first visit again", mix.showHints, {
            ...{ "data-act": "hints-show", class: "md-link-button" },
          }),
        ),
        numbers.draw(),
        make("div", { class: "md-presets", "data-part": "presets" }),
      );
    }

    /** Whose weights a parameter's sliders are: "B (ink)", or the parameter where it is of no model alone.
     * @param {string} name */
    function amountLabel(name) {
      const model = ui().method.mixed_models[name];
      const file = { B: state.selection?.b, C: state.selection?.c }[model ?? ""];
      return model ? `${model}${file ? ` (${file})` : ""}` : name;
    }
    /** Which amounts keep A: "0 keeps A", or "alpha 0 keeps A" where the method has sliders for which that is not so. */
    function keepsA() {
      const { neutral, faders } = ui().method;
      if (!neutral) return "No amount keeps A with this method";
      const amounts = faders.map(({ name }) => neutral[name]);
      if (amounts.every((amount) => amount === amounts[0])) return `${formatNumber(amounts[0])} keeps A`;
      const named = Object.entries(neutral).map(([name, amount]) => `${name} ${formatNumber(amount)}`);
      return `${named.join(" and ")} keeps A`;
    }
    function resetTitle() {
      const { neutral, faders } = ui().method;
      const usual = `Set all sliders to ${formatNumber(state.restingAmount())}`;
      return neutral && faders.every(({ name }) => name in neutral) ? `${usual} (A unchanged)` : usual;
    }
    function toolbar() {
      const faders = state.faders();
      const amounts = faders.map(({ name, help }) =>
        button(
          amountLabel(name),
          `${name}: ${translate(help)}`,
          () => {
            state.param = name;
            mix.show();
          },
          { "data-param": name },
        ),
      );
      const attributes = { role: "group", "aria-label": "Which weights the sliders show" };
      return make(
        "div",
        { class: "md-toolbar", role: "toolbar", "aria-label": "Sliders" },
        make(
          "span",
          { class: "md-group" },
          button("↶", "Undo (Ctrl+Z)", events.undo, { "data-act": "undo" }),
          button("↷", "Redo (Ctrl+Shift+Z)", events.redo, { "data-act": "redo" }),
          button(
            "New",
            "Empty the desk: no B and C, no sliders, no rules; Undo brings them back",
            mix.startOver,
            {
              "data-act": "new",
            },
          ),
        ),
        make(
          "span",
          { class: "md-group" },
          button("Reset", resetTitle(), () => mix.edit(() => state.reset()), {
            "data-act": "reset",
            "data-needs-faders": true,
          }),
          button(
            "Invert",
            "Mirror every weight in its range: 0 becomes 1, 0.3 becomes 0.7",
            () => mix.edit(() => state.invert()),
            {
              "data-act": "invert",
              "data-needs-faders": true,
            },
          ),
        ),
        curve.toggleButton(),
        faders.length < 2 ? null : make("span", { class: "md-group", ...attributes }, amounts),
      );
    }
    /** @param {Desk.ParameterView} scalarInput */
    function scalarInput({ name, title, kind, low, high, step, help }) {
      const set = (/** @type {unknown} */ value) =>
        mix.edit(() => state.change(() => void (state.scalars[name] = value), name));
      const inputs = {
        bool: () => make("input", { type: "checkbox", onchange: (e) => set(e.target.checked) }),
        str: () =>
          make("input", { type: "text", class: "md-text-parameter", onchange: (e) => set(e.target.value) }),
        number: () =>
          make("input", {
            ...{ type: "range", class: "md-range", min: low, max: high, step: kind === "int" ? 1 : step },
            onchange: (e) => set(Number(e.target.value)),
            oninput: (e) => {
              e.target.nextSibling.textContent = e.target.value;
              updateTrack(e.target);
            },
          }),
      };
      const input = kind === "bool" || kind === "str" ? inputs[kind]() : inputs.number();
      return make(
        "label",
        { class: "md-parameter", title: `${name}: ${translate(help)}`, "data-scalar": name },
        title,
        input,
        make("output"),
      );
    }
    // --- what is in effect besides the faders ---

    /** @type {Record<string, () => void>} */
    const OFF = {
      rules: () => mix.applyExtra("weights", ""),
      adjust: () => mix.applyExtra("adjust", ""),
      align: () => field("#merge_desk_align input")?.click(),
      solo: () => mix.edit(() => edits.clearToggle(state, "solo")),
      mute: () => mix.edit(() => edits.clearToggle(state, "mute")),
    };
    /** Python tells what it merges with; solo and mute are the page's own, since they change what it sends. */
    function showEffects() {
      const strip = part("effects");
      if (!strip) return;
      const items = inEffect.items(state);
      const off = (/** @type {string} */ kind, /** @type {string} */ title) =>
        make("button", { type: "button", title, "aria-label": title, onclick: OFF[kind] }, "✕");
      strip.hidden = !items.length;
      strip.replaceChildren(
        make("b", {}, "In effect:"),
        ...items.map(({ kind, text }) =>
          make("span", { "data-effect": kind }, text, off(kind, `Switch off: ${text}`)),
        ),
      );
    }
    // --- showing the state ---

    function showScalars() {
      for (const each of findAll("[data-scalar]")) {
        const [input, output] = /** @type {HTMLInputElement[]} */ ([...each.children]);
        const value = /** @type {any} */ (state.scalars[each.dataset.scalar ?? ""]);
        if (input.type === "checkbox") input.checked = value;
        else input.value = value;
        if (input.type !== "range") continue;
        output.textContent = formatNumber(value);
        updateTrack(input);
      }
    }
    function show() {
      for (const each of findAll(".md-fader")) strip.show(each);
      selectionBar.show();
      curve.show();
      card.note();
      for (const each of findAll("[data-param]"))
        each.setAttribute("aria-pressed", String(each.dataset.param === state.param));
      showScalars();
      for (const each of findAll("[data-needs-faders]"))
        /** @type {HTMLInputElement} */ (each).disabled = !!ui().no_block_weights;
      showEffects();
      numbers.show();
    }
    // --- marks ---

    function showMarks() {
      const max = Math.max(1e-9, ...Object.values(state.marks));
      for (const each of findAll(".md-fader")) strip.showMark(each, max);
      part("legend")?.replaceChildren(...legend(max));
    }
    /** @param {number} max */
    function legend(max) {
      const { notFinite } = state;
      const names = `${notFinite.slice(0, MAX_NAMED).join(", ")}${notFinite.length > MAX_NAMED ? " …" : ""}`;
      const title = "Check health on the Report tab lists the tensors";
      const odd = make("b", { class: "md-bad", title }, `NaN or infinity in A or B: ${names} `);
      const shade = (/** @type {string} */ difference) => make("i", { style: `--difference:${difference}` });
      const scale = [state.markLabel || "A and B differ: ", "0 % ", shade(".05")];
      const whole = [...scale, shade(".5"), shade("1"), ` ${(max * 100).toFixed(0)} %`];
      return [...(notFinite.length ? [odd] : []), ...(Object.keys(state.marks).length ? whole : [])];
    }

    /** @param {HTMLElement} root */
    function listen(root) {
      events.listen(root);
      card.listen(root);
    }
    return { draw, show, showMarks, listen };
  }

  const faders = { create };
  if (typeof module !== "undefined") module.exports = faders;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, faders };
}
