"""What is said about a run when it stands still: the end of a training, the verdict, lists of runs.

Every function returns text for standard output; the live view is `terminal.py`.
"""

import contextlib
import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from babypoet import corpus, evaluation, runs, terminal
from babypoet.errors import RunError
from babypoet.poet import Poet, opponents
from babypoet.runs import RunFolder
from babypoet.terminal import clock, loss_words, printable, quoted, table, wrapped

if TYPE_CHECKING:
    from babypoet.training import Finished

# --- opponents ------------------------------------------------------------------------------------


class Counting:
    """The opponents of a run, counted beside its training.

    counting = Counting()
    counting.start(run)
    counting()          # {} until they are known
    counting.result()   # waits for them
    """

    def __init__(self) -> None:
        self._known: dict[str, float] = {}
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None
        self._run: Path | None = None

    def __call__(self) -> Mapping[str, float]:
        return self._known

    def start(self, run: RunFolder) -> None:
        """Begin to count, unless that was begun before for the same run."""
        if self._run != run.path:
            if self._thread is not None:
                self._thread.join()
            self._run, self._known, self._error = run.path, {}, None
            self._thread = threading.Thread(target=self._count, args=(run,), daemon=True)
            self._thread.start()

    def _count(self, run: RunFolder) -> None:
        try:
            self._known = opponents(run)
        except Exception as error:  # told by `result`, and not in the middle of the picture
            self._error = error

    def result(self) -> Mapping[str, float]:
        """The opponents, once they are counted; an error in counting is raised here."""
        assert self._thread is not None, "start it first"
        self._thread.join()
        if self._error:
            raise self._error
        return self._known


MOSTLY_UNKNOWN = 0.1


# --- the end of a training ------------------------------------------------------------------------


def after_training(
    run: RunFolder, finished: "Finished", known: Mapping[str, float], quiet: bool = False
) -> str:
    """The end of a training: the first text beside the last, the verdict, and what to do next."""
    poet = Poet(run)
    found = poet.conclude(known)
    if quiet:
        return f"{run.path}\t{found.held_out.nats:.4f}"
    samples = run.lines("samples.jsonl")
    first, last = samples[0], samples[-1]
    beside = side_by_side(
        ("before the first update it wrote", first["text"]),
        (f"after {last['step']:,} updates it writes", last["text"]),
        terminal.columns(),
    )
    said = _how_it_ended(finished)
    where = (
        f"Trained in {clock(finished.seconds)}. The run is in {run.path}; loss.png is its curve."
    )
    return "\n\n".join([beside, *said, _standing(poet, found), f"{where}\n{_next(poet)}"])


def _how_it_ended(finished: "Finished") -> list[str]:
    if finished.reason == "patience":
        return [f"Stopped early: no better since update {finished.best_step:,}."]
    if finished.best_step != finished.step:
        return [
            f"The best weights, by the validation part, are those of update "
            f"{finished.best_step:,}. They are the ones that are kept and judged."
        ]
    return []


def _next(poet: Poet) -> str:
    """What to type next."""
    run = f" --run {quoted(poet.run.path)}"
    prompt = suggested_prompt(poet)
    lines = [
        f"babypoet generate{run}" + (f' --prompt "{prompt}"' if prompt else ""),
        f"babypoet share{run}",
        f"babypoet evaluate{run}",
        "babypoet ladder" if _of_the_poems(poet) else "babypoet ladder YOUR-TEXT",
    ]
    return "\n".join(f"{'Next:' if i == 0 else '':6}{line}" for i, line in enumerate(lines))


def _of_the_poems(poet: Poet) -> bool:
    """Whether the run learned the built-in poems."""
    poems = hashlib.sha256(corpus.builtin_poems().encode()).hexdigest()
    return bool(poet.run.load_run()["text"]["digest"] == poems)


def suggested_prompt(poet: Poet) -> str:
    """Something to begin with that the model can read: "love this", or the first words of a line
    of its text that a shell takes as they are; "" where there are none."""
    if not poet.tokenizer.foreign("love this"):
        return "love this"
    whole = poet.training_text(10_000).split("\n")[1:-1]  # the first and last may be cut
    lines = (" ".join(line.split()[:2])[:20] for line in whole)
    return next((s for s in lines if s and s.isprintable() and not set(s) & set("\"'\\$`!%-")), "")


def side_by_side(left: tuple[str, str], right: tuple[str, str], width: int, rows: int = 10) -> str:
    """Two texts under their headings in two columns, or below each other where it is narrow.

    >>> print(side_by_side(("first", "a b"), ("last", "love"), 80))
    first                                    last
    ──────────────────────────────────────   ──────────────────────────────────────
    a b                                      love
    """
    narrow = width < 70
    half = width if narrow else (width - 3) // 2
    blocks = []
    for heading, text in (left, right):
        lines = [line for line in wrapped(text.strip("\n"), half)][:rows]
        blocks.append([heading, "─" * half, *lines])
    if narrow:
        return "\n".join([*blocks[0], "", *blocks[1]])
    pairs = zip_longest(*blocks, fillvalue="")
    return "\n".join((a + " " * (half - cell_len(a) + 3) + b).rstrip() for a, b in pairs)


def indented(text: str, lines: int = 8, width: int = 76) -> str:
    """The first lines of a text, moved in; control characters are shown, not sent to the
    terminal."""
    shown = [line[:width] for line in text.strip("\n").split("\n")[:lines]]
    return "\n".join("    " + printable(line) for line in shown)


# --- the verdict ----------------------------------------------------------------------------------


def verdict(poet: Poet, as_json: bool) -> str:
    """The verdict on a run's own held-out part."""
    found = poet.evaluate()
    if as_json:
        return json.dumps(found.to_dict(), ensure_ascii=False, indent=1, allow_nan=False)
    return _standing(poet, found)


def _standing(poet: Poet, found: evaluation.Verdict) -> str:
    """The model among its opponents, and the verdict in words."""
    counted = found.baselines
    rows: list[tuple[str, float | None]] = [
        ("even guessing", counted.uniform),
        ("letter counts", counted.unigram),
        ("letter pairs", counted.bigram),
        (f"best counter (Kneser-Ney, order {counted.ngram_order})", counted.ngram),
        ("  the same, looking across windows", counted.ngram_full),
        ("PPMd (goes on learning while it reads)", counted.ppmd),
        (f"{poet.config.rung} ({poet.run.path.name})", found.held_out.nats),
    ]
    losses = {name: evaluation.Loss(nats, 1) for name, nats in rows if nats is not None}
    cells = [
        [name, f"{loss.nats:.4f}", f"{loss.bits:.4f}", f"{loss.torn_between:.2f}"]
        for name, loss in losses.items()
    ]
    heading = ["on the held-out part", "nats", "bits", "torn between"]
    sentences = [printable(sentence) for sentence in found.sentences()]
    return f"{table(heading, cells)}\n\n{terminal.paragraphs(sentences, terminal.columns())}"


def on_text(poet: Poet, path: Path, as_json: bool) -> str:
    """The loss on a text of one's own."""
    loss, unknown = poet.loss_on(corpus.read_text(path))
    if as_json:
        return json.dumps(
            {"text": loss.to_dict(), "unknown_share": unknown}, indent=1, allow_nan=False
        )
    said = f"{path}: {loss_words(loss.nats)} ({loss.characters:,} characters)"
    if unknown:
        said += f"\n{unknown:.2%} of the characters are unknown to it; each counts as a blind guess"
    if unknown > MOSTLY_UNKNOWN:
        said += "\nThat is so much that the loss says little: blind guesses among few are cheap."
    return said


# --- runs -----------------------------------------------------------------------------------------


def state(run: RunFolder, record: dict[str, Any]) -> str:
    """How a run stands, in a word or two."""
    if record["status"] in ("new", "running"):
        return "training" if run.in_use() else "broken off"
    return str(record["status"])


def runs_table(paths: Sequence[Path] = ()) -> str:
    """A line for each run, and after several named ones the settings in which they differ.

    A damaged run is a RunError where it was named, and a line that says so where it was not."""
    if not paths:
        return _all_runs()
    found = [RunFolder.open(path) for path in paths]
    records = [run.load_run() for run in found]
    listed = table(
        HEADINGS, [_row(run, record) for run, record in zip(found, records, strict=True)]
    )
    settings = [{**r["model"], **r["training"], "text": r["text"]["name"]} for r in records]
    names = dict.fromkeys(name for each in settings for name in each)
    rows = [[name, *(str(s.get(name)) for s in settings)] for name in names]
    differing = [row for row in rows if len(set(row[1:])) > 1]
    headings = ["setting", *(run.path.name for run in found)]
    compared = table(headings, differing) if differing else "in nothing but their results"
    return f"{listed}\n\nwhere they differ\n{compared}"


HEADINGS = ["run", "rung", "update", "validation", "held out", "state"]


def _all_runs() -> str:
    paths = runs.list_runs()
    if not paths:
        raise RunError("There are no runs under runs yet. Train one: babypoet train")
    rows = []
    for path in paths:
        row = [path.as_posix(), "-", "-", "-", "-", "unreadable"]
        with contextlib.suppress(RunError):
            run = RunFolder.open(path)
            row = _row(run, run.load_run())
        rows.append(row)
    return table(HEADINGS, rows)


def _row(run: RunFolder, record: dict[str, Any]) -> list[str]:
    step = (record["checkpoint"] or {"step": 0})["step"]
    best = (record["best"] or {}).get("validation_nats")
    held_out = record.get("verdict", {}).get("held_out", {}).get("nats")
    nats = [f"{x:.4f}" if x is not None else "-" for x in (best, held_out)]
    steps = record["training"]["steps"]
    done = f"{step:,}/{steps:,}" if steps else f"{step:,}"
    return [run.path.as_posix(), record["model"]["rung"], done, *nats, state(run, record)]


def one_run(path: Path) -> str:
    """What there is to know about a run without judging it anew."""
    run = RunFolder.open(path)
    record = run.load_run()
    lines = [table(HEADINGS, [_row(run, record)]), ""]
    lines.append(f"text: {record['text']['name']}, {record['text']['characters']:,} characters")
    settings = {**record["model"], **record["training"]}
    lines += [f"{name}: {value}" for name, value in settings.items() if value is not None]
    samples = run.lines("samples.jsonl")
    if samples:
        lines += ["", f"what it wrote after update {samples[-1]['step']:,}:"]
        lines.append(indented(samples[-1]["text"]))
    return "\n".join(lines)
