"""What a person sees while a model trains: events in, a live picture or plain lines out.

    with terminal.view(quiet=False) as show:
        for event in train(run):
            show(event)

Everything here goes to standard error. A terminal gets a picture that is redrawn in place; a file
or a pipe gets a line for each evaluation. `NO_COLOR` is respected."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from babypoet.training import Event, Started

Show = Callable[["Event"], None]
FRAMES_PER_SECOND = 8


def console() -> Console:
    """Standard error, where progress and notes go."""
    return Console(stderr=True, highlight=False)


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
    return f"torn between {math.exp(nats):.1f} letters"


def clock(seconds: float) -> str:
    """Seconds as a person writes them.

    >>> clock(59.6), clock(75), clock(3700)
    ('1:00', '1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def title(started: "Started") -> str:
    """One line on what is being trained."""
    config = started.model
    parts = [
        f"{config.rung}",
        f"{started.parameters:,} parameters",
        f"context {config.block_size}",
        f"{config.vocab_size} characters known",
    ]
    return " · ".join(parts)


def loss_curve(
    points: list[tuple[int, float]],
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
    top = max(ys)
    figure.ruler("y").lim(floor - 0.05 * (top - floor) - 0.01, top + 0.01)
    figure.ruler("x").lim(0, last)
    marks = sorted({0, last // 2, last})
    figure.ruler("x").ticks(marks, [f"{mark:,}" for mark in marks])
    drawn: str = figure.build().string(colorless=True)
    return drawn.rstrip("\n")


class Picture:
    """The state of a training as it is shown, redrawn in place."""

    def __init__(self, live: Live, opponents: Mapping[str, float]) -> None:
        self.live, self.opponents = live, opponents
        self.started: Started | None = None
        self.step, self.seconds, self.first = 0, 0.0, (0, 0.0)
        self.points: list[tuple[int, float]] = []
        self.sample, self.sample_step = "", 0
        self.drawn = 0.0

    def __call__(self, event: "Event") -> None:
        from babypoet import training

        match event:
            case training.Started():
                self.started = event
                for note in event.notes:
                    self.live.console.print(f"note: {note}", style="yellow")
                self.first = (event.first_step, math.nan)
                self.step = event.first_step
            case training.Step():
                if math.isnan(self.first[1]):
                    self.first = (event.step, event.seconds)
                self.step, self.seconds = event.step, event.seconds
            case training.Evaluated():
                self.points.append((event.step, event.validation_nats))
            case training.Sampled():
                self.sample, self.sample_step = event.text, event.step
            case training.Noted():
                self.live.console.print(f"note: {event.note}", style="yellow")
        if not isinstance(event, training.Step) or self._due():
            self.drawn = time.monotonic()
            self.live.update(self.render(), refresh=True)

    def _due(self) -> bool:
        return time.monotonic() - self.drawn > 1 / FRAMES_PER_SECOND

    def left(self) -> float | None:
        """Seconds to the end at the pace so far, or None before there is one."""
        assert self.started and self.started.training.steps
        done = self.step - self.first[0]
        if done < 3 or math.isnan(self.first[1]):
            return None
        return (self.seconds - self.first[1]) / done * (self.started.training.steps - self.step)

    def render(self) -> RenderableType:
        """The picture as it stands."""
        if self.started is None:
            return Text("")
        width = min(self.live.console.width, 100)
        height = max(4, min(14, self.live.console.height - 10))
        rows: list[RenderableType] = [self._progress(width - 4)]
        if self.points:
            rows.append(Text(loss_words(self.points[-1][1]), style="bold"))
        rows.append(self._opponents())
        rows.append(self._curve_and_sample(width - 4, height))
        return Panel(Group(*rows), title=f"babypoet · {title(self.started)}", width=width)

    def _progress(self, width: int) -> RenderableType:
        assert self.started and self.started.training.steps
        steps = self.started.training.steps
        left = self.left()
        table = Table.grid(padding=(0, 1))
        table.add_row(
            f"update {self.step:,} of {steps:,}",
            ProgressBar(total=steps, completed=self.step, width=max(10, width - 44)),
            f"{clock(left)} left" if left is not None else "warming up",
        )
        return table

    def _opponents(self) -> RenderableType:
        if not self.opponents:
            return Text("the opponents are still counting ...", style="dim")
        now = self.points[-1][1] if self.points else math.inf
        text = Text("to beat: ", style="dim")
        for name, nats in self.opponents.items():
            beaten = now < nats
            text.append(f"{name} {nats:.2f}", style="green" if beaten else "dim")
            text.append(" ✓   " if beaten else "   ", style="green")
        return text

    def _curve_and_sample(self, width: int, height: int) -> RenderableType:
        if not self.points:
            return Text("")
        assert self.started and self.started.training.steps
        half = width // 2
        curve = loss_curve(self.points, self.opponents, self.started.training.steps, half, height)
        lines = self.sample.strip("\n").split("\n")[: height - 1]
        sample = Text("\n".join(lines), overflow="ellipsis", no_wrap=True)
        heading = Text(f"what it writes after {self.sample_step:,} updates", style="dim")
        table = Table.grid(padding=(0, 2))
        table.add_column(width=half)
        table.add_column(width=width - half - 2)
        table.add_row(Text(curve, style="cyan", no_wrap=True), Group(heading, sample))
        return table


class Lines:
    """A line for each evaluation, for files and pipes."""

    def __init__(self, out: Console, opponents: Mapping[str, float]) -> None:
        self.out, self.opponents = out, opponents
        self.seconds = 0.0

    def __call__(self, event: "Event") -> None:
        from babypoet import training

        match event:
            case training.Started():
                self.out.print(title(event), soft_wrap=True)
                for note in event.notes:
                    self.out.print(f"note: {note}", soft_wrap=True)
            case training.Step():
                self.seconds = event.seconds
            case training.Evaluated():
                words = loss_words(event.validation_nats)
                self.out.print(
                    f"update {event.step:>6,}   {clock(self.seconds):>7}   {words}", soft_wrap=True
                )
            case training.Noted():
                self.out.print(f"note: {event.note}", soft_wrap=True)
            case training.Sampled() if event.step == 0:
                self.out.print(f"it writes: {event.text[:72]!r}", soft_wrap=True)


def say_nothing(event: Any) -> None:
    """The view of --quiet."""


@contextlib.contextmanager
def view(quiet: bool, opponents: Mapping[str, float]) -> Iterator[Show]:
    """A function to call with each event. `opponents` may be filled in while the training runs."""
    out = console()
    if quiet:
        yield say_nothing
    elif not out.is_terminal:
        yield Lines(out, opponents)
    else:
        with Live(console=out, auto_refresh=False, transient=True) as live:
            yield Picture(live, opponents)


def note(message: str) -> None:
    """Say something on standard error, beside the results."""
    print(f"note: {message}", file=sys.stderr)


def table(headings: list[str], rows: list[list[str]]) -> str:
    """Columns of text, the first aligned left and the others right.

    >>> print(table(["rung", "nats"], [["bigram", "2.45"]]))
    rung    nats
    bigram  2.45
    """
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]

    def line(row: list[str]) -> str:
        cells = [
            c.ljust(w) if i == 0 else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join(line(row) for row in [headings, *rows])
