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


def slow(span: str, seed: int) -> int:
    """The hash of one span, one number at a time."""
    h = sampling._mixed((seed + 0x9E3779B9) & 0xFFFFFFFF)
    for char in span:
        h = sampling._mixed(h ^ sampling._mixed((ord(char) + 0x9E3779B9) & 0xFFFFFFFF))
    return h


def test_the_bits_are_those_of_the_definition() -> None:
    """Red with another seed, another order of the hashes, or without the 32-bit wrap."""
    text = (
        "So long lives this 愛\U0001f600, and this gives life to thee; so long as men can breathe"
    )
    made = filter_of(text)
    spans = [text[i : i + 12] for i in range(len(text) - 11)]
    kept = [span for span in spans if slow(span, 3) % 8 == 0]
    assert 3 < len(kept) < len(spans) / 2
    assert made.bits == 14 * len(kept) and len(made.content) == -(-made.bits // 8)
    bits = {
        (slow(span, 1) + k * (slow(span, 2) | 1)) % 2**32 % made.bits
        for span in kept
        for k in range(10)
    }
    assert {p for p in range(made.bits) if made.content[p >> 3] >> (p & 7) & 1} == bits
    assert made.asked(text).tolist() == [i for i, span in enumerate(spans) if span in kept]


@given(TEXTS, st.data())
def test_what_is_there_is_always_found(text: str, data: st.DataObject) -> None:
    """No false negative: what was asked about within a stretch of the text is one span, in any
    surroundings."""
    text = "so long lives this, and this gives life to thee" + text
    start = data.draw(st.integers(0, len(text) - 12))
    stop = data.draw(st.integers(start + 12, len(text)))
    before = data.draw(TEXTS)
    made = filter_of(text)
    found = made.spans(before + text[start:stop] + "###")
    asked = made.asked(text[start:stop]) + len(before)
    if len(asked):
        assert any(s <= asked[0] and asked[-1] + 12 <= s + n for s, n in found)


def test_what_is_not_there_is_rarely_found(poems: str) -> None:
    """Fewer than one in a hundred; the arithmetic says 0.12 %. Red with half as many bits."""
    made = filter_of(poems)
    letters = np.random.default_rng(0).permuted(list(poems * 4))
    other = "".join(letters)
    there = {poems[i : i + 12] for i in range(len(poems) - 11)}
    absent = [other[i : i + 12] not in there for i in made.asked(other)]
    rate = made.hits(other)[absent].mean()
    assert sum(absent) > 99_000 and rate < 0.01
    assert 0.0005 < rate < 0.002


def test_one_span_in_eight_is_remembered(poems: str) -> None:
    """All of them would let a reader walk through the text; none would find nothing."""
    made = filter_of(poems[:50_000])
    assert 0.11 < len(made.asked(poems[:50_000])) / 50_000 < 0.14
    assert made.bits == 14 * len(made.asked(poems[:50_000]))


def test_a_crowded_filter_would_be_seen(poems: str) -> None:
    """The paired negative: with all bits set, everything is thought to be known."""
    made = filter_of(poems[:5000])
    full = Copies(made.span, 8, made.bits, made.hashes, 0, 0, b"\xff" * len(made.content))
    other = "no such words at all were in it, and none will ever be"
    asked = full.asked(other)
    assert full.spans(other) == [(asked[0], asked[-1] - asked[0] + 12)]
    assert made.spans(other) == []


def test_spans_say_where_and_how_long() -> None:
    """From the first known span to the last; one that is asked about and not known cuts."""
    text = "shall i compare thee to a summer's day? thou art more lovely and more temperate"
    made = filter_of(text)
    first, *_, last = made.asked(text)
    assert made.spans("xx " + text) == [(first + 3, last - first + 12)]
    middle = len(text) // 2
    broken = text[:middle] + "#" * 60 + text[middle:]
    assert (made.asked(broken) > middle).sum() > (made.asked(text) > middle).sum()
    [(a, n), (b, m)] = made.spans(broken)
    assert a + n <= middle and b >= middle + 60 and n + m < last - first + 12
    assert made.spans("compare the") == [] and made.spans("") == []


def test_of_a_long_text_the_end_is_covered(poems: str) -> None:
    made = filter_of(poems, limit=1400)  # room for some 800 spans of 6,400
    assert made.covered == 1400 * 8 * 8 // 14 + 11 and made.of == len(poems)
    assert 1200 < len(made.content) < 1600
    [(_, length)] = made.spans(poems[-made.covered :])
    assert length > made.covered - 100


def test_a_text_shorter_than_a_span_has_nothing_to_find() -> None:
    made = filter_of("short")
    assert made.bits == 0 and made.content == b"" and made.spans("short and sweet verse") == []


def test_lone_surrogates_are_characters_like_others() -> None:
    letters = ["a", "\ud800", *"bcdefghijklmnopqrs"]
    made = build(np.arange(100) % 20, letters)
    text = "".join(letters) * 3
    asked = made.asked(text)
    assert len(asked) and made.spans(text) == [(asked[0], asked[-1] - asked[0] + 12)]


def test_the_spec_is_what_a_reader_needs() -> None:
    made = filter_of("so long lives this, and this gives life to thee")
    bits = {"bits": made.bits, "hashes": 10}
    assert made.spec() == {"span": 12, "every": 8, **bits, "covered": 47, "of": 47}
