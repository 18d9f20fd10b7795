/**
 * Characters to numbers and back, as tokenizer.py does it.
 *
 *     const tokenizer = new Tokenizer(["e", "h", "l", "o"], plain);
 *     tokenizer.encode("hollé");        // { ids: [1, 3, 2, 2, 0], foreign: Map { "é" => "e" } }
 *     tokenizer.decode([1, 0]);         // "he"
 *
 * A character is a code point, never half of one. One that the model never saw becomes the nearest
 * that it knows, or is dropped; `foreign` says which.
 */

const ACUTE = "\u0301"; // combining class 230
const OVERLAY = "\u0334"; // combining class 1, the lowest

/**
 * Does this character join the one before it (has it a combining class, in Unicode's words)?
 *
 * The browser does not tell, but its normalisation does: marks after a letter are put in the order
 * of their classes, and only a character without a class keeps the overlay behind the accent.
 *
 * @param {string} character one that has no decomposition
 */
function combines(character) {
  return `a${ACUTE}${character}${OVERLAY}`.normalize("NFD")[1] === OVERLAY;
}

/** A vocabulary of single characters; ids are ranks of the sorted distinct characters. */
export class Tokenizer {
  /**
   * @param {string[]} characters every known character once, sorted
   * @param {Record<string, string>} plain typographic characters, and plain ones for each in order
   * of preference: what Unicode's decompositions do not know
   */
  constructor(characters, plain) {
    this.characters = characters;
    this.plain = new Map(Object.entries(plain));
    this.ids = new Map(characters.map((character, id) => [character, id]));
    /** @type {Map<string, string | null>} */
    this.found = new Map();
  }

  /** V, the number of distinct characters. */
  get vocabSize() {
    return this.characters.length;
  }

  /**
   * Text to ids, and each unknown character with its stand-in, or null where it was dropped.
   *
   * @param {string} text
   * @returns {{ ids: number[], foreign: Map<string, string | null> }}
   */
  encode(text) {
    /** @type {number[]} */
    const ids = [];
    /** @type {Map<string, string | null>} */
    const foreign = new Map();
    for (const character of text) {
      let id = this.ids.get(character);
      if (id === undefined) {
        const standIn = this.nearest(character);
        foreign.set(character, standIn);
        if (standIn !== null) id = this.ids.get(standIn);
      }
      if (id !== undefined) ids.push(id);
    }
    return { ids, foreign };
  }

  /**
   * Ids to text; an id outside 0..V-1 is a RangeError.
   *
   * @param {Iterable<number>} ids
   */
  decode(ids) {
    let text = "";
    for (const id of ids) {
      if (!(id in this.characters)) throw new RangeError(`There is no character ${id}.`);
      text += this.characters[id];
    }
    return text;
  }

  /**
   * The known character that looks most like this one, or null.
   *
   * @param {string} character
   * @returns {string | null}
   */
  nearest(character) {
    let found = this.found.get(character);
    if (found === undefined) {
      found = this.candidates(character).find((candidate) => this.ids.has(candidate)) ?? null;
      this.found.set(character, found);
    }
    return found;
  }

  /**
   * What might stand in for a character, the nearest first: plainer forms, then the other case.
   *
   * @param {string} character
   */
  candidates(character) {
    const forms = [character, ...this.variants(character)];
    const cases = forms.flatMap((form) => [form.toLowerCase(), form.toUpperCase()]);
    return [...forms, ...cases].flatMap((form) => [form, ...this.variants(form)]);
  }

  /**
   * Ever plainer forms of one character (or of the few that its other case has).
   *
   * @param {string} character
   * @returns {string[]}
   */
  variants(character) {
    const decomposed = [...character.normalize("NFKD")];
    const base = decomposed.find((part) => !combines(part)) ?? "";
    const plainer = [...(this.plain.get(character) ?? ""), base, ...(this.plain.get(base) ?? "")];
    return plainer.filter((form) => form !== "");
  }
}
