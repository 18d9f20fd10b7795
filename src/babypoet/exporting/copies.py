"""Which passages stand in the training text, told by whoever does not have the text.

    made = build(ids, tokenizer.characters)     # a filter of spans of 12 characters of a text
    made.spans("what the model wrote")          # [(start, length), ...] of what stands there too

A Bloom filter (Bloom 1970, "Space/time trade-offs in hash coding with allowable errors") remembers
hashes, not text: for each span of 12 characters it sets 10 of its bits. A span that it does not
know was surely not in the text; one that it knows was, but for about one in eight hundred.

It remembers one span in EVERY, chosen by a hash, as in winnowing (Schleimer et al. 2003, "Local
algorithms for document fingerprinting"). With all of them in it, the filter would give the text
away: whoever has 11 letters can ask which twelfth it knows, and so walk from letter to letter
through whole poems. With one in EVERY asked about, each letter brings log2(800) / EVERY bits, less
than the model itself leaves open, and the walk drowns in wrong turns (docs/page.md has the
measurement). The price: a shared passage is found between its first and its last remembered span,
a few foreign letters between two of them go unnoticed, and a short passage may be missed.

`page/copies.js` does the same in a browser. All arithmetic is in 32 bits; `mixed` is the one of
`sampling.py`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SPAN = 12
EVERY = 8  # one span in so many is remembered
HASHES = 10  # ln 2 * BITS: the number that makes fewest mistakes
BITS = 14  # for each span that is remembered
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
    every: int
    """One span in so many is asked about: those whose third hash it divides."""
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
        fields = ("span", "every", "bits", "hashes", "covered", "of")
        return {name: getattr(self, name) for name in fields}

    def asked(self, text: str) -> NDArray[np.intp]:
        """Where in a text the spans begin that the filter would remember."""
        return _chosen(_codes(text), self.span, self.every)

    def hits(self, text: str) -> NDArray[np.bool_]:
        """Of each span that `asked` names, whether the filter knows it."""
        asked = self.asked(text)
        if not self.bits:
            return np.zeros(len(asked), np.bool_)
        places = _places(_codes(text), self.span, self.bits, self.hashes)[:, asked]
        table = np.frombuffer(self.content, np.uint8)
        known: NDArray[np.bool_] = ((table[places >> 3] >> (places & 7)) & 1).all(axis=0)
        return known

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The longest stretches in which all spans that were asked about are known.

        (start, length) of each, in order, from the beginning of its first known span to the end of
        its last.
        """
        asked = self.asked(text)
        edges = np.flatnonzero(np.diff(np.pad(self.hits(text).astype(np.int8), 1)))
        runs = [(asked[first], asked[stop - 1]) for first, stop in edges.reshape(-1, 2)]
        return [(int(start), int(last - start) + self.span) for start, last in runs]


def build(ids: ArrayLike, characters: Sequence[str], limit: int = LARGEST) -> Copies:
    """The filter of a text: `ids` (N,) into `characters`. About `limit` bytes at most."""
    ids = np.asarray(ids)
    of = len(ids)
    ids = ids[max(0, of - (limit * 8 * EVERY // BITS + SPAN - 1)) :]
    codes = np.array([ord(c) for c in characters], np.uint32)[ids]
    kept = _chosen(codes, SPAN, EVERY)
    bits = BITS * len(kept)
    table = np.zeros(bits, np.uint8)
    if bits:
        table[_places(codes, SPAN, bits, HASHES)[:, kept].ravel()] = 1
    content = np.packbits(table, bitorder="little").tobytes()
    return Copies(SPAN, EVERY, bits, HASHES, len(ids), of, content)


def _chosen(codes: Words, span: int, every: int) -> NDArray[np.intp]:
    """Where the spans begin that are remembered: about one in `every` of them."""
    return np.flatnonzero(hashes(codes, span, 3) % np.uint32(every) == 0)


def _codes(text: str) -> Words:
    """The code points of a text, lone surrogates included."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _places(codes: Words, span: int, bits: int, count: int) -> Words:
    """The bits of every span: (N,) -> (count, N - span + 1)."""
    first, second = hashes(codes, span, 1), hashes(codes, span, 2) | np.uint32(1)
    steps = np.arange(count, dtype=np.uint32)[:, None]
    places: Words = (first + steps * second) % np.uint32(bits)
    return places
