"use strict";
/* The tab Mix: how many pictures are drawn of a merge, and the contact sheet below the stage. The first picture comes
 * with the merge; the others are asked for one at a time, until a slider moves. What a sheet is is in
 * picture_sheet.js. */
{
  const COUNT =
    "How many pictures are generated of each merge: the first at once, then the others one by one";
  const PROMPTS = "One prompt a line; the first picture has the prompt above";

  /** @typedef {InstanceType<MergeDesk["pictureSheet"]["PictureSheet"]>["tiles"][number]} Tile */

  /** @param {DeskPage} page @param {() => void} changed  the stage shows another picture */
  function create(page, changed) {
    const { state, wire, mix } = page;
    const { engaged } = globalThis.mergeDesk;
    const { PictureSheet, settingsOf, lines, MOST } = globalThis.mergeDesk.pictureSheet;
    const { field, find, findAll, mount, part, make, button } = globalThis.mergeDesk.dom;
    const sheet = new PictureSheet();
    /** The tile that the stage shows: 0 is the picture of now. */
    let chosen = 0;
    let drawnSettings = "";
    let drawn = 0; // counts what has changed in the tiles
    let shown = "";

    // --- drawing one after the other ---

    /** Whether the picture of now is of the merge in memory, and of the sliders and settings as they are. */
    const isCurrent = () =>
      !!state.picture?.src &&
      state.applied &&
      !!state.engaged &&
      state.requested() === state.sent &&
      state.drawing.now === state.drawing.drawn;
    const isOfNow = () => !!state.picture?.src && sheet.tiles[0]?.picture?.src === state.picture.src;

    /** A merge has its first picture. @param {boolean} [goesOn] whether only the settings of the sheet are others */
    function begin(goesOn = false) {
      drawn++;
      if (!goesOn) chosen = 0;
      if (state.sheet.count === 1 || !state.picture || !isCurrent()) sheet.clear();
      else
        sheet.begin(
          state.picture,
          state.sheet,
          { engaged: state.engaged ?? "", drawing: state.drawing.drawn },
          goesOn && isOfNow(),
        );
      if (chosen >= sheet.tiles.length) chosen = 0;
    }
    /** Has the next tile drawn, if there is one. */
    async function next() {
      const wanted = !state.busy && isCurrent() && isOfNow() ? sheet.next() : null;
      show();
      if (!wanted) return;
      const { tile, ofA } = wanted;
      const { tiles } = sheet;
      const busy = engaged.begin(state, "further", "");
      mix.showPictures();
      const { seed, prompt } = tile;
      const response = await wire.ask("mix.further_picture", { ...sheet.meant, seed, prompt, of_a: ofA });
      if (response?.data) take(tile, ofA, response.data);
      else if (sheet.tiles === tiles) sheet.end(); // else another one has begun meanwhile
      if (state.busy !== busy) return changed();
      const { queued } = state;
      Object.assign(state, { busy: null, queued: "" });
      if (response?.problem && !response.problem.calm) mix.showResponse(response);
      mix.show();
      changed();
      if (queued) mix.send(queued);
      else next();
    }
    /** @param {Tile} tile @param {boolean} ofA @param {Desk.FurtherResult} result */
    function take(tile, ofA, { picture: src, infotext }) {
      drawn++;
      tile[ofA ? "ofA" : "picture"] = { src, infotext };
    }
    /** The rest is not drawn, and what is being drawn of it is stopped. */
    function cancel() {
      sheet.end();
      if (state.busy?.act === "further") wire.ask("mix.stop");
    }
    /** The rest is dropped where the page says something else by now. */
    function follow() {
      if (sheet.next() && !(isCurrent() && isOfNow())) cancel();
      show();
    }
    /** The rest of a sheet that was stopped, or all of it for a picture that was there before. */
    function goOn() {
      begin(true);
      next();
    }

    // --- what the stage asks ---

    /** The tile that the stage shows in place of the picture of now. */
    const tileShown = () => (chosen && isOfNow() ? (sheet.tiles[chosen] ?? null) : null);
    /** A's picture for that tile. @returns {boolean} whether there is such a tile */
    function wantA() {
      const tile = tileShown();
      if (!tile) return false;
      if (tile.ofA || !isCurrent()) return true;
      tile.wantsA = true;
      next();
      return true;
    }
    /** @param {number} at */
    function choose(at) {
      if (at === chosen) return;
      chosen = at;
      show();
      changed();
    }

    // --- the settings ---

    /** @param {Partial<SheetSettings>} settings */
    function set(settings) {
      const before = JSON.stringify(state.sheet);
      Object.assign(state.sheet, settings);
      if (JSON.stringify(state.sheet) === before) return;
      cancel();
      begin(true);
      if (!state.live) sheet.end();
      mix.show();
      changed();
      next();
    }
    /** @param {string} label @param {string} title @param {[value: string, words: string][]} choices
     * @param {string} value @param {(value: string) => void} act @param {string} name */
    function select(label, title, choices, value, act, name) {
      const attributes = { title, "data-act": name, onchange: (/** @type {any} */ e) => act(e.target.value) };
      const options = choices.map(([of, words]) =>
        make("option", { value: of, selected: of === value }, words),
      );
      return make("label", {}, label, make("select", attributes, options));
    }
    function drawSettings() {
      drawnSettings = JSON.stringify(state.sheet);
      const { count, by, prompts } = state.sheet;
      const focus = document.activeElement?.getAttribute("data-act");
      /** @type {[string, string][]} */
      const counts = Array.from({ length: MOST }, (_, at) => [String(at + 1), String(at + 1)]);
      const number = (/** @type {string} */ value) => set({ count: Number(value) });
      const differ = (/** @type {string} */ value) => set({ by: value === "prompts" ? "prompts" : "seeds" });
      /** @type {[string, string][]} */
      const kinds = [
        ["seeds", "other seeds"],
        ["prompts", "other prompts"],
      ];
      mount("pictures")?.replaceChildren(
        make(
          "div",
          { class: "md-sheet-settings" },
          select("Pictures", COUNT, counts, String(count), number, "sheet-count"),
          count === 1
            ? null
            : select("with", "In what the further pictures differ", kinds, by, differ, "sheet-by"),
          count === 1 || by === "seeds"
            ? null
            : make(
                "label",
                { class: "md-sheet-prompts" },
                make("span", {}, PROMPTS),
                make(
                  "textarea",
                  {
                    ...{ class: "md-textarea", rows: Math.max(2, count - 1), "data-act": "sheet-prompts" },
                    onchange: (/** @type {any} */ e) => set({ prompts: e.target.value }),
                  },
                  prompts,
                ),
                lines(prompts).length > count - 1
                  ? make("span", { class: "md-hint" }, `The first ${count - 1} lines are used.`)
                  : null,
              ),
        ),
      );
      if (focus?.startsWith("sheet-")) field(`[data-act=${focus}]`)?.focus();
    }

    // --- the tiles ---

    /** @param {Tile} tile @param {number} at */
    function nameOf({ seed, prompt }, at) {
      if (state.sheet.by === "seeds") return `seed ${seed}`;
      return at ? (prompt ?? "") : "the prompt above";
    }
    /** @param {Tile} tile @param {number} at */
    function drawTile(tile, at) {
      const name = nameOf(tile, at);
      if (!tile.picture) {
        const words = make("span", { "data-part": "tile-waits" });
        return make("div", { class: "md-tile md-tile-empty", "data-tile": at }, words, make("b", {}, name));
      }
      return make(
        "button",
        {
          ...{ type: "button", class: "md-tile", "data-tile": at, title: `Look at this picture: ${name}` },
          ...{ "aria-pressed": String(at === chosen), onclick: () => choose(at) },
        },
        make("img", { src: tile.picture.src, alt: "", decoding: "async" }),
        make("b", {}, name),
      );
    }
    /** What an empty tile says. @param {boolean} first  whether it comes next */
    function waiting(first) {
      if (sheet.ended) return "not generated";
      const { busy } = state;
      return first && busy?.act === "further" ? busy.doing || "generating" : "waits";
    }
    function rest() {
      const some = sheet.tiles.length ? sheet.missing : state.sheet.count - 1;
      const able = sheet.ended && some > 0 && isCurrent() && !state.busy;
      const title = "Generate the pictures of this merge that are missing";
      return able ? [button("Draw the rest", title, goOn, { "data-act": "sheet-rest" })] : [];
    }
    /** The tiles belong to the picture of now: beside another one there are none. */
    function show() {
      state.sheet = settingsOf(state.sheet); // it may be what an earlier version has kept
      if (JSON.stringify(state.sheet) !== drawnSettings) drawSettings();
      const place = part("sheet");
      if (!place) return;
      const tiles = isOfNow() ? sheet.tiles : [];
      const more = state.sheet.count > 1 ? rest() : [];
      const signature = JSON.stringify([...[drawn, tiles.length, chosen, more.length, state.sheet.by]]);
      if (signature !== shown) {
        shown = signature;
        const focused = Number(
          /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.tile ?? -1,
        );
        place.replaceChildren(...tiles.map(drawTile), ...more);
        if (focused >= 0) find(`[data-tile="${focused}"]`)?.focus();
      }
      place.hidden = !place.firstChild;
      for (const [at, each] of findAll("[data-part=tile-waits]").entries()) each.textContent = waiting(!at);
    }
    function draw() {
      shown = "";
      mount("strip")?.prepend(
        make("section", {
          class: "md-sheet",
          "data-part": "sheet",
          "aria-label": "Contact sheet",
          hidden: true,
        }),
      );
      drawSettings();
      show();
    }
    return { draw, show, begin, next, cancel, end: () => sheet.end(), follow, tileShown, wantA, choose };
  }

  const sheet = { create };
  if (typeof module !== "undefined") module.exports = sheet;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, sheet };
}
