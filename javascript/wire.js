"use strict";
/* How the page talks with Python (lib_merge/desk/protocol.py): each endpoint is a hidden button. What is asked goes
 * along as the first input of its click, and the response comes back as JSON in a hidden element. An endpoint is asked
 * one thing at a time: a question waits here until the one before it is answered, and until the button is on the page.
 * Nothing is asked twice: Gradio reports when a click has ended, so that a question without a response has failed,
 * and the user sees that. Knows no document: `find` brings the buttons. */
{
  const GRACE = 2000; // ms from the end of a click to its response's place on the page
  // endpoints that Gradio asks by itself: a list has changed, or was set, or its button was pressed
  const EVENTS = ["lists.changed", "lists.settled", "lists.differences", "lists.align", "lists.refresh"];

  /** @typedef {keyof Desk.Results} Name */
  /** @typedef {Pick<Desk.Problem, "what" | "where" | "hint" | "more" | "calm">} Problem */
  /** @typedef {DeskResponse<any>} AnyResponse */
  /** @typedef {{ task?: string, latest?: boolean, setsLists?: boolean, again?: () => void }} How
   *   task: under which the host's page asks for progress
   *   latest: it takes the place of such a one of its name that still waits
   *   setsLists: the lists are set by what it brings; lists.settled follows, with its revision or a later one
   *   again: what the user may do when it fails */
  /** @typedef {{ seq: number, name: Name, task: string, revision: number, data: object }} Message */
  /** @typedef {{ message: Message, how: How, done: (response: AnyResponse | null) => void }} Question */
  /** One endpoint: what waits, what is asked, and of the clicks that have not ended what each one asked. The end of
   * a click may be reported after its response has come and the next question is asked.
   * @typedef {{ waiting: Question[], asked: Question | null, clicks: (Question | null)[] }} Line */
  /** @typedef {{ data: object, task: string, hear: (response: AnyResponse) => void }} Pressed */

  class Wire {
    #seq = 0;
    /** How often the page has wished to have the lists set. */
    #revision = 0;
    /** @type {Map<string, Line>} */
    #lines = new Map();
    /** @type {Map<string, (response: AnyResponse) => void>} */
    #listeners = new Map();
    /** @type {Map<string, () => void>} */
    #begins = new Map();
    /** @type {Map<string, () => Pressed>} */
    #presses = new Map();
    #find;
    #later;
    #failed;

    /** @param {{
     *   find: (name: string) => { click(): void } | null,
     *   later: (act: () => void, ms: number) => unknown,
     *   failed: (problem: Problem, again?: () => void) => void,
     * }} given  buttons by endpoint; setTimeout; what tells the user that a question was not answered */
    constructor({ find, later, failed }) {
      this.#find = find;
      this.#later = later;
      this.#failed = failed;
    }

    /** Asks Python; the response comes once those asked of the same endpoint before have theirs.
     * @template {Name} N
     * @param {N} name @param {Partial<Desk.Requests[N]>} [data] @param {How} [how]
     * @returns {Promise<DeskResponse<N> | null>} null where a later one has taken its place, or it failed */
    ask(name, data = {}, how = {}) {
      const line = this.#line(name);
      if (how.setsLists) this.#revision++;
      return new Promise((done) => {
        if (how.latest) {
          for (const each of line.waiting) if (each.how.latest) each.done(null);
          line.waiting = line.waiting.filter((each) => !each.how.latest);
        }
        line.waiting.push({ message: this.#message(name, data, how.task), how, done });
        this.#next(name);
      });
    }
    /** Hears what Python says of an endpoint, whoever asked it.
     * @template {Name} N
     * @param {N} name @param {(response: DeskResponse<N>) => void} listener */
    on(name, listener) {
      this.#listeners.set(name, listener);
    }
    /** Hears that Gradio asks something by itself: a list has changed. @param {Name} name @param {() => void} listener */
    onBegin(name, listener) {
      this.#begins.set(name, listener);
    }
    /** A button of Gradio's own, which the user presses: what goes along, and what hears the response.
     * @param {Name} name @param {() => Pressed} press */
    onPress(name, press) {
      this.#presses.set(name, press);
    }
    /** Asks what still waits for a button that may be on the page by now. */
    resume() {
      for (const name of this.#lines.keys()) this.#next(name);
    }

    /** @param {Name} name @param {object} data @returns {Message} */
    #message(name, data, task = "") {
      return { seq: ++this.#seq, name, task, revision: this.#revision, data };
    }
    /** @param {string} name @returns {Line} */
    #line(name) {
      const line = this.#lines.get(name) ?? { waiting: [], asked: null, clicks: [] };
      this.#lines.set(name, line);
      return line;
    }
    /** @param {string} name */
    #next(name) {
      const line = this.#line(name);
      const found = !line.asked && line.waiting.length > 0 && this.#find(name);
      if (!found) return;
      line.asked = line.waiting.shift() ?? null;
      found.click();
    }

    // --- what Gradio calls ---

    /** The inputs of an event on its way to Python: what is asked, in place of the first of them.
     * @param {unknown[]} given @param {number} count of inputs; some Gradios hand the outputs over too
     * @param {Name} name */
    fill(given, count, name) {
      return [JSON.stringify(this.#said(name)), ...given.slice(1, count)];
    }
    /** @param {Name} name */
    #said(name) {
      if (EVENTS.includes(name)) {
        this.#begins.get(name)?.();
        return { name, revision: this.#revision };
      }
      const line = this.#line(name);
      const press = this.#presses.get(name);
      if (press && !line.asked) {
        const { data, task, hear } = press();
        const done = (/** @type {AnyResponse | null} */ response) => response && hear(response);
        line.asked = { message: this.#message(name, data, task), how: {}, done };
      }
      const asked = line.asked && !line.clicks.includes(line.asked) ? line.asked : null;
      line.clicks.push(asked);
      return asked?.message ?? {}; // a click more than the page meant
    }
    /** Gradio has ended a click, whether or not it went well. @param {string} name */
    ended(name) {
      const { clicks } = this.#line(name);
      const empty = clicks.indexOf(null); // such a click ends at once
      const [ended] = clicks.splice(Math.max(0, empty), 1);
      if (ended)
        this.#later(() => {
          if (this.#line(name).asked === ended) this.#fail(name, ended);
        }, GRACE);
      return []; // no outputs
    }
    /** @param {string} name @param {Question} asked */
    #fail(name, asked) {
      this.#answered(name, null);
      const { message, how } = asked;
      const what = "No response from the server";
      const hint = "the server may have stopped, or the connection may be broken";
      const again = how.again ?? (() => void this.ask(message.name, message.data, how));
      this.#failed({ what, where: name, hint, more: [], calm: false }, again);
    }
    /** @param {string} name @param {AnyResponse | null} response */
    #answered(name, response) {
      const line = this.#line(name);
      const { asked } = line;
      line.asked = null;
      asked?.done(response);
      this.#next(name);
    }

    /** What has appeared as the response of an endpoint.
     * @param {string} name @param {string} text @param {number} at when Python said it, of one clock for all */
    hear(name, text, at) {
      /** @type {AnyResponse} */
      let response;
      try {
        response = { ...JSON.parse(text), at };
      } catch {
        const what = "A response of the server could not be read";
        this.#failed({ what, where: name, hint: "reload the page", more: [], calm: false });
        return;
      }
      if (response.action) this.#listeners.get(name)?.(response);
      if (this.#line(name).asked?.message.seq === response.seq) this.#answered(name, response);
    }
  }

  const wire = { Wire };
  if (typeof module !== "undefined") module.exports = wire;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, wire };
}
