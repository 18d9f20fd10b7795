"""Lesson 3: what is asked of loss, gradient and descend."""

import time
from typing import Any

import numpy as np

from babypoet.corpus import builtin_poems
from babypoet.course.checking import Check, Mistake

ABAAAC = np.array([0, 1, 0, 0, 0, 2])
ZEROS = np.zeros((3, 3))
SMALL = np.array([[0.7, -0.2, 0.1], [0.5, 0.0, -1.0], [0.3, 0.2, 2.0]])
rng = np.random.default_rng(3)
TEXT = rng.choice(4, size=50, p=[0.5, 0.3, 0.15, 0.05])
TABLE = rng.normal(size=(4, 4))
EVERY = np.array([0, 0, 1, 0, 1, 1, 0, 2, 2, 0, 2, 1, 2, 0, 1, 2])  # each pair occurs


def counted(ids: np.ndarray, V: int) -> np.ndarray:
    counts = np.zeros((V, V))
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    return counts


def probabilities(table: np.ndarray) -> np.ndarray:
    e = np.exp(table)
    shares: np.ndarray = e / e.sum(axis=1, keepdims=True)
    return shares


def floor(ids: np.ndarray, V: int) -> float:
    """The mean surprise of the table of shares, which were counted in the text itself."""
    counts = counted(ids, V)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return float(-np.log(shares[ids[:-1], ids[1:]]).mean())


def in_loss(table: np.ndarray, ids: np.ndarray) -> tuple[Mistake, ...]:
    e, p = np.exp(table), probabilities(table)
    here, there = ids[:-1], ids[1:]
    surprise = -np.log(p[here, there])
    return (
        Mistake(
            "The sign is missing: the surprise is -ln p, which is never below 0.",
            lambda right: -surprise.mean(),
        ),
        Mistake(
            "Those are bits (log2). Nats are asked: np.log.",
            lambda right: surprise.mean() / np.log(2),
        ),
        Mistake(
            "That is the sum. Divide by the number of pairs.",
            lambda right: surprise.sum(),
        ),
        Mistake(
            "You divided by N. N characters have N - 1 pairs.",
            lambda right: surprise.sum() / len(ids),
        ),
        Mistake(
            "Your columns were made to sum to 1, not your rows: wrong axis. What follows a is "
            "row a, so sum over axis=1.",
            lambda right: -np.log((e / e.sum(axis=0))[here, there]).mean(),
        ),
        Mistake(
            "keepdims=True is missing: each column was divided by the sum of a row.",
            lambda right: -np.log((e / e.sum(axis=1))[here, there]).mean(),
        ),
        Mistake(
            "The whole table was made to sum to 1. Each row must, by itself.",
            lambda right: -np.log((e / e.sum())[here, there]).mean(),
        ),
        Mistake(
            "Wrong normaliser: that is the score with its sign turned. It still wants the "
            "logarithm of the row's sum: -ln p = ln(sum of e^score) - score.",
            lambda right: -table[here, there].mean(),
        ),
        Mistake(
            "The scores were divided by their sum as if they were counts. They may be negative: "
            "raise e to each of them first.",
            lambda right: -np.log((table / table.sum(axis=1, keepdims=True))[here, there]).mean(),
        ),
        Mistake(
            "Row and column are swapped: the character that comes first in the text is the row.",
            lambda right: -np.log(p[there, here]).mean(),
        ),
    )


def in_gradient(table: np.ndarray, ids: np.ndarray) -> tuple[Mistake, ...]:
    V, pairs = len(table), len(ids) - 1
    counts, p = counted(ids, V), probabilities(table)
    visits = counts.sum(axis=1, keepdims=True)
    e = np.exp(table)
    once = np.zeros_like(table)
    once[ids[:-1], ids[1:]] = 1
    visited = np.zeros((V, 1))
    visited[ids[:-1]] = 1
    buffered = p[ids[:-1]].copy()
    buffered[np.arange(pairs), ids[1:]] -= 1
    last = np.zeros_like(table)
    last[ids[:-1]] += buffered
    return (
        Mistake(
            "The sign is the wrong way round: that is downhill. The gradient points uphill, what "
            "is said minus what came; `descend` is what turns it round.",
            lambda right: (counts - visits * p) / pairs,
        ),
        Mistake(
            "The gradient is that of the sum. The loss is a mean: divide by the number of pairs.",
            lambda right: visits * p - counts,
        ),
        Mistake(
            "You divided by N. N characters have N - 1 pairs.",
            lambda right: (visits * p - counts) / len(ids),
        ),
        Mistake(
            "Each row was weighted the same. A row counts as often as the text visits it: row a "
            "is visits(a) * p - counts, over the number of all pairs.",
            lambda right: p - counts / np.maximum(visits, 1),
        ),
        Mistake(
            "keepdims=True is missing where you count the visits: of shape (V,) they lie along the "
            "columns, and each column was weighted with another row's. (V, 1) goes with the rows.",
            lambda right: (visits[:, 0] * p - counts) / pairs,
        ),
        Mistake(
            "keepdims=True is missing in the softmax: each column was divided by the sum of a row.",
            lambda right: (visits * (e / e.sum(axis=1)) - counts) / pairs,
        ),
        Mistake(
            "p was not weighted with how often its row is visited: the text says p once for each "
            "time it stands in that row.",
            lambda right: (p - counts) / pairs,
        ),
        Mistake(
            "Only what the table says is there. What really came, the counts, must be taken "
            "away; else the gradient never becomes zero.",
            lambda right: visits * p / pairs,
        ),
        Mistake(
            "Each pair was added once, however often it occurs: with arrays as indices "
            "`d[a] += x` writes once for each a. np.add.at, or a loop, adds each time.",
            lambda right: last / pairs,
        ),
        Mistake(
            "Each pair was taken away once, however often it occurs: with arrays as indices "
            "`d[a, b] -= 1` writes once for each pair. np.add.at, or a loop, does it each time.",
            lambda right: (visits * p - once) / pairs,
        ),
        Mistake(
            "Each pair was added once, however often it occurs. Weight the rows with visits, and "
            "take away the counts.",
            lambda right: (visited * p - once) / pairs,
        ),
        Mistake(
            "Rows and columns of what came are swapped: counts[a, b] is for b after a.",
            lambda right: (visits * p - counts.T) / pairs,
        ),
        Mistake(
            "Yours is the transpose: the row is the character that is there.",
            lambda right: ((visits * p - counts) / pairs).T,
        ),
    )


def in_descend(table: np.ndarray, ids: np.ndarray, steps: int, rate: float) -> tuple[Mistake, ...]:
    def uphill(right: Any) -> np.ndarray:
        here = table
        for _ in range(steps):
            here = here + rate * right.gradient(here, ids)
        return here

    return (
        Mistake(
            "That is uphill: the loss rises with the gradient, so go against it, table - rate * "
            "gradient.",
            uphill,
        ),
        Mistake(
            "The gradient was taken once, at the start, and used for every step. After a step the "
            "slope is another one: take it anew.",
            lambda right: table - steps * rate * right.gradient(table, ids),
        ),
        Mistake(
            "The rate is missing: a step is rate times the gradient.",
            lambda right: right.descend(table, ids, steps, 1.0),
        ),
        Mistake(
            "That is one step too many.",
            lambda right: right.descend(table, ids, steps + 1, rate),
        ),
        Mistake(
            "That is the result of a single step. Is the `return` inside the loop, or does every "
            "step begin at the table you were given?",
            lambda right: right.descend(table, ids, 1, rate),
        ),
        Mistake(
            "The table came back as it went in: keep the result of each step for the next one.",
            lambda right: table.copy(),
        ),
        Mistake(
            "That is one step too few.",
            lambda right: right.descend(table, ids, steps - 1, rate),
        ),
        Mistake(
            "Those are the probabilities. Give back the scores.",
            lambda right: probabilities(right.descend(table, ids, steps, rate)),
        ),
    )


def comes_down(result: Any) -> str | None:
    """Whether a loss after many steps is the count's, and not below it."""
    lowest = floor(EVERY, 3)
    if result < lowest - 1e-9:
        return (
            f"The loss came down to {result:.6f}, below the count's {lowest:.6f}. That cannot be "
            "on the text itself: is there a pair left out, or a row that sums to more than 1?"
        )
    if result > lowest + 1e-3:
        return (
            f"After 2,000 steps of rate 2 the loss is {result:.4f}; the count's is "
            f"{lowest:.4f}, and by now yours should meet it. Are all steps taken, each with the "
            "gradient of where you are?"
        )
    return None


CHECKS = [
    Check(
        what="A table of zeros has no idea: it is torn evenly between three.",
        call=lambda m: m.loss(ZEROS.copy(), ABAAAC.copy()),
        shown="loss(np.zeros((3, 3)), np.array([0, 1, 0, 0, 0, 2]))",
        by_hand="e^0 = 1, so each p is 1/3, and each of the five surprises is ln 3 = 1.0986.",
        mistakes=in_loss(ZEROS, ABAAAC),
    ),
    Check(
        what="A table with scores, at abaaac.",
        call=lambda m: m.loss(SMALL.copy(), ABAAAC.copy()),
        shown="loss(table, np.array([0, 1, 0, 0, 0, 2]))    # a (3, 3) table",
        by_hand="A row 0.7 -0.2 0.1: e^ of it is 2.014 0.819 1.105, the sum 3.938, "
        "p 0.511 0.208 0.281. So b after a surprises by -ln 0.208 = 1.571.",
        mistakes=in_loss(SMALL, ABAAAC),
    ),
    Check(
        what="The same number added to a whole row changes nothing.",
        call=lambda m: m.loss(TABLE + np.array([[5.0], [-3.0], [0.0], [40.0]]), TEXT.copy()),
        shown="loss(table + np.array([[5.0], [-3.0], [0.0], [40.0]]), ids)",
        by_hand="e^(x + 5) = e^5 e^x: above and below the line, e^5 cancels.",
        mistakes=in_loss(TABLE + np.array([[5.0], [-3.0], [0.0], [40.0]]), TEXT),
    ),
    Check(
        what="Two characters, one pair.",
        call=lambda m: m.loss(SMALL.copy(), np.array([2, 1])),
        shown="loss(table, np.array([2, 1]))",
        by_hand="The mean of one surprise is that surprise.",
        mistakes=in_loss(SMALL, np.array([2, 1])),
    ),
    Check(
        what="The gradient of a table of zeros at abaaac.",
        call=lambda m: m.gradient(ZEROS.copy(), ABAAAC.copy()),
        shown="gradient(np.zeros((3, 3)), np.array([0, 1, 0, 0, 0, 2]))",
        by_hand="Row a is visited 4 times and says 1/3 each: 4/3 4/3 4/3. What came: 2 1 1. "
        "The difference over 5 pairs: -0.1333 0.0667 0.0667. Row b: (1/3 1/3 1/3 - 1 0 0)/5. "
        "Row c is never visited: zeros.",
        mistakes=in_gradient(ZEROS, ABAAAC),
    ),
    Check(
        what="The gradient of a table with scores, at 50 characters.",
        call=lambda m: m.gradient(TABLE.copy(), TEXT.copy()),
        shown="gradient(table, ids)    # a (4, 4) table, 50 ids",
        by_hand="Each row of the gradient sums to 0: what one score gains, the others lose.",
        mistakes=in_gradient(TABLE, TEXT),
    ),
    Check(
        what="Where the table says what was counted, there is no slope.",
        call=lambda m: m.gradient(np.log(counted(EVERY, 3)), EVERY.copy()),
        shown="gradient(np.log(counts), ids)    # a text in which every pair occurs",
        by_hand="The scores ln n give p = n / sum(n), the share that was counted: visits * p is "
        "the count itself, and the difference 0.",
        mistakes=in_gradient(np.log(counted(EVERY, 3)), EVERY),
    ),
    Check(
        what="No step: the table as it was.",
        call=lambda m: m.descend(SMALL.copy(), ABAAAC.copy(), 0, 0.5),
        shown="descend(table, ids, steps=0, rate=0.5)",
        by_hand="range(0) is empty, so the loop does nothing.",
        mistakes=(
            Mistake(
                "That is one step too many.",
                lambda right: right.descend(SMALL, ABAAAC, 1, 0.5),
            ),
        ),
    ),
    Check(
        what="One step from zeros, with rate 3.",
        call=lambda m: m.descend(ZEROS.copy(), ABAAAC.copy(), 1, 3.0),
        shown="descend(np.zeros((3, 3)), np.array([0, 1, 0, 0, 0, 2]), steps=1, rate=3.0)",
        by_hand="Row a: 0 - 3 * (-0.1333 0.0667 0.0667) = 0.4 -0.2 -0.2.",
        mistakes=in_descend(ZEROS, ABAAAC, 1, 3.0),
    ),
    Check(
        what="Five steps; the table that was given stays as it is.",
        call=lambda m: m.descend(TABLE.copy(), TEXT.copy(), 5, 0.8),
        shown="descend(table, ids, steps=5, rate=0.8)",
        by_hand="The table after two steps is one step from the table after one.",
        mistakes=in_descend(TABLE, TEXT, 5, 0.8),
    ),
    Check(
        what="After 2,000 steps the loss is the count's, and not below.",
        call=lambda m: m.loss(m.descend(np.zeros((3, 3)), EVERY.copy(), 2000, 2.0), EVERY.copy()),
        shown="descend(np.zeros((3, 3)), ids, steps=2000, rate=2.0)    # and the loss of it",
        by_hand="The count's loss is the mean of -ln(share), share = count / visits. No other "
        "table can be less surprised at the same text.",
        verify=comes_down,
    ),
]

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: list[float], lowest: float) -> str:
    top = max(values) - lowest
    return "".join(BARS[min(7, int(8 * (v - lowest) / top))] for v in values)


def reward(theirs: Any) -> str:
    text = builtin_poems()[:40_000]
    characters = sorted(set(text))
    V = len(characters)
    ids = np.array([characters.index(c) for c in text])
    lowest = floor(ids, V)
    table = np.zeros((V, V))
    losses, steps, started = [theirs.loss(table, ids)], [0], time.perf_counter()
    while len(losses) < 60 and (spent := time.perf_counter() - started) < 8:
        slow = spent > 0.05 * steps[-1] and steps[-1] > 0
        for_now = 1 if len(losses) < 10 or slow else 30
        table = theirs.descend(table, ids, for_now, 40.0)
        losses.append(theirs.loss(table, ids))
        steps.append(steps[-1] + for_now)
    rows = [0, *(i for i in (1, 5, 10, 20, 40) if i < len(losses) - 1), len(losses) - 1]
    shown = "\n".join(
        f"    {steps[i]:>6,}   {losses[i]:.4f}   {losses[i] - lowest:+.4f}" for i in rows
    )
    return f"""The loss of your table at {len(ids):,} characters, downhill:

    {sparkline(losses, lowest)}

     steps    nats    above the count
{shown}
     count   {lowest:.4f}   {0:+.4f}

Two tables, one made by counting, one by falling, and the second comes down to the first from
above. A pair that never occurs has share 0, for which its score would have to fall without end:
that is the hair that is left. For a Transformer nobody knows how to count. Falling still works."""
