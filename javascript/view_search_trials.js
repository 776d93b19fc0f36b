"use strict";
/* The tab Search, its trials: the best one large, and the list of all, sorted by score or by number. */
{
  const MOST_CHANGED = 6; // dimensions that are named
  const MOST_SHOWN = 60; // trials that are shown, and that "Show more" adds
  const WORDS = {
    ...{ done: "done", failed: "failed", pruned: "ended early: clearly worse", running: "running" },
    ...{ waiting: "waiting", "given back": "given back" },
  };

  /** @typedef {Desk.TrialView} Trial */

  /** @param {number} value */
  const short = (value) => (Math.abs(value) >= 100 ? value.toFixed(1) : value.toPrecision(4));
  /** @param {Trial} trial */
  const scoreText = ({ values }) => values.map(short).join(", ");

  /** @param {{ take: (number: number) => void, whole: (number: number, picture: number) => Promise<string>,
   *   looked: () => void }} page
   *   take: sets the desk up as a trial was made; whole: the address of a picture in full size; looked: another trial
   *   is shown large */
  function create({ take, whole, looked: heard }) {
    const { find, part, make, button, whenReleased } = globalThis.mergeDesk.dom;
    const { translate } = globalThis.mergeDesk.language;
    /** @type {Trial[]} */
    let trials = [];
    let best = -1;
    /** @type {number[]} */
    let front = [];
    let looked = -1; // the trial that is shown large in place of the best, -1 for none
    let shownAt = ""; // which pictures are shown large
    let byScore = true;
    let most = MOST_SHOWN;

    const at = () => trials[looked] ?? trials[best];

    /** Shows a trial large. @param {number} number -1 for the best */
    function look(number) {
      looked = number;
      showLarge();
      showList();
      heard();
      if (number >= 0) part("search-best")?.scrollIntoView({ block: "nearest" });
    }

    // --- one trial, large ---

    function showLarge() {
      const place = part("search-best");
      const trial = at();
      if (!place) return;
      if (!trial) {
        shownAt = "";
        place.replaceChildren();
        return;
      }
      const { number } = trial;
      const key = `${number} ${trial.pictures} ${number === best} ${scoreText(trial)}`;
      if (key === shownAt) return;
      shownAt = key;
      const title = number === best ? `Best so far: trial ${number}` : `Trial ${number}`;
      const pictures = Array.from({ length: trial.pictures }, (_, n) => picture(trial, n));
      place.replaceChildren(
        largeToolbar(trial, title),
        make("div", { class: "md-search-pictures" }, pictures),
        make("p", { class: "md-hint", "data-part": "search-changed" }, changed(trial)),
        ...largeNotes(trial),
      );
    }
    /** @param {Trial} trial @param {string} title */
    function largeToolbar(trial, title) {
      const isOther = looked >= 0 && looked !== best;
      const score = { class: "md-search-score", "data-part": "search-best-score", translate: "no" };
      const first = { class: "md-button md-primary", "data-act": "search-take" };
      const takeThis = () => take(trial.number);
      return make(
        "div",
        { class: "md-toolbar" },
        make("h3", { "data-part": "search-best-title" }, title),
        make("b", score, scoreText(trial)),
        make("span", { class: "md-space" }),
        isOther
          ? button("The best", "Show the best trial again", () => look(-1), { "data-act": "search-back" })
          : null,
        button("Take to the desk", "Set the sliders of the tab Mix to this trial", takeThis, first),
      );
    }
    /** @param {Trial} trial */
    function largeNotes({ held_out, problem }) {
      const others = `On the held-out prompts: ${held_out.map(short).join(", ")}`;
      return [
        ...(held_out.length ? [make("p", { class: "md-hint" }, others)] : []),
        ...(problem ? [make("p", { class: "md-failed" }, problem)] : []),
      ];
    }
    /** @param {Trial} trial @param {number} n */
    function picture({ number, thumbnail }, n) {
      const nth = n + 1;
      const image = make("img", {
        ...{ src: n ? null : thumbnail, alt: `Picture ${nth} of trial ${number}` },
      });
      whole(number, n).then((address) => {
        if (address) image.src = address;
      });
      return image;
    }
    /** The values of a trial. @param {Trial} trial */
    function changed({ point, origin }) {
      const all = Object.entries(point).map(([name, value]) => `${name} ${value}`);
      const rest = all.length > MOST_CHANGED ? ` … (${all.length})` : "";
      return [all.slice(0, MOST_CHANGED).join(", ") + rest, translate(origin)].filter(Boolean).join(" · ");
    }

    // --- the list ---

    /** @param {Trial} one @param {Trial} other */
    const better = (one, other) =>
      (other.values[0] ?? -Infinity) - (one.values[0] ?? -Infinity) || one.number - other.number;
    function sorted() {
      const listed = trials.filter(({ state }) => state !== "waiting" && state !== "given back");
      return byScore ? listed.sort(better) : listed.reverse();
    }
    /** @param {Trial} trial */
    function card(trial) {
      const { number, state, origin, problem, thumbnail, same_as } = trial;
      const word =
        state === "done" && same_as >= 0
          ? `as trial ${same_as}`
          : translate(WORDS[/** @type {keyof typeof WORDS} */ (state)] ?? state);
      return make(
        "li",
        {
          ...{ class: "md-trial-card", "data-trial": number, "data-state": state },
          ...{ "data-best": number === best, "data-front": front.includes(number) },
        },
        make(
          "button",
          {
            ...{
              type: "button",
              class: "md-search-look",
              onclick: () => look(number),
              "data-act": "search-look",
            },
            ...{ "aria-label": `Look at trial ${number}`, "aria-pressed": String(at()?.number === number) },
          },
          thumbnail ? make("img", { src: thumbnail, alt: "" }) : make("span", {}, word),
        ),
        make("b", {}, scoreText(trial) || word),
        make(
          "span",
          { class: "md-hint", title: changed(trial) },
          `#${number}${origin ? ` · ${translate(origin)}` : ""}`,
        ),
        problem ? make("span", { class: "md-failed" }, problem) : null,
        Object.keys(trial.point).length
          ? button("Take", `Set the sliders of the tab Mix to trial ${number}`, () => take(number), {
              ...{ class: "md-button md-small", "data-act": `search-take-${number}` },
            })
          : null,
      );
    }
    function showList() {
      const place = part("search-trials");
      if (!place) return;
      const listed = sorted();
      const focused = document.activeElement?.closest("[data-trial]")?.getAttribute("data-trial");
      const what = document.activeElement?.getAttribute("data-act");
      place.replaceChildren(...listed.slice(0, most).map(card));
      if (focused) find(`[data-trial="${focused}"] [data-act="${what}"]`)?.focus();
      const more = () => {
        most += MOST_SHOWN;
        showList();
      };
      part("search-more")?.replaceChildren(
        ...(listed.length > most
          ? [button("Show more", `Show ${MOST_SHOWN} more trials`, more, { "data-act": "search-more" })]
          : []),
      );
      part("search-sort")?.toggleAttribute("hidden", trials.length < 2);
      part("search-list")?.toggleAttribute("hidden", !trials.length);
    }
    /** @param {boolean} score */
    function sort(score) {
      byScore = score;
      showList();
    }
    function sortList() {
      return make(
        "select",
        {
          ...{ "aria-label": "Order of the trials", "data-part": "search-sort", hidden: true },
          onchange: (e) => sort(e.target.value === "score"),
        },
        make("option", { value: "score" }, "best first"),
        make("option", { value: "number" }, "newest first"),
      );
    }
    function draw() {
      shownAt = "";
      return make(
        "div",
        { class: "md-search-list", "data-part": "search-list", hidden: true },
        make("div", { class: "md-toolbar" }, make("h3", {}, "Trials"), sortList()),
        make("ul", { class: "md-search-trials", "data-part": "search-trials" }),
        make("div", { "data-part": "search-more" }),
      );
    }
    /** @param {{ trials: Trial[], best: number, front: number[] }} fresh */
    function show(fresh) {
      ({ trials, best, front } = fresh);
      if (looked >= trials.length) looked = -1;
      whenReleased(drawAll);
    }
    function drawAll() {
      showLarge();
      showList();
    }
    return {
      ...{ draw, show, look },
      /** The trial that is shown large, -1 for none. */
      looked: () => at()?.number ?? -1,
      drawBest: () => make("div", { class: "md-search-best", "data-part": "search-best" }),
      /** Another study. */
      forget: () => {
        [looked, most] = [-1, MOST_SHOWN];
      },
    };
  }

  const searchTrials = { create };
  if (typeof module !== "undefined") module.exports = searchTrials;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, searchTrials };
}
