"use strict";
/* The tab Mix: the cards of the pictures are kept on the server after each change, and loaded when a page is opened;
 * their pictures are brought when they come into sight. */
{
  const KEPT_AFTER = 400; // ms after the last change

  /** @param {DeskPage} page
   * @param {InstanceType<MergeDesk["pictureList"]["PictureList"]>} list
   * @param {() => void} changed  cards or pictures have come */
  function create({ wire, mix }, list, changed) {
    const { changedCards, packCard, unpackCard } = globalThis.mergeDesk.keptCards;
    /** What the server has, by the id of the picture. @type {Map<string, string>} */
    const known = new Map();
    /** Whether this page knows what was kept. */
    let open = false;
    let timer = 0;
    /** @type {Map<string, Promise<void>>} */
    const brought = new Map();

    function keep() {
      if (!open) return;
      clearTimeout(timer);
      timer = window.setTimeout(send, KEPT_AFTER);
    }
    async function send() {
      const data = changedCards(list.all, known);
      if (!data.cards.length && !data.gone.length) return;
      const response = await wire.ask("mix.keep_cards", data, { again: send });
      if (!response || response.problem) return; // they go along with the next change
      for (const { id, text } of data.cards) known.set(id, text);
      for (const id of data.gone) known.delete(id);
    }
    /** Once, as the page is opened. */
    async function load() {
      if (open) return;
      const response = await wire.ask("mix.cards", {}, { again: load });
      if (!response) return;
      if (response.problem) mix.showResponse(response); // and nothing is written over what cannot be read
      if (open || !response.data) return;
      open = true;
      const cards = response.data.cards.flatMap((kept) => unpackCard(kept) ?? []);
      for (const card of cards) known.set(card.id, packCard(card));
      list.load(cards);
      changed();
      keep();
    }
    /** The picture of a card that was kept. @param {ListedPicture} picture @returns {Promise<void>} */
    function bring(picture) {
      const { id } = picture;
      if (picture.src || !id) return Promise.resolve();
      const asked = brought.get(id) ?? ask(id);
      brought.set(id, asked);
      return asked;
    }
    /** @param {string} id */
    async function ask(id) {
      const response = await wire.ask("mix.picture", { id });
      const src = response?.data?.picture ?? "";
      const card = list.all.find((each) => each.id === id);
      if (src && card && !card.src) card.src = src;
      if (!response) brought.delete(id); // to be asked for again
      changed();
    }
    return { keep, load, bring };
  }

  const cards = { create };
  if (typeof module !== "undefined") module.exports = cards;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, cards };
}
