"""Characters to numbers and back, and what becomes of characters that were never seen."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from babypoet import tokenizer
from babypoet.errors import RunError, TextError, UnknownCharacterError
from babypoet.tokenizer import CharTokenizer, nearest

UNICODE = "naïve “quotes” — 愛と平和 — مرحبا — 🐦🎻 \U0010ffff\0"


@given(text=st.text(min_size=1), chunk=st.integers(1, 9))
def test_any_text_comes_back(text: str, chunk: int) -> None:
    """Surrogates and characters beyond the BMP included, whatever is looked up at a time."""
    known = CharTokenizer.from_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer, "_CHUNK", chunk)
        ids = known.encode(text, unknown="error")
    assert ids == [sorted(set(text)).index(char) for char in text]
    assert known.decode(ids) == text


def test_love_this_in_the_poems(poems: str) -> None:
    known = CharTokenizer.from_text(poems)
    assert known.vocab_size == 79
    assert known.encode("love this") == [62, 65, 72, 55, 1, 70, 58, 59, 69]
    assert known.decode([62, 65, 72, 55, 1, 70, 58, 59, 69]) == "love this"


def test_ids_are_ranks_beyond_the_bmp_too() -> None:
    """In UTF-16 order 🐦 (a surrogate pair, D83D) comes before U+FB00."""
    known = CharTokenizer.from_text("🐦ﬀa")
    assert known.characters == "aﬀ🐦"
    assert known.encode("🐦aﬀ") == [2, 0, 1]


def test_ids_come_in_the_smallest_type_that_holds_them() -> None:
    for size, dtype in ((1, np.uint8), (256, np.uint8), (257, np.uint16), (65537, np.uint32)):
        known = CharTokenizer("".join(map(chr, range(0xE000, 0xE000 + size))))
        assert known.dtype == np.dtype(dtype)
        assert known.encode_array(known.characters).tolist() == list(range(size))


def test_ranks_are_minus_one_where_a_character_is_unknown() -> None:
    """Above, below and between the known ones: the largest code point is one past the table."""
    ranks = CharTokenizer("bd").ranks("abcde\U0010ffff\0")
    assert ranks.tolist() == [-1, 0, -1, 1, -1, -1, -1]
    assert CharTokenizer("bd").ranks("").tolist() == []


def test_an_empty_text_has_no_vocabulary() -> None:
    with pytest.raises(TextError, match=r"The text is empty.* Give a longer one"):
        CharTokenizer.from_text("")


@pytest.mark.parametrize("characters", ["ba", "aa"])
def test_a_vocabulary_is_sorted_and_distinct(characters: str) -> None:
    with pytest.raises(AssertionError, match="sorted and distinct"):
        CharTokenizer(characters)


# --- characters that were never seen --------------------------------------------------------------


@pytest.mark.parametrize(
    ("char", "known", "expected"),
    [
        ("é", "eé", "é"),  # itself first
        ("é", "eE", "e"),
        ("É", "e", "e"),
        ("e", "E", "E"),
        ("“", 'x"', '"'),
        ("—", "–-", "-"),
        ("'", "’", "’"),
        ("ﬁ", "fi", "f"),
        ("ａ", "a", "a"),
        ("ł", "l", "l"),
        ("Ł", "l", "l"),
        ("\t", " ", " "),
        ("\r", "\n", "\n"),
        ("愛", "abc", None),
        ("🐦", "abc", None),
        ("a", "", None),
    ],
)
def test_the_nearest_known_character(char: str, known: str, expected: str | None) -> None:
    assert nearest(char, known) == expected


def test_foreign_lists_each_unknown_character_once_with_its_stand_in() -> None:
    known = CharTokenizer.from_text("cafe")
    assert known.foreign("éé!c") == {"é": "e", "!": None}
    assert list(known.foreign("!é")) == ["!", "é"]  # in the order of the text
    assert known.foreign("face") == {}


def test_unknown_characters_are_replaced_or_dropped() -> None:
    known = CharTokenizer.from_text("cafe")
    assert known.decode(known.encode("café! ça")) == "cafeca"
    assert known.encode("!!") == []
    assert known.encode("") == []


def test_unknown_characters_can_be_refused() -> None:
    known = CharTokenizer.from_text("cafe")
    with pytest.raises(UnknownCharacterError) as caught:
        known.encode("é🐦é", unknown="error")
    assert str(caught.value) == (
        "The model never saw 'é' (U+00E9), '🐦' (U+1F426). Leave them out, "
        'or let the nearest known character stand in (unknown="nearest").'
    )
    with pytest.raises(UnknownCharacterError, match=r"'é' \(U\+00E9\)\. Leave it out"):
        known.encode("é", unknown="error")
    assert known.encode("face", unknown="error") == [3, 0, 1, 2]


def test_a_surrogate_in_a_prompt_is_unknown_and_no_crash() -> None:
    known = CharTokenizer.from_text("cafe")
    assert known.encode("a\ud800c") == [0, 1]
    with pytest.raises(UnknownCharacterError, match=r"'\\ud800' \(U\+D800\)"):
        known.encode("\ud800", unknown="error")


@pytest.mark.parametrize("wrong", [-1, -4, 4, 10**9])
def test_an_id_out_of_range_is_refused(wrong: int) -> None:
    """A negative id would count from the end."""
    known = CharTokenizer.from_text("cafe")
    with pytest.raises(IndexError, match=f"There is no character {wrong}; ids run from 0 to 3"):
        known.decode([0, wrong])


def test_arrays_of_any_integer_type_are_decoded() -> None:
    known = CharTokenizer.from_text("cafe")
    for dtype in (np.uint8, np.int64):
        assert known.decode(np.array([1, 0, 3, 2], dtype=dtype)) == "cafe"


# --- JSON -----------------------------------------------------------------------------------------


@given(text=st.text(min_size=1))
def test_json_brings_back_the_vocabulary(text: str) -> None:
    known = CharTokenizer.from_text(text)
    back = CharTokenizer.from_json(known.to_json())
    assert back == known
    assert hash(back) == hash(known)
    assert back.encode(text) == known.encode(text)


def test_json_is_readable_and_names_the_reserved_rows() -> None:
    assert json.loads(CharTokenizer.from_text(UNICODE).to_json()) == {
        "type": "characters",
        "characters": sorted(set(UNICODE)),
        "reserved": ["<|unk|>", "<|endoftext|>"],
    }
    assert "愛" in CharTokenizer.from_text(UNICODE).to_json()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        "{}",
        '{"characters": null}',
        '{"characters": 3}',
        '{"characters": []}',
        '{"characters": ""}',
        '{"characters": ["a", "bc"]}',
        '{"characters": ["a", ""]}',
        '{"characters": ["a", 3]}',
        '{"characters": ["b", "a"]}',
        '{"characters": ["a", "a"]}',
        '{"characters": "ab"}',
        '{"characters": {"a": 0, "b": 1}}',
    ],
)
def test_anything_else_is_not_a_vocabulary(text: str) -> None:
    with pytest.raises(RunError, match=r"This tokenizer\.json is not a vocabulary of characters: "):
        CharTokenizer.from_json(text)


def test_vocabularies_are_equal_by_their_characters() -> None:
    assert CharTokenizer("ab") == CharTokenizer.from_text("baab")
    assert CharTokenizer("ab") != CharTokenizer("abc")
    assert CharTokenizer("ab") != "ab"
    assert repr(CharTokenizer("ab")) == "CharTokenizer('ab')"
