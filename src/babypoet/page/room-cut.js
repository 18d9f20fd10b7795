/**
 * An experiment: silence a head or swap a letter, and write on from the same seed.
 *
 * Two texts side by side, drawn with the same random numbers, so whatever differs comes from the
 * change; and under them which named values changed, and by how much. It shows what depends on a
 * head here. It does not show what the head is for.
 */

import { h } from "./dom.js";
import { table, value } from "./figures.js";
import { phrase, say } from "./strings.js";
import { write } from "./sampling.js";
import { choice } from "./room-figures.js";
import { likeliest } from "./room-stream.js";
import { Traced } from "./room-traced.js";
import { quoted } from "./room-words.js";

/** @typedef {import("./room-traced.js").Head} Head */

const LENGTH = 200; // letters that each of the two texts gets
const TEMPERATURE = 0.8; // what `babypoet generate` draws with

/**
 * What a model writes after a prompt: ids.
 *
 * @param {Traced} traced
 * @param {number} seed
 * @returns {number[]}
 */
function written(traced, seed) {
  const settings = { length: LENGTH, seed, sample: 0, temperature: TEMPERATURE, cut: traced.cut };
  return [...write(traced.engine, traced.ids, settings)];
}

/**
 * A text, its prompt apart and the place marked where it parts from the other one. What comes after that has other
 * letters before it, so that a letter in common there means nothing.
 *
 * @param {Traced} traced
 * @param {number[]} ids
 * @param {number[]} other
 * @param {string} title
 */
function column(traced, ids, other, title) {
  const letters = ids.map((id) => traced.page.data.characters[id]);
  const apart = ids.findIndex((id, i) => id !== other[i]);
  const pieces =
    apart < 0
      ? [letters.join("")]
      : [
          letters.slice(0, apart).join(""),
          h("mark", { class: "differs" }, letters[apart]),
          letters.slice(apart + 1).join(""),
        ];
  return h(
    "div",
    { class: "column", ...traced.scope() },
    h("h4", null, title),
    h("p", { class: "writing" }, h("span", { class: "given" }, traced.letters.join("")), pieces),
  );
}

/**
 * The largest change in each named value: the numbers that depend on what was changed.
 *
 * @param {Traced} before
 * @param {Traced} after
 */
function changes(before, after) {
  return [...before.values.keys()].map((name) => {
    const [a, b] = [before.tensor(name).data, after.tensor(name).data];
    let most = 0;
    let count = 0;
    for (let i = 0; i < a.length; i++) {
      if (a[i] === b[i]) continue; // also -infinity, of which no difference can be taken
      count++;
      most = Math.max(most, Math.abs(a[i] - b[i]));
    }
    return { name, most, count, of: a.length };
  });
}

/**
 * The five likeliest next letters of both readings, side by side.
 *
 * @param {Traced} before
 * @param {Traced} after
 */
function nextLetters(before, after) {
  const { characters } = before.page.data;
  const last = before.length - 1;
  const p = before.row("probabilities", last);
  const q = after.row("probabilities", last);
  const order = Array.from(p.keys()).sort((a, b) => Math.max(p[b], q[b]) - Math.max(p[a], q[a]) || a - b);
  /** @type {(traced: Traced, id: number) => Node} */
  const share = (traced, id) =>
    h("span", traced.scope(), traced.number("probabilities", [last, id], { percent: true }));
  return table({
    caption: say("room.cut.next"),
    columns: [say("room.logits.letter"), say("room.cut.before"), say("room.cut.after")],
    rows: order
      .slice(0, 6)
      .map((id) => [quoted(characters[id]), share(before, id), share(after, id)]),
  });
}

/**
 * The experiment: choose a head, swap a letter, press the button.
 *
 * @param {Traced} traced
 */
export function cutCard(traced) {
  const { page } = traced;
  let head = "";
  let position = "";
  const heads = Array.from({ length: traced.layers * traced.headCount }, (_, k) => {
    const [layer, own] = [Math.floor(k / traced.headCount), k % traced.headCount];
    return {
      value: `${layer}.${own}`,
      text: `${say("room.layer", { layer: layer + 1 })}, ${say("room.head", { head: own + 1 })}`,
    };
  });
  const letter = h("input", {
    type: "text",
    class: "one-letter",
    maxlength: 2,
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
  });
  const seed = h("input", { type: "number", min: 0, max: 4294967295, step: 1, value: page.data.seed ?? 0 });
  const result = h("div", { class: "experiment" });
  const said = h("p", { class: "finding", role: "status" });

  /** @returns {number[]} the prompt with the letter swapped */
  function swapped() {
    if (position === "") return traced.ids;
    const { ids } = page.tokenizer.encode(letter.value);
    if (ids.length === 0) return traced.ids;
    return traced.ids.map((id, t) => (t === Number(position) ? ids[0] : id));
  }

  function compare() {
    /** @type {Head[]} */
    const cut = head ? [/** @type {Head} */ (head.split(".").map(Number))] : [];
    const ids = swapped();
    if (!cut.length && ids.every((id, t) => id === traced.ids[t])) {
      result.replaceChildren();
      said.replaceChildren(say("room.cut.nothing"));
      return;
    }
    const after = new Traced(page, traced.model, ids, cut);
    const number = Math.max(0, Math.floor(Number(seed.value)) || 0);
    const [first, second] = [written(traced, number), written(after, number)];
    const changed = changes(traced, after);
    const apart = first.findIndex((id, i) => id !== second[i]);
    const differing = first.filter((id, i) => id !== second[i]).length;
    said.replaceChildren(
      phrase(apart < 0 ? "room.cut.same" : apart ? "room.cut.apart" : "room.cut.at_once", {
        n: value(apart, "play.same", "", { digits: 0 }),
        differing: value(differing, "play.differing", "", { digits: 0 }),
        length: LENGTH,
      }),
      " ",
      verdict(traced, after),
    );
    result.replaceChildren(
      h(
        "div",
        { class: "columns" },
        column(traced, first, second, say("room.cut.before")),
        column(after, second, first, say("room.cut.after")),
      ),
      nextLetters(traced, after),
      h(
        "details",
        { class: "show-table" },
        h("summary", null, phrase("room.cut.changes", {
          changed: value(changed.filter((one) => one.count).length, "play.changed", "", { digits: 0 }),
          of: value(changed.length, "play.values", "", { digits: 0 }),
        })),
        h(
          "div",
          { ...after.scope(), "data-before-ids": traced.ids.join(",") },
          table({
            caption: say("room.cut.table"),
            columns: [say("room.cut.name"), say("room.cut.count"), say("room.cut.most")],
            rows: changed.map(({ name, most, count }) => [
              h("code", null, name),
              { v: count, name: `changed(${name})`, index: "", digits: 0 },
              { v: most, name: `change(${name})`, index: "", digits: 4 },
            ]),
          }),
        ),
      ),
    );
  }

  return [
    h(
      "form",
      {
        class: "row ends",
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          compare();
        },
      },
      heads.length
        ? choice(
            say("room.cut.head"),
            [{ value: "", text: say("room.cut.none") }, ...heads],
            "",
            (chosen) => (head = chosen),
          )
        : null,
      choice(
        say("room.cut.position"),
        [
          { value: "", text: say("room.cut.none") },
          ...traced.glyphs.map((text, t) => ({
            value: String(t),
            text: say("room.position", { position: t + 1, letter: text }),
          })),
        ],
        "",
        (chosen) => (position = chosen),
      ),
      h("label", { class: "field" }, h("span", { class: "name" }, say("room.cut.letter")), letter),
      h("label", { class: "field" }, h("span", { class: "name" }, say("room.seed")), seed),
      h("button", { type: "submit", class: "main" }, say("room.cut.write", { length: LENGTH })),
    ),
    said,
    result,
  ];
}

/**
 * What the change did to the likeliest next letter, in one sentence.
 *
 * @param {Traced} before
 * @param {Traced} after
 */
function verdict(before, after) {
  const { characters } = before.page.data;
  const last = before.length - 1;
  const best = likeliest(before, "probabilities", last);
  return h(
    "span",
    null,
    phrase("room.cut.verdict", {
      letter: quoted(characters[best]),
      before: h("span", before.scope(), before.number("probabilities", [last, best], { percent: true })),
      after: h("span", after.scope(), after.number("probabilities", [last, best], { percent: true })),
    }),
  );
}
