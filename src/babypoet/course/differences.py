"""What differs between a learner's result and the right one, in plain words.

    >>> print(compare([1, 2, 4], [1, 2, 3]))
    At index 2 yours is 4, expected 3.

`compare` knows numbers, texts, lists, tuples, dicts, numpy arrays and torch tensors. It looks for
the kinds of wrong that point to a cause (transposed, another order, shifted, a constant factor)
before it names the first wrong value. It knows nothing of lessons."""

import itertools
import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
KINDS = {"b": "true or false", "i": "whole numbers", "u": "whole numbers", "f": "fractions"}


def is_tensor(value: object) -> bool:
    """Whether it is a torch tensor, without importing torch for those who do not."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_array(value: object) -> bool:
    """Whether it is a numpy array or a torch tensor."""
    return isinstance(value, np.ndarray) or is_tensor(value)


def is_number(value: object) -> bool:
    """Whether it is one number, be it Python's, numpy's or a tensor without axes."""
    return isinstance(value, (bool, int, float, np.generic)) or (
        is_array(value) and value.ndim == 0  # type: ignore[attr-defined]
    )


def as_numpy(value: Any) -> Array:
    """An array, a tensor or a number as a numpy array."""
    if is_tensor(value):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        return np.asarray(value.numpy())
    return np.asarray(value)


def type_name(value: object) -> str:
    """What a value is, as people say it.

    >>> type_name([1]), type_name(None), type_name(np.zeros(2))
    ('a list', 'None', 'a numpy array')
    """
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return "a numpy array"
    if is_tensor(value):
        return "a torch tensor"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    names = {
        "bool": "True or False", "int": "a whole number", "float": "a fraction",
        "str": "a text", "function": "a function", "dict": "a dict", "generator": "a generator",
    }  # fmt: skip
    name = type(value).__name__
    article = "an" if name[0].lower() in "aeiou" else "a"
    return names.get(name, f"{article} {name}")


def number_text(value: Any) -> str:
    """A number, short.

    >>> number_text(0.333333333), number_text(1e-9), number_text(4)
    ('0.333333', '1e-09', '4')
    """
    value = value.item() if hasattr(value, "item") else value
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as it is written in the lessons: (2, 3)."""
    return str(tuple(shape))


def short(value: Any, width: int = 200) -> str:
    """A value in one line or few, cut where it is long."""
    with np.printoptions(precision=4, suppress=True, threshold=40, edgeitems=3):
        text = str(as_numpy(value)) if is_array(value) else repr(value)
    return text if len(text) <= width else text[: width - 4] + " ..."


# --- equal or not ---------------------------------------------------------------------------------


def close(theirs: Array, right: Array, tolerance: float) -> NDArray[np.bool_]:
    """Where two arrays of one shape agree, NaN with NaN and infinity with infinity."""
    if theirs.dtype.kind in "fc" or right.dtype.kind in "fc":
        return np.isclose(theirs, right, rtol=tolerance, atol=tolerance, equal_nan=True)
    return np.asarray(theirs == right)


def same(theirs: Any, right: Any, tolerance: float) -> bool:
    """Whether two results agree; a NaN agrees with a NaN, so that mistakes can be recognised."""
    try:
        return _same(theirs, right, tolerance)
    except Exception:  # a learner's object may hold anything, also an __eq__ that fails
        return False


def _same(theirs: Any, right: Any, tolerance: float) -> bool:
    if is_number(theirs) and is_number(right):
        return bool(close(as_numpy(theirs), as_numpy(right), tolerance))
    if is_array(theirs) and is_array(right):
        a, b = as_numpy(theirs), as_numpy(right)
        return a.shape == b.shape and bool(close(a, b, tolerance).all())
    if isinstance(theirs, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(theirs) == len(right) and all(
            _same(a, b, tolerance) for a, b in zip(theirs, right, strict=True)
        )
    if isinstance(theirs, dict) and isinstance(right, dict):
        return theirs.keys() == right.keys() and all(
            _same(theirs[key], right[key], tolerance) for key in right
        )
    return type(theirs) is type(right) and bool(theirs == right)


# --- and if not, how ------------------------------------------------------------------------------


def compare(theirs: Any, right: Any, tolerance: float = 1e-5) -> str | None:
    """None where the learner's result is right, else what differs and by how much."""
    if theirs is None and right is not None:
        return f"It gave None, expected {type_name(right)}. Is a `return` missing?"
    if is_number(right) and not (is_array(right) and as_numpy(right).ndim):
        return _compare_numbers(theirs, right, tolerance)
    if is_array(right):
        return _compare_arrays(theirs, right, tolerance)
    if isinstance(right, str):
        return _compare_texts(theirs, right)
    if isinstance(right, (list, tuple)):
        return _compare_lists(theirs, right, tolerance)
    if isinstance(right, dict):
        return _compare_dicts(theirs, right, tolerance)
    if type(theirs) is not type(right):
        return f"It gave {type_name(theirs)}, expected {type_name(right)}."
    if bool(theirs == right):
        return None
    return f"It gave {short(theirs)}, expected {short(right)}."


def _compare_numbers(theirs: Any, right: Any, tolerance: float) -> str | None:
    if not is_number(theirs):
        shape = f" of shape {shape_text(theirs.shape)}" if is_array(theirs) else ""
        hint = " Is it still to be summed, averaged or indexed?" if is_array(theirs) else ""
        return f"It gave {type_name(theirs)}{shape}, expected one number.{hint}"
    a, b = as_numpy(theirs), as_numpy(right)
    if b.dtype.kind in "iu" and a.dtype.kind == "f":
        equal = " Right, but of the wrong type: int(...) makes it whole." if a == b else ""
        return f"It gave the fraction {number_text(a)}, expected the whole number {b}.{equal}"
    if b.dtype.kind == "b" and a.dtype.kind != "b":
        return f"It gave {number_text(a)}, expected {b}."
    if bool(close(a, b, tolerance)):
        return None
    if a.dtype.kind == "f" and not np.isfinite(a):
        return f"It gave {_not_finite(float(a))}, expected {number_text(b)}."
    x, y = float(a), float(b)
    return (
        f"Yours is {number_text(a)}, expected {number_text(b)}: {_off(x, y)}.{_scalar_hint(x, y)}"
    )


def _not_finite(value: float) -> str:
    return "NaN (not a number)" if math.isnan(value) else number_text(value)


def _off(theirs: float, right: float) -> str:
    difference = theirs - right
    return f"{number_text(abs(difference))} too {'large' if difference > 0 else 'small'}"


def _scalar_hint(theirs: float, right: float) -> str:
    if not right or not theirs or not math.isfinite(right):
        return ""
    factor = theirs / right
    if math.isclose(factor, -1, rel_tol=1e-4):
        return " The sign is the wrong way round."
    known = _known_factor(factor)
    return f" That is {known} times what it should be." if known else ""


def _known_factor(factor: float) -> str:
    """A factor that points to a cause, in words: a small whole number or its inverse, ln 2."""
    for n in range(2, 101):
        if math.isclose(factor, n, rel_tol=1e-4):
            return str(n)
        if math.isclose(factor, 1 / n, rel_tol=1e-4):
            return f"1/{n}"
    if math.isclose(factor, 1 / math.log(2), rel_tol=1e-4):
        return "1/ln 2 (bits where nats are asked?)"
    return ""


def _compare_texts(theirs: Any, right: str) -> str | None:
    if not isinstance(theirs, str):
        return f"It gave {type_name(theirs)}, expected a text."
    if theirs == right:
        return None
    if theirs == right[::-1]:
        return f"It gave {theirs[:60]!r}: the right characters, back to front."
    for at, (a, b) in enumerate(zip(theirs, right, strict=False)):
        if a != b:
            return (
                f"It gave {theirs[:60]!r}, expected {right[:60]!r}: "
                f"character {at} is {a!r}, expected {b!r}."
            )
    return (
        f"It gave {theirs[:60]!r}, expected {right[:60]!r}: "
        f"{len(theirs)} characters, expected {len(right)}."
    )


def _compare_lists(theirs: Any, right: Any, tolerance: float) -> str | None:
    many = f"{len(right)} results" if isinstance(right, tuple) else "a list"
    if isinstance(right, tuple) and isinstance(theirs, list):
        theirs = tuple(theirs)  # several results in a list are as good
    if type(theirs) is not type(right):
        if isinstance(right, tuple):
            return f"It gave {type_name(theirs)}, expected {many}: `return a, b`."
        return f"It gave {type_name(theirs)}, expected {many}."
    if isinstance(right, tuple):
        if len(theirs) != len(right):
            return f"It gave {len(theirs)} results, expected {len(right)}."
        swapped = len(right) == 2 and _same(theirs, right[::-1], tolerance)
        if swapped and not _same(theirs, right, tolerance):
            return "The two results are swapped."
        for at, (a, b) in enumerate(zip(theirs, right, strict=True)):
            if said := compare(a, b, tolerance):
                return f"Of its {len(right)} results the {_ordinal(at)} is wrong. {said}"
        return None
    if said := _order(theirs, right, tolerance):
        return said
    for at, (a, b) in enumerate(zip(theirs, right, strict=False)):
        if compare(a, b, tolerance):
            return _first_in_list(at, a, b, tolerance, theirs, right)
    if len(theirs) != len(right):
        return (
            f"It gave {len(theirs)} items, expected {len(right)}; "
            f"the first {min(len(theirs), len(right))} are right."
        )
    return None


def _first_in_list(at: int, a: Any, b: Any, tolerance: float, theirs: Any, right: Any) -> str:
    lengths = ""
    if len(theirs) != len(right):
        lengths = f"It gave {len(theirs)} items, expected {len(right)}. "
    plain = (bool, int, float, str, np.generic)
    if isinstance(a, plain) and isinstance(b, plain) and type_name(a) == type_name(b):
        shown = [number_text(x) if not isinstance(x, str) else repr(x) for x in (a, b)]
        return f"{lengths}At index {at} yours is {shown[0]}, expected {shown[1]}."
    return f"{lengths}At index {at}: {compare(a, b, tolerance)}"


def _order(theirs: list[Any], right: list[Any], tolerance: float) -> str | None:
    """What to say where a list holds the right things in another order, or one place on."""
    if len(right) < 2 or _same(theirs, right, tolerance):
        return None
    if _same(theirs, right[::-1], tolerance):
        return "The right items, back to front."
    if _same(theirs, right[1:], tolerance):
        return f"The first item is missing: it begins with {short(theirs[0])}."
    if _same(theirs, right[:-1], tolerance):
        return f"The last item is missing: {len(theirs)} items, expected {len(right)}."
    if len(theirs) == len(right):
        if len(right) > 2 and _same(theirs[1:], right[:-1], tolerance):
            return "Everything stands one place too late: off by one?"
        if len(right) > 2 and _same(theirs[:-1], right[1:], tolerance):
            return "Everything stands one place too early: off by one?"
        hashable = all(isinstance(x, (int, float, str)) for x in [*theirs, *right])
        if hashable and sorted(map(repr, theirs)) == sorted(map(repr, right)):
            return (
                f"The right items in another order: it gave {short(theirs, 80)}, "
                f"expected {short(right, 80)}."
            )
    return None


def _ordinal(at: int) -> str:
    names = ("first", "second", "third", "fourth", "fifth")
    return names[at] if at < len(names) else f"{at + 1}th"


def _compare_dicts(theirs: Any, right: dict[Any, Any], tolerance: float) -> str | None:
    if not isinstance(theirs, dict):
        return f"It gave {type_name(theirs)}, expected a dict."
    if missing := [key for key in right if key not in theirs]:
        return f"There is no {missing[0]!r} in the dict; it has {short(list(theirs), 80)}."
    if extra := [key for key in theirs if key not in right]:
        return f"The dict has {extra[0]!r}, which is not asked for."
    for key, value in right.items():
        if said := compare(theirs[key], value, tolerance):
            return f"Under {key!r}: {said}"
    return None


# --- arrays ---------------------------------------------------------------------------------------


def _compare_arrays(theirs: Any, right: Any, tolerance: float) -> str | None:
    if is_number(theirs) or not is_array(theirs):
        expected = f"{type_name(right)} of shape {shape_text(right.shape)}"
        return f"It gave {type_name(theirs)}, expected {expected}."
    if is_tensor(theirs) != is_tensor(right):
        return f"It gave {type_name(theirs)}, expected {type_name(right)}."
    a, b = as_numpy(theirs), as_numpy(right)
    if a.shape != b.shape:
        return _shapes(a, b, tolerance)
    if a.dtype.kind not in KINDS:
        return f"It holds values of type {a.dtype}, expected {b.dtype}."
    if KINDS[a.dtype.kind] != KINDS.get(b.dtype.kind):
        return (
            f"It holds {KINDS[a.dtype.kind]} (dtype {a.dtype}), "
            f"expected {KINDS.get(b.dtype.kind, 'others')} (dtype {b.dtype})."
            f"{_kind_hint(a, b, is_tensor(theirs))}"
        )
    agree = close(a, b, tolerance)
    if agree.all():
        return None
    return _values(a, b, agree, tolerance)


def _kind_hint(a: Array, b: Array, torch: bool) -> str:
    if a.dtype.kind != "f" or b.dtype.kind not in "iu":
        return ""
    wanted = "torch.long" if torch else "int"
    return f" Zeros and ones are fractions unless they are made with dtype={wanted}."


def _shapes(a: Array, b: Array, tolerance: float) -> str:
    said = f"Its shape is {shape_text(a.shape)}, expected {shape_text(b.shape)}."
    return f"{said}{_shape_hint(a, b, tolerance)}"


def _shape_hint(a: Array, b: Array, tolerance: float) -> str:
    if a.ndim == b.ndim == 2 and a.shape == b.shape[::-1]:
        sure = " Yours is the transpose." if _same(a.T, b, tolerance) else " Is it transposed?"
        return f"{sure} The axes are swapped."
    if sorted(a.shape) == sorted(b.shape):
        for order in itertools.permutations(range(b.ndim)):
            if a.shape == tuple(b.shape[i] for i in order):
                return f" The axes are there in another order: {shape_text(order)}."
    if tuple(n for n in a.shape if n != 1) == tuple(n for n in b.shape if n != 1):
        if a.ndim > b.ndim:
            return " There is an axis of length 1 too many (keepdim, or an unsqueeze?)."
        return " An axis of length 1 is missing (keepdim, or an unsqueeze?)."
    if a.ndim < b.ndim:
        return f" {_count(b.ndim - a.ndim, 'axis is', 'axes are')} missing."
    if a.ndim > b.ndim:
        return f" {_count(a.ndim - b.ndim, 'axis is', 'axes are')} too many."
    wrong = [i for i in range(a.ndim) if a.shape[i] != b.shape[i]]
    if len(wrong) == 1:
        i = wrong[0]
        difference = a.shape[i] - b.shape[i]
        amount = f"{abs(difference)} too {'long' if difference > 0 else 'short'}"
        return f" Axis {i} is {amount}{': off by one?' if abs(difference) == 1 else '.'}"
    return ""


def _count(n: int, one: str, many: str) -> str:
    return f"{'One' if n == 1 else n} {one if n == 1 else many}"


def _values(a: Array, b: Array, agree: NDArray[np.bool_], tolerance: float) -> str:
    first = tuple(int(i) for i in np.argwhere(~agree)[0])
    where = f"[{', '.join(map(str, first))}]"
    bad = np.isfinite(b) & ~np.isfinite(a) if a.dtype.kind == "f" else np.zeros(0, bool)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        where = f"[{', '.join(map(str, first))}]"
        return (
            f"{_not_finite(float(a[first]))} at {where}, expected {number_text(b[first])}; "
            f"{int(bad.sum())} of {b.size} values are NaN or infinite."
        )
    wrong = int((~agree).sum())
    all_or_many = (
        f"All {b.size} values are" if wrong == b.size > 1 else f"{wrong} of {b.size} values are"
    )
    amount = "" if b.dtype.kind == "b" else f" ({_off(float(a[first]), float(b[first]))})"
    said = (
        f"At {where} yours is {number_text(a[first])}, expected {number_text(b[first])}{amount}. "
        f"{all_or_many if wrong != 1 else f'1 of {b.size} values is'} wrong."
    )
    return f"{said}{_value_hint(a, b, agree, tolerance)}"


def _value_hint(a: Array, b: Array, agree: NDArray[np.bool_], tolerance: float) -> str:
    """Where all the wrong values are wrong in one way: which."""
    for hint in (_rearranged, _scaled):
        if said := hint(a, b, tolerance):
            return " " + said
    if b.ndim >= 2 and (~agree).sum() > 1 and agree.any():
        for axis in range(b.ndim):
            others = tuple(i for i in range(b.ndim) if i != axis)
            rows = np.flatnonzero((~agree).any(axis=others))
            if len(rows) == 1:
                return f" All of them are at index {rows[0]} of axis {axis}."
    if b.ndim == 2 and b.shape[0] == b.shape[1] > 1 and not agree.all():
        outside = ~np.eye(len(b), dtype=bool)
        if agree[outside].all():
            return " All of them are on the diagonal."
        if agree[np.tril_indices(len(b))].all():
            return " All of them are above the diagonal."
        if agree[np.triu_indices(len(b))].all():
            return " All of them are below the diagonal."
    return ""


def _rearranged(a: Array, b: Array, tolerance: float) -> str:
    if b.size < 2:
        return ""

    def is_b(x: Array) -> bool:
        return x.shape == b.shape and bool(close(x, b, tolerance).all())

    if b.ndim >= 2 and is_b(a.swapaxes(-1, -2)):
        return "Yours is the transpose."
    for axis in range(b.ndim):
        name = "" if b.ndim == 1 else f" along axis {axis}"
        n = b.shape[axis]
        if n < 2:
            continue
        if is_b(np.flip(a, axis)):
            return f"The right numbers, back to front{name}."
        if n < 3:
            continue
        here, there = np.arange(n - 1), np.arange(1, n)
        late = close(a.take(there, axis), b.take(here, axis), tolerance).all()
        early = close(a.take(here, axis), b.take(there, axis), tolerance).all()
        varied = not close(b.take(here, axis), b.take(there, axis), tolerance).all()
        if varied and (late or early):
            return f"Everything stands one place too {'late' if late else 'early'}{name}."
    if b.dtype.kind != "b" and is_b_sorted(a, b, tolerance):
        return "The right numbers in another order."
    return ""


def is_b_sorted(a: Array, b: Array, tolerance: float) -> bool:
    """Whether two arrays hold the same numbers, in whatever order, and not all one number."""
    x, y = np.sort(a, axis=None), np.sort(b, axis=None)
    return bool(close(x, y, tolerance).all() and not np.isclose(y[0], y[-1]))


def _scaled(a: Array, b: Array, tolerance: float) -> str:
    if b.dtype.kind not in "fiu" or b.size < 2:
        return ""
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = a[finite].astype(np.float64), b[finite].astype(np.float64)
    if a.size < 2 or np.allclose(b, b[0]):
        return ""
    largest = int(np.abs(b).argmax())
    factor = a[largest] / b[largest]
    loose = 10 * tolerance
    if abs(factor) > 1e-6 and np.allclose(a, factor * b, rtol=loose, atol=loose * abs(factor)):
        if math.isclose(factor, -1, rel_tol=1e-4):
            return "All have the wrong sign."
        known = _known_factor(factor) or number_text(float(factor))
        return "" if known == "1" else f"All are {known} times what they should be."
    shift = a[0] - b[0]
    if abs(shift) > loose and np.allclose(a - shift, b, rtol=loose, atol=loose):
        return (
            f"All are {number_text(abs(float(shift)))} too {'large' if shift > 0 else 'small'}: "
            "a constant is added."
        )
    return ""
