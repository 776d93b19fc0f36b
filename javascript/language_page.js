"use strict";
/* The page in the language of the host or of the browser: what appears in our tab, or in one of our dialogs, is
 * translated as it appears, texts and the attributes that are read out. Names, recipes and whatever a user writes
 * stand under translate="no", in fields, or in code, and stay as they are.
 *
 * A WebUI's localisation file knows single words of ours in another sense ("Set" as its Settings), and names that
 * recipes use ("IN05"). What it has translated is translated again where the page has the language, else names alone
 * are put back. Its scripts only look at nodes that are added, so that they leave alone what is written here. */
{
  const ATTRIBUTES = ["title", "aria-label", "aria-valuetext", "placeholder", "alt"];
  // ul.options and .token: values of Gradio's lists, which are sent to Python
  const KEPT =
    '[translate="no"], pre, code, textarea, script, style, ul.options, ul[role="listbox"], .token, .merge-desk-hidden';
  const CHOSEN = "merge-desk-language"; // what the menu remembers
  const PATIENCE = 20; // how often the host's settings are looked for before the browser decides

  const NAMES = ['[translate="no"]', "pre", "code"].join();

  /** What a WebUI's own scripts set.
   * @typedef {{ localization?: Record<string, string>, opts?: { localization?: string } }} Host */

  /** @param {{ wire: DeskPage["wire"] }} page */
  function create({ wire }) {
    const { find, make } = globalThis.mergeDesk.dom;
    const { LANGUAGES, chooseLanguage, originalsIn, use, translate } = globalThis.mergeDesk.language;
    const host = /** @type {Host} */ (/** @type {unknown} */ (window));
    let asked = false;
    let known = false;
    let looks = 0;
    let language = "en";

    // --- which language ---

    /** Whether the page is a WebUI's, which has a setting for it. */
    const isWebUI = () => typeof host.localization === "object";
    /** A WebUI's settings come to its page a little later than the page itself. */
    const settingsAreHere = () => !isWebUI() || host.opts?.localization !== undefined || ++looks > PATIENCE;
    function remembered() {
      try {
        return localStorage.getItem(CHOSEN) ?? "";
      } catch {
        return ""; // a browser that keeps nothing
      }
    }
    async function ask() {
      asked = true;
      language = chooseLanguage({
        host: host.opts?.localization ?? "",
        menu: isWebUI() ? "" : remembered(),
        browser: navigator.languages,
      });
      if (language !== "en") {
        const response = await wire.ask("language.open", { language });
        use(language, response?.data?.texts ?? {});
      }
      known = true;
    }
    /** Whether the page can be drawn: its language is known. */
    function ready() {
      if (!asked && settingsAreHere()) ask();
      return known;
    }

    // --- what is shown ---

    /** @param {Node | null} node */
    const isKept = (node) => !!(node instanceof Element ? node : node?.parentElement)?.closest(KEPT);
    /** @param {CharacterData} node */
    function translateText(node) {
      if (isKept(node)) return;
      const translated = translate(node.data);
      if (translated !== node.data) node.data = translated;
    }
    /** @param {Element} element @param {string[]} [names] */
    function translateAttributes(element, names = ATTRIBUTES) {
      for (const name of names) {
        const value = element.getAttribute(name);
        if (!value || element.closest('[translate="no"]')) continue;
        const translated = translate(value);
        if (translated !== value) element.setAttribute(name, translated);
      }
    }
    /** An element with all that is in it, or a text. @param {Node} root */
    function translateAll(root) {
      if (root instanceof Text) translateText(root);
      if (!(root instanceof Element)) return;
      translateAttributes(root);
      const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const node = walker.currentNode;
        if (node instanceof Text) translateText(node);
        else translateAttributes(/** @type {Element} */ (node));
      }
    }

    // --- what the WebUI has translated ---

    /** Whether its localisation file has made this of a text. @param {string | null} before @param {string | null} after */
    const isTheirs = (before, after) => !!before && !!after && host.localization?.[before.trim()] === after;
    /** @param {CharacterData} node @param {string | null} before */
    function restoreText(node, before) {
      const isOurs = language !== "en" || !!node.parentElement?.closest(NAMES);
      if (isOurs && isTheirs(before, node.data)) node.data = before ?? "";
    }
    /** @param {Element} element @param {string} name @param {string | null} before */
    function restoreAttribute(element, name, before) {
      const isOurs = language !== "en" || !!element.closest(NAMES);
      if (isOurs && isTheirs(before, element.getAttribute(name))) element.setAttribute(name, before ?? "");
    }
    /** What was translated before our place was watched: labels and tabs, none of them a user's. @param {Node} root */
    function restoreAll(root) {
      const originals = originalsIn(host.localization ?? {}, (text) => translate(text) !== text);
      const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const node = /** @type {Text} */ (walker.currentNode);
        const original = originals.get(node.data.trim());
        if (original && !isKept(node)) node.data = original;
      }
    }

    /** @param {MutationRecord[]} records */
    function changed(records) {
      for (const { type, target, addedNodes, attributeName, oldValue } of records) {
        if (type === "characterData") {
          restoreText(/** @type {CharacterData} */ (target), oldValue);
          translateText(/** @type {CharacterData} */ (target));
        } else if (type === "attributes") {
          restoreAttribute(/** @type {Element} */ (target), attributeName ?? "", oldValue);
          translateAttributes(/** @type {Element} */ (target), [attributeName ?? ""]);
        } else addedNodes.forEach(translateAll);
      }
      observer.takeRecords(); // of what was done here
    }
    const observer = new MutationObserver(changed);
    const seen = new WeakSet();
    /** Translates what is in a place, now and later. @param {Element | null} root */
    function watch(root) {
      if (!root || seen.has(root)) return;
      seen.add(root);
      root.setAttribute("lang", language.replace("_", "-"));
      if (language === "en" && !Object.keys(host.localization ?? {}).length) return;
      if (language !== "en") restoreAll(root);
      translateAll(root);
      observer.observe(root, {
        ...{ subtree: true, childList: true, characterData: true, attributes: true },
        ...{ attributeFilter: ATTRIBUTES, characterDataOldValue: true, attributeOldValue: true },
      });
    }
    /** Our place on the page: a tab of a WebUI, or the whole page; and dialogs, which are put next to it. */
    function watchPlaces() {
      const tabs = find("#merge_desk_tabs");
      watch(tabs?.closest("#tab_merge_desk") ?? tabs?.closest(".gradio-container") ?? tabs);
      for (const dialog of document.querySelectorAll("body > .merge-desk")) watch(dialog);
      if (!isWebUI()) showMenu();
    }

    // --- the menu of our own page ---

    function showMenu() {
      const place = find("#merge_desk_tabs");
      if (!place || find("#merge_desk_language")) return;
      const choose = (/** @type {any} */ event) => {
        localStorage.setItem(CHOSEN, event.target.value);
        location.reload(); // the desk itself is kept on the server
      };
      const options = Object.entries(LANGUAGES).map(([id, name]) =>
        make("option", { value: id, selected: id === language, lang: id.replace("_", "-") }, name),
      );
      const menu = make(
        "select",
        { id: "merge_desk_language_menu", "aria-label": translate("Language"), onchange: choose },
        options,
      );
      place.before(make("div", { id: "merge_desk_language", class: "merge-desk", translate: "no" }, menu));
    }
    return { ready, watchPlaces };
  }

  const languagePage = { create };
  if (typeof module !== "undefined") module.exports = languagePage;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, languagePage };
}
