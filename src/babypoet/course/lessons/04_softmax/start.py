"""Softmax and cross-entropy, and their gradients by hand.

Each model of this course ends in these two functions, and attention has a softmax inside. You write
them once and for all, safe for any finite score, and then go back through them: if the loss rises
with the output by so much, by how much does it rise with the input?
"""

import numpy as np


def softmax(x: np.ndarray) -> np.ndarray:
    """Scores to probabilities along the last axis: e^x / sum(e^x).

    x   (..., V) scores, of any size; some may be minus infinity, not all of a row
    ->  (..., V) probabilities: along the last axis they sum to 1
    """
    raise NotImplementedError


def softmax_backward(p: np.ndarray, d_p: np.ndarray) -> np.ndarray:
    """From the gradient of the probabilities to that of the scores.

    p    (..., V) = softmax(x)
    d_p  (..., V) = d loss / d p
    ->   (..., V) = d loss / d x
    """
    raise NotImplementedError


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> float:
    """The mean of -ln p(target), in nats, where p = softmax(logits).

    logits   (N, V) scores, of any size
    targets  (N,) whole numbers below V: the character that really came
    ->       one number
    """
    raise NotImplementedError


def cross_entropy_backward(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """d cross_entropy / d logits.

    logits   (N, V) scores, left as they are
    targets  (N,) whole numbers below V
    ->       (N, V)
    """
    raise NotImplementedError
