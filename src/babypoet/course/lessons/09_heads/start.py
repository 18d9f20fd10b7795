"""Several narrow heads side by side, a projection that blends what they found, and V3.

B windows, T positions, C channels (config.n_embd), H heads (config.n_head), D = C / H channels of a
head.
"""

from l08_head import Attention, causal_attention
from torch import Tensor, nn

from babypoet.config import ModelConfig
from babypoet.ladder import linear


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, C) -> (B, heads, T, D): head 0 gets the first D channels, head 1 the next D, ..."""
    raise NotImplementedError


def join_heads(x: Tensor) -> Tensor:
    """(B, heads, T, D) -> (B, T, heads * D): undoes split_heads."""
    raise NotImplementedError


class MultiHeadAttention(nn.Module):
    """H heads look at once, each in its own D channels; proj blends what they found."""

    def __init__(self, config: ModelConfig, bias: bool = False, std: float | None = None) -> None:
        """query, key, value and proj: linear from C to C each, with a bias if `bias` says so, and
        `std`, or C**-0.5 where that is None; n_head, the number of heads."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)"""
        raise NotImplementedError


class MultiHead(Attention):
    """V3: your V2 with H heads in place of the one wide one."""

    def __init__(self, config: ModelConfig) -> None:
        """Everything as in your Attention, but `attention` is a MultiHeadAttention."""
        raise NotImplementedError
