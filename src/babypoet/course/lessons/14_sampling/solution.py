"""From scores to text: shape the odds, draw a character, go on."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def distribution(logits: Array, temperature: float = 1.0, top_k: int | None = None) -> Array:
    """The probabilities that a character is drawn from: (V,) scores -> (V,), with the sum 1.

    `temperature` divides the logits; at 0 the likeliest character alone is left, with probability
    1. `top_k` keeps the k likeliest (None: all of them). Among equals the lower ids are kept.
    """
    if temperature == 0:
        one_hot = np.zeros(len(logits))  # (V,)
        one_hot[logits.argmax()] = 1
        return one_hot
    e = np.exp((logits - logits.max()) / temperature)  # (V,)
    if top_k is not None:
        # a stable sort leaves equals in their order, so the lower ids come first
        dropped = np.argsort(-logits, kind="stable")[top_k:]
        e[dropped] = 0
    return e / e.sum()


def draw(probabilities: Array, u: float) -> int:
    """The id that the random number `u`, 0 <= u < 1, picks: (V,) -> an id.

    The ids lie side by side from 0 to 1, each as wide as its probability.
    """
    ends = probabilities.cumsum()  # (V,): where each id's piece ends
    # rounding may leave the last end a hair below 1, and u above it: so u is scaled to it
    return int(np.searchsorted(ends, u * ends[-1], side="right"))


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
    text = list(ids)
    for i in range(length):
        probabilities = distribution(next_logits(text), temperature, top_k)  # (V,)
        text.append(draw(probabilities, numbers[i]))
    return text[len(ids) :]
