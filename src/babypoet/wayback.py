"""The way back from one letter's loss, as a terminal shows it.

    looking.show(wayback.walk(found))         # babypoet backprop "love this"; found: Poet.backprop
    wayback.as_json(found)                    # --json

`walk` returns lines of rich's Text that fit the width. Sizes are root mean squares: how much the
loss has to say to a typical number of a value. The gradients are `backpropagation.py`'s."""

import json
import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

from babypoet import terminal
from babypoet.backpropagation import Backpropagation, Line
from babypoet.config import RESERVED
from babypoet.looking import DIM, HEADING, glyph

GUESSES = 6  # so many characters are listed: those the loss says most to
LETTERS = 16  # so many at the end of the window
NAME = 15  # columns


def as_json(found: Backpropagation) -> str:
    """Everything that is shown, and every line of it, as one JSON object."""
    return json.dumps(found.to_dict(), ensure_ascii=False, allow_nan=False)


def notes(found: Backpropagation) -> Iterator[str]:
    """What was read that is not the text as it was given."""
    if found.before:
        yield (
            f"the model looks back {found.config.block_size} characters at most, so position 0 is "
            f"character {found.before} of the text"
        )


def walk(found: Backpropagation, width: int | None = None) -> Iterator[Text]:
    """From the loss of one letter back to the characters, and one step down."""
    width = width or terminal.columns()
    yield from _opening(found, width)
    yield from _guesses(found, width)
    yield from _chain(found, width)
    yield from _letters(found, width)
    yield from _step(found, width)
    yield from _agreement(found, width)


# --- its parts ------------------------------------------------------------------------------------


def _opening(found: Backpropagation, width: int) -> Iterator[Text]:
    read, came = _quoted(found.text[-LETTERS:]), _quoted(found.target)
    yield from _said(f"After {read} came {came}: a loss of {found.loss:.4f} nats.", width, HEADING)
    yield from _said(
        f"That is -log p, and p({came}) was {_probability(found)}. The gradient of a number x, "
        "written d x, says how fast this loss rises if x alone rises. Here it is worked out by "
        "hand, from the loss back to the characters; beside it is what PyTorch's autograd says. "
        "Sizes are root mean squares; the last column is the largest difference.",
        width,
    )


def _guesses(found: Backpropagation, width: int) -> Iterator[Text]:
    yield from _heading(
        "1  What was said, less what was right: p - 1 for the letter that came", width
    )
    for guess in found.guesses()[:GUESSES]:
        was_it = guess.character == found.target
        name = _visible(guess.character)
        name += " " * (NAME - cell_len(name))
        line = Text(f"  {name}  p {guess.probability:.4f}  ")
        line.append(f"{'- 1' if was_it else '   '}  = {guess.gradient:+.4f}")
        line.append("  the letter that came" if was_it else "", DIM)
        yield line
    rest = sum(guess.gradient for guess in found.guesses()[GUESSES:])
    if len(found.guesses()) > GUESSES:
        yield Text(f"  {'all others':{NAME}}                 = {rest:+.4f}", DIM)


def _chain(found: Backpropagation, width: int) -> Iterator[Text]:
    yield from _heading("2  The way back", width)
    lines = found.lines()
    spread = next((line for line in lines if len(line.positions) > 1), None)
    if spread:
        yield from _said(
            f"Down to {spread.name} only position {len(found.text) - 1} hears of this loss; "
            "attention had looked at the others, so it tells them.",
            width,
        )
    yield _row("", "how it follows", ("by hand", "autograd", "differ"), width, DIM)
    part = ""
    for line in lines:
        prefix, name = _split(line.name)
        if prefix != part:
            part = prefix
            yield Text(prefix, DIM)
        yield from _numbered(name, line, width)


def _split(name: str) -> tuple[str, str]:
    """The heading that a value stands under, and what it is called there.

    >>> _split("blocks.3.attention.scores"), _split("blocks.0.norm_2.root"), _split("norm")
    (('block 3: look', 'scores'), ('block 0: think', 'norm_2.root'), ('the scores', 'norm'))
    """
    if not name.startswith("blocks."):
        early = name in ("input", "positions", "embedding")
        return "the characters" if early else "the scores", name
    _, layer, rest = name.split(".", 2)
    first = rest.split(".")[0]
    part = "look" if first in ("attention", "after_attention", "norm_1") else "think"
    return f"block {layer}: {part}", rest.removeprefix("attention.").removeprefix("mlp.")


def _letters(found: Backpropagation, width: int) -> Iterator[Text]:
    bigram = found.config.rung == "bigram"
    what = "row of the table" if bigram else "embedding"
    yield from _heading(f"3  What each character's {what} hears", width)
    letters = list(enumerate(found.letters()))
    if len(letters) > LETTERS:
        left = len(letters) - LETTERS
        yield Text(f"  the first {left} are left out; --json has them", DIM)
    for t, line in letters[-LETTERS:]:
        yield from _numbered(f"{t:>3} {_visible(line.name)}", line, width)


def _step(found: Backpropagation, width: int) -> Iterator[Text]:
    step = found.step
    came = _quoted(found.target)
    yield from _heading("4  One small step", width)
    fell = step.before - step.after
    went = "fell" if fell > 0 else "rose" if fell < 0 else "stayed"
    yield from _said(
        f"On a copy, every weight was made less by {step.rate:g} of its gradient. The loss of "
        f"{came} {went} from {step.before:.6f} to {step.after:.6f} nats. Were it as straight as "
        f"its gradient says, it would be {step.expected:.6f}.",
        width,
    )


def _agreement(found: Backpropagation, width: int) -> Iterator[Text]:
    name, difference = found.furthest()
    many = sum(weight.size for weight in found.chain.found.weights.values())
    yield from _heading("5  By hand and by autograd", width)
    yield from _said(
        f"Over the gradients of all {many:,} weights, in double precision, the largest difference "
        f"is {difference:.1e}, in {name}.",
        width,
    )


# --- lines ----------------------------------------------------------------------------------------


def _heading(text: str, width: int) -> Iterable[Text]:
    return Text(), *_said(text, width, HEADING)


def _said(text: str, width: int, style: str = "") -> Iterable[Text]:
    return [Text(line, style) for line in textwrap.wrap(text, width, break_on_hyphens=False)]


def _numbered(name: str, line: Line, width: int) -> Iterator[Text]:
    """A line with its numbers; a formula that is too long for its column goes on below."""
    theirs = "-" if line.autograd is None else f"{line.autograd:.2e}"
    differ = "-" if line.difference is None else f"{line.difference:.0e}"
    if line.difference == 0:
        differ = "0"
    room = _room(width)
    formula = textwrap.wrap(line.formula, room, break_on_hyphens=False) or [""]
    yield _row(name, formula[0], (f"{line.size:.2e}", theirs, differ), width)
    for more in formula[1:]:
        yield Text(f"  {'':{NAME}}  {more}")


def _row(name: str, formula: str, numbers: Sequence[str], width: int, style: str = "") -> Text:
    by_hand, autograd, differ = numbers
    name += " " * (NAME - cell_len(name))
    formula = formula.ljust(_room(width))
    return Text(f"  {name}  {formula}  {by_hand:>8}  {autograd:>8}  {differ:>6}", style)


def _room(width: int) -> int:
    """What is left for a formula: 33 columns of 80, and 20 where a terminal is very narrow."""
    return max(20, width - NAME - 32)


def _visible(character: str) -> str:
    return character if character in RESERVED else glyph(character)


def _quoted(text: str) -> str:
    """
    >>> _quoted("a b\\n"), _quoted("\\x1b")
    ('"a b↵"', '"\\\\x1b"')
    """
    return '"' + "".join(c if c == " " else glyph(c) for c in text) + '"'


def _probability(found: Backpropagation) -> str:
    p = math.exp(-found.loss)
    return f"{p:.1%}".replace("%", " %") if p >= 0.0005 else f"{p:.1e}"
