"""AdamW: how a parameter is moved by its gradient.

Loshchilov and Hutter 2017, arXiv:1711.05101, after Kingma and Ba 2014, arXiv:1412.6980.
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
    step = state["step"] + 1
    mean = beta1 * state["mean"] + (1 - beta1) * gradient
    square = beta2 * state["square"] + (1 - beta2) * gradient**2
    # both averages began at zero, and are too small by the share of that zero that is left
    corrected_mean = mean / (1 - beta1**step)
    corrected_square = square / (1 - beta2**step)
    direction = corrected_mean / (np.sqrt(corrected_square) + eps)
    shrunk = parameter - learning_rate * weight_decay * parameter  # apart from the gradient
    moved = shrunk - learning_rate * direction
    return moved, {"step": step, "mean": mean, "square": square}
