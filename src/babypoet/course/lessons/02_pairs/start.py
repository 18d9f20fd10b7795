"""The pair table by counting: how often does each character follow each other one?

The first language model of the course is a table of V rows and V columns, V being the number of
characters. Row: the character that is there. Column: the one that comes next.
"""

import numpy as np


def count_pairs(ids: np.ndarray, V: int) -> np.ndarray:
    """How often each character is followed by each.

    ids  (N,) whole numbers below V; N may be 1 or 0
    ->   (V, V) whole numbers: counts[a, b] is how often b comes right after a
    """
    raise NotImplementedError


def to_probabilities(counts: np.ndarray) -> np.ndarray:
    """Rows of counts, each count plus 1, to rows of probabilities.

    counts  (V, V) whole numbers, left as they are
    ->      (V, V) floats: each row sums to 1
    """
    raise NotImplementedError


def mean_surprise(probabilities: np.ndarray, ids: np.ndarray) -> float:
    """The mean of -ln p(next character | this one), in nats.

    probabilities  (V, V), p[a, b] of b after a
    ids            (N,) a text of at least two characters
    ->             one number
    """
    raise NotImplementedError
