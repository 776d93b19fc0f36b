"use strict";
/* Above the tabs: how many files of the lists of B and C fit A, and why the others do not. */
{
  const AGAIN = 1500; // ms between two questions while Python still reads the files
  const SOON = 300; // ms until it is asked again where a list is open

  /** What the line says. Pure. @param {Desk.FittingFiles} fit */
  function summaryOf({ a, fits, misfits, left }) {
    const read = fits.length + misfits.length;
    const all = read + left;
    if (left) return `Reading the files: ${read} of ${all}, ${fits.length} fit ${a} so far`;
    if (!read) return "";
    if (!misfits.length) return read === 1 ? `The other file fits ${a}` : `All ${read} other files fit ${a}`;
    return `${fits.length} of ${read} other files fit ${a}`;
  }

  /** @param {DeskPage} page */
  function create({ state, wire, mix }) {
    const { mount, find, make, findAll, visible, whenReleased } = globalThis.mergeDesk.dom;
    /** As far as Python has read the files. @type {Desk.FittingFiles | null} */
    let fit = null;
    let timer = 0;

    /** Asks which files fit A, where A or the list may be another one. @param {boolean} [listed] whether the list may be */
    function follow(listed) {
      const a = state.selection?.a ?? "";
      if (a === fit?.a && !listed) return;
      if (a !== fit?.a) fit = null;
      draw();
      if (a) ask();
    }
    /** Whether a list is open: its entries are not to move under the pointer. In Gradio 4 the box itself is a listbox. */
    const choosing = () => findAll("ul.options, [role=listbox]:not(input)").some(visible);
    async function ask() {
      clearTimeout(timer);
      if (choosing()) {
        timer = window.setTimeout(ask, SOON);
        return;
      }
      const response = await wire.ask("lists.fit", {}, { latest: true });
      if (!response?.data || response.data.a !== state.selection?.a) return;
      fit = response.data;
      draw();
      mix.showPictures();
      if (response.data.left) timer = window.setTimeout(ask, AGAIN);
    }
    const draw = () => whenReleased(drawLine);
    function drawLine() {
      const place = mount("fit");
      if (!place) return;
      const open = !!place.querySelector("details[open]");
      const words = fit ? summaryOf(fit) : "";
      const misfits = fit?.misfits ?? [];
      const rows = misfits.map(({ name, why }) => make("li", {}, make("b", {}, name), ` ${why}`));
      const list = () =>
        make(
          "details",
          { class: "md-fit", open },
          make("summary", {}, make("span", {}, words), " · ", make("span", {}, "why not the others")),
          make("ul", {}, rows),
        );
      place.replaceChildren(
        ...(words ? [rows.length ? list() : make("span", { class: "md-fit" }, words)] : []),
      );
    }
    /** The button that reads the folders again shows that it works. @param {boolean} on */
    const refreshing = (on) => find("#merge_desk_lists_refresh")?.setAttribute("aria-busy", String(on));
    wire.onBegin("lists.refresh", () => refreshing(true));
    wire.on("lists.refresh", () => refreshing(false));
    return { follow, files: () => fit };
  }

  const fitting = { create, summaryOf };
  if (typeof module !== "undefined") module.exports = fitting;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, fitting };
}
