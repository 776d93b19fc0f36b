"use strict";
/* The contact sheet: the picture of now, and the same merge with other seeds or prompts. Which tiles it has, which of
 * them comes next, and when the rest is dropped. Pure; tests/javascript/picture_sheet.test.js runs it. */
{
  const MOST = 6; // pictures of a sheet

  /** `prompt` is null for the one in the field.
   * @typedef {{ seed: number, prompt: string | null }} TileSettings */
  /** before: the same tile of the sheet before; ofA: A alone with the same seed and prompt
   * @typedef {TileSettings & { picture: Pick<DeskPicture, "src" | "infotext"> | null, before: Pick<DeskPicture, "src" | "infotext"> | null, ofA: Pick<DeskPicture, "src" | "infotext"> | null,
   *   wantsA: boolean }} Tile */
  /** @typedef {{ engaged: string, drawing: string }} Meant  the merge, and the settings that all pictures share */

  /** Settings out of what was kept, of whatever kind that is. @param {any} kept @returns {SheetSettings} */
  function settingsOf(kept) {
    const { count, by, prompts } = { ...kept };
    return {
      count: Number.isInteger(count) ? Math.min(MOST, Math.max(1, count)) : 1,
      by: by === "prompts" ? by : "seeds",
      prompts: typeof prompts === "string" ? prompts : "",
    };
  }
  /** The lines that are a prompt. @param {string} prompts */
  const lines = (prompts) =>
    prompts
      .split("\n")
      .map((line) => line.trim())
      .filter(Boolean);
  /** The tiles after the first, which has the page's own seed and prompt.
   * @param {SheetSettings} settings @param {number} seed @returns {TileSettings[]} */
  function further({ count, by, prompts }, seed) {
    if (by === "prompts")
      return lines(prompts)
        .slice(0, count - 1)
        .map((prompt) => ({ seed, prompt }));
    const first = Number.isSafeInteger(seed + MOST) ? seed : 0; // beyond, two seeds are the same number here
    return Array.from({ length: count - 1 }, (_, at) => ({ seed: first + at + 1, prompt: null }));
  }
  /** @param {TileSettings} tile */
  const keyOf = ({ seed, prompt }) => (prompt === null ? String(seed) : `${seed} ${prompt}`);

  class PictureSheet {
    /** The picture of now first. @type {Tile[]} */
    tiles = [];
    /** @type {Meant} */
    meant = { engaged: "", drawing: "" };
    /** Whether tiles without a picture stay so. */
    ended = true;

    /** Begins with a picture that is there.
     * @param {Pick<DeskPicture, "src" | "infotext" | "seed">} main @param {SheetSettings} settings @param {Meant} meant
     * @param {boolean} [goesOn]  whether it is of the same merge, so that what was drawn of it stays */
    begin({ src, infotext, seed }, settings, meant, goesOn = false) {
      const old = new Map(this.tiles.map((tile) => [keyOf(tile), tile]));
      const tiles = [{ seed, prompt: null }, ...further(settings, seed)];
      this.tiles = tiles.map((tile) => this.#tile(tile, old.get(keyOf(tile)), goesOn));
      this.tiles[0].picture = { src, infotext };
      Object.assign(this, { meant, ended: false });
    }
    /** @param {TileSettings} settings @param {Tile | undefined} old @param {boolean} goesOn @returns {Tile} */
    #tile(settings, old, goesOn) {
      const empty = { picture: null, before: null, ofA: null, wantsA: false };
      if (goesOn && old) return { ...empty, ...old, ...settings };
      return { ...empty, ...settings, before: old?.picture ?? old?.before ?? null };
    }
    /** No tiles at all. */
    clear() {
      this.tiles = [];
      this.ended = true;
    }
    /** What is to be drawn next: A where it is asked for, else the first tile without a picture.
     * @returns {{ tile: Tile, ofA: boolean } | null} */
    next() {
      const waits = this.tiles.find(({ wantsA, ofA }) => wantsA && !ofA);
      if (waits) return { tile: waits, ofA: true };
      const tile = this.ended ? null : this.tiles.find(({ picture }) => !picture);
      return tile ? { tile, ofA: false } : null;
    }
    /** How many tiles have no picture. */
    get missing() {
      return this.tiles.filter(({ picture }) => !picture).length;
    }
    /** Nothing more is drawn. */
    end() {
      this.ended = true;
      for (const tile of this.tiles) tile.wantsA = false;
    }
  }

  const pictureSheet = { PictureSheet, settingsOf, lines, further, MOST };
  if (typeof module !== "undefined") module.exports = pictureSheet;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, pictureSheet };
}
