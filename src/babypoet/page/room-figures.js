/**
 * A named value as a picture with its explanation: equation, sentence, shape, line of the source.
 *
 * `explained` is what every card of the engine room is made of. The explanations come from
 * `data.values` and strings.json (`value.<pattern>`), never from here.
 */

import { h } from "./dom.js";
import { heatmap, value } from "./figures.js";
import { glyph, nameOf, phrase, say } from "./strings.js";
import { isSigned, lastAxis, looksBack, patternOf } from "./room-traced.js";
import { quoted } from "./room-words.js";

/** @typedef {import("./room-traced.js").Traced} Traced */

/**
 * A `<select>` with its label.
 *
 * @param {string} label
 * @param {{value: string, text: string, group?: string}[]} options
 * @param {string} chosen
 * @param {(value: string) => void} onChange
 */
export function choice(label, options, chosen, onChange) {
  const select = h("select", { onchange: () => onChange(select.value) });
  /** @type {Map<string, HTMLElement>} */
  const groups = new Map();
  for (const option of options) {
    const element = h("option", { value: option.value }, option.text);
    if (option.group === undefined) {
      select.append(element);
      continue;
    }
    const group = groups.get(option.group) ?? h("optgroup", { label: option.group });
    groups.set(option.group, group);
    group.append(element);
    select.append(group);
  }
  select.value = chosen;
  return h("label", { class: "field" }, h("span", { class: "name" }, label), select);
}

/**
 * What the rows and columns of one head of a value, or of the whole value, are called, and where
 * each cell stands in it.
 *
 * @param {Traced} traced
 * @param {string} name
 * @param {number} head which of the first axis, where there are three
 */
export function grid(traced, name, head) {
  const { shape } = traced.tensor(name);
  const before = shape.length === 3 ? [head] : [];
  const width = shape.length === 1 ? 1 : shape[shape.length - 1];
  const axis = shape.length === 1 ? "one" : lastAxis(name);
  const { data } = traced.page;
  /** @type {string[]} */
  let columns = [""];
  /** @type {string[]} */
  let columnNames = columns;
  if (axis === "letters") {
    columns = traced.glyphs;
    columnNames = traced.letters.map(quoted);
  } else if (axis === "characters") {
    const reserved = [0, 1].map((i) => say(`room.reserved.${i}`));
    columns = [...data.characters.map(glyph), ...reserved].slice(0, width);
    columnNames = [...data.characters.map(quoted), ...reserved].slice(0, width);
  } else if (axis === "channels") {
    columns = Array.from({ length: width }, (_, channel) => String(channel + 1));
    columnNames = columns;
  }
  /** @type {(i: number, j: number) => number[]} */
  const place = (i, j) => (shape.length === 1 ? [i] : [...before, i, j]);
  const hidden = looksBack(name) && !/(scores|scaled)$/.test(name);
  return {
    axis,
    rows: traced.glyphs,
    columns,
    columnNames,
    place,
    /** @type {(i: number, j: number) => number | null} */
    at: (i, j) => (hidden && j > i ? null : traced.at(name, ...place(i, j))),
  };
}

/**
 * How a cell is spoken, its number left to the figure: "e, channel 5".
 *
 * @param {Traced} traced
 * @param {string} name
 * @param {number} head
 * @returns {(i: number, j: number) => string}
 */
function described(traced, name, head) {
  const { axis, columnNames } = grid(traced, name, head);
  return (i, j) =>
    say(`room.cell.${axis}`, { letter: nameOf(traced.letters[i]), other: columnNames[j] });
}

/**
 * How a value's numbers are written: shares in per cent.
 *
 * @param {string} name
 */
function formatOf(name) {
  return /(weights|probabilities|guess\.\d+)$/.test(name) ? { percent: true } : {};
}

/**
 * What `heatmap` needs to draw a value.
 *
 * @param {Traced} traced
 * @param {string} name
 * @param {number} head
 */
export function mapOf(traced, name, head) {
  const { rows, columns, place, at } = grid(traced, name, head);
  return {
    name,
    label: name,
    caption: largest(traced, name, head),
    rows,
    columns,
    at,
    index: (/** @type {number} */ i, /** @type {number} */ j) => place(i, j).join(","),
    signed: isSigned(name),
    format: formatOf(name),
    describe: described(traced, name, head),
  };
}

/**
 * The sentence under a picture that only this text can have: where its largest number is.
 *
 * @param {Traced} traced
 * @param {string} name
 * @param {number} head
 * @returns {Node}
 */
function largest(traced, name, head) {
  const { axis, rows, columns, columnNames, place, at } = grid(traced, name, head);
  let best = [0, 0];
  let size = -Infinity;
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j < columns.length; j++) {
      const number = at(i, j);
      const here = axis === "channels" && number !== null ? Math.abs(number) : number;
      if (here === null || here <= size) continue;
      size = here;
      best = [i, j];
    }
  }
  const [i, j] = best;
  return phrase(`room.largest.${axis}`, {
    number: traced.number(name, place(i, j), formatOf(name)),
    letter: quoted(traced.letters[i]),
    position: i + 1,
    other: columnNames[j],
  });
}

/**
 * The shape of a value with its numbers filled in: "(H, T, D) = 4 × 9 × 32".
 *
 * @param {string} name
 * @param {number[]} shape
 * @param {string | undefined} symbols
 */
export function shapeOf(name, shape, symbols) {
  const numbers = shape.flatMap((size, axis) => [
    axis ? " × " : "",
    value(size, `shape(${name})`, String(axis), { digits: 0 }),
  ]);
  return h("span", null, symbols ? h("code", null, symbols) : "", symbols ? " = " : "", ...numbers);
}

/**
 * What a name means: equation, sentence, shape, source.
 *
 * @param {Traced} traced
 * @param {string} name
 */
export function meaning(traced, name) {
  const { data } = traced.page;
  const pattern = patternOf(name);
  const entry = data.values.find(
    (/** @type {any} */ entry) =>
      entry.name === pattern && (!entry.rungs || entry.rungs.includes(traced.config.rung)),
  );
  const facts = [];
  if (entry?.equation) {
    facts.push(h("div", null, h("dt", null, say("room.equation")), h("dd", null, h("code", null, entry.equation))));
  }
  facts.push(
    h(
      "div",
      null,
      h("dt", null, say("room.shape")),
      h("dd", null, shapeOf(name, traced.tensor(name).shape, entry?.shape)),
    ),
  );
  if (entry?.file) {
    facts.push(
      h(
        "div",
        null,
        h("dt", null, say("room.source")),
        h("dd", null, h("code", null, `${entry.file}:${entry.line}`)),
      ),
    );
  }
  return h(
    "div",
    { class: "meaning" },
    h("h4", null, h("code", null, name)),
    h("p", null, say(`value.${pattern}`)),
    h("dl", { class: "facts" }, ...facts),
  );
}

/**
 * A value with its meaning and its picture. `update` shows another one in their place, and leaves
 * the reader's focus where it is.
 *
 * @param {Traced} traced
 * @param {string} name
 * @param {number} [head] a query head; values with fewer heads show the one that serves it
 */
export function explained(traced, name, head = 0) {
  const words = h("div", null, meaning(traced, name));
  const map = heatmap(mapOf(traced, name, traced.headOf(name, head)));
  return {
    element: h("div", { class: "explained" }, words, map),
    /**
     * @param {string} other
     * @param {number} [otherHead]
     */
    update(other, otherHead = 0) {
      words.replaceChildren(meaning(traced, other));
      map.update(mapOf(traced, other, traced.headOf(other, otherHead)));
    },
  };
}

/**
 * Several values, one at a time, in the order in which they are computed.
 *
 * @param {Traced} traced
 * @param {string[]} names
 * @param {{label: string, head?: () => number, chosen?: string, onChoose?: (name: string) => void}} options
 */
export function stepper(traced, names, { label, head = () => 0, chosen = names[0], onChoose }) {
  let current = Math.max(0, names.indexOf(chosen));
  const shown = explained(traced, names[current], head());
  const select = choice(
    label,
    names.map((name) => ({ value: name, text: name, group: groupOf(name) })),
    names[current],
    (name) => show(names.indexOf(name)),
  );
  const list = /** @type {HTMLSelectElement} */ (select.querySelector("select"));
  const back = h("button", { type: "button", onclick: () => show(current - 1) }, say("room.back"));
  const next = h("button", { type: "button", onclick: () => show(current + 1) }, say("room.next"));
  /** @param {number} step */
  function show(step) {
    const before = current;
    current = Math.min(Math.max(step, 0), names.length - 1);
    if (current !== before) {
      shown.update(names[current], head());
      onChoose?.(names[current]);
    }
    ends();
  }
  function ends() {
    list.value = names[current];
    // aria-disabled, not disabled: a disabled button would drop the focus of who stands on it
    back.setAttribute("aria-disabled", String(current === 0));
    next.setAttribute("aria-disabled", String(current === names.length - 1));
  }
  ends();
  return {
    element: h(
      "div",
      { class: "stepper" },
      h("div", { class: "row ends" }, select, h("span", { class: "pair" }, back, next)),
      shown.element,
    ),
    /** Another head was chosen. */
    redraw: () => shown.update(names[current], head()),
  };
}

/**
 * Under which heading a name stands in a list.
 *
 * @param {string} name
 */
function groupOf(name) {
  const block = name.match(/^blocks\.(\d+)\./);
  if (block) return say("room.layer", { layer: Number(block[1]) + 1 });
  const before = /^(ids|embedding|positions|cosine|sine|input)$/.test(name);
  return say(before ? "room.before" : "room.after");
}
