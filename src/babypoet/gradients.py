"""The backward pass of every rung by hand: what the loss says to every number in the model.

    model = Reference(config, weights, "float64")
    values = model.trace(ids)                          # the forward pass, each value by its name
    found = backward(model, values, targets)           # targets: (T,), the id that came next
    found.loss                                         # the mean of -log p(target), in nats
    found.values["blocks.0.attention.weights"]         # (H, T, T)
    found.weights["layers.0.mlp.up_proj.weight"]       # (F, C)
    loss_and_gradients(config, weights, idx, targets)  # of a batch: all that an optimizer needs
    chain(model, values, target)                       # one letter's loss, back to all letters

Read it beside reference.py, each function here next to the one there that bears its name, and from
that file's end to its beginning. A test holds every gradient equal to PyTorch's autograd.

How to read it. `d x`, in code `d_x`, is the gradient of the loss with respect to x: an array as
large as x which says of each of its numbers how fast the loss rises if that number alone rises.
There is one rule, the chain rule. Where x[i] is used for some y,

    d x[i] = sum over all j of d y[j] * (how fast y[j] rises with x[i])

and where x is used in several places, the sum of what each of them says. Each function takes `d`,
the gradient of its result, and what the forward pass named on the way, and returns the gradients of
its inputs. `mean`, `sum` and `root` go along the last axis, as there.

This file does not choose a step or take one: that is an optimizer's. Dropout is off.

Dimension key: reference.py's. A window is read at once, so N = T.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from babypoet import reference
from babypoet.config import ModelConfig
from babypoet.reference import Array, Note, Reference, Weights, join_heads, split_heads, unseen
from babypoet.values import ALL, GPT2, LEARNED_PLACES, LOOKING, MODERN, STREAM, pattern

Ids = NDArray[np.intp]

# --- the arithmetic, backwards --------------------------------------------------------------------


def cross_entropy(scores: Array, targets: Ids, share: Array) -> tuple[float, Array]:
    """The loss and d scores: scores (T, R), targets (T,), share (T,) -> a number, (T, R).

    The loss is the sum of share[t] * -log p[t, target], where p = softmax(scores); share is 1/T at
    every position for a mean. At one position, with scores s, target y and Z = sum(e^s):

        p[i] = e^s[i] / Z,  so  -log p[y] = log Z - s[y]
        log Z rises with s[i] by e^s[i] / Z = p[i]
        s[y]  rises with s[i] by 1 if i = y, and by 0 else

    Hence d s[i] = share * (p[i] - 1 if i = y, p[i] else): what was said, minus what was right.
    """
    rows = np.arange(len(targets))
    peak = scores.max(axis=-1, keepdims=True)  # (T, 1)
    total = np.log(np.exp(scores - peak).sum(axis=-1, keepdims=True)) + peak  # (T, 1)
    loss = float(((total[:, 0] - scores[rows, targets]) * share).sum())
    d_scores = reference.softmax(scores)  # (T, R)
    d_scores[rows, targets] -= 1
    return loss, d_scores * share[:, None]


def linear(d: Array, x: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Back through y = x @ W^T + b: d (T, O), x (T, I), W (O, I) -> d x, d W, d b as x, W, b.

        y[t, o] = sum over i of x[t, i] * W[o, i], plus b[o]

    y[t, o] rises with x[t, i] by W[o, i], with W[o, i] by x[t, i], and with b[o] by 1. So

        d x[t, i] = sum over o of d y[t, o] * W[o, i]    which is  d y @ W
        d W[o, i] = sum over t of d y[t, o] * x[t, i]    which is  d y^T @ x
        d b[o]    = sum over t of d y[t, o]

    A weight is used at every position, so its gradient is summed over them.
    """
    return d @ weight, d.T @ x, d.sum(axis=0)


def embedding(d: Array, ids: Ids, rows: int) -> Array:
    """Back through y[t] = table[ids[t]]: d (T, C) -> d table (rows, C).

    Row r is used at each t with ids[t] = r, unchanged, so d table[r] is the sum of those d y[t]. A
    character that comes twice hears from both places; one that does not come hears nothing.
    """
    d_table = np.zeros((rows, d.shape[1]), d.dtype)  # (rows, C)
    np.add.at(d_table, ids, d)  # `d_table[ids] += d` would forget all but one of equal ids
    return d_table


def position_table(d: Array, rows: int) -> Array:
    """Back through y[t] = table[t]: d (T, C) -> d table (rows, C).

    Each position uses its own row once, so it gets its own d y[t]; rows beyond T are not used.
    """
    d_table = np.zeros((rows, d.shape[1]), d.dtype)  # (rows, C)
    d_table[: len(d)] = d
    return d_table


def residual(d: Array) -> tuple[Array, Array]:
    """Back through y = x + z: d y -> d x, d z. y rises with either by 1: the gradient is copied.

    This is why deep models learn: along the stream nothing is multiplied, so nothing fades.
    """
    return d, d


def layer_norm(
    d: Array, x: Array, mean: Array, root: Array, weight: Array, note: Note = unseen
) -> tuple[Array, Array, Array]:
    """Back through LayerNorm: d, x (T, C), mean, root (T, 1) -> d x (T, C), d weight, d bias (C,).

        c = x - mean,  root = sqrt(mean(c^2) + eps),  n = c / root,  y = n * weight + bias

    From the end. y rises with n by weight, with weight by n, with bias by 1:

        d n = d y * weight     d weight = sum over t of d y * n     d bias = sum over t of d y

    n rises with root by -c / root^2. root rises with c[i] by c[i] / (C root), since root^2 is
    mean(c^2) + eps, so 2 root * (rise of root) = 2 c[i] / C. c is used twice, in n and in root:

        d root = -sum(d n * c) / root^2
        d c    = d n / root + d root * c / (C root)

    x too is used twice: in c directly, and in the mean, which takes from every c, and which rises
    with each x by 1 / C:

        d mean = -sum(d c)     d x = d c + d mean / C

    Put together, d x = (d n - mean(d n) - n * mean(d n * n)) / root: what would only shift or
    stretch the vector is taken out, since the norm would undo it.
    """
    C = x.shape[-1]
    centred = x - mean  # (T, C)
    d_normed = d * weight  # (T, C)
    d_root = note(".root", -(d_normed * centred).sum(-1, keepdims=True) / root**2)  # (T, 1)
    d_centred = d_normed / root + d_root * centred / (C * root)  # (T, C)
    d_mean = note(".mean", -d_centred.sum(-1, keepdims=True))  # (T, 1)
    return d_centred + d_mean / C, (d * centred / root).sum(axis=0), d.sum(axis=0)


def rms_norm(
    d: Array, x: Array, root: Array, weight: Array, note: Note = unseen
) -> tuple[Array, Array]:
    """Back through RMSNorm: d, x (..., T, C), root (..., T, 1) -> d x (..., T, C), d weight (C,).

        root = sqrt(mean(x^2) + eps),  n = x / root,  y = n * weight

    As in LayerNorm, without the mean:

        d n    = d y * weight              d weight = sum over all positions of d y * n
        d root = -sum(d n * x) / root^2    d x      = d n / root + d root * x / (C root)

    Put together, d x = (d n - n * mean(d n * n)) / root. QK-norm is the same for each head, with D
    channels for C; its one weight serves all heads, and its gradient is summed over them as well.
    """
    C = x.shape[-1]
    d_normed = d * weight  # (..., T, C)
    d_root = note(".root", -(d_normed * x).sum(-1, keepdims=True) / root**2)  # (..., T, 1)
    d_x = d_normed / root + d_root * x / (C * root)  # (..., T, C)
    return d_x, (d * x / root).reshape(-1, C).sum(axis=0)


def gelu(d: Array, x: Array) -> Array:
    """Back through GELU's tanh form: d, x (T, F) -> d x (T, F).

        y = x / 2 * (1 + h),  h = tanh(u),  u = a * (x + b x^3),  a = sqrt(2 / pi),  b = 0.044715

    Each y depends on its own x alone. tanh rises by 1 - tanh^2, u by a * (1 + 3 b x^2), and y by
    the rule for products:

        d x = d y * ((1 + h) / 2 + x / 2 * (1 - h^2) * a * (1 + 3 b x^2))
    """
    a, b = math.sqrt(2 / math.pi), 0.044715
    h = np.tanh(a * (x + b * x**3))  # (T, F)
    slope: Array = (1 + h) / 2 + x / 2 * (1 - h**2) * a * (1 + 3 * b * x**2)  # (T, F)
    return d * slope


def swiglu(d: Array, gate: Array, up: Array) -> tuple[Array, Array]:
    """Back through y = gate * s * up, s = 1 / (1 + e^-gate): d, gate, up (T, F) -> d gate, d up.

    s rises with the gate by e^-gate / (1 + e^-gate)^2 = s * (1 - s). By the rule for products
    gate * s rises by s + gate * s * (1 - s), so

        d gate = d y * up * s * (1 + gate * (1 - s))        d up = d y * gate * s

    gate * s is called SiLU; s * (1 + gate * (1 - s)) is its slope.
    """
    s = np.reciprocal(1 + np.exp(-gate))  # (T, F)
    return d * up * s * (1 + gate * (1 - s)), d * gate * s


def rope(d: Array, cosine: Array, signed_sine: Array) -> Array:
    """Back through RoPE: d (heads, T, D), the tables (T, D) -> d x (heads, T, D): the turn back.

    Channels a and b of a pair become, at the angle of their position,

        a' = a cos - b sin        b' = b cos + a sin

    a' rises with a by cos and b' rises with a by sin; with b it is -sin and cos:

        d a = d a' cos + d b' sin     d b = d b' cos - d a' sin

    which is the same turn by minus the angle: the sign of the sine is changed, and nothing else.
    """
    first, second = np.split(d, 2, axis=-1)  # (..., T, D/2) each
    other_half = np.concatenate((second, first), axis=-1)  # (..., T, D)
    return d * cosine - other_half * signed_sine


def softmax(d: Array, exponentials: Array, weight: Array, note: Note = unseen) -> Array:
    """Back through w = e / S, S = sum(e), e = exp(x - peak): d and all others (..., N) -> d x.

    w[j] rises with e[j] by 1 / S for its own sake, and every w[j] falls by e[j] / S^2 = w[j] / S
    because S has risen. e[i] rises with x[i] by e[i]. So

        d e[i] = (d w[i] - sum over j of d w[j] * w[j]) / S
        d x[i] = d e[i] * e[i] = w[i] * (d w[i] - sum over j of d w[j] * w[j])

    The peak says nothing: it takes the same from every x, and the d x of a row sum to 0.
    """
    above_mean = d - (d * weight).sum(-1, keepdims=True)  # (..., N)
    d_e = note("exponentials", above_mean / exponentials.sum(-1, keepdims=True))  # (..., N)
    return d_e * exponentials


def causal_attention(
    d: Array, q: Array, k: Array, v: Array, exponentials: Array, weight: Array, note: Note = unseen
) -> tuple[Array, Array, Array]:
    """Back through attention: d, q (H, T, D), k, v (K, T, D), the rest (H, T, T) -> d q, d k, d v.

        scores = q @ k^T,  scaled = scores / sqrt(D),  w = softmax(masked),  mixed = w @ v

    mixed[t] = sum over u of w[t, u] * v[u] is two linear layers in one, and so is a score,
    q[t] . k[u]. Position t looks at u, and v[u] and k[u] hear from every t that looked at them:

        d w[t, u] = d mixed[t] . v[u]                  which is  d mixed @ v^T
        d v[u] = sum over t of w[t, u] * d mixed[t]    which is  w^T @ d mixed
        d q[t] = sum over u of d scores[t, u] * k[u]   which is  d scores @ k
        d k[u] = sum over t of d scores[t, u] * q[t]   which is  d scores^T @ q

    Scaling: a score counts for 1 / sqrt(D), and so does its gradient. Mask: what comes was replaced
    by -infinity whatever its score, so that score gets 0. Grouped heads: H / K queries use the same
    k and v, so d k and d v are the sum of what each of them says.
    """
    H, T, D = q.shape
    K = len(k)
    group = (K, H // K, T, -1)
    d_mixed, grouped, w = d.reshape(group), q.reshape(group), weight.reshape(group)
    d_weight = note("weights", (d_mixed @ v[:, None].swapaxes(-2, -1)).reshape(H, T, T))
    d_masked = note("masked", softmax(d_weight, exponentials, weight, note))  # (H, T, T)
    seen = np.tril(np.ones((T, T), np.bool_))  # (T, T)
    d_scaled = note("scaled", np.where(seen, d_masked, 0))  # (H, T, T)
    d_scores = note("scores", d_scaled / math.sqrt(D))  # (H, T, T)
    d_scores = d_scores.reshape(group)  # (K, H/K, T, T)
    d_q = d_scores @ k[:, None]  # (K, H/K, T, D)
    d_k = (d_scores.swapaxes(-2, -1) @ grouped).sum(axis=1)  # (K, T, D)
    d_v = (w.swapaxes(-2, -1) @ d_mixed).sum(axis=1)  # (K, T, D)
    return d_q.reshape(H, T, D), d_k, d_v


# --- what a rung is made of, backwards ------------------------------------------------------------


@dataclass(frozen=True)
class Gradients:
    """A loss, and what it says to every number."""

    loss: float
    """In nats; the mean over the positions that were asked for."""
    values: dict[str, Array]
    """The gradient of each value of the trace that lies between the weights and the loss: from
    `scores` back to `embedding`. Not of what is only shown (probabilities, guess.*), and not of
    what nothing learned leads to (ids, cosine, sine). `logits` is `scores` without two rows."""
    weights: dict[str, Array]
    """The gradient of each learned tensor, under its name."""


class _Way:
    """The way back through one window: what the forward pass left, and what was found so far."""

    def __init__(self, model: Reference, values: dict[str, Array]) -> None:
        self.config, self.learned, self.values = model.config, model.weights, values
        self.ids: Ids = values["ids"].astype(np.intp)
        self.d_values: dict[str, Array] = {}
        self.d_weights: dict[str, Array] = {}

    def noting(self, prefix: str) -> Note:
        """As in the forward pass, but what is kept is the gradient of the value of that name."""

        def note(name: str, gradient: Array) -> Array:
            self.d_values[prefix + name] = gradient.copy()
            return gradient

        return note

    def linear(self, name: str, d: Array, x: Array) -> Array:
        """Back through the linear layer of that name, which has read x."""
        d_x, d_weight, d_bias = linear(d, x, self.learned[f"{name}.weight"])
        self.d_weights[f"{name}.weight"] = d_weight
        if f"{name}.bias" in self.learned:
            self.d_weights[f"{name}.bias"] = d_bias
        return d_x

    def layer_norm(self, name: str, value: str, d: Array, x: Array) -> Array:
        """Back through the LayerNorm of that name, whose result is the value of that name."""
        note = self.noting(value)
        mean, root = self.values[f"{value}.mean"], self.values[f"{value}.root"]
        d_x, d_weight, d_bias = layer_norm(
            note("", d), x, mean, root, self.learned[f"{name}.weight"], note
        )
        self.d_weights |= {f"{name}.weight": d_weight, f"{name}.bias": d_bias}
        return d_x

    def rms_norm(self, name: str, value: str, d: Array, x: Array) -> Array:
        """Back through the RMSNorm of that name, whose result is the value of that name."""
        note, weight = self.noting(value), self.learned[f"{name}.weight"]
        d_x, self.d_weights[f"{name}.weight"] = rms_norm(
            note("", d), x, self.values[f"{value}.root"], weight, note
        )
        return d_x

    def head_norm(self, name: str, prefix: str, kind: str, d: Array) -> Array:
        """Back through QK-norm, for the queries or for the keys: (heads, T, D) -> (heads, T, D)."""
        x, root = self.values[f"{prefix}{kind}"], self.values[f"{prefix}{kind}_root"]
        note, weight = self.noting(f"{prefix}{kind}"), self.learned[f"{name}.weight"]
        d_x, self.d_weights[f"{name}.weight"] = rms_norm(
            note("_normed", d), x, root, weight, lambda _, d_root: note("_root", d_root)
        )
        return note("", d_x)

    def attention(self, name: str, d: Array, turned: str = "") -> tuple[Array, Array, Array]:
        """Back through the attention whose values have that name: d (H, T, D) -> d q, d k, d v."""
        q, k = self.values[f"{name}query{turned}"], self.values[f"{name}key{turned}"]
        v, note = self.values[f"{name}value"], self.noting(name)
        exponentials, weight = self.values[f"{name}exponentials"], self.values[f"{name}weights"]
        return causal_attention(note("mixed", d), q, k, v, exponentials, weight, note)

    def stream(self, layer: int) -> Array:
        """What block `layer` has read: (T, C)."""
        return self.values["input" if layer == 0 else f"blocks.{layer - 1}.after_mlp"]


# --- V1 -------------------------------------------------------------------------------------------


def _bigram(way: _Way, d: Array) -> None:
    """V1: the scores are rows of the table, so it is an embedding. d: (T, R)."""
    way.d_weights["table.weight"] = embedding(d, way.ids, way.config.rows)  # (R, R)


# --- V2 and V3 ------------------------------------------------------------------------------------


def _attention(way: _Way, d: Array) -> None:
    """V2 and V3: the output layer, attention, and the two tables. d: (T, R)."""
    d = way.linear("lm_head", d, way.values["blocks.0.attention.output"])  # (T, C)
    _embedded(way, _look_around(way, d, way.values["input"], 0, "attention."))


def _look_around(way: _Way, d: Array, x: Array, layer: int, prefix: str) -> Array:
    """Attention with one key and value for each query head, as in V2 to V4: (T, C) -> (T, C).

    Query, key and value have all read x, so it hears from all three."""
    name = f"blocks.{layer}.attention."
    note, mixed = way.noting(name), way.values[name + "mixed"]
    d = note("output", d)  # (T, C)
    if way.config.rung != "attention":  # one head has nothing to blend
        d = way.linear(prefix + "proj", d, join_heads(mixed))  # (T, C)
    parts = way.attention(name, split_heads(d, len(mixed)))
    d_x = np.zeros_like(x)  # (T, C)
    for kind, d_part in zip(("query", "key", "value"), parts, strict=True):
        d_x = d_x + way.linear(prefix + kind, join_heads(note(kind, d_part)), x)  # (T, C)
    return d_x


def _embedded(way: _Way, d: Array) -> None:
    """The tables of V2 to V4: what a character is, plus where it stands. d: (T, C)."""
    note = way.noting("")
    d_what, d_where = residual(note("input", d))  # (T, C) each
    way.d_weights["wte.weight"] = embedding(note("embedding", d_what), way.ids, way.config.rows)
    d_where = position_table(note("positions", d_where), way.config.block_size)  # (block_size, C)
    way.d_weights["wpe.weight"] = d_where


# --- V4 -------------------------------------------------------------------------------------------


def _transformer(way: _Way, d: Array) -> None:
    """V4, from the scores to the tables. d: (T, R)."""
    layers = way.config.n_layer
    d = way.linear("lm_head", d, way.values["norm"])  # (T, C)
    d = way.layer_norm("ln_f", "norm", d, way.stream(layers))  # (T, C)
    for layer in reversed(range(layers)):
        d = _block(way, d, layer)  # (T, C)
    _embedded(way, d)


def _block(way: _Way, d: Array, layer: int) -> Array:
    """One block of V4: (T, C) -> (T, C). The stream's gradient passes, and each part adds to it."""
    here, prefix = f"blocks.{layer}.", f"h.{layer}."
    note, x = way.noting(here), way.values[here + "after_attention"]
    d, d_part = residual(note("after_mlp", d))  # (T, C) each
    d_part = way.layer_norm(prefix + "ln_2", here + "norm_2", _mlp(way, d_part, layer), x)  # (T, C)
    d, d_part = residual(note("after_attention", d + d_part))  # (T, C) each
    read = way.values[here + "norm_1"]  # (T, C)
    d_part = _look_around(way, d_part, read, layer, prefix + "attn.")  # (T, C)
    d_part = way.layer_norm(prefix + "ln_1", here + "norm_1", d_part, way.stream(layer))  # (T, C)
    return d + d_part  # (T, C)


def _mlp(way: _Way, d: Array, layer: int) -> Array:
    """V4's feed-forward layer: (T, C) -> (T, C)."""
    here, prefix = f"blocks.{layer}.", f"h.{layer}.mlp."
    note, hidden = way.noting(here + "mlp."), way.values[here + "mlp.hidden"]
    d = way.linear(prefix + "c_proj", note("output", d), way.values[here + "mlp.activated"])
    d = note("hidden", gelu(note("activated", d), hidden))  # (T, F)
    return way.linear(prefix + "c_fc", d, way.values[here + "norm_2"])  # (T, C)


# --- V5 -------------------------------------------------------------------------------------------


def _modern(way: _Way, d: Array) -> None:
    """V5, from the scores to the table. d: (T, R)."""
    layers, note = way.config.n_layer, way.noting("")
    d = way.linear("lm_head", d, way.values["norm"])  # (T, C)
    d = way.rms_norm("norm", "norm", d, way.stream(layers))  # (T, C)
    for layer in reversed(range(layers)):
        d = _modern_block(way, d, layer)  # (T, C)
    d = note("embedding", note("input", d))  # (T, C)
    way.d_weights["embed_tokens.weight"] = embedding(d, way.ids, way.config.rows)  # (R, C)


def _modern_block(way: _Way, d: Array, layer: int) -> Array:
    """One block of V5: (T, C) -> (T, C)."""
    here, prefix = f"blocks.{layer}.", f"layers.{layer}."
    note, x = way.noting(here), way.values[here + "after_attention"]
    d, d_part = residual(note("after_mlp", d))  # (T, C) each
    d_part = _gated_mlp(way, d_part, layer)  # (T, C)
    d_part = way.rms_norm(prefix + "post_attention_layernorm", here + "norm_2", d_part, x)  # (T, C)
    d, d_part = residual(note("after_attention", d + d_part))  # (T, C) each
    d_part = _look_around_in_groups(way, d_part, layer)  # (T, C)
    d_part = way.rms_norm(
        prefix + "input_layernorm", here + "norm_1", d_part, way.stream(layer)
    )  # (T, C)
    return d + d_part  # (T, C)


def _look_around_in_groups(way: _Way, d: Array, layer: int) -> Array:
    """V5's attention, with QK-norm, RoPE and shared keys and values: (T, C) -> (T, C)."""
    name, prefix = f"blocks.{layer}.attention.", f"layers.{layer}.self_attn."
    note, mixed = way.noting(name), way.values[name + "mixed"]
    tables = way.values["cosine"], way.values["sine"]
    d = way.linear(prefix + "o_proj", note("output", d), join_heads(mixed))  # (T, C)
    d_q, d_k, d_v = way.attention(name, split_heads(d, len(mixed)), "_turned")
    d_q = rope(note("query_turned", d_q), *tables)  # (H, T, D)
    d_k = rope(note("key_turned", d_k), *tables)  # (K, T, D)
    d_q = way.head_norm(prefix + "q_norm", name, "query", d_q)  # (H, T, D)
    d_k = way.head_norm(prefix + "k_norm", name, "key", d_k)  # (K, T, D)
    x = way.values[f"blocks.{layer}.norm_1"]  # (T, C)
    d_x = way.linear(prefix + "q_proj", join_heads(d_q), x)  # (T, C)
    d_x = d_x + way.linear(prefix + "k_proj", join_heads(d_k), x)  # (T, C)
    return d_x + way.linear(prefix + "v_proj", join_heads(note("value", d_v)), x)  # (T, C)


def _gated_mlp(way: _Way, d: Array, layer: int) -> Array:
    """V5's feed-forward layer, whose two halves have read the same vector: (T, C) -> (T, C)."""
    here, prefix = f"blocks.{layer}.", f"layers.{layer}.mlp."
    note, x = way.noting(here + "mlp."), way.values[here + "norm_2"]
    gate, up = way.values[here + "mlp.gate"], way.values[here + "mlp.up"]
    d = way.linear(prefix + "down_proj", note("output", d), way.values[here + "mlp.activated"])
    d_gate, d_up = swiglu(note("activated", d), gate, up)  # (T, F) each
    d_x = way.linear(prefix + "gate_proj", note("gate", d_gate), x)  # (T, C)
    return d_x + way.linear(prefix + "up_proj", note("up", d_up), x)  # (T, C)


RUNGS: dict[str, Callable[[_Way, Array], None]] = {
    "bigram": _bigram,
    "attention": _attention,
    "multihead": _attention,
    "transformer": _transformer,
    "modern": _modern,
}


# --- the whole ------------------------------------------------------------------------------------


def backward(
    model: Reference,
    values: dict[str, Array],
    targets: ArrayLike,
    positions: Sequence[int] | None = None,
) -> Gradients:
    """The loss of one window, and its gradient with respect to every value and every weight.

    values: `model.trace(ids)`; targets: (T,), the id that came next at each position. The loss is
    the ladder's, the mean cross-entropy over all R rows; with `positions` the mean over those
    alone. In single precision where the model computes in that.
    """
    scores, wanted = values["scores"], np.asarray(targets, np.intp)
    assert wanted.shape == scores.shape[:1], (wanted.shape, scores.shape)
    share = np.zeros(len(scores), scores.dtype)  # (T,)
    chosen = np.arange(len(scores))[slice(None) if positions is None else list(positions)]
    share[chosen] = 1 / len(chosen)
    loss, d = cross_entropy(scores, wanted, share)
    way = _Way(model, values)
    note = way.noting("")
    note("logits", d[:, : model.config.vocab_size])
    with np.errstate(over="ignore"):  # e^-gate, as in the forward pass
        RUNGS[model.config.rung](way, note("scores", d))
    order = {name: way.d_values[name] for name in values if name in way.d_values}
    return Gradients(loss, order, {name: way.d_weights[name] for name in model.weights})


def loss_and_gradients(
    config: ModelConfig, weights: Weights, idx: ArrayLike, targets: ArrayLike
) -> tuple[float, dict[str, Array]]:
    """The mean loss of a batch, idx and targets (B, T), and its gradient for every weight.

    Windows do not hear of each other, so it is done window by window; the mean of means over
    windows of one length is the mean over all characters. In double precision.
    """
    model = Reference(config, weights, np.float64)
    batch = list(zip(np.asarray(idx).tolist(), np.asarray(targets).tolist(), strict=True))
    loss, total = 0.0, {name: np.zeros_like(weight) for name, weight in model.weights.items()}
    for ids, wanted in batch:
        found = backward(model, model.trace(ids), wanted)
        loss += found.loss / len(batch)
        for name, gradient in found.weights.items():
            total[name] += gradient / len(batch)
    return loss, total


# --- one letter's loss, followed back -------------------------------------------------------------

_QKV = "d q @ W_q + d k @ W_k + d v @ W_v"
_PLAIN = ("attention", "multihead", "transformer")


def _of_a_norm(name: str) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """A norm's root and mean; w is its weight, x what it has read, c = x - mean."""
    last = name.rpartition(".")[2]
    return (
        (f"{name}.root", f"-sum(d {last} * w * c) / root^2", GPT2),
        (f"{name}.root", f"-sum(d {last} * w * x) / root^2", MODERN),
        (f"{name}.mean", "-sum(d c), c = x - mean", GPT2),
    )


FORMULAS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("logits", "p - onehot(the letter that came)", ALL),
    ("scores", "the same, with 2 reserved rows", ALL),
    ("norm", "d scores @ W_head", STREAM),
    *_of_a_norm("norm"),
    ("blocks.*.after_mlp", "from the next norm and sum", STREAM),
    ("blocks.*.mlp.output", "d after_mlp: a sum copies", STREAM),
    ("blocks.*.mlp.activated", "d output @ W_proj", GPT2),
    ("blocks.*.mlp.activated", "d output @ W_down", MODERN),
    ("blocks.*.mlp.hidden", "d activated * slope of GELU", GPT2),
    ("blocks.*.mlp.up", "d activated * SiLU(gate)", MODERN),
    ("blocks.*.mlp.gate", "d activated * up * slope of SiLU", MODERN),
    ("blocks.*.norm_2", "d hidden @ W_fc", GPT2),
    ("blocks.*.norm_2", "d gate @ W_gate + d up @ W_up", MODERN),
    *_of_a_norm("blocks.*.norm_2"),
    ("blocks.*.after_attention", "d after_mlp + through norm_2", STREAM),
    ("blocks.*.attention.output", "d scores @ W_head", ("attention", "multihead")),
    ("blocks.*.attention.output", "d after_attention: a sum copies", STREAM),
    ("blocks.*.attention.mixed", "d output", ("attention",)),
    ("blocks.*.attention.mixed", "d output @ W_out, cut into heads", ("multihead", *STREAM)),
    ("blocks.*.attention.weights", "d mixed @ value^T", LOOKING),
    ("blocks.*.attention.exponentials", "(d weights - weighted mean) / sum", LOOKING),
    ("blocks.*.attention.masked", "d exponentials * exponentials", LOOKING),
    ("blocks.*.attention.scaled", "d masked, and 0 for what comes", LOOKING),
    ("blocks.*.attention.scores", "d scaled / sqrt(D)", LOOKING),
    ("blocks.*.attention.key_turned", "d scores^T @ query_turned, summed", MODERN),
    ("blocks.*.attention.query_turned", "d scores @ key_turned", MODERN),
    ("blocks.*.attention.key_normed", "d key_turned, turned back", MODERN),
    ("blocks.*.attention.query_normed", "d query_turned, turned back", MODERN),
    ("blocks.*.attention.key_root", "-sum(d normed * w * x) / root^2", MODERN),
    ("blocks.*.attention.query_root", "-sum(d normed * w * x) / root^2", MODERN),
    ("blocks.*.attention.value", "weights^T @ d mixed", _PLAIN),
    ("blocks.*.attention.value", "weights^T @ d mixed, summed", MODERN),
    ("blocks.*.attention.key", "d scores^T @ query", _PLAIN),
    ("blocks.*.attention.key", "d normed * w / root + root's part", MODERN),
    ("blocks.*.attention.query", "d scores @ key", _PLAIN),
    ("blocks.*.attention.query", "d normed * w / root + root's part", MODERN),
    ("blocks.*.norm_1", _QKV, STREAM),
    *_of_a_norm("blocks.*.norm_1"),
    ("input", _QKV, ("attention", "multihead")),
    ("input", "from the first norm and sum", STREAM),
    ("positions", "d input: a sum copies", LEARNED_PLACES),
    ("embedding", "d input: a sum copies", LEARNED_PLACES),
    ("embedding", "d input", MODERN),
)
"""How the gradient of each value follows from those after it: name, formula, the rungs it is of.

Short enough for a line; the functions above have them whole. "summed": over the query heads that
share a key; "weighted mean": of d weights, by the weights; w: the weight of the norm."""


@dataclass(frozen=True)
class Link:
    """One value that a loss depends on."""

    name: str
    formula: str
    """How its gradient follows from the gradients of what was computed from it."""
    gradient: Array
    positions: tuple[int, ...]
    """Where the gradient is not zero: the positions whose numbers the loss depends on."""

    @property
    def size(self) -> float:
        """The root mean square of the gradient."""
        return float(np.sqrt(np.mean(np.square(self.gradient))))


@dataclass(frozen=True)
class Chain:
    """The loss of one letter, and the way back from it."""

    position: int
    """The letter that was predicted is the one after this position."""
    found: Gradients
    links: tuple[Link, ...]
    """From the loss back: `logits` comes first, `embedding` last."""


def formula(name: str, rung: str) -> str:
    """How the gradient of a value follows from those after it.

    >>> formula("blocks.2.attention.scores", "modern")
    'd scaled / sqrt(D)'
    """
    return next(how for value, how, rungs in FORMULAS if value == pattern(name) and rung in rungs)


def chain(model: Reference, values: dict[str, Array], target: int, position: int = -1) -> Chain:
    """Which values the loss of ONE letter flows through, from the loss back to the characters.

    values: `model.trace(ids)`; the letter is the one after `position`, the last unless told
    otherwise, and it was `target`. Positions after it have no say, and their gradients are 0.
    """
    T, rung = len(values["ids"]), model.config.rung
    at = range(T)[position]
    found = backward(model, values, np.full(T, target), [at])
    links = (
        Link(name, formula(name, rung), gradient, _reached(gradient))
        for name, gradient in reversed(found.values.items())
    )
    return Chain(at, found, tuple(links))


def _reached(gradient: Array) -> tuple[int, ...]:
    """The positions at which a gradient is not zero: they are its last axis but one.

    >>> _reached(np.array([[0, 0], [0, 3], [0, 0]], np.float32))
    (1,)
    """
    others = tuple(axis for axis in range(gradient.ndim) if axis != gradient.ndim - 2)
    return tuple(np.flatnonzero(gradient.any(axis=others)).tolist())
