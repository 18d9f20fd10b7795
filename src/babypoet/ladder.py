"""The ladder: five language models in reading order, each the one before plus one idea.

    from babypoet.config import ModelConfig
    from babypoet.ladder import build
    model = build(ModelConfig(rung="modern", vocab_size=79), seed=0)
    logits, loss = model(idx, targets)          # idx, targets: (B, T) integers below vocab_size

Every rung keeps one contract: `forward(idx, targets=None) -> (logits, loss)`. `logits` are (B, T,
V), the scores of the next character at every position; `loss` is a scalar in nats per character, or
None without targets. The functions below are written out in tensor arithmetic, to be read; `@fused`
names the PyTorch kernel that computes the same thing faster, and a test holds each pair equal.

This file knows nothing of text, training or sampling.

Dimension key
    B  batch: windows side by side             T  time: characters in a window, at most block_size
    V  vocabulary: distinct characters         R  rows of the tables: V + 2, the last two reserved
    C  channels: n_embd                        D  head size: C / H
    H  query heads: n_head                     K  key and value heads: n_kv_head (K divides H)
    F  width of the feed-forward layer

The two reserved rows stand for `<|unk|>` and `<|endoftext|>`, which other programs insist on. They
are never a target, so training pushes them down; they are cut off before logits are returned.
`loss` counts them, as a program that loads all R rows would: it lies above the cross-entropy of the
returned logits by a hair.
"""

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from babypoet.config import ModelConfig

P = ParamSpec("P")
Result = tuple[Tensor, Tensor | None]

_written_out = False


@contextmanager
def written_out() -> Iterator[None]:
    """Inside this context every `@fused` function runs the arithmetic that is written here."""
    global _written_out
    before, _written_out = _written_out, True
    try:
        yield
    finally:
        _written_out = before


def fused(kernel: Callable[P, Tensor]) -> Callable[[Callable[P, Tensor]], Callable[P, Tensor]]:
    """Run `kernel`, PyTorch's equivalent, in place of the arithmetic below the decorator."""

    def decorate(arithmetic: Callable[P, Tensor]) -> Callable[P, Tensor]:
        @functools.wraps(arithmetic)
        def either(*args: P.args, **kwargs: P.kwargs) -> Tensor:
            return (arithmetic if _written_out else kernel)(*args, **kwargs)

        return either

    return decorate


# --- the arithmetic -------------------------------------------------------------------------------


@fused(lambda x: F.softmax(x, dim=-1))
def softmax(x: Tensor) -> Tensor:
    """Turn scores into probabilities along the last axis: e^x / sum(e^x). Shape in, shape out."""
    e = (x - x.amax(dim=-1, keepdim=True)).exp()  # less the maximum, or e^x overflows beyond 88
    return e / e.sum(dim=-1, keepdim=True)


@fused(lambda logits, targets: F.cross_entropy(logits.flatten(0, -2), targets.flatten()))
def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean surprise, -log p(target), in nats: logits (..., V), targets (...) -> a scalar."""
    peak = logits.amax(dim=-1, keepdim=True)
    log_total = (logits - peak).exp().sum(dim=-1, keepdim=True).log() + peak
    log_probability = (logits - log_total).gather(-1, targets.unsqueeze(-1))
    return -log_probability.mean()


@fused(lambda x, weight, bias, eps: F.layer_norm(x, weight.shape, weight, bias, eps))
def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Centre each vector and scale it to variance 1 (Ba et al. 2016, arXiv:1607.06450)."""
    centred = x - x.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    return centred / (variance + eps).sqrt() * weight + bias


@fused(lambda x, weight, eps: F.rms_norm(x, weight.shape, weight.type_as(x), eps))
def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Scale each vector to root mean square 1 (Zhang and Sennrich 2019, arXiv:1910.07467)."""
    return x / (x.square().mean(dim=-1, keepdim=True) + eps).sqrt() * weight


@fused(lambda x: F.gelu(x, approximate="tanh"))
def gelu(x: Tensor) -> Tensor:
    """A ReLU with a soft knee, in GPT-2's tanh form (Hendrycks and Gimpel 2016,
    arXiv:1606.08415)."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@fused(lambda gate, up: F.silu(gate) * up)
def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """One half opens and closes the other: gate * sigmoid(gate) * up (Shazeer 2020,
    arXiv:2002.05202)."""
    return gate * torch.sigmoid(gate) * up


def _attention_kernel(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


@fused(_attention_kernel)
def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Each position looks back and takes a weighted mean of values: (B, H, T, D) -> (B, H, T, D).

    Vaswani et al. 2017, arXiv:1706.03762, equation 1, with the future masked out.
    """
    T, D = q.shape[-2:]
    score = q @ k.transpose(-2, -1) / math.sqrt(D)  # (B, H, T, T)
    future = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(1)  # (T, T)
    score = score.masked_fill(future, float("-inf"))  # (B, H, T, T)
    weight = softmax(score)  # (B, H, T, T)
    return weight @ v


def rope(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn each vector by an angle that grows with its position (Su et al. 2021, arXiv:2104.09864).

    x: (B, H, T, D); cosine, sine: (T, D) from `rope_tables`. Channel i turns together with channel
    i + D/2 (the "half-split" layout of Llama and Qwen), so the dot product of two turned vectors
    depends on their distance alone."""
    a, b = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-b, a), dim=-1) * sine


def rope_tables(block_size: int, head_size: int, base: float) -> tuple[Tensor, Tensor]:
    """The cosine and sine of every position's angles: two tensors of (block_size, head_size)."""
    frequency = base ** (-torch.arange(0, head_size, 2, dtype=torch.float32) / head_size)
    angle = torch.arange(block_size, dtype=torch.float32)[:, None] * frequency  # (T, D/2)
    angle = torch.cat((angle, angle), dim=-1)
    return angle.cos(), angle.sin()


def _split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, heads * D) -> (B, heads, T, D)"""
    B, T, _ = x.shape
    return x.view(B, T, heads, -1).transpose(1, 2)


def _join_heads(x: Tensor) -> Tensor:
    """(B, heads, T, D) -> (B, T, heads * D)"""
    return x.transpose(1, 2).flatten(2)


def _normal(module: nn.Module, std: float = 0.02) -> None:
    """GPT-2's initialisation: weights from N(0, 0.02), biases zero."""
    for name, parameter in module.named_parameters(recurse=False):
        if name == "bias":
            nn.init.zeros_(parameter)
        else:
            nn.init.normal_(parameter, std=std)


def linear(inputs: int, outputs: int, bias: bool = False, std: float = 0.02) -> nn.Linear:
    """A linear layer that starts small: weight (outputs, inputs) from N(0, std), bias zero."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    _normal(layer, std)
    return layer


def embedding(rows: int, width: int, std: float = 0.02) -> nn.Embedding:
    """A table with one learned vector for each row number: (rows, width) from N(0, std)."""
    table = nn.Embedding(rows, width)
    _normal(table, std)
    return table


class Rung(nn.Module):
    """What all rungs share: the settings, and the way from scores to (logits, loss)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    def scores(self, idx: Tensor) -> Tensor:
        """(B, T) character ids -> (B, T, R) scores of what comes next, reserved rows included."""
        raise NotImplementedError

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Result:
        """idx, targets: (B, T) ids -> logits (B, T, V), and the mean loss in nats or None."""
        assert idx.shape[1] <= self.config.block_size, (idx.shape, self.config.block_size)
        scores = self.scores(idx).float()
        loss = None if targets is None else cross_entropy(scores, targets)
        return scores[..., : self.config.vocab_size], loss

    __call__: Callable[..., Result]


# --- V1 -------------------------------------------------------------------------------------------


class Bigram(Rung):
    """V1: a table of letter pairs. The next character is guessed from this one alone."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.table = embedding(config.rows, config.rows)

    def scores(self, idx: Tensor) -> Tensor:
        return self.table(idx)  # (B, T, R)


# --- V2 -------------------------------------------------------------------------------------------


class CausalHead(nn.Module):
    """One head of self-attention: every character asks (query), offers (key) and hands over
    (value)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.query = linear(config.n_embd, config.n_embd, std=config.n_embd**-0.5)
        self.key = linear(config.n_embd, config.n_embd, std=config.n_embd**-0.5)
        self.value = linear(config.n_embd, config.n_embd, std=config.n_embd**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        q = self.query(x).unsqueeze(1)  # (B, 1, T, C)
        k = self.key(x).unsqueeze(1)  # (B, 1, T, C)
        v = self.value(x).unsqueeze(1)  # (B, 1, T, C)
        return causal_attention(q, k, v).squeeze(1)  # (B, T, C)


class Attention(Rung):
    """V2: characters talk to each other.

    Unlike V1: a character is a vector (what it is, plus where it stands), and one attention head
    mixes in the vectors of earlier ones. One layer; nothing is carried around it, and nothing
    is normalised.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.wte = embedding(config.rows, config.n_embd, std=0.5)
        self.wpe = embedding(config.block_size, config.n_embd, std=0.5)
        self.attention = self.mixer(config)
        self.lm_head = linear(config.n_embd, config.rows, bias=True)

    @staticmethod
    def mixer(config: ModelConfig) -> nn.Module:
        """What moves information between positions: (B, T, C) -> (B, T, C)."""
        return CausalHead(config)

    def scores(self, idx: Tensor) -> Tensor:
        position = torch.arange(idx.shape[1], device=idx.device)  # (T,)
        x = self.wte(idx) + self.wpe(position)  # (B, T, C)
        x = self.attention(x)  # (B, T, C)
        return self.lm_head(x)  # (B, T, R)


# --- V3 -------------------------------------------------------------------------------------------


class MultiHeadAttention(nn.Module):
    """Several smaller heads side by side, each free to look for something else, and a projection
    that blends what they found."""

    def __init__(self, config: ModelConfig, bias: bool = False, std: float | None = None) -> None:
        super().__init__()
        C, std = config.n_embd, std or config.n_embd**-0.5
        self.n_head = config.n_head
        self.query = linear(C, C, bias, std)
        self.key = linear(C, C, bias, std)
        self.value = linear(C, C, bias, std)
        self.proj = linear(C, C, bias, std)

    def forward(self, x: Tensor) -> Tensor:
        q = _split_heads(self.query(x), self.n_head)  # (B, H, T, D)
        k = _split_heads(self.key(x), self.n_head)  # (B, H, T, D)
        v = _split_heads(self.value(x), self.n_head)  # (B, H, T, D)
        x = _join_heads(causal_attention(q, k, v))  # (B, T, C)
        return self.proj(x)  # (B, T, C)


class MultiHead(Attention):
    """V3: many heads. Unlike V2: the wide head is cut into n_head narrow ones, and projected."""

    @staticmethod
    def mixer(config: ModelConfig) -> nn.Module:
        return MultiHeadAttention(config)


# --- V4 -------------------------------------------------------------------------------------------


class LayerNorm(nn.Module):
    """`layer_norm` with a learned scale and shift for each channel."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return layer_norm(x, self.weight, self.bias, self.eps)


class MLP(nn.Module):
    """Each position thinks for itself: widen four times, bend, narrow again."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.c_fc = linear(config.n_embd, 4 * config.n_embd, bias=True)
        self.c_proj = linear(4 * config.n_embd, config.n_embd, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = gelu(self.c_fc(x))  # (B, T, F)
        return self.c_proj(x)  # (B, T, C)


class Block(nn.Module):
    """Look around, then think: attention and feed-forward, each added to the passing stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(config.n_embd)
        self.attn = MultiHeadAttention(config, bias=True, std=0.02)
        self.ln_2 = LayerNorm(config.n_embd)
        self.mlp = MLP(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attn(self.ln_1(x)))  # (B, T, C)
        x = x + self.dropout(self.mlp(self.ln_2(x)))  # (B, T, C)
        return x


class Transformer(Rung):
    """V4: the GPT-2 block, as in `transformers`' GPT2LMHeadModel (Radford et al. 2019).

    Unlike V3: a residual stream that every layer reads and adds to, LayerNorm before each reading,
    a feed-forward layer after each attention, n_layer of these blocks, dropout, and
    biases throughout.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.wte = embedding(config.rows, config.n_embd)
        self.wpe = embedding(config.block_size, config.n_embd)
        self.dropout = nn.Dropout(config.dropout)
        self.h = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.ln_f = LayerNorm(config.n_embd)
        self.lm_head = linear(config.n_embd, config.rows)
        # GPT-2: what is added 2 n_layer times starts smaller by the root of that
        for block in self.h:
            assert isinstance(block, Block)
            for layer in (block.attn.proj, block.mlp.c_proj):
                nn.init.normal_(layer.weight, std=0.02 / math.sqrt(2 * config.n_layer))

    def scores(self, idx: Tensor) -> Tensor:
        position = torch.arange(idx.shape[1], device=idx.device)  # (T,)
        x = self.dropout(self.wte(idx) + self.wpe(position))  # (B, T, C)
        for block in self.h:
            x = block(x)  # (B, T, C)
        return self.lm_head(self.ln_f(x))  # (B, T, R)


# --- V5 -------------------------------------------------------------------------------------------


class RMSNorm(nn.Module):
    """`rms_norm` with a learned scale for each channel: LayerNorm less centring and shift."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.eps)


class GroupedQueryAttention(nn.Module):
    """Multi-head attention that knows distances instead of positions.

    Unlike V3's: queries and keys are normalised (so that no score can run away) and turned by RoPE,
    and H / K query heads share each key and value head (Ainslie et al. 2023, arXiv:2305.13245)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        C, D = config.n_embd, config.head_size
        self.n_head, self.n_kv_head = config.n_head, config.n_kv_head
        self.q_proj = linear(C, self.n_head * D, std=C**-0.5)
        self.k_proj = linear(C, self.n_kv_head * D, std=C**-0.5)
        self.v_proj = linear(C, self.n_kv_head * D, std=C**-0.5)
        self.o_proj = linear(self.n_head * D, C, std=0.0)
        self.q_norm = RMSNorm(D)
        self.k_norm = RMSNorm(D)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        q = _split_heads(self.q_proj(x), self.n_head)  # (B, H, T, D)
        k = _split_heads(self.k_proj(x), self.n_kv_head)  # (B, K, T, D)
        v = _split_heads(self.v_proj(x), self.n_kv_head)  # (B, K, T, D)
        q = rope(self.q_norm(q), cosine, sine)  # (B, H, T, D)
        k = rope(self.k_norm(k), cosine, sine)  # (B, K, T, D)
        k = k.repeat_interleave(self.n_head // self.n_kv_head, dim=1)  # (B, H, T, D)
        v = v.repeat_interleave(self.n_head // self.n_kv_head, dim=1)  # (B, H, T, D)
        x = _join_heads(causal_attention(q, k, v))  # (B, T, C)
        return self.o_proj(x)  # (B, T, C)


class SwiGLU(nn.Module):
    """Feed-forward with a gate: half of what was widened decides how much of the rest passes."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = linear(config.n_embd, config.n_hidden, std=config.n_embd**-0.5)
        self.up_proj = linear(config.n_embd, config.n_hidden, std=config.n_embd**-0.5)
        self.down_proj = linear(config.n_hidden, config.n_embd, std=0.0)

    def forward(self, x: Tensor) -> Tensor:
        x = swiglu(self.gate_proj(x), self.up_proj(x))  # (B, T, F)
        return self.down_proj(x)  # (B, T, C)


class ModernBlock(nn.Module):
    """V4's block with RMSNorm, grouped-query attention and SwiGLU in place of its three parts."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.n_embd)
        self.self_attn = GroupedQueryAttention(config)
        self.post_attention_layernorm = RMSNorm(config.n_embd)
        self.mlp = SwiGLU(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        attended = self.self_attn(self.input_layernorm(x), cosine, sine)  # (B, T, C)
        x = x + self.dropout(attended)  # (B, T, C)
        x = x + self.dropout(self.mlp(self.post_attention_layernorm(x)))  # (B, T, C)
        return x


class Modern(Rung):
    """V5: the block of today's open models, as in `transformers`' Qwen3ForCausalLM
    (arXiv:2505.09388).

    Unlike V4: no position table (RoPE turns queries and keys instead), RMSNorm for LayerNorm,
    SwiGLU for GELU, normalised queries and keys, shared key and value heads, no biases. What is
    added to the stream starts at zero, so the untrained model is its embedding and says that every
    character is as likely."""

    cosine: Tensor
    sine: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.embed_tokens = embedding(config.rows, config.n_embd, std=1.0)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(ModernBlock(config) for _ in range(config.n_layer))
        self.norm = RMSNorm(config.n_embd)
        self.lm_head = linear(config.n_embd, config.rows, std=0.0)
        cosine, sine = rope_tables(config.block_size, config.head_size, config.rope_base)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)

    def scores(self, idx: Tensor) -> Tensor:
        T = idx.shape[1]
        cosine = self.cosine[:T]  # (T, D)
        sine = self.sine[:T]  # (T, D)
        x = self.dropout(self.embed_tokens(idx))  # (B, T, C)
        for layer in self.layers:
            x = layer(x, cosine, sine)  # (B, T, C)
        return self.lm_head(self.norm(x))  # (B, T, R)


RUNGS: dict[str, type[Rung]] = {
    "bigram": Bigram,
    "attention": Attention,
    "multihead": MultiHead,
    "transformer": Transformer,
    "modern": Modern,
}


def build(config: ModelConfig, seed: int = 0) -> Rung:
    """A new model of `config.rung` on the CPU, its weights drawn from `seed` and nothing else."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return RUNGS[config.rung](config)
