"""What is said about a run when it stands still: the end of a training, the verdict, lists of runs.

Every function returns text for standard output; the live view is `terminal.py`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babypoet import corpus, counting, evaluation, pictures, runs
from babypoet.errors import RunError
from babypoet.poet import Poet
from babypoet.runs import RunFolder
from babypoet.terminal import clock, loss_words, note, table

if TYPE_CHECKING:
    from babypoet.training import Finished

COUNTED = 1_000_000  # characters the opponents read while somebody waits for the first update


def opponents(run: RunFolder) -> dict[str, float]:
    """What counting the training part reaches on the validation part, in nats, given the same
    windows."""
    config = run.model_config()
    train, validation, _ = corpus.load_parts(run.path / "data")
    train = train[-COUNTED:]
    V = config.vocab_size
    validation = validation[: COUNTED // 10]
    order = counting.choose_order(train, validation, V)
    counter = counting.KneserNey.fit(train, V, max(order, 2))

    def nats(order: int) -> float:
        return counter.cross_entropy(validation, train, config.block_size, order=order)

    named = {"letter counts": nats(1), "letter pairs": nats(2)}
    return named | {f"best counter (order {order})": nats(order)} if order > 2 else named


def after_training(run: RunFolder, finished: "Finished", quiet: bool = False) -> str:
    """The end of a training: the first text beside the last, the verdict, and what to do next."""
    poet = Poet(run)
    found = poet.evaluate()
    record = run.load_run()
    run.save_run({**record, "verdict": found.to_dict()})
    metrics = run.lines("metrics.jsonl")
    pictures.save_loss_curves(run.path, {str(record["model"]["rung"]): metrics}, opponents(run))
    if quiet:
        return f"{run.path}\t{found.held_out.nats:.4f}"
    samples = run.lines("samples.jsonl")
    lines = ["Before the first update it wrote:", indented(samples[0]["text"]), ""]
    lines += [f"After update {samples[-1]['step']:,} it writes:", indented(samples[-1]["text"]), ""]
    if finished.reason == "patience":
        lines.append(f"Stopped early: no better since update {finished.best_step:,}.")
    elif finished.best_step != finished.step:
        lines.append(
            f"The best weights, by the validation part, are those of update {finished.best_step:,}."
        )
    lines += found.sentences()
    lines += [
        "",
        f"Trained in {clock(finished.seconds)}. The run is in {run.path}; loss.png is its curve.",
        "Next: " + f'babypoet generate --run {run.path} --prompt "love this"',
        "      " + f"babypoet evaluate --run {run.path}",
    ]
    return "\n".join(lines)


def indented(text: str, lines: int = 8, width: int = 76) -> str:
    """The first lines of a text, moved in; control characters are shown, not sent to the
    terminal."""
    shown = [line[:width] for line in text.strip("\n").split("\n")[:lines]]
    return "\n".join("    " + printable(line) for line in shown)


def printable(text: str) -> str:
    """Text in which control characters are written as escapes, so that they cannot steer a
    terminal.

    >>> printable("a\\x1b[2J")
    'a\\\\x1b[2J'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def verdict(poet: Poet, as_json: bool) -> str:
    """The verdict on a run's own held-out part."""
    found = poet.evaluate()
    if as_json:
        return json.dumps(found.to_dict(), ensure_ascii=False, indent=1, allow_nan=False)
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
    return table(heading, cells) + "\n\n" + "\n".join(found.sentences())


def on_text(poet: Poet, path: Path, as_json: bool) -> str:
    """The loss on a text of one's own."""
    text = corpus.read_text(path)
    loss, unknown = evaluation.loss_on_text(poet.model, poet.tokenizer, text)
    if as_json:
        return json.dumps(
            {"text": loss.to_dict(), "unknown_share": unknown}, indent=1, allow_nan=False
        )
    if unknown:
        note(f"{unknown:.2%} of the characters are unknown to it; each is charged as a blind guess")
    return f"{path}: {loss_words(loss.nats)} ({loss.characters:,} characters)"


def state(run: RunFolder, record: dict[str, Any]) -> str:
    """How a run stands, in a word or two."""
    if record["status"] in ("new", "running"):
        return "training" if run.in_use() else "broken off"
    return str(record["status"])


def runs_table(paths: Sequence[Path] = ()) -> str:
    """A line for each run, and after several named ones the settings in which they differ."""
    found = [RunFolder.open(path) for path in (paths or runs.list_runs())]
    if not found:
        raise RunError("There are no runs under runs yet. Train one: babypoet train")
    records = [run.load_run() for run in found]
    rows = [_row(run, record) for run, record in zip(found, records, strict=True)]
    listed = table(["run", "rung", "update", "validation", "held out", "state"], rows)
    if not paths:
        return listed
    settings = [{**r["model"], **r["training"], "text": r["text"]["name"]} for r in records]
    differing = [k for k in settings[0] if len({str(s.get(k)) for s in settings}) > 1]
    rows = [[name, *(str(s.get(name)) for s in settings)] for name in differing]
    compared = (
        table(["setting", *(run.path.name for run in found)], rows) if rows else "no difference"
    )
    return f"{listed}\n\nwhere they differ\n{compared}"


def _row(run: RunFolder, record: dict[str, Any]) -> list[str]:
    step = (record["checkpoint"] or {"step": 0})["step"]
    best = (record["best"] or {}).get("validation_nats")
    held_out = record.get("verdict", {}).get("held_out", {}).get("nats")
    nats = [f"{x:.4f}" if x is not None else "-" for x in (best, held_out)]
    done = f"{step:,}/{record['training']['steps'] or 0:,}"
    return [run.path.as_posix(), record["model"]["rung"], done, *nats, state(run, record)]


def one_run(path: Path) -> str:
    """What there is to know about a run without judging it anew."""
    run = RunFolder.open(path)
    record = run.load_run()
    lines = [runs_table([path]).split("\n\n")[0], ""]
    lines.append(f"text: {record['text']['name']}, {record['text']['characters']:,} characters")
    lines += [
        f"{name}: {value}" for name, value in {**record["model"], **record["training"]}.items()
    ]
    samples = run.lines("samples.jsonl")
    if samples:
        lines += ["", f"what it wrote after update {samples[-1]['step']:,}:"]
        lines.append(indented(samples[-1]["text"]))
    return "\n".join(lines)
