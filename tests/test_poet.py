"""The Python face: what the commands do, as calls."""

import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import torch

import babypoet
from babypoet import corpus, evaluation, poet, runs, training
from babypoet.config import TrainConfig
from babypoet.errors import BabyPoetError, RunError, SettingError, TextError, UnknownCharacterError
from babypoet.planning import idle_settings
from babypoet.poet import Poet

TINY = {
    "steps": 6, "block_size": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 1, "n_embd": 8,
    "batch_size": 8, "evaluate_every": 3, "snapshots": 2,
}  # fmt: skip


TABLE = {k: v for k, v in TINY.items() if k not in idle_settings("bigram")}


@pytest.fixture(scope="module")
def trained(poems: str, tmp_path_factory: pytest.TempPathFactory) -> Poet:
    return babypoet.train(text=poems[:4000], out=tmp_path_factory.mktemp("poet") / "run", **TINY)


# --- the package ----------------------------------------------------------------------------------


def test_all_public_names_are_there_and_documented() -> None:
    assert babypoet.__all__ == sorted(babypoet.__all__)
    for name in babypoet.__all__:
        found = getattr(babypoet, name)
        if not name.startswith("__"):
            assert found.__doc__ and found.__doc__.strip(), name
            get_type_hints(found if callable(found) else type(found))
    with pytest.raises(AttributeError, match="no attribute 'write'"):
        _ = babypoet.write
    star: dict[str, object] = {}
    exec("from babypoet import *", star)
    assert set(babypoet.__all__) <= set(star)


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = """if True:
        import sys, babypoet
        assert not {"torch", "numpy", "rich", "matplotlib"} & set(sys.modules), "import"
    """
    assert (Path(babypoet.__file__).parent / "py.typed").exists()
    ran = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


# --- train ----------------------------------------------------------------------------------------


def test_train_load_write(trained: Poet) -> None:
    again = babypoet.load(trained.run.path)
    text = again.write("love", length=30)
    assert text == trained.write("love", length=30) and len(text) == 34
    assert text.startswith("love")
    assert again.write(length=10, seed=1) != again.write(length=10, seed=2)
    two = again.write("a", length=10, n=2).split("\n--------\n")
    assert len(two) == 2 and all(t.startswith("a") and len(t) == 11 for t in two)
    assert babypoet.load(str(trained.run.path)).config == trained.config


def test_the_model_and_the_tokenizer(trained: Poet) -> None:
    ids = trained.tokenizer.encode("love this")
    assert trained.tokenizer.decode(ids) == "love this"
    logits, loss = trained.model(torch.tensor([ids]))
    assert logits.shape == (1, 9, trained.tokenizer.vocab_size) and loss is None
    assert not trained.model.training
    in_numpy = trained.reference.start().extend(ids)
    np.testing.assert_allclose(logits[0, -1].detach().numpy(), in_numpy, atol=1e-4)


def test_what_it_is_trained_on(tmp_path: Path, poems: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text(poems[:1000], encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('{"body": "from another field"}\n' * 20, encoding="utf-8")
    two = babypoet.train("a.txt", tmp_path / "b.jsonl", field="body", rung="bigram", **TABLE)
    assert two.run.path == Path("runs/a-1-more-bigram")
    record = two.run.load_run()
    assert record["text"]["documents"] == 21 and record["text"]["characters"] >= 1360
    with pytest.raises(SettingError, match="paths or text="):
        babypoet.train("a.txt", text="x")
    with pytest.raises(TextError, match="Did you mean"):
        babypoet.train("aa.txt")
    assert poet.open_text((), None, "text", None).name == "poems"
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["a-1-more-bigram"]


def test_settings_that_do_not_exist_have_a_neighbour(trained: Poet) -> None:
    with pytest.raises(SettingError, match="Did you mean 'steps'"):
        babypoet.train(text="x" * 500, stepps=3)
    with pytest.raises(SettingError, match="Did you mean 'temperature'"):
        trained.write("a", temprature=3)
    with pytest.raises(SettingError, match="--temperature is -1"):
        trained.write("a", temperature=-1)
    with pytest.raises(UnknownCharacterError, match="U\\+611B"):
        trained.write("愛", unknown="error")


def test_an_interrupted_run_is_resumed(
    tmp_path: Path, poems: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = training.prepare(corpus.corpus_of(poems[:3000]), TrainConfig(**TINY), Path("runs/x"))
    event = list(training.train(run, lambda: True))[-1]
    assert isinstance(event, training.Finished) and event.reason == "interrupted"
    for wrong in ({"steps": 3}, {"text": "a"}, {"overwrite": True}):
        with pytest.raises(SettingError, match="--resume goes on with the run's own"):
            babypoet.train(resume=True, **wrong)
    with pytest.raises(SettingError, match=r"so a\.txt cannot"):
        babypoet.train("a.txt", resume=True)
    resumed = babypoet.train(resume=True)
    assert resumed.run.path == Path("runs/x")
    assert resumed.run.load_run()["status"] == "finished"
    assert babypoet.train(resume=True, out="runs/x").run.load_run()["checkpoint"] == {"step": 6}


def test_a_training_that_comes_apart_is_an_error(tmp_path: Path, poems: str) -> None:
    settings = {**TABLE, "rung": "bigram", "learning_rate": 1e38}
    with pytest.raises(SettingError, match="Training came apart"):
        babypoet.train(text=poems[:3000], out=tmp_path / "x", **settings)


# --- load -----------------------------------------------------------------------------------------


def test_what_cannot_be_loaded(tmp_path: Path, poems: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="no run under"):
        babypoet.load()
    with pytest.raises(RunError, match="no run in"):
        babypoet.load("nowhere")
    training.prepare(corpus.corpus_of(poems[:3000]), TrainConfig(**TINY), Path("runs/new"))
    with pytest.raises(RunError, match=r"no weights yet.*--resume --out"):
        babypoet.load()
    assert issubclass(RunError, BabyPoetError)


# --- evaluate -------------------------------------------------------------------------------------


def test_the_verdict_is_the_same_twice(trained: Poet) -> None:
    verdict = babypoet.evaluate(trained.run.path)
    assert verdict == trained.evaluate() == trained.evaluate()
    assert verdict.held_out.characters == 400
    _, _, held_out = corpus.load_parts(trained.run.path / "data")
    validation = corpus.load_parts(trained.run.path / "data").validation
    exact = evaluation.exact_loss(trained.model, held_out, int(validation[-1]))
    assert verdict.held_out.nats == exact
    assert verdict.baselines.uniform == pytest.approx(np.log(trained.tokenizer.vocab_size))
    assert verdict.structure and verdict.structure_held_out and verdict.copied


def test_what_was_copied_is_found_at_its_place_in_a_long_text(
    trained: Poet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positions count from the beginning of the training text, however much of it is looked at."""
    text = trained.training_text()
    assert len(text) == 3420 and trained.training_text(10) == text[-10:]
    monkeypatch.setattr(evaluation, "LIMIT", 1000)
    monkeypatch.setattr(Poet, "training_text", lambda self, limit=1000: text[-limit:])
    copied = trained.evaluate().copied
    assert copied is not None and copied.searched <= 1000
    assert text[copied.position :].startswith(copied.longest) and copied.length > 0
    assert copied.line == text.count("\n", 0, copied.position) + 1


def test_the_loss_on_a_text_of_ones_own(trained: Poet, poems: str) -> None:
    loss, unknown = trained.loss_on(poems[:500])
    assert loss.characters == 500 and unknown == 0 and 0 < loss.nats < 5
    loss, unknown = trained.loss_on("愛" * 10)
    assert unknown == 1.0 and loss.nats == pytest.approx(np.log(trained.tokenizer.vocab_size))
    with pytest.raises(TextError, match="empty"):
        trained.loss_on("")


def test_without_a_held_out_part_there_is_no_verdict(
    trained: Poet, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = corpus.load_parts(trained.run.path / "data")
    monkeypatch.setattr(corpus, "load_parts", lambda _: parts._replace(held_out=parts.held_out[:0]))
    with pytest.raises(RunError, match="no held-out part"):
        Poet(runs.RunFolder.open(trained.run.path)).evaluate()
