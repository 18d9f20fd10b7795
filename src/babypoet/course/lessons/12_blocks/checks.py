"""What is asked of l12_blocks.py."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from babypoet.config import ModelConfig
from babypoet.course import trials
from babypoet.course.checking import Check, Mistake
from babypoet.course.trials import fill, parameters_differ, parameters_of
from babypoet.reference import Reference, shapes

B, T, H, C, V, LAYERS = 2, 5, 3, 12, 11, 4  # the sizes of the checks; R is 13, block_size 7
CONFIG = ModelConfig(
    rung="transformer", vocab_size=V, block_size=7, n_layer=LAYERS, n_head=H, n_embd=C
)
SOME, NEARLY_ALL = replace(CONFIG, dropout=0.37), replace(CONFIG, dropout=1 - 1e-7)
TYPED = (
    'config = ModelConfig(rung="transformer", vocab_size=11, block_size=7, n_layer=4, n_head=3, '
    "n_embd=12)"
)
ALL = shapes(CONFIG)
BLOCK = {name.removeprefix("h.0."): s for name, s in ALL.items() if name.startswith("h.0.")}

BLOCK_BY_HAND = """
ln_1(x)                   what attention reads
x = x + attn(ln_1(x))     the stream, with what attention found
ln_2(x)                   what the feed-forward layer reads: the new stream
x = x + mlp(ln_2(x))      the stream goes on
""".strip("\n")
MODEL_BY_HAND = """
characters (B, T)
wte + wpe  (B, T, C)      what each is, plus where it stands
n_layer blocks (B, T, C)  each reads the stream and adds to it
ln_f       (B, T, C)      the stream has grown: normalise it a last time
lm_head    (B, T, R)
""".strip("\n")


def _x() -> Tensor:
    return torch.randn(B, T, C, generator=torch.Generator().manual_seed(9))  # (B, T, C)


def _idx(length: int = T) -> Tensor:
    return torch.tensor([[3, 1, 4, 1, 5, 9, 2], [10, 0, 6, 5, 3, 5, 8]])[:, :length]  # (B, T)


# --- what people get wrong ------------------------------------------------------------------------

Step = Callable[[Any, Tensor], Tensor]


def right(b: Any, x: Tensor) -> Tensor:
    """A block as it should be."""
    x = x + b.attn(b.ln_1(x))
    return x + b.mlp(b.ln_2(x))


def _after(b: Any, x: Tensor) -> Tensor:
    x = b.ln_1(x + b.attn(x))
    return b.ln_2(x + b.mlp(x))


def _after_inside(b: Any, x: Tensor) -> Tensor:
    x = x + b.ln_1(b.attn(x))
    return x + b.ln_2(b.mlp(x))


def _no_residual(b: Any, x: Tensor) -> Tensor:
    return b.mlp(b.ln_2(b.attn(b.ln_1(x))))


def _second_only(b: Any, x: Tensor) -> Tensor:
    x = b.attn(b.ln_1(x))
    return x + b.mlp(b.ln_2(x))


def _first_only(b: Any, x: Tensor) -> Tensor:
    x = x + b.attn(b.ln_1(x))
    return b.mlp(b.ln_2(x))


def _no_norm(b: Any, x: Tensor) -> Tensor:
    x = x + b.attn(x)
    return x + b.mlp(x)


def _no_second_norm(b: Any, x: Tensor) -> Tensor:
    x = x + b.attn(b.ln_1(x))
    return x + b.mlp(x)


def _no_first_norm(b: Any, x: Tensor) -> Tensor:
    x = x + b.attn(x)
    return x + b.mlp(b.ln_2(x))


def _one_norm(b: Any, x: Tensor) -> Tensor:
    x = x + b.attn(b.ln_1(x))
    return x + b.mlp(b.ln_1(x))


def _norms_changed(b: Any, x: Tensor) -> Tensor:
    x = x + b.attn(b.ln_2(x))
    return x + b.mlp(b.ln_1(x))


def _beside(b: Any, x: Tensor) -> Tensor:
    return x + b.attn(b.ln_1(x)) + b.mlp(b.ln_2(x))


def _other_order(b: Any, x: Tensor) -> Tensor:
    x = x + b.mlp(b.ln_2(x))
    return x + b.attn(b.ln_1(x))


def _normed_stream(b: Any, x: Tensor) -> Tensor:
    x = b.ln_1(x)
    x = x + b.attn(x)
    x = b.ln_2(x)
    return x + b.mlp(x)


def _old_stream(b: Any, x: Tensor) -> Tensor:
    y = x + b.attn(b.ln_1(x))
    return x + b.mlp(b.ln_2(y))


def _no_mlp(b: Any, x: Tensor) -> Tensor:
    return x + b.attn(b.ln_1(x))


def _no_attention(b: Any, x: Tensor) -> Tensor:
    return x + b.mlp(b.ln_2(x))


STEPS: tuple[tuple[str, Step], ...] = (
    (
        "The norms come after the adding (post-norm, as in 2017), so the stream itself is "
        "normalised. Here each part reads a normalised copy: x + attn(ln_1(x)).",
        _after,
    ),
    (
        "The norms are applied to what the parts found. They belong before: attn(ln_1(x)).",
        _after_inside,
    ),
    (
        "The residuals are forgotten: add what each part found to x.",
        _no_residual,
    ),
    ("The residual around the attention is forgotten: x + attn(ln_1(x)).", _second_only),
    ("The residual around the feed-forward layer is forgotten: x + mlp(ln_2(x)).", _first_only),
    ("The norms are missing: attn reads ln_1(x), and mlp reads ln_2(x).", _no_norm),
    ("The second norm is missing: mlp reads ln_2(x).", _no_second_norm),
    ("The first norm is missing: attn reads ln_1(x).", _no_first_norm),
    ("ln_1 is used twice. The feed-forward layer has its own, ln_2.", _one_norm),
    ("ln_1 and ln_2 have changed places.", _norms_changed),
    (
        "Both parts read the same x. The feed-forward layer comes after: it reads the stream with "
        "what attention found already added.",
        _beside,
    ),
    ("The feed-forward layer comes first. Look around, then think: attention first.", _other_order),
    (
        "The stream itself is normalised: x = ln_1(x) is what goes on. Only what a part reads "
        "is: x + attn(ln_1(x)).",
        _normed_stream,
    ),
    (
        "What attention found is lost: the last sum begins with the old x. Let the stream go on: "
        "x = x + ..., twice.",
        _old_stream,
    ),
    ("The feed-forward layer is missing.", _no_mlp),
    ("The attention is missing.", _no_attention),
)


def _block_mistakes() -> tuple[Mistake, ...]:
    def gives(step: Step) -> Callable[[Any], Any]:
        return lambda module: step(fill(module.Block(CONFIG)), _x())

    return tuple(Mistake(says, gives(step)) for says, step in STEPS)


def _drop_rates(make: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    """A check's call: the p of every nn.Dropout in what `make` makes of a module."""

    def call(module: Any) -> list[Any]:
        return [part.p for part in make(module).modules() if isinstance(part, nn.Dropout)]

    return call


def _rates_differ(rates: list[Any]) -> str | None:
    if not rates:
        return "There is no nn.Dropout in it: self.dropout = nn.Dropout(config.dropout)."
    if wrong := [p for p in rates if p != SOME.dropout]:
        return (
            f"The dropout is {wrong[0]:g} where config.dropout is {SOME.dropout:g}. Whoever trains "
            "sets it: nn.Dropout(config.dropout)."
        )
    return None


def _training(module: Any) -> Tensor:
    """A block in training, with a dropout that leaves nothing."""
    return fill(module.Block(NEARLY_ALL)).train()(_x())


def _model_training(module: Any) -> Tensor:
    """A model in training, with a dropout that leaves nothing."""
    return fill(module.Transformer(NEARLY_ALL)).train().scores(_idx())


def _dropped_mistakes() -> tuple[Mistake, ...]:
    def no_part(b: Any, x: Tensor) -> Tensor:
        y = x + b.attn(torch.zeros_like(x))
        return y + b.mlp(torch.zeros_like(x))

    def mistake(says: str, step: Step) -> Mistake:
        return Mistake(says, lambda module: step(fill(module.Block(CONFIG)), _x()))

    return (
        mistake(
            "The dropout is not used: put it on what each part made, before it is added: "
            "x + dropout(attn(ln_1(x))).",
            right,
        ),
        mistake(
            "What attention found is added without dropout: x + dropout(attn(ln_1(x))).",
            _no_mlp,
        ),
        mistake(
            "What the feed-forward layer made is added without dropout: x + dropout(mlp(ln_2(x))).",
            _no_attention,
        ),
        mistake(
            "The dropout is on the stream: all that came in is switched off too. Put it only on "
            "what a part made, before it is added.",
            lambda b, x: torch.zeros_like(x),
        ),
        mistake(
            "The dropout is on what the parts read. Put it on what they made, before it is added: "
            "x + dropout(attn(ln_1(x))).",
            no_part,
        ),
    )


def _model_dropped_mistakes() -> tuple[Mistake, ...]:
    def gives(characters: bool, positions: bool) -> Callable[[Any], Any]:
        def given(module: Any) -> Tensor:
            model, x = fill(module.Transformer(CONFIG)), torch.zeros(B, T, C)
            x = x + model.wte(_idx()) if characters else x
            x = x + model.wpe(torch.arange(T)) if positions else x
            return model.lm_head(model.ln_f(x))

        return given

    return (
        Mistake(
            "The sum of wte and wpe is not dropped: x = dropout(wte(idx) + wpe(position)).",
            gives(True, True),
        ),
        Mistake(
            "The dropout is only on the characters' vectors. Put it on the sum with the "
            "positions: dropout(wte(idx) + wpe(position)).",
            gives(False, True),
        ),
        Mistake(
            "The dropout is only on the positions' vectors. Put it on the sum with the "
            "characters: dropout(wte(idx) + wpe(position)).",
            gives(True, False),
        ),
    )


def _whole(
    module: Any,
    length: int = T,
    positions: bool = True,
    norm: bool = True,
    layers: slice = slice(None),
    step: Step = right,
) -> Tensor:
    """The scores of a Transformer with every choice open; as given here they are right."""
    model = fill(module.Transformer(CONFIG))
    x = model.wte(_idx(length))
    if positions:
        x = x + model.wpe(torch.arange(length))
    for block in list(model.h)[layers]:
        x = step(block, x)
    return model.lm_head(model.ln_f(x) if norm else x)


def _model_mistakes(length: int) -> tuple[Mistake, ...]:
    def gives(**how: Any) -> Callable[[Any], Any]:
        return lambda module: _whole(module, length, **how)

    return (
        Mistake(
            "The positions are forgotten: wte(idx) + wpe(0, 1, 2, ...).", gives(positions=False)
        ),
        Mistake("The final norm is forgotten: lm_head reads ln_f(x).", gives(norm=False)),
        Mistake("Positions and final norm are both forgotten.", gives(norm=False, positions=False)),
        Mistake(
            "Only the first block is used. Let x pass through all of self.h.",
            gives(layers=slice(1)),
        ),
        Mistake("The blocks are not used.", gives(layers=slice(0))),
        Mistake(
            "The last block is left out. Let x pass through all of self.h.", gives(layers=slice(-1))
        ),
        Mistake(
            "The first block is left out. Let x pass through all of self.h.",
            gives(layers=slice(1, None)),
        ),
        Mistake(
            "Each block reads the first x, and only the last one's result is kept: x = block(x).",
            gives(layers=slice(-1, None)),
        ),
        Mistake(
            "Around each block x is added once more: the block adds to the stream by itself, "
            "x = block(x).",
            gives(step=lambda b, x: x + right(b, x)),
        ),
        Mistake(
            "The reserved rows are cut off too early: scores keeps all R = config.rows columns. "
            "Rung's forward takes the last two off afterwards.",
            lambda module: _whole(module, length)[..., :V],
        ),
        Mistake(
            "These are probabilities. Return the scores; the softmax is part of the loss.",
            lambda module: _whole(module, length).softmax(-1),
        ),
    )


def _count(module: Any) -> int:
    """How many numbers are learned, each counted once however often it is used."""
    return sum(p.numel() for p in module.Transformer(CONFIG).parameters())


def _sizes_of(change: Callable[[str], bool]) -> int:
    return sum(math.prod(shape) for name, shape in ALL.items() if change(name))


def _fresh(module: Any) -> dict[str, float]:
    """The standard deviation of each matrix of a fresh model, large enough to measure it."""
    config = ModelConfig(rung="transformer", vocab_size=79, block_size=64, n_layer=8, n_embd=96)
    model = module.Transformer(config)
    return {name: float(p.std()) for name, p in model.named_parameters() if p.ndim == 2}


def _fresh_differ(have: dict[str, float]) -> str | None:
    for name, std in have.items():
        small = name.endswith(("attn.proj.weight", "mlp.c_proj.weight"))
        want = 0.02 / 4 if small else 0.02
        if not 0.8 * want < std < 1.25 * want:
            why = ""
            if small and 0.015 < std < 0.025:
                why = (
                    " With 2 n_layer of them added to the stream, each starts smaller by the root "
                    "of 2 n_layer, here of 16."
                )
            return (
                f"The numbers of {name} start with a standard deviation of {std:.4f}, asked is "
                f"{want:.4f}.{why}"
            )
    return None


def _before_and_after(module: Any) -> list[Tensor]:
    model = fill(module.Transformer(CONFIG))
    changed = _idx().clone()
    changed[:, 3:] = torch.tensor([7, 2])
    return [model.scores(_idx())[:, :3], model.scores(changed)[:, :3]]


def _unmoved(result: list[Tensor]) -> str | None:
    once, again = result
    if once.shape != again.shape or once.ndim != 3:
        return None
    moved = ((once - again).abs() > 1e-4).any(dim=-1).any(dim=0)  # (T,)
    if not moved.any():
        return None
    return (
        "Only the characters 3 and 4 were changed, and yet the scores at position "
        f"{int(moved.nonzero()[0])} are others: the model sees the future."
    )


def _in_numpy(module: Any) -> float:
    """How far the scores lie from those of the arithmetic that writes and that pages run."""
    model = fill(module.Transformer(CONFIG))
    weights = {name: p.detach().numpy() for name, p in model.state_dict().items()}
    theirs = model(_idx()[:1])[0][0].detach().numpy()  # (T, V)
    ours = Reference(CONFIG, weights).forward(_idx()[0].tolist())  # (T, V)
    return float(abs(theirs - ours).max())


def _far(distance: float) -> str | None:
    if distance < 1e-3:
        return None
    return f"The logits differ by {distance:.3g} from what the page would show for these weights."


# --- the checks -----------------------------------------------------------------------------------

CHECKS = [
    Check(
        "A block has the parameters of GPT-2's, by name and shape.",
        lambda module: parameters_of(module.Block(CONFIG)),
        f"{TYPED}; Block(config)",
        "ln_1 and ln_2: weight, bias; attn: query, key, value, proj with a bias each;\n"
        "mlp: c_fc, c_proj.",
        (
            Mistake(
                "The attention has no biases. In a block it has: MultiHeadAttention(config, "
                "bias=True, std=0.02).",
                lambda module: {
                    name: shape
                    for name, shape in BLOCK.items()
                    if not (name.startswith("attn") and name.endswith("bias"))
                },
            ),
        ),
        verify=partial(parameters_differ, expected=BLOCK),
    ),
    Check(
        "What a block makes of two windows of five positions.",
        lambda module: fill(module.Block(CONFIG))(_x()),
        "Block(config)(x)  # x of shape (2, 5, 12)",
        BLOCK_BY_HAND,
        _block_mistakes(),
        tolerance=1e-4,
    ),
    Check(
        "A block's dropout is the one that config asks for.",
        _drop_rates(lambda module: module.Block(SOME)),
        "Block(config).dropout.p  # config.dropout is 0.37",
        "config.dropout is 0.37 here: nn.Dropout(config.dropout).p is 0.37.",
        verify=_rates_differ,
    ),
    Check(
        "In training a dropout of nearly 1 takes away all that the parts add: x is left.",
        _training,
        "Block(config).train()(x)  # config.dropout is 0.9999999",
        "x = x + dropout(attn(ln_1(x))) = x + 0\nx = x + dropout(mlp(ln_2(x)))  = x + 0",
        _dropped_mistakes(),
        tolerance=1e-4,
    ),
    Check(
        "When it is not training, the same block drops nothing.",
        lambda module: fill(module.Block(NEARLY_ALL))(_x()),
        "Block(config).eval()(x)  # config.dropout is 0.9999999",
        "nn.Dropout sees by itself whether the block is training; F.dropout has to be told.",
        (
            Mistake(
                "It drops although it is not training. nn.Dropout, made in __init__, knows when "
                "to stop.",
                lambda module: _x(),
            ),
        ),
        tolerance=1e-4,
    ),
    Check(
        "The model has the parameters of V4, by name and shape.",
        lambda module: parameters_of(module.Transformer(CONFIG)),
        f"{TYPED}; Transformer(config)",
        "wte (R, C), wpe (block_size, C), h.0. to h.3. the blocks, ln_f, lm_head (R, C).",
        (
            Mistake(
                "The blocks are in a plain list, and PyTorch does not see them: they would never "
                "be trained or saved. Put them in an nn.ModuleList.",
                lambda module: {k: v for k, v in ALL.items() if not k.startswith("h.")},
            ),
            Mistake(
                "lm_head has a bias. In this model it has none.",
                lambda module: {**ALL, "lm_head.bias": (V + 2,)},
            ),
            Mistake(
                "The tables have V rows; they need R = config.rows, two more, for the reserved "
                "ones.",
                lambda module: {
                    name: tuple(V if n == V + 2 else n for n in shape)
                    for name, shape in ALL.items()
                },
            ),
            Mistake(
                "The final norm is missing: self.ln_f = LayerNorm(config.n_embd).",
                lambda module: {k: v for k, v in ALL.items() if not k.startswith("ln_f")},
            ),
            Mistake(
                "There is one block too few: config.n_layer of them.",
                lambda module: {k: v for k, v in ALL.items() if not k.startswith("h.3.")},
            ),
        ),
        verify=partial(parameters_differ, expected=ALL),
    ),
    Check(
        "Every block learns numbers of its own.",
        _count,
        "sum(p.numel() for p in Transformer(config).parameters())",
        "[Block(config)] * 4 is one block four times; [Block(config) for _ in range(4)] are four.",
        (
            Mistake(
                "The blocks share their weights: it is one block, used again and again. Make a new "
                "one for each layer, in a comprehension: Block(config) for _ in range(n_layer).",
                lambda module: _sizes_of(lambda name: name[:2] != "h." or name[:4] == "h.0."),
            ),
            Mistake(
                "lm_head and wte share their weights. GPT-2 does that; here each has its own.",
                lambda module: _sizes_of(lambda name: name != "lm_head.weight"),
            ),
        ),
    ),
    Check(
        "The scores of two windows of five characters: (2, 5, 13).",
        lambda module: fill(module.Transformer(CONFIG)).scores(_idx()),
        "Transformer(config).scores(idx)  # idx of shape (2, 5)",
        MODEL_BY_HAND,
        _model_mistakes(T),
        tolerance=1e-4,
    ),
    Check(
        "A window as long as block_size has scores too.",
        lambda module: fill(module.Transformer(CONFIG)).scores(_idx(7)),
        "Transformer(config).scores(idx)  # idx of shape (2, 7), and block_size is 7",
        MODEL_BY_HAND,
        _model_mistakes(7),
        tolerance=1e-4,
    ),
    Check(
        "Other characters from place 3 on change no score before.",
        _before_and_after,
        "Transformer(config).scores(idx)[:, :3]  # twice, with other characters from 3 on",
        verify=_unmoved,
    ),
    Check(
        "The model's dropouts are what config asks for.",
        _drop_rates(lambda module: module.Transformer(SOME)),
        "Transformer(config).dropout.p  # config.dropout is 0.37",
        "config.dropout is 0.37 here: nn.Dropout(config.dropout).p is 0.37.",
        verify=_rates_differ,
    ),
    Check(
        "In training a dropout of nearly 1 leaves nothing of the text: all places score alike.",
        _model_training,
        "Transformer(config).train().scores(idx)  # config.dropout is 0.9999999",
        "dropout(wte(idx) + wpe(position)) is 0, the blocks add 0, and what is left is\n"
        "lm_head of ln_f's bias: the same for every place.",
        _model_dropped_mistakes(),
        tolerance=1e-4,
    ),
    Check(
        "The numbers start with the sizes asked for.",
        _fresh,
        "Transformer(ModelConfig(vocab_size=79, block_size=64, n_layer=8, n_embd=96))",
        "0.02 everywhere, but for attn.proj.weight and mlp.c_proj.weight of each block:\n"
        "0.02 / sqrt(2 * 8) = 0.005",
        verify=_fresh_differ,
    ),
    Check(
        "The page would show the same: our numpy arithmetic gives your logits.",
        _in_numpy,
        "Transformer(config)(idx)[0]",
        verify=_far,
    ),
]


# --- the reward -----------------------------------------------------------------------------------

UPDATES = 450


def reward(theirs: Any) -> str:
    """A Transformer, trained in a quarter of a minute, writes."""
    trial = trials.poems()
    config = ModelConfig(
        rung="transformer",
        vocab_size=trial.vocab_size,
        block_size=trial.block_size,
        n_layer=2,
        n_head=4,
        n_embd=64,
    )
    torch.manual_seed(0)
    model = theirs.Transformer(config)
    model.eval()
    before, gibberish = trial.nats(model), trial.write(model, 60)
    made = trial.train(model, UPDATES, most_seconds=15)
    return (
        f"Your Transformer (2 blocks, 64 channels) before its first update:\n\n{gibberish}\n\n"
        f"and after {made} updates on the poems:\n\n{trial.write(model, 300)}\n\n"
        "The loss on poems never seen:\n"
        f"  before              {before:.3f} nats\n"
        f"  the pair table      {trial.pair_table:.3f} nats\n"
        f"  your Transformer    {trial.nats(model):.3f} nats\n\n"
        "`babypoet learn run` trains it in full."
    )
