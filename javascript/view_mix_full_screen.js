"use strict";
/* The tab Mix: the stage on the whole screen, a dialog of the browser's own, so that it lies over everything of the
 * WebUI's page, keeps the focus and is closed by Escape. The stage itself is moved into it and back. */
{
  /** @param {{ walk: (step: number) => void, closed: () => void }} given
   *   walk: to the picture some places later in the list */
  function create({ walk, closed }) {
    const { find, part, make, mount } = globalThis.mergeDesk.dom;
    const opened = () => /** @type {HTMLDialogElement | null} */ (find("dialog.merge-desk-full-screen"));

    /** @param {KeyboardEvent} event */
    function key(event) {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      walk(step);
    }
    function close() {
      const stage = part("stage");
      if (stage) mount("stage")?.replaceChildren(stage);
      opened()?.remove();
      closed();
    }
    function open() {
      const stage = part("stage");
      if (!stage || opened()) return;
      const place = make("div", { class: "merge-desk-stage" }, stage);
      const attributes = {
        class: "merge-desk merge-desk-full-screen",
        "aria-label": "Pictures",
        tabindex: -1,
      };
      const dialog = make("dialog", { ...attributes, onkeydown: key, onclose: close }, place);
      document.body.append(dialog);
      dialog.showModal();
      dialog.focus();
    }
    function toggle() {
      const dialog = opened();
      if (dialog) dialog.close();
      else open();
    }
    return { open, toggle };
  }

  const fullScreen = { create };
  if (typeof module !== "undefined") module.exports = fullScreen;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, fullScreen };
}
