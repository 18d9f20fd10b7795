"""The training loop: the same few lines for a table and for a Transformer.

From here on PyTorch finds the gradients (the ones of lesson 4, and all others) by following the
computation back. What is left to you is the loop: a batch, a loss, a gradient, a step. And the
judge: the loss on a text that the model never trained on, each character counted once.

A model is any torch module with one contract: model(idx, targets) -> (logits, loss), where idx and
targets are (B, T) whole numbers, and loss is the mean over all B * T places.
"""

from collections.abc import Iterator

import torch
from torch import nn


def train(
    model: nn.Module,
    batches: Iterator[tuple[torch.Tensor, torch.Tensor]],
    steps: int,
    learning_rate: float,
) -> list[float]:
    """Make `steps` updates of plain gradient descent (torch.optim.SGD), one batch each.

    model          changed by the training; trains in training mode
    batches        next(batches) gives the next (idx, targets), two (B, T) tensors, without end
    steps          how many updates
    learning_rate  how far a step goes: this times the gradient
    ->             a list of `steps` plain floats: each batch's loss before its update
    """
    raise NotImplementedError


def held_out_loss(model: nn.Module, ids: torch.Tensor, block_size: int) -> float:
    """The mean loss of a model at a text, in evaluation mode and without gradients.

    The model reads windows of block_size characters, (1, block_size), side by side, from the first
    character on; what is left over makes a last, shorter window. So each of the N - 1 characters
    after the first is guessed exactly once, and each counts the same.

    model       left as it was: the same weights, and the mode (training or not) it came in
    ids         (N,) whole numbers, N at least 2
    block_size  T, the longest window
    ->          one number, in nats per character
    """
    raise NotImplementedError
