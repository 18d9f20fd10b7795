"""The honest opponents: what counting alone achieves on a text, with no learning and no gradients.

    counter = KneserNey.fit(ids, vocab_size=79, order=6)
    counter.cross_entropy(held_out, before=ids)     # nats per character
    counter.distribution(ids[-5:])                  # (79,), what comes next
    baselines(train, validation, held_out, characters="...", block_size=128)

A model that does not beat these has learned nothing that a table could not hold. `baselines` gives
them the windows that the model gets, and prints beside that what they reach when they may look
across window borders.

The counter is interpolated Kneser-Ney (Kneser and Ney 1995, "Improved backing-off for m-gram
language modeling") with the three discounts of Chen and Goodman 1999, "An empirical study of
smoothing techniques for language modeling". Everything is in nats per character. numpy only; PPMd
comes from `pyppmd`. This module neither mixes a counter with a model nor prints anything.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from babypoet.batches import Ids
from babypoet.errors import TextError

LARGEST_ORDER = 8
LIMIT = 5_000_000  # characters: more cost memory and minutes, and change a counter's loss little
_CHUNK = 1 << 16  # characters looked up at a time, and so the bound on the memory of a lookup
_PPMD_MEMORY = 64 << 20  # bytes; the model starts over when they are full


# --- the tables -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Weights:
    """One level of the interpolation: p(c | context) = alpha + gamma * p(c | shorter context)."""

    alpha: NDArray[
        np.float32
    ]  # (G,) of each n-gram of this level: its discounted relative frequency
    gamma: NDArray[np.float32]  # (contexts,) of each context: what the discounts took away


@dataclass(frozen=True)
class _Level:
    """Every distinct n-gram of one length, n, that the text holds.

    An n-gram is known by its rank among the sorted distinct keys, and its key is (rank of its first
    n - 1 characters) * V + its last character. So a key stays below (characters of text) * V, where
    the plain number with n digits in base V would overflow 64 bits from V = 5,000 and n = 6 on.
    """

    keys: NDArray[np.int64]  # (G,) sorted
    top: _Weights  # where this is the longest context there is: from how often an n-gram occurs
    below: _Weights | None  # under a longer one: from how many different characters come before it

    def find(self, key: NDArray[np.int64]) -> NDArray[np.int64]:
        """The ranks of some keys, -1 where the text holds no such n-gram."""
        rank = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        return np.where(self.keys[rank] == key, rank, -1)


def discounts(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """What is taken from an n-gram that was counted 0, 1, 2, and 3 or more times: (4,).

    Chen and Goodman 1999 estimate them from how many n-grams were counted once, twice, three and
    four times. Where a text is too small or too even for that, half the count is taken, as KenLM
    does. Never zero for a count of one or more: what the unseen gets comes from here.

    >>> discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4, 9])).round(2).tolist()
    [0.0, 0.5, 1.25, 1.0]
    """
    once, twice, thrice, four = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].tolist()
    taken = [0.0, 0.5, 1.0, 1.5]
    if once and twice:
        y = once / (once + 2 * twice)
        pairs = ((once, twice), (twice, thrice), (thrice, four))
        for j, (n, following) in enumerate(pairs, start=1):
            estimate = j - (j + 1) * y * following / n if n and following else 0.0
            if 0 < estimate < j:
                taken[j] = estimate
    return np.array(taken)


def _weights(counts: NDArray[np.integer], context: NDArray[np.integer], contexts: int) -> _Weights:
    """Discounted frequencies of n-grams, from their `counts` (G,) and the ranks of what stands
    before their last character: `context` (G,), each below `contexts`."""
    taken = discounts(counts)[np.minimum(counts, 3)]
    total = np.bincount(context, weights=counts, minlength=contexts)
    left_over = np.bincount(context, weights=taken, minlength=contexts)
    # nothing follows the very last characters of the text: after them the shorter context decides
    gamma = np.divide(left_over, total, out=np.ones(contexts), where=total > 0)
    alpha = (counts - taken) / total[context]
    return _Weights(alpha.astype(np.float32), gamma.astype(np.float32))


def _distinct(
    keys: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """The distinct ones of `keys` (N,), sorted (G,); the rank of each key (N,); for each distinct
    one a place where it stands (G,), and how often it occurs (G,).

    np.unique with all its options does the same in half as much memory again.
    """
    place = np.argsort(keys, kind="stable")
    keys = keys[place]
    new = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    first = np.flatnonzero(new)
    rank = np.empty(len(keys), dtype=np.int32)
    rank[place] = np.cumsum(new, dtype=np.int32) - 1
    return keys[first], rank, place[first], np.diff(first, append=len(keys))


def _grow(ids: Ids, vocab_size: int) -> Iterator[tuple[_Level, ...]]:
    """The tables of the counters of order 1, 2, 3, ... up to the length of the text.

    Each costs one sort more than the one before.
    """
    levels: tuple[_Level, ...] = ()
    rank = np.zeros(len(ids) + 1, dtype=np.int32)  # (N + 1,) the empty gram starts everywhere
    context, contexts = np.zeros(0, dtype=np.int64), 1
    for order in range(1, len(ids) + 1):
        key = rank[: len(ids) - order + 1].astype(np.int64)
        key *= vocab_size
        key += ids[order - 1 :]
        shorter = rank  # (N - order + 2,) the ranks of the (order - 1)-grams, by where they start
        keys, rank, place, counts = _distinct(key)
        del key
        if levels:
            # the n-grams without their first character; one more stands at the start of the text,
            # where the start itself counts as what comes before
            tails = np.bincount(shorter[1:][place], minlength=contexts)
            tails[shorter[0]] += 1
            below = _weights(tails, context, levels[-1].top.gamma.size)
            levels = (*levels[:-1], replace(levels[-1], below=below))
        context = keys // vocab_size
        levels = (*levels, _Level(keys, _weights(counts, context, contexts), None))
        contexts = len(keys)
        yield levels


@dataclass(frozen=True)
class KneserNey:
    """A counter: interpolated modified Kneser-Ney over characters.

    It holds the counters of every smaller order too. A context shorter than order - 1 characters is
    answered by the one it is long enough for, with true counts on top, so that short contexts (the
    start of a window) are guessed as well as counting can.
    """

    vocab_size: int
    """V: ids run from 0 to V - 1, whether the text has them all or not."""
    levels: tuple[_Level, ...]

    @property
    def order(self) -> int:
        """n: the counter looks at most n - 1 characters back."""
        return len(self.levels)

    @classmethod
    def fit(cls, ids: ArrayLike, vocab_size: int, order: int) -> Self:
        """Count a text: `ids` (N,) of 0..V-1.

        A text of fewer than `order` characters makes a smaller order. Takes `order` sorts of N
        numbers: a fifth of a second for 200,000 characters and order 8, five seconds for 5 million.
        """
        assert order >= 1, order
        ids = _checked(ids, vocab_size)
        levels: tuple[_Level, ...] = ()
        for levels in _grow(ids, vocab_size):
            if len(levels) == order:
                break
        return cls(vocab_size, levels)

    def log_probabilities(
        self,
        ids: ArrayLike,
        before: ArrayLike = (),
        block_size: int | None = None,
        order: int | None = None,
    ) -> NDArray[np.float64]:
        """ln p of each character of `ids` (N,) given those before it: (N,), nats, never -inf.

        `before` are the characters that precede `ids`; the last order - 1 of them serve as context.
        `block_size` cuts `ids` as a model's windows are cut: the character at place i of a window
        sees the i before it in the window and the one before the window, nothing else. None: as far
        as the order goes. `order` asks the counter of a smaller order that this one contains.
        """
        ids = _checked(ids, self.vocab_size)
        chunks = list(self._chunks(ids, _checked(before, self.vocab_size), block_size, order))
        return np.log(np.concatenate(chunks)) if chunks else np.zeros(0)

    def cross_entropy(
        self,
        ids: ArrayLike,
        before: ArrayLike = (),
        block_size: int | None = None,
        order: int | None = None,
    ) -> float:
        """The mean of -`log_probabilities`, in nats per character; `ids` must not be empty."""
        ids = _checked(ids, self.vocab_size)
        assert len(ids), "no characters to judge"
        chunks = self._chunks(ids, _checked(before, self.vocab_size), block_size, order)
        return -math.fsum(float(np.log(p).sum()) for p in chunks) / len(ids)

    def distribution(self, context: ArrayLike) -> NDArray[np.float64]:
        """The probability of each character after `context`, any number of ids: (V,)."""
        context = _checked(context, self.vocab_size)
        context = context[max(0, len(context) - self.order + 1) :]
        p = np.full(self.vocab_size, 1 / self.vocab_size)  # (V,)
        for length, level in enumerate(self.levels[: len(context) + 1]):
            rank = self._rank(context[len(context) - length :])
            if rank < 0:  # never seen: no longer context was either
                break
            weights = level.top if length == len(context) else level.below
            assert weights is not None
            lower, upper = np.searchsorted(
                level.keys, [rank * self.vocab_size, (rank + 1) * self.vocab_size]
            )
            p *= float(weights.gamma[rank])
            p[level.keys[lower:upper] - rank * self.vocab_size] += weights.alpha[lower:upper]
        p /= p.sum()  # the tables are float32
        return p

    def _rank(self, gram: Ids) -> int:
        """The rank of an n-gram among those of its length, -1 where the text does not hold it."""
        rank = 0
        for char, level in zip(gram.tolist(), self.levels, strict=False):
            rank = int(level.find(np.array([rank * self.vocab_size + char]))[0])
            if rank < 0:
                break
        return rank

    def _chunks(
        self, ids: Ids, before: Ids, block_size: int | None, order: int | None
    ) -> Iterator[NDArray[np.float64]]:
        """The probabilities of successive pieces of `ids`."""
        assert block_size is None or block_size >= 1, block_size
        longest = min(self.order, self.order if order is None else order) - 1
        for start in range(0, len(ids), _CHUNK):
            chunk = ids[start : start + _CHUNK]
            place = start + np.arange(len(chunk))
            visible = place + len(before)  # how many characters back each one may look
            if block_size is not None:
                visible = np.minimum(visible, place % block_size + 1)
            earlier = ids[:start] if start else before
            past = earlier[max(0, len(earlier) - max(0, longest)) :]
            text = np.concatenate([past, chunk]).astype(np.int64)
            yield self._probabilities(text, np.minimum(visible, longest))

    def _probabilities(
        self, text: NDArray[np.int64], length: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """p of the last n characters of `text`, each given the `length` (n,) before it: (n,)."""
        skip = len(text) - len(length)
        p = np.full(len(length), 1 / self.vocab_size)  # (n,)
        context = np.zeros(len(text), dtype=np.int64)  # ranks of what stands before each character
        for k, level in enumerate(self.levels[: int(length.max(initial=-1)) + 1]):
            # an unseen context is -1, its keys are negative, and no n-gram has them
            gram = level.find(context * self.vocab_size + text)
            for weights, here in ((level.top, length == k), (level.below, length > k)):
                at = np.flatnonzero(here & (context[skip:] >= 0))
                if weights is not None and len(at):
                    known = gram[skip:][at]
                    seen = np.where(known >= 0, weights.alpha[known], 0)
                    p[at] = seen + weights.gamma[context[skip:][at]] * p[at]
            context = np.concatenate([[-1], gram[:-1]])
        return p


def _checked(ids: ArrayLike, vocab_size: int) -> Ids:
    """`ids` as an array of integers below V."""
    array = np.asarray(ids)
    if not array.size:
        return np.zeros(0, dtype=np.int64)
    assert array.ndim == 1 and array.dtype.kind in "iu", (array.shape, array.dtype)
    assert array.min() >= 0 and array.max() < vocab_size, (array.min(), array.max(), vocab_size)
    return array


def choose_order(
    train: ArrayLike, validation: ArrayLike, vocab_size: int, largest: int = LARGEST_ORDER
) -> int:
    """The order, 1 to `largest`, whose counter of `train` does best on `validation`.

    Of equals the smaller. Windows play no part: each character is given all the context there is.
    Stops after two orders in a row that did not help: the tables of higher ones are the largest.
    """
    train = _checked(train, vocab_size)
    best, best_loss = 1, math.inf
    for levels in _grow(train, vocab_size):
        order = len(levels)
        loss = KneserNey(vocab_size, levels).cross_entropy(validation, before=train[-largest:])
        if loss < best_loss:
            best, best_loss = order, loss
        if order == largest or order == best + 2:
            break
    return best


# --- other counts ---------------------------------------------------------------------------------


def bigram_cross_entropy(ids: ArrayLike, vocab_size: int) -> float:
    """How well a table of letter pairs fits the very text it was counted on, in nats per pair.

    The conditional entropy of each character of `ids` (N,) given the one before, over the N - 1
    pairs: the least training loss that the bigram rung can reach. A sparse count, so V may be
    large; N >= 2.

    >>> bigram_cross_entropy([0, 1, 0, 1, 0, 1], vocab_size=2)
    0.0
    """
    ids = _checked(ids, vocab_size)
    assert len(ids) >= 2, "a pair has two characters"
    pairs, counts = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    for start in range(0, len(ids) - 1, 1 << 20):
        piece = ids[start : start + (1 << 20) + 1].astype(np.int64)
        found, often = np.unique(piece[:-1] * vocab_size + piece[1:], return_counts=True)
        pairs, where = np.unique(np.concatenate([pairs, found]), return_inverse=True)
        counts = np.bincount(where, weights=np.concatenate([counts, often])).astype(np.int64)
    first = pairs // vocab_size
    share = counts / np.bincount(first, weights=counts)[first]
    return max(0.0, float(-(counts * np.log(share)).sum()) / (len(ids) - 1))


def ppmd(train_text: str, held_out_text: str, order: int = 6) -> float | None:
    """What the compressor PPMd needs for a text after the training text: nats per character.

    C(training + held-out) - C(training), where C is the number of bytes that variant I of Shkarin
    2002, "PPM: one step to practicality", makes of the UTF-8 text. Unlike the others here it is
    adaptive: it goes on learning while it reads the held-out text, across all windows. None where
    it fails.
    """

    def compressed(text: str) -> int:
        encoder = pyppmd.Ppmd8Encoder(order, _PPMD_MEMORY)
        return len(encoder.encode(text.encode("utf-8", "surrogatepass")) + encoder.flush())

    assert held_out_text, "no characters to judge"
    try:
        import pyppmd

        extra = compressed(train_text + held_out_text) - compressed(train_text)
    except Exception:  # C code of others: a report without this line is better than no report
        return None
    return extra * 8 * math.log(2) / len(held_out_text)


def _text(ids: Ids, characters: str) -> str:
    """Ids to text, without a Python object for each character."""
    codes = np.frombuffer(characters.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    return codes[ids].tobytes().decode("utf-32-le", "surrogatepass")


# --- all of them ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Baselines:
    """What counting achieves on a held-out text, in nats per character."""

    uniform: float
    """ln V: every character as likely as any other."""
    unigram: float
    """How often each character occurs, and nothing else (Kneser-Ney of order 1)."""
    bigram: float
    """Given the one character before (Kneser-Ney of order 2)."""
    ngram: float
    """Kneser-Ney of `ngram_order`, given what the model is given: the same windows."""
    ngram_full: float
    """The same counter where it may look across the borders of windows."""
    ngram_order: int
    """The order that did best on the validation part."""
    ppmd: float | None
    """PPMd, which goes on learning while it reads and knows no windows; None where it failed."""
    counted: int
    """How many characters the counters have read: the last ones before the held-out part."""
    available: int
    """How many there were."""

    def best(self) -> tuple[str, float]:
        """The opponent to beat: the lowest of unigram, bigram and ngram, by its field's name.

        They are what is given exactly what the model is given. `ngram_full` and `ppmd` see more,
        and are shown beside it. Of equals the simpler.
        """
        return min(
            (("unigram", self.unigram), ("bigram", self.bigram), ("ngram", self.ngram)),
            key=lambda opponent: opponent[1],
        )


def _last(parts: Iterable[Ids], limit: int) -> Ids:
    """The last `limit` characters of some parts set end to end."""
    kept: list[Ids] = []
    for part in reversed(list(parts)):
        kept.insert(0, part[max(0, len(part) - limit) :])
        limit -= len(kept[0])
    return np.concatenate(kept)


def baselines(
    train: ArrayLike,
    validation: ArrayLike,
    held_out: ArrayLike,
    characters: str | Sequence[str],
    block_size: int | None = None,
    limit: int = LIMIT,
) -> Baselines:
    """All opponents on `held_out`, which follows `train` and `validation`: three arrays of ids.

    `characters`: the vocabulary in the order of its ids (`tokenizer.characters`); `block_size`: the
    model's, None for no windows. At most `limit` characters are counted, the last ones.

    The order is chosen by counting `train` and judging on `validation` (no validation part: a
    bigram). Then both are counted, which is generous: the model learns from `train` alone. An empty
    `held_out` is a TextError.
    """
    characters = "".join(characters)
    V = len(characters)
    train, validation, held_out = (np.asarray(part) for part in (train, validation, held_out))
    if not len(held_out):
        raise TextError("The held-out part is empty, so nothing can be judged. Give a longer text.")
    order = 2
    if len(train) and len(validation):
        order = choose_order(_last([train], limit), validation[: max(1, limit // 10)], V)
    read = _last([train, validation], limit)
    counter = KneserNey.fit(read, V, max(order, 2))
    return Baselines(
        uniform=math.log(V),
        unigram=counter.cross_entropy(held_out, read, block_size, order=1),
        bigram=counter.cross_entropy(held_out, read, block_size, order=2),
        ngram=counter.cross_entropy(held_out, read, block_size, order=order),
        ngram_full=counter.cross_entropy(held_out, read, order=order),
        ngram_order=order,
        ppmd=ppmd(_text(read, characters), _text(held_out, characters)),
        counted=len(read),
        available=len(train) + len(validation),
    )
