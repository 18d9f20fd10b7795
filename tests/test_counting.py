"""The opponents: probabilities that sum to one, equal to a counter written with dictionaries, and
the numbers that were measured when the project began."""

import math
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from babypoet import counting
from babypoet.counting import KneserNey, baselines, bigram_cross_entropy, choose_order, ppmd
from babypoet.errors import TextError
from babypoet.tokenizer import CharTokenizer

V = 7  # of the random texts below; the last character never occurs in them
texts = arrays(np.uint8, st.integers(1, 60), elements=st.integers(0, V - 2))
contexts = st.lists(st.integers(0, V - 1), max_size=6)


class Slow:
    """The same counter from the definition: dictionaries of tuples, one probability at a time."""

    def __init__(self, ids: Sequence[int], vocab_size: int, order: int) -> None:
        self.vocab_size, self.order = vocab_size, order
        ids = [int(i) for i in ids]
        self.occurrences: list[Counter[tuple[int, ...]]] = [Counter()]
        self.predecessors: list[Counter[tuple[int, ...]]] = [Counter()]
        for n in range(1, order + 1):
            grams = [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]
            before = defaultdict(set)
            for i, gram in enumerate(grams):
                before[gram].add(ids[i - 1] if i else "start")
            self.occurrences.append(Counter(grams))
            self.predecessors.append(Counter({g: len(b) for g, b in before.items()}))

    def p(self, char: int, context: tuple[int, ...], top: bool = True) -> float:
        if len(context) >= self.order:
            context = context[len(context) - self.order + 1 :]
        counts = (self.occurrences if top else self.predecessors)[len(context) + 1]
        shorter = self.p(char, context[1:], False) if context else 1 / self.vocab_size
        after = {g: c for g, c in counts.items() if g[:-1] == context}
        if not after:
            return shorter
        taken = self.taken(counts)
        total = sum(after.values())
        gamma = sum(taken[min(c, 3)] for c in after.values()) / total
        count = after.get((*context, char), 0)
        return (count - taken[min(count, 3)]) / total + gamma * shorter

    @staticmethod
    def taken(counts: Counter[tuple[int, ...]]) -> list[float]:
        n = Counter(counts.values())
        taken = [0, 0.5, 1, 1.5]
        for j in (1, 2, 3):
            if n[1] and n[2] and n[j] and n[j + 1]:
                d = j - (j + 1) * n[1] / (n[1] + 2 * n[2]) * n[j + 1] / n[j]
                taken[j] = d if 0 < d < j else taken[j]
        return taken


@given(texts, st.integers(1, 5), contexts)
def test_a_distribution_sums_to_one_after_any_context(ids, order, context):
    p = KneserNey.fit(ids, V, order).distribution(context)
    assert p.shape == (V,)
    assert p.min() > 0
    assert math.isclose(p.sum(), 1, abs_tol=1e-12)


@given(texts, st.integers(1, 5), contexts)
def test_the_tables_lose_no_probability(ids, order, context):
    """`distribution` divides by the sum at its end; what it divides is one already."""
    counter = KneserNey.fit(ids, V, order)
    total = sum(math.exp(counter.log_probabilities([c], before=context)[0]) for c in range(V))
    assert math.isclose(total, 1, abs_tol=1e-5)


@settings(max_examples=50)
@given(texts, st.integers(1, 5), contexts)
def test_equals_the_definition(ids, order, context):
    slow, fast = Slow(ids, V, min(order, len(ids))), KneserNey.fit(ids, V, order)
    expected = [slow.p(char, tuple(context)) for char in range(V)]
    np.testing.assert_allclose(fast.distribution(context), expected, rtol=1e-5)


@given(texts, texts, st.integers(1, 5), contexts)
def test_log_probabilities_equal_distributions(ids, judged, order, before):
    counter = KneserNey.fit(ids, V, order)
    text = [*before, *judged.tolist()]
    expected = [
        math.log(counter.distribution(text[:i])[text[i]]) for i in range(len(before), len(text))
    ]
    actual = counter.log_probabilities(judged, before)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    assert math.isclose(counter.cross_entropy(judged, before), -np.mean(actual), abs_tol=1e-9)


@given(texts, texts, st.integers(1, 5), st.integers(1, 7), contexts)
def test_windows_hide_what_came_before_them(ids, judged, order, block_size, before):
    counter = KneserNey.fit(ids, V, order)
    text = [*before, *judged.tolist()]
    expected = []
    for i in range(len(judged)):
        place, sees = len(before) + i, i % block_size + 1
        expected.append(counter.distribution(text[max(0, place - sees) : place])[judged[i]])
    actual = counter.log_probabilities(judged, before, block_size)
    np.testing.assert_allclose(actual, np.log(expected), rtol=1e-5, atol=1e-6)


@given(texts, texts, st.integers(1, 5), st.integers(1, 5))
def test_a_counter_holds_the_smaller_ones(ids, judged, order, smaller):
    large, small = KneserNey.fit(ids, V, order + smaller), KneserNey.fit(ids, V, smaller)
    np.testing.assert_array_equal(
        large.log_probabilities(judged, order=smaller), small.log_probabilities(judged)
    )


def test_a_long_text_is_looked_up_in_pieces_that_fit(monkeypatch):
    generator = np.random.default_rng(0)
    ids, judged = generator.integers(0, V, 500), generator.integers(0, V, 101)
    counter = KneserNey.fit(ids, V, 4)
    whole = [counter.log_probabilities(judged, ids, block_size) for block_size in (None, 9)]
    monkeypatch.setattr(counting, "_CHUNK", 10)
    for block_size, expected in zip((None, 9), whole, strict=True):
        actual = counter.log_probabilities(judged, ids, block_size)
        np.testing.assert_array_equal(actual, expected)
        assert np.unique(actual).size > 20


def test_by_hand():
    """The text a b a b a, order 2, V = 3, counted on paper.

    Pairs: ab 2, ba 2. No pair is counted once, so half the count is taken: 1 of 2.
    Below, by different predecessors: a has b and the start of the text, 2; b has a, 1. One of
    each, so Y = 1/3, D1 = 1 - 2/3 = 1/3; D2 has no three to go by: 1.
        p(a) = (2 - 1)/3 + (1 + 1/3)/3 * 1/3 = 13/27
        p(b) = (1 - 1/3)/3 + 4/9 * 1/3 = 10/27
        p(c) = 4/27
    After a, counted 2: p(b | a) = (2 - 1)/2 + 1/2 * 10/27, p(a | a) = 1/2 * 13/27.
    c was never seen: what comes after it is p(a), p(b), p(c).
    With no context true counts are on top: a 3, b 2; taken 1.5 and 1, left over 2.5.
    """
    counter = KneserNey.fit([0, 1, 0, 1, 0], vocab_size=3, order=2)
    after_a = [13 / 54, 1 / 2 + 10 / 54, 4 / 54]
    np.testing.assert_allclose(counter.distribution([0]), after_a, rtol=1e-6)
    np.testing.assert_allclose(counter.distribution([1, 0]), after_a, rtol=1e-6)
    np.testing.assert_allclose(counter.distribution([2]), [13 / 27, 10 / 27, 4 / 27], rtol=1e-6)
    nothing = [1.5 / 5 + 0.5 / 3, 1 / 5 + 0.5 / 3, 0.5 / 3]
    np.testing.assert_allclose(counter.distribution([]), nothing, rtol=1e-6)


def test_keys_do_not_overflow():
    """5,000^6 is beyond 64 bits: six characters packed into one number would wrap around, and what
    it is divided into would not be the context any more."""
    generator = np.random.default_rng(1)
    phrases = generator.integers(0, 5000, (30, 7))
    phrases[:, 1:3] = phrases[0, 1:3]
    ids = phrases[generator.integers(0, 30, 120)].ravel()
    slow, fast = Slow(ids, 5000, 6), KneserNey.fit(ids, 5000, 6)
    judged = ids[200:240]
    expected = [slow.p(int(ids[i]), tuple(int(c) for c in ids[i - 5 : i])) for i in range(200, 240)]
    actual = fast.log_probabilities(judged, before=ids[:200])
    np.testing.assert_allclose(actual, np.log(expected), rtol=1e-4)
    assert len(fast.levels[5].keys) == len({tuple(ids[i : i + 6]) for i in range(len(ids) - 5)})


def test_a_text_too_short_for_the_order_makes_a_smaller_one():
    assert KneserNey.fit([0, 1], vocab_size=3, order=6).order == 2
    np.testing.assert_array_equal(KneserNey.fit([], 4, order=3).distribution([1]), [0.25] * 4)


@given(texts.filter(lambda ids: len(ids) > 1))
def test_bigram_cross_entropy_is_that_of_the_table_of_shares(ids):
    pairs = Counter(zip(ids[:-1].tolist(), ids[1:].tolist(), strict=True))
    firsts = Counter(ids[:-1].tolist())
    expected = -sum(n * math.log(n / firsts[a]) for (a, _), n in pairs.items()) / (len(ids) - 1)
    assert math.isclose(bigram_cross_entropy(ids, V), expected, abs_tol=1e-12)


def test_bigram_cross_entropy_counts_on_across_its_pieces():
    ids = np.random.default_rng(2).integers(0, 3, (1 << 20) + 5).astype(np.uint8)
    table = np.bincount(ids[:-1].astype(int) * 3 + ids[1:], minlength=9).reshape(3, 3)
    share = table / table.sum(axis=1, keepdims=True)
    expected = -(table * np.log(share)).sum() / (len(ids) - 1)
    assert math.isclose(bigram_cross_entropy(ids, 3), expected, rel_tol=1e-12)


def test_bigram_cross_entropy_of_a_large_vocabulary():
    """Every pair once: the table says exactly what follows, and its 800 MB are never made."""
    assert bigram_cross_entropy(np.arange(10_000), 10_000) == 0


def test_an_order_that_does_not_help_is_not_the_last_one_tried():
    """Each bit is the exclusive or of the two before, one in ten flipped: one says nothing."""
    flipped = np.random.default_rng(0).random(4000) < 0.1
    bits = [0, 1]
    for flip in flipped:
        bits.append(bits[-1] ^ bits[-2] ^ int(flip))
    loss = [
        KneserNey.fit(bits[:3000], 2, order).cross_entropy(bits[3000:], bits[:3000])
        for order in (1, 2, 3)
    ]
    assert loss[2] < loss[0] < loss[1]
    assert choose_order(bits[:3000], bits[3000:], 2) == 3


def test_of_equal_orders_the_smallest_is_chosen():
    """Nothing follows the 2 in the training part, so no context helps to guess what does."""
    train, validation = [0, 1, 0, 1, 2], [0]
    losses = [KneserNey.fit(train, 3, n).cross_entropy(validation, train) for n in (2, 3, 4)]
    assert losses[0] == losses[1] == losses[2]
    assert choose_order(train, validation, 3) == 2


def test_chance_is_counted_best_by_order_one():
    fair_coin = np.random.default_rng(3).integers(0, 2, 4000)
    assert choose_order(fair_coin[:3000], fair_coin[3000:], 2) == 1


def test_the_order_is_the_one_that_does_best_alone(poems):
    ids = CharTokenizer.from_text(poems).encode_array(poems)[:60_000]
    train, validation = ids[:55_000], ids[55_000:]
    losses = [
        KneserNey.fit(train, 79, order).cross_entropy(validation, before=train)
        for order in range(1, 9)
    ]
    assert choose_order(train, validation, 79) == 1 + int(np.argmin(losses))


# --- all of them ----------------------------------------------------------------------------------


def cut(text: str) -> tuple[CharTokenizer, np.ndarray, int]:
    tokenizer = CharTokenizer.from_text(text)
    return tokenizer, tokenizer.encode_array(text), int(0.9 * len(text))


@pytest.mark.parametrize(
    ("order", "nats"), [(2, 2.435), (3, 1.954), (4, 1.710), (5, 1.641), (6, 1.627), (7, 1.630)]
)
def test_the_numbers_of_the_poems(poems, order, nats):
    tokenizer, ids, n = cut(poems)
    counter = KneserNey.fit(ids[:n], tokenizer.vocab_size, order)
    assert counter.cross_entropy(ids[n:], before=ids[:n]) == pytest.approx(nats, abs=0.005)


def test_ppmd_on_the_poems(poems):
    n = int(0.9 * len(poems))
    assert ppmd(poems[:n], poems[n:]) == pytest.approx(1.585, abs=0.005)


def test_the_numbers_of_tiny_shakespeare(shakespeare: Path):
    text = shakespeare.read_text(encoding="utf-8")
    tokenizer, ids, n = cut(text)
    counter = KneserNey.fit(ids[:n], tokenizer.vocab_size, 7)
    assert counter.cross_entropy(ids[n:], before=ids[:n]) == pytest.approx(1.5165, abs=0.005)
    assert ppmd(text[:n], text[n:]) == pytest.approx(1.404, abs=0.005)


def test_all_opponents_of_the_poems(poems):
    tokenizer, ids, n = cut(poems)
    v = int(0.95 * n)
    found = baselines(ids[:v], ids[v:n], ids[n:], tokenizer.characters, block_size=16)
    assert found.uniform == math.log(tokenizer.vocab_size)
    order = found.ngram_order
    assert order == choose_order(ids[:v], ids[v:n], tokenizer.vocab_size)
    both = KneserNey.fit(ids[:n], tokenizer.vocab_size, order)
    assert found.ngram == both.cross_entropy(ids[n:], ids[:n], block_size=16)
    assert found.ngram_full == both.cross_entropy(ids[n:], ids[:n])
    assert found.ppmd == ppmd(poems[:n], poems[n:])
    falling = [found.uniform, found.unigram, found.bigram, found.ngram, found.ngram_full]
    assert falling == sorted(falling, reverse=True)
    assert len(set(falling)) == len(falling)
    assert found.best() == ("ngram", found.ngram)
    assert (found.counted, found.available) == (n, n)


def test_nothing_of_the_held_out_part_is_counted(poems):
    """A held-out text in which the second half repeats the first is no easier for a counter."""
    tokenizer, ids, n = cut(poems[:30_000])
    train, validation, once = ids[: n - 1000], ids[n - 1000 : n], ids[n : n + 1280]
    args = (tokenizer.characters, 128)
    one = baselines(train, validation, once, *args)
    two = baselines(train, validation, np.tile(once, 2), *args)
    assert two.ngram == pytest.approx(one.ngram, abs=0.01)
    assert two.ppmd < one.ppmd - 0.2  # which learns while it reads


def test_the_order_is_not_chosen_on_the_held_out_part():
    """What repeats is counted best by a high order, and a fair coin by the lowest."""
    train = held_out = np.tile([0, 0, 1, 1], 50)
    coin = np.random.default_rng(6).integers(0, 2, 400)
    assert choose_order(train, coin, 2) == 1 < choose_order(train, held_out, 2)
    assert baselines(train, coin, held_out, "ab").ngram_order == 1


def test_best_is_what_sees_no_more_than_the_model():
    some = counting.Baselines(4.0, 3.0, 2.0, 2.0, 1.0, 5, 0.5, 10, 10)
    assert some.best() == ("bigram", 2.0)


def test_the_limit_keeps_the_last_characters():
    ids = np.random.default_rng(4).integers(0, 5, 900)
    train, validation, held_out = ids[:600], ids[600:700], ids[700:]
    limited = baselines(train, validation, held_out, "abcde", limit=250)
    assert (limited.counted, limited.available) == (250, 700)
    counter = KneserNey.fit(ids[450:700], 5, 2)
    assert limited.bigram == counter.cross_entropy(held_out, ids[450:700], order=2)
    inside = baselines(train, validation, held_out, "abcde", limit=40)
    counter = KneserNey.fit(ids[660:700], 5, 2)
    assert inside.bigram == counter.cross_entropy(held_out, ids[660:700], order=2)


def test_unseen_characters_cost_much_but_not_everything():
    found = baselines(np.zeros(50, np.uint8), np.zeros(5, np.uint8), np.array([0, 1]), "ab")
    assert all(math.isfinite(x) for x in (found.unigram, found.bigram, found.ngram))


def test_without_a_validation_part_the_order_is_two():
    empty = np.zeros(0, np.uint8)
    assert baselines(np.tile([0, 0, 1], 50), empty, np.array([0, 0]), "ab").ngram_order == 2


def test_without_a_held_out_part_there_is_nothing_to_judge():
    with pytest.raises(TextError, match="Give a longer text"):
        baselines(np.zeros(5, int), np.zeros(5, int), np.zeros(0, int), "a")


def test_ppmd_that_fails_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyppmd", None)
    assert ppmd("some", "text") is None


def test_ids_become_the_text_they_were():
    text = "aé愛\ud800😀\n"
    characters = "".join(sorted(text))
    ids = np.array([characters.index(c) for c in text])
    assert counting._text(ids, characters) == text


def test_counting_needs_no_torch():
    code = "import sys, babypoet.counting, babypoet.evaluation; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
