"""From logits to text: filter, draw, stop.

    config = GenerateConfig(length=200, temperature=0.8, seed=3)
    for piece in write(model, tokenizer, "The sea", config):    # a Reference or a ladder.Rung
        print(piece, end="", flush=True)

Every draw is a function of (seed, sample, position) and nothing else: no generator has a state to
save, the same seed writes the same text, and a page in JavaScript can repeat it. Writing never
touches the random numbers of training.

This file needs no torch, prints nothing and reads no files.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from babypoet.config import GenerateConfig, ModelConfig
from babypoet.errors import RunError
from babypoet.reference import window_start
from babypoet.tokenizer import CharTokenizer, Unknown

if TYPE_CHECKING:
    from babypoet.ladder import Rung


# --- one character --------------------------------------------------------------------------------


def _mixed(h: int) -> int:
    """A permutation of the 32-bit integers: change one bit, and half of all bits change.

    The finaliser of MurmurHash3 (Appleby 2011, `fmix32`). In JavaScript the two products are
    `Math.imul(h, 0x85ebca6b)` and `Math.imul(h, 0xc2b2ae35)`, and the shifts are `>>>`.
    """
    h ^= h >> 16
    h = h * 0x85EBCA6B & 0xFFFFFFFF
    h ^= h >> 13
    h = h * 0xC2B2AE35 & 0xFFFFFFFF
    return h ^ h >> 16


def uniform(seed: int, counter: int, stream: int = 0) -> float:
    """A random number in [0, 1) that depends on its three arguments and nothing else.

    All in 32-bit integers, so that JavaScript gets the same: h starts at 0 and takes in the words
    of the seed (its 32-bit digits, the lowest first, at least one), then `stream`, then `counter`,
    each by h = mixed(h ^ mixed(word + 0x9E3779B9 mod 2^32)). The result is h / 2^32.

    >>> uniform(0, 0), uniform(1, 0), uniform(0, 1), uniform(0, 0, stream=1)
    (0.7020490982104093, 0.313121659681201, 0.5216289120726287, 0.31705449242144823)
    """
    assert seed >= 0 and 0 <= counter < 1 << 32 and 0 <= stream < 1 << 32, (seed, counter, stream)
    words = [seed & 0xFFFFFFFF]
    while seed := seed >> 32:
        words.append(seed & 0xFFFFFFFF)
    h = 0
    for word in (*words, stream, counter):
        h = _mixed(h ^ _mixed(word + 0x9E3779B9 & 0xFFFFFFFF))
    return h / 0x100000000


def _peak(logits: NDArray[np.float64]) -> float:
    """The largest of the logits; a RunError where one of them is no number."""
    peak = float(logits.max())
    if not math.isfinite(peak):
        raise RunError(
            f"The model's scores are no longer numbers (the largest is {peak}), so nothing can be "
            "drawn from them: its training went astray. Train again with a smaller --learning-rate."
        )
    return peak


def distribution(
    logits: ArrayLike,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> NDArray[np.float64]:
    """The probabilities that a character is drawn from: logits (V,) -> (V,), with the sum 1.

    In this order: `temperature` divides the logits, or, at 0, leaves the likeliest character alone;
    `top_k` keeps the k likeliest; `top_p` keeps the fewest of those that hold this share of their
    probability (Holtzman et al. 2019, arXiv:1904.09751); `min_p` drops what is less likely than
    this share of the likeliest (Nguyen et al. 2024, arXiv:2407.01082). Among equals the lower ids
    are kept.

    >>> distribution([2.0, 1.0, 2.0, 0.0], temperature=0).tolist()
    [1.0, 0.0, 0.0, 0.0]
    >>> distribution([2.0, 1.0, 2.0, 0.0], top_k=2).tolist()
    [0.5, 0.0, 0.5, 0.0]
    """
    logits = np.asarray(logits, dtype=np.float64)
    peak = _peak(logits)
    if temperature == 0:
        one_hot = np.zeros_like(logits)
        one_hot[logits.argmax()] = 1
        return one_hot
    with np.errstate(over="ignore"):  # at a tiny temperature: -infinity, of which e^x is rightly 0
        p: NDArray[np.float64] = np.exp((logits - peak) / temperature)  # the likeliest has 1
    if top_k is not None or top_p is not None:
        order = np.argsort(-logits, kind="stable")[:top_k]
        if top_p is not None and top_p < 1:  # at 1 rounding must not cost the last characters
            total = p[order].cumsum()
            order = order[: np.searchsorted(total, top_p * total[-1]) + 1]
        kept = np.zeros_like(p)
        kept[order] = p[order]
        p = kept
    if min_p is not None:
        p[p < min_p] = 0
    p /= p.sum()
    return p


def next_token(
    logits: ArrayLike,
    u: float,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> int:
    """The id that the random number `u` in [0, 1) picks: logits (V,) -> an id.

    The ids lie side by side in [0, 1), each as wide as its probability in `distribution`.

    >>> [next_token([0.0, 0.0, 0.0, 0.0], u) for u in (0, 0.2, 0.25, 0.5, 0.99)]
    [0, 0, 1, 2, 3]
    """
    assert 0 <= u < 1, u
    if temperature == 0:
        logits = np.asarray(logits, dtype=np.float64)
        _peak(logits)
        return int(logits.argmax())
    total = distribution(logits, temperature, top_k, top_p, min_p).cumsum()
    return int(np.searchsorted(total, u * total[-1], side="right"))


# --- a text ---------------------------------------------------------------------------------------


class Decoder(Protocol):
    """A model in the middle of a text."""

    def extend(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read one or more characters -> the logits of the next one, (V,)."""
        ...


class Startable(Protocol):
    """A model that knows how to read on: `reference.Reference`, or anything that looks like it."""

    @property
    def config(self) -> ModelConfig: ...

    def start(self) -> Decoder: ...


class Rereader:
    """A torch model in the middle of a text: it reads the whole window again for each character.

    Its windows are the numpy cache's (`reference.window_start`), so both give the same logits.
    """

    def __init__(self, model: "Rung") -> None:
        self.model = model
        self.ids: list[int] = []

    def extend(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Read one or more characters -> the logits of the next one, (V,)."""
        import torch

        self.ids += ids
        window = self.ids[window_start(len(self.ids), self.model.config.block_size) :]
        idx = torch.tensor([window], device=next(self.model.parameters()).device)  # (1, T)
        was_training = self.model.training
        self.model.eval()  # no dropout
        try:
            with torch.no_grad():
                logits, _ = self.model(idx)  # (1, T, V)
        finally:
            self.model.train(was_training)
        last: NDArray[np.float32] = logits[0, -1].cpu().numpy()  # (V,)
        return last


def decoder(model: "Startable | Rung") -> Decoder:
    """A new text for a numpy model (with its cache) or a torch one (without)."""
    start: Any = getattr(model, "start", None)
    text: Decoder = start() if start is not None else Rereader(model)  # type: ignore[arg-type]
    return text


def prompt_or_start(
    tokenizer: CharTokenizer, prompt: str, unknown: Unknown = "nearest"
) -> list[int]:
    """The ids of the prompt. Where nothing is left of it: a newline, which lines follow, or id 0.

    >>> tokenizer = CharTokenizer("\\t\\nab")
    >>> prompt_or_start(tokenizer, "ba"), prompt_or_start(tokenizer, "")
    ([3, 2], [1])
    """
    return tokenizer.encode(prompt, unknown) or [max(0, tokenizer.characters.find("\n"))]


def stream(
    model: "Startable | Rung", prompt_ids: Sequence[int], config: GenerateConfig, sample: int = 0
) -> Iterator[int]:
    """The ids that the model writes after the prompt, `config.length` of them, one by one.

    `prompt_ids` holds one id or more (`prompt_or_start`). `sample` numbers the texts of one seed,
    from 0.
    """
    assert len(prompt_ids) > 0, "a model needs a character to start from; see prompt_or_start"
    text = decoder(model)
    new = list(prompt_ids)
    for position in range(config.length):
        u = uniform(config.seed, position, stream=sample)
        logits = text.extend(new)  # (V,)
        new = [next_token(logits, u, config.temperature, config.top_k, config.top_p, config.min_p)]
        yield new[0]


def _undecided(text: str, stop: Sequence[str]) -> int:
    """How many characters at the end of `text` may yet become a stop string.

    >>> _undecided("the en", ["end", "never"]), _undecided("the sea", ["end", "never"])
    (2, 0)
    """
    return max(
        (
            length
            for string in stop
            for length in range(min(len(string) - 1, len(text)), 0, -1)
            if text.endswith(string[:length])
        ),
        default=0,
    )


def until(characters: Iterator[str], stop: Sequence[str]) -> Iterator[str]:
    """The same text in pieces, up to the first stop string to be complete, which is left out.

    Where two are complete at once the longer one counts. Characters that may be the beginning of a
    stop string are held back until that is decided.

    >>> list(until(iter("an enemy's end."), ["end"]))
    ['a', 'n', ' ', 'en', 'em', 'y', "'", 's', ' ']
    """
    held = ""
    for character in characters:
        held += character
        found = [len(string) for string in stop if held.endswith(string)]
        if found:
            held = held[: -max(found)]
            break
        certain = len(held) - _undecided(held, stop)
        if certain:
            yield held[:certain]
            held = held[certain:]
    if held:
        yield held


def write(
    model: "Startable | Rung",
    tokenizer: CharTokenizer,
    prompt: str,
    config: GenerateConfig,
    unknown: Unknown = "nearest",
    sample: int = 0,
) -> Iterator[str]:
    """The text that the model writes after the prompt, in pieces, each as soon as it is certain.

    The prompt is not repeated, and stop strings are not looked for in it. Its unknown characters
    are replaced or refused, as `CharTokenizer.encode` says.
    """
    ids = stream(model, prompt_or_start(tokenizer, prompt, unknown), config, sample)
    return until((tokenizer.characters[i] for i in ids), config.stop)
