/**
 * The engine room's first cards: from letters to vectors, and where each of them stands.
 */

import { h } from "./dom.js";
import { nameOf, phrase, say } from "./strings.js";
import { value } from "./figures.js";
import { explained, meaning, stepper } from "./room-figures.js";
import { letterMap } from "./room-map.js";
import { quoted } from "./room-words.js";

/** @typedef {import("./room-traced.js").Traced} Traced */

/**
 * The text as numbers: a strip of letters, each above its place in the list of characters.
 *
 * @param {Traced} traced
 */
export function lettersCard(traced) {
  return [
    meaning(traced, "ids"),
    h(
      "ol",
      { class: "tiles" },
      ...traced.glyphs.map((glyph, t) =>
        h(
          "li",
          { class: "tile", title: nameOf(traced.letters[t]) },
          h("span", { class: "tile-letter" }, glyph),
          traced.number("ids", [t], { digits: 0 }),
        ),
      ),
    ),
    h("p", { class: "finding" }, phrase(...repeated(traced))),
  ];
}

/**
 * That the same letter is the same number wherever it stands, with this text's own example.
 *
 * @param {Traced} traced
 * @returns {[string, Record<string, Node | string>]}
 */
function repeated(traced) {
  const count = value(traced.page.data.characters.length, "text.distinct", "", { digits: 0 });
  const again = traced.ids.find((id, t) => traced.ids.indexOf(id) !== t);
  if (again === undefined) return ["room.ids.none", { count }];
  return ["room.ids.same", { letter: quoted(traced.page.data.characters[again]), count }];
}

/**
 * A model of letter pairs has nothing else: each letter's row of the table.
 *
 * @param {Traced} traced
 */
export function rowCard(traced) {
  return [explained(traced, "scores").element];
}

/**
 * The rows of the embedding table that this text uses, and the map of all of them.
 *
 * @param {Traced} traced
 */
export function embeddingCard(traced) {
  const tables = ["embed_tokens.weight", "wte.weight"];
  const tensor = tables.find((name) => traced.engine.weights.has(name));
  return [
    explained(traced, "embedding").element,
    h("h4", null, say("room.map.title")),
    h("p", null, say("room.map.lead")),
    ...(tensor ? [letterMap(traced, tensor)] : []),
  ];
}

/**
 * How the model knows where a letter stands: a learned row for each place, or angles.
 *
 * @param {Traced} traced
 */
export function positionsCard(traced) {
  if (traced.has("positions")) {
    return [
      h("p", null, say("room.positions.table")),
      stepper(traced, ["positions", "input"], { label: say("room.value") }).element,
    ];
  }
  return [
    h("p", null, say("room.positions.angles")),
    stepper(traced, ["cosine", "sine"], { label: say("room.value") }).element,
  ];
}
