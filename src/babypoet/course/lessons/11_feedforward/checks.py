"""What is asked of l11_feedforward.py."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from babypoet import ladder
from babypoet.config import ModelConfig
from babypoet.course import trials
from babypoet.course.checking import Check, Mistake
from babypoet.course.trials import fill, parameters_differ, parameters_of

B, T, C = 2, 5, 6  # the sizes of the checks, pairwise distinct; 4C is 24
CONFIG = ModelConfig(rung="transformer", vocab_size=11, block_size=7, n_head=3, n_embd=C)
TYPED = 'config = ModelConfig(rung="transformer", vocab_size=11, block_size=7, n_head=3, n_embd=6)'
PARAMETERS = {
    "c_fc.weight": (4 * C, C),
    "c_fc.bias": (4 * C,),
    "c_proj.weight": (C, 4 * C),
    "c_proj.bias": (C,),
}

BY_HAND = """
x = 1:   x + 0.044715 * x^3   = 1.044715
         * sqrt(2 / pi)       = 1.044715 * 0.797885 = 0.833562
         tanh of it           = 0.682384
         0.5 * 1 * 1.682384   = 0.841192
x = -1:  0.5 * -1 * (1 - 0.682384) = -0.158808        x = 0: 0
""".strip("\n")


def _line() -> Tensor:
    return torch.linspace(-4, 4, 17)


def _x() -> Tensor:
    return torch.randn(B, T, C, generator=torch.Generator().manual_seed(9))  # (B, T, C)


# --- what people get wrong ------------------------------------------------------------------------


def bent(x: Tensor, half: float = 0.5, inner: float = math.sqrt(2 / math.pi), power: int = 3,
         small: float = 0.044715, one: float = 1.0) -> Tensor:  # fmt: skip
    """GELU in its tanh form with every choice open; as given here it is right."""
    return half * x * (one + torch.tanh(inner * (x + small * x**power)))


Bend = Callable[[Tensor], Tensor]
BENDS: tuple[tuple[str, Bend], ...] = (
    (
        "This is GELU in its exact form, by erf: torch's default. GPT-2 was trained with the tanh "
        "form, which differs by up to 0.0005: write the formula out.",
        F.gelu,
    ),
    ("This is ReLU, which is 0 for everything below 0. GELU bends softly.", torch.relu),
    ("This is SiLU, x * sigmoid(x). GELU has the tanh form given in the lesson.", F.silu),
    (
        "This is x * sigmoid(1.702 x), a coarser approximation of GELU. Use the tanh form.",
        lambda x: x * torch.sigmoid(1.702 * x),
    ),
    ("This is tanh alone: x * 0.5 * (1 + tanh(...)) is asked for.", torch.tanh),
    ("The factor 0.5 is missing: everything is twice as large.", partial(bent, half=1.0)),
    (
        "The root is missing: inside the tanh stands sqrt(2 / pi) = 0.798, not 2 / pi.",
        partial(bent, inner=2 / math.pi),
    ),
    (
        "sqrt(2 / pi) is missing inside the tanh.",
        partial(bent, inner=1.0),
    ),
    (
        "Inside the root stands 2 / pi, not pi / 2.",
        partial(bent, inner=math.sqrt(math.pi / 2)),
    ),
    ("x is squared inside the tanh; it is cubed: x**3.", partial(bent, power=2)),
    ("0.044715 * x**3 is missing inside the tanh.", partial(bent, small=0.0)),
    (
        "The 1 before the tanh is missing: 1 + tanh(...) runs from 0 to 2.",
        partial(bent, one=0.0),
    ),
    (
        "The brackets: sqrt(2 / pi) multiplies the whole of x + 0.044715 x^3, not x alone.",
        lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * x + 0.044715 * x**3)),
    ),
    (
        "x is missing in front: 0.5 * x * (1 + tanh(...)).",
        lambda x: bent(x) / x,
    ),
)


def _bends(inputs: Callable[[], Tensor]) -> tuple[Mistake, ...]:
    return tuple(Mistake(says, lambda right, bend=bend: bend(inputs())) for says, bend in BENDS)


def _layers(wrong: Callable[[Any, Tensor], Tensor]) -> Callable[[Any], Any]:
    return lambda right: wrong(fill(right.MLP(CONFIG)), _x())


MLP_MISTAKES = (
    Mistake(
        "The bend is missing: two linear layers in a row can do no more than one. Put gelu between "
        "them.",
        _layers(lambda m, x: m.c_proj(m.c_fc(x))),
    ),
    Mistake(
        "gelu comes last. It stands between the two layers.",
        _layers(lambda m, x: bent(m.c_proj(m.c_fc(x)))),
    ),
    Mistake(
        "gelu comes first. It stands between the two layers.",
        _layers(lambda m, x: m.c_proj(m.c_fc(bent(x)))),
    ),
    Mistake(
        "gelu bends twice: between the layers and after them. Once, between them.",
        _layers(lambda m, x: bent(m.c_proj(bent(m.c_fc(x))))),
    ),
    Mistake(
        "The bend is ReLU. Use your gelu.",
        _layers(lambda m, x: m.c_proj(torch.relu(m.c_fc(x)))),
    ),
    Mistake(
        "The bend is torch's gelu in its exact form. Use yours, the tanh form.",
        _layers(lambda m, x: m.c_proj(F.gelu(m.c_fc(x)))),
    ),
    Mistake(
        "x is added at the end. The adding is the block's, in lesson 12; the layer returns what it "
        "made alone.",
        _layers(lambda m, x: x + m.c_proj(bent(m.c_fc(x)))),
    ),
)


def _alone(module: Any) -> Tensor:
    """What the other positions change when only position 2 is another one."""
    layers, x = fill(module.MLP(CONFIG)), _x()
    changed = x.clone()
    changed[:, 2] += 1
    moved = (layers(changed) - layers(x)).abs().amax(dim=(0, 2))  # (T,)
    return moved > 1e-6


# --- the checks -----------------------------------------------------------------------------------

CHECKS = [
    Check(
        "GELU of -1, 0 and 1.",
        lambda module: module.gelu(torch.tensor([-1.0, 0.0, 1.0])),
        "gelu(torch.tensor([-1., 0., 1.]))",
        BY_HAND,
        _bends(lambda: torch.tensor([-1.0, 0.0, 1.0])),
    ),
    Check(
        "Seventeen numbers from -4 to 4.",
        lambda module: module.gelu(_line()),
        "gelu(torch.linspace(-4, 4, 17))",
        BY_HAND,
        _bends(_line),
    ),
    Check(
        "Any shape: number by number.",
        lambda module: module.gelu(_x()),
        "gelu(x)  # x of shape (2, 5, 6)",
        BY_HAND,
        _bends(_x),
    ),
    Check(
        "Far out it is 0 on the left and x on the right.",
        lambda module: module.gelu(torch.tensor([-50.0, 50.0])),
        "gelu(torch.tensor([-50., 50.]))",
        "tanh is -1 and 1 there: 0.5 * x * 0 = 0 and 0.5 * x * 2 = x",
    ),
    Check(
        "Two layers with a bias each: c_fc from 6 to 24 channels, c_proj from 24 to 6.",
        lambda module: parameters_of(module.MLP(CONFIG)),
        f"{TYPED}; MLP(config)",
        "linear(6, 24) keeps its weight as (24, 6): a row for each channel that comes out.",
        (
            Mistake(
                "c_fc and c_proj have changed places: c_fc widens, from C to 4C, and c_proj "
                "narrows, from 4C to C.",
                lambda right: {
                    "c_fc.weight": (C, 4 * C),
                    "c_fc.bias": (C,),
                    "c_proj.weight": (4 * C, C),
                    "c_proj.bias": (4 * C,),
                },
            ),
            Mistake(
                "The layers have no bias: linear(..., bias=True).",
                lambda right: {k: v for k, v in PARAMETERS.items() if "weight" in k},
            ),
            Mistake(
                "Nothing is widened: c_fc goes from C to 4C channels.",
                lambda right: {
                    name: tuple(min(n, C) for n in shape) for name, shape in PARAMETERS.items()
                },
            ),
        ),
        verify=partial(parameters_differ, expected=PARAMETERS),
    ),
    Check(
        "What it makes of two windows of five positions.",
        lambda module: fill(module.MLP(CONFIG))(_x()),
        "MLP(config)(x)  # x of shape (2, 5, 6)",
        "(B, T, C) -> c_fc: (B, T, 4C) -> gelu: (B, T, 4C) -> c_proj: (B, T, C)",
        MLP_MISTAKES,
    ),
    Check(
        "Each position is worked on alone: with position 2 changed, no other moves.",
        _alone,
        "MLP(config)(x)  # twice, with another x[:, 2] the second time",
    ),
]


# --- the reward -----------------------------------------------------------------------------------

UPDATES = 500


class _Behind(nn.Module):
    """Attention, and what a feed-forward layer adds to what it found."""

    def __init__(self, attention: nn.Module, mlp: nn.Module) -> None:
        super().__init__()
        self.attention, self.mlp = attention, mlp

    def forward(self, x: Tensor) -> Tensor:
        x = self.attention(x)
        return x + self.mlp(x)


def _fitted(mlp: Any, bend: bool) -> list[float]:
    """What the layer makes of -3 to 3, after learning to be 1 between -1 and 1, and 0 elsewhere."""
    rng = torch.Generator().manual_seed(2)
    for parameter in mlp.parameters():
        nn.init.normal_(parameter, generator=rng)
    x = torch.linspace(-3, 3, 61)[:, None]
    y = (x.abs() < 1).float()
    optimizer = torch.optim.Adam(mlp.parameters(), lr=0.05)
    for _ in range(1000):
        out = mlp(x) if bend else mlp.c_proj(mlp.c_fc(x))
        optimizer.zero_grad()
        (out - y).square().mean().backward()
        optimizer.step()
    return [float(value) for value in out.detach().flatten().clamp(0, 1)]


def reward(theirs: Any) -> str:
    """What a bend can draw, and what the layer is worth behind V3's attention."""
    tiny = ModelConfig(rung="transformer", n_embd=1, n_head=1)
    trial = trials.poems()
    config = ModelConfig(
        rung="multihead", vocab_size=trial.vocab_size, block_size=trial.block_size, n_embd=64
    )
    with trials.one_thread():
        straight = _fitted(theirs.MLP(tiny), bend=False)
        curved = _fitted(theirs.MLP(tiny), bend=True)
    plain, longer = ladder.build(config), ladder.build(config)
    torch.manual_seed(0)
    mlp = theirs.MLP(config)
    for layer in (mlp.c_fc, mlp.c_proj):  # as large as V3's layers start
        nn.init.normal_(layer.weight, std=layer.weight.shape[1] ** -0.5)
    longer.attention = _Behind(longer.attention, mlp)  # type: ignore[assignment]
    made = trial.train(plain, UPDATES, most_seconds=5)
    trial.train(longer, UPDATES, most_seconds=10)
    wanted = [float(abs(i - 30) < 10) for i in range(61)]
    rows = (("to be learned", wanted), ("without gelu", straight), ("your layer", curved))
    return (
        "One number from -3 to 3 goes in. Out should come 1 in the middle and 0 elsewhere. After "
        "1,000 updates:\n\n"
        + "".join(f"  {name:15}|{trials.marks([*values, 1.0])[:-1]}|\n" for name, values in rows)
        + f"\nAfter {made} updates on the poems, the loss on poems never seen:\n"
        f"  V3, 64 channels wide         {trial.nats(plain):.3f} nats\n"
        f"  V3 with your layer behind    {trial.nats(longer):.3f} nats"
    )
