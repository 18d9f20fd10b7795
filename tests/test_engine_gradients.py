"""The way back in the page, in a real browser, against gradients.py in double precision.

Weights are random and sizes pairwise distinct, as in test_engine.py, and the card is looked at on
small trained models of every rung: each of its numbers is computed again.

Each guard was seen red, with a fault of its own planted: RoPE turned on instead of back, the wrong
keys told, no onehot, a character that comes twice told once, slopes of GELU and SiLU, a norm whose
mean or width is forgotten, the last letter not seen, sqrt(D) twice, a stream that does not copy, a
bias of one position, a step uphill or of another size, a mean of squares without the mean, a window
one too long, another head's gradient, a head that is not drawn anew.
"""

import base64
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browser import open_modules
from opened import opened, seen, small_ladder
from test_engine import IDS, LOAD, PACKED, SMALL, WIDE, arrays, random_weights

from babypoet import gradients
from babypoet.backpropagation import RATE
from babypoet.config import RUNG_NAMES, ModelConfig
from babypoet.exporting.packing import pack, unpack
from babypoet.gradients import Gradients, formula
from babypoet.reference import Array, Reference, softmax

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BACKWARD = f"""([ids, target]) => {{
    {PACKED}
    const values = model.trace(ids), found = gradients.backward(model, values, target);
    window.found = found;
    return [found.loss, gradients.lossOf(values, target), [...found.values].map(packed),
        [...found.weights].map(packed)];
}}"""
STEP = f"""([ids, target, rate]) => {{
    {PACKED}
    const before = [...model.weights].map(packed);
    const moved = gradients.stepped(model, found, rate);
    return [gradients.lossOf(moved.trace(ids), target), gradients.straight(found, rate),
        JSON.stringify(before) === JSON.stringify([...model.weights].map(packed))];
}}"""


@pytest.fixture(scope="module")
def page(browser: "Browser") -> "Iterator[Page]":
    found = open_modules(browser, "engine.js", "gradients.js", "weights.js")
    yield found
    found.close()


def load(page: "Page", config: ModelConfig) -> Reference:
    """The model in the page, and its twin in numpy in double precision."""
    weights = random_weights(config, seed=3)
    block, tensors = pack(weights, "fp32")
    page.evaluate(LOAD, [config.to_dict(), tensors, base64.b64encode(block).decode()])
    return Reference(config, weights, np.float64)


def by_hand(model: Reference, ids: Sequence[int], target: int) -> Gradients:
    """The gradients of the letter after the last one, in Python."""
    values = model.trace(list(ids))
    return gradients.backward(model, values, np.full(len(ids), target), [len(ids) - 1])


def loss_of(model: Reference, ids: Sequence[int], target: int) -> float:
    return float(-np.log(softmax(model.trace(list(ids))["scores"][-1])[target]))


def stepped(model: Reference, found: Gradients, rate: float) -> Reference:
    moved = {name: weight - rate * found.weights[name] for name, weight in model.weights.items()}
    return Reference(model.config, moved, model.dtype)


def assert_near(found: dict[str, Array], expected: dict[str, Array]) -> None:
    """The same names in the same order, and every number within 1e-4 of the largest of its value;
    of a gradient that is 0 but for rounding, within 1e-7."""
    assert list(found) == list(expected)
    for name, right in expected.items():
        assert found[name].shape == right.shape, name
        most = max(float(np.abs(right).max()), 1e-3)
        np.testing.assert_allclose(found[name], right, rtol=0, atol=1e-4 * most, err_msg=name)


# --- the arithmetic -------------------------------------------------------------------------------


@pytest.mark.parametrize("rung", RUNG_NAMES)
@pytest.mark.parametrize(
    "config, lengths", [(SMALL, (1, 2, 7)), (WIDE, (1, 24, 53))], ids=["small", "wide"]
)
def test_every_gradient_is_pythons(
    page: "Page", rung: str, config: ModelConfig, lengths: Sequence[int]
) -> None:
    """Of every value and every weight; then a step, its loss, and what a straight loss would be."""
    model = load(page, ModelConfig(**{**config.to_dict(), "rung": rung}))
    for length in lengths:
        ids, target = IDS[:length], IDS[length]
        loss, again, in_values, in_weights = page.evaluate(BACKWARD, [ids, target])
        right = by_hand(model, ids, target)
        assert loss == again == pytest.approx(right.loss, abs=2e-6)
        assert_near(arrays(in_values), right.values)
        assert_near(arrays(in_weights), right.weights)
        assert set(right.weights) == set(model.weights)
        for rate in (1e-4, RATE, 1e-2):
            after, straight, untouched = page.evaluate(STEP, [ids, target, rate])
            assert untouched, "the step is taken on a copy"
            expected = loss_of(stepped(model, right, rate), ids, target)
            slope = sum(float(np.square(d).sum()) for d in right.weights.values())
            assert after == pytest.approx(expected, abs=5e-6)
            assert straight == pytest.approx(right.loss - rate * slope, rel=1e-5)
            assert abs(expected - right.loss) > 5e-5, "a step that can be seen"
            assert rate > 1e-4 or expected < right.loss


# --- the card -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("way-back") / "poet.html"
    small_ladder(tmp_path_factory.getbasetemp())["modern"].share(path)
    return path


NUMBERS = """(card) => [...card.querySelectorAll("[data-name]")].map((one) => {
    const near = (key) => one.closest(`[data-${key}]`).getAttribute(`data-${key}`);
    const rate = one.closest("[data-rate]");
    return { name: one.dataset.name, index: one.dataset.index, value: Number(one.value),
        text: one.textContent, model: near("model"), ids: near("ids"), target: near("target"),
        rate: rate ? rate.dataset.rate : null };
})"""


class Oracle:
    """What each number of the card must be, from the weights in the file alone."""

    def __init__(self, models: dict[str, Reference]) -> None:
        self.models = models
        self.known: dict[tuple[str, str, str], tuple[Array, Gradients]] = {}

    def expect(self, number: dict[str, Any]) -> float:
        model, target = self.models[number["model"]], int(number["target"])
        ids = [int(i) for i in number["ids"].split(",")]
        key = (number["model"], number["ids"], number["target"])
        if key not in self.known:
            said = softmax(model.trace(ids)["scores"])
            self.known[key] = (said, by_hand(model, ids, target))
        said, found = self.known[key]
        index = tuple(int(i) for i in number["index"].split(",") if i)
        name, rate = number["name"], number["rate"] and float(number["rate"])
        if name == "loss":
            return found.loss
        if name == "softmax(scores)":
            return float(said[index])
        if name in ("stepped(loss)", "stepped(softmax(scores))"):
            after = loss_of(stepped(model, found, rate), ids, target)
            assert name == "stepped(loss)" or index == (len(ids) - 1, target)
            return after if name == "stepped(loss)" else math.exp(-after)
        if name == "straight(loss)":
            slope = sum(float(np.square(d).sum()) for d in found.weights.values())
            return float(found.loss - rate * slope)
        match = re.fullmatch(r"(?:(rms|length)\()?gradient\(([^()]+)\)\)?", name)
        assert match, name
        d = found.values[match[2]]
        if match[1] == "rms":
            return float(np.sqrt(np.mean(np.square(d))))
        if match[1] == "length":
            return float(np.linalg.norm(d[index]))
        assert len(index) == d.ndim, number
        return float(d[index])


def test_every_number_of_the_card(path: Path, browser: "Browser") -> None:
    """All rungs, two letters of the text, every line open with its table, and a step."""
    with opened(browser, path) as page:
        seen(page, "room")
        data = page.evaluate("() => JSON.parse(document.getElementById('data').textContent)")
        blocks = {m["id"]: page.locator(f"#{m['block']}").text_content() for m in data["models"]}
        oracle = Oracle(packed_models(data, blocks))
        card = page.locator("[data-card=room-backprop]")
        for model in [m["id"] for m in data["models"] if not m["id"].startswith("step")]:
            if page.locator("#room form select").count():
                page.locator("#room form select").select_option(model)
            if card.get_attribute("open") is None:
                card.locator("summary").first.click()
            config = oracle.models[model].config
            for letter in (str(len(data["prompt"]) - 1), "3"):
                card.locator("select").first.select_option(letter)
                several = config.rung not in ("bigram", "attention")
                if several:
                    card.locator("select").nth(1).select_option("1")
                for _ in range(2):  # the lines, and the tables in them
                    card.evaluate(
                        "(card) => card.querySelectorAll('details').forEach((d) => (d.open = true))"
                    )
                    page.wait_for_timeout(200)
                card.locator("input[type=range]").fill("5")
                card.locator("button.main").click()
                numbers = card.evaluate(NUMBERS)
                assert {n["model"] for n in numbers} == {model}
                assert {len(n["ids"].split(",")) for n in numbers} == {int(letter)}
                assert {n["rate"] for n in numbers} == {None, "0.005"}
                names = {n["name"] for n in numbers}
                for number in numbers:
                    right = oracle.expect(number)
                    apart = abs(number["value"] - right)
                    assert apart <= 2e-5 * max(1, abs(right)), (number, right)
                found = oracle.known[model, numbers[0]["ids"], numbers[0]["target"]][1]
                assert names >= {f"rms(gradient({name}))" for name in found.values}
                assert names >= {f"gradient({name})" for name in found.values}
                assert names >= {"loss", "stepped(loss)", "straight(loss)", "softmax(scores)"}
                looks = "gradient(blocks.0.attention.weights)"
                for head in "13" if several else "":  # before its line is opened, and after
                    card.locator("select").nth(1).select_option(head)
                    numbers = card.evaluate(NUMBERS)
                    shown = {n["index"].split(",")[0] for n in numbers if n["name"] == looks}
                    assert shown == {head}
                    assert all(
                        abs(n["value"] - oracle.expect(n)) <= 2e-5
                        for n in numbers
                        if n["name"].startswith("gradient(")
                    )
                lines = card.locator(".way-back summary code").all_text_contents()
                shorts = [
                    re.sub(r"^blocks\.\d+\.(attention\.|mlp\.)?", "", name)
                    for name in reversed(found.values)
                ]
                rules = [formula(name, config.rung) for name in reversed(found.values)]
                pairs = zip(shorts, rules, strict=True)
                assert lines == [f"d {short} = {rule}" for short, rule in pairs]


def packed_models(data: dict[str, Any], blocks: dict[str, str | None]) -> dict[str, Reference]:
    """The models of a page, with the weights as it holds them, in double precision."""
    found = {}
    for entry in data["models"]:
        fields = {name: entry["config"][name] for name in ModelConfig().to_dict()}
        weights = unpack(base64.b64decode(blocks[entry["id"]] or ""), entry["tensors"])
        found[entry["id"]] = Reference(ModelConfig(**fields), weights, np.float64)
    return found


def test_one_letter_is_too_few(path: Path, browser: "Browser") -> None:
    with opened(browser, path) as page:
        seen(page, "room")
        page.locator("#room form input").first.fill("e")
        page.locator("#room form button").first.click()
        card = page.locator("[data-card=room-backprop]")
        card.locator("summary").first.click()
        card.get_by_text("two letters").wait_for()  # it is built once it is open
        assert not card.locator("[data-name]").count()
