"""The table of the named values: names, shapes, sentences, lines and equations, each held to what
the reference computes.

Sizes are pairwise distinct: T 5, V 11, R 13, block_size 7, C 24, H 6, K 3, D 4, 2 blocks, and F 64
or 96 (an attention model has one head, as wide as the model). All weights are random.
"""

import importlib.util
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from babypoet import reference, values
from babypoet.config import RUNG_NAMES, ModelConfig
from babypoet.errors import SettingError
from babypoet.reference import Reference, Weights

Numbers = NDArray[np.float64]
IDS = [3, 1, 10, 0, 7]
REFERENCE = Path(reference.__file__)
BLOCKS = {"bigram": 0, "attention": 1, "multihead": 1, "transformer": 2, "modern": 2}


def config_of(rung: str) -> ModelConfig:
    heads = {"attention": (1, 1), "modern": (6, 3)}.get(rung, (6, 6))
    return ModelConfig(rung, 11, 7, 2, *heads, n_embd=24)


def random_weights(config: ModelConfig) -> Weights:
    """Scales near 1, shifts near 0, rows about as long as the vectors they meet."""
    generator = np.random.default_rng(5)
    made = {}
    for name, shape in reference.shapes(config).items():
        noise = generator.normal(size=shape)
        if len(shape) == 1:
            noise = 0.3 * noise + name.endswith("weight")
        elif not re.search("wte|wpe|embed|table", name):
            noise /= shape[1] ** 0.5
        made[name] = noise.astype(np.float32)
    return made


def reference_of(rung: str, module: Any = reference) -> Reference:
    config = config_of(rung)
    made: Reference = module.Reference(config, random_weights(config))
    return made


def traced(rung: str, module: Any = reference) -> dict[str, Any]:
    return reference_of(rung, module).trace(IDS)


def sizes(config: ModelConfig) -> dict[str, int]:
    """The dimension key."""
    H, K = (1, 1) if config.rung == "attention" else (config.n_head, config.n_kv_head)
    C = config.n_embd
    F = config.n_hidden if config.rung == "modern" else 4 * C
    key = {"T": len(IDS), "V": config.vocab_size, "R": config.rows, "C": C, "H": H, "K": K}
    return {**key, "D": C // H, "F": F, "positions": config.block_size}


def evaluated(shape: str, key: dict[str, int]) -> tuple[int, ...]:
    """ "(H D, C)" with H=6, D=4, C=24 -> (24, 24)."""
    found: tuple[int, ...] = eval(re.sub(r"(\w) (\w)", r"\1 * \2", shape), {}, key)
    return found


# --- names, shapes --------------------------------------------------------------------------------


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_the_names_are_those_of_a_trace_in_its_order(rung: str) -> None:
    names = values.names(config_of(rung))
    assert names == list(traced(rung))
    blocks = {name.split(".")[1] for name in names if name.startswith("blocks.")}
    assert blocks == {str(i) for i in range(BLOCKS[rung])}


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_the_shapes_are_those_of_a_trace(rung: str) -> None:
    key = sizes(config_of(rung))
    if rung == "modern":
        assert len(set(key.values())) == len(key), "sizes must be distinct, or axes hide"
    for name, value in traced(rung).items():
        shape = values.describe(name, rung).shape
        assert value.shape == evaluated(shape, key), f"{name} {shape}"
        assert value.dtype == (np.int64 if name == "ids" else np.float32), name


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_the_learned_tensors_are_those_of_the_model(rung: str) -> None:
    config = config_of(rung)
    key = sizes(config)
    for name, shape in reference.shapes(config).items():
        assert shape == evaluated(values.describe_weight(name).shape, key), name


def test_no_pattern_is_left_over_and_none_stands_twice() -> None:
    for rung in RUNG_NAMES:
        own = [value.name for value in values.TABLE if rung in value.rungs]
        assert len(own) == len(set(own)), rung
        assert set(own) == {values.pattern(name) for name in traced(rung)}, rung
    used = {values.pattern(n) for rung in RUNG_NAMES for n in reference.shapes(config_of(rung))}
    patterns = [weight.name for weight in values.WEIGHTS]
    assert len(patterns) == len(set(patterns)) and set(patterns) == used


@pytest.mark.parametrize(
    "name", ["", "blocks.0.attention.weight", "guess", "blocks.0", "weights", "blocks.*.mlp.sky"]
)
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match="look --list"):
        values.describe(name, "modern")
    with pytest.raises(SettingError, match="look --list"):
        values.describe_weight(name)


def test_a_name_of_another_rung_is_refused() -> None:
    assert values.describe("positions", "transformer").shape == "(T, C)"
    with pytest.raises(SettingError, match="A modern model has no value 'positions'"):
        values.describe("positions", "modern")


# --- words ----------------------------------------------------------------------------------------

# These mean the same wherever they stand, so they are said in the same words.
ALIKE = [
    {"norm_1.mean", "norm_2.mean", "norm.mean"},
    {"norm_1.root", "norm_2.root", "norm.root"},
    {"wte.weight", "embed_tokens.weight"},
    {"attn.key.weight", "self_attn.k_proj.weight"},
    {"attn.query.weight", "self_attn.q_proj.weight"},
    {"attn.value.weight", "self_attn.v_proj.weight"},
    {"attn.proj.weight", "self_attn.o_proj.weight"},
    {"ln_1.weight", "input_layernorm.weight"},
    {"ln_2.weight", "post_attention_layernorm.weight"},
    {"ln_f.weight", "norm.weight"},
]


def sentences() -> dict[str, str]:
    named = {value.name: value.sentence for value in values.TABLE}
    return named | {weight.name: weight.sentence for weight in values.WEIGHTS}


@pytest.mark.parametrize("name", sentences())
def test_each_sentence_is_one_sentence(name: str) -> None:
    sentence = sentences()[name]
    assert sentence[0].isupper() and sentence.endswith(".") and sentence.count(".") <= 2
    assert not re.search(r"[.!?]\s", sentence), "more than one"
    assert len(sentence.split()) <= 30 and sentence.isprintable()


def test_what_differs_is_said_in_different_words() -> None:
    by_sentence: dict[str, set[str]] = {}
    for name, sentence in sentences().items():
        short = re.sub(r"^(blocks|h|layers)\.\*\.", "", name)
        by_sentence.setdefault(sentence, set()).add(short)
    assert sorted(map(sorted, ALIKE)) == sorted(
        sorted(names) for names in by_sentence.values() if len(names) > 1
    )


def test_no_sentence_is_left_over() -> None:
    kinds = {"value": values.TABLE, "weight": values.WEIGHTS}
    for kind, table in kinds.items():
        keys = {key for key in values.strings() if key.startswith(f"{kind}.")}
        assert keys == {f"{kind}.{entry.name}" for entry in table}  # type: ignore[attr-defined]


# --- lines ----------------------------------------------------------------------------------------


@pytest.fixture
def fresh_lines() -> Iterator[None]:
    """What was found in another copy must not be remembered."""
    values._lines.cache_clear()
    yield
    values._lines.cache_clear()


def planted(folder: Path, source: str) -> ModuleType:
    """A module with this source, which stands in for reference.py."""
    path = folder / "reference.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("planted_reference", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def altered(line: str) -> str:
    """The same line, with 1.5 added to whatever it gives a name.

    >>> altered('x = note("b", note("a", y) + 1)')
    'x = note("b", 1.5 + note("a", 1.5 + y) + 1)'
    """
    forms = (
        r'note\("\.?\w*", ',  # note("scores", x)
        r'noting\(""\)\("\w+", ',  # past.noting("")("scores", x)
        r"_note_heads\(note, ",
        r'{"ids": ',
        r'values\[f?"[^]]*"\] = ',
    )
    return re.sub("|".join(forms), lambda found: f"{found[0]}1.5 + ", line)


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_the_line_of_a_value_is_the_one_that_computes_it(rung: str, tmp_path: Path) -> None:
    """Altered there, a value changes, and nothing does that is computed before that line is
    reached. Several values share a line: it is altered once."""
    before = traced(rung)
    lines = REFERENCE.read_text(encoding="utf-8").splitlines()
    first: dict[int, str] = {}  # of those that share a line
    for name in before:
        file, line = values.source(name, rung)
        assert file == "reference.py"
        first.setdefault(line, name)
    for line, name in first.items():
        changed = altered(lines[line - 1])
        assert changed != lines[line - 1], f"{name}: {lines[line - 1]}"
        source = "\n".join([*lines[: line - 1], changed, *lines[line:]])
        after = traced(rung, planted(tmp_path, source))
        differs = [n for n in before if not np.array_equal(before[n], after[n])]
        names = list(before)
        # queries and keys go through one line in either order; a rotated key comes after a query
        assert name in differs, name
        together = [n for n in names if values.source(n, rung)[1] == line]
        earlier = [n for n in differs if names.index(n) < names.index(together[0])]
        assert earlier == [], (name, earlier)


def test_the_line_is_that_of_the_arithmetic_and_not_of_who_hands_it_on() -> None:
    """Queries and keys go through the norm together, and get their names from its caller."""
    for kind in ("query", "key"):
        where = f"blocks.0.attention.{kind}_"
        assert values.source(where + "root", "modern") == values.source("norm.root", "modern")
        assert values.source(where + "normed", "modern") == values.source("norm", "modern")


@pytest.mark.parametrize("rung", RUNG_NAMES)
@pytest.mark.usefixtures("fresh_lines")
def test_where_the_code_moves_the_lines_move(
    rung: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = list(traced(rung))
    here = {name: values.source(name, rung)[1] for name in names}
    source = REFERENCE.read_text(encoding="utf-8")
    assert "# --- the arithmetic" in source
    moved = source.replace("# --- the arithmetic", "#\n#\n#\n# --- the arithmetic", 1)
    module = planted(tmp_path, moved)
    values._lines.cache_clear()
    monkeypatch.setattr(values, "reference", module)
    monkeypatch.setattr(values, "Reference", module.Reference)
    assert {name: values.source(name, rung)[1] for name in names} == {
        name: line + 3 for name, line in here.items()
    }


@pytest.mark.usefixtures("fresh_lines")
def test_one_value_that_moves_moves_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention's last line goes three lines down: what stands after it moves with it."""
    here = {name: values.source(name, "modern")[1] for name in traced("modern")}
    old = '    mixed = note("mixed"'
    source = REFERENCE.read_text(encoding="utf-8")
    assert source.count(old) == 1
    module = planted(tmp_path, source.replace(old, f"    pass\n    pass\n{old}"))
    values._lines.cache_clear()
    monkeypatch.setattr(values, "reference", module)
    monkeypatch.setattr(values, "Reference", module.Reference)
    after = {name: values.source(name, "modern")[1] for name in here}
    mixed = here["blocks.0.attention.mixed"]
    assert after == {name: line + 2 * (line >= mixed) for name, line in here.items()}
    assert after["blocks.0.attention.weights"] == here["blocks.0.attention.weights"]


# --- equations ------------------------------------------------------------------------------------


@dataclass
class Model:
    """What an equation may use: the values before it, the weights, and which block it is of."""

    config: ModelConfig
    traced: dict[str, Any]
    weights: Weights
    block: int = 0

    def see(self, name: str) -> Numbers:
        """A value of this block, or of the top."""
        inner = f"blocks.{self.block}.{name}"
        found: Numbers = self.traced[inner if inner in self.traced else name].astype(np.float64)
        return found

    def at(self, name: str) -> Numbers:
        """A value of the attention of this block."""
        return self.see(f"attention.{name}")

    def w(self, name: str) -> Numbers:
        return self.weights[name].astype(np.float64)

    def of_block(self, name: str) -> Numbers:
        """A weight of this block."""
        prefix = {"modern": "layers.{}.", "transformer": "h.{}."}.get(self.config.rung, "")
        return self.w(prefix.format(self.block) + name)

    def stream(self) -> Numbers:
        """What enters this block."""
        before = f"blocks.{self.block - 1}.after_mlp" if self.block else "input"
        found: Numbers = self.traced[before].astype(np.float64)
        return found


Equation = Callable[[Model], Numbers]


def heads(x: Numbers, count: int) -> Numbers:
    """(T, heads D) -> (heads, T, D)"""
    return np.stack(np.split(x, count, axis=1))


def layer_norm(m: Model, x: Numbers, prefix: str, weight: str) -> dict[str, Numbers]:
    scale, shift = m.w(f"{weight}.weight"), m.w(f"{weight}.bias")
    mean, root = m.see(f"{prefix}.mean"), m.see(f"{prefix}.root")
    return {
        "mean": x.mean(axis=1, keepdims=True),
        "root": np.sqrt(x.var(axis=1, keepdims=True) + 1e-5),
        "": (x - mean) / root * scale + shift,
    }


def rms_norm(m: Model, x: Numbers, root: Numbers, weight: str) -> dict[str, Numbers]:
    return {
        "root": np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6),
        "": x / root * m.w(f"{weight}.weight"),
    }


def norm(m: Model, prefix: str, part: str) -> Numbers:
    """`norm_1`, `norm_2` or the last `norm`, of either kind."""
    x = {"norm_1": m.stream, "norm_2": lambda: m.see("after_attention")}.get(
        prefix, lambda: m.traced[f"blocks.{m.config.n_layer - 1}.after_mlp"].astype(np.float64)
    )()
    if m.config.rung == "modern":
        inner = {"norm_1": "input_layernorm", "norm_2": "post_attention_layernorm"}
        weight = f"layers.{m.block}.{inner[prefix]}" if prefix in inner else "norm"
        return rms_norm(m, x, m.see(f"{prefix}.root"), weight)[part]
    inner = {"norm_1": "ln_1", "norm_2": "ln_2"}
    weight = f"h.{m.block}.{inner[prefix]}" if prefix in inner else "ln_f"
    return layer_norm(m, x, prefix, weight)[part]


def projected(m: Model, kind: str) -> Numbers:
    """Queries, keys or values: x @ W (+ bias), cut into heads."""
    config, rung = m.config, m.config.rung
    x = m.see("norm_1") if rung in ("transformer", "modern") else m.see("input")
    if rung == "modern":
        y = x @ m.of_block(f"self_attn.{kind[0]}_proj.weight").T
        return heads(y, config.n_head if kind == "query" else config.n_kv_head)
    part = "attn" if rung == "transformer" else "attention"
    y = x @ m.of_block(f"{part}.{kind}.weight").T
    if rung == "transformer":
        y = y + m.of_block(f"{part}.{kind}.bias")
    return heads(y, 1 if rung == "attention" else config.n_head)


def angles(m: Model) -> Numbers:
    T, D = len(IDS), m.config.head_size
    pair = np.arange(D) % (D // 2)
    return np.arange(T)[:, None] / m.config.rope_base ** (2 * pair / D)


def turned(m: Model, x: Numbers) -> Numbers:
    D = x.shape[-1]
    other = np.concatenate([x[..., D // 2 :], x[..., : D // 2]], axis=-1)
    return x * m.see("cosine") + other * m.see("sine")


def scores(m: Model) -> Numbers:
    kind = "_turned" if m.config.rung == "modern" else ""
    q, k = m.at(f"query{kind}"), m.at(f"key{kind}")
    group = len(q) // len(k)
    return np.array([[[a @ b for b in k[h // group]] for a in q[h]] for h in range(len(q))])


def masked(m: Model) -> Numbers:
    """What comes later is -infinity."""
    x = m.at("scaled").copy()
    for t in range(len(IDS)):
        x[:, t, t + 1 :] = -np.inf
    return x


def mixed(m: Model) -> Numbers:
    weights, value = m.at("weights"), m.at("value")
    group = len(weights) // len(value)
    return np.stack([weights[h] @ value[h // group] for h in range(len(weights))])


def attention_output(m: Model) -> Numbers:
    side_by_side = np.concatenate(list(m.at("mixed")), axis=1)
    rung = m.config.rung
    if rung == "attention":
        return side_by_side
    if rung == "multihead":
        return side_by_side @ m.w("attention.proj.weight").T
    if rung == "modern":
        return side_by_side @ m.of_block("self_attn.o_proj.weight").T
    return side_by_side @ m.of_block("attn.proj.weight").T + m.of_block("attn.proj.bias")


def activated(m: Model) -> Numbers:
    if m.config.rung == "modern":
        gate = m.see("mlp.gate")
        return gate / (1 + np.exp(-gate)) * m.see("mlp.up")
    x = m.see("mlp.hidden")
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def mlp_output(m: Model) -> Numbers:
    if m.config.rung == "modern":
        return m.see("mlp.activated") @ m.of_block("mlp.down_proj.weight").T
    y = m.see("mlp.activated") @ m.of_block("mlp.c_proj.weight").T
    return y + m.of_block("mlp.c_proj.bias")


def last_scores(m: Model) -> Numbers:
    if m.config.rung == "bigram":
        return m.w("table.weight")[IDS]
    x = m.see("norm") if m.config.rung in values.STREAM else m.at("output")
    y = x @ m.w("lm_head.weight").T
    return y if m.config.rung in values.STREAM else y + m.w("lm_head.bias")


def softmax(x: Numbers) -> Numbers:
    shares: Numbers = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    return shares


def guess(m: Model) -> Numbers:
    """`m.block` blocks have passed."""
    x = m.stream()
    if m.config.rung == "modern":
        x = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-6) * m.w("norm.weight")
    else:
        x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
        x = x * m.w("ln_f.weight") + m.w("ln_f.bias")
    return softmax((x @ m.w("lm_head.weight").T)[:, : m.config.vocab_size])


def table_of(m: Model) -> Numbers:
    return m.w("embed_tokens.weight" if m.config.rung == "modern" else "wte.weight")


def size_of(x: Numbers) -> Numbers:
    root: Numbers = np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6)
    return root


EQUATIONS: dict[str, Equation] = {
    "ids": lambda m: np.array([sorted("abcdefghijk").index(c) for c in "dbkah"]),
    "cosine": lambda m: np.cos(angles(m)),
    "sine": lambda m: np.sin(angles(m)) * np.repeat([-1, 1], m.config.head_size // 2),
    "embedding": lambda m: table_of(m)[m.traced["ids"]],
    "positions": lambda m: m.w("wpe.weight")[: len(IDS)],
    "input": lambda m: (
        m.see("embedding") if m.config.rung == "modern" else m.see("embedding") + m.see("positions")
    ),
    "blocks.*.norm_1.mean": lambda m: norm(m, "norm_1", "mean"),
    "blocks.*.norm_1.root": lambda m: norm(m, "norm_1", "root"),
    "blocks.*.norm_1": lambda m: norm(m, "norm_1", ""),
    "blocks.*.attention.query": lambda m: projected(m, "query"),
    "blocks.*.attention.key": lambda m: projected(m, "key"),
    "blocks.*.attention.value": lambda m: projected(m, "value"),
    "blocks.*.attention.query_root": lambda m: size_of(m.at("query")),
    "blocks.*.attention.key_root": lambda m: size_of(m.at("key")),
    "blocks.*.attention.query_normed": lambda m: (
        m.at("query") / m.at("query_root") * m.of_block("self_attn.q_norm.weight")
    ),
    "blocks.*.attention.key_normed": lambda m: (
        m.at("key") / m.at("key_root") * m.of_block("self_attn.k_norm.weight")
    ),
    "blocks.*.attention.query_turned": lambda m: turned(m, m.at("query_normed")),
    "blocks.*.attention.key_turned": lambda m: turned(m, m.at("key_normed")),
    "blocks.*.attention.scores": scores,
    "blocks.*.attention.scaled": lambda m: m.at("scores") / np.sqrt(m.at("query").shape[-1]),
    "blocks.*.attention.masked": masked,
    "blocks.*.attention.exponentials": lambda m: np.exp(
        m.at("masked") - m.at("masked").max(axis=-1, keepdims=True)
    ),
    "blocks.*.attention.weights": lambda m: (
        m.at("exponentials") / m.at("exponentials").sum(axis=-1, keepdims=True)
    ),
    "blocks.*.attention.mixed": mixed,
    "blocks.*.attention.output": attention_output,
    "blocks.*.after_attention": lambda m: m.stream() + m.at("output"),
    "blocks.*.norm_2.mean": lambda m: norm(m, "norm_2", "mean"),
    "blocks.*.norm_2.root": lambda m: norm(m, "norm_2", "root"),
    "blocks.*.norm_2": lambda m: norm(m, "norm_2", ""),
    "blocks.*.mlp.hidden": lambda m: (
        m.see("norm_2") @ m.of_block("mlp.c_fc.weight").T + m.of_block("mlp.c_fc.bias")
    ),
    "blocks.*.mlp.gate": lambda m: m.see("norm_2") @ m.of_block("mlp.gate_proj.weight").T,
    "blocks.*.mlp.up": lambda m: m.see("norm_2") @ m.of_block("mlp.up_proj.weight").T,
    "blocks.*.mlp.activated": activated,
    "blocks.*.mlp.output": mlp_output,
    "blocks.*.after_mlp": lambda m: m.see("after_attention") + m.see("mlp.output"),
    "norm.mean": lambda m: norm(m, "norm", "mean"),
    "norm.root": lambda m: norm(m, "norm", "root"),
    "norm": lambda m: norm(m, "norm", ""),
    "scores": last_scores,
    "logits": lambda m: m.see("scores")[:, :-2],
    "probabilities": lambda m: softmax(m.see("logits")),
    "guess.*": guess,
}


def apart(a: Numbers, b: Numbers) -> float:
    """The largest difference beside the largest value; infinite where -infinity stands in one."""
    if a.shape != b.shape or not np.array_equal(np.isneginf(a), np.isneginf(b)):
        return np.inf
    a, b = np.nan_to_num(a, neginf=0.0), np.nan_to_num(b, neginf=0.0)
    return float(np.abs(a - b).max() / np.abs(b).max())


def untrue(rung: str, found: dict[str, Any]) -> list[str]:
    """The values that are not what their equation gives, put in float64 from the values before."""
    wrong = []
    config = config_of(rung)
    for name in found:
        number = re.search(r"\.(\d+)", name)
        model = Model(config, found, random_weights(config), int(number[1]) if number else 0)
        expected = EQUATIONS[values.pattern(name)](model)
        if not apart(expected, found[name].astype(np.float64)) < 1e-4:
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_every_equation_gives_its_value(rung: str) -> None:
    assert untrue(rung, traced(rung)) == []


def test_every_value_has_an_equation_in_words_and_in_numbers() -> None:
    assert {value.name for value in values.TABLE} == set(EQUATIONS)
    assert all(value.equation.strip() for value in values.TABLE)


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_a_value_that_is_not_what_its_equation_says_is_seen(rung: str) -> None:
    """Each value in turn is made a hundredth larger."""
    whole = traced(rung)
    for name in whole:
        if name != "ids":
            assert name in untrue(rung, {**whole, name: whole[name] * np.float32(1.01)}), name


def test_the_equations_differ_where_the_arithmetic_does() -> None:
    """Where two rungs compute a value differently, the table says so: every bias is named."""
    for value in values.TABLE:
        weight = {"query": "attn.query", "key": "attn.key", "value": "attn.value"}
        weight |= {"hidden": "mlp.c_fc"}
        last = value.name.rpartition(".")[2]
        if last in weight and len(value.rungs) == 1:
            has_bias = f"h.0.{weight[last]}.bias" in reference.shapes(config_of(value.rungs[0]))
            assert has_bias == ("bias" in value.equation), value


def test_the_strings_are_plain_json() -> None:
    path = Path(values.__file__).parent / "page/strings.json"
    assert values.strings() == json.loads(path.read_text(encoding="utf-8"))
