"""AdamW: how a parameter is moved by its gradient.

Plain descent takes one step size for all parameters. AdamW remembers two running averages for each
of them, of its gradients and of their squares, and divides one by the root of the other: so every
parameter finds its own step size. Write one update.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
State = dict[str, int | Array]


def adamw_step(
    parameter: Array,
    gradient: Array,
    state: State,
    learning_rate: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> tuple[Array, State]:
    """One update: the new parameter and the new state. What came in is left as it was.

    parameter, gradient: arrays of the same shape. state: {"step": how many updates were made so
    far, "mean": the average of the gradients, "square": the average of their squares}, the last two
    of the parameter's shape. Before the first update all three are zero.
    """
    raise NotImplementedError
