"""The ladder: one contract for every rung, causality, the arithmetic, and what each rung shares.

No two sizes here are equal, so swapped axes cannot pass; and most tests give every weight a random
value, because some matrices start at zero and would hide what stands before them.
"""

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from babypoet import ladder
from babypoet.config import RUNG_NAMES, ModelConfig
from babypoet.ladder import Rung, build

B, T, V, BLOCK = 2, 5, 11, 7  # and R = 13, C = 24, H = 6, K = 3, D = 4, F = 96 or 64
TALKING = RUNG_NAMES[1:]  # the rungs in which characters see more than themselves
DEEP = ("transformer", "modern")
ADDED = ("self_attn.o_proj", "mlp.down_proj")  # what a modern block adds to the stream
Randomise = Callable[[Rung, int], Rung]
every_rung = pytest.mark.parametrize("rung", RUNG_NAMES)


def config(rung: str, **changes: Any) -> ModelConfig:
    sizes = {"vocab_size": V, "block_size": BLOCK, "n_layer": 2, "n_head": 6, "n_kv_head": 3}
    return ModelConfig(**{"rung": rung, "n_embd": 24, **sizes, **changes})


def ids(*shape: int, seed: int = 0, below: int = V) -> Tensor:
    """Random characters, none of them reserved."""
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(seed))


def noise(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


# --- the contract ---------------------------------------------------------------------------------


def test_there_is_a_class_for_every_name() -> None:
    assert tuple(ladder.RUNGS) == RUNG_NAMES
    assert all(type(build(config(rung))) is ladder.RUNGS[rung] for rung in RUNG_NAMES)


@every_rung
@pytest.mark.parametrize("length", range(1, BLOCK + 1))
def test_a_rung_gives_logits_and_a_loss(rung: str, length: int, randomise: Randomise) -> None:
    model = randomise(build(config(rung)), 1)
    idx, targets = ids(B, length, seed=2), ids(B, length, seed=3)
    logits, nothing = model(idx)
    again, loss = model(idx, targets)
    assert nothing is None
    assert logits.shape == (B, length, V)
    assert torch.equal(logits, again)
    scores = model.scores(idx)
    assert scores.shape == (B, length, V + 2)
    assert torch.equal(logits, scores[..., :V])
    assert loss.shape == ()
    expected = F.cross_entropy(scores.flatten(0, 1), targets.flatten())
    torch.testing.assert_close(loss, expected)
    assert loss > F.cross_entropy(logits.flatten(0, 1), targets.flatten())  # of V rows alone


@every_rung
def test_reserved_rows_cost_a_hair_and_less_once_trained(rung: str) -> None:
    model = build(ModelConfig(rung, vocab_size=79, block_size=16, n_embd=32))
    idx, targets = ids(3, 16, below=79), ids(3, 16, seed=1, below=79)

    def price() -> float:
        logits, loss = model(idx, targets)
        return (loss - F.cross_entropy(logits.flatten(0, 1), targets.flatten())).item()

    before = price()
    assert before == pytest.approx(math.log(81 / 79), abs=0.01)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.03)
    for _ in range(40):
        optimizer.zero_grad()
        model(idx, targets)[1].backward()
        optimizer.step()
    assert 0 <= price() < 0.9 * before


@every_rung
def test_a_window_longer_than_the_block_is_our_own_bug(rung: str) -> None:
    with pytest.raises(AssertionError, match=str(BLOCK)):
        build(config(rung))(ids(B, BLOCK + 1))


@every_rung
def test_logits_and_loss_are_float32_whatever_the_weights_are(rung: str) -> None:
    logits, loss = build(config(rung)).to(torch.bfloat16)(ids(B, T), ids(B, T))
    assert (logits.dtype, loss.dtype) == (torch.float32, torch.float32)


# --- the beginning --------------------------------------------------------------------------------


@every_rung
@pytest.mark.parametrize("seed", range(4))
def test_an_untrained_model_finds_every_character_about_as_likely(rung: str, seed: int) -> None:
    model = build(ModelConfig(rung, vocab_size=79), seed)
    _, loss = model(ids(8, 64, seed=seed, below=79), ids(8, 64, seed=seed + 9, below=79))
    assert abs(loss.item() - math.log(79)) < 0.1


def test_gpt2s_initialisation() -> None:
    """N(0, 0.02), less by sqrt(2 n_layer) where added to the stream; biases zero, scales one."""
    for name, weight in build(ModelConfig("transformer")).named_parameters():
        if name.endswith("bias"):
            assert not weight.any(), name
        elif "ln_" in name:
            assert (weight == 1).all(), name
        else:
            std = 0.02 / (math.sqrt(8) if "proj" in name else 1)
            assert weight.std().item() == pytest.approx(std, rel=0.05), name
            assert abs(weight.mean().item()) < 0.001, name


def test_an_untrained_modern_model_is_its_embedding() -> None:
    """What is added to the stream, and the output table, start at zero; nothing else does."""
    model = build(config("modern"))
    zero = {name for name, weight in model.named_parameters() if not weight.any()}
    added = {f"layers.{i}.{part}.weight" for i in (0, 1) for part in ADDED}
    assert zero == {"lm_head.weight", *added}


@every_rung
def test_weights_depend_on_the_seed_and_nothing_else(rung: str) -> None:
    def weights(seed: int) -> list[Tensor]:
        return list(build(config(rung), seed).state_dict().values())

    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = weights(seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert all(map(torch.equal, first, weights(seed=5)))
    assert not all(map(torch.equal, first, weights(seed=6)))


@pytest.mark.parametrize("rung", DEEP)
def test_dropout_works_while_training_and_only_then(rung: str, randomise: Randomise) -> None:
    model = randomise(build(config(rung, dropout=0.3)), 1)
    plain = randomise(build(config(rung)), 1)
    idx = ids(B, T)
    assert not torch.equal(model(idx)[0], model(idx)[0])
    assert torch.equal(model.eval()(idx)[0], plain(idx)[0])
    assert torch.equal(plain.train()(idx)[0], plain.eval()(idx)[0])


@pytest.mark.parametrize("rung", DEEP)
def test_dropout_reaches_all_that_enters_the_stream(rung: str, randomise: Randomise) -> None:
    """Where everything is dropped, no block adds anything and no character is seen."""
    model = randomise(build(config(rung, dropout=0.3)), 1)
    parts = dict(model.named_children())
    x, tables = noise(B, T, 24).float(), () if rung == "transformer" else NO_TURN
    for block in parts["h" if rung == "transformer" else "layers"].children():
        assert not torch.equal(block.eval()(x, *tables), x)
        block.get_submodule("dropout").p = 1.0
        assert torch.equal(block.train()(x, *tables), x)
    assert not torch.equal(model.eval()(ids(B, T, seed=1))[0], model(ids(B, T, seed=2))[0])
    parts["dropout"].p = 1.0
    assert torch.equal(model.train()(ids(B, T, seed=1))[0], model(ids(B, T, seed=2))[0])


# --- causality ------------------------------------------------------------------------------------


def influence(model: Rung, idx: Tensor) -> Tensor:
    """[t, s]: the largest derivative of the scores at t by the vector at s: (T, T)."""
    table = next(module for module in model.modules() if isinstance(module, nn.Embedding))
    vectors: list[Tensor] = []
    with table.register_forward_hook(lambda module, arguments, output: vectors.append(output)):
        logits, _ = model(idx)
    mixed = (
        logits @ noise(V, seed=8).float()
    )  # one number for each position, which hides no channel
    rows = [torch.autograd.grad(m.sum(), vectors, retain_graph=True)[0] for m in mixed.unbind(1)]
    return torch.stack([row.abs().amax(dim=(0, 2)) for row in rows])


def assert_causal(model: Rung, idx: Tensor) -> None:
    """Every position is moved by itself and all before it, and by exactly nothing after it."""
    seen = influence(model, idx) > 0
    alone = isinstance(model, ladder.Bigram)
    expected = torch.eye(idx.shape[1]) if alone else torch.ones_like(seen).tril()
    assert torch.equal(seen, expected.bool()), seen.int()


@every_rung
@pytest.mark.parametrize("written_out", [False, True])
def test_no_character_sees_the_future(rung: str, written_out: bool, randomise: Randomise) -> None:
    model = randomise(build(config(rung)), 3)
    if written_out:
        with ladder.written_out():
            assert_causal(model, ids(B, T))
    else:
        assert_causal(model, ids(B, T))


def attention_that_sees(allowed: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """`causal_attention` with another mask: True where a position may look."""

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        everything = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed(everything))

    return attention


TWINS: dict[str, Callable[[Tensor], Tensor]] = {
    "unmasked": lambda everything: everything,
    "one too far": lambda everything: everything.tril(1),
    "mirrored": lambda everything: everything.triu(),
    "itself only": lambda everything: everything.tril().triu(),
    "one back only": lambda everything: everything.tril().triu(-1),
}


@pytest.mark.parametrize("rung", ["attention", "multihead", "transformer", "modern"])
@pytest.mark.parametrize("twin", TWINS)
def test_a_wrong_mask_is_seen(
    rung: str, twin: str, randomise: Randomise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ladder, "causal_attention", attention_that_sees(TWINS[twin]))
    model = randomise(build(config(rung, n_layer=1)), 3)
    with pytest.raises(AssertionError):
        assert_causal(model, ids(B, T))


@every_rung
def test_the_windows_of_a_batch_do_not_touch(rung: str, randomise: Randomise) -> None:
    model = randomise(build(config(rung)), 4)
    idx = ids(B, T)
    alone = [model(window[None])[0] for window in idx]
    torch.testing.assert_close(model(idx)[0], torch.cat(alone))


# --- the arithmetic -------------------------------------------------------------------------------

# name: (the ladder's function, PyTorch's, what it takes, made from x and a seed)
Inputs = Callable[[Tensor, int], tuple[Any, ...]]
PAIRS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], Inputs]] = {
    "softmax": (ladder.softmax, lambda x: x.softmax(-1), lambda x, seed: (x,)),
    "cross_entropy": (
        ladder.cross_entropy,
        lambda x, y: -x.log_softmax(-1).gather(-1, y[..., None]).sum() / y.numel(),
        lambda x, seed: (x, ids(*x.shape[:-1], seed=seed, below=x.shape[-1])),
    ),
    "layer_norm": (
        ladder.layer_norm,
        lambda x, weight, bias, eps: F.layer_norm(x, x.shape[-1:], weight, bias, eps),
        lambda x, seed: (x, noise(x.shape[-1], seed=seed), noise(x.shape[-1], seed=seed + 1), 1e-5),
    ),
    "rms_norm": (
        ladder.rms_norm,
        lambda x, weight, eps: F.rms_norm(x, x.shape[-1:], weight, eps),
        lambda x, seed: (x, noise(x.shape[-1], seed=seed), 1e-6),
    ),
    "gelu": (ladder.gelu, lambda x: F.gelu(x, approximate="tanh"), lambda x, seed: (x,)),
    "swiglu": (
        ladder.swiglu,
        lambda gate, up: F.silu(gate) * up,
        lambda x, seed: (x, noise(*x.shape, seed=seed)),
    ),
    "causal_attention": (
        ladder.causal_attention,
        attention_that_sees(torch.tril),
        lambda x, seed: (x[None], x[None] * 0.5 + noise(1, *x.shape, seed=seed), x[None] - 1),
    ),
}
SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 7))


def assert_the_same(
    one: Callable[..., Tensor], other: Callable[..., Tensor], arguments: tuple[Any, ...]
) -> None:
    """Equal values and equal gradients by every argument that has one."""
    results = []
    for function in (one, other):
        taken = [
            a.clone().requires_grad_() if isinstance(a, Tensor) and a.is_floating_point() else a
            for a in arguments
        ]
        out = function(*taken)
        leaves = [a for a in taken if isinstance(a, Tensor) and a.requires_grad]
        results.append([out, *torch.autograd.grad((out * noise(*out.shape)).sum(), leaves)])
    torch.testing.assert_close(*results, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", PAIRS)
@given(
    shape=SHAPES,
    scale=st.sampled_from([0.01, 1.0, 30.0]),
    offset=st.sampled_from([0.0, 1000.0]),
    seed=st.integers(0, 10**6),
)
def test_the_arithmetic_is_pytorchs(
    name: str, shape: tuple[int, ...], scale: float, offset: float, seed: int
) -> None:
    ours, pytorchs, inputs = PAIRS[name]
    arguments = inputs(noise(*shape, seed=seed) * scale + offset, seed)
    assert_the_same(ours, pytorchs, arguments)
    with ladder.written_out():
        assert_the_same(ours, pytorchs, arguments)


def test_a_closed_gate_has_a_gradient() -> None:
    with ladder.written_out():
        assert_the_same(ladder.swiglu, PAIRS["swiglu"][1], (noise(3, 5) - 1000, noise(3, 5)))


@every_rung
def test_a_model_written_out_is_the_fused_model(rung: str, randomise: Randomise) -> None:
    model = randomise(build(config(rung)), 5).double()
    idx, targets = ids(B, T), ids(B, T, seed=1)

    def run(*weights: Tensor) -> Tensor:
        scores = torch.func.functional_call(
            _Scores(model), dict(zip(names, weights, strict=True)), idx
        )
        return torch.cat([scores.flatten(), ladder.cross_entropy(scores, targets)[None]])

    def run_written_out(*weights: Tensor) -> Tensor:
        with ladder.written_out():
            return run(*weights)

    names = [f"model.{name}" for name, _ in model.named_parameters()]
    assert_the_same(run, run_written_out, tuple(p.detach() for p in model.parameters()))


class _Scores(nn.Module):
    """A model whose forward pass is `scores`, which keeps float64."""

    def __init__(self, model: Rung) -> None:
        super().__init__()
        self.model = model

    def forward(self, idx: Tensor) -> Tensor:
        return self.model.scores(idx)


KERNELS = {
    "bigram": {"cross_entropy"},
    "attention": {"cross_entropy", "scaled_dot_product_attention"},
    "multihead": {"cross_entropy", "scaled_dot_product_attention"},
    "transformer": {"cross_entropy", "scaled_dot_product_attention", "layer_norm", "gelu"},
    "modern": {"cross_entropy", "scaled_dot_product_attention", "rms_norm", "silu"},
}


@every_rung
def test_kernels_run_unless_the_arithmetic_is_asked_for(
    rung: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this the two sides of every comparison above could be the same one."""
    called: list[str] = []

    def spied(name: str) -> Callable[..., Any]:
        kernel = getattr(F, name)
        return lambda *args, **kwargs: (called.append(name), kernel(*args, **kwargs))[1]

    for name in {"softmax"}.union(*KERNELS.values()):
        monkeypatch.setattr(F, name, spied(name))
    model = build(config(rung))
    with ladder.written_out():
        model(ids(B, T), ids(B, T))
    assert called == []
    model(ids(B, T), ids(B, T))
    assert set(called) == KERNELS[rung]


def test_written_out_ends_where_it_should() -> None:
    def is_written_out() -> bool:
        return ladder._written_out

    with ladder.written_out():
        with pytest.raises(ZeroDivisionError), ladder.written_out():
            1 / 0  # noqa: B018
        assert is_written_out()
    assert not is_written_out()
    with pytest.raises(ZeroDivisionError), ladder.written_out():
        1 / 0  # noqa: B018
    assert not is_written_out()


def test_a_fused_function_keeps_its_name_and_its_explanation() -> None:
    assert ladder.softmax.__name__ == "softmax"
    assert "e^x / sum(e^x)" in (ladder.softmax.__doc__ or "")


# --- RoPE -----------------------------------------------------------------------------------------

POSITIONS = st.integers(0, 63)


def turned(x: Tensor, position: int, base: float) -> Tensor:
    """`rope` at one position: (D,) -> (D,)."""
    cosine, sine = ladder.rope_tables(64, x.shape[0], base)
    return ladder.rope(x.view(1, 1, 1, -1), cosine[position, None], sine[position, None]).flatten()


@given(st.integers(1, 8), POSITIONS, st.sampled_from([10.0, 10000.0, 1e6]), st.integers(0, 1000))
def test_rope_is_a_turn_in_the_complex_plane(
    pairs: int, position: int, base: float, seed: int
) -> None:
    """Channel i and channel i + D/2 are one complex number, turned by position / base^(2i/D)."""
    x = noise(2 * pairs, seed=seed)
    angle = torch.tensor([position * base ** (-i / pairs) for i in range(pairs)])
    whole = torch.complex(*x.chunk(2)) * torch.polar(torch.ones(pairs), angle)
    expected = torch.cat([whole.real, whole.imag])
    torch.testing.assert_close(turned(x, position, base), expected, rtol=0, atol=1e-4)


@given(st.integers(1, 8), POSITIONS, st.integers(0, 1000))
def test_rope_keeps_lengths_and_leaves_the_first_position_alone(
    pairs: int, position: int, seed: int
) -> None:
    x = noise(2 * pairs, seed=seed)
    assert torch.equal(turned(x, 0, 10000.0), x)
    torch.testing.assert_close(turned(x, position, 10000.0).norm(), x.norm(), rtol=1e-5, atol=0)


@given(st.integers(1, 8), POSITIONS, POSITIONS, st.integers(0, 63), st.integers(0, 1000))
def test_rope_makes_scores_depend_on_distance_alone(
    pairs: int, m: int, n: int, shift: int, seed: int
) -> None:
    q, k = noise(2, 2 * pairs, seed=seed)
    shift = min(shift, 63 - max(m, n))
    near = turned(q, m, 10000.0) @ turned(k, n, 10000.0)
    far = turned(q, m + shift, 10000.0) @ turned(k, n + shift, 10000.0)
    torch.testing.assert_close(near, far, rtol=0, atol=1e-3)


def test_rope_makes_scores_depend_on_distance() -> None:
    """... and not on nothing at all: every distance has a score of its own."""
    q, k = noise(2, 8)
    scores = {round(float(turned(q, m, 10000.0) @ k), 6) for m in range(64)}
    assert len(scores) == 64


# --- what each rung shares with the one before ----------------------------------------------------


def test_one_head_and_an_identity_projection_make_v3_v2(randomise: Randomise) -> None:
    attention = randomise(build(config("attention")), 6)
    multihead = build(config("multihead", n_head=1))
    multihead.load_state_dict({"attention.proj.weight": torch.eye(24), **attention.state_dict()})
    idx = ids(B, T)
    torch.testing.assert_close(multihead(idx)[0], attention(idx)[0])
    assert not torch.allclose(_with(multihead, n_head=6)(idx)[0], attention(idx)[0], atol=1e-2)


def _with(model: Rung, n_head: int) -> Rung:
    """The same weights, cut into another number of heads."""
    model.attention.n_head = n_head
    return model


def test_v4s_attention_without_biases_is_v3s(randomise: Randomise) -> None:
    multihead = randomise(build(config("multihead")), 6).attention
    transformer = randomise(build(config("transformer")), 7).h[0].attn
    weights = transformer.state_dict()
    assert {name for name in weights if name.endswith("weight")} == set(multihead.state_dict())
    zeros = {name: torch.zeros(24) for name in weights if name.endswith("bias")}
    x = noise(B, T, 24).float()
    transformer.load_state_dict({**weights, **multihead.state_dict()})
    assert not torch.allclose(transformer(x), multihead(x), atol=1e-2)  # the biases do something
    transformer.load_state_dict({**multihead.state_dict(), **zeros})
    torch.testing.assert_close(transformer(x), multihead(x))


NAMES = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "o_proj": "proj"}
NO_TURN = (torch.ones(T, 4), torch.zeros(T, 4))


def grouped(randomise: Randomise, n_kv_head: int, seed: int = 8) -> ladder.GroupedQueryAttention:
    model = randomise(build(config("modern", n_kv_head=n_kv_head)), seed)
    attention = model.layers[0].self_attn
    assert isinstance(attention, ladder.GroupedQueryAttention)
    return attention


def test_v5s_attention_without_rope_and_qk_norm_is_v4s(randomise: Randomise) -> None:
    modern = grouped(randomise, n_kv_head=6)
    transformer = ladder.MultiHeadAttention(config("transformer"))
    transformer.load_state_dict(
        {f"{NAMES[name]}.weight": modern.get_parameter(f"{name}.weight") for name in NAMES}
    )
    x = noise(B, T, 24).float()
    with_norm = modern(x, *NO_TURN)
    modern.q_norm = modern.k_norm = nn.Identity()
    torch.testing.assert_close(modern(x, *NO_TURN), transformer(x))
    assert not torch.allclose(with_norm, transformer(x), atol=1e-2)
    turned = modern(x, *ladder.rope_tables(T, 4, 10000.0))
    assert not torch.allclose(turned, transformer(x), atol=1e-2)


@pytest.mark.parametrize("n_kv_head", [1, 2, 3])
def test_shared_heads_are_full_attention_with_repeated_weights(
    n_kv_head: int, randomise: Randomise
) -> None:
    """Query heads 0 .. H/K - 1 share the first key and value head, and so on, as in Qwen3."""
    few, many = grouped(randomise, n_kv_head), grouped(randomise, n_kv_head=6, seed=9)
    weights = few.state_dict()
    for name in ("k_proj.weight", "v_proj.weight"):
        heads = weights[name].view(n_kv_head, 4, 24)
        weights[name] = torch.cat([heads[head * n_kv_head // 6] for head in range(6)])
    many.load_state_dict(weights)
    x, tables = noise(B, T, 24).float(), ladder.rope_tables(T, 4, 10000.0)
    torch.testing.assert_close(few(x, *tables), many(x, *tables))


@pytest.mark.parametrize("rung", DEEP)
def test_blocks_that_add_nothing_leave_the_embedding(rung: str, randomise: Randomise) -> None:
    model = randomise(build(config(rung)), 10)
    idx = ids(B, T)
    before = model.scores(idx)
    w = model.state_dict()  # shares its memory with the model
    for name, weight in w.items():
        if any(last in name for last in ("attn.proj", "c_proj", "o_proj", "down_proj")):
            weight.zero_()
    if rung == "transformer":
        x = w["wte.weight"][idx] + w["wpe.weight"][:T]
        x = F.layer_norm(x, (24,), w["ln_f.weight"], w["ln_f.bias"], 1e-5)
    else:
        x = F.rms_norm(w["embed_tokens.weight"][idx], (24,), w["norm.weight"], 1e-6)
    torch.testing.assert_close(model.scores(idx), x @ w["lm_head.weight"].T)
    assert not torch.allclose(before, model.scores(idx), atol=1e-2)


# --- what each rung shares with the world ---------------------------------------------------------


def heads(x: Tensor, number: int) -> Tensor:
    """(B, T, C) -> (B, number, T, C / number)."""
    return torch.stack(x.chunk(number, dim=-1), dim=1)


def attention(w: dict[str, Tensor], idx: Tensor) -> Tensor:
    """Equation 1 of Vaswani et al. 2017 for one head, a position and a window at a time."""
    windows = []
    for window in idx:
        x = w["wte.weight"][window] + w["wpe.weight"][: len(window)]
        q, k, v = (x @ w[f"attention.{part}.weight"].T for part in ("query", "key", "value"))
        seen = [(q[t] @ k[: t + 1].T / 24**0.5).softmax(-1) @ v[: t + 1] for t in range(len(x))]
        windows.append(torch.stack(seen) @ w["lm_head.weight"].T + w["lm_head.bias"])
    return torch.stack(windows)


def gpt2(w: dict[str, Tensor], idx: Tensor, n_layer: int, n_head: int) -> Tensor:
    """GPT-2 (Radford et al. 2019) without weight tying, in PyTorch's own functions."""
    C = (w["wte.weight"].shape[1],)
    x = F.embedding(idx, w["wte.weight"]) + w["wpe.weight"][: idx.shape[1]]
    for h in (f"h.{i}." for i in range(n_layer)):
        n = F.layer_norm(x, C, w[h + "ln_1.weight"], w[h + "ln_1.bias"], 1e-5)
        q, k, v = (
            heads(F.linear(n, w[f"{h}attn.{part}.weight"], w[f"{h}attn.{part}.bias"]), n_head)
            for part in ("query", "key", "value")
        )
        y = torch.cat(F.scaled_dot_product_attention(q, k, v, is_causal=True).unbind(1), dim=-1)
        x = x + F.linear(y, w[h + "attn.proj.weight"], w[h + "attn.proj.bias"])
        n = F.layer_norm(x, C, w[h + "ln_2.weight"], w[h + "ln_2.bias"], 1e-5)
        y = F.gelu(
            F.linear(n, w[h + "mlp.c_fc.weight"], w[h + "mlp.c_fc.bias"]), approximate="tanh"
        )
        x = x + F.linear(y, w[h + "mlp.c_proj.weight"], w[h + "mlp.c_proj.bias"])
    x = F.layer_norm(x, C, w["ln_f.weight"], w["ln_f.bias"], 1e-5)
    return F.linear(x, w["lm_head.weight"])


def qwen3(w: dict[str, Tensor], idx: Tensor, n_layer: int, n_head: int, n_kv_head: int) -> Tensor:
    """Qwen3 (arXiv:2505.09388) with an output table of its own, in PyTorch's own functions."""
    D = w["embed_tokens.weight"].shape[1] // n_head

    def norm(x: Tensor, name: str) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], w[name + ".weight"], 1e-6)

    def rotate(
        x: Tensor,
    ) -> Tensor:  # (B, heads, T, D): channels i and i + D/2 are a complex number
        frequency = 1 / 10000.0 ** (torch.arange(0, D, 2).double() / D)
        angle = torch.outer(torch.arange(x.shape[2]).double(), frequency)
        z = torch.complex(x[..., : D // 2], x[..., D // 2 :]) * torch.exp(1j * angle)
        return torch.cat((z.real, z.imag), dim=-1)

    x = F.embedding(idx, w["embed_tokens.weight"])
    for p in (f"layers.{i}." for i in range(n_layer)):
        n = norm(x, p + "input_layernorm")
        q = heads(F.linear(n, w[p + "self_attn.q_proj.weight"]), n_head)
        k = heads(F.linear(n, w[p + "self_attn.k_proj.weight"]), n_kv_head)
        v = heads(F.linear(n, w[p + "self_attn.v_proj.weight"]), n_kv_head)
        q, k = rotate(norm(q, p + "self_attn.q_norm")), rotate(norm(k, p + "self_attn.k_norm"))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + F.linear(torch.cat(y.unbind(1), dim=-1), w[p + "self_attn.o_proj.weight"])
        n = norm(x, p + "post_attention_layernorm")
        y = F.silu(F.linear(n, w[p + "mlp.gate_proj.weight"])) * F.linear(
            n, w[p + "mlp.up_proj.weight"]
        )
        x = x + F.linear(y, w[p + "mlp.down_proj.weight"])
    return F.linear(norm(x, "norm"), w["lm_head.weight"])


def test_v2_is_one_head_of_attention(randomise: Randomise) -> None:
    model = randomise(build(config("attention")), 13).double()
    expected = attention(model.state_dict(), ids(B, T))
    torch.testing.assert_close(model.scores(ids(B, T)), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("small", [1.0, 0.01])  # vectors near zero show the norms' eps
def test_v4_is_gpt2(small: float, randomise: Randomise) -> None:
    model = randomise(build(config("transformer")), 11).double()
    w = model.state_dict()
    w["wte.weight"] *= small
    w["wpe.weight"] *= small
    expected = gpt2(w, ids(B, T), n_layer=2, n_head=6)
    torch.testing.assert_close(model.scores(ids(B, T)), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("small", [1.0, 0.01])
def test_v5_is_qwen3(small: float, randomise: Randomise) -> None:
    model = randomise(build(config("modern")), 12).double()
    w = model.state_dict()
    for name in w:
        if any(part in name for part in ("embed", "q_proj", "k_proj")):
            w[name] *= small
    expected = qwen3(w, ids(B, T), n_layer=2, n_head=6, n_kv_head=3)
    torch.testing.assert_close(model.scores(ids(B, T)), expected, rtol=0, atol=1e-5)


def test_weights_have_no_names_that_the_world_would_not_expect() -> None:
    """What an exporter reads: no buffers, and a table row for each character and reserved one."""
    for rung in DEEP:
        model = build(config(rung))
        assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}
        assert model.get_parameter("lm_head.weight").shape == (V + 2, 24)


# --- learning -------------------------------------------------------------------------------------


def bigram_entropy(text: str) -> float:
    """What counting pairs reaches on the text it has counted, in nats per character."""
    firsts, pairs = Counter(text[:-1]), Counter(pairwise(text))
    nats = (-n * math.log(n / firsts[first]) for (first, _), n in pairs.items())
    return sum(nats) / (len(text) - 1)


def whole_text(text: str) -> tuple[ModelConfig, Tensor, Tensor]:
    """A bigram's settings for a text as one window, its inputs and its targets."""
    characters = sorted(set(text))
    idx = torch.tensor([[characters.index(c) for c in text]])
    return ModelConfig("bigram", len(characters), len(text)), idx[:, :-1], idx[:, 1:]


def test_a_table_of_counts_is_the_best_bigram(poems: str) -> None:
    text = poems[:5000]
    settings, idx, targets = whole_text(text)
    model = build(settings)
    counts = torch.zeros(settings.rows, settings.rows, dtype=torch.float64)
    counts.index_put_((idx, targets), torch.ones((), dtype=torch.float64), accumulate=True)
    chances = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    with torch.no_grad():
        model.get_parameter("table.weight").copy_(chances.clamp(min=1e-30).log())
    assert model(idx, targets)[1].item() == pytest.approx(bigram_entropy(text), abs=1e-6)


def test_training_a_bigram_comes_near_its_counts_and_never_below(poems: str) -> None:
    text = poems[:2000]
    settings, idx, targets = whole_text(text)
    model, bound = build(settings), bigram_entropy(text)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.3, weight_decay=0.0)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        _, loss = model(idx, targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < bound + 0.01
    assert min(losses) > bound - 1e-4


def memorised(rung: str, steps: int) -> float:
    """The loss after some steps on one batch, whose windows begin differently but share pairs."""
    idx = ids(4, 9, seed=3)
    idx[:, 0] = torch.arange(4)
    model = build(config(rung, block_size=8))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        _, loss = model(idx[:, :-1], idx[:, 1:])
        loss.backward()
        optimizer.step()
    return loss.item()


@pytest.mark.parametrize("rung", DEEP)
def test_one_batch_can_be_memorised(rung: str) -> None:
    assert memorised(rung, steps=120) < 0.1


def test_a_bigram_cannot_memorise_it() -> None:
    assert memorised("bigram", steps=300) > 0.3


# --- settings -------------------------------------------------------------------------------------


def test_the_base_of_rope_is_the_setting() -> None:
    for base in (10.0, 10000.0):
        model = build(config("modern", rope_base=base))
        for name, table in zip(("cosine", "sine"), ladder.rope_tables(BLOCK, 4, base), strict=True):
            assert torch.equal(model.get_buffer(name), table)
