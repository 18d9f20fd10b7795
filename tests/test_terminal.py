"""What is shown while a model trains: the picture's frame, what is in it, and plain lines."""

import io
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from babypoet import corpus, terminal, training
from babypoet.config import ModelConfig, TrainConfig
from babypoet.terminal import Lines, Picture
from babypoet.training import Evaluated, Event, Finished, Noted, Sampled, Saved, Started, Step

OPPONENTS = {"letter counts": 3.2, "letter pairs": 2.4, "best counter (order 7)": 1.65}
SHAPE = ModelConfig(rung="modern", vocab_size=79)


def started(
    first_step: int = 0, run: Path = Path("runs/x"), notes: tuple[str, ...] = ()
) -> Started:
    return Started(run, SHAPE, TrainConfig(steps=2000), 747_136, first_step, 10_057, 54, notes)


class Screen:
    """A picture, and what it looks like."""

    def __init__(
        self,
        width: int = 100,
        height: int = 40,
        opponents: Mapping[str, float] = OPPONENTS,
        stopping: bool = False,
    ) -> None:
        self.out = Console(
            file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None
        )
        self.picture = Picture(self.out, lambda: opponents, lambda: stopping)

    def show(self, *events: Event) -> str:
        for event in events:
            self.picture(event)
        with self.out.capture() as capture:
            self.out.print(self.picture)
        return capture.get()


def middle(text: str = "the sea\nand the sky") -> list[Event]:
    return [
        started(),
        Evaluated(0, 4.37, True),
        Sampled(0, "xq"),
        Saved(0),
        *(Step(step, 3.0, 0.01, 0.5 * step) for step in range(1, 101)),
        Evaluated(100, 2.0, True),
        Sampled(100, text),
    ]


# --- the picture ----------------------------------------------------------------------------------


def test_the_picture_says_where_the_training_stands() -> None:
    shown = Screen().show(*middle())
    assert "update   100 of 2,000" in shown
    assert "15:50 left" in shown  # 1,900 updates at half a second each
    assert "747,136 parameters · context 128 · 79 characters known" in shown
    assert "after 100 updates it writes" in shown and "and the sky" in shown
    own = next(line for line in shown.split("\n") if "▶ modern" in line)
    assert own.split()[3:6] == ["2.000", "2.885", "7.4"], "nats, bits, torn between"
    assert any("⠀" < char <= "⣿" for char in shown.split("▶")[1]), "no curve"


def test_the_model_stands_among_its_opponents_by_its_loss() -> None:
    rows = [line[2:26].strip() for line in Screen().show(*middle()).split("\n")[4:9]]
    assert rows == [
        "✓ even guessing", "✓ letter counts", "✓ letter pairs", "▶ modern", "best counter (order 7)"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "sample",
    [
        "plain\ntext",
        "静夜思床前明月光，疑是地上霜。" * 20,
        "\x1b[2J\x1b[31m\x07red\r\x9b1A",
        "\tdeep\n\t\tdeeper " + "word " * 200,
        "👩‍👩‍👧 🏳️‍🌈 e\u0301 \u202eevil\u202c " * 10,
        "",
        "\n\n\n",
    ],
)
@pytest.mark.parametrize("width", [60, 100, 140, 37])
def test_no_sample_breaks_the_frame(sample: str, width: int) -> None:
    screen = Screen(width)
    shown = screen.show(*middle(sample))
    expected = len(screen.show(*middle("a")).split("\n"))
    lines = shown.rstrip("\n").split("\n")
    assert {cell_len(line) for line in lines} == {min(width, 100)}, shown
    assert len(lines) + 1 == expected, "the picture changed its height"
    assert not any(char in shown for char in "\x1b\x07\r\x9b\u202e")
    assert not any(char in shown for char in "\u200d\ufe0f"), (
        "no two terminals agree on their width"
    )


def test_the_picture_keeps_its_height_from_the_first_measure_on() -> None:
    """Also when the opponents, or only two of them, come in."""
    pair = dict(list(OPPONENTS.items())[:2])
    heights = {
        len(Screen(opponents=known).show(*middle()).split("\n")) for known in ({}, pair, OPPONENTS)
    }
    assert len(heights) == 1, heights


def test_while_the_opponents_count_it_says_so() -> None:
    assert "counting letters" in Screen(opponents={}).show(*middle())
    assert "counting letters" not in Screen().show(*middle())


@pytest.mark.parametrize("height", [4, 10, 13, 15, 18, 19, 24, 30, 60])
def test_the_picture_fits_into_the_terminal(height: int) -> None:
    shown = Screen(height=height).show(*middle()).rstrip("\n").split("\n")
    assert len(shown) <= height
    assert any("2.000 nats · 2.885 bits" in line or "▶ modern" in line for line in shown)


def test_before_the_start_and_before_the_first_update_it_is_alive() -> None:
    screen = Screen()
    assert "getting ready" in screen.show()
    assert "getting ready" in screen.show(started(), Evaluated(0, 4.37, True))


def test_being_stopped_is_answered() -> None:
    assert terminal.STOPPING in Screen(stopping=True).show(*middle())
    finished = Finished(100, "interrupted", 100, 2.0, 50.0)
    assert terminal.STOPPING not in Screen(stopping=True).show(*middle(), finished)


def test_the_last_picture_says_how_long_it_took() -> None:
    shown = Screen().show(*middle(), Finished(2000, "done", 2000, 1.5, 125.0))
    assert "took 2:05" in shown and "left" not in shown


def test_notes_stand_above_the_picture_and_are_no_markup() -> None:
    screen = Screen()
    screen.show(started(notes=("2 line ends [bold]converted[/bold]",)), Noted("uncompiled"))
    assert isinstance(screen.out.file, io.StringIO)
    said = screen.out.file.getvalue()
    assert said == "note: 2 line ends [bold]converted[/bold]\nnote: uncompiled\n"


def test_a_second_training_starts_a_new_picture() -> None:
    screen = Screen()
    screen.show(*middle(), Finished(100, "done", 100, 2.0, 50.0))
    shown = screen.show(started())
    assert "update     0 of 2,000" in shown and "the sea" not in shown and "took" not in shown


def test_a_resumed_training_shows_the_curve_from_its_start(tmp_path: Path) -> None:
    lines = ['{"step": 0, "validation_nats": 4.4}', '{"step": 1, "validation_nats": null}']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    screen = Screen()
    screen.show(started(1, tmp_path))
    assert screen.picture.points == [(0, 4.4)]
    assert re.search(r"▶ modern +4\.400", screen.show())
    assert screen.picture.left() is None, "no pace yet"
    for step in range(2, 12):
        screen.picture(Step(step, 3.0, 0.01, 100.0 + step))
    assert screen.picture.left() == 1989.0, "one second an update, whatever was before"


def test_live_pictures_go_where_they_are_sent() -> None:
    out = Console(file=io.StringIO(), width=80, height=30, force_terminal=True)
    with terminal.picture(dict, training.never, out) as show:
        for event in middle():
            show(event)
    assert isinstance(out.file, io.StringIO)
    drawn = out.file.getvalue()
    assert "▶ modern" in drawn and drawn.endswith("\x1b[?25h\n")


def test_the_view_is_a_picture_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal.view(True, dict, training.never) as show:
        assert show is terminal.say_nothing
        assert show(started()) is None
    with terminal.view(False, dict, training.never) as show:
        assert isinstance(show, Lines)
    out = Console(file=io.StringIO(), width=80, height=30, force_terminal=True)
    monkeypatch.setattr(terminal, "console", lambda: out)
    with terminal.view(False, dict, training.never) as show:
        assert isinstance(show, Picture)
    with terminal.busy("judging"):
        pass
    assert isinstance(out.file, io.StringIO)
    assert "judging ..." in out.file.getvalue()
    monkeypatch.setenv("TERM", "dumb")
    assert not terminal.is_live()


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn() -> str:
        out = Console(file=io.StringIO(), width=80, height=30, force_terminal=True)
        with terminal.picture(lambda: OPPONENTS, training.never, out) as show:
            for event in middle():
                show(event)
        assert isinstance(out.file, io.StringIO)
        return out.file.getvalue()

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m" in drawn(), "green"
    monkeypatch.setenv("NO_COLOR", "1")
    assert not any(f"\x1b[{colour}m" in drawn() for colour in range(30, 38))


# --- plain lines ----------------------------------------------------------------------------------


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    known: dict[str, float] = {}
    show = Lines(lambda: known)
    for event in middle():
        show(event)
        if isinstance(event, Saved):
            known = OPPONENTS
    show(started(notes=("short",)))
    show(Noted("uncompiled"))
    show(Evaluated(200, 1.9, True))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.split("\n") == [
        "modern · 747,136 parameters · context 128 · 79 characters known · up to 54 MB of disk",
        "update      0      0:00   4.370 nats · 6.305 bits · torn between 79.0 letters",
        "it writes: 'xq'",
        "to beat: letter counts 3.200 · letter pairs 2.400 · best counter (order 7) 1.650",
        "update    100      0:50   2.000 nats · 2.885 bits · torn between 7.4 letters",
        "modern · 747,136 parameters · context 128 · 79 characters known · up to 54 MB of disk",
        "note: short",
        "note: uncompiled",
        "update    200      0:50   1.900 nats · 2.741 bits · torn between 6.7 letters",
        "",
    ]


# --- words ----------------------------------------------------------------------------------------


def test_printable_leaves_every_script_and_stops_every_command() -> None:
    fine = "愛 é e\u0301 العربية می\u200cخواهم 👩\u200d👧 \tx\n"
    assert terminal.printable(fine) == fine
    steering = [chr(c) for c in [*range(9), *range(11, 32), *range(127, 160), 0x202E, 0x2066]]
    assert all(terminal.printable(char).isascii() for char in steering)
    assert "\x1b" not in terminal.printable("\x1b]0;title\x07")


def test_a_table_is_straight_in_wide_characters_too() -> None:
    lines = terminal.table(["run", "nats"], [["愛", "1.5"], ["modern", "22.5"]]).split("\n")
    assert lines == ["run     nats", "愛       1.5", "modern  22.5"]
    assert terminal.table(["only", "headings"], []) == "only  headings"


def test_losses_in_words_survive_the_absurd() -> None:
    assert terminal.torn(1000.0) == "torn between inf letters"
    assert terminal.letters(math.log(12345)) == "12,345.0"


@pytest.fixture
def curve() -> Iterator[list[str]]:
    points = [(step, 4.0 - step / 50) for step in range(0, 100, 10)]
    yield terminal.loss_curve(points, OPPONENTS, 200, 50, 12).split("\n")


def test_the_curve_has_the_size_it_was_given(curve: list[str]) -> None:
    assert len(curve) == 12
    assert {len(line) for line in curve} == {50}


def test_the_curve_ends_where_the_training_stands(curve: list[str]) -> None:
    braille = [max((i for i, c in enumerate(line) if "⠀" < c <= "⣿"), default=0) for line in curve]
    assert 20 <= max(braille) <= 28, "the last point is at 90 of 200, a little left of the middle"


def test_built_in_poems_and_the_view_agree(tmp_path: Path) -> None:
    """A real training through the picture, once."""
    config = TrainConfig(rung="bigram", steps=4, block_size=8, batch_size=4)
    run = training.prepare(corpus.corpus_of("to be or not to be " * 20), config, tmp_path / "run")
    screen = Screen()
    for event in training.train(run):
        screen.picture(event)
    shown = screen.show()
    assert "update 4 of 4" in shown and "▶ bigram" in shown
