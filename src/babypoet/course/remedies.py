"""What to do about the exceptions that people meet most with numpy and PyTorch.

    >>> print(remedy("The size of tensor a (3) must match the size of tensor b (4)"))
    Read the two shapes from the right: ...

Nothing here knows of lessons: what it says must be true wherever the exception comes from."""

import re

INIT_FIRST = (
    "super().__init__() is missing: begin your __init__ with it, before anything is put on self "
    "(in a Rung, super().__init__(config)). PyTorch sets up its lists there."
)
PRODUCT = (
    "In a product A @ B, the last axis of A must be as long as the axis before the last of B. "
    "Print both shapes."
)
FIT = (
    "Read the two shapes from the right: two axes fit if they are equally long, or if one of them "
    "has the length 1. Print both shapes."
)
WHOLE = "What looks something up must hold whole numbers"
AXIS = (
    "There is no such axis: they are counted from 0. -1 is always the last one, however many "
    "there are."
)

REMEDIES: tuple[tuple[str, str], ...] = (
    (r"cannot assign \w+ before Module\.__init__", INIT_FIRST),
    (r"object has no attribute '_(modules|parameters|buffers|\w*hooks)'", INIT_FIRST),
    (
        r"Rung\.__init__\(\) missing .*'config'",
        "A Rung keeps its settings: pass them on, super().__init__(config).",
    ),
    (
        r"boolean mask|condition to be a boolean",
        "A mask holds True and False: make it of `torch.ones(T, T, dtype=torch.bool)`, or turn it "
        "into one with `.bool()`.",
    ),
    (
        r"^index out of range in self",
        "An embedding was asked for a row that it does not have. A table of characters is asked "
        "for ids, a table of places for 0, 1, 2, ..., `torch.arange(T)`.",
    ),
    (
        r"argument 'indices' .* must be Tensor, not",
        "An embedding is asked with a tensor of row numbers. All places from 0 to T - 1 are "
        "`torch.arange(T)`.",
    ),
    (r"scalar types: Long, Int; but got", f"{WHOLE}: ids, or `torch.arange(T)`."),
    (r"tensors used as indices must be", f"{WHOLE}: `.long()` makes them of a tensor."),
    (r"arrays used as indices must be", f"{WHOLE}: give `dtype=int` where the array is made."),
    (
        r"normal_\(\): argument 'std' .* NoneType",
        "`std` is None here: put a number in its place before you pass it on.",
    ),
    (
        r"view size is not compatible",
        "After a transpose the numbers no longer lie in memory in the order of the axes, so "
        "`.view` cannot read them; `.reshape` copies them where it must.",
    ),
    (
        r"^shape '.*' is invalid for input of size",
        "The lengths of the new axes, multiplied, must give as many numbers as there are.",
    ),
    (r"mat1 and mat2 shapes cannot be multiplied|dimensions of batch2 tensor", PRODUCT),
    (r"matmul: Input operand 1 has a mismatch", PRODUCT),
    (r"mat1 and mat2 must have the same dtype", "Whole numbers need `.float()` before a layer."),
    (r"The size of tensor a .* must match|could not be broadcast together", FIT),
    (
        r"does not require grad and does not have a grad_fn",
        "backward() finds nothing to go back through. The loss must come from the model as it is: "
        "not made inside `torch.no_grad()`, not detached.",
    ),
    (
        r"'(float|int)' object has no attribute 'backward'",
        "A plain number no longer knows what it came from. Call backward() on the loss itself, "
        "and `.item()` only for the list.",
    ),
    (
        r"backward through the graph a second time",
        "A loss can be gone back through once. Ask the model for a new one at each step.",
    ),
    (r"^axis -?\d+ is out of bounds|^Dimension out of range", AXIS),
    (
        r"^too many indices for",
        "There are fewer axes than you name. Print the shape.",
    ),
    (
        r"could not infer output dtype",
        "Whole numbers have no mean in PyTorch: `.float()` first.",
    ),
    (
        r"cannot be converted to Scalar",
        "`.item()` takes the number out of a tensor that holds only one.",
    ),
)  # in this order: the first that fits speaks


def remedy(message: str) -> str:
    """What to do about an exception with this message, or nothing.

    >>> remedy("axis 1 is out of bounds for array of dimension 1")
    'There is no such axis: they are counted from 0. -1 is always the last one, however many ...'
    """
    for pattern, says in REMEDIES:
        if re.search(pattern, message):
            return says
    return ""
