"use strict";
/* A list below a field of text: grouped, searched while typing, picked from by mouse or keys. What matches is pure. */
{
  /** @typedef {{ id: string, help?: string, small?: boolean }} MenuItem  small: beside the others of its group */
  /** @typedef {{ title: string, items: MenuItem[] }} MenuGroup */

  /** The items in which each of the words is found, in the name or the help; those whose name begins with all of
   * them first in their group. Groups without any are left out.
   * @param {MenuGroup[]} groups @param {string} query @returns {MenuGroup[]} */
  function filterMenu(groups, query) {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    /** @param {MenuItem} item */
    const matches = ({ id, help = "" }) => {
      const text = `${id} ${help}`.toLowerCase();
      return words.every((word) => text.includes(word));
    };
    const begins = (/** @type {MenuItem} */ { id }) => (id.toLowerCase().startsWith(words.join(" ")) ? 0 : 1);
    return groups
      .map(({ title, items }) => ({
        title,
        items: items.filter(matches).sort((one, other) => begins(one) - begins(other)),
      }))
      .filter(({ items }) => items.length);
  }

  /** @param {{ field: HTMLInputElement, name: string, groups: () => MenuGroup[], pick: (id: string) => void }} how */
  function attach({ field, name, groups, pick }) {
    const { make } = globalThis.mergeDesk.dom;
    const list = make("div", {
      ...{ class: "md-menu", role: "listbox", id: `merge_desk_menu_${name}`, hidden: true },
      "aria-label": "What can be chosen",
    });
    let at = -1;
    /** @type {HTMLElement[]} */
    let items = [];

    /** @param {MenuItem} item @param {number} n */
    function option({ id, help, small }, n) {
      const choose = (/** @type {Event} */ event) => {
        event.preventDefault(); // the field keeps the focus
        take(id);
      };
      return make(
        "div",
        {
          ...{ role: "option", id: `${list.id}_${n}`, "data-choice": id, "aria-selected": "false" },
          ...{ class: small ? "md-menu-small" : "md-menu-item", title: help, onmousedown: choose },
        },
        make("b", { translate: "no" }, id),
        help && !small ? make("span", {}, help) : null,
      );
    }
    /** @param {string} query */
    function show(query) {
      const found = filterMenu(groups(), query);
      let n = 0;
      list.replaceChildren(
        ...found.map(({ title, items }) =>
          make(
            "div",
            { role: "group", "aria-label": title },
            make("h4", { "aria-hidden": "true" }, title),
            make(
              "div",
              { class: "md-menu-items" },
              items.map((item) => option(item, n++)),
            ),
          ),
        ),
      );
      items = [...list.querySelectorAll(/** @type {"div"} */ ("[role=option]"))];
      at = -1;
      list.hidden = !items.length;
      field.setAttribute("aria-expanded", String(!list.hidden));
    }
    function hide() {
      list.hidden = true;
      field.setAttribute("aria-expanded", "false");
      field.removeAttribute("aria-activedescendant");
    }
    /** @param {string} id */
    function take(id) {
      field.value = id;
      hide();
      pick(id);
    }
    /** @param {number} next */
    function move(next) {
      if (list.hidden) show("");
      items[at]?.setAttribute("aria-selected", "false");
      at = Math.min(items.length - 1, Math.max(0, next));
      items[at]?.setAttribute("aria-selected", "true");
      items[at]?.scrollIntoView({ block: "nearest" });
      if (items[at]) field.setAttribute("aria-activedescendant", items[at].id);
    }
    /** @param {KeyboardEvent} event */
    function key(event) {
      if (event.key === "ArrowDown") move(at + 1);
      else if (event.key === "ArrowUp") move(at - 1);
      else if (event.key === "Enter" && at >= 0 && !list.hidden) take(items[at].dataset.choice ?? "");
      else if (event.key === "Escape" && !list.hidden) hide();
      else return;
      event.preventDefault();
      event.stopPropagation();
    }
    const attributes = { role: "combobox", "aria-controls": list.id, "aria-expanded": "false" };
    for (const [attribute, value] of Object.entries({ ...attributes, "aria-autocomplete": "list" }))
      field.setAttribute(attribute, value);
    field.addEventListener("focus", () => show(""));
    field.addEventListener("click", () => list.hidden && show(""));
    field.addEventListener("input", () => show(field.value));
    field.addEventListener("blur", hide);
    field.addEventListener("keydown", key);
    return list;
  }

  const menu = { filterMenu, attach };
  if (typeof module !== "undefined") module.exports = menu;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, menu };
}
