"use strict";
/* The tab Mix, what the user does to a fader: with the pointer, the wheel and the keyboard. */
{
  /** @typedef {"link" | "lock" | "solo" | "mute"} Toggle */

  /** @typedef {ReturnType<typeof import("./view_mix_fader.js")["create"]>} Strip */
  /** @typedef {InstanceType<typeof import("./fader_groups.js")["FaderSelection"]>} FaderSelection */

  /** @param {DeskPage} page @param {{ strip: Strip, selected: FaderSelection }} parts */
  function create({ state, mix }, { strip, selected }) {
    const { ALL, clamp } = globalThis.mergeDesk.state;
    const { formatNumber } = globalThis.mergeDesk.numberList;
    const { applyEntry, entryProblem, readEntry } = globalThis.mergeDesk.numberInput;
    const { field } = globalThis.mergeDesk.dom;

    const undo = () => mix.travel("undo");
    const redo = () => mix.travel("redo");
    /** @param {string} slot @param {number} value */
    function move(slot, value) {
      state.move(slot, value);
      mix.show();
    }
    let byPointer = false; // the last move
    /** A slider that is released is sent at once; a key may be pressed again in a moment.
     * @param {string} slot @param {boolean} [released] */
    function settle(slot, released) {
      if (state.settle(slot)) mix.edit(() => {}, released);
    }
    /** @param {string} slot @param {number} value */
    function moveTo(slot, value) {
      move(slot, value);
      settle(slot);
    }
    /** @param {Toggle} kind @param {string} slot */
    function toggle(kind, slot) {
      const merges = kind === "solo" || kind === "mute"; // what is sent changes
      if (merges && !state.canKeepA) return;
      if (merges) mix.edit(() => state.toggle(kind, slot));
      else {
        state.toggle(kind, slot);
        mix.show();
      }
    }
    /** @param {Event} e @returns {HTMLInputElement} */
    const target = (e) => /** @type {HTMLInputElement} */ (e.target);
    /** @param {Event} e @returns {string | undefined} */
    const slotOf = (e) => /** @type {HTMLElement | null} */ (target(e).closest?.(".md-fader"))?.dataset.slot;

    /** @param {HTMLElement} root */
    function listen(root) {
      root.addEventListener("input", (e) => {
        const slot = slotOf(e);
        if (slot && target(e).matches(".md-range")) move(slot, Number(target(e).value));
      });
      root.addEventListener("change", (e) => {
        const slot = slotOf(e);
        if (slot && target(e).matches(".md-range")) settle(slot, byPointer);
        else if (slot && target(e).matches(".md-number")) onNumber(slot, target(e));
      });
      root.addEventListener("dblclick", (e) => {
        const slot = slotOf(e);
        if (slot && !target(e).closest("button, .md-number")) moveTo(slot, state.restingAmount());
      });
      root.addEventListener("pointerdown", () => void (byPointer = true), true);
      root.addEventListener("keydown", () => void (byPointer = false), true);
      root.addEventListener("pointerdown", onNamePressed);
      root.addEventListener("pointerover", onNamePassed);
      root.addEventListener("click", onNameTapped);
      root.addEventListener("click", (e) => {
        const pressed = /** @type {HTMLElement | null} */ (target(e).closest?.("[data-kind]"));
        const slot = slotOf(e);
        if (pressed && slot) toggle(/** @type {Toggle} */ (pressed.dataset.kind), slot);
      });
      root.addEventListener("focusin", (e) => {
        if (target(e).matches(".md-number")) target(e).select();
      });
      root.addEventListener("wheel", onWheel, { passive: false });
      root.addEventListener("keydown", onKey);
    }
    /** @param {string} slot @param {HTMLInputElement} number */
    function onNumber(slot, number) {
      const entry = readEntry(number.value);
      if (!entry && number.value.trim()) return strip.showEntryProblem(number, entryProblem(number.value));
      strip.clearEntryProblem(number);
      number.blur();
      if (!entry) mix.show();
      else if (slot === ALL)
        mix.edit(() => state.adjust(state.activeSlots(), (amount) => applyEntry(entry, amount)));
      else moveTo(slot, applyEntry(entry, state.amountOf(slot)));
    }
    // --- selecting ---

    /** The slot whose name is under the pointer. @param {Event} e */
    function namedSlot(e) {
      const slot = target(e).closest?.(".md-slot") ? slotOf(e) : undefined;
      return slot === ALL ? undefined : slot;
    }
    /** @param {() => void} act */
    function select(act) {
      act();
      mix.show();
    }
    let dragging = false; // over names
    /** @param {PointerEvent} e */
    function onNamePressed(e) {
      const slot = namedSlot(e);
      if (!slot || e.button || e.pointerType === "touch") return;
      dragging = true;
      window.addEventListener("pointerup", () => void (dragging = false), { once: true });
      select(() => {
        if (e.shiftKey) selected.extendTo(slot);
        else if (e.ctrlKey || e.metaKey) selected.flip(slot);
        else selected.only(slot);
      });
    }
    /** A finger has no Ctrl: each tap is one more, or less. @param {PointerEvent} e */
    function onNameTapped(e) {
      const slot = namedSlot(e);
      if (slot && e.pointerType === "touch") select(() => selected.flip(slot));
    }
    /** @param {PointerEvent} e */
    function onNamePassed(e) {
      const slot = namedSlot(e);
      if (slot && dragging && !e.ctrlKey && !e.metaKey) select(() => selected.extendTo(slot));
    }
    /** Space, with Shift for a range and Ctrl for one more; Ctrl+A for all, Escape for none.
     * @param {KeyboardEvent} e @param {string} slot @returns {boolean} whether it was such a key */
    function onSelectKey(e, slot) {
      const ctrl = e.ctrlKey || e.metaKey;
      if (e.key === "Escape" && selected.slots.size) select(() => selected.choose([]));
      else if (ctrl && e.key.toLowerCase() === "a") select(() => selected.choose(state.activeSlots()));
      else if (e.key !== " " || slot === ALL) return false;
      else select(() => (e.shiftKey ? selected.extendTo(slot) : selected.flip(slot)));
      e.preventDefault();
      return true;
    }

    // --- wheel and keyboard ---

    /** @param {WheelEvent} e */
    function onWheel(e) {
      const slot = slotOf(e);
      const slide = target(e);
      if (!slot || !slide.matches(".md-range") || document.activeElement !== slide || slide.disabled) return;
      e.preventDefault();
      const { low, high, step } = state.range();
      moveTo(slot, clamp(Number(formatNumber(Number(slide.value) - Math.sign(e.deltaY) * step)), low, high));
    }
    /** @param {KeyboardEvent} e */
    function onKey(e) {
      const ctrl = e.ctrlKey || e.metaKey;
      const key = e.key.toLowerCase();
      const at = target(e);
      if (ctrl && (key === "z" || key === "y") && at.dataset.part !== "preset-name") {
        e.preventDefault();
        if (at.matches(".md-textarea, .md-number")) at.blur();
        if (at.matches(".md-number")) drop(at);
        if (key === "y" || e.shiftKey) redo();
        else undo();
        return;
      }
      const slot = slotOf(e);
      if (!slot || e.altKey) return;
      if (at.matches(".md-range") && onSelectKey(e, slot)) return;
      if (ctrl) return;
      if (at.matches(".md-number")) leaveNumber(key, at);
      else if (at.matches(".md-range")) onFaderKey(e, slot, key);
    }
    /** @param {string} key @param {HTMLInputElement} number */
    function leaveNumber(key, number) {
      if (key !== "enter" && key !== "escape") return;
      if (key === "escape") number.value = "";
      number.blur(); // which reads it
      if (key === "escape") drop(number);
      if (number.matches("[aria-invalid]")) number.focus();
      else field(".md-range", number.parentElement ?? undefined)?.focus();
    }
    /** Forgets what was typed. @param {HTMLInputElement} number */
    function drop(number) {
      strip.clearEntryProblem(number);
      mix.show();
    }
    /** @param {KeyboardEvent} e @param {string} slot @param {string} key */
    function onFaderKey(e, slot, key) {
      /** @type {Record<string, () => unknown>} */
      const acts = {
        l: () => toggle("link", slot),
        k: () => toggle("lock", slot),
        s: () => toggle("solo", slot),
        m: () => toggle("mute", slot),
        delete: () => moveTo(slot, state.restingAmount()),
        backspace: () => moveTo(slot, state.restingAmount()),
        enter: () => field(".md-number", target(e).closest(".md-fader") ?? undefined)?.focus(),
      };
      if (!acts[key] || (slot === ALL && key.length === 1)) return;
      e.preventDefault();
      acts[key]();
    }
    return { listen, undo, redo };
  }

  const faderEvents = { create };
  if (typeof module !== "undefined") module.exports = faderEvents;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, faderEvents };
}
