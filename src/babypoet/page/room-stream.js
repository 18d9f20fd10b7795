/**
 * The engine room's cards for what runs through all blocks: the residual stream, and what the model
 * would guess from it after each block (the logit lens: nostalgebraist 2020, "interpreting GPT").
 */

import { h } from "./dom.js";
import { value } from "./figures.js";
import { glyph, nameOf, phrase, say } from "./strings.js";
import { choice, explained, meaning, stepper } from "./room-figures.js";
import { quoted } from "./room-words.js";
import { TypeCase } from "./typecase.js";

/** @typedef {import("./room-traced.js").Traced} Traced */

/**
 * What is added to the stream one after the other: a name and how it is called.
 *
 * @param {Traced} traced
 */
function additions(traced) {
  const parts = [{ name: "input", text: say("room.stream.input") }];
  for (let layer = 0; layer < traced.layers; layer++) {
    parts.push(
      { name: `blocks.${layer}.attention.output`, text: say("room.stream.attention", { layer: layer + 1 }) },
      { name: `blocks.${layer}.mlp.output`, text: say("room.stream.mlp", { layer: layer + 1 }) },
    );
  }
  return parts;
}

/**
 * How large each addition is at one position: bars with their lengths.
 *
 * @param {Traced} traced
 * @param {number} t
 */
function bars(traced, t) {
  const last = `blocks.${traced.layers - 1}.after_mlp`;
  const rows = [...additions(traced), { name: last, text: say("room.stream.sum") }];
  const lengths = rows.map(({ name }) => traced.lengths(name)[t]);
  const most = Math.max(...lengths);
  return h(
    "ol",
    { class: "bars" },
    ...rows.map(({ name, text }, i) => {
      const bar = h("span", { class: "bar", "aria-hidden": "true" });
      bar.style.setProperty("--share", String(most > 0 ? lengths[i] / most : 0));
      return h(
        "li",
        { class: i === rows.length - 1 ? "sum" : "" },
        h("span", { class: "bar-label" }, text),
        h("span", { class: "bar-room", "aria-hidden": "true" }, bar),
        value(lengths[i], `length(${name})`, String(t)),
      );
    }),
  );
}

/**
 * The stream after each part, and how much each part adds.
 *
 * @param {Traced} traced
 */
export function streamCard(traced) {
  const names = ["input"];
  for (let layer = 0; layer < traced.layers; layer++) {
    names.push(`blocks.${layer}.after_attention`, `blocks.${layer}.after_mlp`);
  }
  const place = h("div", null, bars(traced, traced.length - 1));
  const positions = traced.glyphs.map((letter, t) => ({
    value: String(t),
    text: say("room.position", { position: t + 1, letter }),
  }));
  return [
    stepper(traced, names, { label: say("room.value"), chosen: names[names.length - 1] }).element,
    h("h4", null, say("room.stream.bars")),
    h("p", null, say("room.stream.bars.lead")),
    h(
      "div",
      { class: "row ends" },
      choice(say("room.position.choose"), positions, String(traced.length - 1), (chosen) =>
        place.replaceChildren(bars(traced, Number(chosen))),
      ),
    ),
    place,
  ];
}

/**
 * The likeliest character of a row of probabilities.
 *
 * @param {Traced} traced
 * @param {string} name
 * @param {number} t
 */
export function likeliest(traced, name, t) {
  const row = traced.row(name, t);
  let best = 0;
  for (let id = 1; id < row.length; id++) if (row[id] > row[best]) best = id;
  return best;
}

/**
 * For each block and position the letter that would be guessed there, with its share.
 *
 * @param {Traced} traced
 */
export function guessCard(traced) {
  const { data } = traced.page;
  const names = Array.from({ length: traced.layers + 1 }, (_, j) => `guess.${j}`);
  const last = traced.length - 1;
  const rows = names.map((name, j) =>
    h(
      "tr",
      null,
      h("th", { scope: "row" }, j ? say("room.guess.after", { layer: j }) : say("room.guess.start")),
      ...traced.ids.map((_, t) => {
        const best = likeliest(traced, name, t);
        const cell = h(
          "td",
          { class: t < last && best === traced.ids[t + 1] ? "came" : "" },
          h("span", { class: "lens-letter" }, glyph(data.characters[best])),
          traced.number(name, [t, best], { percent: true, digits: 0 }),
        );
        cell.style.setProperty("--share", String(traced.at(name, t, best)));
        return cell;
      }),
    ),
  );
  const settled = names.findIndex((_, j) =>
    names.slice(j).every((name) => likeliest(traced, name, last) === likeliest(traced, names[names.length - 1], last)),
  );
  const winner = likeliest(traced, names[names.length - 1], last);
  return [
    meaning(traced, "guess.0"),
    h("p", { class: "note", "aria-hidden": "true" }, say("room.guess.label")),
    h(
      "div",
      { class: "table", tabindex: 0, role: "region", "aria-label": say("room.guess.label") },
      h(
        "table",
        { class: "lens" },
        h("caption", { class: "unseen" }, say("room.guess.label")),
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            h("th", { scope: "col" }, say("room.guess.read")),
            ...traced.glyphs.map((letter, t) =>
              h("th", { scope: "col", title: nameOf(traced.letters[t]) }, letter),
            ),
          ),
        ),
        h("tbody", null, ...rows),
      ),
    ),
    h("p", { class: "note" }, say("room.guess.came")),
    h(
      "p",
      { class: "finding" },
      phrase(settled ? "room.guess.settled" : "room.guess.from", {
        letter: quoted(data.characters[winner]),
        layer: settled,
        first: traced.number("guess.0", [last, winner], { percent: true }),
        end: traced.number(names[names.length - 1], [last, winner], { percent: true }),
      }),
    ),
  ];
}

/**
 * The last position's scores and shares, in the type case and as the ten likeliest.
 *
 * @param {Traced} traced
 */
export function logitsCard(traced) {
  const { data } = traced.page;
  const last = traced.length - 1;
  const p = traced.row("probabilities", last);
  const order = Array.from(p.keys()).sort((a, b) => p[b] - p[a] || a - b);
  const typecase = new TypeCase(data.characters, { label: say("room.logits.case") });
  typecase.setProbabilities(p, { name: "probabilities", index: String(last) });
  return [
    h("p", null, say("room.logits.after", { text: traced.letters.join("") })),
    typecase.element,
    h(
      "div",
      { class: "table" },
      h(
        "table",
        { class: "ranking" },
        h("caption", null, say("room.logits.top")),
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            ...["letter", "logit", "share"].map((column) =>
              h("th", { scope: "col" }, say(`room.logits.${column}`)),
            ),
          ),
        ),
        h(
          "tbody",
          null,
          ...order.slice(0, 10).map((id) =>
            h(
              "tr",
              null,
              h("th", { scope: "row" }, quoted(data.characters[id])),
              h("td", null, traced.number("logits", [last, id])),
              h("td", null, traced.number("probabilities", [last, id], { percent: true })),
            ),
          ),
        ),
      ),
    ),
    explained(traced, "logits").element,
    explained(traced, "probabilities").element,
  ];
}
