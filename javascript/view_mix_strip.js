"use strict";
/* The tab Mix, below the stage: each picture of this page as a small card, with what changed. A click goes back to
 * it; two may be compared. The cards themselves are kept in picture_list.js. */
{
  /** @param {DeskPage} page
   * @param {InstanceType<MergeDesk["pictureList"]["PictureList"]>} list
   * @param {(two: ListedPicture[]) => void} compare  shows two of them, or none, on the stage */
  function create(page, list, compare) {
    const { state, wire, mix } = page;
    const { findAll, mount, part, make, draw: drawing, button, whenShown } = globalThis.mergeDesk.dom;
    const { translate } = globalThis.mergeDesk.language;
    const kept = globalThis.mergeDesk.cards.create(page, list, mix.showPictures);
    const inSight = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        const card = list.numbered(Number(/** @type {HTMLElement} */ (target).dataset.card));
        if (isIntersecting && card) kept.bring(card);
      }
    });
    const { differences, otherChanges } = globalThis.mergeDesk.pictureChanges;
    /** The numbers of those that are to be compared. @type {number[]} */
    let chosen = [];
    let shown = "";

    // --- what the user does ---

    /** Sets lists, fields and sliders as they were for this picture, and shows it.
     * @param {ListedPicture} picture */
    async function goBack(picture) {
      await kept.bring(picture);
      if (!picture.made?.snapshot || (state.busy && state.busy.act !== "further")) return;
      if (chosen.length) choose([]);
      state.goBack(picture);
      mix.restored();
      mix.showPictures();
    }
    /** @param {number[]} numbers */
    function choose(numbers) {
      const were = chosen.length;
      chosen = numbers.slice(-2);
      const two = chosen.flatMap((number) => list.numbered(number) ?? []);
      if (two.length === 2 || were === 2) compare(two.length === 2 ? two : []);
      for (const each of two) kept.bring(each);
      show();
    }
    /** @param {ListedPicture} picture */
    function toggleChosen({ number }) {
      choose(chosen.includes(number) ? chosen.filter((each) => each !== number) : [...chosen, number]);
    }
    /** @param {ListedPicture} picture */
    function togglePin(picture) {
      picture.pinned = !picture.pinned;
      show();
    }
    /** In the history too, where this merge has an entry. @param {ListedPicture} picture */
    function toggleStar(picture) {
      picture.starred = !picture.starred;
      const { history_id: id, starred: star } = picture;
      if (id) wire.ask("history.star", { id, star });
      show();
    }
    /** @param {ListedPicture} picture @param {string} note */
    function write(picture, note) {
      picture.note = note;
      if (picture.history_id) wire.ask("history.rename", { id: picture.history_id, name: note });
      kept.keep();
    }

    // --- what is shown ---

    const PIN = "M9 1l6 6-2 1-3 3-1 4-3-3-4 3 3-4-3-3 4-1 3-3z";
    /** @param {ListedPicture} picture */
    function tools(picture) {
      const { pinned, starred, number } = picture;
      const pressed = (/** @type {boolean} */ on) => ({ "aria-pressed": String(on) });
      const pin = button(
        "",
        "Pin: it stays when the oldest cards go",
        () => togglePin(picture),
        pressed(pinned),
      );
      pin.append(drawing("svg", { viewBox: "0 0 16 16" }, drawing("path", { d: PIN })));
      const star = picture.history_id ? "Star, also in the history" : "Star";
      const both = "Choose two cards to compare their pictures and sliders";
      return make(
        "div",
        { class: "md-card-tools" },
        pin,
        button(starred ? "★" : "☆", star, () => toggleStar(picture), {
          "data-act": "card-star",
          ...pressed(starred),
        }),
        button("⇔", both, () => toggleChosen(picture), {
          ...{ "data-act": "card-compare" },
          ...pressed(chosen.includes(number)),
        }),
      );
    }
    /** @param {ListedPicture} picture */
    function card(picture) {
      const { number, src, changes, note } = picture;
      const words = changes.map(translate).join(", ");
      const current = number === list.of(state.picture)?.number;
      return make(
        "article",
        { class: "md-card", "data-card": number, "aria-current": current ? "true" : null },
        make(
          "button",
          {
            ...{ type: "button", class: "md-card-picture", "data-act": "card-back" },
            ...{ title: `Go back to this: ${words}`, onclick: () => goBack(picture) },
          },
          make("img", { src: src || null, alt: "", loading: "lazy", decoding: "async" }),
          make("span", {}, words),
        ),
        make("input", {
          ...{ type: "text", class: "md-card-note", value: note, placeholder: "note" },
          ...{
            "aria-label": `Note on ${words}`,
            maxlength: 120,
            onchange: (e) => write(picture, e.target.value),
          },
        }),
        tools(picture),
      );
    }
    /** How two chosen cards differ: their lists and settings in words, their sliders as a table. */
    function comparison() {
      const [one, two] = chosen.map((number) => list.numbered(number));
      if (!one?.made || !two?.made) return [];
      const words = otherChanges(one.made.selection, two.made.selection, one.infotext, two.infotext);
      const rows = differences(one.made.parameters, two.made.parameters);
      const named = new Set(rows.map(({ parameter }) => parameter)).size > 1;
      const row = (/** @type {(typeof rows)[number]} */ { parameter, slot, from, to }) =>
        make(
          "tr",
          {},
          make("th", { scope: "row" }, [named || !slot ? parameter : "", slot].filter(Boolean).join(" ")),
          make("td", {}, from),
          make("td", {}, to),
        );
      const heads = ["", list.place(one), list.place(two)].map((text) => make("th", { scope: "col" }, text));
      return [
        words.length ? make("p", {}, words.map(translate).join(", ")) : null,
        rows.length ? make("table", {}, make("tr", {}, heads), rows.map(row)) : null,
        rows.length || words.length ? null : make("p", {}, "Both were made with the same settings."),
        button("Close", "Show the picture of now", () => choose([])),
      ].filter((each) => each !== null);
    }
    function draw() {
      shown = "";
      mount("strip")?.append(
        make("section", {
          class: "md-cards-row",
          "data-part": "picture-cards",
          "aria-label": "Pictures of this page",
        }),
        make("div", { class: "md-card-comparison", "data-part": "card-comparison" }),
      );
      const place = mount("strip");
      if (place) whenShown(place, kept.load);
      show();
    }
    /** Makes the cards again where there is something new in them, and leaves what is being typed. */
    function show() {
      const place = part("picture-cards");
      const current = list.of(state.picture)?.number;
      const signature = JSON.stringify([
        ...[current, chosen],
        ...list.all.map(({ number, changes, pinned, starred }) => [number, changes, pinned, starred]),
      ]);
      if (!place) return;
      if (signature === shown) return void showBrought();
      shown = signature;
      kept.keep();
      const atEnd = place.scrollLeft + place.clientWidth > place.scrollWidth - 40;
      place.replaceChildren(...list.all.map(card));
      if (atEnd) place.scrollLeft = place.scrollWidth;
      part("card-comparison")?.replaceChildren(...comparison());
      inSight.disconnect();
      for (const each of findAll("[data-card]")) inSight.observe(each);
    }
    /** Pictures that have come since the cards were made. */
    function showBrought() {
      for (const each of findAll("[data-card]")) {
        const img = each.querySelector("img");
        const src = list.numbered(Number(each.dataset.card))?.src;
        if (img && src && !img.getAttribute("src")) img.src = src;
      }
    }
    return { draw, show, bring: kept.bring, clear: () => void (chosen = []) };
  }

  const strip = { create };
  if (typeof module !== "undefined") module.exports = strip;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, strip };
}
