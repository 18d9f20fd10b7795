"""The command line: parse, import the verb's module, show what happens.

    babypoet train my.txt --minutes 3
    babypoet generate --prompt "love this"

Results go to standard output, progress and notes to standard error. A mistake that you can mend is
one message and exit code 2; Ctrl-C saves and exits 130. Torch is imported inside the verbs that
need it, so that `--help` answers at once."""

import itertools
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal, cast

from cyclopts import App, CycloptsError, Parameter
from cyclopts.exceptions import UnusedCliTokensError

from babypoet import __version__
from babypoet.config import GenerateConfig, TrainConfig, flag
from babypoet.errors import BabyPoetError, SettingError

if TYPE_CHECKING:
    from babypoet.course.folder import Folder
    from babypoet.course.lessons import Lesson
    from babypoet.poet import Poet
    from babypoet.runs import RunFolder
    from babypoet.training import Build

app = App(
    name="babypoet",
    version=__version__,
    help="A language model that you build, train, own and can explain.",
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,  # `main` answers it
)
Switch = Annotated[bool, Parameter(show_default=False)]  # off, unless it is given
learn = App(name="learn", help="Build a language model yourself, from empty files, in a weekend.")
app.command(learn)
Settings = Annotated[TrainConfig, Parameter(name="*")]
Sampling = Annotated[GenerateConfig, Parameter(name="*")]


@app.command
def train(
    *text: Path,
    stdin: Switch = False,
    field: str = "text",
    out: Path | None = None,
    resume: Switch = False,
    overwrite: Switch = False,
    quiet: Switch = False,
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
        The run folder; runs/TEXT-RUNG if not given, numbered when that is taken.
    resume:
        Go on with the run in --out, or with the newest one.
    overwrite:
        Replace the run in --out.
    quiet:
        Show no progress; print only where the run is and its loss.
    """
    from babypoet import corpus, poet, training

    if resume:
        given = [*map(str, text), *(["--stdin"] if stdin else []), *(["--overwrite"] * overwrite)]
        run = poet.resumed(out, given + [flag(name) for name in settings.given()])
    else:
        source = corpus.Source(text, stdin, field)
        found = corpus.open_corpus(source, settings.holdout)
        where = out or poet.run_name(found.name, settings.rung)
        run = training.prepare(found, settings, where, overwrite)
    return _train(run, quiet)


def _train(run: "RunFolder", quiet: bool, build: "Build | None" = None) -> int:
    """Train the model of a run folder, show how, and judge it."""
    from babypoet import report, terminal, training

    theirs = {} if build is None else {"build": build}
    opponents = report.Counting()
    with (
        stopping(say_so=quiet or not terminal.is_live()) as asked,
        terminal.view(quiet, opponents, lambda: bool(asked)) as show,
    ):
        for event in training.train(run, lambda: bool(asked), **theirs):
            show(event)
            if isinstance(event, training.Sampled):  # there is something to look at by now
                opponents.start(run)
            if isinstance(event, training.Started):
                first = event.first_step
            if isinstance(event, training.Finished):
                finished = event
    if finished.reason == "interrupted":
        terminal.note(
            f"stopped at update {finished.step:,} and saved. Go on with: "
            f"babypoet train --resume --out {terminal.quoted(run.path)}"
        )
        return 128 + asked[0]
    if finished.reason == "diverged":
        raise SettingError(training.diverged_message(finished, run))
    if first == finished.step:
        terminal.note(f"this run had ended already, with update {first:,}")
    with terminal.busy("judging it on text it never saw", quiet):
        opponents.start(run)
        said = report.after_training(run, finished, opponents.result(), quiet)
    print(said)
    return 0


@contextmanager
def stopping(say_so: bool) -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM in a list, so that the trainer can save first; a second one ends
    at once. With `say_so` the first is answered on standard error."""
    from babypoet.terminal import STOPPING

    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        if say_so:  # past Python's buffers, which the signal may have interrupted
            os.write(2, f"\n{STOPPING}\n".encode())

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
    prompt: Annotated[str, Parameter(show_default=False)] = "",
    unknown: Literal["nearest", "error"] = "nearest",
    settings: Sampling = GenerateConfig(),  # noqa: B008 - frozen, and where the defaults stand
) -> int:
    r"""Let a model write. In --stop, \\n means a new line; it can be given more than once.

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
    from babypoet import poet
    from babypoet.terminal import printable

    writer = poet.load(run)
    _say_foreign(writer, prompt, unknown)
    shown = printable if sys.stdout.isatty() else str  # a model may have learned to write escapes
    lines = replace(settings, stop=tuple(stop.replace("\\n", "\n") for stop in settings.stop))
    for sample in range(settings.n):
        if sample:
            print("\n--------")
        pieces = writer.stream(prompt, lines, sample, unknown)
        for piece in itertools.chain([prompt], pieces):
            sys.stdout.write(shown(piece))
            sys.stdout.flush()
    print()
    return 0


def _say_foreign(poet: "Poet", text: str, unknown: str) -> None:
    """Tell which characters of `text` the model never saw, and what it reads in their place."""
    from babypoet import terminal

    if unknown == "error":
        return
    for char, stand_in in poet.tokenizer.foreign(text).items():
        what = f"it reads {stand_in!r} instead" if stand_in else "it is not read"
        terminal.note(f"the model never saw {char!r}; {what}")


@app.command
def evaluate(*, run: Path | None = None, text: Path | None = None, json: Switch = False) -> int:
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
    from babypoet import poet, report, terminal

    judged = poet.load(run)
    with terminal.busy("judging", quiet=json):
        said = report.on_text(judged, text, json) if text else report.verdict(judged, json)
    print(said)
    return 0


@app.command
def ladder(
    *text: Path,
    stdin: Switch = False,
    field: str = "text",
    seeds: int = 1,
    out: Path | None = None,
    overwrite: Switch = False,
    quiet: Switch = False,
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
        Where the runs, ladder.md and the curves go; runs/TEXT-ladder if not given.
    overwrite:
        Replace what is in --out.
    quiet:
        Show no progress; print only the table.
    """
    from babypoet import comparison, corpus, report, terminal

    source = corpus.Source(text, stdin, field)
    climb = comparison.climb(source, settings, seeds, out, overwrite)
    opponents = report.Counting()
    silent = quiet or not terminal.is_live()  # then a line for each training is all that is said
    with (
        stopping(say_so=silent) as asked,
        terminal.view(silent, opponents, lambda: bool(asked)) as show,
    ):
        counted = comparison.nobody if silent else opponents.start  # only the picture shows them
        for line in climb.run(lambda: bool(asked), show, counted):
            if not quiet:
                terminal.say(line)
    if climb.interrupted:
        terminal.note(f"stopped; the runs trained so far are in {climb.out}")
        return 128 + asked[0]
    print(climb.markdown())
    if not quiet:
        terminal.note(f"the runs, ladder.md and the curves (loss.png) are in {climb.out}")
    return 0


@app.command
def look(
    text: Annotated[str, Parameter(show_default=False)] = "",
    /,
    *,
    run: Path | None = None,
    names: Annotated[bool, Parameter(name="--list", show_default=False)] = False,
    step: str | None = None,
    head: int | None = None,
    position: int | None = None,
    json: Switch = False,
    unknown: Literal["nearest", "error"] = "nearest",
) -> int:
    """Walk through a model with a text, and see every number on the way.

    Python: babypoet.load("runs/poems-modern").trace("love this")["probabilities"]

    Parameters
    ----------
    text:
        What the model reads. Of a longer text than its context, the window it would write on from.
    run:
        The run folder; the newest one if not given.
    names:
        List the names of all values, with their shapes and what they are.
    step:
        Show one value alone, by its name: blocks.0.attention.weights, or a learned tensor.
    head:
        Which attention head to show, counted from 0; the first one if not given.
    position:
        Which character to show, counted from 0, or from the end: -1 is the last, which is shown if
        none is given.
    json:
        Print one JSON object: everything, or the value of --step.
    unknown:
        What to do with characters the model never saw: use the nearest, or stop.
    """
    from babypoet import looking, poet, terminal

    looking.check_asked(names, step, head, position, json)
    looked_at = poet.load(run)
    _say_foreign(looked_at, text, unknown)
    trace = looked_at.trace(text, unknown)
    for note in looking.notes(trace, text, names):
        terminal.note(note)
    if json:
        print(looking.as_json(trace, names, step, head, position))
    elif names:
        looking.show(looking.listed(trace, with_text=text != ""))
    elif step is not None:
        looking.show(looking.step(trace, step, head, position))
    else:
        looking.show(looking.walk(trace, head, position))
    return 0


@app.command
def backprop(
    text: Annotated[str, Parameter(show_default=False)] = "",
    /,
    *,
    run: Path | None = None,
    position: int | None = None,
    json: Switch = False,
    unknown: Literal["nearest", "error"] = "nearest",
) -> int:
    """Follow one letter's loss back through a model, by hand and by autograd, to every character.

    Python: babypoet.load("runs/poems-modern").backprop("love this").step.after

    Parameters
    ----------
    text:
        At least two characters. The loss of the last is followed back to those before it.
    run:
        The run folder; the newest one if not given.
    position:
        Follow the loss of the letter after this character, counted from 0, instead.
    json:
        Print one JSON object.
    unknown:
        What to do with characters the model never saw: use the nearest, or stop.
    """
    from babypoet import looking, poet, terminal, wayback

    followed = poet.load(run)
    _say_foreign(followed, text, unknown)
    found = followed.backprop(text, position, unknown)
    for note in wayback.notes(found):
        terminal.note(note)
    if json:
        print(wayback.as_json(found))
    else:
        looking.show(wayback.walk(found))
    return 0


@app.command
def share(
    *,
    out: Annotated[Path | None, Parameter(name=("--out", "-o"))] = None,
    run: Path | None = None,
    weights: Literal["int8", "fp16", "fp32"] = "int8",
    with_text: Switch = False,
    strings: Path | None = None,
) -> int:
    """Make one HTML file of a model that anyone can open, offline: guess, look inside, play.

    Python: babypoet.load("runs/poems-modern").share("poet.html")

    Parameters
    ----------
    out:
        The file to write, or to replace; RUN.html if not given.
    run:
        The run folder; the newest one if not given.
    weights:
        How the weights are packed: smaller, or more exact.
    with_text:
        Put the training text into the file too.
    strings:
        A JSON file with the page's words in another language.
    """
    from babypoet import poet, terminal

    sharing = poet.load(run)
    path = out or Path(f"{sharing.run.path.resolve().name}.html")
    with terminal.busy("measuring and packing"):
        made = sharing.share(path, weights, with_text, strings)
    print(path)
    lines = [f"{made.bytes:,} bytes, and what is in them:"]
    told: set[str] = set()  # several sets of weights tell the same
    for line in made.contents:
        tells = "" if line["tells"] in told else f" {line['tells']}"
        told.add(line["tells"])
        lines.append(f"  {line['bytes']:,}: {line['what']}.{tells}")
    print(terminal.paragraphs([*map(terminal.printable, lines), *made.said], terminal.columns()))
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


# --- the course -----------------------------------------------------------------------------------


@learn.default
def learn_where(*, folder: Path | None = None) -> int:
    """Say where you are in the course, and what comes next.

    Parameters
    ----------
    folder:
        Your course folder; the one you are in if not given.
    """
    from babypoet.course.folder import find_folder
    from babypoet.course.telling import whereabouts

    print(whereabouts(find_folder(folder)))
    return 0


@learn.command(name="start")
def learn_start(folder: Path, /) -> int:
    """Make a folder with a page to read and a file to fill in for each lesson.

    In a course folder it adds what is missing, and overwrites nothing.

    Parameters
    ----------
    folder:
        The folder to make.
    """
    from babypoet.course.folder import start
    from babypoet.course.telling import started

    print(started(*start(folder)))
    return 0


@learn.command(name="check")
def learn_check(
    lesson: str | None = None,
    /,
    *,
    watch: Switch = False,
    folder: Path | None = None,
    seconds: float | None = None,
) -> int:
    """Check your file, and say what differs. Exit code 0: passed, 1: not yet.

    Parameters
    ----------
    lesson:
        A number or a name; the first lesson that has not passed if not given.
    watch:
        Check again whenever you save, until Ctrl-C.
    folder:
        Your course folder; the one you are in if not given.
    seconds:
        How long the checks may take; if not given, 20, and more where a lesson trains a model.
    """
    from babypoet.course import telling

    mine, which = _lesson(folder, lesson)
    if watch:
        telling.watch(mine, which, seconds, lambda text: print(text, flush=True))
        return 0
    which = which or mine.current()
    if which is None:
        print(telling.whereabouts(mine))
        return 0
    checked = telling.check(mine, which, seconds)
    print(telling.told(mine, checked))
    return 0 if checked.verdict.passed else 1


def _lesson(folder: Path | None, lesson: str | None) -> "tuple[Folder, Lesson | None]":
    """The learner's folder, and the lesson that was named, if one was."""
    from babypoet.course.folder import find_folder
    from babypoet.course.lessons import find

    return find_folder(folder), None if lesson is None else find(lesson)


@learn.command(name="hint")
def learn_hint(lesson: str | None = None, /, *, folder: Path | None = None) -> int:
    """Show the next hint. Each says more than the one before; the last derives it on paper.

    Parameters
    ----------
    lesson:
        A number or a name; the first lesson that has not passed if not given.
    folder:
        Your course folder; the one you are in if not given.
    """
    from babypoet.course import telling

    mine, which = _lesson(folder, lesson)
    which = which or mine.current()
    print(telling.hint(mine, which) if which else telling.whereabouts(mine))
    return 0


@learn.command(name="show")
def learn_show(lesson: str | None = None, /, *, folder: Path | None = None) -> int:
    """Show our answer, once you have seen all hints, and where it stands in babypoet's own code.

    Parameters
    ----------
    lesson:
        A number or a name; the first lesson that has not passed if not given.
    folder:
        Your course folder; the one you are in if not given.
    """
    from babypoet.course import telling

    mine, which = _lesson(folder, lesson)
    which = which or mine.current()
    print(telling.answer(mine, which) if which else telling.whereabouts(mine))
    return 0


@learn.command(name="run")
def learn_run(
    *,
    folder: Path | None = None,
    quiet: Switch = False,
    settings: Settings = TrainConfig(),  # noqa: B008 - frozen, and where the defaults stand
) -> int:
    """Train the model you wrote on the built-in poems: the highest rung whose lesson passes, or
    the one up to --rung.

    Parameters
    ----------
    folder:
        Your course folder; the one you are in if not given.
    quiet:
        Show no progress; print only where the run is and its loss.
    """
    from babypoet import terminal
    from babypoet.course import checking, running, telling

    mine, _ = _lesson(folder, None)
    for said in telling.recheck(mine, running.RUNGS.values()):
        terminal.note(said)
    rung = running.highest(mine, settings.rung)
    if rung is None:
        print(running.table_by_descent(mine))
        return 0
    with checking.lesson_imports(mine.path):
        run, build = running.prepare(mine, rung, settings)
        code = _train(run, quiet, build)
    if code == 0:
        print(running.afterwards(mine, run.path))
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for a mistake, 130 and 143 when
    stopped."""
    for stream in (sys.stdout, sys.stderr):  # a console in another encoding must not stop a poem
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
            if not stream.isatty():  # Windows would write its old code page into files and pipes
                stream.reconfigure(encoding="utf-8")
    try:
        result = app(
            arguments, exit_on_error=False, print_error=False, result_action="return_value"
        )
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except UnusedCliTokensError as error:
        unused = " ".join(cast(list[str], error.unused_tokens))
        print(f"babypoet: Nothing here takes {unused!r}. See --help.", file=sys.stderr)
        return 2
    except (BabyPoetError, CycloptsError) as error:
        print(f"babypoet: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever was reading has had enough, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
