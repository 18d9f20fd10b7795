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
    T, D = q.shape[-2:]
    score = q @ k.transpose(-2, -1) / math.sqrt(D)  # (..., T, T)
    future = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(1)  # (T, T)
    score = score.masked_fill(future, float("-inf"))  # (..., T, T)
    weight = torch.softmax(score, dim=-1)  # (..., T, T)
    return weight @ v  # (..., T, D)


class CausalHead(nn.Module):
    """Every character asks (query), offers (key) and hands over (value)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        C = config.n_embd
        self.query = linear(C, C, std=C**-0.5)
        self.key = linear(C, C, std=C**-0.5)
        self.value = linear(C, C, std=C**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)"""
        q = self.query(x)  # (B, T, C)
        k = self.key(x)  # (B, T, C)
        v = self.value(x)  # (B, T, C)
        return causal_attention(q, k, v)  # (B, T, C)


class Attention(Rung):
    """V2: a character's vector is what it is plus where it stands; one head mixes in earlier ones.

    `Rung` makes the logits and the loss of these scores.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.wte = embedding(config.rows, config.n_embd, std=0.5)
        self.wpe = embedding(config.block_size, config.n_embd, std=0.5)
        self.attention = CausalHead(config)
        self.lm_head = linear(config.n_embd, config.rows, bias=True)

    def scores(self, idx: Tensor) -> Tensor:
        """(B, T) character ids -> (B, T, R) scores of what comes next."""
        position = torch.arange(idx.shape[1], device=idx.device)  # (T,)
        x = self.wte(idx) + self.wpe(position)  # (B, T, C)
        x = self.attention(x)  # (B, T, C)
        return self.lm_head(x)  # (B, T, R)
