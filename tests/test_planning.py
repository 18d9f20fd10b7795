"""The plan: nothing left open, what was given kept, what is impossible said with its numbers."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from babypoet import planning
from babypoet.config import RUNG_NAMES, ModelConfig, TrainConfig, flag
from babypoet.errors import SettingError, TextError
from babypoet.planning import (
    CHARACTERS_PER_UPDATE,
    CHECKPOINT_BYTES,
    LEAST_CONTEXT,
    MOST_CONTEXT,
    MOST_DROPOUT,
    PASSES,
    STEPS,
    Plan,
    disk_bytes,
    idle_settings,
    make_plan,
    parameters,
)

POEMS = {"train": 191_097, "vocab_size": 79}
DEEP = ("transformer", "modern")
every_rung = pytest.mark.parametrize("rung", RUNG_NAMES)


def plan(text: dict[str, int] | None = None, **settings: Any) -> Plan:
    return make_plan(TrainConfig(**settings), **{**POEMS, **(text or {})})


def still_open(training: TrainConfig) -> set[str]:
    return {name for name, value in training.to_dict().items() if value is None}


# --- nothing left open ----------------------------------------------------------------------------


@every_rung
def test_every_setting_is_resolved(rung: str) -> None:
    """But for what is off unless asked for, and what the rung has no use for."""
    made = plan(rung=rung)
    unused = set(idle_settings(rung))
    assert still_open(made.training) == {"minutes", "patience", "holdout"} | unused
    assert ("matrix_learning_rate" in unused) == (rung not in DEEP)
    assert made.training.steps == STEPS[1]
    assert made.notes == ()


@every_rung
def test_the_model_and_the_training_agree(rung: str) -> None:
    made = plan(rung=rung, block_size=33)
    shared = {f.name for f in fields(ModelConfig)} & {f.name for f in fields(TrainConfig)}
    assert len(shared) >= 7
    for name in shared - set(idle_settings(rung)):
        assert getattr(made.model, name) == getattr(made.training, name), name
    assert made.model.vocab_size == 79


@every_rung
def test_a_plan_planned_again_is_itself(rung: str) -> None:
    made = plan(rung=rung)
    assert make_plan(made.training, **POEMS) == made


def test_with_minutes_only_the_schedule_stays_open() -> None:
    """Until the trainer knows how many steps there is time for, and plans again with them."""
    timed, counted = plan(minutes=2.5), plan(steps=500)
    assert still_open(timed.training) == {
        "steps", "warmup", "evaluate_every", "patience", "holdout",
    }  # fmt: skip
    assert replace(timed.model, dropout=0.0) == replace(counted.model, dropout=0.0)
    assert (counted.training.warmup, counted.training.evaluate_every) == (25, 25)


@pytest.mark.parametrize("train", [60, 4_000, 20_000, 60_000, 10**6, 10**9])
def test_a_short_text_is_read_so_often_and_a_long_one_for_so_long(train: int) -> None:
    made = plan({"train": train}).training
    assert made.steps is not None and made.batch_size is not None and made.block_size is not None
    least, most = STEPS
    assert least <= made.steps <= most
    read = made.batch_size * made.block_size / train  # passes in one step
    if least < made.steps < most:
        assert PASSES - read <= made.steps * read <= PASSES
    assert (made.steps == most) == (most * read <= PASSES)
    assert (made.steps == least) == ((least + 1) * read > PASSES)


@pytest.mark.parametrize("steps", [1, 2, 19, 20, 21])
def test_the_shortest_runs_have_a_schedule(steps: int) -> None:
    training = plan(steps=steps).training
    assert training.warmup == training.evaluate_every == 1


# --- what was given is kept -----------------------------------------------------------------------

GIVEN: dict[str, Any] = {
    "steps": 11, "seed": 5, "block_size": 17, "n_layer": 3, "n_head": 6, "n_kv_head": 2,
    "n_embd": 36, "dropout": 0.0, "batch_size": 9, "accumulate": 3, "learning_rate": 0.5,
    "matrix_learning_rate": 0.25, "weight_decay": 0.0, "warmup": 0, "grad_clip": 7.0,
    "evaluate_every": 4, "patience": 2, "snapshots": 0, "keep": 9, "holdout": 0.3,
    "device": "cpu", "precision": "fp32", "compile": "off",
}  # fmt: skip


def test_what_was_given_is_kept() -> None:
    """Zeros too, which are false."""
    assert set(GIVEN) == {f.name for f in fields(TrainConfig)} - {"rung", "minutes"}
    short = {"train": 200}  # read eight times, for which some dropout would be chosen
    resolved = plan(short, **GIVEN).training.to_dict()
    assert {name: resolved[name] for name in GIVEN} == GIVEN


@every_rung
@pytest.mark.parametrize("name", ["n_layer", "n_embd", "n_head", "n_kv_head", "dropout"])
def test_a_setting_that_would_change_nothing_is_refused(rung: str, name: str) -> None:
    value = {"n_embd": 40, "dropout": 0.25}.get(name, 2)
    if name not in idle_settings(rung):
        assert getattr(plan(rung=rung, **{name: value}).model, name) == value
        return
    with pytest.raises(SettingError) as caught:
        plan(rung=rung, **{name: value})
    assert f"{flag(name)} {value} and --rung {rung} exclude each other" in str(caught.value)
    assert plan(rung=rung, dropout=0.0).model.dropout == 0  # what it has anyway is no mistake


@pytest.mark.parametrize("name", GIVEN)
def test_what_was_given_alone_is_kept(name: str) -> None:
    value = 3 if name == "n_kv_head" else GIVEN[name]
    made = plan(**{name: value})
    assert getattr(made.training, name) == value


def test_a_warmup_ends_with_the_training() -> None:
    assert plan(steps=10, warmup=50).training.warmup == 10


@pytest.mark.parametrize("accumulate", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("block_size", [1, 10, 192, 5000])
def test_an_update_has_its_characters_in_equal_portions(accumulate: int, block_size: int) -> None:
    batch_size = plan(accumulate=accumulate, block_size=block_size).training.batch_size
    assert batch_size is not None and batch_size % accumulate == 0
    windows = CHARACTERS_PER_UPDATE / block_size
    assert max(1, windows - 1) <= batch_size <= windows + 1 + accumulate


# --- the context ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "rung", "context", "usual"),
    [
        (10**6, "modern", 192, 192),
        (180 * 192, "modern", 192, 192),
        (180 * 192 - 1, "modern", 191, 192),
        (180 * 128, "transformer", 128, 128),
        (180 * 128 - 1, "transformer", 127, 128),
        (5000, "modern", 64, 192),
        (54, "modern", 13, 192),
        (10**6, "multihead", 64, 64),
        (256, "attention", 64, 64),
        (54, "bigram", 13, 64),
    ],
)
def test_a_short_text_makes_a_short_context_and_says_so(
    train: int, rung: str, context: int, usual: int
) -> None:
    made = plan({"train": train}, rung=rung)
    assert LEAST_CONTEXT == 64 and MOST_CONTEXT["modern"] == 192
    assert made.model.block_size == context
    said = f"the text is short, so the context is {context} characters, not {usual}"
    assert made.notes == ((said,) if context < usual else ())


@given(st.integers(8, 5000), st.integers(1, 2000))
def test_a_context_too_long_for_the_text_is_refused_with_one_that_is_not(
    train: int, block_size: int
) -> None:
    text = {"train": train}
    if 4 * block_size <= train:
        assert plan(text, block_size=block_size).model.block_size == block_size
        return
    with pytest.raises(TextError) as caught:
        plan(text, block_size=block_size)
    message = str(caught.value)
    assert f"--block-size {block_size}: its training part has {train:,} characters" in message
    assert f"at least {4 * block_size:,} are needed" in message
    best = train // 4
    assert f"or --block-size {best} or less" in message
    assert plan(text, block_size=best).notes == ()
    with pytest.raises(TextError):
        plan(text, block_size=best + 1)


# --- heads, width and dropout ---------------------------------------------------------------------


@given(st.integers(1, 150).map(lambda half: 2 * half))
def test_heads_adapt_to_the_width(n_embd: int) -> None:
    model = plan(n_embd=n_embd).model
    assert model.n_embd == n_embd
    possible = [heads for heads in (1, 2, 3, 4) if n_embd % (2 * heads) == 0]
    assert model.n_head == max(possible)
    assert model.n_kv_head == (model.n_head // 2 if model.n_head % 2 == 0 else model.n_head)


@pytest.mark.parametrize(("n_head", "n_kv_head"), [(1, 1), (2, 1), (3, 3), (6, 3), (8, 4)])
def test_the_width_adapts_to_the_heads(n_head: int, n_kv_head: int) -> None:
    model = plan(n_head=n_head).model
    assert (model.n_head, model.n_kv_head, model.n_embd) == (n_head, n_kv_head, 32 * n_head)


@pytest.mark.parametrize(("n_kv_head", "n_head"), [(1, 4), (2, 4), (3, 3), (4, 4), (5, 5)])
def test_heads_adapt_to_those_they_share(n_kv_head: int, n_head: int) -> None:
    model = plan(n_kv_head=n_kv_head).model
    assert (model.n_kv_head, model.n_head) == (n_kv_head, n_head)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"n_embd": 10, "n_head": 4}, ("--n-embd 10", "--n-head 4")),
        ({"n_head": 4, "n_kv_head": 3}, ("--n-head 4", "--n-kv-head 3")),
        ({"n_embd": 9}, ("--n-embd 9", "even")),
        ({"rung": "bigram", "dropout": 0.2}, ("--dropout 0.2", "--rung bigram")),
        ({"rung": "multihead", "dropout": 0.2}, ("--dropout 0.2", "--rung multihead")),
    ],
)
def test_settings_that_exclude_each_other_are_both_named(
    settings: dict[str, Any], named: tuple[str, ...]
) -> None:
    with pytest.raises(SettingError) as caught:
        plan(**settings)
    assert all(name in str(caught.value) for name in named), caught.value


@every_rung
def test_only_deep_models_drop_anything(rung: str) -> None:
    """And the more, the more often they read the text, up to a limit."""
    long, poems, short = (plan({"train": n}, rung=rung) for n in (10**7, 191_097, 10_000))
    dropouts = [made.model.dropout for made in (long, poems, short)]
    assert dropouts == ([0, 0.1, 0.19] if rung in DEEP else [0, 0, 0])  # 8 and 15 of 80 passes
    over_and_over = plan({"train": 10_000}, rung=rung, steps=5000)
    assert over_and_over.model.dropout == (MOST_DROPOUT if rung in DEEP else 0)
    assert plan(rung=rung, dropout=0.0).model.dropout == 0


# --- how large it is ------------------------------------------------------------------------------


@every_rung
@pytest.mark.parametrize(
    "sizes",
    [
        {
            "vocab_size": 11,
            "block_size": 7,
            "n_layer": 2,
            "n_head": 6,
            "n_kv_head": 3,
            "n_embd": 24,
        },
        {
            "vocab_size": 79,
            "block_size": 64,
            "n_layer": 3,
            "n_head": 4,
            "n_kv_head": 1,
            "n_embd": 40,
        },
        {"vocab_size": 5, "block_size": 9, "n_layer": 1, "n_head": 2, "n_kv_head": 2, "n_embd": 12},
    ],
)
def test_the_parameters_are_those_of_the_model(rung: str, sizes: dict[str, int]) -> None:
    from babypoet.ladder import build

    shape = ModelConfig(rung=rung, **sizes)
    assert parameters(shape) == sum(p.numel() for p in build(shape).parameters())


def test_a_table_of_pairs_that_fits_no_memory_is_refused() -> None:
    assert plan({"vocab_size": 7998}, rung="bigram").model.rows == 8000
    with pytest.raises(
        SettingError, match=r"--rung bigram.*8,001 by 8,001.*7,999 distinct.*256 MB"
    ):
        plan({"vocab_size": 7999}, rung="bigram")
    assert plan({"vocab_size": 7999}, rung="attention").model.vocab_size == 7999


@pytest.mark.parametrize("vocab_size", [2, 256, 257, 65_536, 65_537])
def test_a_text_takes_the_disk_that_its_encoding_takes(vocab_size: int) -> None:
    made = plan({"vocab_size": vocab_size})
    width = np.min_scalar_type(vocab_size - 1).itemsize
    assert disk_bytes(made, 5000) - disk_bytes(made, 0) == 5000 * width


def test_disk_grows_with_what_is_kept() -> None:
    def size(**settings: Any) -> int:
        return disk_bytes(plan(**settings), 200_000)

    numbers = parameters(plan().model)
    assert size(keep=3) - size(keep=2) == 12 * numbers  # a number, and two in the optimizer
    assert size(snapshots=13) - size(snapshots=12) == 2 * numbers  # half precision
    assert size(steps=20_000) > size(steps=2000)
    assert size(minutes=1) == size(steps=STEPS[1])  # not known yet: the most that is chosen
    assert 10e6 < size() < 100e6


@pytest.mark.parametrize("rung", ["bigram", "transformer", "modern"])
def test_a_checkpoint_is_as_large_as_it_is_said_to_be(rung: str) -> None:
    from babypoet.ladder import build
    from babypoet.training import optimizers

    small = {} if rung == "bigram" else {"n_layer": 1, "n_embd": 32}
    made = plan(rung=rung, **small)
    model = build(made.model)
    taken = sum(4 * p.numel() for p in model.parameters())
    for optimizer in optimizers(model, made.training).values():
        for p in model.parameters():
            p.grad = p.detach() + 1
        optimizer.step()
        states = optimizer.state.values()
        taken += sum(4 * value.numel() for state in states for value in state.values())
    said = CHECKPOINT_BYTES * parameters(made.model)
    assert 0.6 * said < taken < said + 1000  # a counter for each tensor


def test_a_model_that_does_not_fit_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "memory_bytes", lambda: 8 * 10**9)
    with pytest.raises(SettingError, match=r"n-embd 16000\) needs at least 180 GB .* has 8 GB"):
        plan(n_embd=16000)
    assert plan(n_embd=256).model.n_embd == 256
    monkeypatch.setattr(planning, "memory_bytes", lambda: None)  # the system does not say
    assert plan(n_embd=16000).model.n_embd == 16000
