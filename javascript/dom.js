"use strict";
/* Small tools for what the page shows: elements, Merge Desk's places in it, problems, files and the clipboard. */
{
  /** @typedef {string | number | boolean | null | undefined | ((event: any) => unknown)} AttributeValue */
  /** @typedef {Node | string | null | undefined} Child */
  /** @typedef {Child | Child[] | Child[][]} Children */

  /** @param {string} selector @param {ParentNode} [root] @returns {HTMLElement | null} */
  const find = (selector, root = document) => root.querySelector(selector);
  /** @param {string} selector @returns {HTMLElement[]} */
  const findAll = (selector) => [...document.querySelectorAll(/** @type {"div"} */ (selector))];
  /** A field or a button. @param {string} selector @param {ParentNode} [root] @returns {HTMLInputElement | null} */
  const field = (selector, root = document) => root.querySelector(selector);
  /** An element of the page that a script draws into. @param {string} name */
  const mount = (name) => find(`.merge-desk[data-mount="${name}"]`);
  /** @param {string} name */
  const part = (name) => find(`[data-part="${name}"]`);
  /** What is in sight. @param {HTMLElement | null} element */
  const visible = (element) => !!element?.offsetParent;

  /** A WebUI translates texts as they appear on its page, but not the values of attributes. Where the page has the
   * language itself, it does so itself. */
  const TRANSLATED = ["title", "aria-label", "placeholder"];
  /** @param {string} text @returns {string} */
  const translated = (text) =>
    (globalThis.mergeDesk.language.isEnglish() && /** @type {any} */ (window).localization?.[text]) || text;

  /** @param {Element} made @param {Record<string, AttributeValue>} attributes @param {Children[]} inside */
  function setAttributes(made, attributes, inside) {
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") made.addEventListener(name.slice(2), value);
      else if (value !== false && value != null) {
        const text = value === true ? "" : String(value);
        made.setAttribute(name, TRANSLATED.includes(name) ? translated(text) : text);
      }
    }
    const nodes = /** @type {Child[]} */ (inside.flat(2));
    made.append(...nodes.filter((each) => each != null));
  }
  /** A new element. `attributes` are its attributes, and under on... what it does at an event.
   * @template {keyof HTMLElementTagNameMap} T
   * @param {T} tag @param {Record<string, AttributeValue>} [attributes] @param {Children[]} inside
   * @returns {HTMLElementTagNameMap[T]} */
  function make(tag, attributes = {}, ...inside) {
    const made = document.createElement(tag);
    setAttributes(made, attributes, inside);
    return made;
  }
  /** The same of a drawing. @param {"svg" | "g" | "path" | "rect" | "text" | "title"} tag
   * @param {Record<string, AttributeValue>} attributes @param {Children[]} inside */
  function draw(tag, attributes, ...inside) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    setAttributes(made, attributes, inside);
    return made;
  }
  const WORD = /\p{L}/u;
  /** A button. Its name for a screen reader is the text on it, or the title where that is a symbol.
   * @param {string} text @param {string} title @param {(event: any) => unknown} act @param {Record<string, AttributeValue>} [attributes] */
  const button = (text, title, act, attributes = {}) =>
    make(
      "button",
      {
        ...{ type: "button", class: "md-button", title, onclick: act },
        ...{ "aria-label": WORD.test(text) ? null : title },
        ...attributes,
      },
      text,
    );

  /** @param {Pick<Desk.Problem, "what" | "where" | "hint" | "more" | "calm">} problem @param {() => void} [again] */
  function problemBox({ what, where, hint, more, calm }, again) {
    return make(
      "div",
      { class: `md-problem ${calm ? "md-calm" : ""}`, role: calm ? "status" : "alert" },
      make("b", {}, what),
      where ? make("p", {}, make("span", {}, "where"), where) : null,
      hint ? make("p", {}, make("span", {}, "try"), hint) : null,
      more.length
        ? make(
            "ol",
            {},
            more.map((each) => make("li", {}, each)),
          )
        : null,
      again
        ? make("div", { class: "md-toolbar" }, button("Try again", "Send this request again", again))
        : null,
    );
  }
  /** Names and values under each other. @param {[string, string][]} rows */
  const sheet = (rows) =>
    make(
      "dl",
      { class: "md-facts" },
      rows.map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
    );

  // --- the WebUI's own progress bar, where there is one ---

  /** It waits for a task that may be refused before it begins, so that `endProgress` takes it away; the WebUI removes
   * it from a place of its own, which may be gone by then. @returns {string} the task, "" without such a bar */
  function startProgress() {
    const { requestProgress, randomId } = /** @type {any} */ (window);
    if (typeof requestProgress !== "function" || typeof randomId !== "function") return "";
    const task = randomId();
    const bar = make("div");
    part("progress")?.append(make("div", { "data-task": task }, bar));
    requestProgress(task, bar, find("[data-frame=now]"), () => endProgress(task));
    return task;
  }
  /** @param {string} task */
  const endProgress = (task) => {
    if (task) for (const each of findAll(`[data-task="${task}"]`)) each.remove();
  };

  // --- out of the page ---

  /** @param {string} name @param {string} url */
  function download(name, url) {
    const link = make("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
  }
  /** @param {string} name @param {string} text @param {string} type */
  function downloadText(name, text, type) {
    const url = URL.createObjectURL(new Blob([text], { type }));
    download(name, url);
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
  /** @param {string} text @param {HTMLElement} button says that it is done */
  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      copyOldWay(text, button); // a page without https may not
    }
    button.textContent = "Copied";
    setTimeout(() => void (button.textContent = "Copy"), 1500);
  }
  /** @param {string} text @param {HTMLElement} button */
  function copyOldWay(text, button) {
    const area = make("textarea", {}, text);
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  /** Where a slider's colour begins, which is at 0, and where it ends, at its value.
   * @param {HTMLInputElement} slide */
  function updateTrack(slide) {
    const [low, high, value] = [slide.min, slide.max, slide.value].map(Number);
    const share = (/** @type {number} */ x) => Math.min(1, Math.max(0, (x - low) / (high - low))) * 100;
    const [from, to] = [share(0), share(value)];
    slide.style.setProperty("--from", `${Math.min(from, to)}%`);
    slide.style.setProperty("--at", `${Math.max(from, to)}%`);
  }
  /** When an element comes into sight. @param {Element} element @param {() => void} act */
  function whenShown(element, act) {
    new IntersectionObserver((seen) => {
      if (seen.some((each) => each.isIntersecting)) act();
    }).observe(element);
  }

  /** What is to be drawn once no mouse button and no finger is down. @type {Set<() => void>} */
  const held = new Set();
  let isDown = false;
  function release() {
    isDown = false;
    const acts = [...held];
    held.clear();
    for (const act of acts) act();
  }
  if (typeof document !== "undefined") {
    document.addEventListener("pointerdown", () => void (isDown = true), true);
    for (const end of ["pointerup", "pointercancel"])
      document.addEventListener(end, () => setTimeout(release), true); // the click comes first
    window.addEventListener("blur", release);
  }
  /** Draws now, or where something is being pressed after that: a button that is replaced between press and release is not
   * clicked. @param {() => void} act  the same function each time: it is called once */
  function whenReleased(act) {
    if (isDown) held.add(act);
    else act();
  }

  const dom = {
    ...{ find, findAll, field, mount, part, visible, make, draw, button, problemBox, sheet },
    ...{ startProgress, endProgress, download, downloadText, copy, updateTrack, whenShown, whenReleased },
  };
  if (typeof module !== "undefined") module.exports = dom;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, dom };
}
