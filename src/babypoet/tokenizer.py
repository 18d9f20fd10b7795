"""Characters to numbers and back: the simplest tokenizer there is.

    tokenizer = CharTokenizer.from_text("hello")
    tokenizer.encode("hole")        # [1, 3, 2, 0]
    tokenizer.decode([1, 3, 2, 0])  # "hole"

A character's id is its rank among the sorted distinct characters. A character that was never seen
becomes the nearest known one (é becomes e, “ becomes ") or is dropped; `foreign` says which."""

import json
import unicodedata
from collections.abc import Iterable, Sized
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from babypoet.config import RESERVED
from babypoet.errors import RunError, TextError, UnknownCharacterError

Unknown = Literal["nearest", "error"]

# Typographic characters and the plain ones a keyboard has, in order of preference. Unicode's own
# compatibility decomposition does not know these.
_PLAIN = {
    "‘’‚‛′`´": "'’‘",
    "“”„‟″«»": '"”“',
    "‐‑‒–—―−": "-–—",
    "'": "’‘`",
    '"': "”“«",
    "-": "–—−",
    "•·": "*-",
    "…": ".",
    "ßſ": "s",
    "æ": "a",
    "œ": "o",
    "ø": "o",
    "đð": "d",
    "ł": "l",
    "ı": "i",
    "þ": "t",
    "\t\v\f\u200b": " ",
    "\r\u2028\u2029": "\n",
}
_CHUNK = 1 << 16  # characters looked up at a time: small enough to stay in the cache
_PLAIN_OF = {odd: plain for odds, plain in _PLAIN.items() for odd in odds}


def _variants(char: str) -> Iterable[str]:
    """Ever plainer forms of one character, the nearest first."""
    yield from _PLAIN_OF.get(char, "")
    decomposed = unicodedata.normalize("NFKD", char)
    base = "".join(c for c in decomposed if not unicodedata.combining(c))
    yield from base[:1]
    yield from _PLAIN_OF.get(base[:1], "")


def nearest(char: str, known: Iterable[str]) -> str | None:
    """The known character that looks most like `char`, or None.

    >>> nearest("é", "abcde"), nearest("“", 'x"'), nearest("É", "abcde"), nearest("愛", "abc")
    ('e', '"', 'e', None)
    """
    known = set(known)
    forms = [char, *_variants(char)]
    cases = [case for form in forms for case in (form.lower(), form.upper())]
    for form in forms + cases:
        for candidate in (form, *_variants(form)):
            if candidate in known:
                return candidate
    return None


def _it(things: Sized) -> str:
    return "it" if len(things) == 1 else "them"


class CharTokenizer:
    """A vocabulary of single characters; ids are ranks of the sorted distinct characters."""

    def __init__(self, characters: str) -> None:
        """`characters`: every known character once, sorted."""
        assert list(characters) == sorted(set(characters)), "characters must be sorted and distinct"
        self.characters = characters
        self._codes = np.frombuffer(
            characters.encode("utf-32-le", "surrogatepass"), dtype=np.uint32
        )
        # the table from code point to id has one more entry, which every larger code point is sent
        # to
        self._table = np.full(int(self._codes.max(initial=0)) + 2, -1, dtype=np.int32)
        self._table[self._codes] = np.arange(len(characters))
        self._nearest: dict[str, str | None] = {}

    @property
    def vocab_size(self) -> int:
        """V, the number of distinct characters."""
        return len(self.characters)

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """The smallest unsigned integer that holds every id."""
        return np.dtype(np.min_scalar_type(max(self.vocab_size - 1, 0)))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The vocabulary of a text; an empty one is a TextError."""
        if not text:
            raise TextError(
                "The text is empty, so it has no characters to learn. Give a longer one."
            )
        return cls("".join(sorted(set(text))))

    def foreign(self, text: str) -> dict[str, str | None]:
        """The characters of `text` that are not known, each with its stand-in, or None if dropped.

        >>> CharTokenizer.from_text("cafe").foreign("café!")
        {'é': 'e', '!': None}
        """
        found = (char for char in dict.fromkeys(text) if char not in self.characters)
        return {char: self._stand_in(char) for char in found}

    def _stand_in(self, char: str) -> str | None:
        if char not in self._nearest:
            self._nearest[char] = nearest(char, self.characters)
        return self._nearest[char]

    def ranks(self, text: str) -> NDArray[np.int32]:
        """The id of every character, -1 where it is unknown: (len(text),). Over 50 M characters a
        second."""
        ranks = np.empty(len(text), dtype=np.int32)
        for start in range(0, len(text), _CHUNK):
            chunk = text[start : start + _CHUNK].encode("utf-32-le", "surrogatepass")
            codes = np.frombuffer(chunk, dtype=np.uint32)
            ranks[start : start + _CHUNK] = np.take(self._table, codes, mode="clip")
        return ranks

    def encode_array(self, text: str, unknown: Unknown = "nearest") -> NDArray[np.unsignedinteger]:
        """`encode` for large texts: an array of `dtype`, made without a Python object for each
        id."""
        ranks = self.ranks(text)
        if len(ranks) and ranks.min() < 0:
            foreign = self.foreign(text)
            if unknown == "error":
                listed = ", ".join(f"{char!r} (U+{ord(char):04X})" for char in foreign)
                raise UnknownCharacterError(
                    f"The model never saw {listed}. Leave {_it(foreign)} out, "
                    'or let the nearest known character stand in (unknown="nearest").'
                )
            plain = text.translate({ord(char): stand_in for char, stand_in in foreign.items()})
            ranks = self.ranks(plain)
        return ranks.astype(self.dtype)

    def encode(self, text: str, unknown: Unknown = "nearest") -> list[int]:
        """Text to ids. Unknown characters are replaced by the nearest or dropped (see `foreign`);
        with `unknown="error"` they raise UnknownCharacterError, which lists them."""
        ids: list[int] = self.encode_array(text, unknown).tolist()
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Ids to text; an id outside 0..V-1 is an IndexError."""
        return "".join(self.characters[self._checked(i)] for i in ids)

    def _checked(self, i: int) -> int:
        if not 0 <= i < self.vocab_size:
            raise IndexError(f"There is no character {i}; ids run from 0 to {self.vocab_size - 1}.")
        return i

    def to_json(self) -> str:
        """The vocabulary as JSON: `from_json` reads it."""
        return json.dumps(
            {"type": "characters", "characters": list(self.characters), "reserved": list(RESERVED)},
            ensure_ascii=False,
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`; anything else is a RunError."""
        try:
            characters = json.loads(text)["characters"]
            ok = all(isinstance(c, str) and len(c) == 1 for c in characters)
            if not ok or characters != sorted(set(characters)) or not characters:
                raise ValueError("characters must be single, distinct and sorted")
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"This tokenizer.json is not a vocabulary of characters: {error}."
            ) from error
        return cls("".join(characters))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CharTokenizer) and self.characters == other.characters

    def __hash__(self) -> int:
        return hash(self.characters)

    def __repr__(self) -> str:
        return f"CharTokenizer({self.characters!r})"
