"""What every value of the forward pass is: its equation, its shape, a plain sentence, its line.

    names(config)                        # ["ids", "cosine", ..., "guess.4"], as they are computed
    describe("blocks.0.attention.weights", "modern").equation      # "exponentials / the row's sum"
    source("blocks.0.attention.weights", "modern")                 # ("reference.py", 177)
    describe_weight("layers.0.mlp.up_proj.weight").sentence

`TABLE` and `WEIGHTS` are read by `babypoet look` and by the page. A `*` stands for the number of a
block. The sentences lie with all other words of the page in page/strings.json, where they can be
translated. Nothing here computes a value: that is `reference.py`.
"""

import functools
import inspect
import itertools
import json
import re
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import FrameType

import numpy as np

from babypoet import reference
from babypoet.config import ModelConfig
from babypoet.errors import SettingError
from babypoet.reference import Array, Note, Reference

STREAM = ("transformer", "modern")
LOOKING = ("attention", "multihead", *STREAM)
ALL = ("bigram", *LOOKING)


@dataclass(frozen=True)
class Value:
    """One named value, or one for each block."""

    name: str
    """Its name; `*` stands for the number of a block, or for a number of blocks in `guess.*`."""
    shape: str
    """Its axes, as reference.py's dimension key names them."""
    equation: str
    """How it follows from the values before it."""
    rungs: tuple[str, ...] = ALL
    """The models that have it."""

    @property
    def sentence(self) -> str:
        """What it is, in plain words."""
        return strings()[f"value.{self.name}"]


@dataclass(frozen=True)
class Weight:
    """One learned tensor, or one for each block."""

    name: str
    """Its name in the weights' file; `*` stands for the number of a block."""
    shape: str
    """Its axes; a matrix has a row for each output."""

    @property
    def sentence(self) -> str:
        """What it is, in plain words."""
        return strings()[f"weight.{self.name}"]


MODERN = ("modern",)
GPT2 = ("transformer",)
LEARNED_PLACES = ("attention", "multihead", "transformer")
UNBIASED = ("attention", "multihead", "modern")

TABLE = (
    Value("ids", "(T,)", "the place of each character in the sorted list of all characters"),
    Value("cosine", "(T, D)", "cos(t / base^(2i/D)) at position t, for channel pair i", MODERN),
    Value("sine", "(T, D)", "-sin, then +sin, of the same angles", MODERN),
    Value("embedding", "(T, C)", "row ids[t] of the embedding table", LOOKING),
    Value("positions", "(T, C)", "row t of the position table", LEARNED_PLACES),
    Value("input", "(T, C)", "embedding + positions", LEARNED_PLACES),
    Value("input", "(T, C)", "embedding", MODERN),
    Value("blocks.*.norm_1.mean", "(T, 1)", "mean(x)", GPT2),
    Value("blocks.*.norm_1.root", "(T, 1)", "sqrt(mean((x - mean)^2) + eps)", GPT2),
    Value("blocks.*.norm_1.root", "(T, 1)", "sqrt(mean(x^2) + eps)", MODERN),
    Value("blocks.*.norm_1", "(T, C)", "(x - mean) / root * weight + bias", GPT2),
    Value("blocks.*.norm_1", "(T, C)", "x / root * weight", MODERN),
    Value("blocks.*.attention.query", "(H, T, D)", "x @ W_query + bias, cut into heads", GPT2),
    Value("blocks.*.attention.query", "(H, T, D)", "x @ W_query, cut into heads", UNBIASED),
    Value("blocks.*.attention.key", "(K, T, D)", "x @ W_key + bias, cut into heads", GPT2),
    Value("blocks.*.attention.key", "(K, T, D)", "x @ W_key, cut into heads", UNBIASED),
    Value("blocks.*.attention.value", "(K, T, D)", "x @ W_value + bias, cut into heads", GPT2),
    Value("blocks.*.attention.value", "(K, T, D)", "x @ W_value, cut into heads", UNBIASED),
    Value("blocks.*.attention.query_root", "(H, T, 1)", "sqrt(mean(query^2) + eps)", MODERN),
    Value("blocks.*.attention.key_root", "(K, T, 1)", "sqrt(mean(key^2) + eps)", MODERN),
    Value("blocks.*.attention.query_normed", "(H, T, D)", "query / query_root * weight", MODERN),
    Value("blocks.*.attention.key_normed", "(K, T, D)", "key / key_root * weight", MODERN),
    Value(
        "blocks.*.attention.query_turned",
        "(H, T, D)",
        "query_normed * cosine + its other half * sine",
        MODERN,
    ),
    Value(
        "blocks.*.attention.key_turned",
        "(K, T, D)",
        "key_normed * cosine + its other half * sine",
        MODERN,
    ),
    Value("blocks.*.attention.scores", "(H, T, T)", "query . key, for each pair", LOOKING),
    Value("blocks.*.attention.scaled", "(H, T, T)", "scores / sqrt(D)", LOOKING),
    Value("blocks.*.attention.masked", "(H, T, T)", "scaled, or -infinity for what comes", LOOKING),
    Value("blocks.*.attention.exponentials", "(H, T, T)", "e^(masked - the row's most)", LOOKING),
    Value("blocks.*.attention.weights", "(H, T, T)", "exponentials / the row's sum", LOOKING),
    Value("blocks.*.attention.mixed", "(H, T, D)", "weights @ value", LOOKING),
    Value("blocks.*.attention.output", "(T, C)", "mixed, its one head", ("attention",)),
    Value("blocks.*.attention.output", "(T, C)", "the heads side by side @ W_out", ("multihead",)),
    Value("blocks.*.attention.output", "(T, C)", "the heads side by side @ W_out + bias", GPT2),
    Value("blocks.*.attention.output", "(T, C)", "the heads side by side @ W_out", MODERN),
    Value("blocks.*.after_attention", "(T, C)", "the stream + attention.output", STREAM),
    Value("blocks.*.norm_2.mean", "(T, 1)", "mean(x)", GPT2),
    Value("blocks.*.norm_2.root", "(T, 1)", "sqrt(mean((x - mean)^2) + eps)", GPT2),
    Value("blocks.*.norm_2.root", "(T, 1)", "sqrt(mean(x^2) + eps)", MODERN),
    Value("blocks.*.norm_2", "(T, C)", "(x - mean) / root * weight + bias", GPT2),
    Value("blocks.*.norm_2", "(T, C)", "x / root * weight", MODERN),
    Value("blocks.*.mlp.hidden", "(T, F)", "norm_2 @ W_fc + bias", GPT2),
    Value("blocks.*.mlp.gate", "(T, F)", "norm_2 @ W_gate", MODERN),
    Value("blocks.*.mlp.up", "(T, F)", "norm_2 @ W_up", MODERN),
    Value(
        "blocks.*.mlp.activated",
        "(T, F)",
        "hidden / 2 * (1 + tanh(sqrt(2/pi) * (hidden + 0.044715 hidden^3)))",
        GPT2,
    ),
    Value("blocks.*.mlp.activated", "(T, F)", "gate / (1 + e^-gate) * up", MODERN),
    Value("blocks.*.mlp.output", "(T, C)", "activated @ W_proj + bias", GPT2),
    Value("blocks.*.mlp.output", "(T, C)", "activated @ W_down", MODERN),
    Value("blocks.*.after_mlp", "(T, C)", "after_attention + mlp.output", STREAM),
    Value("norm.mean", "(T, 1)", "mean(x)", GPT2),
    Value("norm.root", "(T, 1)", "sqrt(mean((x - mean)^2) + eps)", GPT2),
    Value("norm.root", "(T, 1)", "sqrt(mean(x^2) + eps)", MODERN),
    Value("norm", "(T, C)", "(x - mean) / root * weight + bias", GPT2),
    Value("norm", "(T, C)", "x / root * weight", MODERN),
    Value("scores", "(T, R)", "row ids[t] of the table", ("bigram",)),
    Value("scores", "(T, R)", "attention.output @ W_head + bias", ("attention", "multihead")),
    Value("scores", "(T, R)", "norm @ W_head", STREAM),
    Value("logits", "(T, V)", "scores without the two reserved rows"),
    Value("probabilities", "(T, V)", "e^logits / their sum"),
    Value("guess.*", "(T, V)", "softmax(norm(the stream after * blocks) @ W_head)", STREAM),
)
"""Every value in the order in which it is computed."""

_FOUR = ("query", "key", "value", "proj")
WEIGHTS = (
    Weight("table.weight", "(R, R)"),
    Weight("wte.weight", "(R, C)"),
    Weight("wpe.weight", "(positions, C)"),
    Weight("embed_tokens.weight", "(R, C)"),
    *(Weight(f"attention.{name}.weight", "(C, C)") for name in _FOUR),
    Weight("h.*.ln_1.weight", "(C,)"),
    Weight("h.*.ln_1.bias", "(C,)"),
    *(Weight(f"h.*.attn.{name}.weight", "(C, C)") for name in _FOUR),
    *(Weight(f"h.*.attn.{name}.bias", "(C,)") for name in _FOUR),
    Weight("h.*.ln_2.weight", "(C,)"),
    Weight("h.*.ln_2.bias", "(C,)"),
    Weight("h.*.mlp.c_fc.weight", "(F, C)"),
    Weight("h.*.mlp.c_fc.bias", "(F,)"),
    Weight("h.*.mlp.c_proj.weight", "(C, F)"),
    Weight("h.*.mlp.c_proj.bias", "(C,)"),
    Weight("ln_f.weight", "(C,)"),
    Weight("ln_f.bias", "(C,)"),
    Weight("layers.*.input_layernorm.weight", "(C,)"),
    Weight("layers.*.self_attn.q_proj.weight", "(H D, C)"),
    Weight("layers.*.self_attn.k_proj.weight", "(K D, C)"),
    Weight("layers.*.self_attn.v_proj.weight", "(K D, C)"),
    Weight("layers.*.self_attn.q_norm.weight", "(D,)"),
    Weight("layers.*.self_attn.k_norm.weight", "(D,)"),
    Weight("layers.*.self_attn.o_proj.weight", "(C, H D)"),
    Weight("layers.*.post_attention_layernorm.weight", "(C,)"),
    Weight("layers.*.mlp.gate_proj.weight", "(F, C)"),
    Weight("layers.*.mlp.up_proj.weight", "(F, C)"),
    Weight("layers.*.mlp.down_proj.weight", "(C, F)"),
    Weight("norm.weight", "(C,)"),
    Weight("lm_head.weight", "(R, C)"),
    Weight("lm_head.bias", "(R,)"),
)
"""Every learned tensor, in the order in which it is used."""


@functools.cache
def strings() -> dict[str, str]:
    """All words of the page and of these tables: page/strings.json."""
    text = (files("babypoet") / "page" / "strings.json").read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(text)
    return found


def pattern(name: str) -> str:
    """The table's form of a name.

    >>> pattern("blocks.0.attention.weights"), pattern("guess.4"), pattern("layers.2.mlp.x")
    ('blocks.*.attention.weights', 'guess.*', 'layers.*.mlp.x')
    """
    return re.sub(r"(?<=\.)\d+(?=\.|$)", "*", name)


def names(config: ModelConfig) -> list[str]:
    """The names of all values of a model, in the order in which they are computed.

    >>> names(ModelConfig(rung="bigram"))
    ['ids', 'scores', 'logits', 'probabilities']
    """
    own = [value.name for value in TABLE if config.rung in value.rungs]
    blocks = config.n_layer if config.rung in STREAM else 1
    found: list[str] = []
    for repeated, some in itertools.groupby(own, lambda name: name.startswith("blocks.")):
        part = list(some)
        times = range(blocks) if repeated else range(1)
        found += [name.replace("blocks.*", f"blocks.{i}") for i in times for name in part]
    if "guess.*" in found:  # it comes last: one before the first block, one after each
        found[-1:] = [f"guess.{i}" for i in range(blocks + 1)]
    return found


def describe(name: str, rung: str) -> Value:
    """The table's entry for a name; a name that the rung has not is a SettingError."""
    wanted = pattern(name)
    for value in TABLE:
        if value.name == wanted and rung in value.rungs:
            return value
    raise SettingError(f"A {rung} model has no value {name!r}. `babypoet look --list` names them.")


def describe_weight(name: str) -> Weight:
    """The table's entry for a learned tensor; any other name is a SettingError."""
    for weight in WEIGHTS:
        if weight.name == pattern(name):
            return weight
    raise SettingError(f"No model has a tensor {name!r}. `babypoet look --list` names them.")


def source(name: str, rung: str) -> tuple[str, int]:
    """The file and the line that computes a value: what stands there now, not what stood there."""
    return Path(reference.__file__).name, _lines(rung)[pattern(name)]


@functools.cache
def _lines(rung: str) -> dict[str, int]:
    """The line of each value's `note`, seen by letting a tiny model run."""
    found: dict[str, int] = {}
    config = ModelConfig(
        rung, vocab_size=2, block_size=1, n_layer=1, n_head=1, n_kv_head=1, n_embd=2
    )
    zeros = {name: np.zeros(shape, np.float32) for name, shape in reference.shapes(config).items()}
    model = Reference(config, zeros)
    cache = model.start()
    cache.values = {}
    noting = cache.noting

    def watched(prefix: str) -> Note:
        keep = noting(prefix)

        def note(name: str, value: Array) -> Array:
            found.setdefault(pattern(prefix + name), _caller(sys._getframe(1)).f_lineno)
            return keep(name, value)

        return note

    cache.noting = watched  # type: ignore[method-assign]
    model.read([0], cache)
    for name in ("ids", "probabilities", "guess.*"):  # these are put down without a `note`
        found[name] = _line_of_trace(f'"{name.removesuffix("*")}')
    return found


def _line_of_trace(code: str) -> int:
    """The line of `Reference.trace` that holds this piece of code."""
    lines, first = inspect.getsourcelines(Reference.trace)
    end_of_docstring = len((Reference.trace.__doc__ or "").splitlines())
    return next(first + i for i in range(end_of_docstring + 1, len(lines)) if code in lines[i])


def _caller(frame: FrameType) -> FrameType:
    """The frame that computed what is noted: not one that only passes it on under two names."""
    while frame.f_code.co_name in ("note_both", "_note_heads") and frame.f_back:
        frame = frame.f_back
    return frame
