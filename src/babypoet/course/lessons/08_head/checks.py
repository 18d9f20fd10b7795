"""What is asked of l08_head.py."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from babypoet.config import ModelConfig
from babypoet.course import trials
from babypoet.course.checking import Check, Mistake
from babypoet.course.trials import fill, parameters_differ, parameters_of
from babypoet.reference import shapes

B, T, C, V = 2, 5, 6, 11  # the sizes of the checks, pairwise distinct; R is 13
CONFIG = ModelConfig(rung="attention", vocab_size=V, block_size=7, n_embd=C)
TYPED = 'config = ModelConfig(rung="attention", vocab_size=11, block_size=7, n_embd=6)'
HEAD = {f"{name}.weight": (C, C) for name in ("query", "key", "value")}

BY_HAND = """
T = 2, D = 4, so sqrt(D) = 2
q = [[1, 0, 0, 0],     k = [[1, 0, 0, 0],     v = [[10, 0, 0, 0],
     [2, 0, 0, 0]]          [0, 0, 0, 0]]          [20, 0, 0, 4]]
row 0 sees itself alone: weights [1, 0], so it is v's row 0: [10, 0, 0, 0]
row 1: q1 . k0 = 2 and q1 . k1 = 0; over 2: 1 and 0; e^1 = 2.718 and e^0 = 1
       weights 2.718 / 3.718 = 0.731 and 1 / 3.718 = 0.269
       0.731 * [10, 0, 0, 0] + 0.269 * [20, 0, 0, 4] = [12.689, 0, 0, 1.076]
""".strip("\n")

SEEN_BY_HAND = """
T = 5       sees the rows     may change with row 3 or 4
row 0       0                 no
row 1       0 1               no
row 2       0 1 2             no
row 3       0 1 2 3           yes
row 4       0 1 2 3 4         yes
""".strip("\n")


def _random(*shape: int) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v."""
    rng = torch.Generator().manual_seed(8)
    q, k, v = (torch.randn(shape, generator=rng) for _ in range(3))
    return q, k, v


def _small() -> tuple[Tensor, Tensor, Tensor]:
    q = torch.tensor([[[1.0, 0, 0, 0], [2, 0, 0, 0]]])
    k = torch.tensor([[[1.0, 0, 0, 0], [0, 0, 0, 0]]])
    v = torch.tensor([[[10.0, 0, 0, 0], [20, 0, 0, 4]]])
    return q, k, v  # (1, 2, 4) each


def _x() -> Tensor:
    return torch.randn(B, T, C, generator=torch.Generator().manual_seed(9))  # (B, T, C)


def _idx(length: int = T) -> Tensor:
    return torch.tensor([[3, 1, 4, 1, 5, 9, 2], [10, 0, 6, 5, 3, 5, 8]])[:, :length]  # (B, T)


# --- what people get wrong ------------------------------------------------------------------------


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float | None = None,
    hide: str = "future",
    score_of_hidden: float = -math.inf,
    late: bool = False,
    axis: int = -1,
    turned: bool = False,
    safe: bool = True,
) -> Tensor:
    """Attention with every choice open; as given here it is right."""
    length, D = q.shape[-2:]
    score = q @ k.transpose(-2, -1) * (D**-0.5 if scale is None else scale)
    score = score.transpose(-2, -1) if turned else score
    ones = torch.ones(length, length, dtype=torch.bool)
    hidden = {
        "future": ones.triu(1),
        "itself": ones.triu(),
        "past": ones.tril(-1),
        "nothing": ~ones,
    }[hide]
    if not late:
        score = score.masked_fill(hidden, score_of_hidden)
    weight = torch.softmax(score, axis) if safe else score.exp() / score.exp().sum(-1, keepdim=True)
    return (weight.masked_fill(hidden, 0) if late else weight) @ v


Qkv = Callable[[], tuple[Tensor, Tensor, Tensor]]
Wrong = Callable[[Tensor, Tensor, Tensor], Any]


MASKS: tuple[tuple[str, Wrong], ...] = (
    (
        "The mask is missing: every position looks at all of them, the future included. Give "
        "scores right of the diagonal the value -inf before the softmax.",
        partial(attend, hide="nothing"),
    ),
    (
        "The mask lies on the wrong side: it hides the past and shows the future. Row t stands for "
        "who looks, column s for what is looked at: hide s > t, which is triu(1), not tril(-1).",
        partial(attend, hide="past"),
    ),
    (
        "The mask comes after the softmax: the weights were made with the future still in, so what "
        "is left of a row adds up to less than 1. Mask the scores, then softmax.",
        partial(attend, late=True),
    ),
    (
        "What is hidden has the score 0, and e^0 is 1: it is looked at like anything else. Its "
        'score must be -inf, float("-inf").',
        partial(attend, score_of_hidden=0.0),
    ),
    (
        "In your code no position sees itself; it should. Your mask hides the diagonal too, and "
        "the first position has nothing left (NaN). The future begins one right of it: triu(1).",
        partial(attend, hide="itself"),
    ),
    (
        "Softmax along the wrong axis: each column of the weights adds up to 1. It is the one who "
        "looks, a row, whose weights must: dim=-1.",
        partial(attend, axis=-2),
    ),
    (
        "Query and key have changed places: row t of the scores must hold what t asks, q @ k "
        "transposed.",
        partial(attend, turned=True),
    ),
)
SCALES: tuple[tuple[str, Wrong], ...] = (
    (
        "The scale is missing: divide the scores by sqrt(D), where D = q.shape[-1], or the softmax "
        "gets too sure of itself as D grows.",
        partial(attend, scale=1.0),
    ),
    (
        "You divide the scores by D. Divide by its square root, math.sqrt(D).",
        lambda q, k, v: attend(q, k, v, scale=1 / q.shape[-1]),
    ),
    (
        "You multiply the scores by sqrt(D). Divide by it.",
        lambda q, k, v: attend(q, k, v, scale=q.shape[-1] ** 0.5),
    ),
    (
        "You divide by sqrt(T), the number of positions. What counts is how many products are "
        "summed in one score: D = q.shape[-1].",
        lambda q, k, v: attend(q, k, v, scale=q.shape[-2] ** -0.5),
    ),
    (
        "The scale comes after the softmax: your rows are too small by sqrt(D). Divide the scores "
        "by it, before the softmax.",
        lambda q, k, v: attend(q, k, v, scale=1.0) / math.sqrt(q.shape[-1]),
    ),
    (
        "The weights are right, but you take the mean of the keys. What is handed over are the "
        "values: weight @ v.",
        lambda q, k, v: attend(q, k, k),
    ),
    (
        "Key and value have changed places: q meets the keys, q @ k transposed, and what the "
        "weights are multiplied with are the values.",
        lambda q, k, v: attend(q, v, k),
    ),
    (
        "The softmax is missing: masked scores are no weights yet.",
        lambda q, k, v: (
            (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).masked_fill(
                torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool).triu(1), -math.inf
            )
            @ v
        ),
    ),
)


def _mistakes(inputs: Qkv) -> tuple[Mistake, ...]:
    def gives(wrong: Wrong) -> Callable[[Any], Any]:
        return lambda right: wrong(*inputs())

    return tuple(Mistake(says, gives(wrong)) for says, wrong in (*MASKS, *SCALES))


# --- the future -----------------------------------------------------------------------------------


def _before_and_after(function: Wrong) -> list[Tensor]:
    """The rows 0 to 2 for some q, k and v, and again with everything from row 3 on changed."""
    q, k, v = _random(B, T, 3)
    once = function(q, k, v)[:, :3]
    q, k, v = (torch.cat([x[:, :3], x[:, 3:] + 1], dim=1) for x in (q, k, v))
    return [once, function(q, k, v)[:, :3]]


def _unmoved(result: list[Tensor]) -> str | None:
    """None if nothing moved, or if this is not what another check asks for anyway."""
    once, again = result
    if once.shape != again.shape or once.ndim != 3 or not torch.isfinite(once).all():
        return None
    moved = ((once - again).abs() > 1e-5).any(dim=-1).any(dim=0)  # (T,)
    if not moved.any():
        return None
    t = int(moved.nonzero()[0])
    return (
        f"Only the positions 3 and 4 were changed, and yet the output at position {t} is another "
        "one: it sees the future. No position may look at a later one."
    )


# --- the parts ------------------------------------------------------------------------------------


def _parameters(name: str) -> Callable[[Any], Any]:
    return lambda module: parameters_of(getattr(module, name)(CONFIG))


def _head(q: str = "query", k: str = "key", v: str = "value", **how: Any) -> Callable[[Any], Any]:
    """What a head gives that uses these layers; "" is x itself."""

    def gives(right: Any) -> Any:
        head, x = fill(right.CausalHead(CONFIG)), _x()
        q_, k_, v_ = (getattr(head, name)(x) if name else x for name in (q, k, v))
        return attend(q_, k_, v_, **how)

    return gives


def _model(wrong: Callable[[Any, Tensor, Tensor], Any], length: int = T) -> Callable[[Any], Any]:
    """What Attention gives that does `wrong(model, what, where)`: the embedding and positions."""

    def gives(right: Any) -> Any:
        model, idx = fill(right.Attention(CONFIG)), _idx(length)
        return wrong(model, model.wte(idx), model.wpe(torch.arange(length)))

    return gives


MODEL_MISTAKES: tuple[tuple[str, Callable[[Any, Tensor, Tensor], Any]], ...] = (
    (
        "The positions are missing: add wpe of 0, 1, 2, ... to wte of the characters, or the model "
        "cannot tell where a character stands.",
        lambda m, what, where: m.lm_head(m.attention(what)),
    ),
    (
        "The attention is missing: as it is, each character is scored by itself, like in the pair "
        "table.",
        lambda m, what, where: m.lm_head(what + where),
    ),
    (
        "The input is added to what attention found. That is a good idea, and lesson 10's; in this "
        "model the head's output goes on alone.",
        lambda m, what, where: m.lm_head(what + where + m.attention(what + where)),
    ),
    (
        "The positions are added after the attention. Add them before, or the head cannot see "
        "them.",
        lambda m, what, where: m.lm_head(m.attention(what) + where),
    ),
    (
        "What a character is and where it stands are multiplied. Add them.",
        lambda m, what, where: m.lm_head(m.attention(what * where)),
    ),
    (
        "The positions are counted from 1; they begin at 0.",
        lambda m, what, where: m.lm_head(
            m.attention(what + m.wpe(torch.arange(1, what.shape[1] + 1)))
        ),
    ),
    (
        "The reserved rows are cut off too early: scores keeps all R = config.rows columns. Rung's "
        "forward takes the last two off afterwards.",
        lambda m, what, where: m.lm_head(m.attention(what + where))[..., :V],
    ),
    (
        "These are probabilities. Return the scores as they come out of lm_head; the softmax is "
        "part of the loss.",
        lambda m, what, where: m.lm_head(m.attention(what + where)).softmax(-1),
    ),
)


def _positions_by_character(right: Any) -> Any:
    model, idx = fill(right.Attention(CONFIG)), _idx() % CONFIG.block_size
    return model.lm_head(model.attention(model.wte(_idx()) + model.wpe(idx)))


def _model_mistakes(length: int) -> tuple[Mistake, ...]:
    return tuple(Mistake(says, _model(wrong, length)) for says, wrong in MODEL_MISTAKES)


def _scores_before_and_after(module: Any) -> list[Tensor]:
    model = fill(module.Attention(CONFIG))
    changed = _idx().clone()
    changed[:, 3:] = torch.tensor([7, 2])
    return [model.scores(_idx())[:, :3], model.scores(changed)[:, :3]]


def _sizes(module: Any) -> dict[str, float]:
    """The standard deviation of each matrix of a fresh model, large enough to measure it."""
    config = ModelConfig(rung="attention", vocab_size=79, block_size=64, n_embd=96)
    model = module.Attention(config)
    return {name: float(p.std()) for name, p in model.named_parameters() if p.ndim == 2}


def _sizes_differ(have: dict[str, float]) -> str | None:
    asked = {"wte": 0.5, "wpe": 0.5, "attention": 96**-0.5, "lm_head": 0.02}
    for name, std in have.items():
        want = asked.get(name.split(".")[0], std)
        if not 0.8 * want < std < 1.25 * want:
            return (
                f"The numbers of {name} start with a standard deviation of {std:.3f}, asked is "
                f"{want:.3f}: give std=... to linear or embedding."
            )
    return None


# --- the checks -----------------------------------------------------------------------------------

CHECKS = [
    Check(
        "What comes later changes nothing before: other rows from 3 on leave rows 0 to 2 as they "
        "were.",
        lambda module: _before_and_after(module.causal_attention),
        "causal_attention(q, k, v)[:, :3]  # twice, the second time with other rows from 3 on",
        SEEN_BY_HAND,
        tuple(
            Mistake(says, lambda right, wrong=wrong: _before_and_after(wrong))
            for says, wrong in MASKS
        ),
        verify=_unmoved,
    ),
    Check(
        "Two positions, worked out by hand.",
        lambda module: module.causal_attention(*_small()),
        "causal_attention(q, k, v)  # q, k and v of shape (1, 2, 4)",
        BY_HAND,
        _mistakes(_small),
    ),
    Check(
        "Two windows of five positions with three channels.",
        lambda module: module.causal_attention(*_random(B, T, 3)),
        "causal_attention(q, k, v)  # q, k and v of shape (2, 5, 3)",
        BY_HAND,
        _mistakes(lambda: _random(B, T, 3)),
    ),
    Check(
        "Several heads at once: whatever axes stand before (T, D) are left alone.",
        lambda module: module.causal_attention(*_random(B, 3, T, 4)),
        "causal_attention(q, k, v)  # q, k and v of shape (2, 3, 5, 4)",
        "k.transpose(-2, -1) swaps the last two axes, however many stand before them;\n"
        "q.shape[-2:] is (T, D).",
        _mistakes(lambda: _random(B, 3, T, 4)),
    ),
    Check(
        "Large scores do no harm.",
        lambda module: module.causal_attention(*(30 * x for x in _random(B, T, 3))),
        "causal_attention(30 * q, 30 * k, 30 * v)",
        "e^x is infinite beyond x = 88; torch.softmax takes each row less its maximum.",
        (
            Mistake(
                "Your own softmax overflows: take each row less its maximum first, or use "
                "torch.softmax, which does.",
                lambda right: attend(*(30 * x for x in _random(B, T, 3)), safe=False),
            ),
        ),
        tolerance=1e-4,
    ),
    Check(
        "The head has three matrices, (C, C) each, called query, key and value.",
        _parameters("CausalHead"),
        f"{TYPED}; CausalHead(config)",
        "self.query = linear(C, C, ...) makes a parameter query.weight of shape (C, C).",
        (
            Mistake(
                "The layers have a bias each. These have none: linear(...) has none unless you "
                "ask; nn.Linear needs bias=False.",
                lambda right: {
                    name: shape
                    for layer in ("query", "key", "value")
                    for name, shape in ((f"{layer}.weight", (C, C)), (f"{layer}.bias", (C,)))
                },
            ),
        ),
        verify=partial(parameters_differ, expected=HEAD),
    ),
    Check(
        "What the head makes of two windows of five positions.",
        lambda module: fill(module.CausalHead(CONFIG))(_x()),
        "CausalHead(config)(x)  # x of shape (2, 5, 6)",
        "q, k and v are three views of the same x, each through its own layer; then\n"
        "causal_attention(q, k, v).",
        (
            Mistake(
                "Query and key have changed places: the query is what a position asks, "
                "causal_attention(q, k, v).",
                _head(q="key", k="query"),
            ),
            *(
                Mistake(
                    "The order is query, key, value: causal_attention(q, k, v).",
                    _head(q=q, k=k, v=v),
                )
                for q, k, v in (
                    ("query", "value", "key"),
                    ("value", "key", "query"),
                    ("key", "value", "query"),
                    ("value", "query", "key"),
                )
            ),
            Mistake(
                "The value layer is not used: what is handed over is self.value(x), not x itself.",
                _head(v=""),
            ),
            Mistake("The values are made by the key layer: use self.value.", _head(v="key")),
            Mistake("The keys are made by the query layer: use self.key.", _head(k="query")),
            Mistake("The queries are x itself: they need self.query(x).", _head(q="")),
            Mistake("The keys are x itself: they need self.key(x).", _head(k="")),
            Mistake(
                "Nothing is looked at: this is self.value(x). The attention is missing.",
                lambda right: fill(right.CausalHead(CONFIG)).value(_x()),
            ),
            Mistake(
                "x is added to what the head found. The head returns what it found alone.",
                lambda right: _x() + fill(right.CausalHead(CONFIG))(_x()),
            ),
        ),
    ),
    Check(
        "The model has the parameters of V2, by name and shape.",
        _parameters("Attention"),
        f"{TYPED}; Attention(config)",
        "wte (R, C), wpe (block_size, C), attention.query, .key and .value (C, C),\n"
        "lm_head (R, C) with a bias (R,), where R = config.rows = V + 2.",
        (
            Mistake(
                "The tables have V rows; they need R = config.rows, two more, for the reserved "
                "ones.",
                lambda right: {
                    name: tuple(V if n == V + 2 else n for n in shape)
                    for name, shape in shapes(CONFIG).items()
                },
            ),
            Mistake(
                "lm_head has no bias; it should: bias=True.",
                lambda right: {
                    name: shape for name, shape in shapes(CONFIG).items() if name != "lm_head.bias"
                },
            ),
        ),
        verify=partial(parameters_differ, expected=shapes(CONFIG)),
    ),
    Check(
        "The scores of two windows of five characters: (2, 5, 13).",
        lambda module: fill(module.Attention(CONFIG)).scores(_idx()),
        "Attention(config).scores(idx)  # idx of shape (2, 5)",
        "characters (B, T) -> wte plus wpe (B, T, C) -> attention (B, T, C) -> lm_head (B, T, R)",
        (
            *_model_mistakes(T),
            Mistake(
                "wpe is asked for the characters. It is a table of places: ask it for 0, 1, 2, "
                "..., T - 1, torch.arange(T).",
                _positions_by_character,
            ),
        ),
    ),
    Check(
        "A window as long as block_size has scores too.",
        lambda module: fill(module.Attention(CONFIG)).scores(_idx(7)),
        "Attention(config).scores(idx)  # idx of shape (2, 7) and block_size 7",
        "Seven positions are 0 to 6, the rows of wpe.",
        tuple(mistake for mistake in _model_mistakes(7) if "from 1" not in mistake.says),
    ),
    Check(
        "Other characters from place 3 on change no score before.",
        _scores_before_and_after,
        "Attention(config).scores(idx)[:, :3]  # twice, with other characters from 3 on",
        verify=_unmoved,
    ),
    Check(
        "The model gives logits (B, T, V) and the loss, as every model here does.",
        lambda module: fill(module.Attention(CONFIG))(_idx(), _idx(6)[:, 1:]),
        "Attention(config)(idx, targets)",
        "Rung's forward does this: leave it as it is, and write scores only.",
    ),
    Check(
        "The numbers start with the sizes asked for.",
        _sizes,
        "Attention(ModelConfig(vocab_size=79, block_size=64, n_embd=96))",
        "wte and wpe 0.5, query, key and value C ** -0.5, lm_head 0.02 (linear's own).",
        verify=_sizes_differ,
    ),
]


# --- the reward -----------------------------------------------------------------------------------

LINE = "the moon came up behind the shed"
UPDATES = 800


def reward(theirs: Any) -> str:
    """V2 against the pair table, and where its head looks."""
    trial = trials.poems()
    torch.manual_seed(0)
    config = ModelConfig(
        rung="attention", vocab_size=trial.vocab_size, block_size=trial.block_size, n_embd=128
    )
    model = theirs.Attention(config)
    before = trial.nats(model)
    made = trial.train(model, UPDATES)
    ids = torch.tensor([trial.tokenizer.encode("\n" + LINE)])  # (1, T)
    x = model.wte(ids) + model.wpe(torch.arange(ids.shape[1]))
    q, k = model.attention.query(x), model.attention.key(x)  # (1, T, C) each
    seen = theirs.causal_attention(q, k, torch.eye(ids.shape[1])[None])[0]  # (T, T): the weights
    return (
        f"Your V2 has learned from the poems for {made} updates. The loss on poems never seen:\n"
        f"  before            {before:.3f} nats\n"
        f"  the pair table    {trial.pair_table:.3f} nats\n"
        f"  your V2           {trial.nats(model):.3f} nats\n\n"
        "Where its head looks (a higher bar is a larger weight; ^ is who looks):\n\n"
        f"{trials.looks(chr(10) + LINE, seen, (4, 8, 17, 32))}\n"
        "And it writes:\n\n" + trial.write(model, 160)
    )
