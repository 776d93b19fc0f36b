"use strict";
/* The cards of the pictures as the server keeps them: what is written of each, and which have changed. Pure. */
{
  const VERSION = 1; // of what is kept: another one is not loaded
  /** @typedef {Omit<ListedPicture, "number">} Card */

  /** @param {Card} picture @returns {string} */
  function packCard({ infotext, comparison_key, seed, history_id, made, ...rest }) {
    const { changes, pinned, starred, note } = rest;
    const shown = { infotext, comparison_key, seed, history_id, made };
    return JSON.stringify({ version: VERSION, ...shown, changes, pinned, starred, note });
  }
  /** @param {Desk.KeptCard} kept @returns {Card | null} null for what this version does not know */
  function unpackCard({ id, text }) {
    try {
      const { version, ...card } = JSON.parse(text);
      return version === VERSION ? { ...card, id, src: "" } : null;
    } catch {
      return null;
    }
  }
  /** Whether a card stays when the oldest go. @param {Card} picture */
  const isMarked = ({ pinned, starred, note }) => pinned || starred || !!note;

  /** What the server is sent: the cards that are not as it has them, and the pictures whose cards are gone.
   * @param {Card[]} all @param {Map<string, string>} known  what the server has, by the id of the picture */
  function changedCards(all, known) {
    const kept = all.filter(({ id }) => id);
    const there = new Set(kept.map(({ id }) => id));
    const cards = kept
      .map((picture) => ({ id: picture.id, marked: isMarked(picture), text: packCard(picture) }))
      .filter(({ id, text }) => known.get(id) !== text);
    return { cards, gone: [...known.keys()].filter((id) => !there.has(id)) };
  }

  const keptCards = { packCard, unpackCard, isMarked, changedCards };
  if (typeof module !== "undefined") module.exports = keptCards;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, keptCards };
}
