/**
 * The engine room's cards for what a block does: the norms, attention, the feed-forward layer.
 *
 * Each shows one value at a time, in the order in which they are computed, for a layer and a head of
 * the reader's choice.
 */

import { h } from "./dom.js";
import { value } from "./figures.js";
import { phrase, say } from "./strings.js";
import { choice, stepper } from "./room-figures.js";
import { quoted } from "./room-words.js";

/** @typedef {import("./room-traced.js").Traced} Traced */

/**
 * A select of the layers; nothing where there is only one.
 *
 * @param {Traced} traced
 * @param {number} layer
 * @param {(layer: number) => void} onChange
 */
function layerChoice(traced, layer, onChange) {
  if (traced.layers < 2) return [];
  const options = Array.from({ length: traced.layers }, (_, i) => ({
    value: String(i),
    text: say("room.layer", { layer: i + 1 }),
  }));
  return [choice(say("room.layer.choose"), options, String(layer), (chosen) => onChange(Number(chosen)))];
}

/**
 * A part of a block: controls, and the stepper through its values.
 *
 * @param {Traced} traced
 * @param {{names: (layer: number) => string[], heads?: boolean, first?: string,
 *   after?: (layer: number) => Node[]}} options
 */
function part(traced, { names, heads = false, first, after }) {
  let layer = 0;
  let head = 0;
  let chosen = first;
  const place = h("div", {});
  /** @type {ReturnType<typeof stepper>} */
  let steps;
  function draw() {
    const own = names(layer);
    const prefix = `blocks.${layer}.`;
    steps = stepper(traced, own, {
      label: say("room.value"),
      head: () => head,
      chosen: chosen === undefined ? own[0] : prefix + chosen,
      onChoose: (name) => (chosen = name.slice(prefix.length)),
    });
    place.replaceChildren(steps.element, ...(after ? after(layer) : []));
  }
  const controls = layerChoice(traced, layer, (other) => {
    layer = other;
    draw();
  });
  if (heads && traced.headCount > 1) {
    const options = Array.from({ length: traced.headCount }, (_, i) => ({
      value: String(i),
      text: say("room.head", { head: i + 1 }),
    }));
    controls.push(
      choice(say("room.head.choose"), options, "0", (other) => {
        head = Number(other);
        steps.redraw();
      }),
    );
  }
  draw();
  return [...(controls.length ? [h("div", { class: "row ends" }, ...controls)] : []), place];
}

/**
 * The names of one block whose rest begins with a prefix.
 *
 * @param {Traced} traced
 * @param {RegExp} rest
 * @returns {(layer: number) => string[]}
 */
function ofBlock(traced, rest) {
  return (layer) => {
    const prefix = `blocks.${layer}.`;
    return [...traced.values.keys()].filter(
      (name) => name.startsWith(prefix) && rest.test(name.slice(prefix.length)),
    );
  };
}

/**
 * The norms of a block, with the division of one letter's vector said in numbers.
 *
 * @param {Traced} traced
 */
export function normCard(traced) {
  const last = traced.length - 1;
  return part(traced, {
    names: ofBlock(traced, /^norm_/),
    first: "norm_1",
    after: (layer) => [
      h(
        "p",
        { class: "finding" },
        phrase("room.norm.example", {
          letter: quoted(traced.letters[last]),
          root: traced.number(`blocks.${layer}.norm_1.root`, [last, 0]),
        }),
      ),
    ],
  });
}

/** @param {Traced} traced */
export function attentionCard(traced) {
  const name = "blocks.0.attention.key";
  const [keys] = traced.tensor(name).shape;
  const shared = h(
    "p",
    null,
    phrase("room.attention.shared", {
      heads: value(traced.headCount, "shape(blocks.0.attention.query)", "0", { digits: 0 }),
      keys: value(keys, `shape(${name})`, "0", { digits: 0 }),
    }),
  );
  return [
    ...(keys < traced.headCount ? [shared] : []),
    ...part(traced, {
      names: ofBlock(traced, /^attention\./),
      heads: true,
      first: "attention.weights",
    }),
  ];
}

/** @param {Traced} traced */
export function mlpCard(traced) {
  return part(traced, { names: ofBlock(traced, /^mlp\./), first: "mlp.activated" });
}
