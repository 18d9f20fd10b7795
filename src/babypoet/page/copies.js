/**
 * Did it copy? Passages that stand in the training text too, found without the text.
 *
 *     const copies = new Copies(data.copies, bytesOf(filter));
 *     copies.spans([..."and the sea"]);     // [{ start: 0, length: 11 }] or whatever it finds
 *
 * The file carries a Bloom filter (1970, doi:10.1145/362686.362692) of every `span` characters of the
 * training text: a long row of bits, of which each passage sets a few that a hash picks. Where one of
 * its bits is not set a passage was certainly not there. Where all are, it was, or, seldom, other
 * passages set the same bits. The text cannot be read back from the bits.
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
   * @param {{ span: number, bits: number, hashes: number }} spec
   * @param {Uint8Array} bytes
   */
  constructor({ span, bits, hashes }, bytes) {
    this.span = span;
    this.bits = bits;
    this.hashes = hashes;
    this.bytes = bytes;
  }

  /**
   * Are these code points, `span` of them, somewhere in the training text?
   *
   * @param {number[]} codes
   */
  has(codes) {
    const first = hash(1, codes);
    const step = hash(2, codes) | 1;
    for (let k = 0; k < this.hashes; k++) {
      const bit = ((first + Math.imul(k, step)) >>> 0) % this.bits;
      if (!(this.bytes[bit >> 3] & (1 << (bit & 7)))) return false;
    }
    return true;
  }

  /**
   * The longest stretches of which each `span` characters stand in the training text.
   *
   * @param {string[]} characters
   * @returns {{ start: number, length: number }[]}
   */
  spans(characters) {
    const codes = characters.map((character) => /** @type {number} */ (character.codePointAt(0)));
    const found = [];
    let start = -1; // where a run of hits began
    for (let i = 0; i <= codes.length; i++) {
      const hit = i + this.span <= codes.length && this.has(codes.slice(i, i + this.span));
      if (hit && start < 0) start = i;
      if (!hit && start >= 0) {
        found.push({ start, length: i - start + this.span - 1 });
        start = -1;
      }
    }
    return found;
  }
}
