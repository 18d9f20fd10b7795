"""Traces: each named value beside what PyTorch computes for it, the same values read in parts, and
`Trace`, which brings them together with what there is to say of them.

Sizes are pairwise distinct: V 11, R 13, block_size 7, C 24, H 6, K 3, D 4, F 64 or 96, 2 blocks.
"""

import importlib.util
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from babypoet import ladder, reference, runs, values
from babypoet.config import RUNG_NAMES, ModelConfig
from babypoet.errors import SettingError, UnknownCharacterError
from babypoet.ladder import Rung
from babypoet.poet import Poet
from babypoet.reference import Array, Reference, unseen
from babypoet.sampling import distribution
from babypoet.tokenizer import CharTokenizer
from babypoet.trace import Trace, trace_of

IDS = np.random.default_rng(0).integers(0, 11, 40).tolist()
BLOCK_SIZE = 7
Randomise = Callable[[Rung, int], Rung]


def config_of(rung: str, wide: bool = False) -> ModelConfig:
    """`wide`: matrices so large that the reference cuts them into blocks."""
    heads = {"attention": (1, 1), "modern": (6, 3)}.get(rung, (6, 6))
    if wide:
        return ModelConfig(rung, 83, 29, 2, *heads, n_embd=120)
    return ModelConfig(rung, 11, BLOCK_SIZE, 2, *heads, n_embd=24)


def reference_of(model: Rung, module: Any = reference) -> Reference:
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    made: Reference = module.Reference(model.config, weights)
    return made


# --- what PyTorch computes ------------------------------------------------------------------------


class Operations(TorchFunctionMode):
    """The results of the tensor operations inside, in order, by the operation's name."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[str, Any]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.done.append((getattr(func, "__name__", ""), result))
        return result

    def first(self, *names: str) -> Tensor:
        found: Tensor = next(result for name, result in self.done if name in names)
        return found


class Watched:
    """One forward pass of a ladder model, written out: what went into and came out of every module,
    and what the functions of ladder.py did in each."""

    FUNCTIONS = ("softmax", "layer_norm", "rms_norm", "rope", "gelu", "swiglu", "causal_attention")

    def __init__(self, model: Rung, ids: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
        self.inputs: dict[str, Tensor] = {}
        self.outputs: dict[str, Tensor] = {}
        self.calls: dict[tuple[str, str], list[tuple[tuple[Any, ...], Tensor, Operations]]] = {}
        self.inside = [""]
        hooks = [hook for name, m in model.named_modules() for hook in self._hooks(name, m)]
        with monkeypatch.context() as patch, torch.no_grad(), ladder.written_out():
            for name in self.FUNCTIONS:
                patch.setattr(ladder, name, self._recording(name, getattr(ladder, name)))
            self.logits = model(torch.tensor([ids]))[0]
        for hook in hooks:
            hook.remove()

    def _hooks(self, name: str, module: nn.Module) -> Iterator[Any]:
        def before(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            self.inside.append(name)
            self.inputs[name] = arguments[0]

        def after(module: nn.Module, arguments: Any, result: Any) -> None:
            self.inside.pop()
            self.outputs[name] = result

        yield module.register_forward_pre_hook(before)
        yield module.register_forward_hook(after)

    def _recording(self, name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def recorded(*arguments: Any) -> Tensor:
            with Operations() as operations:
                result = function(*arguments)
            call = (arguments, result, operations)
            self.calls.setdefault((self.inside[-1], name), []).append(call)
            return result

        return recorded

    def call(self, module: str, function: str, which: int = 0) -> tuple[Any, Tensor, Operations]:
        return self.calls[module, function][which]


def heads(x: Tensor, count: int) -> Tensor:
    """(1, T, heads D) -> (1, heads, T, D)"""
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def torch_values(watched: Watched, config: ModelConfig, ids: list[int]) -> dict[str, Tensor]:
    """The named values that torch has, with the batch's axis in front."""
    rung, out = config.rung, watched.outputs
    found = {"ids": torch.tensor([ids]), "logits": watched.logits}
    found["scores"] = out["table" if rung == "bigram" else "lm_head"]
    if rung == "bigram":
        return found
    modern, deep = rung == "modern", rung in values.STREAM
    found["embedding"] = out["embed_tokens" if modern else "wte"]
    if not modern:
        found["positions"] = out["wpe"][None]
    blocks = {"modern": "layers.{}", "transformer": "h.{}"}.get(rung, "")
    found["input"] = watched.inputs[blocks.format(0) or "attention"]
    for i in range(config.n_layer if deep else 1):
        block = blocks.format(i) + "." * deep
        inner = {"modern": "self_attn", "transformer": "attn"}.get(rung, "attention")
        found |= _attention(watched, config, f"blocks.{i}.attention.", block + inner)
        if deep:
            found |= _rest_of_block(watched, rung, f"blocks.{i}.", block)
    if modern:
        found["cosine"] = watched.call("layers.0.self_attn", "rope")[0][1][None]
    if deep:
        found |= _norm(watched, rung, "norm", "norm" if modern else "ln_f")
    return found


def _norm(watched: Watched, rung: str, name: str, module: str) -> dict[str, Tensor]:
    found = {name: watched.outputs[module]}
    if rung == "modern":
        return found | {f"{name}.root": watched.call(module, "rms_norm")[2].first("sqrt")}
    operations = watched.call(module, "layer_norm")[2]
    return found | {
        f"{name}.mean": operations.first("mean"),
        f"{name}.root": operations.first("sqrt"),
    }


def _attention(watched: Watched, config: ModelConfig, name: str, module: str) -> dict[str, Tensor]:
    modern = config.rung == "modern"
    H = 1 if config.rung == "attention" else config.n_head
    found = {}
    for kind, count in {"query": H, "key": H, "value": H}.items():
        if modern and kind != "query":
            count = config.n_kv_head
        inner = f"{module}.{kind[0]}_proj" if modern else f"{module}.{kind}"
        found[name + kind] = heads(watched.outputs[inner], count)
    for which, kind in enumerate(("query", "key")) if modern else ():
        normed = _norm(watched, "modern", f"{name}{kind}", f"{module}.{kind[0]}_norm")
        found[f"{name}{kind}_root"] = normed[f"{name}{kind}.root"]
        found[f"{name}{kind}_normed"] = normed[f"{name}{kind}"]
        found[f"{name}{kind}_turned"] = watched.call(module, "rope", which)[1]
    _, mixed, operations = watched.call(module, "causal_attention")
    (masked,), weights, inside = watched.call(module, "softmax")
    return found | {
        f"{name}scores": operations.first("matmul", "__matmul__"),
        f"{name}scaled": operations.first("div", "__truediv__", "true_divide"),
        f"{name}masked": masked,
        f"{name}exponentials": inside.first("exp"),
        f"{name}weights": weights,
        f"{name}mixed": mixed,
        f"{name}output": watched.outputs[module],
    }


def _rest_of_block(watched: Watched, rung: str, name: str, block: str) -> dict[str, Tensor]:
    modern, out = rung == "modern", watched.outputs
    norms = ("input_layernorm", "post_attention_layernorm") if modern else ("ln_1", "ln_2")
    found = _norm(watched, rung, f"{name}norm_1", block + norms[0])
    found |= _norm(watched, rung, f"{name}norm_2", block + norms[1])
    found[f"{name}after_attention"] = watched.inputs[block + norms[1]]
    found[f"{name}after_mlp"] = out[block.rstrip(".")]
    found[f"{name}mlp.output"] = out[f"{block}mlp"]
    found[f"{name}mlp.activated"] = watched.call(f"{block}mlp", "swiglu" if modern else "gelu")[1]
    inner = {"gate": "gate_proj", "up": "up_proj"} if modern else {"hidden": "c_fc"}
    return found | {f"{name}mlp.{part}": out[f"{block}mlp.{m}"] for part, m in inner.items()}


LEFT = {
    "sine": "torch keeps the sine without its sign, and negates half of the vector instead",
    "probabilities": "the ladder stops at the logits",
    "guess.*": "the ladder reads the stream only once, after the last block",
}


@torch.no_grad()
def put_together(model: Rung, watched: Watched, found: dict[str, Tensor]) -> dict[str, Tensor]:
    """What torch has no name for, from what it has."""
    V, rung = model.config.vocab_size, model.config.rung
    made = {"probabilities": torch.softmax(watched.logits, dim=-1)}
    if rung in values.STREAM:
        norm = model.get_submodule("norm" if rung == "modern" else "ln_f")
        streams = [found["input"]]
        streams += [found[f"blocks.{i}.after_mlp"] for i in range(model.config.n_layer)]
        for i, x in enumerate(streams):
            logits = model.get_submodule("lm_head")(norm(x))[..., :V]
            made[f"guess.{i}"] = torch.softmax(logits, dim=-1)
    if rung == "modern":
        sine = watched.call("layers.0.self_attn", "rope")[0][2]
        half = sine.shape[-1] // 2
        made["sine"] = torch.cat((-sine[:, :half], sine[:, half:]), dim=-1)[None]
    return made


def apart(a: Array, b: Array) -> float:
    """The largest difference between finite numbers, relative to the largest of them in `b`; the
    infinite ones must stand in the same places."""
    if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return np.inf
    finite = np.isfinite(b)
    scale = np.abs(b[finite]).max()
    return float(np.abs(a[finite] - b[finite]).max() / scale) if scale else float(a.any())


def differences(
    model: Rung, ids: list[int], patch: pytest.MonkeyPatch, module: Any = reference
) -> tuple[dict[str, float], set[str]]:
    """How far each value of the trace is from torch's, and the names that torch has not."""
    trace = reference_of(model, module).trace(ids)
    watched = Watched(model, ids, patch)
    found = torch_values(watched, model.config, ids)
    left = set(trace) - set(found)
    found |= put_together(model, watched, found)
    assert set(found) == set(trace)
    distances = {name: apart(x, found[name][0].numpy()) for name, x in trace.items()}
    for name in trace:
        if name.endswith(".mean"):  # large numbers cancel in it: the scale is theirs
            scale = np.abs(trace[name.replace(".mean", ".root")]).max()
            distances[name] *= float(np.abs(trace[name]).max() / scale)
    return distances, left


@pytest.mark.parametrize("wide", [False, True], ids=["small", "wide"])
@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_every_value_is_torchs(
    rung: str, wide: bool, randomise: Randomise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 1e-5 of the value's largest number; of a mean, of what it is divided by later."""
    config = config_of(rung, wide)
    for seed, length in enumerate((1, 2, 5, config.block_size)):
        model = randomise(ladder.build(config).eval(), seed)
        distances, left = differences(model, IDS[:length], monkeypatch)
        assert {name: d for name, d in distances.items() if not d < 1e-5} == {}
        assert {values.pattern(name) for name in left} == {
            name for name in LEFT if any(values.pattern(n) == name for n in distances)
        }


def test_nothing_else_is_left_out() -> None:
    """Each reason is one for a name that there is."""
    assert set(LEFT) < {value.name for value in values.TABLE}


FAULTS = {
    "sine": ("modern", "cosine, sine = np.cos(angle), ", "cosine, sine = np.cos(angle), -"),
    "blocks.0.attention.query_turned": ("modern", "x * cosine[:, None] +", "x * cosine[:, None] -"),
    "blocks.0.norm_1.root": ("modern", "np.sqrt(mean(x * x) + eps)", "np.sqrt(mean(x * x) + 1e-3)"),
    "blocks.0.norm_1.mean": ("transformer", '".mean", mean(x)', '".mean", mean(x) / 2'),
    "blocks.0.mlp.activated": ("transformer", "0.044715", "0.04"),
    "blocks.0.mlp.output": ("modern", "self.down_proj(x))", "self.down_proj(-x))"),
    "blocks.0.attention.scaled": ("multihead", "score / math.sqrt(D)", "score / math.sqrt(D + 1)"),
    "blocks.0.attention.masked": ("attention", "(N - T, N)[:, None]", "(N - T, N)[:, None] + 1"),
    "blocks.0.attention.weights": ("modern", "e.sum(axis=-1", "(2 * e).sum(axis=-1"),
    "blocks.0.attention.mixed": ("modern", "weight @ v[:, None]", "weight @ v[::-1, None]"),
    "blocks.0.attention.key": ("attention", 'note("key", k)', 'note("key", 2 * k)'),
    "probabilities": ("bigram", "e.sum(axis=-1", "(2 * e).sum(axis=-1"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_seen_where_it_is_made(
    name: str, randomise: Randomise, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And not before: the first value that differs is the one whose arithmetic was spoiled."""
    rung, old, new = FAULTS[name]
    source = Path(reference.__file__).read_text(encoding="utf-8")
    assert old in source
    path = tmp_path / "planted.py"
    path.write_text(source.replace(old, new, 1), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("planted", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = randomise(ladder.build(config_of(rung)).eval(), 0)
    distances, _ = differences(model, IDS[:5], monkeypatch, module)
    assert next(name for name, d in distances.items() if not d < 1e-5) == name


# --- a text read in parts -------------------------------------------------------------------------


def rows(whole: Array, axes: str, start: int, end: int) -> Array:
    """The new rows of a value; of pairs, only as many columns as were seen by then."""
    part: Array = whole[..., start:end, :]
    return part[..., :end] if axes == "(H, T, T)" else part


@given(
    st.sampled_from(RUNG_NAMES),
    st.integers(0, 99),
    st.lists(st.integers(1, BLOCK_SIZE - 1), max_size=3),
    st.integers(1, BLOCK_SIZE),
)
def test_a_text_read_in_parts_has_the_same_values(
    rung: str, seed: int, cuts: list[int], length: int
) -> None:
    """What the cache remembers takes the place of what is read again."""
    model = reference_with_random_weights(config_of(rung), seed)
    whole = model.trace(IDS[:length])
    past = model.start()
    edges = sorted({0, length, *(cut for cut in cuts if cut < length)})
    for start, end in itertools.pairwise(edges):
        past.values = found = {}
        model.read(IDS[start:end], past)
        expected = [n for n in whole if n not in ("ids", "probabilities") and "guess" not in n]
        assert list(found) == expected
        for name, value in found.items():
            axes = values.describe(name, rung).shape
            assert apart(value, rows(whole[name], axes, start, end)) < 1e-5, (name, start, end)


def reference_with_random_weights(config: ModelConfig, seed: int) -> Reference:
    generator = np.random.default_rng(seed)
    weights = {
        name: (generator.normal(size=shape) / shape[-1] ** 0.5).astype(np.float32)
        for name, shape in reference.shapes(config).items()
    }
    return Reference(config, weights)


def test_nobody_pays_who_does_not_look() -> None:
    past = reference_with_random_weights(config_of("modern"), 0).start()
    assert past.noting("blocks.0.") is unseen
    past.values = {}
    assert past.noting("blocks.0.") is not unseen


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_looking_changes_nothing(rung: str) -> None:
    model = reference_with_random_weights(config_of(rung), 0)
    before = model.forward(IDS[:5])
    trace = model.trace(IDS[:5])
    np.testing.assert_array_equal(trace["logits"], before)
    for value in trace.values():  # nobody else's array is handed out
        value[...] = 0
    np.testing.assert_array_equal(model.forward(IDS[:5]), before)


# --- Trace ----------------------------------------------------------------------------------------

TOKENIZER = CharTokenizer("\n abcdefghi")


def trace(text: str, rung: str = "modern", **options: Any) -> Trace:
    model = reference_with_random_weights(config_of(rung), 0)
    return trace_of(model, TOKENIZER, text, **options)


def test_a_trace_knows_its_text() -> None:
    found = trace("a bee")
    assert found.text == "a bee" and found.characters == list("a bee")
    assert found.ids == TOKENIZER.encode("a bee") and found.before == 0 and not found.started
    assert found.names() == values.names(found.config)
    np.testing.assert_array_equal(found["ids"], found.ids)
    assert "norm" in found and "norm.weight" in found and "sky" not in found


@pytest.mark.parametrize("rung", RUNG_NAMES)
@pytest.mark.parametrize("length", [1, 6, 7, 8, 11, 12, 30])
def test_of_a_long_text_it_is_the_window_that_the_model_writes_on_from(
    rung: str, length: int
) -> None:
    text = TOKENIZER.decode(IDS[:length])
    found = trace(text, rung)
    assert found.before == reference.window_start(length, BLOCK_SIZE)
    assert found.text == text[found.before :] and len(found.ids) <= BLOCK_SIZE
    model = reference_with_random_weights(config_of(rung), 0)
    logits = model.start().extend(IDS[:length])
    assert apart(found["probabilities"][-1], distribution(logits).astype(np.float32)) < 1e-5


def test_without_a_text_it_reads_what_generate_reads() -> None:
    for text in ("", "愛"):
        found = trace(text)
        assert found.started and found.text == "\n" and found["norm"].shape == (1, 24)
    assert not trace("\n").started


def test_unknown_characters_are_replaced_or_refused() -> None:
    assert trace("é").text == "e"
    with pytest.raises(UnknownCharacterError, match="'é'"):
        trace("é", unknown="error")


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_every_name_is_described(rung: str) -> None:
    found = trace("a bee", rung)
    for name in found.names():
        described = found.describe(name)
        assert described.size == found[name].shape and described.name == name
        assert len(described.axes) == len(described.size)
        assert described.shape == values.describe(name, rung).shape
        assert described.equation and described.sentence and described.source
        assert described.source == values.source(name, rung)
        assert described.positions == 5, name
        with_heads = "attention." in name and len(described.size) == 3
        assert described.heads == (found[name].shape[0] if with_heads else 0)
    for name in found.weight_names():
        described = found.describe(name)
        assert described.size == reference.shapes(found.config)[name]
        assert described.equation is described.source is None and described.sentence
        assert described.heads == described.positions == 0


def test_the_lens_says_after_how_many_blocks_it_looks() -> None:
    found = trace("a")
    equations = [found.describe(f"guess.{i}").equation or "" for i in range(3)]
    assert [re.findall(r"after (\d blocks?)", e) for e in equations] == [
        ["0 blocks"], ["1 block"], ["2 blocks"]
    ]  # fmt: skip


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_the_learned_tensors_stand_in_the_order_of_their_use(rung: str) -> None:
    names = trace("a", rung).weight_names()
    assert sorted(names) == sorted(reference.shapes(config_of(rung)))
    if rung == "modern":
        assert names[:2] == ["embed_tokens.weight", "layers.0.input_layernorm.weight"]
        assert names[-2:] == ["norm.weight", "lm_head.weight"]
        assert names.index("layers.0.mlp.down_proj.weight") + 1 == names.index(
            "layers.1.input_layernorm.weight"
        )


def test_the_learned_tensors_are_read_when_they_are_asked_for() -> None:
    asked: list[int] = []

    def load() -> dict[str, Array]:
        asked.append(1)
        return {"norm.weight": np.ones(24, np.float32)}

    found = trace("a", load_weights=load)
    found.describe("norm.weight")
    assert asked == []
    assert found["norm.weight"].sum() == 24 and found["norm.weight"].shape == (24,)
    assert asked == [1]


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("blocks.0.attention.weight", "blocks.0.attention.weights"),
        ("attention.weights", "blocks.0.attention.weights"),
        ("blocks.7.mlp.up", "blocks.1.mlp.up"),
        ("layers.0.mlp.up_proj", "layers.0.mlp.up_proj.weight"),
        ("probability", "probabilities"),
    ],
)
def test_a_wrong_name_is_told_the_nearest(wrong: str, nearest: str) -> None:
    found = trace("a")
    assert wrong not in found
    for ask in (found.__getitem__, found.describe):
        with pytest.raises(SettingError, match=f"no value '{wrong}'. Did you mean {nearest}?"):
            ask(wrong)
    with pytest.raises(SettingError, match=r"'qqq'. `babypoet look --list`"):
        found.describe("qqq")


def no_constants(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_it_goes_into_strict_json_and_comes_back(rung: str) -> None:
    found = trace("a bee", rung)
    text = json.dumps(found.to_dict(), allow_nan=False)
    back = json.loads(text, parse_constant=no_constants)
    assert back["text"] == "a bee" and back["rung"] == rung
    assert [entry["name"] for entry in back["values"]] == found.names()
    for entry in back["values"]:
        value = np.array(entry["values"], dtype=np.float64)  # null becomes nan
        expected = found[entry["name"]].astype(np.float64)
        hidden = np.isneginf(expected)
        np.testing.assert_array_equal(value[~hidden], expected[~hidden])  # not a digit is lost
        assert np.isnan(value[hidden]).all() and entry["shape"] == list(expected.shape)
        assert ("note" in entry) == hidden.any() == (".masked" in entry["name"])
        if hidden.any():
            assert entry["note"] == "null stands for -infinity"
        described = found.describe(entry["name"])
        assert (entry["equation"], entry["sentence"]) == (described.equation, described.sentence)
        assert entry["source"] == dict(zip(("file", "line"), described.source or (), strict=True))


def test_numbers_that_are_none_do_not_break_the_json() -> None:
    found = trace("ab")
    found.values["norm"][0, 0] = np.nan
    said = next(entry for entry in found.to_dict()["values"] if entry["name"] == "norm")
    assert said["values"][0][0] is None and "not a number" in said["note"]


# --- Poet.trace -----------------------------------------------------------------------------------


def test_a_poet_is_traced(poems: str, tmp_path: Path) -> None:
    import babypoet

    poet: Poet = babypoet.train(
        text=poems[:4000], out=tmp_path / "run", steps=2, block_size=16, n_layer=1, n_head=2,
        n_kv_head=1, n_embd=8, batch_size=4, snapshots=0,
    )  # fmt: skip
    found = poet.trace("love this")
    assert found.text == "love this"
    logits = poet.reference.forward(found.ids)
    np.testing.assert_array_equal(found["logits"], logits)
    for name, tensor in poet.run.weights().items():
        np.testing.assert_array_equal(found[name], tensor)
    assert set(found.weight_names()) == set(runs.RunFolder(tmp_path / "run").weights())
    with pytest.raises(UnknownCharacterError):
        poet.trace("愛", unknown="error")
