"""Training: the recipe, the events, honesty about the held-out part, and stopping at any moment."""

import itertools
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from babypoet import corpus, counting, evaluation, poet, runs, training
from babypoet.config import TrainConfig
from babypoet.errors import RunError, SettingError
from babypoet.ladder import build
from babypoet.runs import RunFolder
from babypoet.training import (
    Evaluated,
    Event,
    Finished,
    Noted,
    Sampled,
    Saved,
    Started,
    Step,
    learning_rate_factor,
    prepare,
    train,
)

TINY = TrainConfig(
    steps=12, block_size=10, n_layer=1, n_head=2, n_kv_head=1, n_embd=8, batch_size=6,
    evaluate_every=3, snapshots=4, dropout=0.25,
)  # fmt: skip


@pytest.fixture(scope="module")
def text(poems: str) -> str:
    return poems[:5000]


def finish(run: RunFolder, stop_after: int | None = None) -> list[Event]:
    """All events of a training, or of its first updates."""
    steps = 0

    def should_stop() -> bool:
        return stop_after is not None and steps >= stop_after

    events = []
    for event in train(run, should_stop):
        steps += isinstance(event, Step)
        events.append(event)
    return events


def begin(text: str, out: Path, config: TrainConfig = TINY) -> RunFolder:
    return prepare(corpus.corpus_of(text), config, out)


def last_weights(run: RunFolder) -> dict[str, bytes]:
    step = run.load_run()["checkpoint"]["step"]
    weights, state, _ = run.load_checkpoint(step)
    return {name: tensor.tobytes() for name, tensor in {**weights, **state}.items()}


@pytest.fixture(scope="module")
def unbroken(text: str, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that nothing disturbed, to compare others with."""
    run = begin(text, tmp_path_factory.mktemp("unbroken") / "run")
    finish(run)
    return run


def assert_as_unbroken(run: RunFolder, unbroken: RunFolder) -> None:
    """The same bits in the end, and every update in the metrics once."""
    assert last_weights(run) == last_weights(unbroken)
    assert [m["step"] for m in run.lines("metrics.jsonl")] == list(range(TINY.steps + 1))  # type: ignore[operator]
    for name in ("metrics.jsonl", "samples.jsonl"):
        timeless = [
            [{k: v for k, v in line.items() if k != "seconds"} for line in r.lines(name)]
            for r in (run, unbroken)
        ]
        assert timeless[0] == timeless[1], name
    assert run.history() == unbroken.history()
    assert run.load_run()["best"] == unbroken.load_run()["best"]
    left = [p.name for p in run.path.rglob("*.tmp")]
    assert not left, left


# --- events and metrics ---------------------------------------------------------------------------


def test_events_come_in_order_and_agree_with_the_folder(text: str, tmp_path: Path) -> None:
    run = begin(text, tmp_path / "run")
    events = finish(run)
    kinds = [type(event).__name__ for event in events]
    assert kinds[:4] == ["Started", "Evaluated", "Sampled", "Saved"]
    assert kinds[-1] == "Finished"
    steps = [event for event in events if isinstance(event, Step)]
    assert [event.step for event in steps] == list(range(1, 13))
    assert [event.step for event in events if isinstance(event, Saved)] == [0, 3, 6, 9, 12]
    started, finished = events[0], events[-1]
    assert isinstance(started, Started) and isinstance(finished, Finished)
    assert started.parameters == sum(w.size for w in run.weights().values())
    metrics = run.lines("metrics.jsonl")
    assert [m["train_nats"] for m in metrics[1:]] == [event.train_nats for event in steps]
    assert metrics[0]["train_nats"] == pytest.approx(metrics[1]["train_nats"])
    assert set(metrics[5]) == {
        "step", "seconds", "characters", "train_nats", "validation_nats", "learning_rate",
    }  # fmt: skip
    evaluated = {e.step: e.validation_nats for e in events if isinstance(e, Evaluated)}
    assert {m["step"]: m["validation_nats"] for m in metrics if m["validation_nats"]} == evaluated
    assert [m["characters"] for m in metrics] == [60 * step for step in range(13)]
    assert finished.best_nats == min(evaluated.values()) == evaluated[finished.best_step]
    samples = {e.step: e.text for e in events if isinstance(e, Sampled)}
    assert {line["step"]: line["text"] for line in run.lines("samples.jsonl")} == samples
    assert run.history() == [0, 1, 3, 12]
    assert all(run.load_history(step)[1] == samples[step] for step in run.history())
    assert run.load_run()["status"] == "finished"


def test_the_step_zero_loss_is_that_of_guessing(unbroken: RunFolder) -> None:
    first = unbroken.lines("metrics.jsonl")[0]
    V = unbroken.model_config().vocab_size
    assert first["validation_nats"] == pytest.approx(math.log(V), abs=0.1)
    assert first["train_nats"] == pytest.approx(math.log(V + 2), abs=0.1)


def test_a_finished_run_is_not_trained_again(text: str, tmp_path: Path) -> None:
    run = begin(text, tmp_path / "run")
    finish(run)
    before = last_weights(run)
    events = finish(RunFolder.open(run.path))
    assert [type(event).__name__ for event in events] == ["Started", "Finished"]
    assert last_weights(run) == before


@pytest.mark.parametrize("rung", ["bigram", "attention", "multihead", "transformer", "modern"])
def test_every_rung_learns_resumes_and_writes(text: str, tmp_path: Path, rung: Any) -> None:
    unused = dict.fromkeys(training.planning.idle_settings(rung))
    config = replace(TINY, rung=rung, steps=60, evaluate_every=20, **unused)
    straight = begin(text, tmp_path / "straight", config)
    finish(straight)
    curve = [m["validation_nats"] for m in straight.lines("metrics.jsonl") if m["validation_nats"]]
    assert curve[-1] < curve[0] - 0.5
    broken = begin(text, tmp_path / "broken", config)
    assert finish(broken, stop_after=33)[-1].reason == "interrupted"  # type: ignore[union-attr]
    finish(RunFolder.open(broken.path))
    assert last_weights(broken) == last_weights(straight)
    assert len(poet.load(broken.path).write("love", length=30)) == 34


# --- the recipe -----------------------------------------------------------------------------------


def test_only_the_matrices_inside_blocks_go_to_muon_and_decay(text: str) -> None:
    config = TrainConfig(learning_rate=0.01, matrix_learning_rate=0.02, weight_decay=0.3)
    for rung in ("transformer", "modern"):
        model = build(replace(poet.ModelConfig(), rung=rung, n_layer=1))
        names = {id(p): name for name, p in model.named_parameters()}
        found = training.optimizers(model, config)
        muon = {names[id(p)] for p in found["muon"].param_groups[0]["params"]}
        rest = {names[id(p)] for group in found["adamw"].param_groups for p in group["params"]}
        assert muon | rest == set(names.values()) and not muon & rest
        assert all(model.get_parameter(name).ndim == 2 for name in muon)
        assert not any("embed" in n or "lm_head" in n or "wte" in n or "wpe" in n for n in muon)
        assert any("mlp" in n for n in muon) and any("bias" in n or "norm" in n for n in rest)
        assert found["muon"].param_groups[0]["weight_decay"] == 0.3
        assert all(group["weight_decay"] == 0 for group in found["adamw"].param_groups)
    assert list(training.optimizers(build(poet.ModelConfig("bigram")), config)) == ["adamw"]


def test_the_learning_rate_rises_then_falls_to_zero(unbroken: RunFolder) -> None:
    factors = [learning_rate_factor(step, steps=100, warmup=10) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == pytest.approx(0.91)
    assert all(a > b for a, b in itertools.pairwise(factors[9:]))
    assert 0 < factors[-1] == pytest.approx(0.01)
    config = TrainConfig.from_dict(unbroken.load_run()["training"])
    assert config.learning_rate and config.warmup
    rates = [m["learning_rate"] for m in unbroken.lines("metrics.jsonl")]
    expected = [
        learning_rate_factor(s, 12, config.warmup) * config.learning_rate for s in range(12)
    ]
    assert rates == pytest.approx([0.0, *expected])


def test_accumulated_portions_equal_the_one_big_batch(text: str, tmp_path: Path) -> None:
    """Red when a portion's loss is not divided by their number."""
    config = replace(TINY, dropout=0.0, rung="transformer", steps=4, n_kv_head=None)
    metrics = []
    for portions in (1, 3):
        run = begin(text, tmp_path / str(portions), replace(config, accumulate=portions))
        finish(run)
        metrics.append([m["train_nats"] for m in run.lines("metrics.jsonl")])
    assert metrics[0] == pytest.approx(metrics[1], abs=2e-4)


def test_accumulated_gradients_equal_those_of_the_big_batch(text: str, tmp_path: Path) -> None:
    gradients = []
    for portions in (1, 2, 3, 6):
        config = replace(TINY, dropout=0.0, accumulate=portions, grad_clip=1e9)
        run = begin(text, tmp_path / str(portions), config)
        trainer = training.Trainer(run, run.load_run())
        kept: dict[str, torch.Tensor] = {}

        def keep(model: torch.nn.Module = trainer.model, kept: Any = kept) -> None:
            kept.update(
                {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
            )

        for optimizer in trainer.optimizers.values():
            optimizer.register_step_pre_hook(lambda *_, keep=keep: keep())
        trainer.update()
        gradients.append(kept)
    for name, gradient in gradients[0].items():
        for other in gradients[1:]:
            torch.testing.assert_close(other[name], gradient, atol=1e-7, rtol=1e-4)


def test_gradients_are_clipped(text: str, tmp_path: Path) -> None:
    run = begin(text, tmp_path / "run", replace(TINY, grad_clip=1e-3))
    trainer = training.Trainer(run, run.load_run())
    norms = []

    def keep(*_: Any) -> None:
        squares = [p.grad.square().sum() for p in trainer.model.parameters() if p.grad is not None]
        norms.append(torch.stack(squares).sum().sqrt().item())

    trainer.optimizers["adamw"].register_step_pre_hook(keep)
    trainer.update()
    assert norms[0] == pytest.approx(1e-3, rel=1e-3)


def test_each_optimizer_follows_the_schedule_to_its_own_peak(text: str, tmp_path: Path) -> None:
    """What the metrics say is only half of it: this is what the optimizers had when they moved."""
    peaks = {"adamw": 0.01, "muon": 0.03}
    config = replace(TINY, learning_rate=0.01, matrix_learning_rate=0.03, warmup=4)
    run = begin(text, tmp_path / "run", config)
    trainer = training.Trainer(run, run.load_run())
    had: dict[str, list[float]] = {name: [] for name in peaks}
    for name, optimizer in trainer.optimizers.items():
        optimizer.register_step_pre_hook(
            lambda optimizer, *_, had=had[name]: had.append(optimizer.param_groups[0]["lr"])
        )
    for _ in range(12):
        trainer.update()
    for name, peak in peaks.items():
        expected = [peak * learning_rate_factor(step, steps=12, warmup=4) for step in range(12)]
        assert had[name] == pytest.approx(expected), name


def test_looking_does_not_change_what_is_learned(
    text: str, tmp_path: Path, unbroken: RunFolder
) -> None:
    """Evaluating, sampling and saving at other moments gives the same weights. Red when an
    evaluation draws from the random numbers of training."""
    run = begin(text, tmp_path / "run", replace(TINY, evaluate_every=5, snapshots=0))
    finish(run)
    assert last_weights(run) == last_weights(unbroken)


def test_the_seed_decides_everything_and_the_callers_randomness_is_left_alone(
    text: str, tmp_path: Path, unbroken: RunFolder
) -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    same = begin(text, tmp_path / "same")
    finish(same)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
    assert last_weights(same) == last_weights(unbroken)
    other = begin(text, tmp_path / "other", replace(TINY, seed=1))
    finish(other)
    assert last_weights(other) != last_weights(unbroken)


def test_dropout_changes_from_step_to_step(text: str, tmp_path: Path) -> None:
    run = begin(text, tmp_path / "run", replace(TINY, dropout=0.5))
    trainer = training.Trainer(run, run.load_run())
    masks = []
    for step in (0, 0, 1):
        trainer.step = step
        with trainer.dropout_seeded():
            masks.append(torch.nn.functional.dropout(torch.ones(99), 0.5))
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])


def test_v1_reaches_the_count_from_above(poems: str, tmp_path: Path) -> None:
    """Gradient descent on the table of pairs ends where counting the pairs ends, and never
    below."""
    run = prepare(corpus.corpus_of(poems), TrainConfig(rung="bigram"), tmp_path / "run")
    finish(run)
    train_part = corpus.load_parts(run.path / "data").train
    exact = counting.bigram_cross_entropy(train_part, run.model_config().vocab_size)
    model = poet.Poet(run).model
    loss = evaluation.exact_loss(model, train_part[1:], int(train_part[0]))
    assert exact - 1e-4 <= loss <= exact + 0.01


# --- honesty --------------------------------------------------------------------------------------


def losses_to_come(monkeypatch: pytest.MonkeyPatch, *nats: float) -> None:
    """What the next evaluations will find."""
    coming = iter(nats)
    monkeypatch.setattr(evaluation, "exact_loss", lambda *_: next(coming))


def test_the_best_is_the_lowest_and_the_first_of_equals(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(text, tmp_path / "run")
    trainer = training.Trainer(run, run.load_run())
    losses_to_come(monkeypatch, 3.0, 2.0, 2.0, 2.5, 1.5)
    found = []
    for step in range(5):
        trainer.step = step
        found.append((trainer.evaluate(), trainer.best_step, trainer.evaluations_since_best))
    assert found == [(True, 0, 0), (True, 1, 0), (False, 1, 1), (False, 1, 2), (True, 4, 0)]


def test_the_best_weights_outlive_later_ones(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one checkpoint kept, those of step 3 are still there at step 12, and are the model."""
    losses_to_come(monkeypatch, 4.0, 1.0, 2.0, 3.0, 3.5)
    run = begin(text, tmp_path / "run", replace(TINY, keep=1))
    finish(run)
    assert run.load_run()["best"] == {"step": 3, "validation_nats": 1.0}
    kept = sorted(folder.name for folder in (run.path / "checkpoints").iterdir())
    assert kept == ["00000003", "00000012"]
    best, last = run.weights(), run.weights(12)
    assert all(np.array_equal(best[name], w) for name, w in run.weights(3).items())
    assert not all(np.array_equal(best[name], w) for name, w in last.items())


def test_the_live_loss_is_that_of_the_validation_part(text: str, tmp_path: Path) -> None:
    run = begin(text, tmp_path / "run")
    trainer = training.Trainer(run, run.load_run())
    for _ in range(12):
        trainer.update()
    trainer.evaluate()
    part = corpus.load_parts(run.path / "data")
    exact, other = (
        evaluation.exact_loss(trainer.model, part.validation, before)
        for before in (int(part.train[-1]), int(part.train[-1]) + 1)
    )
    assert trainer.nats == pytest.approx(exact, abs=1e-9)
    assert trainer.nats != pytest.approx(other, abs=1e-6)


def test_the_held_out_part_changes_nothing(text: str, tmp_path: Path) -> None:
    """Other held-out text of the same alphabet: the same weights, settings, curve and history. Red
    when anything is chosen on it."""
    tenth = len(text) // 10
    found = []
    for name, held_out in (("one", text[-tenth:]), ("two", text[-tenth:][::-1])):
        run = begin(text[:-tenth] + held_out, tmp_path / name, replace(TINY, patience=2, steps=30))
        finish(run)
        record = run.load_run()
        same = {k: record[k] for k in ("model", "training", "best", "status", "checkpoint")}
        curve = [m["validation_nats"] for m in run.lines("metrics.jsonl")]
        history = [run.load_history(step)[1] for step in run.history()]
        found.append((same, curve, last_weights(run), history))
    assert found[0] == found[1]


def test_shuffled_text_teaches_letter_frequencies_and_no_more(poems: str, tmp_path: Path) -> None:
    shuffled = list(poems)
    random.Random(0).shuffle(shuffled)
    config = TrainConfig(steps=150, n_layer=2, n_embd=32, block_size=64, batch_size=16)
    run = prepare(corpus.corpus_of("".join(shuffled)), config, tmp_path / "run")
    finish(run)
    verdict = poet.Poet(run).evaluate()
    assert verdict.held_out.nats == pytest.approx(verdict.baselines.unigram, abs=0.02)
    assert any("Nothing beyond letter frequencies" in s for s in verdict.sentences())


# --- stopping, breaking and going on --------------------------------------------------------------


@pytest.mark.parametrize("after", range(1, 12))
def test_a_stopped_run_ends_with_the_same_bits(
    text: str, tmp_path: Path, unbroken: RunFolder, after: int
) -> None:
    run = begin(text, tmp_path / "run")
    finished = finish(run, stop_after=after)[-1]
    assert isinstance(finished, Finished) and finished.reason == "interrupted"
    assert run.load_run()["status"] == "interrupted"
    assert run.load_run()["checkpoint"]["step"] == after
    finish(RunFolder.open(run.path))
    assert_as_unbroken(run, unbroken)


def test_a_resumed_run_remembers_its_best_and_its_patience(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Worse at steps 6, 9 and 12, and interrupted between: the third time is enough."""
    losses_to_come(monkeypatch, 4.0, 1.0, 2.0, 3.0, 3.5, 3.5, 3.5)
    run = begin(text, tmp_path / "run", replace(TINY, steps=30, patience=3))
    finish(run, stop_after=7)
    finished = finish(RunFolder.open(run.path))[-1]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.step) == ("patience", 12)
    assert (finished.best_step, finished.best_nats) == (3, 1.0)


def test_a_run_whose_data_was_changed_is_not_resumed(text: str, tmp_path: Path) -> None:
    run = begin(text, tmp_path / "run")
    finish(run, stop_after=4)
    part = np.load(run.path / "data" / "train.npy")
    part[0] ^= 1
    np.save(run.path / "data" / "train.npy", part)
    before = last_weights(run)
    with pytest.raises(RunError, match=r"train\.npy is missing or was changed"):
        finish(RunFolder.open(run.path))
    assert last_weights(run) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot sync a folder")
def test_what_takes_a_name_is_on_the_disk_before_and_its_name_after(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file and folder is synced before it is renamed, and the folder it is in before the next
    is: a power cut, unlike a crash, also forgets what was written and not synced."""
    run = begin(text, tmp_path / "run")
    fsync, rename = os.fsync, os.replace
    synced: set[int] = set()
    unsynced_names: list[Path] = []
    renamed = 0

    def watched_fsync(handle: int) -> None:
        fsync(handle)
        synced.add(os.fstat(handle).st_ino)
        unsynced_names[:] = [p for p in unsynced_names if p.parent.stat().st_ino not in synced]

    def watched_rename(old: Path, new: Path) -> None:
        nonlocal renamed
        assert not unsynced_names
        assert {p.stat().st_ino for p in (old, *old.rglob("*"))} <= synced, old
        rename(old, new)
        renamed += 1
        synced.clear()
        unsynced_names.append(new)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_rename)
    finish(run)
    assert not unsynced_names
    assert renamed > 15


def test_run_json_never_points_to_what_is_not_there(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_run, pointed = RunFolder.save_run, set()

    def watched(run: RunFolder, record: Any) -> None:
        for name in ("checkpoint", "best"):
            if record[name] is not None:
                run.load_checkpoint(record[name]["step"])
                pointed.add(record[name]["step"])
        save_run(run, record)

    monkeypatch.setattr(RunFolder, "save_run", watched)
    run = begin(text, tmp_path / "run")
    finish(run)
    assert pointed == {0, 3, 6, 9, 12}
    for name in ("checkpoint", "best"):
        run.load_checkpoint(run.load_run()[name]["step"])


class Crash(BaseException):
    """The power went."""


class Faults:
    """Counts every write, sync and rename, and lets the power fail at the one with a given
    number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number, self.fatal = 0, -1
        for owner, name in ((os, "replace"), (os, "fsync"), (shutil, "rmtree"), (os, "mkdir")):
            self.wrap(monkeypatch, owner, name)
        write_synced, append = runs.write_synced, RunFolder.append

        def torn_write(path: Path, content: bytes) -> None:
            self.maybe(lambda: path.write_bytes(content[: len(content) // 2]))
            write_synced(path, content)

        def torn_append(run: RunFolder, name: str, lines: Any, sync: bool = False) -> None:
            lines = list(lines)

            def tear() -> None:
                text = "".join(json.dumps(line) + "\n" for line in lines).encode()
                with (run.path / name).open("ab") as file:
                    file.write(text[: len(text) * 2 // 3])

            self.maybe(tear)
            append(run, name, lines, sync)

        monkeypatch.setattr(runs, "write_synced", torn_write)
        monkeypatch.setattr(RunFolder, "append", torn_append)

    def wrap(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def faulty(*args: Any, **kwargs: Any) -> Any:
            self.maybe(lambda: None)
            result = real(*args, **kwargs)
            self.maybe(lambda: None)
            return result

        monkeypatch.setattr(owner, name, faulty)

    def maybe(self, damage: Callable[[], object]) -> None:
        self.number += 1
        if self.number == self.fatal:
            damage()
            raise Crash


def test_a_crash_at_any_write_sync_or_rename_loses_nothing(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbroken: RunFolder
) -> None:
    """Every write, sync, rename, mkdir and delete of a whole run fails once, before, halfway or
    after."""
    config = replace(TINY, snapshots=2)
    faults = Faults(monkeypatch)
    finish(begin(text, tmp_path / "count", config))
    total = faults.number
    assert total > 200
    crashed_in_training = 0
    for fatal in range(1, total + 1, 1 if "CI" in os.environ else 7):
        out = tmp_path / str(fatal)
        faults.number, faults.fatal = 0, fatal
        with pytest.raises(Crash):
            run = begin(text, out, config)
            finish(run)
        faults.fatal = -1
        begun = (out / "run.json").exists()
        crashed_in_training += begun
        run = RunFolder.open(out) if begun else begin(text, out, config)
        finish(run)
        assert last_weights(run) == last_weights(unbroken), fatal
        assert [m["step"] for m in run.lines("metrics.jsonl")] == list(range(13)), fatal
        assert not list(run.path.rglob("*.tmp")), fatal
        shutil.rmtree(out)
    assert crashed_in_training > 20


def _step_on_disk(out: Path) -> int:
    """The step of the checkpoint that a run would be resumed from; -1 before there is one."""
    if not (out / "run.json").exists():
        return -1
    found = RunFolder.open(out).load_run()["checkpoint"]
    return found["step"] if found else -1


def test_kill_minus_nine_at_random_moments(text: str, tmp_path: Path) -> None:
    """At least 20 real processes die by SIGKILL in the middle of training, each after it saved a
    checkpoint of its own, and each chain of them ends with the bits of the unbroken run."""
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    settings = ["--steps", "3000", "--block-size", "10", "--n-layer", "1", "--n-embd", "8",
                "--batch-size", "6", "--evaluate-every", "10", "--snapshots", "5"]  # fmt: skip
    command, log = [sys.executable, "-m", "babypoet", "train", "--quiet"], tmp_path / "log"

    def start(out: Path) -> subprocess.Popen[bytes]:
        begun = (out / "run.json").exists()
        more = ["--resume"] if begun else [str(tmp_path / "text.txt"), *settings]
        with log.open("ab") as file:
            return subprocess.Popen(
                [*command, *more, "--out", str(out)], stdout=file, stderr=subprocess.STDOUT
            )

    unbroken = start(tmp_path / "unbroken")
    dice, kills = random.Random(0), {"one": 0, "two": 0}
    for chain in kills:
        out = tmp_path / chain
        while kills[chain] < 10:
            before = _step_on_disk(out)
            process = start(out)
            while process.poll() is None and _step_on_disk(out) <= before:
                time.sleep(0.005)
            time.sleep(dice.random() * 0.1)
            process.kill()
            code = process.wait()
            assert code == (-signal.SIGKILL if os.name == "posix" else 1), (
                f"it ended before it was killed ({code}): {log.read_text(encoding='utf-8')}"
            )
            assert RunFolder.open(out).load_run()["status"] == "running"
            kills[chain] += 1
    assert unbroken.wait() == 0, log.read_text(encoding="utf-8")
    expected = RunFolder.open(tmp_path / "unbroken")
    for chain in kills:
        last = start(tmp_path / chain)
        assert last.wait() == 0, log.read_text(encoding="utf-8")
        run = RunFolder.open(tmp_path / chain)
        assert last_weights(run) == last_weights(expected)
        assert [m["step"] for m in run.lines("metrics.jsonl")] == list(range(3001))


def test_disk_use_does_not_grow_with_the_run(text: str, tmp_path: Path) -> None:
    sizes = []
    for steps in (20, 200):
        run = begin(text, tmp_path / str(steps), replace(TINY, steps=steps, evaluate_every=2))
        finish(run)
        checkpoints = list((run.path / "checkpoints").iterdir())
        assert len(checkpoints) <= TINY.keep + 1
        assert len(run.history()) <= TINY.snapshots
        folders = ("checkpoints", "history", "data")
        sizes.append(
            sum(p.stat().st_size for name in folders for p in (run.path / name).rglob("*"))
        )
        plan = training.planning.make_plan(
            replace(TINY, steps=steps), 4275, run.model_config().vocab_size
        )
        total = sum(p.stat().st_size for p in run.path.rglob("*") if p.is_file())
        overhead = 60_000  # JSON around tensors of a few bytes: names, manifests, samples
        assert total < training.planning.disk_bytes(plan, len(text)) + overhead
    assert abs(sizes[1] - sizes[0]) < 15_000


def test_a_second_trainer_is_refused_while_the_first_runs(text: str, tmp_path: Path) -> None:
    run = begin(text, tmp_path / "run")
    events = train(run)
    next(events)
    with pytest.raises(RunError, match="Another process is training"):
        next(train(RunFolder.open(run.path)))
    assert isinstance(events, Iterator)
    events.close()  # type: ignore[attr-defined]
    finish(RunFolder.open(run.path))


def test_a_full_disk_keeps_the_last_good_weights(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbroken: RunFolder
) -> None:
    run = begin(text, tmp_path / "run")
    real = runs.write_synced

    def full(path: Path, content: bytes) -> None:
        if "00000006" in str(path):
            raise OSError(28, "No space left on device", str(path))
        real(path, content)

    monkeypatch.setattr(runs, "write_synced", full)
    with pytest.raises(RunError, match=r"the disk is full.*--resume"):
        finish(run)
    monkeypatch.undo()
    assert run.load_run()["checkpoint"]["step"] == 3
    finish(RunFolder.open(run.path))
    assert_as_unbroken(run, unbroken)


def test_other_machines_are_named_on_resume(text: str, tmp_path: Path) -> None:
    run = begin(text, tmp_path / "run")
    finish(run, stop_after=4)
    record = run.load_run()
    record["machine"]["torch"] = "1.0"
    run.save_run(record)
    started = finish(RunFolder.open(run.path))[0]
    assert isinstance(started, Started)
    assert any("torch 1.0 -> " + torch.__version__ in note for note in started.notes)


# --- when it goes wrong or ends early -------------------------------------------------------------


def test_a_loss_that_explodes_stops_and_keeps_the_last_good_weights(
    text: str, tmp_path: Path
) -> None:
    config = replace(TINY, rung="transformer", n_kv_head=None, learning_rate=1e30, warmup=1)
    run = begin(text, tmp_path / "run", config)
    finished = finish(run)[-1]
    assert isinstance(finished, Finished) and finished.reason == "diverged"
    assert run.load_run()["status"] == "diverged"
    assert all(np.isfinite(w).all() for w in run.weights().values())
    assert all(math.isfinite(m["train_nats"]) for m in run.lines("metrics.jsonl"))
    message = training.diverged_message(finished, run)
    assert "--learning-rate (it was 1e+30)" in message and str(run.path) in message
    with pytest.raises(SettingError, match="came apart"):
        poet.train(text=text, out=tmp_path / "again", **config.given())


def test_resuming_what_came_apart_changes_nothing(text: str, tmp_path: Path) -> None:
    config = replace(TINY, rung="transformer", n_kv_head=None, learning_rate=1e30, warmup=1)
    run = begin(text, tmp_path / "run", config)
    first = finish(run)[-1]
    before = run.lines("metrics.jsonl")
    again = finish(RunFolder.open(run.path))
    assert [type(event).__name__ for event in again] == ["Started", "Finished"]
    assert again[-1].reason == first.reason == "diverged"  # type: ignore[union-attr]
    assert run.lines("metrics.jsonl") == before


def test_minutes_of_training_that_comes_apart(text: str, tmp_path: Path) -> None:
    """The rehearsal meets it first, and must leave it to the training to say so."""
    config = replace(
        TINY, rung="transformer", n_kv_head=None, learning_rate=1e30, steps=None, minutes=0.01
    )
    finished = finish(begin(text, tmp_path / "run", config))[-1]
    assert isinstance(finished, Finished) and finished.reason == "diverged"


def test_a_device_that_is_gone_on_resume_is_said(text: str, tmp_path: Path) -> None:
    absent = "cuda" if not torch.cuda.is_available() else "mps"
    run = begin(text, tmp_path / "run")
    record = run.load_run()
    record["training"]["device"] = absent
    run.save_run(record)
    run.unlock()
    with pytest.raises(SettingError, match=f"--device {absent}: PyTorch finds no such device"):
        finish(RunFolder.open(run.path))


def test_resuming_is_exact_on_two_threads_too(poems: str, tmp_path: Path) -> None:
    """Large enough for torch to share the work out."""
    config = TrainConfig(steps=12, n_embd=64, block_size=96, n_layer=2, evaluate_every=6)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        straight = begin(poems, tmp_path / "straight", config)
        finish(straight)
        broken = begin(poems, tmp_path / "broken", config)
        finish(broken, stop_after=5)
        finish(RunFolder.open(broken.path))
    finally:
        torch.set_num_threads(threads)
    assert straight.load_run()["machine"]["threads"] == 2
    assert last_weights(broken) == last_weights(straight)


def test_patience_stops_where_validation_gets_worse(poems: str, tmp_path: Path) -> None:
    config = replace(TINY, steps=2000, patience=3, evaluate_every=20, dropout=0.0, n_embd=48)
    run = begin(poems[:1500], tmp_path / "run", config)
    finished = finish(run)[-1]
    assert isinstance(finished, Finished) and finished.reason == "patience"
    assert finished.step == finished.best_step + 3 * 20 < 2000
    assert run.load_run()["status"] == "stopped early"
    model = poet.Poet(run).model
    validation = corpus.load_parts(run.path / "data")
    loss = evaluation.exact_loss(model, validation.validation, int(validation.train[-1]))
    assert loss == pytest.approx(finished.best_nats, abs=1e-6)  # the best weights, not the last


def test_minutes_become_steps_once(text: str, tmp_path: Path) -> None:
    run = begin(text, tmp_path / "run", replace(TINY, steps=None, minutes=0.02))
    assert run.load_run()["training"]["steps"] is None
    events = finish(run, stop_after=5)
    config = TrainConfig.from_dict(run.load_run()["training"])
    assert config.steps and config.steps >= 20 and config.minutes is None and config.warmup
    assert isinstance(events[0], Started) and events[0].training == config
    finish(RunFolder.open(run.path))
    assert TrainConfig.from_dict(run.load_run()["training"]) == config
    assert len(run.lines("metrics.jsonl")) == config.steps + 1


def test_a_model_that_cannot_be_compiled_trains_all_the_same(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbroken: RunFolder
) -> None:
    def no_compiler(model: Any) -> Any:
        def fail(*_: Any) -> Any:
            raise RuntimeError("no C++ compiler")

        return fail

    monkeypatch.setattr(torch, "compile", no_compiler)
    run = begin(text, tmp_path / "run", replace(TINY, compile="on"))
    events = finish(run)
    notes = [event.note for event in events if isinstance(event, Noted)]
    assert len(notes) == 2 and notes[0].startswith("compiling the model")
    assert "could not be compiled (RuntimeError)" in notes[1]
    assert last_weights(run) == last_weights(unbroken)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++", "cl"))),
    reason="torch.compile needs a C++ compiler",
)
def test_a_compiled_model_learns_the_same(text: str, tmp_path: Path, unbroken: RunFolder) -> None:
    config = replace(TINY, dropout=0.0)
    losses = []
    for mode in ("off", "on"):
        run = begin(text, tmp_path / mode, replace(config, compile=mode))  # type: ignore[arg-type]
        assert sum(isinstance(event, Noted) for event in finish(run)) == (mode == "on")
        losses.append([m["train_nats"] for m in run.lines("metrics.jsonl")])
    assert losses[0] == pytest.approx(losses[1], abs=2e-3)


def test_a_device_that_is_not_here_is_said(text: str, tmp_path: Path) -> None:
    absent = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(SettingError, match=f"--device {absent}: PyTorch finds no such device"):
        begin(text, tmp_path / "run", replace(TINY, device=absent))  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_bf16_is_close_to_fp32(text: str, tmp_path: Path) -> None:
    losses = []
    for precision in ("fp32", "bf16"):
        run = begin(text, tmp_path / precision, replace(TINY, precision=precision))  # type: ignore[arg-type]
        finish(run)
        losses.append([m["train_nats"] for m in run.lines("metrics.jsonl")])
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.05)
