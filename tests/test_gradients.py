"""Gradients by hand against autograd, against finite differences, and in training.

Weights are all random, since the ladder starts some at zero, which would hide whatever is
multiplied by them. Sizes are pairwise distinct, so that no two axes can be confused unnoticed: T 5,
V 11, R 13, block_size 7, C 24, H 6, K 3, D 4, F 64 or 96, 2 layers.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_shape_comments import ShapeCheck, planted

from babypoet import backpropagation, gradients, ladder, reference, values
from babypoet.config import RUNG_NAMES, ModelConfig
from babypoet.reference import Array, Reference

SMALL = ModelConfig(
    vocab_size=11, block_size=7, n_layer=2, n_head=6, n_kv_head=3, n_embd=24, dropout=0.0
)
IDS, TARGETS = [3, 0, 7, 3, 10], [0, 7, 3, 10, 3]  # 3 comes twice, and is a target twice
T = len(IDS)
LOOK_BACK = [name for name in RUNG_NAMES if name != "bigram"]
NOT_ON_THE_WAY = {"ids", "cosine", "sine", "probabilities"}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny products wait for busy cores when they are spread over threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def random_weights(config: ModelConfig, seed: int = 0) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    return {
        name: generator.normal(0, 0.4, size).astype(np.float32)
        for name, size in reference.shapes(config).items()
    }


def random_model(rung: str, config: ModelConfig = SMALL, seed: int = 0) -> Reference:
    config = replace(config, rung=rung)
    return Reference(config, random_weights(config, seed), np.float64)


def furthest(own: dict[str, Array], other: dict[str, Array]) -> float:
    """The largest difference between gradients of the same names."""
    assert own.keys() == other.keys()
    assert all(own[name].shape == other[name].shape for name in own)
    return max(float(np.abs(own[name] - other[name]).max()) for name in own)


# --- against autograd -----------------------------------------------------------------------------


@pytest.mark.parametrize("rung", RUNG_NAMES)
@pytest.mark.parametrize("positions", [None, [2], [0, 3]], ids=["all", "one", "two"])
def test_every_gradient_is_autograds(rung: str, positions: list[int] | None) -> None:
    model = random_model(rung)
    traced = model.trace(IDS)
    own = gradients.backward(model, traced, TARGETS, positions)
    chosen = list(range(T)) if positions is None else positions
    other = backpropagation.autograd(model, traced, TARGETS, chosen)
    assert abs(own.loss - other.loss) < 1e-12
    assert furthest(own.values, {name: other.values[name] for name in own.values}) < 1e-10
    assert furthest(own.weights, other.weights) < 1e-10
    assert all(np.abs(d).max() > 1e-6 for n, d in own.weights.items() if "key.bias" not in n)


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_every_value_on_the_way_has_a_gradient_of_its_shape(rung: str) -> None:
    model = random_model(rung)
    traced = model.trace(IDS)
    found = gradients.backward(model, traced, TARGETS)
    shown = NOT_ON_THE_WAY | {name for name in traced if name.startswith("guess.")}
    assert list(found.values) == [name for name in traced if name not in shown]
    assert all(d.shape == traced[name].shape for name, d in found.values.items())
    assert {name: d.shape for name, d in found.weights.items()} == reference.shapes(model.config)


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_the_loss_is_the_ladders(rung: str) -> None:
    """The mean over all rows, the reserved ones included, as training counts it."""
    config = replace(SMALL, rung=rung)
    weights = random_weights(config)
    network = ladder.build(config).eval()
    network.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    _, expected = network(torch.tensor([IDS]), torch.tensor([TARGETS]))
    model = Reference(config, weights, np.float64)
    assert gradients.backward(model, model.trace(IDS), TARGETS).loss == pytest.approx(
        expected.item(), rel=1e-5
    )


@st.composite
def small_configs(draw: st.DrawFn) -> ModelConfig:
    """Sizes of which no two are equal, but for a D or H that another rung does not use."""
    K, groups = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    D = 2 * draw(st.integers(1, 4))
    return ModelConfig(
        rung=draw(st.sampled_from(RUNG_NAMES)),
        vocab_size=draw(st.integers(2, 20)),
        block_size=draw(st.integers(1, 9)),
        n_layer=draw(st.integers(1, 3)),
        n_head=K * groups,
        n_kv_head=K,
        n_embd=K * groups * D,
    )


@settings(max_examples=40)
@given(small_configs(), st.data())
def test_whatever_the_sizes_gradients_are_autograds(
    config: ModelConfig, data: st.DataObject
) -> None:
    length = data.draw(st.integers(1, config.block_size))
    an_id = st.integers(0, config.vocab_size - 1)
    ids, targets = (data.draw(st.lists(an_id, min_size=length, max_size=length)) for _ in "xy")
    model = random_model(config.rung, config, seed=length)
    traced = model.trace(ids)
    own = gradients.backward(model, traced, targets)
    other = backpropagation.autograd(model, traced, targets, list(range(length)))
    assert furthest(own.weights, other.weights) < 1e-10
    both = own.values.keys() & other.values.keys()
    assert furthest({n: own.values[n] for n in both}, {n: other.values[n] for n in both}) < 1e-10


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_single_precision_stays_single(rung: str) -> None:
    config = replace(SMALL, rung=rung)
    model = Reference(config, random_weights(config))
    found = gradients.backward(model, model.trace(IDS), TARGETS)
    assert {d.dtype for d in (*found.values.values(), *found.weights.values())} == {
        np.dtype(np.float32)
    }
    exact = gradients.backward(random_model(rung), random_model(rung).trace(IDS), TARGETS)
    assert furthest(found.weights, exact.weights) < 1e-4


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_double_precision_is_double_throughout(rung: str) -> None:
    double, single = random_model(rung), Reference(replace(SMALL, rung=rung), {
        name: w.astype(np.float32) for name, w in random_model(rung).weights.items()
    })  # fmt: skip
    traced = double.trace(IDS)
    computed = {n: x for n, x in traced.items() if n not in ("ids", "cosine", "sine")}
    assert {x.dtype for x in computed.values()} == {np.dtype(np.float64)}
    assert double.start().extend(IDS).dtype == np.float64
    difference = np.abs(double.forward(IDS) - single.forward(IDS)).max()
    assert difference < 1e-4
    assert (difference > 0) == (rung != "bigram")  # a table is only looked up


# --- against finite differences -------------------------------------------------------------------


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_a_nudge_does_what_the_gradient_says(rung: str) -> None:
    """A third opinion, which knows nothing of derivatives: three entries of every tensor."""
    model = random_model(rung)
    found = gradients.backward(model, model.trace(IDS), TARGETS)
    generator, h = np.random.default_rng(1), 1e-5

    def loss(name: str, weight: Array) -> float:
        other = Reference(model.config, {**model.weights, name: weight}, np.float64)
        return gradients.backward(other, other.trace(IDS), TARGETS).loss

    for name, weight in model.weights.items():
        for entry in generator.integers(0, weight.size, 3):
            nudge = np.zeros_like(weight)
            nudge.flat[entry] = h
            rise = (loss(name, weight + nudge) - loss(name, weight - nudge)) / (2 * h)
            assert rise == pytest.approx(found.weights[name].flat[entry], rel=1e-4, abs=1e-8), name


# --- what must be exactly so ----------------------------------------------------------------------


@pytest.mark.parametrize("rung", RUNG_NAMES)
@pytest.mark.parametrize("position", range(T - 1))
def test_a_loss_says_nothing_to_what_came_later(rung: str, position: int) -> None:
    """Exactly zero: not to any value at a later position, and so not to a later character."""
    model = random_model(rung)
    found = gradients.backward(model, model.trace(IDS), TARGETS, [position])
    for name, d in found.values.items():
        assert not d[..., position + 1 :, :].any(), name
    assert found.values["scores"][position].any()


@pytest.mark.parametrize("rung", LOOK_BACK)
def test_rows_that_were_not_read_hear_nothing(rung: str) -> None:
    found = gradients.backward(random_model(rung), random_model(rung).trace(IDS), TARGETS)
    table = found.weights["embed_tokens.weight" if rung == "modern" else "wte.weight"]
    assert set(np.flatnonzero(table.any(axis=1))) == set(IDS)
    if rung != "modern":
        assert set(np.flatnonzero(found.weights["wpe.weight"].any(axis=1))) == set(range(T))


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_a_letter_read_twice_hears_from_both_places(rung: str) -> None:
    found = gradients.backward(random_model(rung), random_model(rung).trace(IDS), TARGETS)
    names = {"bigram": ("table.weight", "scores"), "modern": ("embed_tokens.weight", "embedding")}
    table, rows = names.get(rung, ("wte.weight", "embedding"))
    twice = found.values[rows][0] + found.values[rows][3]
    np.testing.assert_allclose(found.weights[table][3], twice, rtol=1e-12)


def test_what_was_said_less_what_was_right() -> None:
    model = random_model("modern")
    traced = model.trace(IDS)
    d = gradients.backward(model, traced, TARGETS).values["scores"]
    expected = reference.softmax(traced["scores"]) - np.eye(13)[TARGETS]
    np.testing.assert_allclose(d, expected / T, atol=1e-15)
    np.testing.assert_allclose(d.sum(axis=1), 0, atol=1e-15)


def test_a_closed_gate_is_no_warning() -> None:
    """e^-gate overflows in single precision beyond 88; warnings are errors here."""
    config = replace(SMALL, rung="modern")
    weights = random_weights(config)
    weights["layers.0.mlp.gate_proj.weight"] = weights["layers.0.mlp.gate_proj.weight"] * 1e4
    model = Reference(config, weights)
    found = gradients.backward(model, model.trace(IDS), TARGETS)
    assert all(np.isfinite(d).all() for d in found.weights.values())


# --- training -------------------------------------------------------------------------------------


def batches(steps: int, B: int = 3) -> Iterator[tuple[Array, Array]]:
    generator = np.random.default_rng(4)
    for _ in range(steps):
        text = (
            generator.integers(0, 11, (B, 7)).cumsum(axis=1) % 11
        )  # each letter leans on the last
        yield text[:, :-1], text[:, 1:]


class AdamW:
    """Loshchilov and Hutter 2017 (arXiv:1711.05101), in the order of PyTorch's arithmetic."""

    def __init__(self, lr: float, betas: tuple[float, float], eps: float, decay: float) -> None:
        self.lr, self.betas, self.eps, self.decay, self.steps = lr, betas, eps, decay, 0
        self.mean: dict[str, Any] = {}
        self.square: dict[str, Any] = {}

    def step(self, weights: dict[str, Array], d: dict[str, Array]) -> dict[str, Array]:
        self.steps += 1
        (a, b), new = self.betas, {}
        for name, weight in weights.items():
            self.mean[name] = a * self.mean.get(name, 0) + (1 - a) * d[name]
            self.square[name] = b * self.square.get(name, 0) + (1 - b) * d[name] ** 2
            mean = self.mean[name] / (1 - a**self.steps)
            root = np.sqrt(self.square[name] / (1 - b**self.steps)) + self.eps
            new[name] = weight * (1 - self.lr * self.decay) - self.lr * mean / root
        return new


SETTINGS = {"lr": 0.02, "betas": (0.9, 0.95), "eps": 1e-8}


def trained_by_hand(config: ModelConfig, weights: dict[str, Array], steps: int) -> list[float]:
    optimizer, curve = AdamW(**SETTINGS, decay=0.1), []
    for idx, targets in batches(steps):
        loss, d = gradients.loss_and_gradients(config, weights, idx, targets)
        weights = optimizer.step(weights, d)
        curve.append(loss)
    return curve


def trained_by_autograd(config: ModelConfig, weights: dict[str, Array], steps: int) -> list[float]:
    network, curve = backpropagation.network(Reference(config, weights, np.float64)), []
    optimizer = torch.optim.AdamW(network.parameters(), **SETTINGS, weight_decay=0.1)
    for idx, targets in batches(steps):
        scores = network.scores(torch.from_numpy(idx))
        loss = ladder.cross_entropy(scores, torch.from_numpy(targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(loss.item())
    return curve


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_a_model_trained_by_hand_follows_autograds_curve(rung: str) -> None:
    """From the ladder's own beginning, zeros included, with the batch that training would see."""
    config = replace(SMALL, rung=rung)
    start = {n: w.double().numpy() for n, w in ladder.build(config, seed=1).state_dict().items()}
    by_hand = trained_by_hand(config, start, 30)
    np.testing.assert_allclose(by_hand, trained_by_autograd(config, start, 30), rtol=0, atol=1e-8)
    assert by_hand[-1] < by_hand[0] - 0.02


# --- one letter -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_a_chain_leads_from_the_loss_to_the_characters(rung: str) -> None:
    model = random_model(rung)
    traced = model.trace(IDS)
    chain = gradients.chain(model, traced, 3)
    names = [link.name for link in chain.links]
    assert chain.position == T - 1
    assert names[0] == "logits" and names[-1] == ("scores" if rung == "bigram" else "embedding")
    assert names == [name for name in reversed(values.names(model.config)) if name in names]
    assert all(link.gradient.shape == traced[link.name].shape for link in chain.links)
    assert chain.links[0].positions == (T - 1,)
    if rung != "bigram":
        assert chain.links[-1].positions == tuple(range(T))
        earlier = gradients.chain(model, traced, 3, position=1)
        assert earlier.position == 1 and earlier.links[-1].positions == (0, 1)
    size = np.sqrt((chain.links[0].gradient ** 2).mean())
    assert chain.links[0].size == pytest.approx(size)


def test_every_formula_is_of_a_value_and_short_enough_for_a_line() -> None:
    used = {
        (values.pattern(link.name), link.formula)
        for rung in RUNG_NAMES
        for link in gradients.chain(random_model(rung), random_model(rung).trace(IDS), 3).links
    }
    assert used == {(name, formula) for name, formula, _ in gradients.FORMULAS}
    assert max(len(formula) for _, formula in used) <= 33


# --- the tests can fail ---------------------------------------------------------------------------


def differs(module: ModuleType, rung: str) -> float:
    """How far a module's gradients are from autograd's; infinitely where not even shapes agree."""
    model = random_model(rung)
    traced = model.trace(IDS)
    own = module.backward(model, traced, TARGETS)
    other = backpropagation.autograd(model, traced, TARGETS, list(range(T)))
    on_the_way = {name: other.values[name] for name in own.values}
    if any(own.weights[name].shape != d.shape for name, d in other.weights.items()):
        return math.inf
    return max(furthest(own.values, on_the_way), furthest(own.weights, other.weights))


FAULTS = {
    "the scale is missing": ("modern", "d_scaled / math.sqrt(D)", "d_scaled"),
    "the mask is forgotten": (
        "modern",
        'self.values[f"{name}exponentials"], self.values[f"{name}weights"]',
        'np.exp(x := self.values[f"{name}scaled"]), reference.softmax(x)',
    ),
    "a shared key hears from one query head only": (
        "modern",
        "(d_scores.swapaxes(-2, -1) @ grouped).sum(axis=1)",
        "(d_scores.swapaxes(-2, -1) @ grouped)[:, 0]",
    ),
    "a shared value hears the mean": (
        "modern",
        "(w.swapaxes(-2, -1) @ d_mixed).sum(axis=1)",
        "(w.swapaxes(-2, -1) @ d_mixed).mean(axis=1)",
    ),
    "values hear from where they look": (
        "attention",
        "(w.swapaxes(-2, -1) @ d_mixed)",
        "(w @ d_mixed)",
    ),
    "softmax is differentiated entry by entry": (
        "multihead",
        "d - (d * weight).sum(-1, keepdims=True)",
        "d - d * weight",
    ),
    "LayerNorm without the mean's term": ("transformer", "d_centred + d_mean / C", "d_centred"),
    "LayerNorm without the root's term": (
        "transformer",
        "d_normed / root + d_root * centred / (C * root)",
        "d_normed / root",
    ),
    "RMSNorm without the root's term": (
        "modern",
        "d_normed / root + d_root * x / (C * root)",
        "d_normed / root",
    ),
    "a weight's gradient is transposed": ("multihead", "d.T @ x", "x.T @ d"),
    "a linear layer goes forward again": (
        "multihead",
        "return d @ weight, ",
        "return d @ weight.T, ",
    ),
    "a bias hears the mean": ("transformer", "d.T @ x, d.sum(axis=0)", "d.T @ x, d.mean(axis=0)"),
    "RoPE turns on": ("modern", "d * cosine - other_half", "d * cosine + other_half"),
    "a letter read twice hears from one place": (
        "bigram",
        "np.add.at(d_table, ids, d)",
        "d_table[ids] = d",
    ),
    "the mean is a sum": ("bigram", "share[chosen] = 1 / len(chosen)", "share[chosen] = 1"),
    "what was right is not subtracted": ("bigram", "d_scores[rows, targets] -= 1", "pass"),
    "the stream's gradient stops at a block": ("transformer", "return d + d_part", "return d_part"),
    "GELU's slope without its second half": (
        "transformer",
        "slope: Array = (1 + h) / 2 + x / 2 * ",
        "slope: Array = (1 + h) / 2 + 0 * ",
    ),
    "SwiGLU's gate forgets that it is a factor": (
        "modern",
        "s * (1 + gate * (1 - s)), d",
        "s * (1 - s), d",
    ),
    "QK-norm is skipped": ("modern", 'return note("", d_x)', 'return note("", d)'),
    "the position table hears from the end": (
        "attention",
        "d_table[: len(d)] = d",
        "d_table[-len(d) :] = d",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault: str, tmp_path: Path) -> None:
    rung, old, new = FAULTS[fault]
    try:
        module = planted(tmp_path, old, new, Path(gradients.__file__))
        assert differs(module, rung) > 1e-4
    except ValueError as error:  # a wrong shape does not get far
        assert "matmul" in str(error) or "broadcast" in str(error), error


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_without_a_fault_nothing_is_seen(rung: str, tmp_path: Path) -> None:
    assert differs(planted(tmp_path, "math", "math", Path(gradients.__file__)), rung) < 1e-10


# --- shape comments -------------------------------------------------------------------------------


def run_every_rung(module: ModuleType) -> ShapeCheck:
    """Go back through every rung, in sizes that no two dimensions share."""
    check = ShapeCheck(str(module.__file__), own_names=True)
    for rung in RUNG_NAMES:
        H, K = {"attention": (1, 1), "modern": (6, 3)}.get(rung, (6, 6))
        model = random_model(rung, replace(SMALL, n_head=H, n_kv_head=K))
        C = 13 if rung == "bigram" else 24  # its rows are as wide as the vocabulary
        F = model.config.n_hidden if rung == "modern" else 4 * C
        key = {"V": 11, "R": 13, "T": T, "C": C, "D": 24 // H, "H": H, "K": K, "F": F}
        check.run({**key, "block_size": 7}, module.backward, model, model.trace(IDS), TARGETS)
    return check


def test_every_shape_comment_is_true() -> None:
    check = run_every_rung(gradients)
    assert check.wrong == {}
    assert check.unvisited == set()
    assert len({id(comment) for comment in check.at.values()}) > 40


@pytest.mark.parametrize(
    ("old", "new"),
    [("# (K, H/K, T, D)", "# (K, H/K, D, T)"), ("# (rows, C)", "# (C, rows)")],
)
def test_a_wrong_shape_comment_is_seen(old: str, new: str, tmp_path: Path) -> None:
    assert len(run_every_rung(planted(tmp_path, old, new, Path(gradients.__file__))).wrong) == 1
