// What the tests ask of a shared page, run inside it: every number that it shows with what it says of
// itself, and walks through its scenes and cards so that all kinds of figures are seen.
//
//     ask(page, "room", [models, weights])      in test_numbers.py
//
// Nothing of the page's own modules is used here: it is clicked, and what it shows is read.

const loose = new Set(), scopes = new Map();
// Texts that hold numbers and are not results: what a model or a poet wrote, names and equations,
// the reader's own controls, axes (their ticks stand at round numbers by definition), and the ends
// of a colour bar, which the test of the pictures reads.
const APART = `data, code, option, output, textarea, script, .verse, .stick, .written, .writing, q,
    svg .tick, .scale-ends, .unseen`;
function scopeOf(element) {
    const near = (key) => element.closest(`[data-${key}]`)?.getAttribute(`data-${key}`) ?? null;
    const traced = element.closest("[data-ids]");
    const scope = {
        section: element.closest("section, header")?.id ?? "", still: element.closest(".still") !== null,
        model: near("model"), ids: traced?.dataset.ids ?? null, cut: traced?.dataset.cut ?? null,
        before: near("before-ids"), target: near("target"), rate: near("rate"), settings: ["temperature", "top-k", "top-p"].map(near),
    };
    const key = JSON.stringify(scope);
    if (!scopes.has(key)) scopes.set(key, { ...scope, numbers: new Map() });
    return scopes.get(key);
}
function gather(root = document) {
    const ofTables = new Map(); // cells of a table are of one scope, unless they say otherwise
    for (const element of root.querySelectorAll("[data-name]")) {
        const parent = element.parentElement, table = parent.localName === "td" && !parent.dataset.ids ? element.closest("table") : null;
        const scope = ofTables.get(table) ?? scopeOf(element);
        if (table) ofTables.set(table, scope);
        const { name, index } = element.dataset, { value } = element, text = element.textContent;
        if (element.localName !== "data") loose.add(`no <data>: ${name}`);
        const key = `${name} ${index}`, known = scope.numbers.get(key);
        if (!known) scope.numbers.set(key, [name, index, value, text]);
        else if (known[2] !== value) loose.add(`${name}[${index}] in #${scope.section} is both ${known[2]} and ${value}`);
        else if (!known.includes(text, 3)) known.push(text);
    }
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let text = texts.nextNode(); text; text = texts.nextNode()) {
        const { parentElement: within } = text;
        if (!within || within.closest(APART) || within.closest("[hidden]") || !within.closest(".live, .path")) continue;
        if (/\d\.\d|\d,\d{3}|\d\s?%/.test(text.data)) loose.add(`in ${within.localName}.${within.className}: ${text.data}`);
    }
}
const taken = () => {
    const all = [...scopes.values()].map((scope) => ({ ...scope, numbers: [...scope.numbers.values()] }));
    scopes.clear();
    const result = { scopes: all, loose: [...loose] };
    loose.clear();
    return result;
};
const turn = () => new Promise((go) => requestAnimationFrame(() => setTimeout(go, 0)));
async function openAll(root) {
    for (const details of root.querySelectorAll("details:not([open])")) details.open = true;
    await turn();
    await turn();
}
const choose = (control, value) => {
    control.value = value;
    control.dispatchEvent(new Event(control.type === "range" ? "input" : "change", { bubbles: true }));
};
const values = (select) => [...select.options].map((option) => option.value);

const walks = {};

// What a part of the page shows as it stands.
walks.here = (id) => {
    gather(id ? document.getElementById(id) : document);
    return taken();
};

// All kept steps, with the table of the head at each.
walks.training = async () => {
    const root = document.querySelector("#training .live");
    const slider = root.querySelector("input[type=range]");
    for (let at = 0; at <= Number(slider.max); at++) {
        choose(slider, at);
        await openAll(root);
        gather(root);
    }
    return taken();
};

// The whole distribution under several settings.
walks.dice = async () => {
    const root = document.querySelector("#dice .live");
    const [temperature, topK, topP] = root.querySelectorAll("input[type=range]");
    const [one, back, many] = root.querySelectorAll("button");
    await openAll(root);
    for (const [t, k, p] of [[8, topK.max, 20], [0, topK.max, 20], [10, 4, 20], [14, topK.max, 13], [20, 9, 9], [3, topK.max, 20]]) {
        choose(temperature, t);
        choose(topK, k);
        choose(topP, p);
        gather(root);
    }
    return taken();
};

// All stages for some letters, and all heads.
walks.looking = async () => {
    const root = document.querySelector("#looking .live");
    const heads = root.querySelector("select"), stages = root.querySelectorAll(".stage-list button");
    for (const stage of stages) {
        stage.click();
        await openAll(root);
        for (const tile of [...root.querySelectorAll(".tile input")].filter((_, t, all) => [0, 3, 9, all.length - 1].includes(t))) {
            tile.click();
            await openAll(root);
            gather(root);
        }
        if (stage === stages[3]) for (const head of values(heads)) {
            choose(heads, head);
            await openAll(root);
            gather(root);
        }
    }
    return taken();
};

// The cards of some models (null: all), every value by name, and the tensors of some of them.
walks.room = async ([models, weights]) => {
    const root = document.querySelector("#room .live");
    const model = root.querySelector("form select");
    const listed = (card, what) => [...card.querySelectorAll("select")].find((select) => values(select).some((name) => what.test(name)));
    for (const one of models ?? (model ? values(model) : ["end"])) {
        if (model) choose(model, one);
        for (const card of root.querySelectorAll(".card:not([hidden])")) {
            const kind = card.dataset.card.slice(5);
            // of the other rungs' cards only those that another program draws
            if (one !== "end" && !["names", "row", "positions", "ids"].includes(kind)) continue;
            card.open = true;
            await turn();
            if (!card.querySelector(".card-body").firstChild) await turn();
            await openAll(card);
            gather(card);
            const among = [...card.querySelectorAll("select")].filter((select) => select !== listed(card, /[a-z]/));
            if (kind === "cut") continue;
            if (kind === "backprop") { // the tables within its lines, and a step
                await openAll(card);
                card.querySelector("button.main").click();
                gather(card);
            }
            if (kind === "names" || (kind === "weights" && weights.includes(one))) {
                for (const chooser of among) choose(chooser, values(chooser).pop());
                for (const name of values(listed(card, /[a-z]/))) {
                    choose(listed(card, /[a-z]/), name);
                    if (card.querySelector("details:not([open])")) await openAll(card);
                    gather(card);
                    for (const button of card.querySelectorAll(".explained > .row button")) {
                        if (button.getAttribute("aria-disabled") === "true") continue;
                        button.click();
                        gather(card);
                    }
                }
            }
            for (const chooser of kind === "names" ? [] : among) {
                for (const value of values(chooser)) { // another layer, head, position
                    choose(chooser, value);
                    if (card.querySelector("details:not([open])")) await openAll(card);
                    gather(card);
                }
            }
            card.open = false;
            await turn();
            card.querySelector(".card-body").replaceChildren();
        }
    }
    gather();
    return taken();
};

// --- pictures, as they are drawn -------------------------------------------------------------------

const all = (selector) => [...document.querySelectorAll(selector)];
const share = (style, side) => parseFloat(style[side] || 0) / 100;

// How full each compartment of a type case is: [id, from 0 to 1].
walks.fillings = (id) => all(`#${id} .sort`).map((sort) => [Number(sort.dataset.id), share(sort.querySelector(".fill").style, "height")]);
// The dice: where each part begins and how wide it is, and where the pin is.
walks.strip = () => all("#dice .strip .part").map((part) => [share(part.style, "left"), share(part.style, "width")]);
walks.pin = () => share(document.querySelector("#dice .pin").style, "left");
walks.pieces = () => all("#training .pieces > span > span").reduce((sum, piece) => sum + share(piece.style, "width"), 0);
walks.bars = () => all("#room .bars li").map((bar) => [Number(bar.querySelector(".bar").style.getPropertyValue("--share")), Number(bar.querySelector("data").value)]);

// The colours in the middle of the first 8 x 8 cells of a heat map whose cursor is at its first cell,
// and what its legend says of the ends.
walks.pixels = (selector) => {
    const figure = document.querySelector(selector), canvas = figure.querySelector("canvas");
    const [left, top, width, height] = ["left", "top", "width", "height"].map((side) => parseFloat(figure.querySelector(".cursor").style[side]));
    const dense = canvas.width / parseFloat(canvas.style.width), copy = document.createElement("canvas");
    [copy.width, copy.height] = [canvas.width, canvas.height];
    const context = copy.getContext("2d", { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    const at = (i, j) => [...context.getImageData(Math.floor((left + (j + 0.5) * width) * dense), Math.floor((top + (i + 0.5) * height) * dense), 1, 1).data].slice(0, 3);
    const eight = Array.from({ length: 8 }, (_, i) => i);
    const ends = [...figure.querySelector(".scale-ends").childNodes].map((node) => node.textContent).filter(Boolean);
    return [eight.map((i) => eight.map((j) => at(i, j))), ends];
};

// The curve's path, and for each tick of its axes: how it is anchored, its number, x, y.
walks.curve = () => {
    const chart = document.querySelector("#training .live svg.chart");
    const ticks = [...chart.querySelectorAll(".tick")].map((tick) =>
        [tick.getAttribute("text-anchor"), Number(tick.textContent.replace(/,/g, "")), Number(tick.getAttribute("x")), Number(tick.getAttribute("y"))]);
    return [chart.querySelector("path.series").getAttribute("d"), ticks];
};

// What the model wrote in scene 5, without the lengths of the marks.
walks.copied = () => {
    const copy = document.querySelector("#copying .copies-written").cloneNode(true);
    copy.querySelectorAll("sup").forEach((mark) => mark.remove());
    return copy.textContent;
};

// --- how it can be used -----------------------------------------------------------------------------

// What has the focus: the place of its first visit, whether it is outlined, in view, and after the last.
walks.focused = () => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const drawn = (one) => {
        const style = getComputedStyle(one);
        return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
    };
    // a field that is hidden under its picture is outlined there
    const around = [element, element.closest("label"), element.nextElementSibling, element.querySelector(".cursor")];
    window.visited ??= new Map();
    if (!window.visited.has(element)) window.visited.set(element, window.visited.size);
    const box = element.getBoundingClientRect(), last = window.last;
    window.last = element;
    return {
        id: window.visited.get(element), what: `${element.localName}.${element.className} ${element.textContent.trim().slice(0, 30)}`,
        drawn: around.some((one) => one && drawn(one)), inside: box.bottom > 0 && box.top < innerHeight,
        after: !last || Boolean(last.compareDocumentPosition(element) & 4),
    };
};
walks.visited = () => [...new Set([...window.visited.keys()].map((one) => one.closest("section, header")?.id))];

// Cards and tables, but not the tables within cards, which are many. How many of both are now open.
walks.open = async () => {
    for (const details of all(".live details:not([open])")) {
        if (!details.closest(".card") || details.matches(".card")) details.open = true;
    }
    for (let i = 0; i < 3; i++) await turn();
    return [all(".live details[open] table").length, all(".card[open] > .card-body > *:nth-child(2)").length];
};

// How wide the page is, and what makes it so, if it is wider than the window.
walks.wide = () => {
    const room = document.documentElement.clientWidth, wide = document.documentElement.scrollWidth;
    const scrolled = (one) => {
        for (let up = one.parentElement; up; up = up.parentElement) if (getComputedStyle(up).overflowX !== "visible") return true;
        return false;
    };
    const out = all("main *, header *").filter((one) => one.getBoundingClientRect().right > room + 1 && !scrolled(one));
    return wide <= room ? [] : [wide, ...out.slice(0, 5).map((one) => `${one.localName}.${one.className}: ${one.textContent.slice(0, 40)}`)];
};

// Controls that are too small for a finger: less than 24 CSS pixels high or wide (WCAG 2.2, 2.5.8).
walks.small = () => all(".live button, .live select, .live input, .live summary, .path button")
    .filter((one) => one.checkVisibility() && !one.matches(".unseen, .sort"))
    .map((one) => [one.getBoundingClientRect(), one])
    .filter(([box]) => Math.min(box.width, box.height) < 24)
    .map(([box, one]) => `${one.localName}.${one.className} ${one.textContent} ${Math.round(box.width)} x ${Math.round(box.height)}`);

// What moves within two seconds in which nobody does anything.
walks.moved = async () => {
    window.moved.length = 0;
    const note = (changes) => window.moved.push(...changes.map((change) => change.target.nodeName));
    new MutationObserver(note).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    const at = scrollY;
    await new Promise((go) => setTimeout(go, 2000));
    return [...window.moved, ...document.getAnimations().map(String), ...(scrollY === at ? [] : ["scrolled"])];
};

// Elements for which a transition or an animation is declared, or a page that glides.
walks.moving = () => all("*").filter((one) => {
    const style = getComputedStyle(one);
    const lasts = style.transitionDuration.split(",").some((time) => parseFloat(time) > 0);
    return lasts || style.animationName !== "none" || style.scrollBehavior === "smooth";
}).map((one) => one.className);

// Buttons that have no edge of any kind.
walks.edgeless = () => all(".live button").filter((one) => {
    const style = getComputedStyle(one);
    return one.checkVisibility() && style.borderStyle === "none" && style.outlineStyle === "none";
}).map((one) => one.className);

// The reader's own fields that can be seen, and a text pasted into one of them.
const fields = () => all("input[type=text], input[type=search], textarea").filter((field) => field.checkVisibility());
walks.fields = () => fields().length;
walks.paste = ([at, text]) => {
    const field = fields()[at];
    field.focus();
    field.value = text;
    for (const name of ["input", "change"]) field.dispatchEvent(new Event(name, { bubbles: true }));
};

// The table of the dice: [id, probability].
walks.shares = () => all("#dice .as-table td data").map((one) => [one.dataset.index, Number(one.value)]);
