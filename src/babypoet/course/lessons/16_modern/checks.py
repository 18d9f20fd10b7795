"""What is asked of the modern block's parts, and the mistakes that people make in them."""

import contextlib
import math
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F

from babypoet.course import trials
from babypoet.course.checking import Check, Mistake

Tensor = torch.Tensor


def numbers(*shape: int, seed: int = 16) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


B, H, T, D = 2, 3, 5, 8
X3 = numbers(2, 3, 5)
WEIGHT = torch.tensor([0.5, 2.0, -1.0, 3.0, 1.5])
SMALL = torch.tensor([[0.3, 0.4]])
X = numbers(B, H, T, D, seed=1)
GATE, UP = numbers(2, 7, seed=2) * 2, numbers(2, 7, seed=3)
K = numbers(2, 3, 5, 6, seed=4)

# --- RMSNorm --------------------------------------------------------------------------------------


def normed(x: Tensor, weight: Tensor, eps: float) -> Callable[[Any], Any]:
    """A check's call."""
    return lambda module: module.rms_norm(x.clone(), weight.clone(), eps)


def norm_mistakes(x: Tensor, weight: Tensor, eps: float) -> tuple[Mistake, ...]:
    square = x.square()
    mean = square.mean(-1, keepdim=True)
    root = (mean + eps).sqrt()
    spread = x.var(-1, unbiased=False, keepdim=True)
    every = tuple(range(x.ndim))

    def mistake(says: str, gives: Tensor) -> Mistake:
        return Mistake(says, lambda right: gives)

    centred = (
        "The mean is subtracted: that is LayerNorm. RMSNorm divides by the root mean square only."
    )
    found = (
        mistake(centred, (x - x.mean(-1, keepdim=True)) / (spread + eps).sqrt() * weight),
        mistake(centred, (x - x.mean(-1, keepdim=True)) / root * weight),
        mistake(
            "You divide by the standard deviation. The root mean square takes the squares of x "
            "itself, not of its distance from the mean.",
            x / (spread + eps).sqrt() * weight,
        ),
        mistake(
            "You divide by torch's var or std. They subtract the mean first, and divide by C - 1. "
            "The root mean square is the root of x.square().mean(dim=-1, keepdim=True).",
            x / (x.var(-1, keepdim=True) + eps).sqrt() * weight,
        ),
        mistake(
            "The sum of the squares was taken, not their mean: divide it by C.",
            x / (square.sum(-1, keepdim=True) + eps).sqrt() * weight,
        ),
        mistake("The root is missing.", x / (mean + eps) * weight),
        mistake(
            "eps stands outside the root. It is added to the mean of the squares, before the root: "
            "sqrt(mean + eps), not sqrt(mean) + eps.",
            x / (mean.sqrt() + eps) * weight,
        ),
        mistake("eps is not used: add it under the root.", x / mean.sqrt() * weight),
        mistake("The weight is not used: multiply each channel by its own.", x / root),
        mistake("The weight is multiplied by as it is, not by 1 + it.", x / root * (1 + weight)),
        mistake("The weight is multiplied by, not added.", x / root + weight),
        mistake(
            "The mean is taken over everything. Each vector, along the last axis, has its own.",
            x / (square.mean(every, keepdim=True) + eps).sqrt() * weight,
        ),
        *(
            mistake(
                f"The mean is taken along axis {axis}. Take the last one, dim=-1: the channels of "
                "one vector.",
                x / (square.mean(axis, keepdim=True) + eps).sqrt() * weight,
            )
            for axis in every[:-1]
        ),
    )
    right = x / root * weight
    return tuple(m for m in found if not torch.allclose(m.gives(None), right, 1e-5, 1e-5))


# --- RoPE -----------------------------------------------------------------------------------------


def tables(module: Any) -> Any:
    return module.rope_tables(5, 8, 100.0)


def table_at_two(module: Any) -> Any:
    """The rows of place 2: (2, D)."""
    cosine, sine = module.rope_tables(4, 6, 10000.0)
    return [cosine[2], sine[2]]


def tables_with(
    block_size: int, head_size: int, base: float, kind: str = ""
) -> tuple[Tensor, Tensor]:
    """The tables with a mistake in them."""
    exponent = torch.arange(0, head_size, 2) / head_size
    exponent = {
        "half exponent": exponent / 2,
        "double exponent": exponent * 2,
        "upwards": -exponent,
    }.get(kind, exponent)
    position = torch.arange(block_size, dtype=torch.float32) + (kind == "from one")
    angle = position[:, None] * base ** (-exponent)
    if kind == "degrees":
        angle = angle * math.pi / 180
    if kind == "turns":
        angle = angle * 2 * math.pi
    if kind == "neighbours":
        angle = angle.repeat_interleave(2, dim=-1)
    elif kind != "once":
        angle = torch.cat((angle, angle), dim=-1)
    return angle.cos(), angle.sin()


def table_mistakes(call: Callable[[Any], Any]) -> tuple[Mistake, ...]:
    class Wrong:
        def __init__(self, kind: str) -> None:
            self.kind = kind

        def rope_tables(self, *arguments: Any) -> Any:
            return tables_with(*arguments, kind=self.kind)

    def mistake(kind: str, says: str) -> Mistake:
        return Mistake(says, lambda right: call(Wrong(kind)))

    return (
        mistake("from one", "The positions count from 1. Count from 0, where nothing turns."),
        mistake(
            "half exponent",
            "The exponent is -i / D, half of what it should be: pair i turns by base^(-2i / D).",
        ),
        mistake(
            "double exponent",
            "The exponent is twice what it should be: it is -2i / D for pair i, so -0, -2/D, -4/D "
            "...",
        ),
        mistake(
            "upwards",
            "The exponent has the wrong sign: the pairs turn faster and faster. They should turn "
            "ever more slowly, by base^(-2i / D).",
        ),
        mistake(
            "degrees",
            "The angles were turned into radians as if they were degrees. position * base^(-2i / "
            "D) already are radians, as cos and sin take them.",
        ),
        mistake(
            "turns",
            "The angles were multiplied by 2 pi. position * base^(-2i / D) already are radians.",
        ),
        mistake(
            "neighbours",
            "The angles stand in neighbouring columns, for pairs (0, 1), (2, 3), ... Here channel "
            "i turns with channel i + D/2, so all D/2 angles come once, and then all once more: "
            "torch.cat.",
        ),
        mistake(
            "once",
            "The tables have D/2 columns. Both channels of a pair need the angle: put the angles "
            "side by side twice.",
        ),
        Mistake(
            "The two tables are swapped: the cosine comes first.",
            lambda right: type(call(right))(call(right)[::-1]),
        ),
    )


def given_tables(block_size: int = T, head_size: int = D) -> tuple[Tensor, Tensor]:
    return tables_with(block_size, head_size, 100.0)


def turned(x: Tensor) -> Callable[[Any], Any]:
    """A check's call: the right tables, their `rope`."""
    return lambda module: module.rope(x.clone(), *given_tables(x.shape[-2], x.shape[-1]))


SMALL_X = torch.tensor([[[[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]]]])


def rope_mistakes(x: Tensor) -> tuple[Mistake, ...]:
    cosine, sine = given_tables(x.shape[-2], x.shape[-1])
    a, b = x.chunk(2, dim=-1)
    even, odd = x[..., ::2], x[..., 1::2]
    half = x.shape[-1] // 2
    angle_cos, angle_sin = cosine[:, :half], sine[:, :half]
    pairs = torch.stack(
        (even * angle_cos - odd * angle_sin, odd * angle_cos + even * angle_sin), dim=-1
    )

    def mistake(says: str, gives: Tensor) -> Mistake:
        return Mistake(says, lambda right: gives)

    neighbours = (
        "Neighbouring channels are turned together, (0, 1), (2, 3), ... Here a pair is channel i "
        "and channel i + D/2: split each vector into two halves (chunk), not into even and odd."
    )
    return (
        mistake(neighbours, pairs.flatten(-2)),
        mistake(neighbours, x * cosine + torch.stack((-odd, even), dim=-1).flatten(-2) * sine),
        mistake(
            "It turns the wrong way round (the sign of the angle): the first half is a cos - b "
            "sin, the second b cos + a sin.",
            x * cosine + torch.cat((b, -a), dim=-1) * sine,
        ),
        mistake(
            "Both halves get a plus. A turn has one minus: the first half is a cos - b sin.",
            x * cosine + torch.cat((b, a), dim=-1) * sine,
        ),
        mistake(
            "Each channel is mixed with itself. The sine multiplies the *other* half: a cos - b "
            "sin and b cos + a sin.",
            x * cosine + x * sine,
        ),
        mistake(
            "The halves were not swapped: the sine multiplies (-b, a), not (-a, b).",
            x * cosine + torch.cat((-a, b), dim=-1) * sine,
        ),
        mistake("Cosine and sine are swapped.", x * sine + torch.cat((-b, a), dim=-1) * cosine),
        mistake("Only the cosine terms are there: the sine terms are missing.", x * cosine),
    )


def scores_by_distance(module: Any) -> Any:
    """The scores of one query and one key, both at all places: (T, T)."""
    query, key = numbers(8, seed=5), numbers(8, seed=6)
    cosine, sine = given_tables(7, 8)
    q = module.rope(query.expand(1, 1, 7, 8).clone(), cosine, sine)[0, 0]
    k = module.rope(key.expand(1, 1, 7, 8).clone(), cosine, sine)[0, 0]
    return q @ k.T


def says_distance(scores: Tensor) -> str | None:
    for distance in range(-6, 7):
        same = scores.diagonal(distance)
        if not torch.allclose(same, same[:1], atol=1e-4):
            return (
                f"One query and one key, {abs(distance)} places apart, get different scores at "
                f"different places: {same[0]:.4f} and {same[-1]:.4f}. Both channels of a pair must "
                "turn by the same angle, and the angle must grow by the same amount at each place."
            )
    return None


# --- SwiGLU ---------------------------------------------------------------------------------------


def gate_mistakes(gate: Tensor, up: Tensor) -> tuple[Mistake, ...]:
    def mistake(says: str, gives: Tensor) -> Mistake:
        return Mistake(says, lambda right: gives)

    gelu = "That gate is a GELU. SwiGLU uses silu: gate * sigmoid(gate)."
    return (
        mistake("gate and up are swapped: silu is taken of the gate.", F.silu(up) * gate),
        mistake(
            "The gate is only a sigmoid. silu(gate) is gate * sigmoid(gate).",
            torch.sigmoid(gate) * up,
        ),
        mistake("up is missing: silu(gate) is multiplied by it.", F.silu(gate)),
        mistake("The sigmoid is missing: silu(gate) is gate * sigmoid(gate).", gate * up),
        mistake("silu is taken of both. Take it of the gate alone.", F.silu(gate) * F.silu(up)),
        mistake("The product was taken first. It is silu(gate), times up.", F.silu(gate * up)),
        mistake("silu(gate) and up are multiplied, not added.", F.silu(gate) + up),
        mistake(
            "The sigmoid is the wrong way round: 1 / (1 + e^-z), with a minus.",
            gate * torch.sigmoid(-gate) * up,
        ),
        mistake(gelu, F.gelu(gate) * up),
        mistake(gelu, F.gelu(gate, approximate="tanh") * up),
        mistake("That gate is a ReLU. SwiGLU uses silu: gate * sigmoid(gate).", F.relu(gate) * up),
    )


# --- the checks -----------------------------------------------------------------------------------

SHARED = "Query head h uses key head h // groups, so each key head comes `groups` times in a row"

CHECKS = [
    Check(
        what="[3, 4] is scaled to root mean square 1.",
        call=normed(torch.tensor([3.0, 4.0]), torch.ones(2), 0.0),
        shown="rms_norm(torch.tensor([3.0, 4.0]), torch.ones(2), 0.0)",
        by_hand="The squares are 9 and 16, their mean 12.5, its root 3.5355: 3 / 3.5355 = 0.8485 "
        "and 4 / 3.5355 = 1.1314.",
        mistakes=norm_mistakes(torch.tensor([3.0, 4.0]), torch.ones(2), 0.0),
    ),
    Check(
        what="Each vector of a (2, 3, 5) tensor is scaled by its own, and each channel by its "
        "weight.",
        call=normed(X3, WEIGHT, 1e-6),
        shown="rms_norm(x, weight, 1e-6)  # x: (2, 3, 5), weight: (5,)",
        by_hand="With the weights 2 and 10 the vector [3, 4] becomes 0.8485 * 2 = 1.697 and "
        "1.1314 * 10 = 11.314.",
        mistakes=norm_mistakes(X3, WEIGHT, 1e-6),
    ),
    Check(
        what="eps is added under the root, which shows where it is large.",
        call=normed(SMALL, torch.ones(2), 0.125),
        shown="rms_norm(torch.tensor([[0.3, 0.4]]), torch.ones(2), 0.125)",
        by_hand="The mean of 0.09 and 0.16 is 0.125; with eps it is 0.25, and its root 0.5: the "
        "answer is 0.6 and 0.8.",
        mistakes=norm_mistakes(SMALL, torch.ones(2), 0.125),
    ),
    Check(
        what="The tables for five places and eight channels.",
        call=tables,
        shown="rope_tables(5, 8, 100.0)",
        by_hand="For head size 4 and base 100 the angles at place 1 are 1, 0.1, 1, 0.1: cosine "
        "0.5403, 0.9950, 0.5403, 0.9950 and sine 0.8415, 0.0998, 0.8415, 0.0998. At place 0 all "
        "cosines are 1 and all sines 0.",
        mistakes=table_mistakes(tables),
    ),
    Check(
        what="Another base, another head size: place 2.",
        call=table_at_two,
        shown="cosine, sine = rope_tables(4, 6, 10000.0); cosine[2], sine[2]",
        by_hand="The three speeds are 10000^0 = 1, 10000^(-2/6) = 0.0464 and 10000^(-4/6) = "
        "0.00215; at place 2 the angles are twice that.",
        mistakes=table_mistakes(table_at_two),
    ),
    Check(
        what="[1, 2, 3, 4] at the places 0 and 1.",
        call=turned(SMALL_X),
        shown="rope(torch.tensor([[[[1.0, 2, 3, 4], [1, 2, 3, 4]]]]), *rope_tables(2, 4, 100.0))",
        by_hand="Place 0: nothing turns. Place 1: the pairs are (1, 3) and (2, 4); 1 * 0.5403 - "
        "3 * 0.8415 = -1.984, 3 * 0.5403 + 1 * 0.8415 = 2.462, 2 * 0.9950 - 4 * 0.0998 = 1.591, "
        "4 * 0.9950 + 2 * 0.0998 = 4.180: the answer is [-1.984, 1.591, 2.462, 4.180].",
        mistakes=rope_mistakes(SMALL_X),
    ),
    Check(
        what="Two texts, three heads, five places, eight channels.",
        call=turned(X),
        shown="rope(x, *rope_tables(5, 8, 100.0))  # x: (2, 3, 5, 8)",
        by_hand="All texts and heads turn alike; the angle depends on the place, axis 2, and on "
        "the pair.",
        mistakes=rope_mistakes(X),
    ),
    Check(
        what="The score of a turned query and a turned key depends on their distance alone.",
        call=scores_by_distance,
        shown="rope(q, *rope_tables(7, 8, 100.0))[0, 0] @ rope(k, *rope_tables(7, 8, 100.0))[0, "
        "0].T",
        by_hand="Places 3 and 1, or 6 and 4: both are 2 apart, and the score is the same.",
        verify=says_distance,
    ),
    Check(
        what="A gate of 2 opens, a gate of -2 is nearly shut.",
        call=lambda module: module.swiglu(torch.tensor([2.0, -2.0]), torch.tensor([3.0, 3.0])),
        shown="swiglu(torch.tensor([2.0, -2.0]), torch.tensor([3.0, 3.0]))",
        by_hand="sigmoid(2) = 0.8808, so silu(2) = 1.7616 and 1.7616 * 3 = 5.2848; sigmoid(-2) = "
        "0.1192, silu(-2) = -0.2384, and -0.2384 * 3 = -0.7152.",
        mistakes=gate_mistakes(torch.tensor([2.0, -2.0]), torch.tensor([3.0, 3.0])),
    ),
    Check(
        what="Gates and values of a (2, 7) layer.",
        call=lambda module: module.swiglu(GATE.clone(), UP.clone()),
        shown="swiglu(gate, up)  # both (2, 7)",
        by_hand="Each value of its own: silu(gate) * up, with silu(z) = z * sigmoid(z).",
        mistakes=gate_mistakes(GATE, UP),
    ),
    Check(
        what="Two key heads for six query heads: 0, 0, 0, 1, 1, 1.",
        call=lambda module: module.share_heads(
            torch.tensor([10.0, 20.0]).view(1, 2, 1, 1), 3
        ).flatten(),
        shown="share_heads(torch.tensor([10.0, 20.0]).view(1, 2, 1, 1), 3).flatten()",
        by_hand="Key head 0 holds 10, key head 1 holds 20: the answer is 10, 10, 10, 20, 20, 20.",
        mistakes=(
            Mistake(
                f"The heads come in turn, 0, 1, 0, 1, ... {SHARED}: repeat_interleave, not repeat.",
                lambda right: torch.tensor([10.0, 20.0] * 3),
            ),
        ),
    ),
    Check(
        what="Three key heads for twelve query heads, (2, 3, 5, 6) -> (2, 12, 5, 6).",
        call=lambda module: module.share_heads(K.clone(), 4),
        shown="share_heads(k, 4)  # k: (2, 3, 5, 6)",
        by_hand="Only axis 1, the heads, grows: from 3 to 12.",
        mistakes=(
            Mistake(
                f"The heads come in turn, 0, 1, 2, 0, 1, 2, ... {SHARED}: repeat_interleave, not "
                f"repeat.",
                lambda right: K.repeat(1, 4, 1, 1),
            ),
            Mistake(
                "The places were repeated (axis 2), not the heads (axis 1).",
                lambda right: K.repeat_interleave(4, dim=2),
            ),
            Mistake(
                "The channels were repeated (the last axis), not the heads (axis 1).",
                lambda right: K.repeat_interleave(4, dim=-1),
            ),
            Mistake(
                "The batch was repeated (axis 0), not the heads (axis 1).",
                lambda right: K.repeat_interleave(4, dim=0),
            ),
            Mistake(
                "Everything was repeated in one long row: say which axis, dim=1.",
                lambda right: K.repeat_interleave(4),
            ),
            Mistake(
                f"The heads came back as they were. {SHARED}: axis 1 grows to K * groups.",
                lambda right: K,
            ),
        ),
    ),
]


# --- something to see -----------------------------------------------------------------------------


def distance_table(theirs: Any) -> list[str]:
    """The score of one query and one key, 2 places apart, further and further on."""
    query, key = numbers(16, seed=7), numbers(16, seed=8)
    tables = theirs.rope_tables(128, 16, 10000.0)

    def score(m: int, n: int) -> float:
        q = theirs.rope(query.expand(1, 1, 128, 16).clone(), *tables)[0, 0, m]
        k = theirs.rope(key.expand(1, 1, 128, 16).clone(), *tables)[0, 0, n]
        return float(q @ k)

    lines = ["places of one query and one key, and their score:", ""]
    for distance in (1, 2, 5):
        shown = [
            f"{n + distance:>3} and {n:>3}: {score(n + distance, n):7.3f}" for n in (0, 7, 120)
        ]
        lines.append(f"  {distance} apart   " + "   ".join(shown))
    return lines


def with_their_parts(theirs: Any) -> contextlib.ExitStack:
    """While it is open, rung V5 computes with the learner's five functions."""
    from babypoet import ladder

    def forward(self: Any, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        groups = self.n_head // self.n_kv_head
        q = ladder._split_heads(self.q_proj(x), self.n_head)  # (B, H, T, D)
        k = ladder._split_heads(self.k_proj(x), self.n_kv_head)  # (B, K, T, D)
        v = ladder._split_heads(self.v_proj(x), self.n_kv_head)  # (B, K, T, D)
        q = theirs.rope(self.q_norm(q), cosine, sine)  # (B, H, T, D)
        k = theirs.rope(self.k_norm(k), cosine, sine)  # (B, K, T, D)
        k = theirs.share_heads(k, groups)  # (B, H, T, D)
        v = theirs.share_heads(v, groups)  # (B, H, T, D)
        x = ladder._join_heads(ladder.causal_attention(q, k, v))  # (B, T, C)
        return self.o_proj(x)  # (B, T, C)

    stack = contextlib.ExitStack()
    for name in ("rms_norm", "swiglu", "rope_tables"):
        stack.enter_context(mock.patch.object(ladder, name, getattr(theirs, name)))
    stack.enter_context(mock.patch.object(ladder.GroupedQueryAttention, "forward", forward))
    return stack


UPDATES = 350


def reward(theirs: Any) -> str:
    """A score that depends on distance alone, and V5 with their parts, trained for some seconds."""
    from babypoet.config import ModelConfig
    from babypoet.ladder import build

    trial = trials.poems()
    config = ModelConfig(
        rung="modern",
        vocab_size=trial.vocab_size,
        block_size=trial.block_size,
        n_layer=2,
        n_head=4,
        n_kv_head=2,
        n_embd=64,
    )
    with with_their_parts(theirs):
        model = build(config, seed=0)
        before = trial.nats(model)
        made = trial.train(model, UPDATES, most_seconds=12)
        after, text = trial.nats(model), trial.write(model, 300)
    heading, *table = distance_table(theirs)
    return "\n".join(
        [
            f"With your RoPE, {heading}",
            *table,
            "",
            "A row is one number: only the distance counts. And rung V5 (2 blocks, 64 channels)",
            f"with your five parts, after {made} updates on the poems:",
            "",
            text,
            "",
            "The loss on poems never seen:",
            f"  before           {before:.3f} nats",
            f"  the pair table   {trial.pair_table:.3f} nats",
            f"  your V5          {after:.3f} nats",
            "",
            "`babypoet learn run` trains it in full.",
        ]
    )
