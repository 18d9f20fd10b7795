"""What is said about a run: the end of a training, the verdict, and lists of runs."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len

from babypoet import corpus, pictures, report, training
from babypoet.config import TrainConfig
from babypoet.errors import RunError, TextError
from babypoet.poet import Poet
from babypoet.runs import RunFolder
from babypoet.training import Finished

TINY = TrainConfig(
    steps=6, block_size=16, n_layer=1, n_head=2, n_kv_head=1, n_embd=8, batch_size=8,
    evaluate_every=2, snapshots=3,
)  # fmt: skip


def trained(text: str, out: Path, config: TrainConfig = TINY) -> tuple[RunFolder, Finished]:
    run = training.prepare(corpus.corpus_of(text, "verse"), config, out)
    finished = list(training.train(run))[-1]
    assert isinstance(finished, Finished)
    return run, finished


@pytest.fixture(scope="module")
def ended(poems: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Finished]:
    return trained(poems[:6000], tmp_path_factory.mktemp("report") / "verse-modern")


# --- opponents ------------------------------------------------------------------------------------


def test_opponents_are_counted_beside_the_training(
    ended: tuple[RunFolder, Finished], tmp_path: Path
) -> None:
    counting = report.Counting()
    assert counting() == {}
    counting.start(ended[0])
    thread = counting._thread
    counting.start(ended[0])
    assert counting._thread is thread, "the same run is counted once"
    found = counting.result()
    assert list(found)[:2] == ["letter counts", "letter pairs"]
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert found == counting() == report.opponents(ended[0])
    other, _ = trained("to be or not to be " * 20, tmp_path / "other")
    counting.start(other)
    assert counting.result() == report.opponents(other) != found


def test_an_error_in_counting_is_told_where_the_result_is_wanted(
    ended: tuple[RunFolder, Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(run: RunFolder) -> dict[str, float]:
        raise RunError("no data")

    monkeypatch.setattr(report, "opponents", fail)
    counting = report.Counting()
    counting.start(ended[0])
    with pytest.raises(RunError, match="no data"):
        counting.result()
    assert counting() == {}


# --- the end --------------------------------------------------------------------------------------


def test_the_end_of_a_training(ended: tuple[RunFolder, Finished]) -> None:
    run, finished = ended
    said = report.after_training(run, finished, report.opponents(run))
    samples = run.lines("samples.jsonl")
    assert samples[0]["text"].strip().split("\n")[0][:30] in said, "the text of step 0"
    assert samples[-1]["text"].strip().split("\n")[0][:30] in said, "the last text"
    assert "before the first update it wrote" in said and "after 6 updates it writes" in said
    verdict = Poet(run).evaluate()
    assert run.load_run()["verdict"] == verdict.to_dict()
    assert f"{verdict.held_out.nats:.4f}" in said and f"{verdict.baselines.ngram:.4f}" in said
    assert verdict.sentences()[0].split(":")[0] in " ".join(said.split())
    assert f'babypoet generate --run {run.path} --prompt "love this"' in said
    assert all(cell_len(line) <= 80 or str(run.path) in line for line in said.split("\n"))
    assert (run.path / "loss.png").read_bytes().startswith(b"\x89PNG")
    ElementTree.fromstring((run.path / "loss.svg").read_bytes())


def test_quietly_it_is_one_line(ended: tuple[RunFolder, Finished]) -> None:
    run, finished = ended
    said = report.after_training(run, finished, {}, quiet=True)
    assert said == f"{run.path}\t{Poet(run).evaluate().held_out.nats:.4f}"


def test_it_says_which_weights_it_kept(ended: tuple[RunFolder, Finished]) -> None:
    run, finished = ended
    early = replace(finished, best_step=2)
    assert "are those of update 2." in report.after_training(run, early, {})
    patient = replace(early, reason="patience")
    assert "Stopped early: no better since update 2." in report.after_training(run, patient, {})


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("love this, he said\n" * 30, "love this"),
        ("愛 は 海\n夜の 空\n" * 40, "夜の 空"),
        ('"a" $b\n`c` d\nplain words here\n' * 20, "plain words"),
        ("x=1;y=2%\n" * 40, ""),
    ],
)
def test_the_prompt_it_suggests_is_one_the_model_can_read(
    text: str, prompt: str, tmp_path: Path
) -> None:
    config = TrainConfig(rung="bigram", steps=1, block_size=8, batch_size=2)
    run, _ = trained(text, tmp_path / "run", config)
    poet = Poet(run)
    assert report.suggested_prompt(poet) == prompt
    assert not poet.tokenizer.foreign(prompt)
    assert ("--prompt" in report._next(poet)) == bool(prompt)
    assert "babypoet ladder YOUR-TEXT" in report._next(poet)


def test_side_by_side_is_straight_whatever_is_in_it() -> None:
    left, right = ("before", "愛愛愛愛 " * 20 + "\x1b[2J"), ("after", "a\nb")
    lines = report.side_by_side(left, right, 80).split("\n")
    assert len(lines) == 2 + 6, "as many as the longer one"
    assert all(cell_len(line) <= 80 for line in lines)
    assert lines[2].endswith("   a") and cell_len(lines[2]) == 38 + 3 + 1
    assert "\x1b" not in "".join(lines)
    below = report.side_by_side(left, right, 50).split("\n")
    assert below[0] == "before" and "after" in below and all(cell_len(x) <= 50 for x in below)


# --- the verdict ----------------------------------------------------------------------------------


def test_the_json_has_the_keys_that_were_promised(ended: tuple[RunFolder, Finished]) -> None:
    found = json.loads(report.verdict(Poet(ended[0]), as_json=True))
    assert {"held_out", "baselines", "overfitting_since", "structure", "copied"} <= set(found)
    assert set(found["held_out"]) == {"nats", "bits", "torn_between", "characters"}
    promised = {"uniform", "unigram", "bigram", "ngram", "ngram_order", "ppmd"}
    assert promised <= set(found["baselines"])
    assert found == Poet(ended[0]).evaluate().to_dict()


def test_the_verdict_names_every_opponent(ended: tuple[RunFolder, Finished]) -> None:
    said = report.verdict(Poet(ended[0]), as_json=False)
    for name in ("even guessing", "letter counts", "letter pairs", "Kneser-Ney", "PPMd", "modern"):
        assert name in said, name


def test_a_text_of_ones_own(ended: tuple[RunFolder, Finished], tmp_path: Path, poems: str) -> None:
    poet = Poet(ended[0])
    known, foreign = tmp_path / "known.txt", tmp_path / "foreign.txt"
    known.write_text(poems[:400], encoding="utf-8")
    foreign.write_text(poems[:300] + "愛" * 100, encoding="utf-8")
    said = report.on_text(poet, known, as_json=False)
    assert "nats" in said and "(400 characters)" in said and "unknown" not in said
    assert "25.00% of the characters are unknown" in report.on_text(poet, foreign, as_json=False)
    found = json.loads(report.on_text(poet, foreign, as_json=True))
    assert found["unknown_share"] == 0.25 and found["text"]["characters"] == 400
    assert found["text"]["nats"] == poet.loss_on(foreign.read_text(encoding="utf-8"))[0].nats
    (tmp_path / "empty.txt").touch()
    with pytest.raises(TextError, match="empty"):
        report.on_text(poet, tmp_path / "empty.txt", as_json=False)


# --- runs -----------------------------------------------------------------------------------------


def test_runs_are_listed_and_a_damaged_one_does_not_hide_the_others(
    ended: tuple[RunFolder, Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="no runs"):
        report.runs_table()
    run, _ = trained("to be or not to be " * 20, Path("runs/one"))
    (tmp_path / "runs/bad").mkdir()
    (tmp_path / "runs/bad/run.json").write_text("{")
    broken = training.prepare(
        corpus.corpus_of("abc" * 100), replace(TINY, seed=3), Path("runs/new")
    )
    assert report.state(broken, broken.load_run()) == "training"
    broken.unlock()
    lines = report.runs_table().split("\n")
    assert lines[0].split() == ["run", "rung", "update", "validation", "held", "out", "state"]
    by_name = {line.split()[0]: line for line in lines[1:]}
    assert by_name["runs/bad"].endswith("unreadable")
    assert "6/6" in by_name["runs/one"] and by_name["runs/one"].endswith("finished")
    assert by_name["runs/new"].endswith("broken off")
    compared = report.runs_table([run.path, broken.path])
    assert compared.split("where they differ\n")[1].split()[:3] == ["setting", "one", "new"]
    assert "seed" in compared.split("where they differ")[1]
    assert "n_layer" not in compared, "what is equal is not listed"
    assert "in nothing but their results" in report.runs_table([run.path, run.path])
    with pytest.raises(RunError):
        report.runs_table([run.path, Path("runs/bad")])


def test_one_run_is_shown(ended: tuple[RunFolder, Finished], tmp_path: Path) -> None:
    said = report.one_run(ended[0].path)
    assert "text: verse, 6,000 characters" in said and "n_embd: 8" in said
    assert "what it wrote after update 6:" in said and "None" not in said
    fresh = training.prepare(corpus.corpus_of("abc" * 100), TINY, tmp_path / "fresh")
    assert "what it wrote" not in report.one_run(fresh.path)


def test_a_sample_shown_cannot_steer_the_terminal() -> None:
    assert report.indented("a\x1b[2J\nb\x07") == "    a\\x1b[2J\n    b\\x07"


# --- pictures -------------------------------------------------------------------------------------


def test_the_curves_name_what_they_show(tmp_path: Path) -> None:
    lines = [
        {"step": i, "train_nats": 4 - i / 10, "validation_nats": 4 - i / 10 if i % 5 == 0 else None}
        for i in range(21)
    ]
    pictures.save_loss_curves(tmp_path, {"modern": lines}, {"letter counts": 3.2, "pairs": 1.0})
    svg = (tmp_path / "loss.svg").read_text(encoding="utf-8")
    for label in ("validation", "training (smoothed)", "letter counts 3.20", "pairs 1.00"):
        assert label in svg, label
    again = (tmp_path / "loss.svg").read_bytes()
    pictures.save_loss_curves(tmp_path, {"modern": lines}, {"letter counts": 3.2, "pairs": 1.0})
    assert (tmp_path / "loss.svg").read_bytes() == again, "the same numbers, the same picture"
    pictures.save_loss_curves(tmp_path, {"one": lines, "two": lines}, {})
    svg = (tmp_path / "loss.svg").read_text(encoding="utf-8")
    assert ">one<" in svg and ">two<" in svg and "training" not in svg


def test_labels_that_lie_close_are_kept_apart() -> None:
    placed = pictures.spread_labels({"a": 1.00, "b": 1.01, "c": 1.02, "d": 3.0}, gap=0.1)
    heights = [height for _, _, height in placed]
    assert [name for name, *_ in placed] == ["a", "b", "c", "d"]
    assert all(b - a >= 0.1 - 1e-9 for a, b in itertools.pairwise(heights))
    assert heights[3] == 3.0, "what is far from the others stays at its line"
