"""What heads look at: each kind is found where it is, and nothing where there is nothing."""

import numpy as np
import pytest
from numpy.typing import NDArray

from babypoet import heads, reference
from babypoet.config import ModelConfig
from babypoet.heads import CLEAR, KINDS, SKIP, Head, choose, head_of, measure, places_of
from babypoet.reference import Reference

TEXT = "the sea is\nold and grey,\nthe men are\nold and dull, they\nsay so too\n"
T = len(TEXT)


def even() -> NDArray[np.float32]:
    """A head that looks everywhere alike."""
    lower = np.tril(np.ones((T, T), np.float32))
    return lower / lower.sum(axis=1, keepdims=True)


def looking_at(kind: str, share: float) -> NDArray[np.float32]:
    """A head that gives this share to a kind of place, evenly, and the rest to every other."""
    weights = even()
    places = places_of(kind, TEXT)
    for row in range(T):
        mine, rest = places[row], ~places[row] & (np.arange(T) <= row)
        if mine.any() and rest.any():
            weights[row, mine], weights[row, rest] = share / mine.sum(), (1 - share) / rest.sum()
    assert np.allclose(weights.sum(axis=1), 1)
    return weights


def found(weights: NDArray[np.float32]) -> Head:
    return head_of(0, 0, [weights], [TEXT])


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found(kind: str) -> None:
    """Red when two kinds are swapped, or a kind's places are shifted by one."""
    head = found(looking_at(kind, 0.8))
    assert head.label == kind and head.mass[kind] == pytest.approx(0.8, abs=1e-5)
    assert head.score == pytest.approx((0.8 - head.expected[kind]) / (1 - head.expected[kind]))
    assert head.characters == T - SKIP


@pytest.mark.parametrize("kind", KINDS)
def test_a_share_that_is_too_small_is_not_clear(kind: str) -> None:
    assert found(looking_at(kind, CLEAR - 0.05)).label is None


def test_an_even_head_is_not_clear() -> None:
    head = found(even())
    assert head.label is None and head.score == pytest.approx(0, abs=1e-5)
    for kind in KINDS:
        assert head.mass[kind] == pytest.approx(head.expected[kind], abs=1e-5)
        assert head.expected[kind] > 0


def test_much_is_not_clear_where_much_is_expected() -> None:
    """Red without TIMES: in a text of single letters nearly every place is the start of a word."""
    text = "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g"
    lower = np.tril(np.ones((len(text), len(text)), np.float32))
    head = head_of(0, 0, [lower / lower.sum(axis=1, keepdims=True)], [text])
    assert head.mass["word_start"] > CLEAR and head.label is None


def test_places_by_hand() -> None:
    text = "ab\nca\nbc"
    rows = {kind: places_of(kind, text)[7].nonzero()[0].tolist() for kind in KINDS}
    assert rows == {
        "previous": [6],
        "itself": [7],
        "line_start": [],  # the line begins just before, and that is "previous"
        "same_letter": [3],
        "line_break": [2, 5],
        "word_start": [3],  # not 0, the first column; not 6, which is "previous"
        "first": [0],
    }
    assert places_of("line_start", "ab\ncdef")[6].nonzero()[0].tolist() == [3]


def test_nobody_looks_ahead() -> None:
    for kind in KINDS:
        assert not np.triu(places_of(kind, TEXT), k=1).any(), kind


def test_positions_without_such_a_place_do_not_count() -> None:
    """The first line of a window began who knows where, so it has no start to look at."""
    assert not places_of("line_start", TEXT)[:11].any()
    text = "no line breaks anywhere in this text"
    lower = np.tril(np.ones((len(text), len(text)), np.float32))
    head = head_of(0, 0, [lower / lower.sum(axis=1, keepdims=True)], [text])
    assert head.mass["line_break"] == head.expected["line_break"] == 0


# --- models ---------------------------------------------------------------------------------------


def weights_of(config: ModelConfig, seed: int) -> Reference:
    generator = np.random.default_rng(seed)
    weights = {
        name: generator.normal(size=shape).astype(np.float32)
        * (shape[-1] ** -0.5 if len(shape) == 2 else 1)
        for name, shape in reference.shapes(config).items()
    }
    return Reference(config, weights)


@pytest.mark.parametrize("rung", ["attention", "multihead", "transformer", "modern"])
def test_random_weights_are_not_clear(rung: str, poems: str) -> None:
    """The untrained models that CLEAR and TIMES were chosen by, and every rung's shape."""
    characters = "".join(sorted(set(poems)))
    config = ModelConfig(rung, len(characters), 64, n_layer=2, n_head=4, n_kv_head=2, n_embd=32)
    ids = [characters.index(c) for c in poems[:2500]]
    found = measure(weights_of(config, 3), ids, characters)
    layers, count = heads.layers_and_heads(config)
    assert [(h.layer, h.head) for h in found] == [
        (i, j) for i in range(layers) for j in range(count)
    ]
    assert {head.label for head in found} == {None}
    assert found[0].characters == heads.CHARACTERS - -(-heads.CHARACTERS // 64) * SKIP
    chosen = choose(found)
    assert chosen is not None and chosen.score == max(head.score for head in found)


def test_a_model_without_heads_has_none(poems: str) -> None:
    config = ModelConfig("bigram", 5)
    assert measure(weights_of(config, 0), [0, 1, 2] * 20, "abcde") == []
    assert choose([]) is None


def test_a_text_too_short_to_tell() -> None:
    config = ModelConfig("attention", 5, block_size=32, n_embd=8)
    assert measure(weights_of(config, 0), [0, 1, 2], "abcde") == []


def head(label: str | None, score: float) -> Head:
    return Head(0, 0, {}, {}, label, score, 0)


def test_the_head_that_stands_out_is_chosen() -> None:
    heads_ = [head("previous", 0.4), head("line_start", 0.6), head(None, 0.2)]
    assert choose(heads_) is heads_[1]
    sink, clear = head("first", 0.9), head("previous", 0.3)
    assert choose([sink, clear]) is clear and choose([sink, head(None, 0.2)]) is sink
