"use strict";
/* The tab Search, your eye as the score: two pictures side by side, and which is better, by keys or buttons. What is
 * compared next is chosen by lib_merge/service/eye_searches.py, which draws ahead of the clicks. */
{
  const SOON = 700; // ms between two questions while the next pair is being drawn
  const AHEAD = 2; // pairs are drawn ahead until so many trials wait
  const TEXT_FIELDS = "input, select, textarea, [contenteditable]:not([contenteditable=false])";

  /** @typedef {"left" | "right" | "neither" | "both bad"} Answer */
  /** @type {Record<string, Answer>} */
  const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "neither", x: "both bad", X: "both bad" };

  /** @param {SearchPartPage} page @returns {SearchPart} */
  function create({ wire, take, poll }) {
    const { make, button, part, visible } = globalThis.mergeDesk.dom;
    /** @type {HTMLElement | null} */
    let place = null;
    let study = "";
    let running = false;
    /** @type {Desk.EyeView | null} */
    let view = null;
    /** Trial -> its pictures, as data URLs. @type {Map<number, readonly string[]>} */
    const pictures = new Map();
    let pending = false; // a click that is not answered yet
    let undoNext = false; // Backspace came before the answer, and takes that click back
    let timer = 0;

    const hasPair = () => running && !!view && view.left >= 0;

    // --- what is asked ---

    /** @param {Desk.EyeView} fresh */
    function takeIn(fresh) {
      const began = !hasPair();
      view = fresh;
      running = fresh.running;
      for (const { number, urls } of fresh.trials) pictures.set(number, urls);
      refresh();
      if (began && hasPair()) focusFirst();
      clearTimeout(timer);
      if (running && !hasPair()) timer = window.setTimeout(look, SOON);
    }
    const seen = () => ({ pictures: [...pictures.keys()] });
    async function look() {
      const response = await wire.ask("search.eye", seen(), { latest: true, again: look });
      if (response?.data && !pending) takeIn(response.data);
    }
    /** @param {Answer} answer */
    async function choose(answer) {
      if (!view || !hasPair() || pending) return;
      const { left, right, clicks } = view;
      const data = { ...seen(), left, right, answer, clicks };
      await click(() => wire.ask("search.eye_click", data, { again: look }));
    }
    async function takeBack() {
      undoNext = pending;
      if (!view?.clicks || pending) return;
      await click(() => wire.ask("search.eye_back", seen(), { again: look }));
    }
    /** @param {() => Promise<DeskResponse<"search.eye_click"> | null>} ask */
    async function click(ask) {
      pending = true;
      refresh();
      const response = await ask();
      pending = false;
      if (response?.data) takeIn(response.data);
      else refresh();
      const undo = undoNext && !!response?.data;
      undoNext = false;
      if (undo) await takeBack();
      else poll(); // the trials and the best of them
    }

    // --- keys ---

    /** Only those that go to nothing else: the pictures are in sight, and the focus is among them or nowhere.
     * @param {KeyboardEvent} e */
    function isOurs({ target, ctrlKey, altKey, metaKey, shiftKey }) {
      if (ctrlKey || altKey || metaKey || shiftKey || !hasPair() || !place || !visible(place)) return false;
      if (target !== document.body) return place.contains(/** @type {Node} */ (target));
      const { top, bottom } = place.getBoundingClientRect();
      return top < window.innerHeight && bottom > 0;
    }
    /** @param {KeyboardEvent} e */
    function pressed(e) {
      const answer = KEYS[e.key];
      if ((!answer && e.key !== "Backspace") || !isOurs(e)) return;
      if (/** @type {Element} */ (e.target).closest?.(TEXT_FIELDS)) return;
      e.preventDefault();
      if (e.repeat) return; // a key that is held is one click
      if (answer) choose(answer);
      else takeBack();
    }
    document.addEventListener("keydown", pressed);

    /** The keys work at once, unless the user is busy elsewhere. */
    function focusFirst() {
      const active = document.activeElement;
      const tab = place?.closest(".merge-desk-search");
      const free =
        !active || active === document.body || (tab?.contains(active) && !active.closest(TEXT_FIELDS));
      if (free && visible(place)) part("eye")?.focus();
    }

    // --- what is shown ---

    /** @param {"left" | "right"} side */
    const sideOf = (side) =>
      make("button", {
        ...{ type: "button", class: "md-eye-side", "data-eye": side, onclick: () => choose(side) },
        title: side === "left" ? "The left one is better" : "The right one is better",
      });
    function frame() {
      const act = (/** @type {string} */ name) => ({ "data-act": `eye-${name}` });
      return make(
        "section",
        { class: "md-eye", "data-part": "eye", tabindex: -1, "aria-label": "Which picture is better?" },
        make("h3", {}, "Which picture is better?"),
        make("p", { class: "md-hint", "data-part": "eye-waiting", role: "status" }),
        make("div", { class: "md-eye-pair", "data-part": "eye-pair" }, sideOf("left"), sideOf("right")),
        make(
          "div",
          { class: "md-toolbar md-eye-keys", "data-part": "eye-keys" },
          button("← Left", "The left one is better", () => choose("left"), act("left")),
          button("↓ Alike", "Neither is better", () => choose("neither"), act("neither")),
          button("X Both bad", "Neither is good", () => choose("both bad"), act("bad")),
          button("→ Right", "The right one is better", () => choose("right"), act("right")),
          make("span", { class: "md-space" }),
          button("⌫ Take back", "Take the last click back (Backspace)", takeBack, act("back")),
        ),
        make("p", { class: "md-eye-clicks", "data-part": "eye-clicks", role: "status" }),
        make("div", { class: "md-eye-best", "data-part": "eye-best" }),
      );
    }
    /** @param {"left" | "right"} side @param {number} number of the trial */
    function fillSide(side, number) {
      const element = place?.querySelector(`[data-eye="${side}"]`);
      if (!element) return;
      element.toggleAttribute("data-pending", pending);
      if (element.getAttribute("data-of") === String(number) && element.childElementCount) return;
      element.setAttribute("data-of", String(number));
      const alt = side === "left" ? "The left picture" : "The right picture";
      element.replaceChildren(...(pictures.get(number) ?? []).map((src) => make("img", { src, alt })));
    }
    /** @param {Desk.EyeView} shown */
    function best({ best: number, chance, drawn, clicks }) {
      if (number < 0 || !clicks) return [];
      const [src] = pictures.get(number) ?? [];
      const percent = Math.round(100 * chance);
      const sure = `${percent} % sure that none of the ${drawn} trials is better`;
      return [
        src ? make("img", { src, alt: `Trial ${number}` }) : null,
        make("b", {}, `Best so far: trial ${number}`),
        make("span", {}, sure),
        button("Take to the desk", "Set the sliders of the tab Mix to this trial", () => take(number), {
          "data-act": "eye-take",
        }),
      ].filter((one) => one !== null);
    }
    function refresh() {
      if (!place) return;
      if (!view) {
        place.replaceChildren();
        return;
      }
      if (!place.firstChild) place.replaceChildren(frame());
      const pair = part("eye-pair");
      const keys = part("eye-keys");
      const waiting = part("eye-waiting");
      if (!pair || !keys || !waiting) return;
      pair.hidden = !hasPair();
      keys.hidden = !running || (!hasPair() && !view.clicks);
      waiting.textContent = running && !hasPair() ? "Drawing the next picture …" : "";
      waiting.hidden = !waiting.textContent;
      if (hasPair()) {
        fillSide("left", view.left);
        fillSide("right", view.right);
      }
      const { clicks, goal } = view;
      const count = part("eye-clicks");
      if (count) count.textContent = goal ? `${clicks} of ${goal} clicks` : `${clicks} clicks`;
      const row = part("eye-best");
      const key = `${view.best} ${view.chance} ${view.drawn} ${clicks} ${pictures.has(view.best)}`;
      if (row && row.dataset.shown !== key) {
        const focused = row.contains(document.activeElement);
        row.dataset.shown = key;
        row.dataset.best = String(view.best);
        row.replaceChildren(...best(view));
        if (focused) row.querySelector("button")?.focus();
      }
    }
    /** @param {SearchShown} shown */
    function show({ update }) {
      if (update.study !== study) {
        study = update.study;
        view = null;
        pictures.clear();
        refresh();
      }
      if (update.objectives.join() !== "eye") return;
      const begins = update.running && !running;
      running = update.running;
      const waits = running && (!hasPair() || (view?.ahead ?? 0) < AHEAD);
      if (begins || waits || !view) look();
      else refresh();
    }
    return {
      draw: (fresh) => {
        place = fresh;
        refresh();
      },
      show,
    };
  }

  const searchEye = { create };
  if (typeof module !== "undefined") module.exports = searchEye;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, searchEye };
}
