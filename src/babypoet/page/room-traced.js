/**
 * A text that a model has read, every number on the way kept under its name.
 *
 *     const traced = new Traced(page, "end", page.tokenizer.encode("love this").ids);
 *     traced.at("blocks.0.attention.weights", 1, 8, 3);   // head 1: from letter 8 to letter 3
 *     h("div", traced.scope(), traced.number("probabilities", [8, 4], { percent: true }));
 *
 * The numbers come from `Engine.trace` and are never touched; what is worked out from them here has
 * a name that says how: `mean(NAME)`, `length(NAME)`. This file draws nothing.
 */

import { value } from "./figures.js";
import { glyph, say } from "./strings.js";
import { quoted } from "./room-words.js";

/** @import { Page } from "./app.js" */
/** @typedef {import("./engine.js").Engine} Engine */
/** @typedef {{shape: number[], data: Float32Array | Int32Array}} Tensor */
/** @typedef {{digits?: number, percent?: boolean}} Rounding */
/** @typedef {[layer: number, head: number]} Head */

/** How many letters are traced at most: beyond it, no table of T x T fits a reader's patience. */
export const LIMIT = 48;

/** A model's text: at most LIMIT letters and never more than the model's context. */
export class Reading {
  /**
   * @param {Page} page
   * @param {string} model the id of an entry of `data.models`
   * @param {string} text
   */
  constructor(page, model, text) {
    const { ids, foreign } = page.tokenizer.encode(text);
    const most = Math.min(LIMIT, page.model(model).config.block_size);
    /** @type {number[]} */
    this.ids = Array.from(ids).slice(0, most);
    /** @type {Map<string, string | null>} */
    this.foreign = foreign;
    this.left = ids.length - this.ids.length;
    this.most = most;
    this.empty = this.ids.length === 0;
    if (this.empty) this.ids = [Math.max(0, page.data.characters.indexOf("\n"))];
  }
}

/**
 * What happened to the reader's text on its way to the model.
 *
 * @param {Reading} reading
 * @returns {string[]}
 */
export function sayings(reading) {
  /** @type {string[]} */
  const sentences = [];
  for (const [character, other] of reading.foreign) {
    sentences.push(
      other === null
        ? say("room.text.dropped", { letter: glyph(character) })
        : say("room.text.replaced", { letter: glyph(character), other: quoted(other) }),
    );
  }
  if (reading.empty) sentences.push(say("room.text.empty", { letter: quoted("\n") }));
  if (reading.left) sentences.push(say("room.text.long", { most: reading.most }));
  if (!sentences.length) sentences.push(say("room.text.limit", { most: reading.most }));
  return [sentences.join(" ")];
}

/** The numbers of one reading. */
export class Traced {
  /**
   * @param {Page} page
   * @param {string} model
   * @param {number[]} ids
   * @param {Head[]} [cut] heads whose `mixed` is set to 0
   */
  constructor(page, model, ids, cut = []) {
    this.page = page;
    this.model = model;
    this.ids = ids;
    this.cut = cut;
    /** @type {Engine} */
    this.engine = page.engine(model);
    /** @type {any} */
    this.config = page.model(model).config;
    /** @type {Map<string, Tensor>} */
    this.values = this.engine.trace(ids, { cut });
    /** @type {string[]} */
    this.letters = ids.map((id) => page.data.characters[id]);
    /** The letters as they are shown: blanks visible. */
    this.glyphs = this.letters.map((letter) => glyph(letter));
  }

  /** How many positions were read. */
  get length() {
    return this.ids.length;
  }

  /** @param {string} name */
  has(name) {
    return this.values.has(name);
  }

  /**
   * @param {string} name
   * @returns {Tensor}
   */
  tensor(name) {
    const tensor = this.values.get(name);
    if (!tensor) throw new Error(`This model has no value ${name}.`);
    return tensor;
  }

  /**
   * One number of a value.
   *
   * @param {string} name
   * @param {...number} index
   */
  at(name, ...index) {
    const { shape, data } = this.tensor(name);
    let offset = 0;
    for (let axis = 0; axis < shape.length; axis++) offset = offset * shape[axis] + index[axis];
    return data[offset];
  }

  /**
   * The last axis of a value: the numbers at all but its last index.
   *
   * @param {string} name
   * @param {...number} index
   */
  row(name, ...index) {
    const { shape, data } = this.tensor(name);
    const width = shape[shape.length - 1];
    let offset = 0;
    for (let axis = 0; axis < shape.length - 1; axis++) {
      offset = offset * shape[axis] + index[axis];
    }
    return data.subarray(offset * width, (offset + 1) * width);
  }

  /**
   * One number of a value, to be shown.
   *
   * @param {string} name
   * @param {number[]} index
   * @param {Rounding} [rounding]
   * @returns {HTMLElement}
   */
  number(name, index, rounding = {}) {
    return value(this.at(name, ...index), name, index.join(","), rounding);
  }

  /**
   * The length of each vector of a (T, C) value, as `length(NAME)`: how large it is, whatever its
   * direction.
   *
   * @param {string} name
   * @returns {number[]}
   */
  lengths(name) {
    return this.ids.map((_, t) => Math.hypot(...this.row(name, t)));
  }

  /**
   * Which of a value's own heads serves this query head: key and value heads may be shared.
   *
   * @param {string} name
   * @param {number} head
   */
  headOf(name, head) {
    const { shape } = this.tensor(name);
    if (shape.length < 3) return 0;
    const heads = this.headCount;
    return Math.min(Math.floor((head * shape[0]) / heads), shape[0] - 1);
  }

  /** How many heads look in each layer; 0 where nothing looks. */
  get headCount() {
    return this.has("blocks.0.attention.query")
      ? this.tensor("blocks.0.attention.query").shape[0]
      : 0;
  }

  /** How many blocks stand on each other. */
  get layers() {
    let layers = 0;
    while (this.has(`blocks.${layers}.attention.query`)) layers++;
    return layers;
  }

  /**
   * One of the model's learned tensors.
   *
   * @param {string} name
   */
  weight(name) {
    const weight = this.engine.weights.get(name);
    if (!weight) throw new Error(`This model has no tensor ${name}.`);
    return weight;
  }

  /**
   * What an element must carry that shows these numbers.
   *
   * @returns {Record<string, string>}
   */
  scope() {
    /** @type {Record<string, string>} */
    const scope = { "data-model": this.model, "data-ids": this.ids.join(",") };
    if (this.cut.length) scope["data-cut"] = this.cut.map((head) => head.join(".")).join(" ");
    return scope;
  }
}

/**
 * The pattern of a name, under which `data.values` and strings.json describe it.
 *
 *     patternOf("blocks.2.attention.weights")   // "blocks.*.attention.weights"
 *
 * @param {string} name
 */
export function patternOf(name) {
  return name.replace(/\.\d+(?=\.|$)/g, ".*");
}

/** Values that are never below 0: drawn from dark to light. All others have two signs. */
const UNSIGNED = /(weights|exponentials|root|probabilities|guess\.\d+|ids)$/;

/** @param {string} name */
export function isSigned(name) {
  return !UNSIGNED.test(name);
}

/** Values whose last axis is the letter that is looked at. */
const LOOKING = /attention\.(scores|scaled|masked|exponentials|weights)$/;

/** @param {string} name */
export function looksBack(name) {
  return LOOKING.test(name);
}

/**
 * What the last axis of a value counts.
 *
 * @param {string} name
 * @returns {"letters" | "characters" | "one" | "channels"}
 */
export function lastAxis(name) {
  if (looksBack(name)) return "letters";
  if (/^(scores|logits|probabilities|guess\.\d+)$/.test(name)) return "characters";
  if (/(root|mean)$/.test(name)) return "one";
  return "channels";
}
