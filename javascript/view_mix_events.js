"use strict";
/* The tab Mix: what happens elsewhere on the page and matters to the merge. The user changes the fields of a picture's
 * settings, comes back to this window, or chooses a checkpoint in the WebUI's own list. */
{
  const HOST_LISTS = ":is(#setting_sd_model_checkpoint, .model_selection:not(#setting_sd_modules))"; // the WebUI's own list of checkpoints, which has no id in Forge
  const OURS = "#tab_merge_desk, [id^=merge_desk_]"; // the standalone page has no tab; the page's own requests are clicks too
  const HOST_SETTLED = 1000; // ms after a click elsewhere in which the WebUI has done what it asks for
  const FIELD_SETTLED = 250; // ms after a change of a field until Gradio has its value

  /** @param {DeskPage} page
   * @param {{ refreshOnFocus: () => void, fieldChanged: () => void }} given */
  function listen({ state, wire, mix }, { refreshOnFocus, fieldChanged }) {
    let fieldTimer = 0;

    /** A click outside of our tab may have chosen a checkpoint, which Forge loads with its next picture only.
     * @param {MouseEvent} event */
    function refreshAfterHost(event) {
      const inside = !(event.target instanceof Element) || event.target.closest(OURS);
      if (!inside) setTimeout(refreshOnFocus, HOST_SETTLED);
    }
    /** A merge that was loaded over the checkpoint that is selected again is unloaded, as AUTOMATIC1111's list does
     * it at a click. */
    async function unloadAfterHost() {
      const data = { parameters: {}, engaged: state.engaged ?? "" };
      const response = await wire.ask("mix.effects", data); // answered in any case: the click that opened the list refreshes
      if (!response?.status?.engaged) return;
      if (state.ui) mix.send("unload");
      else wire.ask("mix.unload", data); // the tab was not opened yet
    }
    /** Since Gradio 4 a list tells nobody that its selected entry was clicked again.
     * @param {EventTarget | null} target */
    function unloadAfterClick(target) {
      const major = parseInt(/** @type {any} */ (window).gradio_config?.version ?? "");
      const selected = target instanceof Element && target.closest(`${HOST_LISTS} li[aria-selected=true]`);
      if (major >= 4 && selected) unloadAfterHost();
    }
    /** No Gradio tells it of Enter, which chooses the list's active entry, or where none is the one its box names.
     * @param {KeyboardEvent} event */
    function unloadAfterEnter(event) {
      if (event.key !== "Enter" || !(event.target instanceof HTMLInputElement)) return;
      const box = event.target;
      const list = box.closest(HOST_LISTS);
      const selected = list?.querySelector("li:is(.selected, [aria-selected=true])");
      const active = list?.querySelector("li.active");
      if (selected && (active ? active === selected : selected.getAttribute("aria-label") === box.value))
        unloadAfterHost();
    }
    /** Something was done to the fields of a picture's settings, which Gradio takes over in a moment.
     * @param {Event} event */
    function refreshAfterField(event) {
      const inside = event.target instanceof Element && event.target.closest("#merge_desk_drawing");
      if (!inside) return;
      fieldChanged();
      clearTimeout(fieldTimer);
      fieldTimer = window.setTimeout(mix.refreshEffects, FIELD_SETTLED);
    }
    /** Tab leaves a list, and Gradio 6 opens it again a moment later, as after any key. It need not hear of this one:
     * the list closes when it is left.
     * @param {KeyboardEvent} event */
    function keepTabFromList(event) {
      const { key, target } = event;
      const list =
        target instanceof Element &&
        target.closest("[id^=merge_desk_] input:is([role=combobox], [role=listbox])");
      if (key === "Tab" && list) event.stopPropagation();
    }
    /** Ctrl+Enter generates, as on the WebUI's own tabs. The WebUI is not to hear of it: on a tab without its own
     * Generate it finds none. @param {KeyboardEvent} event */
    function generateByKey(event) {
      const { key, target } = event;
      const ours = target instanceof HTMLElement && target.closest("#merge_desk_tab_mix");
      if (key !== "Enter" || !(event.ctrlKey || event.metaKey) || !ours) return;
      event.preventDefault();
      event.stopPropagation();
      if (target instanceof HTMLInputElement) target.blur(); // Gradio takes a number over when it is left
      setTimeout(() => mix.send("apply"), FIELD_SETTLED);
    }
    document.addEventListener("keydown", keepTabFromList, true);
    document.addEventListener("keydown", generateByKey, true);
    for (const name of ["change", "focusout"]) document.addEventListener(name, refreshAfterField);
    document.addEventListener("mousedown", ({ target }) => unloadAfterClick(target), true);
    document.addEventListener("keydown", unloadAfterEnter, true);
    document.addEventListener("click", refreshAfterHost);
    window.addEventListener("focus", refreshOnFocus);
    document.addEventListener("visibilitychange", refreshOnFocus);
  }

  const mixEvents = { listen };
  if (typeof module !== "undefined") module.exports = mixEvents;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, mixEvents };
}
