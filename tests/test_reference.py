"""The numpy forward pass against the torch one, on weights that are all random.

The ladder starts some matrices at zero, which would hide whatever is multiplied by them. Sizes are
pairwise distinct, so that no two axes can be confused unnoticed: V 11, R 13, block_size 7, C 24,
H 4, K 2, D 6, F 64, 3 layers.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from babypoet.config import RUNG_NAMES, ModelConfig
from babypoet.errors import RunError
from babypoet.ladder import Rung, build
from babypoet.reference import (
    Array,
    Linear,
    Reference,
    causal_attention,
    shapes,
    window_start,
)

SMALL = ModelConfig(
    vocab_size=11, block_size=7, n_layer=3, n_head=4, n_kv_head=2, n_embd=24, dropout=0.0
)
# wide enough that matrices are cut into blocks, one of them unevenly, and prompts into pieces
WIDE = replace(SMALL, vocab_size=83, block_size=53, n_layer=2, n_head=6, n_kv_head=3, n_embd=60)
IDS = np.random.default_rng(0).integers(0, 11, 40).tolist()
LOOK_BACK = [name for name in RUNG_NAMES if name != "bigram"]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny products wait for busy cores when they are spread over threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def random_model(config: ModelConfig, seed: int = 0) -> Rung:
    model = build(config).eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.4, generator=generator)
    return model


def weights_of(model: Rung) -> dict[str, Array]:
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def pair(rung: str, config: ModelConfig = SMALL) -> tuple[Rung, Reference]:
    model = random_model(replace(config, rung=rung))
    return model, Reference(model.config, weights_of(model))


@torch.no_grad()
def torch_logits(model: Rung, ids: list[int]) -> Array:
    return model(torch.tensor([ids]))[0][0].numpy()  # (T, V)


def distance(a: Array, b: Array) -> float:
    """The largest difference, relative to the largest value."""
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / np.abs(b).max())


# --- the whole window -----------------------------------------------------------------------------


@pytest.mark.parametrize("rung", RUNG_NAMES)
@pytest.mark.parametrize("config", [SMALL, WIDE, ModelConfig()], ids=["small", "wide", "default"])
def test_shapes_are_the_ladders(rung: str, config: ModelConfig) -> None:
    config = replace(config, rung=rung)
    state = build(config).state_dict()
    assert shapes(config) == {name: tuple(tensor.shape) for name, tensor in state.items()}


@pytest.mark.parametrize("rung", RUNG_NAMES)
@pytest.mark.parametrize("config", [SMALL, WIDE], ids=["small", "wide"])
def test_forward_is_the_ladders(rung: str, config: ModelConfig) -> None:
    model, reference = pair(rung, config)
    for length in (1, 2, 6, config.block_size):
        ids = (IDS * 2)[:length]
        logits = reference.forward(ids)
        assert logits.shape == (length, config.vocab_size)
        assert distance(logits, torch_logits(model, ids)) < 1e-5


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_every_tensor_matters(rung: str) -> None:
    """Or parity would say nothing about it. A key bias adds the same to every score of a query, and
    softmax cancels it, here as in the ladder."""
    model, reference = pair(rung)
    logits = reference.forward(IDS[:7])
    for name, tensor in weights_of(model).items():
        noise = np.random.default_rng(1).normal(size=tensor.shape).astype(np.float32)
        other = Reference(model.config, weights_of(model) | {name: tensor + noise})
        changed = distance(other.forward(IDS[:7]), logits) > 1e-3
        assert changed != name.endswith("key.bias"), name


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_the_future_is_not_seen(rung: str) -> None:
    _, reference = pair(rung)
    for length in range(1, 7):
        other = IDS[:length] + [(i + 1) % 11 for i in IDS[length:7]]
        before = reference.forward(IDS[:7])[:length]
        assert distance(reference.forward(other)[:length], before) < 1e-5


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_single_precision_throughout(rung: str) -> None:
    model = random_model(replace(SMALL, rung=rung))
    doubled = {name: tensor.astype(np.float64) for name, tensor in weights_of(model).items()}
    reference = Reference(model.config, doubled)  # type: ignore[arg-type]
    assert reference.forward(IDS[:5]).dtype == np.float32
    assert reference.start().extend(IDS[:5]).dtype == np.float32


def test_attention_hides_nothing_from_a_single_position() -> None:
    """Three positions at once, and the last of them alone, over five remembered ones."""
    generator = np.random.default_rng(0)
    q, k, v = (
        generator.normal(size=size).astype(np.float32) for size in [(6, 3, 4), (2, 8, 4), (2, 8, 4)]
    )
    together, alone = causal_attention(q, k, v), causal_attention(q[:, 2:], k, v)
    assert together.shape == (6, 3, 4)
    assert distance(alone, together[:, 2:]) < 1e-6
    assert distance(causal_attention(q[:, :1], k, v), together[:, :1]) > 1e-3  # it saw less


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(1, 300), st.integers(1, 5), st.booleans())
def test_a_linear_layer_in_blocks(inputs: int, outputs: int, T: int, bias: bool) -> None:
    generator = np.random.default_rng(inputs * outputs)
    weights = {
        f"{name}.{kind}": generator.normal(size=size).astype(np.float32)
        for name in "ab"
        for kind, size in (("weight", (outputs, inputs)), ("bias", (outputs,)))
    }
    x = generator.normal(size=(T, inputs)).astype(np.float32)
    y = Linear(weights, "", "a", "b", bias=bias)(x)
    for i, name in enumerate("ab"):
        expected = x @ weights[f"{name}.weight"].T + bias * weights[f"{name}.bias"]
        np.testing.assert_allclose(y[:, i * outputs : (i + 1) * outputs], expected, atol=1e-3)


# --- the window rule ------------------------------------------------------------------------------


def windows_by_hand(block_size: int, count: int) -> list[int]:
    """Where windows start, as the story goes: grow, and when full restart with the last half."""
    starts, window = [], 0
    for n in range(1, count + 1):
        window += 1
        if window > block_size:
            window = max(1, block_size // 2)
        starts.append(n - window)
    return starts


@given(st.integers(1, 50))
def test_window_start_is_grow_and_restart(block_size: int) -> None:
    starts = [window_start(n, block_size) for n in range(1, 250)]
    assert starts == windows_by_hand(block_size, 249)


@given(st.integers(1, 10**6), st.integers(1, 10**4))
def test_a_window_is_half_full_to_full(n: int, block_size: int) -> None:
    size = n - window_start(n, block_size)
    assert min(n, max(1, block_size // 2)) <= size <= block_size


@pytest.mark.parametrize("rung", RUNG_NAMES)
@pytest.mark.parametrize("block_size", [1, 2, 3, 7])
def test_cached_is_the_ladders_at_every_length(rung: str, block_size: int) -> None:
    """Teacher-forced, far past the context: one character at a time, and as one prompt."""
    model, reference = pair(rung, replace(SMALL, block_size=block_size))
    cache = reference.start()
    for n in range(1, 31):
        expected = torch_logits(model, IDS[window_start(n, block_size) : n])[-1]
        assert np.abs(cache.extend([IDS[n - 1]]) - expected).max() < 1e-4
        assert np.abs(reference.start().extend(IDS[:n]) - expected).max() < 1e-4


@pytest.mark.parametrize("rung", LOOK_BACK)
def test_another_window_gives_other_logits(rung: str) -> None:
    """So the test above notices a window rule that is off by one."""
    model, reference = pair(rung)
    for n in range(9, 31):
        start = window_start(n, 7)
        logits = reference.start().extend(IDS[:n])
        for wrong in {start - 1, start + 1}:
            if 0 < n - wrong <= 7:
                assert np.abs(logits - torch_logits(model, IDS[wrong:n])[-1]).max() > 1e-3, n


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_a_long_prompt_is_read_in_pieces(rung: str) -> None:
    model, reference = pair(rung, WIDE)
    ids = IDS * 3
    for n in (23, 24, 25, 48, 49, 53, 54, 79, 120):
        expected = torch_logits(model, ids[window_start(n, 53) : n])[-1]
        assert distance(reference.start().extend(ids[:n]), expected) < 1e-5


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(RUNG_NAMES), st.lists(st.integers(1, 12), min_size=1, max_size=8))
def test_it_does_not_matter_how_a_text_is_handed_over(rung: str, sizes: list[int]) -> None:
    _, reference = pair(rung)
    ids = (IDS * 3)[: sum(sizes)]
    cache, rest = reference.start(), ids
    for size in sizes:
        logits, rest = cache.extend(rest[:size]), rest[size:]
    assert np.abs(logits - reference.start().extend(ids)).max() < 1e-4


def test_texts_do_not_mix() -> None:
    _, reference = pair("modern")
    one, two = reference.start(), reference.start()
    one.extend(IDS[:4])
    two.extend(IDS[9:15])
    assert np.abs(one.extend(IDS[4:6]) - reference.start().extend(IDS[:6])).max() < 1e-4


# --- mistakes -------------------------------------------------------------------------------------


def test_wrong_weights_are_named() -> None:
    model = random_model(SMALL)
    weights = weights_of(model)
    wrong = weights | {"lm_head.weight": np.zeros((5, 24), np.float32)}
    with pytest.raises(RunError, match=r"lm_head\.weight.*\(13, 24\).*\(5, 24\)"):
        Reference(model.config, wrong)
    with pytest.raises(RunError, match=r"extra\.weight.*no such tensor.*\(3,\)"):
        Reference(model.config, weights | {"extra.weight": np.zeros(3, np.float32)})
    del weights["norm.weight"]
    with pytest.raises(RunError, match=r"norm\.weight.*\(24,\).*no such tensor"):
        Reference(model.config, weights)


@pytest.mark.parametrize(
    "ids", [[], [0] * 8, [11], [-1]], ids=["none", "too many", "reserved", "negative"]
)
def test_impossible_windows_are_our_own_bugs(ids: list[int]) -> None:
    _, reference = pair("modern")
    with pytest.raises(AssertionError):
        reference.forward(ids)


def test_a_closed_gate_is_no_warning() -> None:
    """e^-gate overflows in single precision beyond 88; warnings are errors here."""
    model = random_model(SMALL)
    weights = weights_of(model)
    weights["layers.0.mlp.gate_proj.weight"] = weights["layers.0.mlp.gate_proj.weight"] * 1e4
    assert np.isfinite(Reference(model.config, weights).forward(IDS[:7])).all()


def test_neither_reading_nor_sampling_imports_torch() -> None:
    code = "import sys, babypoet.reference, babypoet.sampling; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
