"""Lesson 2: what is asked of count_pairs, to_probabilities and mean_surprise."""

from typing import Any

import numpy as np

from babypoet.corpus import builtin_poems
from babypoet.course.checking import Check, Mistake

ABAAAC = np.array([0, 1, 0, 0, 0, 2])
TEXT = np.random.default_rng(3).choice(4, size=60, p=[0.5, 0.3, 0.15, 0.05])
UNEVEN = np.array([[2, 1, 1], [1, 0, 0], [0, 0, 0]])
LARGER = np.array([[7, 0, 2, 1], [3, 3, 0, 9], [0, 0, 0, 0], [1, 40, 5, 2]])
TABLE = np.array([[3, 2, 2], [2, 1, 1], [1, 1, 1]]) / np.array([[7], [4], [3]])


def pairs(first: np.ndarray, second: np.ndarray, V: int) -> np.ndarray:
    counts = np.zeros((V, V), dtype=np.int64)
    np.add.at(counts, (first, second), 1)
    return counts


def pairs_once(ids: np.ndarray, V: int) -> np.ndarray:
    counts = np.zeros((V, V), dtype=np.int64)
    counts[ids[:-1], ids[1:]] += 1
    return counts


def in_count_pairs(ids: np.ndarray, V: int) -> tuple[Mistake, ...]:
    return (
        Mistake(
            "Rows and columns are swapped: yours is the transpose. The row is the character that "
            "is there, the column the one that follows it.",
            lambda right: right.count_pairs(ids, V).T,
        ),
        Mistake(
            "Every pair was counted once, however often it occurs. `counts[a, b] += 1` with "
            "arrays a and b reads, adds and writes once; np.add.at, or a loop, adds each time.",
            lambda right: pairs_once(ids, V),
        ),
        Mistake(
            "The last character was counted as followed by the first: a text is no circle. "
            "N characters have N - 1 pairs.",
            lambda right: pairs(ids, np.roll(ids, -1), V),
        ),
        Mistake(
            "The pairs do not overlap in your count. In abc there are two, ab and bc: a pair "
            "begins at every character but the last.",
            lambda right: pairs(ids[0:-1:2], ids[1::2], V),
        ),
        Mistake(
            "The last pair is missing. N characters have N - 1 pairs, and the last one ends with "
            "the last character.",
            lambda right: pairs(ids[:-2], ids[1:-1], V),
        ),
        Mistake(
            "The first pair is missing. The first character is the beginning of a pair too.",
            lambda right: pairs(ids[1:-1], ids[2:], V),
        ),
        Mistake(
            "Each pair was counted both ways. ab says that b follows a, not that a follows b.",
            lambda right: right.count_pairs(ids, V) + right.count_pairs(ids, V).T,
        ),
        Mistake(
            "Your table is as large as this text needs. It must be (V, V) for any text: what this "
            "one lacks may be in the next.",
            lambda right: pairs(ids[:-1], ids[1:], ids.max() + 1) if ids.max() + 1 < V else None,
        ),
        Mistake(
            "Your counts begin at 1. The 1 is added in `to_probabilities`; here, count.",
            lambda right: right.count_pairs(ids, V) + 1,
        ),
    )


def in_to_probabilities(counts: np.ndarray) -> tuple[Mistake, ...]:
    raised = counts + 1

    def quietly(divide: Any) -> Any:
        with np.errstate(all="ignore"):
            return divide()

    return (
        Mistake(
            "The 1 was not added: a pair that was never seen gets probability 0, and a row "
            "without any pairs is 0/0. Add 1 to every count before you divide.",
            lambda right: quietly(lambda: counts / counts.sum(axis=1, keepdims=True)),
        ),
        Mistake(
            "Your columns sum to 1, not your rows: wrong axis. What follows `a` is row a, so the "
            "sum is over the columns, axis=1.",
            lambda right: raised / raised.sum(axis=0, keepdims=True),
        ),
        Mistake(
            "Each column was divided by the sum of a row: keepdims=True is missing. Sums of shape "
            "(V,) lie along the columns; (V, 1) goes with the rows.",
            lambda right: raised / raised.sum(axis=1),
        ),
        Mistake(
            "The whole table sums to 1. Each row must: divide by the sum of the row.",
            lambda right: raised / raised.sum(),
        ),
        Mistake(
            "The 1s were added to the counts, but not to the sums they are divided by, so the rows "
            "sum to more than 1. Add first, then sum.",
            lambda right: quietly(lambda: raised / counts.sum(axis=1, keepdims=True)),
        ),
        Mistake(
            "The sum of a row is too small: adding 1 to each of V counts makes it larger by V, "
            "not by 1.",
            lambda right: raised / (counts.sum(axis=1, keepdims=True) + 1),
        ),
        Mistake(
            "The 1s went into the sum, but not onto the counts, so the rows sum to less than 1.",
            lambda right: counts / raised.sum(axis=1, keepdims=True),
        ),
        Mistake(
            "// divides whole numbers and drops the fraction. Use /.",
            lambda right: raised // raised.sum(axis=1, keepdims=True),
        ),
        Mistake(
            "That is a softmax of the counts. Here the probability is simply the share: the "
            "raised count over the sum of its row.",
            lambda right: np.exp(raised) / np.exp(raised).sum(axis=1, keepdims=True),
        ),
    )


def in_mean_surprise(p: np.ndarray, ids: np.ndarray) -> tuple[Mistake, ...]:
    said = p[ids[:-1], ids[1:]]
    return (
        Mistake(
            "The sign is missing. A probability is at most 1, its logarithm at most 0, and a "
            "surprise is -ln p, at least 0.",
            lambda right: np.log(said).mean(),
        ),
        Mistake(
            "Those are bits (log2). Nats are asked: np.log, the natural logarithm.",
            lambda right: -np.log2(said).mean(),
        ),
        Mistake(
            "That is log10. Nats are asked: np.log, the natural logarithm.",
            lambda right: -np.log10(said).mean(),
        ),
        Mistake(
            "That is the sum. Divide by the number of pairs, or longer texts look worse.",
            lambda right: -np.log(said).sum(),
        ),
        Mistake(
            "You divided by N. N characters have N - 1 pairs; the first has nothing before it.",
            lambda right: -np.log(said).sum() / len(ids),
        ),
        Mistake(
            "Row and column are swapped: p[a, b] is for b after a, and a comes first in the text.",
            lambda right: -np.log(p[ids[1:], ids[:-1]]).mean(),
        ),
        Mistake(
            "That is the logarithm of the mean. Asked is the mean of the logarithms: each "
            "character's surprise first, then the mean.",
            lambda right: -np.log(said.mean()),
        ),
        Mistake(
            "That is the mean over the table, each pair once. Asked is the mean over the text: a "
            "pair counts as often as it occurs.",
            lambda right: -np.log(p).mean(),
        ),
        Mistake(
            "That is the mean probability. The surprise at a character is -ln p.",
            lambda right: said.mean(),
        ),
        Mistake(
            "That is e^surprise, the number of letters it is torn between. Give the nats.",
            lambda right: np.exp(-np.log(said).mean()),
        ),
    )


CHECKS = [
    Check(
        what="The pairs of abaaac, with a = 0, b = 1, c = 2.",
        call=lambda m: m.count_pairs(ABAAAC.copy(), 3),
        shown="count_pairs(np.array([0, 1, 0, 0, 0, 2]), 3)",
        by_hand="The pairs are ab, ba, aa, aa, ac. Row a: aa twice, ab once, ac once: 2 1 1. "
        "Row b: ba once: 1 0 0. Row c: nothing follows c: 0 0 0.",
        mistakes=in_count_pairs(ABAAAC, 3),
    ),
    Check(
        what="A character of the alphabet that the text lacks has a row and a column of zeros.",
        call=lambda m: m.count_pairs(np.array([0, 2, 2, 4]), 6),
        shown="count_pairs(np.array([0, 2, 2, 4]), 6)",
        by_hand="V is 6, so the table is (6, 6), though no id here is 5. Three pairs, a 1 each: "
        "[0, 2], [2, 2], [2, 4].",
        mistakes=in_count_pairs(np.array([0, 2, 2, 4]), 6),
    ),
    Check(
        what="A text of 60 characters has 59 pairs.",
        call=lambda m: m.count_pairs(TEXT.copy(), 4),
        shown="count_pairs(ids, 4)    # 60 ids below 4",
        by_hand="All counts together are as many as there are pairs: N - 1.",
        mistakes=in_count_pairs(TEXT, 4),
    ),
    Check(
        what="One character alone has no pairs.",
        call=lambda m: m.count_pairs(np.array([1]), 3),
        shown="count_pairs(np.array([1]), 3)",
        by_hand="N - 1 = 0 pairs: nine zeros.",
        mistakes=in_count_pairs(np.array([1]), 3),
    ),
    Check(
        what="An empty text has none either.",
        call=lambda m: m.count_pairs(np.array([], dtype=np.int64), 3),
        shown="count_pairs(np.array([], dtype=int), 3)",
        by_hand="Nothing to count: nine zeros.",
    ),
    Check(
        what="The counts of abaaac as probabilities; c, which nothing follows, is torn evenly.",
        call=lambda m: m.to_probabilities(UNEVEN.copy()),
        shown="to_probabilities(np.array([[2, 1, 1], [1, 0, 0], [0, 0, 0]]))",
        by_hand="Plus 1: rows 3 2 2, 2 1 1 and 1 1 1, with the sums 7, 4 and 3. "
        "So 3/7 2/7 2/7, then 2/4 1/4 1/4, then 1/3 1/3 1/3.",
        mistakes=in_to_probabilities(UNEVEN),
    ),
    Check(
        what="Four characters, one of them never seen.",
        call=lambda m: m.to_probabilities(LARGER.copy()),
        shown="to_probabilities(counts)    # (4, 4)",
        by_hand="A row 7 0 2 1 becomes 8 1 3 2, which sums to 14: 8/14 1/14 3/14 2/14.",
        mistakes=in_to_probabilities(LARGER),
    ),
    Check(
        what="An alphabet of one character: what comes next is certain.",
        call=lambda m: m.to_probabilities(np.array([[0]])),
        shown="to_probabilities(np.array([[0]]))",
        by_hand="0 + 1 = 1, and 1 of 1 is 1.",
        mistakes=(
            Mistake(
                "The 1 was not added: 0/0 is not a number. Add 1 to every count first.",
                lambda right: np.array([[np.nan]]),
            ),
        ),
    ),
    Check(
        what="The mean surprise of the table of abaaac at the text abaaac.",
        call=lambda m: m.mean_surprise(TABLE.copy(), ABAAAC.copy()),
        shown="mean_surprise(to_probabilities(count_pairs(ids, 3)), ids)    # ids of abaaac",
        by_hand="The five pairs ab, ba, aa, aa, ac have p = 2/7, 2/4, 3/7, 3/7, 2/7. "
        "-ln p: 1.253, 0.693, 0.847, 0.847, 1.253. Their sum is 4.893, their mean 0.979.",
        mistakes=in_mean_surprise(TABLE, ABAAAC),
    ),
    Check(
        what="Even guessing among V characters surprises by ln V, whatever the text.",
        call=lambda m: m.mean_surprise(np.full((79, 79), 1 / 79), np.arange(40)),
        shown="mean_surprise(np.full((79, 79), 1 / 79), ids)",
        by_hand="Each p is 1/79, and -ln(1/79) = ln 79 = 4.369.",
        mistakes=in_mean_surprise(np.full((79, 79), 1 / 79), np.arange(40)),
    ),
    Check(
        what="Two characters make one pair.",
        call=lambda m: m.mean_surprise(TABLE.copy(), np.array([1, 0])),
        shown="mean_surprise(probabilities, np.array([1, 0]))",
        by_hand="One pair, ba, with p = 2/4: -ln 0.5 = 0.693.",
        mistakes=in_mean_surprise(TABLE, np.array([1, 0])),
    ),
    Check(
        what="What is certain, and comes, is no surprise.",
        call=lambda m: m.mean_surprise(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1, 0])),
        shown="mean_surprise(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1, 0]))",
        by_hand="Both pairs have p = 1, and -ln 1 = 0. What has p = 0 here never occurs.",
        mistakes=(
            Mistake(
                "You took the logarithm of the whole table, zeros included, where only what "
                "occurs in the text counts.",
                lambda right: np.nan,
            ),
            Mistake(
                "You took the logarithm of the whole table, zeros included, where only what "
                "occurs in the text counts.",
                lambda right: np.inf,
            ),
        ),
    ),
]


def reward(theirs: Any) -> str:
    poems = builtin_poems()
    characters = sorted(set(poems))
    V = len(characters)
    ids = np.array([characters.index(c) for c in poems])
    border = len(ids) - len(ids) // 10
    counts = theirs.count_pairs(ids[:border], V)
    table = theirs.to_probabilities(counts)
    even = theirs.mean_surprise(np.full((V, V), 1 / V), ids[border:])
    nats = theirs.mean_surprise(table, ids[border:])
    rng = np.random.default_rng(4)
    here, text = characters.index("\n"), ""
    for _ in range(240):
        here = int(rng.choice(V, p=table[here]))
        text += characters[here]
    lines = text.strip().replace("\n", "\n    ")
    after = {
        c: "".join(characters[i] for i in np.argsort(-counts[characters.index(c)])[:5])
        for c in "the,"
    }
    shown = "\n".join(
        f"    after {c!r} most often: {' '.join(map(repr, best))}" for c, best in after.items()
    )
    return f"""What your table has learned from {border:,} characters:

{shown}

And what it writes, one draw for each character:

    {lines}

On the last tenth of the poems, which it has not counted:

    even guessing    {even:.3f} nats: torn between {np.exp(even):.1f} characters
    your table       {nats:.3f} nats: torn between {np.exp(nats):.1f}"""
