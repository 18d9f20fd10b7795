"""The training loop: the same few lines for a table and for a Transformer."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn


def train(
    model: nn.Module,
    batches: Iterator[tuple[Tensor, Tensor]],
    steps: int,
    learning_rate: float,
) -> list[float]:
    """Make `steps` updates of plain gradient descent; the loss of each batch before its update."""
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    losses = []
    model.train()
    for _ in range(steps):
        idx, targets = next(batches)  # (B, T) each
        _, loss = model(idx, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def held_out_loss(model: nn.Module, ids: Tensor, block_size: int) -> float:
    """The mean loss over all N - 1 characters after the first, in windows side by side: nats."""
    before = model.training
    model.eval()
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(ids) - 1, block_size):
            window = ids[start : start + block_size + 1]  # (T + 1,), the last one may be shorter
            _, loss = model(window[None, :-1], window[None, 1:])
            total += loss.item() * (len(window) - 1)
    model.train(before)
    return total / (len(ids) - 1)
