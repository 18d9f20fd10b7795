"""One window of text, and every value that a model computes from it, under its name.

    trace = poet.trace("love this")
    trace["blocks.0.attention.weights"][1, -1]    # (T,): where head 1 looks from the last character
    trace["layers.0.mlp.up_proj.weight"]          # (F, C): learned tensors have names as well
    trace.names()                                 # as they are computed: ["ids", ..., "guess.4"]
    trace.describe("blocks.0.attention.weights").sentence
    trace.to_dict()                               # all of it, ready for JSON

The values are `Reference.trace`'s, and what is said of them is `values.py`'s: this file only brings
them together. What a person sees of them in a terminal is `looking.py`'s."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from babypoet import reference, sampling, values
from babypoet.config import ModelConfig
from babypoet.errors import SettingError
from babypoet.reference import Array, Reference, Weights
from babypoet.tokenizer import CharTokenizer, Unknown


@dataclass(frozen=True)
class Described:
    """What there is to say of one value, or of one learned tensor."""

    name: str
    axes: tuple[str, ...]
    """Its axes, as reference.py's dimension key names them: ("H", "T", "T")."""
    size: tuple[int, ...]
    """Its shape for this text: (4, 9, 9)."""
    sentence: str
    """What it is, in plain words."""
    equation: str | None
    """How it follows from the values before it; None for what was learned."""
    source: tuple[str, int] | None
    """The file and the line that compute it; None for what was learned."""

    @property
    def shape(self) -> str:
        """The axes as one word: "(H, T, T)"."""
        return f"({', '.join(self.axes)}{',' * (len(self.axes) == 1)})"

    @property
    def heads(self) -> int:
        """How many heads it has, 0 where it is not cut into heads."""
        return self.size[0] if len(self.axes) == 3 else 0

    @property
    def positions(self) -> int:
        """How many positions of the text it has, 0 for what was learned."""
        return self.size[-2 if len(self.axes) > 1 else -1] if "T" in self.axes else 0


class Trace:
    """One window of text and all that was computed from it; made by `Poet.trace`."""

    def __init__(
        self,
        config: ModelConfig,
        vocabulary: str,
        values: dict[str, Array],
        before: int = 0,
        started: bool = False,
        load_weights: Callable[[], Weights] = dict,
    ) -> None:
        self.config = config
        self.vocabulary = vocabulary
        """All characters that the model knows; an id is a place among them."""
        self.values = values
        self.before = before
        """How many characters of the text were left out, because they lie before the window."""
        self.started = started
        """Whether nothing was there to read, and the model was given something to begin with."""
        self._load_weights = load_weights

    @cached_property
    def weights(self) -> Weights:
        """The learned tensors, read when they are first asked for."""
        return self._load_weights()

    @property
    def ids(self) -> list[int]:
        """The window as numbers."""
        ids: list[int] = self.values["ids"].tolist()
        return ids

    @property
    def characters(self) -> list[str]:
        """The window, character by character, as the model read it."""
        return [self.vocabulary[i] for i in self.ids]

    @property
    def text(self) -> str:
        """The window as the model read it."""
        return "".join(self.characters)

    def names(self) -> list[str]:
        """The names of all values, in the order in which they are computed."""
        return list(self.values)

    def weight_names(self) -> list[str]:
        """The names of all learned tensors, in the order in which they are used."""
        patterns = [weight.name for weight in values.WEIGHTS]
        return sorted(
            reference.shapes(self.config),
            key=lambda name: (_block(name), patterns.index(values.pattern(name))),
        )

    def __contains__(self, name: str) -> bool:
        return name in self.values or name in reference.shapes(self.config)

    def __getitem__(self, name: str) -> Array:
        """A value or a learned tensor; a name that is neither is a SettingError with the nearest
        one."""
        self._check(name)
        return self.values[name] if name in self.values else self.weights[name]

    def describe(self, name: str) -> Described:
        """What a value or a learned tensor is; any other name is a SettingError."""
        self._check(name)
        if name not in self.values:
            weight = values.describe_weight(name)
            size = reference.shapes(self.config)[name]
            return Described(name, _axes(weight.shape), size, weight.sentence, None, None)
        value = values.describe(name, self.config.rung)
        equation = value.equation
        if name.startswith("guess."):  # its star is a number of blocks
            blocks = int(name.removeprefix("guess."))
            equation = equation.replace("* blocks", f"{blocks} block{'s' * (blocks != 1)}")
        source = values.source(name, self.config.rung)
        size = self.values[name].shape
        return Described(name, _axes(value.shape), size, value.sentence, equation, source)

    def _check(self, name: str) -> None:
        if name not in self:
            known = [*self.names(), *self.weight_names()]
            near = [n for n in known if n.endswith(f".{name}")]  # of which block was not said
            near = near or difflib.get_close_matches(name, known, 1, 0.5)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise SettingError(
                f"This {self.config.rung} model has no value {name!r}. {hint}"
                "`babypoet look --list` names them all."
            )

    def about(self) -> dict[str, Any]:
        """What was read, and by what, as plain values for JSON."""
        return {
            "rung": self.config.rung,
            "text": self.text,
            "before": self.before,
            "characters": list(self.vocabulary),
        }

    def to_dict(self) -> dict[str, Any]:
        """What was read and all values, as plain values for JSON."""
        listed = [entry(self.describe(name), value) for name, value in self.values.items()]
        return self.about() | {"values": listed}


def entry(described: Described, value: Array | None = None) -> dict[str, Any]:
    """One value as plain values for JSON: -infinity, which JSON has not, is null.

    Without `value`: only what there is to say of it."""
    source = described.source
    said: dict[str, Any] = {
        "name": described.name,
        "axes": described.shape,
        "shape": list(described.size),
        "equation": described.equation,
        "sentence": described.sentence,
        "source": None if source is None else {"file": source[0], "line": source[1]},
    }
    if value is None:
        return said
    finite = np.isfinite(value)
    if finite.all():
        return said | {"values": value.tolist()}
    meant = "-infinity" if np.isneginf(value[~finite]).all() else "infinity, or not a number"
    nullable = value.astype(object)
    nullable[~finite] = None
    return said | {"note": f"null stands for {meant}", "values": nullable.tolist()}


def trace_of(
    model: Reference,
    tokenizer: CharTokenizer,
    text: str,
    unknown: Unknown = "nearest",
    load_weights: Callable[[], Weights] = dict,
) -> Trace:
    """Trace a text, or of a longer one the window that the model predicts its next character from.

    An empty text is a line break, as for `Poet.write`. Unknown characters are replaced or refused,
    as `CharTokenizer.encode` says."""
    started = not tokenizer.encode(text, unknown)
    ids = sampling.prompt_or_start(tokenizer, text, unknown)
    before = reference.window_start(len(ids), model.config.block_size)
    traced = model.trace(ids[before:])
    return Trace(model.config, tokenizer.characters, traced, before, started, load_weights)


def _axes(shape: str) -> tuple[str, ...]:
    """
    >>> _axes("(T,)"), _axes("(H D, C)")
    (('T',), ('H D', 'C'))
    """
    return tuple(axis.strip() for axis in shape.strip("()").split(",") if axis.strip())


def _block(name: str) -> int:
    """Where a learned tensor belongs: before the blocks (-1), in one of them, after them.

    >>> [_block(name) for name in ("wte.weight", "h.3.ln_1.bias", "ln_f.weight")]
    [-1, 3, 1000000]
    """
    number = next((part for part in name.split(".") if part.isdigit()), None)
    if number is not None:
        return int(number)
    last = name.startswith(("norm.", "ln_f.", "lm_head."))
    return 1_000_000 if last else -1
