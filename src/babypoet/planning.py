"""Every setting that was not given: chosen from the size of the text, before the first step.

    plan = make_plan(TrainConfig(), train=191_097, vocab_size=79)
    plan.model.block_size, plan.training.steps, plan.notes

The rule is small, and each line of it was found by measuring on validation parts of several texts
(docs/log.md has the figures). It sees how long the text is and how many distinct characters it has,
never the held-out part."""

import os
from dataclasses import dataclass, replace
from typing import Any

from babypoet.config import ModelConfig, TrainConfig, flag
from babypoet.errors import SettingError, TextError

# Peak learning rates by rung. At one rate for all, the ladder runs backwards: simple models want
# larger steps. V4 and V5 train their matrices with Muon and only the rest with AdamW.
LEARNING_RATE = {
    "bigram": 1e-1,
    "attention": 1e-2,
    "multihead": 1e-2,
    "transformer": 3e-3,
    "modern": 1e-2,
}
MATRIX_LEARNING_RATE = {"transformer": 0.02, "modern": 0.03}
STEPS = (100, 2000)  # the least and the most that is chosen
PASSES = 15  # a short text is read about so often
LEAST_CONTEXT = 64
# Learned positions get lost among far places; RoPE, which knows distances, does not.
MOST_CONTEXT = {"bigram": 64, "attention": 64, "multihead": 64, "transformer": 128, "modern": 192}
CHARACTERS_PER_CONTEXT = 180  # a training part this many times its context can fill it with sense
CHARACTERS_PER_UPDATE = 768
PASSES_PER_DROPOUT = 80  # dropout is the number of passes over this,
MOST_DROPOUT = 0.2  # up to this
SNAPSHOT_BYTES = 2  # a number in history/ is a half-precision float
BYTES_IN_TRAINING = 16  # a weight, its gradient, and two numbers of the optimizer
CHECKPOINT_BYTES = 12  # in a checkpoint it is a float with two more in the optimizer


@dataclass(frozen=True)
class Plan:
    """A model and a training in which nothing is left open, and what should be said about them."""

    model: ModelConfig
    training: TrainConfig
    notes: tuple[str, ...] = ()


def make_plan(given: TrainConfig, train: int, vocab_size: int) -> Plan:
    """Resolve every None in `given`, for a training part of `train` characters.

    Where minutes were given, the number of steps and the schedule stay open: the trainer measures
    how many there are time for and asks again. Raises TextError if the text is too short for a
    context that was asked for, SettingError if settings exclude each other.
    """
    _check_idle(given)
    notes: list[str] = []
    block_size = _context(given, train, notes)
    batch_size = given.batch_size or _batch_size(given, block_size)
    low, high = STEPS
    read = PASSES * train // (batch_size * block_size)
    steps = given.steps or min(high, max(low, read))
    n_head = given.n_head or _heads(given)
    shared = n_head // 2 if n_head % 2 == 0 else n_head  # two query heads share keys and values
    model = ModelConfig(
        rung=given.rung,
        vocab_size=vocab_size,
        block_size=block_size,
        n_layer=given.n_layer or 4,
        n_head=n_head,
        n_kv_head=given.n_kv_head or shared,
        n_embd=given.n_embd or 32 * n_head,
        dropout=_dropout(given, steps * batch_size * block_size / train),
    )
    _check_size(model)
    shape = ("block_size", "n_layer", "n_head", "n_kv_head", "n_embd", "dropout")
    chosen: dict[str, Any] = {name: getattr(model, name) for name in shape} | {
        "batch_size": batch_size,
        "learning_rate": given.learning_rate or LEARNING_RATE[given.rung],
        "matrix_learning_rate": given.matrix_learning_rate or MATRIX_LEARNING_RATE.get(given.rung),
        "weight_decay": 0.1 if given.weight_decay is None else given.weight_decay,
    }
    resolved = replace(given, **(chosen | dict.fromkeys(idle_settings(given.rung))))
    if given.minutes is None:
        warmup = max(1, steps // 20) if given.warmup is None else given.warmup
        every = given.evaluate_every or max(1, steps // 20)
        resolved = replace(resolved, steps=steps, warmup=min(warmup, steps), evaluate_every=every)
    return Plan(model, resolved, tuple(notes))


def _heads(given: TrainConfig) -> int:
    """4 heads, or the most below that which the settings given by hand allow."""
    C, K = given.n_embd or 128, given.n_kv_head or 1
    fitting = (H for H in (4, 3, 2) if C % (2 * H) == 0 and H % K == 0)
    return next(fitting, K)


def _context(given: TrainConfig, train: int, notes: list[str]) -> int:
    """The context: what was asked for, or what the text can fill."""
    most = train // 4  # an epoch of fewer than three windows teaches nothing about other places
    if given.block_size is None:
        high = MOST_CONTEXT[given.rung]
        chosen = min(most, high, max(LEAST_CONTEXT, train // CHARACTERS_PER_CONTEXT))
        if chosen < high:
            notes.append(f"the text is short, so the context is {chosen} characters, not {high}")
        return chosen
    if given.block_size > most:
        raise TextError(
            f"The text is too short for {flag('block_size')} {given.block_size}: its training part "
            f"has {train:,} characters and at least {4 * given.block_size:,} are needed. "
            f"Give a longer text, or --block-size {most} or less."
        )
    return given.block_size


def idle_settings(rung: str) -> tuple[str, ...]:
    """The settings that a rung has no use for.

    >>> idle_settings("transformer")
    ('n_kv_head',)
    """
    blocks = ("n_layer", "dropout", "matrix_learning_rate", "weight_decay")
    return {
        "bigram": ("n_embd", "n_head", "n_kv_head", *blocks),
        "attention": ("n_head", "n_kv_head", *blocks),
        "multihead": ("n_kv_head", *blocks),
        "transformer": ("n_kv_head",),
    }.get(rung, ())


def _check_idle(given: TrainConfig) -> None:
    """Refuse a setting that would change nothing: whoever gave it expects that it does."""
    for name in idle_settings(given.rung):
        value = getattr(given, name)
        if value:  # a zero asks for what the rung has anyway
            raise SettingError(
                f"{flag(name)} {value:g} and --rung {given.rung} exclude each other: that rung has "
                f"nothing for {flag(name)} to set. Leave one of them out."
            )


def _dropout(given: TrainConfig, passes: float) -> float:
    """The more often the same text is read, the more dropout; V1 to V3 have none."""
    if given.rung not in ("transformer", "modern"):
        return 0.0
    if given.dropout is not None:
        return given.dropout
    return round(min(MOST_DROPOUT, passes / PASSES_PER_DROPOUT), 2)


def _batch_size(given: TrainConfig, block_size: int) -> int:
    """As many windows as make CHARACTERS_PER_UPDATE, in equal portions."""
    windows = max(1, round(CHARACTERS_PER_UPDATE / block_size))
    return -(-windows // given.accumulate) * given.accumulate


def _check_size(model: ModelConfig) -> None:
    """Refuse what would not fit in memory."""
    if model.rung == "bigram" and model.rows > 8000:
        raise SettingError(
            f"--rung bigram needs a table of {model.rows:,} by {model.rows:,} numbers for this "
            f"text's {model.vocab_size:,} distinct characters, {4 * model.rows**2 / 1e6:,.0f} MB "
            "and three times that in training. Choose another --rung."
        )
    needed, there = BYTES_IN_TRAINING * parameters(model), memory_bytes()
    if there is not None and needed > there:
        raise SettingError(
            f"A model of {parameters(model):,} parameters (--n-layer {model.n_layer}, --n-embd "
            f"{model.n_embd}) needs at least {needed / 1e9:,.0f} GB to train, and this machine has "
            f"{there / 1e9:,.0f} GB. Make one of them smaller."
        )


def memory_bytes() -> int | None:
    """How much memory this machine has; None where the system does not say (Windows)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def parameters(model: ModelConfig) -> int:
    """How many numbers a model of this shape learns.

    >>> parameters(ModelConfig(rung="bigram", vocab_size=79))
    6561
    """
    C, R, T, F = model.n_embd, model.rows, model.block_size, model.n_hidden
    D, K = model.head_size, model.n_kv_head
    return {
        "bigram": R * R,
        "attention": R * C + T * C + 3 * C * C + C * R + R,
        "multihead": R * C + T * C + 4 * C * C + C * R + R,
        "transformer": 2 * R * C + T * C + model.n_layer * (12 * C * C + 13 * C) + 2 * C,
        "modern": 2 * R * C
        + C
        + model.n_layer * (2 * C * C + 2 * C * K * D + 3 * C * F + 2 * C + 2 * D),
    }[model.rung]


def disk_bytes(plan: Plan, characters: int) -> int:
    """About how much disk a run takes at most: its text, its checkpoints and its history."""
    width = 1 if plan.model.vocab_size <= 256 else 2 if plan.model.vocab_size <= 65536 else 4
    numbers = parameters(plan.model)
    checkpoints = (plan.training.keep + 2) * CHECKPOINT_BYTES  # the best, and one being written
    steps = plan.training.steps or STEPS[1]
    lines = 180 * steps
    return (
        characters * width
        + numbers * (checkpoints + plan.training.snapshots * SNAPSHOT_BYTES)
        + lines
    )
