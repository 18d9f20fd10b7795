"""Every row becomes the mean of all rows up to it: by a loop, a matrix product and a softmax.

T rows (positions in the text), C channels (numbers in a row).
"""

import torch
from torch import Tensor


def average_loop(x: Tensor) -> Tensor:
    """(T, C) -> (T, C): row t is the mean of the rows 0 to t of x, row t included."""
    raise NotImplementedError


def average_matrix(x: Tensor) -> Tensor:
    """(T, C) -> (T, C): the same as one product, a (T, T) table of shares times x. No loop."""
    raise NotImplementedError


def average_softmax(x: Tensor) -> Tensor:
    """(T, C) -> (T, C): the same again; the shares are a softmax of scores, -inf for later rows."""
    raise NotImplementedError
