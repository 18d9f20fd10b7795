"""The same table by gradient descent: start with no idea, and go downhill until it is learned.

The table now holds scores, not counts: any numbers, also negative ones. A row of scores becomes
probabilities by e^score / (sum of e^score over the row). Nothing is ever counted into the table; it
is pushed downhill, a little at a time. A large model learns in the same way.
"""

import numpy as np


def loss(table: np.ndarray, ids: np.ndarray) -> float:
    """The mean surprise, -ln p(next character | this one), of a table of scores at a text.

    table  (V, V) scores: row a holds the scores of what comes after a
    ids    (N,) whole numbers below V, N at least 2
    ->     one number, in nats
    """
    raise NotImplementedError


def gradient(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """By how much the loss rises with each score.

    table  (V, V) scores
    ids    (N,) whole numbers below V, N at least 2
    ->     (V, V) floats: d loss / d table
    """
    raise NotImplementedError


def descend(table: np.ndarray, ids: np.ndarray, steps: int, rate: float) -> np.ndarray:
    """The table after `steps` steps downhill; each goes `rate` times the gradient.

    table  (V, V) scores to start from, left as they are
    ids    (N,) whole numbers below V, N at least 2
    steps  how many steps; 0 gives the table as it was
    rate   the learning rate
    ->     the (V, V) table at the end
    """
    raise NotImplementedError
