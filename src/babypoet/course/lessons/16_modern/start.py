"""Five parts that turn a GPT-2 block into the block of today's open models.

RMSNorm in LayerNorm's place, RoPE in place of the position table, SwiGLU in GELU's, and fewer key
and value heads than query heads. Each is a few lines of tensor arithmetic.

B: batch, H: query heads, K: key and value heads, T: positions, D: head size, C and F: channels.
"""

import torch


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """Scale each vector to root mean square 1, then each channel by its weight.

    x: (..., C); weight: (C,) -> (..., C). eps is added to the mean of the squares, under the root.
    """
    raise NotImplementedError


def rope_tables(block_size: int, head_size: int, base: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The cosine and the sine of every position's angles: two tensors (block_size, head_size).

    Pair i of D/2 turns by position * base^(-2i / D) radians, positions counted from 0. A pair is
    the channels i and i + D/2, so the second half of the columns repeats the first.
    """
    raise NotImplementedError


def rope(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Turn each pair of channels (i, i + D/2) by the angle of its position, counter-clockwise.

    x: (B, H, T, D); cosine, sine: (T, D) from `rope_tables` -> (B, H, T, D).
    """
    raise NotImplementedError


def swiglu(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up, with silu(z) = z * sigmoid(z). (..., F) and (..., F) -> (..., F)."""
    raise NotImplementedError


def share_heads(k: torch.Tensor, groups: int) -> torch.Tensor:
    """Give each key (or value) head to `groups` neighbouring query heads.

    k: (B, K, T, D) -> (B, K * groups, T, D). Query head h uses key head h // groups.
    """
    raise NotImplementedError
