"use strict";
/* The tab Mix: a curve over all blocks, IN to OUT, that is drawn with the pointer or with the arrow keys. */
{
  const [WIDE, HIGH] = [520, 90]; // of the drawing, in its own units
  const TITLE = "Curve over the blocks: Left and Right choose a block, Up and Down set it";

  /** @param {DeskPage} page */
  function create({ state, mix }) {
    const { clamp } = globalThis.mergeDesk.state;
    const { lineBetween, slotOrder, snap } = globalThis.mergeDesk.faderGroups;
    const { amountText } = globalThis.mergeDesk.numberInput;
    const { find, part, make, draw: drawing, button } = globalThis.mergeDesk.dom;
    let open = false;
    let at = 0; // the block of the keyboard's cursor
    /** Where the pen is, while it draws. @type {{ n: number, amount: number } | null} */
    let pen = null;

    /** The blocks, without text encoders and what is outside of the blocks. */
    function blocks() {
      const ui = /** @type {Desk.UiState} */ (state.ui);
      const { left, middle, right } = ui.fader_layout;
      const drawn = slotOrder(ui).filter((slot) => [...left, ...middle, ...right].includes(slot));
      return drawn.filter((slot) => !(slot in ui.disabled_faders));
    }

    // --- drawing ---

    /** @param {PointerEvent} e @returns {{ n: number, amount: number }} */
    function place(e) {
      const box = /** @type {Element} */ (e.currentTarget).getBoundingClientRect();
      const { low, high } = state.range();
      const n = Math.floor(((e.clientX - box.left) / box.width) * blocks().length);
      const amount = high - ((e.clientY - box.top) / box.height) * (high - low);
      return { n: clamp(n, 0, blocks().length - 1), amount };
    }
    /** @param {PointerEvent} e */
    function begin(e) {
      if (e.button || !blocks().length) return;
      e.preventDefault();
      /** @type {HTMLElement} */ (e.currentTarget).focus({ preventScroll: true });
      /** @type {Element} */ (e.currentTarget).setPointerCapture(e.pointerId);
      pen = place(e);
      moveTo([pen]);
    }
    /** @param {PointerEvent} e */
    function follow(e) {
      if (!pen) return;
      const next = place(e);
      moveTo(lineBetween(pen, next));
      pen = next;
    }
    function end() {
      if (!pen) return;
      at = pen.n;
      pen = null;
      if (state.settle("")) mix.edit(() => {});
    }
    /** @param {{ n: number, amount: number }[]} points */
    function moveTo(points) {
      const slots = blocks();
      const amounts = points.map(({ n, amount }) => [slots[n], snap(amount, state.range())]);
      state.moveEach(Object.fromEntries(amounts));
      mix.show();
    }
    /** @param {KeyboardEvent} e */
    function onKey(e) {
      const last = blocks().length - 1;
      const { step } = state.range();
      /** @type {Record<string, number>} */
      const along = { ArrowLeft: -1, ArrowRight: 1, Home: -last, End: last };
      /** @type {Record<string, number>} */
      const up = { ArrowUp: step, ArrowDown: -step, PageUp: 10 * step, PageDown: -10 * step };
      if (!(e.key in along) && !(e.key in up)) return;
      e.preventDefault();
      e.stopPropagation();
      at = clamp(at + (along[e.key] ?? 0), 0, last);
      const slot = blocks()[at];
      if (!(e.key in up)) show();
      else {
        moveTo([{ n: at, amount: state.amountOf(slot) + up[e.key] }]);
        if (state.settle(`curve ${slot}`)) mix.edit(() => {});
      }
    }

    // --- showing ---

    function toggleButton() {
      const flip = () => {
        open = !open;
        mix.show();
      };
      const title = "Draw a curve over all blocks, from the first IN to the last OUT";
      return button("Draw a curve", title, flip, { "data-act": "curve", "data-needs-faders": true });
    }
    function draw() {
      const svg = drawing("svg", {
        ...{ viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", class: "md-curve", tabindex: 0 },
        ...{ role: "slider", "aria-label": TITLE, "data-part": "curve-drawing" },
        ...{ onpointerdown: begin, onpointermove: follow, onpointerup: end, onpointercancel: end },
        onkeydown: onKey,
      });
      return make("div", { class: "md-curve-panel", "data-part": "curve", hidden: true }, svg, make("p"));
    }
    /** One block's bar, from 0 or the nearer end of the range.
     * @param {string} slot @param {number} n @param {number} wide */
    function bar(slot, n, wide) {
      const { low, high } = state.range();
      const y = (/** @type {number} */ amount) => ((high - clamp(amount, low, high)) / (high - low)) * HIGH;
      const [top, bottom] = [y(state.amountOf(slot)), y(0)].sort((a, b) => a - b);
      const side = `${(n * wide + 1).toFixed(1)} ${top.toFixed(1)}h${(wide - 2).toFixed(1)}`;
      const d = `M${side}V${Math.max(bottom, top + 1.5).toFixed(1)}h${(2 - wide).toFixed(1)}Z`;
      const kind = state.toggles.lock.has(slot) ? "md-locked-bar" : n === at ? "md-bar-at" : "";
      return drawing("path", { d, class: `md-bar ${kind}` });
    }
    function show() {
      const panel = part("curve");
      const svg = find("[data-part=curve-drawing]");
      find("[data-act=curve]")?.setAttribute("aria-pressed", String(open));
      if (!panel || !svg) return;
      const slots = blocks();
      panel.hidden = !open || !slots.length || !!state.ui?.no_block_weights || !!state.ui?.next_step;
      if (panel.hidden) return;
      at = clamp(at, 0, slots.length - 1);
      svg.replaceChildren(...slots.map((slot, n) => bar(slot, n, WIDE / slots.length)));
      const { low, high } = state.range();
      const text = `${slots[at]} ${amountText(state.amountOf(slots[at]), { low, high })}`;
      const said = { valuemin: low, valuemax: high, valuenow: state.amountOf(slots[at]), valuetext: text };
      for (const [name, value] of Object.entries(said)) svg.setAttribute(`aria-${name}`, String(value));
      const ends = [slots[0], text, slots.at(-1) ?? ""];
      panel.lastElementChild?.replaceChildren(...ends.map((each) => make("span", {}, each)));
    }
    return { toggleButton, draw, show };
  }

  const curve = { create };
  if (typeof module !== "undefined") module.exports = curve;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, curve };
}
