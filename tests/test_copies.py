"""The filter of spans: what it must know, and what it may wrongly think it knows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from babypoet import sampling
from babypoet.exporting import copies
from babypoet.exporting.copies import Copies, build
from babypoet.tokenizer import CharTokenizer

TEXTS = st.text(alphabet="abc \n愛é\U0001f600", max_size=80)


def filter_of(text: str, limit: int = copies.LARGEST) -> Copies:
    tokenizer = CharTokenizer.from_text(text or " ")
    return build(tokenizer.encode_array(text), tokenizer.characters, limit)


def slow_places(span: str, bits: int) -> list[int]:
    """The bits of one span, as the docstring of page/copies.js has them, one number at a time."""

    def hashed(seed: int) -> int:
        h = sampling._mixed((seed + 0x9E3779B9) & 0xFFFFFFFF)
        for char in span:
            h = sampling._mixed(h ^ sampling._mixed((ord(char) + 0x9E3779B9) & 0xFFFFFFFF))
        return h

    first, second = hashed(1), hashed(2) | 1
    return [(first + k * second) % 2**32 % bits for k in range(11)]


def test_the_bits_are_those_of_the_definition() -> None:
    """Red with another seed, another order of the hashes, or without the 32-bit wrap."""
    text = "So long lives this 愛\U0001f600, and"
    made = filter_of(text)
    bits = {p for i in range(len(text) - 11) for p in slow_places(text[i : i + 12], made.bits)}
    assert made.bits == 16 * (len(text) - 11) and len(made.content) == made.bits // 8
    assert {p for p in range(made.bits) if made.content[p >> 3] >> (p & 7) & 1} == bits


@given(TEXTS, st.data())
def test_what_is_there_is_always_found(text: str, data: st.DataObject) -> None:
    """No false negative: a stretch of the text is one span from end to end, in any surroundings."""
    text = "so long lives this" + text
    start = data.draw(st.integers(0, len(text) - 12))
    stop = data.draw(st.integers(start + 12, len(text)))
    before = data.draw(TEXTS)
    found = filter_of(text).spans(before + text[start:stop] + "###")
    at = len(before)
    assert any(s <= at and at + stop - start <= s + n for s, n in found)


def test_what_is_not_there_is_rarely_found(poems: str) -> None:
    """Fewer than one in a hundred; the arithmetic says 0.05 %. Red with half as many bits."""
    made = filter_of(poems[:50_000])
    letters = np.random.default_rng(0).permuted(list(poems[50_000:150_000]))
    other = "".join(letters)
    there = {poems[i : i + 12] for i in range(50_000 - 11)}
    absent = [i for i in range(len(other) - 11) if other[i : i + 12] not in there]
    rate = made.hits(other)[absent].mean()
    assert len(absent) > 99_000 and rate < 0.01
    assert 0.0002 < rate < 0.001


def test_a_crowded_filter_would_be_seen() -> None:
    """The paired negative: with all bits set, everything is thought to be known."""
    made = filter_of("so long lives this, and this gives life to thee")
    full = Copies(made.span, made.bits, made.hashes, 0, 0, b"\xff" * len(made.content))
    assert full.spans("no such words at all") == [(0, 20)]
    assert made.spans("no such words at all") == []


def test_spans_say_where_and_how_long() -> None:
    made = filter_of("shall i compare thee to a summer's day")
    assert made.spans("xx compare thee to a xx") == [(2, 19)]
    assert made.spans("compare thee to a, a summer's day") == [(0, 17), (18, 15)]
    assert made.spans("compare the") == [] and made.spans("") == []


def test_of_a_long_text_the_end_is_covered() -> None:
    text = "shall i compare thee to a summer's day"
    made = filter_of(text, limit=2 * 10)  # room for ten spans
    assert (made.covered, made.of) == (21, len(text)) and len(made.content) == 20
    assert made.spans(text) == [(len(text) - 21, 21)]


def test_a_text_shorter_than_a_span_has_nothing_to_find() -> None:
    made = filter_of("short")
    assert made.bits == 0 and made.content == b"" and made.spans("short and sweet verse") == []


def test_lone_surrogates_are_characters_like_others() -> None:
    made = build([0, 1] * 10, ["a", "\ud800"])
    assert made.spans("a\ud800" * 8) == [(0, 16)]


def test_the_spec_is_what_a_reader_needs() -> None:
    made = filter_of("so long lives this")
    assert made.spec() == {"span": 12, "bits": 112, "hashes": 11, "covered": 18, "of": 18}
