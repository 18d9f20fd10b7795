"""Which windows of the text a training step sees: a pure function of (seed, step), with no state to
save.

    >>> import numpy as np
    >>> batch_starts(length=1000, block_size=64, batch_size=4, seed=0, step=7).shape
    (4,)

The text is cut into windows of `block_size` side by side, starting at a random phase; each epoch
has its own phase and visits its windows in its own order, every one once. The order is a Feistel
network (Luby and Rackoff 1988), which permutes any number of windows without ever listing them: a
200 MB text costs no more memory than a poem."""

import hashlib

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.integer]


def draw(seed: int, purpose: str, *counters: int) -> int:
    """A random number below 2^63 that depends on (seed, purpose, counters) and nothing else.

    >>> draw(0, "dropout", 3) == draw(0, "dropout", 3) != draw(0, "dropout", 4)
    True
    """
    text = ":".join([str(seed), purpose, *map(str, counters)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def permuted(indices: NDArray[np.int64], length: int, key: int) -> NDArray[np.int64]:
    """Where a random permutation of range(length) sends each of `indices`; `key` picks the
    permutation.

    >>> sorted(permuted(np.arange(10), 10, key=1).tolist())
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    # Four rounds do for many windows; a few need six to be sent anywhere equally often.
    half = max(1, ((length - 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << half) - 1)
    keys = [np.uint64(draw(key, "feistel", i)) for i in range(6)]

    def shuffle(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = x >> np.uint64(half), x & mask
        for round_key in keys:
            mixed = (right + round_key) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
            mixed *= np.uint64(0xBF58476D1CE4E5B9)
            left, right = right, left ^ ((mixed >> np.uint64(32)) & mask)
        return (left << np.uint64(half)) | right

    x = shuffle(indices.astype(np.uint64))
    while (outside := x >= length).any():  # the network permutes a power of four: walk until inside
        x[outside] = shuffle(x[outside])
    return x.astype(np.int64)


def windows_per_epoch(length: int, block_size: int) -> int:
    """How many windows of `block_size` an epoch has, whatever its phase; `length` >
    `block_size`."""
    return max(1, length // block_size - 1)


def batch_starts(
    length: int, block_size: int, batch_size: int, seed: int, step: int
) -> NDArray[np.int64]:
    """Where the windows of a step start: (batch_size,) offsets below length - block_size."""
    assert length > block_size, (length, block_size)
    windows = windows_per_epoch(length, block_size)
    phases = length - windows * block_size  # as many as leave room for the last window
    number = step * batch_size + np.arange(batch_size)
    starts = np.empty(batch_size, dtype=np.int64)
    for epoch in np.unique(number // windows):
        here = number // windows == epoch
        key = draw(seed, "epoch", int(epoch))
        starts[here] = permuted(number[here] % windows, windows, key) * block_size + key % phases
    return starts


def batch(
    ids: Ids, block_size: int, batch_size: int, seed: int, step: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The inputs and the targets of a step: two (batch_size, block_size) arrays, one character
    apart.

    `ids` is the training part, an array or a memory map of any integer type.
    """
    starts = batch_starts(len(ids), block_size, batch_size, seed, step)
    window = starts[:, None] + np.arange(block_size + 1)
    taken = np.asarray(ids[window], dtype=np.int64)
    return taken[:, :-1], taken[:, 1:]
