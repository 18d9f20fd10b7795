"""What makes deep models trainable: a stream that layers add to, and a norm before each of them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """(..., C) -> (..., C): each vector of C channels gets mean 0 and variance 1, then * weight +
    bias.

    weight, bias: (C,). eps is added to the variance, so that nothing is divided by zero.
    """
    centred = x - x.mean(dim=-1, keepdim=True)  # (..., C)
    variance = centred.square().mean(dim=-1, keepdim=True)  # (..., 1)
    return centred / torch.sqrt(variance + eps) * weight + bias  # (..., C)


class LayerNorm(nn.Module):
    """layer_norm with a learned scale and shift for each channel."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)"""
        return layer_norm(x, self.weight, self.bias, self.eps)


def residual(x: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
    """x, and what a part of the model makes of it, added: the shape of x. x itself stays as it
    was."""
    return x + part(x)
