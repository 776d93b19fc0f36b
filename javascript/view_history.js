"use strict";
/* The tab History: what was merged, and what is pasted or dropped on the desk. What is shown comes from
 * lib_merge/desk/tabs/history/handlers.py. */
{
  const RECIPE = /merge-desk recipe|Merge recipe:/;
  const PAGE = 60; // entries that are shown, and that "Show more" adds
  const DELAY = 250; // ms after the last key of a search
  const MOST_TEXT = 1 << 20; // bytes of a file that are read as text
  const FORMATS = ["safetensors", "ckpt", "diffusers"];
  // what leaves the last word about a paste as it is
  const CHANGES = ["history.list", "history.star", "history.rename", "history.delete", "history.undelete"];
  const OURS = '#merge_desk_mix_columns, #merge_desk_tab_history, .merge-desk, [id^="merge_desk"]';

  /** @param {DeskPage} page @returns {DeskTab} */
  function create(page) {
    const { wire, mix, open } = page;
    const { mount, part, visible, make, button, problemBox } = globalThis.mergeDesk.dom;
    const { translate } = globalThis.mergeDesk.language;
    const { startProgress, endProgress, whenShown, whenReleased } = globalThis.mergeDesk.dom;
    /** @type {Desk.HistoryEntry[] | null} */
    let entries = null;
    let lastChange = Promise.resolve(); // of those that end with the list
    let matching = 0; // entries that match the query, shown or not
    let limit = PAGE;
    /** @type {Desk.HistoryEntry | null} */
    let deleted = null; // the last one
    let searchTimer = 0;
    let query = "";
    let starred = false;
    /** @type {Desk.PageSetup | null} */
    let setup = null;
    /** @type {Desk.Problem | null} */
    let problem = null;
    let done = "";
    let asking = 0;
    let opened = 0; // the entry whose recipe is shown
    let name = "";
    let format = FORMATS[0];
    let typed = "";

    // --- asking ---

    /** @typedef {"history.list" | "history.star" | "history.rename" | "history.delete" | "history.undelete"} HistoryList */
    /** @typedef {HistoryList | "history.apply"} HistoryChange */
    /** @typedef {"history.load" | "history.paste"} HistorySetup */

    /** @template {HistoryChange | HistorySetup} Name
     * @param {Name} name @param {Partial<Desk.Requests[Name]>} data
     * @param {{ task?: string, setsLists?: boolean, again: () => void }} how
     * @returns {Promise<DeskResponse<Name> | null>} */
    async function ask(name, data, how) {
      asking++;
      show();
      const response = await wire.ask(name, data, how);
      asking--;
      endProgress(how.task ?? "");
      if (response) problem = response.problem;
      return response;
    }
    /** Asks for something that ends with the list.
     * @template {HistoryChange} Name
     * @param {Name} name @param {Partial<Desk.Requests[Name]>} data @param {string} [task] */
    function change(name, data, task = "") {
      const act = () => changeNow(name, data, task);
      if (!CHANGES.includes(name)) return act();
      return (lastChange = lastChange.then(act, act)); // the list of an earlier change never comes after that of a later one
    }
    /** @template {HistoryChange} Name
     * @param {Name} name @param {Partial<Desk.Requests[Name]>} data @param {string} task */
    async function changeNow(name, data, task) {
      const again = () => void change(name, data, task);
      const response = await ask(name, /** @type {typeof data} */ ({ query, starred, limit, ...data }), {
        task,
        again,
      });
      const result = /** @type {Desk.HistoryResult | null | undefined} */ (response?.data);
      if (result) ({ entries, matching } = result);
      if (response && !CHANGES.includes(name)) {
        done = result?.done ?? "";
      }
      if (name === "history.apply" && response) mix.mergeChangedHere();
      show(); // and nothing of what is being typed into is made again
    }
    /** Asks for something that sets the desk up.
     * @template {HistorySetup} Name
     * @param {Name} name @param {Partial<Desk.Requests[Name]>} data */
    async function take(name, data) {
      const response = await ask(name, data, { setsLists: true, again: () => void take(name, data) });
      if (response) done = "";
      const found = /** @type {Desk.PageSetup | null | undefined} */ (response?.data);
      if (found) {
        setup = found;
        const finished = () => {
          done = "The lists and sliders are set.";
          show();
        };
        if (found.lists.method) mix.applySetup(found, { revision: response?.revision ?? 0, done: finished });
        open(found.lists.method ? "mix" : "history");
      }
      show();
    }
    const list = () => change("history.list", {});
    /** @param {string} text */
    function paste(text) {
      typed = text;
      take("history.paste", { text });
    }
    /** @param {File} file */
    function drop(file) {
      const reader = new FileReader();
      const isPicture = file.type.startsWith("image/");
      reader.onload = () => {
        const whole = String(reader.result);
        if (isPicture) take("history.paste", { picture: whole, file: file.name });
        else paste(whole);
      };
      if (isPicture) reader.readAsDataURL(file);
      else reader.readAsText(file.slice(0, MOST_TEXT));
    }

    // --- what is shown ---

    function pasteBox() {
      const area = make(
        "textarea",
        {
          ...{
            class: "md-textarea",
            rows: 3,
            "data-part": "history-text",
            "aria-label": "Recipe, infotext or file name",
          },
          placeholder:
            "Paste a recipe, an infotext or the name of a saved file here, or drop a picture anywhere on the page.",
          oninput: (e) => void (typed = e.target.value),
        },
        typed,
      );
      const file = make("input", {
        ...{ type: "file", hidden: true, "data-part": "history-file" },
        onchange: (e) => e.target.files[0] && drop(e.target.files[0]),
      });
      const read = () => paste(typed);
      return make(
        "section",
        { class: "md-history-paste", "data-part": "history-drop" },
        area,
        make(
          "div",
          { class: "md-tools" },
          button("Load", "Read this and set the lists and sliders", read, {
            "data-act": "history-load-pasted",
          }),
          make("label", { class: "md-button" }, "Choose a picture or file …", file),
        ),
      );
    }
    function searchBox() {
      const field = make("input", {
        ...{ type: "search", "data-part": "history-query", "aria-label": "Search the history", value: query },
        placeholder: "search names, files, recipes, prompts",
        oninput: (e) => {
          clearTimeout(searchTimer);
          searchTimer = window.setTimeout(() => search(e.target.value), DELAY);
        },
      });
      const only = make("input", {
        ...{ type: "checkbox", "data-part": "history-starred", checked: starred },
        onchange: (e) => {
          [starred, limit] = [e.target.checked, PAGE];
          list();
        },
      });
      return make(
        "div",
        { class: "md-tools" },
        field,
        make("label", { class: "md-starred-only" }, only, "starred only"),
        make("span", { class: "md-hint", role: "status", "data-part": "history-count" }),
      );
    }
    /** @param {string} words */
    function search(words) {
      [query, limit] = [words, PAGE];
      list();
    }
    function showCount() {
      const place = part("history-count");
      if (!place || !entries) return;
      const all = matching === 1 ? "1 merge" : `${matching} merges`;
      const found = query || starred ? `${matching} found` : all;
      place.textContent = entries.length < matching ? `${translate(found)}, ${entries.length} shown` : found;
    }
    function moreButton() {
      const more = () => {
        limit += PAGE;
        list();
      };
      return button("Show more", `Show ${PAGE} more merges`, more, { "data-act": "history-more" });
    }
    /** What was deleted last, and the way back. @param {Desk.HistoryEntry} entry */
    function undoBox({ id, name, title }) {
      const undo = () => {
        deleted = null;
        change("history.undelete", { id });
      };
      return make(
        "p",
        { class: "md-undo", role: "status" },
        `Deleted: ${name || title}`,
        button("Undo", "Bring this entry back", undo, { "data-act": "history-undelete" }),
      );
    }
    const show = () => whenReleased(drawAll);
    function drawAll() {
      part("history-message")?.replaceChildren(...tell());
      const place = part("history-list");
      if (!place) return;
      place.classList.toggle("md-busy", asking > 0);
      const none = make("p", { class: "md-hint" }, nothing());
      place.replaceChildren(...(entries?.length ? entries.map(card) : [none]));
      part("history-deleted")?.replaceChildren(...(deleted ? [undoBox(deleted)] : []));
      part("history-more")?.replaceChildren(...(entries && entries.length < matching ? [moreButton()] : []));
      showCount();
    }
    function nothing() {
      if (entries === null) return "Reading …";
      return query || starred
        ? "No merge matches this search."
        : "Every merge that you generate with or save is listed here.";
    }
    function tell() {
      if (problem) return [problemBox(problem)];
      const hint = (/** @type {string} */ text) => make("p", { class: "md-hint" }, text);
      /** @type {HTMLElement[]} */
      const out = [];
      const attributes = { class: "md-hint", role: "status", "data-part": "history-done" };
      if (done) out.push(make("p", attributes, done));
      if (!setup) return out;
      out.push(...setup.notes.map(hint));
      if (setup.why)
        out.push(
          hint(
            `The sliders cannot show this recipe: ${setup.why}. You can apply it or save its merge as it is.`,
          ),
        );
      out.push(
        make("pre", { class: "md-recipe", "data-part": "history-recipe" }, setup.recipe),
        make("div", { class: "md-tools" }, recipeTools(setup)),
      );
      return out;
    }
    /** @param {Desk.PageSetup} setup */
    function recipeTools({ recipe, why }) {
      const copy = button("Copy", "Copy the recipe", () => navigator.clipboard?.writeText(recipe));
      if (!why) return [copy];
      const apply = () => change("history.apply", { text: recipe }, startProgress());
      const save = () => page.queue.save({ text: recipe, name, format });
      return [
        button("Apply recipe", "Merge by this recipe into the model in memory", apply, {
          "data-act": "history-apply",
        }),
        copy,
        make("input", {
          ...{ class: "md-name-field", "aria-label": "File name", placeholder: "my-mix", value: name },
          "data-part": "history-name",
          oninput: (e) => void (name = e.target.value),
        }),
        make(
          "select",
          { "aria-label": "File format", onchange: (e) => void (format = e.target.value) },
          FORMATS.map((each) => make("option", { value: each, selected: each === format }, each)),
        ),
        button("Save", "Save this merge to a file", save, { "data-act": "history-save" }),
      ];
    }
    /** @param {Desk.HistoryEntry} entry */
    function card(entry) {
      const { id, star, title, kind, at, file, picture } = entry;
      const isOpen = opened === id;
      const noPicture = make("span", {}, kind === "saved" ? "saved" : "no picture");
      return make(
        "article",
        { class: `md-entry ${star ? "md-starred" : ""}`, "data-entry": id },
        make(
          "div",
          { class: "md-thumb" },
          picture ? make("img", { src: picture, alt: "picture of this merge" }) : noPicture,
        ),
        make(
          "div",
          { class: "md-entry-body" },
          make("input", {
            ...{
              class: "md-name-field",
              value: entry.name,
              placeholder: title,
              title,
              "aria-label": "Name of this merge",
            },
            onchange: (e) => change("history.rename", { id, name: e.target.value }),
          }),
          make(
            "p",
            { class: "md-hint" },
            translate(`${at} · ${translate(kind)}${file ? ` as ${file}` : ""}`),
          ),
          make("div", { class: "md-tools md-entry-tools" }, entryTools(entry, isOpen)),
          isOpen ? make("pre", { class: "md-recipe" }, entry.recipe) : null,
        ),
      );
    }
    /** @param {Desk.HistoryEntry} entry @param {boolean} isOpen */
    function entryTools(entry, isOpen) {
      const { id, star } = entry;
      const forget = () => {
        deleted = entry;
        change("history.delete", { id });
      };
      const flip = () => change("history.star", { id, star: !star });
      const showRecipe = () => {
        opened = isOpen ? 0 : id;
        show();
      };
      return [
        button("Load", "Set the lists and sliders to this merge", () => take("history.load", { id }), {
          "data-act": "history-load",
        }),
        button(star ? "★" : "☆", star ? "Remove the star" : "Add a star", flip, {
          "data-act": "history-star",
          "aria-pressed": String(star),
        }),
        button("Recipe", isOpen ? "Hide the recipe" : "Show the recipe", showRecipe, {
          "aria-expanded": String(isOpen),
        }),
        button("✕", "Delete from the history", forget, {
          "data-act": "history-drop-entry",
        }),
      ];
    }

    // --- pasted and dropped anywhere on the desk ---

    const inSight = () => visible(mount("faders")) || visible(mount("history"));
    /** @param {Event} e @returns {HTMLElement} */
    const target = (e) => /** @type {HTMLElement} */ (e.target);
    document.addEventListener("paste", (e) => {
      if (!inSight() || target(e).matches?.("input, textarea")) return;
      const file = [...(e.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
      const text = e.clipboardData?.getData("text") ?? "";
      if (file) drop(file);
      else if (RECIPE.test(text)) paste(text);
      else return;
      e.preventDefault();
    });
    const ours = (/** @type {Event} */ e) => inSight() && target(e).closest?.(OURS);
    const dragged = (/** @type {DragEvent} */ e) => {
      if (ours(e) && e.dataTransfer?.types.includes("Files")) e.preventDefault();
    };
    const dropped = (/** @type {DragEvent} */ e) => {
      const file = e.dataTransfer?.files[0];
      if (!file || !ours(e)) return;
      e.preventDefault();
      e.stopPropagation();
      drop(file);
    };
    document.addEventListener("dragover", dragged, true);
    document.addEventListener("drop", dropped, true);

    /** @param {HTMLElement} root */
    function draw(root) {
      root.replaceChildren(
        make("h3", { class: "md-unseen" }, "Recipe, infotext or picture"),
        pasteBox(),
        make("section", { "data-part": "history-message" }),
        make("div", { class: "md-queue", "data-part": "history-queue" }),
        make("div", { "data-part": "history-saving" }),
        make("div", { "data-part": "history-saved" }),
        make("h3", {}, "Earlier merges"),
        searchBox(),
        make("div", { "data-part": "history-deleted" }),
        make("div", { class: "md-history-list", "data-part": "history-list" }),
        make("div", { class: "md-tools", "data-part": "history-more" }),
      );
      show();
      page.queue.showAll();
      whenShown(root, list); // merges are made in other tabs
    }
    page.queue.onSaved(() => visible(mount("history")) && list());
    return { draw };
  }

  const history = { create };
  if (typeof module !== "undefined") module.exports = history;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, views: { ...globalThis.mergeDesk?.views, history } };
}
