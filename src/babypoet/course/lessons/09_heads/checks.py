"""What is asked of l09_heads.py."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from babypoet import ladder
from babypoet.config import ModelConfig
from babypoet.course import trials
from babypoet.course.checking import Check, Mistake
from babypoet.course.trials import fill, parameters_differ, parameters_of
from babypoet.reference import shapes

B, T, H, D, V = 2, 5, 3, 4, 11  # the sizes of the checks, pairwise distinct
C = H * D
CONFIG = ModelConfig(rung="multihead", vocab_size=V, block_size=7, n_head=H, n_embd=C)
TYPED = 'config = ModelConfig(rung="multihead", vocab_size=11, block_size=7, n_head=3, n_embd=12)'
LAYERS = ("query", "key", "value", "proj")
WEIGHTS = {f"{name}.weight": (C, C) for name in LAYERS}
BIASES = {f"{name}.bias": (C,) for name in LAYERS}

SPLIT_BY_HAND = """
T = 2, C = 4, cut into 2 heads of D = 2:
position 0: [ 1,  2,  3,  4]       head 0: [[ 1,  2],    head 1: [[ 3,  4],
position 1: [11, 12, 13, 14]                [11, 12]]             [13, 14]]
(1, 2, 4)  ->  view as (1, 2, 2, 2): T, then heads, then D  ->  change T and heads: (1, 2, 2, 2)
""".strip("\n")
JOIN_BY_HAND = """
head 0: [[ 1,  2],    head 1: [[ 3,  4],       position 0: [ 1,  2,  3,  4]
         [11, 12]]             [13, 14]]       position 1: [11, 12, 13, 14]
first T and heads change places, then the last two axes become one
""".strip("\n")


def _counted(*shape: int) -> Tensor:
    """0, 1, 2, ... in a shape."""
    return torch.arange(math.prod(shape)).view(shape)


def _small() -> Tensor:
    return torch.tensor([[[1, 2, 3, 4], [11, 12, 13, 14]]])  # (1, 2, 4)


def _small_heads() -> Tensor:
    return torch.tensor([[[[1, 2], [11, 12]], [[3, 4], [13, 14]]]])  # (1, 2, 2, 2)


def _x() -> Tensor:
    return torch.randn(B, T, C, generator=torch.Generator().manual_seed(9))  # (B, T, C)


def _idx(length: int = T) -> Tensor:
    return torch.tensor([[3, 1, 4, 1, 5, 9, 2], [10, 0, 6, 5, 3, 5, 8]])[:, :length]  # (B, T)


# --- what people get wrong ------------------------------------------------------------------------

Wrong = Callable[..., Tensor]


def split(x: Tensor, heads: int) -> Tensor:
    """Right."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join(x: Tensor) -> Tensor:
    """Right."""
    return x.transpose(1, 2).flatten(2)


def _cut_only(x: Tensor, heads: int) -> Tensor:
    return x.reshape(len(x), heads, x.shape[1], -1)


def _every_other(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (-1, heads)).permute(0, 3, 1, 2)


def _not_turned(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1))


def _sides_changed(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).permute(0, 2, 3, 1)


def _glued_only(x: Tensor) -> Tensor:
    return x.reshape(x.shape[0], x.shape[2], -1)


def _joined_every_other(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).flatten(2)


def _joined_far(x: Tensor) -> Tensor:
    return x.transpose(1, 3).reshape(x.shape[0], x.shape[2], -1)


def _joined_unturned(x: Tensor) -> Tensor:
    return x.flatten(2)


SPLITS: tuple[tuple[str, Wrong], ...] = (
    (
        "The numbers are cut straight into (B, heads, T, D), so a head gets whole positions, "
        "not a part of each. First view as (B, T, heads, D), then transpose(1, 2).",
        _cut_only,
    ),
    (
        "The heads take turns: head 0 got every so-many-th channel. Its channels stand side by "
        "side: view as (B, T, heads, D), the heads before D.",
        _every_other,
    ),
    (
        "The heads still stand behind the positions: (B, T, heads, D). transpose(1, 2) brings them "
        "before.",
        _not_turned,
    ),
    (
        "T and D have changed places: (B, heads, D, T). Only T and heads change: transpose(1, 2).",
        _sides_changed,
    ),
)
JOINS: tuple[tuple[str, Wrong], ...] = (
    (
        "Joined without transposing back: a position gets numbers of other positions. First "
        "transpose(1, 2), to (B, T, heads, D), then make one axis of the last two.",
        _glued_only,
    ),
    (
        "The heads take turns. The D numbers of head 0 stand first, then those of head 1: (B, T, "
        "heads, D) before the last two axes become one.",
        _joined_every_other,
    ),
    (
        "You let heads and D change places, transpose(1, 3). It is heads and T that must, "
        "transpose(1, 2).",
        _joined_far,
    ),
    (
        "The axes T and D became one: transpose(1, 2) first, then heads and D are the last two.",
        _joined_unturned,
    ),
)


def _of(wrongs: tuple[tuple[str, Wrong], ...], *inputs: Any) -> tuple[Mistake, ...]:
    return tuple(Mistake(says, lambda right, wrong=wrong: wrong(*inputs)) for says, wrong in wrongs)


def blend(
    layers: Any,
    x: Tensor,
    heads: int = H,
    cut: Wrong = split,
    glue: Wrong = join,
    scale: float = 1.0,
    proj: bool = True,
) -> Tensor:
    """Multi-head attention with every choice open; as given here it is right."""
    q, k, v = (cut(layer(x), heads) for layer in (layers.query, layers.key, layers.value))
    mixed = glue(ladder.causal_attention(q * scale, k, v))
    return layers.proj(mixed) if proj else mixed


def _wrong(**how: Any) -> Callable[[Any], Any]:
    return lambda right: blend(fill(right.MultiHeadAttention(CONFIG)), _x(), **how)


def _several_mixed(right: Any) -> Any:
    """Heads as positions: attention over (B, T, heads, D)."""
    layers = fill(right.MultiHeadAttention(CONFIG))
    return blend(layers, _x(), cut=_not_turned, glue=lambda x: x.flatten(2))


ATTENTION_MISTAKES = (
    Mistake(
        "The projection is forgotten: what the heads found is put side by side, and self.proj "
        "blends it.",
        _wrong(proj=False),
    ),
    Mistake(
        "This is one wide head: the channels are not cut. Split q, k and v into n_head heads "
        "before they meet.",
        _wrong(heads=1),
    ),
    Mistake(
        "The scores are divided by sqrt(C), as for one wide head. A head sums only D = C / H "
        "products: sqrt(D). Your causal_attention does that by itself, if it takes D from q.",
        _wrong(scale=H**-0.5),
    ),
    Mistake(
        "The scores are divided by sqrt(D) twice: causal_attention does it already.",
        _wrong(scale=D**-0.5),
    ),
    Mistake(
        "Heads and positions are mixed up: the channels are cut straight into (B, H, T, D). View "
        "as (B, T, H, D) first, then transpose(1, 2).",
        _wrong(cut=_cut_only),
    ),
    Mistake(
        "The heads are joined without transposing back, so a position gets numbers of others.",
        _wrong(glue=_glued_only),
    ),
    Mistake(
        "Heads and positions are mixed up, on the way in and on the way out.",
        _wrong(cut=_cut_only, glue=_glued_only),
    ),
    Mistake(
        "The heads look at each other, not back in time: causal_attention takes the axis before "
        "the last for time, so the heads must stand before it, (B, H, T, D).",
        _several_mixed,
    ),
    Mistake(
        "n_head and D are changed: there are n_head = 3 heads of D = 4 channels, not 4 of 3.",
        _wrong(heads=D),
    ),
    Mistake(
        "x is added to what the heads found. That is lesson 10's idea; return what they found.",
        lambda right: _x() + _wrong()(right),
    ),
)


def _as_one_head(module: Any) -> Tensor:
    """One head, and a projection that changes nothing: what is left is lesson 8's head."""
    config = ModelConfig(rung="multihead", vocab_size=V, block_size=7, n_head=1, n_embd=C)
    layers = fill(module.MultiHeadAttention(config))
    with torch.no_grad():
        layers.proj.weight.copy_(torch.eye(C))
    return layers(_x())


def _scores(module: Any, attention: Callable[[Any, Tensor], Tensor] | None = None) -> Tensor:
    model = fill(module.MultiHead(CONFIG))
    if attention is None:
        return model.scores(_idx())
    x = model.wte(_idx()) + model.wpe(torch.arange(T))
    return model.lm_head(attention(model.attention, x))


# --- the checks -----------------------------------------------------------------------------------

CHECKS = [
    Check(
        "Two windows of five positions with twelve channels, cut into three heads.",
        lambda module: module.split_heads(_counted(B, T, C), H),
        "split_heads(torch.arange(120).view(2, 5, 12), 3)",
        SPLIT_BY_HAND,
        _of(SPLITS, _counted(B, T, C), H),
    ),
    Check(
        "Two positions with four channels, cut into two heads.",
        lambda module: module.split_heads(_small(), 2),
        "split_heads(torch.tensor([[[1, 2, 3, 4], [11, 12, 13, 14]]]), 2)",
        SPLIT_BY_HAND,
        _of(SPLITS, _small(), 2),
    ),
    Check(
        "Three heads of five positions with four channels each.",
        lambda module: module.join_heads(_counted(B, H, T, D)),
        "join_heads(torch.arange(120).view(2, 3, 5, 4))",
        JOIN_BY_HAND,
        _of(JOINS, _counted(B, H, T, D)),
    ),
    Check(
        "Two heads of two positions, put side by side again.",
        lambda module: module.join_heads(_small_heads()),
        "join_heads(torch.tensor([[[[1, 2], [11, 12]], [[3, 4], [13, 14]]]]))",
        JOIN_BY_HAND,
        _of(JOINS, _small_heads()),
    ),
    Check(
        "Joining undoes splitting.",
        lambda module: module.join_heads(module.split_heads(_counted(B, T, C), H)),
        "join_heads(split_heads(x, 3))",
        "view and transpose move no number; transpose leaves them in an order that view cannot\n"
        "read, and reshape (or flatten) can.",
    ),
    Check(
        "Four matrices, (C, C) each, called query, key, value and proj.",
        lambda module: parameters_of(module.MultiHeadAttention(CONFIG)),
        f"{TYPED}; MultiHeadAttention(config)",
        mistakes=(
            Mistake(
                "The layers have biases without being asked: pass `bias` on to each of them.",
                lambda right: {**WEIGHTS, **BIASES},
            ),
            Mistake(
                "The projection is missing: proj, linear from C to C.",
                lambda right: {k: v for k, v in WEIGHTS.items() if "proj" not in k},
            ),
        ),
        verify=partial(parameters_differ, expected=WEIGHTS),
    ),
    Check(
        "With bias=True each of them has a bias too.",
        lambda module: parameters_of(module.MultiHeadAttention(CONFIG, bias=True)),
        "MultiHeadAttention(config, bias=True)",
        mistakes=(
            Mistake(
                "There are no biases, though bias=True asked for them: pass `bias` on to each "
                "layer. Lesson 12 needs them.",
                lambda right: WEIGHTS,
            ),
        ),
        verify=partial(parameters_differ, expected={**WEIGHTS, **BIASES}),
    ),
    Check(
        "What three heads make of two windows of five positions.",
        lambda module: fill(module.MultiHeadAttention(CONFIG))(_x()),
        "MultiHeadAttention(config)(x)  # x of shape (2, 5, 12)",
        "query, key, value: (B, T, C) -> split: (B, H, T, D) -> causal_attention: (B, H, T, D)\n"
        "-> join: (B, T, C) -> proj: (B, T, C)",
        ATTENTION_MISTAKES,
    ),
    Check(
        "One head and a projection that changes nothing are lesson 8's head.",
        _as_one_head,
        "MultiHeadAttention(config)(x)  # n_head=1 and proj.weight = torch.eye(12)",
    ),
    Check(
        "The model has the parameters of V3, by name and shape.",
        lambda module: parameters_of(module.MultiHead(CONFIG)),
        f"{TYPED}; MultiHead(config)",
        "Those of lesson 8's Attention, and attention.proj.weight (C, C).",
        (
            Mistake(
                "It still has the one wide head: set self.attention again, after "
                "super().__init__(config).",
                lambda right: {
                    name: shape for name, shape in shapes(CONFIG).items() if "proj" not in name
                },
            ),
            Mistake(
                "Heads and model have biases; in V3 only lm_head has one: "
                "MultiHeadAttention(config).",
                lambda right: {
                    **shapes(CONFIG),
                    **{f"attention.{name}": shape for name, shape in BIASES.items()},
                },
            ),
        ),
        verify=partial(parameters_differ, expected=shapes(CONFIG)),
    ),
    Check(
        "The scores of two windows of five characters: (2, 5, 13).",
        _scores,
        "MultiHead(config).scores(idx)  # idx of shape (2, 5)",
        "Attention's scores does it all, once self.attention is another.",
        (
            Mistake(
                "The model's attention is one wide head, though it has a projection: is forward "
                "yours, with the heads cut?",
                lambda right: _scores(right, partial(blend, heads=1)),
            ),
            Mistake(
                "The projection of the heads is not used.",
                lambda right: _scores(right, partial(blend, proj=False)),
            ),
        ),
    ),
]


# --- the reward -----------------------------------------------------------------------------------

LINE = "the moon came up behind the shed"
UPDATES = 500


def reward(theirs: Any) -> str:
    """V3 beside V2 and the pair table, and where each head looks."""
    trial = trials.poems()
    config = ModelConfig(
        rung="multihead", vocab_size=trial.vocab_size, block_size=trial.block_size, n_head=4
    )
    torch.manual_seed(0)
    wide, model = theirs.Attention(config), theirs.MultiHead(config)
    trial.train(wide, UPDATES, most_seconds=7)
    made = trial.train(model, UPDATES, most_seconds=11)
    ids = torch.tensor([trial.tokenizer.encode("\n" + LINE)])  # (1, T)
    length, heads = ids.shape[1], config.n_head
    x = model.wte(ids) + model.wpe(torch.arange(length))
    q = theirs.split_heads(model.attention.query(x), heads)
    k = theirs.split_heads(model.attention.key(x), heads)
    eye = torch.eye(length).expand(1, heads, length, length)
    seen = theirs.causal_attention(q, k, eye)[0]  # (H, T, T): the weights
    at = 29  # the e of "the", before the blank and "shed"
    rows = [
        f"  {trials.marks(seen[head, at, : at + 1].tolist()):{length}}   head {head}"
        for head in range(heads)
    ]
    return (
        f"After {made} updates on the poems, the loss on poems never seen:\n"
        f"  the pair table              {trial.pair_table:.3f} nats\n"
        f"  V2, your one wide head      {trial.nats(wide):.3f} nats\n"
        f"  V3, your {heads} narrow heads     {trial.nats(model):.3f} nats\n\n"
        "Where each head looks from one place (^):\n\n"
        f"  ↵{LINE}\n" + "\n".join(rows) + f"\n  {' ' * at}^\n\n"
        "And V3 writes:\n\n" + trial.write(model, 160)
    )
