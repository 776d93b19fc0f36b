"use strict";
/* The tab Weights: rules and what they hit, numbers drawn at random, Adjust. Python's side is
 * lib_merge/desk/tabs/weights/handlers.py. */
{
  /** @param {DeskPage} page @returns {DeskTab} */
  function create({ state, wire, mix }) {
    const { formatNumber } = globalThis.mergeDesk.numberList;
    const { field, part, make, button, problemBox } = globalThis.mergeDesk.dom;
    const random = {
      ...{ kind: "uniform", low: 0, high: 1, mean: 0.5, deviation: 0.2, each: "block", seed: 1 },
    };
    let text = "";
    let onTop = false;
    /** @type {DeskResponse<"weights.test"> | null} */
    let testResponse = null;
    /** @type {Record<string, number>} */
    const adjust = {};
    /** @type {Desk.ParameterView[]} */
    let parameters = [];
    /** @type {[string, string][]} */
    let presets = [];
    /** The user's, with their rules. @type {[string, string][]} */
    let own = [];
    let pendingAdjust = ""; // Adjust's numbers of a set-up, until its sliders are known

    const rules = () => /** @type {HTMLTextAreaElement | null} */ (part("rules"));
    const sendRules = () => mix.applyExtra("weights", onTop ? text : "");
    /** Whether the rules win over the faders. @param {boolean} on */
    function setOnTop(on) {
      onTop = on;
      const box = field("[data-act=use-rules]");
      if (box) box.checked = on;
    }
    /** @param {string} fresh */
    function setText(fresh) {
      text = fresh;
      const area = rules();
      if (area) area.value = fresh;
    }

    // --- asking ---

    const family = () => state.ui?.family ?? "";
    async function askFirst() {
      const response = await wire.ask("weights.open", { family: family() }, { again: askFirst });
      if (!response?.data) return;
      ({ adjust: parameters, presets, own } = response.data);
      if (pendingAdjust) setAdjust(pendingAdjust);
      const area = rules();
      if (area) area.placeholder = response.data.example;
      drawAdjust();
      drawNames();
    }
    /** @param {"weights.test" | "weights.copy"} name */
    async function ask(name) {
      const again = () => ask(name);
      const response = await wire.ask(name, { text, family: family() }, { again });
      if (!response) return;
      testResponse = response;
      showTest();
      if (name === "weights.copy" && response.data) copyToFaders(response.data.amount_by_slot);
    }
    /** @param {Record<string, number>} amounts by slot */
    function copyToFaders(amounts) {
      setOnTop(false);
      sendRules();
      const unavailable = state.ui?.no_block_weights;
      if (unavailable) part("rule-test")?.prepend(make("p", { class: "md-next-step" }, unavailable));
      const known = state.slots();
      const slots = Object.entries(amounts).filter(([slot]) => known.includes(slot));
      mix.edit(() => state.set({ alpha: Object.fromEntries(slots) }));
    }

    // --- rules ---

    function rulesBox() {
      const area = make("textarea", {
        ...{ rows: 9, class: "md-textarea", spellcheck: "false", "data-part": "rules" },
        ...{ "aria-label": "Rules for block weights", placeholder: "one rule per line: OUT: 0.7" },
        oninput: (e) => void (text = e.target.value),
        onchange: sendRules,
      });
      area.value = text;
      const over = make("input", {
        ...{ type: "checkbox", checked: onTop, "data-act": "use-rules" },
        onchange: (e) => {
          onTop = e.target.checked;
          sendRules();
        },
      });
      const hint =
        "blocks, ranges, groups, tensor names, presets; the more specific rule wins, on a tie the last one";
      return [
        make("div", { class: "md-head" }, make("h3", {}, "Rules"), make("span", { class: "md-hint" }, hint)),
        area,
        make(
          "div",
          { class: "md-toolbar" },
          button(
            "Test",
            "Show which tensors each rule matches and the weight of each block",
            () => ask("weights.test"),
            {
              "data-act": "test-rules",
            },
          ),
          button(
            "Copy to sliders",
            "Set every slider to the weight of most of its tensors",
            () => ask("weights.copy"),
            {
              "data-act": "copy-to-sliders",
            },
          ),
          make(
            "label",
            { class: "md-check", title: "Rules override the sliders for every tensor they match" },
            over,
            "Apply on top of sliders",
          ),
        ),
        make("div", { class: "md-presets", "data-part": "preset-names" }),
      ];
    }
    function drawNames() {
      const add = (/** @type {string} */ rule) => {
        setText(text.trim() ? `${text.trimEnd()}\n${rule}` : rule);
        sendRules();
      };
      /** @param {string} name @param {string} title @param {string} rule */
      const chip = (name, title, rule) =>
        make(
          "button",
          {
            ...{ type: "button", class: "md-button", title, "data-name": name },
            onclick: () => add(rule),
          },
          name,
        );
      const hint = "click to add to the rules; combine them: 0.5*GRAD_V + 0.5*COSINE";
      part("preset-names")?.replaceChildren(
        make(
          "div",
          { class: "md-head" },
          make("h3", {}, "Presets by name"),
          make("span", { class: "md-hint" }, hint),
        ),
        make(
          "div",
          { class: "md-preset-names" },
          own.map(([name, rules]) => chip(name, rules, rules)),
          presets.map(([name, about]) => chip(name, about || name, name)),
        ),
      );
    }

    // --- random numbers ---

    function randomRule() {
      const { kind, low, high, mean, deviation, each, seed } = random;
      const normal = `normal(${mean}, ${deviation}, low = ${low}, high = ${high}`;
      const start = kind === "uniform" ? `uniform(${low}, ${high}` : normal;
      return `${start}, seed = ${seed}${each === "key" ? ", each = key" : ""})`;
    }
    /** @param {boolean} fresh with another seed */
    function rollWeights(fresh) {
      if (fresh) random.seed = Math.floor(Math.random() * 1e6);
      const seed = field("[data-roll=seed]");
      if (seed) seed.value = String(random.seed);
      setText(randomRule());
      if (random.each === "key") {
        setOnTop(true);
        sendRules();
        ask("weights.test");
      } else ask("weights.copy");
    }
    function randomBox() {
      const number = (
        /** @type {"low" | "high" | "mean" | "deviation" | "seed"} */ name,
        /** @type {string} */ title,
      ) =>
        make(
          "label",
          { class: "md-field", title },
          name,
          make("input", {
            ...{ type: "number", step: name === "seed" ? 1 : 0.05, value: random[name], "data-roll": name },
            onchange: (e) => void (random[name] = Number(e.target.value)),
          }),
        );
      const choose = (
        /** @type {"kind" | "each"} */ name,
        /** @type {string} */ title,
        /** @type {Record<string, string>} */ words,
      ) =>
        make(
          "select",
          { "aria-label": title, "data-roll": name, onchange: (e) => void (random[name] = e.target.value) },
          Object.entries(words).map(([value, amount]) =>
            make("option", { value, selected: value === random[name] }, amount),
          ),
        );
      const hint = "the recipe records the rule with its seed, or the numbers set on the sliders";
      return make(
        "div",
        { class: "md-random" },
        make(
          "div",
          { class: "md-head" },
          make("h3", {}, "Random weights"),
          make("span", { class: "md-hint" }, hint),
        ),
        make(
          "div",
          { class: "md-toolbar" },
          choose("kind", "Distribution", { uniform: "uniform", normal: "normal, truncated" }),
          number("low", "lowest weight"),
          number("high", "highest weight"),
          number("mean", "mean of the normal distribution"),
          number("deviation", "standard deviation of the normal distribution"),
          choose("each", "How many weights", { block: "one per block", key: "one per tensor" }),
          number("seed", "the same seed gives the same numbers"),
          button("Roll", "Random weights with this seed", () => rollWeights(false), { "data-act": "roll" }),
          button("Re-roll", "Random weights with a new random seed", () => rollWeights(true), {
            "data-act": "reroll",
          }),
        ),
      );
    }

    // --- adjust ---

    function sendAdjust() {
      const numbers = parameters.map(({ name }) => adjust[name] ?? 0);
      mix.applyExtra("adjust", numbers.some(Boolean) ? numbers.map(formatNumber).join(", ") : "");
    }
    /** @param {string} value numbers with commas, in the sliders' order */
    function setAdjust(value) {
      const numbers = value.split(",").map(Number);
      parameters.forEach(({ name }, n) => void (adjust[name] = numbers[n] || 0));
    }
    /** @param {Desk.ParameterView} parameter */
    function slider({ name, title, low, high, help }) {
      const set = (/** @type {HTMLInputElement} */ input, /** @type {number} */ value) => {
        adjust[name] = value;
        if (input.nextSibling) input.nextSibling.textContent = String(value);
      };
      return make(
        "label",
        { class: "md-parameter md-adjustment", title: help, "data-adjust": name },
        title,
        make("input", {
          ...{ type: "range", class: "md-range", min: low, max: high, step: 0.1, value: adjust[name] ?? 0 },
          oninput: (e) => set(e.target, Number(e.target.value)),
          onchange: sendAdjust,
          ondblclick: (e) => {
            e.target.value = 0;
            set(e.target, 0);
            sendAdjust();
          },
        }),
        make("output", {}, formatNumber(adjust[name] ?? 0)),
      );
    }
    function drawAdjust() {
      const hint = "detail, contrast, brightness and colour, applied after any method; double-click resets";
      part("adjust")?.replaceChildren(
        make("div", { class: "md-head" }, make("h3", {}, "Adjust"), make("span", { class: "md-hint" }, hint)),
        make("div", { class: "md-adjust" }, parameters.map(slider)),
      );
    }

    // --- what the rules do ---

    /** @param {string[]} titles @param {HTMLElement[]} rows */
    const table = (titles, rows) =>
      make(
        "table",
        { class: "md-table" },
        make(
          "tr",
          {},
          titles.map((word) => make("th", {}, word)),
        ),
        rows,
      );
    /** @param {(string | Node | (string | Node)[])[]} cells */
    const row = (...cells) =>
      make(
        "tr",
        {},
        cells.map((cell) => make("td", {}, cell)),
      );

    /** @param {Record<string, Record<string, number>>} tensorsByAmount slot -> amount in words -> how many tensors */
    function weightRows(tensorsByAmount) {
      const totals = Object.values(tensorsByAmount).map((each) =>
        Object.values(each).reduce((sum, n) => sum + n, 0),
      );
      const most = Math.max(1, ...totals);
      const bar = (/** @type {number} */ count) =>
        make("i", { class: "md-bar", style: `width:${(count / most) * 90 + 2}px` });
      return Object.entries(tensorsByAmount)
        .sort(([one], [other]) => one.localeCompare(other))
        .flatMap(([slot, each]) =>
          Object.entries(each)
            .sort((one, other) => other[1] - one[1])
            .map(([amount, count], n) => row(n ? "" : slot, [bar(count), ` ${count}`], amount)),
        );
    }
    function showTest() {
      const place = part("rule-test");
      if (!place || !testResponse) return;
      const { problem, data } = testResponse;
      if (problem) place.replaceChildren(problemBox(problem));
      if (!data) return;
      const hint = "how many tensors each rule matches, and for how many of them it decides";
      const hits = data.stats.map((stat) =>
        row(String(stat.line), String(stat.hits), String(stat.wins), make("code", {}, stat.text)),
      );
      place.replaceChildren(
        make(
          "div",
          { class: "md-head" },
          make("h3", {}, data.model),
          make("span", { class: "md-hint" }, hint),
        ),
        table(["line", "matches", "decides", "rule"], hits),
        table(["block", "tensors", "weight"], weightRows(data.tensors_by_amount)),
      );
    }

    /** Another tab has set the desk up: what it brought is shown here too. */
    mix.onExtra((name, value) => {
      if (name === "adjust") {
        pendingAdjust = value;
        setAdjust(value);
        drawAdjust();
      } else if (name === "weights" && value !== (onTop ? text : "")) {
        setText(value || text);
        setOnTop(!!value);
      }
    });

    /** @param {HTMLElement} place */
    function draw(place) {
      const hint = make("p", { class: "md-hint" }, "Test shows here which tensors each rule matches.");
      place.replaceChildren(
        make(
          "div",
          { class: "md-columns" },
          make("div", {}, rulesBox(), randomBox(), make("div", { "data-part": "adjust" })),
          make("div", { "data-part": "rule-test" }, hint),
        ),
      );
      drawAdjust();
      drawNames();
      showTest();
    }
    return { draw, shown: askFirst };
  }

  const weights = { create };
  if (typeof module !== "undefined") module.exports = weights;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, views: { ...globalThis.mergeDesk?.views, weights } };
}
