/**
 * Scene 1: guess the next letter, as Claude Shannon had people do in 1951, against the model and the letter pairs.
 *
 * All three play the same line, which none of them was trained on; a capital and its small letter count as the same
 * for all. Each letter ends with the number of the right guess: 1, 2, 3, or more. From those numbers comes one
 * yardstick for all three, `shannonBits`; the model's own probabilities give a second, exact one.
 */

import { breath, h, whenSeen } from "./dom.js";
import { value } from "./figures.js";
import { glyph, nameOf, phrase, say } from "./strings.js";
import { TypeCase } from "./typecase.js";
import { windowStart } from "./engine.js";

/** @import { Page } from "./app.js" */

const TRIES = 3;
const ENOUGH = 10; // letters before bits are worth showing
const FIRM = 60; // and before they stop being called rough
const FAMILIAR = 20; // characters before a line that let a reader know what it is about
const RACE = 30; // letters that the picture of the race shows
const PLAYERS = /** @type {const} */ (["you", "model", "pairs"]);

/**
 * Bits per letter by Shannon's guessing game: the entropy of the number of the right guess.
 *
 * `numbers` are 1, 2, 3 or 4, where 4 means "not in three": what then remains are `classes` - 3 letters, held to be
 * equally likely. It is what the player's guesses, as far as these letters show, leave open: `shannonBits([1, 1, 2, 2], 50)`
 * is 1, one yes or no for each letter (Shannon 1951, "Prediction and entropy of printed English").
 *
 * @param {number[]} numbers
 * @param {number} classes
 * @returns {number}
 */
export function shannonBits(numbers, classes) {
  let bits = 0;
  for (let k = 1; k <= TRIES + 1; k++) {
    const share = numbers.filter((number) => number === k).length / numbers.length;
    if (share > 0) bits -= share * Math.log2(share);
    if (k > TRIES) bits += share * Math.log2(Math.max(1, classes - TRIES));
  }
  return bits;
}

/**
 * Softmax in double precision.
 *
 * @param {ArrayLike<number>} logits
 * @returns {Float64Array}
 */
function softmax(logits) {
  let peak = -Infinity;
  for (let i = 0; i < logits.length; i++) peak = Math.max(peak, logits[i]);
  const p = Float64Array.from(logits, (score) => Math.exp(score - peak));
  const sum = p.reduce((total, one) => total + one, 0);
  return p.map((one) => one / sum);
}

/**
 * For each class of letters the character that stands for it in the case: the small letter where there is one.
 *
 * @param {string[]} characters
 * @param {number[]} classes
 * @returns {Map<number, number>}
 */
function standIns(characters, classes) {
  /** @type {Map<number, number>} */
  const chosen = new Map();
  classes.forEach((one, id) => {
    const small = characters[id].toUpperCase() !== characters[id];
    if (!chosen.has(one) || small) chosen.set(one, id);
  });
  return chosen;
}

/**
 * @param {Page} page
 * @param {HTMLElement} root
 */
export function guess(page, root) {
  const { characters, game } = page.data;
  const { classes } = game;
  if (!game.lines.length) {
    root.append(h("p", { class: "note" }, say("guess.none")));
    return;
  }
  const standIn = standIns(characters, classes);
  /** @type {Record<typeof PLAYERS[number], number[]>} the number of the right guess, letter by letter */
  const numbers = { you: [], model: [], pairs: [] };
  /** @type {number[]} the letters played, for the picture of the race */
  let played = [];
  let exact = 0; // the sum of -log2 p that the model gave
  let at = 0; // which line
  let set = 0; // letters of it that stand in the stick
  /** @type {number[]} */
  let tries = [];
  /** @type {boolean[]} */
  let hits = [];
  let shown = false; // the case shows the letter before
  /** @type {{ extend: (ids: number[]) => Float32Array } | null} */
  let text = null;
  /** @type {number[]} */
  let read = [];
  /** @type {Float64Array | null} what the model gives the coming letter, summed over capital and small */
  let given = null;

  // --- what is on the page ---

  const context = h("p", { class: "verse context", dir: "auto" });
  const stick = h("p", { class: "stick", tabindex: 0, role: "group", dir: "auto", "aria-label": say("guess.stick"), onkeydown: press });
  const turn = h("p", { class: "turn", "aria-live": "polite" });
  const field = h("input", {
    type: "text", class: "letter-field", autocomplete: "off", autocapitalize: "none", spellcheck: "false", dir: "auto",
    oninput: typed, oncompositionend: typed, onkeydown: press,
  });
  const show = h("button", { type: "button", onclick: () => settle(TRIES + 1) }, say("guess.show"));
  const next = h("button", { type: "button", onclick: () => begin(at + 1) }, say("guess.next"));
  const again = h("button", { type: "button", onclick: startOver }, say("guess.again"));
  const typeCase = new TypeCase(characters, { label: say("guess.case"), ids: [...standIn.values()].sort((a, b) => a - b), onPick: pick });
  const shows = h("p", { class: "hint" });
  const score = h("div", { class: "score" });

  root.dataset.model = "end";
  root.append(
    context, stick, turn,
    h("div", { class: "row" }, h("label", null, say("guess.field"), " ", field), show, next, again),
    typeCase.element, shows, score,
  );

  // --- the game ---

  const line = () => game.lines[at % game.lines.length];

  /** @param {number} which */
  function begin(which) {
    at = which % game.lines.length;
    set = 0;
    hits = [];
    tries = [];
    text = null;
    given = null;
    shown = false;
    typeCase.clear();
    shows.replaceChildren();
    turn.replaceChildren(say("guess.turn.first"));
    draw();
  }

  function startOver() {
    for (const player of PLAYERS) numbers[player] = [];
    exact = 0;
    played = [];
    begin(at);
  }

  /** The model reads up to the letter to guess, and its probabilities are summed over each class. */
  function ready() {
    if (given) return given;
    const { context: before, ids } = line();
    const engine = page.engine("end");
    const start = before.length ? before : [Math.max(0, characters.indexOf("\n"))];
    const now = [...start, ...ids.slice(0, set)];
    if (!text) {
      text = engine.start();
      read = [];
    }
    const p = softmax(text.extend(now.slice(read.length)));
    read = now;
    given = new Float64Array(characters.length);
    for (const [id, one] of classes.entries()) given[/** @type {number} */ (standIn.get(one))] += p[id];
    root.dataset.ids = now.slice(windowStart(now.length, engine.config.block_size)).join(",");
    return given;
  }

  /** @param {number} id */
  function pick(id) {
    const { ids } = line();
    if (set >= ids.length) return;
    if (shown) {
      typeCase.clear();
      shows.replaceChildren();
      shown = false;
    }
    const one = classes[id];
    if (tries.some((tried) => classes[tried] === one)) return;
    tries.push(id);
    if (one === classes[ids[set]]) return settle(tries.length);
    typeCase.mark(/** @type {number} */ (standIn.get(one)), "wrong");
    if (tries.length === TRIES) return settle(TRIES + 1);
    turn.replaceChildren(phrase("guess.turn.wrong", { letter: letter(id), n: TRIES - tries.length }));
  }

  /**
   * The letter is out: who had it?
   *
   * @param {number} yours the number of your right guess; 4: you did not have it
   */
  function settle(yours) {
    const { ids, pairs } = line();
    if (set >= ids.length) return;
    const p = ready();
    const actual = ids[set];
    const stand = /** @type {number} */ (standIn.get(classes[actual]));
    const order = [...standIn.values()].sort((a, b) => p[b] - p[a]);
    const pair = pairs[set];
    const of = { you: yours, model: Math.min(order.indexOf(stand) + 1, TRIES + 1), pairs: Math.min(pair.rank, TRIES + 1) };
    for (const player of PLAYERS) numbers[player].push(of[player]);
    exact -= Math.log2(p[stand]);
    played.push(actual);
    hits.push(yours === 1);
    typeCase.clear();
    typeCase.setProbabilities(p, { name: "play.model", index: "" });
    typeCase.mark(stand, yours <= TRIES ? "right" : "actual");
    shown = true;
    shows.replaceChildren(phrase("guess.shows", { letter: letter(actual), p: value(p[stand], "play.model", `${stand}`, { percent: true }) }));
    const yourTries = h("span", null, tries.flatMap((id, k) => (k ? [", ", letter(id)] : [letter(id)])));
    turn.replaceChildren(
      h("strong", null, phrase("guess.was", { letter: letter(actual) })), " ",
      tries.length ? phrase("guess.said.you", { letter: yourTries, verdict: verdict(yours) }) : say("guess.said.none"), " ",
      phrase("guess.said.model", { letter: letter(order[0]), p: value(p[order[0]], "play.model", `${order[0]}`, { percent: true }), verdict: verdict(of.model) }), " ",
      phrase("guess.said.pairs", { letter: letter(pair.top[0]), verdict: verdict(of.pairs) }),
    );
    tries = [];
    given = null;
    set += 1;
    draw();
    if (set === ids.length) {
      turn.append(" ", say("guess.turn.done"));
      if (document.activeElement === show) next.focus();
    }
  }

  /** @param {number} number */
  function verdict(number) {
    return say(number === 1 ? "guess.right" : "guess.wrong");
  }

  /** @param {number} id */
  function letter(id) {
    const character = characters[/** @type {number} */ (standIn.get(classes[id]))];
    const mark = glyph(character);
    const word = nameOf(character);
    return mark === word ? h("bdi", null, character) : h("span", null, word);
  }

  // --- reading the reader's keys ---

  /** @param {string} character */
  function take(character) {
    if (shown) turn.replaceChildren();
    const { ids } = page.tokenizer.encode(character);
    if (ids.length) pick(ids[0]);
    else turn.replaceChildren(phrase("guess.unknown", { letter: h("bdi", null, character) }));
  }

  /** @param {KeyboardEvent} event */
  function press(event) {
    if (event.isComposing || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Enter") {
      event.preventDefault();
      event.stopPropagation();
      if (characters.includes("\n")) take("\n");
    } else if (event.currentTarget === stick && [...event.key].length === 1) {
      event.preventDefault();
      event.stopPropagation();
      take(event.key);
    }
  }

  /** @param {InputEvent | CompositionEvent} event */
  function typed(event) {
    if ("isComposing" in event && event.isComposing) return;
    const character = [...field.value].pop();
    field.value = "";
    if (character) take(character);
  }

  // --- drawing ---

  function draw() {
    const { context: before, ids } = line();
    const lines = before.map((id) => characters[id]).join("").split("\n");
    context.textContent = lines.slice(-4).join("\n").replace(/^\n+/, "").replace(/\n$/, "");
    context.hidden = !context.textContent;
    stick.replaceChildren(
      ...ids.slice(0, set).map((id, k) => h("span", { class: hits[k] ? "hit" : "given" }, characters[id] === "\n" ? "↵" : characters[id])),
      ...(set < ids.length ? [h("span", { class: "slot" }, h("span", { class: "unseen" }, say("guess.slot")))] : []),
    );
    show.disabled = set >= ids.length;
    next.classList.toggle("main", set >= ids.length);
    typeCase.setEnabled(set < ids.length);
    tally();
  }

  function tally() {
    const n = numbers.you.length;
    const first = (/** @type {typeof PLAYERS[number]} */ player) => numbers[player].filter((number) => number === 1).length;
    if (!n) {
      score.replaceChildren(h("p", { class: "note" }, phrase("guess.fair", { n: value(page.data.text.held_out, "text.held_out", "", { digits: 0 }) })));
      return;
    }
    const bits = n >= ENOUGH;
    const best = Math.max(...PLAYERS.map(first));
    const rows = PLAYERS.map((player) =>
      h("tr", { class: best > 0 && first(player) === best ? "ahead" : null },
        h("th", { scope: "row" }, say(`guess.player.${player}`)),
        h("td", null, phrase("guess.of", { hits: value(first(player), "play.hits", player, { digits: 0 }), n: value(n, "play.letters", "", { digits: 0 }) })),
        h("td", { class: "race-cell" }, race(player)),
        bits ? h("td", null, value(shannonBits(numbers[player], standIn.size), "play.bits", player, { digits: 2 })) : null,
        bits ? h("td", null, player === "model" ? value(exact / n, "play.exact_bits", player, { digits: 2 }) : "") : null));
    const heads = ["guess.head.player", "guess.head.hits", "guess.head.race", ...(bits ? ["guess.head.bits", "guess.head.exact"] : [])];
    score.replaceChildren(
      h("div", { class: "table", role: "region", tabindex: 0, "aria-label": say("guess.score") },
        h("table", null,
          h("caption", { class: "unseen" }, say("guess.score")),
          h("thead", null, h("tr", null, heads.map((key) => h("th", { scope: "col" }, say(key))))),
          h("tbody", null, rows))),
      h("p", { class: "hint" }, standing(n, first), bits ? [" ", say("guess.bits")] : "", n < FIRM ? [" ", phrase("guess.rough", { n: value(n, "play.letters", "", { digits: 0 }) })] : ""),
    );
  }

  /**
   * The letters one after another, those that the player had at once in ink. The table's numbers say the same.
   *
   * @param {typeof PLAYERS[number]} player
   */
  function race(player) {
    const from = Math.max(0, played.length - RACE);
    return h("div", { class: "race", "aria-hidden": "true" }, played.slice(from).map((id, k) =>
      h("span", { class: numbers[player][from + k] === 1 ? "hit" : "miss" }, glyph(characters[id]))));
  }

  /**
   * Who is ahead, in words and with the numbers.
   *
   * @param {number} n
   * @param {(player: typeof PLAYERS[number]) => number} first
   */
  function standing(n, first) {
    const [you, model] = [first("you"), first("model")];
    const key = you > model ? "guess.ahead.you" : you < model ? "guess.ahead.model" : "guess.ahead.none";
    const hit = (/** @type {typeof PLAYERS[number]} */ player) => value(first(player), "play.hits", player, { digits: 0 });
    return phrase(key, { n: value(n, "play.letters", "", { digits: 0 }), you: hit("you"), model: hit("model"), pairs: hit("pairs") });
  }

  begin(Math.max(0, game.lines.findIndex((one) => one.context.length > FAMILIAR))); // a fragment is a poor beginning
  whenSeen(root, () => void breath().then(() => page.attempt(root, ready))); // the first guess need not wait for the weights
}
