/**
 * The map of the letters: the two directions in which the rows of the embedding table differ most.
 *
 * Principal components by power iteration (Hotelling 1933): a vector multiplied by the table's
 * covariance again and again turns towards the direction of the largest spread. It starts from the
 * same vector every time, so the same table gives the same map. The letters are placed, not sorted
 * into kinds: what lies together was put together by training.
 */

import { h, svg } from "./dom.js";
import { figure, table, value } from "./figures.js";
import { glyph, phrase, say } from "./strings.js";
import { quoted } from "./room-words.js";

/** @typedef {import("./room-traced.js").Traced} Traced */

const MOST = 300; // letters drawn; beyond it a map is a blot
const [WIDTH, HEIGHT, EDGE] = [640, 440, 26];

/**
 * The covariance of the columns of `rows` centred rows: (count, C) -> (C, C).
 *
 * @param {Float64Array} centred
 * @param {number} count
 * @param {number} C
 */
function covariance(centred, count, C) {
  const matrix = new Float64Array(C * C);
  for (let r = 0; r < count; r++) {
    const row = centred.subarray(r * C, (r + 1) * C);
    for (let i = 0; i < C; i++) {
      for (let j = 0; j < C; j++) matrix[i * C + j] += (row[i] * row[j]) / count;
    }
  }
  return matrix;
}

/**
 * The direction of the largest spread, at right angles to those already `found`: (C,), of length 1.
 * Its largest entry is positive, since a direction has no sign of its own.
 *
 * @param {Float64Array} matrix
 * @param {number} C
 * @param {Float64Array[]} found
 */
function direction(matrix, C, found) {
  let x = Float64Array.from({ length: C }, (_, i) => 1 + i / C);
  for (let round = 0; round < 3000; round++) {
    const y = new Float64Array(C);
    for (let i = 0; i < C; i++) for (let j = 0; j < C; j++) y[i] += matrix[i * C + j] * x[j];
    for (const other of found) {
      const shared = y.reduce((sum, yi, i) => sum + yi * other[i], 0);
      for (let i = 0; i < C; i++) y[i] -= shared * other[i];
    }
    const length = Math.hypot(...y) || 1;
    let moved = 0;
    for (let i = 0; i < C; i++) {
      y[i] /= length;
      moved = Math.max(moved, Math.abs(y[i] - x[i]));
    }
    x = y;
    if (moved < 1e-12) break;
  }
  const peak = x.reduce((best, xi) => (Math.abs(xi) > Math.abs(best) ? xi : best), 0);
  return peak < 0 ? x.map((xi) => -xi) : x;
}

/**
 * Where each of the first `count` rows of a table lies on its two principal axes, and which share of
 * all spread each axis keeps.
 *
 * @param {ArrayLike<number>} data row after row
 * @param {number} count
 * @param {number} C
 */
export function principal(data, count, C) {
  const centred = new Float64Array(count * C);
  for (let j = 0; j < C; j++) {
    let sum = 0;
    for (let r = 0; r < count; r++) sum += data[r * C + j];
    for (let r = 0; r < count; r++) centred[r * C + j] = data[r * C + j] - sum / count;
  }
  const matrix = covariance(centred, count, C);
  let spread = 0;
  for (let i = 0; i < C; i++) spread += matrix[i * C + i];
  /** @type {Float64Array[]} */
  const axes = [];
  for (let axis = 0; axis < Math.min(2, C); axis++) axes.push(direction(matrix, C, axes));
  const points = Array.from({ length: count }, (_, r) =>
    axes.map((axis) => axis.reduce((sum, a, i) => sum + a * centred[r * C + i], 0)),
  );
  const shares = axes.map((_, axis) => {
    const kept = points.reduce((sum, point) => sum + point[axis] ** 2, 0) / count;
    return spread > 0 ? kept / spread : 0;
  });
  return { points, shares };
}

/**
 * Which characters are drawn: those of the reader's text first, then by id, up to MOST.
 *
 * @param {Traced} traced
 */
function drawn(traced) {
  const count = traced.page.data.characters.length;
  const order = new Set([...traced.ids, ...Array.from({ length: count }, (_, id) => id)]);
  return [...order].slice(0, MOST);
}

/**
 * The nearest other row of the whole table for the text's first letters, as one sentence: the map
 * shows only two of its directions.
 *
 * @param {Traced} traced
 * @param {{shape: number[], data: Float32Array}} weight
 */
function neighbours(traced, weight) {
  const { data } = traced.page;
  const C = weight.shape[1];
  const ids = [...new Set(traced.ids)].slice(0, 4);
  const pairs = ids.map((id) => {
    let best = -1;
    let nearest = Infinity;
    for (let other = 0; other < data.characters.length; other++) {
      let distance = 0;
      for (let i = 0; i < C; i++) {
        distance += (weight.data[other * C + i] - weight.data[id * C + i]) ** 2;
      }
      if (other === id || distance >= nearest) continue;
      nearest = distance;
      best = other;
    }
    if (best < 0) return "";
    return say("room.map.near", {
      letter: quoted(data.characters[id]),
      other: quoted(data.characters[best]),
    });
  });
  return say("room.map.neighbours", { pairs: pairs.join(", ") });
}

/**
 * The map of the model's embedding table.
 *
 * @param {Traced} traced
 * @param {string} tensor the table's name
 */
export function letterMap(traced, tensor) {
  const { data } = traced.page;
  const weight = traced.weight(tensor);
  const count = data.characters.length;
  const { points, shares } = principal(weight.data, count, weight.shape[1]);
  const shown = drawn(traced);
  const limits = [0, 1].map((axis) => {
    const all = shown.map((id) => points[id][axis] ?? 0);
    return [Math.min(...all), Math.max(...all)];
  });
  /** @type {(id: number, axis: number, size: number) => number} */
  const place = (id, axis, size) => {
    const [low, high] = limits[axis];
    const share = high > low ? ((points[id][axis] ?? 0) - low) / (high - low) : 0.5;
    return EDGE + share * (size - 2 * EDGE);
  };
  const own = new Set(traced.ids);
  // the text's letters last, so that they lie on top
  const letters = [...shown].reverse().map((id) =>
    svg(
      "text",
      {
        x: place(id, 0, WIDTH).toFixed(1),
        y: (HEIGHT - place(id, 1, HEIGHT)).toFixed(1),
        class: own.has(id) ? "own" : "",
      },
      glyph(data.characters[id]),
    ),
  );
  const title = say("room.map.label", { count: shown.length });
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title },
    svg("line", { class: "axis", x1: 6, x2: WIDTH - 6, y1: HEIGHT - 6, y2: HEIGHT - 6 }),
    svg("line", { class: "axis", x1: 6, x2: 6, y1: 6, y2: HEIGHT - 6 }),
    letters,
  );
  const caption = h(
    "div",
    null,
    phrase("room.map.caption", {
      first: value(shares[0], "map.share", "0", { percent: true }),
      second: value(shares[1] ?? 0, "map.share", "1", { percent: true }),
    }),
    shown.length < count ? h("span", null, " ", phrase("room.map.some", { shown: shown.length, count: value(count, "characters.length", "", { digits: 0 }) })) : "",
    " ",
    neighbours(traced, weight),
  );
  return figure({
    label: title,
    caption,
    picture,
    kind: "letter-map",
    table: () =>
      table({
        caption: title,
        columns: [say("room.map.letter"), say("room.map.axis", { axis: 1 }), say("room.map.axis", { axis: 2 })],
        rows: points.map((point, id) => [
          quoted(data.characters[id]),
          ...point.map((x, axis) => ({ v: x, name: "map", index: `${id},${axis}` })),
        ]),
      }),
  });
}
