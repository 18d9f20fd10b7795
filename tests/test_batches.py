"""The batches: a pure function of (seed, step) that shows every window once an epoch."""

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from babypoet.batches import batch, batch_starts, draw, permuted, windows_per_epoch

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 700))  # block_size, and what the length adds
SEEDS = st.integers(0, 2**31)


def epoch_starts(length: int, block_size: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Where the windows of one epoch start, in the order in which they are visited."""
    windows = windows_per_epoch(length, block_size)
    return batch_starts(length, block_size, windows, seed, step=epoch)


def seen_targets(length: int, block_size: int, epochs: int) -> Counter[int]:
    """How often each position of a text was a target in the first `epochs` epochs."""
    windows = windows_per_epoch(length, block_size)
    seen: Counter[int] = Counter()
    for epoch in range(epochs):
        seen.update(batch(np.arange(length), block_size, windows, 0, epoch)[1].flatten().tolist())
    return seen


@given(SIZES, st.integers(1, 9), SEEDS, st.integers(0, 10**6))
def test_targets_are_the_inputs_one_later_and_every_window_is_in_the_text(
    sizes: tuple[int, int], batch_size: int, seed: int, step: int
) -> None:
    block_size, extra = sizes
    ids = np.arange(block_size + extra)  # each character is its own position
    x, y = batch(ids, block_size, batch_size, seed, step)
    assert x.shape == y.shape == (batch_size, block_size)
    assert (y == x + 1).all()
    assert (np.diff(x, axis=1) == 1).all()
    assert x.min() >= 0
    assert y.max() < len(ids)


@given(SIZES, st.integers(1, 9), SEEDS, st.integers(0, 10**6))
def test_a_batch_depends_on_seed_and_step_alone(
    sizes: tuple[int, int], batch_size: int, seed: int, step: int
) -> None:
    block_size, extra = sizes
    wanted = (block_size + extra, block_size, batch_size, seed, step)
    first = batch_starts(*wanted)
    batch_starts(*wanted[:-1], step + 1)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    before = (random.getstate(), np.random.get_state()[1].tolist())
    assert (batch_starts(*wanted) == first).all()
    after = (random.getstate(), np.random.get_state()[1].tolist())
    assert after == before  # and it leaves the global generators alone


@given(SIZES, SEEDS, st.integers(0, 1000))
def test_an_epoch_visits_each_of_its_windows_once(
    sizes: tuple[int, int], seed: int, epoch: int
) -> None:
    block_size, extra = sizes
    starts = np.sort(epoch_starts(block_size + extra, block_size, seed, epoch))
    assert (np.diff(starts) == block_size).all()  # side by side: none twice, none left out
    assert starts[0] >= 0
    assert starts[-1] + block_size < block_size + extra


@given(st.integers(1, 3000), SEEDS)
def test_permuted_is_a_permutation_of_any_length(length: int, key: int) -> None:
    assert sorted(permuted(np.arange(length), length, key).tolist()) == list(range(length))


@pytest.mark.parametrize("length", [2, 3, 4, 5, 7, 16])
def test_a_permutation_sends_every_index_everywhere_about_equally_often(length: int) -> None:
    keys = 1500
    visits = np.zeros((length, length))
    for key in range(keys):
        visits[np.arange(length), permuted(np.arange(length), length, key)] += 1
    assert visits.min() * length / keys > 0.6
    assert visits.max() * length / keys < 1.5


def test_a_permutation_of_a_large_text_is_not_listed() -> None:
    """The windows of 10^12 characters, which nothing could hold."""
    few = permuted(np.arange(1000), 10**12, key=3)
    assert len(set(few.tolist())) == 1000
    assert few.min() >= 0
    assert 0.8e12 < few.max() < 10**12


@given(st.integers(2, 40), st.integers(1, 500), SEEDS)
def test_phases_differ_between_epochs_and_stay_within_one(
    block_size: int, extra: int, seed: int
) -> None:
    assume(extra > 1)
    length = block_size + extra
    phases = [epoch_starts(length, block_size, seed, epoch).min() for epoch in range(40)]
    assert len(set(phases)) > 1
    assert [p % block_size for p in epoch_starts(length, block_size, seed, 0)] == (
        [phases[0] % block_size] * windows_per_epoch(length, block_size)
    )


def test_the_order_differs_between_epochs_and_seeds() -> None:
    orders = {
        tuple(np.argsort(epoch_starts(1000, 10, seed, epoch)).tolist())
        for seed in range(5)
        for epoch in range(5)
    }
    assert len(orders) == 25


def test_other_seeds_see_other_windows() -> None:
    assert (
        len({tuple(batch_starts(1000, 10, 8, seed, step=3).tolist()) for seed in range(20)}) == 20
    )


def test_a_step_across_the_border_of_an_epoch_ends_one_and_begins_the_next() -> None:
    length, block_size, seed = 103, 10, 7
    windows = windows_per_epoch(length, block_size)
    assert windows == 9
    both = [*epoch_starts(length, block_size, seed, 0), *epoch_starts(length, block_size, seed, 1)]
    steps = [batch_starts(length, block_size, 6, seed, step) for step in range(3)]  # 6 6|3 3 6
    assert np.concatenate(steps).tolist() == both


@given(SIZES, st.integers(1, 5), st.integers(1, 5), SEEDS, st.integers(0, 500))
def test_small_batches_one_after_another_are_the_big_one(
    sizes: tuple[int, int], parts: int, small: int, seed: int, step: int
) -> None:
    block_size, extra = sizes
    length = block_size + extra
    big = batch_starts(length, block_size, parts * small, seed, step)
    micro = [
        batch_starts(length, block_size, small, seed, step * parts + part) for part in range(parts)
    ]
    assert np.concatenate(micro).tolist() == big.tolist()


def test_every_character_away_from_the_ends_is_a_target_once_an_epoch() -> None:
    length, block_size, epochs = 300, 16, 200
    seen = seen_targets(length, block_size, epochs)
    assert {seen[c] for c in range(2 * block_size, length - 2 * block_size)} == {epochs}
    assert max(seen.values()) == epochs
    assert seen[0] == 0  # nothing comes before it


@pytest.mark.parametrize("length", [11, 17, 27, 29, 38, 100, 109])
def test_every_character_but_the_first_is_a_target_sooner_or_later(length: int) -> None:
    assert sorted(seen_targets(length, block_size=10, epochs=300)) == list(range(1, length))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_memory_map_gives_what_the_array_gives(tmp_path: Path, dtype: str) -> None:
    ids = (np.arange(500) * 37 % 251).astype(dtype)
    ids.tofile(tmp_path / "ids.bin")
    mapped = np.memmap(tmp_path / "ids.bin", dtype=dtype, mode="r")
    for step in range(5):
        for one, other in zip(batch(mapped, 7, 3, 0, step), batch(ids, 7, 3, 0, step), strict=True):
            assert one.dtype == other.dtype == np.int64
            assert not isinstance(one, np.memmap)
            assert (one == other).all()


def test_a_text_too_short_for_one_window_is_our_own_bug() -> None:
    with pytest.raises(AssertionError):
        batch_starts(length=64, block_size=64, batch_size=1, seed=0, step=0)


GOLDEN = """
draw(0, "dropout", 3)               -> 4541206086900096330
draw(1, "epoch", 2)                 -> 602073462224869170
draw(0, "x")                        -> 5643935764860073471
permuted(np.arange(11), 11, 5)      -> [3, 6, 7, 5, 9, 1, 0, 2, 10, 8, 4]
"""


@pytest.mark.parametrize("line", GOLDEN.strip().splitlines())
def test_draws_are_the_same_everywhere_and_for_ever(line: str) -> None:
    """A run that is resumed by a later version must see the windows it would have seen."""
    call, _, expected = line.partition("->")
    names = {"draw": draw, "permuted": permuted, "np": np}
    assert str(np.asarray(eval(call, names)).tolist()) == expected.strip()


def test_draw_depends_on_everything_it_is_given() -> None:
    counters = [(), (0,), (1,), (0, 0), (0, 1), (1, 0), (10,)]
    draws = [draw(seed, name, *c) for seed in (0, 1, 11) for name in ("a", "b") for c in counters]
    assert len(set(draws)) == len(draws)
    assert all(0 <= x < 2**63 for x in draws)
    assert max(draws) > 2**62  # and it fills its range


def test_draw_is_uniform() -> None:
    counts = Counter(draw(0, "die", i) % 8 for i in range(8000))
    assert max(abs(counts[side] - 1000) for side in range(8)) < 5 * 30


def test_nothing_depends_on_the_hash_seed() -> None:
    code = "from babypoet.batches import *; print(draw(5, 'a', 2), *batch_starts(999, 10, 8, 1, 2))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
