"""Batches, and the part of the text that is kept apart.

A model reads windows of `block_size` characters, `batch_size` of them side by side. At each place
it guesses the next character, so the targets are the same window, one character later. What the
model is judged by, it must never have read.
"""

import numpy as np


def split(ids: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut the text in two: what to train on, and the end of it, which is held out.

    ids    (N,) the whole text
    share  the part that is held out, at least 0 and below 1
    ->     (train, held_out): held_out is the last round(share * N) ids, train all before them
    """
    raise NotImplementedError


def get_batch(
    ids: np.ndarray, block_size: int, batch_size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Windows from random places of the text, and what follows each character in them.

    ids         (N,) what to train on, N at least block_size + 1
    block_size  T, how many characters a window has
    batch_size  B, how many windows
    rng         where every random number comes from; each window has a place of its own, and each
                place that has room for x and y is as likely as any other
    ->          (x, y): two (B, T) arrays; y is what comes right after each character of x
    """
    raise NotImplementedError
