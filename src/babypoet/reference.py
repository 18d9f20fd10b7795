"""The forward pass of every rung in plain numpy arithmetic: `ladder.py` again, with nothing hidden.

    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    reference = Reference(model.config, weights)
    reference.forward([3, 1, 4])          # (3, V): the logits at every position of one window
    cache = reference.start()
    cache.extend([3, 1, 4])               # (V,): the logits after the last character
    cache.extend([1])                     # (V,): one more character, in well under a millisecond
    reference.trace([3, 1, 4])            # every value on the way, under its name
    Reference(model.config, weights, "float64")    # the same with 16 digits, not 7

It needs no torch, so text starts at once. Classes and names are those of `ladder.py`; read them
side by side. There is one window instead of a batch, and one path instead of two: a whole window is
a cache that was empty before. Linear layers that read the same vector are laid side by side when a
model is loaded, because a single character costs numpy calls, not arithmetic.

`note("weights", x)` gives x back, and keeps it under that name where somebody looks (`trace`);
`values.py` says of each name what it is.

This file does not train, choose characters or read files. `gradients.py` goes the same way back.

Dimension key
    T  the new positions                       N  the positions seen so far, the new ones included
    V  vocabulary: distinct characters         R  rows of the tables: V + 2, the last two reserved
    C  channels: n_embd                        D  head size: C / H
    H  query heads: n_head                     K  key and value heads: n_kv_head (K divides H)
    F  width of the feed-forward layer
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from babypoet.config import ModelConfig
from babypoet.errors import RunError

Array = NDArray[np.float32]
"""Single precision; double where a Reference was asked for it."""
Weights = Mapping[str, Array]
"""The tensors of a model under the names of the ladder's `state_dict()`."""

Note = Callable[[str, Array], Array]
"""`note(name, value)` returns the value; while somebody looks, it is kept under its name."""

# OpenBLAS works alone on a matrix-vector product below 4 * 2304 weights, and on a matrix product
# below 4 * 65536 multiplications (its interface/gemv.c and interface/gemm.c): see `Linear`.
_BLOCK = 9000
_PIECE = 24  # so many positions are read at a time: 24 * 9000 multiplications


def window_start(n: int, block_size: int) -> int:
    """Where the window begins that predicts character `n` from the `n` characters before it.

    Up to `block_size` characters it begins at 0. A full window restarts with its last half, the
    newest character included, and grows until it is full again, so from then on it
    holds max(1, block_size // 2) to block_size characters. It cannot slide by one: each character
    would get a new position, and every key and value that the cache remembers would be wrong. In
    whole numbers: it begins at the first multiple of `step` from which no more than `block_size`
    characters are left.

    >>> [window_start(n, block_size=6) for n in range(1, 16)]
    [0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12]
    """
    step = block_size - max(1, block_size // 2) + 1
    return max(0, -(-(n - block_size) // step) * step)


def unseen(name: str, value: Array) -> Array:
    """What `note` is while nobody looks."""
    return value


def _note_heads(note: Note, x: Array, **heads: int) -> None:
    """Keep the heads of (T, heads, D) under several names, (heads, T, D) each."""
    if note is unseen:
        return
    start = 0
    for name, count in heads.items():
        note(name, x[:, start : start + count].swapaxes(0, 1))
        start += count


# --- the arithmetic -------------------------------------------------------------------------------


def softmax(x: Array, note: Note = unseen) -> Array:
    """Turn scores into probabilities along the last axis: e^x / sum(e^x). Shape in, shape out."""
    peak = x.max(axis=-1, keepdims=True)
    e = note("exponentials", np.exp(x - peak))  # less the maximum: e^x overflows beyond 88
    e /= e.sum(axis=-1, keepdims=True)
    return e


def mean(x: Array) -> Array:
    """The mean along the last axis: (..., C) -> (..., 1). `x.mean` takes twice as long."""
    y: Array = np.add.reduce(x, axis=-1, keepdims=True) / x.shape[-1]
    return y


def layer_norm(x: Array, weight: Array, bias: Array, eps: float, note: Note = unseen) -> Array:
    """Centre each vector and scale it to variance 1 (Ba et al. 2016, arXiv:1607.06450)."""
    centred = x - note(".mean", mean(x))
    root = note(".root", np.sqrt(mean(centred * centred) + eps))
    return note("", centred / root * weight + bias)


def rms_norm(x: Array, weight: Array, eps: float, note: Note = unseen) -> Array:
    """Scale each vector to root mean square 1 (Zhang and Sennrich 2019, arXiv:1910.07467)."""
    root = note(".root", np.sqrt(mean(x * x) + eps))
    return note("", x / root * weight)


def gelu(x: Array) -> Array:
    """A ReLU with a soft knee, in GPT-2's tanh form (Hendrycks, Gimpel 2016, arXiv:1606.08415)."""
    y: Array = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))
    return y


def swiglu(gate: Array, up: Array) -> Array:
    """One half opens and closes the other: gate * sigmoid(gate) * up.

    Shazeer 2020, arXiv:2002.05202.
    """
    y: Array = gate / (1 + np.exp(-gate)) * up
    return y


def causal_attention(q: Array, k: Array, v: Array, note: Note = unseen) -> Array:
    """Each new position looks back and takes a weighted mean of values: q (H, T, D) -> (H, T, D).

    k, v: (K, N, D), of everything seen so far; H / K query heads share each of them. Vaswani et al.
    2017, arXiv:1706.03762, equation 1, with the future masked out.
    """
    H, T, D = q.shape
    K, N, _ = k.shape
    grouped = q.reshape(K, H // K, T, D)
    score = note("scores", grouped @ k[:, None].swapaxes(-2, -1))  # (K, H/K, T, N)
    score = note("scaled", score / math.sqrt(D))  # (K, H/K, T, N)
    if T > 1:  # a single new position has no future to hide
        future = np.arange(N) > np.arange(N - T, N)[:, None]  # (T, N)
        score = np.where(future, np.float32(-np.inf), score)  # (K, H/K, T, N)
    score = note("masked", score)  # (K, H/K, T, N)
    weight = note("weights", softmax(score, note))  # (K, H/K, T, N)
    mixed = note("mixed", weight @ v[:, None])  # (K, H/K, T, D)
    return mixed.reshape(H, T, D)


def rope(x: Array, cosine: Array, signed_sine: Array) -> Array:
    """Turn each vector by an angle that grows with its position (Su et al. 2021, arXiv:2104.09864).

    x: (T, heads, D); cosine, signed_sine: (T, D) from `rope_tables`. Channel i turns together with
    channel i + D/2: each is multiplied by the cosine, and the other, times the sine, is added; the
    sign is already in the table.
    """
    T, heads, D = x.shape
    other_half = x.reshape(T, heads, 2, D // 2)[:, :, ::-1].reshape(T, heads, D)  # (T, heads, D)
    return x * cosine[:, None] + other_half * signed_sine[:, None]


def rope_tables(block_size: int, head_size: int, base: float) -> tuple[Array, Array]:
    """The cosine and the signed sine of every position's angles: (block_size, head_size) each.

    The first half of the channels gets the other half's negative, so its sines carry a minus.
    """
    frequency = base ** (-np.arange(0, head_size, 2, dtype=np.float32) / head_size)  # (D/2,)
    angle = np.arange(block_size, dtype=np.float32)[:, None] * frequency.astype(
        np.float32
    )  # (T, D/2)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.concatenate((cosine, cosine), axis=-1), np.concatenate((-sine, sine), axis=-1)


def split_heads(x: Array, heads: int) -> Array:
    """(T, heads * D) -> (heads, T, D)"""
    return x.reshape(len(x), heads, -1).swapaxes(0, 1)


def join_heads(x: Array) -> Array:
    """(heads, T, D) -> (T, heads * D)"""
    return x.swapaxes(0, 1).reshape(x.shape[1], -1)


# --- what a rung is made of -----------------------------------------------------------------------


class Cache:
    """A model in the middle of a text: the text, and the keys and values of the window so far.

    Made by `Reference.start`. Each `extend` costs only the new characters, except where the window
    restarts (`window_start`): there its last half is read again.
    """

    def __init__(self, model: "Reference") -> None:
        block_size = model.config.block_size
        layers, heads, width = model.rung.remembers
        self.model = model
        self.ids: list[int] = []  # all characters so far
        self.start = 0  # where the window begins in them
        self.length = 0  # how many positions of the window are remembered
        self.key = np.empty(
            (layers, heads, block_size, width), model.dtype
        )  # (n_layer, K, block_size, D)
        self.value = np.empty_like(self.key)  # (n_layer, K, block_size, D)
        self.values: dict[str, Array] | None = None  # what was computed last, where somebody looks

    def extend(self, ids: Sequence[int]) -> Array:
        """Read one or more characters, and return the logits of the next one: (V,)."""
        assert len(ids) > 0, "there is nothing to read"
        self.ids += ids
        start = window_start(len(self.ids), self.model.config.block_size)
        if start != self.start:  # the window restarts, and every position in it is a new one
            self.start, self.length = start, 0
        while (begin := self.start + self.length) < len(self.ids):
            logits = self.model.read(self.ids[begin : begin + _PIECE], self)  # (T, V)
        last: Array = logits[-1]  # (V,)
        return last

    def remember(self, layer: int, k: Array, v: Array) -> tuple[Array, Array]:
        """Keep the new keys and values, (K, T, D) each, and return all so far, (K, N, D) each."""
        T, N = self.length, self.length + k.shape[1]
        self.key[layer, :, T:N] = k
        self.value[layer, :, T:N] = v
        return self.key[layer, :, :N], self.value[layer, :, :N]

    def noting(self, prefix: str) -> Note:
        """The `note` of one part of the model, whose names begin with `prefix`."""
        if self.values is None:
            return unseen
        values = self.values

        def note(name: str, value: Array) -> Array:
            shape = value.shape  # heads that share a key stand in groups: count them through
            values[prefix + name] = value.reshape(-1, *shape[-2:]) if value.ndim == 4 else value
            values[prefix + name] = values[prefix + name].copy()  # some are worked on in place
            return value

        return note


class Rung(Protocol):
    """What all rungs share."""

    remembers: tuple[int, int, int]
    """What a cache must hold: layers, key and value heads, their width."""

    def scores(self, idx: Sequence[int], past: Cache) -> Array:
        """T new character ids -> (T, R) scores of what comes next, reserved rows included."""
        ...


class Linear:
    """One linear layer, or several that read the same vector, side by side as one matrix.

    The matrix is kept in blocks of rows. OpenBLAS spreads a product with more than _BLOCK weights
    over threads; to wake and await them takes longer than a product of our size, and many times
    longer where another program keeps a core busy (measured on 2 cores with a load of 4: 200-2,100
    characters a second with whole matrices, 4,300 with blocks).
    """

    def __init__(self, weights: Weights, prefix: str, *names: str, bias: bool = False) -> None:
        weight = np.concatenate([weights[f"{prefix}{name}.weight"] for name in names])
        self.outputs, inputs = weight.shape
        blocks = -(-weight.size // _BLOCK)
        rows = -(-self.outputs // blocks)
        padded = np.zeros((blocks * rows, inputs), weight.dtype)
        padded[: self.outputs] = weight
        self.blocks = padded.reshape(blocks, rows, inputs).swapaxes(1, 2)  # (blocks, inputs, rows)
        self.bias = (
            np.concatenate([weights[f"{prefix}{name}.bias"] for name in names]) if bias else None
        )

    def __call__(self, x: Array) -> Array:
        """(T, inputs) -> (T, outputs)"""
        y: Array = (x @ self.blocks).swapaxes(0, 1)
        y = y.reshape(len(x), -1)[:, : self.outputs]  # (T, outputs)
        return y if self.bias is None else y + self.bias


# --- V1 -------------------------------------------------------------------------------------------


class Bigram:
    """V1: a table of letter pairs."""

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self.remembers = (0, 0, 0)
        self.table = weights["table.weight"]

    def scores(self, idx: Sequence[int], past: Cache) -> Array:
        return past.noting("")("scores", self.table[idx])  # (T, R)


# --- V2 -------------------------------------------------------------------------------------------


def _embedded(wte: Array, wpe: Array, idx: Sequence[int], past: Cache) -> Array:
    """What each character is plus where it stands: (T, C)."""
    note = past.noting("")
    what = note("embedding", wte[idx])  # (T, C)
    where = note("positions", wpe[past.length : past.length + len(idx)])  # (T, C)
    return note("input", what + where)  # (T, C)


class CausalHead:
    """One head of self-attention."""

    def __init__(self, weights: Weights, prefix: str) -> None:
        self.qkv = Linear(weights, prefix, "query", "key", "value")

    def __call__(self, x: Array, past: Cache) -> Array:
        note = past.noting("blocks.0.attention.")
        q, k, v = split_heads(self.qkv(x), 3)[:, None]  # (1, T, C) each
        q = note("query", q)  # (1, T, C)
        k, v = past.remember(0, note("key", k), note("value", v))  # (1, N, C) each
        x = causal_attention(q, k, v, note).squeeze(0)  # (T, C)
        return note("output", x)  # (T, C)


class Attention:
    """V2: characters talk to each other."""

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self.remembers = (1, 1, config.n_embd)
        self.wte = weights["wte.weight"]
        self.wpe = weights["wpe.weight"]
        self.attention = CausalHead(weights, "attention.")
        self.lm_head = Linear(weights, "", "lm_head", bias=True)

    def scores(self, idx: Sequence[int], past: Cache) -> Array:
        note = past.noting("")
        x = _embedded(self.wte, self.wpe, idx, past)  # (T, C)
        x = self.attention(x, past)  # (T, C)
        return note("scores", self.lm_head(x))  # (T, R)


# --- V3 -------------------------------------------------------------------------------------------


class MultiHeadAttention:
    """Several smaller heads side by side, and a projection that blends what they found."""

    def __init__(
        self, config: ModelConfig, weights: Weights, prefix: str, layer: int = 0, bias: bool = False
    ) -> None:
        self.n_head, self.layer = config.n_head, layer
        self.name = f"blocks.{layer}.attention."
        self.qkv = Linear(weights, prefix, "query", "key", "value", bias=bias)
        self.proj = Linear(weights, prefix, "proj", bias=bias)

    def __call__(self, x: Array, past: Cache) -> Array:
        note = past.noting(self.name)
        qkv = split_heads(self.qkv(x), 3 * self.n_head)  # (3H, T, D)
        q = note("query", qkv[: self.n_head])  # (H, T, D)
        k = note("key", qkv[self.n_head : -self.n_head])  # (H, T, D)
        v = note("value", qkv[-self.n_head :])  # (H, T, D)
        k, v = past.remember(self.layer, k, v)  # (H, N, D) each
        x = join_heads(causal_attention(q, k, v, note))  # (T, C)
        return note("output", self.proj(x))  # (T, C)


class MultiHead:
    """V3: many heads."""

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self.remembers = (1, config.n_head, config.head_size)
        self.wte = weights["wte.weight"]
        self.wpe = weights["wpe.weight"]
        self.attention = MultiHeadAttention(config, weights, "attention.")
        self.lm_head = Linear(weights, "", "lm_head", bias=True)

    def scores(self, idx: Sequence[int], past: Cache) -> Array:
        note = past.noting("")
        x = _embedded(self.wte, self.wpe, idx, past)  # (T, C)
        x = self.attention(x, past)  # (T, C)
        return note("scores", self.lm_head(x))  # (T, R)


# --- V4 -------------------------------------------------------------------------------------------


class LayerNorm:
    """`layer_norm` with a learned scale and shift for each channel."""

    def __init__(self, weights: Weights, name: str, eps: float = 1e-5) -> None:
        self.weight, self.bias, self.eps = weights[f"{name}.weight"], weights[f"{name}.bias"], eps

    def __call__(self, x: Array, note: Note = unseen) -> Array:
        return layer_norm(x, self.weight, self.bias, self.eps, note)


class MLP:
    """Each position thinks for itself: widen four times, bend, narrow again."""

    def __init__(self, weights: Weights, prefix: str) -> None:
        self.c_fc = Linear(weights, prefix, "c_fc", bias=True)
        self.c_proj = Linear(weights, prefix, "c_proj", bias=True)

    def __call__(self, x: Array, note: Note = unseen) -> Array:
        x = note("hidden", self.c_fc(x))  # (T, F)
        x = note("activated", gelu(x))  # (T, F)
        return note("output", self.c_proj(x))  # (T, C)


def _notes_of_a_block(past: Cache, name: str) -> list[Note]:
    """How a block names what it adds up, its two norms, and its feed-forward layer."""
    if past.values is None:  # most often, and then even the names would cost time
        return [unseen] * 4
    return [past.noting(name + part) for part in ("", "norm_1", "norm_2", "mlp.")]


class Block:
    """Look around, then think: attention and feed-forward, each added to the passing stream."""

    def __init__(self, config: ModelConfig, weights: Weights, layer: int) -> None:
        self.name, prefix = f"blocks.{layer}.", f"h.{layer}."
        self.ln_1 = LayerNorm(weights, prefix + "ln_1")
        self.attn = MultiHeadAttention(config, weights, prefix + "attn.", layer, bias=True)
        self.ln_2 = LayerNorm(weights, prefix + "ln_2")
        self.mlp = MLP(weights, prefix + "mlp.")

    def __call__(self, x: Array, past: Cache) -> Array:
        note, norm_1, norm_2, mlp = _notes_of_a_block(past, self.name)
        x = note("after_attention", x + self.attn(self.ln_1(x, norm_1), past))  # (T, C)
        x = note("after_mlp", x + self.mlp(self.ln_2(x, norm_2), mlp))  # (T, C)
        return x


class Transformer:
    """V4: the GPT-2 block."""

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self.remembers = (config.n_layer, config.n_head, config.head_size)
        self.wte = weights["wte.weight"]
        self.wpe = weights["wpe.weight"]
        self.h = [Block(config, weights, layer) for layer in range(config.n_layer)]
        self.ln_f = LayerNorm(weights, "ln_f")
        self.lm_head = Linear(weights, "", "lm_head")

    def scores(self, idx: Sequence[int], past: Cache) -> Array:
        x = _embedded(self.wte, self.wpe, idx, past)  # (T, C)
        for block in self.h:
            x = block(x, past)  # (T, C)
        return past.noting("")("scores", self.guess(x, past.noting("norm")))  # (T, R)

    def guess(self, x: Array, note: Note = unseen) -> Array:
        """What the model says of the next character, going by the stream: (T, C) -> (T, R)."""
        return self.lm_head(self.ln_f(x, note))  # (T, R)


# --- V5 -------------------------------------------------------------------------------------------


class RMSNorm:
    """`rms_norm` with a learned scale for each channel."""

    def __init__(self, weight: Array, eps: float = 1e-6) -> None:
        self.weight, self.eps = weight, eps

    def __call__(self, x: Array, note: Note = unseen) -> Array:
        return rms_norm(x, self.weight, self.eps, note)


class GroupedQueryAttention:
    """Multi-head attention that knows distances instead of positions.

    Queries and keys are normalised and turned by the same arithmetic, so they go through it
    together.
    """

    def __init__(self, config: ModelConfig, weights: Weights, prefix: str, layer: int) -> None:
        H, K = config.n_head, config.n_kv_head
        scales = [weights[prefix + "q_norm.weight"]] * H + [weights[prefix + "k_norm.weight"]] * K
        self.layer, self.n_head, self.n_kv_head = layer, H, K
        self.name = f"blocks.{layer}.attention."
        self.qkv_proj = Linear(weights, prefix, "q_proj", "k_proj", "v_proj")
        scale = np.stack(scales)  # (H + K, D)
        self.qk_norm = RMSNorm(scale)
        self.o_proj = Linear(weights, prefix, "o_proj")

    def __call__(self, x: Array, cosine: Array, signed_sine: Array, past: Cache) -> Array:
        H, K = self.n_head, self.n_kv_head
        note = past.noting(self.name)
        qkv = self.qkv_proj(x).reshape(len(x), H + K + K, -1)  # (T, H + K + K, D)
        _note_heads(note, qkv, query=H, key=K, value=K)
        qk = self.qk_norm(qkv[:, : H + K], self._noting_both(note))  # (T, H + K, D)
        qk = rope(qk, cosine, signed_sine)  # (T, H + K, D)
        _note_heads(note, qk, query_turned=H, key_turned=K)
        q = qk[:, :H].swapaxes(0, 1)  # (H, T, D)
        k = qk[:, H:].swapaxes(0, 1)  # (K, T, D)
        v = qkv[:, H + K :].swapaxes(0, 1)  # (K, T, D)
        k, v = past.remember(self.layer, k, v)  # (K, N, D) each
        x = join_heads(causal_attention(q, k, v, note))  # (T, C)
        return note("output", self.o_proj(x))  # (T, C)

    def _noting_both(self, note: Note) -> Note:
        """The norm's `note`: one norm for queries and keys, and names for each."""

        def note_both(name: str, x: Array) -> Array:
            kind = {".root": "root", "": "normed"}[name]
            _note_heads(note, x, **{f"query_{kind}": self.n_head, f"key_{kind}": self.n_kv_head})
            return x

        return unseen if note is unseen else note_both


class SwiGLU:
    """A feed-forward layer with a gate."""

    def __init__(self, config: ModelConfig, weights: Weights, prefix: str) -> None:
        self.n_hidden = config.n_hidden
        self.gate_up_proj = Linear(weights, prefix, "gate_proj", "up_proj")
        self.down_proj = Linear(weights, prefix, "down_proj")

    def __call__(self, x: Array, note: Note = unseen) -> Array:
        gate_up = self.gate_up_proj(x)  # (T, 2F)
        gate = note("gate", gate_up[:, : self.n_hidden])  # (T, F)
        up = note("up", gate_up[:, self.n_hidden :])  # (T, F)
        x = note("activated", swiglu(gate, up))  # (T, F)
        return note("output", self.down_proj(x))  # (T, C)


class ModernBlock:
    """V4's block with RMSNorm, grouped-query attention and SwiGLU in place of its three parts."""

    def __init__(self, config: ModelConfig, weights: Weights, layer: int) -> None:
        self.name, prefix = f"blocks.{layer}.", f"layers.{layer}."
        self.input_layernorm = RMSNorm(weights[prefix + "input_layernorm.weight"])
        self.self_attn = GroupedQueryAttention(config, weights, prefix + "self_attn.", layer)
        self.post_attention_layernorm = RMSNorm(weights[prefix + "post_attention_layernorm.weight"])
        self.mlp = SwiGLU(config, weights, prefix + "mlp.")

    def __call__(self, x: Array, cosine: Array, signed_sine: Array, past: Cache) -> Array:
        note, norm_1, norm_2, mlp = _notes_of_a_block(past, self.name)
        attended = self.self_attn(
            self.input_layernorm(x, norm_1), cosine, signed_sine, past
        )  # (T, C)
        x = note("after_attention", x + attended)  # (T, C)
        x = note("after_mlp", x + self.mlp(self.post_attention_layernorm(x, norm_2), mlp))  # (T, C)
        return x


class Modern:
    """V5: the block of today's open models."""

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self.remembers = (config.n_layer, config.n_kv_head, config.head_size)
        self.embed_tokens = weights["embed_tokens.weight"]
        self.layers = [ModernBlock(config, weights, layer) for layer in range(config.n_layer)]
        self.norm = RMSNorm(weights["norm.weight"])
        self.lm_head = Linear(weights, "", "lm_head")
        self.tables = rope_tables(config.block_size, config.head_size, config.rope_base)

    def scores(self, idx: Sequence[int], past: Cache) -> Array:
        note, here = past.noting(""), slice(past.length, past.length + len(idx))
        cosine = note("cosine", self.tables[0][here])  # (T, D)
        signed_sine = note("sine", self.tables[1][here])  # (T, D)
        x = note("input", note("embedding", self.embed_tokens[idx]))  # (T, C)
        for layer in self.layers:
            x = layer(x, cosine, signed_sine, past)  # (T, C)
        return note("scores", self.guess(x, past.noting("norm")))  # (T, R)

    def guess(self, x: Array, note: Note = unseen) -> Array:
        """What the model says of the next character, going by the stream: (T, C) -> (T, R)."""
        return self.lm_head(self.norm(x, note))  # (T, R)


# --- the whole ------------------------------------------------------------------------------------


def shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The name and the shape of every tensor that `ladder.build(config)` has.

    >>> shapes(ModelConfig(rung="bigram", vocab_size=5))
    {'table.weight': (7, 7)}
    """
    R, C, D, F = config.rows, config.n_embd, config.head_size, config.n_hidden
    if config.rung == "bigram":
        return {"table.weight": (R, R)}
    if config.rung == "modern":
        top = {"embed_tokens.weight": (R, C), "norm.weight": (C,), "lm_head.weight": (R, C)}
        layer = {
            "input_layernorm.weight": (C,),
            "self_attn.q_proj.weight": (config.n_head * D, C),
            "self_attn.k_proj.weight": (config.n_kv_head * D, C),
            "self_attn.v_proj.weight": (config.n_kv_head * D, C),
            "self_attn.o_proj.weight": (C, config.n_head * D),
            "self_attn.q_norm.weight": (D,),
            "self_attn.k_norm.weight": (D,),
            "post_attention_layernorm.weight": (C,),
            "mlp.gate_proj.weight": (F, C),
            "mlp.up_proj.weight": (F, C),
            "mlp.down_proj.weight": (C, F),
        }
        return {**top, **_repeated("layers", config.n_layer, layer)}
    top = {
        "wte.weight": (R, C),
        "wpe.weight": (config.block_size, C),
        "lm_head.weight": (R, C),
    }
    heads = {f"{name}.weight": (C, C) for name in ("query", "key", "value", "proj")}
    if config.rung == "transformer":
        layer = {f"attn.{name}": shape for name, shape in heads.items()}
        layer |= {f"attn.{name}.bias": (C,) for name in ("query", "key", "value", "proj")}
        layer |= {
            f"{name}.{kind}": (C,) for name in ("ln_1", "ln_2") for kind in ("weight", "bias")
        }
        layer |= {"mlp.c_fc.weight": (4 * C, C), "mlp.c_fc.bias": (4 * C,)}
        layer |= {"mlp.c_proj.weight": (C, 4 * C), "mlp.c_proj.bias": (C,)}
        ln_f = {"ln_f.weight": (C,), "ln_f.bias": (C,)}
        return {**top, **ln_f, **_repeated("h", config.n_layer, layer)}
    if config.rung == "attention":
        del heads["proj.weight"]  # a single head has nothing to blend
    mixer = {f"attention.{name}": shape for name, shape in heads.items()}
    return {**top, "lm_head.bias": (R,), **mixer}


def _repeated(
    name: str, layers: int, tensors: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """The tensors of one layer, once for every layer."""
    return {f"{name}.{i}.{inner}": shape for i in range(layers) for inner, shape in tensors.items()}


def _checked(config: ModelConfig, weights: Weights, dtype: DTypeLike) -> dict[str, Array]:
    """The weights in one precision; one too many, too few or of another shape is a RunError."""
    expected = shapes(config)
    for name in [*expected, *weights]:
        want = expected.get(name, "no such tensor")
        have = np.shape(weights[name]) if name in weights else "no such tensor"
        if want != have:
            raise RunError(
                f"These are not the weights of this {config.rung} model: for {name} its settings "
                f"say {want}, and the weights have {have}. Use the settings that the weights were "
                "trained with."
            )
    return {name: np.ascontiguousarray(weights[name], dtype=dtype) for name in expected}


RUNGS: dict[str, Callable[[ModelConfig, Weights], Rung]] = {
    "bigram": Bigram,
    "attention": Attention,
    "multihead": MultiHead,
    "transformer": Transformer,
    "modern": Modern,
}


class Reference:
    """A model that can be read: its settings and weights, computed in numpy."""

    def __init__(
        self, config: ModelConfig, weights: Weights, dtype: DTypeLike = np.float32
    ) -> None:
        """`weights`: the tensors of `shapes(config)` and no other, or RunError names the first.

        `dtype`: how precisely to compute. In float64 only rounding is less: RoPE's tables stay the
        float32 ones that the model was trained with.
        """
        self.config, self.dtype = config, np.dtype(dtype)
        self.weights = _checked(config, weights, dtype)
        self.rung: Rung = RUNGS[config.rung](config, self.weights)

    def forward(self, ids: Sequence[int]) -> Array:
        """One window of at most block_size ids -> the logits at every position, (T, V)."""
        return self.read(ids, self.start())

    def start(self) -> Cache:
        """A new text: nothing read yet."""
        return Cache(self)

    def read(self, ids: Sequence[int], past: Cache) -> Array:
        """T ids that follow what `past` holds -> the logits at each, (T, V); `past` is updated."""
        V, N = self.config.vocab_size, past.length + len(ids)
        assert past.length < N <= self.config.block_size, (past.length, N, self.config.block_size)
        assert min(ids) >= 0 and max(ids) < V, (min(ids), max(ids), V)
        # e^-gate may reach infinity, and the gate is then rightly 0
        with np.errstate(over="ignore"):
            scores = self.rung.scores(ids, past)  # (T, R)
        past.length = N
        return past.noting("")("logits", scores[:, :V])  # (T, V)

    def trace(self, ids: Sequence[int]) -> dict[str, Array]:
        """Read one window of at most block_size ids, and return every value on the way by its name.

        They stand in the order in which they are computed; `values.py` says what each is. Each is
        computed for all T positions at once. `guess.j` comes last: what the model would say if the
        stream ended after j blocks (the "logit lens": nostalgebraist 2020).
        """
        past = self.start()
        past.values = values = {"ids": np.asarray(ids)}
        values["probabilities"] = softmax(self.read(ids, past))  # (T, V)
        if isinstance(self.rung, Transformer | Modern):
            streams = [x for name, x in values.items() if name == "input" or ".after_mlp" in name]
            for layer, x in enumerate(streams):
                logits = self.rung.guess(x)[:, : self.config.vocab_size]  # (T, V)
                values[f"guess.{layer}"] = softmax(logits)  # (T, V)
        return values
