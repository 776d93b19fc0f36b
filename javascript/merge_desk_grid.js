/* Merge Desk, the room Grid: axes, the plan before it starts, cells as they finish, the map of blocks.
 * What it shows comes from lib_merge/desk/grid_view.py; see merge_desk.js for how the page talks with Python. */
(() => {
  "use strict";
  const { ask, room, faders, open, tools } = window.mergeDesk;
  const { $, make, button, mount, part, progress, ended, problemBox } = tools;

  const NAMES = ["x", "y", "z"];
  const SETTLE = 600; // ms after the last key before the plan is asked for
  const PAUSE = 900; // ms between looks at a running grid
  const START = { x: ["alpha", "0-1 [5]"], y: ["seed", "1, 2, 3"], z: ["", ""] };
  const state = { kinds: [], axes: structuredClone(START), sheet: null, run: 0, at: 0, running: false, map: false, cells: {},
    blocks: null, told: "", problem: null, wants: null, shown: null, asked: 0, row: 0 };
  let timer = 0;
  let looking = 0;

  const kind = (name) => state.kinds.find((each) => each.name.toLowerCase() === name.trim().toLowerCase());
  const facts = () => ({ parameters: faders.parameters(), axes: state.axes });
  const send = (action, more = {}) => { state.problem = null; ask("grid", { action, ...facts(), ...more }); showProblem(); };

  // --- what the user asks for ---

  function plan() {
    clearTimeout(timer);
    timer = setTimeout(() => { if (!state.running) send("plan"); }, SETTLE);
  }
  function start(action) {
    state.task = progress();
    send(action, { task: state.task });
    state.wants = action;
    showState();
  }
  const stop = () => { send("stop"); part("grid-told").textContent = "Stopping …"; };
  const take = (place) => ask("grid_take", { action: "take", place });

  // --- what Python says ---

  function begin(answer) {
    Object.assign(state, { run: answer.run, at: 0, cells: {}, blocks: null, sheet: answer.sheet, map: answer.map, running: true, shown: null });
    drawSheet();
    look();
  }
  function look() {
    clearTimeout(looking);
    ask("grid_look", { run: state.run, at: state.at });
    looking = setTimeout(() => { if (state.running) look(); }, 6 * PAUSE); // should an answer get lost
  }
  const hear = {
    grid_answer(answer) {
      if (!answer.action) return;
      if (answer.kinds) { state.kinds = answer.kinds; drawKinds(); }
      if (answer.axes && Object.keys(answer.axes).length) {
        for (const name of NAMES) state.axes[name] = answer.axes[name] ?? ["", ""];
        showAxes();
      }
      state.problem = answer.problem;
      if (answer.action === "plan") { state.plan = answer.sheet?.told ?? ""; showState(); }
      else if (answer.sheet && answer.run) begin(answer);
      else if (answer.action === "hello") plan();
      else if (answer.file) save(...answer.file);
      else if (answer.action === "take") taken(answer);
      if (answer.action === state.wants) { state.wants = null; if (answer.problem) ended(state.task); }
      showProblem();
      showState();
    },
    grid_news(news) {
      clearTimeout(looking);
      if (news.run !== state.run) return;
      for (const cell of news.cells) { state.cells[cell.place.join()] = cell; showCell(cell); }
      Object.assign(state, { at: news.at, running: news.running, told: news.told });
      if (news.blocks) { state.blocks = news.blocks; showBlocks(); }
      if (news.problem) { state.problem = news.problem; showProblem(); }
      showState();
      if (news.running) looking = setTimeout(look, news.cells.length ? 50 : PAUSE);
    },
  };
  /** Lists are set by Gradio, and the scene that follows from them arrives a little later than this. */
  function taken({ taken: found, problem }) {
    if (problem || !found) return;
    state.shown = found.recipe ? found : null;
    showRecipe();
    if (found.recipe) return;
    const amounts = Object.keys(found.amounts).length ? found.amounts : { alpha: Object.fromEntries(faders.slots().map((slot) => [slot, 0])) };
    faders.setUp({ ...found, amounts }, { done: () => open("mix") });
  }
  function save(name, url) {
    const link = make("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
  }

  // --- axes ---

  function axisRow(name) {
    const change = () => { state.axes[name] = [what.value, values.value]; showHelp(name); plan(); };
    const what = make("input", { type: "text", list: "merge-desk-axes", placeholder: "nothing", "data-axis": name, spellcheck: false,
      "aria-label": `What ${name.toUpperCase()} changes`, oninput: change, onfocus: (e) => e.target.select() });
    const values = make("textarea", { rows: 1, "data-values": name, spellcheck: false, "aria-label": `Values of ${name.toUpperCase()}`, oninput: (e) => { grow(e.target); change(); } });
    return make("div", { class: "md-axis" }, make("b", {}, name.toUpperCase()), what, values, make("span", { class: "md-hint", "data-help": name }));
  }
  const grow = (area) => { area.rows = Math.min(12, Math.max(1, area.value.split("\n").length)); };
  function showHelp(name) {
    const found = kind(state.axes[name][0]);
    const hint = $(`[data-help=${name}]`);
    if (hint) hint.textContent = found ? found.help : state.axes[name][0].trim() ? "a block such as OUT05, a range such as IN03-IN05, model B, lora NAME, …" : "";
  }
  function showAxes() {
    for (const name of NAMES) {
      const [what, values] = [$(`[data-axis=${name}]`), $(`[data-values=${name}]`)];
      if (!what) continue;
      if (document.activeElement !== what) what.value = state.axes[name][0];
      if (document.activeElement !== values) values.value = state.axes[name][1];
      grow(values);
      showHelp(name);
    }
  }
  function drawKinds() {
    $("#merge-desk-axes")?.replaceChildren(...state.kinds.map(({ name, merges }) => make("option", { value: name, label: merges ? "" : "picture" })));
    NAMES.forEach(showHelp);
  }

  // --- the sheet ---

  const count = (name) => state.sheet?.labels[name]?.length ?? 1;
  const label = (name, at) => state.sheet.labels[name]?.[at] ?? "";
  function words(place) {
    return NAMES.map((name, axis) => (state.sheet.labels[name] ? `${state.sheet.titles[name]} ${label(name, place[axis])}` : "")).filter(Boolean).join(", ");
  }
  function drawCell(place) {
    const style = `aspect-ratio: ${state.sheet.width} / ${state.sheet.height}`;
    return make("button", { type: "button", class: "md-cell", style, "data-place": place.join(), title: words(place), "aria-label": words(place), disabled: true, onclick: () => take(place) });
  }
  function drawSheet() {
    const root = part("grid-sheet");
    if (!root || !state.sheet) return;
    if (state.map) { drawMap(root); return; }
    const sheets = Array.from({ length: count("z") }, (_, z) => make("table", { class: "md-sheet-grid" },
      state.sheet.labels.z ? make("caption", {}, `${state.sheet.titles.z}: ${label("z", z)}`) : null,
      make("thead", {}, make("tr", {}, make("th", {}, state.sheet.titles.y ?? ""), Array.from({ length: count("x") }, (_, x) => make("th", { scope: "col" },
        x === 0 && state.sheet.titles.x ? make("small", {}, state.sheet.titles.x) : null, label("x", x))))),
      make("tbody", {}, Array.from({ length: count("y") }, (_, y) => make("tr", {},
        make("th", { scope: "row" }, label("y", y), count("x") > 1 ? button("▷", "This row as an animation", () => send("row", { row: y, place: [0, y, z] }), { class: "md-button md-small", "data-act": `row-${y}` }) : null),
        Array.from({ length: count("x") }, (_, x) => make("td", {}, drawCell([x, y, z]))))))));
    root.replaceChildren(...sheets);
    Object.values(state.cells).forEach(showCell);
  }
  function showCell(cell) {
    const place = $(`.merge-desk-grid [data-place="${cell.place.join()}"]`);
    if (!place) return;
    place.disabled = false;
    place.classList.toggle("md-failed", !!cell.problem);
    place.replaceChildren(cell.picture ? make("img", { src: cell.picture, alt: words(cell.place) }) : make("span", {}, cell.problem));
    place.title = `${words(cell.place)}\n${cell.problem || cell.infotext}\nA click takes these settings to the desk`;
  }

  // --- the map ---

  /** Where the slots stand: rows of the U, as lib_merge/grid/blockmap.py draws them. */
  function drawMap(root) {
    const slots = state.sheet.labels.x.slice(1);
    const numbered = (prefix) => slots.filter((slot) => slot.startsWith(prefix) && /^\d+$/.test(slot.slice(prefix.length)));
    const [ins, outs] = [numbered("IN"), numbered("OUT")];
    const rest = slots.filter((slot) => !ins.includes(slot) && !outs.includes(slot));
    const middle = rest.filter((slot) => slot.startsWith("M0"));
    const beside = rest.filter((slot) => !middle.includes(slot));
    const one = (slot) => make("figure", { class: "md-map-cell", "data-block": slot }, make("figcaption", {}, make("b", {}, slot), make("span", {})), drawCell([slots.indexOf(slot) + 1, 0, 0]));
    root.replaceChildren(make("div", { class: "md-map" },
      make("div", { class: "md-map-top" }, make("figure", { class: "md-map-cell" }, make("figcaption", {}, make("b", {}, "A alone")), drawCell([0, 0, 0])), beside.map(one)),
      ins.map((slot, row) => make("div", { class: "md-map-row" }, one(slot), outs[ins.length - 1 - row] ? one(outs[ins.length - 1 - row]) : null)),
      make("div", { class: "md-map-row md-map-middle" }, middle.map(one))));
    Object.values(state.cells).forEach(showCell);
    if (state.blocks) showBlocks();
  }
  function showBlocks() {
    const most = Math.max(1e-9, ...Object.values(state.blocks));
    for (const each of document.querySelectorAll("[data-block]")) {
      const found = state.blocks[each.dataset.block];
      each.style.setProperty("--far", found === undefined ? 0 : found / most);
      $("figcaption span", each).textContent = found === undefined ? "" : `${found.toFixed(1)} %`;
    }
    const marks = Object.fromEntries(Object.entries(state.blocks).map(([slot, value]) => [slot, value / 100]));
    faders.mark(marks, "Taken from B, a block changes this picture by: ");
  }

  // --- showing the state ---

  function showState() {
    const told = part("grid-told");
    if (!told) return;
    told.textContent = state.running || state.run ? state.told : "";
    part("grid-plan").textContent = state.plan ?? "";
    const busy = state.running || state.wants === "start" || state.wants === "map" || state.wants === "resume";
    const any = Object.keys(state.cells).length > 0;
    const able = { "grid-start": !busy, "grid-map": !busy, "grid-resume": !busy, "grid-stop": state.running, "grid-sheet": any && !state.map, "grid-table": any };
    for (const [act, can] of Object.entries(able)) { const found = $(`[data-act=${act}]`); if (found) found.disabled = !can; }
  }
  const showProblem = () => part("grid-problem")?.replaceChildren(...(state.problem ? [problemBox(state.problem)] : []));
  function showRecipe() {
    part("grid-recipe")?.replaceChildren(...(state.shown ? [make("p", { class: "md-hint" }, `This cell's recipe has no faders: ${state.shown.why}. Its text, for the room History:`), make("pre", {}, state.shown.recipe)] : []));
  }

  function draw(root) {
    root.replaceChildren(
      make("datalist", { id: "merge-desk-axes" }),
      make("div", { class: "md-axes" }, NAMES.map(axisRow)),
      make("p", { class: "md-hint", "data-part": "grid-plan", role: "status" }),
      make("div", { class: "md-toolbar" },
        button("Start", "Merge and draw every cell; cells that are there already are kept", () => start("start"), { class: "md-button md-go", "data-act": "grid-start" }),
        button("Stop", "Stop; what is finished is kept", stop, { "data-act": "grid-stop", disabled: true }),
        button("Resume", "Go on with the last grid: what is missing or failed is drawn", () => start("resume"), { "data-act": "grid-resume" }),
        button("Block map", "Take each block in turn from B, and see how much the picture changes", () => start("map"), { "data-act": "grid-map" }),
        make("span", { class: "md-space" }),
        button("Sheet", "The whole sheet as a PNG with labels; every cell's recipe is inside", () => send("sheet"), { "data-act": "grid-sheet", disabled: true }),
        button("CSV", "A line for every cell", () => send("table"), { "data-act": "grid-table", disabled: true })),
      make("div", { "data-part": "grid-progress" }),
      make("div", { "data-part": "grid-problem" }),
      make("p", { class: "md-grid-told", "data-part": "grid-told", role: "status", "aria-live": "polite" }),
      make("div", { "data-part": "grid-recipe" }),
      make("div", { class: "md-grid-sheet", "data-part": "grid-sheet" }));
    showAxes();
    drawKinds();
    drawSheet();
    showState();
    showProblem();
    ask("grid", { action: "hello" });
  }

  room("grid", { draw, hear, shown: plan });
})();
