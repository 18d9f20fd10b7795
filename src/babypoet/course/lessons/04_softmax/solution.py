"""Softmax and cross-entropy, and their gradients by hand."""

import numpy as np


def softmax(x: np.ndarray) -> np.ndarray:
    """Scores to probabilities along the last axis: e^x / sum(e^x). Shape in, shape out."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))  # less the maximum, or e^x overflows
    return e / e.sum(axis=-1, keepdims=True)


def softmax_backward(p: np.ndarray, d_p: np.ndarray) -> np.ndarray:
    """From d loss / d p to d loss / d x, where p = softmax(x): (..., V), (..., V) -> (..., V)."""
    return p * (d_p - (p * d_p).sum(axis=-1, keepdims=True))


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> float:
    """The mean of -ln p(target), in nats: (N, V), (N,) -> a number."""
    rows = np.arange(len(targets))  # (N,)
    shifted = logits - logits.max(axis=1, keepdims=True)  # (N, V)
    log_total = np.log(np.exp(shifted).sum(axis=1))  # (N,)
    return float((log_total - shifted[rows, targets]).mean())


def cross_entropy_backward(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """d cross_entropy / d logits: (N, V), (N,) -> (N, V)."""
    d_logits = softmax(logits)  # (N, V)
    d_logits[np.arange(len(targets)), targets] -= 1
    return d_logits / len(targets)  # (N, V)
