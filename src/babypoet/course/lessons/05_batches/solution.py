"""Batches, and the part of the text that is kept apart."""

import numpy as np


def split(ids: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """The text and its end: (N,) -> (N - H,) to train on and the last H = round(share * N)."""
    border = len(ids) - round(share * len(ids))
    return ids[:border], ids[border:]


def get_batch(
    ids: np.ndarray, block_size: int, batch_size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Windows from random places, and the same one character later: two (B, T) arrays."""
    starts = rng.integers(0, len(ids) - block_size, size=batch_size)  # (B,)
    places = starts[:, None] + np.arange(block_size)  # (B, T)
    return ids[places], ids[places + 1]  # (B, T) each
