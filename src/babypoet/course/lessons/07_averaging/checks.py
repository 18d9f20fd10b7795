"""What is asked of l07_averaging.py."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from babypoet.course import trials
from babypoet.course.checking import Check, Mistake

SMALL = [[2.0, 0.0], [4.0, 6.0], [0.0, 3.0]]
BY_HAND = """
x = [[2, 0],     row 0: itself                              [2, 0]
     [4, 6],     row 1: (2 + 4) / 2,     (0 + 6) / 2        [3, 3]
     [0, 3]]     row 2: (2 + 4 + 0) / 3, (0 + 6 + 3) / 3    [2, 3]
""".strip("\n")
SHARES = """
the shares                 times x = [[2, 0], [4, 6], [0, 3]]
[[1,   0,   0  ],          row 0: 1 * [2, 0]                                      [2, 0]
 [1/2, 1/2, 0  ],          row 1: 1/2 * [2, 0] + 1/2 * [4, 6]                     [3, 3]
 [1/3, 1/3, 1/3]]          row 2: 1/3 * [2, 0] + 1/3 * [4, 6] + 1/3 * [0, 3]      [2, 3]
""".strip("\n")
SCORES = """
the scores                 e to the power of each        each row over its sum
[[0, -inf, -inf],          [[1, 0, 0],                   [[1,   0,   0  ],
 [0,  0,   -inf],    ->     [1, 1, 0],             ->     [1/2, 1/2, 0  ],
 [0,  0,    0  ]]           [1, 1, 1]]                    [1/3, 1/3, 1/3]]
""".strip("\n")


def _small() -> Tensor:
    return torch.tensor(SMALL)


def _rows() -> Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(7))  # (T, C)


# --- what people get wrong ------------------------------------------------------------------------


def _without_itself(x: Tensor) -> Tensor:
    return torch.stack([x[:t].mean(dim=0) for t in range(len(x))])


def _without_itself_or_zero(x: Tensor) -> Tensor:
    zero = torch.zeros_like(x[:1])
    return torch.cat([zero, _without_itself(x)[1:]])


def _one_too_few(x: Tensor) -> Tensor:
    past = (x.cumsum(0) - x) / torch.arange(1, len(x) + 1)[:, None]
    return past


def _from_here_on(x: Tensor) -> Tensor:
    return torch.stack([x[t:].mean(dim=0) for t in range(len(x))])


def _of_all(x: Tensor) -> Tensor:
    return x.mean(dim=0).expand_as(x)


def _over_the_whole_length(x: Tensor) -> Tensor:
    return x.cumsum(0) / len(x)


def _over_t(x: Tensor) -> Tensor:
    return x.cumsum(0) / torch.arange(len(x))[:, None]


def _along_columns(x: Tensor) -> Tensor:
    share = torch.ones(len(x), len(x)).tril()
    return share / share.sum(dim=0, keepdim=True) @ x


def _unequal_divisor(x: Tensor) -> Tensor:
    """`weight / weight.sum(dim=-1)` without keepdim: the sums are laid along the columns."""
    share = torch.ones(len(x), len(x)).tril()
    return share / share.sum(dim=-1) @ x


def _softmax_along_columns(x: Tensor) -> Tensor:
    score = torch.zeros(len(x), len(x))
    future = torch.ones(len(x), len(x), dtype=torch.bool).triu(1)
    return torch.softmax(score.masked_fill(future, -math.inf), dim=0) @ x


def _scores_of_one(x: Tensor) -> Tensor:
    """tril of ones as scores, without -inf: e^1 for the past and e^0 for what comes later."""
    return torch.softmax(torch.ones(len(x), len(x)).tril(), dim=-1) @ x


def _unequal(x: Tensor) -> Tensor:
    """The running mean of the mean so far and the new row: (mean + x) / 2."""
    found = [x[0]]
    for row in x[1:]:
        found.append((found[-1] + row) / 2)
    return torch.stack(found)


def _mistakes(name: str, x: Callable[[], Tensor]) -> tuple[Mistake, ...]:
    """The mistakes that a function, called with x(), may have."""

    def gives(wrong: Callable[[Tensor], Tensor]) -> Callable[[Any], Tensor]:
        return lambda right: wrong(x())

    alike = (
        Mistake(
            "Each row looks at itself and everything after it: that is the future. Row t may use "
            "the rows 0 to t only"
            + (
                ": x[: t + 1]."
                if name == "average_loop"
                else ", so the shares (or what is not -inf) stand in the lower triangle."
            ),
            gives(_from_here_on),
        ),
        Mistake(
            "Every row is the mean of all T rows, so each one sees the future. Row t may use the "
            "rows 0 to t only."
            + (
                " Scores of 0 do not hide anything, since e^0 is 1: what is to be hidden needs the "
                'score -inf, float("-inf"), whose e^x is 0.'
                if name == "average_softmax"
                else ""
            ),
            gives(_of_all),
        ),
    )
    itself = (
        "A row leaves itself out: its mean is of the rows before it. The first row then has "
        "nothing to average (0 / 0 is NaN). "
    )
    if name == "average_loop":
        return (
            *alike,
            Mistake(
                itself + "x[:t] ends before row t; x[: t + 1] includes it.",
                gives(_without_itself),
            ),
            Mistake(
                itself + "x[:t] ends before row t; x[: t + 1] includes it.",
                gives(_without_itself_or_zero),
            ),
            Mistake(
                "Off by one: row t is left out of the sum, but counted in the divisor.",
                gives(_one_too_few),
            ),
            Mistake(
                "These are sums. A mean is the sum divided by how many rows went into it, t + 1.",
                gives(lambda x: x.cumsum(0)),
            ),
            Mistake(
                "You divide by T everywhere. Into row t go only t + 1 rows: divide by t + 1.",
                gives(_over_the_whole_length),
            ),
            Mistake(
                "Off by one in the divisor: the rows 0 to t are t + 1 rows, not t.",
                gives(_over_t),
            ),
            Mistake(
                "You average the mean so far with the new row, half and half, so late rows weigh "
                "more. Every row up to t has the same share, 1 / (t + 1).",
                gives(_unequal),
            ),
            Mistake(
                "The rows come out as they went in: nothing is averaged yet.", gives(lambda x: x)
            ),
        )
    if name == "average_matrix":
        return (
            *alike,
            Mistake(
                "Your table holds ones, so you get sums. Divide each row of it by its own sum, "
                "then its shares add up to 1.",
                gives(lambda x: x.cumsum(0)),
            ),
            Mistake(
                "Wrong axis: you divided each column of the table by its sum. The shares of one "
                "row must add up to 1: sum along dim=-1, with keepdim=True.",
                gives(_along_columns),
            ),
            Mistake(
                "The sums of the rows have the shape (T,), and dividing a (T, T) table by that "
                "lays them along the columns. keepdim=True keeps them a column, (T, 1).",
                gives(_unequal_divisor),
            ),
            Mistake(
                "You divide by T everywhere. Row t of the table has t + 1 ones: divide each row by "
                "its own sum.",
                gives(_over_the_whole_length),
            ),
            Mistake(
                itself + "tril(-1) leaves the diagonal out; tril() keeps it.",
                gives(_without_itself),
            ),
            Mistake(
                itself + "tril(-1) leaves the diagonal out; tril() keeps it.",
                gives(_without_itself_or_zero),
            ),
        )
    return (
        *alike,
        Mistake(
            itself + "The future begins one place right of the diagonal: triu(1), not triu().",
            gives(_without_itself),
        ),
        Mistake(
            "The mask comes after the softmax: the shares were made with the future still in, so "
            "what is left of a row no longer adds up to 1. Mask the scores first, then softmax.",
            gives(_over_the_whole_length),
        ),
        Mistake(
            "Softmax along the wrong axis: each column adds up to 1. The shares of one row must, "
            "so take dim=-1.",
            gives(_softmax_along_columns),
        ),
        Mistake(
            "These are scores of 1 for the past and 0 for the future, but e^0 is 1, so the future "
            'still counts. Its score must be -inf, float("-inf").',
            gives(_scores_of_one),
        ),
        Mistake(
            "These are sums: the softmax is missing, and it is what makes the shares of a row add "
            "up to 1.",
            gives(lambda x: x.cumsum(0)),
        ),
    )


# --- the checks -----------------------------------------------------------------------------------


def _checks(name: str, by_hand: str) -> list[Check]:
    """The same three questions to each of the three functions."""

    def call(x: Callable[[], Tensor]) -> Callable[[Any], Any]:
        return lambda module: getattr(module, name)(x())

    def changed() -> Tensor:
        x = _rows()
        x[3:] += 100
        return x

    return [
        Check(
            "Three rows of two numbers: each becomes the mean of the rows up to it.",
            call(_small),
            f"{name}(torch.tensor([[2., 0.], [4., 6.], [0., 3.]]))",
            by_hand,
            _mistakes(name, _small),
        ),
        Check(
            "Five rows of three numbers.",
            call(_rows),
            f"{name}(torch.randn(5, 3))",
            by_hand,
            _mistakes(name, _rows),
        ),
        Check(
            "A single row stays as it is.",
            call(lambda: torch.tensor([[3.0, -1.0, 4.0]])),
            f"{name}(torch.tensor([[3., -1., 4.]]))",
            "The mean of one row is that row.",
        ),
        Check(
            "What comes later changes nothing before: with the last two rows 100 larger, the "
            "first three stay the same.",
            lambda module: getattr(module, name)(changed())[:3],
            f"{name}(x)[:3], with x[3:] += 100",
            by_hand,
        ),
    ]


CHECKS = [
    *_checks("average_loop", BY_HAND),
    *_checks("average_matrix", SHARES),
    *_checks("average_softmax", SCORES),
]


# --- the reward -----------------------------------------------------------------------------------

LINE = "the moon came up behind the shed"
UPDATES = 500


class _Guesser(nn.Module):
    """The pair table, and beside it a table that reads the letters so far."""

    def __init__(self, V: int, average: Callable[[Tensor], Tensor] | None) -> None:
        super().__init__()
        self.average = average
        self.pairs = nn.Parameter(torch.zeros(V, V))
        self.so_far = nn.Parameter(torch.zeros(V, V))

    def forward(self, idx: Tensor) -> Tensor:
        scores = self.pairs[idx]  # (B, T, V)
        if self.average is not None:
            letters = F.one_hot(idx, len(self.pairs)).float()  # (B, T, V)
            seen = torch.stack([self.average(window) for window in letters])  # (B, T, V)
            scores = scores + seen @ self.so_far
        return scores


def _learned(trial: trials.Trial, average: Callable[[Tensor], Tensor] | None) -> float:
    """The loss of a _Guesser after UPDATES, on text it never saw."""
    model = _Guesser(trial.vocab_size, average)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for step, (x, y) in enumerate(trial.batches(UPDATES)):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / UPDATES)
        optimizer.zero_grad()
        F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    T = trial.block_size
    ids = torch.from_numpy(trial.held_out.astype("int64"))
    ids = ids[: (len(ids) - 1) // T * T + 1]
    with torch.no_grad():
        scores = model(ids[:-1].view(-1, T))
        return float(F.cross_entropy(scores.flatten(0, 1), ids[1:]))


def reward(theirs: Any) -> str:
    """Where an average looks, and what it is worth."""
    shares = theirs.average_softmax(torch.eye(len(LINE)))  # (T, T): the shares themselves
    trial = trials.poems()
    with trials.one_thread():
        alone, both = _learned(trial, None), _learned(trial, theirs.average_softmax)
    return (
        "Where your average looks from three places of a line. Every bar of a row is as high as "
        "the next:\n\n"
        f"{trials.looks(LINE, shares, (5, 17, 31))}\n"
        f"The loss on poems never seen, after {UPDATES} updates:\n"
        f"  the pair table                            {alone:.3f} nats\n"
        f"  the pair table and your average of the\n"
        f"  letters so far                            {both:.3f} nats\n\n"
        "A little better: it knows which letters there were, not where, and it cannot choose "
        "between them.\nThe next lesson lets it choose."
    )
