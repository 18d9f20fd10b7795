"""The run folder: everything a training run is, on disk, in standard formats and without pickle.

    run = RunFolder.create(Path("runs/poems-modern"), overwrite=False)
    run.save_run({...}); run.save_checkpoint(100, {"model": weights, "optimizer": state}, {...})
    weights = RunFolder.open("runs/poems-modern").weights()

A crash at any moment leaves a folder that can be read: each file is written under a temporary name,
fsynced and renamed; a checkpoint is a folder that appears whole, with the sha256 of its files, and
is never changed; `run.json` is written last and points to it. docs/run-folder.md describes every
field.

It knows nothing of torch: tensors come and go as numpy arrays.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import filelock
import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from babypoet.config import ModelConfig
from babypoet.errors import RunError
from babypoet.tokenizer import CharTokenizer

FORMAT = 1
FILES = (  # run.json first: once it is gone, a crash leaves no run that looks whole
    "run.json",
    "tokenizer.json",
    "metrics.jsonl",
    "samples.jsonl",
    "loss.svg",
    "loss.png",
)
FOLDERS = ("data", "checkpoints", "history")
DATA_FILES = ("train.npy", "validation.npy", "held_out.npy")
SAFE = "What was saved before is whole; make room, then go on with --resume."
REQUIRED = ("status", "text", "data", "model", "training", "machine", "checkpoint", "best")
Tensors = dict[str, NDArray[Any]]


def fsync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable. Windows cannot sync a folder, and does not need to."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace(source: Path, target: Path) -> None:
    """Rename, over an old file if there is one. On Windows somebody who is just reading it, a virus
    scanner say, makes that fail for a moment."""
    for wait in (0.01, 0.1, 1.0) if os.name == "nt" else ():
        try:
            return os.replace(source, target)
        except PermissionError:
            time.sleep(wait)
    os.replace(source, target)


def write_atomic(path: Path, content: bytes) -> None:
    """Replace a file as a whole: even after a crash, `path` is the old one or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    write_synced(temporary, content)
    replace(temporary, path)
    fsync_folder(path.parent)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_json(value: Any) -> bytes:
    """Readable JSON in UTF-8."""
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} is missing; this run folder is not complete.") from None
    except (ValueError, OSError) as error:
        raise RunError(f"{path} cannot be read: {error}.") from error


@contextlib.contextmanager
def disk_errors(what: str, remedy: str = SAFE) -> Iterator[None]:
    """Turn a full disk or a refused write into a RunError that says what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full" if full else f"{error.strerror or error} ({error.filename})"
        raise RunError(f"{what} could not be written: {why}. {remedy}") from error


class RunFolder:
    """One run on disk. `create` makes a new one, `open` takes an existing one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = filelock.FileLock(path / "lock", timeout=0, thread_local=False)

    @classmethod
    def create(cls, path: Path, overwrite: bool = False) -> Self:
        """A new, locked run folder. An existing one is a RunError, unless it is to be replaced."""
        if path.exists() and not path.is_dir():
            raise RunError(f"{path} is a file; give another --out.")
        if path.exists():
            ours = {*FILES, *(f"{name}.tmp" for name in FILES), *FOLDERS, "lock"}
            begun = (path / "run.json").exists()  # or a crash came before anything was learned
            if begun:
                RunFolder.open(path)
            elif others := sorted({child.name for child in path.iterdir()} - ours):
                raise RunError(
                    f"{path} holds other files, not a run ({others[0]} for one); "
                    "give another --out."
                )
            if begun and not overwrite:
                raise RunError(
                    f"{path} is already there. Go on with it (--resume), replace it "
                    "(--overwrite), or give another --out."
                )
        run = cls(path)
        with disk_errors(f"The run folder {path}", "Make room, or give another --out."):
            path.mkdir(parents=True, exist_ok=True)
            run.lock()
            for name in (*FILES, *(f"{name}.tmp" for name in FILES)):
                (path / name).unlink(missing_ok=True)
            for name in FOLDERS:
                if (path / name).exists():
                    shutil.rmtree(path / name)
                (path / name).mkdir()
        return run

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """An existing run. Missing, of a newer format, or not a run: RunError."""
        path = Path(path)
        if not (path / "run.json").is_file():
            raise RunError(
                f"There is no run in {path}: it has no run.json. "
                "`babypoet runs` lists what there is."
            )
        run = cls(path)
        record = run.load_run()
        found = record.get("format")
        if not isinstance(found, int) or found > FORMAT:
            raise RunError(
                f"{path} is a run of format {found}; this babypoet reads up to {FORMAT}. "
                "Update it: pip install --upgrade babypoet."
            )
        if missing := [name for name in REQUIRED if name not in record]:
            raise RunError(f"{path} is not a whole run: run.json has no {', '.join(missing)}.")
        return run

    def lock(self) -> None:
        """Keep a second trainer out, until `unlock` or the end of this process."""
        if self._lock.is_locked:
            return
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise RunError(
                f"Another process is training in {self.path}. Wait for it, or give another --out."
            ) from None

    def unlock(self) -> None:
        """Let others in."""
        self._lock.release()

    def in_use(self) -> bool:
        """Whether some process holds the lock."""
        probe = filelock.FileLock(self.path / "lock", timeout=0)
        try:
            with probe:
                return False
        except filelock.Timeout:
            return True
        except OSError:  # a folder that cannot be written to cannot be trained in
            return False

    # --- run.json, tokenizer.json, data/ ----------------------------------------------------------

    def load_run(self) -> dict[str, Any]:
        """run.json."""
        run = _json(self.path / "run.json")
        if not isinstance(run, dict):
            raise RunError(
                f"{self.path / 'run.json'} is not a run: it should hold one JSON object."
            )
        return run

    def save_run(self, run: Mapping[str, Any]) -> None:
        """Replace run.json; the last thing that any change writes."""
        write_atomic(self.path / "run.json", to_json({"format": FORMAT, **run}))

    def save_tokenizer(self, tokenizer: CharTokenizer) -> None:
        """Write tokenizer.json."""
        write_atomic(self.path / "tokenizer.json", tokenizer.to_json().encode())

    def tokenizer(self) -> CharTokenizer:
        """The vocabulary."""
        path = self.path / "tokenizer.json"
        if not path.is_file():
            raise RunError(f"{path} is missing; this run folder is not complete.")
        return CharTokenizer.from_json(path.read_text(encoding="utf-8"))

    def model_config(self) -> ModelConfig:
        """The model's shape."""
        return ModelConfig.from_dict(self.load_run()["model"])

    def data_digests(self) -> dict[str, str]:
        """The sha256 of each file in data/, to be kept in run.json."""
        return {name: sha256(self.path / "data" / name) for name in DATA_FILES}

    def check_data(self) -> None:
        """Raise RunError if a file in data/ is not the one the run was started with."""
        for name, digest in self.load_run()["data"]["files"].items():
            path = self.path / "data" / name
            if not path.is_file() or sha256(path) != digest:
                raise RunError(
                    f"{path} is missing or was changed since the run began. "
                    "Train again from the text, or bring the file back."
                )

    # --- checkpoints/ and history/ ----------------------------------------------------------------

    def _save_whole(self, folder: Path, tensors: Mapping[str, Tensors], state: Any) -> None:
        """Write a folder of safetensors files, state.json and manifest.json: it appears whole."""
        temporary = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        files = {f"{name}.safetensors": safetensors.numpy.save(t) for name, t in tensors.items()}
        files["state.json"] = to_json(state)
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        for name, content in {**files, "manifest.json": to_json({"sha256": digests})}.items():
            write_synced(temporary / name, content)
        fsync_folder(temporary)
        if folder.exists():
            # a crash came after the rename and before run.json: this is the same content
            shutil.rmtree(folder)
        replace(temporary, folder)
        fsync_folder(folder.parent)

    def _load_whole(self, folder: Path, name: str) -> Tensors:
        self._check_whole(folder)
        try:
            return safetensors.numpy.load_file(folder / f"{name}.safetensors")
        except (safetensors.SafetensorError, OSError) as error:
            raise RunError(f"{folder / name}.safetensors cannot be read: {error}.") from error

    def _check_whole(self, folder: Path) -> None:
        digests = _json(folder / "manifest.json")["sha256"]
        for name, digest in digests.items():
            path = folder / name
            if not path.is_file() or sha256(path) != digest:
                raise RunError(
                    f"{path} is damaged: its sha256 is not the one in manifest.json. Use another "
                    f"checkpoint in {folder.parent}, or train again."
                )

    def checkpoint(self, step: int) -> Path:
        """The folder of a step's checkpoint."""
        return self.path / "checkpoints" / f"{step:08d}"

    def save_checkpoint(self, step: int, tensors: Mapping[str, Tensors], state: Any) -> None:
        """Write `checkpoints/<step>/`; it counts only once run.json points to it."""
        self._save_whole(self.checkpoint(step), tensors, state)

    def load_checkpoint(self, step: int) -> tuple[Tensors, Tensors, dict[str, Any]]:
        """The weights, the optimizers' state and the trainer's state of a step; damaged:
        RunError."""
        folder = self.checkpoint(step)
        weights = self._load_whole(folder, "model")
        return weights, self._load_whole(folder, "optimizer"), _json(folder / "state.json")

    def weights(self, step: int | None = None) -> Tensors:
        """The model's weights: the best by validation, or those of a checkpoint's step."""
        if step is None:
            best = self.load_run()["best"]
            if best is None:
                raise RunError(
                    f"{self.path} has no weights yet: it stopped before its first checkpoint. "
                    "Go on with it: babypoet train --resume"
                )
            step = best["step"]
        return self._load_whole(self.checkpoint(step), "model")

    def prune(self, keep: Iterable[int]) -> None:
        """Delete every checkpoint but those of `keep`, and what crashes left behind."""
        names = {self.checkpoint(step).name for step in keep}
        for folder in (self.path / "checkpoints").iterdir():
            if folder.name not in names:  # one that is being read is left for the next time
                shutil.rmtree(folder, ignore_errors=os.name == "nt")

    def save_history(self, step: int, weights: Tensors, sample: str) -> None:
        """Keep the weights at a step, as half-precision floats, with what the model wrote then."""
        with np.errstate(over="ignore"):  # a training that comes apart has weights beyond its range
            half = {name: w.astype(np.float16) for name, w in weights.items()}
        folder = self.path / "history" / f"{step:08d}"
        self._save_whole(folder, {"model": half}, {"step": step, "sample": sample})

    def history(self) -> list[int]:
        """The steps kept in history/, in order."""
        names = (folder.name for folder in (self.path / "history").iterdir())
        return sorted(int(name) for name in names if name.isdigit())

    def load_history(self, step: int) -> tuple[Tensors, str]:
        """The weights kept at a step, in float32, and the sample written then."""
        folder = self.path / "history" / f"{step:08d}"
        weights = self._load_whole(folder, "model")
        sample: str = _json(folder / "state.json")["sample"]
        return {name: w.astype(np.float32) for name, w in weights.items()}, sample

    # --- metrics.jsonl and samples.jsonl ----------------------------------------------------------

    def append(self, name: str, lines: Iterable[Mapping[str, Any]], sync: bool = False) -> None:
        """Add lines to a .jsonl file; with `sync`, wait until the disk has them."""
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        with (self.path / name).open("ab") as file:
            file.write(text.encode())
            file.flush()
            if sync:
                os.fsync(file.fileno())

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The whole lines of a .jsonl file; a line that a crash cut off is left out."""
        path = self.path / name
        if not path.is_file():
            return []
        found = []
        for line in path.read_bytes().split(b"\n"):
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def curve(self) -> list[tuple[int, float]]:
        """The validation losses that were measured: (step, nats)."""
        measured = ((m["step"], m["validation_nats"]) for m in self.lines("metrics.jsonl"))
        return [(step, nats) for step, nats in measured if nats is not None]

    def cut_back(self, step: int) -> None:
        """Forget what came after `step`: lines of metrics and samples, and later history."""
        for name in ("metrics.jsonl", "samples.jsonl"):
            kept = [line for line in self.lines(name) if line["step"] <= step]
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept)
            write_atomic(self.path / name, text.encode())
        for folder in (self.path / "history").iterdir():
            if not folder.name.isdigit() or int(folder.name) > step:
                shutil.rmtree(folder)


def newest_run(root: Path = Path("runs")) -> Path:
    """The run under `root` that was written to last; none: RunError."""
    found = list_runs(root)
    if not found:
        raise RunError(f"There is no run under {root}{os.sep}. Train one first: babypoet train")
    return found[-1]


def newest_unfinished_run(root: Path = Path("runs")) -> Path:
    """The run under `root` that was written to last and has not ended; none: RunError."""
    for path in reversed(list_runs(root)):
        with contextlib.suppress(RunError):
            if RunFolder.open(path).load_run()["status"] in ("new", "running", "interrupted"):
                return path
    newest_run(root)  # says so if there is none at all
    raise RunError(
        f"No run under {root}{os.sep} is waiting to go on. Name one with --out, or train a new "
        "one, with more --steps if the last was too short."
    )


def list_runs(root: Path = Path("runs")) -> list[Path]:
    """All run folders under `root`, also those inside a ladder's folder, oldest first."""
    found = {p.parent for pattern in ("*/run.json", "*/*/run.json") for p in root.glob(pattern)}
    return sorted(found, key=lambda path: ((path / "run.json").stat().st_mtime_ns, str(path)))


def free_name(path: Path) -> Path:
    """`path`, or the first of path-2, path-3, ... that is not there.

    >>> free_name(Path("surely-not-there")).name
    'surely-not-there'
    """
    candidate, number = path, 2
    while candidate.exists():
        candidate, number = path.with_name(f"{path.name}-{number}"), number + 1
    return candidate
