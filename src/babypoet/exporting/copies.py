"""Which passages stand in the training text, told by whoever does not have the text.

    made = build(ids, tokenizer.characters)     # a filter of every 12 characters of a text
    made.spans("what the model wrote")          # [(start, length), ...] of what stands there too

A Bloom filter (Bloom 1970, "Space/time trade-offs in hash coding with allowable errors") remembers
hashes, not text: for each span of 12 characters it sets 11 of its bits. A span that it does not
know was surely not in the text; one that it knows was, but for about one in two thousand. Nobody
can read the text out of it, and whoever already has a passage can test whether it was there.

`page/copies.js` does the same in a browser. All arithmetic is in 32 bits; `mixed` is the one of
`sampling.py`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SPAN = 12
HASHES = 11  # ln 2 * BITS: the number that makes fewest mistakes
BITS = 16  # for each span
LARGEST = 600_000  # bytes; of a longer text only the last part is remembered
Words = NDArray[np.uint32]


def mixed(h: Words) -> Words:
    """`sampling._mixed` for whole arrays: MurmurHash3's finaliser. Shape in, shape out."""
    h = (h ^ h >> np.uint32(16)) * np.uint32(0x85EBCA6B)
    h = (h ^ h >> np.uint32(13)) * np.uint32(0xC2B2AE35)
    return h ^ h >> np.uint32(16)


def hashes(codes: Words, span: int, seed: int) -> Words:
    """The hash of every span of `span` code points: (N,) -> (N - span + 1,)."""
    golden = np.uint32(0x9E3779B9)
    spans = max(0, len(codes) - span + 1)
    start = mixed(np.array([seed], np.uint32) + golden)
    h = np.repeat(start, spans)
    scattered = mixed(codes + golden)
    for place in range(span):
        h = mixed(h ^ scattered[place : place + spans])
    return h


@dataclass(frozen=True)
class Copies:
    """A filter of the spans of a text."""

    span: int
    bits: int
    hashes: int
    covered: int
    """How many characters of the text it remembers: the last ones."""
    of: int
    """How many the text has."""
    content: bytes
    """Bit p is bit p & 7 of byte p >> 3."""

    def spec(self) -> dict[str, int]:
        """What a reader needs to know beside the bytes."""
        return {name: getattr(self, name) for name in ("span", "bits", "hashes", "covered", "of")}

    def hits(self, text: str) -> NDArray[np.bool_]:
        """Of each span of a text, by where it starts, whether the filter knows it."""
        codes = _codes(text)
        if not self.bits:
            return np.zeros(max(0, len(codes) - self.span + 1), np.bool_)
        places = _places(codes, self.span, self.bits, self.hashes)
        table = np.frombuffer(self.content, np.uint8)
        known: NDArray[np.bool_] = ((table[places >> 3] >> (places & 7)) & 1).all(axis=0)
        return known

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The longest stretches that consist of known spans: (start, length) each, in order."""
        edges = np.flatnonzero(np.diff(np.pad(self.hits(text).astype(np.int8), 1)))
        pairs = edges.reshape(-1, 2).tolist()
        return [(start, stop - start + self.span - 1) for start, stop in pairs]


def build(ids: ArrayLike, characters: Sequence[str], limit: int = LARGEST) -> Copies:
    """The filter of a text: `ids` (N,) into `characters`. At most `limit` bytes."""
    ids = np.asarray(ids)
    of = len(ids)
    ids = ids[max(0, of - (limit * 8 // BITS + SPAN - 1)) :]
    spans = max(0, len(ids) - SPAN + 1)
    bits = BITS * spans
    table = np.zeros(bits, np.uint8)
    if spans:
        codes = np.array([ord(c) for c in characters], np.uint32)[ids]
        table[_places(codes, SPAN, bits, HASHES).ravel()] = 1
    content = np.packbits(table, bitorder="little").tobytes()
    return Copies(SPAN, bits, HASHES, len(ids), of, content)


def _codes(text: str) -> Words:
    """The code points of a text, lone surrogates included."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _places(codes: Words, span: int, bits: int, count: int) -> Words:
    """The bits of every span: (N,) -> (count, N - span + 1)."""
    first, second = hashes(codes, span, 1), hashes(codes, span, 2) | np.uint32(1)
    steps = np.arange(count, dtype=np.uint32)[:, None]
    places: Words = (first + steps * second) % np.uint32(bits)
    return places
