"use strict";
/* The tab Mix: the stage. A's picture, the previous one and the one of now lie on each other; tabs show one of them,
 * and two are compared in place. What a caption says of a picture is in picture_changes.js. */
{
  const BLINK = 700; // ms of each of two pictures
  const PROMPT = 90; // characters of a prompt in a caption
  const UNLOADED = "this merge is not in memory now";
  const STEP = 2; // percent that an arrow key moves the line of a wipe

  /** @typedef {"a" | "before" | "now"} View */
  /** @typedef {"" | "wipe" | "blink" | "side"} Mode */
  /** @typedef {View | "first" | "second"} Layer `first` and `second` are looked at out of the list of pictures */
  /** @typedef {Pick<DeskPicture, "src" | "infotext">} Shown */

  /** @type {[view: View, word: string, title: string][]} */
  const VIEWS = [
    ["a", "A", "A alone, generated once with the same prompt and seed"],
    ["before", "previous", "The picture before this one"],
    ["now", "now", "The picture of the sliders as they are"],
  ];
  /** @type {[mode: Exclude<Mode, "">, word: string, title: string][]} */
  const MODES = [
    ["wipe", "Wipe", "A line to drag over the picture: the other one at its left, now at its right"],
    ["blink", "Blink", "The other one and now in turn, in the same place"],
    ["side", "Side by side", "The other one and now beside each other"],
  ];
  /** @type {Layer[]} */
  const LAYERS = ["now", "before", "a", "first", "second"];
  const EMPTY = {
    now: "",
    before: "The previous picture stays here.",
    a: "A is generated here with the same prompt and seed.",
    first: "",
    second: "",
  };

  /** @param {DeskPage} page */
  function create(page) {
    const { state, mix } = page;
    const { find, findAll, mount, part, make, button } = globalThis.mergeDesk.dom;
    const { translate } = globalThis.mergeDesk.language;
    const { changesBetween, readInfotext } = globalThis.mergeDesk.pictureChanges;
    const list = new globalThis.mergeDesk.pictureList.PictureList(changesBetween);
    const strip = globalThis.mergeDesk.strip.create(page, list, lookAtTwo);
    const first = globalThis.mergeDesk.firstPicture.create(page);
    const sheet = globalThis.mergeDesk.sheet.create(page, () => show());
    const fullScreen = globalThis.mergeDesk.fullScreen.create({ walk, closed: backToNow });
    /** @type {View} */
    let view = "now";
    /** @type {Mode} */
    let mode = "";
    /** With what `now` is compared. @type {"a" | "before"} */
    let other = "before";
    /** Out of the list: one that is looked at, or two that are compared.
     * @type {ListedPicture[]} */
    let looked = [];
    let holding = false;
    let swapped = false; // of a blink: which of the two is seen
    /** @type {typeof state.picture} */
    let seen = null;
    let wipe = 50;
    let timer = 0;

    // --- what is shown ---

    /** @param {Layer} layer @returns {Shown | null} */
    function pictureOf(layer) {
      const { now, before, ofA, comparison } = atHand();
      const picture = {
        ...{ now: (holding && comparison) || now, before, a: ofA },
        ...{ first: looked[0], second: looked[1] },
      }[layer];
      return picture?.src ? picture : null; // the server may not have given it yet
    }
    /** The pictures of now, or those of a tile of the contact sheet. */
    function atHand() {
      const tile = sheet.tileShown();
      if (tile) return { now: tile.picture, before: tile.before, ofA: tile.ofA, comparison: tile.ofA };
      const { picture: now, pictureBefore: before, shownOfA: ofA, comparison } = state;
      return { now, before, ofA, comparison };
    }
    /** The layers in sight: one, or the two that are compared. @returns {Layer[]} */
    function inSight() {
      if (holding) return ["now"];
      if (looked.length === 2) return ["first", "second"];
      if (looked.length === 1) return ["first"];
      return mode ? [other, "now"] : [view];
    }
    /** @param {Layer} layer @param {Layer[]} layers @returns {string} where it stands */
    function placeOf(layer, layers) {
      const at = layers.indexOf(layer);
      if (at < 0) return "";
      if (layers.length === 1) return "whole";
      if (mode === "blink") return at === (swapped ? 0 : 1) ? "whole" : "";
      if (mode === "wipe") return at ? "over" : "under";
      return at ? "right" : "left";
    }
    /** @param {Layer} layer */
    function nameOf(layer) {
      if (layer === "now") return holding && atHand().comparison ? "A" : "now";
      if (layer === "before") return "previous";
      if (layer === "a") return "A";
      const picture = looked[layer === "first" ? 0 : 1];
      return picture ? list.place(picture) : "";
    }

    // --- what the user does ---

    /** @param {View} wanted */
    function choose(wanted) {
      looked = [];
      strip.clear();
      if (mode && wanted !== "now") other = wanted;
      else mode = "";
      view = wanted;
      drawA();
      show();
    }
    /** @param {Exclude<Mode, "">} wanted */
    function compare(wanted) {
      if (looked.length === 1) looked = [];
      if (looked.length === 2) return compareTwo(wanted);
      mode = mode === wanted ? "" : wanted;
      if (view !== "now") other = view;
      else if (!atHand().before) other = "a";
      view = mode ? other : "now";
      drawA();
      show();
    }
    /** The two cards that were chosen. @param {Exclude<Mode, "">} wanted */
    function compareTwo(wanted) {
      mode = wanted;
      show();
    }
    /** A's picture is generated once for these settings, when it is asked for. */
    function drawA() {
      const wanted = view === "a" && !atHand().ofA && state.ui && !state.ui.next_step;
      if (wanted && !sheet.wantA()) mix.send("compare");
    }
    /** @param {boolean} down */
    function hold(down) {
      if (holding === down) return;
      holding = down;
      if (down && state.picture && !atHand().comparison && !sheet.wantA()) mix.send("compare");
      show();
    }
    /** Looks at another picture of this page. @param {number} step */
    function walk(step) {
      mode = "";
      const from = looked.at(-1) ?? list.of(state.picture);
      const next = list.next(from, step);
      looked = next && next !== list.last ? [next] : [];
      if (next) strip.bring(next);
      view = "now";
      show();
    }
    /** @param {ListedPicture[]} two of the list, or none */
    function lookAtTwo(two) {
      looked = two;
      mode = two.length ? mode || "side" : "";
      view = "now";
      show();
    }
    /** Of pictures of the list, one is looked at on the whole screen only. */
    function backToNow() {
      if (looked.length === 1) looked = [];
      show();
    }
    /** @param {number} percent */
    function moveWipe(percent) {
      wipe = Math.min(100, Math.max(0, Math.round(percent)));
      find(".md-stage-picture")?.style.setProperty("--md-wipe", `${wipe}%`);
      find(".md-wipe")?.setAttribute("aria-valuenow", String(wipe));
    }
    /** @param {PointerEvent & { currentTarget: HTMLElement }} event */
    function dragWipe({ currentTarget, clientX, buttons, type, pointerId }) {
      if (mode !== "wipe" || !buttons) return;
      if (type === "pointerdown") currentTarget.setPointerCapture(pointerId);
      const { left, width } = currentTarget.getBoundingClientRect();
      moveWipe(((clientX - left) / width) * 100);
    }
    /** @param {KeyboardEvent} event */
    function keyOnWipe(event) {
      const to = { ArrowLeft: wipe - STEP, ArrowRight: wipe + STEP, Home: 0, End: 100 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation(); // arrows walk through the pictures elsewhere
      moveWipe(to);
    }
    /** @param {KeyboardEvent} event */
    function keyOnTabs(event) {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      const at = VIEWS.findIndex(([name]) => name === view);
      const [next] = VIEWS[(at + step + VIEWS.length) % VIEWS.length];
      choose(next);
      find(`[data-view=${next}]`)?.focus();
    }
    function blink() {
      if (mode !== "blink") return;
      swapped = !swapped;
      if (part("stage")?.offsetParent) showLayers();
    }

    // --- what is drawn ---

    function bar() {
      const tabs = VIEWS.map(([name, word, title]) =>
        button(word, title, () => choose(name), {
          ...{ role: "tab", "data-view": name, "aria-controls": "merge_desk_stage_picture" },
        }),
      );
      const modes = MODES.map(([name, word, title]) =>
        button(word, title, () => compare(name), { "data-mode": name }),
      );
      const full = "The whole screen: arrow keys go through this page's pictures, Escape closes";
      return make(
        "div",
        { class: "md-stage-bar" },
        make(
          "span",
          { class: "md-group", role: "tablist", "aria-label": "Picture", onkeydown: keyOnTabs },
          tabs,
        ),
        make("span", { class: "md-space" }),
        make("span", { class: "md-group", role: "group", "aria-label": "Compare in place" }, modes),
        button("Full screen", full, fullScreen.toggle, { "data-act": "full-screen" }),
      );
    }
    /** @param {Layer} layer */
    const empty = (layer) => (layer === "now" ? first.draw() : make("span", {}, EMPTY[layer]));
    /** @param {Layer} layer */
    const frame = (layer) =>
      make(
        "figure",
        { class: "md-frame", "data-frame": layer },
        make("div", {}, empty(layer)),
        make("figcaption", {}),
      );
    function draw() {
      window.clearInterval(timer);
      timer = window.setInterval(blink, BLINK);
      const drag = { onpointerdown: dragWipe, onpointermove: dragWipe };
      const line = {
        ...{ class: "md-wipe", role: "slider", tabindex: 0, "aria-label": "Where the two pictures meet" },
        ...{ "aria-valuemin": 0, "aria-valuemax": 100, onkeydown: keyOnWipe },
      };
      const open = () => mode !== "wipe" && state.picture && fullScreen.open();
      mount("stage")?.replaceChildren(
        make(
          "div",
          { class: "md-stage", "data-part": "stage" },
          bar(),
          make(
            "div",
            {
              class: "md-stage-picture",
              id: "merge_desk_stage_picture",
              role: "tabpanel",
              ...drag,
              onclick: open,
            },
            LAYERS.map(frame),
            make("div", line, make("i")),
            make("img", { class: "md-step-preview", "data-part": "step-preview", alt: "", hidden: true }),
            make("div", { class: "md-busy-note", "data-part": "busy", hidden: true }),
          ),
          make("div", { class: "md-captions", "data-part": "captions" }),
        ),
      );
      moveWipe(wipe);
      sheet.draw();
      strip.draw();
      show();
    }

    // --- showing the state ---

    function show() {
      if (state.picture?.src && state.picture !== seen) {
        seen = state.picture;
        list.add(seen, state.pictureBefore);
        [view, looked] = [mode ? other : "now", []];
        strip.clear();
        sheet.choose(0);
      }
      showLayers();
      showBar();
      showCaptions();
      sheet.show();
      strip.show();
      first.show();
    }
    function showLayers() {
      const stage = part("stage");
      if (!stage) return;
      const layers = inSight();
      for (const layer of LAYERS) showLayer(layer, placeOf(layer, layers));
      stage.dataset.shown = layers.length === 2 ? mode || "side" : "one";
    }
    /** @param {Layer} layer @param {string} place */
    function showLayer(layer, place) {
      const frame = find(`[data-frame=${layer}]`);
      if (!frame) return;
      const picture = pictureOf(layer);
      const [inside, name] = /** @type {HTMLElement[]} */ ([...frame.children]);
      const words = nameOf(layer);
      frame.dataset.shown = place;
      frame.setAttribute("aria-hidden", String(!place));
      frame.classList.toggle("md-of-a", words === "A" && !!picture);
      name.textContent = words;
      const there = /** @type {HTMLImageElement | null} */ (find("img", frame));
      if (there?.src === picture?.src) return;
      inside.replaceChildren(
        picture
          ? make("img", { src: picture.src, alt: `picture ${translate(words)}`, onload: takeRatio })
          : empty(layer),
      );
    }
    /** The stage has the shape of its picture. @param {{ target: HTMLImageElement }} event */
    function takeRatio({ target: { naturalWidth, naturalHeight } }) {
      const place = find(".md-stage-picture");
      if (naturalWidth) place?.style.setProperty("--md-ratio", String(naturalWidth / naturalHeight));
    }
    function showBar() {
      for (const each of findAll("[data-view]")) {
        const on = looked.length === 0 && each.dataset.view === view;
        each.setAttribute("aria-selected", String(on));
        each.tabIndex = each.dataset.view === view ? 0 : -1;
      }
      for (const each of findAll("[data-mode]")) {
        each.setAttribute("aria-pressed", String(each.dataset.mode === mode));
        /** @type {HTMLButtonElement} */ (each).disabled = !state.picture;
      }
    }
    function showCaptions() {
      const captions = inSight().map(caption);
      part("captions")?.replaceChildren(...captions);
    }
    /** What a picture is: what changed, the seed, the prompt. @param {Layer} layer */
    function caption(layer) {
      const picture = pictureOf(layer);
      if (!picture) return make("p", {}, "");
      const { prompt, facts } = readInfotext(picture.infotext);
      const ofA = nameOf(layer) === "A";
      const listed = list.of(layer === "now" ? state.picture : picture); // a tile has the changes of its sheet
      const changes = (ofA ? ["A alone"] : (listed?.changes ?? [])).map(translate);
      const short = prompt.length > PROMPT ? `${prompt.slice(0, PROMPT)} …` : prompt;
      return make(
        "p",
        { "data-caption": layer },
        make("b", { title: changes.join(", ") }, changes.join(", ")),
        facts.Seed ? ` · seed ${facts.Seed}` : "",
        prompt ? make("span", { title: prompt, translate: "no" }, ` · ${short}`) : "",
        ...(layer === "now" && !ofA && state.engaged === "" ? [" · ", make("em", {}, UNLOADED)] : []),
      );
    }
    /** The picture that is being generated as far as it is. @param {string} src "" for none */
    function showStep(src) {
      const image = /** @type {HTMLImageElement | null} */ (part("step-preview"));
      if (!image) return;
      image.hidden = !src;
      if (src && image.src !== src) image.src = src;
    }
    return { draw, show, hold, showCaptions, showFirst: first.show, showStep, sheet };
  }

  const stage = { create };
  if (typeof module !== "undefined") module.exports = stage;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, stage };
}
