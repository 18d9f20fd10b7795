/**
 * The engine room's card for the way back: the loss of one letter of the reader's text, the gradient
 * of every value that led to it, and one small step down.
 *
 * The letter's loss depends only on what stands before it, so that is read again, as a text of its
 * own, and the letter is the one after its end. The arithmetic is `gradients.js`; the formulas come
 * from `data.gradients`. Names of numbers: `gradient(NAME)`, `rms(gradient(NAME))`, `stepped(loss)`.
 */

import { h } from "./dom.js";
import { heatmap, value } from "./figures.js";
import { glyph, nameOf, phrase, say } from "./strings.js";
import { backward, lossOf, stepped, straight } from "./gradients.js";
import { choice, grid } from "./room-figures.js";
import { Traced, patternOf } from "./room-traced.js";
import { quoted } from "./room-words.js";

/** @typedef {import("./gradients.js").Gradients} Gradients */
/** @typedef {import("./tensors.js").Tensor} Tensor */
/** @typedef {{ traced: Traced, target: number, found: Gradients, p: Float64Array }} Back `p`: what
 *   was said of each row of the scores after the last letter */

const GUESSES = 8; // so many characters are listed: those the loss says most to
const RATES = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01];

/**
 * What the model says after the last letter, the two reserved rows counted as in training: (R,).
 *
 * @param {Traced} traced
 */
function shares(traced) {
  const scores = Float64Array.from(traced.row("scores", traced.length - 1));
  const peak = Math.max(...scores);
  const e = scores.map((score) => Math.exp(score - peak));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((one) => one / sum);
}

/**
 * @param {Tensor} x
 * @returns {number} the root mean square: the size of a typical number of x
 */
function size({ data }) {
  let sum = 0;
  for (const one of data) sum += one * one;
  return Math.sqrt(sum / data.length);
}

/**
 * So many digits that the first two that count are seen: gradients may be small.
 *
 * @param {number} v
 */
function digits(v) {
  return v > 0 ? Math.min(Math.max(1 - Math.floor(Math.log10(v)), 3), 9) : 3;
}

/**
 * A row with a label, a bar and a number.
 *
 * @param {Node | string} label
 * @param {number} share of the full length
 * @param {Node} number
 */
function bar(label, share, number) {
  const filled = h("span", { class: "bar" });
  filled.style.setProperty("--share", String(share));
  return [
    h("span", { class: "bar-label" }, label),
    h("span", { class: "bar-room", "aria-hidden": "true" }, filled),
    number,
  ];
}

/**
 * What a row of the scores is called: a character, or one of the two reserved ones.
 *
 * @param {Traced} traced
 * @param {number} id
 */
function called(traced, id) {
  const { characters } = traced.page.data;
  return id < characters.length ? quoted(characters[id]) : say(`room.reserved.${id - characters.length}`);
}

/**
 * p - onehot: the gradient of the scores, the largest first.
 *
 * @param {Back} back
 */
function start({ traced, target, found, p }) {
  const last = traced.length - 1;
  const d = /** @type {Tensor} */ (found.values.get("scores")).data.subarray(-p.length);
  const order = Array.from(d.keys()).sort((a, b) => Math.abs(d[b]) - Math.abs(d[a]) || a - b);
  const most = Math.abs(d[order[0]]);
  return h(
    "ol",
    { class: "bars" },
    ...order.slice(0, GUESSES).map((id) => {
      const share = value(p[id], "softmax(scores)", `${last},${id}`, { percent: true });
      const text = phrase(`room.backprop.start.${id === target ? "came" : "other"}`, { letter: called(traced, id), share });
      const number = value(d[id], "gradient(scores)", `${last},${id}`, { digits: digits(Math.abs(d[id])) });
      return h("li", { class: d[id] < 0 ? "pulled" : "" }, bar(text, most > 0 ? Math.abs(d[id]) / most : 0, number));
    }),
  );
}

// --- the chain ------------------------------------------------------------------------------------

/**
 * The heading that a value stands under, and what it is called there, as in `babypoet backprop`.
 *
 * @param {string} name
 * @returns {[heading: string, short: string]}
 */
function part(name) {
  const inner = name.match(/^blocks\.(\d+)\.(.*)$/);
  if (!inner) {
    const early = /^(input|positions|embedding)$/.test(name);
    return [say(early ? "room.backprop.letters" : "room.backprop.scores"), name];
  }
  const look = /^(attention|after_attention|norm_1)\b/.test(inner[2]);
  const heading = say(look ? "room.stream.attention" : "room.stream.mlp", { layer: Number(inner[1]) + 1 });
  return [heading, inner[2].replace(/^(attention|mlp)\./, "")];
}

/**
 * How the gradient of a value follows from those after it.
 *
 * @param {Traced} traced
 * @param {string} name
 */
function formula(traced, name) {
  const entry = traced.page.data.gradients.find(
    (one) => one.name === patternOf(name) && one.rungs.includes(traced.config.rung),
  );
  return entry?.formula ?? "";
}

/**
 * What `heatmap` needs to draw the gradient of a value.
 *
 * @param {Back} back
 * @param {string} name
 * @param {number} head a query head
 */
function mapOf({ traced, found }, name, head) {
  const { shape, data } = /** @type {Tensor} */ (found.values.get(name));
  const { axis, rows, columns, columnNames, place } = grid(traced, name, traced.headOf(name, head));
  return {
    name: `gradient(${name})`,
    label: say("room.backprop.map", { name }),
    rows,
    columns,
    at: (/** @type {number} */ i, /** @type {number} */ j) =>
      data[place(i, j).reduce((offset, at, k) => offset * shape[k] + at, 0)],
    index: (/** @type {number} */ i, /** @type {number} */ j) => place(i, j).join(","),
    signed: true,
    format: { digits: digits(data.reduce((most, one) => Math.max(most, Math.abs(one)), 0)) + 1 },
    describe: (/** @type {number} */ i, /** @type {number} */ j) =>
      say(`room.cell.${axis}`, { letter: nameOf(traced.letters[i]), other: columnNames[j] }),
  };
}

/**
 * Every value on the way back, the loss first: formula and size, and opened the gradient itself.
 *
 * @param {Back} back
 */
function chain(back) {
  const { traced, found } = back;
  let head = 0;
  /** @type {((head: number) => void)[]} */
  const drawn = [];
  const names = [...found.values.keys()].reverse();
  const sizes = names.map((name) => size(/** @type {Tensor} */ (found.values.get(name))));
  const powers = sizes.filter((one) => one > 0).map(Math.log10);
  const [low, high] = [Math.floor(Math.min(...powers)), Math.max(...powers)]; // a bar's two ends
  /** @type {Node[]} */
  const parts = [];
  let under = "";
  let list = h("ol", { class: "bars way-back" });
  names.forEach((name, i) => {
    const [heading, short] = part(name);
    if (heading !== under) {
      under = heading;
      list = h("ol", { class: "bars way-back" });
      parts.push(h("h5", null, heading), list);
    }
    const number = value(sizes[i], `rms(gradient(${name}))`, "", { digits: digits(sizes[i]) });
    const share = sizes[i] > 0 && high > low ? (Math.log10(sizes[i]) - low) / (high - low) : 0;
    const text = h("code", null, h("strong", null, `d ${short}`), ` = ${formula(traced, name)}`);
    const opened = h("div", null);
    const line = h(
      "details",
      {
        ontoggle: () => {
          if (!line.open || opened.firstChild) return;
          const map = heatmap(mapOf(back, name, head));
          drawn.push((other) => map.update(mapOf(back, name, other)));
          opened.append(map);
        },
      },
      h("summary", null, bar(text, share, number)),
      opened,
    );
    list.append(h("li", null, line));
  });
  const heads = Array.from({ length: traced.headCount }, (_, i) => ({
    value: String(i),
    text: say("room.head", { head: i + 1 }),
  }));
  const chooser = choice(say("room.backprop.heads"), heads, "0", (chosen) => {
    head = Number(chosen);
    for (const redraw of drawn) redraw(head);
  });
  return [...(heads.length > 1 ? [h("div", { class: "row ends" }, chooser)] : []), ...parts];
}

/**
 * The first value on the way back that speaks to more than the last letter.
 *
 * @param {Gradients} found
 */
function spread(found) {
  return [...found.values.keys()].reverse().find((name) => {
    const { shape, data } = /** @type {Tensor} */ (found.values.get(name));
    const [T, width] = shape.slice(-2);
    return data.some((one, i) => one !== 0 && Math.floor(i / width) % T !== T - 1);
  });
}

// --- what each letter hears, and the step ---------------------------------------------------------

/**
 * How long the gradient of each letter's vector is, or of its row of the table where there is none.
 *
 * @param {Back} back
 */
function letters({ traced, found }) {
  const name = found.values.has("embedding") ? "embedding" : "scores";
  const { shape, data } = /** @type {Tensor} */ (found.values.get(name));
  const lengths = traced.ids.map((_, t) => Math.hypot(...data.subarray(t * shape[1], (t + 1) * shape[1])));
  const most = Math.max(...lengths);
  return h(
    "ol",
    { class: "bars" },
    ...lengths.map((length, t) => {
      const text = say("room.position", { position: t + 1, letter: traced.glyphs[t] });
      const number = value(length, `length(gradient(${name}))`, String(t), { digits: digits(most) + 1 });
      return h("li", null, bar(text, most > 0 ? length / most : 0, number));
    }),
  );
}

/**
 * The step: how far, a button, and what came of it.
 *
 * @param {Back} back
 */
function step({ traced, target, found, p }) {
  const place = [traced.length - 1, target].join(",");
  const input = h("input", { type: "range", min: 0, max: RATES.length - 1, step: 1, value: 3, oninput: tell });
  const output = h("output", null);
  const said = h("p", { class: "finding", role: "status" });
  const result = h("div", null, said);
  const rate = () => RATES[Number(input.value)];
  function tell() {
    output.textContent = String(rate());
    input.setAttribute("aria-valuetext", String(rate()));
    said.replaceChildren(); // another step's numbers must not stay
  }
  function take() {
    const engine = stepped(traced.engine, found, rate());
    const values = engine.trace(traced.ids);
    const after = lossOf(values, target);
    const exact = { digits: 5 };
    const fell = after < found.loss ? "fell" : after > found.loss ? "rose" : "stayed";
    result.setAttribute("data-rate", String(rate()));
    said.replaceChildren(
      phrase(`room.backprop.step.${fell}`, {
        letter: called(traced, target),
        before: value(found.loss, "loss", "", exact),
        after: value(after, "stepped(loss)", "", exact),
        share: value(p[target], "softmax(scores)", place, { percent: true, digits: 2 }),
        now: value(Math.exp(-after), "stepped(softmax(scores))", place, { percent: true, digits: 2 }),
      }),
      " ",
      phrase("room.backprop.step.straight", { loss: value(straight(found, rate()), "straight(loss)", "", exact) }),
    );
  }
  tell();
  return [
    h(
      "form",
      {
        class: "row ends",
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          take();
        },
      },
      h("label", { class: "field" }, h("span", { class: "name" }, h("span", null, say("room.backprop.rate")), output), input),
      h("button", { type: "submit", class: "main" }, say("room.backprop.take")),
    ),
    result,
  ];
}

// --- the card -------------------------------------------------------------------------------------

/**
 * The way back from the letter that the reader chooses, at first the last one.
 *
 * @param {Traced} all
 */
export function backpropCard(all) {
  const last = all.length - 1;
  if (last < 1) return [h("p", null, say("room.backprop.one"))];
  const place = h("div", null);
  /** @param {number} t the place of the letter that is predicted */
  function draw(t) {
    const traced = new Traced(all.page, all.model, all.ids.slice(0, t));
    const target = all.ids[t];
    const found = backward(traced.engine, traced.values, target);
    const p = shares(traced);
    const back = { traced, target, found, p };
    for (const [name, text] of Object.entries({ ...traced.scope(), "data-target": String(target) })) {
      place.setAttribute(name, text);
    }
    const first = spread(found);
    place.replaceChildren(
      h(
        "p",
        { class: "finding" },
        phrase("room.backprop.loss", {
          text: h("q", null, traced.letters.map((letter) => (letter === " " ? letter : glyph(letter))).join("")),
          letter: called(traced, target),
          share: value(p[target], "softmax(scores)", `${t - 1},${target}`, { percent: true }),
          loss: value(found.loss, "loss", ""),
        }),
      ),
      h("h4", null, say("room.backprop.start")),
      h("p", null, say("room.backprop.start.lead")),
      start(back),
      h("h4", null, say("room.backprop.chain")),
      h("p", null, say("room.backprop.chain.lead")),
      ...(first ? [h("p", null, phrase("room.backprop.spread", { name: h("code", null, first) }))] : []),
      ...chain(back),
      h("h4", null, say("room.backprop.heard")),
      h("p", null, say(`room.backprop.heard.${found.values.has("embedding") ? "lead" : "row"}`)),
      letters(back),
      h("h4", null, say("room.backprop.step")),
      h("p", null, say("room.backprop.step.lead")),
      ...step(back),
    );
  }
  const targets = all.glyphs.map((letter, t) => ({
    value: String(t),
    text: say("room.position", { position: t + 1, letter }),
  }));
  draw(last);
  return [
    h("p", null, say("room.backprop.by_hand")),
    h(
      "div",
      { class: "row ends" },
      choice(say("room.backprop.target"), targets.slice(1), String(last), (chosen) => draw(Number(chosen))),
    ),
    place,
  ];
}
