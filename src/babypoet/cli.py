"""The command line: parse, import the verb's module, show what happens.

    babypoet train my.txt --minutes 3
    babypoet generate --prompt "love this"

Results go to standard output, progress and notes to standard error. A mistake that you can mend is
one message and exit code 2; Ctrl-C saves and exits 130. Torch is imported inside the verbs that
need it, so that `--help` answers at once."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from babypoet import __version__
from babypoet.config import GenerateConfig, TrainConfig, flag
from babypoet.errors import BabyPoetError, SettingError

if TYPE_CHECKING:
    from babypoet.poet import Poet
    from babypoet.runs import RunFolder

app = App(
    name="babypoet",
    version=__version__,
    help="A language model that you build, train, own and can explain.",
    default_parameter=Parameter(negative=()),
)
Settings = Annotated[TrainConfig, Parameter(name="*")]
Sampling = Annotated[GenerateConfig, Parameter(name="*")]


@app.command
def train(
    *text: Path,
    stdin: bool = False,
    field: str = "text",
    out: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    settings: Settings = TrainConfig(),  # noqa: B008 - frozen, and where the defaults stand
) -> int:
    """Train a model on a text. Without one: the built-in poems.

    Python: babypoet.train("my.txt", steps=500)

    Parameters
    ----------
    text:
        Files and folders: .txt, .md and .jsonl.
    stdin:
        Read the text from standard input.
    field:
        Which field of each .jsonl line holds the text.
    out:
        The run folder; runs/<text>-<rung> if not given.
    resume:
        Go on with the run in --out, or with the newest one.
    overwrite:
        Replace the run in --out.
    quiet:
        Show no progress; print only where the run is and its loss.
    """
    from babypoet import corpus, poet, report, runs, terminal, training

    if resume:
        run = _resumed(text, out, overwrite, settings)
    else:
        source = corpus.Source(text, stdin, field)
        found = corpus.open_corpus(source, settings.holdout)
        where = out or poet.run_name(found.name, settings.rung)
        run = training.prepare(found, settings, where, overwrite)
    opponents: dict[str, float] = {}  # filled in once there is something to look at
    with stopping() as asked, terminal.view(quiet, opponents) as show:
        for event in training.train(run, lambda: bool(asked)):
            show(event)
            if isinstance(event, training.Sampled) and not opponents and not quiet:
                opponents.update(report.opponents(run))
            if isinstance(event, training.Finished):
                finished = event
    if finished.reason == "interrupted":
        terminal.note(
            f"stopped at update {finished.step:,} and saved. Go on with: "
            f"babypoet train --resume --out {run.path}"
        )
        return 128 + asked[0]
    if finished.reason == "diverged":
        raise SettingError(training.diverged_message(finished, run))
    print(report.after_training(runs.RunFolder.open(run.path), finished, quiet))
    return 0


def _resumed(
    text: Sequence[Path], out: Path | None, overwrite: bool, settings: TrainConfig
) -> "RunFolder":
    """The run to go on with; anything that would change it is a SettingError."""
    from babypoet import runs

    clash = (
        [str(t) for t in text] + ["--overwrite"] * overwrite + [flag(f) for f in settings.given()]
    )
    if clash:
        raise SettingError(
            f"--resume goes on with the run's own text and settings, so {', '.join(clash)} cannot "
            "be given with it. Leave it out, or start a new run without --resume."
        )
    return runs.RunFolder.open(out or runs.newest_run())


@contextmanager
def stopping() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM in a list, so that the trainer can save first; a second one ends
    at once."""
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        print(
            "\nstopping after this update, and saving (again to stop at once) ...", file=sys.stderr
        )

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@app.command
def generate(
    *,
    run: Path | None = None,
    prompt: str = "",
    unknown: Literal["nearest", "error"] = "nearest",
    settings: Sampling = GenerateConfig(),  # noqa: B008 - frozen, and where the defaults stand
) -> int:
    """Let a model write.

    Python: babypoet.load("runs/poems-modern").write("love this", length=200)

    Parameters
    ----------
    run:
        The run folder; the newest one if not given.
    prompt:
        What the text begins with.
    unknown:
        What to do with characters the model never saw: use the nearest, or stop.
    """
    poet = _load(run)
    _say_foreign(poet, prompt, unknown)
    for sample in range(settings.n):
        if sample:
            print("\n--------")
        sys.stdout.write(prompt)
        for piece in poet.stream(prompt, settings, sample, unknown):
            sys.stdout.write(piece)
            sys.stdout.flush()
    print()
    return 0


def _load(run: Path | None) -> "Poet":
    from babypoet import poet

    return poet.load(run)


def _say_foreign(poet: "Poet", text: str, unknown: str) -> None:
    """Tell which characters of `text` the model never saw, and what it reads in their place."""
    from babypoet import terminal

    if unknown == "error":
        return
    for char, stand_in in poet.tokenizer.foreign(text).items():
        what = f"it reads {stand_in!r} instead" if stand_in else "it is left out"
        terminal.note(f"the model never saw {char!r}; {what}")


@app.command
def evaluate(*, run: Path | None = None, text: Path | None = None, json: bool = False) -> int:
    """Judge a model: exact loss on text it never saw, beside honest opponents.

    Python: babypoet.evaluate("runs/poems-modern").held_out.nats

    Parameters
    ----------
    run:
        The run folder; the newest one if not given.
    text:
        Judge it on this text instead of the run's held-out part.
    json:
        Print one JSON object.
    """
    from babypoet import report

    poet = _load(run)
    print(report.on_text(poet, text, json) if text else report.verdict(poet, json))
    return 0


@app.command
def ladder(
    *text: Path,
    stdin: bool = False,
    field: str = "text",
    seeds: int = 1,
    out: Path | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    settings: Settings = TrainConfig(),  # noqa: B008 - frozen, and where the defaults stand
) -> int:
    """Train every rung of the ladder on the same text and budget, and compare them.

    Python: babypoet.compare("my.txt", seeds=3, steps=500)

    Parameters
    ----------
    text:
        Files and folders: .txt, .md and .jsonl.
    stdin:
        Read the text from standard input.
    field:
        Which field of each .jsonl line holds the text.
    seeds:
        How many times to train each rung, each time from other random numbers.
    out:
        Where the runs, ladder.md and the curves go; runs/<text>-ladder if not given.
    overwrite:
        Replace what is in --out.
    quiet:
        Show no progress; print only the table.
    """
    from babypoet import comparison, corpus, terminal

    source = corpus.Source(text, stdin, field)
    climb = comparison.climb(source, settings, seeds, out, overwrite)
    with stopping() as asked:
        for line in climb.run(lambda: bool(asked)):
            if not quiet:
                print(line, file=sys.stderr, flush=True)
    if asked:
        terminal.note(f"stopped; the runs trained so far are in {climb.out}")
        return 128 + asked[0]
    print(climb.markdown())
    return 0


@app.command(name="runs")
def show_runs(*run: Path) -> int:
    """List the runs, show one, or compare several.

    Parameters
    ----------
    run:
        Run folders; without any, all under runs/ are listed.
    """
    from babypoet import report

    print(report.runs_table(run) if len(run) != 1 else report.one_run(run[0]))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for a mistake, 130 and 143 when
    stopped."""
    for stream in (sys.stdout, sys.stderr):  # a console in another encoding must not stop a poem
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        result = app(
            arguments, exit_on_error=False, print_error=False, result_action="return_value"
        )
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except (BabyPoetError, CycloptsError) as error:
        print(f"babypoet: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever was reading has had enough, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
