"""What a person sees while a model trains: events in, a live picture or plain lines out.

    with terminal.view(quiet=False, opponents=dict, stopping=never) as show:
        for event in train(run):
            show(event)

Everything here goes to standard error. A terminal gets a picture that is redrawn in place; a file
or a pipe gets a line for each evaluation. `NO_COLOR` is respected. What is said in the end, on
standard output, is `report.py`'s."""

import contextlib
import math
import os
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from babypoet.training import Event, Started

Show = Callable[["Event"], None]
Opponents = Callable[[], Mapping[str, float]]  # by name, in nats; empty while they still count
FRAMES_PER_SECOND = 8
WIDEST = 100  # columns; longer lines are hard to read
STOPPING = "stopping after this update, and saving (again to stop at once) ..."
COUNTING = "counting letters, for comparison ..."


# --- words ----------------------------------------------------------------------------------------


def loss_words(nats: float) -> str:
    """A loss in all three of its units.

    >>> loss_words(1.6094379)
    '1.609 nats · 2.322 bits · torn between 5.0 letters'
    """
    return f"{nats:.3f} nats · {nats / math.log(2):.3f} bits · {torn(nats)}"


def torn(nats: float) -> str:
    """e^loss: as unsure as somebody who picks among that many letters.

    >>> torn(0.0)
    'torn between 1.0 letters'
    """
    return f"torn between {letters(nats)} letters"


def letters(nats: float) -> str:
    """e^loss with one decimal, and without an overflow.

    >>> letters(1.6094379), letters(1e6)
    ('5.0', 'inf')
    """
    return f"{math.exp(nats) if nats < 700 else math.inf:,.1f}"


def clock(seconds: float) -> str:
    """Seconds as a person writes them.

    >>> clock(59.6), clock(75), clock(3700)
    ('1:00', '1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def shape(started: "Started") -> str:
    """One line on the model that is being trained."""
    config = started.model
    return (
        f"{started.parameters:,} parameters · context {config.block_size} · "
        f"{config.vocab_size:,} characters known · up to {started.disk_megabytes:,} MB of disk"
    )


def printable(text: str) -> str:
    """Text in which control characters are written as escapes, so that they cannot steer a
    terminal. The joiners that Persian and emoji are written with stay.

    >>> printable("a\\x1b[2J")
    'a\\\\x1b[2J'
    """
    harmless = "\n\t\u200c\u200d"
    return "".join(c if c.isprintable() or c in harmless else repr(c)[1:-1] for c in text)


def quoted(argument: object) -> str:
    """An argument as this system's shell wants it written.

    >>> quoted("runs/poems-modern")
    'runs/poems-modern'
    """
    if os.name == "nt":
        return subprocess.list2cmdline([str(argument)])
    return shlex.quote(str(argument))


def columns() -> int:
    """How wide to write: the terminal, and never too wide to read."""
    return min(WIDEST, Console().width)


def wrapped(text: str, width: int) -> list[str]:
    """Text cut into lines of at most so many columns, between words where there are any; a wide
    character takes two columns.

    >>> wrapped("to be\\nor not", 4)
    ['to', 'be', 'or', 'not']
    """
    plain = Text(printable(text).replace("\t", "    "), overflow="fold")
    console = Console(width=width, color_system=None)
    return [line.plain.rstrip() for line in plain.wrap(console, width)]


def paragraphs(sentences: Sequence[str], width: int) -> str:
    """Sentences, each on a line of its own; what does not fit goes on below, moved in.

    >>> print(paragraphs(["to be, or not to be", "that is"], 12))
    to be, or
      not to be
    that is
    """
    lines = (
        textwrap.wrap(s, width, subsequent_indent="  ", break_on_hyphens=False) for s in sentences
    )
    return "\n".join(line for sentence in lines for line in sentence)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first aligned left and the others right.

    >>> print(table(["rung", "nats"], [["bigram", "2.45"]]))
    rung    nats
    bigram  2.45
    """
    widths = [max(map(cell_len, column)) for column in zip(headings, *rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        gaps = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = [row[0] + gaps[0], *(g + c for g, c in zip(gaps[1:], row[1:], strict=True))]
        return "  ".join(cells).rstrip()

    return "\n".join(line(row) for row in [headings, *rows])


# --- the live picture -----------------------------------------------------------------------------


def loss_curve(
    points: Sequence[tuple[int, float]],
    opponents: Mapping[str, float],
    last: int,
    width: int,
    height: int,
) -> str:
    """A line drawing of the validation loss, with the best opponent as a level line."""
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(width, height)
    xs, ys = zip(*points, strict=True)
    figure.draw(figure.signal(list(xs), list(ys), marker="braille").lines())
    floor = min([*ys, *opponents.values()])
    if opponents:
        figure.line(min(opponents.values()), "h")
    top = max(*ys, floor + 1)
    figure.ruler("y").lim(max(0, floor - 0.05 * (top - floor)), top)
    figure.ruler("x").lim(0, last)
    marks = sorted({0, last // 2, last})
    figure.ruler("x").ticks(marks, [f"{mark:,}" for mark in marks])
    drawn: str = figure.build().string(colorless=True)
    return drawn.rstrip("\n")


def _evaluated(started: "Started") -> list[tuple[int, float]]:
    """The losses that a resumed run was measured at before."""
    from babypoet.runs import RunFolder

    return RunFolder(started.run).curve()


class Picture:
    """The state of a training as it is shown: called with each event, and asked for a picture
    several times a second, also between events."""

    def __init__(self, out: Console, opponents: Opponents, stopping: Callable[[], bool]) -> None:
        self.out, self.opponents, self.stopping = out, opponents, stopping
        self.spinner = Spinner("dots")
        self.started: Started | None = None
        self.clear()

    def clear(self) -> None:
        """Forget the training that was shown before."""
        self.step, self.seconds, self.first = 0, 0.0, (0, math.nan)
        self.points: list[tuple[int, float]] = []
        self.sample, self.sample_step = "", 0
        self.finished = False
        self.curve: tuple[object, str] = (None, "")  # what was drawn, and the drawing

    def __call__(self, event: "Event") -> None:
        from babypoet import training

        match event:
            case training.Started():
                self.clear()
                self.step, self.first = event.first_step, (event.first_step, math.nan)
                self._note(*event.notes)
                if event.first_step:
                    self.points = _evaluated(event)
                self.started = event
            case training.Step():
                if math.isnan(self.first[1]):
                    self.first = (event.step, event.seconds)
                self.step, self.seconds = event.step, event.seconds
            case training.Evaluated():
                self.points.append((event.step, event.validation_nats))
            case training.Sampled():
                self.sample, self.sample_step = event.text, event.step
            case training.Noted():
                self._note(event.note)
            case training.Finished():
                self.finished, self.seconds = True, event.seconds

    def _note(self, *notes: str) -> None:
        for note in notes:
            self.out.print(Text(f"note: {note}", style="yellow"))

    def left(self) -> float | None:
        """Seconds to the end at the pace so far, or None before there is one."""
        assert self.started and self.started.training.steps
        done = self.step - self.first[0]
        if done < 3:
            return None
        return (self.seconds - self.first[1]) / done * (self.started.training.steps - self.step)

    def __rich__(self) -> RenderableType:
        """The picture as it stands."""
        if self.started is None:
            return Spinner("dots", "getting ready ...")
        width = min(self.out.width, WIDEST)
        inner, height = width - 4, min(14, self.out.height - 13)
        rows: list[RenderableType] = [self._progress(inner)]
        if self.out.height < 14:  # no room for more than a line
            rows += [Text(loss_words(nats), no_wrap=True) for _, nats in self.points[-1:]]
        else:
            rows += [Text(), self._race(inner)]
        if height >= 6 and inner >= 36 and self.points:
            rows += [Text(), self._curve_and_sample(inner, height)]
        if self.stopping() and not self.finished:
            rows[0] = Text(STOPPING, style="bold yellow", no_wrap=True, overflow="ellipsis")
        subtitle = Text(f" {shape(self.started)} ", overflow="ellipsis", no_wrap=True)
        title = f"babypoet · {self.started.model.rung}"
        return Panel(Group(*rows), title=title, subtitle=subtitle, width=width)

    def _progress(self, width: int) -> RenderableType:
        assert self.started and self.started.training.steps
        steps, left = self.started.training.steps, self.left()
        done = f"update {self.step:>{len(f'{steps:,}')},} of {steps:,}"
        time = f"{clock(left)} left" if left is not None else "getting ready"
        if self.finished:
            time = f"took {clock(self.seconds)}"
        bar = ProgressBar(total=steps, completed=self.step, width=max(4, width - len(done) - 18))
        row = Table.grid(padding=(0, 1))
        row.add_column(width=1)
        row.add_row("✓" if self.finished else self.spinner, done, bar, time)
        return row

    def _race(self, width: int) -> RenderableType:
        """The model among its opponents, the weakest on top: it climbs down as it learns."""
        assert self.started
        rung, known = self.started.model.rung, self.opponents()
        rows = [("even guessing", math.log(self.started.model.vocab_size)), *known.items()]
        now = self.points[-1][1] if self.points else None
        if now is not None:
            rows = sorted([(rung, now), *rows], key=lambda row: -row[1])
        race = Table.grid(padding=(0, 2))
        race.add_column()
        for _ in range(3):
            race.add_column(justify="right")
        judged = self.started.validation_characters
        headings = [f"  on {judged:,} characters kept apart", "nats", "bits", "torn between"]
        wide = width >= 60
        race.add_row(*(headings if wide else ["", "nats", "", "torn between"]), style="dim")
        for name, nats in rows:
            own = name == rung
            mark = "▶" if own else "✓" if now is not None and now < nats else " "
            bits = f"{nats / math.log(2):.3f}" if wide else ""
            style = "bold" if own else "green" if mark == "✓" else "dim"
            cells = (f"{mark} {name}", f"{nats:.3f}", bits, f"{letters(nats)} letters")
            race.add_row(*cells, style=style)
        for row in range(5 - len(rows)):  # the picture keeps its height
            race.add_row(f"  {COUNTING}" if row == 0 and not known else "", style="dim")
        return race

    def _curve_and_sample(self, width: int, height: int) -> RenderableType:
        assert self.started and self.started.training.steps
        half, opponents = width // 2, self.opponents()
        key = (len(self.points), bool(opponents), half, height)
        if self.curve[0] != key:
            steps = self.started.training.steps
            self.curve = (key, loss_curve(self.points, opponents, steps, half, height))
        room = width - half - 2
        # joined emoji are as wide as a terminal pleases; apart, each is two columns everywhere
        apart = self.sample.translate({0x200C: None, 0x200D: None, 0xFE0F: None})
        lines = wrapped(apart.strip("\n"), room)[: height - 1]
        heading = Text(f"after {self.sample_step:,} updates it writes", style="dim")
        heading.truncate(room, overflow="ellipsis")
        grid = Table.grid(padding=(0, 2))
        grid.add_column(width=half)
        grid.add_column(width=room)
        curve = Text(self.curve[1], style="cyan", no_wrap=True)
        grid.add_row(curve, Group(heading, Text("\n".join(lines), no_wrap=True)))
        return grid


# --- plain lines ----------------------------------------------------------------------------------


class Lines:
    """A line for each evaluation, for files and pipes."""

    def __init__(self, opponents: Opponents) -> None:
        self.opponents, self.compared = opponents, False
        self.seconds = 0.0

    def __call__(self, event: "Event") -> None:
        from babypoet import training

        match event:
            case training.Started():
                say(f"{event.model.rung} · {shape(event)}")
                for text in event.notes:
                    note(text)
            case training.Step():
                self.seconds = event.seconds
            case training.Evaluated():
                self._compare()
                words = loss_words(event.validation_nats)
                say(f"update {event.step:>6,}   {clock(self.seconds):>7}   {words}")
            case training.Noted():
                note(event.note)
            case training.Sampled() if event.step == 0:
                say(f"it writes: {event.text[:72]!r}")

    def _compare(self) -> None:
        known = self.opponents()
        if known and not self.compared:
            self.compared = True
            say("to beat: " + " · ".join(f"{name} {nats:.3f}" for name, nats in known.items()))


def say(line: str) -> None:
    """A line on standard error."""
    print(line, file=sys.stderr, flush=True)


def note(message: str) -> None:
    """Say something on standard error, beside the results."""
    say(f"note: {message}")


# --- which of them --------------------------------------------------------------------------------


def console() -> Console:
    """Standard error, where progress and notes go."""
    return Console(stderr=True, highlight=False)


def is_live() -> bool:
    """Whether standard error is a terminal on which a picture can be redrawn."""
    out = console()
    return out.is_terminal and not out.is_dumb_terminal


def say_nothing(event: Any) -> None:
    """The view of --quiet."""


@contextlib.contextmanager
def picture(opponents: Opponents, stopping: Callable[[], bool], out: Console) -> Iterator[Show]:
    """A live picture on `out`, redrawn several times a second whatever else is going on."""
    drawing = Picture(out, opponents, stopping)
    rate = FRAMES_PER_SECOND
    with Live(drawing, console=out, refresh_per_second=rate, redirect_stdout=False):
        yield drawing
    out.print()


@contextlib.contextmanager
def view(quiet: bool, opponents: Opponents, stopping: Callable[[], bool]) -> Iterator[Show]:
    """A function to call with each event. `opponents` is asked for them until they are known;
    once `stopping` says True, the picture says so."""
    if quiet:
        yield say_nothing
    elif not is_live():
        yield Lines(opponents)
    else:
        with picture(opponents, stopping, console()) as show:
            yield show


@contextlib.contextmanager
def busy(what: str, quiet: bool = False) -> Iterator[None]:
    """Say what takes a while, for as long as it does, on a terminal."""
    if quiet or not is_live():
        yield
    else:
        with console().status(f"{what} ..."):
            yield
