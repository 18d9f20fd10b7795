/**
 * Scene 5, did it copy? What the model writes now, with every passage marked that it shares with the
 * text it learned from.
 *
 *     copying(page, document.querySelector("#copying .live"))
 *
 * The file does not hold that text, only a filter of hashes (`copies.js`). Where the text itself was
 * put into the file, the line is shown that a passage stands in.
 */

import { breath, h } from "./dom.js";
import { value } from "./figures.js";
import { glyph, phrase, say } from "./strings.js";
import { write } from "./sampling.js";

/** @import { Page } from "./app.js" */

const LENGTH = 400; // letters written at a time
const PORTION = 40; // letters between two breaths of the page
const TEMPERATURE = 0.8; // what `babypoet generate` draws with

/** @typedef {{start: number, length: number}} Span */

/**
 * The training text, where the file carries it.
 *
 * @returns {string | null}
 */
function trainingText() {
  const block = document.getElementById("training-text")?.textContent;
  return block ? JSON.parse(block) : null;
}

/**
 * Where a passage stands in the training text: its line, counted from 1, and what is written there.
 *
 * @param {string} text
 * @param {string} passage
 */
function placeOf(text, passage) {
  const at = text.indexOf(passage);
  if (at < 0) return null;
  const start = text.lastIndexOf("\n", at - 1) + 1;
  const end = text.indexOf("\n", at + passage.length);
  return {
    line: text.slice(0, at).split("\n").length,
    words: text.slice(start, end < 0 ? undefined : end),
  };
}

/**
 * A passage as it can stand in a sentence: line ends as a sign.
 *
 * @param {string} passage
 */
function inOneLine(passage) {
  return passage.replace(/\n/g, ` ${glyph("\n")} `);
}

/**
 * A text with its shared passages marked, each with its length.
 *
 * @param {string[]} characters
 * @param {Span[]} spans
 * @returns {Node}
 */
function marked(characters, spans) {
  const text = h("p", { class: "verse copies-text" });
  let done = 0;
  spans.forEach(({ start, length }, i) => {
    const from = Math.max(start, done); // two passages may overlap
    text.append(characters.slice(done, from).join(""));
    if (start + length > from) {
      text.append(
        h(
          "mark",
          { class: "shared" },
          characters.slice(from, start + length).join(""),
          h("sup", null, value(length, "copies.length", String(i), { digits: 0 })),
        ),
      );
    }
    done = Math.max(done, start + length);
  });
  text.append(characters.slice(done).join(""));
  return text;
}

/**
 * What was found in a text, in words: how many passages, the longest, and where it stands.
 *
 * @param {Page} page
 * @param {string[]} characters
 * @param {Span[]} spans
 * @returns {Node[]}
 */
function result(page, characters, spans) {
  const { span } = page.data.copies;
  if (characters.length < span) return [h("p", null, say("copying.short", { span }))];
  if (!spans.length) {
    return [h("p", null, phrase("copying.none", { span: value(span, "copies.span", "", { digits: 0 }) }))];
  }
  const longest = spans.reduce((a, b) => (b.length > a.length ? b : a));
  const passage = characters.slice(longest.start, longest.start + longest.length).join("");
  const letters = new Set(spans.flatMap(({ start, length }) => Array.from({ length }, (_, i) => start + i)));
  const found = [
    h(
      "p",
      null,
      phrase("copying.found", {
        n: value(spans.length, "copies.count", "", { digits: 0 }),
        letters: value(letters.size, "copies.letters", "", { digits: 0 }),
        of: value(characters.length, "copies.written", "", { digits: 0 }),
        longest: value(longest.length, "copies.longest", "", { digits: 0 }),
        passage: h("q", { class: "passage" }, inOneLine(passage)),
      }),
    ),
  ];
  const text = trainingText();
  const place = text === null ? null : placeOf(text, passage);
  if (text !== null) {
    found.push(
      h(
        "p",
        { class: "note" },
        place
          ? phrase("copying.place", {
              line: value(place.line, "copies.line", "", { digits: 0 }),
              words: h("q", { class: "passage" }, inOneLine(place.words)),
            })
          : say("copying.false"),
      ),
    );
  }
  return found;
}

/**
 * What is to be known about the check: how it works, how often it errs, what it does not cover.
 *
 * @param {Page} page
 * @returns {Node[]}
 */
function explanation(page) {
  const { copies, verdict } = page.data;
  const sentences = [
    h(
      "p",
      null,
      phrase("copying.how", {
        span: value(copies.span, "copies.span", "", { digits: 0 }),
        every: value(copies.every, "copies.every", "", { digits: 0 }),
      }),
    ),
  ];
  if (copies.covered < copies.of) {
    sentences.push(
      h(
        "p",
        { class: "warning" },
        phrase("copying.part", {
          covered: value(copies.covered, "copies.covered", "", { digits: 0 }),
          of: value(copies.of, "copies.of", "", { digits: 0 }),
        }),
      ),
    );
  }
  const exact = verdict?.copied;
  if (exact?.length) {
    sentences.push(
      h(
        "p",
        null,
        phrase("copying.verdict", {
          length: value(exact.length, "verdict.copied.length", "", { digits: 0 }),
          searched: value(exact.searched, "verdict.copied.searched", "", { digits: 0 }),
        }),
      ),
    );
  }
  return sentences;
}

/**
 * Put scene 5 into its section.
 *
 * @param {Page} page
 * @param {HTMLElement} root
 */
export function copying(page, root) {
  const { copies } = page;
  if (!page.data.copies?.bits || !copies) {
    root.append(h("p", { class: "note" }, say("copying.off")));
    return;
  }
  const spansOf = (/** @type {string[]} */ characters) => copies.spans(characters);
  let busy = false;
  const seed = h("input", {
    type: "number",
    min: 0,
    max: 4294967295,
    step: 1,
    value: page.data.seed,
  });
  const writing = h("div", { class: "copies-written" });
  const verdict = h("div", { class: "copies-verdict", role: "status" });
  const start = h(
    "button",
    { type: "button", class: "main", onclick: compose },
    say("copying.write", { length: LENGTH }),
  );
  const another = h(
    "button",
    {
      type: "button",
      onclick: () => {
        if (busy) return;
        seed.value = String(chosenSeed() + 1);
        compose();
      },
    },
    say("copying.another"),
  );

  function chosenSeed() {
    return Math.min(Math.max(0, Math.floor(Number(seed.value)) || 0), 4294967294);
  }

  async function compose() {
    if (busy) return;
    busy = true;
    seed.value = String(chosenSeed());
    const { ids: prompt } = page.tokenizer.encode("\n");
    const given = prompt.length ? prompt : [0];
    const settings = { length: LENGTH, seed: chosenSeed(), sample: 0, temperature: TEMPERATURE };
    /** @type {string[]} */
    const characters = [];
    const line = h("p", { class: "verse copies-text" });
    writing.replaceChildren(line);
    verdict.replaceChildren(h("p", { class: "note" }, say("copying.writing")));
    await breath();
    for (const id of write(page.engine("end"), given, settings)) {
      characters.push(page.data.characters[id]);
      if (characters.length % PORTION) continue;
      line.replaceChildren(characters.join(""));
      await breath();
    }
    const spans = spansOf(characters);
    writing.replaceChildren(marked(characters, spans));
    verdict.replaceChildren(...result(page, characters, spans));
    busy = false;
  }

  const own = h("textarea", { rows: 4, spellcheck: "false", oninput: check });
  const ownResult = h("div", { class: "copies-verdict", role: "status" });
  const ownMarked = h("div", null);

  function check() {
    const characters = [...own.value];
    if (!characters.length) {
      ownMarked.replaceChildren();
      ownResult.replaceChildren();
      return;
    }
    const spans = spansOf(characters);
    ownMarked.replaceChildren(spans.length ? marked(characters, spans) : "");
    ownResult.replaceChildren(...result(page, characters, spans));
  }

  root.append(
    h(
      "div",
      { class: "row ends" },
      start,
      another,
      h("label", { class: "field" }, h("span", { class: "name" }, say("room.seed")), seed),
    ),
    h("p", { class: "note" }, say("copying.settings", { temperature: TEMPERATURE })),
    verdict,
    writing,
    ...explanation(page),
    h(
      "details",
      { class: "own-text" },
      h("summary", null, say("copying.own")),
      h("label", { class: "field" }, h("span", { class: "name" }, say("copying.own.label")), own),
      ownResult,
      ownMarked,
    ),
  );
}
