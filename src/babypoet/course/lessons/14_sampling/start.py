"""From scores to text: shape the odds, draw a character, go on.

A model gives one score (a logit) for every character. `distribution` makes probabilities of them,
`draw` picks one character with a random number, and `write` does both again and again, each new
character becoming part of what the model reads next.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def distribution(logits: Array, temperature: float = 1.0, top_k: int | None = None) -> Array:
    """The probabilities that a character is drawn from: (V,) scores -> (V,), with the sum 1.

    `temperature` divides the logits; at 0 the likeliest character alone is left, with probability
    1. `top_k` keeps the k likeliest (None: all of them). Among equals the lower ids are kept.
    """
    raise NotImplementedError


def draw(probabilities: Array, u: float) -> int:
    """The id that the random number `u`, 0 <= u < 1, picks: (V,) -> an id.

    The ids lie side by side from 0 to 1, each as wide as its probability.
    """
    raise NotImplementedError


def write(
    next_logits: Callable[[list[int]], Array],
    ids: list[int],
    length: int,
    numbers: Sequence[float],
    temperature: float = 1.0,
    top_k: int | None = None,
) -> list[int]:
    """The `length` new ids that follow `ids`; the prompt is not repeated, and stays as it was.

    next_logits: gives (V,) scores of the next character for the list of all ids so far. numbers:
    the random numbers; numbers[i] draws the new character i.
    """
    raise NotImplementedError
