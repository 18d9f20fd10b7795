"""A model's weights as one block of bytes, small enough to travel inside a page.

    block, tensors = pack(run.weights(), "int8")    # "int8", "fp16" or "fp32"
    weights = unpack(block, tensors)                # float32 again; page/weights.js does the same

int8 keeps for each row of a matrix one scale, its largest number / 127, and each number as a whole
multiple of it. fp16 rounds each number to IEEE half precision. Vectors (the scales of norms,
biases) are few and stay as they are. All is little-endian, and each tensor begins at a multiple
of 4.

The model's own weights are never changed. How much the rounding costs is for the caller to measure.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from babypoet.errors import SettingError
from babypoet.reference import Array

Precision = Literal["int8", "fp16", "fp32"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Packed = dict[str, Any]
"""One tensor: name, shape, kind, offset, and for int8 scale_offset."""

_TYPES = {"int8": "i1", "fp16": "<f2", "fp32": "<f4"}
_LARGEST_HALF = 65504


def pack(weights: Mapping[str, Array], precision: Precision) -> tuple[bytes, list[Packed]]:
    """The weights in one block, and where in it each tensor lies.

    A precision that there is not, or that cannot hold a number, is a SettingError."""
    if precision not in PRECISIONS:
        raise SettingError(
            f"--weights is {precision!r}; it must be one of {', '.join(PRECISIONS)}."
        )
    block, tensors = bytearray(), []
    for name, weight in weights.items():
        kind = precision if weight.ndim == 2 else "fp32"
        packed: Packed = {"name": name, "shape": list(weight.shape), "kind": kind}
        if kind == "int8":
            scale = scales(weight)  # (rows, 1)
            packed["scale_offset"] = _append(block, scale.astype("<f4"))
            weight = np.rint(weight / scale)  # (rows, columns)
        elif kind == "fp16" and np.abs(weight).max(initial=0) > _LARGEST_HALF:
            raise SettingError(
                f"{name} holds numbers beyond {_LARGEST_HALF:,}, the largest that half precision "
                "has. Use --weights int8."
            )
        tensors.append({**packed, "offset": _append(block, weight.astype(_TYPES[kind]))})
    return bytes(block), tensors


def scales(weight: Array) -> Array:
    """What int8's whole numbers are multiples of, row by row: (rows, columns) -> (rows, 1).

    A row's largest number becomes 127 or -127; a row of zeros, or of numbers so small that there is
    no scale for them, has the scale 1.
    """
    scale = np.abs(weight).max(axis=-1, keepdims=True, initial=0).astype(np.float32) / 127
    smallest = np.finfo(np.float32).tiny  # below it, a quotient would leave -127..127
    return np.where(scale < smallest, 1, scale).astype(np.float32)


def unpack(block: bytes, tensors: Sequence[Packed]) -> dict[str, Array]:
    """The weights in float32, with what was lost by rounding lost."""
    weights = {}
    for packed in tensors:
        shape, kind = packed["shape"], packed["kind"]
        found = np.frombuffer(block, _TYPES[kind], math.prod(shape), packed["offset"])
        weight = found.reshape(shape).astype(np.float32)
        if kind == "int8":
            scale = np.frombuffer(block, "<f4", shape[0], packed["scale_offset"])
            weight = weight * scale.astype(np.float32)[:, None]  # (rows, columns)
        weights[packed["name"]] = weight
    return weights


def _append(block: bytearray, numbers: np.ndarray[Any, Any]) -> int:
    """Add an array's bytes to the block, filled up to a multiple of 4; where they begin."""
    offset = len(block)
    block += numbers.tobytes()
    block += bytes(-len(block) % 4)
    return offset
