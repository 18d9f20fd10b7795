"""Five parts that turn a GPT-2 block into the block of today's open models.

B: batch, H: query heads, K: key and value heads, T: positions, D: head size, C and F: channels.
"""

import torch
from torch import Tensor


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Scale each vector to root mean square 1, then each channel by its weight.

    x: (..., C); weight: (C,) -> (..., C). eps is added to the mean of the squares, under the root.
    """
    mean_square = x.square().mean(dim=-1, keepdim=True)  # (..., 1)
    return x / (mean_square + eps).sqrt() * weight


def rope_tables(block_size: int, head_size: int, base: float) -> tuple[Tensor, Tensor]:
    """The cosine and the sine of every position's angles: two tensors (block_size, head_size).

    Pair i of D/2 turns by position * base^(-2i / D) radians, positions counted from 0. A pair is
    the channels i and i + D/2, so the second half of the columns repeats the first.
    """
    frequency = base ** (-torch.arange(0, head_size, 2, dtype=torch.float32) / head_size)  # (D/2,)
    position = torch.arange(block_size, dtype=torch.float32)  # (T,)
    angle = position[:, None] * frequency  # (T, D/2)
    angle = torch.cat((angle, angle), dim=-1)  # (T, D)
    return angle.cos(), angle.sin()


def rope(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn each pair of channels (i, i + D/2) by the angle of its position, counter-clockwise.

    x: (B, H, T, D); cosine, sine: (T, D) from `rope_tables` -> (B, H, T, D).
    """
    first, second = x.chunk(2, dim=-1)  # (B, H, T, D/2) each
    quarter_turn = torch.cat((-second, first), dim=-1)  # (B, H, T, D)
    return x * cosine + quarter_turn * sine


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """silu(gate) * up, with silu(z) = z * sigmoid(z). (..., F) and (..., F) -> (..., F)."""
    return gate * torch.sigmoid(gate) * up


def share_heads(k: Tensor, groups: int) -> Tensor:
    """Give each key (or value) head to `groups` neighbouring query heads.

    k: (B, K, T, D) -> (B, K * groups, T, D). Query head h uses key head h // groups.
    """
    return k.repeat_interleave(groups, dim=1)
