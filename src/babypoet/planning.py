"""Every setting that was not given: chosen from the size of the text, before the first step.

    plan = make_plan(TrainConfig(), train=191_097, validation=10_057, vocab_size=79)
    plan.model.block_size, plan.training.steps, plan.notes

The rule is small, and each line of it was found by measuring on validation parts of several texts
(docs/log.md has the figures). It sees how long the text is and how many distinct characters it has, never
the held-out part.
"""

import os
from dataclasses import dataclass, replace

from babypoet.config import ModelConfig, TrainConfig, flag
from babypoet.errors import SettingError, TextError

# Peak learning rates by rung. At one rate for all, the ladder runs backwards: simple models want larger
# steps. V4 and V5 train their matrices with Muon and only the rest with AdamW.
LEARNING_RATE = {
    "bigram": 3e-1,
    "attention": 1e-2,
    "multihead": 1e-2,
    "transformer": 3e-3,
    "modern": 1e-2,
}
MATRIX_LEARNING_RATE = {"transformer": 0.02, "modern": 0.03}
CONTEXT = 128
STEPS = 2000


@dataclass(frozen=True)
class Plan:
    """A model and a training in which nothing is left open, and what should be said about them."""

    model: ModelConfig
    training: TrainConfig
    notes: tuple[str, ...] = ()


def make_plan(given: TrainConfig, train: int, validation: int, vocab_size: int) -> Plan:
    """Resolve every None in `given`, for a text of `train` and `validation` characters.

    Raises TextError if the text is too short for a context that was asked for, and SettingError if the
    settings exclude each other.
    """
    notes: list[str] = []
    block_size = _context(given, train, notes)
    n_embd, n_head, n_kv_head, n_layer = _shape(given, train)
    model = ModelConfig(
        rung=given.rung,
        vocab_size=vocab_size,
        block_size=block_size,
        n_layer=n_layer,
        n_head=n_head,
        n_kv_head=n_kv_head,
        n_embd=n_embd,
        dropout=_dropout(given, train),
    )
    steps = given.steps if given.steps is not None else STEPS
    batch_size = given.batch_size if given.batch_size is not None else _batch_size(given, block_size)
    training = replace(
        given,
        steps=steps,
        block_size=block_size,
        n_layer=n_layer,
        n_head=n_head,
        n_kv_head=n_kv_head,
        n_embd=n_embd,
        dropout=model.dropout,
        batch_size=batch_size,
    )
    return Plan(model, training, tuple(notes))
