"use strict";
/* Beside the list of methods: a button that opens them as cards, grouped and searched. A dialog of the browser's own,
 * so that it lies over everything of the WebUI's page, keeps the focus and is closed by Escape. */
{
  /** @param {DeskPage} page @returns {DeskTab} */
  function create({ wire }) {
    const { find, make, button } = globalThis.mergeDesk.dom;
    const cards = globalThis.mergeDesk.methodCards.create({ name: "method-menu", usable: true, pick });
    const opened = () => /** @type {HTMLDialogElement | null} */ (find("dialog.merge-desk-method-menu"));

    /** @param {string} name */
    function pick(name) {
      wire.ask("methods.choose", { name }, { again: () => pick(name) });
      opened()?.close();
    }
    async function ask() {
      const response = await wire.ask("methods.open", {}, { again: ask });
      if (response?.data) cards.set(response.data);
    }
    /** Enter in the search takes the first card; arrows go from card to card. @param {KeyboardEvent} event */
    function key(event) {
      const dialog = opened();
      const able = [...(dialog?.querySelectorAll(/** @type {"button"} */ ("[data-method]:enabled")) ?? [])];
      const at = able.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && at + step < 0) /** @type {HTMLElement | null} */ (dialog?.querySelector("input"))?.focus();
      else if (step) able[Math.min(able.length - 1, at + step)]?.focus();
      else if (event.key === "Enter" && at < 0) able[0]?.click();
      else if (event.key === "Escape")
        dialog?.close(); // in a search field it would only empty it
      else return;
      event.preventDefault();
    }
    function open() {
      if (opened()) return;
      const attributes = {
        class: "merge-desk merge-desk-method-menu",
        "aria-label": "Methods",
        onkeydown: key,
        onclose: () => opened()?.remove(),
      };
      const close = button("Close", "Leave the method as it is", () => opened()?.close());
      const inside = make("div", { class: "merge-desk-methods" }, ...cards.draw());
      const dialog = make("dialog", attributes, inside, close);
      document.body.append(dialog);
      cards.show();
      dialog.showModal();
      dialog.querySelector("input")?.focus();
      ask();
    }
    /** @param {HTMLElement} place */
    function draw(place) {
      const title = "Methods: what each needs and does, with a search";
      place.replaceChildren(
        button("☰", title, open, {
          "data-act": "method-menu",
          "aria-label": title,
          "aria-haspopup": "dialog",
        }),
      );
    }
    return { draw };
  }

  const methodMenu = { create };
  if (typeof module !== "undefined") module.exports = methodMenu;
  else
    globalThis.mergeDesk = {
      ...globalThis.mergeDesk,
      views: { ...globalThis.mergeDesk?.views, method_menu: methodMenu },
    };
}
