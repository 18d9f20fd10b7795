/**
 * Start: read the data blocks of the page, build what the scenes share, and mount each scene in its section.
 *
 * A scene that fails says so in its own section, where the still content stays; the others go on. Weights are
 * unpacked when a scene first needs them, so that the page can be read at once. Nothing here is random, and
 * nothing is asked of the network.
 */

import { h } from "./dom.js";
import { say } from "./strings.js";
import { Engine } from "./engine.js";
import { Tokenizer } from "./tokenizer.js";
import { unpack } from "./weights.js";
import { Copies } from "./copies.js";
import { guess } from "./guess.js";
import { training } from "./training.js";
import { dice } from "./dice.js";
import { looking } from "./looking.js";
import { copying } from "./copying.js";
import { engineRoom } from "./engineroom.js";
import { path } from "./path.js";

/**
 * @typedef {object} Model one set of weights in the file
 * @property {string} id "end", "step-205", "rung-bigram"
 * @property {number} step
 * @property {string} rung
 * @property {any} config
 * @property {string} precision
 * @property {string} block
 * @property {number} parameters
 * @property {any[]} tensors
 * @property {number | null} held_out_nats
 *
 * @typedef {object} Moment a step of training that was kept
 * @property {number} step
 * @property {number | null} nats
 * @property {string} sample
 * @property {string | null} model live weights, or null where only the recorded things are here
 * @property {number[][] | null} attention
 *
 * @typedef {object} GameLine
 * @property {number[]} context
 * @property {number[]} ids
 * @property {{ top: number[], rank: number, p: number }[]} pairs
 *
 * @typedef {object} Data what the exporter wrote into the page
 * @property {string} name
 * @property {string} rung
 * @property {string} language
 * @property {string[]} characters
 * @property {Record<string, string>} plain
 * @property {string} prompt
 * @property {number} seed
 * @property {number} parameters
 * @property {any} text
 * @property {any} training
 * @property {any} verdict
 * @property {Record<string, number>} opponents
 * @property {any} packing
 * @property {Model[]} models
 * @property {Moment[]} history
 * @property {{ layer: number, head: number } | null} history_head
 * @property {number[]} history_ids
 * @property {[number, number][]} curve
 * @property {{ lines: GameLine[], classes: number[] }} game
 * @property {any[]} heads
 * @property {{ layer: number, head: number } | null} chosen_head
 * @property {number[]} line
 * @property {any} copies
 * @property {any[]} values
 * @property {{ name: string, formula: string, rungs: string[] }[]} gradients
 * @property {any[]} weights
 * @property {any[]} contents
 *
 * @typedef {object} Page what every scene is given
 * @property {Data} data
 * @property {typeof say} say
 * @property {Tokenizer} tokenizer
 * @property {(id?: string) => Engine} engine
 * @property {(id: string) => Model} model
 * @property {Copies | null} copies
 * @property {(root: HTMLElement, work: () => void) => void} attempt do work that comes later than the mounting, such as the
 *   first drawing; should it fail, the scene says so, as it does when mounting fails
 */

/**
 * The text of a data block; "" where it is not in the file.
 *
 * @param {string} id
 * @returns {string}
 */
function block(id) {
  return (document.getElementById(id)?.textContent ?? "").trim();
}

/**
 * @param {string} base64
 * @returns {Uint8Array}
 */
function bytes(base64) {
  const raw = atob(base64);
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

/**
 * What the scenes share: the data, the characters, and the models, each built when it is first asked for.
 *
 * @param {Data} data
 * @returns {Page}
 */
export function open(data) {
  /** @type {Map<string, Engine>} */
  const engines = new Map();
  /** @type {Copies | null | undefined} */
  let copies;
  const model = (/** @type {string} */ id) => {
    const found = data.models.find((entry) => entry.id === id);
    if (!found) throw new Error(`no model "${id}" in this file`);
    return found;
  };
  return {
    data,
    say,
    model,
    tokenizer: new Tokenizer(data.characters, data.plain),
    engine(id = "end") {
      let engine = engines.get(id);
      if (!engine) {
        const entry = model(id);
        engine = new Engine(entry.config, unpack(entry, block(entry.block)));
        engines.set(id, engine);
      }
      return engine;
    },
    attempt(root, work) {
      try {
        work();
      } catch (error) {
        const section = root.closest("section");
        if (section) failed(section, error);
      }
    },
    get copies() {
      if (copies === undefined) copies = data.copies ? new Copies(data.copies, bytes(block(data.copies.block))) : null;
      return copies;
    },
  };
}

/**
 * Mount one scene: its live part takes the place of the still one, unless it fails.
 *
 * @param {Page} page
 * @param {string} id
 * @param {(page: Page, root: HTMLElement) => void} scene
 */
function mount(page, id, scene) {
  const section = document.getElementById(id);
  if (!section) return;
  const still = section.querySelector(".still");
  const live = section.querySelector(".live");
  try {
    if (!(live instanceof HTMLElement)) throw new Error(`no place for the scene in #${id}`);
    live.hidden = false; // before mounting, so that figures can measure the room they have
    scene(page, live);
    if (still instanceof HTMLElement) still.hidden = true;
  } catch (error) {
    failed(section, error);
  }
}

/**
 * The still content comes back, with a sentence that says why.
 *
 * @param {Element} section
 * @param {unknown} error
 */
function failed(section, error) {
  console.error(error);
  for (const [part, hidden] of /** @type {const} */ ([[".still", false], [".live", true]])) {
    const found = section.querySelector(part);
    if (found instanceof HTMLElement) found.hidden = hidden;
  }
  const why = error instanceof Error ? error.message : String(error);
  section.append(h("p", { class: "warning", role: "status" }, say("page.failed", { why })));
}

function start() {
  const data = /** @type {Data} */ (JSON.parse(block("data")));
  const page = open(data);
  mount(page, "guess", guess);
  mount(page, "training", training);
  mount(page, "dice", dice);
  mount(page, "looking", looking);
  mount(page, "copying", copying);
  mount(page, "room", engineRoom);
  try {
    path(page);
  } catch (error) {
    console.error(error);
  }
  document.documentElement.dataset.ready = "";
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
else start();
