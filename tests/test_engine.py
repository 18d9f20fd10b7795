"""The page's engine in a real browser, against numpy.

Weights are random and sizes pairwise distinct, so that no two axes can be confused unnoticed: V 11,
R 13, block_size 7, C 24, H 4, K 2, D 6, F 64, 3 layers; and once more with wider matrices, of which
no size divides by the number of rows that the engine sums at once.

Each guard was seen red, with a fault of its own planted in the module: RoPE turned the other way
or from the first position, an eps ten times as large, query heads sharing the wrong key or value
head, the future seen by one, a window restarted one later, values remembered one place off, rows
left over by the products, the wrong head cut, a trace that keeps no copies, a seed's high word
ignored, top-k and top-p off by one, a mark taken for a letter, halves of characters, int8's scales
from the next row, a filter read from the wrong end, and thirty more.
"""

import base64
import itertools
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browser import open_modules
from test_texts import varied

import babypoet
from babypoet import sampling, tokenizer, values
from babypoet.config import RUNG_NAMES, GenerateConfig, ModelConfig
from babypoet.exporting import copies
from babypoet.exporting.packing import PRECISIONS, Precision, pack, unpack
from babypoet.reference import Array, Reference, shapes, window_start
from babypoet.tokenizer import CharTokenizer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SMALL = ModelConfig(
    vocab_size=11, block_size=7, n_layer=3, n_head=4, n_kv_head=2, n_embd=24, dropout=0.0
)
WIDE = replace(SMALL, vocab_size=83, block_size=53, n_layer=2, n_head=6, n_kv_head=3, n_embd=60)
IDS = np.random.default_rng(0).integers(0, 11, 120).tolist()

LOAD = """([config, tensors, block]) => {
    window.model = new engine.Engine(config, weights.unpack({ tensors }, block));
}"""
PACKED = """const packed = ([name, { shape, data }]) => {
    let bytes = "";
    for (const byte of new Uint8Array(data.buffer)) bytes += String.fromCharCode(byte);
    return [name, shape, data.constructor.name, btoa(bytes)];
};"""
TRACE = f"([ids, cut]) => {{ {PACKED} return [...model.trace(ids, {{ cut }})].map(packed); }}"
WEIGHTS = f"() => {{ {PACKED} return [...model.weights].map(packed); }}"
FORWARD = "(ids) => Array.from(model.forward(ids))"
EXTEND = """(pieces) => {
    const text = model.start();
    return pieces.map((ids) => Array.from(text.extend(ids)));
}"""
WRITE = "([ids, settings]) => [...sampling.write(model, ids, settings)]"


@pytest.fixture(scope="module")
def page(browser: "Browser") -> "Iterator[Page]":
    """A blank page with the modules, in which Math.random is an error."""
    found = open_modules(
        browser, "engine.js", "sampling.js", "tokenizer.js", "weights.js", "copies.js"
    )
    yield found
    found.close()


def random_weights(config: ModelConfig, seed: int = 0) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes(config).items():
        noise = generator.normal(size=shape)
        if len(shape) == 1:  # a scale is near 1, a shift near 0
            noise = 0.3 * noise + name.endswith("weight")
        elif not name.startswith(("wte", "wpe", "embed")):
            noise = noise / shape[1] ** 0.5
        weights[name] = noise.astype(np.float32)
    return weights


def load(
    page: "Page",
    config: ModelConfig,
    weights: Mapping[str, Array],
    precision: Precision = "fp32",
) -> Reference:
    """The model in the page, and its twin in numpy, both with what packing left of the weights."""
    block, tensors = pack(weights, precision)
    page.evaluate(LOAD, [config.to_dict(), tensors, base64.b64encode(block).decode()])
    return Reference(config, unpack(block, tensors))


def random_pair(page: "Page", rung: str, config: ModelConfig = SMALL) -> Reference:
    config = replace(config, rung=rung)
    return load(page, config, random_weights(config))


def arrays(found: list[tuple[str, list[int], str, str]]) -> dict[str, Array]:
    types = {"Float32Array": "<f4", "Int32Array": "<i4"}
    return {
        name: np.frombuffer(base64.b64decode(data), types[kind]).reshape(shape)
        for name, shape, kind, data in found
    }


def trace(page: "Page", ids: Sequence[int], cut: Sequence[tuple[int, int]] = ()) -> dict[str, Any]:
    return arrays(page.evaluate(TRACE, [list(ids), list(cut)]))


def assert_same(found: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    """The same names, the same shapes, and every number within 1e-4."""
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-4, err_msg=name)


# --- the values -----------------------------------------------------------------------------------


@pytest.mark.parametrize("rung", RUNG_NAMES)
@pytest.mark.parametrize(
    "config, lengths",
    [(SMALL, (1, 2, 6, 7)), (WIDE, (1, 5, 24, 25, 53))],
    ids=["small", "wide"],
)
def test_every_value_is_numpys(
    page: "Page", rung: str, config: ModelConfig, lengths: Sequence[int]
) -> None:
    reference = random_pair(page, rung, config)
    for length in lengths:
        ids = IDS[:length]
        found = trace(page, ids)
        assert list(found) == values.names(reference.config)
        assert_same(found, reference.trace(ids))
        logits = np.reshape(page.evaluate(FORWARD, ids), (length, config.vocab_size))
        np.testing.assert_allclose(logits, reference.forward(ids), rtol=0, atol=1e-4)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_packed_weights_are_the_same_on_both_sides(
    page: "Page", rung: str, precision: Precision
) -> None:
    """Bit for bit; and the model computes with them."""
    config = replace(SMALL, rung=rung)
    exact = random_weights(config)
    exact = {name: weight * np.float32(1e-3) for name, weight in exact.items()} | {
        name: weight for name, weight in exact.items() if "_proj" in name or weight.ndim == 1
    }  # small ones, so that half precision meets its subnormal numbers
    reference = load(page, config, exact, precision)
    block, tensors = pack(exact, precision)
    for name, weight in unpack(block, tensors).items():
        found = arrays(page.evaluate(WEIGHTS))[name]
        np.testing.assert_array_equal(found, weight, err_msg=name)
        assert precision == "fp32" or weight.ndim == 1 or not np.array_equal(weight, exact[name])
    assert_same(trace(page, IDS[:7]), reference.trace(IDS[:7]))


def test_special_halves(page: "Page") -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)].reshape(-1, 64).astype(np.float32)
    block, tensors = pack({"all": finite}, "fp16")
    found = page.evaluate(
        "([tensors, block]) => Array.from(weights.unpack({ tensors }, block).get('all').data)",
        [tensors, base64.b64encode(block).decode()],
    )
    np.testing.assert_array_equal(found, finite.ravel())


def test_parameters_are_counted(page: "Page") -> None:
    config = ModelConfig(vocab_size=79, block_size=192, n_kv_head=2)
    load(page, config, random_weights(config))
    assert page.evaluate("() => model.parameters()") == 747_136


@pytest.mark.parametrize("ids", [[], [0] * 8, [11], [-1]])
def test_impossible_windows_are_errors(page: "Page", ids: list[int]) -> None:
    random_pair(page, "modern")
    with pytest.raises(Exception, match=r"positions|below"):
        page.evaluate(FORWARD, ids)


def test_missing_weights_are_named(page: "Page") -> None:
    weights = random_weights(SMALL)
    del weights["norm.weight"]
    block, tensors = pack(weights, "fp32")
    with pytest.raises(Exception, match=r"norm\.weight is missing"):
        page.evaluate(LOAD, [SMALL.to_dict(), tensors, base64.b64encode(block).decode()])


# --- heads that are cut ---------------------------------------------------------------------------


def without_heads(
    config: ModelConfig, weights: Mapping[str, Array], cut: Sequence[tuple[int, int]]
) -> dict[str, Array]:
    """The same model with zeros where these heads' findings enter the projection."""
    names = {
        "multihead": "attention.proj.weight",
        "transformer": "h.{}.attn.proj.weight",
        "modern": "layers.{}.self_attn.o_proj.weight",
    }
    D, less = config.head_size, dict(weights)
    for layer, head in cut:
        name = names[config.rung].format(layer)
        less[name] = less[name].copy()
        less[name][:, head * D : (head + 1) * D] = 0
    return less


@pytest.mark.parametrize("rung", ["multihead", "transformer", "modern"])
def test_a_cut_head_adds_nothing(page: "Page", rung: str) -> None:
    config = replace(SMALL, rung=rung)
    weights = random_weights(config)
    load(page, config, weights)
    for cut in ([(0, 1)], [(0, 0), (0, 3)], [] if rung == "multihead" else [(2, 3), (1, 2)]):
        found = trace(page, IDS[:7], cut)
        expected = Reference(config, without_heads(config, weights, cut)).trace(IDS[:7])
        for layer, head in cut:
            expected[f"blocks.{layer}.attention.mixed"][head] = 0
        assert_same(found, expected)


def test_the_only_head_can_be_cut(page: "Page") -> None:
    reference = random_pair(page, "attention")
    found = trace(page, IDS[:7], [(0, 0)])
    assert not found["blocks.0.attention.mixed"].any()
    assert not found["blocks.0.attention.output"].any()
    bias = reference.rung.lm_head.bias  # type: ignore[attr-defined]
    np.testing.assert_allclose(found["scores"], np.tile(bias, (7, 1)), atol=1e-6)


def test_a_text_is_written_with_its_heads_cut(page: "Page") -> None:
    cut = [(0, 1), (2, 2)]
    weights = random_weights(SMALL)
    load(page, SMALL, weights)
    found = page.evaluate(WRITE, [[3], {"length": 60, "seed": 5, "cut": cut}])
    reference = Reference(SMALL, without_heads(SMALL, weights, cut))
    config = GenerateConfig(length=60, seed=5, temperature=1)
    assert found == list(sampling.stream(reference, [3], config))
    assert found != page.evaluate(WRITE, [[3], {"length": 60, "seed": 5}])


# --- the window -----------------------------------------------------------------------------------


def test_windows_start_where_numpys_do(page: "Page") -> None:
    found = page.evaluate(
        """() => Array.from({ length: 50 }, (_, b) =>
            Array.from({ length: 250 }, (_, n) => engine.windowStart(n + 1, b + 1)))"""
    )
    assert found == [[window_start(n + 1, b + 1) for n in range(250)] for b in range(50)]


@pytest.mark.parametrize("rung", RUNG_NAMES)
@pytest.mark.parametrize("block_size", [1, 2, 3, 7])
def test_reading_on_is_numpys(page: "Page", rung: str, block_size: int) -> None:
    """Far past the context: one character at a time, in pieces, and as one prompt."""
    reference = random_pair(page, rung, replace(SMALL, block_size=block_size))
    for sizes in ([1] * 30, [2, 1, 5, 1, 9, 4, 8], [30]):
        ends = np.cumsum(sizes)
        pieces = [IDS[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        cache = reference.start()
        expected = [cache.extend(piece) for piece in pieces]
        found = page.evaluate(EXTEND, pieces)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


# --- draws ----------------------------------------------------------------------------------------


def test_uniform_has_the_golden_values(page: "Page") -> None:
    """The first four stand in sampling.py's own example; seeds reach beyond 32 bits."""
    found = page.evaluate(
        "() => [sampling.uniform(0, 0), sampling.uniform(1, 0), sampling.uniform(0, 1), "
        "sampling.uniform(0, 0, 1)]"
    )
    assert found == [0.7020490982104093, 0.313121659681201, 0.5216289120726287, 0.31705449242144823]
    seeds = [0, 1, 2, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**40 + 7, 2**53 - 1]
    draws = list(itertools.product(seeds, [0, 1, 77, 2**31, 2**32 - 1], [0, 3, 2**32 - 1]))
    found = page.evaluate("(draws) => draws.map((draw) => sampling.uniform(...draw))", draws)
    assert found == [sampling.uniform(*draw) for draw in draws]
    assert len(set(found)) == len(draws)


SETTINGS = [
    {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    for temperature in (0, 0.01, 0.8, 1, 3)
    for top_k in (None, 1, 5, 200)
    for top_p in (None, 0.3, 1)
    for min_p in (None, 0.1, 1)
]


def in_javascript(settings: Mapping[str, Any]) -> dict[str, Any]:
    names = {"top_k": "topK", "top_p": "topP", "min_p": "minP"}
    return {names.get(name, name): value for name, value in settings.items()}


def test_choosing_is_samplings(page: "Page") -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, (6, 40)).astype(np.float32)
    logits[1] = np.round(logits[1])  # ties
    logits[2] = 0  # 0.3 of them are 12 exactly
    logits[3, ::2] = -np.inf
    logits[4] *= 200
    us = [0, 0.2, 0.25, 0.5, 0.999, 1 - 2**-32]
    for x in logits.astype(np.float64):
        found = page.evaluate(
            """([logits, us, all]) => all.map((settings) => [
                Array.from(sampling.distribution(logits, settings)),
                us.map((u) => sampling.nextToken(logits, u, settings))])""",
            [x.tolist(), us, [in_javascript(settings) for settings in SETTINGS]],
        )
        for settings, (probabilities, chosen) in zip(SETTINGS, found, strict=True):
            expected = sampling.distribution(x, **settings)
            np.testing.assert_allclose(probabilities, expected, rtol=1e-12, atol=1e-300)
            assert chosen == [sampling.next_token(x, u, **settings) for u in us], settings


@pytest.mark.parametrize("broken", [[0.0, float("nan")], [float("inf"), 0.0], [-float("inf")]])
@pytest.mark.parametrize("temperature", [0, 1])
def test_broken_scores_are_not_drawn_from(
    page: "Page", broken: list[float], temperature: int
) -> None:
    with pytest.raises(Exception, match="scores are not"):
        page.evaluate(
            "([x, temperature]) => sampling.nextToken(x, 0.5, { temperature })",
            [broken, temperature],
        )


def test_chance_is_never_asked_for(page: "Page") -> None:
    with pytest.raises(Exception, match="must not ask for chance"):
        page.evaluate("() => Math.random()")
    random_pair(page, "modern")
    assert len(page.evaluate(WRITE, [[1], {"length": 20}])) == 20


# --- texts of trained models ----------------------------------------------------------------------

TINY = {
    "steps": 40, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_embd": 32, "block_size": 48,
    "batch_size": 8, "evaluate_every": 20, "snapshots": 0,
}  # fmt: skip


@pytest.fixture(scope="module", params=["poems", "finnish", "chinese"])
def poet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, poems: str
) -> babypoet.Poet:
    text = poems[:40_000] if request.param == "poems" else varied(request.param, 12_000)
    return babypoet.train(text=text, out=tmp_path_factory.mktemp("run") / "poet", **TINY)


def test_texts_are_identical(page: "Page", poet: babypoet.Poet) -> None:
    """Greedy, and drawn with several seeds and settings: 500 characters, ten times the context."""
    load(page, poet.config, poet.run.weights())
    prompt = sampling.prompt_or_start(poet.tokenizer, "")
    for settings in (
        {"temperature": 0},
        {"temperature": 0.8, "seed": 1},
        {"temperature": 1.0, "seed": 2**40 + 7, "top_k": 12},
        {"temperature": 1.2, "seed": 3, "top_p": 0.9, "min_p": 0.02},
    ):
        config = GenerateConfig(length=500, **settings)  # type: ignore[arg-type]
        expected = list(sampling.stream(poet.reference, prompt, config, sample=2))
        found = page.evaluate(
            WRITE, [prompt, {"length": 500, "sample": 2, **in_javascript(settings)}]
        )
        assert found == expected, settings
        assert len(set(expected)) > (1 if config.temperature == 0 else 10), "it says something"


def test_every_value_of_a_trained_model_is_numpys(page: "Page", poet: babypoet.Poet) -> None:
    load(page, poet.config, poet.run.weights())
    ids = poet.tokenizer.encode(poet.training_text()[:48])
    assert_same(trace(page, ids), poet.reference.trace(ids))


# --- characters -----------------------------------------------------------------------------------

PLAIN = tokenizer._PLAIN_OF
NEAREST = """([characters, plain, codes]) => {
    const known = new tokenizer.Tokenizer(characters, plain);
    return codes.map((code) => known.nearest(String.fromCodePoint(code))?.codePointAt(0) ?? -1);
}"""


def assigned(codes: Sequence[int]) -> list[int]:
    """Without what this Python's Unicode has not yet, and the browser's perhaps has."""
    return [code for code in codes if unicodedata.category(chr(code)) != "Cn"]


BMP = assigned(range(1 << 16))
ASTRAL = assigned([*range(1 << 16, 0x20000, 7), *range(0x1D400, 0x1D800), *range(0x2F800, 0x2FA20)])


@pytest.mark.parametrize(
    "known",
    [
        "\n !'\"*-.,abcdefghijklmnopqrstuvwxyz",
        "\n ’“—ABCÉÅØSTſǄǆ",  # ǅ has two other cases
        "".join(map(chr, range(32, 127))) + "äöåæœıσς漢字🌊",
        "".join(chr(code) for code in assigned(range(0xA0, 0x3400, 3))),
    ],
    ids=["plain", "typographic", "mixed", "every third"],
)
def test_the_nearest_character_is_pythons(page: "Page", known: str) -> None:
    characters = sorted(set(known))
    codes = BMP + ASTRAL
    found = page.evaluate(NEAREST, [characters, PLAIN, codes])
    lookup = set(characters)
    for code, stand_in in zip(codes, found, strict=True):
        expected = tokenizer.nearest(chr(code), lookup)
        assert stand_in == (ord(expected) if expected else -1), f"U+{code:04X}"


@pytest.mark.parametrize("known", ["abc e🌊\n", "aé—“x", "的🐚ß"])
def test_encoding_is_pythons(page: "Page", known: str) -> None:
    twin = CharTokenizer.from_text(known)
    text = "Abc 🌊🐚 é\u0301e — “ß” \r\n👩‍👩‍👧 的 中 aab"
    found = page.evaluate(
        """([characters, plain, text]) => {
            const known = new tokenizer.Tokenizer(characters, plain);
            const { ids, foreign } = known.encode(text);
            return { ids, foreign: [...foreign], text: known.decode(ids), V: known.vocabSize };
        }""",
        [list(twin.characters), PLAIN, text],
    )
    assert found["ids"] == twin.encode(text)
    assert [tuple(pair) for pair in found["foreign"]] == list(twin.foreign(text).items())
    assert found["text"] == twin.decode(twin.encode(text))
    assert found["V"] == twin.vocab_size


@pytest.mark.parametrize("id", [-1, 3, 0.5])
def test_an_id_that_there_is_not(page: "Page", id: float) -> None:
    with pytest.raises(Exception, match=f"no character {id}"):
        page.evaluate("(id) => new tokenizer.Tokenizer(['a','b','c'], {}).decode([id])", id)


# --- copies ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spans(page: "Page") -> Callable[[copies.Copies, str], list[tuple[int, int]]]:
    """What copies.js finds in a text."""

    def spans(made: copies.Copies, text: str) -> list[tuple[int, int]]:
        found = page.evaluate(
            """([spec, filter, text]) =>
                new copies.Copies(spec, weights.bytesOf(filter)).spans([...text])""",
            [made.spec(), base64.b64encode(made.content).decode(), text],
        )
        return [(span["start"], span["length"]) for span in found]

    return spans


def test_copies_are_found_as_in_python(
    poems: str, spans: Callable[[copies.Copies, str], list[tuple[int, int]]]
) -> None:
    text = poems[:30_000] + varied("emoji") + varied("chinese")
    characters = "".join(sorted(set(text)))
    made = copies.build(CharTokenizer(characters).encode_array(text), characters)
    own = "🌊 none of these words stand in it, says I 🐚 " * 3
    mixture = own + text[1000:1200] + own + text[-500:-488] + own + text[2000:2011] + text[30_001:]
    found = spans(made, mixture)
    assert found == made.spans(mixture)
    assert any(len(own) <= start <= len(own) + 60 and length >= 100 for start, length in found)
    asked = made.asked(text[:5000])
    assert spans(made, text[:5000]) == [(asked[0], asked[-1] - asked[0] + 12)]
    assert spans(made, "short") == []


def test_an_empty_filter_knows_nothing(
    spans: Callable[[copies.Copies, str], list[tuple[int, int]]],
) -> None:
    assert spans(copies.build([0, 1], "ab"), "abababababababab") == []
