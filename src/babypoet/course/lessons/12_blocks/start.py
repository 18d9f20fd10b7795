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
        """ln_1, ln_2: LayerNorm; attn: MultiHeadAttention with bias and std 0.02; mlp: MLP;
        dropout: nn.Dropout(config.dropout)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)"""
        raise NotImplementedError


class Transformer(Rung):
    """V4: characters and positions, n_layer blocks, a last norm, and the scores. This is GPT-2."""

    def __init__(self, config: ModelConfig) -> None:
        """wte: embedding (R, C); wpe: embedding (block_size, C); dropout; h: n_layer Blocks in an
        nn.ModuleList; ln_f: LayerNorm; lm_head: linear from C to R, without a bias.

        Each block's attn.proj.weight and mlp.c_proj.weight start from
        N(0, 0.02 / sqrt(2 n_layer)): nn.init.normal_(weight, std=...)."""
        raise NotImplementedError

    def scores(self, idx: Tensor) -> Tensor:
        """(B, T) character ids -> (B, T, R) scores of what comes next."""
        raise NotImplementedError
