"""Lesson 6: what is asked of train and held_out_loss."""

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from babypoet import sampling
from babypoet.config import GenerateConfig, ModelConfig
from babypoet.corpus import builtin_poems
from babypoet.course.checking import Check, Mistake, Misuse
from babypoet.ladder import build
from babypoet.tokenizer import CharTokenizer

Pair = tuple[Tensor, Tensor]


class Table(nn.Module):
    """The table of lesson 3 under the contract, and a diary of how it was called."""

    def __init__(self, V: int, positions: int = 0) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(V, V))
        self.positions = nn.Parameter(torch.zeros(positions, V))
        if positions:
            with torch.no_grad():
                rng = torch.Generator().manual_seed(6)
                self.table.copy_(torch.randn(V, V, generator=rng))
                self.positions.copy_(torch.randn(positions, V, generator=rng))
        self.read: list[list[int]] = []
        self.was_training: list[bool] = []
        self.had_gradients: list[bool] = []

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        if said := misused(idx, targets):
            raise Misuse(said)
        self.read.append(idx.flatten().tolist())
        self.was_training.append(self.training)
        self.had_gradients.append(torch.is_grad_enabled())
        logits = self.table[idx]
        if len(self.positions):
            logits = logits + self.positions[: idx.shape[1]]
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, -2), targets.flatten())


def misused(idx: Tensor, targets: Tensor | None) -> str:
    """What is wrong with the shapes that a model was called with, or nothing."""
    shape = tuple(idx.shape)
    if idx.ndim == 1:
        return (
            f"The model got ids of shape {shape}. It needs (B, T), here {(1, *shape)}: x[None] has "
            "that axis in front."
        )
    if idx.ndim != 2:
        return f"The model got ids of shape {shape}. It needs two axes, (B, T)."
    if targets is not None and targets.shape != idx.shape:
        said = f"The model got inputs of shape {shape} and targets of {tuple(targets.shape)}."
        if targets.shape == (shape[0], shape[1] - 1):
            return (
                f"{said} Nothing comes after the last character, N - 1, so it is a target and no "
                "input: let the inputs stop before it."
            )
        return f"{said} They must be equally long: a target for each input."
    if not idx.numel():
        return (
            "The model got an empty window, and the mean loss of nothing is 0/0: NaN. The last "
            "character, N - 1, has nothing after it: no window begins there, so stop before it."
        )
    return ""


ABAAAC = (torch.tensor([[0, 1, 0, 0, 0]]), torch.tensor([[1, 0, 0, 0, 2]]))
_draw = torch.Generator().manual_seed(60)
BATCHES = [
    (torch.randint(4, (2, 3), generator=_draw), torch.randint(4, (2, 3), generator=_draw))
    for _ in range(6)
]


def result(model: Table, losses: Any) -> dict[str, Any]:
    return {"losses": losses, "the table afterwards": model.table.detach().clone()}


def trained(m: Any, V: int, batches: list[Pair], steps: int, rate: float) -> dict[str, Any]:
    model = Table(V)
    return result(model, m.train(model, itertools.cycle(batches), steps, rate))


def wrong_loop(
    V: int,
    batches: list[Pair],
    steps: int,
    rate: float,
    clear: str = "before",
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.SGD,
    first_only: bool = False,
    loss_after: bool = False,
    uphill: bool = False,
    sums: bool = False,
) -> Callable[[Any], dict[str, Any]]:
    """A training loop with one thing wrong."""

    def run(right: Any) -> dict[str, Any]:
        model = Table(V)
        chosen = optimizer(model.parameters(), lr=rate)
        taken: Iterator[Pair] = itertools.cycle(batches[:1] if first_only else batches)
        losses = []
        for _ in range(steps):
            idx, targets = next(taken)
            loss = model(idx, targets)[1]
            assert loss is not None
            if clear == "before":
                chosen.zero_grad()
            scaled = loss * idx.numel() if sums else loss
            (-scaled if uphill else scaled).backward()
            if clear == "between":
                chosen.zero_grad()
            chosen.step()
            with torch.no_grad():
                seen = model(idx, targets)[1] if loss_after else loss
            assert seen is not None
            losses.append(seen.item())
        return result(model, losses)

    return run


def in_train(V: int, batches: list[Pair], steps: int, rate: float) -> tuple[Mistake, ...]:
    def wrong(**how: Any) -> Callable[[Any], dict[str, Any]]:
        return wrong_loop(V, batches, steps, rate, **how)

    def other_rate(lr: float) -> Callable[[Any], dict[str, Any]]:
        return wrong_loop(V, batches, steps, lr)

    def last_loss(right: Any) -> dict[str, Any]:
        found: dict[str, Any] = trained(right, V, batches, steps, rate)
        return {**found, "losses": found["losses"][-1]}

    return (
        Mistake(
            "zero_grad is missing: backward() adds to the gradients that are there, so each step "
            "goes by the sum of all gradients so far. Clear them before each backward().",
            wrong(clear="never"),
        ),
        Mistake(
            "The model never moves. Are backward() and step() both there, and are the gradients "
            "cleared before backward(), not between the two? The order is zero_grad, backward, "
            "step.",
            wrong(clear="between"),
        ),
        Mistake(
            "All steps were made with the first batch. Take next(batches) inside the loop, once "
            "for each step.",
            wrong(first_only=True),
        ),
        Mistake(
            "Those are the losses after each update. Asked is each batch's loss before it, the "
            "one that backward() went through.",
            wrong(loss_after=True),
        ),
        Mistake(
            "That is Adam, or AdamW, which goes by the signs of the gradients more than by their "
            "size (lesson 13). Here take plain gradient descent, torch.optim.SGD.",
            wrong(optimizer=torch.optim.Adam),
        ),
        Mistake(
            "That is AdamW (lesson 13), which also pulls all weights towards 0. Here take plain "
            "gradient descent, torch.optim.SGD.",
            wrong(optimizer=torch.optim.AdamW),
        ),
        Mistake(
            "That is uphill: the loss rises. Go against the gradient.",
            wrong(uphill=True),
        ),
        Mistake(
            "The gradient is that of the sum. The loss the model gives is the mean already: use "
            "it as it is.",
            wrong(sums=True),
        ),
        *(
            Mistake(
                "The learning rate that is passed in is not used: give it to the optimizer as lr.",
                other_rate(lr),
            )
            for lr in (1e-3, 1e-2, 0.1, 1.0)
        ),
        Mistake(
            "That is one step too many.",
            lambda right: trained(right, V, batches, steps + 1, rate),
        ),
        Mistake(
            "That is one step too few.",
            lambda right: trained(right, V, batches, steps - 1, rate),
        ),
        Mistake(
            "Only the last loss came back. Collect them all in a list.",
            last_loss,
        ),
    )


# --- judging --------------------------------------------------------------------------------------

WIDTH = 40  # positions of the model that is judged: more than any window has
_text = torch.Generator().manual_seed(61)
ELEVEN = torch.randint(5, (11,), generator=_text)


def mean_of(
    ids: Tensor, spans: list[tuple[int, int]], by: str = "characters"
) -> Callable[[Any], float]:
    """The loss in windows whose inputs are ids[start:stop], put together one way or another."""

    def run(right: Any) -> float:
        model = Table(5, WIDTH).eval()
        with torch.no_grad():
            found = [
                (float(model(ids[None, a:b], ids[None, a + 1 : b + 1])[1]), b - a)
                for a, b in spans
                if b > a
            ]
        characters = sum(n for _, n in found)
        total = sum(nats * n for nats, n in found)
        if by == "windows":
            return sum(nats for nats, _ in found) / len(found)
        if by == "sum":
            return total
        if by == "sum of means":
            return sum(nats for nats, _ in found)
        if by == "N":
            return total / len(ids)
        if by == "N - 1":
            return total / (len(ids) - 1)
        if by == "means over N - 1":
            return sum(nats for nats, _ in found) / (len(ids) - 1)
        return total / characters

    return run


def in_held_out(ids: Tensor, T: int) -> tuple[Mistake, ...]:
    last = len(ids) - 1  # where the inputs end
    beside = [(s, min(s + T, last)) for s in range(0, last, T)]
    full = [(a, b) for a, b in beside if b - a == T]
    chunks = [(s, min(s + T, len(ids)) - 1) for s in range(0, len(ids), T)]
    wide = [(s, min(s + T, last)) for s in range(0, last, T + 1)]
    every = [(s, s + T) for s in range(0, len(ids) - T)]
    ways = ("characters", "windows", "N - 1")
    misplaced = [
        (
            "The end was dropped: what is left over after the full windows makes a last, shorter "
            "one. A judge hears the whole text.",
            full,
        ),
        (
            "The text was cut into pieces of block_size first, and x and y taken from each: so the "
            "first character of each piece is never guessed. Let a window's inputs begin where "
            "the one before ended: its first input is the last target before it.",
            chunks,
        ),
        (
            "The windows stand block_size + 1 apart, so between two of them a character is never "
            "guessed. Step by block_size: a window's first input is the last target before it.",
            wide,
        ),
        (
            "The windows overlap: each begins one character after the last, so most characters "
            "are guessed many times over. Step by block_size.",
            every,
        ),
        ("Only the first window was judged. Go on to the end of the text.", beside[:1]),
        ("That is the last window's loss. Add them all up.", beside[-1:]),
        (
            "The whole text was read as one window. Its length is block_size at most: a "
            "Transformer has no more positions.",
            [(0, last)],
        ),
    ]
    return (
        Mistake(
            "The mean over windows is not the mean over characters: the last window is shorter, "
            "and each of its characters counted for more. Weight each window's loss with how many "
            "characters it guessed.",
            mean_of(ids, beside, "windows"),
        ),
        Mistake(
            "The windows' losses are means already, and you divided their sum by the number of "
            "characters. Multiply each with how many characters it guessed before adding it.",
            mean_of(ids, beside, "means over N - 1"),
        ),
        *(
            Mistake(says, mean_of(ids, spans, way))
            for says, spans in misplaced
            for way in ways
            if spans
        ),
        Mistake(
            "That is the sum over all characters. Divide by how many were guessed, N - 1.",
            mean_of(ids, beside, "sum"),
        ),
        Mistake(
            "The windows' means were added up, and not divided.",
            mean_of(ids, beside, "sum of means"),
        ),
        Mistake(
            "You divided by N. Nothing comes before the first character, so N - 1 are guessed.",
            mean_of(ids, beside, "N"),
        ),
    )


def judged(m: Any, ids: Tensor, T: int) -> float:
    loss: float = m.held_out_loss(Table(5, WIDTH), ids, T)
    return loss


def diary(m: Any, training: bool) -> dict[str, Any]:
    model = Table(5, WIDTH).train(training)
    before = [p.detach().clone() for p in model.parameters()]
    loss = m.held_out_loss(model, ELEVEN, 4)
    same = all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    return {
        "type": type(loss).__name__,
        "while judging": sorted(set(model.was_training)),
        "gradients": sorted(set(model.had_gradients)),
        "came": training,
        "left": model.training,
        "same": same,
        "torch": torch.is_grad_enabled(),
    }


def in_eval_mode(found: dict[str, Any]) -> str | None:
    if found["while judging"] == [False]:
        return None
    return (
        "The model was judged in training mode, in which dropout makes it forget at random. "
        "Call model.eval() first."
    )


def without_gradients(found: dict[str, Any]) -> str | None:
    if not found["torch"]:
        return "Gradients stay switched off afterwards. Use `with torch.no_grad():` around it."
    if found["gradients"] == [False]:
        return None
    return (
        "PyTorch kept everything for a backward() that never comes, which costs memory and time. "
        "Judge inside `with torch.no_grad():`."
    )


def as_it_came(found: dict[str, Any]) -> str | None:
    if not found["same"]:
        return "The weights have changed. Judging must never train."
    if found["left"] == found["came"]:
        return None
    came, left = ("training" if found[key] else "evaluation" for key in ("came", "left"))
    return (
        f"The model came in {came} mode and was left in {left} mode: whoever trains on will do so "
        "in the wrong one. Remember model.training at the start, and put it back at the end: "
        "model.train(before)."
    )


def is_float(found: dict[str, Any]) -> str | None:
    if found["type"] == "float":
        return None
    return (
        f"It gave a {found['type']}, expected a plain float: .item() takes the number out of a "
        "tensor."
    )


def kinds(m: Any) -> Any:
    losses = m.train(Table(3), itertools.repeat(ABAAAC), 2, 0.5)
    return sorted({type(x).__name__ for x in losses})


def are_floats(found: list[str]) -> str | None:
    if found == ["float"]:
        return None
    if "Tensor" in found:
        return (
            "The list holds tensors, and each keeps the whole computation that led to it in "
            "memory. loss.item() takes the number out."
        )
    return f"The list holds {found}, expected plain floats: loss.item()."


def modes(m: Any) -> list[bool]:
    model = Table(3).eval()
    m.train(model, itertools.repeat(ABAAAC), 2, 0.5)
    return sorted(set(model.was_training))


def in_training_mode(found: list[bool]) -> str | None:
    if found == [True]:
        return None
    return (
        "The model was trained in evaluation mode, in which it came: dropout would be off. Call "
        "model.train() first."
    )


def read(m: Any) -> list[list[int]]:
    model = Table(4)
    m.train(model, itertools.cycle(BATCHES), 4, 0.5)
    return model.read


def one_each(found: list[list[int]]) -> str | None:
    wanted = [idx.flatten().tolist() for idx, _ in BATCHES[:4]]
    if found == wanted:
        return None
    if found == wanted[:1] * 4:
        return "Each step read the first batch. Take next(batches) inside the loop."
    if found == wanted[::2] or found[:2] == [wanted[0], wanted[2]]:
        return "Every second batch is lost: next(batches) is called twice for each step."
    if found == [idx.flatten().tolist() for idx, _ in BATCHES[1:5]]:
        return "The first batch is lost: next(batches) is called once too often, before the loop."
    return (
        f"For 4 steps the model was called {len(found)} times, and not with the first four "
        "batches, each once."
    )


CHECKS = [
    Check(
        what="One step from zeros at abaaac, with rate 3: lesson 3 again.",
        call=lambda m: trained(m, 3, [ABAAAC], 1, 3.0),
        shown="train(model, batches, steps=1, learning_rate=3.0)",
        by_hand="The loss before the step is ln 3 = 1.0986. The gradient of row a is -0.1333 "
        "0.0667 0.0667, so row a becomes 0.4 -0.2 -0.2.",
        mistakes=in_train(3, [ABAAAC], 1, 3.0),
    ),
    Check(
        what="Three steps, and the loss before each.",
        call=lambda m: trained(m, 3, [ABAAAC], 3, 3.0),
        shown="train(model, batches, steps=3, learning_rate=3.0)",
        by_hand="Each step is one of lesson 3's descend: 1.0986, 0.9808, ... The gradient of a "
        "step is that of this batch alone.",
        mistakes=in_train(3, [ABAAAC], 3, 3.0),
    ),
    Check(
        what="Six steps, each with a batch of its own.",
        call=lambda m: trained(m, 4, BATCHES, 6, 0.7),
        shown="train(model, batches, steps=6, learning_rate=0.7)    # batches of (2, 3)",
        by_hand="Step 1 goes by the first batch, step 2 by the second, and so on.",
        mistakes=in_train(4, BATCHES, 6, 0.7),
    ),
    Check(
        what="No steps: no losses, and the model as it was.",
        call=lambda m: trained(m, 3, [ABAAAC], 0, 1.0),
        shown="train(model, batches, steps=0, learning_rate=1.0)",
        by_hand="range(0) is empty: the loop does nothing, and the list stays empty.",
    ),
    Check(
        what="Each step reads one batch, and all of them in order.",
        call=read,
        shown="train(model, batches, steps=4, learning_rate=0.5)    # what the model read",
        by_hand="next(batches) gives the first batch, next(batches) again the second.",
        verify=one_each,
    ),
    Check(
        what="The losses are plain floats.",
        call=kinds,
        shown="train(model, batches, steps=2, learning_rate=0.5)    # the types in the list",
        by_hand="torch.tensor(1.5).item() is 1.5.",
        verify=are_floats,
    ),
    Check(
        what="A model that comes in evaluation mode is trained in training mode.",
        call=modes,
        shown="train(model.eval(), batches, steps=2, learning_rate=0.5)    # model.training",
        by_hand="model.train() sets model.training to True, model.eval() to False.",
        verify=in_training_mode,
    ),
    Check(
        what="Five characters in one window of four.",
        call=lambda m: judged(m, ELEVEN[:5], 4),
        shown="held_out_loss(model, ids, block_size=4)    # 5 ids",
        by_hand="x is ids 0 to 3, y ids 1 to 4, (1, 4) each: one call of the model, and its loss "
        "is the answer.",
        mistakes=in_held_out(ELEVEN[:5], 4),
    ),
    Check(
        what="Eleven characters in windows of four: two full ones, and a shorter one.",
        call=lambda m: judged(m, ELEVEN, 4),
        shown="held_out_loss(model, ids, block_size=4)    # 11 ids",
        by_hand="Inputs 0-3, 4-7, 8-9; targets 1-4, 5-8, 9-10. With the losses 2.0, 1.0 and 4.0 "
        "the mean is (4 * 2.0 + 4 * 1.0 + 2 * 4.0) / 10 = 2.0, and not 7/3.",
        mistakes=in_held_out(ELEVEN, 4),
    ),
    Check(
        what="Two characters: one guess.",
        call=lambda m: judged(m, ELEVEN[:2], 4),
        shown="held_out_loss(model, ids, block_size=4)    # 2 ids",
        by_hand="A single, short window: x is the first character, y the second.",
        mistakes=in_held_out(ELEVEN[:2], 4),
    ),
    Check(
        what="Windows of one character.",
        call=lambda m: judged(m, ELEVEN, 1),
        shown="held_out_loss(model, ids, block_size=1)    # 11 ids",
        by_hand="Ten windows, each one character and its next.",
        mistakes=in_held_out(ELEVEN, 1),
    ),
    Check(
        what="In evaluation mode.",
        call=lambda m: diary(m, True),
        shown="held_out_loss(model, ids, block_size=4)    # model.training, inside",
        by_hand="model.eval() sets model.training to False.",
        verify=in_eval_mode,
    ),
    Check(
        what="Without gradients.",
        call=lambda m: diary(m, True),
        shown="held_out_loss(model, ids, block_size=4)    # torch.is_grad_enabled(), inside",
        by_hand="Inside `with torch.no_grad():` PyTorch computes and forgets.",
        verify=without_gradients,
    ),
    Check(
        what="A model in training is in training afterwards.",
        call=lambda m: diary(m, True),
        shown="held_out_loss(model.train(), ids, block_size=4)    # model.training, afterwards",
        by_hand="It came with model.training True, and leaves with True.",
        verify=as_it_came,
    ),
    Check(
        what="A model that is not in training is not afterwards either.",
        call=lambda m: diary(m, False),
        shown="held_out_loss(model.eval(), ids, block_size=4)    # model.training, afterwards",
        by_hand="It came with model.training False, and leaves with False.",
        verify=as_it_came,
    ),
    Check(
        what="The loss is a plain float.",
        call=lambda m: diary(m, True),
        shown="held_out_loss(model, ids, block_size=4)    # its type",
        by_hand="torch.tensor(1.5).item() is 1.5.",
        verify=is_float,
    ),
]

BARS = "▁▂▃▄▅▆▇█"


def endless(ids: np.ndarray, T: int, B: int) -> Iterator[Pair]:
    rng = np.random.default_rng(0)
    while True:
        places = rng.integers(0, len(ids) - T, size=B)[:, None] + np.arange(T)
        yield torch.from_numpy(ids[places]), torch.from_numpy(ids[places + 1])


def reward(theirs: Any) -> str:
    poems = builtin_poems()
    tokenizer = CharTokenizer.from_text(poems)
    ids = np.array(tokenizer.encode(poems), dtype=np.int64)
    border = len(ids) - len(ids) // 10
    T, B = 32, 32
    held_out = torch.from_numpy(ids[border : border + 8000])
    model = build(ModelConfig(rung="bigram", vocab_size=tokenizer.vocab_size, block_size=T), seed=0)

    def sample() -> str:
        config = GenerateConfig(length=120, seed=1)
        written = "".join(sampling.write(model, tokenizer, "", config))
        return "    " + written.strip().replace("\n", "\n    ")

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a model only waits for a second one
    before, wrote = theirs.held_out_loss(model, held_out, T), sample()
    batches, losses, started = endless(ids[:border], T, B), [], time.perf_counter()
    while len(losses) < 1500 and time.perf_counter() - started < 6:
        losses += theirs.train(model, batches, 50, 30.0)
    seconds = time.perf_counter() - started
    after = theirs.held_out_loss(model, held_out, T)
    torch.set_num_threads(threads)
    piece = max(1, len(losses) // 50)
    curve = [sum(losses[i : i + piece]) / piece for i in range(0, len(losses) - piece + 1, piece)]
    low, high = min(curve), max(curve)
    line = "".join(BARS[min(7, int(8 * (v - low) / (high - low)))] for v in curve)
    return f"""A table, the first model of our ladder, in your loop:
{len(losses):,} steps in {seconds:.1f} seconds.

    {line}

                            before      after
    the loss of a batch     {losses[0]:.3f}      {sum(losses[-50:]) / 50:.3f} nats
    on held-out poems       {before:.3f}      {after:.3f} nats

Before it wrote:

{wrote}

Now:

{sample()}

The same loop, unchanged, will train your Transformer. Only the model has to be better."""
