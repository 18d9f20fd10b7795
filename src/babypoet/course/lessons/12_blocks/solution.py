"""The Transformer, whole: blocks of attention and feed-forward on a stream, and V4.

B windows, T positions, C channels (config.n_embd), R = V + 2 rows of the tables (config.rows).
"""

import math

import torch
from l09_heads import MultiHeadAttention
from l10_residual import LayerNorm
from l11_feedforward import MLP
from torch import Tensor, nn

from babypoet.config import ModelConfig
from babypoet.ladder import Rung, embedding, linear


class Block(nn.Module):
    """Look around, then think: each part reads the normalised stream and adds to it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(config.n_embd)
        self.attn = MultiHeadAttention(config, bias=True, std=0.02)
        self.ln_2 = LayerNorm(config.n_embd)
        self.mlp = MLP(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)"""
        x = x + self.dropout(self.attn(self.ln_1(x)))  # (B, T, C)
        x = x + self.dropout(self.mlp(self.ln_2(x)))  # (B, T, C)
        return x


class Transformer(Rung):
    """V4: characters and positions, n_layer blocks, a last norm, and the scores. This is GPT-2."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.wte = embedding(config.rows, config.n_embd)
        self.wpe = embedding(config.block_size, config.n_embd)
        self.dropout = nn.Dropout(config.dropout)
        self.h = nn.ModuleList([Block(config) for _ in range(config.n_layer)])
        self.ln_f = LayerNorm(config.n_embd)
        self.lm_head = linear(config.n_embd, config.rows)
        small = 0.02 / math.sqrt(2 * config.n_layer)  # 2 n_layer parts add to the stream
        for block in self.h:
            nn.init.normal_(block.attn.proj.weight, std=small)
            nn.init.normal_(block.mlp.c_proj.weight, std=small)

    def scores(self, idx: Tensor) -> Tensor:
        """(B, T) character ids -> (B, T, R) scores of what comes next."""
        position = torch.arange(idx.shape[1], device=idx.device)  # (T,)
        x = self.dropout(self.wte(idx) + self.wpe(position))  # (B, T, C)
        for block in self.h:
            x = block(x)  # (B, T, C)
        return self.lm_head(self.ln_f(x))  # (B, T, R)
