"""Weights in one block: what comes out again, and how far it is from what went in."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from babypoet.config import RUNG_NAMES, ModelConfig
from babypoet.errors import SettingError
from babypoet.exporting.packing import PRECISIONS, Precision, pack, scales, unpack
from babypoet.reference import Array, shapes

MATRICES = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.floats(-60000, 60000, width=32),
)


def random_weights(rung: str) -> dict[str, Array]:
    config = ModelConfig(rung, vocab_size=11, n_layer=2, n_embd=24, n_kv_head=2)
    generator = np.random.default_rng(0)
    return {
        name: generator.normal(size=shape).astype(np.float32)
        for name, shape in shapes(config).items()
    }


def through(weights: Mapping[str, Array], precision: Precision) -> dict[str, Array]:
    return unpack(*pack(weights, precision))


@pytest.mark.parametrize("rung", RUNG_NAMES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_tensor_comes_out_again(rung: str, precision: Precision) -> None:
    weights = random_weights(rung)
    before = {name: weight.copy() for name, weight in weights.items()}
    found = through(weights, precision)
    assert list(found) == list(weights)
    for name, weight in weights.items():
        assert found[name].dtype == np.float32 and found[name].shape == weight.shape
        np.testing.assert_array_equal(weight, before[name])
        if precision == "fp32" or weight.ndim == 1:
            np.testing.assert_array_equal(found[name], weight)
        else:
            error = np.abs(found[name] - weight).max()
            assert 0 < error < {"int8": 0.02, "fp16": 0.002}[precision]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_tensors_lie_apart_at_multiples_of_four(precision: Precision) -> None:
    block, tensors = pack(random_weights("modern"), precision)
    size = {"int8": 1, "fp16": 2, "fp32": 4}
    taken = []
    for packed in tensors:
        count = int(np.prod(packed["shape"]))
        taken.append((packed["offset"], packed["offset"] + count * size[packed["kind"]]))
        if packed["kind"] == "int8":
            taken.append((packed["scale_offset"], packed["scale_offset"] + 4 * packed["shape"][0]))
        assert (packed["kind"] == precision) == (len(packed["shape"]) == 2 or precision == "fp32")
    taken.sort()
    assert all(start % 4 == 0 for start, _ in taken)
    assert all(0 <= after[0] - end < 4 for (_, end), after in pairwise(taken))
    assert taken[0][0] == 0 and 0 <= len(block) - taken[-1][1] < 4


def test_the_bytes_are_what_the_page_expects() -> None:
    """Written down, so that a file of today can be read by a page of tomorrow."""
    weight = np.array([[0, 2.5, -127], [0, 0, 0]], np.float32)  # 2.5 is half-way: to the even 2
    block, tensors = pack({"a": weight, "b": np.array([1.0], np.float32)}, "int8")
    assert tensors == [
        {"name": "a", "shape": [2, 3], "kind": "int8", "scale_offset": 0, "offset": 8},
        {"name": "b", "shape": [1], "kind": "fp32", "offset": 16},
    ]
    one = bytes.fromhex("0000803f")
    assert block == one + one + bytes([0, 2, 129, 0, 0, 0, 0, 0]) + one
    assert through({"a": weight}, "int8")["a"].tolist() == [[0, 2, -127], [0, 0, 0]]


@given(MATRICES)
def test_int8_is_off_by_half_a_step_at_most(weight: Array) -> None:
    found = through({"a": weight}, "int8")["a"]
    step = scales(weight)
    assert (np.abs(found - weight) <= step * np.float32(0.50001) + 1e-30).all()
    assert (np.abs(np.rint(weight / step)) <= 127).all()


@given(MATRICES)
def test_fp16_is_numpys(weight: Array) -> None:
    found = through({"a": weight}, "fp16")["a"]
    np.testing.assert_array_equal(found, weight.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("size", [1e-42, 1e-44])
def test_a_tiny_row_becomes_zero(size: float) -> None:
    """Single precision has no scale for it: the nearest would make whole numbers beyond 127."""
    tiny = np.full((1, 3), size, np.float32)
    assert not through({"a": tiny}, "int8")["a"].any()


def test_what_half_precision_cannot_hold() -> None:
    with pytest.raises(SettingError, match=r"a holds numbers beyond 65,504.*int8"):
        pack({"a": np.full((1, 1), 70000, np.float32)}, "fp16")


def test_an_unknown_precision() -> None:
    with pytest.raises(SettingError, match="'int4'; it must be one of int8, fp16, fp32"):
        pack({}, "int4")  # type: ignore[arg-type]
