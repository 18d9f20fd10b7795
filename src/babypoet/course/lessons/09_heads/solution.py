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
    B, T, C = x.shape
    x = x.view(B, T, heads, C // heads)  # (B, T, heads, D)
    return x.transpose(1, 2)  # (B, heads, T, D)


def join_heads(x: Tensor) -> Tensor:
    """(B, heads, T, D) -> (B, T, heads * D): undoes split_heads."""
    B, heads, T, D = x.shape
    x = x.transpose(1, 2)  # (B, T, heads, D)
    return x.reshape(B, T, heads * D)  # (B, T, C)


class MultiHeadAttention(nn.Module):
    """H heads look at once, each in its own D channels; proj blends what they found."""

    def __init__(self, config: ModelConfig, bias: bool = False, std: float | None = None) -> None:
        super().__init__()
        C = config.n_embd
        std = std or C**-0.5
        self.n_head = config.n_head
        self.query = linear(C, C, bias, std)
        self.key = linear(C, C, bias, std)
        self.value = linear(C, C, bias, std)
        self.proj = linear(C, C, bias, std)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)"""
        q = split_heads(self.query(x), self.n_head)  # (B, H, T, D)
        k = split_heads(self.key(x), self.n_head)  # (B, H, T, D)
        v = split_heads(self.value(x), self.n_head)  # (B, H, T, D)
        x = join_heads(causal_attention(q, k, v))  # (B, T, C)
        return self.proj(x)  # (B, T, C)


class MultiHead(Attention):
    """V3: your V2 with H heads in place of the one wide one."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.attention = MultiHeadAttention(config)
