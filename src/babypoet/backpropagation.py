"""One letter's loss, followed back through a model by hand, and beside it what autograd says.

    found = poet.backprop("love this")         # the loss of the last "s", after "love thi"
    found.loss, found.step.after               # nats, before and after one small step
    found.lines()                              # every value on the way back: by hand, by autograd
    found.letters()                            # the embedding of each character
    found.furthest()                           # the weight on which the two differ most
    found.to_dict()                            # ready for JSON

The gradients by hand are gradients.py's; everything here is in double precision. PyTorch is
imported when a letter is asked for. What a person sees of it in a terminal is `wayback.py`'s."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from babypoet import gradients, reference
from babypoet.config import RESERVED, ModelConfig
from babypoet.errors import SettingError, TextError
from babypoet.gradients import Chain, Gradients
from babypoet.reference import Array, Reference, Weights, softmax, window_start
from babypoet.tokenizer import CharTokenizer, Unknown

if TYPE_CHECKING:
    from torch import Tensor

    from babypoet.ladder import Rung

RATE = 0.001
"""How far the small step goes: each weight less so many times its gradient."""


@dataclass(frozen=True)
class Line:
    """One gradient by hand beside autograd's."""

    name: str
    formula: str
    """How it follows from the gradients after it."""
    size: float
    """Its root mean square, by hand."""
    autograd: float | None
    """Its root mean square by autograd; None where it cannot be told which tensor it is of."""
    difference: float | None
    """The largest difference between any two of their numbers."""
    positions: tuple[int, ...]
    """Where it is not zero."""


@dataclass(frozen=True)
class Guess:
    """What the model said of one character, and what the loss says to that."""

    character: str
    probability: float
    gradient: float
    """probability - 1 for the letter that came, else the probability: d loss / d score."""


@dataclass(frozen=True)
class Step:
    """One step down the gradient, really taken on a copy of the weights."""

    rate: float
    before: float
    after: float
    """The loss of the same letter afterwards, in nats."""
    expected: float
    """What it would be if the loss were as straight as its gradient says: the loss less
    rate * the sum of all squared gradients."""


@dataclass(frozen=True)
class Backpropagation:
    """One letter's loss and the way back from it; made by `Poet.backprop`."""

    config: ModelConfig
    vocabulary: str
    before: int
    """How many characters of the text were left out, because they lie before the window."""
    text: str
    """The window as the model read it."""
    target: str
    """The letter that came next, whose loss this is."""
    values: dict[str, Array]
    chain: Chain
    by_autograd: Gradients
    step: Step

    @property
    def loss(self) -> float:
        """-log p(target), in nats, the two reserved rows counted, as in training."""
        return self.chain.found.loss

    def guesses(self) -> list[Guess]:
        """Every character and the two reserved rows: those the loss says most to come first."""
        said = softmax(self.values["scores"][-1])  # (R,)
        d = self.chain.found.values["scores"][-1]  # (R,)
        names = [*self.vocabulary, *RESERVED]
        order = np.argsort(-np.abs(d), kind="stable")
        return [Guess(names[i], float(said[i]), float(d[i])) for i in order]

    def lines(self) -> list[Line]:
        """Every value on the way, from the loss back to the characters."""
        found = []
        for link in self.chain.links:
            other = self.by_autograd.values.get(link.name)
            found.append(_line(link.name, link.formula, link.gradient, other, link.positions))
        return found

    def letters(self) -> list[Line]:
        """What the loss says to each character's vector, or in a bigram to its row of the table;
        the name is the character."""
        own, other = self.chain.found, self.by_autograd
        if "embedding" in own.values:
            by_hand, theirs = own.values["embedding"], other.values.get("embedding")
        else:
            by_hand, theirs = own.values["scores"], other.values.get("scores")
        return [
            _line(character, "", by_hand[t], None if theirs is None else theirs[t], (t,))
            for t, character in enumerate(self.text)
        ]

    def furthest(self) -> tuple[str, float]:
        """The weight whose gradients by hand and by autograd differ most, and by how much."""
        own, other = self.chain.found.weights, self.by_autograd.weights
        differences = {name: _difference(own[name], other[name]) for name in own}
        name = max(differences, key=lambda name: differences[name])
        return name, differences[name]

    def to_dict(self) -> dict[str, Any]:
        """All that is shown, as plain values for JSON."""
        name, difference = self.furthest()
        return {
            "rung": self.config.rung,
            "before": self.before,
            "text": self.text,
            "target": self.target,
            "loss": {"nats": self.loss, "by_autograd": self.by_autograd.loss},
            "guesses": [vars(guess) for guess in self.guesses()],
            "chain": [_plain(line) for line in self.lines()],
            "letters": [_plain(line) for line in self.letters()],
            "weights": {"largest_difference": difference, "name": name},
            "step": vars(self.step),
        }


def _plain(line: Line) -> dict[str, Any]:
    return {**vars(line), "positions": list(line.positions)}


def _line(
    name: str, formula: str, own: Array, other: Array | None, positions: tuple[int, ...]
) -> Line:
    theirs = None if other is None else _size(other)
    difference = None if other is None else _difference(own, other)
    return Line(name, formula, _size(own), theirs, difference, positions)


def _size(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def _difference(a: Array, b: Array) -> float:
    return float(np.abs(a - b).max())


def follow(
    config: ModelConfig,
    weights: Weights,
    tokenizer: CharTokenizer,
    text: str,
    position: int | None = None,
    unknown: Unknown = "nearest",
) -> Backpropagation:
    """The loss of the letter after `position`, of the last letter unless told otherwise.

    Of a long text the model reads the window that it would predict that letter from. Fewer than two
    known characters are a TextError, a position without a letter after it is a SettingError."""
    ids = tokenizer.encode(text, unknown)
    if len(ids) < 2:
        raise TextError(
            f"{text!r} has {_how_many(len(ids))} that the model knows, and this takes two: one to "
            'read and one to predict. Give a longer text, like "love this".'
        )
    last = len(ids) - 2
    at = last if position is None else position + (len(ids) if position < 0 else 0)
    if not 0 <= at <= last:
        raise SettingError(
            f"--position is {position}, and no letter to predict comes after that. The text has "
            f"{len(ids)} characters; give 0 to {last}."
        )
    model = Reference(config, weights, np.float64)
    start, target = window_start(at + 1, config.block_size), ids[at + 1]
    read = ids[start : at + 1]
    values = model.trace(read)
    chain = gradients.chain(model, values, target)
    return Backpropagation(
        config=config,
        vocabulary=tokenizer.characters,
        before=start,
        text=tokenizer.decode(read),
        target=tokenizer.characters[target],
        values=values,
        chain=chain,
        by_autograd=autograd(model, values, [target] * len(read), [len(read) - 1]),
        step=step(model, read, target, chain.found),
    )


def _how_many(characters: int) -> str:
    return "1 character" if characters == 1 else "no character"


def step(model: Reference, ids: list[int], target: int, found: Gradients) -> Step:
    """Take one step against the gradient, and read the same letters again."""
    moved = {name: weight - RATE * found.weights[name] for name, weight in model.weights.items()}
    after = Reference(model.config, moved, model.dtype)
    values = after.trace(ids)
    share = np.zeros(len(ids), values["scores"].dtype)
    share[-1] = 1
    loss, _ = gradients.cross_entropy(values["scores"], np.full(len(ids), target), share)
    slope = sum(float(np.square(gradient).sum()) for gradient in found.weights.values())
    return Step(RATE, found.loss, loss, found.loss - RATE * slope)


# --- the other opinion ----------------------------------------------------------------------------


def network(model: Reference) -> "Rung":
    """The same model in PyTorch, in double precision."""
    import torch

    from babypoet import ladder

    rung = ladder.build(model.config).double().eval()
    rung.load_state_dict({name: torch.from_numpy(w) for name, w in model.weights.items()})
    if isinstance(rung, ladder.Modern) and isinstance(model.rung, reference.Modern):
        cosine, signed_sine = model.rung.tables  # no two libraries' sines are equal to the last bit
        half = signed_sine[:, signed_sine.shape[1] // 2 :]  # (block_size, D/2)
        rung.cosine = torch.from_numpy(cosine).double()
        rung.sine = torch.from_numpy(np.tile(half, 2)).double()
    return rung


def autograd(
    model: Reference, values: dict[str, Array], targets: list[int], positions: list[int]
) -> Gradients:
    """What `gradients.backward` returns, found by PyTorch from ladder.py instead.

    The ladder names no values, so each is looked for: it is the tensor on the way that holds the
    same numbers. Where there are several whose gradients differ, as in a model whose matrices are
    still zero, the value is left out."""
    import torch

    from babypoet import ladder

    rung = network(model)
    idx = torch.from_numpy(values["ids"].astype(np.int64))[None]
    with ladder.written_out(), _watching() as results:
        scores = rung.scores(idx)
        loss = ladder.cross_entropy(scores[0, positions], torch.tensor(targets)[positions])
    parameters = dict(rung.named_parameters())
    found = torch.autograd.grad(loss, [*parameters.values(), *results], allow_unused=True)
    learned = {name: d.numpy() for name, d in zip(parameters, found, strict=False) if d is not None}
    pairs = [
        (result.detach().numpy(), d.numpy())
        for result, d in zip(results, found[len(parameters) :], strict=True)
        if d is not None
    ]
    named = {name: _matching(value, pairs) for name, value in values.items()}
    named["logits"] = None if (d := named["scores"]) is None else d[:, : model.config.vocab_size]
    return Gradients(loss.item(), {name: d for name, d in named.items() if d is not None}, learned)


def _matching(value: Array, pairs: list[tuple[Array, Array]]) -> Array | None:
    """The gradient of the tensor that holds the same numbers; None where there is none, or more
    than one gradient to choose from."""
    shapes = (value.shape, (1, *value.shape))  # autograd's have a batch of one
    near = [
        d.reshape(value.shape)
        for result, d in pairs
        if result.shape in shapes and _same(result, value)
    ]
    if near and all(_same(d, near[0]) for d in near):
        return near[0]
    return None


def _same(a: Array, b: Array) -> bool:
    """Whether two arrays of a size hold the same numbers, but for rounding."""
    most = float(np.abs(b[np.isfinite(b)]).max(initial=0))
    return np.allclose(a.reshape(b.shape), b, rtol=0, atol=1e-10 * most)


def _watching() -> Any:
    """A context that keeps the result of every operation whose gradient can be asked for."""
    from torch import Tensor
    from torch.overrides import TorchFunctionMode

    class Watching(TorchFunctionMode):
        def __enter__(self) -> "list[Tensor]":
            super().__enter__()  # type: ignore[no-untyped-call]
            self.results: list[Tensor] = []
            return self.results

        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = function(*args, **(kwargs or {}))
            if isinstance(result, Tensor) and result.requires_grad:
                self.results.append(result)
            return result

    return Watching()
