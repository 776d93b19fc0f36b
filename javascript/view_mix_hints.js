"use strict";
/* The tab Mix, on a first visit: three callouts above the columns that they are about. One that is closed stays
 * closed: which were is kept with the desk. */
{
  /** @type {[name: string, title: string, words: string][]} */
  const HINTS = [
    [
      "sliders",
      "The sliders",
      "Each is one block of the model: 0 keeps A, 1 takes B. Release one, and the picture follows.",
    ],
    [
      "saving",
      "The file",
      "Nothing is written to disk until you open Save the merge, below the sliders, and press Save.",
    ],
    [
      "pictures",
      "The pictures",
      "A, previous and now are tabs in one place. Wipe, Blink and Side by side compare two of them.",
    ],
  ];

  /** What was kept of them, of whatever kind that is. Pure. @param {any} kept @returns {{ shown: boolean, closed: string[] }} */
  const hintsOf = (kept) => ({
    shown: kept?.shown === true,
    closed: Array.isArray(kept?.closed) ? kept.closed : [],
  });
  /** The hints that are to be seen. Pure. @param {{ shown: boolean, closed: string[] }} hints */
  const openHints = ({ shown, closed }) =>
    shown ? HINTS.map(([name]) => name).filter((name) => !closed.includes(name)) : [];

  /** @param {DeskPage} page */
  function create({ state, mix }) {
    const { find, mount, make, button } = globalThis.mergeDesk.dom;
    let shown = "";

    /** @param {Partial<typeof state.hints>} hints */
    function set(hints) {
      Object.assign(state.hints, hints);
      show();
      mix.show(); // which keeps the desk
    }
    /** The next hint takes the keyboard over. @param {string} name */
    function close(name) {
      set({ closed: [...state.hints.closed, name] });
      find("[data-act=hint-close]")?.focus();
    }
    const never = () => set({ shown: false });
    /** All of them, as on the first visit. */
    function showAgain() {
      set({ shown: true, closed: [] });
      mount("hints")?.scrollIntoView({ block: "nearest" });
      find("[data-act=hint-close]")?.focus();
    }
    /** @param {typeof HINTS[number]} hint */
    function callout([name, title, words]) {
      return make(
        "div",
        { class: "md-callout", "data-hint": name, role: "note", "aria-label": title },
        make(
          "p",
          {},
          make("b", {}, title),
          " ",
          make("span", {}, words),
          " ",
          button("Do not show again", "Close all three hints", never, {
            ...{ "data-act": "hints-never", class: "md-link-button" },
          }),
        ),
        button("✕", "Close this hint", () => close(name), { "data-act": "hint-close" }),
      );
    }
    function show() {
      const place = mount("hints");
      state.hints = hintsOf(state.hints); // another version may have kept it
      const open = openHints(state.hints);
      if (!place || (open.join() === shown && place.childElementCount === open.length)) return;
      shown = open.join();
      place.replaceChildren(...HINTS.filter(([name]) => open.includes(name)).map(callout));
    }
    return { show, showAgain };
  }

  const hints = { create, openHints, hintsOf };
  if (typeof module !== "undefined") module.exports = hints;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, hints };
}
