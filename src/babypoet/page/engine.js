/**
 * The forward pass of every rung in plain JavaScript: reference.py again, for the page.
 *
 *     const engine = new Engine(config, weights);
 *     engine.forward([3, 1, 4]);        // T * V logits, at every position of one window
 *     const text = engine.start();
 *     text.extend([3, 1, 4]);           // V logits, after the last character
 *     text.extend([1]);                 // one more character
 *     engine.trace([3, 1, 4]);          // every value on the way, under its name
 *     engine.start({ cut: [[2, 0]] });  // head 0 of block 2 adds nothing
 *
 * Classes, names and order are those of reference.py; read them side by side. Here too there is one
 * path: a whole window is a text that was empty before, and `note("weights", x)` gives x back and
 * keeps it under that name where somebody looks. Sums are made in double precision and every result
 * is stored in single. Each layer has its own product, because here arithmetic costs, not calls.
 * tensors.js has what numpy has.
 *
 * This file does not choose characters, read weights or draw.
 *
 * Dimension key
 *     T  the new positions                       N  the positions seen so far, the new ones included
 *     V  vocabulary: distinct characters         R  rows of the tables: V + 2, the last two reserved
 *     C  channels: n_embd                        D  head size: C / H
 *     H  query heads: n_head                     K  key and value heads: n_kv_head (K divides H)
 *     F  width of the feed-forward layer
 */

import {
  dotProducts,
  empty,
  firstOf,
  headOf,
  joinHeads,
  lookUp,
  plus,
  rowsOf,
  splitHeads,
  stretch,
} from "./tensors.js";

/** @typedef {import("./tensors.js").Tensor} Tensor */

/** @typedef {{ shape: number[], data: Float32Array | Int32Array }} Value */

/** @typedef {Map<string, Tensor>} Weights */

/** @typedef {(name: string, value: Tensor) => Tensor} Note */

/** @typedef {[layer: number, head: number]} Head */

/**
 * The fields of config.ModelConfig that say how to compute.
 *
 * @typedef {object} Config
 * @property {string} rung
 * @property {number} vocab_size
 * @property {number} block_size
 * @property {number} n_layer
 * @property {number} n_head
 * @property {number} n_kv_head
 * @property {number} n_embd
 * @property {number} rope_base
 */

/**
 * What all rungs share: how many layers, key and value heads of which width a text must remember,
 * and the scores (T, R) of what comes after each of T new characters.
 *
 * @typedef {object} Rung
 * @property {[layers: number, heads: number, width: number]} remembers
 * @property {(ids: number[], past: Text) => Tensor} scores
 * @property {(x: Tensor, note?: Note) => Tensor} [guess]
 */

/**
 * Where the window begins that predicts character `n` from the `n` characters before it.
 *
 * Up to `blockSize` characters it begins at 0; a full window restarts with its last half, the newest
 * character included, and grows until it is full again. reference.py says why.
 *
 * @param {number} n
 * @param {number} blockSize
 */
export function windowStart(n, blockSize) {
  const step = blockSize - Math.max(1, Math.floor(blockSize / 2)) + 1;
  return Math.max(0, Math.ceil((n - blockSize) / step) * step);
}

/**
 * What `note` is while nobody looks.
 *
 * @type {Note}
 */
function unseen(name, value) {
  return value;
}

// --- the arithmetic -------------------------------------------------------------------------------

/**
 * Turn scores into probabilities along the last axis: e^x / sum(e^x). Shape in, shape out.
 *
 * @param {Tensor} x
 * @param {Note} note
 */
function softmax(x, note = unseen) {
  const [rows, width] = rowsOf(x);
  const e = empty(...x.shape);
  for (let r = 0; r < rows; r++) {
    const start = r * width;
    let most = x.data[start];
    for (let i = start; i < start + width; i++) if (x.data[i] > most) most = x.data[i];
    // less the maximum: e^x overflows beyond 88
    for (let i = start; i < start + width; i++) e.data[i] = Math.exp(x.data[i] - most);
  }
  note("exponentials", e);
  for (let r = 0; r < rows; r++) {
    const start = r * width;
    let sum = 0;
    for (let i = start; i < start + width; i++) sum += e.data[i];
    for (let i = start; i < start + width; i++) e.data[i] /= sum;
  }
  return e;
}

/**
 * The mean along the last axis: (..., C) -> (..., 1).
 *
 * @param {Tensor} x
 */
function mean(x) {
  const [rows, width] = rowsOf(x);
  const y = empty(...x.shape.slice(0, -1), 1);
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let i = r * width; i < (r + 1) * width; i++) sum += x.data[i];
    y.data[r] = sum / width;
  }
  return y;
}

/**
 * What vectors are divided by to be of size 1: sqrt(mean(x^2) + eps), (..., C) -> (..., 1).
 *
 * @param {Tensor} x
 * @param {number} eps
 */
function rootMeanSquare(x, eps) {
  const [rows, width] = rowsOf(x);
  const y = empty(...x.shape.slice(0, -1), 1);
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let i = r * width; i < (r + 1) * width; i++) sum += x.data[i] * x.data[i];
    y.data[r] = Math.sqrt(sum / width + eps);
  }
  return y;
}

/**
 * Centre each vector and scale it to variance 1 (Ba et al. 2016, arXiv:1607.06450).
 *
 * @param {Tensor} x
 * @param {Float32Array} weight
 * @param {Float32Array} bias
 * @param {number} eps
 * @param {Note} note
 */
function layerNorm(x, weight, bias, eps, note = unseen) {
  const width = weight.length;
  const centre = note(".mean", mean(x));
  const y = empty(...x.shape);
  for (let i = 0; i < y.data.length; i++) y.data[i] = x.data[i] - centre.data[(i / width) | 0];
  const root = note(".root", rootMeanSquare(y, eps));
  for (let i = 0; i < y.data.length; i++) {
    y.data[i] = (y.data[i] / root.data[(i / width) | 0]) * weight[i % width] + bias[i % width];
  }
  return note("", y);
}

/**
 * Each vector divided by its root, and each channel scaled: (..., C), (..., 1), (C,) -> (..., C).
 *
 * @param {Tensor} x
 * @param {Tensor} root
 * @param {Float32Array} weight
 */
function scaledDown(x, root, weight) {
  const width = weight.length;
  const y = empty(...x.shape);
  for (let i = 0; i < y.data.length; i++) {
    y.data[i] = (x.data[i] / root.data[(i / width) | 0]) * weight[i % width];
  }
  return y;
}

/**
 * A ReLU with a soft knee, in GPT-2's tanh form (Hendrycks, Gimpel 2016, arXiv:1606.08415).
 *
 * @param {Tensor} x
 */
function gelu(x) {
  const y = empty(...x.shape);
  for (let i = 0; i < y.data.length; i++) {
    const v = x.data[i];
    y.data[i] = 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v * v * v)));
  }
  return y;
}

/**
 * One half opens and closes the other: gate * sigmoid(gate) * up (Shazeer 2020, arXiv:2002.05202).
 *
 * @param {Tensor} gate
 * @param {Tensor} up
 */
function swiglu(gate, up) {
  const y = empty(...gate.shape);
  for (let i = 0; i < y.data.length; i++) {
    y.data[i] = (gate.data[i] / (1 + Math.exp(-gate.data[i]))) * up.data[i];
  }
  return y;
}

/**
 * Each new position looks back and takes a weighted mean of values: q (H, T, D) -> (H, T, D).
 *
 * k, v: of each of the K heads everything seen so far, N positions; H / K query heads share each of
 * them. k holds a row of D numbers for each position. v lies the other way round, a row of N numbers,
 * `stride` apart, for each of the D channels, so that a weighted mean is a dot product too. Vaswani et
 * al. 2017, arXiv:1706.03762, equation 1, with the future masked out. Heads in `cut` find nothing.
 *
 * @param {Tensor} q
 * @param {Float32Array[]} k
 * @param {Float32Array[]} v
 * @param {number} N
 * @param {number} stride
 * @param {number[]} cut
 * @param {Note} note
 */
function causalAttention(q, k, v, N, stride, cut, note = unseen) {
  const [H, T, D] = q.shape;
  const shared = H / k.length;
  const score = empty(H, T, N);
  for (let h = 0; h < H; h++) {
    dotProducts(headOf(q, h), k[Math.floor(h / shared)], headOf(score, h), T, N, D);
  }
  note("scores", score);
  for (let i = 0; i < score.data.length; i++) score.data[i] /= Math.sqrt(D);
  note("scaled", score);
  for (let row = 0; row < H * T; row++) {
    const seen = N - T + (row % T) + 1; // this position, and all before it
    score.data.fill(-Infinity, row * N + seen, (row + 1) * N);
  }
  const weight = note("weights", softmax(note("masked", score), note)); // (H, T, N)
  const mixed = empty(H, T, D);
  for (let h = 0; h < H; h++) {
    if (cut.includes(h)) continue;
    dotProducts(headOf(weight, h), v[Math.floor(h / shared)], headOf(mixed, h), T, D, N, stride);
  }
  return note("mixed", mixed);
}

/**
 * Turn each vector by an angle that grows with its position (Su et al. 2021, arXiv:2104.09864).
 *
 * x: (heads, T, D); cosine, signedSine: (T, D) from `ropeTables`. Channel i turns together with
 * channel i + D/2: each is multiplied by the cosine, and the other, times the sine, is added; the
 * sign is already in the table.
 *
 * @param {Tensor} x
 * @param {Tensor} cosine
 * @param {Tensor} signedSine
 */
function rope(x, cosine, signedSine) {
  const [heads, T, D] = x.shape;
  const y = empty(heads, T, D);
  for (let row = 0; row < heads * T; row++) {
    const start = row * D;
    const place = (row % T) * D;
    for (let i = 0; i < D; i++) {
      const other = x.data[start + ((i + D / 2) % D)];
      y.data[start + i] =
        x.data[start + i] * cosine.data[place + i] + other * signedSine.data[place + i];
    }
  }
  return y;
}

/**
 * The cosine and the signed sine of every position's angles: (blockSize, headSize) each.
 *
 * The first half of the channels gets the other half's negative, so its sines carry a minus.
 *
 * @param {number} blockSize
 * @param {number} headSize
 * @param {number} base
 * @returns {[cosine: Tensor, signedSine: Tensor]}
 */
function ropeTables(blockSize, headSize, base) {
  const half = headSize / 2;
  const cosine = empty(blockSize, headSize);
  const signedSine = empty(blockSize, headSize);
  for (let i = 0; i < half; i++) {
    // rounded where numpy rounds: at a late position a difference here would be a wide turn
    const frequency = Math.fround(base ** Math.fround((-2 * i) / headSize));
    for (let t = 0; t < blockSize; t++) {
      const angle = Math.fround(t * frequency);
      const at = t * headSize + i;
      cosine.data[at] = cosine.data[at + half] = Math.cos(angle);
      signedSine.data[at] = -Math.sin(angle);
      signedSine.data[at + half] = Math.sin(angle);
    }
  }
  return [cosine, signedSine];
}

// --- what a rung is made of -----------------------------------------------------------------------

/**
 * A model in the middle of a text: the text, and the keys and values of the window so far.
 *
 * Made by `Engine.start`. Each `extend` costs only the new characters, except where the window
 * restarts (`windowStart`): there its last half is read again.
 */
export class Text {
  /**
   * @param {Engine} engine
   * @param {Head[]} cut
   */
  constructor(engine, cut) {
    const { block_size } = engine.config;
    const [layers, heads, width] = engine.rung.remembers;
    const memory = () =>
      Array.from({ length: layers }, () =>
        Array.from({ length: heads }, () => new Float32Array(block_size * width)),
      );
    this.engine = engine;
    this.blockSize = block_size;
    this.cut = cut;
    /** @type {number[]} all characters so far */
    this.ids = [];
    this.start = 0; // where the window begins in them
    this.length = 0; // how many positions of the window are remembered
    this.key = memory(); // of each layer and head, (block_size, D)
    this.value = memory(); // of each layer and head, (D, block_size)
    /** @type {Map<string, Value> | null} what was computed last, where somebody looks */
    this.values = null;
  }

  /**
   * Read one or more characters, and return the logits of the next one: V numbers.
   *
   * @param {number[]} ids
   */
  extend(ids) {
    if (!ids.length) throw new Error("there is nothing to read");
    for (const id of ids) this.ids.push(id);
    const start = windowStart(this.ids.length, this.blockSize);
    if (start !== this.start) {
      // the window restarts, and every position in it is a new one
      this.start = start;
      this.length = 0;
    }
    const logits = this.engine.read(this.ids.slice(this.start + this.length), this); // (T, V)
    return logits.data.slice(-logits.shape[1]);
  }

  /**
   * Keep the new keys and values, (K, T, D) each; `key` and `value` then hold all N so far.
   *
   * @param {number} layer
   * @param {Tensor} k
   * @param {Tensor} v
   */
  remember(layer, k, v) {
    const [K, T, D] = k.shape;
    for (let h = 0; h < K; h++) {
      this.key[layer][h].set(headOf(k, h), this.length * D);
      const [values, kept] = [headOf(v, h), this.value[layer][h]];
      for (let d = 0; d < D; d++) {
        const at = d * this.blockSize + this.length;
        for (let t = 0; t < T; t++) kept[at + t] = values[t * D + d];
      }
    }
  }

  /**
   * Attention over all that is remembered in a layer, the new positions included.
   *
   * @param {number} layer
   * @param {Tensor} q (H, T, D)
   * @param {Note} note
   */
  attend(layer, q, note) {
    const cut = this.cut.filter(([block]) => block === layer).map(([, head]) => head);
    const N = this.length + q.shape[1];
    const [k, v] = [this.key[layer], this.value[layer]];
    return causalAttention(q, k, v, N, this.blockSize, cut, note);
  }

  /**
   * The `note` of one part of the model, whose names begin with `prefix`.
   *
   * @param {string} prefix
   * @returns {Note}
   */
  noting(prefix) {
    const values = this.values;
    if (!values) return unseen;
    return (name, value) => {
      // a copy: some are worked on in place
      values.set(prefix + name, { shape: value.shape, data: value.data.slice() });
      return value;
    };
  }
}

/**
 * A tensor of the model; a missing one is an error.
 *
 * @param {Weights} weights
 * @param {string} name
 */
function take(weights, name) {
  const found = weights.get(name);
  if (!found) throw new Error(`these are not the weights of this model: ${name} is missing`);
  return found;
}

/** One linear layer: a matrix with a row for each output, and perhaps a bias. */
class Linear {
  /**
   * @param {Weights} weights
   * @param {string} name
   * @param {boolean} bias
   */
  constructor(weights, name, bias = false) {
    this.weight = take(weights, `${name}.weight`);
    this.bias = bias ? take(weights, `${name}.bias`).data : null;
  }

  /**
   * (T, inputs) -> (T, outputs)
   *
   * @param {Tensor} x
   */
  call(x) {
    const [outputs, inputs] = this.weight.shape;
    const T = x.shape[0];
    const y = empty(T, outputs);
    dotProducts(x.data, this.weight.data, y.data, T, outputs, inputs);
    if (this.bias) for (let i = 0; i < T * outputs; i++) y.data[i] += this.bias[i % outputs];
    return y;
  }
}

// --- V1 -------------------------------------------------------------------------------------------

/** V1: a table of letter pairs. */
class Bigram {
  /**
   * @param {Config} config
   * @param {Weights} weights
   */
  constructor(config, weights) {
    /** @type {[number, number, number]} */
    this.remembers = [0, 0, 0];
    this.table = take(weights, "table.weight");
  }

  /**
   * @param {number[]} ids
   * @param {Text} past
   */
  scores(ids, past) {
    return past.noting("")("scores", lookUp(this.table, ids)); // (T, R)
  }
}

// --- V2 -------------------------------------------------------------------------------------------

/**
 * What each character is plus where it stands: (T, C).
 *
 * @param {Tensor} wte
 * @param {Tensor} wpe
 * @param {number[]} ids
 * @param {Text} past
 */
function embedded(wte, wpe, ids, past) {
  const note = past.noting("");
  const what = note("embedding", lookUp(wte, ids)); // (T, C)
  const where = note("positions", stretch(wpe, past.length, ids.length)); // (T, C)
  return note("input", plus(what, where)); // (T, C)
}

/** One head of self-attention. */
class CausalHead {
  /**
   * @param {Weights} weights
   * @param {string} prefix
   */
  constructor(weights, prefix) {
    this.query = new Linear(weights, `${prefix}query`);
    this.key = new Linear(weights, `${prefix}key`);
    this.value = new Linear(weights, `${prefix}value`);
  }

  /**
   * @param {Tensor} x
   * @param {Text} past
   */
  call(x, past) {
    const note = past.noting("blocks.0.attention.");
    const q = note("query", splitHeads(this.query.call(x), 1)); // (1, T, C)
    const k = note("key", splitHeads(this.key.call(x), 1)); // (1, T, C)
    const v = note("value", splitHeads(this.value.call(x), 1)); // (1, T, C)
    past.remember(0, k, v);
    return note("output", joinHeads(past.attend(0, q, note))); // (T, C)
  }
}

/** V2: characters talk to each other. */
class Attention {
  /**
   * @param {Config} config
   * @param {Weights} weights
   */
  constructor(config, weights) {
    /** @type {[number, number, number]} */
    this.remembers = [1, 1, config.n_embd];
    this.wte = take(weights, "wte.weight");
    this.wpe = take(weights, "wpe.weight");
    this.attention = new CausalHead(weights, "attention.");
    this.lmHead = new Linear(weights, "lm_head", true);
  }

  /**
   * @param {number[]} ids
   * @param {Text} past
   */
  scores(ids, past) {
    let x = embedded(this.wte, this.wpe, ids, past); // (T, C)
    x = this.attention.call(x, past); // (T, C)
    return past.noting("")("scores", this.lmHead.call(x)); // (T, R)
  }
}

// --- V3 -------------------------------------------------------------------------------------------

/** Several smaller heads side by side, and a projection that blends what they found. */
class MultiHeadAttention {
  /**
   * @param {Config} config
   * @param {Weights} weights
   * @param {string} prefix
   * @param {number} layer
   * @param {boolean} bias
   */
  constructor(config, weights, prefix, layer = 0, bias = false) {
    this.nHead = config.n_head;
    this.layer = layer;
    this.name = `blocks.${layer}.attention.`;
    this.query = new Linear(weights, `${prefix}query`, bias);
    this.key = new Linear(weights, `${prefix}key`, bias);
    this.value = new Linear(weights, `${prefix}value`, bias);
    this.proj = new Linear(weights, `${prefix}proj`, bias);
  }

  /**
   * @param {Tensor} x
   * @param {Text} past
   */
  call(x, past) {
    const note = past.noting(this.name);
    const q = note("query", splitHeads(this.query.call(x), this.nHead)); // (H, T, D)
    const k = note("key", splitHeads(this.key.call(x), this.nHead)); // (H, T, D)
    const v = note("value", splitHeads(this.value.call(x), this.nHead)); // (H, T, D)
    past.remember(this.layer, k, v);
    x = joinHeads(past.attend(this.layer, q, note)); // (T, C)
    return note("output", this.proj.call(x)); // (T, C)
  }
}

/** V3: many heads. */
class MultiHead {
  /**
   * @param {Config} config
   * @param {Weights} weights
   */
  constructor(config, weights) {
    /** @type {[number, number, number]} */
    this.remembers = [1, config.n_head, config.n_embd / config.n_head];
    this.wte = take(weights, "wte.weight");
    this.wpe = take(weights, "wpe.weight");
    this.attention = new MultiHeadAttention(config, weights, "attention.");
    this.lmHead = new Linear(weights, "lm_head", true);
  }

  /**
   * @param {number[]} ids
   * @param {Text} past
   */
  scores(ids, past) {
    let x = embedded(this.wte, this.wpe, ids, past); // (T, C)
    x = this.attention.call(x, past); // (T, C)
    return past.noting("")("scores", this.lmHead.call(x)); // (T, R)
  }
}

// --- V4 -------------------------------------------------------------------------------------------

/** `layerNorm` with a learned scale and shift for each channel. */
class LayerNorm {
  /**
   * @param {Weights} weights
   * @param {string} name
   * @param {number} eps
   */
  constructor(weights, name, eps = 1e-5) {
    this.weight = take(weights, `${name}.weight`).data;
    this.bias = take(weights, `${name}.bias`).data;
    this.eps = eps;
  }

  /**
   * @param {Tensor} x
   * @param {Note} note
   */
  call(x, note = unseen) {
    return layerNorm(x, this.weight, this.bias, this.eps, note);
  }
}

/** Each position thinks for itself: widen four times, bend, narrow again. */
class MLP {
  /**
   * @param {Weights} weights
   * @param {string} prefix
   */
  constructor(weights, prefix) {
    this.cFc = new Linear(weights, `${prefix}c_fc`, true);
    this.cProj = new Linear(weights, `${prefix}c_proj`, true);
  }

  /**
   * @param {Tensor} x
   * @param {Note} note
   */
  call(x, note = unseen) {
    x = note("hidden", this.cFc.call(x)); // (T, F)
    x = note("activated", gelu(x)); // (T, F)
    return note("output", this.cProj.call(x)); // (T, C)
  }
}

/** Look around, then think: attention and feed-forward, each added to the passing stream. */
class Block {
  /**
   * @param {Config} config
   * @param {Weights} weights
   * @param {number} layer
   */
  constructor(config, weights, layer) {
    const prefix = `h.${layer}.`;
    this.name = `blocks.${layer}.`;
    this.ln1 = new LayerNorm(weights, `${prefix}ln_1`);
    this.attn = new MultiHeadAttention(config, weights, `${prefix}attn.`, layer, true);
    this.ln2 = new LayerNorm(weights, `${prefix}ln_2`);
    this.mlp = new MLP(weights, `${prefix}mlp.`);
  }

  /**
   * @param {Tensor} x
   * @param {Text} past
   */
  call(x, past) {
    const note = past.noting(this.name);
    const norm1 = past.noting(`${this.name}norm_1`);
    const norm2 = past.noting(`${this.name}norm_2`);
    const mlp = past.noting(`${this.name}mlp.`);
    x = note("after_attention", plus(x, this.attn.call(this.ln1.call(x, norm1), past))); // (T, C)
    return note("after_mlp", plus(x, this.mlp.call(this.ln2.call(x, norm2), mlp))); // (T, C)
  }
}

/** V4: the GPT-2 block. */
class Transformer {
  /**
   * @param {Config} config
   * @param {Weights} weights
   */
  constructor(config, weights) {
    /** @type {[number, number, number]} */
    this.remembers = [config.n_layer, config.n_head, config.n_embd / config.n_head];
    this.wte = take(weights, "wte.weight");
    this.wpe = take(weights, "wpe.weight");
    this.h = Array.from({ length: config.n_layer }, (_, i) => new Block(config, weights, i));
    this.lnF = new LayerNorm(weights, "ln_f");
    this.lmHead = new Linear(weights, "lm_head");
  }

  /**
   * @param {number[]} ids
   * @param {Text} past
   */
  scores(ids, past) {
    let x = embedded(this.wte, this.wpe, ids, past); // (T, C)
    for (const block of this.h) x = block.call(x, past); // (T, C)
    return past.noting("")("scores", this.guess(x, past.noting("norm"))); // (T, R)
  }

  /**
   * What the model says of the next character, going by the stream: (T, C) -> (T, R).
   *
   * @param {Tensor} x
   * @param {Note} note
   */
  guess(x, note = unseen) {
    return this.lmHead.call(this.lnF.call(x, note)); // (T, R)
  }
}

// --- V5 -------------------------------------------------------------------------------------------

/**
 * Scale each vector to root mean square 1, then each channel by what was learned for it (Zhang and
 * Sennrich 2019, arXiv:1910.07467).
 */
class RMSNorm {
  /**
   * @param {Weights} weights
   * @param {string} name
   * @param {number} eps
   */
  constructor(weights, name, eps = 1e-6) {
    this.weight = take(weights, `${name}.weight`).data;
    this.eps = eps;
  }

  /**
   * (..., C) -> (..., 1)
   *
   * @param {Tensor} x
   */
  root(x) {
    return rootMeanSquare(x, this.eps);
  }

  /**
   * @param {Tensor} x
   * @param {Note} note
   */
  call(x, note = unseen) {
    const root = note(".root", this.root(x));
    return note("", scaledDown(x, root, this.weight));
  }
}

/** Multi-head attention that knows distances instead of positions. */
class GroupedQueryAttention {
  /**
   * @param {Config} config
   * @param {Weights} weights
   * @param {string} prefix
   * @param {number} layer
   */
  constructor(config, weights, prefix, layer) {
    this.layer = layer;
    this.nHead = config.n_head;
    this.nKvHead = config.n_kv_head;
    this.name = `blocks.${layer}.attention.`;
    this.qProj = new Linear(weights, `${prefix}q_proj`);
    this.kProj = new Linear(weights, `${prefix}k_proj`);
    this.vProj = new Linear(weights, `${prefix}v_proj`);
    this.qNorm = new RMSNorm(weights, `${prefix}q_norm`);
    this.kNorm = new RMSNorm(weights, `${prefix}k_norm`);
    this.oProj = new Linear(weights, `${prefix}o_proj`);
  }

  /**
   * @param {Tensor} x
   * @param {Tensor} cosine
   * @param {Tensor} signedSine
   * @param {Text} past
   */
  call(x, cosine, signedSine, past) {
    const note = past.noting(this.name);
    let q = note("query", splitHeads(this.qProj.call(x), this.nHead)); // (H, T, D)
    let k = note("key", splitHeads(this.kProj.call(x), this.nKvHead)); // (K, T, D)
    const v = note("value", splitHeads(this.vProj.call(x), this.nKvHead)); // (K, T, D)
    const qRoot = note("query_root", this.qNorm.root(q)); // (H, T, 1)
    const kRoot = note("key_root", this.kNorm.root(k)); // (K, T, 1)
    q = note("query_normed", scaledDown(q, qRoot, this.qNorm.weight)); // (H, T, D)
    k = note("key_normed", scaledDown(k, kRoot, this.kNorm.weight)); // (K, T, D)
    q = note("query_turned", rope(q, cosine, signedSine)); // (H, T, D)
    k = note("key_turned", rope(k, cosine, signedSine)); // (K, T, D)
    past.remember(this.layer, k, v);
    x = joinHeads(past.attend(this.layer, q, note)); // (T, C)
    return note("output", this.oProj.call(x)); // (T, C)
  }
}

/** A feed-forward layer with a gate. */
class SwiGLU {
  /**
   * @param {Weights} weights
   * @param {string} prefix
   */
  constructor(weights, prefix) {
    this.gateProj = new Linear(weights, `${prefix}gate_proj`);
    this.upProj = new Linear(weights, `${prefix}up_proj`);
    this.downProj = new Linear(weights, `${prefix}down_proj`);
  }

  /**
   * @param {Tensor} x
   * @param {Note} note
   */
  call(x, note = unseen) {
    const gate = note("gate", this.gateProj.call(x)); // (T, F)
    const up = note("up", this.upProj.call(x)); // (T, F)
    x = note("activated", swiglu(gate, up)); // (T, F)
    return note("output", this.downProj.call(x)); // (T, C)
  }
}

/** V4's block with RMSNorm, grouped-query attention and SwiGLU in place of its three parts. */
class ModernBlock {
  /**
   * @param {Config} config
   * @param {Weights} weights
   * @param {number} layer
   */
  constructor(config, weights, layer) {
    const prefix = `layers.${layer}.`;
    this.name = `blocks.${layer}.`;
    this.inputLayernorm = new RMSNorm(weights, `${prefix}input_layernorm`);
    this.selfAttn = new GroupedQueryAttention(config, weights, `${prefix}self_attn.`, layer);
    this.postAttentionLayernorm = new RMSNorm(weights, `${prefix}post_attention_layernorm`);
    this.mlp = new SwiGLU(weights, `${prefix}mlp.`);
  }

  /**
   * @param {Tensor} x
   * @param {Tensor} cosine
   * @param {Tensor} signedSine
   * @param {Text} past
   */
  call(x, cosine, signedSine, past) {
    const note = past.noting(this.name);
    const norm1 = past.noting(`${this.name}norm_1`);
    const norm2 = past.noting(`${this.name}norm_2`);
    const mlp = past.noting(`${this.name}mlp.`);
    const attended = this.selfAttn.call(
      this.inputLayernorm.call(x, norm1),
      cosine,
      signedSine,
      past,
    ); // (T, C)
    x = note("after_attention", plus(x, attended)); // (T, C)
    const thought = this.mlp.call(this.postAttentionLayernorm.call(x, norm2), mlp); // (T, C)
    return note("after_mlp", plus(x, thought)); // (T, C)
  }
}

/** V5: the block of today's open models. */
class Modern {
  /**
   * @param {Config} config
   * @param {Weights} weights
   */
  constructor(config, weights) {
    const D = config.n_embd / config.n_head;
    /** @type {[number, number, number]} */
    this.remembers = [config.n_layer, config.n_kv_head, D];
    this.embedTokens = take(weights, "embed_tokens.weight");
    this.layers = Array.from(
      { length: config.n_layer },
      (_, i) => new ModernBlock(config, weights, i),
    );
    this.norm = new RMSNorm(weights, "norm");
    this.lmHead = new Linear(weights, "lm_head");
    this.tables = ropeTables(config.block_size, D, config.rope_base);
  }

  /**
   * @param {number[]} ids
   * @param {Text} past
   */
  scores(ids, past) {
    const note = past.noting("");
    const cosine = note("cosine", stretch(this.tables[0], past.length, ids.length)); // (T, D)
    const signedSine = note("sine", stretch(this.tables[1], past.length, ids.length)); // (T, D)
    let x = note("input", note("embedding", lookUp(this.embedTokens, ids))); // (T, C)
    for (const layer of this.layers) x = layer.call(x, cosine, signedSine, past); // (T, C)
    return note("scores", this.guess(x, past.noting("norm"))); // (T, R)
  }

  /**
   * What the model says of the next character, going by the stream: (T, C) -> (T, R).
   *
   * @param {Tensor} x
   * @param {Note} note
   */
  guess(x, note = unseen) {
    return this.lmHead.call(this.norm.call(x, note)); // (T, R)
  }
}

// --- the whole ------------------------------------------------------------------------------------

/** @type {Record<string, new (config: Config, weights: Weights) => Rung>} */
const RUNGS = {
  bigram: Bigram,
  attention: Attention,
  multihead: MultiHead,
  transformer: Transformer,
  modern: Modern,
};

/** A model that can be read: its settings and weights. reference.py calls it Reference. */
export class Engine {
  /**
   * @param {Config} config
   * @param {Weights} weights the tensors of the model, under the names of reference.shapes
   */
  constructor(config, weights) {
    this.config = config;
    this.weights = weights;
    /** @type {Rung} */
    this.rung = new RUNGS[config.rung](config, weights);
  }

  /** How many numbers were learned. */
  parameters() {
    let count = 0;
    for (const { data } of this.weights.values()) count += data.length;
    return count;
  }

  /**
   * One window of at most block_size ids -> the logits at every position: T * V numbers.
   *
   * @param {number[]} ids
   */
  forward(ids) {
    return this.read(ids, this.start()).data;
  }

  /**
   * A new text: nothing read yet. What the heads in `cut` find is set to 0.
   *
   * @param {{ cut?: Head[] }} options
   */
  start({ cut = [] } = {}) {
    return new Text(this, cut);
  }

  /**
   * T ids that follow what `past` holds -> the logits at each, (T, V); `past` is updated.
   *
   * @param {number[]} ids
   * @param {Text} past
   */
  read(ids, past) {
    const { vocab_size: V, block_size } = this.config;
    const N = past.length + ids.length;
    if (!(past.length < N && N <= block_size)) throw new Error(`${N} of ${block_size} positions`);
    if (!ids.every((id) => id >= 0 && id < V)) throw new Error(`not all of ${ids} are below ${V}`);
    const scores = this.rung.scores(ids, past); // (T, R)
    past.length = N;
    return past.noting("")("logits", firstOf(scores, V)); // (T, V)
  }

  /**
   * Read one window of at most block_size ids, and return every value on the way by its name.
   *
   * They stand in the order in which they are computed; values.py says what each is. `guess.j` comes
   * last: what the model would say if the stream ended after j blocks.
   *
   * @param {number[]} ids
   * @param {{ cut?: Head[] }} options
   * @returns {Map<string, Value>}
   */
  trace(ids, options = {}) {
    const past = this.start(options);
    /** @type {Map<string, Value>} */
    const values = new Map([["ids", { shape: [ids.length], data: Int32Array.from(ids) }]]);
    past.values = values;
    const note = past.noting("");
    note("probabilities", softmax(this.read(ids, past))); // (T, V)
    if (this.rung.guess) {
      const names = [...values.keys()].filter((n) => n === "input" || n.endsWith(".after_mlp"));
      names.forEach((name, j) => {
        const stream = /** @type {Tensor} */ (values.get(name)); // (T, C)
        const scores = /** @type {Tensor} */ (this.rung.guess?.(stream)); // (T, R)
        note(`guess.${j}`, softmax(firstOf(scores, this.config.vocab_size))); // (T, V)
      });
    }
    return values;
  }
}
