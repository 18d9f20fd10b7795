"""A head with a memory: what was computed for earlier characters is kept, not computed again."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class CachedHead:
    """One causal attention head that reads a text piece by piece.

    T are the new characters, N all of them so far, the new ones included.
    """

    def __init__(self, query: Array, key: Array, value: Array, position: Array) -> None:
        """query, key, value: (C, D), a row vector times one of them is its query, key or value.

        position: (block_size, C), what is added to the vector of the character at each place.
        """
        self.query, self.key, self.value = query, key, value
        self.position = position
        block_size, D = len(position), key.shape[1]
        self.keys = np.empty((block_size, D))
        self.values = np.empty((block_size, D))
        self.length = 0  # how many rows of the two are filled

    def extend(self, x: Array) -> Array:
        """Read T more characters: their vectors (T, C), without positions -> the output (T, D).

        The rows are those that come out when the whole text so far is read at once. Raises
        ValueError, and remembers nothing new, where the text would become longer than block_size.
        """
        T, past = len(x), self.length
        N = past + T
        block_size = len(self.position)
        if past + T > block_size:
            raise ValueError(f"{N} characters do not fit into a window of {block_size}")
        x = x + self.position[past:N]  # (T, C)
        self.keys[past:N] = x @ self.key
        self.values[past:N] = x @ self.value
        self.length = N

        q, k, v = x @ self.query, self.keys[:N], self.values[:N]  # (T, D), (N, D), (N, D)
        score = q @ k.T / math.sqrt(k.shape[1])  # (T, N)
        future = np.arange(N) > np.arange(past, N)[:, None]  # (T, N)
        score = np.where(future, -np.inf, score)  # (T, N)
        e = np.exp(score - score.max(axis=-1, keepdims=True))  # (T, N)
        weight = e / e.sum(axis=-1, keepdims=True)  # (T, N)
        return weight @ v  # (T, D)
