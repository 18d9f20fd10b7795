"""The ladder: every rung on the same text and budget, and the table about it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import babypoet
from babypoet import comparison, corpus, runs, training
from babypoet.comparison import Climb, climb
from babypoet.config import RUNG_NAMES, TrainConfig
from babypoet.errors import RunError, SettingError
from babypoet.poet import load

TINY = TrainConfig(
    steps=4, block_size=16, n_layer=1, n_head=2, n_kv_head=1, n_embd=8, batch_size=8,
    evaluate_every=2, snapshots=2, dropout=0.1,
)  # fmt: skip
SETTINGS = {k: v for k, v in TINY.given().items() if k != "dropout"}


@pytest.fixture(scope="module")
def climbed(poems: str, tmp_path_factory: pytest.TempPathFactory) -> Climb:
    out = tmp_path_factory.mktemp("comparison") / "ladder"
    return babypoet.compare(text=poems[:3000], seeds=2, out=out, **TINY.given())


def cells(markdown: str) -> list[list[str]]:
    rows = [line for line in markdown.split("\n") if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_every_rung_is_trained_with_every_seed(climbed: Climb) -> None:
    trained = [(result.rung, result.seed) for result in climbed.results]
    assert trained == [(rung, seed) for rung in RUNG_NAMES for seed in (0, 1)]
    for result in climbed.results:
        record = runs.RunFolder.open(result.run).load_run()
        assert record["status"] == "finished" and record["training"]["steps"] == 4
        assert (record["model"]["rung"], record["training"]["seed"]) == (result.rung, result.seed)
        dropped = 0.1 if result.rung in ("transformer", "modern") else 0.0
        assert record["model"]["dropout"] == dropped, "dropout goes where there is some"
        assert result.characters == 4 * 8 * 16
    texts = {
        json.dumps(runs.RunFolder.open(result.run).load_run()["data"]["files"])
        for result in climbed.results
    }
    assert len(texts) == 1, "the same text for all"


def test_the_losses_are_those_of_the_verdict(climbed: Climb) -> None:
    result = climbed.results[-1]
    assert load(result.run).evaluate().held_out == result.held_out


def test_the_table_says_what_the_runs_say(climbed: Climb) -> None:
    table = cells(climbed.markdown())
    assert len({len(row) for row in table}) == 1, "a cell broke its row"
    assert [row[0] for row in table[2:7]] == [f"`{rung}`" for rung in RUNG_NAMES]
    first, second = (result.held_out.nats for result in climbed.of("modern"))
    mean, spread = table[6][2].split(" ± ")
    assert float(mean) == pytest.approx((first + second) / 2, abs=6e-4)
    assert float(spread) == pytest.approx(abs(first - second) / 2**0.5, abs=6e-4)
    assert table[6][1] == f"{climbed.of('modern')[0].parameters:,}"
    opponents = [row[0] for row in table[7:]]
    assert opponents[:2] == ["*letter counts*", "*letter pairs*"] and len(opponents) == 4
    about = climbed.markdown().split("\n")[-1]
    assert "every rung made 4 updates of 128 characters, in windows of 16;" in about
    assert "over 2 seeds" in about and "300 characters held out" in about


def test_the_files_hold_what_is_printed(climbed: Climb) -> None:
    assert (climbed.out / "ladder.md").read_text(encoding="utf-8") == climbed.markdown() + "\n"
    svg = (climbed.out / "loss.svg").read_text(encoding="utf-8")
    assert all(f">{rung}<" in svg for rung in RUNG_NAMES)
    assert (climbed.out / "loss.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "text",
    [
        "a | b",
        "`code` ``",
        "<script>alert(1)</script>",
        "\x1b[2J\x07 x",
        "| --- |\n" * 9,
        "\n\n",
        "",
    ],
)
def test_a_line_of_sample_cannot_break_the_table(text: str) -> None:
    line = comparison._one_line(text)
    assert "|" not in line and "\n" not in line and "\x1b" not in line
    assert line == "" or re.fullmatch("`[^`]+`", line), line


def test_it_tells_what_happens(poems: str, tmp_path: Path) -> None:
    started: list[str] = []
    finished: list[training.Event] = []

    def show(event: training.Event) -> None:
        assert not (isinstance(event, training.Started) and event.notes), "said in a line already"
        finished.extend([event] if isinstance(event, training.Finished) else [])

    ladder = climb(
        corpus.corpus_of(poems[:700] + "\r\n"), replace(TINY, block_size=None), 1, tmp_path
    )
    lines = list(ladder.run(show=show, begun=lambda run: started.append(run.path.name)))
    assert started == [f"{rung}-seed0" for rung in RUNG_NAMES]
    assert len(finished) == 5 and not ladder.interrupted
    notes = [line for line in lines if line.startswith("note: ")]
    assert len(notes) == len(set(notes)), "nothing is said twice"
    assert any("line end" in note for note in notes) and any("context" in note for note in notes)
    assert sum("held out" in line for line in lines) == 5
    assert "one seed" in ladder.markdown() and "±" not in ladder.markdown()


def test_minutes_are_said_instead_of_updates(climbed: Climb) -> None:
    timed = replace(climbed, settings=replace(TINY, steps=None, minutes=0.5))
    assert "trained for 0.5 minutes with updates of 128 characters" in timed.markdown()


def test_stopping_leaves_what_was_trained(poems: str, tmp_path: Path) -> None:
    ladder = climb(corpus.corpus_of(poems[:3000]), TINY, 1, tmp_path / "ladder")
    lines = list(ladder.run(lambda: len(ladder.results) == 2))
    assert ladder.interrupted and len(ladder.results) == 2
    assert sum("held out" in line for line in lines) == 2
    assert not (tmp_path / "ladder/ladder.md").exists()
    assert runs.RunFolder.open(ladder.results[1].run).load_run()["status"] == "finished"


def test_a_rung_that_comes_apart_is_told(poems: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="Training came apart"):
        babypoet.compare(text=poems[:3000], out=tmp_path / "x", learning_rate=1e38, **SETTINGS)


# --- where it goes --------------------------------------------------------------------------------


def test_impossible_settings_are_told_before_anything_is_touched(
    poems: str, tmp_path: Path
) -> None:
    """Mutation: checking rung by rung, as each is trained, loses the old ladder."""
    text = corpus.corpus_of(poems[:3000])
    old = tmp_path / "ladder"
    (old / "modern-seed0").mkdir(parents=True)
    (old / "ladder.md").write_text("old")
    for wrong in (replace(TINY, n_embd=30, n_head=4), replace(TINY, block_size=2000)):
        with pytest.raises(babypoet.errors.BabyPoetError):
            climb(text, wrong, 1, old, overwrite=True)
    with pytest.raises(SettingError, match="--seeds"):
        climb(text, TINY, 0, old, overwrite=True)
    with pytest.raises(SettingError, match="--rung transformer"):
        climb(text, replace(TINY, rung="transformer"), 1, old, overwrite=True)
    assert (old / "ladder.md").read_text() == "old"


def test_only_a_ladder_is_ever_replaced(poems: str, tmp_path: Path) -> None:
    text = corpus.corpus_of(poems[:3000])
    mine = tmp_path / "mine"
    (mine / "modern-seed0").mkdir(parents=True)
    (mine / "novel.txt").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(RunError, match=r"novel\.txt"):
            climb(text, TINY, 1, mine, overwrite)
    assert (mine / "novel.txt").exists() and (mine / "modern-seed0").exists()
    (mine / "novel.txt").unlink()
    with pytest.raises(RunError, match="--overwrite"):
        climb(text, TINY, 1, mine)
    busy = runs.RunFolder(mine / "modern-seed0")
    busy.lock()
    with pytest.raises(RunError, match="Another process"):
        climb(text, TINY, 1, mine, overwrite=True)
    busy.unlock()
    (mine / "ladder.md").touch()
    climb(text, TINY, 1, mine, overwrite=True)
    assert list(mine.iterdir()) == []
    with pytest.raises(RunError, match="is a file"):
        (tmp_path / "file").touch()
        climb(text, TINY, 1, tmp_path / "file")


def test_it_goes_under_runs_if_nobody_says(
    tmp_path: Path, poems: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "verse.txt").write_text(poems[:3000], encoding="utf-8")
    assert climb(corpus.Source((Path("verse.txt"),)), TINY, 1).out == Path("runs/verse-ladder")
    (tmp_path / "runs/verse-ladder").mkdir(parents=True)
    assert climb(corpus.Source((Path("verse.txt"),)), TINY, 1).out == Path("runs/verse-ladder-2")


def test_an_unknown_setting_has_a_neighbour() -> None:
    with pytest.raises(SettingError, match="Did you mean 'steps'"):
        babypoet.compare(text="x" * 100, stepps=3)
