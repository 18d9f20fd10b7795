"""Lesson 4: what is asked of softmax, cross_entropy and their gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np

from babypoet.course.checking import Check, Mistake

rng = np.random.default_rng(4)
ONE_TWO_THREE = np.array([1.0, 2.0, 3.0])
X = rng.normal(size=(2, 3)) * 2
CUBE = rng.normal(size=(2, 3, 4))
FAR = np.array([[1000.0, 1001.0, 999.0], [-1000.0, -1000.0, -1002.0]])
HIDDEN = np.array([[0.5, -np.inf, -np.inf], [1.0, 2.0, -np.inf]])
P = np.array([0.2, 0.3, 0.5])
D_P = np.array([1.0, 2.0, 0.0])
LOGITS = rng.normal(size=(5, 4)) * 2
TARGETS = np.array([3, 0, 0, 2, 3])
SQUARE = rng.normal(size=(3, 3))


def true_softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    p: np.ndarray = e / e.sum(axis=-1, keepdims=True)
    return p


def peak_misplaced(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1))
    p: np.ndarray = e / e.sum(axis=-1, keepdims=True)
    return p


def in_softmax(x: np.ndarray) -> tuple[Mistake, ...]:
    e = np.exp(np.minimum(x, 700))
    safe = np.exp(x - x.max(axis=-1, keepdims=True))

    def overflowing(right: Any) -> np.ndarray:
        raw = np.exp(x)
        p: np.ndarray = raw / raw.sum(axis=-1, keepdims=True)
        return p

    def less_all(right: Any) -> np.ndarray:
        raw = np.exp(x - x.max())
        p: np.ndarray = raw / raw.sum(axis=-1, keepdims=True)
        return p

    return (
        Mistake(
            "The maximum was not subtracted: e^1000 overflows to infinity, and infinity over "
            "infinity is not a number. Take the largest of each row off first; the result is the "
            "same, and the largest power is e^0 = 1.",
            overflowing,
        ),
        Mistake(
            "You took off the maximum of the whole array. A row that lies far below it then has "
            "nothing but e^-2000 = 0 in it, and 0/0 is not a number. Each row needs its own.",
            less_all,
        ),
        Mistake(
            "Your columns sum to 1: wrong axis. A row is one question, so sum over the last "
            "axis, axis=-1.",
            lambda right: np.swapaxes(true_softmax(np.swapaxes(x, 0, -1)), 0, -1),
        ),
        Mistake(
            "Your columns sum to 1: wrong axis. A row is one question, so sum over the last "
            "axis, axis=-1.",
            lambda right: safe / safe.sum(axis=0, keepdims=True),
        ),
        Mistake(
            "The sum is over axis 1, which is not the last one here: wrong axis. Use axis=-1, and "
            "it works for any number of axes.",
            lambda right: np.swapaxes(true_softmax(np.swapaxes(x, 1, -1)), 1, -1),
        ),
        Mistake(
            "The sum is over axis 1, which is not the last one here: wrong axis. Use axis=-1, and "
            "it works for any number of axes.",
            lambda right: safe / safe.sum(axis=1, keepdims=True),
        ),
        Mistake(
            "The whole array sums to 1. Each row must: sum over axis=-1.",
            lambda right: e / e.sum(),
        ),
        Mistake(
            "The whole array sums to 1. Each row must: sum over axis=-1.",
            lambda right: safe / safe.sum(),
        ),
        Mistake(
            "keepdims=True is missing, so each column was divided by the sum of a row.",
            lambda right: e / e.sum(axis=-1),
        ),
        Mistake(
            "keepdims=True is missing in the sum, so each column was divided by the sum of a row.",
            lambda right: safe / safe.sum(axis=-1),
        ),
        Mistake(
            "keepdims=True is missing in the maximum: that of each row was taken off a column.",
            lambda right: true_softmax(x) if x.ndim == 1 else peak_misplaced(x),
        ),
        Mistake(
            "Those are the powers e^x; they still have to be divided by their sum.",
            lambda right: e,
        ),
        Mistake(
            "Those are the powers e^(x - max); they still have to be divided by their sum.",
            lambda right: np.exp(x - x.max(axis=-1, keepdims=True)),
        ),
        Mistake(
            "The scores themselves were divided by their sum. Raise e to each of them first.",
            lambda right: x / x.sum(axis=-1, keepdims=True),
        ),
        Mistake(
            "You raised 2, not e. Use np.exp.",
            lambda right: true_softmax(x * np.log(2)),
        ),
        Mistake(
            "Those are the logarithms of the probabilities. Give the probabilities.",
            lambda right: np.log(true_softmax(x)),
        ),
        Mistake(
            "The sign is turned: the largest score must get the largest probability.",
            lambda right: true_softmax(-x),
        ),
    )


def in_softmax_backward(p: np.ndarray, d: np.ndarray) -> tuple[Mistake, ...]:
    return (
        Mistake(
            "Only half is there: p * d_p. A score also lowers all other probabilities, since "
            "they share one sum. The term to take away is p times the sum of p * d_p.",
            lambda right: p * d,
        ),
        Mistake(
            "That is the diagonal of the Jacobian, p * (1 - p), the derivative of a sigmoid. A "
            "score also changes all other probabilities, by -p_i * p_j.",
            lambda right: p * (1 - p) * d,
        ),
        Mistake(
            "What is taken from d_p is its plain sum. It must be the sum of p * d_p.",
            lambda right: p * (d - d.sum(axis=-1, keepdims=True)),
        ),
        Mistake(
            "What is taken from d_p is its plain mean. It must be its mean weighted with p, the "
            "sum of p * d_p.",
            lambda right: p * (d - d.mean(axis=-1, keepdims=True)),
        ),
        Mistake(
            "What is taken from d_p is the mean of p * d_p. It must be the sum: p is the weight, "
            "and the weights sum to 1 already.",
            lambda right: p * (d - (p * d).mean(axis=-1, keepdims=True)),
        ),
        Mistake(
            "The sum of p * d_p is taken away as it is. It must be multiplied with p too: "
            "p * (d_p - sum).",
            lambda right: p * d - (p * d).sum(axis=-1, keepdims=True),
        ),
        Mistake(
            "The sum of p * d_p is added. It must be taken away.",
            lambda right: p * (d + (p * d).sum(axis=-1, keepdims=True)),
        ),
        Mistake(
            "The sum is over the whole array. Rows do not hear of each other: axis=-1.",
            lambda right: p * (d - (p * d).sum()),
        ),
        Mistake(
            "The sum is over axis 0: wrong axis. Rows do not hear of each other: axis=-1.",
            lambda right: p * (d - (p * d).sum(axis=0, keepdims=True)),
        ),
        Mistake(
            "keepdims=True is missing: the sums of the rows were laid along the columns.",
            lambda right: p * (d - (p * d).sum(axis=-1)),
        ),
        Mistake(
            "The sign is the wrong way round.",
            lambda right: -right.softmax_backward(p, d),
        ),
        Mistake(
            "You took the softmax of p once more. What is passed in are the probabilities already.",
            lambda right: right.softmax_backward(true_softmax(p), d),
        ),
    )


def in_cross_entropy(logits: np.ndarray, targets: np.ndarray) -> tuple[Mistake, ...]:
    rows = np.arange(len(targets))
    p = true_softmax(logits)
    safe = logits - logits.max(axis=1, keepdims=True)

    def surprise(right: Any) -> np.ndarray:
        each = [right.cross_entropy(logits[i : i + 1], targets[i : i + 1]) for i in rows]
        return np.array(each)

    def by(normalise: Callable[[], np.ndarray]) -> float:
        return float(-np.log(normalise()[rows, targets]).mean())

    def mass(right: Any) -> np.ndarray:
        raw = np.exp(logits)
        q: np.ndarray = raw / raw.sum(axis=1, keepdims=True)
        return q

    return (
        Mistake(
            "The softmax is safe now, but its logarithm is not: p became 0 by rounding, and "
            "-ln 0 is infinite. Do not go through p: -ln p = ln(sum of e^(x - max)) - (x[target] "
            "- max).",
            lambda right: by(lambda: p),
        ),
        Mistake(
            "The maximum was not subtracted: e^1000 overflows to infinity, and infinity over "
            "infinity is not a number. -ln p = ln(sum of e^x) - x[target], and taking the largest "
            "off all scores first changes nothing.",
            lambda right: by(lambda: mass(right)),
        ),
        *(
            Mistake(
                "p was kept away from 0, by adding a small number or cutting it off below, to "
                "avoid ln 0. That makes great surprises small. Do not go through p: -ln p = "
                "ln(sum of e^(x - max)) - (x[target] - max).",
                lambda right, eps=eps: by(lambda: p + eps),
            )
            for eps in (1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15)
        ),
        Mistake(
            "The sign is missing: a surprise is -ln p, at least 0.",
            lambda right: -right.cross_entropy(logits, targets),
        ),
        Mistake(
            "That is the sum. The mean is asked: divide by N.",
            lambda right: surprise(right).sum(),
        ),
        Mistake(
            "You divided by N * V. There is one surprise for each row: divide by N.",
            lambda right: surprise(right).sum() / logits.size,
        ),
        Mistake(
            "Those are bits (log2). Nats are asked: np.log.",
            lambda right: right.cross_entropy(logits, targets) / np.log(2),
        ),
        Mistake(
            "p[:, targets] takes all targets in every row, an (N, N) array. Take one of each row: "
            "p[np.arange(N), targets].",
            lambda right: -np.log(p[:, targets]).mean(),
        ),
        Mistake(
            "p[targets] takes whole rows. Take one entry of each row: p[np.arange(N), targets].",
            lambda right: -np.log(p[targets]).mean(),
        ),
        Mistake(
            "Targets count from 0: you took the entry before the target.",
            lambda right: right.cross_entropy(logits, targets - 1),
        ),
        Mistake(
            "The softmax was taken over axis 0: wrong axis. Each row is one question.",
            lambda right: by(lambda: true_softmax(logits.T).T),
        ),
        Mistake(
            "The powers were summed over axis 0: wrong axis. Each row has a sum of its own, "
            "axis=1.",
            lambda right: (np.log(np.exp(safe).sum(axis=0)) - safe[rows, targets]).mean(),
        ),
        Mistake(
            "The softmax was taken twice: its probabilities were used as scores once more.",
            lambda right: right.cross_entropy(p, targets),
        ),
        Mistake(
            "Wrong normaliser: that is the score with its sign turned. Add ln(sum of e^x).",
            lambda right: -logits[rows, targets].mean(),
        ),
        Mistake(
            "That is the logarithm of the mean. Asked is the mean of the logarithms.",
            lambda right: -np.log(p[rows, targets].mean()),
        ),
        Mistake(
            "You left the mean out: that is one surprise for each row.",
            surprise,
        ),
        Mistake(
            "The surprise at all V characters was averaged. Only the target's counts.",
            lambda right: -np.log(p).mean(),
        ),
    )


def in_cross_entropy_backward(logits: np.ndarray, targets: np.ndarray) -> tuple[Mistake, ...]:
    N, V = logits.shape
    rows, p = np.arange(N), true_softmax(logits)
    hot = np.eye(V)[targets]
    every = p.copy()
    for_each = set(targets.tolist())
    every[:, sorted(for_each)] -= 1
    repeated = p - hot.sum(axis=0)

    def naive(right: Any) -> np.ndarray:
        raw = np.exp(logits)
        d: np.ndarray = (raw / raw.sum(axis=1, keepdims=True) - hot) / N
        return d

    return (
        Mistake(
            "The maximum was not subtracted: e^1000 overflows. Use your softmax.",
            naive,
        ),
        Mistake(
            "1/N is missing: the loss is a mean, so each row has an N-th of a say.",
            lambda right: p - hot,
        ),
        Mistake(
            "You divided by V, the number of scores in a row. The loss is the mean over N rows: "
            "divide by N.",
            lambda right: (p - hot) / V,
        ),
        Mistake(
            "You divided by N * V. The loss is the mean over N rows: divide by N.",
            lambda right: (p - hot) / (N * V),
        ),
        Mistake(
            "The sign is the wrong way round: what was said minus what was right, p - onehot. "
            "Pushing the target's score up must lower the loss.",
            lambda right: (hot - p) / N,
        ),
        Mistake(
            "That is p alone. The 1 at the target is still to be taken away.",
            lambda right: p / N,
        ),
        Mistake(
            "That is p alone. The 1 at the target is still to be taken away, and all divided by N.",
            lambda right: p,
        ),
        Mistake(
            "The 1 was taken from the targets' columns in every row: p[:, targets]. Take it from "
            "one entry of each row: p[np.arange(N), targets].",
            lambda right: every / N,
        ),
        Mistake(
            "The 1 was taken from the targets' columns in every row. Take it from one entry of "
            "each row: p[np.arange(N), targets].",
            lambda right: repeated / N,
        ),
        Mistake(
            "The 1 was divided by nothing: p/N - onehot. The whole difference is divided by N.",
            lambda right: p / N - hot,
        ),
        Mistake(
            "The 1 was taken away before the softmax. It is p, the result, from which it is taken.",
            lambda right: true_softmax(logits - hot) / N,
        ),
        Mistake(
            "That is -1/p at the target: the gradient of p. One step more is needed, through "
            "the softmax, and it becomes p - onehot.",
            lambda right: -hot / p / N,
        ),
        Mistake(
            "Targets count from 0: the 1 was taken from the entry before the target.",
            lambda right: (p - np.eye(V)[targets - 1]) / N,
        ),
        Mistake(
            "The softmax was taken over axis 0: wrong axis. Each row is one question.",
            lambda right: (true_softmax(logits.T).T - hot) / N,
        ),
        Mistake(
            "That is a constant away: `p[rows, targets]` is the probability. The gradient is p "
            "with 1 less at the target.",
            lambda right: (p - p[rows, targets][:, None]) / N,
        ),
    )


def measured(f: Callable[[np.ndarray], Any], x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """By how much f rises with each entry of x, by moving that entry a little up and down."""
    slope = np.empty_like(x)
    for place in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        slope[place] = (float(f(up)) - float(f(down))) / (2 * step)
    return slope


def agree(result: dict[str, Any]) -> str | None:
    """Whether the slope by hand is the slope that was measured, entry by entry."""
    by_hand, slope = np.asarray(result["by hand"], dtype=float), result["measured"]
    if by_hand.shape != slope.shape:
        return f"The gradient has the shape {by_hand.shape}, its scores {slope.shape}."
    wrong = ~np.isclose(by_hand, slope, rtol=1e-4, atol=1e-6)
    if not wrong.any():
        return None
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return (
        f"At {list(place)} your gradient says {by_hand[place]:.5f}. But when that score is moved "
        f"a little up and down, your forward function rises by {slope[place]:.5f} for each unit "
        f"({int(wrong.sum())} of {wrong.size} entries disagree)."
    )


def softmax_both_ways(m: Any) -> dict[str, Any]:
    """sum(w * softmax(x)): d_p is w."""
    weight = np.random.default_rng(5).normal(size=X.shape)
    return {
        "by hand": m.softmax_backward(m.softmax(X.copy()), weight.copy()),
        "measured": measured(lambda x: (weight * m.softmax(x)).sum(), X),
    }


def cross_entropy_both_ways(m: Any) -> dict[str, Any]:
    return {
        "by hand": m.cross_entropy_backward(LOGITS.copy(), TARGETS.copy()),
        "measured": measured(lambda x: m.cross_entropy(x, TARGETS.copy()), LOGITS),
    }


FAR_TARGETS = np.array([2, 0])
HOPELESS = np.array([[1000.0, 0.0, 3.0], [0.0, -800.0, 1.0]])
HOPELESS_TARGETS = np.array([1, 1])

CHECKS = [
    Check(
        what="The scores 1, 2, 3 as probabilities.",
        call=lambda m: m.softmax(ONE_TWO_THREE.copy()),
        shown="softmax(np.array([1.0, 2.0, 3.0]))",
        by_hand="e^1 = 2.718, e^2 = 7.389, e^3 = 20.086; their sum is 30.193. "
        "So 0.0900, 0.2447, 0.6652.",
        mistakes=in_softmax(ONE_TWO_THREE),
    ),
    Check(
        what="Three rows of three, each by itself.",
        call=lambda m: m.softmax(SQUARE.copy()),
        shown="softmax(x)    # x is (3, 3)",
        by_hand="Each row sums to 1. With axis=-1 and keepdims=True the sums are (3, 1).",
        mistakes=in_softmax(SQUARE),
    ),
    Check(
        what="The rows of a (2, 3) matrix.",
        call=lambda m: m.softmax(X.copy()),
        shown="softmax(x)    # x is (2, 3)",
        by_hand="Each row sums to 1. With axis=-1 and keepdims=True the sums are (2, 1).",
        mistakes=in_softmax(X),
    ),
    Check(
        what="Any number of axes: (2, 3, 4), along the last.",
        call=lambda m: m.softmax(CUBE.copy()),
        shown="softmax(x)    # x is (2, 3, 4)",
        by_hand="Each of the 2 * 3 rows of 4 sums to 1: axis=-1 is the last one, whatever comes "
        "before.",
        mistakes=in_softmax(CUBE),
    ),
    Check(
        what="Scores of 1000 and of -1000.",
        call=lambda m: m.softmax(FAR.copy()),
        shown="softmax(np.array([[1000.0, 1001.0, 999.0], [-1000.0, -1000.0, -1002.0]]))",
        by_hand="Less 1001, the first row is -1 0 -2, and e^ of that is 0.368 1 0.135: the same "
        "probabilities, as e^(x - m) = e^x / e^m, and e^m cancels.",
        mistakes=in_softmax(FAR),
    ),
    Check(
        what="Minus infinity gets probability 0, and ties share alike.",
        call=lambda m: m.softmax(np.concatenate([HIDDEN, np.zeros((1, 3))])),
        shown="softmax(np.array([[0.5, -np.inf, -np.inf], [1, 2, -np.inf], [0, 0, 0]]))",
        by_hand="e^-infinity is 0. The first row is 1 0 0, the last 1/3 1/3 1/3.",
        mistakes=in_softmax(np.concatenate([HIDDEN, np.zeros((1, 3))])),
    ),
    Check(
        what="The gradient through one softmax of three.",
        call=lambda m: m.softmax_backward(P.copy(), D_P.copy()),
        shown="softmax_backward(np.array([0.2, 0.3, 0.5]), np.array([1.0, 2.0, 0.0]))",
        by_hand="p * d_p is 0.2 0.6 0, with the sum 0.8. d_p less 0.8 is 0.2 1.2 -0.8. Times p: "
        "0.04 0.36 -0.4. It sums to 0: a number added to all scores changes no probability.",
        mistakes=in_softmax_backward(P, D_P),
    ),
    Check(
        what="Three rows at once, each by itself.",
        call=lambda m: m.softmax_backward(true_softmax(SQUARE), SQUARE.T * 2 + 1),
        shown="softmax_backward(p, d_p)    # both (3, 3)",
        by_hand="Each row of the result sums to 0.",
        mistakes=in_softmax_backward(true_softmax(SQUARE), SQUARE.T * 2 + 1),
    ),
    Check(
        what="Any number of axes: (2, 3, 4).",
        call=lambda m: m.softmax_backward(true_softmax(CUBE), np.cos(CUBE * 9)),
        shown="softmax_backward(p, d_p)    # both (2, 3, 4)",
        by_hand="The sum is over the last axis, axis=-1, whatever comes before.",
        mistakes=in_softmax_backward(true_softmax(CUBE), np.cos(CUBE * 9)),
    ),
    Check(
        what="The gradient by hand is what your softmax really does when a score is moved.",
        call=softmax_both_ways,
        shown="softmax_backward(p, d_p)    # against (f(x + 0.00001) - f(x - 0.00001)) / 0.00002",
        by_hand="With f(x) = sum(d_p * softmax(x)), move one score up and down and see how f goes.",
        verify=agree,
    ),
    Check(
        what="One row: scores 1, 2, 3, and the first one came.",
        call=lambda m: m.cross_entropy(np.array([[1.0, 2.0, 3.0]]), np.array([0])),
        shown="cross_entropy(np.array([[1.0, 2.0, 3.0]]), np.array([0]))",
        by_hand="p = 0.09003 0.2447 0.6652, and -ln 0.09003 = 2.4076. Or: ln 30.193 - 1 = 2.4076.",
        mistakes=in_cross_entropy(np.array([[1.0, 2.0, 3.0]]), np.array([0])),
    ),
    Check(
        what="Five rows of four, with the first and the last class among the targets.",
        call=lambda m: m.cross_entropy(LOGITS.copy(), TARGETS.copy()),
        shown="cross_entropy(logits, np.array([3, 0, 0, 2, 3]))    # logits is (5, 4)",
        by_hand="One surprise for each row, ln(sum of e^x) - x[target], and the mean of the five.",
        mistakes=in_cross_entropy(LOGITS, TARGETS),
    ),
    Check(
        what="Equal scores surprise by ln V.",
        call=lambda m: m.cross_entropy(np.full((6, 79), 3.0), np.array([0, 78, 5, 5, 40, 1])),
        shown="cross_entropy(np.full((6, 79), 3.0), targets)",
        by_hand="Each p is 1/79: ln 79 = 4.3694.",
        mistakes=in_cross_entropy(np.full((6, 79), 3.0), np.array([0, 78, 5, 5, 40, 1])),
    ),
    Check(
        what="Scores of 1000 and of -1000.",
        call=lambda m: m.cross_entropy(FAR.copy(), FAR_TARGETS.copy()),
        shown="cross_entropy(np.array([[1000.0, 1001.0, 999.0], [-1000.0, ...]]), ...)",
        by_hand="Less its maximum a row gives the same: cross_entropy of 1000 1001 999 is that of "
        "-1 0 -2.",
        mistakes=in_cross_entropy(FAR, FAR_TARGETS),
    ),
    Check(
        what="What was thought impossible, and came: the surprise is large, not infinite.",
        call=lambda m: m.cross_entropy(HOPELESS.copy(), HOPELESS_TARGETS.copy()),
        shown="cross_entropy(np.array([[1000.0, 0.0, 3.0], [0.0, -800.0, 1.0]]), np.array([1, 1]))",
        by_hand="First row: ln(e^1000 + e^0 + e^3) - 0 = 1000. Its p, e^-1000, is rounded to 0, "
        "whose logarithm is gone; ln(sum of e^(x - max)) - (x[target] - max) = 0 + 1000 is not.",
        mistakes=in_cross_entropy(HOPELESS, HOPELESS_TARGETS),
    ),
    Check(
        what="One row: scores 1, 2, 3, and the first one came.",
        call=lambda m: m.cross_entropy_backward(np.array([[1.0, 2.0, 3.0]]), np.array([0])),
        shown="cross_entropy_backward(np.array([[1.0, 2.0, 3.0]]), np.array([0]))",
        by_hand="p less the truth: 0.0900 0.2447 0.6652 - 1 0 0 = -0.9100 0.2447 0.6652.",
        mistakes=in_cross_entropy_backward(np.array([[1.0, 2.0, 3.0]]), np.array([0])),
    ),
    Check(
        what="Five rows of four, with the first and the last class among the targets.",
        call=lambda m: m.cross_entropy_backward(LOGITS.copy(), TARGETS.copy()),
        shown="cross_entropy_backward(logits, np.array([3, 0, 0, 2, 3]))    # logits is (5, 4)",
        by_hand="In each row p, with 1 less at its target, and all over 5. Each row sums to 0.",
        mistakes=in_cross_entropy_backward(LOGITS, TARGETS),
    ),
    Check(
        what="Scores of 1000 and of -1000.",
        call=lambda m: m.cross_entropy_backward(FAR.copy(), FAR_TARGETS.copy()),
        shown="cross_entropy_backward(np.array([[1000.0, 1001.0, 999.0], [-1000.0, ...]]), ...)",
        by_hand="p as softmax gives it for such scores, with 1 less at the target, over 2.",
        mistakes=in_cross_entropy_backward(FAR, FAR_TARGETS),
    ),
    Check(
        what="The gradient by hand is what your loss really does when a score is moved.",
        call=cross_entropy_both_ways,
        shown="cross_entropy_backward(logits, targets)    # against the loss measured either side",
        by_hand="Move one score up by 0.00001 and down by as much; the difference of the two "
        "losses, over 0.00002, is the slope.",
        verify=agree,
    ),
]


def picture(values: np.ndarray, largest: float) -> str:
    """A row of numbers as bars to the left (below 0) and to the right (above)."""
    width = 24
    left, right = max(0, round(-values / largest * width)), max(0, round(values / largest * width))
    return f"{'█' * left:>{width}}│{'█' * right:<{width}}"


def reward(theirs: Any) -> str:
    letters = "etaoinsh "
    logits = np.array([[2.0, 0.5, 1.5, 1.2, 0.2, -0.5, 0.9, 0.1, 2.6]])
    target = np.array([letters.index("o")])
    before = theirs.cross_entropy(logits, target)
    slope = theirs.cross_entropy_backward(logits, target)[0]
    p = theirs.softmax(logits)[0]
    largest = np.abs(slope).max()
    rows = "\n".join(
        f"    {c!r}  {p[i]:5.1%}  {slope[i]:+.3f}  {picture(slope[i], largest)}"
        for i, c in enumerate(letters)
    )
    steps = [before]
    for _ in range(5):
        logits = logits - 2.0 * theirs.cross_entropy_backward(logits, target)
        steps.append(theirs.cross_entropy(logits, target))
    return f"""A model has read "to g" and gives these scores; then an o comes.

          says    slope            raise it ◂ │ ▸ lower it
{rows}

Only one bar points left, and it is as long as all the others together: what the others lose, the
right one gains. Five steps down this slope, rate 2:

    {" → ".join(f"{x:.3f}" for x in steps)} nats

This row of numbers is where all learning in this course begins. The rest is passing it back."""
