/**
 * The engine room: the reader's own text followed through the model, every number on the way.
 *
 *     engineRoom(page, document.querySelector("#room .live"))
 *
 * One card for each part, in reading order; `data-card` names it. A card is built when it is first
 * opened, and again when the text or the model changes while it is open, so that a large model costs
 * only what is looked at. The arithmetic is `engine.js`, the pictures are `figures.js`; the cards are
 * the modules `room-*.js`.
 */

import { h } from "./dom.js";
import { table, value } from "./figures.js";
import { phrase, say } from "./strings.js";
import { backpropCard } from "./room-backprop.js";
import { attentionCard, mlpCard, normCard } from "./room-blocks.js";
import { cutCard } from "./room-cut.js";
import { choice, stepper } from "./room-figures.js";
import { embeddingCard, lettersCard, positionsCard, rowCard } from "./room-letters.js";
import { guessCard, likeliest, logitsCard, streamCard } from "./room-stream.js";
import { Reading, Traced, sayings } from "./room-traced.js";
import { weightsCard } from "./room-weights.js";
import { quoted } from "./room-words.js";

/** @import { Page } from "./app.js" */
/** @typedef {{id: string, has: (traced: Traced) => boolean, build: (traced: Traced) => Node[]}} Card */

/** @type {(name: string) => (traced: Traced) => boolean} */
const having = (name) => (traced) => traced.has(name);

/** @type {Card[]} */
const CARDS = [
  { id: "ids", has: () => true, build: lettersCard },
  { id: "row", has: (traced) => !traced.has("embedding"), build: rowCard },
  { id: "embedding", has: having("embedding"), build: embeddingCard },
  { id: "positions", has: (traced) => traced.has("positions") || traced.has("cosine"), build: positionsCard },
  { id: "norm", has: having("blocks.0.norm_1"), build: normCard },
  { id: "attention", has: having("blocks.0.attention.query"), build: attentionCard },
  { id: "mlp", has: having("blocks.0.mlp.output"), build: mlpCard },
  { id: "stream", has: having("blocks.0.after_mlp"), build: streamCard },
  { id: "guess", has: having("guess.0"), build: guessCard },
  { id: "logits", has: () => true, build: logitsCard },
  { id: "backprop", has: () => true, build: backpropCard },
  { id: "weights", has: () => true, build: weightsCard },
  { id: "cut", has: () => true, build: cutCard },
  { id: "names", has: () => true, build: namesCard },
];

/**
 * Every value of the trace, one after the other.
 *
 * @param {Traced} traced
 * @returns {Node[]}
 */
function namesCard(traced) {
  const names = [...traced.values.keys()];
  let head = 0;
  const steps = stepper(traced, names, {
    label: say("room.value"),
    head: () => head,
  });
  const heads = Array.from({ length: traced.headCount }, (_, i) => ({
    value: String(i),
    text: say("room.head", { head: i + 1 }),
  }));
  const chooser = choice(say("room.head.choose"), heads, "0", (chosen) => {
    head = Number(chosen);
    steps.redraw();
  });
  return [...(heads.length > 1 ? [h("div", { class: "row ends" }, chooser)] : []), steps.element];
}

/**
 * What the summary of a card says beside its title: this text's own result, where one line can hold it.
 *
 * @param {Card} card
 * @param {Traced} traced
 * @returns {Node | string}
 */
function inShort(card, traced) {
  const last = traced.length - 1;
  if (card.id === "logits") {
    const best = likeliest(traced, "probabilities", last);
    return phrase("room.logits.short", {
      letter: quoted(traced.page.data.characters[best]),
      share: traced.number("probabilities", [last, best], { percent: true }),
    });
  }
  return say(`room.${card.id}.short`);
}

/**
 * The losses of the rungs whose weights are in the file, all measured on the same text: the whole
 * held-out part where every run was judged on it, otherwise the part that was read when the file was
 * made.
 *
 * @param {Page} page
 * @returns {Node[]}
 */
function rungsTable(page) {
  const rungs = page.data.models.map((model, i) => ({ model, i })).filter(({ model }) => isRung(model));
  if (rungs.length < 2) return [];
  const judged = rungs.every(({ model }) => model.held_out_nats !== null);
  const field = judged ? "held_out_nats" : "nats";
  const rows = rungs.flatMap(({ model, i }) => {
    /** @type {number | null} */
    const nats = /** @type {any} */ (model)[field];
    if (nats === null) return [];
    const name = `models[${i}].${field}`;
    return [
      [
        nameOfModel(page, model),
        { v: model.parameters, name: `models[${i}].parameters`, index: "", digits: 0 },
        { v: nats, name, index: "" },
        { v: Math.exp(nats), name: `torn_between(${name})`, index: "", digits: 1 },
      ],
    ];
  });
  const { held_out } = page.data.text;
  return [
    h("h3", null, say("room.rungs.title")),
    h("p", null, say("room.rungs.lead")),
    h(
      "p",
      { class: "note" },
      phrase("room.rungs.measured", {
        characters: judged
          ? value(held_out, "text.held_out", "", { digits: 0 })
          : value(page.data.packing.characters, "packing.characters", "", { digits: 0 }),
      }),
    ),
    table({
      caption: say("room.rungs.caption"),
      columns: ["rung", "parameters", "nats", "torn"].map((column) => say(`room.rungs.${column}`)),
      rows,
    }),
  ];
}

/** @param {any} model */
function isRung(model) {
  return model.id === "end" || model.id.startsWith("rung-");
}

/**
 * @param {Page} page
 * @param {any} model
 */
function nameOfModel(page, model) {
  if (model.id === "end") return say("room.model.end", { name: page.data.name });
  return say(`room.model.${model.rung}`);
}

/**
 * Put the engine room into its section.
 *
 * @param {Page} page
 * @param {HTMLElement} root
 */
export function engineRoom(page, root) {
  let model = "end";
  const models = page.data.models.filter(isRung);
  const input = h("input", {
    type: "text",
    class: "line",
    value: page.data.prompt,
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    "aria-describedby": "room-said",
    onchange: read,
  });
  const said = h("p", { class: "note", id: "room-said", role: "status" });
  const cards = CARDS.map((card) => mounted(card));
  const place = h("div", { class: "room-cards" }, cards.map((card) => card.element));

  function read() {
    const reading = new Reading(page, model, input.value);
    const traced = new Traced(page, model, reading.ids);
    for (const [name, text] of Object.entries(traced.scope())) place.setAttribute(name, text);
    said.replaceChildren(...sayings(reading));
    for (const card of cards) card.show(traced);
  }

  root.append(
    h(
      "form",
      {
        class: "row ends",
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          read();
        },
      },
      h("label", { class: "field wide" }, h("span", { class: "name" }, say("room.text")), input),
      models.length > 1
        ? choice(
            say("room.model"),
            models.map((/** @type {any} */ one) => ({ value: one.id, text: nameOfModel(page, one) })),
            model,
            (chosen) => {
              model = chosen;
              read();
            },
          )
        : null,
      h("button", { type: "submit" }, say("room.read")),
    ),
    said,
    h("p", { class: "note" }, say("room.counting")),
    place,
    ...rungsTable(page),
  );
  read();
}

/**
 * A card in the page: closed until it is opened, built when it is.
 *
 * @param {Card} card
 */
function mounted(card) {
  /** @type {Traced | null} */
  let latest = null;
  /** @type {Traced | null} */
  let built = null;
  const short = h("span", { class: "in-short" });
  const body = h("div", { class: "card-body" });
  const element = h(
    "details",
    { class: "card", "data-card": `room-${card.id}`, ontoggle: build },
    h("summary", null, h("h3", null, say(`room.${card.id}.title`)), short),
    body,
  );
  function build() {
    if (!element.open || latest === built || latest === null) return;
    built = latest;
    body.replaceChildren(h("p", { class: "card-lead" }, say(`room.${card.id}.lead`)), ...card.build(latest));
  }
  return {
    element,
    /** @param {Traced} traced */
    show(traced) {
      latest = traced;
      element.hidden = !card.has(traced);
      body.replaceChildren(); // numbers of another text or model must not stay
      built = null;
      if (element.hidden) return;
      short.replaceChildren(inShort(card, traced));
      build();
    },
  };
}
