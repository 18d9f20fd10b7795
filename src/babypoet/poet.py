"""A trained model from Python: what every command does, as a call.

    import babypoet
    poet = babypoet.train("my.txt", steps=500)          # babypoet train my.txt --steps 500
    poet = babypoet.load("runs/poems-modern")
    poet.write("love this", length=200)                 # babypoet generate --prompt "love this"
    poet.evaluate().held_out.nats                       # babypoet evaluate
    poet.trace("love this")["probabilities"]            # babypoet look "love this"
    poet.backprop("love this").step.after               # babypoet backprop "love this"
    poet.share("poet.html")                             # babypoet share -o poet.html

For the events of a training as they happen, use `babypoet.training.train`, which this module
drains."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from babypoet import corpus, counting, evaluation, pictures, runs, sampling
from babypoet.config import GenerateConfig, ModelConfig, TrainConfig, flag, reject_unknown
from babypoet.errors import RunError, SettingError
from babypoet.reference import Reference
from babypoet.tokenizer import CharTokenizer, Unknown
from babypoet.trace import Trace, trace_of

if TYPE_CHECKING:
    from babypoet import backpropagation
    from babypoet.exporting import page
    from babypoet.exporting.packing import Precision
    from babypoet.ladder import Rung

COUNTED = 1_000_000  # characters the opponents read while somebody waits
JUDGED = GenerateConfig(length=500, n=20)  # the samples whose structure and originality are judged


class Poet:
    """A run's best weights, ready to write and to be judged. Nothing is loaded before it is
    needed."""

    def __init__(self, run: runs.RunFolder) -> None:
        self.run = run

    @cached_property
    def config(self) -> ModelConfig:
        """The model's shape."""
        return self.run.model_config()

    @cached_property
    def tokenizer(self) -> CharTokenizer:
        """The vocabulary."""
        return self.run.tokenizer()

    @cached_property
    def reference(self) -> Reference:
        """The model in numpy, which writes."""
        return Reference(self.config, self.run.weights())

    @cached_property
    def model(self) -> "Rung":
        """The model in PyTorch, in evaluation mode: `poet.model(idx)` gives (logits, None)."""
        import torch

        from babypoet.ladder import build

        model = build(self.config)
        model.load_state_dict({k: torch.from_numpy(v) for k, v in self.run.weights().items()})
        return model.eval()

    def write(self, prompt: str = "", unknown: Unknown = "nearest", **settings: Any) -> str:
        """The prompt, and what the model writes after it.

        `settings` are GenerateConfig's: length (characters), temperature (0 is argmax), top_k,
        top_p, min_p, stop, n, seed. With n > 1 the texts are separated by a line of dashes.
        Characters the model never saw are replaced by the nearest (`unknown="error"`:
        UnknownCharacterError)."""
        reject_unknown(settings, GenerateConfig)
        config = GenerateConfig(**settings)
        texts = (prompt + "".join(self.stream(prompt, config, i, unknown)) for i in range(config.n))
        return "\n--------\n".join(texts)

    def stream(
        self, prompt: str, config: GenerateConfig, sample: int = 0, unknown: Unknown = "nearest"
    ) -> Iterator[str]:
        """What the model writes after the prompt, piece by piece; `sample` tells the n texts
        apart."""
        return sampling.write(
            self.reference, self.tokenizer, prompt, config, sample=sample, unknown=unknown
        )

    def trace(self, text: str, unknown: Unknown = "nearest") -> Trace:
        """Every value on the way from a text to what the model says of its next character.

        Of a text longer than the context, the window that the model writes on from. Characters it
        never saw are replaced by the nearest (`unknown="error"`: UnknownCharacterError)."""
        return trace_of(self.reference, self.tokenizer, text, unknown, self.run.weights)

    def backprop(
        self, text: str, position: int | None = None, unknown: Unknown = "nearest"
    ) -> "backpropagation.Backpropagation":
        """The loss of one letter of a text, the one after `position`, and its gradients by hand,
        beside autograd's. Unless told otherwise it is the last letter's.

        Fewer than two characters are a TextError, a position that no letter follows a
        SettingError."""
        from babypoet import backpropagation

        return backpropagation.follow(
            self.config, self.run.weights(), self.tokenizer, text, position, unknown
        )

    def training_text(self, limit: int = evaluation.LIMIT) -> str:
        """The last `limit` characters of what the model learned from."""
        return self.tokenizer.decode(self._parts.train[-limit:].tolist())

    @property  # not kept: Windows cannot replace a file that somebody has mapped
    def _parts(self) -> corpus.Parts:
        return corpus.load_parts(self.run.path / "data")

    def evaluate(self) -> evaluation.Verdict:
        """The verdict: exact loss on the held-out part, the opponents, overfitting, structure,
        copying."""
        self.run.check_data()
        train, validation, held_out = self._parts
        loss = self.held_out_loss()
        text = self.training_text()
        searched = text  # for copies, which are told by where they stand
        if len(train) > len(text):
            searched = self.tokenizer.decode(train[: evaluation.LIMIT].tolist())
        samples = ["".join(self.stream("", JUDGED, sample=i)) for i in range(JUDGED.n)]
        return evaluation.Verdict(
            held_out=loss,
            baselines=counting.baselines(
                train, validation, held_out, self.tokenizer.characters, self.config.block_size
            ),
            overfitting_since=evaluation.overfitting_since(self.run.curve()),
            structure=evaluation.structure(samples, text),
            structure_held_out=evaluation.structure(
                [self.tokenizer.decode(held_out[: JUDGED.n * JUDGED.length].tolist())], text
            ),
            copied=evaluation.copied(samples, searched),
        )

    def conclude(self, known: Mapping[str, float] | None = None) -> evaluation.Verdict:
        """`evaluate`, with the verdict written into run.json and the loss curve into loss.svg and
        loss.png. `known`: the run's `opponents`, if they were counted before."""
        found = self.evaluate()
        record = self.run.load_run()
        self.run.save_run({**record, "verdict": found.to_dict()})
        curves = {self.config.rung: self.run.lines("metrics.jsonl")}
        pictures.save_loss_curves(self.run.path, curves, known or opponents(self.run))
        return found

    def held_out_loss(self) -> evaluation.Loss:
        """The exact loss on the held-out part."""
        train, validation, held_out = self._parts
        if not len(held_out):
            raise RunError(f"{self.run.path} has no held-out part to be judged on.")
        before = int(validation[-1] if len(validation) else train[-1])
        nats = evaluation.exact_loss(self.model, held_out, before)
        return evaluation.Loss(nats, len(held_out))

    def share(
        self,
        path: str | Path,
        weights: "Precision" = "int8",
        with_text: bool = False,
        strings: str | Path | None = None,
    ) -> "page.Shared":
        """Write this poet to one HTML file that opens by double click, without a network, and
        return what is in it: `.contents`, `.said`, `.bytes`.

        `weights` are packed as int8, fp16 or fp32. The training text goes in only `with_text`.
        `strings`: a JSON file with the page's words in another language."""
        from babypoet.exporting import page

        words = Path(strings) if strings is not None else None
        return page.share(self.run, Path(path), weights, with_text, words, self._counted())

    def show(self, weights: "Precision" = "int8") -> "page.Inline":
        """The page of `share`, inside a notebook."""
        from babypoet.exporting import page

        return page.Inline(page.render(self.run, weights, opponents=self._counted()).html)

    def _counted(self) -> dict[str, float]:
        """The opponents; none where there is no validation part to measure them on."""
        return opponents(self.run) if len(self._parts.validation) else {}

    def loss_on(self, text: str) -> tuple[evaluation.Loss, float]:
        """The loss on a text of one's own, and the share of its characters that the model never
        saw; each of those is charged ln V. An empty text is a TextError."""
        return evaluation.loss_on_text(self.model, self.tokenizer, text)


def opponents(run: runs.RunFolder) -> dict[str, float]:
    """What counting the training part reaches where the live loss is measured, in nats, given the
    same windows. Of a long text only the last COUNTED characters are counted."""
    config = run.model_config()
    train, validation, _ = corpus.load_parts(run.path / "data")
    train = train[-COUNTED:]
    order = counting.choose_order(train, validation[: COUNTED // 10], config.vocab_size)
    counter = counting.KneserNey.fit(train, config.vocab_size, max(order, 2))
    stretches = evaluation.spread(len(validation))
    edge = counting.LARGEST_ORDER  # no counter looks back further

    def nats(order: int) -> float:
        losses: list[float] = []
        for at in stretches:
            before = np.concatenate([train[-edge:], validation[max(0, at.start - edge) : at.start]])
            ids = validation[at]
            loss = counter.cross_entropy(ids, before, config.block_size, order=order)
            losses.append(loss * len(ids))
        return sum(losses) / sum(len(validation[at]) for at in stretches)

    named = {"letter counts": nats(1), "letter pairs": nats(2)}
    return named | {f"best counter (order {order})": nats(order)} if order > 2 else named


def load(path: str | Path | None = None) -> Poet:
    """The poet of a run folder, or of the newest run under runs/. Not a run, or one that ended
    before anything was saved: RunError."""
    run = runs.RunFolder.open(path if path is not None else runs.newest_run())
    if run.load_run()["best"] is None:
        raise RunError(
            f"{run.path} has no weights yet: its training was stopped before it could save any. "
            f"Go on with it: babypoet train --resume --out {run.path}"
        )
    return Poet(run)


def evaluate(path: str | Path | None = None) -> evaluation.Verdict:
    """`load(path).evaluate()`."""
    return load(path).evaluate()


def open_text(
    paths: tuple[str | Path, ...], text: str | None, field: str, holdout: int | float | None
) -> corpus.Corpus:
    """The text of a training: paths, or a string, or else the built-in poems."""
    if text is not None:
        if paths:
            raise SettingError("Give paths or text=, not both.")
        return corpus.corpus_of(text, holdout=holdout)
    return corpus.open_corpus(corpus.Source(tuple(map(Path, paths)), field=field), holdout)


def run_name(corpus_name: str, rung: str) -> Path:
    """Where a run goes if nobody says: runs/<text>-<rung>, numbered when taken."""
    return runs.free_name(Path("runs") / f"{corpus_name}-{rung}")


def resumed(out: str | Path | None, also_given: Sequence[str]) -> runs.RunFolder:
    """The run to go on with: `out`, or the newest that has not ended. Whatever else was given is a
    SettingError."""
    if also_given:
        raise SettingError(
            f"--resume goes on with the run's own text and settings, so {', '.join(also_given)} "
            "cannot be given with it. Leave it out, or start a new run without --resume."
        )
    return runs.RunFolder.open(out if out is not None else runs.newest_unfinished_run())


def train(
    *paths: str | Path,
    text: str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    field: str = "text",
    **settings: Any,
) -> Poet:
    """Train a model on files, folders, a string (`text=`) or the built-in poems, and return its
    poet.

    `settings` are TrainConfig's: rung, steps, minutes, seed, block_size and so on; what is not
    given is chosen. With `resume` the run in `out`, or the newest one, is trained to its end,
    and nothing else can be given. Raises TextError, SettingError or RunError, each with what to
    do."""
    from babypoet import training

    reject_unknown(settings, TrainConfig)
    config = TrainConfig(**settings)
    if resume:
        texts = [*map(str, paths), *(["text="] if text is not None else [])]
        run = resumed(out, texts + ["--overwrite"] * overwrite + [flag(name) for name in settings])
    else:
        found = open_text(paths, text, field, config.holdout)
        where = Path(out) if out is not None else run_name(found.name, config.rung)
        run = training.prepare(found, config, where, overwrite)
    for event in training.train(run):
        if isinstance(event, training.Finished) and event.reason == "diverged":
            raise SettingError(training.diverged_message(event, run))
    poet = Poet(run)
    poet.conclude()
    return poet
