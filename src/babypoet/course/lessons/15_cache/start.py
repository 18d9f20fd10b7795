"""A head with a memory: what was computed for earlier characters is kept, not computed again.

The key and the value of a character never change once it is written, because it cannot see what
comes after it. So a head that writes needs only the newest character's query, and keeps the keys
and values of all the others. The weights are given; `extend` reads on.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class CachedHead:
    """One causal attention head that reads a text piece by piece."""

    def __init__(self, query: Array, key: Array, value: Array, position: Array) -> None:
        """query, key, value: (C, D), a row vector times one of them is its query, key or value.

        position: (block_size, C), what is added to the vector of the character at each place.
        """
        raise NotImplementedError

    def extend(self, x: Array) -> Array:
        """Read T more characters: their vectors (T, C), without positions -> the output (T, D).

        The rows are those that come out when the whole text so far is read at once. Raises
        ValueError, and remembers nothing new, where the text would become longer than block_size.
        """
        raise NotImplementedError
