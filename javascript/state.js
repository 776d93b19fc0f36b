"use strict";
/* What the page knows: amounts, link, solo and mute, what was sent and what is in memory. Pure: no document, no
 * window, and the time is given; tests/javascript/state.test.js runs it. */
{
  const ALL = "ALL"; // the fader that moves all others

  /** @typedef {"link" | "lock" | "solo" | "mute"} Toggle */
  /** @typedef {Record<string, Record<string, number>>} Amounts parameter -> slot -> amount */
  /** @typedef {Record<string, any>} Scalars parameters with one value for the whole model */

  /** @param {number} x @param {number} low @param {number} high */
  const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

  class DeskState {
    /** What the faders are drawn from, for what the lists say.
     * @type {Desk.UiState | null} */
    ui = null;
    /** @type {Desk.Selection | null} */
    selection = null;
    param = "alpha";
    layout = "supermerger";
    /** @type {Record<string, Record<string, number | undefined>>} of the faders that were moved */
    values = {};
    /** @type {Scalars} */
    scalars = {};
    /** @type {{ shown: boolean, closed: string[] }} */
    hints = { shown: false, closed: [] };
    /** What is asked for besides the faders: rules (weights) and Adjust, by name.
     * @type {Record<string, string>} */
    extras = {};
    /** @type {Record<Toggle, Set<string>>} */
    toggles = { link: new Set(), lock: new Set(), solo: new Set(), mute: new Set() };
    /** Locked slots that the last change would have moved.
     * @type {Set<string>} */
    keptLocked = new Set();

    /** How much A and B differ, or what else was marked, by slot.
     * @type {Record<string, number>} */
    marks = {};
    /** @type {string[]} */
    notFinite = [];
    markLabel = "";
    between = "|";
    /** @type {Desk.Effects} */
    effects = { items: [], overrides: {} };

    live = true;
    stale = false;
    scheduled = false; // whether a merge is about to be sent
    /** What the fields of a picture's settings hold, and held for the last picture, as Python says it. */
    drawing = { now: "", drawn: "" };
    /** Whether the user has unloaded the merge: the next one is asked for with Generate. */
    unloaded = false;
    applied = false;
    sent = "";
    /** @type {DeskBusy | null} */
    busy = null;
    /** @type {DeskAct | ""} */ queued = "";
    /** The merge in memory as far as this page knows; null takes over whatever there is.
     * @type {string | null} */
    engaged = null;
    respondedAt = 0;
    statusReadAt = 0;
    /** @type {DeskNotice} */
    notice = { text: "", recipe: "", other: "" };

    /** The fields of a picture's settings, as far as they are plain values. @type {DeskWanted["fields"]} */
    fields = {};
    /** The lists and fields that undo asks for, where they are others. @type {DeskWanted | null} */
    wanted = null;
    /** The lists and fields that Python is setting. @type {DeskWanted | null} */
    expected = null;
    /** Whether changes of lists and fields are steps of undo: not while the page is being opened or set up. */
    recording = false;

    /** @type {SheetSettings} */
    sheet = { count: 1, by: "seeds", prompts: "" };
    /** @type {DeskPicture | null} */
    picture = null;
    /** @type {DeskPicture | null} */
    pictureBefore = null;
    /** @type {DeskPicture | null} */
    pictureOfA = null;

    /** @type {{ before: string, start: Record<string, number> } | null} */
    #gesture = null;
    #shape = "";
    /** With what the picture was made that the user has gone back to, "" once it is merged again. */
    again = "";

    #undo;

    /** @param {{ undo: InstanceType<typeof import("./undo.js")["UndoStack"]>, now?: () => number }} parts  now: ms */
    constructor({ undo, now = Date.now }) {
      this.#undo = undo;
      this.now = now;
    }

    // --- the faders ---

    /** The UI state, where there must be one. */
    get #ui() {
      if (!this.ui) throw new Error("there is no UI state yet");
      return this.ui;
    }
    /** @returns {string[]} */
    slots() {
      if (!this.ui) return [];
      const { above, left, middle, right, outside } = this.ui.fader_layout;
      return [...above, ...left, ...middle, ...right, ...outside];
    }
    /** The slots whose faders do something. */
    activeSlots() {
      return this.slots().filter((slot) => !(slot in this.#ui.disabled_faders));
    }
    faders() {
      return this.#ui.method.faders;
    }
    range() {
      const shown = this.faders();
      return shown.find((each) => each.name === this.param) ?? shown[0] ?? { low: 0, high: 1, step: 0.01 };
    }
    /** Where a fader stands. @param {string} slot */
    amountOf(slot, param = this.param) {
      return this.values[param]?.[slot] ?? this.restingAmount(param);
    }
    /** Where a fader stands until it is moved, and after a reset: where it keeps A, if the method has such an amount. */
    restingAmount(param = this.param) {
      const { neutral, faders } = this.ui?.method ?? { neutral: null, faders: [] };
      return neutral?.[param] ?? faders.find((each) => each.name === param)?.default ?? 0;
    }
    get canKeepA() {
      return !!this.ui?.method.neutral;
    }
    /** Where the fader ALL stands, and whether the others stand at different amounts. */
    allBlocks() {
      const all = this.activeSlots().map((slot) => this.amountOf(slot));
      const value = all.reduce((sum, each) => sum + each, 0) / all.length;
      return { value, mixed: all.some((each) => each !== all[0]) };
    }
    /** Whether solo or mute keep A's block. @param {string} slot */
    inactive(slot) {
      const { solo, mute } = this.toggles;
      return this.canKeepA && (mute.has(slot) || (solo.size > 0 && !solo.has(slot)));
    }
    /** What a slot is merged with. @param {string} slot */
    effective(slot, param = this.param) {
      const rests = this.inactive(slot) || slot in this.#ui.disabled_faders;
      return rests ? this.restingAmount(param) : this.amountOf(slot, param);
    }
    /** A fader put back counts as never moved. @param {string} slot @param {number} value */
    #setAmount(slot, value, param = this.param) {
      (this.values[param] ??= {})[slot] = value === this.restingAmount(param) ? undefined : value;
    }
    /** The same, but a locked fader stays. @param {string} slot @param {number} value */
    #setUnlocked(slot, value, param = this.param) {
      if (!this.toggles.lock.has(slot)) this.#setAmount(slot, value, param);
      else if (value !== this.amountOf(slot, param)) this.keptLocked.add(slot);
    }
    /** What a merge is asked for.
     * @returns {Desk.FaderAmounts["parameters"]} */
    parameters() {
      /** @type {Desk.FaderAmounts["parameters"]} */
      const out = { ...this.scalars, ...this.extras };
      for (const { name } of this.faders()) out[name] = this.amounts(name);
      return out;
    }
    /** The amounts of a parameter's faders, as they are merged. */
    amounts(param = this.param) {
      return Object.fromEntries(this.slots().map((slot) => [slot, this.effective(slot, param)]));
    }

    // --- undo ---

    /** What a step of undo restores. */
    snapshot() {
      return this.#undo.snapshotOf(this);
    }
    /** @param {string | undefined} snapshot @returns {boolean} whether there is one */
    #travel(snapshot) {
      if (snapshot !== undefined) this.#undo.restore(this, snapshot);
      return snapshot !== undefined;
    }
    get #records() {
      return this.recording && !this.expected;
    }
    /** The lists and fields of the page as they are now. @param {DeskWanted["fields"]} fields */
    setFields(fields) {
      const before = this.snapshot();
      const known = Object.keys(this.fields).length > 0;
      this.fields = fields;
      if (known && this.#records && this.snapshot() !== before) this.#undo.push(before);
    }
    /** @returns {{ past: string[], future: string[] }} */
    get undoSteps() {
      return this.#undo.steps;
    }
    set undoSteps(steps) {
      this.#undo.steps = steps;
    }
    get canUndo() {
      return this.#undo.canUndo;
    }
    get canRedo() {
      return this.#undo.canRedo;
    }
    undo() {
      return this.#travel(this.#undo.undo(this.snapshot()));
    }
    redo() {
      return this.#travel(this.#undo.redo(this.snapshot()));
    }
    /** Goes back to an earlier picture and all that it was made with, as one step of undo.
     * @param {DeskPicture} picture */
    goBack(picture) {
      const { made } = picture;
      if (!made?.snapshot) return;
      this.#undo.push(this.snapshot());
      this.#undo.restore(this, made.snapshot);
      if (this.picture?.src !== picture.src) Object.assign(this, { pictureBefore: this.picture, picture });
      this.again = JSON.stringify(made.parameters);
    }
    /** Whatever `act` does to the amounts, as one step of undo.
     * @param {() => void} act @param {string} [what] */
    change(act, what = "") {
      const before = this.snapshot();
      this.keptLocked.clear();
      act();
      if (this.snapshot() !== before) this.#undo.push(before, what);
    }

    // --- moving faders ---

    /** A fader is being moved; the step of undo ends with `settle`.
     * @param {string} slot @param {number} value */
    move(slot, value) {
      const { link, lock } = this.toggles;
      const from = this.#beginGesture().start;
      const { low, high } = this.range();
      if (slot === ALL) for (const each of this.activeSlots()) this.#setUnlocked(each, value);
      else if (link.has(slot) && !lock.has(slot))
        for (const each of link) this.#setUnlocked(each, clamp(from[each] + value - from[slot], low, high));
      if (slot !== ALL) this.#setUnlocked(slot, value);
    }
    /** Whether a fader is being moved. */
    get moving() {
      return this.#gesture !== null;
    }
    #beginGesture() {
      if (!this.#gesture) this.keptLocked.clear();
      return (this.#gesture ??= { before: this.snapshot(), start: this.#currentAmounts() });
    }
    /** Several faders are being moved, each by itself. @param {Record<string, number>} amounts by slot */
    moveEach(amounts) {
      this.#beginGesture();
      for (const [slot, value] of Object.entries(amounts)) this.#setUnlocked(slot, value);
    }
    /** What `act` makes of each slot's amount, as one step of undo.
     * @param {string[]} slots @param {(amount: number, slot: string) => number} act */
    adjust(slots, act) {
      const able = this.activeSlots();
      this.change(() => {
        for (const slot of slots.filter((each) => able.includes(each)))
          this.#setUnlocked(slot, act(this.amountOf(slot), slot));
      });
    }
    #currentAmounts() {
      return Object.fromEntries(this.slots().map((slot) => [slot, this.amountOf(slot)]));
    }
    /** @param {string} slot @returns {boolean} whether anything has changed since the move began */
    settle(slot) {
      const before = this.#gesture?.before;
      this.#gesture = null;
      if (before === undefined || before === this.snapshot()) return false;
      this.#undo.push(before, slot);
      return true;
    }
    /** @param {Toggle} kind @param {string} slot */
    toggle(kind, slot) {
      const flip = () => void (this.toggles[kind].delete(slot) || this.toggles[kind].add(slot));
      if (kind === "link" || kind === "lock") flip();
      else this.change(flip);
    }
    #clearSoloAndMute() {
      this.toggles.solo.clear();
      this.toggles.mute.clear();
    }
    reset() {
      const rest = this.restingAmount();
      this.set({ [this.param]: Object.fromEntries(this.slots().map((slot) => [slot, rest])) });
    }
    invert() {
      const { low, high } = this.range();
      this.adjust(this.activeSlots(), (amount) => low + high - amount);
    }
    /** Amounts by parameter and slot, and scalars by name, with nothing soloed or muted; what is not named, or locked,
     * stays.
     * @param {Amounts} amounts @param {Scalars} [scalars] */
    set(amounts, scalars = {}) {
      this.change(() => this.#set(amounts, scalars));
    }
    /** @param {Amounts} amounts @param {Scalars} scalars @param {boolean} [locked] whether locked faders move too */
    #set(amounts, scalars, locked = false) {
      this.#clearSoloAndMute();
      for (const [param, values] of Object.entries(amounts))
        for (const [slot, value] of Object.entries(values))
          if (locked) this.#setAmount(slot, value, param);
          else this.#setUnlocked(slot, value, param);
      Object.assign(this.scalars, scalars);
    }
    /** The same for what Python set the desk up with, in place of all amounts, also of locked faders; `quiet` where it
     * is in memory already. Without any amounts the merge is A as it is.
     * @param {Amounts} amounts @param {Scalars} scalars @param {boolean} quiet
     * @param {string} [before] the snapshot from before the lists were set */
    applySetup(amounts, scalars, quiet, before = this.snapshot()) {
      const none = { alpha: Object.fromEntries(this.slots().map((slot) => [slot, 0])) };
      for (const param of Object.keys(this.values)) this.values[param] = {};
      this.#set(Object.keys(amounts).length ? amounts : none, scalars, true);
      if (this.snapshot() !== before && (this.applied || !quiet)) this.#undo.push(before);
      if (quiet) Object.assign(this, { applied: true, unloaded: false, sent: this.requested() });
    }
    /** @param {string} name @param {string} value "" takes it back @returns {boolean} whether it is new */
    setExtra(name, value) {
      if ((this.extras[name] ?? "") === value) return false;
      if (value) this.extras[name] = value;
      else delete this.extras[name];
      return true;
    }

    /** Sets the faders to a pasted list, as Python has read it; lists that are typed on are one step of undo.
     * @param {Record<string, number>} amounts by slot */
    setNumbers(amounts) {
      this.change(() => this.#set({ [this.param]: amounts }, {}), "text");
    }

    // --- what Python says ---

    /** Takes over what the lists say, and what is drawn for it.
     * @param {Desk.UiState} ui @param {Desk.Selection} selection
     * @returns {{ first: boolean, redraw: boolean, reselected: boolean, pair: boolean }}
     *   what of it is new: the first of all, what is drawn of it, what the lists say, A and B */
    setUi(ui, selection, record = true) {
      const [old, before, snapshot] = [this.ui, this.selection, this.snapshot()];
      Object.assign(this, { ui, selection });
      const between = `${selection.a}|${selection.b}`;
      const pair = between !== this.between;
      if (pair) this.mark({}, "", [], between); // never the marks of another pair
      this.#takeMethod(ui.method);
      const shape = JSON.stringify({ ...ui, problem: null });
      const redraw = shape !== this.#shape;
      this.#shape = shape;
      const reselected = JSON.stringify(before) !== JSON.stringify(selection);
      if (old && reselected && record && this.#records) this.#undo.push(snapshot, "lists");
      return { first: !old, redraw, reselected, pair };
    }
    /** @param {Desk.MethodView} method */
    #takeMethod({ faders, scalars }) {
      if (!faders.some((each) => each.name === this.param)) this.param = faders[0]?.name ?? "alpha";
      for (const { name } of faders) this.values[name] ??= {};
      for (const { name, default: usual } of scalars) this.scalars[name] ??= usual;
      const taken = scalars.map((each) => each.name);
      for (const name of Object.keys(this.scalars)) if (!taken.includes(name)) delete this.scalars[name];
    }
    /** @param {Record<string, number>} marks @param {string} words @param {string[]} [notFinite] @param {string} [between] */
    mark(marks, words, notFinite = this.notFinite, between = this.between) {
      Object.assign(this, { marks, markLabel: words, notFinite, between });
    }

    // --- the merge in memory ---

    /** What would be asked for now, to be compared with what was. */
    requested() {
      return JSON.stringify([this.selection, this.parameters()]);
    }
    /** @returns {boolean} whether the page says something else than what was sent and drawn */
    compareSent() {
      const { now, drawn } = this.drawing;
      this.stale = this.requested() !== this.sent || (!!drawn && now !== drawn);
      return this.stale;
    }
    /** A's own picture, where it was drawn with the settings of the one that is shown. */
    get comparison() {
      const { picture, pictureOfA } = this;
      return picture && pictureOfA?.comparison_key === picture.comparison_key ? pictureOfA : null;
    }
    /** A's own picture for the stage; before the first merge it stands alone. */
    get shownOfA() {
      return this.picture ? this.comparison : this.pictureOfA;
    }

    /** @param {string} text @param {{ recipe?: string, other?: string }} [more] */
    setNotice(text, { recipe = "", other = "" } = {}) {
      this.notice = { text, recipe, other };
    }
  }

  const state = { DeskState, ALL, clamp };
  if (typeof module !== "undefined") module.exports = state;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, state };
}
