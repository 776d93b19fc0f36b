"use strict";
/* Colours for numbers: matplotlib's cividis, which looks the same to colour-blind eyes and rises evenly in grey; and
 * colours of lines that all can tell apart. Pure. */
{
  /** Every 16th of matplotlib 3's "cividis", red, green and blue. */
  const CIVIDIS = [
    [0, 34, 78],
    [0, 46, 106],
    [26, 56, 111],
    [50, 67, 109],
    [67, 78, 108],
    [83, 90, 109],
    [97, 101, 111],
    [111, 112, 115],
    [125, 124, 120],
    [140, 136, 120],
    [155, 148, 118],
    [171, 160, 114],
    [188, 174, 108],
    [205, 187, 99],
    [222, 201, 88],
    [240, 216, 70],
    [254, 232, 56],
  ];
  /** Okabe and Ito's, without black and yellow: https://jfly.uni-koeln.de/color/ */
  const LINE_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
  const DASHES = ["", "7 3", "2 3", "9 3 2 3"];

  /** Between two colours of the scale. @param {number} share from 0 to 1 @returns {number[]} */
  function channels(share) {
    const at = Math.min(1, Math.max(0, share)) * (CIVIDIS.length - 1);
    const low = Math.min(Math.floor(at), CIVIDIS.length - 2);
    return CIVIDIS[low].map((channel, n) =>
      Math.round(channel + (CIVIDIS[low + 1][n] - channel) * (at - low)),
    );
  }
  /** The luminance of a colour, as the contrast of texts is defined by it. @param {number[]} colour */
  function luminance(colour) {
    const [red, green, blue] = colour.map((channel) => {
      const share = channel / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }
  /** A field's colours as style, the text on it in black or white. @param {number} share from 0 to 1 */
  function heatStyle(share) {
    const colour = channels(share);
    const light = luminance(colour);
    const text = (light + 0.05) / 0.05 > 1.05 / (light + 0.05) ? "#000" : "#fff";
    return `background:rgb(${colour.join(" ")});color:${text}`;
  }
  /** A colour of the scale as CSS has it. @param {number} share from 0 to 1 */
  const colourOf = (share) => `rgb(${channels(share).join(" ")})`;
  /** How the line of a model is drawn: no two neighbours by colour alone. @param {number} n */
  const lineStyle = (n) => ({
    colour: LINE_COLOURS[n % LINE_COLOURS.length],
    dash: DASHES[n % DASHES.length],
  });

  const colours = { channels, luminance, heatStyle, colourOf, lineStyle };
  if (typeof module !== "undefined") module.exports = colours;
  else globalThis.mergeDesk = { ...globalThis.mergeDesk, colours };
}
