"""Training: a generator of events. It prints nothing, and never opens the held-out part.

    run = prepare(corpus, TrainConfig(steps=500), Path("runs/poems-modern"))
    for event in train(run):
        match event:
            case Evaluated(step, nats): print(step, nats)

Everything lives in the run folder: `prepare` resolves the settings and writes them with the encoded
text, and `train` continues from whatever the folder holds, be it nothing yet or a run that was
killed. Batches and dropout are functions of (seed, step), so a resumed run ends with the same bits
as an unbroken one.

Reading order: `_train` is the loop; `optimizers` and `learning_rate_factor` are the recipe;
`Trainer` holds what the loop changes."""

import contextlib
import math
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import babypoet
from babypoet import batches, evaluation, planning, runs, sampling
from babypoet.config import GenerateConfig, ModelConfig, TrainConfig
from babypoet.corpus import Corpus, load_parts
from babypoet.errors import RunError, SettingError
from babypoet.ladder import Result, Rung, build
from babypoet.reference import Reference
from babypoet.runs import RunFolder

SAMPLE = GenerateConfig(length=300, temperature=0.8)
TRAINING_SHARE = 0.93  # of the minutes; the rest goes to evaluations, samples and saving


# --- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Started:
    """The run is open and nothing was trained in this process yet."""

    run: Path
    model: ModelConfig
    training: TrainConfig
    parameters: int
    first_step: int  # 0, or the checkpoint's step when resuming
    validation_characters: int  # how many the live loss is measured on
    disk_megabytes: int  # what the run will take at most
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """One update was made; `train_nats` is the loss on its batch, just before."""

    step: int
    train_nats: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Evaluated:
    """The loss on the fixed sample of the validation part, with `step` updates made."""

    step: int
    validation_nats: float
    best: bool


@dataclass(frozen=True)
class Sampled:
    """What the model writes after `step` updates."""

    step: int
    text: str


@dataclass(frozen=True)
class Saved:
    """A checkpoint is on disk, whole."""

    step: int


@dataclass(frozen=True)
class Finished:
    """The end, with `reason` one of done, patience, interrupted, diverged."""

    step: int
    reason: str
    best_step: int
    best_nats: float
    seconds: float


@dataclass(frozen=True)
class Noted:
    """Something that should be said."""

    note: str


Build = Callable[[ModelConfig, int], Rung]  # a new model, its weights drawn from a seed
Event = Started | Step | Evaluated | Sampled | Saved | Noted | Finished
ENDED = {"finished": "done", "stopped early": "patience", "diverged": "diverged"}  # status: reason


# --- before the first step ------------------------------------------------------------------------


def prepare(corpus: Corpus, given: TrainConfig, out: Path, overwrite: bool = False) -> RunFolder:
    """A new, locked run folder with the settings resolved and the text encoded; nothing trained
    yet.

    Raises SettingError or TextError before anything is written, RunError if `out` is taken.
    """
    plan = planning.make_plan(given, corpus.train_size, corpus.tokenizer.vocab_size)
    check_device(given)
    run = RunFolder.create(out, overwrite)
    with runs.disk_errors(f"The run folder {out}", "Make room, or give another --out."):
        corpus.write(out / "data")
        runs.fsync_folder(out / "data")
        run.save_tokenizer(corpus.tokenizer)
        run.save_run(
            {
                "babypoet": babypoet.__version__,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "status": "new",
                "text": {
                    "name": corpus.name,
                    "characters": corpus.characters,
                    "documents": corpus.documents,
                    "digest": corpus.digest,
                },
                "data": {
                    "files": run.data_digests(),
                    "train": corpus.train_size,
                    "validation": corpus.validation_size,
                    "held_out": corpus.held_out_size,
                },
                "model": plan.model.to_dict(),
                "training": plan.training.to_dict(),
                "given": given.given(),
                "notes": [*corpus.notes, *plan.notes],
                "disk_megabytes": planning.disk_bytes(plan, corpus.characters) // 1_000_000 + 1,
                "machine": machine(),
                "checkpoint": None,
                "best": None,
            }
        )
    return run


def machine() -> dict[str, Any]:
    """What bit-identical resuming depends on."""
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": torch.get_num_threads(),
    }


def check_device(config: TrainConfig) -> None:
    """Raise SettingError if `config` asks for a device that is not here."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not here.get(config.device, True):
        raise SettingError(
            f"--device {config.device}: PyTorch finds no such device here. Try --device auto."
        )


def choose_device(config: TrainConfig) -> torch.device:
    """`--device`, with auto resolved: a GPU where there is one; small models are not faster on
    mps."""
    if config.device != "auto":
        return torch.device(config.device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_precision(config: TrainConfig, device: torch.device) -> torch.dtype:
    """`--precision`, with auto resolved: bf16 on a GPU that has it; on a CPU its casts cost
    more."""
    if config.precision != "auto":
        return torch.bfloat16 if config.precision == "bf16" else torch.float32
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if has_bf16 else torch.float32


def choose_compile(config: TrainConfig, parameters: int, device: torch.device) -> bool:
    """`--compile`, with auto resolved: where the time it saves is well above the time it takes.

    On two cores compiling takes about 20 s and saves a seventh of an update (bench/compile.py), so
    it pays from some thousand updates of the default model on. The estimate counts operations, not
    seconds, so that it is the same on every run.
    """
    assert config.steps and config.batch_size and config.block_size
    if config.compile != "auto":
        return config.compile == "on"
    operations = 6 * parameters * config.batch_size * config.block_size * config.steps
    return operations > (3e16 if device.type == "cuda" else 3e13)


def is_matrix(name: str, parameter: Tensor) -> bool:
    """Whether Muon trains this parameter: the matrices inside the blocks of V4 and V5.

    Embeddings, positions and the output table look like matrices but are lists of vectors.
    """
    return parameter.ndim == 2 and name.startswith(("h.", "layers."))


def optimizers(model: nn.Module, config: TrainConfig) -> dict[str, torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks (Jordan et al. 2024,
    kellerjordan.github.io/posts/muon), AdamW for the rest. Only matrices decay: biases, norms and
    tables do not.

    AdamW's second beta forgets within about a hundred updates, for short runs, and its eps lies far
    below the gradients, which are small here.
    """
    assert config.learning_rate is not None
    named = list(model.named_parameters())
    rest = [p for name, p in named if not is_matrix(name, p)]
    found: dict[str, torch.optim.Optimizer] = {
        "adamw": torch.optim.AdamW(
            rest,
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            eps=1e-10,
            weight_decay=0.0,
            fused=True,
        )
    }
    if matrices := [p for name, p in named if is_matrix(name, p)]:
        assert config.matrix_learning_rate is not None and config.weight_decay is not None
        found["muon"] = torch.optim.Muon(
            matrices, lr=config.matrix_learning_rate, weight_decay=config.weight_decay
        )
    return found


def learning_rate_factor(step: int, steps: int, warmup: int) -> float:
    """The share of the peak learning rate at an update: up in `warmup` updates, then down to zero.

    >>> [round(learning_rate_factor(step, steps=10, warmup=2), 2) for step in (0, 1, 2, 9)]
    [0.5, 0.9, 0.8, 0.1]
    """
    return min(1.0, (step + 1) / max(1, warmup)) * (1 - step / steps)


def snapshot_steps(steps: int, snapshots: int) -> set[int]:
    """The moments to keep: the start, the end, and between them ever wider apart.

    >>> sorted(snapshot_steps(1000, 5))
    [0, 1, 10, 100, 1000]
    """
    if snapshots == 0:
        return set()
    return {0, *(round(steps ** (i / max(1, snapshots - 2))) for i in range(snapshots - 1))}


# --- the trainer's state --------------------------------------------------------------------------


class Diverged(Exception):
    """The loss, a gradient or the scores became infinite or not a number."""


class Trainer:
    """A model, its optimizers and its place in the run: what a checkpoint holds."""

    def __init__(self, run: RunFolder, record: dict[str, Any], build: Build = build) -> None:
        self.run, self.record = run, record
        self.config = TrainConfig.from_dict(record["training"])
        check_device(self.config)
        self.shape = ModelConfig.from_dict(record["model"])
        self.parts = load_parts(run.path / "data")
        self.device = choose_device(self.config)
        self.precision = choose_precision(self.config, self.device)
        self.model = build(self.shape, batches.draw(self.config.seed, "initialisation"))
        self.model.to(self.device)
        self.forward: Callable[..., Result] = self.model
        self.optimizers = optimizers(self.model, self.config) if self.config.steps else {}
        self.step, self.seconds = 0, 0.0
        self.best_step, self.best_nats, self.evaluations_since_best = 0, math.inf, 0
        self.nats = math.inf  # the latest validation loss
        self.saved: list[int] = []  # the steps of the checkpoints on disk

    @cached_property
    def validation(self) -> list[tuple[batches.Ids, int]]:
        """What the live loss is measured on, always the same: stretches of the validation part,
        each with the character before it."""
        train, validation, _ = self.parts
        return [
            (validation[at], int(validation[at.start - 1] if at.start else train[-1]))
            for at in evaluation.spread(len(validation))
        ]

    def uses(self) -> dict[str, str]:
        """What it computes with, for the record."""
        name = torch.cuda.get_device_name() if self.device.type == "cuda" else self.device.type
        return {"device": name, "precision": str(self.precision).removeprefix("torch.")}

    def out_of_patience(self) -> bool:
        """Whether there was no better evaluation for as long as `--patience` allows."""
        patience = self.config.patience
        return patience is not None and self.evaluations_since_best >= patience

    def factor(self) -> float:
        """The share of the peak learning rate for the next update."""
        assert self.config.steps and self.config.warmup is not None
        return learning_rate_factor(self.step, self.config.steps, self.config.warmup)

    def batch_loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of the model on a batch, in nats per character."""
        with torch.autocast(
            self.device.type, dtype=self.precision, enabled=self.precision != torch.float32
        ):
            _, loss = self.forward(inputs, targets)
        assert loss is not None
        return loss

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The inputs and targets of a step, on the device: two (B, T) tensors."""
        assert self.config.batch_size is not None
        pair = batches.batch(
            self.parts.train, self.shape.block_size, self.config.batch_size, self.config.seed, step
        )
        inputs, targets = (torch.from_numpy(ids).to(self.device) for ids in pair)
        return inputs, targets

    def update(self) -> float:
        """Make one update and return the batch's loss before it; Diverged, and no update, if that
        or the gradient is not finite."""
        inputs, targets = self.batch(self.step)
        portions = self.config.accumulate
        total = 0.0
        with self.dropout_seeded():
            for x, y in zip(inputs.chunk(portions), targets.chunk(portions), strict=True):
                loss = self.batch_loss(x, y) / portions
                loss.backward()  # type: ignore[no-untyped-call]
                total += loss.item()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
        if not (math.isfinite(total) and math.isfinite(norm.item())):
            raise Diverged
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self.peak(name) * self.factor()
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        return total

    def peak(self, optimizer: str) -> float:
        """The peak learning rate of an optimizer."""
        muon, adamw = self.config.matrix_learning_rate, self.config.learning_rate
        chosen = muon if optimizer == "muon" else adamw
        assert chosen is not None
        return chosen

    @contextlib.contextmanager
    def dropout_seeded(self) -> Iterator[None]:
        """Dropout drawn from (seed, step); the process's own random state is left as it was."""
        if not self.shape.dropout:
            yield
            return
        devices = [torch.cuda.current_device()] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            seed = batches.draw(self.config.seed, "dropout", self.step)
            torch.default_generator.manual_seed(seed)
            if devices:
                torch.cuda.manual_seed(seed)
            if self.device.type == "mps":
                torch.mps.manual_seed(seed)
            yield

    def evaluate(self) -> bool:
        """Measure the validation loss and remember it; True if it is the best so far."""
        losses = [
            (evaluation.exact_loss(self.model, ids, before), len(ids))
            for ids, before in self.validation
        ]
        self.nats = sum(nats * n for nats, n in losses) / sum(n for _, n in losses)
        if not math.isfinite(self.nats):
            raise Diverged
        better = self.nats < self.best_nats
        if better:
            self.best_step, self.best_nats = self.step, self.nats
        self.evaluations_since_best = 0 if better else self.evaluations_since_best + 1
        return better

    def weights(self) -> runs.Tensors:
        """The model's weights as numpy arrays."""
        return {name: p.detach().cpu().numpy() for name, p in self.model.state_dict().items()}

    def sample(self) -> str:
        """A text by the model as it is now; the seed is the same at every step, so that only the
        model differs."""
        tokenizer = self.run.tokenizer()
        reference = Reference(self.shape, self.weights())
        chosen = replace(SAMPLE, seed=self.config.seed)
        try:
            with np.errstate(all="ignore"):
                return "".join(sampling.write(reference, tokenizer, "", chosen))
        except RunError:  # its scores are no numbers
            raise Diverged from None

    def finished(self, reason: str) -> Finished:
        """The last event."""
        return Finished(self.step, reason, self.best_step, self.best_nats, self.seconds)

    # --- to disk and back -------------------------------------------------------------------------

    def save(self, status: str) -> None:
        """Write a checkpoint, let run.json point to it, and delete those nobody needs any more."""
        names = {id(p): name for name, p in self.model.named_parameters()}
        state = {
            f"{kind}/{names[id(p)]}/{key}": value.detach().cpu().numpy()
            for kind, optimizer in self.optimizers.items()
            for p, values in optimizer.state.items()
            for key, value in values.items()
        }
        place = {
            "step": self.step,
            "seconds": self.seconds,
            "best_step": self.best_step,
            "best_nats": None if math.isinf(self.best_nats) else self.best_nats,
            "evaluations_since_best": self.evaluations_since_best,
        }
        before = self.record["checkpoint"]
        if before is None or before["step"] != self.step:
            self.run.save_checkpoint(
                self.step, {"model": self.weights(), "optimizer": state}, place
            )
        self.record["checkpoint"] = {"step": self.step}
        self.record["best"] = {"step": self.best_step, "validation_nats": self.best_nats}
        self.save_status(status)
        self.saved = sorted({*self.saved, self.step})[-self.config.keep :]
        self.run.prune({*self.saved, self.best_step})

    def save_status(self, status: str) -> None:
        """Say in run.json how the run stands."""
        self.record["status"] = status
        self.run.save_run(self.record)

    def restore(self) -> None:
        """Take up the run at the checkpoint that run.json points to, if there is one."""
        where = self.record["checkpoint"]
        if self.record["status"] not in ENDED:
            self.run.cut_back(where["step"] if where else -1)
        if not where:
            return
        weights, state, place = self.run.load_checkpoint(where["step"])
        self.model.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
        parameters = dict(self.model.named_parameters())
        for path, value in state.items():
            kind, name, key = path.split("/")
            parameter = parameters[name]
            self.optimizers[kind].state[parameter][key] = torch.from_numpy(value).to(self.device)
        self.step, self.seconds = place["step"], place["seconds"]
        self.best_step = place["best_step"]
        self.best_nats = math.inf if place["best_nats"] is None else place["best_nats"]
        self.evaluations_since_best = place["evaluations_since_best"]
        steps = (int(f.name) for f in (self.run.path / "checkpoints").iterdir() if f.name.isdigit())
        self.saved = sorted(s for s in steps if s <= self.step)

    # --- the clock and the compiler ---------------------------------------------------------------

    def steps_in(self, seconds: float) -> int:
        """How many updates there is time for, from timing some of a trainer that is thrown away."""
        self.config = replace(self.config, steps=10**9, minutes=None, warmup=1)
        self.optimizers = optimizers(self.model, self.config)
        times = []
        for _ in range(12):
            before = time.perf_counter()
            with contextlib.suppress(Diverged):  # the training itself will say so
                self.update()
            times.append(time.perf_counter() - before)
        return max(20, int((seconds - sum(times)) / statistics.median(times[2:])))

    def wants_compiling(self) -> bool:
        """Whether `choose_compile` says so for this model and budget."""
        parameters = sum(p.numel() for p in self.model.parameters())
        return choose_compile(self.config, parameters, self.device)

    def compile(self) -> str | None:
        """Compile the model; returns a note if it cannot be had, and then trains without."""
        self.forward = torch.compile(self.model)
        inputs, targets = (ids.chunk(self.config.accumulate)[0] for ids in self.batch(0))
        try:
            with self.dropout_seeded():
                self.batch_loss(inputs, targets).backward()  # type: ignore[no-untyped-call]
        except Exception as error:  # the compiler has many of its own; uncompiled is only slower
            self.forward = self.model
            return (
                f"The model could not be compiled ({type(error).__name__}), so it trains "
                "uncompiled. torch.compile needs a C++ compiler; --compile off leaves this "
                "attempt out."
            )
        finally:
            self.model.zero_grad()
        return None


# --- the loop -------------------------------------------------------------------------------------


def never() -> bool:
    """Do not stop before the end."""
    return False


def train(
    run: RunFolder, should_stop: Callable[[], bool] = never, build: Build = build
) -> Iterator[Event]:
    """Train the model of a run folder to its end, from wherever it stands, yielding events.

    `build` makes the model: the ladder's, or one with the same parameters under the same names.
    `should_stop` is asked after every update; once it says True, the run is saved as it is and can
    be resumed. Raises RunError if the folder is damaged or in use, or the disk is full; what was
    saved before stays whole."""
    started = time.perf_counter()
    run.lock()
    try:
        with runs.disk_errors("The checkpoint"):
            yield from _train(run, should_stop, started, build)
    finally:
        run.unlock()


def _train(
    run: RunFolder, should_stop: Callable[[], bool], started: float, build: Build
) -> Iterator[Event]:
    record = run.load_run()
    run.check_data()
    trainer = Trainer(run, record, build)
    if trainer.config.minutes is not None:
        spent = time.perf_counter() - started
        _settle(record, trainer.steps_in(60 * trainer.config.minutes * TRAINING_SHARE - spent))
        trainer = Trainer(run, record, build)
    now = machine() | trainer.uses()
    notes = [*record["notes"], *_differences(record["machine"], now)]
    record["machine"] = now | record["machine"]
    trainer.restore()
    config = trainer.config
    steps, evaluate_every = config.steps, config.evaluate_every
    assert steps is not None and evaluate_every is not None
    snapshots = snapshot_steps(steps, config.snapshots)
    parameters = sum(p.numel() for p in trainer.model.parameters())
    yield Started(
        run.path,
        trainer.shape,
        config,
        parameters,
        trainer.step,
        sum(len(stretch) for stretch, _ in trainer.validation),
        record["disk_megabytes"],
        tuple(notes),
    )
    if record["status"] in ENDED:  # resuming a run that has ended changes nothing
        yield trainer.finished(ENDED[record["status"]])
        return
    pending: list[dict[str, Any]] = []
    clock = time.perf_counter() - trainer.seconds

    def measured(train_nats: float, learning_rate: float) -> dict[str, Any]:
        trainer.seconds = time.perf_counter() - clock
        assert config.batch_size is not None
        return {
            "step": trainer.step,
            "seconds": round(trainer.seconds, 3),
            "characters": trainer.step * config.batch_size * trainer.shape.block_size,
            "train_nats": train_nats,
            "validation_nats": None,
            "learning_rate": learning_rate,
        }

    def write_down() -> Iterator[Event]:
        """Evaluate, sample and save, where the step calls for it."""
        evaluating = trainer.step % evaluate_every == 0 or trainer.step == steps
        if evaluating:
            best = trainer.evaluate()
            pending[-1]["validation_nats"] = trainer.nats
            yield Evaluated(trainer.step, trainer.nats, best)
        if evaluating or trainer.step in snapshots:
            text = trainer.sample()
            run.append("samples.jsonl", [{"step": trainer.step, "text": text}], sync=True)
            if trainer.step in snapshots:
                run.save_history(trainer.step, trainer.weights(), text)
            yield Sampled(trainer.step, text)
        if evaluating:
            yield from save("running")

    def save(status: str) -> Iterator[Event]:
        run.append("metrics.jsonl", pending, sync=True)
        pending.clear()
        trainer.seconds = time.perf_counter() - clock
        trainer.save(status)
        yield Saved(trainer.step)

    reason = "done"
    try:
        if trainer.step == 0 and record["checkpoint"] is None:
            with torch.no_grad(), trainer.dropout_seeded():
                first = trainer.batch_loss(*trainer.batch(0)).item()
            pending.append(measured(first, 0.0))
            yield from write_down()
        if trainer.step < steps and trainer.wants_compiling():
            yield Noted("compiling the model, which takes about 20 seconds")
            if failure := trainer.compile():
                yield Noted(failure)
        while trainer.step < steps:
            if trainer.out_of_patience():
                reason = "patience"
                break
            learning_rate = trainer.peak("adamw") * trainer.factor()
            nats = trainer.update()
            pending.append(measured(nats, learning_rate))
            yield Step(trainer.step, nats, learning_rate, trainer.seconds)
            yield from write_down()
            if should_stop() and trainer.step < steps:
                reason = "interrupted"
                yield from save("interrupted")
                break
    except Diverged:
        reason = "diverged"
        run.append("metrics.jsonl", pending, sync=True)
    if reason != "interrupted":
        trainer.save_status(next(status for status, why in ENDED.items() if why == reason))
    yield trainer.finished(reason)


def diverged_message(finished: Finished, run: RunFolder) -> str:
    """What to say when the loss became infinite or not a number."""
    config = TrainConfig.from_dict(run.load_run()["training"])
    return (
        f"Training came apart at update {finished.step:,}: the loss or a gradient became "
        f"infinite or not a number. The weights of update {finished.best_step:,} are safe in "
        f"{run.path}. Try a smaller --learning-rate (it was {config.learning_rate:g})"
        + (
            f" or --matrix-learning-rate (it was {config.matrix_learning_rate:g})."
            if config.matrix_learning_rate
            else "."
        )
    )


def _settle(record: dict[str, Any], steps: int) -> None:
    """Turn the minutes of a run into a number of steps, for good, with all that hangs on it."""
    given = TrainConfig.from_dict({**record["given"], "steps": steps, "minutes": None})
    V = record["model"]["vocab_size"]
    plan = planning.make_plan(given, record["data"]["train"], V)
    record["model"], record["training"] = plan.model.to_dict(), plan.training.to_dict()


def _differences(recorded: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is not as it was when the run began, in words."""
    changed = [
        f"{name} {recorded[name]} -> {now[name]}"
        for name in now
        if recorded.get(name, now[name]) != now[name]
    ]
    if not changed:
        return []
    return [
        "This machine is not as it was when the run began ("
        + ", ".join(changed)
        + "), so the result may differ in the last digits from an unbroken run."
    ]
