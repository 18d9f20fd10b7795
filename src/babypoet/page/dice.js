/**
 * Scene 3: the dice. After the reader's own words every character has its probability; one throw sets one letter.
 *
 * The number thrown is `uniform(seed, throw)`: it depends on nothing else, so the same words, settings and throws write
 * the same text on any machine. Temperature, top-k and top-p change the probabilities, never the model.
 */

import { breath, h, whenSeen } from "./dom.js";
import { figure, table, value } from "./figures.js";
import { glyph, nameOf, phrase, say } from "./strings.js";
import { TypeCase } from "./typecase.js";
import { windowStart } from "./engine.js";
import { distribution, nextToken, uniform } from "./sampling.js";

/** @import { Page } from "./app.js" */

const MANY = 100; // letters that the long button writes

/**
 * The stops of the top-k slider: every number up to 20, then in larger and larger steps to the whole vocabulary.
 *
 * @param {number} count
 * @returns {number[]}
 */
function stops(count) {
  const found = [];
  for (let k = 1; k < count; k = Math.max(k + 1, Math.round(k * 1.08))) found.push(k);
  return [...found, count];
}

/**
 * @param {Page} page
 * @param {HTMLElement} root
 */
export function dice(page, root) {
  const { characters, seed } = page.data;
  const ks = stops(characters.length);
  /** @type {{ id: number, logits: Float32Array }[]} what was thrown, each with the scores it was thrown by */
  let thrown = [];
  /** @type {number[]} */
  let prompt = [];
  /** @type {Float32Array | null} */
  let logits = null;
  /** @type {{ extend: (ids: number[]) => Float32Array } | null} null after an undo: the text is then read again */
  let text = null;
  let writing = false;

  // --- what is on the page ---

  const words = h("input", { type: "text", value: page.data.prompt, dir: "auto", autocomplete: "off", autocapitalize: "none", spellcheck: "false", oninput: begin });
  const unknown = h("p", { class: "note", role: "status" });
  const written = h("p", { class: "stick written", dir: "auto", lang: page.data.language });
  const throwOne = h("button", { type: "button", class: "main", onclick: () => one() }, say("dice.throw"));
  const undo = h("button", { type: "button", onclick: takeBack }, say("dice.undo"));
  const many = h("button", { type: "button", onclick: () => void writeMany() }, say("dice.many", { n: MANY }));
  const fell = h("div", { "aria-live": "polite" });
  const typeCase = new TypeCase(characters, { label: say("dice.case") });
  const torn = h("p", null);
  const temperature = slider("temperature", 0, 20, 8);
  const topK = slider("top_k", 0, ks.length - 1, ks.length - 1);
  const topP = slider("top_p", 1, 20, 20);

  let opened = false;
  const list = h("div", { class: "as-table" });
  const details = h("details", { class: "show-table", ontoggle: () => { opened = details.open; tabulate(); } },
    h("summary", null, phrase("dice.table", { n: value(characters.length, "characters.length", "", { digits: 0 }) })), list);

  root.dataset.model = "end";
  root.append(
    h("div", { class: "sides" },
      h("div", null,
        h("label", { class: "field" }, h("span", { class: "name" }, say("dice.prompt")), words), unknown,
        written,
        h("div", { class: "row" }, throwOne, undo, many)),
      h("div", null, temperature.element, topK.element, topP.element)),
    fell, torn, typeCase.element, details,
  );

  /**
   * A slider with its name, its value in words beside it, and the same words for who hears the page.
   *
   * @param {"temperature" | "top_k" | "top_p"} key
   * @param {number} min
   * @param {number} max
   * @param {number} start
   */
  function slider(key, min, max, start) {
    const input = h("input", { type: "range", min, max, step: 1, value: start, oninput: () => { tell(); draw(); } });
    const output = h("output", null);
    const element = h("label", { class: "field" }, h("span", { class: "name" }, h("span", null, say(`dice.${key}`)), output), input);
    function tell() {
      const said = inWords(key, Number(input.value));
      output.textContent = said;
      input.setAttribute("aria-valuetext", said);
    }
    tell();
    return { element, get value() { return Number(input.value); } };
  }

  /**
   * @param {"temperature" | "top_k" | "top_p"} key
   * @param {number} at
   * @returns {string}
   */
  function inWords(key, at) {
    if (key === "temperature") {
      const t = at / 10;
      const kind = t === 0 ? "zero" : t < 0.5 ? "cold" : t < 1 ? "cool" : t === 1 ? "one" : t <= 1.4 ? "warm" : "hot";
      return say(`dice.temperature.${kind}`, { t: t.toLocaleString(page.data.language || "en", { minimumFractionDigits: 1 }) });
    }
    if (key === "top_k") {
      const k = ks[at];
      return k === characters.length ? say("dice.top_k.all", { n: k }) : say("dice.top_k.some", { n: k });
    }
    return at === 20 ? say("dice.top_p.all") : say("dice.top_p.some", { p: at * 5 });
  }

  function settings() {
    const k = ks[topK.value];
    return {
      temperature: temperature.value / 10,
      topK: k === characters.length ? null : k,
      topP: topP.value === 20 ? null : topP.value / 20,
    };
  }

  // --- throwing ---

  const ids = () => [...prompt, ...thrown.map((letter) => letter.id)];

  function begin() {
    writing = false;
    const read = page.tokenizer.encode(words.value);
    prompt = read.ids.length ? read.ids : [Math.max(0, characters.indexOf("\n"))];
    thrown = [];
    text = null;
    logits = null;
    const odd = [...read.foreign].map(([character, standIn]) =>
      h("span", null, phrase(standIn === null ? "dice.dropped" : "dice.replaced", { odd: h("bdi", null, glyph(character)), plain: h("bdi", null, glyph(standIn ?? "")) }), " "));
    unknown.replaceChildren(...odd);
    unknown.hidden = !odd.length;
    draw();
  }

  /** The model's scores for the coming letter. */
  function scores() {
    if (!logits) {
      if (!text) {
        text = page.engine("end").start();
        logits = text.extend(ids());
      } else logits = text.extend([thrown[thrown.length - 1].id]);
    }
    return logits;
  }

  /** @param {boolean} [quiet] draw nothing */
  function one(quiet = false) {
    const now = scores();
    const n = thrown.length;
    const u = uniform(seed, n);
    const id = nextToken(now, u, settings());
    if (!quiet) {
      const seen = theThrow(distribution(now, settings()), { id, u, n });
      thrown.push({ id, logits: now });
      logits = null;
      draw();
      fell.replaceChildren(seen);
      return;
    }
    thrown.push({ id, logits: now });
    logits = null;
  }

  function takeBack() {
    writing = false;
    const last = thrown.pop();
    if (!last) return;
    logits = last.logits;
    text = null;
    draw();
  }

  async function writeMany() {
    if (writing) {
      writing = false;
      return;
    }
    writing = true;
    many.textContent = say("dice.stop");
    for (let k = 0; k < MANY && writing; k++) {
      one(true);
      set();
      if (k % 2) await breath();
    }
    writing = false;
    many.textContent = say("dice.many", { n: MANY });
    draw();
  }

  // --- drawing ---

  function set() {
    written.replaceChildren(
      h("span", null, prompt.map((id) => characters[id]).join("")),
      h("span", { class: "new" }, thrown.map((letter) => characters[letter.id]).join("")),
      h("span", { class: "slot" }), // so that a space that was thrown can be seen
    );
    undo.disabled = thrown.length === 0;
  }

  function draw() {
    if (!prompt.length) return begin(); // a slider was moved before the scene was seen
    set();
    const now = scores();
    const chosen = settings();
    const p = distribution(now, chosen);
    const all = ids();
    const { dataset } = root;
    dataset.ids = all.slice(windowStart(all.length, page.engine("end").config.block_size)).join(",");
    dataset.temperature = String(chosen.temperature);
    dataset.topK = String(chosen.topK ?? "");
    dataset.topP = String(chosen.topP ?? "");
    typeCase.setProbabilities(p, { name: "draw.probabilities", index: "" });
    let entropy = 0;
    let possible = 0;
    for (const one of p) {
      if (one > 0) {
        entropy -= one * Math.log(one);
        possible += 1;
      }
    }
    const best = p.indexOf(Math.max(...p));
    torn.replaceChildren(
      phrase("dice.torn", {
        n: value(Math.exp(entropy), "draw.torn_between", "", { digits: 1 }),
        letter: h("bdi", null, nameOf(characters[best])),
        p: value(p[best], "draw.probabilities", `${best}`, { percent: true }),
        possible: value(possible, "draw.possible", "", { digits: 0 }),
        all: value(characters.length, "characters.length", "", { digits: 0 }),
      }));
    fell.replaceChildren(theThrow(p, null));
    tabulate(p);
  }

  /** @param {ArrayLike<number>} [p] */
  function tabulate(p) {
    list.replaceChildren();
    if (!opened) return;
    const now = p ?? distribution(scores(), settings());
    const order = [...characters.keys()].sort((a, b) => now[b] - now[a] || a - b);
    list.append(table({
      caption: say("dice.case"),
      columns: [say("dice.column.letter"), say("dice.column.name"), say("dice.column.probability")],
      rows: order.map((id) => [glyph(characters[id]), nameOf(characters[id]), { v: now[id], name: "draw.probabilities", index: `${id}`, percent: true, digits: 2 }]),
    }));
  }

  /**
   * The dice as a picture: all characters side by side from 0 to 1, each as wide as its probability, and the number
   * thrown, if one was, as a pin between them.
   *
   * @param {ArrayLike<number>} p
   * @param {{ id: number, u: number, n: number } | null} last
   * @returns {HTMLElement}
   */
  function theThrow(p, last) {
    const strip = h("div", { class: "strip", "aria-hidden": "true" });
    let from = 0;
    let start = 0;
    for (let i = 0; i < p.length; i++) {
      if (i === last?.id) start = from;
      if (p[i] >= 0.001 || i === last?.id) {
        const part = h("span", { class: i === last?.id ? "part hit" : "part" }, p[i] >= 0.025 ? glyph(characters[i]) : "");
        part.style.left = `${from * 100}%`;
        part.style.width = `${p[i] * 100}%`;
        strip.append(part);
      }
      from += p[i];
    }
    if (!last) return figure({ label: say("dice.strip"), caption: say("dice.ready"), picture: strip });
    const { id, u, n } = last;
    const pin = h("span", { class: "pin" });
    pin.style.left = `${u * 100}%`;
    strip.append(pin);
    const shown = phrase(settings().temperature === 0 ? "dice.fell.greedy" : "dice.fell", {
      k: value(n + 1, "play.throw", "", { digits: 0 }),
      u: value(u, "play.number", `${seed},${n}`, { digits: 3 }),
      from: value(start, "draw.from", `${id}`, { digits: 3 }),
      to: value(start + p[id], "draw.to", `${id}`, { digits: 3 }),
      letter: h("bdi", null, nameOf(characters[id])),
      p: value(p[id], "draw.probabilities", `${id}`, { percent: true }),
    });
    const picture = figure({ label: say("dice.strip"), caption: shown, picture: strip });
    Object.assign(picture.dataset, {
      ids: root.dataset.ids, temperature: root.dataset.temperature, topK: root.dataset.topK, topP: root.dataset.topP,
    });
    return picture;
  }

  set();
  whenSeen(root, () => void breath().then(() => page.attempt(root, begin)));
}
