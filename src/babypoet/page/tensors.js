/**
 * Rows of numbers, cut, joined, added and multiplied: what numpy is for reference.py.
 *
 *     const x = empty(3, 128);               // (3, 128), all zero
 *     const heads = splitHeads(x, 4);        // (4, 3, 32)
 *     dotProducts(x.data, weight, y.data, 3, 81, 128);
 *
 * Letters stand for sizes as in engine.js. Nothing here knows what the numbers mean.
 */

/**
 * Numbers in rows, as numpy keeps them: the last axis lies together.
 *
 * @typedef {{ shape: number[], data: Float32Array }} Tensor
 */

/**
 * @param {...number} shape
 * @returns {Tensor}
 */
export function empty(...shape) {
  return { shape, data: new Float32Array(shape.reduce((size, axis) => size * axis, 1)) };
}

/**
 * How many vectors a tensor holds, and how long they are: all axes but the last, and the last.
 *
 * @param {Tensor} x
 * @returns {[rows: number, width: number]}
 */
export function rowsOf({ shape, data }) {
  const width = shape[shape.length - 1];
  return [data.length / width, width];
}

/**
 * The rows of a table that the ids name: (R, C) -> (T, C).
 *
 * @param {Tensor} table
 * @param {number[]} ids
 */
export function lookUp(table, ids) {
  const C = table.shape[1];
  const y = empty(ids.length, C);
  ids.forEach((id, t) => y.data.set(table.data.subarray(id * C, id * C + C), t * C));
  return y;
}

/**
 * `count` rows of a table from row `start` on: (rows, C) -> (count, C).
 *
 * @param {Tensor} table
 * @param {number} start
 * @param {number} count
 * @returns {Tensor}
 */
export function stretch(table, start, count) {
  const C = table.shape[1];
  return { shape: [count, C], data: table.data.slice(start * C, (start + count) * C) };
}

/**
 * The first `V` numbers of each row: (T, R) -> (T, V).
 *
 * @param {Tensor} x
 * @param {number} V
 */
export function firstOf(x, V) {
  const [T, R] = rowsOf(x);
  const y = empty(T, V);
  for (let t = 0; t < T; t++) y.data.set(x.data.subarray(t * R, t * R + V), t * V);
  return y;
}

/**
 * The sum, number by number; same shape.
 *
 * @param {Tensor} a
 * @param {Tensor} b
 */
export function plus(a, b) {
  const y = empty(...a.shape);
  for (let i = 0; i < y.data.length; i++) y.data[i] = a.data[i] + b.data[i];
  return y;
}

/**
 * (T, heads * D) -> (heads, T, D)
 *
 * @param {Tensor} x
 * @param {number} heads
 */
export function splitHeads(x, heads) {
  const [T, width] = rowsOf(x);
  const D = width / heads;
  const y = empty(heads, T, D);
  for (let t = 0; t < T; t++) {
    for (let h = 0; h < heads; h++) {
      const from = t * width + h * D;
      y.data.set(x.data.subarray(from, from + D), (h * T + t) * D);
    }
  }
  return y;
}

/**
 * (heads, T, D) -> (T, heads * D)
 *
 * @param {Tensor} x
 */
export function joinHeads(x) {
  const [heads, T, D] = x.shape;
  const y = empty(T, heads * D);
  for (let h = 0; h < heads; h++) {
    for (let t = 0; t < T; t++) {
      const from = (h * T + t) * D;
      y.data.set(x.data.subarray(from, from + D), (t * heads + h) * D);
    }
  }
  return y;
}

/**
 * One head's part of (heads, T, D), which can be written to: T * D numbers.
 *
 * @param {Tensor} x
 * @param {number} h
 */
export function headOf(x, h) {
  const size = x.shape[1] * x.shape[2];
  return x.data.subarray(h * size, (h + 1) * size);
}

// --- products -------------------------------------------------------------------------------------

/**
 * The dot product of each row of x with each row of w: (T, n), (R, n) -> (T, R), into `y`.
 *
 * Rows of w begin `stride` numbers apart. Nearly all time is spent here. Eight sums are made at once,
 * of which none waits for another: two positions with four rows, or, where only one is new, eight
 * rows. So a number that was fetched serves several times.
 *
 * @param {Float32Array} x
 * @param {Float32Array} w
 * @param {Float32Array} y
 * @param {number} T
 * @param {number} R
 * @param {number} n
 * @param {number} stride
 */
export function dotProducts(x, w, y, T, R, n, stride = n) {
  let t = 0;
  for (; t + 2 <= T; t += 2) twoPositions(x, w, y, t, R, n, stride);
  if (t < T) onePosition(x, w, y, t, R, n, stride);
}

/**
 * `dotProducts` of the positions t and t + 1.
 *
 * @param {Float32Array} x
 * @param {Float32Array} w
 * @param {Float32Array} y
 * @param {number} t
 * @param {number} R
 * @param {number} n
 * @param {number} stride
 */
function twoPositions(x, w, y, t, R, n, stride) {
  const xa = t * n, xb = xa + n, ya = t * R, yb = ya + R;
  let r = 0;
  for (; r + 4 <= R; r += 4) {
    const w0 = r * stride;
    const w1 = w0 + stride, w2 = w1 + stride, w3 = w2 + stride;
    let a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    let b0 = 0, b1 = 0, b2 = 0, b3 = 0;
    for (let i = 0; i < n; i++) {
      const a = x[xa + i];
      const b = x[xb + i];
      const v0 = w[w0 + i];
      const v1 = w[w1 + i];
      const v2 = w[w2 + i];
      const v3 = w[w3 + i];
      a0 += a * v0;
      a1 += a * v1;
      a2 += a * v2;
      a3 += a * v3;
      b0 += b * v0;
      b1 += b * v1;
      b2 += b * v2;
      b3 += b * v3;
    }
    y[ya + r] = a0;
    y[ya + r + 1] = a1;
    y[ya + r + 2] = a2;
    y[ya + r + 3] = a3;
    y[yb + r] = b0;
    y[yb + r + 1] = b1;
    y[yb + r + 2] = b2;
    y[yb + r + 3] = b3;
  }
  for (; r < R; r++) {
    y[ya + r] = dotProduct(x, xa, w, r * stride, n);
    y[yb + r] = dotProduct(x, xb, w, r * stride, n);
  }
}

/**
 * `dotProducts` of the position t.
 *
 * @param {Float32Array} x
 * @param {Float32Array} w
 * @param {Float32Array} y
 * @param {number} t
 * @param {number} R
 * @param {number} n
 * @param {number} stride
 */
function onePosition(x, w, y, t, R, n, stride) {
  const xa = t * n, ya = t * R;
  let r = 0;
  for (; r + 8 <= R; r += 8) {
    const w0 = r * stride;
    const w1 = w0 + stride, w2 = w1 + stride, w3 = w2 + stride, w4 = w3 + stride;
    const w5 = w4 + stride, w6 = w5 + stride, w7 = w6 + stride;
    let a0 = 0, a1 = 0, a2 = 0, a3 = 0, a4 = 0, a5 = 0, a6 = 0, a7 = 0;
    for (let i = 0; i < n; i++) {
      const a = x[xa + i];
      a0 += a * w[w0 + i];
      a1 += a * w[w1 + i];
      a2 += a * w[w2 + i];
      a3 += a * w[w3 + i];
      a4 += a * w[w4 + i];
      a5 += a * w[w5 + i];
      a6 += a * w[w6 + i];
      a7 += a * w[w7 + i];
    }
    y[ya + r] = a0;
    y[ya + r + 1] = a1;
    y[ya + r + 2] = a2;
    y[ya + r + 3] = a3;
    y[ya + r + 4] = a4;
    y[ya + r + 5] = a5;
    y[ya + r + 6] = a6;
    y[ya + r + 7] = a7;
  }
  for (; r < R; r++) y[ya + r] = dotProduct(x, xa, w, r * stride, n);
}

/**
 * The dot product of `n` numbers of x and of w, from these places on.
 *
 * @param {Float32Array} x
 * @param {number} xFrom
 * @param {Float32Array} w
 * @param {number} wFrom
 * @param {number} n
 */
function dotProduct(x, xFrom, w, wFrom, n) {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += x[xFrom + i] * w[wFrom + i];
  return sum;
}
