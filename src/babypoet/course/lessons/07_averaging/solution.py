"""Every row becomes the mean of all rows up to it: by a loop, a matrix product and a softmax.

T rows (positions in the text), C channels (numbers in a row).
"""

import torch
from torch import Tensor


def average_loop(x: Tensor) -> Tensor:
    """(T, C) -> (T, C): row t is the mean of the rows 0 to t of x, row t included."""
    rows = []
    for t in range(len(x)):
        rows.append(x[: t + 1].mean(dim=0))  # (C,)
    return torch.stack(rows)  # (T, C)


def average_matrix(x: Tensor) -> Tensor:
    """(T, C) -> (T, C): the same as one product, a (T, T) table of shares times x. No loop."""
    T = len(x)
    share = torch.ones(T, T).tril()  # (T, T)
    share = share / share.sum(dim=-1, keepdim=True)  # (T, T)
    return share @ x  # (T, C)


def average_softmax(x: Tensor) -> Tensor:
    """(T, C) -> (T, C): the same again; the shares are a softmax of scores, -inf for later rows."""
    T = len(x)
    score = torch.zeros(T, T)
    future = torch.ones(T, T, dtype=torch.bool).triu(1)  # (T, T)
    score = score.masked_fill(future, float("-inf"))  # (T, T)
    share = torch.softmax(score, dim=-1)  # (T, T)
    return share @ x  # (T, C)
