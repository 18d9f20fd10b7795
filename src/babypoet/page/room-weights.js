/**
 * The engine room's weights: any learned tensor as a heat map, a window of it at a time.
 *
 * These are all the numbers that training found; everything else in the room is worked out from them
 * and the reader's text.
 */

import { h } from "./dom.js";
import { heatmap, value } from "./figures.js";
import { glyph, phrase, say } from "./strings.js";
import { choice, shapeOf } from "./room-figures.js";
import { patternOf } from "./room-traced.js";

/** @typedef {import("./room-traced.js").Traced} Traced */

const SIDE = 64; // rows and columns that are shown at once

/** Tensors that have a row for every character. */
const OF_CHARACTERS = /^(table|wte|embed_tokens|lm_head)\.(weight|bias)$/;

/**
 * The least, the most and the mean of a tensor.
 *
 * @param {ArrayLike<number>} data
 */
function summary(data) {
  let [least, most, sum] = [Infinity, -Infinity, 0];
  for (let i = 0; i < data.length; i++) {
    least = Math.min(least, data[i]);
    most = Math.max(most, data[i]);
    sum += data[i];
  }
  return { least, most, mean: sum / data.length };
}

/**
 * What the rows or columns from `first` on are called.
 *
 * @param {Traced} traced
 * @param {boolean} characters whether they are characters
 * @param {number} first
 * @param {number} count
 */
function labels(traced, characters, first, count) {
  const known = traced.page.data.characters;
  return Array.from({ length: count }, (_, k) => {
    const i = first + k;
    if (!characters) return String(i + 1);
    return i < known.length ? glyph(known[i]) : say(`room.reserved.${i - known.length}`);
  });
}

/**
 * One tensor: what it is, its numbers in short, and a window into it.
 *
 * @param {Traced} traced
 * @param {string} name
 */
function tensorView(traced, name) {
  const { data } = traced.page;
  const weight = traced.weight(name);
  const flat = weight.shape.length === 1;
  const [height, width] = flat ? [1, weight.shape[0]] : weight.shape;
  const { least, most, mean } = summary(weight.data);
  const pattern = patternOf(name);
  const entry = data.weights?.find((/** @type {any} */ one) => one.name === pattern);
  const ofCharacters = OF_CHARACTERS.test(name);
  let [top, left] = [0, 0];

  const view = () => {
    const [rows, columns] = [Math.min(SIDE, height - top), Math.min(SIDE, width - left)];
    const [first, second] = [top, left];
    return {
      name,
      label: name,
      caption: phrase(flat ? "room.weights.window.flat" : "room.weights.window", {
        top: first + 1,
        bottom: first + rows,
        height: flat ? height : value(height, `shape(${name})`, "0", { digits: 0 }),
        left: second + 1,
        right: second + columns,
        width: value(width, `shape(${name})`, flat ? "0" : "1", { digits: 0 }),
      }),
      rows: flat ? [""] : labels(traced, ofCharacters, first, rows),
      columns: labels(traced, ofCharacters && (flat || /^table/.test(name)), second, columns),
      at: (/** @type {number} */ i, /** @type {number} */ j) =>
        weight.data[(first + i) * width + second + j],
      index: (/** @type {number} */ i, /** @type {number} */ j) =>
        flat ? String(second + j) : `${first + i},${second + j}`,
      signed: true,
      max: Math.max(Math.abs(least), Math.abs(most)) || 1, // the same colours in every window
      describe: (/** @type {number} */ i, /** @type {number} */ j) =>
        flat
          ? say("room.weights.place", { column: second + j + 1 })
          : say("room.weights.cell", { row: first + i + 1, column: second + j + 1 }),
    };
  };
  const map = heatmap(view());
  /** @type {{button: HTMLButtonElement, can: () => boolean}[]} */
  const turns = [];
  /**
   * @param {string} key
   * @param {() => boolean} can
   * @param {() => void} move
   */
  const turn = (key, can, move) => {
    const button = h(
      "button",
      {
        type: "button",
        onclick: () => {
          if (!can()) return;
          move();
          map.update(view());
          ends();
        },
      },
      say(key),
    );
    turns.push({ button, can });
    return button;
  };
  const ends = () => {
    for (const { button, can } of turns) button.setAttribute("aria-disabled", String(!can()));
  };
  const pages = [
    ...(width > SIDE
      ? [
          turn("room.weights.left", () => left > 0, () => (left -= SIDE)),
          turn("room.weights.right", () => left + SIDE < width, () => (left += SIDE)),
        ]
      : []),
    ...(height > SIDE
      ? [
          turn("room.weights.up", () => top > 0, () => (top -= SIDE)),
          turn("room.weights.down", () => top + SIDE < height, () => (top += SIDE)),
        ]
      : []),
  ];
  ends();
  return h(
    "div",
    { class: "explained" },
    h(
      "div",
      { class: "meaning" },
      h("h4", null, h("code", null, name)),
      h("p", null, say(`weight.${pattern}`)),
      h(
        "dl",
        { class: "facts" },
        h(
          "div",
          null,
          h("dt", null, say("room.shape")),
          h("dd", null, shapeOf(name, weight.shape, entry?.shape)),
        ),
        ...[
          ["minimum", least],
          ["maximum", most],
          ["mean", mean],
        ].map(([what, number]) =>
          h(
            "div",
            null,
            h("dt", null, say(`room.weights.${what}`)),
            h("dd", null, value(Number(number), `${what}(${name})`)),
          ),
        ),
      ),
    ),
    pages.length ? h("div", { class: "row ends" }, pages) : null,
    map,
  );
}

/**
 * A list of all tensors, and the chosen one.
 *
 * @param {Traced} traced
 */
export function weightsCard(traced) {
  const names = [...traced.engine.weights.keys()];
  const place = h("div", null, tensorView(traced, names[0]));
  return [
    h(
      "div",
      { class: "row ends" },
      choice(
        say("room.weights.choose"),
        names.map((name) => ({ value: name, text: name })),
        names[0],
        (name) => place.replaceChildren(tensorView(traced, name)),
      ),
    ),
    place,
  ];
}
