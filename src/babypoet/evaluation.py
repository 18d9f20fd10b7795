"""How good a model is: exact loss, rank among the counters, look of its text, what was copied.

    held_out = Loss(exact_loss(model, ids, before=last_training_id), len(ids))
    verdict = Verdict(held_out, baselines(...), ...)
    print("\\n".join(verdict.sentences()))

Nothing here is random and nothing changes the model. torch is imported inside the two functions
that run a model. This module does not generate the samples it judges, and prints nothing.
"""

import itertools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from babypoet.batches import Ids
from babypoet.counting import Baselines
from babypoet.errors import TextError
from babypoet.tokenizer import CharTokenizer

if TYPE_CHECKING:
    from babypoet.ladder import Rung

LIMIT = 5_000_000  # characters of the training text that samples are compared with
OVERFITTING = 0.01  # nats above its minimum that the validation loss must end
NO_DIFFERENCE = 0.005  # nats: closer than this is said to be equal
NOTHING_NEW = 0.02  # nats within which a model counts as no better than a simple counter
LONG_COPY = 100  # characters: a passage longer than this is recited
_LOGITS = 1 << 24  # numbers that a batch may give back: 64 MB


# --- loss -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loss:
    """A mean loss, in the three ways people say it.

    >>> loss = Loss(nats=1.386294, characters=1000)
    >>> round(loss.bits, 3), round(loss.torn_between, 3)
    (2.0, 4.0)
    """

    nats: float
    """The mean of -ln p(character)."""
    characters: int
    """How many characters it is the mean of."""

    @property
    def bits(self) -> float:
        """Bits per character: nats / ln 2."""
        return self.nats / math.log(2)

    @property
    def torn_between(self) -> float:
        """e^nats, the perplexity: as unsure as between so many equally likely characters."""
        return math.exp(self.nats) if self.nats < 700 else math.inf

    def to_dict(self) -> dict[str, float | int | None]:
        """The two fields and the two properties; None for what is no finite number."""
        return {
            "nats": _finite(self.nats),
            "bits": _finite(self.bits),
            "torn_between": _finite(self.torn_between),
            "characters": self.characters,
        }


def _finite(x: float | None) -> float | None:
    """JSON has no infinity and no NaN."""
    return x if x is not None and math.isfinite(x) else None


def windows(
    ids: Ids, before: int, block_size: int, batch_size: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Inputs and targets that judge each of `ids` (N,) exactly once: pairs of (B, T) arrays.

    The windows stand side by side, T = `block_size`, up to `batch_size` of them at a time; what is
    left over makes a last, shorter window of its own. The first input is `before`, the character
    that stands before `ids`; each other window starts with the last target of the one before it.

    >>> pairs = windows(np.array([1, 2, 3]), before=0, block_size=2, batch_size=8)
    >>> [(inputs.tolist(), targets.tolist()) for inputs, targets in pairs]
    [([[0, 1]], [[1, 2]]), ([[2]], [[3]])]
    """
    assert block_size >= 1 and batch_size >= 1, (block_size, batch_size)
    full = len(ids) // block_size * block_size
    starts = [*range(0, full, block_size * batch_size), *([full] if full < len(ids) else [])]
    for start, stop in itertools.pairwise([*starts, len(ids)]):
        targets = np.asarray(ids[start:stop], dtype=np.int64)
        first = before if start == 0 else int(ids[start - 1])
        inputs = np.concatenate([[first], targets[:-1]])
        T = min(block_size, stop - start)
        yield inputs.reshape(-1, T), targets.reshape(-1, T)


def _losses(
    model: "Rung", ids: Ids, before: int, batch_size: int | None
) -> Iterator[NDArray[np.float64]]:
    """-ln p of each of `ids`, in order, in pieces. In eval mode; each module's mode is put back."""
    import torch
    import torch.nn.functional as F

    config = model.config
    if batch_size is None:
        batch_size = max(1, min(64, _LOGITS // (config.block_size * config.vocab_size)))
    device = next(model.parameters()).device
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        for inputs, targets in windows(ids, before, config.block_size, batch_size):
            with torch.no_grad():
                logits, _ = model(torch.from_numpy(inputs).to(device))  # (B, T, V)
                expected = torch.from_numpy(targets).to(device).flatten()  # (B * T,)
                losses = F.cross_entropy(logits.float().flatten(0, 1), expected, reduction="none")
            yield losses.cpu().numpy().astype(np.float64)
    finally:
        for module, training in modes:
            module.training = training


def spread(length: int, most: int = 16_384, stretches: int = 16) -> list[slice]:
    """Where to look in a part too long to be measured again and again: all of it if it has at most
    `most` characters, or else `stretches` pieces at equal distances, `most` characters together.

    >>> spread(100), spread(100, most=6, stretches=3)
    ([slice(0, 100, None)], [slice(0, 2, None), slice(33, 35, None), slice(66, 68, None)])
    """
    if length <= most:
        return [slice(0, length)]
    starts = (i * length // stretches for i in range(stretches))
    return [slice(start, start + most // stretches) for start in starts]


def exact_loss(model: "Rung", ids: Ids, before: int, batch_size: int | None = None) -> float:
    """The mean loss of a model on all of `ids` (N,), in nats per character; N >= 1.

    Every character once, in `windows` of the model's block size, nothing carried from one to the
    next; `before` is the character that stands before `ids`. Without dropout; summed in float64.
    The same number for every `batch_size` (None: as many windows as keep the logits at 64 MB) but
    for rounding.
    """
    assert len(ids), "no characters to judge"
    return math.fsum(float(x.sum()) for x in _losses(model, ids, before, batch_size)) / len(ids)


def loss_on_text(
    model: "Rung", tokenizer: CharTokenizer, text: str, batch_size: int | None = None
) -> tuple[Loss, float]:
    """The loss on any text, and the share of its characters that the model never saw.

    A character that is not in the vocabulary is charged ln V, whatever the model says. For those
    after it the nearest known character stands in its place; where there is none it is skipped, as
    if it were not there. The text is read as if a line began: the first character follows a
    newline, or the first character of a vocabulary that has none. An empty text is a TextError.
    """
    if not text:
        raise TextError("The text is empty, so there is nothing to judge. Give a longer one.")
    ranks = tokenizer.ranks(text)
    unknown = ranks < 0
    stand_ins = {c: s for c, s in tokenizer.foreign(text).items() if s is not None}
    for i in np.flatnonzero(unknown).tolist():
        if text[i] in stand_ins:
            ranks[i] = tokenizer.characters.index(stand_ins[text[i]])
    read = ranks >= 0
    charged = unknown[read]  # of what is read: which stand for another, and are not judged
    before = max(0, tokenizer.characters.find("\n"))
    total, place = int(unknown.sum()) * math.log(tokenizer.vocab_size), 0
    for losses in _losses(model, ranks[read], before, batch_size):
        total += float(losses[~charged[place : place + len(losses)]].sum())
        place += len(losses)
    return Loss(total / len(text), len(text)), float(unknown.mean())


def overfitting_since(validation: Sequence[tuple[int, float]]) -> int | None:
    """Since which step a model has been learning by heart, None if it has not.

    `validation` holds (step, nats) in order. The answer is the step of the lowest loss (the first
    of equals), where the last loss is more than 0.01 nats above it.

    >>> overfitting_since([(0, 4.4), (100, 1.8), (200, 1.7), (300, 1.75)])
    200
    >>> overfitting_since([(0, 4.4), (100, 1.8), (200, 1.7), (300, 1.705)]) is None
    True
    """
    numbers = [point for point in validation if not math.isnan(point[1])]
    if not numbers:
        return None
    step, lowest = min(numbers, key=lambda point: point[1])
    return step if validation[-1][1] > lowest + OVERFITTING else None


# --- structure ------------------------------------------------------------------------------------

# the first word of their Unicode names: scripts that are written without spaces between words
_NO_SPACES = {"CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "YI", "THAI", "LAO", "KHMER", "MYANMAR"}
_NO_SPACES |= {"TIBETAN", "JAVANESE"}
_LONGEST_WORDS = 20  # letters on average: where "words" are longer, spaces do not separate words
_OPENS = frozenset('([{“„«»"「『《〈（【')
_CLOSES = {")": "(", "]": "[", "}": "{", "”": "“„", "“": "„", "»": "«", "«": "»", '"': '"'}
_CLOSES |= {"」": "「", "』": "『", "》": "《", "〉": "〈", "）": "（", "】": "【"}
_RHYME = re.compile("(?:[aeiouyæøœ][\u0300-\u036f]*)+[^aeiouyæøœ]*e?$")  # with their accents


@dataclass(frozen=True)
class Structure:
    """How some texts look from outside. A measure that does not apply to them is None.

    The last line, and the last stanza, of a text is where it was cut off: neither counts as a line
    or a stanza.
    """

    word_share: float | None
    """The share of their words (runs of letters, in any case) that are words of the training text.
    A word that a text ends in is left out. None where there are no words, or where the script puts
    no spaces between them."""
    line_length: float | None
    """The mean length of a line that is not blank, in characters. None without line breaks."""
    stanza_length: float | None
    """The mean number of lines in a stanza: lines between blank ones. None without blank lines."""
    unclosed: float | None
    """The share of opened brackets and quotation marks that nothing closes in the same stanza (in
    the whole text, where it has one stanza). Straight quotes open and close in turn; apostrophes
    and single quotes are not looked at. None where nothing is opened."""
    rhyme_share: float | None
    """The share of lines, in stanzas of two and more, whose last word rhymes with that of a line
    one or two away in the same stanza. By spelling: different words, equal from their last run of
    vowels (a, e, i, o, u, y, æ, ø, œ) on; a plain e at the end is silent, so that time and lime
    rhyme on -ime, and time and rhyme do not. None where most letters are not Latin, or no stanza
    has two lines."""


def _scripts(text: str) -> Counter[str]:
    """How many letters of each script there are: the first word of their Unicode names.

    >>> _scripts("ab, 愛")
    Counter({'LATIN': 2, 'CJK': 1})
    """
    found: Counter[str] = Counter()
    for char, count in Counter(text).items():
        if char.isalpha():
            found[unicodedata.name(char, "?").split()[0]] += count
    return found


def _spaced(text: str, words: Sequence[str]) -> bool:
    """Whether spaces separate words in a text that has these `words`."""
    scripts = _scripts(text)
    spaceless = sum(count for script, count in scripts.items() if script in _NO_SPACES)
    return 2 * spaceless <= scripts.total() and sum(map(len, words)) <= _LONGEST_WORDS * len(words)


def _words(text: str) -> list[str]:
    """Runs of letters with their marks and inner apostrophes, in small letters.

    >>> _words("Don't say 'Øre', 42 times")
    ["don't", 'say', 'øre', 'times']
    """
    text = text.casefold()
    gaps = {ord(c): " " for c in set(text) if not _in_word(c)}
    return [word for run in text.translate(gaps).split() if (word := run.strip("'’"))]


def _in_word(char: str) -> bool:
    """Whether a character can stand inside a word; vowel signs and accents (category M) can."""
    return char in "'’" or unicodedata.category(char)[0] in "LM"


def _word_share(texts: Sequence[str], training_text: str) -> float | None:
    known = _words(training_text)
    words = []
    for text in texts:
        found = _words(text)
        words += found[:-1] if text and _in_word(text[-1]) else found
    if not words or not _spaced(training_text, known) or not _spaced("".join(texts), words):
        return None
    distinct = set(known)
    return sum(word in distinct for word in words) / len(words)


def _stanzas(text: str) -> list[list[str]]:
    """The finished stanzas of a text, each a list of lines that are not blank.

    >>> _stanzas("a\\nb\\n\\nc\\n\\nd")
    [['a', 'b'], ['c']]
    """
    blocks = [block.split("\n") for block in re.split(r"\n\s*\n", text)[:-1]]
    return [lines for block in blocks if (lines := [line for line in block if line.strip()])]


def _unclosed(stanza: str) -> tuple[int, int]:
    """How many marks are opened, and how many of them nothing closes.

    >>> _unclosed('("a" [b)')
    (3, 1)
    """
    open_marks: list[str] = []
    opened = 0
    for char in stanza:
        partner = next((c for c in reversed(open_marks) if c in _CLOSES.get(char, "")), None)
        if partner is not None:
            open_marks.remove(partner)
        elif char in _OPENS:
            open_marks.append(char)
            opened += 1
    return opened, len(open_marks)


def _tail(line: str) -> tuple[str, str]:
    """The last word of a line, and what must be equal for it to rhyme; empty where it has no vowel.

    >>> _tail("a rusty nail."), _tail("sublime"), _tail("Tisch!")
    (('nail', 'ail'), ('sublime', 'ime'), ('tisch', 'isch'))
    """
    # an accent is a character of its own here, so that an é at the end is no silent e
    word = (_words(unicodedata.normalize("NFD", line)) or [""])[-1]
    match = _RHYME.search(word)
    return word, match.group() if match else ""


def _rhymes(stanza: Sequence[str]) -> list[bool]:
    """Of each line, whether it rhymes with one that is one or two lines away."""
    tails = [_tail(line) for line in stanza]

    def rhyme(i: int, j: int) -> bool:
        (word, tail), (other, other_tail) = tails[i], tails[j]
        return word != other and tail == other_tail != ""

    near = range(-2, 3)
    return [
        any(rhyme(i, i + d) for d in near if d and 0 <= i + d < len(tails))
        for i in range(len(tails))
    ]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def structure(texts: str | Sequence[str], training_text: str, limit: int = LIMIT) -> Structure:
    """Measure some texts: samples of a model, or the held-out text to compare them with.

    `training_text` is where words are known from; the last `limit` characters of it are looked at.
    """
    texts = [texts] if isinstance(texts, str) else texts
    whole = "\n".join(texts)
    lines = [line for text in texts for line in text.split("\n")[:-1] if line.strip()]
    stanzas = [stanza for text in texts for stanza in _stanzas(text)]
    blocks = [block for text in texts for block in _stanzas(text) or [[text]]]
    marks = [_unclosed("\n".join(block)) for block in blocks]
    opened = sum(mark[0] for mark in marks)
    scripts = _scripts(whole)
    latin = 2 * scripts["LATIN"] > scripts.total()
    rhymes = [rhyme for stanza in stanzas if len(stanza) > 1 for rhyme in _rhymes(stanza)]
    return Structure(
        word_share=_word_share(texts, training_text[-limit:]),
        line_length=_mean([len(line) for line in lines]),
        stanza_length=_mean([len(stanza) for stanza in stanzas]),
        unclosed=sum(mark[1] for mark in marks) / opened if opened else None,
        rhyme_share=_mean(rhymes) if latin else None,
    )


# --- what was copied ------------------------------------------------------------------------------

_WHOLE_LINE = 10  # characters, spaces around it not counted: shorter lines are shared by chance


@dataclass(frozen=True)
class Copied:
    """What some samples share with the training text, character by character."""

    longest: str
    """The longest passage of a sample that stands in the training text; the first of equals."""
    length: int
    """How many characters it has."""
    position: int
    """Where in the training text it first stands, from 0."""
    line: int
    """In which line of the training text it starts, from 1."""
    line_share: float | None
    """The share of the samples' whole lines of 10 and more characters that are lines of the
    training text. None where there are none."""
    searched: int
    """How many characters of the training text were searched: the first ones."""


class _Automaton:
    """The suffix automaton of some texts: it knows every string that is in one of them.

    Blumer et al. 1985, "The smallest automaton recognizing the subwords of a text". Its size is
    linear in the texts', and a text of any length runs past it in a time that does not depend on
    them.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.next: list[dict[str, int]] = [{}]
        self.link = [-1]
        self.length = [0]
        last = 0
        for text in texts:
            for char in (*text, ""):  # "" ends each text: no character is equal to it
                last = self._extend(last, char)

    def _extend(self, last: int, char: str) -> int:
        new = self._state({}, 0, self.length[last] + 1)
        state = last
        while state >= 0 and char not in self.next[state]:
            self.next[state][char] = new
            state = self.link[state]
        if state < 0:
            return new
        follower = self.next[state][char]
        if self.length[follower] == self.length[state] + 1:
            self.link[new] = follower
            return new
        clone = self._state(self.next[follower].copy(), self.link[follower], self.length[state] + 1)
        while state >= 0 and self.next[state].get(char) == follower:
            self.next[state][char] = clone
            state = self.link[state]
        self.link[follower] = self.link[new] = clone
        return new

    def _state(self, following: dict[str, int], link: int, length: int) -> int:
        self.next.append(following)
        self.link.append(link)
        self.length.append(length)
        return len(self.next) - 1

    def longest_in(self, text: str) -> tuple[int, int]:
        """(start, length) in `text` of the longest passage that one of the texts has as well."""
        state = matched = start = longest = 0
        following, link, length = self.next, self.link, self.length
        for i, char in enumerate(text):
            while state and char not in following[state]:
                state = link[state]
                matched = length[state]
            if char in following[state]:
                state = following[state][char]
                matched += 1
                if matched > longest:
                    start, longest = i + 1 - matched, matched
        return start, longest


def copied(samples: str | Sequence[str], training_text: str, limit: int = LIMIT) -> Copied:
    """Compare samples with the first `limit` characters of the training text, exactly.

    Give samples without their prompt, or the prompt counts as copied. About a second for each two
    million characters searched. The line a sample was cut off in is no whole line.
    """
    samples = [samples] if isinstance(samples, str) else samples
    searched = training_text[:limit]
    start, length = _Automaton(samples).longest_in(searched)
    lines = [line.strip() for sample in samples for line in sample.split("\n")[:-1]]
    lines = [line for line in lines if len(line) >= _WHOLE_LINE]
    known = {line.strip() for line in searched.split("\n")} if lines else set()
    return Copied(
        longest=searched[start : start + length],
        length=length,
        position=start,
        line=searched.count("\n", 0, start) + 1,
        line_share=_mean([line in known for line in lines]),
        searched=len(searched),
    )


# --- the verdict ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """All that is known about a model in the end."""

    held_out: Loss
    baselines: Baselines
    overfitting_since: int | None = None
    structure: Structure | None = None
    """Of the samples; None where none were written."""
    structure_held_out: Structure | None = None
    """Of the held-out text, to compare."""
    copied: Copied | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: what `evaluate --json` prints."""
        held_out = self.structure_held_out
        return {
            "held_out": self.held_out.to_dict(),
            "baselines": asdict(self.baselines),
            "overfitting_since": self.overfitting_since,
            "structure": asdict(self.structure) if self.structure else None,
            "structure_held_out": asdict(held_out) if held_out else None,
            "copied": asdict(self.copied) if self.copied else None,
        }

    def sentences(self) -> list[str]:
        """The verdict in plain words, most important first."""
        if not math.isfinite(self.held_out.nats):
            return ["The loss is no number: the training ran away. Lower the learning rate."]
        return [
            self._loss_in_words(),
            *self._learned_in_words(),
            *self._opponents_in_words(),
            *self._overfitting_in_words(),
            *self._structure_in_words(),
            *self._copied_in_words(),
        ]

    def _loss_in_words(self) -> str:
        loss = self.held_out
        return (
            f"On {loss.characters:,} characters it never saw the model loses {loss.nats:.3f} nats "
            f"each ({loss.bits:.2f} bits): it is torn between {loss.torn_between:.1f} characters."
        )

    def _learned_in_words(self) -> Iterator[str]:
        nats, counted = self.held_out.nats, self.baselines
        if nats >= counted.uniform:
            yield f"That is no better than guessing blindly ({counted.uniform:.3f})."
        for known, alone in (
            ("letter frequencies", counted.unigram),
            ("pairs of letters", counted.bigram),
        ):
            if nats >= alone - NOTHING_NEW:
                yield f"Nothing beyond {known} was learned: they alone reach {alone:.3f}."
                break

    def _opponents_in_words(self) -> Iterator[str]:
        name, best = self.baselines.best()
        title = f"{name}, {best:.3f}"
        if name == "ngram":
            title = f"Kneser-Ney of order {self.baselines.ngram_order}, {best:.3f}"
        ahead = best - self.held_out.nats
        if ahead > NO_DIFFERENCE:
            yield f"It beats the best counter ({title}) by {ahead:.3f} nats."
        elif ahead >= -NO_DIFFERENCE:
            yield f"It is as good as the best counter ({title}), and no better."
        else:
            yield f"It does not beat the best counter ({title}): it is {-ahead:.3f} nats behind."
        shown = f"Looking across windows the counter reaches {self.baselines.ngram_full:.3f}"
        if self.baselines.ppmd is not None:
            shown += f"; PPMd, which goes on learning while it reads, {self.baselines.ppmd:.3f}"
        yield shown + "."
        if self.baselines.counted < self.baselines.available:
            yield (
                f"The counters read only the last {self.baselines.counted:,} of "
                f"{self.baselines.available:,} characters."
            )

    def _overfitting_in_words(self) -> Iterator[str]:
        if self.overfitting_since is not None:
            yield (
                f"Since step {self.overfitting_since:,} it has been learning the text by heart: "
                "its loss on the validation part has risen since."
            )

    def _structure_in_words(self) -> Iterator[str]:
        if self.structure is None:
            return
        for field, says, unit in (
            ("word_share", "of its words are words of the training text", "%"),
            ("line_length", "characters to a line", ""),
            ("stanza_length", "lines to a stanza", ""),
            ("rhyme_share", "of its lines rhyme, going by their spelling", "%"),
            ("unclosed", "of its quotation marks and brackets stay open", "%"),
        ):
            value = getattr(self.structure, field)
            if value is not None:
                compared = getattr(self.structure_held_out, field, None)
                beside = "" if compared is None else f" (held-out text: {_amount(compared, unit)})"
                yield f"{_amount(value, unit)} {says}{beside}."

    def _copied_in_words(self) -> Iterator[str]:
        if self.copied is None or not self.copied.length:
            return
        passage = self.copied.longest.replace("\n", " / ")
        passage = passage if len(passage) <= 60 else passage[:59] + "…"
        yield (
            "The longest passage it shares with the training text is "
            f"{self.copied.length:,} characters (line {self.copied.line:,}): ‘{passage}’."
        )
        if self.copied.length > LONG_COPY:
            yield "Warning: it recites. A passage that long is no chance; look before you publish."
        if self.copied.line_share:
            yield f"{_amount(self.copied.line_share, '%')} of its lines stand in the training text."


def _amount(value: float, unit: str) -> str:
    """A share as a percentage, anything else with one decimal.

    >>> _amount(0.256, "%"), _amount(31.25, "")
    ('26 %', '31.2')
    """
    return f"{value:.0%}".replace("%", " %") if unit == "%" else f"{value:.1f}"
