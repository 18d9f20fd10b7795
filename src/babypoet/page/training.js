/**
 * Scene 2: before and after. One slider over the steps of training that were kept: what it wrote then, how many letters
 * it was torn between, and where the same head looked.
 *
 * Text and loss were recorded while it trained. The pictures of the head are computed here where the file holds that
 * step's weights, and recorded elsewhere; each says which it is.
 */

import { breath, h, whenSeen } from "./dom.js";
import { heatmap, lineChart, paint, value } from "./figures.js";
import { glyph, phrase, say } from "./strings.js";
import { write } from "./sampling.js";

/** @import { Page, Moment } from "./app.js" */

const TEMPERATURE = 0.8; // the samples of training are written at this one
const PIECES = 200; // with more characters each little piece stands for several

/**
 * @param {Page} page
 * @param {HTMLElement} root
 */
export function training(page, root) {
  const { history } = page.data;
  if (!history.length) {
    root.append(h("p", { class: "note" }, say("training.none")));
    return;
  }
  let now = history.length - 1;
  let running = 0; // counts what "Let it write" has begun, so that an older one stops

  // --- the slider, the sample, the loss ---

  const slider = h("input", { type: "range", min: 0, max: history.length - 1, step: 1, value: now, oninput: () => go(Number(slider.value)) });
  const where = h("output", null);
  const scrub = h("div", { class: "scrub" }, h("label", null, h("span", { class: "unseen" }, say("training.slider")), where, slider));
  const samples = history.map((moment) => h("p", { class: "verse", dir: "auto", lang: page.data.language }, moment.sample));
  const stages = h("div", { class: "stages" }, samples);
  const torn = h("p", { class: "torn" });
  const pieces = h("p", { class: "pieces", "aria-hidden": "true" });
  const exactly = h("p", { class: "hint" });
  const kind = h("p", { class: "hint" });
  const button = h("button", { type: "button", onclick: () => void letItWrite() }, say("training.write"));
  const live = h("div", null);

  const count = page.data.characters.length;
  const each = Math.ceil(count / PIECES);
  const levels = Array.from({ length: Math.ceil(count / each) }, () => h("span", null));
  pieces.append(...levels.map((level) => h("span", null, level)));

  const chart = page.data.curve.length > 1 ? lossChart(page, nearest) : null;
  root.append(
    scrub,
    h("div", { class: "moment" },
      h("div", { class: "how-torn" }, torn, pieces),
      h("div", { class: "what-written" }, stages, h("div", { class: "row under" }, kind, button), live),
      h("div", { class: "how-it-fell" }, exactly, chart)),
  );

  // --- the head ---

  const heads = headPictures(page, go);
  if (heads) root.append(heads.element);

  /** @param {number} step */
  function nearest(step) {
    const gap = (/** @type {Moment} */ moment) => Math.abs(moment.step - step);
    go(history.reduce((best, moment, k) => (gap(moment) < gap(history[best]) ? k : best), 0));
  }

  /** @param {number} k */
  function go(k) {
    now = k;
    const { step, nats, model } = history[k];
    slider.value = String(k);
    samples.forEach((sample, i) => sample.classList.toggle("now", i === k));
    const n = value(step, `history[${k}].step`, "", { digits: 0 });
    where.replaceChildren(phrase(step === 0 ? "training.before" : "training.after", { n }));
    kind.textContent = say(model === null ? "training.recorded.only" : "training.recorded");
    button.hidden = model === null;
    running += 1;
    live.replaceChildren();
    loss(k, nats);
    const plain = step === 0 ? say("training.before") : say("training.after", { n: step });
    slider.setAttribute("aria-valuetext", nats === null ? plain : `${plain}: ${torn.textContent}`);
    chart?.mark(step);
    heads?.show(k);
  }

  /**
   * @param {number} k
   * @param {number | null} nats
   */
  function loss(k, nats) {
    pieces.hidden = nats === null;
    exactly.hidden = nats === null;
    if (nats === null) return torn.replaceChildren(say("training.unmeasured"));
    const letters = Math.exp(nats);
    torn.replaceChildren(phrase("training.torn", { n: letters, letters: value(nats, `history[${k}].nats`, "", { shown: letters, digits: letters < 100 ? 1 : 0 }) }));
    levels.forEach((level, i) => {
      level.style.width = `${Math.min(Math.max(letters / each - i, 0), 1) * 100}%`;
    });
    exactly.replaceChildren(
      phrase("training.exactly", {
        nats: value(nats, `history[${k}].nats`, ""),
        bits: value(nats, `history[${k}].nats`, "", { shown: nats / Math.LN2, digits: 2 }),
        n: value(count, "characters.length", "", { digits: 0 }),
      }),
      each > 1 ? ` ${say("training.each", { n: each })}` : "",
    );
  }

  /** Run that step's weights from the same start with the same seed, and say whether the same text comes out. */
  async function letItWrite() {
    const moment = history[now];
    if (moment.model === null) return;
    const mine = (running += 1);
    const verse = h("p", { class: "verse", dir: "auto", lang: page.data.language });
    const report = h("p", { class: "hint", role: "status" }, say("training.writing"));
    live.replaceChildren(h("h3", null, say("training.live")), verse, report);
    button.disabled = true;
    await breath();
    const engine = page.engine(moment.model);
    const start = [Math.max(0, page.data.characters.indexOf("\n"))];
    const length = [...moment.sample].length || 300;
    let text = "";
    for (const id of write(engine, start, { length, seed: page.data.seed, temperature: TEMPERATURE })) {
      text += page.data.characters[id];
      verse.textContent = text;
      if (text.length % 4 === 0) await breath();
      if (mine !== running) break;
    }
    button.disabled = false;
    if (mine === running) report.replaceChildren(compared(text, moment.sample, page.model(moment.model).precision));
  }

  go(now);
}

/**
 * @param {string} live
 * @param {string} recorded
 * @param {string} precision
 * @returns {DocumentFragment}
 */
function compared(live, recorded, precision) {
  if (live === recorded) return phrase("training.same", { n: value([...live].length, "play.same", "", { digits: 0 }) });
  const [a, b] = [[...live], [...recorded]];
  let same = 0;
  while (same < a.length && a[same] === b[same]) same += 1;
  return phrase("training.parted", { n: value(same, "play.same", "", { digits: 0 }), precision });
}

/**
 * The loss over the updates, and where the opponents stand.
 *
 * @param {Page} page
 * @param {(step: number) => void} onScrub
 */
function lossChart(page, onScrub) {
  const { characters, curve, opponents, rung } = page.data;
  const best = opponents && Object.keys(opponents).find((key) => key.startsWith("best counter"));
  const levels = [{ label: say("training.level.even"), y: Math.log(characters.length), name: "log(characters)" }];
  for (const key of ["letter counts", "letter pairs", best]) {
    if (!key || opponents?.[key] === undefined) continue;
    const translated = key === best ? say("training.level.best", { order: /\d+/.exec(key)?.[0] ?? "" }) : say(`training.level.${key.split(" ")[1]}`);
    levels.push({ label: translated, y: opponents[key], name: `opponents.${key}` });
  }
  const last = curve.length - 1;
  const beaten = levels.filter((level) => curve[last][1] < level.y).length;
  const caption = phrase(beaten === levels.length ? "training.caption.all" : "training.caption.some", {
    from: value(curve[0][1], "curve[0]", "1", { shown: Math.exp(curve[0][1]), digits: curve[0][1] < 4.6 ? 1 : 0 }),
    to: value(curve[last][1], `curve[${last}]`, "1", { shown: Math.exp(curve[last][1]), digits: 1 }),
    step: value(curve[last][0], `curve[${last}]`, "0", { digits: 0 }),
    beaten: value(beaten, "figure.beaten", "", { digits: 0 }),
    levels: levels.length,
  });
  return lineChart({
    name: "curve", label: say("training.chart"), caption, levels, onScrub,
    series: [{ label: rung, points: curve }],
    x: { label: say("training.updates") }, y: { label: say("training.nats") },
  });
}

/**
 * Small multiples of one head over the same letters, one for each step kept, and the chosen one large.
 *
 * @param {Page} page
 * @param {(k: number) => void} go
 * @returns {{ element: HTMLElement, show: (k: number) => void } | null} null where there is no head
 */
function headPictures(page, go) {
  const { history, history_head: head, history_ids: ids, characters } = page.data;
  if (!head || !ids?.length || !history.some((moment) => moment.attention || moment.model)) return null;
  const letters = ids.map((id) => glyph(characters[id]));
  const T = ids.length;
  const named = `blocks.${head.layer}.attention.weights`;

  /** @type {(((i: number, j: number) => number | null) | null)[]} */
  const cells = history.map(() => null);

  /**
   * The weights of the head at a step: computed here if its model is in the file, else what was recorded.
   *
   * @param {number} k
   * @returns {(i: number, j: number) => number | null}
   */
  function at(k) {
    const known = cells[k];
    if (known) return known;
    const { model, attention } = history[k];
    /** @type {(i: number, j: number) => number | null} */
    let read = (i, j) => (j > i ? null : attention?.[i]?.[j] ?? null);
    if (model !== null) {
      const weights = page.engine(model).trace(ids).get(named);
      if (weights) read = (i, j) => (j > i ? null : weights.data[(/** @type {{ head: number }} */ (head).head * T + i) * T + j]);
    }
    cells[k] = read;
    return read;
  }

  const pictures = history.map((moment, k) => {
    const canvas = h("canvas", { width: T * 4, height: T * 4, "aria-hidden": "true" });
    const label = phrase("training.moment", { n: value(moment.step, `history[${k}].step`, "", { digits: 0 }) });
    return h("button", { type: "button", "aria-pressed": "false", onclick: () => go(k) }, canvas,
      h("span", null, label), h("span", { class: "kind" }, say(moment.model === null ? "training.kind.recorded" : "training.kind.live")));
  });
  /** @type {ReturnType<typeof heatmap> | null} */
  let large = null;
  let wanted = history.length - 1;
  let seen = false;
  const place = h("div", null);
  const element = h("div", null,
    h("h3", null, say("training.head", { layer: head.layer + 1, head: head.head + 1 })),
    h("p", { class: "note" }, say("training.head.note")),
    h("div", { class: "moments", role: "group", "aria-label": say("training.head.steps") }, pictures), place);

  /** @param {number} k */
  function options(k) {
    const live = history[k].model !== null;
    const read = at(k);
    return {
      name: live ? named : `history[${k}].attention`,
      label: say(live ? "training.map.live" : "training.map.recorded", { n: history[k].step }),
      caption: remark(k, read, live),
      rows: letters, columns: letters, max: 1, signed: false, format: { percent: true }, cell: 18,
      at: read,
      index: (/** @type {number} */ i, /** @type {number} */ j) => (live ? `${head?.head},${i},${j}` : `${i},${j}`),
      describe: (/** @type {number} */ i, /** @type {number} */ j) => say("training.cell", { row: letters[i], column: letters[j] }),
    };
  }

  /**
   * The strongest look there is at this step.
   *
   * @param {number} k
   * @param {(i: number, j: number) => number | null} read
   * @param {boolean} live
   */
  function remark(k, read, live) {
    let [row, column, most] = [0, 0, -1];
    for (let i = Math.min(6, T - 1); i < T; i++) {
      for (let j = 0; j <= i; j++) {
        const v = read(i, j) ?? -1;
        if (v > most) [row, column, most] = [i, j, v];
      }
    }
    const name = live ? named : `history[${k}].attention`;
    return phrase(row === column ? "training.strongest.itself" : "training.strongest", {
      row: h("bdi", null, letters[row]), column: h("bdi", null, letters[column]), n: row - column, m: row + 1,
      p: value(most, name, live ? `${head?.head},${row},${column}` : `${row},${column}`, { percent: true }),
      even: value(1 / (row + 1), `even(${row + 1})`, "", { percent: true }),
    });
  }

  function draw() {
    pictures.forEach((button, k) => {
      const canvas = button.querySelector("canvas");
      const context = canvas?.getContext("2d");
      if (!context) return;
      context.clearRect(0, 0, T * 4, T * 4);
      paint(context, { rows: T, columns: T, at: at(k), max: 1, signed: false, width: 4, height: 4 });
    });
  }

  /** @param {number} k */
  function show(k) {
    wanted = k;
    pictures.forEach((button, i) => button.setAttribute("aria-pressed", String(i === k)));
    if (!seen) return;
    const { model } = history[k];
    place.dataset.ids = ids.join(",");
    if (model === null) delete place.dataset.model;
    else place.dataset.model = model;
    if (large) large.update(options(k));
    else place.append((large = heatmap(options(k))));
  }

  whenSeen(element, () => void breath().then(() => page.attempt(element, () => {
    draw();
    seen = true;
    show(wanted);
    globalThis.matchMedia?.("(prefers-color-scheme: dark)").addEventListener?.("change", draw);
  })));
  return { element, show };
}
