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
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


class MLP(nn.Module):
    """Widen four times, bend, narrow again."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        C = config.n_embd
        self.c_fc = linear(C, 4 * C, bias=True)
        self.c_proj = linear(4 * C, C, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)"""
        x = gelu(self.c_fc(x))  # (B, T, F)
        return self.c_proj(x)  # (B, T, C)
