/**
 * The guided path: short cards in a slim bar at the bottom, each about one element of the page, which it scrolls to and
 * outlines. Space and the arrow keys go on and back while no control has the focus. Nothing moves by itself; the bar can
 * be closed and opened again.
 */

import { h } from "./dom.js";
import { say } from "./strings.js";

/** @import { Page } from "./app.js" */

// The card's key in the strings, and what it speaks of. A card whose element is not there is left out.
const CARDS = [
  ["top", "#top"],
  ["guess", "#guess"],
  ["training", "#training"],
  ["dice", "#dice"],
  ["looking", "#looking"],
  ["copying", "#copying"],
  ["story", "#story"],
  ["room", "#room"],
  ...["ids", "embedding", "norm", "attention", "mlp", "stream", "guess", "logits", "backprop", "weights", "cut"].map((part) => [
    `room-${part}`, `[data-card="room-${part}"]`,
  ]),
];

const CONTROLS = "a, button, input, select, textarea, summary, details, audio, video, [tabindex], [contenteditable]";

/** @param {Page} _page */
export function path(_page) {
  let at = -1; // closed
  /** @type {Element | null} */
  let outlined = null;

  const words = h("p", { "aria-live": "polite" });
  const count = h("span", { class: "count" });
  const back = h("button", { type: "button", onclick: () => go(at - 1) }, say("path.back"));
  const next = h("button", { type: "button", class: "main", onclick: () => go(at + 1) }, say("path.next"));
  const close = h("button", { type: "button", onclick: shut }, say("path.close"));
  const bar = h("aside", { class: "path", "aria-label": say("path.label"), hidden: true },
    h("div", { class: "path-card" }, words, h("div", { class: "row" }, count, back, next, close)));
  const open = h("button", { type: "button", class: "path-open", onclick: () => { go(0); next.focus({ preventScroll: true }); } }, say("path.open"));
  (document.querySelector("#top") ?? document.body).append(open);
  document.body.append(bar);

  /** The cards whose elements are in the page now. */
  function cards() {
    return CARDS.flatMap(([key, selector]) => {
      const element = document.querySelector(selector);
      return element ? [{ key, element }] : [];
    });
  }

  /** @param {number} to */
  function go(to) {
    const all = cards();
    if (to >= all.length) return shut();
    at = Math.max(0, to);
    const { key, element } = all[at];
    bar.hidden = false;
    words.textContent = say(`path.${key}`);
    count.textContent = say("path.count", { k: at + 1, of: all.length });
    back.disabled = at === 0;
    next.textContent = say(at === all.length - 1 ? "path.end" : "path.next");
    outlined?.classList.remove("spoken-of");
    outlined = element;
    element.classList.add("spoken-of");
    if (element instanceof HTMLDetailsElement && !element.open) {
      element.addEventListener("toggle", bring, { once: true }); // it is built then, and moves what is below
      element.open = true;
    }
    bring();
  }

  /** Scroll to what the card speaks of. */
  function bring() {
    if (at < 0) return;
    const still = globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches;
    outlined?.scrollIntoView({ block: "start", behavior: still ? "auto" : "smooth" });
  }

  function shut() {
    at = -1;
    bar.hidden = true;
    outlined?.classList.remove("spoken-of");
    open.focus({ preventScroll: true });
  }

  document.addEventListener("keydown", (event) => {
    if (at < 0 || event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") return shut();
    const focused = document.activeElement;
    if (focused && focused !== document.body && focused.matches(CONTROLS) && !bar.contains(focused)) return;
    const onward = event.key === "ArrowRight" || (event.key === " " && !bar.contains(focused));
    if (onward) go(at + 1);
    else if (event.key === "ArrowLeft") go(at - 1);
    else return;
    event.preventDefault();
  });
}
