"""The ladder climbed: every rung on the same text and budget, and the table that says what each one
adds.

    climbed = climb(Source(("my.txt",)), TrainConfig(steps=500), seeds=3)
    for line in climbed.run():
        print(line)
    print(climbed.markdown())

`compare` does all of that in one call."""

import shutil
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from babypoet import counting, pictures, planning, poet, runs, training
from babypoet.config import RUNG_NAMES, RungName, TrainConfig, reject_unknown
from babypoet.corpus import Corpus, Source, load_parts, open_corpus
from babypoet.errors import RunError, SettingError
from babypoet.evaluation import Loss
from babypoet.runs import RunFolder
from babypoet.terminal import printable

FILES = ("ladder.md", "loss.svg", "loss.png")  # beside a folder for each training


def nobody(_: object) -> None:
    """Whom it is told to if nobody wants to know."""


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
    interrupted: bool = False

    def run(
        self,
        should_stop: Callable[[], bool] = training.never,
        show: Callable[[training.Event], None] = nobody,
        begun: Callable[[RunFolder], None] = nobody,
    ) -> Iterator[str]:
        """Train every rung with every seed, yielding a line about each; then write ladder.md,
        loss.svg and loss.png into `out`.

        `show` is called with every event of every training, `begun` with each run as it starts.
        """
        said: set[str] = set()
        for config in _trainings(self.settings, self.seeds):
            name = f"{config.rung}-seed{config.seed}"
            folder = training.prepare(self.corpus, config, self.out / name)
            begun(folder)
            notes = folder.load_run()["notes"]
            yield from (f"note: {note}" for note in notes if note not in said)
            said |= set(notes)
            result = self._train(folder, should_stop, show)
            if result is None:
                self.interrupted = True
                return
            self.results.append(result)
            yield (
                f"{config.rung:12} seed {config.seed}: held out {result.held_out.nats:.4f} nats "
                f"after {result.seconds:.0f} s"
            )
        self._write()

    def _train(
        self,
        folder: RunFolder,
        should_stop: Callable[[], bool],
        show: Callable[[training.Event], None],
    ) -> Result | None:
        for event in training.train(folder, should_stop):
            if isinstance(event, training.Started):  # what was said before is not said again
                parameters, event = event.parameters, replace(event, notes=())
            show(event)
            if isinstance(event, training.Finished):
                finished = event
        if finished.reason == "diverged":
            raise SettingError(training.diverged_message(finished, folder))
        if finished.reason == "interrupted":
            return None
        record = folder.load_run()
        characters = (
            finished.step * record["training"]["batch_size"] * record["model"]["block_size"]
        )
        return Result(
            rung=record["model"]["rung"],
            seed=record["training"]["seed"],
            parameters=parameters,
            held_out=poet.Poet(folder).held_out_loss(),
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
        opponents = self._opponents
        for name, nats in (
            ("*letter counts*", opponents.unigram),
            ("*letter pairs*", opponents.bigram),
            (f"*best counter (Kneser-Ney, order {opponents.ngram_order})*", opponents.ngram),
            ("*PPMd, which learns while it reads*", opponents.ppmd),
        ):
            if nats is not None:
                loss = Loss(nats, 1)
                cells = [name, "", f"{nats:.3f}", f"{loss.bits:.3f}", f"{loss.torn_between:.1f}"]
                lines.append(_cells([*cells, "", "", ""]))
        spread = (
            f"mean ± standard deviation over {self.seeds} seeds" if self.seeds > 1 else "one seed"
        )
        about = (
            f"{self.corpus.name}: {self.corpus.characters:,} characters; {self._budget()}; "
            f"{spread}; judged on {self.results[0].held_out.characters:,} characters held out at "
            "the end, which none of them had seen."
        )
        return "\n".join([*lines, "", about])

    def _widest(self) -> RunFolder:
        """The first run with the largest context."""
        found = [RunFolder.open(result.run) for result in self.results]
        return max(found, key=lambda run: run.model_config().block_size)

    @cached_property
    def _opponents(self) -> counting.Baselines:
        """Given the widest windows that a rung was given."""
        run = self._widest()
        parts = load_parts(run.path / "data")
        return counting.baselines(*parts, run.tokenizer().characters, run.model_config().block_size)

    def _budget(self) -> str:
        """What every rung was given, in words."""
        settings = [RunFolder.open(r.run).load_run()["training"] for r in self.results]
        made = f"made {_span(s['steps'] for s in settings)} updates"
        if self.settings.minutes is not None:
            made = f"trained for {self.settings.minutes:g} minutes with updates"
        return (
            f"every rung {made} of {_span(s['batch_size'] * s['block_size'] for s in settings)} "
            f"characters, in windows of {_span(s['block_size'] for s in settings)}"
        )

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
        opponents = poet.opponents(self._widest())
        pictures.save_loss_curves(self.out, curves, opponents)


def _trainings(settings: TrainConfig, seeds: int) -> Iterator[TrainConfig]:
    """Each rung with each seed, and with those of the settings that it has a use for."""
    for rung in get_args(RungName):
        idle: dict[str, Any] = dict.fromkeys(planning.idle_settings(rung))
        for seed in range(settings.seed, settings.seed + seeds):
            yield replace(settings, rung=rung, seed=seed, **idle)


def _span(values: Iterable[int]) -> str:
    """The least and the most of some numbers.

    >>> _span([64, 192, 64]), _span([2000])
    ('64 to 192', '2,000')
    """
    found = sorted(set(values))
    return " to ".join(f"{value:,}" for value in dict.fromkeys((found[0], found[-1])))


def _cells(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _one_line(text: str) -> str:
    """The longest line among the first of a sample, as code, in which Markdown reads no marks.

    >>> _one_line("a\\nthe man | *woman*\\n")
    '`the man ¦ *woman*`'
    """
    line = max(text.strip().split("\n")[:8], key=len)
    plain = " ".join(printable(line).split())[:60].strip().replace("|", "¦").replace("`", "'")
    return f"`{plain}`" if plain else ""


def climb(
    source: Source | Corpus,
    settings: TrainConfig,
    seeds: int,
    out: Path | None = None,
    overwrite: bool = False,
) -> Climb:
    """A ladder ready to be climbed; `out` defaults to runs/<text>-ladder, numbered when taken.

    Raises SettingError for --rung, for fewer than one seed and for settings that are impossible for
    any rung, RunError if `out` is taken: all before anything is written or replaced.
    """
    if seeds < 1:
        raise SettingError(f"--seeds is {seeds}; it must be 1 or more.")
    if "rung" in settings.given():
        raise SettingError(
            f"A ladder trains every rung, so --rung {settings.rung} cannot be given."
        )
    corpus = source if isinstance(source, Corpus) else open_corpus(source, settings.holdout)
    for config in _trainings(settings, 1):
        training.check_device(config)
        planning.make_plan(config, corpus.train_size, corpus.tokenizer.vocab_size)
    where = out if out is not None else poet.run_name(corpus.name, "ladder")
    _clear(where, overwrite)
    return Climb(corpus, settings, seeds, where)


def _clear(out: Path, overwrite: bool) -> None:
    """Make room for a ladder; only with `overwrite`, and only where nothing but one lies."""
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file; give another --out.")
    there = sorted(out.iterdir()) if out.exists() else []
    names = {f"{rung}-seed" for rung in RUNG_NAMES}
    for path in there:
        is_run = path.is_dir() and path.name.rstrip("0123456789") in names
        if not is_run and path.name not in FILES:
            raise RunError(f"{out} holds {path.name}, which no ladder wrote; give another --out.")
        if is_run and RunFolder(path).in_use():
            raise RunError(f"Another process is training in {path}; give another --out.")
    if there and not overwrite:
        raise RunError(f"{out} is already there. Replace it (--overwrite), or give another --out.")
    for path in there:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


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
    climbed = climb(corpus, config, seeds, Path(out) if out is not None else None, overwrite)
    for _ in climbed.run():
        pass
    return climbed
