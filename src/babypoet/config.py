"""Every setting, once: frozen dataclasses whose fields become the flags of the command line.

A field's docstring is its `--help`. None means "chosen for you": `planning.py` resolves it from the
text and the machine, and the run folder records what was chosen. Nothing here imports torch or
numpy, so that `babypoet --help` answers at once."""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from babypoet.errors import SettingError

RungName = Literal["bigram", "attention", "multihead", "transformer", "modern"]
RUNG_NAMES: tuple[str, ...] = get_args(RungName)
RESERVED = ("<|unk|>", "<|endoftext|>")


def flag(field: str) -> str:
    """The command line's name of a field.

    >>> flag("n_embd")
    '--n-embd'
    """
    return "--" + field.replace("_", "-")


def reject_unknown(names: Mapping[str, Any], cls: type[Any]) -> None:
    """Raise SettingError for a name that `cls` has no field for, with the nearest one it has."""
    known = [field.name for field in fields(cls)]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}."
            raise SettingError(f"There is no setting {name!r}. {hint}")


@dataclass(frozen=True)
class Stored:
    """Settings that a run folder keeps."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; an unknown key is a SettingError."""
        reject_unknown(values, cls)
        return cls(**values)


@dataclass(frozen=True)
class ModelConfig(Stored):
    """The shape of a model: all that `ladder.build` needs to know."""

    rung: str = "modern"
    """Which model of the ladder: bigram, attention, multihead, transformer or modern."""
    vocab_size: int = 79
    """V, the number of distinct characters; the tables have two reserved rows more."""
    block_size: int = 128
    """The context: how many characters back the model can look."""
    n_layer: int = 4
    """How many blocks stand on each other (transformer and modern)."""
    n_head: int = 4
    """How many attention heads work side by side."""
    n_kv_head: int = 4
    """How many key and value heads they share (modern)."""
    n_embd: int = 128
    """How many channels a character's vector has."""
    dropout: float = 0.0
    """The share of each layer's additions that is dropped while training."""
    rope_base: float = 10000.0
    """The base of RoPE's wavelengths (modern)."""

    def __post_init__(self) -> None:
        if self.rung not in RUNG_NAMES:
            raise SettingError(
                f"There is no rung {self.rung!r}. There are: {', '.join(RUNG_NAMES)}."
            )
        for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_kv_head", "n_embd"):
            value = getattr(self, name)
            if value < 1:
                raise SettingError(f"{flag(name)} is {value}; it must be 1 or more.")
        if not 0 <= self.dropout < 1:
            raise SettingError(f"--dropout is {self.dropout}; it must be at least 0 and below 1.")
        if self.rope_base <= 0:
            raise SettingError(f"rope_base is {self.rope_base}; it must be above 0.")
        if self.rung in ("bigram", "attention"):
            return  # neither cuts its channels into heads
        if self.n_embd % self.n_head:
            step = self.n_head * (2 if self.rung == "modern" else 1)
            raise SettingError(
                f"--n-embd {self.n_embd} cannot be cut into --n-head {self.n_head} equal heads; "
                f"try --n-embd {max(1, round(self.n_embd / step)) * step}."
            )
        if self.rung == "modern" and self.n_head % self.n_kv_head:
            raise SettingError(
                f"--n-head {self.n_head} heads cannot share --n-kv-head {self.n_kv_head} evenly; "
                f"--n-kv-head must divide --n-head."
            )
        if self.rung == "modern" and self.head_size % 2:
            raise SettingError(
                f"--n-embd {self.n_embd} over --n-head {self.n_head} makes heads of "
                f"{self.head_size} channels; RoPE turns channels in pairs and needs an even number."
            )

    @property
    def rows(self) -> int:
        """R = V + 2: the rows of the embedding and the output table."""
        return self.vocab_size + len(RESERVED)

    @property
    def head_size(self) -> int:
        """D = C / H."""
        return self.n_embd // self.n_head

    @property
    def n_hidden(self) -> int:
        """F of the SwiGLU layer: 8/3 of n_embd, which costs what GELU's 4 do, in eights."""
        return -(-8 * self.n_embd // 3 // 8) * 8


@dataclass(frozen=True)
class TrainConfig(Stored):
    """How to train. None means: chosen for you, from the text and the machine."""

    rung: RungName = "modern"
    """Which model of the ladder to train."""
    steps: int | None = None
    """How many updates to make."""
    minutes: float | None = None
    """How long to train; it is turned into a number of steps once, at the start."""
    seed: int = 0
    """Where all randomness comes from; the same seed gives the same run."""
    block_size: int | None = None
    """The context: how many characters back the model can look."""
    n_layer: int | None = None
    """How many blocks stand on each other (transformer and modern)."""
    n_head: int | None = None
    """How many attention heads work side by side."""
    n_kv_head: int | None = None
    """How many key and value heads they share (modern)."""
    n_embd: int | None = None
    """How many channels a character's vector has."""
    dropout: float | None = None
    """The share of each layer's additions that is dropped while training."""
    batch_size: int | None = None
    """How many windows of the text an update learns from."""
    accumulate: int = 1
    """Work through an update's windows in this many equal portions, to save memory."""
    learning_rate: float | None = None
    """AdamW's peak learning rate."""
    matrix_learning_rate: float | None = None
    """Muon's peak learning rate, for the matrices inside the blocks (transformer and modern)."""
    weight_decay: float | None = None
    """How strongly matrices are pulled towards zero."""
    warmup: int | None = None
    """How many updates the learning rate takes to rise to its peak; then it falls to zero."""
    grad_clip: float = 1.0
    """Gradients longer than this are shortened to it."""
    evaluate_every: int | None = None
    """Measure the loss on the validation part, and save, every so many updates."""
    patience: int | None = None
    """Stop after so many evaluations without a better one."""
    snapshots: int = 12
    """How many moments of the training to keep in the run's history, with what it wrote then."""
    keep: int = 2
    """How many of the latest checkpoints to keep beside the best one."""
    holdout: float | None = None
    """The part held out for judging: a share below 1, or a number of characters."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """How precisely to multiply."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Whether to compile the model first; auto does where it pays for the time it takes."""

    def __post_init__(self) -> None:
        if self.rung not in RUNG_NAMES:
            raise SettingError(
                f"There is no rung {self.rung!r}. There are: {', '.join(RUNG_NAMES)}."
            )
        if self.steps is not None and self.minutes is not None:
            raise SettingError(
                f"--steps {self.steps} and --minutes {self.minutes:g} exclude each other; give one."
            )
        at_least_one = (
            "steps",
            "block_size",
            "n_layer",
            "n_head",
            "n_kv_head",
            "n_embd",
            "batch_size",
        )
        for name in (*at_least_one, "accumulate", "evaluate_every", "patience", "keep"):
            self._require(name, lambda value: value >= 1, "1 or more")
        for name in ("minutes", "learning_rate", "matrix_learning_rate", "grad_clip", "holdout"):
            self._require(name, lambda value: 0 < value < float("inf"), "a finite number above 0")
        for name in ("seed", "warmup", "weight_decay", "snapshots"):
            self._require(name, lambda value: 0 <= value < float("inf"), "0 or more")
        if self.holdout is not None and self.holdout >= 1:
            if self.holdout != int(self.holdout):
                raise SettingError(
                    f"--holdout is {self.holdout}; it must be a share below 1, like 0.1, or a "
                    "whole number of characters, like 5000."
                )
            object.__setattr__(self, "holdout", int(self.holdout))  # frozen, and not yet shown
        self._require("dropout", lambda value: 0 <= value < 1, "at least 0 and below 1")
        if self.batch_size is not None and self.batch_size % self.accumulate:
            raise SettingError(
                f"--batch-size {self.batch_size} cannot be worked through in --accumulate "
                f"{self.accumulate} equal portions; make one divide the other."
            )

    def _require(self, name: str, holds: Callable[[float], bool], what: str) -> None:
        value = getattr(self, name)
        if value is not None and not holds(value):
            raise SettingError(f"{flag(name)} is {value}; it must be {what}.")

    def given(self) -> dict[str, Any]:
        """The settings that differ from the defaults: those given by hand."""
        return {f.name: v for f in fields(self) if (v := getattr(self, f.name)) != f.default}


@dataclass(frozen=True)
class GenerateConfig:
    """How to write."""

    length: int = 500
    """How many characters to write."""
    temperature: float = 0.8
    """How daring: 0 always takes the likeliest character, 1 draws as predicted, more is wilder."""
    top_k: int | None = None
    """Draw from the K likeliest characters only."""
    top_p: float | None = None
    """Draw from the fewest characters that together have this probability."""
    min_p: float | None = None
    """Leave out characters less likely than this share of the likeliest one's probability."""
    stop: tuple[str, ...] = ()
    """Stop before the first of these that is written; \\n means a new line."""
    n: int = 1
    """How many texts to write."""
    seed: int = 0
    """The same seed writes the same text."""

    def __post_init__(self) -> None:
        def check(flag: str, value: object, ok: bool, rule: str) -> None:
            if not ok:
                raise SettingError(f"{flag} is {value}; it must be {rule}.")

        daring = self.temperature
        check("--length", self.length, self.length >= 1, "1 or more")
        check("--temperature", daring, 0 <= daring < math.inf, "0 or more, and finite")
        check("--top-k", self.top_k, self.top_k is None or self.top_k >= 1, "1 or more")
        check(
            "--top-p", self.top_p, self.top_p is None or 0 < self.top_p <= 1, "above 0, at most 1"
        )
        check("--min-p", self.min_p, self.min_p is None or 0 <= self.min_p <= 1, "from 0 to 1")
        check("--n", self.n, self.n >= 1, "1 or more")
        check("--seed", self.seed, self.seed >= 0, "0 or more")
        if isinstance(self.stop, str):
            raise SettingError(f"stop is a string; give a tuple of them: stop=({self.stop!r},).")
        if "" in self.stop:
            raise SettingError(
                "--stop is empty; give the characters to stop before, or leave it out."
            )
