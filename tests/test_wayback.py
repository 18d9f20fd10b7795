"""The way back as a terminal shows it: 80 columns, real numbers, and no control characters."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from test_backpropagation import followed

import babypoet
from babypoet import cli, wayback
from babypoet.config import RUNG_NAMES


def said(width: int = 80, **asked: object) -> str:
    return "\n".join(line.plain for line in wayback.walk(followed(**asked), width))  # type: ignore[arg-type]


@pytest.mark.parametrize("rung", RUNG_NAMES)
@pytest.mark.parametrize("width", [60, 80, 100])
def test_every_line_fits(rung: str, width: int) -> None:
    lines = said(width, rung=rung, text="lov\x1b this love").split("\n")
    assert max(map(cell_len, lines)) <= max(width, 67)


@pytest.mark.parametrize("rung", RUNG_NAMES)
def test_every_value_has_its_line_and_its_numbers(rung: str) -> None:
    found, shown = followed(rung), said(rung=rung)
    for line in (*found.lines(), *found.letters()):
        name = wayback._split(line.name)[1]
        row = f"{line.formula:33}  {line.size:.2e}  {line.autograd:.2e}  "
        assert any(name in text and row in text for text in shown.split("\n")), line.name
    assert "nan" not in shown and "inf" not in shown
    assert f"{found.step.after:.6f}" in shown and f"{found.furthest()[1]:.1e}" in shown


def test_attention_tells_the_others() -> None:
    assert "Down to blocks.1.attention.key_turned only position 3 hears" in said()
    assert "hears of this loss" not in said(rung="bigram")  # there is no other position to tell
    assert "hears of this loss" not in said(text="hi")


def test_control_characters_are_written_out() -> None:
    shown = said(text="lov\x1b\x1b")
    assert "\x1b" not in shown and 'After "lov\\x1b" came "\\x1b"' in shown


def test_only_the_last_letters_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "left out" not in said()
    monkeypatch.setattr(wayback, "LETTERS", 1)
    assert "the first 3 are left out" in said() and 'After "i" came "s"' in said()


def test_what_autograd_did_not_tell_is_not_made_up() -> None:
    found = followed()
    del found.by_autograd.values["blocks.0.mlp.up"]
    lines = [line.plain for line in wayback.walk(found, 80)]
    row = [line.split() for line in lines if line.startswith("  up ")][1]
    assert row[-2:] == ["-", "-"]
    assert json.loads(wayback.as_json(found))


@pytest.fixture(scope="module")
def run(poems: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wayback") / "run"
    babypoet.train(
        text=poems[:3000], out=out, steps=2, block_size=20, n_layer=1, n_head=2, n_kv_head=1,
        n_embd=8, batch_size=2, snapshots=0,
    )  # fmt: skip
    return out


def test_on_the_command_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["backprop", "love this", "--run", str(run)]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith('After "love thi" came "s": a loss of ')
    assert shown.err == ""
    assert cli.main(["backprop", "love this", "--run", str(run), "--position", "2"]) == 0
    assert capsys.readouterr().out.startswith('After "lov" came "e"')


def test_a_text_longer_than_the_context(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "love this and " * 4
    assert cli.main(["backprop", text, "--run", str(run)]) == 0
    shown = capsys.readouterr()
    assert "looks back 20 characters at most, so position 0 is character " in shown.err


def test_json_is_one_strict_object(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["backprop", "lové", "--run", str(run), "--json"]) == 0
    shown = capsys.readouterr()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    read = json.loads(shown.out, parse_constant=refuse)
    assert (read["text"], read["target"], read["before"]) == ("lov", "e", 0)
    assert "reads 'e' instead" in shown.err
    assert read["weights"]["largest_difference"] < 1e-10


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ([], "takes two"),
        (["s"], "Give a longer text"),
        (["love", "--position", "3"], "give 0 to 2"),
        (["löve", "--unknown", "error"], "never saw 'ö'"),
    ],
)
def test_mistakes_are_one_message(
    run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], match: str
) -> None:
    assert cli.main(["backprop", *arguments, "--run", str(run)]) == 2
    shown = capsys.readouterr()
    assert match in shown.err and shown.out == ""


def test_no_color_is_respected(run: Path) -> None:
    command = [sys.executable, "-m", "babypoet", "backprop", "love", "--run", str(run)]
    for extra, coloured in (({"FORCE_COLOR": "1"}, True), ({"NO_COLOR": "1"}, False)):
        environment = {k: v for k, v in os.environ.items() if "COLOR" not in k} | extra
        ran = subprocess.run(command, capture_output=True, check=True, env=environment)
        assert (b"\x1b[" in ran.stdout) == coloured
