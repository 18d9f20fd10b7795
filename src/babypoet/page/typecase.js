/**
 * A printer's type case: one compartment for each character, capitals in the upper case, small letters in the
 * lower case. It is the keyboard of the guessing game and the picture of every distribution: each compartment
 * is filled from the bottom by its character's probability, and a full one would be certain.
 *
 *     const typeCase = new TypeCase(page.data.characters, { label: "The next letter", onPick: (id) => guess(id) });
 *     root.append(typeCase.element);
 *     typeCase.setProbabilities(probabilities, { name: "probabilities", index: (id) => `8,${id}` });
 *     typeCase.mark(id, "right");          // or "wrong", "drawn", "actual"; null takes the mark away
 *     typeCase.clear();                    // no fillings, no marks
 *
 * It is one stop for the Tab key; arrow keys walk through the compartments. It knows no model and computes nothing.
 */

import { h } from "./dom.js";
import { value } from "./figures.js";
import { glyph, nameOf, phrase, say } from "./strings.js";

const MANY = 200; // with more characters the case scrolls in a box and has a field to find one
const FRONT = 28; // of a large case's characters, the likeliest come to the front
const WIDTHS = { narrow: 7, middle: 10, wide: 16 }; // at most so many compartments in a row; rows are made alike
const SHOWN = 0.005; // a percentage is written into a compartment from here on; below, it shows when chosen

/** @typedef {"right" | "wrong" | "actual" | "drawn"} Mark */

/**
 * Which part of the case a character lies in: a script without cases has one part for all its letters.
 *
 * @param {string} character
 * @returns {"upper" | "lower" | "letters" | "points"}
 */
function tray(character) {
  if (!/^\p{L}$/u.test(character)) return "points";
  if (character.toLowerCase() !== character) return "upper";
  return character.toUpperCase() !== character ? "lower" : "letters";
}

/**
 * Among the points of the case the figures come last.
 *
 * @param {string} character
 * @returns {number}
 */
function figureLast(character) {
  return Number(/^\p{Nd}$/u.test(character));
}

export class TypeCase {
  /**
   * @param {string[]} characters the vocabulary; a character's id is its place
   * @param {{ label: string, onPick?: (id: number) => void, ids?: number[] }} options `ids`: only these
   *   characters have a compartment. Without `onPick`, choosing a compartment says its number.
   */
  constructor(characters, { label, onPick, ids }) {
    this.characters = characters;
    this.onPick = onPick;
    this.enabled = true;
    /** @type {Map<number, HTMLButtonElement>} */
    this.sorts = new Map();
    /** @type {ArrayLike<number> | null} */
    this.probabilities = null;
    this.name = "";
    /** @type {(id: number) => string} */
    this.index = String;

    this.told = h("p", { class: "case-label", "aria-live": "polite" });
    /** @type {Map<string, HTMLElement>} */
    const trays = new Map();
    for (const part of ["upper", "lower", "letters", "points"]) {
      trays.set(part, h("div", { class: `tray tray-${part}` }));
    }
    const order = [...(ids ?? characters.keys())].sort((a, b) => figureLast(characters[a]) - figureLast(characters[b]) || a - b);
    for (const id of order) {
      const sort = this.#sort(id);
      this.sorts.set(id, sort);
      trays.get(tray(characters[id]))?.append(sort);
    }
    const filled = [...trays.values()].filter((part) => part.firstChild);
    this.order = filled.flatMap((part) => /** @type {HTMLButtonElement[]} */ ([...part.children]));
    if (this.order[0]) this.order[0].tabIndex = 0;
    this.front = h("div", { class: "tray tray-front", hidden: true });
    /** Where each compartment of a large case belongs: its tray, in the order it had there. */
    this.home = new Map(this.order.map((sort, at) => [sort, { tray: /** @type {HTMLElement} */ (sort.parentElement), at }]));
    this.shelf = [...this.order];
    const longest = Math.max(1, ...filled.map((part) => part.children.length));
    this.box = h(
      "div",
      {
        class: this.sorts.size > MANY ? "type-case many" : "type-case",
        role: "group",
        "aria-label": label,
        onkeydown: (/** @type {KeyboardEvent} */ event) => this.#walk(event),
        onclick: (/** @type {MouseEvent} */ event) => this.#pick(event),
        onpointerover: (/** @type {PointerEvent} */ event) => event.pointerType === "mouse" && this.#tell(event),
        onfocusin: (/** @type {FocusEvent} */ event) => this.#tell(event),
      },
      this.front,
      filled,
    );
    for (const [width, most] of Object.entries(WIDTHS)) {
      this.box.style.setProperty(`--${width}`, String(Math.ceil(longest / Math.ceil(longest / most))));
    }
    /** The whole case, ready to be put into a page. */
    this.element = h("div", { class: "case" }, this.sorts.size > MANY ? this.#finder() : null, this.box, this.told);
  }

  /**
   * Fill every compartment, or empty all with null.
   *
   * @param {ArrayLike<number> | null} p a probability for each id
   * @param {{ name: string, index?: string | ((id: number) => string) }} [named] the value's name; `index` may be what
   *   stands before the id: "8" for (T, V) at position 8, "" for a plain list
   */
  setProbabilities(p, named = { name: "", index: "" }) {
    const { index = "" } = named;
    this.probabilities = p;
    this.name = named.name;
    this.index = typeof index === "function" ? index : (id) => (index === "" ? `${id}` : `${index},${id}`);
    let most = -1;
    for (const id of this.sorts.keys()) if (p && (most < 0 || p[id] > p[most])) most = id;
    for (const [id, sort] of this.sorts) {
      const [fill, , , share] = /** @type {HTMLElement[]} */ ([...sort.children]);
      fill.style.height = p ? `${Math.min(p[id], 1) * 100}%` : "0";
      sort.classList.toggle("likeliest", id === most);
      if (p && p[id] >= SHOWN) share.replaceChildren(value(p[id], this.name, this.index(id), { percent: true, digits: 0 }));
      else if (share.firstChild) share.replaceChildren();
      sort.classList.toggle("out", !!p && p[id] === 0);
    }
    if (this.sorts.size > MANY) this.#bringForward(p);
    this.box.classList.toggle("filled", p !== null);
    this.told.replaceChildren();
  }

  /**
   * Mark one compartment: a sign is drawn in it and its name says it, so colour is never alone.
   *
   * @param {number} id
   * @param {Mark | null} kind
   */
  mark(id, kind) {
    const sort = this.sorts.get(id);
    if (!sort) return;
    if (kind === null) delete sort.dataset.mark;
    else sort.dataset.mark = kind;
    const [, , name] = sort.children;
    name.textContent = this.#spoken(id);
  }

  /** No fillings and no marks. */
  clear() {
    this.setProbabilities(null);
    for (const [id, sort] of this.sorts) if (sort.dataset.mark) this.mark(id, null);
  }

  /**
   * Whether compartments can be chosen. They stay reachable: a reader's focus is never taken away.
   *
   * @param {boolean} enabled
   */
  setEnabled(enabled) {
    this.enabled = enabled;
    this.box.classList.toggle("disabled", !enabled);
    for (const sort of this.sorts.values()) {
      if (enabled) sort.removeAttribute("aria-disabled");
      else sort.setAttribute("aria-disabled", "true");
    }
  }

  /**
   * In a large case: put back what stands in front, then bring the likeliest there.
   *
   * @param {ArrayLike<number> | null} p
   */
  #bringForward(p) {
    const focused = document.activeElement;
    const place = (/** @type {Element} */ sort) => /** @type {{ tray: HTMLElement, at: number }} */ (this.home.get(/** @type {HTMLButtonElement} */ (sort)));
    const back = [...this.front.children].sort((a, b) => place(b).at - place(a).at); // the last first: its neighbour is at home
    for (const sort of back) {
      const { tray: home, at } = place(sort);
      const neighbour = this.shelf[at + 1];
      home.insertBefore(sort, neighbour?.parentElement === home ? neighbour : null);
    }
    const likeliest = p ? [...this.sorts.keys()].filter((id) => p[id] > 0).sort((a, b) => p[b] - p[a] || a - b).slice(0, FRONT) : [];
    this.front.append(...likeliest.map((id) => /** @type {HTMLButtonElement} */ (this.sorts.get(id))));
    this.front.hidden = likeliest.length === 0;
    const front = new Set(this.front.children);
    this.order = [.../** @type {HTMLButtonElement[]} */ ([...front]), ...this.shelf.filter((sort) => !front.has(sort))];
    if (focused instanceof HTMLElement && this.box.contains(focused)) focused.focus({ preventScroll: true });
    else if (p) this.box.scrollTop = 0;
  }

  /**
   * @param {number} id
   * @returns {HTMLButtonElement}
   */
  #sort(id) {
    const character = this.characters[id];
    const shown = glyph(character);
    return h(
      "button",
      { type: "button", class: "sort", tabindex: -1, "data-id": id },
      h("span", { class: "fill" }),
      h("bdi", { class: shown.length > 2 ? "glyph long" : "glyph", "aria-hidden": "true" }, shown),
      h("span", { class: "unseen" }, nameOf(character)),
      h("span", { class: "share" }),
    );
  }

  /**
   * @param {number} id
   * @returns {string}
   */
  #spoken(id) {
    const mark = this.sorts.get(id)?.dataset.mark;
    const name = nameOf(this.characters[id]);
    return mark ? say(`figure.mark.${mark}`, { letter: name }) : name;
  }

  /**
   * @param {Event} event
   * @returns {HTMLButtonElement | null}
   */
  #target(event) {
    return event.target instanceof Element ? event.target.closest("button.sort") : null;
  }

  /** @param {Event} event */
  #tell(event) {
    const sort = this.#target(event);
    if (!sort) return;
    if (event.type === "focusin") this.#stop(sort);
    if (!this.probabilities) return;
    const id = Number(sort.dataset.id);
    const p = this.probabilities[id];
    const letter = h("bdi", null, nameOf(this.characters[id]));
    this.told.replaceChildren(phrase("figure.compartment", { letter, p: value(p, this.name, this.index(id), { percent: true, digits: p < 0.1 ? 2 : 1 }) }));
  }

  /**
   * The compartment that the Tab key reaches from now on.
   *
   * @param {HTMLButtonElement} sort
   */
  #stop(sort) {
    for (const other of this.order) if (other.tabIndex === 0) other.tabIndex = -1;
    sort.tabIndex = 0;
  }

  /** @param {Event} event */
  #pick(event) {
    const sort = this.#target(event);
    if (!sort) return;
    this.#tell(event);
    this.#stop(sort);
    if (this.enabled) this.onPick?.(Number(sort.dataset.id));
  }

  /** @param {KeyboardEvent} event */
  #walk(event) {
    const sort = this.#target(event);
    if (!sort || event.altKey || event.ctrlKey || event.metaKey) return;
    const seen = this.order.filter((other) => !other.hidden);
    const at = seen.indexOf(sort);
    /** @type {HTMLButtonElement | undefined} */
    let to;
    if (event.key === "ArrowRight") to = seen[at + 1];
    else if (event.key === "ArrowLeft") to = seen[at - 1];
    else if (event.key === "Home") to = seen[0];
    else if (event.key === "End") to = seen[seen.length - 1];
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") to = this.#above(seen, sort, event.key === "ArrowUp");
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (to) {
      this.#stop(to);
      to.focus();
    }
  }

  /**
   * The compartment in the next row (or the row before) that lies nearest below (above) this one.
   *
   * @param {HTMLButtonElement[]} seen
   * @param {HTMLButtonElement} sort
   * @param {boolean} up
   * @returns {HTMLButtonElement | undefined}
   */
  #above(seen, sort, up) {
    const here = sort.getBoundingClientRect();
    let best;
    let least = Infinity;
    for (const other of seen) {
      const there = other.getBoundingClientRect();
      const down = (there.top - here.top) * (up ? -1 : 1);
      if (down < here.height / 2) continue;
      const distance = down * 100 + Math.abs(there.left - here.left);
      if (distance < least) [least, best] = [distance, other];
    }
    return best;
  }

  /**
   * The field of a large case: type one character or several, and only those stay.
   *
   * @returns {HTMLElement}
   */
  #finder() {
    const input = h("input", {
      type: "search",
      autocomplete: "off",
      spellcheck: "false",
      dir: "auto",
      oninput: () => this.#find(input.value),
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== "Enter" || event.isComposing) return;
        const first = this.order.find((sort) => !sort.hidden);
        if (input.value && first) first.click();
        input.value = "";
        this.#find("");
      },
    });
    return h("label", { class: "finder" }, say("figure.find", { n: this.sorts.size }), " ", input);
  }

  /** @param {string} text */
  #find(text) {
    const wanted = new Set([...text.trim()]);
    for (const sort of this.order) {
      sort.hidden = wanted.size > 0 && !wanted.has(this.characters[Number(sort.dataset.id)]);
    }
    const first = this.order.find((sort) => !sort.hidden);
    if (first) this.#stop(first);
  }
}
