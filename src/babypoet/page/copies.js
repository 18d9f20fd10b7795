/**
 * Did it copy? Passages that stand in the training text too, found without the text.
 *
 *     const copies = new Copies(data.copies, bytesOf(filter));
 *     copies.spans([..."and the sea is wide"]);     // [{ start: 4, length: 14 }], say
 *
 * The file carries a Bloom filter (1970, doi:10.1145/362686.362692) of passages of `span` characters
 * of the training text: a long row of bits, of which each passage sets a few that a hash picks. Where
 * one of its bits is not set a passage was certainly not there. Where all are, it was, or, seldom,
 * other passages set the same bits. Only one passage in `every`, chosen by another hash, is in it and
 * is asked about: a filter of all of them could be walked through, letter by letter
 * (exporting/copies.py says more).
 */

import { mixed } from "./sampling.js";

const GOLDEN = 0x9e3779b9;

/**
 * A passage as 32 bits.
 *
 * @param {number} seed
 * @param {number[]} codes
 */
function hash(seed, codes) {
  let h = mixed(seed + GOLDEN);
  for (const code of codes) h = mixed(h ^ mixed(code + GOLDEN));
  return h;
}

/** The training text, to be asked whether it has a passage. */
export class Copies {
  /**
   * @param {{ span: number, every: number, bits: number, hashes: number }} spec
   * @param {Uint8Array} bytes
   */
  constructor({ span, every, bits, hashes }, bytes) {
    this.span = span;
    this.every = every;
    this.bits = bits;
    this.hashes = hashes;
    this.bytes = bytes;
  }

  /**
   * Is this one of the passages that the filter would remember?
   *
   * @param {number[]} codes
   */
  asks(codes) {
    return (hash(3, codes) >>> 0) % this.every === 0;
  }

  /**
   * Are these code points, `span` of them, somewhere in the training text?
   *
   * @param {number[]} codes
   */
  has(codes) {
    if (!this.bits) return false;
    const first = hash(1, codes);
    const step = hash(2, codes) | 1;
    for (let k = 0; k < this.hashes; k++) {
      const bit = ((first + Math.imul(k, step)) >>> 0) % this.bits;
      if (!(this.bytes[bit >> 3] & (1 << (bit & 7)))) return false;
    }
    return true;
  }

  /**
   * The longest stretches in which all passages that were asked about stand in the training text,
   * from the beginning of the first to the end of the last.
   *
   * @param {string[]} characters
   * @returns {{ start: number, length: number }[]}
   */
  spans(characters) {
    const codes = characters.map((character) => /** @type {number} */ (character.codePointAt(0)));
    /** @type {{ start: number, length: number }[]} */
    const found = [];
    let open = false; // whether the passage asked about last was known
    for (let i = 0; i + this.span <= codes.length; i++) {
      const passage = codes.slice(i, i + this.span);
      if (!this.asks(passage)) continue;
      const known = this.has(passage);
      if (known && !open) found.push({ start: i, length: this.span });
      if (known) found[found.length - 1].length = i + this.span - found[found.length - 1].start;
      open = known;
    }
    return found;
  }
}
