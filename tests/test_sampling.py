"""From logits to text: probabilities, draws, windows and stop strings."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from babypoet.config import RUNG_NAMES, GenerateConfig, ModelConfig
from babypoet.errors import RunError, SettingError, UnknownCharacterError
from babypoet.ladder import Rung, build
from babypoet.reference import Reference
from babypoet.sampling import (
    distribution,
    next_token,
    prompt_or_start,
    stream,
    uniform,
    until,
    write,
)
from babypoet.tokenizer import CharTokenizer

TOKENIZER = CharTokenizer("\n abcdefghi")
MODEL = ModelConfig(vocab_size=11, block_size=7, n_layer=3, n_head=4, n_kv_head=2, n_embd=24)
# within 20 of each other, no probability underflows to 0
LOGITS = st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=13)


def random_model(rung: str, dropout: float = 0.0) -> Rung:
    model = build(replace(MODEL, rung=rung, dropout=dropout)).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.4, generator=generator)
    return model


def in_numpy(model: Rung) -> Reference:
    return Reference(model.config, {name: x.numpy() for name, x in model.state_dict().items()})


REFERENCE = in_numpy(random_model("modern"))


def text(config: GenerateConfig, prompt: str = "a", sample: int = 0) -> str:
    return "".join(write(REFERENCE, TOKENIZER, prompt, config, sample=sample))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny products wait for busy cores when they are spread over threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("length", 0),
        ("temperature", -0.1),
        ("temperature", math.inf),
        ("temperature", math.nan),
        ("top_k", 0),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("top_p", math.nan),
        ("min_p", -0.01),
        ("min_p", 1.01),
        ("n", 0),
        ("seed", -1),
        ("stop", ("end", "")),
    ],
)
def test_impossible_settings_name_their_flag(flag: str, value: object) -> None:
    with pytest.raises(SettingError, match="--" + flag.replace("_", "-")):
        GenerateConfig(**{flag: value})  # type: ignore[arg-type]


def test_the_limits_are_possible() -> None:
    GenerateConfig(length=1, temperature=0, top_k=1, top_p=1, min_p=0, stop=("x",), n=1, seed=2**70)
    GenerateConfig(top_k=10**9, min_p=1, top_p=1e-9)


def test_a_bare_stop_string_is_explained() -> None:
    with pytest.raises(SettingError, match="tuple"):
        GenerateConfig(stop="end")  # type: ignore[arg-type]


# --- random numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "h"),
    [
        ((0, 0, 0), 3015277917),
        ((1, 0, 0), 1344847288),
        ((0, 1, 0), 2240379118),
        ((0, 0, 1), 1361738676),
        ((1337, 499, 7), 245661478),
        ((2**32 - 1, 2**32 - 1, 2**32 - 1), 1284839585),
        ((2**32, 0, 0), 1721088425),
        ((2**53 - 1, 123456, 3), 1531806672),
    ],
)
def test_golden_random_numbers(arguments: tuple[int, int, int], h: int) -> None:
    """The same as in JavaScript with Math.imul (run once in node): a page relies on them."""
    assert uniform(*arguments) == h / 2**32


@given(st.integers(0, 2**80), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_random_number_is_in_its_range(seed: int, counter: int, stream: int) -> None:
    assert 0 <= uniform(seed, counter, stream) < 1


def chi_square(draws: Sequence[int], cells: int) -> float:
    counts = np.bincount(draws, minlength=cells)
    expected = len(draws) / cells
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("axis", ["seed", "counter", "stream"])
def test_random_numbers_are_even(axis: str) -> None:
    """Along each argument. Truly random numbers would fail with odds of 1 in 10,000 each time: chi
    square above 44.3 with 15 degrees of freedom, above 113.7 with 63."""
    draws = [uniform(**({"seed": 5, "counter": 6, "stream": 7} | {axis: i})) for i in range(16_000)]
    assert chi_square([int(16 * u) for u in draws], 16) < 44.3
    pairs = [8 * int(8 * u) + int(8 * w) for u, w in pairwise(draws)]
    assert chi_square(pairs, 64) < 113.7
    low_bits = [int(u * 2**32) % 16 for u in draws]
    assert chi_square(low_bits, 16) < 44.3


def test_chi_square_sees_an_uneven_generator() -> None:
    draws = [uniform(5, i) ** 1.1 for i in range(16_000)]
    assert chi_square([int(16 * u) for u in draws], 16) > 44.3


def test_streams_do_not_repeat_each_other() -> None:
    """Of 6,000 draws two are equal with odds of 1 in 240; a shared stretch would make hundreds."""
    draws = [uniform(5, i, stream) for stream in range(6) for i in range(1000)]
    assert len(set(draws)) >= 5999


# --- the distribution -----------------------------------------------------------------------------


def softmax(logits: Sequence[float], temperature: float = 1.0) -> NDArray[np.float64]:
    e = np.exp(np.array(logits, dtype=np.float64) / temperature)
    return e / e.sum()


@given(
    LOGITS,
    st.floats(0, 5),
    st.none() | st.integers(1, 20),
    st.none() | st.floats(0.01, 1),
    st.none() | st.floats(0, 1),
)
def test_a_distribution_sums_to_one(
    logits: list[float], temperature: float, k: int | None, p: float | None, least: float | None
) -> None:
    probabilities = distribution(logits, temperature, k, p, least)
    assert probabilities.dtype == np.float64 and probabilities.shape == (len(logits),)
    assert abs(probabilities.sum() - 1) < 1e-12 and (probabilities >= 0).all()
    assert probabilities[int(np.argmax(logits))] == probabilities.max()


@given(LOGITS, st.floats(0.3, 5))
def test_without_filters_it_is_softmax(logits: list[float], temperature: float) -> None:
    np.testing.assert_allclose(distribution(logits, temperature), softmax(logits, temperature))


@given(LOGITS, st.sampled_from([0, 0.5, 2]), st.none() | st.integers(1, 20))
def test_adding_1000_to_every_logit_changes_nothing(
    logits: list[float], temperature: float, k: int | None
) -> None:
    rounded = np.round(logits, 3)
    moved = distribution(np.round(rounded + 1000, 3), temperature, k)
    np.testing.assert_allclose(moved, distribution(rounded, temperature, k), atol=1e-9)


@given(LOGITS, st.integers(1, 20))
def test_top_k_keeps_k(logits: list[float], k: int) -> None:
    """Exactly k or all, the likeliest, in their old proportions, the lower id among equals."""
    kept = distribution(logits, 1, top_k=k)
    ranked = sorted(range(len(logits)), key=lambda i: (-logits[i], i))[:k]
    assert set(np.flatnonzero(kept)) == set(ranked)
    whole = softmax(logits)
    np.testing.assert_allclose(kept[ranked], whole[ranked] / whole[ranked].sum())


@given(LOGITS, st.floats(0.01, 1), st.none() | st.integers(1, 20))
def test_top_p_keeps_the_fewest_that_suffice(logits: list[float], p: float, k: int | None) -> None:
    before = distribution(logits, 1, top_k=k)
    kept = distribution(logits, 1, top_k=k, top_p=p) > 0
    assert before[kept].sum() >= p - 1e-12
    if p < 1:  # without the least of them it would be too little
        assert before[kept].sum() - before[kept].min() < p + 1e-12
    else:
        assert (kept == (before > 0)).all()
    assert before[kept].min() >= before[~kept].max(initial=0)


@given(LOGITS, st.floats(0, 1), st.floats(0.5, 3))
def test_min_p_is_a_share_of_the_likeliest(
    logits: list[float], least: float, temperature: float
) -> None:
    whole = softmax(logits, temperature)
    share = whole / whole.max()
    assume(np.abs(share - least).min() > 1e-9)
    kept = distribution(logits, temperature, min_p=least)
    assert ((kept > 0) == (share > least)).all()
    np.testing.assert_allclose(kept, np.where(kept > 0, whole, 0) / whole[kept > 0].sum())


def test_equals_at_the_border_are_kept_by_id() -> None:
    assert distribution([1.0, 2.0, 1.0, 1.0], top_k=3).nonzero()[0].tolist() == [0, 1, 2]
    assert distribution([1.0, 1.0, 1.0, 1.0], top_p=0.5).nonzero()[0].tolist() == [0, 1]
    assert distribution([0.0, 3.0, 3.0], temperature=0).tolist() == [0, 1, 0]


def test_filters_see_the_temperature() -> None:
    """0.6 of the mass is one character of four at temperature 1, and two at temperature 3."""
    logits = np.log([0.7, 0.2, 0.07, 0.03])
    assert np.count_nonzero(distribution(logits, 1, top_p=0.6)) == 1
    assert np.count_nonzero(distribution(logits, 3, top_p=0.6)) == 2
    assert np.count_nonzero(distribution(logits, 1, min_p=0.3)) == 1
    assert np.count_nonzero(distribution(logits, 3, min_p=0.3)) == 4


def test_the_nucleus_is_that_of_the_top_k() -> None:
    """0.5 of everything takes two characters; 0.5 of the two likeliest, renormalised, takes one."""
    probabilities = [0.4, 0.3, 0.2, 0.1]
    assert np.count_nonzero(distribution(np.log(probabilities), top_p=0.5)) == 2
    assert np.count_nonzero(distribution(np.log(probabilities), top_k=2, top_p=0.5)) == 1


@given(LOGITS)
def test_temperature_zero_is_the_limit(logits: list[float]) -> None:
    others = [x for x in logits if x != max(logits)]
    assume(len(others) == len(logits) - 1 and max(others, default=-99) < max(logits) - 0.1)
    greedy = distribution(logits, 0)
    assert greedy.max() == 1
    for temperature in (1e-3, 1e-300, 5e-324):
        np.testing.assert_allclose(distribution(logits, temperature), greedy, atol=1e-12)


@pytest.mark.parametrize("temperature", [0, 1])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_are_no_numbers(temperature: float, bad: float) -> None:
    with pytest.raises(RunError, match="no longer numbers"):
        next_token([0.0, bad, 1.0], 0.5, temperature)


# --- a draw ---------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(LOGITS, st.none() | st.integers(1, 20), st.none() | st.floats(0.1, 1))
def test_draws_follow_the_distribution(logits: list[float], k: int | None, p: float | None) -> None:
    """An even sweep of u hits each id as often as its probability says, to within one."""
    sweep = [next_token(logits, (i + 0.5) / 500, 1.3, k, p) for i in range(500)]
    counts = np.bincount(sweep, minlength=len(logits))
    assert sweep == sorted(sweep)
    assert np.abs(counts - 500 * distribution(logits, 1.3, k, p)).max() <= 1 + 1e-6


@given(
    LOGITS,
    st.floats(0, 1, exclude_max=True) | st.sampled_from([0.0, 1 - 2**-32, 1 - 2**-53]),
    st.floats(0, 3),
    st.integers(1, 20),
    st.floats(0, 1),
)
def test_what_was_filtered_out_is_never_drawn(
    logits: list[float], u: float, temperature: float, k: int, least: float
) -> None:
    drawn = next_token(logits, u, temperature, k, min_p=least)
    assert distribution(logits, temperature, k, min_p=least)[drawn] > 0


def test_an_impossible_character_is_never_drawn() -> None:
    logits = [-math.inf, 0.0, -math.inf, 0.0, -math.inf]
    assert {next_token(logits, i / 100) for i in range(100)} == {1, 3}


# --- a text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_numpy_and_torch_write_the_same(rung: str) -> None:
    """Greedily, 300 characters, far past the context of 7; and drawn, where a border would have to
    lie within some 1e-6 of a draw to tell them apart."""
    model = random_model(rung)
    for config in (
        GenerateConfig(length=300, temperature=0),
        GenerateConfig(length=100, temperature=1.0, seed=1),
    ):
        from_numpy = list(stream(in_numpy(model), [3, 1, 4], config))
        assert from_numpy == list(stream(model, [3, 1, 4], config))
        assert len(from_numpy) == config.length and max(from_numpy) < 11
    assert len(set(from_numpy)) > 5  # the drawn text is no endless repetition


def test_writing_leaves_training_alone() -> None:
    """Dropout is off while writing and on again after; torch's random numbers are not touched."""
    model = random_model("modern", dropout=0.5)
    config = GenerateConfig(length=30, temperature=1)
    expected = list(stream(model, [3], config))
    model.train()
    state = torch.random.get_rng_state()
    assert list(stream(model, [3], config)) == expected
    assert model.training and model.layers[0].dropout.training  # type: ignore[index, union-attr]
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_seed_is_a_text() -> None:
    config = GenerateConfig(length=60, temperature=1, seed=4)
    assert text(config) == text(config)
    assert len(text(config)) == 60
    texts = {text(config, sample=i) for i in range(5)} | {text(replace(config, seed=5))}
    assert len(texts) == 6


def test_a_longer_text_begins_the_same() -> None:
    """A draw depends on its position, not on how long the text will be."""
    short, long = (text(GenerateConfig(length=length, temperature=1)) for length in (20, 50))
    assert long.startswith(short)


class Even:
    """A model that finds every character as likely, always."""

    config = MODEL

    def start(self) -> "Even":
        return self

    def extend(self, ids: Sequence[int]) -> NDArray[np.float32]:
        return np.zeros(11, np.float32)


def test_each_character_has_a_draw_of_its_own() -> None:
    """That of (seed, position, sample), and where all are as likely it is the character."""
    written = list(stream(Even(), [3], GenerateConfig(length=50, temperature=1, seed=4), sample=2))
    assert written == [int(11 * uniform(4, position, stream=2)) for position in range(50)]


def test_every_setting_reaches_the_draw() -> None:
    config = GenerateConfig(length=80, temperature=2)
    greedy = text(replace(config, temperature=0))
    assert text(config) != greedy
    for narrow in ({"top_k": 1}, {"top_p": 1e-9}, {"min_p": 1.0}):
        assert text(replace(config, **narrow)) == greedy  # type: ignore[arg-type]


def test_unknown_characters_of_a_prompt() -> None:
    config = GenerateConfig(length=20)
    assert text(config, "é“A") == text(config, "ea")
    with pytest.raises(UnknownCharacterError, match="é"):
        list(write(REFERENCE, TOKENIZER, "é", config, unknown="error"))


def test_an_empty_prompt_starts_at_a_newline() -> None:
    config = GenerateConfig(length=20)
    assert text(config, "") == text(config, "愛") == text(config, "\n")
    assert prompt_or_start(CharTokenizer("\t\nab"), "") == [1]
    assert prompt_or_start(CharTokenizer("abc"), "") == [0]
    with pytest.raises(AssertionError):
        next(stream(REFERENCE, [], config))


# --- stop strings ---------------------------------------------------------------------------------


def cut(whole: str, stop: Sequence[str]) -> str:
    """By brute force: the first stop string to be complete, the longest where several are."""
    for end in range(1, len(whole) + 1):
        if found := [len(string) for string in stop if whole[:end].endswith(string)]:
            return whole[: end - max(found)]
    return whole


STOPS = st.lists(st.text("ab", min_size=1, max_size=4), max_size=3)


@settings(max_examples=500)
@given(st.text("ab", max_size=15), STOPS)
def test_until_is_generate_all_then_cut(whole: str, stop: list[str]) -> None:
    pieces = list(until(iter(whole), stop))
    assert "".join(pieces) == cut(whole, stop)
    assert all(pieces)


@settings(max_examples=300)
@given(st.text("ab", max_size=15), STOPS)
def test_only_what_may_become_a_stop_string_is_held_back(whole: str, stop: list[str]) -> None:
    read: list[str] = []
    shown = ""
    for piece in until((read.append(c) or c for c in whole), stop):  # type: ignore[func-returns-value]
        behind = "".join(read)[len(shown) :]
        shown += piece
        rest = behind[len(piece) :]
        if len(read) < len(whole) and cut("".join(read), stop) == "".join(read):
            assert rest == "" or any(string.startswith(rest) for string in stop)


@pytest.mark.parametrize(
    ("whole", "stop", "expected"),
    [
        ("aab", ["ab"], "a"),  # the first a of a false start
        ("abab abac", ["abac"], "abab "),  # overlapping beginnings
        ("xyz", ["yz", "z"], "x"),  # complete at once: the longer one
        ("abc", ["abc", "b"], "a"),  # complete first
        ("the en", ["end"], "the en"),  # never complete: what was held is flushed
        ("end", ["end"], ""),
    ],
)
def test_stop_strings_by_example(whole: str, stop: list[str], expected: str) -> None:
    assert "".join(until(iter(whole), stop)) == expected


def test_write_stops() -> None:
    config = GenerateConfig(length=80, temperature=1)
    whole = text(config)
    stop = whole[40:43]
    assert text(replace(config, stop=(stop, "never"))) == cut(whole, [stop]) != whole


def test_the_prompt_is_no_place_to_stop() -> None:
    """A stop string that begins in the prompt is not one."""
    config = GenerateConfig(length=30, temperature=1)
    whole = text(config, "ab")
    assert text(replace(config, stop=("b" + whole[0],)), "ab") == cut(whole, ["b" + whole[0]])
    assert whole[0] == text(replace(config, stop=("b" + whole[0],)), "ab")[:1]


def test_text_comes_while_it_is_written() -> None:
    """A million characters are not waited for."""
    assert len(next(write(REFERENCE, TOKENIZER, "a", GenerateConfig(length=10**6)))) == 1
