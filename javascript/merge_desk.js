/* Merge Desk: the faders, the presets and the pictures. Everything that is shown comes from Python as
 * JSON in hidden elements (lib_merge/desk/view.py says what is in it); what the user does goes back as the
 * first input of a Gradio event. One closure, one global name: mergeDesk. Other rooms of the page have scripts of
 * their own beside this one, which come in through mergeDesk.room; see the end of this file. */
window.mergeDesk ??= (() => {
  "use strict";

  const REST = 0; // every method keeps A where its amount is 0
  const SETTLE = 140; // ms after the last move before it is sent
  const BREATH = 200; // ms after an answer in which Gradio may still drop the next click
  const PATIENCE = 12000; // ms for the lists to have taken over what a recipe says
  const SAME_MOVE = 900; // ms within which moves of one fader are one step of undo
  const STRIPES = { L: ["lock", "Lock: locked faders move together (L)"], S: ["solo", "Solo: all others keep A (S)"],
    M: ["mute", "Mute: keep A here, remember the amount (M)"] };

  const desk = {
    scene: null, marks: {}, broken: [], between: "|", param: "alpha", layout: "supermerger", values: {}, knobs: {},
    lock: new Set(), solo: new Set(), mute: new Set(), past: [], future: [], gesture: null, moved: ["", 0],
    live: true, stale: false, applied: false, sent: "", busy: null, queued: null, freed: 0, seq: 0, next: {},
    now: null, before: null, ofA: null, against: "", holding: false, effects: { items: [], held: {} },
    engaged: null, heardAt: 0, looked: 0, settingUp: 0,
  };
  const seen = {};
  const rooms = {};
  const extras = {}; // what other rooms add to the amounts: name -> value
  const asked = {};
  let timer = 0;

  // --- small tools ---

  const $ = (where, root = document) => root.querySelector(where);
  const mount = (name) => $(`.merge-desk[data-mount="${name}"]`);
  const part = (name) => $(`[data-part="${name}"]`);
  const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
  const tidy = (x) => String(Math.round(x * 1e4) / 1e4);

  /** A WebUI translates texts as they appear on its page, but not what stands in attributes. */
  const SPOKEN = ["title", "aria-label", "placeholder"];
  const inTheirWords = (text) => window.localization?.[text] || text;

  function make(tag, facts = {}, ...inside) {
    const svg = ["svg", "path", "line"].includes(tag);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(facts)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : SPOKEN.includes(name) ? inTheirWords(value) : value);
    }
    made.append(...inside.flat(2).filter((each) => each != null));
    return made;
  }
  const button = (text, title, act, facts = {}) =>
    make("button", { type: "button", class: "md-button", title, "aria-label": title, onclick: act, ...facts }, text);

  // --- what the faders say ---

  const slots = () => {
    const b = desk.scene.board;
    return [...b.above, ...b.left, ...b.middle, ...b.right, ...b.beside];
  };
  const faders = () => desk.scene.method.faders;
  const range = () => faders().find((each) => each.name === desk.param) ?? faders()[0] ?? { low: 0, high: 1, step: 0.01 };
  const at = (slot, param = desk.param) => desk.values[param]?.[slot] ?? REST;
  const silent = (slot) => desk.mute.has(slot) || (desk.solo.size > 0 && !desk.solo.has(slot));
  const heard = (slot, param = desk.param) => (silent(slot) || slot in desk.scene.still ? REST : at(slot, param));
  const put = (slot, value, param = desk.param) => { (desk.values[param] ??= {})[slot] = value; };

  function parameters() {
    const out = { ...desk.knobs, ...extras };
    for (const { name } of faders()) out[name] = Object.fromEntries(slots().map((slot) => [slot, heard(slot, name)]));
    return out;
  }

  // --- undo ---

  const snapshot = () => JSON.stringify([desk.values, desk.knobs, [...desk.solo], [...desk.mute]]);
  function bring(text) {
    const [values, knobs, solo, mute] = JSON.parse(text);
    Object.assign(desk, { values, knobs, solo: new Set(solo), mute: new Set(mute) });
    show();
    engage();
  }
  function remember(before, what = "") {
    const [last, when] = desk.moved;
    if (!what || what !== last || Date.now() - when > SAME_MOVE) desk.past.push(before);
    desk.moved = [what, Date.now()];
    desk.past.splice(0, desk.past.length - 200);
    desk.future = [];
  }
  function travel(from, to) {
    if (!from.length) return;
    to.push(snapshot());
    desk.moved = ["", 0];
    bring(from.pop());
  }
  const undo = () => travel(desk.past, desk.future);
  const redo = () => travel(desk.future, desk.past);
  /** One step of undo: whatever `act` does to the state. */
  function change(act, what = "") {
    const before = snapshot();
    act();
    if (snapshot() !== before) remember(before, what);
    show();
    engage();
  }

  // --- moving faders ---

  function begin() {
    desk.gesture ??= { before: snapshot(), start: Object.fromEntries(slots().map((slot) => [slot, at(slot)])) };
  }
  function move(slot, value) {
    begin();
    const { start } = desk.gesture;
    const { low, high } = range();
    if (slot === "ALL") slots().filter((each) => !(each in desk.scene.still)).forEach((each) => put(each, value));
    else if (desk.lock.has(slot)) desk.lock.forEach((each) => put(each, clamp(start[each] + value - start[slot], low, high)));
    put(slot, value);
    show();
  }
  function settle(slot) {
    if (!desk.gesture) return;
    const { before } = desk.gesture;
    desk.gesture = null;
    if (before !== snapshot()) { remember(before, slot); show(); engage(); }
  }
  const reset = (slot) => { move(slot, REST); settle(slot); };
  function toggle(kind, slot) {
    const flip = () => { if (!desk[kind].delete(slot)) desk[kind].add(slot); };
    if (kind === "lock") { flip(); show(); } else change(flip);
  }
  const everything = (f) => change(() => {
    for (const slot of slots()) if (!(slot in desk.scene.still)) put(slot, f(at(slot)));
  });

  // --- numbers as text ---

  const reading = () => desk.scene.readings.find((each) => each.id === desk.layout) ?? desk.scene.readings[0];
  const stand = (name) => (desk.scene.groups[name] ?? [name])[0];
  const asText = () => desk.scene.numbers.map((name) => tidy(heard(stand(name)))).join(", ");
  /** What the list does not say: slots that stand apart from what the list would set them to. */
  function apart() {
    const numbers = desk.scene.numbers.map((name) => heard(stand(name)));
    const spread = reading().spread[numbers.length] ?? {};
    return slots().filter((slot) => slot in spread && !(slot in desk.scene.still)
      && Math.abs(heard(slot) - (spread[slot] < 0 ? REST : numbers[spread[slot]])) > 1e-9);
  }
  function readText(text) {
    const words = text.trim().replace(/^[[({]|[\])}]$/g, "").split(/\s*[,;\s]\s*/).filter(Boolean);
    const odd = words.findIndex((word) => !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(word));
    if (/^(E?[RUX]|D)$/.test(words[odd])) return `SuperMerger's ${words[odd]} is drawn at random: write this list among the rules of the room Weights.`;
    if (odd < 0 && words.length === 110) return "SuperMerger's 110 numbers are finer than faders: write them among the rules of the room Weights.";
    if (odd >= 0) return `Number ${odd + 1} is "${words[odd]}", which is no number.`;
    const spread = reading().spread[words.length];
    if (!spread) {
      const known = Object.keys(reading().spread).reverse().join(", ").replace(/, (\d+)$/, " or $1");
      return `${words.length} so far; ${desk.scene.title} takes ${known || "no list"}.`;
    }
    change(() => {
      desk.solo.clear();
      desk.mute.clear();
      for (const [slot, place] of Object.entries(spread)) if (place !== -1) put(slot, place < 0 ? REST : Number(words[place]));
    }, "text");
    return "";
  }

  // --- talking with Python ---

  const press = (name) => $(`#merge_desk_${name}`)?.click();
  const wanted = () => JSON.stringify([desk.scene.choice, parameters()]);
  function engage() {
    if (desk.scene.empty) return;
    desk.stale = wanted() !== desk.sent;
    clearTimeout(timer);
    if (desk.live && desk.stale) timer = setTimeout(() => send("apply"), SETTLE);
    showState();
  }
  function send(action) {
    if (desk.busy) { desk.queued = action; return; }
    if (desk.scene?.empty && action !== "restore") return;
    clearTimeout(timer);
    const early = desk.freed + BREATH - Date.now();
    if (early > 0) { timer = setTimeout(() => send(action), early); return; }
    if (action === "apply") Object.assign(desk, { stale: false, sent: wanted() });
    const task = progress();
    desk.busy = { action, seq: ++desk.seq, since: Date.now(), task };
    desk.next.turn = { seq: desk.seq, action, parameters: parameters(), task, engaged: desk.engaged ?? "" };
    showProblem(null);
    showState();
    press("turn");
  }
  function stop() {
    const waiting = desk.busy;
    desk.queued = null;
    press("stop");
    setTimeout(() => { if (waiting && desk.busy === waiting) { desk.busy = null; showState(); } }, 10000);
  }
  /** Asks what shapes the merge besides the faders, before the next move does. */
  function look() {
    desk.looked = Date.now();
    desk.next.look = { action: "look", parameters: parameters(), engaged: desk.engaged };
    asked.look = desk.looked;
    press("look");
  }
  /** Rings a hidden button; what is asked goes along as the first input. Again and again until it is fetched. */
  function ask(bell, facts) {
    desk.next[bell] = { seq: ++desk.seq, ...facts };
    asked[bell] = Date.now();
    press(bell);
    return desk.seq;
  }
  const keep = (action, facts) => ask("keep", { action, family: desk.scene.family, ...facts });
  /** A WebUI's own progress bar, where there is one. It waits for a task that may be refused before it begins, so
   * that `ended` takes it away; the WebUI removes it from a place of its own, which may be gone by then. */
  function progress() {
    if (typeof window.requestProgress !== "function" || typeof window.randomId !== "function") return "";
    const task = window.randomId();
    const bar = make("div");
    part("progress").append(make("div", { "data-task": task }, bar));
    window.requestProgress(task, bar, $("[data-frame=now]"), () => ended(task));
    return task;
  }
  const ended = (task) => { if (task) document.querySelectorAll(`[data-task="${task}"]`).forEach((each) => each.remove()); };
  /** The first input of an event, filled in on its way to Python. */
  function fill(given, count, name) {
    if (name === "save") {
      desk.saving = progress();
      desk.next.save = { seq: ++desk.seq, action: "save", parameters: desk.scene ? parameters() : {}, task: desk.saving };
      part("sheet")?.replaceChildren(make("p", { class: "md-hint" }, "Saving …"));
    }
    const said = desk.next[name] ?? {};
    delete desk.next[name];
    return [JSON.stringify(said), ...given.slice(1, count)];
  }
  const hear = {
    scene(scene, at) {
      const old = desk.scene;
      desk.scene = scene;
      const { a, b, align } = JSON.parse(scene.choice);
      if (`${a}|${b}` !== desk.between) { Object.assign(desk, { marks: {}, broken: [], told: "", between: `${a}|${b}` }); showMarks(); } // never those of another pair
      if (!old && scene.engaged) ask("take", { action: "take" });
      compareEngaged(scene.engaged, at);
      if (!faders().some((each) => each.name === desk.param)) desk.param = faders()[0]?.name ?? "alpha";
      for (const { name, default: usual } of scene.method.knobs) desk.knobs[name] ??= usual;
      const taken = scene.method.knobs.map((each) => each.name);
      for (const name of Object.keys(desk.knobs)) if (!taken.includes(name)) delete desk.knobs[name];
      const shape = JSON.stringify({ ...scene, status: "", problem: null });
      if (shape !== desk.shape) drawBoard(); // never under the user's hands without a reason
      desk.shape = shape;
      setStatus(scene.status);
      showProblem(scene.problem);
      if (desk.applied && !desk.settingUp && old && old.choice !== scene.choice) engage();
      if (old?.choice !== scene.choice && (align || Object.keys(extras).length || desk.effects.items.length)) look();
      if (old?.choice !== scene.choice) for (const [name, { shown }] of Object.entries(rooms)) if (mount(name)?.offsetParent) shown?.();
    },
    marks({ a, b, at: marks, broken }) { Object.assign(desk, { marks, broken, told: "", between: `${a}|${b}` }); showMarks(); mount("board").dataset.between = `${a}|${b}`; }, // the page says whose marks these are: after them it stands still
    answer(answer, at) {
      if (answer.status) setStatus(answer.status);
      if (!answer.action) { if (answer.problem) showProblem(answer.problem); return; }
      if (desk.busy?.seq === answer.seq && !answer.elsewhere) Object.assign(desk, { engaged: answer.engaged, heardAt: at });
      if (answer.action === "save") { ended(desk.saving); showSheet(answer); return; }
      if (answer.effects) hear.looked({ action: answer.action, effects: answer.effects });
      if (answer.presets) { desk.scene.presets = answer.presets; drawPresets(answer.notes); }
      showProblem(answer.problem);
      if (desk.busy?.seq === answer.seq) finish(answer);
      compareEngaged(answer.engaged, at, answer.changes);
      if (answer.elsewhere) desk.engaged = answer.engaged; // it is told now: the next move may take its place
    },
    looked({ action, effects, status, engaged, changes }, at) {
      if (status && (!engaged || engaged !== desk.engaged)) setStatus(status); // else what the last move did stays
      if (!action) return;
      if (at) compareEngaged(engaged, at, changes);
      if (!effects) return;
      desk.effects = effects;
      if (desk.scene) show();
    },
    taken({ id, setup, align, notes, effects }, at) {
      if (!setup) return;
      Object.assign(desk, { engaged: id, heardAt: at, effects });
      showElsewhere("");
      if (setup.why) showElsewhere(`Its recipe has no faders: ${setup.why}. A move of this page replaces it.`, setup.recipe);
      else setUp({ ...setup, align }, { quiet: true, done: () => showElsewhere(notes.join(" ")) });
    },
  };

  // --- the merge in memory, and other pages ---

  /** Whether what is in memory is what this page last knew of; null takes over whatever there is. */
  function compareEngaged(engaged, at, changes = "") {
    if (engaged === undefined || desk.busy || at < desk.heardAt) return;
    desk.heardAt = at;
    desk.engaged ??= engaged;
    const told = part("elsewhere")?.dataset.other;
    if (engaged === desk.engaged) { if (told && told !== engaged) showElsewhere(""); return; }
    if (engaged && (changes || told !== engaged)) showElsewhere(`The merge in memory was changed elsewhere${changes ? `: ${changes}` : ""}.`, "", engaged);
    if (engaged && told !== engaged && !changes) look(); // which tells what was changed
    if (!engaged) { desk.engaged = ""; showElsewhere("The merge was taken out of memory elsewhere."); }
  }
  /** other  the id of a merge that this page may take up */
  function showElsewhere(words, recipe = "", other = "") {
    const place = part("elsewhere");
    if (!place) return;
    place.dataset.other = other;
    const take = button("Take it up", "Set this page up as the merge in memory is", () => ask("take", { action: "take" }), { "data-act": "take" });
    const mine = button("Keep mine", "Leave this page as it is; its next move replaces the merge in memory", () => { desk.engaged = other; showElsewhere(""); }, { "data-act": "keep-mine" });
    place.replaceChildren(...(words ? [make("div", { class: "md-problem md-calm", role: "status" }, make("p", {}, words),
      recipe ? make("pre", { class: "md-recipe" }, recipe) : null, other ? make("div", { class: "md-toolbar" }, take, mine) : null)] : []));
  }
  /** Sets the desk up as Python said: Gradio sets the lists, and faders follow once the scene is theirs.
   * quiet  it is in memory already, and nothing is to be drawn */
  function setUp({ lists, amounts, knobs, extras: more, align }, { quiet = false, done } = {}) {
    const begun = desk.settingUp = Date.now(); // until then a list that changes asks for nothing
    const there = () => {
      const now = JSON.parse(desk.scene.choice);
      return ["a", "b", "c", "method", "vae"].every((word) => lists[word] == null || now[word] === lists[word]) && (align ?? now.align) === now.align;
    };
    const wait = setInterval(() => {
      if (!there() && Date.now() - begun < PATIENCE) return;
      clearInterval(wait);
      if (desk.settingUp !== begun) return;
      desk.settingUp = 0;
      const before = snapshot();
      for (const word of ["weights", "adjust"]) setExtra(word, more[word] ?? "");
      desk.solo.clear();
      desk.mute.clear();
      for (const [param, values] of Object.entries(amounts)) for (const [slot, value] of Object.entries(values)) put(slot, value, param);
      Object.assign(desk.knobs, knobs);
      if (snapshot() !== before && (desk.applied || !quiet)) remember(before);
      if (quiet) Object.assign(desk, { applied: true, sent: wanted() });
      show();
      look();
      engage();
      done?.();
    }, 150);
  }
  function setExtra(name, value) {
    if ((extras[name] ?? "") === value) return false;
    if (value) extras[name] = value; else delete extras[name];
    document.dispatchEvent(new CustomEvent("merge-desk-extra", { detail: { name, value } }));
    return true;
  }
  /** Another page may have changed the merge while this one was out of sight. */
  function lookAgain() {
    if (document.visibilityState === "visible" && desk.scene && mount("board")?.offsetParent && Date.now() - desk.looked > SAME_MOVE) look();
  }
  window.addEventListener("focus", lookAgain);
  document.addEventListener("visibilitychange", lookAgain);

  function finish(answer) {
    const queued = desk.queued;
    ended(desk.busy.task);
    Object.assign(desk, { busy: null, queued: null, freed: Date.now() });
    if (answer.action === "apply" && !answer.elsewhere) { desk.applied = true; showElsewhere(""); }
    if (answer.action === "restore" && !answer.problem) Object.assign(desk, { applied: false, sent: "" });
    if (answer.picture) {
      const picture = { src: answer.picture, told: answer.infotext, against: answer.against };
      if (answer.action === "compare") desk.ofA = picture;
      else Object.assign(desk, { before: desk.now, now: picture });
    }
    if ((answer.problem || answer.elsewhere) && answer.action === "apply") Object.assign(desk, { stale: true, sent: "" });
    showPictures();
    showState();
    if (queued && !answer.elsewhere) send(queued);
  }

  // --- the board ---

  function fader(slot, side = "") {
    const still = desk.scene.still[slot];
    const mark = make("span", { class: "md-mark", "aria-hidden": true }, make("i"));
    const name = make("span", { class: "md-name", title: still ?? slot }, slot === "ALL" ? "All blocks" : slot);
    const slide = make("input", { type: "range", class: "md-range", "aria-label": slot === "ALL" ? "All blocks" : slot,
      "aria-keyshortcuts": "L S M Enter Delete" });
    const number = make("input", { type: "text", inputmode: "decimal", class: "md-number", tabindex: -1,
      "aria-label": `${slot}, as a number` });
    const stripes = make("span", { class: "md-stripes" }, slot === "ALL" ? [] : Object.entries(STRIPES).map(
      ([letter, [kind, title]]) => make("button", { type: "button", tabindex: -1, "data-kind": kind, title, "aria-label": `${slot}: ${title}` }, letter)));
    return make("div", { class: `md-fader ${side}`, "data-slot": slot }, mark, name, slide, number, stripes);
  }

  function drawBoard() {
    const root = mount("board");
    if (!root || !desk.scene) return;
    const { board, method, empty, unused } = desk.scene;
    const rows = Array.from({ length: Math.max(board.left.length, board.right.length) }, (_, row) => make("div",
      { class: `md-row ${board.level && row && row % board.level === 0 ? "md-level" : ""}` },
      board.left[row] ? fader(board.left[row]) : make("i"), make("span", { class: board.level ? "md-skip" : "" }),
      board.right[row] ? fader(board.right[row], "md-right") : make("i")));
    root.replaceChildren(
      make("div", { class: "md-method" }, make("code", {}, method.formula), make("span", {}, method.summary)),
      toolbar(),
      make("p", { class: "md-empty", "data-part": "empty", hidden: !empty }, empty),
      make("p", { class: "md-empty", "data-part": "unused", hidden: !unused }, unused),
      make("div", { class: "md-effect", "data-part": "effect", role: "status", hidden: true }),
      make("div", { class: `md-desk ${empty || unused ? "md-waiting" : ""}` },
        make("div", { class: "md-top" }, fader("ALL"), board.above.map((slot) => fader(slot, "md-right"))),
        rows,
        make("div", { class: "md-middle" }, board.middle.map((slot) => fader(slot))),
        make("div", { class: "md-beside" }, board.beside.map((slot) => fader(slot))),
        make("p", { class: "md-tips" }, "0 keeps A. Double-click resets; arrow keys and wheel move finely; Enter types a number; L locks, S solos, M mutes.")),
      numbersBox(),
      make("div", { class: "md-presets", "data-part": "presets" }));
    drawPresets();
    show();
    showMarks();
  }

  // --- what is in effect besides the faders ---

  const OFF = {
    rules: () => board.extra("weights", ""),
    adjust: () => board.extra("adjust", ""),
    align: () => $("#merge_desk_align input")?.click(),
    solo: () => change(() => desk.solo.clear()),
    mute: () => change(() => desk.mute.clear()),
  };
  /** Python tells what it merges with; solo and mute are the page's own, since they change what it sends. */
  function showEffects() {
    const strip = part("effect");
    if (!strip) return;
    const own = ["solo", "mute"].filter((kind) => desk[kind].size).map((kind) => ({ kind, text: `${kind} ${[...desk[kind]].join(", ")}` }));
    const items = [...desk.effects.items, ...own];
    strip.hidden = !items.length;
    strip.replaceChildren(make("b", {}, "In effect:"), ...items.map(({ kind, text }) => make("span", { "data-effect": kind }, text,
      make("button", { type: "button", title: `Switch off: ${text}`, "aria-label": `Switch off: ${text}`, onclick: OFF[kind] }, "✕"))));
  }
  /** A fader whose block is decided elsewhere says so, and what the block ends with. */
  function showHeld(each, slot) {
    const [held, still] = [desk.effects.held[slot], desk.scene.still[slot]];
    const label = slot === "ALL" ? "All blocks" : slot;
    const words = still ?? held?.text ?? "";
    each.classList.toggle("md-held", !!held);
    each.classList.toggle("md-held-whole", !!held?.whole);
    each.children[1].title = words || label;
    each.children[2].title = words;
    each.children[2].setAttribute("aria-label", words ? `${label}, ${words}` : label);
  }

  function toolbar() {
    const params = faders().length < 2 ? [] : [make("span", { class: "md-group", role: "group", "aria-label": "Which amounts the faders show" },
      faders().map(({ name, help }) => button(name, help, () => { desk.param = name; show(); }, { "data-param": name })))];
    return make("div", { class: "md-toolbar", role: "toolbar", "aria-label": "Faders" },
      make("span", { class: "md-group" }, button("↶", "Undo (Ctrl+Z)", undo, { "data-act": "undo" }), button("↷", "Redo (Ctrl+Shift+Z)", redo, { "data-act": "redo" })),
      make("span", { class: "md-group" },
        button("Reset", "All faders to 0, which is A", () => change(() => {
          desk.solo.clear(); desk.mute.clear(); for (const slot of slots()) put(slot, REST);
        }), { "data-act": "reset", "data-needs-faders": true }),
        button("Invert", "Turn every amount round: low becomes high", () => everything((x) => range().low + range().high - x), { "data-act": "invert", "data-needs-faders": true })),
      params,
      desk.scene.method.knobs.map(knob),
      make("span", { class: "md-legend", "data-part": "legend" }));
  }

  function knob({ name, kind, low, high, step, help }) {
    const set = (value) => change(() => { desk.knobs[name] = value; }, name);
    const input = kind === "bool"
      ? make("input", { type: "checkbox", onchange: (e) => set(e.target.checked) })
      : kind === "str" ? make("input", { type: "text", class: "md-words", onchange: (e) => set(e.target.value) })
      : make("input", { type: "range", class: "md-range", min: low, max: high, step: kind === "int" ? 1 : step, onchange: (e) => set(Number(e.target.value)),
          oninput: (e) => { e.target.nextSibling.textContent = e.target.value; paint(e.target); } });
    return make("label", { class: "md-knob", title: help, "data-knob": name }, name, input, make("output"));
  }

  function numbersBox() {
    const note = make("span", { class: "md-hint", "data-part": "note", role: "status" });
    const text = make("textarea", { rows: 2, class: "md-text", spellcheck: false, "data-part": "text", "data-needs-faders": true, "aria-label": "The faders as numbers",
      title: "Paste the numbers of another tool here", oninput: (e) => { note.textContent = readText(e.target.value); note.classList.toggle("md-bad", !!note.textContent); },
      onblur: () => { note.textContent = ""; showText(); } });
    const layout = make("select", { "aria-label": "Which tool the numbers come from", title: "How TIME, OUT and VAE follow a pasted list",
      onchange: (e) => { desk.layout = e.target.value; showText(); } },
      desk.scene.readings.map(({ id, title }) => make("option", { value: id, selected: id === desk.layout }, `as in ${title}`)));
    return make("div", { class: "md-numbers" }, make("div", { class: "md-head" }, make("b", {}, "Numbers"), note, layout), text);
  }

  // --- presets ---

  function curve(values) {
    const names = desk.scene.numbers.slice(1);
    const points = names.map((name, n) => [(n / Math.max(1, names.length - 1)) * 70 + 1, 25 - clamp(values[name] ?? 0, 0, 1) * 22]);
    const line = points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
    return make("svg", { viewBox: "0 0 72 27", "aria-hidden": true }, make("path", { d: `M1 26L${line}L71 26Z`, class: "md-area" }), make("path", { d: `M${line}`, class: "md-line" }));
  }
  function drawPresets(notes = []) {
    const name = make("input", { type: "text", placeholder: "name of a preset", maxlength: 60, "data-part": "preset-name", "aria-label": "Name of a preset",
      onkeydown: (e) => { if (e.key === "Enter") save(); } });
    const save = () => name.value.trim() && keep("keep", { name: name.value, parameters: Object.fromEntries(slots().map((slot) => [slot, heard(slot)])) });
    const rename = (old) => {
      const fresh = window.prompt("A new name for this preset", old);
      if (fresh?.trim() && fresh !== old) keep("rename", { name: old, new_name: fresh });
    };
    const card = ({ name: called, values, own, about }) => make("div", { class: `md-preset ${own ? "md-own" : ""}` },
      make("button", { type: "button", title: about ? `${called}: ${about}` : called, "data-preset": called, "data-needs-faders": true, disabled: !!desk.scene.unused, onclick: () => change(() => {
        desk.solo.clear(); desk.mute.clear(); for (const [slot, value] of Object.entries(values)) put(slot, value);
      }) }, curve(values), make("span", {}, called)),
      own ? make("span", { class: "md-edit" }, button("✎", `Rename ${called}`, () => rename(called)),
        button("✕", `Delete ${called}`, () => window.confirm(`Delete the preset ${called}?`) && keep("drop", { name: called }))) : null);
    const theirs = make("textarea", { rows: 3, class: "md-text", spellcheck: false, "data-part": "presets-text", "aria-label": "Presets of another tool",
      placeholder: "One a line: a name, a tab, 26 numbers, as in SuperMerger's mbwpresets.txt" });
    const take = make("details", { class: "md-take" }, make("summary", {}, "Import presets"), theirs,
      button("Import", "Take these presets over as yours", () => theirs.value.trim() && keep("import", { parameters: { text: theirs.value } }), { "data-act": "import-presets" }));
    part("presets")?.replaceChildren(
      make("div", { class: "md-head" }, make("b", {}, "Presets"), make("span", { class: "md-hint", "data-part": "presets-note", role: "status" }, notes.join("; ")), name, button("Keep these faders", "Keep the faders as a preset of yours", save, { "data-act": "keep", "data-needs-faders": true })),
      make("div", { class: "md-cards" }, desk.scene.presets.map(card)), take);
  }

  // --- showing the state ---

  function paint(slide) {
    const { min, max, value } = slide;
    slide.style.setProperty("--at", `${clamp((value - min) / (max - min), 0, 1) * 100}%`);
  }
  function show() {
    const { low, high, step } = range();
    for (const each of document.querySelectorAll(".md-fader")) {
      const slot = each.dataset.slot;
      const [, , slide, number] = each.children;
      const all = slots().filter((other) => !(other in desk.scene.still)).map((other) => at(other));
      const mixed = slot === "ALL" && all.some((other) => other !== all[0]);
      const value = slot === "ALL" ? all.reduce((sum, other) => sum + other, 0) / all.length : at(slot);
      const { empty, unused, still } = desk.scene;
      Object.assign(slide, { min: low, max: high, step, value: unused ? REST : value, disabled: !!empty || !!unused || slot in still });
      slide.setAttribute("aria-disabled", slide.disabled);
      number.disabled = slide.disabled;
      if (document.activeElement !== number) number.value = unused ? "" : mixed ? "mixed" : String(Math.round(value * 1e3) / 1e3);
      showHeld(each, slot);
      each.classList.toggle("md-silent", slot !== "ALL" && silent(slot));
      for (const [kind] of Object.values(STRIPES)) {
        each.classList.toggle(`md-${kind}`, desk[kind].has(slot));
        const knob = $(`[data-kind=${kind}]`, each);
        knob?.setAttribute("aria-pressed", desk[kind].has(slot));
        if (knob) knob.disabled = !!unused;
      }
      paint(slide);
    }
    for (const each of document.querySelectorAll("[data-param]")) each.setAttribute("aria-pressed", each.dataset.param === desk.param);
    for (const each of document.querySelectorAll("[data-knob]")) {
      const [input, output] = each.children;
      if (input.type === "checkbox") input.checked = desk.knobs[each.dataset.knob];
      else if (input.type === "text") input.value = desk.knobs[each.dataset.knob];
      else { input.value = desk.knobs[each.dataset.knob]; output.textContent = tidy(desk.knobs[each.dataset.knob]); paint(input); }
    }
    for (const each of document.querySelectorAll("[data-needs-faders]")) each.disabled = !!desk.scene.unused;
    showEffects();
    showText();
    showState();
  }
  function showText() {
    const text = part("text");
    if (!text) return;
    if (document.activeElement !== text) text.value = desk.scene.unused ? "" : asText();
    const others = apart();
    const held = slots().filter((slot) => desk.effects.held[slot]?.whole);
    if (!part("note").classList.contains("md-bad") || document.activeElement !== text)
      part("note").textContent = desk.scene.unused ? "" : held.length ? `${held.length} blocks are held by rules, whatever these numbers say` : others.length ? `${others.join(", ")} set apart from the list` : `${desk.scene.numbers.length} numbers: ${desk.scene.numbers[0] ?? ""} … ${desk.scene.numbers.at(-1) ?? ""}`;
  }
  function showMarks() {
    const most = Math.max(1e-9, ...Object.values(desk.marks));
    const known = Object.keys(desk.marks).length > 0;
    for (const each of document.querySelectorAll(".md-fader")) {
      const far = desk.marks[each.dataset.slot];
      const broken = desk.broken.includes(each.dataset.slot);
      each.style.setProperty("--far", far === undefined ? 0 : far / most);
      each.classList.toggle("md-marked", far !== undefined);
      each.classList.toggle("md-broken", broken);
      each.firstChild.title = broken ? "A or B holds numbers here that are not finite (NaN or infinity): the room Report tells which" : far === undefined ? "" : desk.told ? `${desk.told}${(far * 100).toFixed(1)} %` : far === 0 ? "A and B are equal here" : `A and B differ by ${(far * 100).toFixed(1)} % here`;
    }
    const legend = part("legend");
    const odd = desk.broken.length ? [make("b", { class: "md-bad", title: "Check health, in the room Report, tells which tensors" }, `not finite in A or B: ${desk.broken.slice(0, 3).join(", ")}${desk.broken.length > 3 ? " …" : ""} `)] : [];
    if (legend) legend.replaceChildren(...odd, ...(known ? [desk.told || "A and B differ: ", make("i", { style: "--far:.05" }), " little ", make("i", { style: "--far:.5" }), make("i", { style: "--far:1" }), ` ${(most * 100).toFixed(0)} %`] : []));
  }

  // --- the stage ---

  function drawStage() {
    const root = mount("stage");
    const can = mount("board").dataset;
    const frame = (name, words) => make("figure", { class: "md-frame", "data-frame": name, title: "Click for a larger view",
      onclick: (e) => e.currentTarget.parentElement.classList.toggle("md-large") }, make("div", {}, make("span", {}, words)), make("figcaption", {}, name));
    const hold = (down) => () => { if (desk.holding !== down) { desk.holding = down; holdA(); } };
    const keys = (down) => (e) => { if (e.key === " " || e.key === "Enter") { e.preventDefault(); hold(down)(); } };
    root.replaceChildren(
      make("div", { class: "md-status", role: "status", "aria-live": "polite" }, make("i", { class: "md-lamp" }), make("span", { "data-part": "status" }, "Looking at what is loaded …")),
      make("div", { class: "md-toolbar" },
        make("label", { class: "md-live", title: "Swap and draw as soon as a fader is let go" }, make("input", { type: "checkbox", role: "switch", checked: desk.live, "data-act": "live",
          onchange: (e) => { desk.live = e.target.checked; if (desk.live && desk.stale) engage(); } }), make("i"), "Live"),
        button("Draw", "Swap in what the faders say, and draw", () => send("apply"), { class: "md-button md-go", "data-act": "draw" }),
        button("Hold to see A", "While you hold it, A's own picture with the same settings is shown", () => {}, { "data-act": "hold", onpointerdown: hold(true), onpointerup: hold(false), onpointerleave: hold(false), onkeydown: keys(true), onkeyup: keys(false), onblur: hold(false) }),
        make("span", { class: "md-space" }),
        can.stop === "true" ? button("Stop", "Stop what is running; the model stays whole", stop, { "data-act": "stop", disabled: true }) : null,
        button("Restore", "Put the loaded checkpoint's own weights back", () => { clearTimeout(timer); send("restore"); }, { "data-act": "restore" })),
      make("div", { "data-part": "progress" }),
      make("div", { "data-part": "elsewhere" }),
      make("div", { "data-part": "problem" }),
      make("div", { class: "md-pictures" }, frame("now", "Let go of a fader and the picture appears here."), frame("before", "The one before it stays here.")),
      make("details", { class: "md-told", "data-part": "told", hidden: true }, make("summary", {}, "Infotext"), make("pre")));
  }
  function holdA() {
    if (desk.holding && desk.now && desk.ofA?.against !== desk.now.against) send("compare");
    showPictures();
  }
  function showPictures() {
    for (const [name, picture] of [["now", desk.now], ["before", desk.before]]) {
      const frame = $(`[data-frame=${name}]`);
      if (!frame) continue;
      const ofA = name === "now" && desk.holding && desk.ofA && desk.ofA.against === desk.now?.against;
      const shown = ofA ? desk.ofA : picture;
      frame.classList.toggle("md-ofA", !!ofA);
      frame.lastChild.textContent = ofA ? "A" : name;
      if (shown && $("img", frame)?.src !== shown.src) frame.firstChild.replaceChildren(make("img", { src: shown.src, alt: ofA ? "A's picture" : `the picture ${name}` }));
    }
    const told = part("told");
    if (told) { told.hidden = !desk.now?.told; told.lastChild.textContent = desk.now?.told ?? ""; }
  }
  function showState() {
    const busy = desk.busy?.action;
    const able = { undo: desk.past.length, redo: desk.future.length, stop: busy, hold: desk.now, draw: desk.scene && !desk.scene.empty };
    for (const [act, can] of Object.entries(able)) { const found = $(`[data-act=${act}]`); if (found) found.disabled = !can; }
    $("[data-act=draw]")?.classList.toggle("md-due", desk.stale && !desk.live);
    const words = { apply: "drawing", compare: "drawing A, once", restore: "restoring" };
    const frame = $("[data-frame=now]");
    frame?.classList.toggle("md-busy", !!busy);
    frame?.setAttribute("data-busy", busy ? `${words[busy]} … ${((Date.now() - desk.busy.since) / 1000).toFixed(0)} s` : "");
  }
  function setStatus(text) {
    const status = part("status");
    if (!status) return;
    status.textContent = text;
    status.parentElement.classList.toggle("md-on", text.includes("(unsaved)"));
  }
  function problemBox({ what, where, hint, more, calm }) {
    return make("div", { class: `md-problem ${calm ? "md-calm" : ""}`, role: calm ? "status" : "alert" },
      make("b", {}, what), where ? make("p", {}, make("span", {}, "where"), where) : null, hint ? make("p", {}, make("span", {}, "try"), hint) : null,
      more.length ? make("ol", {}, more.map((each) => make("li", {}, each))) : null);
  }
  const showProblem = (problem) => part("problem")?.replaceChildren(...(problem ? [problemBox(problem)] : []));
  function showSheet({ problem, sheet, card }) {
    const rows = problem ? problemBox(problem) : make("dl", { class: "md-sheet" }, sheet.map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
    const text = card ? make("details", { "data-part": "card" }, make("summary", {}, "Text for a model page"),
      button("Copy", "Copy the text for a model page", () => navigator.clipboard?.writeText(card)), make("pre", { class: "md-card" }, card)) : null;
    part("sheet")?.replaceChildren(...[rows, text].filter(Boolean));
  }

  // --- what the user does ---

  const slotOf = (e) => e.target.closest?.(".md-fader")?.dataset.slot;
  function listen(root) {
    root.addEventListener("input", (e) => { if (e.target.matches(".md-fader .md-range")) move(slotOf(e), Number(e.target.value)); });
    root.addEventListener("change", (e) => {
      const slot = slotOf(e);
      if (slot && e.target.matches(".md-range")) settle(slot);
      else if (slot && e.target.matches(".md-number")) {
        const value = parseFloat(e.target.value.replace(",", "."));
        e.target.blur();
        if (Number.isFinite(value)) { move(slot, value); settle(slot); } else show();
      }
    });
    root.addEventListener("dblclick", (e) => { if (slotOf(e) && !e.target.matches("button, .md-number")) reset(slotOf(e)); });
    root.addEventListener("click", (e) => { const kind = e.target.dataset?.kind; if (kind) toggle(kind, slotOf(e)); });
    root.addEventListener("focusin", (e) => { if (e.target.matches(".md-number")) e.target.select(); });
    root.addEventListener("wheel", (e) => {
      const slot = slotOf(e);
      if (!slot || !e.target.matches(".md-range") || document.activeElement !== e.target || e.target.disabled) return;
      e.preventDefault();
      const { low, high, step } = range();
      move(slot, clamp(Number(tidy(Number(e.target.value) - Math.sign(e.deltaY) * step)), low, high));
      settle(slot);
    }, { passive: false });
    root.addEventListener("keydown", (e) => {
      const ctrl = e.ctrlKey || e.metaKey;
      const key = e.key.toLowerCase();
      if (ctrl && (key === "z" || key === "y") && e.target.dataset.part !== "preset-name") {
        e.preventDefault();
        if (e.target.matches(".md-text, .md-number")) e.target.blur();
        return key === "y" || e.shiftKey ? redo() : undo();
      }
      const slot = slotOf(e);
      if (!slot || ctrl || e.altKey) return undefined;
      if (e.target.matches(".md-number")) { if (key === "enter" || key === "escape") { if (key === "escape") e.target.value = ""; e.target.blur(); $(".md-range", e.target.parentElement).focus(); } return undefined; }
      const act = { l: () => toggle("lock", slot), s: () => toggle("solo", slot), m: () => toggle("mute", slot), delete: () => reset(slot), backspace: () => reset(slot), enter: () => $(".md-number", e.target.closest(".md-fader")).focus() }[key];
      if (act && e.target.matches(".md-range") && (slot !== "ALL" || key.length > 1)) { e.preventDefault(); act(); }
      return undefined;
    });
  }

  // --- coming to life ---

  function listenTo() {
    for (const name of Object.keys(hear)) {
      const said = $(`#merge_desk_${name} [data-merge-desk]`)?.dataset;
      if (!said || said.at === seen[name]) continue;
      seen[name] = said.at;
      let answer = null;
      try { answer = JSON.parse(said.mergeDesk); } catch { showProblem({ what: "An answer of Merge Desk could not be read", where: name, hint: "reload the page", more: [] }); }
      if (answer) hear[name](answer, Number(said.at));
    }
  }
  /** Rooms whose place has appeared, or appeared anew: some Gradios throw away what a closed tab holds. */
  function enter() {
    for (const [name, { draw, shown }] of Object.entries(rooms)) {
      const place = mount(name);
      if (!place || place.dataset.alive) continue;
      place.dataset.alive = "yes";
      draw(place);
      new IntersectionObserver((seenNow) => { if (seenNow.some((each) => each.isIntersecting)) shown?.(); }).observe(place);
    }
  }
  let watched = null;
  let greeted = 0;
  function live() {
    const root = mount("board");
    const carriers = $("#merge_desk_carriers");
    if (!root || !carriers) return;
    if (!root.dataset.alive) {
      root.dataset.alive = "yes";
      listen(root);
      drawStage();
      if (desk.scene) { drawBoard(); setStatus(desk.scene.status); showPictures(); }
      new IntersectionObserver((seenNow) => { if (seenNow.some((each) => each.isIntersecting)) press("hello"); }).observe(root);
    }
    if (watched !== carriers) {
      watched = carriers;
      new MutationObserver(listenTo).observe(carriers, { subtree: true, childList: true, attributes: true, characterData: true });
    }
    enter();
    listenTo();
    if (!desk.scene && Date.now() - greeted > 1500) { greeted = Date.now(); press("hello"); }
    if (desk.next.turn && Date.now() - desk.busy?.since > 250) press("turn"); // Gradio drops a click while it still ends the event before
    for (const bell of Object.keys(asked)) {
      if (!desk.next[bell]) delete asked[bell];
      else if (Date.now() - asked[bell] > 250) press(bell);
    }
    if (desk.busy) showState();
  }
  setInterval(live, 300);

  // --- for the other rooms ---

  /** A room of the page: `draw` fills its element each time that it is made, `hear` takes answers by carrier, and
   * `shown` is called when it comes into sight and when the lists above it change while it is there. */
  function room(name, { draw, shown, hear: ears = {} }) {
    Object.assign(hear, ears);
    if (draw) rooms[name] = { draw, shown };
  }
  const board = {
    slots: () => (desk.scene ? slots() : []),
    family: () => desk.scene?.family ?? "",
    /** Why no fader does anything with the method of the list, "" where they do. */
    unused: () => desk.scene?.unused ?? "",
    setUp,
    /** The merge in memory was changed by another room of this very page. */
    engagedHere: () => { desk.engaged = null; look(); },
    parameters: () => (desk.scene ? parameters() : {}),
    /** One step of undo: amounts by parameter and slot, and knobs by name; what is not named stays. */
    set: (amounts, knobs = {}) => change(() => {
      desk.solo.clear();
      desk.mute.clear();
      for (const [param, values] of Object.entries(amounts)) for (const [slot, value] of Object.entries(values)) put(slot, value, param);
      Object.assign(desk.knobs, knobs);
    }),
    /** Something more that is asked for with every move, under a name of its own; "" takes it back. */
    extra: (name, value) => {
      if (!setExtra(name, value)) return;
      look();
      engage();
    },
    solo: (slot) => change(() => { desk.solo = new Set(desk.solo.size === 1 && desk.solo.has(slot) ? [] : [slot]); }),
    mute: (slot) => change(() => { desk.mute.add(slot); }),
    /** Other marks than how far A and B differ, with words for what they tell; until A or B changes. */
    mark: (marks, words) => { Object.assign(desk, { marks, told: words }); showMarks(); },
  };
  function open(name) {
    const place = $(`#merge_desk_room_${name}`);
    const nth = [...document.querySelectorAll("#merge_desk_rooms > [id^=merge_desk_room_]")].indexOf(place);
    const button = $(`#merge_desk_room_${name}-button`) // Gradio 3 gives these buttons no id
      ?? document.querySelectorAll("#merge_desk_rooms > .tab-nav > button")[nth];
    button?.click();
  }
  return { fill, room, ask, stop: () => press("stop"), open, faders: board, tools: { $, make, button, mount, part, clamp, tidy, progress, ended, problemBox } };
})();
