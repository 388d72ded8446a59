// Colours for values: as many as there are values, none twice, neighbours in the list far apart.

const STATUS = {
  light: { kept: "#3b6fd4", "held out": "#b9770e", sealed: "#8a5bd0", removed: "#c9404c", synthetic: "#1f9d6b" },
  dark: { kept: "#7ea6ff", "held out": "#f0b458", sealed: "#b894f5", removed: "#ff7f88", synthetic: "#5fd7a2" },
};
const RAMP = {
  light: [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [214, 202, 30]],
  dark: [[126, 87, 194], [92, 128, 214], [53, 183, 160], [134, 219, 110], [253, 231, 70]],
};
const GREY = { light: [150, 158, 167], dark: [98, 108, 119] };

/** OKLCH to sRGB, 0 … 255. Björn Ottosson, "A perceptual color space for image processing", 2020. */
function oklch(light, chroma, hue) {
  const a = chroma * Math.cos(hue);
  const b = chroma * Math.sin(hue);
  const [l, m, s] = [
    light + 0.3963377774 * a + 0.2158037573 * b,
    light - 0.1055613458 * a - 0.0638541728 * b,
    light - 0.0894841775 * a - 1.291485548 * b,
  ].map((value) => value ** 3);
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((value) => {
    const kept = Math.min(1, Math.max(0, value));
    return Math.round(255 * (kept <= 0.0031308 ? 12.92 * kept : 1.055 * kept ** (1 / 2.4) - 0.055));
  });
}

const GOLDEN = 2.399963; // radians: each hue stands far from the last few
const TIERS = { light: [0.62, 0.52, 0.71], dark: [0.74, 0.64, 0.83] };

function nth(place, theme) {
  const tier = Math.floor(place / 7) % 3;
  return oklch(TIERS[theme][tier], tier === 2 ? 0.11 : 0.135, 4.4 + GOLDEN * place);
}

function hex(text) {
  return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
}

/** The colours of a colouring as `about` tells it: for each code [r, g, b]. */
export function colours(colouring, theme) {
  let place = 0;
  return colouring.values.map(({ value }) => {
    if (value === "" || (colouring.by === "cluster" && value === "-1")) return GREY[theme];
    if (colouring.by === "status") return hex(STATUS[theme][value] ?? STATUS[theme].kept);
    return nth(place++, theme);
  });
}

/** The colour of an amount between low and high. */
export function ramp(value, low, high, theme) {
  if (Number.isNaN(value)) return GREY[theme];
  const stops = RAMP[theme];
  const share = Math.min(1, Math.max(0, (value - low) / (high - low || 1))) * (stops.length - 1);
  const at = Math.min(stops.length - 2, Math.floor(share));
  return stops[at].map((from, n) => Math.round(from + (stops[at + 1][n] - from) * (share - at)));
}

export const css = ([red, green, blue], alpha = 1) => `rgb(${red} ${green} ${blue} / ${alpha})`;
export const ghost = (theme) => hex(STATUS[theme].removed);
export const grey = (theme) => GREY[theme];
