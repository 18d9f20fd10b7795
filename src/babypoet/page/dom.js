/**
 * Elements without markup: every text becomes a text node, so no character of a poem can be code.
 *
 *     h("p", { class: "lead" }, "Guess the ", h("em", null, "next"), " letter.")
 *     h("button", { type: "button", onclick: () => throwOne() }, "Throw")
 *
 * No state, no templates, no inline style attributes: `element.style.width = "3px"` where one is needed.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Attributes */

/**
 * @param {Element} element
 * @param {Attributes | null | undefined} attributes
 * @param {(Child | Child[])[]} children
 */
function furnish(element, attributes, children) {
  for (const [key, given] of Object.entries(attributes ?? {})) {
    if (typeof given === "function") element.addEventListener(key.replace(/^on/, ""), given);
    else if (given !== null && given !== undefined && given !== false) {
      element.setAttribute(key, given === true ? "" : String(given));
    }
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/**
 * An HTML element. Keys that begin with `on` are listeners; true, false and null set, leave out and leave
 * out an attribute; children may be nodes, texts, numbers, lists of them, or nothing.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes | null} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  furnish(element, attributes, children);
  return element;
}

/**
 * The same for SVG: `svg("line", { x1: 0, y1: 0, x2: 9, y2: 9, class: "axis" })`.
 *
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes | null} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  furnish(element, attributes, children);
  return element;
}

/**
 * Call `work` once, when the element is about to be seen: what is heavy waits until somebody scrolls there.
 *
 *     whenSeen(section, () => drawEveryHead());
 *
 * @param {Element} element
 * @param {() => void} work
 */
export function whenSeen(element, work) {
  if (typeof IntersectionObserver === "undefined") return work();
  const observer = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      work();
    },
    { rootMargin: "300px" },
  );
  observer.observe(element);
}

/**
 * Let the browser draw and answer: `await breath()` between two pieces of long work.
 *
 * A timer, not an animation frame: those stop in a page that is not in view.
 *
 * @returns {Promise<void>}
 */
export function breath() {
  return new Promise((go) => setTimeout(go, 0));
}
