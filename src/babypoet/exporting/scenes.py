"""The facts that a page's scenes tell, as plain values: lines to guess, the training, the curve.

    told = game(held_out, train, tokenizer.characters, block_size=192)
    moments = history(run, end, chosen, history_ids)

Whatever is quoted comes from the held-out part, never from the training part: that one leaves a run
only with --with-text. What a model says is computed by `reference.py`. Nothing here is drawn at
random, so the same run gives the same facts."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babypoet import evaluation, heads
from babypoet.batches import Ids
from babypoet.config import RUNG_NAMES
from babypoet.corpus import Parts
from babypoet.counting import LIMIT, KneserNey
from babypoet.errors import RunError
from babypoet.reference import Array, Reference
from babypoet.runs import RunFolder
from babypoet.tokenizer import CharTokenizer

LINES = 8  # of the guessing game
SHORTEST, LONGEST = 15, 60  # characters of one
STRETCH = 40  # characters of one where the text has no lines
CONTEXT = 120  # characters before one
LINE = 40  # characters of the line whose attention is shown
GLIMPSE = 24  # characters of the line whose attention is shown for each step of the training
PIECE = 24  # positions that are read at a time, as in `reference.Cache.extend`
JUDGED = 12_000  # characters on which the packed weights are compared with the exact ones


# --- loss -----------------------------------------------------------------------------------------


def total_nats(model: Reference, ids: Ids, before: int) -> float:
    """The sum of -ln p over `ids`, in the windows of `evaluation.windows`; `before` precedes them.

    Infinite or not a number where the weights are."""
    losses = []
    for inputs, targets in evaluation.windows(ids, before, model.config.block_size, batch_size=1):
        logits = logits_of(model, inputs[0].tolist())  # (T, V)
        peak = logits.max(axis=-1)
        total = np.log(np.exp(logits - peak[:, None]).sum(axis=-1)) + peak  # (T,)
        right = logits[np.arange(len(logits)), targets[0]]  # (T,)
        losses.append(float((total - right).sum()))
    return sum(losses)


def logits_of(model: Reference, ids: Sequence[int]) -> NDArray[np.float64]:
    """The logits at every position of a window: (T, V).

    It is read in pieces: `reference.Linear` says why a whole window may take a hundred times as
    long on a machine that has other work."""
    past = model.start()
    pieces = [model.read(ids[i : i + PIECE], past) for i in range(0, len(ids), PIECE)]
    return np.concatenate(pieces).astype(np.float64)


def first_held_out(parts: Parts, block_size: int) -> Ids:
    """The first whole windows of the held-out part, JUDGED characters or a little less."""
    return parts.held_out[: max(block_size, JUDGED // block_size * block_size)]


def held_out_nats(model: Reference, parts: Parts, ids: Ids) -> float | None:
    """The mean loss on the beginning of the held-out part; None where there is none."""
    return finite(total_nats(model, ids, _last(parts)) / len(ids)) if len(ids) else None


def validation_nats(model: Reference, parts: Parts) -> float | None:
    """The mean loss on the characters that a training looks at, as it measures it."""
    ids, total, count = parts.validation, 0.0, 0
    for at in evaluation.spread(len(ids)) if len(ids) else []:
        before = int(ids[at.start - 1]) if at.start else int(parts.train[-1])
        total += total_nats(model, ids[at], before)
        count += len(ids[at])
    return finite(total / count) if count else None


def finite(x: float) -> float | None:
    """Seven digits of a number; None for what JSON has no word for."""
    return float(f"{x:.7g}") if math.isfinite(x) else None


def _last(parts: Parts) -> int:
    """The character before the held-out part."""
    return int(parts.validation[-1] if len(parts.validation) else parts.train[-1])


# --- lines ----------------------------------------------------------------------------------------


def classes(characters: Sequence[str]) -> list[int]:
    """The class of each character: those that differ only by case share one.

    >>> classes("ABab-")
    [0, 1, 0, 1, 2]
    """
    found: dict[str, int] = {}
    return [found.setdefault(char.lower(), len(found)) for char in characters]


def lines(text: str, most: int = LINES) -> list[tuple[int, int]]:
    """Up to `most` lines of a text, spread over it: (start, stop) each, at most LONGEST long.

    Blank lines are left out and long ones cut, after a word where there are words. Where most lines
    are short, shorter ones than SHORTEST are taken. The very first line is taken only for want of
    another, because nothing stands before it."""
    if "\n" in text.strip("\n"):
        pieces = [(m.start(), m.end()) for m in re.finditer(r"[^\n]+", text)]
    else:
        pieces = [(i, min(i + STRETCH, len(text))) for i in range(0, len(text), STRETCH)]
    trimmed = [piece for start, stop in pieces if (piece := _trimmed(text, start, stop))]
    found = sorted({text[start:stop]: (start, stop) for start, stop in trimmed}.values())
    if len(found) > 1 and found[0][0] == 0:
        del found[0]
    for least in (SHORTEST, SHORTEST // 2, 4):
        long_enough = [piece for piece in found if piece[1] - piece[0] >= least]
        if len(long_enough) >= most:
            found = long_enough
            break
    n = min(most, len(found))
    return [found[i * len(found) // n] for i in range(n)]


def _trimmed(text: str, start: int, stop: int) -> tuple[int, int] | None:
    """A line without the blanks around it, cut to LONGEST; None where it is blank."""
    line = text[start:stop]
    start += len(line) - len(line.lstrip())
    line = line.strip()
    if len(line) > LONGEST:
        words = line[: LONGEST + 1].rsplit(None, 1)[0]
        line = words if SHORTEST <= len(words) <= LONGEST else line[:LONGEST]
    return (start, start + len(line)) if line else None


def game(
    held_out: Ids, train: Ids, characters: Sequence[str], block_size: int
) -> dict[str, list[Any]]:
    """Lines to guess letter by letter, and what a table of letter pairs guesses for each."""
    text = "".join(characters[i] for i in held_out.tolist())
    counter = KneserNey.fit(train[-LIMIT:], len(characters), order=2)
    group = np.array(classes(characters))
    found = []
    for start, stop in lines(text):
        before = text[max(0, start - min(CONTEXT, block_size)) : start]
        # begin with a line where there is one: half a word is hard to read
        cut = before.find("\n") + 1
        kept = len(before) - (cut if cut < len(before) else 0)
        context = held_out[start - kept : start].tolist() or [start_of_line(characters)]
        ids = held_out[start:stop].tolist()
        pairs = [
            pair_guess(counter.distribution([previous]), group, right)
            for previous, right in itertools.pairwise([context[-1], *ids])
        ]
        found.append({"context": context, "ids": ids, "pairs": pairs})
    return {"lines": found, "classes": group.tolist()}


def start_of_line(characters: Sequence[str]) -> int:
    """What stands before a text: a line break, or the first character where there is none."""
    return list(characters).index("\n") if "\n" in characters else 0


def pair_guess(p: NDArray[np.float64], group: NDArray[np.int64], right: int) -> dict[str, Any]:
    """What a distribution (V,) guesses where upper and lower case count as one.

    `top`: the three likeliest classes, each as its likeliest character. `rank`: the place of the
    right class, from 1. `p`: its probability.

    >>> pair_guess(np.array([0.2, 0.3, 0.5]), np.array([0, 1, 0]), right=0)
    {'top': [2, 1], 'rank': 1, 'p': 0.7}
    """
    share = np.bincount(group, weights=p)
    order = np.argsort(-share, kind="stable")
    top = [int(np.where(group == one, p, -1).argmax()) for one in order[:3]]
    rank = int(np.flatnonzero(order == group[right])[0]) + 1
    return {"top": top, "rank": rank, "p": float(f"{share[group[right]]:.7g}")}


def line_to_look_at(told: Mapping[str, Any], prompt: list[int], block_size: int) -> list[int]:
    """The line of the game that is nearest to three quarters of LINE in length, or the prompt."""
    found = [line["ids"] for line in told["lines"]]
    best = min(found, key=lambda ids: abs(len(ids) - LINE * 3 // 4), default=prompt)
    return list(best[: min(LINE, block_size)])


def glimpse(line: Sequence[int], characters: Sequence[str]) -> list[int]:
    """The beginning of a line, at most GLIMPSE characters, whole words where it has any."""
    text = "".join(characters[i] for i in line)
    if len(text) > GLIMPSE:
        words = text[: GLIMPSE + 1].rsplit(None, 1)[0]
        text = words if GLIMPSE // 2 <= len(words) <= GLIMPSE else text[:GLIMPSE]
    return list(line[: len(text)])


def prompt(tokenizer: CharTokenizer, held_out: Ids) -> str:
    """Something to begin with that the model can read: "love this", or the first words of a
    held-out line, or else the first character that can be seen."""
    if not tokenizer.foreign("love this"):
        return "love this"
    text = tokenizer.decode(held_out[:10_000].tolist())
    begun = (" ".join(line.split()[:2])[:12] for line in text.split("\n")[1:] or [text])
    shown = (char for char in tokenizer.characters if char.isprintable() and not char.isspace())
    candidates = itertools.chain((s for s in begun if s and s.isprintable()), shown)
    return next(candidates, tokenizer.characters[0])


# --- the training ---------------------------------------------------------------------------------


@dataclass
class Moment:
    """One step of the training that was kept."""

    step: int
    nats: float | None
    sample: str
    attention: list[list[float]] | None
    model: str | None = None
    """Which of the page's models has these weights; None where they are not in the file."""

    def to_dict(self) -> dict[str, Any]:
        """As the page reads it."""
        names = ("step", "nats", "sample", "model", "attention")
        return {name: getattr(self, name) for name in names}


def history(
    run: RunFolder, end: Reference, parts: Parts, chosen: heads.Head | None, ids: Sequence[int]
) -> list[Moment]:
    """The steps that the run kept, and the one whose weights are its best, in order.

    `nats` is what the training measured at that step; where it did not, it is measured now, with
    the weights kept then, on the same characters. `attention` is the chosen head's over `ids`."""
    best = int(run.load_run()["best"]["step"])
    known = dict(run.curve())
    written = {line["step"]: line["text"] for line in run.lines("samples.jsonl")}
    found = []
    for step in sorted({*run.history(), best}):
        if step == best:
            model, sample = end, written.get(step, "")
        else:
            weights, sample = run.load_history(step)
            model = Reference(end.config, weights)
        nats = known.get(step)
        with np.errstate(all="ignore"):  # a training that came apart has no numbers to show
            nats = finite(nats) if nats is not None else validation_nats(model, parts)
            seen = attention(model, chosen, ids)
        found.append(Moment(step, nats, sample, seen, "end" if step == best else None))
    return found


def attention(
    model: Reference, chosen: heads.Head | None, ids: Sequence[int]
) -> list[list[float]] | None:
    """A head's attention over a line: for each position what it gives to itself and to those
    before. None without heads, or where the weights are no numbers."""
    if chosen is None:
        return None
    weights: Array = heads.attention(model, ids)[chosen.layer][chosen.head]  # (T, T)
    if not np.isfinite(weights).all():
        return None
    return [[round(float(x), 4) for x in row[: i + 1]] for i, row in enumerate(weights)]


def half_way(moments: Sequence[Moment], pairs: float | None = None) -> Moment | None:
    """The moment half way down the loss; None where nothing was kept between beginning and end.

    Half of the way to the end counts from where a table of letter pairs stands (`pairs`, in nats),
    if that is known: down to there everything is gibberish, and one picture of that is enough."""
    end = next(i for i, moment in enumerate(moments) if moment.model == "end")
    between = [m for m in moments[:end] if m.step > 0 and m.nats is not None]
    first, last = moments[0].nats, moments[end].nats
    if not between or first is None or last is None:
        return None
    middle = (min(first, pairs if pairs is not None and pairs > last else first) + last) / 2
    return min(between, key=lambda m: abs((m.nats or 0.0) - middle))


# --- the ladder -----------------------------------------------------------------------------------


def ladder(run: RunFolder) -> Iterator[RunFolder]:
    """The other rungs of the ladder that a run is part of: the same text and seed, beside it."""
    path = run.path.resolve()
    match = re.fullmatch(rf"({'|'.join(RUNG_NAMES)})-seed(\d+)", path.name)
    for rung in RUNG_NAMES if match else ():
        assert match is not None
        sibling = path.with_name(f"{rung}-seed{match.group(2)}")
        if rung != match.group(1) and (sibling / "run.json").is_file():
            try:
                other = RunFolder.open(sibling)
                if _same_text(run, other) and other.load_run()["best"] is not None:
                    yield other
            except RunError:  # a damaged sibling is no reason not to share this one
                continue


def _same_text(run: RunFolder, other: RunFolder) -> bool:
    """Whether two runs learned the same text, and so read the same ids."""
    digests = [each.load_run()["text"]["digest"] for each in (run, other)]
    return digests[0] == digests[1] and run.tokenizer() == other.tokenizer()
