"""Train what the learner wrote: their classes, our trainer, our poems.

The highest rung whose lesson passes is trained: V2 from lesson 8, V3 from 9, V4 from 12, and V5,
our Modern with their functions in place of ours, from 16. Before the first update their model is
given the same weights as ours and has to give the same scores. What comes out is an ordinary run
folder: everything else that reads it builds ours around their weights.

Their code runs in this process, and only as it was when it passed its checks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from babypoet import corpus, ladder, planning, runs, training
from babypoet.config import ModelConfig, RungName, TrainConfig
from babypoet.course import checking
from babypoet.course.folder import Folder
from babypoet.course.lessons import LESSONS, Lesson
from babypoet.errors import LessonError
from babypoet.ladder import Rung
from babypoet.runs import RunFolder
from babypoet.terminal import quoted

RUNGS: dict[RungName, int] = {"attention": 8, "multihead": 9, "transformer": 12, "modern": 16}
CLASSES = {"attention": "Attention", "multihead": "MultiHead", "transformer": "Transformer"}
PARTS = {"CausalHead": 8, "MultiHeadAttention": 9, "LayerNorm": 10, "MLP": 11, "Block": 12}
STEPS = {"transformer": 1000, "modern": 1000}  # about two minutes; the lower rungs take seconds
TABLE_CHARACTERS, TABLE_STEPS, TABLE_RATE = 20_000, 200, 20.0

Build = Callable[[ModelConfig, int], Rung]


def lesson(number: int) -> Lesson:
    """A lesson by its number."""
    return next(lesson for lesson in LESSONS if lesson.number == number)


def highest(folder: Folder, asked: RungName = "modern") -> RungName | None:
    """The highest rung, up to `asked`, whose lesson passes."""
    passed = {each.number for each in LESSONS if folder.state(each) == "passed"}
    names = list(RUNGS)
    there = [name for name in names if RUNGS[name] in passed]
    return next((n for n in reversed(there) if names.index(n) <= names.index(asked)), None)


def prepare(folder: Folder, rung: RungName, given: TrainConfig) -> tuple[RunFolder, Build]:
    """A new run in the learner's folder, and what builds their model. To be used, and trained,
    inside `checking.lesson_imports(folder.path)`."""
    build = builder(folder, rung)
    given = replace(given, rung=rung)
    if given.steps is None and given.minutes is None:
        given = replace(given, steps=STEPS.get(rung))
    found = corpus.open_corpus(corpus.Source(), given.holdout)
    config = planning.make_plan(given, found.train_size, found.tokenizer.vocab_size).model
    compare_models(build(config, 0), ladder.build(config), rung)
    run = training.prepare(found, given, runs.free_name(folder.path / "run"))
    record, file = run.load_run(), lesson(RUNGS[rung]).file
    record["notes"] = [*record["notes"], f"the model is the one you wrote ({file})"]
    run.save_run(record)
    return run, build


def builder(folder: Folder, rung: RungName) -> Build:
    """What builds the learner's model of a rung, from a config and a seed."""
    where = lesson(RUNGS[rung])
    try:
        theirs = checking.load(folder.file(where), where.module, folder.path.resolve())
    except checking.Stopped as stopped:
        raise LessonError(f"{stopped.problem.says} See: babypoet learn check") from None

    def build(config: ModelConfig, seed: int = 0) -> Rung:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            if rung == "modern":
                return with_their_parts(ladder.Modern(config), theirs)
            model: Rung = getattr(theirs, CLASSES[rung])(config)
            return model

    return build


def with_their_parts(model: ladder.Modern, theirs: Any) -> Rung:
    """Our V5 with the learner's rms_norm, rope, rope_tables, swiglu and share_heads in it."""

    class TheirNorm(ladder.RMSNorm):
        def forward(self, x: Tensor) -> Tensor:
            return theirs.rms_norm(x, self.weight, self.eps)

    class TheirSwiGLU(ladder.SwiGLU):
        def forward(self, x: Tensor) -> Tensor:
            return self.down_proj(theirs.swiglu(self.gate_proj(x), self.up_proj(x)))

    class TheirAttention(ladder.GroupedQueryAttention):
        def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
            def heads(x: Tensor, n: int) -> Tensor:
                B, T, _ = x.shape
                return x.view(B, T, n, -1).transpose(1, 2)  # (B, n, T, D)

            groups = self.n_head // self.n_kv_head
            q = theirs.rope(self.q_norm(heads(self.q_proj(x), self.n_head)), cosine, sine)
            k = theirs.rope(self.k_norm(heads(self.k_proj(x), self.n_kv_head)), cosine, sine)
            v = heads(self.v_proj(x), self.n_kv_head)  # (B, K, T, D)
            k, v = theirs.share_heads(k, groups), theirs.share_heads(v, groups)  # (B, H, T, D)
            x = ladder.causal_attention(q, k, v).transpose(1, 2).flatten(2)  # (B, T, C)
            return self.o_proj(x)  # (B, T, C)

    swaps: dict[type[nn.Module], type[nn.Module]] = {
        ladder.RMSNorm: TheirNorm,
        ladder.SwiGLU: TheirSwiGLU,
        ladder.GroupedQueryAttention: TheirAttention,
    }
    for module in model.modules():  # the tensors and their names stay what they are
        if swap := swaps.get(type(module)):
            module.__class__ = swap
    config = model.config
    tables = theirs.rope_tables(config.block_size, config.head_size, config.rope_base)
    model.cosine, model.sine = tables
    return model


def compare_models(theirs: nn.Module, ours: Rung, rung: RungName) -> None:
    """Give both models the same weights and see whether they say the same; if not, LessonError
    with the lesson to look at again."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in ours.named_parameters():  # some begin at zero, and would hide much
            noise = torch.randn(parameter.shape, generator=generator)
            scale = parameter.shape[-1] ** -0.5 if parameter.ndim == 2 else 0.3
            offset = 1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0
            parameter.copy_(scale * noise + offset)
    number = RUNGS[rung]
    try:
        theirs.load_state_dict(ours.state_dict())
    except (RuntimeError, TypeError) as error:
        said = " ".join(str(error).split())[:300]
        raise LessonError(
            f"Your model's parameters are not called, or not shaped, as they should be: {said} "
            f"Look at lesson {number} again: babypoet learn check {number}"
        ) from None
    config = ours.config
    idx = torch.randint(config.vocab_size, (2, config.block_size), generator=generator)
    for model in (theirs, ours):
        model.eval()
    with torch.no_grad():
        try:
            same = torch.allclose(theirs(idx)[0], ours(idx)[0], rtol=1e-3, atol=1e-3)
        except Exception as error:
            raise LessonError(
                f"Your model cannot read a text ({type(error).__name__}: {error}). Look at lesson "
                f"{number} again: babypoet learn check {number}"
            ) from None
    if not same:
        number = _suspect(theirs, ours, number, generator)
        raise LessonError(
            "With the same weights your model gives other scores than it should. Look at lesson "
            f"{number} again: babypoet learn check {number}"
        )


def _suspect(theirs: nn.Module, ours: Rung, number: int, generator: torch.Generator) -> int:
    """The lesson of the first part that answers otherwise than ours, from the smallest up."""
    x = torch.randn(2, ours.config.block_size, ours.config.n_embd, generator=generator)
    parts = [(n, m) for n, m in ours.named_modules() if type(m).__name__ in PARTS]
    for name, module in sorted(parts, key=lambda part: -part[0].count(".")):
        try:
            with torch.no_grad():
                alike = torch.allclose(theirs.get_submodule(name)(x), module(x), 1e-3, 1e-3)
        except Exception:
            alike = False
        if not alike:
            return PARTS[type(module).__name__]
    return number


def table_by_descent(folder: Folder) -> str:
    """Before lesson 8 there is no model to train: what the table of lesson 3 learns and writes."""
    where = lesson(3)
    if folder.state(where) != "passed":
        raise LessonError(
            "There is nothing to run yet. Lesson 3 makes the first table that learns, and lesson 8 "
            "the first model. Where you are: babypoet learn"
        )
    with checking.lesson_imports(folder.path):
        try:
            theirs = checking.load(folder.file(where), where.module, folder.path.resolve())
        except checking.Stopped as stopped:
            raise LessonError(f"{stopped.problem.says} See: babypoet learn check 3") from None
        text = corpus.builtin_poems()[:TABLE_CHARACTERS]
        characters = sorted(set(text))
        ids = np.array([characters.index(character) for character in text])
        table = np.zeros((len(characters), len(characters)))
        before = float(theirs.loss(table, ids))
        table = theirs.descend(table, ids, TABLE_STEPS, TABLE_RATE)
        after = float(theirs.loss(table, ids))
    p = np.exp(table - table.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    rng, at, written = np.random.default_rng(0), characters.index("\n"), ""
    while len(written) < 300:
        at = int(rng.choice(len(p), p=p[at]))
        written += characters[at]
    return (
        f"Your table of lesson 3, after {TABLE_STEPS} steps on {len(text):,} characters: "
        f"{before:.3f} -> {after:.3f} nats.\nIt writes:\n\n{written.strip()}\n\n"
        "The first model to train comes with lesson 8."
    )


def afterwards(folder: Folder, run: Path) -> str:
    """What to do with the model of a run."""
    page = quoted(folder.path / "my-llm.html")
    return f"This is your model: share it with babypoet share --run {quoted(run)} -o {page}"
