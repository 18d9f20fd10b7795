/**
 * Scene 4, where it looks: one head of attention over the reader's line, in five stages.
 *
 *     looking(page, document.querySelector("#looking .live"))
 *
 * Score, scale, mask, softmax, weighted sum: the reader goes from one to the next, and each shows the
 * same letters with that stage's own numbers, one sum written out, and the whole matrix. The head to
 * begin with is the one that a statistic over held-out text picked (`data.chosen_head`). It says where
 * a head looks. It does not say why.
 */

import { h } from "./dom.js";
import { heatmap, value } from "./figures.js";
import { nameOf, phrase, say } from "./strings.js";
import { choice, grid } from "./room-figures.js";
import { Reading, Traced, sayings } from "./room-traced.js";
import { quoted } from "./room-words.js";

/** @import { Page } from "./app.js" */

const STAGES = ["scores", "scaled", "masked", "weights", "mixed"];
const FAR = 8; // letters: a first letter further back than this is looked at for want of anything else
const SHOWN = 0.005; // a smaller share is not written under its letter
const WORTH_SAYING = 0.05; // the second largest share is told from here on
const PARKED = 0.3; // the share of attention from which on that is said

/** @typedef {{layer: number, head: number}} Place */

class Looking {
  /**
   * @param {Page} page
   * @param {HTMLElement} root
   */
  constructor(page, root) {
    this.page = page;
    /** @type {Place} */
    this.head = page.data.chosen_head ?? { layer: 0, head: 0 };
    this.stage = 0;
    this.from = 0; // the position that looks
    this.to = 0; // the one looked at, whose number is worked out
    /** @type {Traced} */
    this.traced = this.read(page.tokenizer.decode(page.data.line ?? []) || page.data.prompt);

    this.line = h("input", {
      type: "text",
      class: "line",
      value: this.traced.letters.join(""),
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
      "aria-describedby": "looking-said",
      oninput: () => this.reread(),
    });
    this.said = h("p", { class: "note", id: "looking-said", role: "status" });
    this.about = h("p", { class: "note" });
    this.tiles = h("div", { class: "tiles" });
    this.stageText = h("p", { class: "stage-text" });
    this.finding = h("p", { class: "finding", role: "status" });
    this.sum = h("p", { class: "sum-line" });
    this.parked = h("p", { class: "note parked" });
    this.pictures = h("div", { class: "pictures" });
    /** @type {ReturnType<typeof heatmap> | null} */
    this.map = null;
    this.buttons = STAGES.map((_, i) =>
      h("button", { type: "button", onclick: () => this.go(i) }, say(`looking.stage.${i + 1}`)),
    );
    this.back = h("button", { type: "button", onclick: () => this.go(this.stage - 1) }, say("room.back"));
    this.next = h(
      "button",
      { type: "button", class: "main", onclick: () => this.go(this.stage + 1) },
      say("room.next"),
    );
    this.stageControl = h(
      "div",
      {
        class: "stage-control",
        role: "group",
        "aria-label": say("looking.stages"),
        onkeydown: (/** @type {KeyboardEvent} */ event) => this.walk(event),
      },
      h("ol", { class: "stage-list" }, this.buttons.map((button) => h("li", null, button))),
      h("div", { class: "row" }, this.back, this.next),
    );
    this.scope = h(
      "div",
      null,
      h(
        "fieldset",
        { class: "letters" },
        h("legend", null, say("looking.letters")),
        this.tiles,
      ),
      this.stageControl,
      h(
        "div",
        { class: "stage-view" },
        h("div", null, this.stageText, this.finding, this.sum, this.parked),
        this.pictures,
      ),
    );
    root.append(
      h(
        "form",
        {
          class: "fields",
          onsubmit: (/** @type {Event} */ event) => {
            event.preventDefault();
            this.reread();
          },
        },
        h("label", { class: "field" }, h("span", { class: "name" }, say("looking.line")), this.line),
        choice(say("looking.head"), this.heads(), this.key(this.head), (chosen) => {
          const [layer, head] = chosen.split(".").map(Number);
          this.head = { layer, head };
          this.aim();
          this.draw();
        }),
      ),
      this.said,
      this.about,
      this.scope,
    );
    this.lay();
  }

  /** @param {Place} place */
  key({ layer, head }) {
    return `${layer}.${head}`;
  }

  /** Every head with what was measured of it, the chosen one first. */
  heads() {
    const all = [...this.page.data.heads].sort(
      (a, b) => Number(this.key(b) === this.key(this.head)) - Number(this.key(a) === this.key(this.head)),
    );
    return all.map((head) => ({
      value: this.key(head),
      text: say("looking.option", {
        layer: head.layer + 1,
        head: head.head + 1,
        kind: say(head.label ? `looking.kind.${head.label}` : "looking.kind.none"),
      }),
    }));
  }

  /**
   * @param {string} text
   * @returns {Traced}
   */
  read(text) {
    const reading = new Reading(this.page, "end", text);
    this.reading = reading;
    const traced = new Traced(this.page, "end", reading.ids);
    this.from = traced.length - 1;
    this.traced = traced;
    this.aim();
    return traced;
  }

  reread() {
    this.read(this.line.value);
    this.lay();
  }

  /**
   * The name of one of this layer's attention values.
   *
   * @param {string} what
   */
  named(what) {
    return `blocks.${this.head.layer}.attention.${what}`;
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  share(from, to) {
    return this.traced.at(this.named("weights"), this.head.head, from, to);
  }

  /** The letters before a position, itself included, the one that gets the largest share first. */
  ranked(from = this.from) {
    const order = Array.from({ length: from + 1 }, (_, to) => to);
    return order.sort((a, b) => this.share(from, b) - this.share(from, a) || b - a);
  }

  /** Work out the number of the letter that is looked at most. */
  aim() {
    this.to = this.ranked()[0];
  }

  /** Lay out the letters of a new line. */
  lay() {
    for (const [name, text] of Object.entries(this.traced.scope())) this.scope.setAttribute(name, text);
    this.said.replaceChildren(...(this.reading ? sayings(this.reading) : []));
    this.tiles.replaceChildren(
      ...this.traced.glyphs.map((glyph, t) =>
        h(
          "label",
          { class: "tile" },
          h("input", {
            type: "radio",
            class: "unseen",
            name: "looking-from",
            value: t,
            "aria-label": say("room.position", { position: t + 1, letter: nameOf(this.traced.letters[t]) }),
            onchange: () => this.choose(t),
            onkeydown: (/** @type {KeyboardEvent} */ event) => event.stopPropagation(),
          }),
          h("span", { class: "fill", "aria-hidden": "true" }),
          h("span", { class: "tile-letter" }, glyph),
          h("span", { class: "tile-number" }),
        ),
      ),
    );
    this.draw();
  }

  /**
   * Another position looks.
   *
   * @param {number} from
   * @param {number} [to]
   */
  choose(from, to) {
    this.from = from;
    if (to === undefined) this.aim();
    else this.to = to;
    this.draw();
  }

  /** @param {number} stage */
  go(stage) {
    this.stage = Math.min(Math.max(stage, 0), STAGES.length - 1);
    this.draw();
  }

  /**
   * Arrow keys in the stage control.
   *
   * @param {KeyboardEvent} event
   */
  walk(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.go(this.stage + step);
    if (this.buttons.some((button) => button === event.target)) this.buttons[this.stage].focus();
  }

  /** Everything that depends on the head, the letter, the stage. */
  draw() {
    this.drawStages();
    this.drawTiles();
    this.drawMap();
    this.drawHead();
    this.stageText.replaceChildren(say(`looking.stage.${this.stage + 1}.text`));
    this.finding.replaceChildren(this.caption());
    this.sum.replaceChildren(this.arithmetic());
    this.parked.replaceChildren(...this.sink());
  }

  drawStages() {
    this.buttons.forEach((button, i) => {
      if (i === this.stage) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
    this.back.setAttribute("aria-disabled", String(this.stage === 0));
    this.next.setAttribute("aria-disabled", String(this.stage === STAGES.length - 1));
  }

  drawHead() {
    const { page, head } = this;
    const i = page.data.heads.findIndex((/** @type {any} */ one) => this.key(one) === this.key(head));
    if (i < 0) return this.about.replaceChildren();
    const measured = page.data.heads[i];
    const more = (/** @type {string} */ kind) => measured.mass[kind] - measured.expected[kind];
    const kinds = Object.keys(measured.mass);
    const kind = measured.label ?? kinds.reduce((a, b) => (more(b) > more(a) ? b : a));
    this.about.replaceChildren(
      phrase(measured.label ? "looking.measured" : "looking.unclear", {
        layer: head.layer + 1,
        head: head.head + 1,
        kind: say(`looking.kind.${kind}`),
        mass: value(measured.mass[kind], `heads[${i}].mass.${kind}`, "", { percent: true }),
        expected: value(measured.expected[kind], `heads[${i}].expected.${kind}`, "", { percent: true }),
        characters: value(measured.characters, `heads[${i}].characters`, "", { digits: 0 }),
      }),
      this.key(head) === this.key(page.data.chosen_head ?? head) ? ` ${say("looking.chosen")}` : "",
    );
  }

  drawTiles() {
    const what = STAGES[Math.min(this.stage, 3)]; // the last stage mixes by the shares
    const percent = what === "weights";
    const rounding = percent ? { percent, digits: 0 } : { digits: 1 };
    [...this.tiles.children].forEach((tile, to) => {
      const [radio, fill, , number] = /** @type {HTMLElement[]} */ ([...tile.children]);
      /** @type {HTMLInputElement} */ (radio).checked = to === this.from;
      const hidden = this.stage >= 2 && to > this.from;
      tile.classList.toggle("future", hidden);
      tile.classList.toggle("looks", to === this.from);
      tile.classList.toggle("looked-at", to === this.to && !hidden);
      fill.style.height = percent && !hidden ? `${this.share(this.from, to) * 100}%` : "0";
      number.replaceChildren(
        hidden || (percent && this.share(this.from, to) < SHOWN)
          ? ""
          : this.traced.number(this.named(what), [this.head.head, this.from, to], rounding),
      );
    });
  }

  drawMap() {
    if (this.stage === 4) {
      this.map = null;
      this.pictures.replaceChildren(...this.mixture());
      return;
    }
    const name = this.named(STAGES[this.stage]);
    const { rows, columns, place, at } = grid(this.traced, name, this.head.head);
    const options = {
      name,
      label: say("looking.matrix", { stage: say(`looking.stage.${this.stage + 1}`) }),
      caption: say("looking.matrix.caption"),
      rows,
      columns,
      at,
      index: (/** @type {number} */ i, /** @type {number} */ j) => place(i, j).join(","),
      signed: this.stage < 3,
      max: this.stage < 3 ? undefined : 1,
      format: this.stage < 3 ? { digits: 2 } : { percent: true },
      describe: (/** @type {number} */ i, /** @type {number} */ j) =>
        say("looking.cell", { from: nameOf(this.traced.letters[i]), to: nameOf(this.traced.letters[j]) }),
      onSelect: (/** @type {number} */ i, /** @type {number} */ j) => {
        if (i !== this.from || j !== this.to) this.choose(i, j);
      },
    };
    if (this.map) this.map.update(options);
    else {
      this.map = heatmap(options);
      this.pictures.replaceChildren(this.map);
    }
  }

  /** The values that are mixed, and the mix: strips of the same colours. */
  mixture() {
    const { traced, from } = this;
    const { head } = this.head;
    const name = this.named("value");
    const own = traced.headOf(name, head);
    const width = traced.tensor(name).shape[2];
    const columns = Array.from({ length: width }, (_, d) => String(d + 1));
    const letters = Array.from({ length: from + 1 }, (_, s) => s);
    const max = Math.max(...letters.flatMap((s) => Array.from(traced.row(name, own, s), Math.abs)));
    return [
      heatmap({
        name,
        label: say("looking.values"),
        caption: say("looking.values.caption", { letter: quoted(traced.letters[from]) }),
        rows: letters.map((s) => traced.glyphs[s]),
        columns,
        at: (s, d) => traced.at(name, own, s, d),
        index: (s, d) => `${own},${s},${d}`,
        signed: true,
        max,
        describe: (s, d) => say("room.cell.channels", { letter: nameOf(traced.letters[s]), other: d + 1 }),
      }),
      heatmap({
        name: this.named("mixed"),
        label: say("looking.mix"),
        caption: say("looking.mix.caption", { letter: quoted(traced.letters[from]) }),
        rows: [traced.glyphs[from]],
        columns,
        at: (_, d) => traced.at(this.named("mixed"), head, from, d),
        index: (_, d) => `${head},${from},${d}`,
        signed: true,
        max,
        describe: (_, d) => say("room.cell.channels", { letter: nameOf(traced.letters[from]), other: d + 1 }),
      }),
    ];
  }

  /** What this head does from this letter, in one sentence. */
  caption() {
    const { traced, from } = this;
    const [first, second] = this.ranked();
    const parts = h("span", null, this.gives("looking.gives", first));
    if (second !== undefined && this.share(from, second) >= WORTH_SAYING) {
      parts.append(this.gives("looking.then", second));
    }
    parts.append(".");
    return this.stage < 3
      ? phrase(`looking.finding.${this.stage + 1}`, {
          from: quoted(traced.letters[from]),
          to: quoted(traced.letters[this.to]),
          number: traced.number(this.named(STAGES[this.stage]), [this.head.head, from, this.to], { digits: 2 }),
        })
      : parts;
  }

  /**
   * @param {string} key
   * @param {number} to
   */
  gives(key, to) {
    const { traced, from } = this;
    return phrase(key, {
      from: quoted(traced.letters[from]),
      share: traced.number(this.named("weights"), [this.head.head, from, to], { percent: true }),
      to: to === from ? say("looking.itself") : quoted(traced.letters[to]),
      back: to === from ? "" : say("looking.back", { n: from - to }),
    });
  }

  /** The number of one cell worked out, with its real numbers. */
  arithmetic() {
    const { traced, from, to } = this;
    const { head } = this.head;
    const cell = [head, from, to];
    /** @type {(what: string, index?: number[], rounding?: {digits?: number, percent?: boolean}) => Node} */
    const number = (what, index = cell, rounding = { digits: 2 }) =>
      traced.number(this.named(what), index, rounding);
    const words = { from: quoted(traced.letters[from]), to: quoted(traced.letters[to]) };
    if (this.stage === 0) {
      return phrase("looking.sum.1", {
        ...words,
        products: this.products(),
        score: number("scores"),
      });
    }
    if (this.stage === 1) {
      const query = traced.tensor(this.named("query"));
      return phrase("looking.sum.2", {
        score: number("scores"),
        size: value(query.shape[2], `shape(${this.named("query")})`, "2", { digits: 0 }),
        scaled: number("scaled"),
      });
    }
    if (this.stage === 2) {
      return phrase(to > from ? "looking.sum.3.future" : "looking.sum.3", {
        ...words,
        scaled: number("scaled"),
        masked: number("masked"),
      });
    }
    if (this.stage === 3) {
      const masked = traced.row(this.named("masked"), head, from);
      const peak = masked.indexOf(Math.max(...masked));
      const exponentials = traced.row(this.named("exponentials"), head, from);
      const sum = Array.from(exponentials).reduce((a, b) => a + b, 0);
      return phrase("looking.sum.4", {
        masked: number("masked"),
        peak: number("masked", [head, from, peak]),
        exponential: number("exponentials"),
        exponential_again: number("exponentials"),
        sum: value(sum, `sum(${this.named("exponentials")})`, `${head},${from}`, { digits: 2 }),
        share: number("weights", cell, { percent: true }),
      });
    }
    return this.weightedSum();
  }

  /** The three largest products of a query and a key, the rest as three dots. */
  products() {
    const { traced, from, to } = this;
    const suffix = traced.has(this.named("query_turned")) ? "_turned" : "";
    const [query, key] = [this.named(`query${suffix}`), this.named(`key${suffix}`)];
    const [mine, theirs] = [this.head.head, traced.headOf(key, this.head.head)];
    const q = traced.row(query, mine, from);
    const k = traced.row(key, theirs, to);
    const order = Array.from(q.keys()).sort((a, b) => Math.abs(q[b] * k[b]) - Math.abs(q[a] * k[a]));
    const products = h("span", { class: "products" });
    order.slice(0, 3).forEach((d, i) => {
      products.append(
        i ? " + " : "",
        inBrackets(traced.number(query, [mine, from, d], { digits: 2 }), q[d]),
        " × ",
        inBrackets(traced.number(key, [theirs, to, d], { digits: 2 }), k[d]),
      );
    });
    if (q.length > 3) products.append(" + …");
    return products;
  }

  /** One channel of the mix: the shares times the values of the letters looked at most. */
  weightedSum() {
    const { traced, from } = this;
    const { head } = this.head;
    const mixed = traced.row(this.named("mixed"), head, from);
    const peak = Array.from(mixed).reduce(
      (best, x, d, all) => (Math.abs(x) > Math.abs(all[best]) ? d : best),
      0,
    );
    const name = this.named("value");
    const own = traced.headOf(name, head);
    const products = h("span", { class: "products" });
    const order = this.ranked();
    order.slice(0, 3).forEach((s, i) => {
      products.append(
        i ? " + " : "",
        traced.number(this.named("weights"), [head, from, s], { percent: true }),
        " × ",
        inBrackets(traced.number(name, [own, s, peak], { digits: 2 }), traced.at(name, own, s, peak)),
      );
    });
    if (order.length > 3) products.append(" + …");
    return phrase("looking.sum.5", {
      channel: peak + 1,
      products,
      mixed: traced.number(this.named("mixed"), [head, from, peak], { digits: 2 }),
    });
  }

  /** Where attention is parked on the first letter, what that means. */
  sink() {
    const { traced } = this;
    if (this.stage < 3) return [];
    const far = Array.from({ length: traced.length }, (_, t) => t).filter(
      (t) => t >= FAR && this.share(t, 0) > PARKED,
    );
    if (!far.length) return [];
    const t = far.includes(this.from)
      ? this.from
      : far.reduce((a, b) => (this.share(b, 0) > this.share(a, 0) ? b : a));
    return [
      phrase("looking.sink", {
        from: quoted(traced.letters[t]),
        position: t + 1,
        share: traced.number(this.named("weights"), [this.head.head, t, 0], { percent: true }),
        first: quoted(traced.letters[0]),
        n: t,
      }),
    ];
  }
}

/**
 * A number in brackets where it is negative, as arithmetic is written.
 *
 * @param {Node} shown
 * @param {number} number
 */
function inBrackets(shown, number) {
  return number < 0 ? h("span", null, "(", shown, ")") : shown;
}

/**
 * Put scene 4 into its section.
 *
 * @param {Page} page
 * @param {HTMLElement} root
 */
export function looking(page, root) {
  if (!page.data.heads?.length) {
    root.append(h("p", null, say("looking.none")));
    return;
  }
  new Looking(page, root);
}
