/* Merge Desk, the room Weights: rules and what they hit, numbers drawn at random, Adjust. Python's side is
 * lib_merge/desk/weights.py. */
(() => {
  "use strict";

  const { room, ask, faders, tools: { $, make, button, part, tidy, problemBox } } = window.mergeDesk;
  const state = { text: "", used: false, trial: null, adjust: {}, knobs: [], names: [], roll: { kind: "uniform", low: 0, high: 1, mean: 0.5, deviation: 0.2, each: "block", seed: 1 } };

  const family = () => faders.family();
  const test = (action) => ask("try", { action, family: family(), parameters: { text: state.text } });
  const use = () => faders.extra("weights", state.used ? state.text : "");

  function drawn() {
    const { kind, low, high, mean, deviation, each, seed } = state.roll;
    const start = kind === "uniform" ? `uniform(${low}, ${high}` : `normal(${mean}, ${deviation}, low = ${low}, high = ${high}`;
    return `${start}, seed = ${seed}${each === "key" ? ", each = key" : ""})`;
  }

  function draw(place) {
    const text = make("textarea", { rows: 9, class: "md-text", spellcheck: false, "data-part": "rules", "aria-label": "Rules for block weights",
      placeholder: "one rule a line: OUT: 0.7", oninput: (e) => { state.text = e.target.value; }, onchange: use });
    text.value = state.text;
    const over = make("input", { type: "checkbox", checked: state.used, "data-act": "use-rules", onchange: (e) => { state.used = e.target.checked; use(); } });
    place.replaceChildren(
      make("div", { class: "md-two" },
        make("div", {},
          make("div", { class: "md-head" }, make("b", {}, "Rules"), make("span", { class: "md-hint" }, "blocks, ranges, groups, names of tensors, presets; the most specific wins, of equals the later")),
          text,
          make("div", { class: "md-toolbar" },
            button("Test", "Tell which tensors each rule hits, and what each block ends with", () => test("test"), { "data-act": "test-rules" }),
            button("Put on the faders", "Set every fader to what most of its tensors end with", () => test("spread"), { "data-act": "spread-rules" }),
            make("label", { class: "md-check", title: "Rules win over the faders wherever they hit" }, over, "use over the faders")),
          make("div", { class: "md-presets", "data-part": "names" }),
          dice(),
          make("div", { "data-part": "adjust" })),
        make("div", { "data-part": "trial" }, make("p", { class: "md-hint" }, "Test tells here what each rule hits."))));
    ask("try", { action: "open", family: family() });
    showTrial();
  }

  // --- random numbers ---

  function dice() {
    const { roll } = state;
    const set = (name, value) => { roll[name] = value; };
    const number = (name, title) => make("label", { class: "md-field", title }, name, make("input", { type: "number", step: name === "seed" ? 1 : 0.05, value: roll[name], "data-roll": name,
      onchange: (e) => set(name, Number(e.target.value)) }));
    const choose = (name, words) => make("select", { "aria-label": name, "data-roll": name, onchange: (e) => set(name, e.target.value) },
      Object.entries(words).map(([value, told]) => make("option", { value, selected: value === roll[name] }, told)));
    const go = (fresh) => {
      if (fresh) set("seed", Math.floor(Math.random() * 1e6));
      const seed = $("[data-roll=seed]");
      if (seed) seed.value = roll.seed;
      state.text = drawn();
      part("rules").value = state.text;
      if (roll.each === "key") { state.used = true; $("[data-act=use-rules]").checked = true; use(); test("test"); } else test("spread");
    };
    return make("div", { class: "md-dice" },
      make("div", { class: "md-head" }, make("b", {}, "Random weights"), make("span", { class: "md-hint" }, "the recipe keeps the rule with its seed, or the numbers that it put on the faders")),
      make("div", { class: "md-toolbar" },
        choose("kind", { uniform: "uniform", normal: "normal, cut off" }), number("low", "the least"), number("high", "the most"),
        number("mean", "of normal"), number("deviation", "of normal"), choose("each", { block: "for each block", key: "for each tensor" }), number("seed", "the same seed draws the same numbers"),
        button("Draw", "Draw with this seed", () => go(false), { "data-act": "roll" }),
        button("Draw anew", "Draw with another seed", () => go(true), { "data-act": "roll-anew" })));
  }

  // --- adjust ---

  function drawAdjust() {
    const send = () => {
      const numbers = state.knobs.map(({ name }) => state.adjust[name] ?? 0);
      faders.extra("adjust", numbers.some(Boolean) ? numbers.map(tidy).join(", ") : "");
    };
    const slider = ({ name, low, high, help }) => make("label", { class: "md-knob md-wide", title: help, "data-adjust": name }, name.replace(/_/g, " "),
      make("input", { type: "range", class: "md-range", min: low, max: high, step: 0.1, value: state.adjust[name] ?? 0,
        oninput: (e) => { state.adjust[name] = Number(e.target.value); e.target.nextSibling.textContent = e.target.value; },
        onchange: send, ondblclick: (e) => { e.target.value = 0; state.adjust[name] = 0; e.target.nextSibling.textContent = 0; send(); } }),
      make("output", {}, tidy(state.adjust[name] ?? 0)));
    part("adjust")?.replaceChildren(
      make("div", { class: "md-head" }, make("b", {}, "Adjust"), make("span", { class: "md-hint" }, "detail, contrast, brightness and colour, after any method; a double click resets")),
      make("div", { class: "md-adjust" }, state.knobs.map(slider)));
  }

  function drawNames() {
    part("names")?.replaceChildren(
      make("div", { class: "md-head" }, make("b", {}, "Presets by name"), make("span", { class: "md-hint" }, "a click writes it into the rules; mix them: 0.5*GRAD_V + 0.5*COSINE")),
      make("div", { class: "md-words-of" }, state.names.map(([name, about]) => make("button", { type: "button", class: "md-button", title: about || name, "data-name": name,
        onclick: () => { state.text = state.text.trim() ? `${state.text.trimEnd()}\n${name}` : name; part("rules").value = state.text; use(); } }, name))));
  }

  // --- what the rules do ---

  function showTrial() {
    const place = part("trial");
    const trial = state.trial;
    if (!place || !trial) return;
    if (trial.problem) { place.replaceChildren(problemBox(trial.problem)); return; }
    const row = (...cells) => make("tr", {}, cells.map((cell) => make("td", {}, cell)));
    const most = Math.max(1, ...Object.values(trial.ways).map((ways) => Object.values(ways).reduce((sum, n) => sum + n, 0)));
    const bar = (count) => make("i", { class: "md-bar", style: `width:${(count / most) * 90 + 2}px` });
    place.replaceChildren(
      make("div", { class: "md-head" }, make("b", {}, trial.model), make("span", { class: "md-hint" }, "how many tensors each rule hits, and of how many it has the last word")),
      make("table", { class: "md-table" }, make("tr", {}, ["rule", "hits", "decides", ""].map((word) => make("th", {}, word))),
        trial.hits.map((hit) => row(hit.line, hit.hits, hit.wins, make("code", {}, hit.text)))),
      make("table", { class: "md-table" }, make("tr", {}, ["block", "tensors", "end with"].map((word) => make("th", {}, word))),
        Object.entries(trial.ways).sort(([one], [other]) => one.localeCompare(other)).map(([slot, ways]) =>
          Object.entries(ways).sort((one, other) => other[1] - one[1]).map(([told, count], n) => row(n ? "" : slot, [bar(count), ` ${count}`], told)))));
  }

  const hear = {
    trial(trial) {
      if (trial.action === "open") {
        state.knobs = trial.adjust;
        (state.brought ?? "").split(",").forEach((number, n) => { if (state.knobs[n]) state.adjust[state.knobs[n].name] = Number(number) || 0; });
        state.names = trial.names;
        const rules = part("rules");
        if (rules) rules.placeholder = trial.text;
        drawAdjust();
        drawNames();
        return;
      }
      state.trial = trial;
      showTrial();
      if (trial.action === "spread" && !trial.problem) {
        state.used = false;
        const over = $("[data-act=use-rules]");
        if (over) over.checked = false;
        use();
        const known = faders.slots();
        if (faders.unused()) part("trial")?.prepend(make("p", { class: "md-empty" }, faders.unused()));
        faders.set({ alpha: Object.fromEntries(Object.entries(trial.slots).filter(([slot]) => known.includes(slot))) });
      }
    },
  };
  /** Another room has set the desk up: what it brought stands here too. */
  document.addEventListener("merge-desk-extra", ({ detail: { name, value } }) => {
    if (name === "adjust") {
      const numbers = value.split(",").map(Number);
      state.knobs.forEach((knob, n) => { state.adjust[knob.name] = numbers[n] || 0; });
      state.brought = value;
      drawAdjust();
    } else if (name === "weights" && value !== (state.used ? state.text : "")) {
      Object.assign(state, { used: !!value, text: value || state.text });
      const rules = part("rules");
      if (rules) { rules.value = state.text; $("[data-act=use-rules]").checked = state.used; }
    }
  });

  room("weights", { draw, hear });
})();
