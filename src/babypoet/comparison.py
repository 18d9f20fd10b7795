"""The ladder climbed: every rung on the same text and budget, and the table that says what each one
adds.

climb = Climb.of(corpus, TrainConfig(steps=500), seeds=3, out=Path("runs/poems-ladder"))
for line in climb.run():
    print(line)
print(climb.markdown())
"""

import shutil
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from babypoet import counting, pictures, poet, report, runs, training
from babypoet.config import RUNG_NAMES, RungName, TrainConfig, reject_unknown
from babypoet.corpus import Corpus, Source, load_parts, open_corpus
from babypoet.errors import RunError, SettingError
from babypoet.evaluation import Loss, exact_loss
from babypoet.runs import RunFolder


@dataclass(frozen=True)
class Result:
    """One training of one rung."""

    rung: str
    seed: int
    parameters: int
    held_out: Loss
    seconds: float  # of training
    characters: int  # seen in training
    run: Path


@dataclass
class Climb:
    """A text, a budget, and what came of it so far."""

    corpus: Corpus
    settings: TrainConfig
    seeds: int
    out: Path
    results: list[Result] = field(default_factory=list)

    def run(self, should_stop: Callable[[], bool] = training.never) -> Iterator[str]:
        """Train every rung with every seed, yielding a line about each; then write ladder.md,
        loss.svg and loss.png into `out`."""
        for rung in get_args(RungName):
            for seed in range(self.settings.seed, self.settings.seed + self.seeds):
                config = replace(self.settings, rung=rung, seed=seed)
                folder = training.prepare(self.corpus, config, self.out / f"{rung}-seed{seed}")
                result = self._train(folder, should_stop)
                if result is None:
                    return
                self.results.append(result)
                yield (
                    f"{rung:12} seed {seed}: held out {result.held_out.nats:.4f} nats "
                    f"after {result.seconds:.0f} s"
                )
        self._write()

    def _train(self, folder: RunFolder, should_stop: Callable[[], bool]) -> Result | None:
        parameters = 0
        for event in training.train(folder, should_stop):
            if isinstance(event, training.Started):
                parameters = event.parameters
            if isinstance(event, training.Finished):
                finished = event
        if finished.reason == "interrupted":
            return None
        record = folder.load_run()
        if finished.reason == "diverged":
            raise SettingError(training.diverged_message(finished, folder))
        characters = (
            finished.step * record["training"]["batch_size"] * record["model"]["block_size"]
        )
        trained = poet.Poet(folder)
        train, validation, held_out = load_parts(folder.path / "data")
        before = int(validation[-1] if len(validation) else train[-1])
        return Result(
            rung=record["model"]["rung"],
            seed=record["training"]["seed"],
            parameters=parameters,
            held_out=Loss(exact_loss(trained.model, held_out, before), len(held_out)),
            seconds=finished.seconds,
            characters=characters,
            run=folder.path,
        )

    def of(self, rung: str) -> list[Result]:
        """The results of a rung, one a seed."""
        return [result for result in self.results if result.rung == rung]

    def markdown(self) -> str:
        """The table, with the opponents below the rungs."""
        heading = ["rung", "parameters", "held-out nats", "bits", "torn between", "seconds",
                   "characters/s", "a line of it"]  # fmt: skip
        rows = [self._row(rung) for rung in RUNG_NAMES if self.of(rung)]
        lines = [_cells(heading), _cells(["---"] + ["--:"] * 6 + ["---"]), *map(_cells, rows)]
        first = RunFolder.open(self.results[0].run)
        config = first.load_run()["training"]
        counted = counting.baselines(
            *load_parts(first.path / "data"), first.tokenizer().characters, config["block_size"]
        )
        for name, nats in (
            ("*letter counts*", counted.unigram),
            ("*letter pairs*", counted.bigram),
            (f"*best counter (Kneser-Ney, order {counted.ngram_order})*", counted.ngram),
            ("*PPMd, which learns while it reads*", counted.ppmd),
        ):
            if nats is not None:
                loss = Loss(nats, 1)
                cells = [name, "", f"{nats:.3f}", f"{loss.bits:.3f}", f"{loss.torn_between:.1f}"]
                lines.append(_cells([*cells, "", "", ""]))
        spread = (
            f"mean ± standard deviation over {self.seeds} seeds" if self.seeds > 1 else "one seed"
        )
        about = (
            f"{self.corpus.name}: {self.corpus.characters:,} characters; every rung made "
            f"{config['steps']:,} updates of {config['batch_size']} windows of "
            f"{config['block_size']} characters; {spread}; judged on the last "
            f"{self.results[0].held_out.characters:,} characters, which none of them had seen."
        )
        return "\n".join([*lines, "", about])

    def _row(self, rung: str) -> list[str]:
        results = self.of(rung)
        nats = [result.held_out.nats for result in results]
        mean = Loss(statistics.mean(nats), 1)
        spread = f" ± {statistics.stdev(nats):.3f}" if len(nats) > 1 else ""
        seconds = statistics.median(result.seconds for result in results)
        written = RunFolder.open(results[0].run).lines("samples.jsonl")[-1]["text"]
        return [
            f"`{rung}`",
            f"{results[0].parameters:,}",
            f"{mean.nats:.3f}{spread}",
            f"{mean.bits:.3f}",
            f"{mean.torn_between:.1f}",
            f"{seconds:.0f}",
            f"{results[0].characters / seconds:,.0f}",
            _one_line(written),
        ]

    def _write(self) -> None:
        runs.write_atomic(self.out / "ladder.md", (self.markdown() + "\n").encode())
        curves = {
            rung: RunFolder.open(self.of(rung)[0].run).lines("metrics.jsonl") for rung in RUNG_NAMES
        }
        opponents = report.opponents(RunFolder.open(self.results[0].run))
        pictures.save_loss_curves(self.out, curves, opponents)


def _cells(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _one_line(text: str) -> str:
    """The longest line among the first of a sample, harmless inside a table.

    >>> _one_line("a\\nthe man | woman\\n")
    'the man / woman'
    """
    line = max(text.strip().split("\n")[:8], key=len)
    return report.printable(line.strip()[:60]).replace("|", "/").replace("`", "'")


def climb(
    source: Source | Corpus,
    settings: TrainConfig,
    seeds: int,
    out: Path | None = None,
    overwrite: bool = False,
) -> Climb:
    """A ladder ready to be climbed; `out` defaults to runs/<text>-ladder, numbered when taken.

    Raises SettingError for --rung or fewer than one seed, RunError if `out` is taken.
    """
    if seeds < 1:
        raise SettingError(f"--seeds is {seeds}; it must be 1 or more.")
    if "rung" in settings.given():
        raise SettingError(
            f"A ladder trains every rung, so --rung {settings.rung} cannot be given."
        )
    corpus = source if isinstance(source, Corpus) else open_corpus(source, settings.holdout)
    where = out or poet.run_name(corpus.name, "ladder")
    if where.exists() and any(where.iterdir()):
        if not overwrite:
            raise RunError(
                f"{where} is already there. Replace it (--overwrite), or give another --out."
            )
        if not all((child / "run.json").exists() for child in where.iterdir() if child.is_dir()):
            raise RunError(f"{where} holds other folders than runs; give another --out.")
        shutil.rmtree(where)
    return Climb(corpus, settings, seeds, where)


def compare(
    *paths: str | Path,
    text: str | None = None,
    seeds: int = 1,
    out: str | Path | None = None,
    overwrite: bool = False,
    field: str = "text",
    **settings: Any,
) -> Climb:
    """Train every rung on the same text and budget: `babypoet ladder` as a call.

    `settings` are TrainConfig's. The returned Climb has `.results`, one for each rung and seed, and
    `.markdown()`, the table.
    """
    reject_unknown(settings, TrainConfig)
    config = TrainConfig(**settings)
    corpus = poet.open_text(paths, text, field, config.holdout)
    climbed = climb(corpus, config, seeds, Path(out) if out else None, overwrite)
    for _ in climbed.run():
        pass
    return climbed
