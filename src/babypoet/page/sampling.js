/**
 * From logits to text: filter and draw, with the arithmetic of sampling.py.
 *
 *     for (const id of write(engine, ids, { length: 200, temperature: 0.8, seed: 3 })) ...
 *
 * Every draw is a function of (seed, sample, position) and nothing else, so the same seed writes the
 * same text here and in Python. Nothing here shows anything, and nothing asks the browser for chance.
 */

/** @typedef {import("./engine.js").Engine} Engine */

/**
 * How to choose among the next characters; null and undefined both mean "not used".
 *
 * @typedef {object} Settings
 * @property {number} [temperature] 0 takes the likeliest, 1 draws as predicted (the default)
 * @property {number | null} [topK] the k likeliest only
 * @property {number | null} [topP] the fewest that together have this probability
 * @property {number | null} [minP] none less likely than this share of the likeliest
 */

/**
 * A permutation of the 32-bit integers: change one bit, and half of all bits change.
 *
 * The finaliser of MurmurHash3 (Appleby 2011, `fmix32`).
 *
 * @param {number} h any integer; its lowest 32 bits count
 */
export function mixed(h) {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * A random number in [0, 1) that depends on its three arguments and nothing else.
 *
 * The words of the seed (its 32-bit digits, the lowest first), then `stream`, then `counter` are
 * mixed into one 32-bit integer. A seed may be any integer from 0 to 2^53 - 1.
 *
 * @param {number} seed
 * @param {number} counter
 * @param {number} stream
 */
export function uniform(seed, counter, stream = 0) {
  const words = [seed >>> 0];
  if (seed >= 0x100000000) words.push(Math.floor(seed / 0x100000000));
  let h = 0;
  for (const word of [...words, stream, counter]) h = mixed(h ^ mixed(word + 0x9e3779b9));
  return h / 0x100000000;
}

/**
 * Where the largest of the logits stands, the first of equals. Where one of them is no number, an
 * error: nothing can be drawn from them.
 *
 * @param {ArrayLike<number>} logits
 */
function argmax(logits) {
  let best = 0;
  for (let i = 0; i < logits.length; i++) {
    if (logits[i] > logits[best]) best = i;
    if (Number.isNaN(logits[i])) throw new Error("The model's scores are not all numbers.");
  }
  if (!Number.isFinite(logits[best])) throw new Error("The model's scores are not finite.");
  return best;
}

/**
 * Sums of more and more numbers: out[i] = x[0] + ... + x[i].
 *
 * @param {Float64Array} x
 */
function cumulated(x) {
  let sum = 0;
  return x.map((value) => (sum += value));
}

/**
 * The probabilities that a character is drawn from: V logits -> V numbers, with the sum 1.
 *
 * In this order: `temperature` divides the logits, or, at 0, leaves the likeliest character alone;
 * `topK` keeps the k likeliest; `topP` keeps the fewest of those that hold this share of their
 * probability (Holtzman et al. 2019, arXiv:1904.09751); `minP` drops what is less likely than this
 * share of the likeliest (Nguyen et al. 2024, arXiv:2407.01082). Among equals the lower ids are kept.
 *
 * @param {ArrayLike<number>} logits
 * @param {Settings} settings
 */
export function distribution(logits, { temperature = 1, topK, topP, minP } = {}) {
  const best = argmax(logits);
  const p = new Float64Array(logits.length);
  if (temperature === 0) {
    p[best] = 1;
    return p;
  }
  for (let i = 0; i < p.length; i++) p[i] = Math.exp((logits[i] - logits[best]) / temperature);
  for (const i of dropped(logits, p, topK ?? p.length, topP ?? 1)) p[i] = 0;
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    if (p[i] < (minP ?? 0)) p[i] = 0; // the likeliest has 1
    sum += p[i];
  }
  return p.map((value) => value / sum);
}

/**
 * The ids that top-k and then top-p leave out.
 *
 * @param {ArrayLike<number>} logits
 * @param {Float64Array} p
 * @param {number} topK
 * @param {number} topP
 */
function dropped(logits, p, topK, topP) {
  if (topK >= p.length && topP >= 1) return [];
  const order = Array.from(p.keys());
  // subtracting would not do: -infinity less itself is no number
  order.sort((i, j) => Number(logits[j] > logits[i]) - Number(logits[j] < logits[i]));
  let kept = Math.min(topK, p.length);
  if (topP < 1) {
    // at 1 rounding must not cost the last characters
    const total = cumulated(Float64Array.from(order.slice(0, kept), (i) => p[i]));
    kept = total.findIndex((sum) => sum >= topP * total[kept - 1]) + 1;
  }
  return order.slice(kept);
}

/**
 * The id that the random number `u` in [0, 1) picks: V logits -> an id.
 *
 * The ids lie side by side in [0, 1), each as wide as its probability in `distribution`.
 *
 * @param {ArrayLike<number>} logits
 * @param {number} u
 * @param {Settings} settings
 */
export function nextToken(logits, u, settings = {}) {
  if (settings.temperature === 0) return argmax(logits);
  const total = cumulated(distribution(logits, settings));
  return total.findIndex((sum) => sum > u * total[total.length - 1]);
}

/**
 * The ids that the model writes after the prompt, `length` of them, one by one.
 *
 * `sample` numbers the texts of one seed, from 0; the heads in `cut` add nothing.
 *
 * @param {Engine} engine
 * @param {number[]} ids the prompt, one id or more
 * @param {Settings & { length: number, seed?: number, sample?: number,
 *   cut?: import("./engine.js").Head[] }} settings
 */
export function* write(engine, ids, { length, seed = 0, sample = 0, cut = [], ...settings }) {
  const text = engine.start({ cut });
  let added = ids;
  for (let position = 0; position < length; position++) {
    const id = nextToken(text.extend(added), uniform(seed, position, sample), settings);
    yield id;
    added = [id];
  }
}
