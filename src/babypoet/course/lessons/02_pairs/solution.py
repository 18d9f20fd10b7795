"""The pair table by counting: how often does each character follow each other one?"""

import numpy as np


def count_pairs(ids: np.ndarray, V: int) -> np.ndarray:
    """How often each character is followed by each: (N,) ids below V -> (V, V) whole numbers."""
    counts = np.zeros((V, V), dtype=np.int64)  # (V, V)
    np.add.at(counts, (ids[:-1], ids[1:]), 1)  # += 1 would count a pair once, however often it is
    return counts


def to_probabilities(counts: np.ndarray) -> np.ndarray:
    """Rows of counts, each count plus 1, to rows of probabilities: (V, V) -> (V, V)."""
    raised = counts + 1  # (V, V)
    return raised / raised.sum(axis=1, keepdims=True)  # (V, V)


def mean_surprise(probabilities: np.ndarray, ids: np.ndarray) -> float:
    """The mean of -ln p(next character | this one), in nats: (V, V), (N,) -> a number."""
    p = probabilities[ids[:-1], ids[1:]]  # (N - 1,)
    return float(-np.log(p).mean())
