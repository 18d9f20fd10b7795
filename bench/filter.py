#!/usr/bin/env python3
"""Can the training text be read out of a shared page's filter of hashes? A search that tries.

    python bench/filter.py RUN [--beam 200] [--letters 50] [--places 8] [--json]

It starts from 60 letters of the training text and goes on by beam search: the model says how likely
each next letter is, and a span that the filter knows, or would know and does not, counts for or
against a guess. Reported is for how many letters the true text stayed in the beam: with a filter
of every span, of one in four, of one in eight (what `share` writes), and with the model alone.
About twenty minutes on one core.
"""

import argparse
import json
import math
import statistics
from collections.abc import Sequence

import numpy as np
import torch

import babypoet
from babypoet import corpus
from babypoet.exporting import copies

KNOWN, SEEN = 60, 48  # letters it is given, and how far back the model may look


def evidence(made: copies.Copies, codes: copies.Words) -> np.ndarray:
    """What the filter says of each span, (N, 12) code points -> (N,) nats for it."""
    flat = codes.reshape(-1)
    starts = slice(None, None, made.span)  # spans lie one after another: every 12th is a whole one
    asked = copies.hashes(flat, made.span, 3)[starts] % np.uint32(made.every) == 0
    places = copies._places(flat, made.span, made.bits, made.hashes)[:, starts]
    table = np.frombuffer(made.content, np.uint8)
    known = ((table[places >> 3] >> (places & 7)) & 1).all(axis=0)
    surprise = copies.BITS * math.log(2) ** 2  # -ln of the share of false alarms
    return np.where(asked, np.where(known, surprise, -30.0), 0.0)


def survived(
    poet: babypoet.Poet, made: copies.Copies | None, text: np.ndarray, beam: int, letters: int
) -> int:
    """How many letters after the known ones the true text stayed among the best `beam`."""
    V = poet.config.vocab_size
    codes = np.array([ord(c) for c in poet.tokenizer.characters], np.uint32)
    beams, scores = text[None, :KNOWN].astype(np.int64), np.zeros(1)
    for step in range(letters):
        with torch.no_grad():
            logits, _ = poet.model(torch.from_numpy(beams[:, -SEEN:]))
        total = scores[:, None] + torch.log_softmax(logits[:, -1], -1).numpy()  # (beams, V)
        if made is not None:
            tails = np.repeat(beams[:, -(made.span - 1) :], V, axis=0)
            spans = np.column_stack((tails, np.tile(np.arange(V), len(beams))))
            total += evidence(made, codes[spans]).reshape(total.shape)
        best = np.argsort(-total, axis=None)[:beam]
        beams = np.column_stack((beams[best // V], best % V))
        scores = total.ravel()[best]
        if not (beams[:, KNOWN:] == text[KNOWN : KNOWN + step + 1]).all(axis=1).any():
            return step
    return letters


def measure(run: str, beam: int, letters: int, places: int) -> dict[str, list[int]]:
    torch.set_num_threads(1)
    poet = babypoet.load(run)
    train = corpus.load_parts(poet.run.path / "data").train
    starts = np.random.default_rng(0).integers(0, len(train) - KNOWN - letters, places)

    def kept(every: int | None) -> Sequence[int]:
        made = None
        if every is not None:
            copies.EVERY = every
            made = copies.build(train, poet.tokenizer.characters, limit=1 << 30)
        return [
            survived(poet, made, train[at : at + KNOWN + letters], beam, letters) for at in starts
        ]

    names = {"every span": 1, "one in 4": 4, "one in 8": 8, "no filter": None}
    return {name: sorted(kept(every)) for name, every in names.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--beam", type=int, default=200)
    parser.add_argument("--letters", type=int, default=50)
    parser.add_argument("--places", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.run, options.beam, options.letters, options.places)
    if options.json:
        print(json.dumps(result))
        return
    for name, lengths in result.items():
        middle = statistics.median(lengths)
        span = f"({lengths[0]} to {lengths[-1]})"
        print(f"{name:12} the true text stayed for {middle:g} of {options.letters} letters {span}")


if __name__ == "__main__":
    main()
