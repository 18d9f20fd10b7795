"""Small things the torch lessons' checks share: weights by name, and a training of some seconds.

    parameters_of(model)                            # {"query.weight": (6, 6), ...}
    parameters_differ(have, expected)               # None, or which one is missing or misshapen
    fill(model)                                     # the same numbers under the same names
    trial = poems(block_size=64)
    trial.train(model, updates=600)                 # our recipe on the built-in poems
    trial.nats(model), trial.pair_table             # on a part that nothing was trained on
    marks(attention)                                # " ▁▂█", to stand under a line of text

The recipe is `training.py`'s, less everything that a run folder needs. Nothing here prints."""

import math
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from babypoet import batches, counting, evaluation, planning, sampling, training
from babypoet.config import GenerateConfig, RungName, TrainConfig
from babypoet.corpus import builtin_poems
from babypoet.ladder import Rung
from babypoet.tokenizer import CharTokenizer

Shapes = Mapping[str, tuple[int, ...]]

BLOCKS = " ▁▂▃▄▅▆▇█"
JUDGED = 8000  # so many characters of the held-out part judge
VISIBLE = str.maketrans({"\n": "↵"})


# --- the names and numbers of a learner's module --------------------------------------------------


def fill(model: nn.Module) -> Any:
    """Give every parameter numbers that depend on its name and shape alone; dropout off.

    So a learner's module and ours get the same weights without knowing of each other."""
    with torch.no_grad():
        for name, parameter in model.named_parameters(remove_duplicate=False):
            rng = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            values = torch.randn(parameter.shape, generator=rng)
            if parameter.ndim == 1:
                values = values / 2 + name.endswith("weight")
            elif "wte" not in name and "wpe" not in name:
                values = values / math.sqrt(parameter.shape[-1])
            parameter.copy_(values)
    return model.eval()


def parameters_of(model: Any) -> dict[str, tuple[int, ...]]:
    """The name and shape of every tensor of a learner's module."""
    if not isinstance(model, nn.Module):
        name = type(model).__name__
        raise TypeError(f"{name} is not an nn.Module: write `class {name}(nn.Module)`.")
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def parameters_differ(have: Shapes, expected: Shapes) -> str | None:
    """None if the parameters are those expected, else the first that is not, by name and shape.

    >>> parameters_differ({"q.weight": (2, 2)}, {"query.weight": (2, 2)})
    'The parameter query.weight (2, 2) is missing. There is q.weight (2, 2) that nothing asks for.'
    """
    odd = [f"{name} {shape}" for name, shape in have.items() if name not in expected]
    for name, shape in expected.items():
        if name not in have:
            instead = f" There is {', '.join(odd[:3])} that nothing asks for." if odd else ""
            return f"The parameter {name} {shape} is missing.{instead}"
        if have[name] != shape:
            turned = " Are its two numbers swapped?" if have[name] == shape[::-1] else ""
            return f"The parameter {name} has the shape {have[name]}, expected {shape}.{turned}"
    return f"There is a parameter that nothing asks for: {odd[0]}." if odd else None


# --- a short training -----------------------------------------------------------------------------


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch works alone: with models this small, threads wait longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Trial:
    """The built-in poems, cut into what is learned from and what judges."""

    block_size: int
    batch_size: int
    tokenizer: CharTokenizer
    train_ids: batches.Ids
    held_out: batches.Ids

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.tokenizer.vocab_size

    @property
    def pair_table(self) -> float:
        """What counting letter pairs loses on the part that judges, in nats per character."""
        counter = counting.KneserNey.fit(self.train_ids, self.vocab_size, 2)
        return counter.cross_entropy(self.held_out, self.train_ids, self.block_size)

    def batches(self, updates: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(B, T) inputs and targets for so many updates."""
        for step in range(updates):
            x, y = batches.batch(self.train_ids, self.block_size, self.batch_size, 0, step)
            yield torch.from_numpy(x), torch.from_numpy(y)

    def train(self, model: Rung, updates: int, most_seconds: float = 15.0) -> int:
        """Train with the recipe of the model's rung; returns how many updates were made.

        A slow machine makes fewer: what takes longer than `most_seconds` of its processor is cut
        off, and the learning rate has come down by then.
        """
        rung = cast(RungName, model.config.rung)
        config = replace(
            TrainConfig(rung=rung),
            steps=updates,
            learning_rate=planning.LEARNING_RATE[rung],
            matrix_learning_rate=planning.MATRIX_LEARNING_RATE.get(rung),
            weight_decay=0.1,
        )
        optimizers = training.optimizers(model, config).values()
        peaks = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
        start, step = time.process_time(), 0
        model.train()
        with one_thread():
            for x, y in self.batches(updates):
                spent = (time.process_time() - start) / most_seconds
                if spent >= 1:
                    break
                share = training.learning_rate_factor(step, updates, max(1, updates // 20))
                _, loss = model(x, y)
                assert loss is not None
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                for optimizer, peak in zip(optimizers, peaks, strict=True):
                    optimizer.param_groups[0]["lr"] = peak * min(share, 1 - spent)
                    optimizer.step()
                    optimizer.zero_grad()
                step += 1
        model.eval()
        return step

    def nats(self, model: Rung) -> float:
        """The mean loss of a model on the part that judges."""
        with one_thread():
            return evaluation.exact_loss(model, self.held_out, int(self.train_ids[-1]))

    def write(self, model: Rung, length: int = 240, seed: int = 0) -> str:
        """What a model writes at the start of a text."""
        config = GenerateConfig(length=length, seed=seed)
        with one_thread():
            return "".join(sampling.write(model, self.tokenizer, "", config))


def poems(block_size: int = 64, batch_size: int = 12) -> Trial:
    """The built-in poems; what judges is the beginning of their last tenth."""
    text = builtin_poems()
    tokenizer = CharTokenizer.from_text(text)
    ids = np.asarray(tokenizer.encode(text))
    cut = len(ids) - len(ids) // 10
    return Trial(block_size, batch_size, tokenizer, ids[:cut], ids[cut : cut + JUDGED])


# --- pictures in text -----------------------------------------------------------------------------


def marks(shares: Sequence[float]) -> str:
    """A bar of a block's height for each share; the largest is full.

    >>> marks([0.0, 0.1, 0.8, 0.4])
    ' ▁█▄'
    """
    largest = max(shares) or 1.0
    return "".join(BLOCKS[round(8 * share / largest)] for share in shares)


def bar(value: float, largest: float, width: int = 40) -> str:
    """A bar as long as the value's part of the largest.

    >>> bar(1, 4, width=8)
    '██'
    """
    return "█" * max(0, min(width, round(width * value / largest)))


def looks(line: str, attention: Tensor, positions: Sequence[int]) -> str:
    """Where some characters of a line look: the line, and below it the bars of each one's (T,)
    row of `attention` (T, T), with a caret under the character that looks."""
    found = []
    for t in positions:
        shares = attention[t, : t + 1].tolist()
        found += [f"  {line.translate(VISIBLE)}", f"  {marks(shares)}", f"  {' ' * t}^", ""]
    return "\n".join(found)
