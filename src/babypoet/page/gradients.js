/**
 * The backward pass of every rung by hand: gradients.py again, for the page.
 *
 *     const values = engine.trace(ids);                 // the forward pass, each value by its name
 *     const found = backward(engine, values, target);   // the letter after the last one was `target`
 *     found.loss                                        // -log p(target), in nats
 *     found.values.get("blocks.0.attention.weights")    // (H, T, T)
 *     found.weights.get("layers.0.mlp.up_proj.weight")  // (F, C)
 *     stepped(engine, found, 0.001)                     // the same model, one small step further down
 *
 * Functions, names and order are those of gradients.py; read them side by side, each beside the one
 * of engine.js that bears its name. Why each line is as it is stands there. `d` is the gradient of a
 * function's result, `dX` that of its x. Sums are made in double precision and every result is stored
 * in single. Nothing is worked on in place, so a gradient may stand under two names.
 *
 * Here the loss is that of one letter, the one after the last position; no batches, no optimizer.
 *
 * Dimension key: engine.js's. A window is read at once, so N = T.
 */

import { Engine } from "./engine.js";
import { dotProducts, empty, firstOf, headOf, joinHeads, plus, rowsOf, splitHeads } from "./tensors.js";

/** @typedef {import("./tensors.js").Tensor} Tensor */

/** @typedef {import("./engine.js").Value} Value */

/** @typedef {(name: string, gradient: Tensor) => Tensor} Note */

/**
 * A loss, and what it says to every number.
 *
 * @typedef {object} Gradients
 * @property {number} loss in nats
 * @property {Map<string, Tensor>} values the gradient of each value between the weights and the loss,
 *   in the order of the trace
 * @property {Map<string, Tensor>} weights the gradient of each learned tensor, under its name
 */

/**
 * What `note` is while nobody looks.
 *
 * @type {Note}
 */
function unseen(name, gradient) {
  return gradient;
}

// --- products -------------------------------------------------------------------------------------

/**
 * Add a @ b to y: a (n, m), b (m, width), y (n, width).
 *
 * @param {Float32Array} a
 * @param {Float32Array} b
 * @param {Float32Array} y
 * @param {number} n
 * @param {number} m
 * @param {number} width
 */
function addProduct(a, b, y, n, m, width) {
  const sum = new Float64Array(width);
  for (let r = 0; r < n; r++) {
    const row = y.subarray(r * width, (r + 1) * width);
    sum.set(row);
    for (let j = 0; j < m; j++) {
      const v = a[r * m + j];
      if (v === 0) continue; // most positions say nothing at first
      for (let i = 0, at = j * width; i < width; i++) sum[i] += v * b[at + i];
    }
    row.set(sum);
  }
}

/**
 * Add a^T @ b to y: a (n, m), b (n, width), y (m, width).
 *
 * @param {Float32Array} a
 * @param {Float32Array} b
 * @param {Float32Array} y
 * @param {number} n
 * @param {number} m
 * @param {number} width
 */
function addTransposedProduct(a, b, y, n, m, width) {
  const sum = new Float64Array(width);
  for (let r = 0; r < m; r++) {
    const row = y.subarray(r * width, (r + 1) * width);
    sum.set(row);
    for (let j = 0; j < n; j++) {
      const v = a[j * m + r];
      if (v === 0) continue;
      for (let i = 0, at = j * width; i < width; i++) sum[i] += v * b[at + i];
    }
    row.set(sum);
  }
}

/**
 * A vector of sums as a tensor: (C,).
 *
 * @param {Float64Array} sums
 * @returns {Tensor}
 */
function vector(sums) {
  return { shape: [sums.length], data: Float32Array.from(sums) };
}

// --- the arithmetic, backwards --------------------------------------------------------------------

/**
 * The loss of `target` at one position, and d scores: (T, R) -> a number, (T, R).
 *
 * d s[i] = p[i] - 1 for the letter that came, p[i] for all others, where p = softmax(s): what was
 * said, minus what was right. No other position has a say.
 *
 * @param {Tensor} scores
 * @param {number} target
 * @param {number} position
 * @returns {[loss: number, d: Tensor]}
 */
function crossEntropy(scores, target, position) {
  const [T, R] = rowsOf(scores);
  const s = scores.data.subarray(position * R, (position + 1) * R);
  const peak = s.reduce((most, score) => Math.max(most, score), -Infinity);
  const sum = s.reduce((sum, score) => sum + Math.exp(score - peak), 0);
  const d = empty(T, R);
  for (let i = 0; i < R; i++) {
    d.data[position * R + i] = Math.exp(s[i] - peak) / sum - (i === target ? 1 : 0);
  }
  return [Math.log(sum) + peak - s[target], d];
}

/**
 * Back through y = x @ W^T + b: d (T, O), x (T, I), W (O, I) -> d x, d W, d b as x, W, b.
 *
 * d x = d @ W, d W = d^T @ x, d b = the sum of d over the positions.
 *
 * @param {Tensor} d
 * @param {Tensor} x
 * @param {Tensor} weight
 * @returns {[dX: Tensor, dWeight: Tensor, dBias: Tensor]}
 */
function linear(d, x, weight) {
  const [O, I] = weight.shape;
  const T = d.shape[0];
  const [dX, dWeight] = [empty(T, I), empty(O, I)];
  addProduct(d.data, weight.data, dX.data, T, O, I);
  addTransposedProduct(d.data, x.data, dWeight.data, T, O, I);
  const dBias = new Float64Array(O);
  for (let i = 0; i < T * O; i++) dBias[i % O] += d.data[i];
  return [dX, dWeight, vector(dBias)];
}

/**
 * Back through y[t] = table[ids[t]]: d (T, C) -> d table (rows, C). A character that comes twice
 * hears from both places.
 *
 * @param {Tensor} d
 * @param {ArrayLike<number>} ids
 * @param {number} rows
 */
function embedding(d, ids, rows) {
  const C = d.shape[1];
  const dTable = empty(rows, C);
  for (let i = 0; i < d.data.length; i++) {
    dTable.data[ids[Math.floor(i / C)] * C + (i % C)] += d.data[i];
  }
  return dTable;
}

/**
 * Back through y[t] = table[t]: d (T, C) -> d table (rows, C). Each position has its own row.
 *
 * @param {Tensor} d
 * @param {number} rows
 */
function positionTable(d, rows) {
  const dTable = empty(rows, d.shape[1]);
  dTable.data.set(d.data);
  return dTable;
}

/**
 * Back through y = x + z: d y -> d x, d z. A sum copies its gradient, so along the stream nothing
 * fades.
 *
 * @param {Tensor} d
 * @returns {[dX: Tensor, dZ: Tensor]}
 */
function residual(d) {
  return [d, d];
}

/**
 * Back through LayerNorm: d, x (T, C), mean, root (T, 1) -> d x (T, C), d weight, d bias (C,).
 *
 *     c = x - mean                                     d n = d y * weight
 *     d root = -sum(d n * c) / root^2                  d c = d n / root + d root * c / (C root)
 *     d mean = -sum(d c)                               d x = d c + d mean / C
 *
 * @param {Tensor} d
 * @param {Tensor} x
 * @param {Tensor} mean
 * @param {Tensor} root
 * @param {Float32Array} weight
 * @param {Note} note
 * @returns {[dX: Tensor, dWeight: Tensor, dBias: Tensor]}
 */
function layerNorm(d, x, mean, root, weight, note = unseen) {
  const [T, C] = rowsOf(x);
  const [dX, dRoot, dMean] = [empty(...x.shape), empty(...root.shape), empty(...mean.shape)];
  const [dWeight, dBias] = [new Float64Array(C), new Float64Array(C)];
  for (let t = 0; t < T; t++) {
    const r = root.data[t];
    const centred = (/** @type {number} */ i) => x.data[t * C + i] - mean.data[t];
    const dNormed = (/** @type {number} */ i) => d.data[t * C + i] * weight[i];
    let ofRoot = 0;
    for (let i = 0; i < C; i++) ofRoot -= (dNormed(i) * centred(i)) / r ** 2;
    const dCentred = (/** @type {number} */ i) => dNormed(i) / r + (ofRoot * centred(i)) / (C * r);
    let ofMean = 0;
    for (let i = 0; i < C; i++) ofMean -= dCentred(i);
    for (let i = 0; i < C; i++) {
      dX.data[t * C + i] = dCentred(i) + ofMean / C;
      dWeight[i] += (d.data[t * C + i] * centred(i)) / r;
      dBias[i] += d.data[t * C + i];
    }
    dRoot.data[t] = ofRoot;
    dMean.data[t] = ofMean;
  }
  note(".root", dRoot); // (T, 1)
  note(".mean", dMean); // (T, 1)
  return [dX, vector(dWeight), vector(dBias)];
}

/**
 * Back through RMSNorm: d, x (..., T, C), root (..., T, 1) -> d x (..., T, C), d weight (C,).
 *
 *     d n = d y * weight     d root = -sum(d n * x) / root^2     d x = d n / root + d root * x / (C root)
 *
 * QK-norm is the same for each head, with D channels for C and one weight for all heads.
 *
 * @param {Tensor} d
 * @param {Tensor} x
 * @param {Tensor} root
 * @param {Float32Array} weight
 * @param {Note} note
 * @returns {[dX: Tensor, dWeight: Tensor]}
 */
function rmsNorm(d, x, root, weight, note = unseen) {
  const [rows, C] = rowsOf(x);
  const [dX, dRoot] = [empty(...x.shape), empty(...root.shape)];
  const dWeight = new Float64Array(C);
  for (let row = 0; row < rows; row++) {
    const r = root.data[row];
    let ofRoot = 0;
    for (let i = 0, at = row * C; i < C; i++, at++) {
      ofRoot -= (d.data[at] * weight[i] * x.data[at]) / r ** 2;
      dWeight[i] += (d.data[at] * x.data[at]) / r;
    }
    for (let i = 0, at = row * C; i < C; i++, at++) {
      dX.data[at] = (d.data[at] * weight[i]) / r + (ofRoot * x.data[at]) / (C * r);
    }
    dRoot.data[row] = ofRoot;
  }
  note(".root", dRoot); // (..., T, 1)
  return [dX, vector(dWeight)];
}

/**
 * Back through GELU's tanh form: d, x (T, F) -> d x (T, F).
 *
 *     h = tanh(a * (x + b x^3)),  d x = d y * ((1 + h) / 2 + x / 2 * (1 - h^2) * a * (1 + 3 b x^2))
 *
 * @param {Tensor} d
 * @param {Tensor} x
 */
function gelu(d, x) {
  const [a, b] = [Math.sqrt(2 / Math.PI), 0.044715];
  const dX = empty(...x.shape);
  for (let i = 0; i < dX.data.length; i++) {
    const v = x.data[i];
    const h = Math.tanh(a * (v + b * v ** 3));
    dX.data[i] = d.data[i] * ((1 + h) / 2 + (v / 2) * (1 - h ** 2) * a * (1 + 3 * b * v ** 2));
  }
  return dX;
}

/**
 * Back through y = gate * s * up, s = 1 / (1 + e^-gate): d, gate, up (T, F) -> d gate, d up.
 *
 *     d gate = d y * up * s * (1 + gate * (1 - s))        d up = d y * gate * s
 *
 * @param {Tensor} d
 * @param {Tensor} gate
 * @param {Tensor} up
 * @returns {[dGate: Tensor, dUp: Tensor]}
 */
function swiglu(d, gate, up) {
  const [dGate, dUp] = [empty(...gate.shape), empty(...up.shape)];
  for (let i = 0; i < dUp.data.length; i++) {
    const g = gate.data[i];
    const s = 1 / (1 + Math.exp(-g));
    dGate.data[i] = d.data[i] * up.data[i] * s * (1 + g * (1 - s));
    dUp.data[i] = d.data[i] * g * s;
  }
  return [dGate, dUp];
}

/**
 * Back through RoPE: d (heads, T, D), the tables (T, D) -> d x (heads, T, D): the turn back, by minus
 * the angle, so only the sign of the sine is changed.
 *
 * @param {Tensor} d
 * @param {Tensor} cosine
 * @param {Tensor} signedSine
 */
function rope(d, cosine, signedSine) {
  const [heads, T, D] = d.shape;
  const dX = empty(heads, T, D);
  for (let row = 0; row < heads * T; row++) {
    const start = row * D;
    const place = (row % T) * D;
    for (let i = 0; i < D; i++) {
      const other = d.data[start + ((i + D / 2) % D)];
      dX.data[start + i] =
        d.data[start + i] * cosine.data[place + i] - other * signedSine.data[place + i];
    }
  }
  return dX;
}

/**
 * Back through w = e / S, S = sum(e), e = exp(x - peak): d and all others (..., N) -> d x.
 *
 *     d e[i] = (d w[i] - sum over j of d w[j] * w[j]) / S        d x[i] = d e[i] * e[i]
 *
 * @param {Tensor} d
 * @param {Tensor} exponentials
 * @param {Tensor} weight
 * @param {Note} note
 */
function softmax(d, exponentials, weight, note = unseen) {
  const [rows, N] = rowsOf(d);
  const [dE, dX] = [empty(...d.shape), empty(...d.shape)];
  for (let r = 0; r < rows; r++) {
    let [mean, sum] = [0, 0];
    for (let i = r * N; i < (r + 1) * N; i++) {
      mean += d.data[i] * weight.data[i];
      sum += exponentials.data[i];
    }
    for (let i = r * N; i < (r + 1) * N; i++) {
      const slope = (d.data[i] - mean) / sum;
      dE.data[i] = slope;
      dX.data[i] = slope * exponentials.data[i];
    }
  }
  note("exponentials", dE);
  return dX;
}

/**
 * Back through attention: d, q (H, T, D), k, v (K, T, D), the rest (H, T, T) -> d q, d k, d v.
 *
 *     d w = d mixed @ v^T     d v = w^T @ d mixed     d q = d scores @ k     d k = d scores^T @ q
 *
 * What comes was replaced by -infinity whatever its score, so that score gets 0. Query heads that
 * share k and v: d k and d v are the sum of what each of them says.
 *
 * @param {Tensor} d
 * @param {Tensor} q
 * @param {Tensor} k
 * @param {Tensor} v
 * @param {Tensor} exponentials
 * @param {Tensor} weight
 * @param {Note} note
 * @returns {[dQ: Tensor, dK: Tensor, dV: Tensor]}
 */
function causalAttention(d, q, k, v, exponentials, weight, note = unseen) {
  const [H, T, D] = q.shape;
  const shared = H / k.shape[0];
  const dWeight = empty(H, T, T);
  for (let h = 0; h < H; h++) {
    dotProducts(headOf(d, h), headOf(v, Math.floor(h / shared)), headOf(dWeight, h), T, T, D);
  }
  note("weights", dWeight);
  const dMasked = note("masked", softmax(dWeight, exponentials, weight, note)); // (H, T, T)
  const dScaled = empty(H, T, T);
  for (let row = 0; row < H * T; row++) {
    const seen = row * T + (row % T) + 1; // the row's letter, and all before it
    dScaled.data.set(dMasked.data.subarray(row * T, seen), row * T);
  }
  note("scaled", dScaled);
  const dScores = empty(H, T, T);
  for (let i = 0; i < H * T * T; i++) dScores.data[i] = dScaled.data[i] / Math.sqrt(D);
  note("scores", dScores);
  const [dQ, dK, dV] = [empty(...q.shape), empty(...k.shape), empty(...v.shape)];
  for (let h = 0; h < H; h++) {
    const [own, group] = [headOf(dScores, h), Math.floor(h / shared)];
    addProduct(own, headOf(k, group), headOf(dQ, h), T, T, D);
    addTransposedProduct(own, headOf(q, h), headOf(dK, group), T, T, D);
    addTransposedProduct(headOf(weight, h), headOf(d, h), headOf(dV, group), T, T, D);
  }
  return [dQ, dK, dV];
}

// --- what a rung is made of, backwards ------------------------------------------------------------

/** The way back through one window: what the forward pass left, and what was found so far. */
class Way {
  /**
   * @param {Engine} engine
   * @param {Map<string, Value>} values
   */
  constructor(engine, values) {
    this.config = engine.config;
    this.learned = engine.weights;
    this.values = values;
    this.ids = this.value("ids").data;
    /** How many rows the tables have. */
    this.rows = engine.config.vocab_size + 2;
    /** @type {Map<string, Tensor>} */
    this.dValues = new Map();
    /** @type {Map<string, Tensor>} */
    this.dWeights = new Map();
  }

  /**
   * What the forward pass has named.
   *
   * @param {string} name
   */
  value(name) {
    const found = this.values.get(name);
    if (!found) throw new Error(`the trace has no value ${name}`);
    return /** @type {Tensor} */ (found);
  }

  /**
   * @param {string} name
   */
  weight(name) {
    return /** @type {Tensor} */ (this.learned.get(`${name}.weight`));
  }

  /**
   * As in the forward pass, but what is kept is the gradient of the value of that name.
   *
   * @param {string} prefix
   * @returns {Note}
   */
  noting(prefix) {
    return (name, gradient) => {
      this.dValues.set(prefix + name, gradient);
      return gradient;
    };
  }

  /**
   * Back through the linear layer of that name, which has read x.
   *
   * @param {string} name
   * @param {Tensor} d
   * @param {Tensor} x
   */
  linear(name, d, x) {
    const [dX, dWeight, dBias] = linear(d, x, this.weight(name));
    this.dWeights.set(`${name}.weight`, dWeight);
    if (this.learned.has(`${name}.bias`)) this.dWeights.set(`${name}.bias`, dBias);
    return dX;
  }

  /**
   * Back through the LayerNorm of that name, whose result is the value of that name.
   *
   * @param {string} name
   * @param {string} value
   * @param {Tensor} d
   * @param {Tensor} x
   */
  layerNorm(name, value, d, x) {
    const note = this.noting(value);
    const [mean, root] = [this.value(`${value}.mean`), this.value(`${value}.root`)];
    const weight = this.weight(name).data;
    const [dX, dWeight, dBias] = layerNorm(note("", d), x, mean, root, weight, note);
    this.dWeights.set(`${name}.weight`, dWeight).set(`${name}.bias`, dBias);
    return dX;
  }

  /**
   * Back through the RMSNorm of that name, whose result is the value of that name.
   *
   * @param {string} name
   * @param {string} value
   * @param {Tensor} d
   * @param {Tensor} x
   */
  rmsNorm(name, value, d, x) {
    const note = this.noting(value);
    const root = this.value(`${value}.root`);
    const [dX, dWeight] = rmsNorm(note("", d), x, root, this.weight(name).data, note);
    this.dWeights.set(`${name}.weight`, dWeight);
    return dX;
  }

  /**
   * Back through QK-norm, for the queries or for the keys: (heads, T, D) -> (heads, T, D).
   *
   * @param {string} name
   * @param {string} prefix
   * @param {string} kind
   * @param {Tensor} d
   */
  headNorm(name, prefix, kind, d) {
    const note = this.noting(`${prefix}${kind}`);
    const [x, root] = [this.value(`${prefix}${kind}`), this.value(`${prefix}${kind}_root`)];
    const weight = this.weight(name).data;
    const [dX, dWeight] = rmsNorm(note("_normed", d), x, root, weight, (_, dRoot) =>
      note("_root", dRoot),
    );
    this.dWeights.set(`${name}.weight`, dWeight);
    return note("", dX);
  }

  /**
   * Back through the attention whose values have that name: d (H, T, D) -> d q, d k, d v.
   *
   * @param {string} name
   * @param {Tensor} d
   * @param {string} turned
   */
  attention(name, d, turned = "") {
    const note = this.noting(name);
    const [q, k] = [this.value(`${name}query${turned}`), this.value(`${name}key${turned}`)];
    const v = this.value(`${name}value`);
    const [exponentials, weight] = [this.value(`${name}exponentials`), this.value(`${name}weights`)];
    return causalAttention(note("mixed", d), q, k, v, exponentials, weight, note);
  }

  /**
   * What block `layer` has read: (T, C).
   *
   * @param {number} layer
   */
  stream(layer) {
    return this.value(layer === 0 ? "input" : `blocks.${layer - 1}.after_mlp`);
  }
}

// --- V1 -------------------------------------------------------------------------------------------

/**
 * V1: the scores are rows of the table, so it is an embedding. d: (T, R).
 *
 * @param {Way} way
 * @param {Tensor} d
 */
function bigram(way, d) {
  way.dWeights.set("table.weight", embedding(d, way.ids, way.rows)); // (R, R)
}

// --- V2 and V3 ------------------------------------------------------------------------------------

/**
 * V2 and V3: the output layer, attention, and the two tables. d: (T, R).
 *
 * @param {Way} way
 * @param {Tensor} d
 */
function attention(way, d) {
  d = way.linear("lm_head", d, way.value("blocks.0.attention.output")); // (T, C)
  embedded(way, lookAround(way, d, way.value("input"), 0, "attention."));
}

/**
 * Attention with one key and value for each query head, as in V2 to V4: (T, C) -> (T, C).
 *
 * Query, key and value have all read x, so it hears from all three.
 *
 * @param {Way} way
 * @param {Tensor} d
 * @param {Tensor} x
 * @param {number} layer
 * @param {string} prefix
 */
function lookAround(way, d, x, layer, prefix) {
  const name = `blocks.${layer}.attention.`;
  const note = way.noting(name);
  const mixed = way.value(`${name}mixed`);
  d = note("output", d); // (T, C)
  if (way.config.rung !== "attention") {
    // one head has nothing to blend
    d = way.linear(`${prefix}proj`, d, joinHeads(mixed)); // (T, C)
  }
  const parts = way.attention(name, splitHeads(d, mixed.shape[0]));
  let dX = empty(...x.shape); // (T, C)
  ["query", "key", "value"].forEach((kind, i) => {
    dX = plus(dX, way.linear(prefix + kind, joinHeads(note(kind, parts[i])), x)); // (T, C)
  });
  return dX;
}

/**
 * The tables of V2 to V4: what a character is, plus where it stands. d: (T, C).
 *
 * @param {Way} way
 * @param {Tensor} d
 */
function embedded(way, d) {
  const note = way.noting("");
  const [dWhat, dWhere] = residual(note("input", d)); // (T, C) each
  way.dWeights.set("wte.weight", embedding(note("embedding", dWhat), way.ids, way.rows));
  way.dWeights.set("wpe.weight", positionTable(note("positions", dWhere), way.config.block_size));
}

// --- V4 -------------------------------------------------------------------------------------------

/**
 * V4, from the scores to the tables. d: (T, R).
 *
 * @param {Way} way
 * @param {Tensor} d
 */
function transformer(way, d) {
  const layers = way.config.n_layer;
  d = way.linear("lm_head", d, way.value("norm")); // (T, C)
  d = way.layerNorm("ln_f", "norm", d, way.stream(layers)); // (T, C)
  for (let layer = layers - 1; layer >= 0; layer--) d = block(way, d, layer); // (T, C)
  embedded(way, d);
}

/**
 * One block of V4: (T, C) -> (T, C). The stream's gradient passes, and each part adds to it.
 *
 * @param {Way} way
 * @param {Tensor} d
 * @param {number} layer
 */
function block(way, d, layer) {
  const [here, prefix] = [`blocks.${layer}.`, `h.${layer}.`];
  const note = way.noting(here);
  const x = way.value(`${here}after_attention`);
  let dPart;
  [d, dPart] = residual(note("after_mlp", d)); // (T, C) each
  dPart = way.layerNorm(`${prefix}ln_2`, `${here}norm_2`, mlp(way, dPart, layer), x); // (T, C)
  [d, dPart] = residual(note("after_attention", plus(d, dPart))); // (T, C) each
  const read = way.value(`${here}norm_1`); // (T, C)
  dPart = lookAround(way, dPart, read, layer, `${prefix}attn.`); // (T, C)
  dPart = way.layerNorm(`${prefix}ln_1`, `${here}norm_1`, dPart, way.stream(layer)); // (T, C)
  return plus(d, dPart); // (T, C)
}

/**
 * V4's feed-forward layer: (T, C) -> (T, C).
 *
 * @param {Way} way
 * @param {Tensor} d
 * @param {number} layer
 */
function mlp(way, d, layer) {
  const [here, prefix] = [`blocks.${layer}.`, `h.${layer}.mlp.`];
  const note = way.noting(`${here}mlp.`);
  const hidden = way.value(`${here}mlp.hidden`);
  d = way.linear(`${prefix}c_proj`, note("output", d), way.value(`${here}mlp.activated`)); // (T, F)
  d = note("hidden", gelu(note("activated", d), hidden)); // (T, F)
  return way.linear(`${prefix}c_fc`, d, way.value(`${here}norm_2`)); // (T, C)
}

// --- V5 -------------------------------------------------------------------------------------------

/**
 * V5, from the scores to the table. d: (T, R).
 *
 * @param {Way} way
 * @param {Tensor} d
 */
function modern(way, d) {
  const layers = way.config.n_layer;
  const note = way.noting("");
  d = way.linear("lm_head", d, way.value("norm")); // (T, C)
  d = way.rmsNorm("norm", "norm", d, way.stream(layers)); // (T, C)
  for (let layer = layers - 1; layer >= 0; layer--) d = modernBlock(way, d, layer); // (T, C)
  d = note("embedding", note("input", d)); // (T, C)
  way.dWeights.set("embed_tokens.weight", embedding(d, way.ids, way.rows)); // (R, C)
}

/**
 * One block of V5: (T, C) -> (T, C).
 *
 * @param {Way} way
 * @param {Tensor} d
 * @param {number} layer
 */
function modernBlock(way, d, layer) {
  const [here, prefix] = [`blocks.${layer}.`, `layers.${layer}.`];
  const note = way.noting(here);
  const x = way.value(`${here}after_attention`);
  let dPart;
  [d, dPart] = residual(note("after_mlp", d)); // (T, C) each
  dPart = gatedMlp(way, dPart, layer); // (T, C)
  dPart = way.rmsNorm(`${prefix}post_attention_layernorm`, `${here}norm_2`, dPart, x); // (T, C)
  [d, dPart] = residual(note("after_attention", plus(d, dPart))); // (T, C) each
  dPart = lookAroundInGroups(way, dPart, layer); // (T, C)
  dPart = way.rmsNorm(`${prefix}input_layernorm`, `${here}norm_1`, dPart, way.stream(layer)); // (T, C)
  return plus(d, dPart); // (T, C)
}

/**
 * V5's attention, with QK-norm, RoPE and shared keys and values: (T, C) -> (T, C).
 *
 * @param {Way} way
 * @param {Tensor} d
 * @param {number} layer
 */
function lookAroundInGroups(way, d, layer) {
  const [name, prefix] = [`blocks.${layer}.attention.`, `layers.${layer}.self_attn.`];
  const note = way.noting(name);
  const mixed = way.value(`${name}mixed`);
  const [cosine, signedSine] = [way.value("cosine"), way.value("sine")];
  d = way.linear(`${prefix}o_proj`, note("output", d), joinHeads(mixed)); // (T, C)
  let [dQ, dK, dV] = way.attention(name, splitHeads(d, mixed.shape[0]), "_turned");
  dQ = rope(note("query_turned", dQ), cosine, signedSine); // (H, T, D)
  dK = rope(note("key_turned", dK), cosine, signedSine); // (K, T, D)
  dQ = way.headNorm(`${prefix}q_norm`, name, "query", dQ); // (H, T, D)
  dK = way.headNorm(`${prefix}k_norm`, name, "key", dK); // (K, T, D)
  const x = way.value(`blocks.${layer}.norm_1`); // (T, C)
  let dX = way.linear(`${prefix}q_proj`, joinHeads(dQ), x); // (T, C)
  dX = plus(dX, way.linear(`${prefix}k_proj`, joinHeads(dK), x)); // (T, C)
  return plus(dX, way.linear(`${prefix}v_proj`, joinHeads(note("value", dV)), x)); // (T, C)
}

/**
 * V5's feed-forward layer, whose two halves have read the same vector: (T, C) -> (T, C).
 *
 * @param {Way} way
 * @param {Tensor} d
 * @param {number} layer
 */
function gatedMlp(way, d, layer) {
  const [here, prefix] = [`blocks.${layer}.`, `layers.${layer}.mlp.`];
  const note = way.noting(`${here}mlp.`);
  const x = way.value(`${here}norm_2`);
  const [gate, up] = [way.value(`${here}mlp.gate`), way.value(`${here}mlp.up`)];
  d = way.linear(`${prefix}down_proj`, note("output", d), way.value(`${here}mlp.activated`));
  const [dGate, dUp] = swiglu(note("activated", d), gate, up); // (T, F) each
  const dX = way.linear(`${prefix}gate_proj`, note("gate", dGate), x); // (T, C)
  return plus(dX, way.linear(`${prefix}up_proj`, note("up", dUp), x)); // (T, C)
}

/** @type {Record<string, (way: Way, d: Tensor) => void>} */
const RUNGS = { bigram, attention, multihead: attention, transformer, modern };

// --- the whole ------------------------------------------------------------------------------------

/**
 * The loss of the letter after the last position, and its gradient with respect to every value and
 * every weight.
 *
 * @param {Engine} engine
 * @param {Map<string, Value>} values `engine.trace(ids)`, with no head cut
 * @param {number} target the id that came next
 * @returns {Gradients}
 */
export function backward(engine, values, target) {
  const way = new Way(engine, values);
  const V = engine.config.vocab_size;
  const scores = way.value("scores"); // (T, R)
  const [loss, d] = crossEntropy(scores, target, scores.shape[0] - 1);
  const note = way.noting("");
  note("logits", firstOf(d, V)); // (T, V)
  RUNGS[engine.config.rung](way, note("scores", d));
  return {
    loss,
    values: inOrder(values.keys(), way.dValues),
    weights: inOrder(engine.weights.keys(), way.dWeights),
  };
}

/**
 * The entries of a map in the order of these names; names that it has not are passed over.
 *
 * @param {Iterable<string>} names
 * @param {Map<string, Tensor>} found
 * @returns {Map<string, Tensor>}
 */
function inOrder(names, found) {
  const order = [...names].filter((name) => found.has(name));
  return new Map(order.map((name) => [name, /** @type {Tensor} */ (found.get(name))]));
}

/**
 * -log p(target) of the letter after the last position, in nats; all R rows count, as in training.
 *
 * @param {Map<string, Value>} values
 * @param {number} target
 */
export function lossOf(values, target) {
  const scores = /** @type {Tensor} */ (values.get("scores"));
  return crossEntropy(scores, target, scores.shape[0] - 1)[0];
}

/**
 * One step down the gradient: a copy of the model whose weights are less by `rate` times theirs.
 *
 * @param {Engine} engine
 * @param {Gradients} found
 * @param {number} rate
 */
export function stepped(engine, found, rate) {
  const moved = [...engine.weights].map(([name, { shape, data }]) => {
    const d = /** @type {Tensor} */ (found.weights.get(name)).data;
    return /** @type {[string, Tensor]} */ ([name, { shape, data: data.map((w, i) => w - rate * d[i]) }]);
  });
  return new Engine(engine.config, new Map(moved));
}

/**
 * What the loss would be after such a step if it were as straight as its gradient says: the loss less
 * rate times the sum of all squared gradients.
 *
 * @param {Gradients} found
 * @param {number} rate
 */
export function straight(found, rate) {
  let sum = 0;
  for (const { data } of found.weights.values()) for (const d of data) sum += d * d;
  return found.loss - rate * sum;
}
