"""One letter's loss followed back: from a run, by hand and by autograd, and one step down."""

import json
from dataclasses import replace

import numpy as np
import pytest

import babypoet
from babypoet import backpropagation, gradients, reference
from babypoet.backpropagation import Backpropagation
from babypoet.config import RESERVED, RUNG_NAMES, ModelConfig
from babypoet.errors import SettingError, TextError, UnknownCharacterError
from babypoet.ladder import build
from babypoet.poet import Poet
from babypoet.reference import Reference
from babypoet.tokenizer import CharTokenizer

LETTERS = " ehilotv\x1bs"
TOKENIZER = CharTokenizer("".join(sorted(LETTERS)))
SMALL = ModelConfig(
    vocab_size=len(LETTERS), block_size=6, n_layer=2, n_head=6, n_kv_head=3, n_embd=24
)


def followed(rung: str = "modern", text: str = "love this", **asked: object) -> Backpropagation:
    config, generator = replace(SMALL, rung=rung), np.random.default_rng(0)
    weights = {
        name: generator.normal(0, 0.3, size).astype(np.float32)
        for name, size in reference.shapes(config).items()
    }
    return backpropagation.follow(config, weights, TOKENIZER, text, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_both_opinions_are_there_and_agree(rung: str) -> None:
    found = followed(rung)
    for line in (*found.lines(), *found.letters()):
        assert line.autograd is not None and line.difference is not None, line.name
        assert line.difference < 1e-10
        assert line.autograd == pytest.approx(line.size, rel=1e-9, abs=1e-14)
    name, difference = found.furthest()
    assert difference < 1e-10 and name in reference.shapes(found.config)
    assert found.by_autograd.loss == pytest.approx(found.loss, abs=1e-12)


def test_the_difference_is_the_largest_of_all() -> None:
    """Red when a difference is not looked for, but only said."""
    found = followed()
    name = "layers.1.mlp.up_proj.weight"
    found.by_autograd.weights[name][2, 3] += 0.5
    assert found.furthest() == (name, pytest.approx(0.5))
    value = found.lines()[4]
    found.by_autograd.values[value.name].flat[0] += 0.25
    assert found.lines()[4].difference == pytest.approx(0.25)


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_the_letter_is_the_one_after_the_position(rung: str) -> None:
    text = "love this"
    for position in range(8):
        found = followed(rung, text, position=position)
        assert found.target == text[position + 1]
        assert found.before == reference.window_start(position + 1, 6)
        assert found.text == text[found.before : position + 1]
    assert followed(rung, text).text == followed(rung, text, position=7).text == " thi"
    assert followed(rung, text, position=-2).loss == followed(rung, text, position=7).loss


def test_what_was_said_less_what_was_right() -> None:
    found = followed()
    guesses = found.guesses()
    assert guesses[0].character == "s" and guesses[0].gradient < 0
    assert guesses[0].gradient == pytest.approx(guesses[0].probability - 1)
    assert guesses[0].probability == pytest.approx(np.exp(-found.loss))
    assert all(guess.gradient == guess.probability for guess in guesses[1:])
    assert sum(guess.gradient for guess in guesses) == pytest.approx(0, abs=1e-12)
    sizes = [abs(guess.gradient) for guess in guesses]
    assert sizes == sorted(sizes, reverse=True)
    assert {guess.character for guess in guesses} == {*LETTERS, *RESERVED}


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_the_step_is_really_taken(rung: str) -> None:
    found = followed(rung)
    config, ids = found.config, TOKENIZER.encode(found.text)
    generator = np.random.default_rng(0)
    weights = {
        name: generator.normal(0, 0.3, size).astype(np.float32)
        for name, size in reference.shapes(config).items()
    }
    d = found.chain.found.weights
    moved = {name: weight - found.step.rate * d[name] for name, weight in weights.items()}
    after = Reference(config, moved, np.float64)
    target = TOKENIZER.encode(found.target)[0]
    again = gradients.chain(after, after.trace(ids), target).found.loss
    assert found.step.after == pytest.approx(again, abs=1e-12)
    assert found.step.after < found.step.before == found.loss
    squares = sum((gradient**2).sum() for gradient in d.values())
    assert found.step.expected == pytest.approx(found.loss - found.step.rate * squares)


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("", TextError, "no character .* takes two"),
        ("s", TextError, "'s' has 1 character .* Give a longer text"),
        ("愛s", TextError, "1 character"),
    ],
)
def test_too_short_a_text(text: str, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        followed(text=text)


@pytest.mark.parametrize("position", [8, 99, -1, -10])
def test_a_position_that_no_letter_follows(position: int) -> None:
    with pytest.raises(SettingError, match=f"--position is {position},.* give 0 to 7"):
        followed(position=position)


def test_unknown_characters_are_replaced_or_refused() -> None:
    assert followed(text="LOVE THIS").target == "s"
    with pytest.raises(UnknownCharacterError, match="'L'"):
        followed(text="LOVE THIS", unknown="error")


def test_a_model_at_its_beginning() -> None:
    """Matrices of zeros: many tensors hold the same numbers, and none is taken for another."""
    for rung in RUNG_NAMES:
        network = build(replace(SMALL, rung=rung), seed=1)
        weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        found = backpropagation.follow(network.config, weights, TOKENIZER, "love this")
        differences = [line.difference for line in found.lines() if line.difference is not None]
        assert len(differences) >= 2 and max(differences) < 1e-10
        assert found.furthest()[1] < 1e-10


def test_the_shortest_text() -> None:
    for rung in RUNG_NAMES:
        found = followed(rung, "hi")
        assert (found.text, found.target) == ("h", "i")
        assert [line.name for line in found.letters()] == ["h"]


def test_as_json() -> None:
    found = followed(text="lov\x1bs")
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert read["text"] == "lov\x1b" and read["target"] == "s"
    assert [line["name"] for line in read["chain"]] == [link.name for link in found.chain.links]
    assert read["chain"][0]["positions"] == [3]
    assert read["loss"]["nats"] == found.loss
    assert set(read["step"]) == {"rate", "before", "after", "expected"}


def test_from_a_run(poems: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.mktemp("run") / "run"
    poet: Poet = babypoet.train(
        text=poems[:3000], out=out, steps=2, block_size=8, n_layer=1, n_head=2, n_kv_head=1,
        n_embd=8, batch_size=2, snapshots=0,
    )  # fmt: skip
    found = poet.backprop("love this", position=4)
    assert (found.text, found.target) == ("love ", "t")
    assert found.furthest()[1] < 1e-10
    logits = poet.reference.forward(poet.tokenizer.encode("love "))
    np.testing.assert_allclose(found.values["logits"], logits, atol=1e-4)
