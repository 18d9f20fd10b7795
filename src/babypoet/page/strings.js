/**
 * Every sentence of the page comes from one JSON object, so that a page can speak another language.
 *
 *     say("dice.undo")                                   // "Undo"
 *     say("guess.letters", { n: 3 })                     // "3 letters": `guess.letters.other`
 *     phrase("guess.ahead", { hits: value(7, "play.hits", "you") })   // nodes: a sentence with a <data> inside
 *
 * A key may have plural forms: with `n` among the values, `key.one`, `key.few`, `key.other`, … is taken, whichever
 * the page's language asks for. A missing key shows itself, so that a gap is seen and never breaks the page.
 */

/** @type {Record<string, string> | null} */
let table = null;

/** @returns {Record<string, string>} */
function strings() {
  if (table === null) table = JSON.parse(document.getElementById("strings")?.textContent || "{}");
  return /** @type {Record<string, string>} */ (table);
}

/**
 * @param {string} key
 * @param {Record<string, unknown>} values
 * @returns {string} the string with its placeholders still in it
 */
function found(key, values) {
  if (values.n !== undefined) {
    const n = values.n instanceof HTMLDataElement ? Number(values.n.value) : Number(values.n);
    const form = `${key}.${new Intl.PluralRules(language()).select(n)}`;
    if (form in strings()) return strings()[form];
    if (`${key}.other` in strings()) return strings()[`${key}.other`];
  }
  return strings()[key] ?? key;
}

/** @returns {string} the language the page is written in, such as "en" */
export function language() {
  return document.documentElement.lang || "en";
}

/**
 * Whether there is such a string: `has("character.U+002C")`.
 *
 * @param {string} key
 * @returns {boolean}
 */
export function has(key) {
  return key in strings();
}

/**
 * @param {string | number} given
 * @returns {string} a number is written as the page's language writes it: 2513 is "2,513"
 */
function shown(given) {
  return typeof given === "number" ? new Intl.NumberFormat(language()).format(given) : given;
}

/**
 * The string under `key`, its {placeholders} filled.
 *
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function say(key, values = {}) {
  return found(key, values).replace(/\{(\w+)\}/g, (whole, name) =>
    name in values ? shown(values[name]) : whole,
  );
}

/**
 * The same as nodes, where a placeholder may be an element (a `<data>` from `value`, a `<bdi>`, a link).
 *
 *     h("p", null, phrase("dice.torn", { n: value(4.6, "draw.torn_between", "") }))
 *
 * @param {string} key
 * @param {Record<string, Node | string | number>} [values]
 * @returns {DocumentFragment}
 */
export function phrase(key, values = {}) {
  const nodes = document.createDocumentFragment();
  for (const part of found(key, values).split(/(\{\w+\})/)) {
    const name = /^\{(\w+)\}$/.exec(part)?.[1];
    const given = name !== undefined && name in values ? values[name] : part;
    nodes.append(given instanceof Node ? given : shown(given));
  }
  return nodes;
}

/** @type {Record<string, string>} */
const VISIBLE = { " ": "␣", "\n": "↵", "\t": "⇥", "\r": "↵", "\u00a0": "⍽", "\u200b": "⌷", "\ufeff": "⌷" };

/**
 * A form of the character that can be seen: `glyph(" ")` is "␣", `glyph("\n")` is "↵", `glyph("e")` is "e".
 *
 * @param {string} character
 * @returns {string}
 */
export function glyph(character) {
  if (character in VISIBLE) return VISIBLE[character];
  if (/^\p{M}$/u.test(character)) return `◌${character}`; // an accent that stands alone needs something to sit on
  if (/^[\p{C}\p{Z}]$/u.test(character)) return codePoint(character);
  return character;
}

/**
 * Its spoken form: `nameOf(" ")` is "space", `nameOf("E")` is "capital E", `nameOf(",")` is "comma".
 *
 * @param {string} character
 * @returns {string}
 */
export function nameOf(character) {
  const key = `character.${codePoint(character)}`;
  if (has(key)) return say(key);
  if (/^\p{Lu}$/u.test(character)) return say("character.capital", { letter: character });
  return glyph(character);
}

/**
 * `codePoint("e")` is "U+0065".
 *
 * @param {string} character
 * @returns {string}
 */
function codePoint(character) {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
}
