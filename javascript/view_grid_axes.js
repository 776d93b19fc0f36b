"use strict";
/* The tab Grid, its axes: what each one changes, picked from a menu, and its values, picked from chips or typed. */
{
  /** @type {("x" | "y" | "z")[]} */
  const AXIS_NAMES = ["x", "y", "z"];
  const MAX_LINES = 12; // of a field of values
  const PARAMETERS = "Parameters of the method"; // as in lib_merge/desk/tabs/grid/axis_menu.py
  const OF_BLOCKS = ["blocks", "beta blocks", "include", "exclude"]; // axes whose values are names of blocks
  const PRESETS = ["preset", "beta preset"];
  const ONE_BLOCK = "the amount of this block alone";
  const UNKNOWN =
    "no such axis; for example: OUT05 (a block), IN03-IN05 (a range of blocks), model B, lora NAME";

  /** @param {{ state: DeskPage["state"], changed: () => void }} page  changed is called after each key */
  function create({ state, changed }) {
    const { find, field, make, button } = globalThis.mergeDesk.dom;
    const { attach } = globalThis.mergeDesk.menu;
    const { splitValues, toggleValue } = globalThis.mergeDesk.axisValues;
    /** @type {Desk.AxisView[]} */
    let kinds = [];
    /** @type {Record<string, [string, string]>} axis -> what it changes, and its values as text */
    const axes = { x: ["alpha", "0-1 [5]"], y: ["seed", "1, 2, 3"], z: ["", ""] };

    /** @param {string} name */
    const kindOf = (name) => kinds.find((kind) => kind.name.toLowerCase() === name.trim().toLowerCase());
    const blocks = () => state.ui?.listed_names ?? [];
    /** @param {string} name */
    const isBlock = (name) => blocks().includes(name.trim().split(/[\s-]/)[0]);

    // --- the menu ---

    /** A parameter that the chosen method does not have would only be refused.
     * @param {Desk.AxisView} kind */
    function isOffered({ name, group }) {
      const method = state.ui?.method;
      if (group !== PARAMETERS || !method || name.includes("adjust")) return true;
      return [...method.faders, ...method.scalars].some((parameter) => parameter.name === name);
    }
    function menuGroups() {
      const offered = kinds.filter(isOffered);
      const titles = [...new Set(offered.map(({ group }) => group))];
      const groups = titles.map((title) => ({
        title,
        items: offered.filter(({ group }) => group === title).map(({ name, help }) => ({ id: name, help })),
      }));
      const single = blocks().map((id) => ({ id, help: ONE_BLOCK, small: true }));
      return single.length ? [...groups, { title: "One block", items: single }] : groups;
    }

    // --- values to pick ---

    /** Names that are added and taken out, and whole texts that are put in. @param {string} what */
    function picks(what) {
      const kind = kindOf(what);
      const alpha = kindOf("alpha");
      if (!kind) return { names: [], texts: isBlock(what) ? (alpha?.examples ?? []) : [] };
      const own = OF_BLOCKS.includes(kind.name) ? blocks() : kind.choices;
      const presets = (state.ui?.presets ?? []).filter((preset) => !preset.own).map(({ name }) => name);
      return { names: PRESETS.includes(kind.name) ? presets : own, texts: kind.examples };
    }
    /** @param {string} name of the axis */
    function showPicks(name) {
      const [what, values] = axes[name];
      const lines = !!kindOf(what)?.lines;
      const there = splitValues(values, lines);
      const { names, texts } = picks(what);
      const chip = (/** @type {string} */ text, /** @type {string} */ title, /** @type {string} */ next) => {
        const attributes = { class: "md-button md-chip", "data-chip": text };
        const made = button("", title, () => setValues(name, next), { ...attributes, "aria-label": null });
        made.append(make("span", { translate: "no" }, text));
        return made;
      };
      const chips = [
        ...texts.map((text) => chip(text, `Values: ${text}`, text)),
        ...names.map((each) => {
          const made = chip(each, `Add ${each}, or take it out`, toggleValue(values, each, lines));
          made.setAttribute("aria-pressed", String(there.includes(each)));
          return made;
        }),
      ];
      find(`[data-picks=${name}]`)?.replaceChildren(...chips);
    }
    /** @param {string} name @param {string} text */
    function setValues(name, text) {
      axes[name] = [axes[name][0], text];
      const area = /** @type {HTMLTextAreaElement | null} */ (find(`[data-values=${name}]`));
      if (area) area.value = text;
      if (area) grow(area);
      showPicks(name);
      changed();
    }

    // --- the fields ---

    /** @param {string} name */
    function axisRow(name) {
      const change = () => {
        axes[name] = [what.value, values.value];
        showHelp(name);
        showPicks(name);
        changed();
      };
      const title = name.toUpperCase();
      /** @type {HTMLInputElement} */
      const what = make("input", {
        ...{ type: "text", placeholder: "none", "data-axis": name, autocomplete: "off" },
        ...{ spellcheck: "false", "aria-label": `What ${title} changes` },
        oninput: change,
        onfocus: (e) => e.target.select(),
      });
      const menu = attach({ field: what, name, groups: menuGroups, pick: change });
      /** @type {HTMLTextAreaElement} */
      const values = make("textarea", {
        ...{ rows: 1, "data-values": name, spellcheck: "false", "aria-label": `Values of ${title}` },
        oninput: (e) => {
          grow(e.target);
          change();
        },
      });
      const help = make("span", { class: "md-hint", "data-help": name });
      const chips = make("div", { class: "md-chips", "data-picks": name });
      return make(
        "div",
        { class: "md-axis" },
        make("b", {}, title),
        make("div", { class: "md-menu-field" }, what, menu),
        values,
        help,
        chips,
      );
    }
    /** @param {HTMLTextAreaElement} area */
    function grow(area) {
      area.rows = Math.min(MAX_LINES, Math.max(1, area.value.split("\n").length));
    }
    /** @param {string} name */
    function showHelp(name) {
      const [what] = axes[name];
      const hint = find(`[data-help=${name}]`);
      const other = isBlock(what) ? ONE_BLOCK : what.trim() ? UNKNOWN : "";
      if (hint) hint.textContent = kindOf(what)?.help ?? other;
    }
    function showAxes() {
      for (const name of AXIS_NAMES) {
        const what = field(`[data-axis=${name}]`);
        const values = /** @type {HTMLTextAreaElement | null} */ (find(`[data-values=${name}]`));
        if (!what || !values) continue;
        if (document.activeElement !== what) what.value = axes[name][0];
        if (document.activeElement !== values) values.value = axes[name][1];
        grow(values);
        showHelp(name);
        showPicks(name);
      }
    }

    /** @param {Desk.AxisView[]} offered */
    function setKinds(offered) {
      kinds = offered;
      show();
      for (const name of AXIS_NAMES) {
        const what = field(`[data-axis=${name}]`);
        if (what && document.activeElement === what) what.dispatchEvent(new Event("focus")); // its menu is open
      }
    }
    /** @param {Desk.GridOptions["axes"]} values  none for a map of blocks: the fields stay as they are */
    function setAxes(values) {
      if (!values || !Object.keys(values).length) return;
      for (const name of AXIS_NAMES) axes[name] = values[name] ?? ["", ""];
      showAxes();
    }
    /** The fields, in a new place. */
    function draw() {
      return [make("div", { class: "md-axes" }, AXIS_NAMES.map(axisRow))];
    }
    /** What there is to pick may have changed. */
    function show() {
      AXIS_NAMES.forEach(showHelp);
      AXIS_NAMES.forEach(showPicks);
      showAxes();
    }
    return { axes, draw, show, setKinds, setAxes };
  }

  const gridAxes = { AXIS_NAMES, create };
  if (typeof module !== "undefined") module.exports = gridAxes;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, gridAxes };
}
