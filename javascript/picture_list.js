"use strict";
/* The pictures of this page, in the order in which they were generated. Pure; tests/javascript/pictures.test.js
 * runs it. */
{
  const MOST = 40; // pictures that are kept besides those that are marked

  class PictureList {
    /** The oldest first. @type {ListedPicture[]} */
    all = [];
    #count = 0;
    #changesBetween;

    /** @param {(typeof import("./picture_changes.js"))["changesBetween"]} changesBetween */
    constructor(changesBetween) {
      this.#changesBetween = changesBetween;
    }
    get last() {
      return this.all.at(-1) ?? null;
    }
    /** One that was made with the same as an earlier one takes its place.
     * @param {DeskPicture} picture @param {DeskPicture | null} before on which it follows @returns {ListedPicture} */
    add(picture, before) {
      const known = this.all.find((each) => this.#isSame(each, picture));
      if (known) return Object.assign(known, picture);
      const changes = this.#changesBetween(before, picture);
      const added = { ...picture, number: ++this.#count, changes, pinned: false, starred: false, note: "" };
      this.all.push(added);
      this.#forget();
      return added;
    }
    /** @param {DeskPicture} one @param {DeskPicture} other */
    #isSame(one, other) {
      const [made, wanted] = [one, other].map(({ made }) =>
        JSON.stringify([made?.selection, made?.parameters]),
      );
      return made === wanted && this.#changesBetween(one, other)[0] === this.#changesBetween(one, one)[0];
    }
    /** Forgets the oldest that nobody has marked or written a note on. */
    #forget() {
      const free = this.all.filter(({ pinned, starred, note }) => !pinned && !starred && !note);
      const over = free.slice(0, Math.max(0, free.length - MOST));
      this.all = this.all.filter((each) => !over.includes(each));
    }
    /** Puts the pictures of an earlier page before those of this one; of one that both have, the marks are loaded.
     * @param {Omit<ListedPicture, "number">[]} cards */
    load(cards) {
      const here = this.all;
      const loaded = cards.map((card) => {
        const known = here.find((each) => each.id === card.id);
        if (!known) return { ...card, number: ++this.#count };
        const { changes, pinned, starred, note } = card;
        return Object.assign(known, { changes, pinned, starred, note });
      });
      this.all = [...loaded, ...here.filter((each) => !loaded.includes(each))];
      this.#forget();
    }
    /** @param {{ src: string, id?: string } | null} picture as it was added */
    of(picture) {
      if (!picture) return null;
      const { src, id } = picture;
      return this.all.findLast((each) => (src && each.src === src) || (id && each.id === id)) ?? null;
    }
    /** @param {number} number */
    numbered(number) {
      return this.all.find((each) => each.number === number) ?? null;
    }
    /** The one some places later, or the first or last of all. @param {ListedPicture | null} from @param {number} step */
    next(from, step) {
      const at = from ? this.all.findIndex(({ number }) => number === from.number) : this.all.length - 1;
      return this.all[Math.min(this.all.length - 1, Math.max(0, at + step))] ?? null;
    }
    /** @param {ListedPicture} picture */
    place(picture) {
      return `${this.all.indexOf(picture) + 1} of ${this.all.length}`;
    }
  }

  const pictureList = { PictureList, MOST };
  if (typeof module !== "undefined") module.exports = pictureList;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, pictureList };
}
