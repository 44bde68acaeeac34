// Elements, and how values are written. Texts of the results only ever become text nodes.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/** Words that only a screen reader tells. */
const spoken = (text) => h("span", { class: "spoken" }, text);

/** A text of a file in its own direction; characters that would reorder it are shown instead. */
const written = (text, cls) =>
  h(
    "bdi",
    { class: cls },
    String(text).replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (character) => `[U+${character.charCodeAt(0).toString(16)}]`)
  );

const identifier = (text) => written(text, "id");

const unknown = () => h("span", { class: "unknown" }, "unknown");

/** The same in a narrow cell. */
const questioned = () => h("span", { class: "unknown" }, h("span", { "aria-hidden": "true" }, "?"), spoken("unknown"));

/** A probability as a percentage; only a certain one is 0 or 100. */
function percent(p) {
  if (p === 0 || p === 1) return `${100 * p} %`;
  if (p < 0.0005) return "<0.1 %";
  if (p > 0.9995) return ">99.9 %";
  return `${(100 * p).toFixed(1)} %`;
}

/** A chance, given the chance that all fails: several uncertain things never make a certain one. */
function chanceText(fails) {
  if (fails > 0 && fails < 0.0005) return ">99.9 %";
  return percent(1 - fails);
}

/** A number that depends on ambiguities: best to worst case. */
const span = ([best, worst]) => (best === worst ? `${best}` : `${best}–${worst}`);

const grouped = (number) => number.toLocaleString("en");
const plural = (number, word) => `${grouped(number)} ${word}${number === 1 ? "" : "s"}`;
const short = (number, digits) => String(Number(number.toFixed(digits)));
