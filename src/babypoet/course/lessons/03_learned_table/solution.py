"""The same table by gradient descent: start with no idea, and go downhill until it is learned."""

import numpy as np


def row_probabilities(table: np.ndarray) -> np.ndarray:
    """e^score over the sum of its row: (V, V) -> (V, V)."""
    e = np.exp(table)  # (V, V)
    return e / e.sum(axis=1, keepdims=True)  # (V, V)


def loss(table: np.ndarray, ids: np.ndarray) -> float:
    """The mean surprise of a table of scores at a text: (V, V), (N,) -> nats."""
    p = row_probabilities(table)  # (V, V)
    return float(-np.log(p[ids[:-1], ids[1:]]).mean())


def gradient(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """By how much the loss rises with each score: (V, V), (N,) -> (V, V)."""
    counts = np.zeros_like(table)  # (V, V)
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    visits = counts.sum(axis=1, keepdims=True)  # (V, 1)
    return (visits * row_probabilities(table) - counts) / (len(ids) - 1)  # (V, V)


def descend(table: np.ndarray, ids: np.ndarray, steps: int, rate: float) -> np.ndarray:
    """The table after `steps` steps of -rate * gradient: (V, V) -> (V, V)."""
    for _ in range(steps):
        table = table - rate * gradient(table, ids)  # (V, V)
    return table
