"""The feed-forward layer: after looking around, each position works on its own.

B windows, T positions, C channels (config.n_embd), F = 4C channels inside.
"""

import math

import torch
from torch import Tensor, nn

from babypoet.config import ModelConfig
from babypoet.ladder import linear


def gelu(x: Tensor) -> Tensor:
    """Any shape: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), number by number."""
    raise NotImplementedError


class MLP(nn.Module):
    """Widen four times, bend, narrow again."""

    def __init__(self, config: ModelConfig) -> None:
        """c_fc: linear from C to 4C and c_proj: linear from 4C to C, both with a bias."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)"""
        raise NotImplementedError
