/* Merge Desk, the room History: what was merged, and what is pasted or dropped on the desk. What is shown comes
 * from lib_merge/desk/history_view.py as JSON. */
(() => {
  "use strict";

  const RECIPE = /merge-desk recipe|Merge recipe:/;
  const HERE = { entries: null, query: "", starred: false, setup: null, problem: null, done: "", sheet: [], busy: 0, open: 0, name: "",
    format: "safetensors", typed: "" };
  const { $, make, button, mount, part, problemBox, progress, ended } = window.mergeDesk.tools;
  const faders = window.mergeDesk.faders;

  // --- asking ---

  function ask(action, facts = {}) {
    HERE.task = facts.task ?? "";
    HERE.busy = window.mergeDesk.ask("remember", { action, query: HERE.query, starred: HERE.starred, ...facts });
    show();
  }
  const list = () => ask("list");
  const paste = (text) => { HERE.typed = text; ask("paste", { text }); };
  function drop(file) {
    const reader = new FileReader();
    reader.onload = () => {
      const whole = String(reader.result);
      if (file.type.startsWith("image/")) ask("paste", { picture: whole, file: file.name });
      else paste(whole);
    };
    if (file.type.startsWith("image/")) reader.readAsDataURL(file);
    else reader.readAsText(file.slice(0, 1 << 20));
  }

  const hear = {
    remembered(told) {
      if (!told.action || told.seq !== HERE.busy) return;
      HERE.busy = 0;
      ended(HERE.task);
      HERE.problem = told.problem;
      if (told.entries) HERE.entries = told.entries;
      if (told.action !== "list" && told.action !== "star" && told.action !== "name" && told.action !== "drop") {
        HERE.done = told.done;
        HERE.sheet = told.sheet;
      }
      if (told.setup) take(told.setup);
      if (told.action === "apply") faders.engagedHere();
      show(); // and nothing of what is being typed into is made anew
    },
  };

  /** The lists are being set by Gradio; the faders follow when the desk shows what the lists say. */
  function take(setup) {
    HERE.setup = setup;
    const lists = setup.lists;
    if (!lists.method) { window.mergeDesk.open("history"); return; }
    faders.setUp(setup, { done: () => { HERE.done = "The desk is set up."; show(); } });
    window.mergeDesk.open("mix");
  }

  // --- what is shown ---

  function draw() {
    const root = mount("history");
    if (!root) return;
    root.replaceChildren(
      make("section", { class: "md-history-paste", "data-part": "history-drop" },
        make("textarea", { class: "md-text", rows: 3, "data-part": "history-text", "aria-label": "Recipe, infotext or file name",
          placeholder: "Paste a recipe, an infotext or the name of a saved file here, or drop a picture anywhere on the desk.",
          oninput: (e) => { HERE.typed = e.target.value; } }, HERE.typed),
        make("div", { class: "md-together" },
          button("Set up", "Set the desk up as this says", () => paste(HERE.typed), { "data-act": "history-read" }),
          make("label", { class: "md-button" }, "Picture or file …", make("input", { type: "file", hidden: true, "data-part": "history-file",
            onchange: (e) => { if (e.target.files[0]) drop(e.target.files[0]); } })))),
      make("section", { "data-part": "history-told" }),
      make("div", { class: "md-together" },
        make("input", { type: "search", "data-part": "history-query", "aria-label": "Search the history", placeholder: "search names, files, recipes, prompts",
          value: HERE.query, onchange: (e) => { HERE.query = e.target.value; list(); } }),
        make("label", {}, make("input", { type: "checkbox", "data-part": "history-starred", checked: HERE.starred,
          onchange: (e) => { HERE.starred = e.target.checked; list(); } }), " starred only")),
      make("div", { class: "md-history-list", "data-part": "history-list" }));
    show();
    if (HERE.entries === null) list();
  }
  function show() {
    const told = part("history-told");
    if (told) told.replaceChildren(...tell());
    const place = part("history-list");
    if (!place) return;
    const entries = HERE.entries ?? [];
    place.classList.toggle("md-busy", HERE.busy > 0);
    place.replaceChildren(...(entries.length ? entries.map(card)
      : [make("p", { class: "md-hint" }, HERE.entries === null ? "Reading …" : HERE.query || HERE.starred ? "Nothing fits this search."
        : "Every merge that you apply or save will be here.")]));
  }
  function tell() {
    if (HERE.problem) return [problemBox(HERE.problem)];
    const out = [];
    if (HERE.done) out.push(make("p", { class: "md-hint", role: "status", "data-part": "history-done" }, HERE.done));
    if (HERE.sheet?.length) out.push(make("dl", { class: "md-sheet" }, HERE.sheet.map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])));
    const setup = HERE.setup;
    if (!setup) return out;
    for (const note of setup.notes) out.push(make("p", { class: "md-hint" }, note));
    if (setup.why) out.push(make("p", { class: "md-hint" }, `This recipe has no faders: ${setup.why}. It can be swapped in and saved as it is.`));
    out.push(make("pre", { class: "md-recipe", "data-part": "history-recipe" }, setup.recipe));
    const tools = [button("Copy", "Copy the recipe", () => navigator.clipboard?.writeText(setup.recipe))];
    if (setup.why) {
      tools.unshift(button("Swap it in", "Swap this recipe into the model in memory", () => ask("apply", { text: setup.recipe, task: progress() }), { "data-act": "history-apply" }));
      tools.push(make("input", { class: "md-called", "aria-label": "Name to save under", placeholder: "my-mix", value: HERE.name, "data-part": "history-name", oninput: (e) => { HERE.name = e.target.value; } }),
        make("select", { "aria-label": "File", onchange: (e) => { HERE.format = e.target.value; } },
          ["safetensors", "ckpt", "diffusers"].map((each) => make("option", { value: each, selected: each === HERE.format }, each))),
        button("Save", "Save this merge", () => ask("save", { text: setup.recipe, name: HERE.name, format: HERE.format, task: progress() }), { "data-act": "history-save" }));
    }
    out.push(make("div", { class: "md-together" }, tools));
    return out;
  }
  function card(entry) {
    const opened = HERE.open === entry.id;
    return make("article", { class: `md-entry ${entry.star ? "md-starred" : ""}`, "data-entry": entry.id },
      make("div", { class: "md-thumb" }, entry.picture ? make("img", { src: entry.picture, alt: "what it drew" }) : make("span", {}, entry.kind === "saved" ? "saved" : "no picture")),
      make("div", { class: "md-entry-body" },
        make("input", { class: "md-called", value: entry.name, placeholder: entry.title, title: entry.title, "aria-label": "Name of this merge",
          onchange: (e) => ask("name", { id: entry.id, name: e.target.value }) }),
        make("p", { class: "md-hint" }, `${entry.at} · ${entry.kind}${entry.file ? ` as ${entry.file}` : ""}`),
        make("div", { class: "md-together md-entry-tools" },
          button("Restore", "Set the desk up as it was", () => ask("restore", { id: entry.id }), { "data-act": "history-restore" }),
          button(entry.star ? "★" : "☆", entry.star ? "Take the star away" : "Keep: star it", () => ask("star", { id: entry.id, star: !entry.star }), { "data-act": "history-star", "aria-pressed": String(entry.star) }),
          button("Recipe", "Show the recipe", () => { HERE.open = opened ? 0 : entry.id; show(); }),
          button("✕", "Forget this merge", () => ask("drop", { id: entry.id }), { "data-act": "history-drop-entry" })),
        opened ? make("pre", { class: "md-recipe" }, entry.recipe) : null));
  }

  // --- pasted and dropped anywhere on the desk ---

  const shown = () => [mount("board"), mount("history")].some((each) => each?.offsetParent);
  document.addEventListener("paste", (e) => {
    if (!shown() || e.target.matches?.("input, textarea")) return;
    const file = [...(e.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
    const text = e.clipboardData?.getData("text") ?? "";
    if (file) drop(file);
    else if (RECIPE.test(text)) paste(text);
    else return;
    e.preventDefault();
  });
  const ours = (e) => shown() && e.target.closest?.('#merge_desk_page, #merge_desk_room_history, .merge-desk, [id^="merge_desk"]');
  document.addEventListener("dragover", (e) => { if (ours(e) && e.dataTransfer?.types.includes("Files")) e.preventDefault(); }, true);
  document.addEventListener("drop", (e) => {
    const file = e.dataTransfer?.files[0];
    if (!file || !ours(e)) return;
    e.preventDefault();
    e.stopPropagation();
    drop(file);
  }, true);

  /** The list is read anew whenever the room is opened: merges are made in other rooms. */
  function enter(root) {
    draw();
    new IntersectionObserver((seen) => { if (seen.some((each) => each.isIntersecting) && HERE.entries !== null) list(); }).observe(root);
  }
  window.mergeDesk.room("history", { draw: enter, hear });
})();
