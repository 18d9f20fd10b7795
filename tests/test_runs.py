"""The run folder: whole after any crash, checked, locked, and never read as pickle."""

import errno
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from babypoet import runs
from babypoet.errors import RunError
from babypoet.runs import RunFolder, free_name, list_runs, newest_run, write_atomic
from babypoet.tokenizer import CharTokenizer

WEIGHTS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b.c": np.ones(5, np.float32)}
STATE = {"adamw/a/step": np.array(3, np.float32), "adamw/a/exp_avg": np.zeros((2, 3), np.float32)}


RECORD = {key: {} for key in runs.REQUIRED} | {
    "status": "running",
    "best": {"step": 7},
    "checkpoint": {"step": 7},
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with one checkpoint, as training leaves it."""
    made = RunFolder.create(tmp_path / "run")
    made.save_tokenizer(CharTokenizer.from_text("abc"))
    made.save_checkpoint(7, {"model": WEIGHTS, "optimizer": STATE}, {"step": 7})
    made.save_run(RECORD)
    made.unlock()
    return made


def test_what_goes_in_comes_out(run: RunFolder) -> None:
    again = RunFolder.open(run.path)
    weights, state, place = again.load_checkpoint(7)
    assert place == {"step": 7}
    for name, tensor in WEIGHTS.items():
        np.testing.assert_array_equal(weights[name], tensor)
        np.testing.assert_array_equal(again.weights()[name], tensor)
    assert state["adamw/a/step"].shape == () and state["adamw/a/step"] == 3
    assert again.tokenizer() == CharTokenizer.from_text("abc")
    assert again.load_run()["format"] == runs.FORMAT


def test_history_keeps_weights_and_what_was_written(run: RunFolder) -> None:
    run.save_history(12, WEIGHTS, "ünï 愛\n")
    run.save_history(3, WEIGHTS, "x")
    assert run.history() == [3, 12]
    weights, sample = run.load_history(12)
    assert sample == "ünï 愛\n"
    assert weights["a"].dtype == np.float32
    np.testing.assert_array_equal(weights["a"], WEIGHTS["a"])


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("harm", ["flip", "truncate", "delete"])
def test_a_damaged_checkpoint_is_refused(run: RunFolder, name: str, harm: str) -> None:
    """One flipped byte loads silently with safetensors alone; the manifest's sha256 catches it."""
    path = run.checkpoint(7) / name
    content = bytearray(path.read_bytes())
    if harm == "delete":
        path.unlink()
    elif harm == "truncate":
        path.write_bytes(content[:-1])
    else:
        content[-1] ^= 1
        path.write_bytes(content)
    with pytest.raises(RunError, match="damaged") as caught:
        run.load_checkpoint(7)
    assert name in str(caught.value)


def test_changed_data_is_refused(run: RunFolder) -> None:
    for name in runs.DATA_FILES:
        np.save(run.path / "data" / name, np.arange(9, dtype=np.uint8))
    run.save_run({**run.load_run(), "data": {"files": run.data_digests()}})
    run.check_data()
    np.save(run.path / "data" / "validation.npy", np.arange(1, 10, dtype=np.uint8))
    with pytest.raises(RunError, match=r"validation\.npy is missing or was changed"):
        run.check_data()


def test_a_newer_format_is_refused_by_name(run: RunFolder) -> None:
    path = run.path / "run.json"
    path.write_text(json.dumps({"format": runs.FORMAT + 1}), encoding="utf-8")
    with pytest.raises(RunError, match=f"format {runs.FORMAT + 1}; this babypoet reads up to"):
        RunFolder.open(run.path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_a_broken_run_json_is_an_error_with_its_path(run: RunFolder, content: bytes) -> None:
    (run.path / "run.json").write_bytes(content)
    with pytest.raises(RunError, match=r"run\.json"):
        RunFolder.open(run.path)


def test_a_pickle_is_never_executed(run: RunFolder, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (os.mkdir, (str(tmp_path / "executed"),))

    for path in run.checkpoint(7).glob("*.safetensors"):
        path.write_bytes(pickle.dumps(Bomb()))
    digests = {p.name: runs.sha256(p) for p in run.checkpoint(7).glob("*.s*")}
    (run.checkpoint(7) / "manifest.json").write_bytes(runs.to_json({"sha256": digests}))
    with pytest.raises(RunError, match="cannot be read"):
        run.weights()
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", runs.REQUIRED)
def test_a_run_json_that_lacks_something_is_said(run: RunFolder, name: str) -> None:
    run.save_run({key: value for key, value in RECORD.items() if key != name})
    with pytest.raises(RunError, match=f"not a whole run: run.json has no {name}"):
        RunFolder.open(run.path)


@pytest.mark.parametrize("name", ["lock", "run.json"])
def test_the_files_of_others_are_not_taken_for_a_run(tmp_path: Path, name: str) -> None:
    """A `lock` or `run.json` of another program beside a folder called data must not cost it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("years of work", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("more", encoding="utf-8")
    (tmp_path / name).write_text('{"format": 1}', encoding="utf-8")
    for overwrite in (False, True):
        with pytest.raises(RunError, match=r"give another --out|not a whole run"):
            RunFolder.create(tmp_path, overwrite)
    assert (tmp_path / "data" / "thesis.txt").exists()


def test_create_does_not_overwrite_unasked(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"--resume.*--overwrite.*--out"):
        RunFolder.create(run.path)
    (run.path / "my-notes.txt").write_text("keep me", encoding="utf-8")
    RunFolder.create(run.path, overwrite=True).unlock()
    assert (run.path / "my-notes.txt").read_text(encoding="utf-8") == "keep me"
    assert not (run.path / "run.json").exists() and not list((run.path / "checkpoints").iterdir())
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.jpg").write_bytes(b"meow")
    for overwrite in (False, True):
        with pytest.raises(RunError, match="other files, not a run"):
            RunFolder.create(other, overwrite)
    assert (other / "cat.jpg").read_bytes() == b"meow"
    with pytest.raises(RunError, match="is a file"):
        RunFolder.create(other / "cat.jpg")


def test_what_an_early_crash_left_may_be_used_again(tmp_path: Path) -> None:
    begun = RunFolder.create(tmp_path / "run")
    (begun.path / "data" / "train.npy.tmp").write_bytes(b"half")
    begun.unlock()
    again = RunFolder.create(tmp_path / "run")
    assert not list((again.path / "data").iterdir())
    again.unlock()


def test_a_second_trainer_is_kept_out(run: RunFolder) -> None:
    code = (
        "import sys; from babypoet.runs import RunFolder\n"
        "run = RunFolder.open(sys.argv[1]); run.lock(); print('locked', flush=True)\n"
        "sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(run.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdin and other.stdout
    with other:
        assert other.stdout.readline() == "locked\n"
        assert run.in_use()
        with pytest.raises(RunError, match="Another process is training"):
            run.lock()
        other.kill()  # the system lets go of a dead process's lock
        other.wait()
    run.lock()
    run.unlock()
    assert not run.in_use()


def test_prune_keeps_what_it_is_told(run: RunFolder) -> None:
    for step in (8, 9):
        run.save_checkpoint(step, {"model": WEIGHTS}, {"step": step})
    (run.path / "checkpoints" / ".00000010.tmp").mkdir()
    run.prune([7, 9])
    left = sorted(p.name for p in (run.path / "checkpoints").iterdir())
    assert left == ["00000007", "00000009"]


def test_cut_back_forgets_the_future_and_torn_lines(run: RunFolder) -> None:
    for step in range(5):
        run.append("metrics.jsonl", [{"step": step}])
        run.append("samples.jsonl", [{"step": step, "text": "愛"}], sync=True)
        run.save_history(step, WEIGHTS, "")
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 1')
    run.cut_back(2)
    assert [line["step"] for line in run.lines("metrics.jsonl")] == [0, 1, 2]
    assert run.lines("samples.jsonl")[-1] == {"step": 2, "text": "愛"}
    assert run.history() == [0, 1, 2]
    assert RunFolder(run.path / "nowhere").lines("metrics.jsonl") == []


def test_write_atomic_leaves_the_old_file_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    said = r"the disk is full\. What was saved before is whole"
    with pytest.raises(RunError, match=said), runs.disk_errors("The checkpoint"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"


def test_newest_and_listed_runs(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="Train one first: babypoet train"):
        newest_run(tmp_path)
    for number, name in enumerate(["b", "a", "ladder/c"]):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text("{}", encoding="utf-8")
        os.utime(tmp_path / name / "run.json", ns=(number, number))
    assert list_runs(tmp_path) == [tmp_path / "b", tmp_path / "a", tmp_path / "ladder/c"]
    assert newest_run(tmp_path) == tmp_path / "ladder/c"


def test_the_newest_run_that_has_not_ended(run: RunFolder, tmp_path: Path) -> None:
    for number, (name, status) in enumerate(
        [("a", "interrupted"), ("b", "running"), ("c", "finished"), ("d", "stopped early")]
    ):
        (tmp_path / name).mkdir()
        RunFolder(tmp_path / name).save_run({**RECORD, "status": status})
        os.utime(tmp_path / name / "run.json", ns=(number, number))
    os.utime(run.path / "run.json", ns=(0, 0))
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "run.json").write_text("broken", encoding="utf-8")
    assert runs.newest_unfinished_run(tmp_path) == tmp_path / "b"
    for name in "ab":
        RunFolder(tmp_path / name).save_run({**RECORD, "status": "finished"})
    run.save_run({**RECORD, "status": "diverged"})
    with pytest.raises(RunError, match="is waiting to go on"):
        runs.newest_unfinished_run(tmp_path)


def test_free_name_counts_up(tmp_path: Path) -> None:
    assert free_name(tmp_path / "x").name == "x"
    (tmp_path / "x").mkdir()
    (tmp_path / "x-2").mkdir()
    assert free_name(tmp_path / "x").name == "x-3"


def test_missing_parts_are_named(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no run\.json"):
        RunFolder.open(tmp_path / "nothing")
    (run.path / "tokenizer.json").unlink()
    with pytest.raises(RunError, match=r"tokenizer\.json is missing"):
        run.tokenizer()
    (run.checkpoint(7) / "manifest.json").unlink()
    with pytest.raises(RunError, match=r"manifest\.json is missing"):
        run.weights()
