/**
 * Figures whose every number carries its name.
 *
 *     value(0.3127, "probabilities", "8,40", { percent: true })   // <data …>31.3 %</data>
 *     heatmap({ name: "blocks.0.attention.weights", label, caption, rows, columns, at, index, describe })
 *     lineChart({ name, label, caption, series: [{ label, points }], levels: [{ label, y }], x, y })
 *     table({ caption, columns, rows })
 *
 * The picture and the table behind "Show as table" read the same function `at`, so they cannot disagree. The
 * figures compute nothing and know no model: whoever calls sets `data-model` and `data-ids` on an ancestor.
 */

import { h, svg } from "./dom.js";
import { language, phrase, say } from "./strings.js";

/**
 * @typedef {{ digits?: number, percent?: boolean, shown?: number }} Format `shown`: the same fact in another unit, to be
 *   written in place of the number: a loss of 1.53 nats as "4.6" letters
 * @typedef {Format & { v: number, name: string, index: string }} Named
 */
/** @typedef {string | number | Node | Named | null} Cell */

// --- numbers -----------------------------------------------------------------------------------------------

/**
 * A number as people read it: `written(0.31274)` is "0.313", `written(0.31274, { percent: true })` "31 %".
 *
 * @param {number} v
 * @param {Format} [format]
 * @returns {string}
 */
export function written(v, { digits, percent = false } = {}) {
  if (Number.isNaN(v)) return "–";
  if (!Number.isFinite(v)) return v < 0 ? "−∞" : "∞";
  const scaled = percent ? v * 100 : v;
  const places = digits ?? (percent ? (Math.abs(scaled) < 9.95 ? 1 : 0) : 3);
  const number = new Intl.NumberFormat(language(), {
    minimumFractionDigits: Number.isInteger(scaled) && !percent ? 0 : places,
    maximumFractionDigits: places,
  });
  const tiny = scaled !== 0 && Math.abs(scaled) < 0.5 * 10 ** -places;
  const full = percent && v < 1 && number.format(scaled) === number.format(100); // not quite all
  const text =
    tiny && scaled > 0
      ? `<${number.format(10 ** -places)}`
      : full
        ? `>${number.format(100 - 10 ** -places)}`
        : number.format(scaled);
  return text.replace("-", "−") + (percent ? "\u00a0%" : "");
}

/**
 * A number with its name: `<data class="value" value="0.3127" data-name="probabilities" data-index="8,40">`.
 *
 * @param {number} v
 * @param {string} name a named value ("blocks.0.norm_1"), or a path into the page's data ("history[3].nats")
 * @param {string} [index] the whole index in the value's shape ("2,5,3"); "" for a single number
 * @param {Format} [format]
 * @returns {HTMLDataElement}
 */
export function value(v, name, index = "", format = {}) {
  return h(
    "data",
    { class: "value", value: String(v), "data-name": name, "data-index": index },
    written(format.shown ?? v, format),
  );
}

// --- tables ------------------------------------------------------------------------------------------------

/**
 * @param {Cell} cell
 * @returns {Node | string}
 */
function content(cell) {
  if (cell === null) return "";
  if (cell instanceof Node) return cell;
  if (typeof cell === "object") return value(cell.v, cell.name, cell.index, cell);
  return String(cell);
}

/**
 * A real table in a box that scrolls sideways. The first cell of each row is its header.
 *
 *     table({ caption: "Letters", columns: ["letter", "probability"], rows: [["e", { v: 0.3, name: "probabilities", index: "8,40" }]] })
 *
 * @param {{ caption: string, columns: (string | Node)[], rows: Cell[][] }} what
 * @returns {HTMLElement}
 */
export function table({ caption, columns, rows }) {
  const head = h("tr", null, columns.map((column) => h("th", { scope: "col" }, bidi(column))));
  const body = rows.map((cells) =>
    h("tr", null, cells.map((cell, i) => {
      const inside = content(cell);
      return i === 0 ? h("th", { scope: "row" }, bidi(inside)) : h("td", null, inside);
    })),
  );
  return h(
    "div",
    { class: "table", role: "region", tabindex: 0, "aria-label": caption },
    h("table", null, h("caption", null, caption), h("thead", null, head), h("tbody", null, body)),
  );
}

/**
 * @param {string | Node} text
 * @returns {Node}
 */
function bidi(text) {
  return text instanceof Node ? text : h("bdi", null, text);
}

// --- the frame ---------------------------------------------------------------------------------------------

/**
 * A figure: picture, caption, and "Show as table" whose table is built when it is first opened.
 *
 *     figure({ label: "Loss", caption: "It fell.", picture: svgElement, table: () => table({…}) })
 *
 * @param {{ label: string, caption?: string | Node | null, picture: Node | Node[], table?: (() => HTMLElement) | null, kind?: string }} what
 * @returns {HTMLElement}
 */
export function figure({ label, caption, picture, table: build, kind }) {
  const box = h("div", { class: "as-table" });
  const details = build
    ? h("details", {
        class: "show-table",
        ontoggle: () => {
          if (details?.open && !box.firstChild) box.append(build());
        },
      }, h("summary", null, say("figure.table"), h("span", { class: "unseen" }, `: ${label}`)), box)
    : null;
  return h(
    "figure",
    { class: kind ? `figure ${kind}` : "figure", "aria-label": label },
    picture,
    caption ? h("figcaption", null, caption) : null,
    details,
  );
}

// --- colours -----------------------------------------------------------------------------------------------

// Cividis (Nunez, Anderton, Renslow 2018, PLoS ONE 13(7) e0199239): read alike with and without red-green blindness.
const CIVIDIS = [
  [0, 34, 78], [8, 51, 112], [53, 69, 108], [79, 87, 108], [102, 105, 112], [125, 124, 120],
  [148, 142, 119], [174, 163, 113], [200, 184, 102], [227, 207, 82], [254, 232, 56],
];
// TensorFlow Playground's (Smilkov et al. 2017, arXiv:1708.03788): blue above, orange below, grey at nothing.
const SIGNED = [[8, 119, 189], [232, 234, 235], [245, 147, 34]];

/**
 * @param {number[][]} stops
 * @param {number} t in [0, 1]
 * @returns {string}
 */
function between(stops, t) {
  const at = Math.min(Math.max(t, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2);
  const mix = stops[low].map((from, i) => Math.round(from + (stops[low + 1][i] - from) * (at - low)));
  return `rgb(${mix.join(" ")})`;
}

/**
 * The colour of a number: cividis from 0 to max, or orange - grey - blue from -max to max.
 *
 * @param {number} v
 * @param {number} max
 * @param {boolean} signed
 * @returns {string}
 */
export function colour(v, max, signed) {
  const t = max > 0 ? v / max : 0;
  return signed ? between(SIGNED, (1 - t) / 2) : between(CIVIDIS, t);
}

/**
 * @param {string} name of a custom property of the style sheet
 * @param {string} otherwise
 * @returns {string}
 */
function token(name, otherwise) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim() || otherwise;
}

/**
 * Call `draw` again whenever the reader's machine changes between light and dark.
 *
 * @param {() => void} draw
 */
function onTheme(draw) {
  globalThis.matchMedia?.("(prefers-color-scheme: dark)").addEventListener?.("change", draw);
}

/**
 * The stripes of a cell that has no number, such as the future of a position.
 *
 * @param {CanvasRenderingContext2D} context
 * @returns {CanvasPattern | string}
 */
function hatching(context) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = tile.getContext("2d");
  const ink = token("--hatch", "#cfc6b6");
  if (!pen) return ink;
  pen.strokeStyle = ink;
  pen.beginPath();
  for (const shift of [-6, 0, 6]) {
    pen.moveTo(shift, 6);
    pen.lineTo(shift + 6, 0);
  }
  pen.stroke();
  return context.createPattern(tile, "repeat") ?? ink;
}

/**
 * Paint rows x columns of cells, `size` canvas pixels each, from the corner (left, top).
 *
 * @param {CanvasRenderingContext2D} context
 * @param {{ rows: number, columns: number, at: (i: number, j: number) => number | null, max: number, signed: boolean,
 *           left?: number, top?: number, width: number, height: number }} what
 */
export function paint(context, { rows, columns, at, max, signed, left = 0, top = 0, width, height }) {
  const stripes = hatching(context);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const v = at(i, j);
      context.fillStyle = v === null || !Number.isFinite(v) ? stripes : colour(v, max, signed);
      context.fillRect(left + j * width, top + i * height, width, height);
    }
  }
}

// --- heat maps ---------------------------------------------------------------------------------------------

/**
 * @typedef {object} HeatMap
 * @property {string} name the named value that is shown
 * @property {string} label what the figure is, in a few words
 * @property {string | Node | null} [caption] what to see in it, from its own numbers
 * @property {string[]} rows a label for each row
 * @property {string[]} columns a label for each column
 * @property {(i: number, j: number) => number | null} at the number of a cell; null: there is none (hatched)
 * @property {(i: number, j: number) => string} index its whole index in the value's shape
 * @property {boolean} [signed] orange - grey - blue about 0 instead of cividis from 0
 * @property {(i: number, j: number) => string} [describe] the cell in words, read out as the reader moves
 * @property {number} [max] the number at the end of the colours; otherwise the largest there is
 * @property {(i: number, j: number) => void} [onSelect] told when a cell is chosen
 * @property {Format} [format] how the numbers are written
 * @property {number} [cell] the largest side of a cell in CSS pixels (28)
 */

let cursors = 0; // each grid names its one cell by an id of its own
const CELLS_PER_PAGE = 12000; // a table of more is slow to open, so it is leafed through

/**
 * A canvas, one focusable grid over it, a live label, a legend and a table. `update(changes)` redraws with new
 * options and keeps the place the reader is at.
 *
 *     heatmap({ name: "blocks.0.attention.weights", label: "Head 1", caption: "…", rows: glyphs, columns: glyphs, max: 1,
 *               at: (i, j) => (j > i ? null : weights[i][j]), index: (i, j) => `1,${i},${j}`,
 *               describe: (i, j) => `row ${glyphs[i]} looks at ${glyphs[j]}` })
 *
 * @param {HeatMap} options
 * @returns {HTMLElement & { update: (changes: Partial<HeatMap>) => void }}
 */
export function heatmap(options) {
  let now = { ...options };
  let row = 0;
  let column = 0;
  let cellWidth = 0;
  let cellHeight = 0;
  let gutter = 0;
  let touched = false; // until then the live label says what can be done

  const canvas = h("canvas", { "aria-hidden": "true" });
  const cursor = h("div", { role: "gridcell", class: "cursor", id: `cell-${(cursors += 1)}` });
  const grid = h(
    "div",
    { class: "grid", role: "grid", tabindex: 0, "aria-activedescendant": cursor.id, onkeydown: move, onpointerdown: touch, onpointermove: touch },
    canvas,
    h("div", { role: "row", class: "cursor-row" }, cursor),
  );
  const scroller = h("div", { class: "scroller" }, grid);
  const label = h("p", { class: "cell-label", "aria-live": "polite" });
  const legend = h("div", { class: "legend" });
  const caption = h("div", { class: "caption-slot" });
  const frame = figure({
    label: now.label,
    picture: [scroller, label, legend, caption],
    table: pages,
    kind: "heatmap",
  });

  function limit() {
    if (now.max !== undefined) return now.max;
    let most = 0;
    for (let i = 0; i < now.rows.length; i++) {
      for (let j = 0; j < now.columns.length; j++) {
        const v = now.at(i, j);
        if (v !== null && Number.isFinite(v)) most = Math.max(most, Math.abs(v));
      }
    }
    return most || 1;
  }

  function draw() {
    const context = canvas.getContext("2d");
    const room = scroller.clientWidth;
    if (!context || room === 0) return;
    const dense = globalThis.devicePixelRatio || 1;
    const labelled = room / (now.columns.length + 1) >= 13;
    gutter = labelled ? 20 : 0;
    const widest = Math.min((room - gutter) / now.columns.length, now.cell ?? 28);
    cellWidth = Math.max(1, Math.floor(widest * dense)) / dense;
    cellHeight = Math.max(cellWidth, Math.min(now.cell ?? 28, 160 / now.rows.length, 14));
    cellHeight = Math.max(1, Math.floor(cellHeight * dense)) / dense;
    const width = gutter + cellWidth * now.columns.length;
    const height = gutter + cellHeight * now.rows.length;
    canvas.width = Math.round(width * dense);
    canvas.height = Math.round(height * dense);
    canvas.style.width = grid.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    context.scale(dense, dense);
    paint(context, {
      rows: now.rows.length, columns: now.columns.length, at: now.at, max: limit(), signed: !!now.signed,
      left: gutter, top: gutter, width: cellWidth, height: cellHeight,
    });
    if (labelled) letter(context);
    place();
  }

  /** @param {CanvasRenderingContext2D} context */
  function letter(context) {
    context.fillStyle = token("--quiet", "#5d564c");
    context.font = `13px ${token("--serif", "Georgia, serif")}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    if (cellHeight >= 9) {
      now.rows.forEach((text, i) => context.fillText(brief(text), 9, gutter + (i + 0.5) * cellHeight, 18));
    }
    now.columns.forEach((text, j) => context.fillText(brief(text), gutter + (j + 0.5) * cellWidth, 9, cellWidth));
  }

  function place() {
    const { style } = cursor;
    style.left = `${gutter + column * cellWidth}px`;
    style.top = `${gutter + row * cellHeight}px`;
    style.width = `${Math.max(cellWidth, 3)}px`;
    style.height = `${Math.max(cellHeight, 3)}px`;
    cursor.setAttribute("aria-rowindex", String(row + 1));
    cursor.setAttribute("aria-colindex", String(column + 1));
  }

  /**
   * @param {number} i
   * @param {number} j
   * @param {boolean} [tell]
   */
  function go(i, j, tell = true) {
    row = Math.min(Math.max(i, 0), now.rows.length - 1);
    column = Math.min(Math.max(j, 0), now.columns.length - 1);
    touched = true;
    place();
    const v = now.at(row, column);
    const said = now.describe?.(row, column) ?? `${now.rows[row]}, ${now.columns[column]}`;
    const number = v === null ? say("figure.none") : value(v, now.name, now.index(row, column), now.format);
    cursor.setAttribute("aria-label", `${said}: ${v === null ? say("figure.none") : written(v, now.format)}`);
    label.replaceChildren(h("bdi", null, said), ": ", number);
    const box = scroller.getBoundingClientRect();
    const x = gutter + column * cellWidth;
    if (x < scroller.scrollLeft || x + cellWidth > scroller.scrollLeft + box.width) scroller.scrollLeft = x - box.width / 2;
    if (tell) now.onSelect?.(row, column);
  }

  /** @param {KeyboardEvent} event */
  function move(event) {
    if (event.altKey || event.metaKey) return;
    const far = event.ctrlKey;
    /** @type {Record<string, [number, number]>} */
    const to = {
      ArrowUp: [far ? 0 : row - 1, column],
      ArrowDown: [far ? Infinity : row + 1, column],
      ArrowLeft: [row, far ? 0 : column - 1],
      ArrowRight: [row, far ? Infinity : column + 1],
      Home: [far ? 0 : row, 0],
      End: [far ? Infinity : row, Infinity],
      PageUp: [row - 10, column],
      PageDown: [row + 10, column],
    };
    if (!(event.key in to)) return;
    event.preventDefault();
    event.stopPropagation();
    go(...to[event.key]);
  }

  /** @param {PointerEvent} event */
  function touch(event) {
    if (event.type === "pointermove" && event.pointerType === "touch") return; // the finger is scrolling
    const box = canvas.getBoundingClientRect();
    const i = Math.floor((event.clientY - box.top - gutter) / cellHeight);
    const j = Math.floor((event.clientX - box.left - gutter) / cellWidth);
    if (i < 0 || j < 0 || (event.type === "pointermove" && i === row && j === column)) return;
    go(i, j, event.type === "pointerdown" || (event.buttons & 1) === 1);
  }

  function extremes() {
    /** @type {[number, number, number] | null} */
    let least = null;
    /** @type {[number, number, number] | null} */
    let most = null;
    for (let i = 0; i < now.rows.length; i++) {
      for (let j = 0; j < now.columns.length; j++) {
        const v = now.at(i, j);
        if (v === null || !Number.isFinite(v)) continue;
        if (!least || v < least[0]) least = [v, i, j];
        if (!most || v > most[0]) most = [v, i, j];
      }
    }
    return [least, most].map((cell) =>
      cell ? value(cell[0], now.name, now.index(cell[1], cell[2]), now.format) : h("span", null, "–"),
    );
  }

  function explain() {
    const bar = h("canvas", { class: "scale", width: 120, height: 10, "aria-hidden": "true" });
    const context = bar.getContext("2d");
    if (context) {
      const at = (/** @type {number} */ _, /** @type {number} */ j) => (now.signed ? j / 30 - 1 : j / 60);
      paint(context, { rows: 1, columns: 61, at, max: 1, signed: !!now.signed, width: 2, height: 10 });
    }
    const [least, most] = extremes();
    const end = written(limit(), now.format);
    legend.replaceChildren(
      h("span", { class: "scale-ends" }, now.signed ? `−${end}` : written(0, { digits: 0 }), bar, end),
      h("span", { class: "range" }, phrase("figure.range", { least, most })),
    );
  }

  function pages() {
    const per = Math.max(1, Math.floor(CELLS_PER_PAGE / Math.max(1, now.columns.length)));
    let first = 0;
    const holder = h("div", null);
    const show = () => {
      const last = Math.min(first + per, now.rows.length);
      const cells = now.rows.slice(first, last).map((text, k) => [
        text,
        ...now.columns.map((_, j) => {
          const v = now.at(first + k, j);
          return v === null ? null : { v, name: now.name, index: now.index(first + k, j), ...now.format };
        }),
      ]);
      const shown = table({ caption: now.label, columns: [h("span", { class: "unseen" }, say("figure.row")), ...now.columns], rows: /** @type {Cell[][]} */ (cells) });
      const leaf = (/** @type {number} */ to, /** @type {string} */ key) =>
        h("button", { type: "button", disabled: to < 0 || to >= now.rows.length, onclick: () => { first = to; show(); } }, say(key));
      const leaves = per < now.rows.length
        ? h("p", { class: "leaves" }, leaf(first - per, "figure.earlier"), ` ${first + 1}–${last} / ${now.rows.length} `, leaf(first + per, "figure.later"))
        : null;
      holder.replaceChildren(...[leaves, shown].filter((node) => node !== null));
    };
    show();
    return holder;
  }

  function refresh() {
    grid.setAttribute("aria-label", say("figure.grid", { label: now.label }));
    grid.setAttribute("aria-rowcount", String(now.rows.length));
    grid.setAttribute("aria-colcount", String(now.columns.length));
    caption.replaceChildren(...(now.caption ? [h("figcaption", null, now.caption)] : []));
    explain();
    draw();
    const before = touched;
    go(row, column, false);
    touched = before;
    if (!touched) label.replaceChildren(say("figure.hint"));
    const open = frame.querySelector("details.show-table");
    const box = frame.querySelector(".as-table");
    box?.replaceChildren(...(open instanceof HTMLDetailsElement && open.open ? [pages()] : []));
  }

  if (typeof ResizeObserver !== "undefined") new ResizeObserver(draw).observe(scroller);
  onTheme(() => { explain(); draw(); });
  refresh();
  return Object.assign(frame, {
    /** @param {Partial<HeatMap>} changes */
    update(changes) {
      now = { ...now, ...changes };
      if (changes.label !== undefined) frame.setAttribute("aria-label", changes.label);
      refresh();
    },
  });
}

/**
 * What fits beside a cell: one character of the label.
 *
 * @param {string} text
 * @returns {string}
 */
function brief(text) {
  return [...text].length <= 3 ? text : "";
}

// --- line charts -------------------------------------------------------------------------------------------

/** @typedef {{ label: string, points: [number, number][], dash?: string, name?: (i: number) => { name: string, index: string } }} Series */
/** @typedef {{ label: string, y: number, name?: string, index?: string }} Level */
/** @typedef {{ label: string, log?: boolean, min?: number, max?: number, format?: Format }} Axis */

/**
 * Steps that people count in: `ticks(0, 4.4, 5)` is [0, 1, 2, 3, 4].
 *
 * @param {number} low
 * @param {number} high
 * @param {number} about
 * @returns {number[]}
 */
function ticks(low, high, about) {
  const rough = (high - low) / about || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough) ?? rough;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(Number(at.toFixed(10)));
  return found;
}

/**
 * Lines drawn as SVG, each with its label at its end and its own dashes; levels are horizontal lines.
 *
 *     const chart = lineChart({ name: "curve", label: "Loss", series: [{ label: "modern", points: [[0, 4.3], [100, 2.1]] }],
 *       levels: [{ label: "letter pairs", y: 2.4 }], x: { label: "updates" }, y: { label: "nats" }, onScrub: (x) => … });
 *     chart.mark(100);   // a vertical hair line, and the nearest point of the first series
 *
 * @param {{ name: string, label: string, caption?: string | Node | null, series: Series[], levels?: Level[], x: Axis, y: Axis,
 *           onScrub?: (x: number) => void }} options
 * @returns {HTMLElement & { mark: (x: number) => void }}
 */
export function lineChart({ name, label, caption, series, levels = [], x, y, onScrub }) {
  const W = 480;
  const H = 280;
  const side = { left: 44, right: 12, top: 14, bottom: 40 };
  const all = series.flatMap((line) => line.points);
  const xs = all.map((point) => point[0]);
  const ys = [...all.map((point) => point[1]), ...levels.map((level) => level.y)].filter(Number.isFinite);
  const [x0, x1] = [x.min ?? Math.min(0, ...xs), x.max ?? Math.max(1, ...xs)];
  const [y0, y1] = [y.min ?? 0, (y.max ?? Math.max(1, ...ys)) * 1.06];
  const atX = (/** @type {number} */ v) => side.left + ((v - x0) / (x1 - x0)) * (W - side.left - side.right);
  const atY = (/** @type {number} */ v) => H - side.bottom - ((v - y0) / (y1 - y0)) * (H - side.top - side.bottom);

  const picture = svg("svg", { viewBox: `0 0 ${W} ${H}`, class: "chart", role: "img", "aria-label": label });
  for (const tick of ticks(y0, y1, 4)) {
    picture.append(
      svg("line", { class: "rule", x1: side.left, x2: W - side.right, y1: atY(tick), y2: atY(tick) }),
      svg("text", { class: "tick", x: side.left - 8, y: atY(tick) + 4, "text-anchor": "end" }, written(tick, { digits: Number.isInteger(tick) ? 0 : 1 })),
    );
  }
  for (const tick of ticks(x0, x1, 5)) {
    picture.append(svg("text", { class: "tick", x: atX(tick), y: H - side.bottom + 18, "text-anchor": "middle" }, written(tick, { digits: 0 })));
  }
  picture.append(
    svg("text", { class: "axis", x: W - side.right, y: H - 4, "text-anchor": "end" }, x.label),
    svg("text", { class: "axis", x: 0, y: 10 }, y.label),
  );
  let above = -Infinity; // where the label above stands
  for (const level of [...levels].sort((a, b) => b.y - a.y)) {
    const close = atY(level.y) - 5 - above < 15; // then it goes below its line
    above = atY(level.y) + (close ? 14 : -5);
    picture.append(
      svg("line", { class: "level", x1: side.left, x2: W - side.right, y1: atY(level.y), y2: atY(level.y) }),
      svg("text", { class: "level-label", x: W - side.right, y: above, "text-anchor": "end" }, level.label),
    );
  }
  series.forEach((line, k) => {
    const path = line.points.map(([px, py], i) => `${i ? "L" : "M"}${atX(px).toFixed(2)} ${atY(py).toFixed(2)}`).join("");
    picture.append(svg("path", { class: `series series-${k + 1}`, d: path, "stroke-dasharray": line.dash }));
    if (series.length > 1 && line.points.length) {
      const [px, py] = line.points[line.points.length - 1];
      picture.append(svg("text", { class: `series-label series-${k + 1}`, x: atX(px) - 4, y: atY(py) + 16, "text-anchor": "end" }, line.label));
    }
  });
  const hair = svg("line", { class: "hair", y1: side.top, y2: H - side.bottom, visibility: "hidden" });
  const dot = svg("circle", { class: "dot", r: 5, visibility: "hidden" });
  picture.append(hair, dot);

  if (onScrub) {
    const scrub = (/** @type {PointerEvent} */ event) => {
      if (event.type === "pointermove" && !(event.buttons & 1)) return;
      const box = picture.getBoundingClientRect();
      const v = x0 + (((event.clientX - box.left) / box.width) * W - side.left) / (W - side.left - side.right) * (x1 - x0);
      onScrub(Math.min(Math.max(v, x0), x1));
    };
    picture.addEventListener("pointerdown", scrub);
    picture.addEventListener("pointermove", scrub);
    picture.classList.add("scrubbed");
  }

  /** @returns {HTMLElement} */
  const asTable = () => {
    const rows = series.flatMap((line) =>
      line.points.map(([px, py], i) => {
        const named = line.name?.(i) ?? { name: `${name}[${i}]`, index: "1" };
        return /** @type {Cell[]} */ ([`${series.length > 1 ? `${line.label}, ` : ""}${written(px, { digits: 0 })}`, { v: py, ...named, ...y.format }]);
      }),
    );
    const fixed = levels.map((level) => /** @type {Cell[]} */ ([level.label, level.name ? { v: level.y, name: level.name, index: level.index ?? "", ...y.format } : written(level.y, y.format)]));
    return table({ caption: label, columns: [x.label, y.label], rows: [...fixed, ...rows] });
  };
  const frame = figure({ label, caption, picture: h("div", { class: "chart-box" }, picture), table: asTable, kind: "line-chart" });
  return Object.assign(frame, {
    /** @param {number} v */
    mark(v) {
      for (const [key, at] of [["x1", atX(v)], ["x2", atX(v)]]) hair.setAttribute(String(key), String(at));
      hair.setAttribute("visibility", "visible");
      const points = series[0]?.points ?? [];
      if (!points.length) return;
      const near = points.reduce((best, point) => (Math.abs(point[0] - v) < Math.abs(best[0] - v) ? point : best));
      dot.setAttribute("cx", String(atX(near[0])));
      dot.setAttribute("cy", String(atY(near[1])));
      dot.setAttribute("visibility", "visible");
    },
  });
}
