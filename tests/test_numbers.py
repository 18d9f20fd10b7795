"""No decorative number: whatever a shared page shows is what the weights in the file give.

The page is walked through in a real browser with every table open. Each number in it carries its
name, its index, and what it was computed from; here it is computed again, in Python, and a number
that nobody can explain is a failure. Then one weight in the file is changed, and exactly those
numbers must change that depend on it.
"""

import base64
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from opened import opened, seen, small_ladder

from babypoet import values
from babypoet.config import GenerateConfig, ModelConfig
from babypoet.exporting.copies import Copies
from babypoet.exporting.packing import unpack
from babypoet.exporting.page import _json as page_json
from babypoet.gradients import Gradients, backward
from babypoet.poet import Poet
from babypoet.reference import Array, Reference, softmax, window_start
from babypoet.sampling import distribution, next_token, stream, uniform

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SECTIONS = ["guess", "training", "dice", "looking", "copying", "room"]

WALK = (Path(__file__).parent / "walk.js").read_text(encoding="utf-8")

# --- what the page shows --------------------------------------------------------------------------


class Number(NamedTuple):
    """A number as the page shows it."""

    name: str
    index: str
    section: str
    still: bool
    model: str | None
    ids: str | None
    cut: str | None
    before: str | None
    target: str | None
    rate: str | None
    settings: tuple[str | None, ...]

    def __str__(self) -> str:
        where = f"{self.name}[{self.index}] in #{self.section}"
        return where + (f" of {self.model} cut {self.cut}" if self.model else "")


@dataclass
class Walk:
    """What was seen: numbers with their values and how they were written."""

    values: dict[Number, float] = field(default_factory=dict)
    texts: dict[Number, list[str]] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)

    def add(self, found: Mapping[str, Any]) -> None:
        for scope in found["scopes"]:
            numbers, settings = scope.pop("numbers"), tuple(scope.pop("settings"))
            for name, index, value, *texts in numbers:
                number = Number(name, index, **scope, settings=settings)
                self.values[number] = float(value)
                self.texts.setdefault(number, []).extend(texts)
        self.loose += found["loose"]


def ask(page: "Page", part: str, argument: Any = None) -> Any:
    """Run one of the walks of walk.js in the page."""
    return page.evaluate(f"(argument) => {{ {WALK}; return walks.{part}(argument); }}", argument)


def walk(
    page: "Page", models: Sequence[str] | None = None, weights: Sequence[str] = ("end",)
) -> Walk:
    """Through every scene and every card, all tables open."""
    found = Walk()
    for section in SECTIONS:
        seen(page, section)
    for part in ("here", "training", "dice", "looking"):
        found.add(ask(page, part))
    found.add(ask(page, "room", [models, list(weights)]))
    return found


# --- what Python says -----------------------------------------------------------------------------


class Blocks(HTMLParser):
    """The data blocks of a page."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=False)
        self.content: dict[str, str] = {}
        self._id: str | None = None
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._id = dict(attrs).get("id") if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._id = None

    def handle_data(self, data: str) -> None:
        if self._id is not None:
            self.content[self._id] = self.content.get(self._id, "") + data


WEIGHT = re.compile(r"\.(weight|bias)$")


# What a sentence may say of numbers that no model and no reader made.
SAID = {
    r"100\s%": "all of a probability is 100 %",
    r"\b0\.8 ": "the temperature that a scene draws with is a setting",
    r"false alarm": "how often the filter errs (test_copies.py)",
    r"2\.7 times": "e",
    r"in label\.finder": "how many compartments there are, counted in test_browser.py",
}


class Unexplained(Exception):
    """A number whose name says nothing that could be computed."""


def places(cut: str | None) -> list[tuple[int, int]]:
    """The heads that a data-cut names: "0.1 1.3" is [(0, 1), (1, 3)]."""
    pairs = (place.split(".") for place in (cut or "").split())
    return [(int(layer), int(head)) for layer, head in pairs]


class Explained:
    """What each number of a page must be, from the file alone."""

    def __init__(self, path: Path) -> None:
        self.blocks = Blocks(path.read_text(encoding="utf-8")).content
        self.data: dict[str, Any] = json.loads(self.blocks["data"])
        self.models: dict[str, Reference] = {}
        self._weights: dict[str, dict[str, Array]] = {}
        self._traces: dict[tuple[str, str, str | None], dict[str, Array]] = {}
        self._ways: dict[tuple[str, str, str], Gradients] = {}
        self.played: dict[tuple[str, str, str], float] = {}
        """What the test itself did, and what follows from it: (section, name, index) -> number."""

    def model(self, id: str) -> Reference:
        """A model with the weights as the file holds them."""
        if id not in self.models:
            entry = next(m for m in self.data["models"] if m["id"] == id)
            block = base64.b64decode(self.blocks[entry["block"]])
            fields = {name: entry["config"][name] for name in ModelConfig().to_dict()}
            weights = unpack(block, entry["tensors"])
            self.models[id] = Reference(ModelConfig(**fields), weights)
            self._weights[id] = weights
        return self.models[id]

    def weights(self, id: str) -> dict[str, Array]:
        self.model(id)
        return self._weights[id]

    def trace(self, id: str, ids: str, cut: str | None = None) -> dict[str, Array]:
        """Every value of one window. The `mixed` of a head that is cut is 0 by definition."""
        key = (id, ids, cut)
        if key not in self._traces:
            found = self.cut(id, cut).trace([int(i) for i in ids.split(",")])
            for layer, head in places(cut):
                found[f"blocks.{layer}.attention.mixed"][head] = 0
            self._traces[key] = found
        return self._traces[key]

    def cut(self, id: str, cut: str | None) -> Reference:
        """A model without some of its heads: nothing carries on what they found."""
        model = self.model(id)
        if cut is None:
            return model
        weights = {name: weight.copy() for name, weight in self.weights(id).items()}
        size = model.config.head_size
        for layer, head in places(cut):
            projection = weights[f"layers.{layer}.self_attn.o_proj.weight"]  # (C, H * D)
            projection[:, head * size : (head + 1) * size] = 0
        return Reference(model.config, weights)

    def tensor(self, number: Number, name: str) -> Array:
        """A named value or a weight."""
        if number.model is None:
            raise Unexplained("no data-model")
        if WEIGHT.search(name):
            return self.weights(number.model)[name]
        if number.ids is None:
            raise Unexplained("no data-ids")
        return self.trace(number.model, number.ids, number.cut)[name]

    def path(self, path: str, index: str = "", still: bool = False) -> Any:
        """What lies at a path into the recorded facts."""
        found: Any = self.data
        for name, place in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
            if name == "length" and isinstance(found, list):
                found = len(found)
            else:
                found = found[int(place)] if place else found[name]
        for place in index.split(",") if index else []:
            found = found[int(place)]
        return found

    def expect(self, number: Number) -> float:
        """What a number must be; Unexplained if its name does not say."""
        name, index = number.name, tuple(int(i) for i in number.index.split(",") if i.isdigit())
        if (number.section, name, number.index) in self.played:
            return self.played[number.section, name, number.index]
        if name.startswith("draw."):
            return self.draw(number, name[5:], index)
        if number.target is not None:
            return self.way_back(number, index)
        if match := re.fullmatch(r"(\w+)\((.+)\)", name):
            return self.derived(number, match[1], match[2], index)
        if name in ("map", "map.share"):
            raise Unexplained("the map has a test of its own")
        if name == "play.number":
            return uniform(*index)
        if name == "figure.beaten":
            last = self.data["curve"][-1][1]
            known = self.data["opponents"]
            levels = [
                math.log(len(self.data["characters"])),
                known.get("letter counts"),
                known.get("letter pairs"),
            ]
            levels += [nats for key, nats in known.items() if key.startswith("best counter")]
            return sum(nats is not None and last < nats for nats in levels)
        if number.model is not None and (WEIGHT.search(name) or number.ids is not None):
            try:
                tensor = self.tensor(number, name)
            except KeyError:
                pass
            else:
                assert len(index) == tensor.ndim, f"{number} is not a whole index: {tensor.shape}"
                return float(tensor[index])
        try:
            found = self.path(name, number.index)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise Unexplained(repr(error)) from error
        if not isinstance(found, int | float):
            raise Unexplained(f"{name} is {type(found).__name__}")
        return found

    def prompt(self) -> list[int]:
        """What the scenes begin with."""
        return [self.data["characters"].index(c) for c in self.data["prompt"]]

    def written(
        self, id: str, ids: Sequence[int], length: int, seed: int = 0, cut: str | None = None
    ) -> str:
        """What a model writes after some ids, at the temperature of the scenes."""
        settings = GenerateConfig(length=length, seed=seed, temperature=0.8)
        return self.text(stream(self.cut(id, cut), ids, settings))

    def text(self, ids: Iterable[int]) -> str:
        return "".join(self.data["characters"][i] for i in ids)

    def logits(self, number: Number) -> Array:
        return self.tensor(number, "logits")[-1]  # (V,)

    def draw(self, number: Number, what: str, index: tuple[int, ...]) -> float:
        temperature, top_k, top_p = number.settings
        if not temperature:
            raise Unexplained("no data-temperature")
        p = distribution(
            self.logits(number),
            float(temperature),
            int(top_k) if top_k else None,
            float(top_p) if top_p else None,
        )
        if what == "probabilities":
            return float(p[index])
        if what in ("from", "to"):
            (id,) = index
            return float(p[: id + (what == "to")].sum())
        if what == "possible":
            return int((p > 0).sum())
        if what == "torn_between":
            return float(np.exp(-(p[p > 0] * np.log(p[p > 0])).sum()))
        raise Unexplained(what)

    def way_back(self, number: Number, index: tuple[int, ...]) -> float:
        """What the loss of one letter, the one after the window, says to the values before it."""
        assert number.model is not None and number.ids is not None and number.target is not None
        target, ids = int(number.target), [int(i) for i in number.ids.split(",")]
        model = Reference(self.model(number.model).config, self.weights(number.model), np.float64)
        key = (number.model, number.ids, number.target)
        if key not in self._ways:
            self._ways[key] = backward(
                model, model.trace(ids), np.full(len(ids), target), [len(ids) - 1]
            )
        found, name = self._ways[key], number.name
        if match := re.fullmatch(r"(?:(rms|length)\()?gradient\(([^()]+)\)\)?", name):
            d = found.values[match[2]]
            if match[1] == "rms":
                return float(np.sqrt(np.square(d).mean()))
            if match[1] == "length":
                return float(np.linalg.norm(d[index]))
            assert len(index) == d.ndim, f"{number} is not a whole index: {d.shape}"
            return float(d[index])
        if name == "loss":
            return found.loss
        if name == "straight(loss)":
            slope = sum(float(np.square(d).sum()) for d in found.weights.values())
            return found.loss - float(number.rate or "") * slope
        if name.startswith("stepped("):
            rate = float(number.rate or "")
            moved = {n: weight - rate * found.weights[n] for n, weight in model.weights.items()}
            model, name = Reference(model.config, moved, np.float64), name[8:-1]
        said = softmax(model.trace(ids)["scores"])  # (T, R)
        if name == "loss":
            return -math.log(said[-1, target])
        if name == "softmax(scores)":
            return float(said[index])
        raise Unexplained(name)

    def derived(self, number: Number, how: str, of: str, index: tuple[int, ...]) -> float:
        """`length(blocks.0.mlp.output)` and its like."""
        if how == "torn_between":
            return math.exp(self.path(of))
        if (how, of) == ("log", "characters"):
            return math.log(len(self.data["characters"]))
        if how == "even":  # what each of so many gets, if all get the same
            return 1 / int(of)
        if how in ("changed", "change"):
            assert number.before is not None and number.ids is not None and number.model is not None
            a = self.trace(number.model, number.before)[of]
            b = self.trace(number.model, number.ids, number.cut)[of]
            apart = a != b
            if how == "changed":
                return int(apart.sum())
            with np.errstate(invalid="ignore"):
                return float(np.abs(a - b)[apart].max(initial=0))
        tensor = self.tensor(number, of)
        if how == "shape":
            return tensor.shape[index[0]]
        if how == "minimum":
            return float(tensor.min())
        if how == "maximum":
            return float(tensor.max())
        if how == "mean":
            return float(tensor.mean(dtype=np.float64))
        if how == "length":
            return float(np.linalg.norm(tensor[index].astype(np.float64)))
        if how == "sum":
            return float(tensor[index].sum(dtype=np.float64))
        raise Unexplained(how)


def close(found: float, expected: float, exact: bool = False) -> bool:
    """Within what two orders of adding in single precision can differ by."""
    if not math.isfinite(expected):
        return found == expected
    if exact:
        return found == pytest.approx(expected, rel=1e-6, abs=1e-12)
    return abs(found - expected) <= 5e-5 * max(1, abs(expected)) or found == expected


def reads(text: str, value: float) -> bool:
    """Whether a text is a rounding of a number, of its share of 100, of e^it (a loss as letters) or
    of the bits that it is."""
    plain = text.replace("−", "-").replace(",", "").replace("\N{NO-BREAK SPACE}", " ").strip()
    if plain in ("-∞", "∞"):
        return value == float(plain.replace("∞", "inf"))
    match = re.fullmatch(r"([<>] ?)?(-?\d+(?:\.(\d+))?)( ?%)?", plain)
    if not match:
        return False
    about, written, places, percent = match.groups()
    step = 10 ** -len(places or "")
    meant = [100 * value] if percent else [value, math.exp(min(value, 50)), value / math.log(2)]
    if about:  # so little, or so near to 100 %, that rounding would deny it
        low, high = (0.0, float(written)) if about.startswith("<") else (float(written), 100.0)
        return any(low < one < high for one in meant)
    return any(abs(float(written) - one) <= 0.5 * step * (1 + 1e-6) + 1e-12 for one in meant)


def problems(found: Walk, explained: Explained) -> list[str]:
    """Numbers that are not what their names say, or that nobody can explain."""
    wrong = [text for text in found.loose if not any(re.search(one, text) for one in SAID)]
    for number, value in found.values.items():
        if number.name in ("map", "map.share"):
            continue
        try:
            expected = explained.expect(number)
        except (Unexplained, KeyError, IndexError, AssertionError) as error:
            wrong.append(f"{number} = {value}: nobody knows what it is: {error!r}")
            continue
        recorded = number.model is None or not (number.ids or WEIGHT.search(number.name))
        if number.still:
            right = value == pytest.approx(expected, rel=2e-4)
        else:
            right = close(value, expected, exact=recorded and "(" not in number.name)
        if not right:
            wrong.append(f"{number} is {value}, should be {expected}")
        wrong += [
            f"{number} is {value}, written {t!r}"
            for t in found.texts[number]
            if not reads(t, value)
        ]
    return wrong + map_problems(found, explained)


def map_problems(found: Walk, explained: Explained) -> list[str]:
    """The map of letters against numpy's principal components, whose sign is theirs."""
    wrong = []
    for id in {number.model for number in found.values if number.name == "map"}:
        assert id is not None
        weights = explained.weights(id)
        table = weights["embed_tokens.weight" if "embed_tokens.weight" in weights else "wte.weight"]
        rows = table[: len(explained.data["characters"])].astype(np.float64)
        centred = rows - rows.mean(axis=0)
        _, spread, directions = np.linalg.svd(centred, full_matrices=False)
        for axis in (0, 1):
            sign = np.sign(directions[axis][np.abs(directions[axis]).argmax()])
            right = sign * centred @ directions[axis]
            share = spread[axis] ** 2 / (spread**2).sum()
            for number, value in found.values.items():
                if number.model != id:
                    continue
                if number.name == "map" and number.index.endswith(f",{axis}"):
                    expected = right[int(number.index.split(",")[0])]
                elif number.name == "map.share" and number.index == str(axis):
                    expected = share
                else:
                    continue
                if abs(value - expected) > 1e-4 * max(1, spread[0]):
                    wrong.append(f"{number} is {value}, should be {expected}")
    return wrong


# --- the page -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def poets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Poet]:
    return small_ladder(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def path(poets: dict[str, Poet], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the last rung, with the weights of all others in it."""
    path = tmp_path_factory.mktemp("numbers") / "poet.html"
    poets["modern"].share(path)
    return path


@pytest.fixture(scope="module")
def explained(path: Path) -> Explained:
    return Explained(path)


@pytest.fixture(scope="module")
def walked(path: Path, browser: "Browser") -> Walk:
    """The whole page, walked through once."""
    with opened(browser, path) as page:
        return walk(page)


def report(wrong: Sequence[str]) -> str:
    return f"{len(wrong)} wrong:\n" + "\n".join(wrong[:40])


def test_every_number(walked: Walk, explained: Explained) -> None:
    """Each is what its name says, and nothing that looks like one goes without a name."""
    wrong = problems(walked, explained)
    assert wrong == [], report(wrong)
    assert len(walked.values) > 50_000


def test_the_walk_saw_all_kinds(walked: Walk, explained: Explained) -> None:
    """Every value of every rung, whole; every weight of the poet; every kind of recorded fact."""
    whole = Counter((n.model, n.name, n.ids, n.cut) for n in walked.values if n.section == "room")
    for model in explained.data["models"]:
        if model["id"].startswith("step"):
            continue
        ids = ",".join(map(str, explained.prompt()))
        found = explained.trace(model["id"], ids)
        assert set(values.names(explained.model(model["id"]).config)) == set(found)
        for name, value in found.items():
            if (name, value.ndim) == ("blocks.0.attention.masked", 3) or value.ndim == 3:
                continue  # one head at a time, and the future has no numbers
            assert whole[model["id"], name, ids, None] == value.size, (model["id"], name)
    for name, weight in explained.weights("end").items():
        assert any(n.name == name for n in walked.values), name
        if weight.size <= 64 * 64:
            assert sum(n.name == name and n.model == "end" for n in walked.values) == weight.size, (
                name
            )
    kinds = {re.sub(r"\d+", "#", n.name) for n in walked.values}
    assert kinds >= {
        "history[#].step", "history[#].nats", "curve[#]", "heads[#].mass.previous", "map",
        "map.share", "opponents.letter pairs", "draw.probabilities", "draw.torn_between",
        "draw.possible", "models[#].nats", "torn_between(models[#].nats)", "parameters",
        "text.characters", "figure.beaten", "contents[#].bytes", "packing.characters", "guess.#",
        "length(blocks.#.mlp.output)", "sum(blocks.#.attention.exponentials)", "shape(logits)",
        "mean(embed_tokens.weight)", "gradient(blocks.#.attention.weights)", "loss",
        "rms(gradient(embedding))", "length(gradient(embedding))", "softmax(scores)",
        "stepped(loss)", "stepped(softmax(scores))", "straight(loss)",
    }  # fmt: skip
    assert any(
        re.fullmatch(r"blocks.*weights", n.name) for n in walked.values if n.section == "training"
    )


# --- what the reader does -------------------------------------------------------------------------


def check(page: "Page", explained: Explained, section: str) -> Walk:
    """All numbers of a section as they are now, with what was played."""
    assert all(where == section for where, _, _ in explained.played)
    found = Walk()
    found.add(ask(page, "here", section))
    wrong = problems(found, explained)
    assert wrong == [], report(wrong)
    return found


def shannon_bits(numbers: Sequence[int], classes: int) -> float:
    """The entropy of the number of the right guess; whoever needs four chooses among the rest."""
    shares = np.bincount(numbers, minlength=5)[1:] / len(numbers)
    known = shares[shares > 0]
    return float(-(known * np.log2(known)).sum() + shares[3] * math.log2(max(1, classes - 3)))


def test_the_game(path: Path, browser: "Browser") -> None:
    """Sixteen letters against the model and the pairs, scores and bits reckoned here."""
    explained = Explained(path)
    data, characters = explained.data, explained.data["characters"]
    group = data["game"]["classes"]
    stand: dict[int, int] = {}
    for id, one in enumerate(group):
        if one not in stand or characters[id].upper() != characters[id]:
            stand[one] = id
    at = next((i for i, one in enumerate(data["game"]["lines"]) if len(one["context"]) > 20), 0)
    line = data["game"]["lines"][at]
    model, size = explained.model("end"), explained.model("end").config.block_size
    ranks: dict[str, list[int]] = {"you": [], "model": [], "pairs": []}
    bits, wrong_ones = 0.0, [id for id in stand.values() if characters[id].isalpha()]
    with opened(browser, path) as page:
        seen(page, "guess")
        stick = page.locator("#guess .stick")
        stick.focus()
        check(page, explained, "guess")
        for turn, (id, pair) in enumerate(zip(line["ids"][:16], line["pairs"], strict=False)):
            tries = turn % 5  # so many wrong guesses; with 4 the letter is shown at once
            others = [i for i in wrong_ones if group[i] != group[id]]
            for other in others[: min(tries, 3) if tries < 4 else 0]:
                stick.press(characters[other])
            if tries == 4:
                page.locator("#guess .row button").first.click()
                stick.focus()
            elif tries < 3:
                stick.press("Enter" if characters[id] == "\n" else characters[id])
            ranks["you"].append(min(tries + 1, 4))
            window = [*line["context"], *line["ids"][:turn]]
            window = window[window_start(len(window), size) :]
            p = model.trace(window)["probabilities"][-1].astype(np.float64)
            summed = np.bincount(group, weights=p)
            order = sorted(stand, key=lambda one: -summed[one])
            ranks["model"].append(min(order.index(group[id]) + 1, 4))
            ranks["pairs"].append(min(pair["rank"], 4))
            bits -= math.log2(summed[group[id]])
            n = turn + 1
            explained.played = {
                ("guess", "play.model", f"{stand[one]}"): summed[one] for one in stand
            }
            explained.played["guess", "play.letters", ""] = n
            for player, all in ranks.items():
                explained.played["guess", "play.hits", player] = all.count(1)
                if n >= 10:
                    explained.played["guess", "play.bits", player] = shannon_bits(all, len(stand))
            if n >= 10:
                explained.played["guess", "play.exact_bits", "model"] = bits / n
            found = check(page, explained, "guess")
            names = Counter(number.name for number in found.values)
            assert names["play.hits"] == 3 and names["play.model"] >= 2
            assert ("play.bits" in names) == ("play.exact_bits" in names) == (n >= 10)
            cases = ask(page, "fillings", "guess")
            assert sorted(id for id, _ in cases) == sorted(stand.values())
            for id, height in cases:
                assert height == pytest.approx(summed[group[id]], abs=1e-5)
        said = page.locator("#guess .sort").nth(3)
        said.hover()
        assert "play.model" in {number.name for number in check(page, explained, "guess").values}


def test_the_dice(path: Path, browser: "Browser") -> None:
    """Throws under several settings: the letter, the number thrown, and where it fell."""
    explained = Explained(path)
    characters, model = explained.data["characters"], explained.model("end")
    ids, size = explained.prompt(), model.config.block_size
    with opened(browser, path) as page:
        seen(page, "dice")
        root = page.locator("#dice .live")
        sliders = root.locator("input[type=range]")
        count = len(ids)
        for n, (t, k, p) in enumerate(
            [(8, None, 20), (20, None, 20), (10, 2, 20), (0, None, 20), (13, 6, 14)]
        ):
            sliders.nth(0).fill(str(t))
            sliders.nth(1).fill(sliders.nth(1).get_attribute("max") if k is None else str(k))
            sliders.nth(2).fill(str(p))
            settings = {
                "temperature": t / 10,
                "top_k": k and k + 1,
                "top_p": None if p == 20 else p / 20,
            }
            logits = model.trace(ids[window_start(len(ids), size) :])["logits"][-1]
            right = distribution(logits, **settings)
            strip = ask(page, "strip")
            large = np.flatnonzero(right >= 0.001)
            assert np.allclose(
                strip, np.stack([right.cumsum() - right, right], 1)[large], atol=2e-5
            )
            heights = dict(ask(page, "fillings", "dice"))
            assert len(heights) == len(characters)
            assert all(abs(heights[i] - x) < 2e-5 for i, x in enumerate(right))
            root.locator("button.main").click()
            ids.append(next_token(logits, uniform(0, n), **settings))
            explained.played = {("dice", "play.throw", ""): n + 1}
            found = check(page, explained, "dice")
            names = {number.name for number in found.values}
            assert "play.throw" in names
            assert t == 0 or {"draw.from", "draw.to", "play.number"} <= names
            assert root.locator(".written").text_content() == explained.text(ids)
            assert ask(page, "pin") == pytest.approx(uniform(0, n), abs=1e-6)
        root.get_by_role("button", name="Undo").click()
        ids.pop()
        sliders.nth(0).fill("8")
        sliders.nth(1).fill(sliders.nth(1).get_attribute("max"))
        sliders.nth(2).fill("20")
        many = root.locator("button").nth(2)
        label = many.text_content()
        many.click()
        page.wait_for_function(
            "([button, label]) => button.textContent === label", arg=[many.element_handle(), label]
        )
        text = model.start()
        logits = text.extend(ids)
        for n in range(len(ids) - count, len(ids) - count + 100):
            ids.append(next_token(logits, uniform(0, n), 0.8))
            logits = text.extend(ids[-1:])
        assert root.locator(".written").text_content() == explained.text(ids)
        explained.played = {}
        check(page, explained, "dice")


def pressed(page: "Page", selector: str, done: str) -> None:
    """Press a button and wait for what it brings."""
    page.locator(selector).click()
    page.locator(done).first.wait_for()


def test_it_writes_again(path: Path, browser: "Browser") -> None:
    """Live weights write what Python writes with them, and the page counts where it parts from the
    recorded text: here early in the last one, whose record is another."""
    recorded = Explained(path).data
    source, history = path.read_text(encoding="utf-8"), recorded["history"]
    known = history[-1]["sample"]
    history[-1]["sample"] = f"{known[:7]}{'x' if known[7] != 'x' else 'y'}{known[8:]}"
    other = path.with_name("other-record.html")
    block = Blocks(source).content["data"]
    other.write_text(source.replace(block, page_json(recorded)), encoding="utf-8")
    explained = Explained(other)
    with opened(browser, other) as page:
        seen(page, "training")
        apart = 0
        for at in [k for k, moment in enumerate(history) if moment["model"]]:
            moment = history[at]
            page.locator("#training input[type=range]").fill(str(at))
            pressed(page, "#training .under button", "#training [data-name='play.same']")
            start = recorded["characters"].index("\n")
            text = explained.written(moment["model"], [start], len(moment["sample"]))
            verse = page.locator("#training .what-written > div:last-child .verse")
            assert verse.text_content() == text
            pairs = zip(text, moment["sample"], strict=True)
            same = next((i for i, (a, b) in enumerate(pairs) if a != b), len(text))
            apart += same < len(text)
            explained.played = {("training", "play.same", ""): same}
            check(page, explained, "training")
        assert apart


def copied(explained: Explained, text: str) -> dict[tuple[str, str, str], float]:
    """What the page should say of a text that it checked for copies."""
    spec = explained.data["copies"]
    fields = {name: spec[name] for name in Copies.__dataclass_fields__ if name != "content"}
    spans = Copies(**fields, content=base64.b64decode(explained.blocks[spec["block"]])).spans(text)
    if not spans:
        return {}
    letters = {i for start, length in spans for i in range(start, start + length)}
    found = {
        ("copying", "copies.count", ""): len(spans),
        ("copying", "copies.letters", ""): len(letters),
        ("copying", "copies.written", ""): len(text),
        ("copying", "copies.longest", ""): max(length for _, length in spans),
    }
    return found | {("copying", "copies.length", f"{i}"): n for i, (_, n) in enumerate(spans)}


def test_copies(path: Path, poets: dict[str, Poet], browser: "Browser") -> None:
    """What the model writes, and what a reader pastes: two passages of the training text."""
    explained = Explained(path)
    characters = explained.data["characters"]
    train = poets["modern"].training_text()
    with opened(browser, path) as page:
        seen(page, "copying")
        pressed(
            page,
            "#copying button.main",
            "#copying .copies-verdict p:not(.note), #copying .copies-verdict [data-name]",
        )
        text = explained.written("end", [characters.index("\n")], 400)
        assert ask(page, "copied") == text
        explained.played = copied(explained, text)
        check(page, explained, "copying")
    with opened(browser, path) as page:
        seen(page, "copying")
        own = f"Quite new words. {train[1000:1060]} {'zq ' * 60} {train[5000:5040]}"
        page.locator("#copying .own-text summary").click()
        page.locator("#copying textarea").fill(own)
        explained.played = copied(explained, own)
        found = check(page, explained, "copying")
        names = {number.name for number in found.values} | {"copies.count"}  # one is written "one"
        assert names >= {name for _, name, _ in explained.played}
        assert 30 <= explained.played["copying", "copies.longest", ""] <= 70
        passage = page.locator("#copying .own-text q.passage").first.text_content() or ""
        assert re.sub(" ?↵ ?", "\n", passage.strip("‘’“” ")) in train
        marks = page.locator("#copying .own-text mark")
        assert marks.count() == explained.played["copying", "copies.count", ""]


def test_a_head_is_cut(path: Path, browser: "Browser") -> None:
    """Two texts, what each value changed by, and the next letters, against a projection without the
    head; then with a letter swapped."""
    explained = Explained(path)
    ids, characters = explained.prompt(), explained.data["characters"]
    with opened(browser, path) as page:
        seen(page, "room")
        card = page.locator("[data-card=room-cut]")
        card.locator("summary").first.click()
        selects = card.locator("select")
        for cut, swap in ((1, 2), None), (None, (4, "s")), ((0, 0), (8, "e")):
            selects.nth(0).select_option("" if cut is None else f"{cut[0]}.{cut[1]}")
            selects.nth(1).select_option("" if swap is None else str(swap[0]))
            after = list(ids)
            if swap is not None:
                card.locator("input.one-letter").fill(swap[1])
                after[swap[0]] = characters.index(swap[1])
            place = None if cut is None else f"{cut[0]}.{cut[1]}"
            pressed(page, "[data-card=room-cut] button.main", "[data-card=room-cut] .column")
            card.locator(".experiment details:not([open]) summary").click()
            texts = (
                explained.written("end", ids, 200),
                explained.written("end", after, 200, cut=place),
            )
            shown = [column.text_content() for column in card.locator(".column .writing").all()]
            assert shown == [explained.text(ids) + texts[0], explained.text(after) + texts[1]]
            differs = [i for i, (a, b) in enumerate(zip(*texts, strict=True)) if a != b]
            a = explained.trace("end", ",".join(map(str, ids)))
            b = explained.trace("end", ",".join(map(str, after)), place)
            explained.played = {
                ("room", "play.same", ""): differs[0] if differs else 200,
                ("room", "play.differing", ""): len(differs),
                ("room", "play.changed", ""): sum(
                    not np.array_equal(a[name], b[name]) for name in a
                ),
                ("room", "play.values", ""): len(a),
            }
            found = check(page, explained, "room")
            assert {n.name for n in found.values} >= {f"changed({name})" for name in a}
            cuts = {
                n.cut
                for n in found.values
                if n.name == "probabilities" and n.ids == ",".join(map(str, after))
            }
            assert place in cuts


# --- pictures -------------------------------------------------------------------------------------

SIGNED = np.array([[8, 119, 189], [232, 234, 235], [245, 147, 34]])


def colour(value: float, most: float, signed: bool) -> Array:
    """Cividis from 0, or orange - grey - blue about 0."""
    if signed:
        at = (1 - value / most) / 2
        return np.array([np.interp(at, [0, 0.5, 1], SIGNED[:, i]) for i in range(3)])
    from matplotlib import colormaps

    return 255 * np.array(colormaps["cividis"](value / most)[:3])


def test_pictures_are_of_these_numbers(path: Path, browser: "Browser") -> None:
    """The colours of heat maps, the lengths of bars, and the curve."""
    explained = Explained(path)
    data = explained.data
    with opened(browser, path, viewport={"width": 1280, "height": 900}) as page:
        seen(page, "looking")
        place = data["chosen_head"]
        trace = explained.trace("end", ",".join(map(str, data["line"])))
        for stage, name in enumerate(["scores", "scaled", "masked", "weights"]):
            page.locator("#looking .stage-list button").nth(stage).click()
            value = trace[f"blocks.{place['layer']}.attention.{name}"][place["head"]]
            drawn, ends = ask(page, "pixels", "#looking figure.heatmap")
            most = 1 if stage == 3 else np.abs(value[np.isfinite(value)]).max()
            assert reads(ends[1], most) and reads(ends[0], 0 if stage == 3 else -most), ends
            for i in range(8):
                for j in range(8):
                    if stage >= 2 and j > i:
                        continue  # hatched
                    right = colour(value[i, j], most, stage < 3)
                    assert np.abs(drawn[i][j] - right).max() < 10, (name, i, j, drawn[i][j], right)
        seen(page, "training")
        line, ticks = ask(page, "curve")
        points = [[float(x) for x in part.split(" ")] for part in re.split("[ML]", line) if part]
        sideways = [(value, x) for anchor, value, x, _ in ticks if anchor == "middle"]
        upwards = [(value, y - 4) for anchor, value, _, y in ticks if anchor == "end"]
        assert len(points) == len(data["curve"])
        for (x, y), (step, nats) in zip(points, data["curve"], strict=True):
            assert x == pytest.approx(
                np.polyval(np.polyfit(*zip(*sideways, strict=True), 1), step), abs=0.02
            )
            assert y == pytest.approx(
                np.polyval(np.polyfit(*zip(*upwards, strict=True), 1), nats), abs=0.02
            )
        assert ask(page, "pieces") == pytest.approx(math.exp(data["history"][-1]["nats"]), rel=1e-4)
        seen(page, "room")
        page.locator("[data-card=room-stream] summary").first.click()
        page.locator("[data-card=room-stream] .bars").wait_for()
        bars = ask(page, "bars")
        most = max(length for _, length in bars)
        assert all(share == pytest.approx(length / most, abs=1e-6) for share, length in bars)


# --- one weight -----------------------------------------------------------------------------------


def with_one_changed(path: Path, name: str, row: int, column: int, by: int) -> Path:
    """A copy of a page in which one of the embedded whole numbers is another."""
    source = path.read_text(encoding="utf-8")
    content = Blocks(source).content
    end = json.loads(content["data"])["models"][0]
    tensor = next(tensor for tensor in end["tensors"] if tensor["name"] == name)
    block = bytearray(base64.b64decode(content["weights-end"]))
    at = tensor["offset"] + row * tensor["shape"][1] + column
    block[at] = (block[at] + by) % 256
    changed = path.with_name(f"{name}.html")
    swapped = source.replace(content["weights-end"], base64.b64encode(block).decode())
    changed.write_text(swapped, encoding="utf-8")
    return changed


@pytest.mark.parametrize(
    ("name", "row", "stays", "changes"),
    [
        (
            "layers.1.mlp.down_proj.weight", 5,
            r"blocks\.0|blocks\.1\.(norm|attention|mlp\.(gate|up|activated))|guess\.[01]$|map",
            r"blocks\.1\.mlp\.output norm$ scores logits probabilities guess\.2 draw length\(",
        ),
        (
            "embed_tokens.weight", "Z",
            r"blocks\.|embedding|input|norm|logits|probabilities|guess|draw",
            r"map embed_tokens mean\(embed",
        ),
        (
            "lm_head.weight", "Z",
            r"blocks\.|embedding|input|norm|map|embed_tokens",
            r"logits probabilities guess\.0 guess\.1 guess\.2 scores draw",
        ),
    ],
    ids=["mlp", "embedding", "head"],
)  # fmt: skip
def test_one_weight(
    name: str,
    row: int | str,
    stays: str,
    changes: str,
    path: Path,
    walked: Walk,
    explained: Explained,
    browser: "Browser",
) -> None:
    """Exactly the numbers that depend on it change, and by as much as they should."""
    if isinstance(row, str):
        row = explained.data["characters"].index(row)
        assert not any(str(row) in (n.ids or "").split(",") for n in walked.values)
    quantum = int(
        127
        * explained.weights("end")[name][row, 7]
        / np.abs(explained.weights("end")[name][row]).max()
    )
    other = with_one_changed(path, name, row, 7, 90 if quantum < 0 else -90)
    changed = Explained(other)
    assert np.count_nonzero(changed.weights("end")[name] != explained.weights("end")[name]) == 1
    with opened(browser, other) as page:
        found = walk(page, ["end"], [] if name != "embed_tokens.weight" else ["end"])
    found.values = {
        n: v for n, v in found.values.items() if not n.still
    }  # what JavaScript never wrote
    wrong = problems(found, changed)
    assert wrong == [], report(wrong)
    wrong, moved, same = [], set(), set()
    for number in found.values.keys() & walked.values.keys():
        before, after = walked.values[number], found.values[number]
        if number.name.startswith("map"):
            (moved if before != after else same).add(number.name)
            continue
        apart = changed.expect(number) - explained.expect(number)
        (moved if before != after else same).add(number.name)
        least = 1e-6 * max(
            1, abs(before)
        )  # less may be lost, or appear, in another order of adding
        if apart == 0 and abs(after - before) > least:
            wrong.append(f"{number} changed from {before} to {after}, which it should not")
        elif abs(apart) > least and before == after:
            wrong.append(f"{number} is still {before}, and should have changed by {apart}")
    assert wrong == [], report(wrong)
    assert len(found.values.keys() & walked.values.keys()) > 0.9 * len(found.values)
    assert not {one for one in moved if re.match(stays, one)}
    for part in changes.split(" "):
        assert any(re.match(part, one) for one in moved), part
