"""One head of attention, and V2: a model in which every character looks back before it guesses.

B windows side by side, T positions, C channels (config.n_embd), D channels of a query or key,
R = V + 2 rows of the tables (config.rows).
"""

import math

import torch
from torch import Tensor, nn

from babypoet.config import ModelConfig
from babypoet.ladder import Rung, embedding, linear


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(..., T, D) each -> (..., T, D): row t is a weighted mean of the rows 0 to t of v.

    The weights are the softmax of q's row t times each row of k, over sqrt(D).
    """
    raise NotImplementedError


class CausalHead(nn.Module):
    """Every character asks (query), offers (key) and hands over (value)."""

    def __init__(self, config: ModelConfig) -> None:
        """query, key and value: linear(C, C, std=C**-0.5) each, without a bias."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)"""
        raise NotImplementedError


class Attention(Rung):
    """V2: a character's vector is what it is plus where it stands; one head mixes in earlier ones.

    `Rung` makes the logits and the loss of these scores.
    """

    def __init__(self, config: ModelConfig) -> None:
        """wte: embedding (R, C) and wpe: embedding (block_size, C), std 0.5; attention: CausalHead;
        lm_head: linear from C to R with a bias."""
        raise NotImplementedError

    def scores(self, idx: Tensor) -> Tensor:
        """(B, T) character ids -> (B, T, R) scores of what comes next."""
        raise NotImplementedError
