"""What a person sees of a trace in a terminal: the walk through the model, one value, the list.

    looking.show(looking.walk(trace))                                   # babypoet look "love this"
    looking.show(looking.step(trace, "blocks.0.attention.weights", 1))  # --step NAME --head 1
    looking.show(looking.listed(trace))                                 # --list

Each function but `show` returns lines of rich's Text that fit the width. A picture never says more
than its numbers do, and what does not fit is left out in words. Colour is never alone: a shade
stands above a bar of blocks, and a bar's sign is in its pattern and in its number."""

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from babypoet import terminal
from babypoet.config import RESERVED
from babypoet.errors import SettingError
from babypoet.terminal import printable
from babypoet.trace import Described, Trace, entry

Lines = list[Text]
Numbers = NDArray[Any]

HEADING = "bold"
DIM = "dim"
PLUS, MINUS = "#0877bd", "#f59322"  # as on the page: blue above 0, orange below
# From grey to orange, about as bright all the way: it must be seen on black and on white.
SHADES = {0.7: "#f59322", 0.4: "#e69f4f", 0.2: "#d4a573", 0.1: "#bfa78f", 0.02: "#a3a7ab"}
BLOCKS = " ▁▂▃▄▅▆▇█"
LEAST = 0.01  # a smaller share has no bar
VISIBLE = {" ": "␣", "\n": "↵", "\t": "⇥"}
ROWS = 24  # of a learned tensor

# What a stage shows: its heading, the value whose sentence it says, all its values, and those that
# are drawn. A block's names are given without `blocks.0.`.
Stage = tuple[str, str, tuple[str, ...], tuple[str, ...]]
FIRST: tuple[Stage, ...] = (
    ("Characters become numbers", "ids", ("ids",), ("ids",)),
    (
        "Numbers become vectors",
        "embedding",
        ("embedding", "positions", "input", "cosine", "sine"),
        ("input",),
    ),
)
BLOCK: tuple[Stage, ...] = (
    (
        "Block 0: each position asks, offers and hands over",
        "attention.query",
        (
            *("norm_1.mean", "norm_1.root", "norm_1"),
            *("attention.query", "attention.key", "attention.value"),
        ),
        ("attention.query", "attention.key", "attention.value"),
    ),
    (
        "Block 0: queries and keys are turned by their position",
        "attention.key_turned",
        (
            "attention.query_root",
            "attention.key_root",
            "attention.query_normed",
            "attention.key_normed",
            "attention.query_turned",
            "attention.key_turned",
        ),
        ("attention.query_turned", "attention.key_turned"),
    ),
    (
        "Block 0: where each position looks",
        "attention.weights",
        tuple(f"attention.{x}" for x in ("scores", "scaled", "masked", "exponentials", "weights")),
        ("attention.weights",),
    ),
    (
        "Block 0: what was found is collected",
        "attention.mixed",
        ("attention.mixed", "attention.output", "after_attention"),
        ("attention.output", "after_attention"),
    ),
    (
        "Block 0: each position works on its own",
        "mlp.activated",
        (
            *("norm_2.mean", "norm_2.root", "norm_2", "mlp.hidden", "mlp.gate", "mlp.up"),
            *("mlp.activated", "mlp.output", "after_mlp"),
        ),
        ("mlp.activated", "after_mlp"),
    ),
)
LAST: Stage = (
    "Scores for the next character",
    "probabilities",
    ("norm.mean", "norm.root", "norm", "scores", "logits", "probabilities"),
    ("probabilities",),
)


# --- numbers and characters -----------------------------------------------------------------------


def number(x: float) -> str:
    """A number in at most eight columns.

    >>> [number(x) for x in (0.0, 12, 0.12345, -3.5, 0.00004, -12345.6, float("-inf"))]
    ['0', '12', '0.123', '-3.500', '4.0e-05', '-1.2e+04', '-∞']
    """
    if x == 0 or not np.isfinite(x):
        return "0" if x == 0 else str(x).replace("inf", "∞")
    if isinstance(x, int | np.integer):
        return str(x)
    return f"{x:.3f}" if 0.0005 <= abs(x) < 1000 else f"{x:.1e}"


def short(x: float) -> str:
    """A number in at most six columns.

    >>> [short(x) for x in (0.0, 0.12345, -3.5, -123.45, 12345.6, float("-inf"))]
    ['0', '0.12', '-3.50', '-123.5', '1e+04', '-∞']
    """
    if x == 0 or not np.isfinite(x):
        return number(x)
    if 0.005 <= abs(x) < 1000:
        return f"{x:.2f}" if abs(x) < 100 else f"{x:.1f}"
    return f"{x:.0e}"


def percent(share: float) -> str:
    """
    >>> percent(0.123), percent(0.9999), percent(0.0004), percent(0.0), percent(1.0)
    ('12 %', 'over 99 %', 'under 1 %', '0 %', '100 %')
    """
    if 0 < share < 0.005:
        return "under 1 %"
    if 0.995 <= share < 1:
        return "over 99 %"
    return f"{share:.0%}".replace("%", " %")


def glyph(character: str) -> str:
    """A character as something that can be seen.

    >>> glyph("a"), glyph(" "), glyph("\\x1b")
    ('a', '␣', '\\\\x1b')
    """
    shown = VISIBLE.get(character) or printable(character)
    if not cell_len(shown):  # an accent or a joiner needs something to sit on
        return f"U+{ord(character):04X}"
    return shown


def labels(trace: Trace, axis: str, count: int) -> list[str]:
    """What the rows or columns along an axis are called."""
    vocabulary = [*map(glyph, trace.vocabulary), *RESERVED]
    if axis == "T":
        width = len(str(count - 1))
        return [f"{i:>{width}} {glyph(c)}" for i, c in enumerate(trace.characters)]
    return vocabulary[:count] if axis in ("V", "R") else [str(i) for i in range(count)]


def lettered(trace: Trace, described: Described, with_text: bool = True) -> str:
    """The shape in numbers; without a text, T stays a letter.

    It stands for how many characters there are."""
    pairs = zip(described.axes, described.size, strict=True)
    sizes = [str(n) if with_text or axis != "T" else axis for axis, n in pairs]
    return f"({', '.join(sizes)}{',' * (len(sizes) == 1)})"


# --- choosing -------------------------------------------------------------------------------------


def chosen_position(trace: Trace, position: int | None) -> int:
    """The position, counted from 0; the last one if none was given."""
    T = len(trace.ids)
    if position is not None and not -T <= position < T:
        raise SettingError(
            f"--position {position} lies outside of what was read, which has "
            f"{_many(T, 'character')}: give 0 to {T - 1}, or -{T} to -1 to count from the end."
        )
    return T - 1 if position is None else position % T


def chosen_head(trace: Trace, name: str, head: int | None) -> int:
    """The head of a value; the first one if none was given."""
    heads = trace.describe(name).heads if name in trace else 0
    if head is not None and not heads:
        what = f"{name} has" if name in trace else f"A {trace.config.rung} model has"
        raise SettingError(f"{what} no heads: leave --head out.")
    if head is not None and not 0 <= head < heads:
        has = f"{heads} heads: give --head 0 to {heads - 1}" if heads > 1 else "one head: --head 0"
        raise SettingError(f"There is no head {head}. {name} has {has}.")
    return head or 0


def narrowed(
    trace: Trace, name: str, head: int | None, position: int | None
) -> tuple[Described, dict[str, Any], Numbers]:
    """A value, and of it only the head and the position that were asked for."""
    described, value = trace.describe(name), trace[name]
    kept: dict[str, Any] = {}
    if head is not None:
        kept["head"] = chosen_head(trace, name, head)
        value = value[kept["head"]]
    if position is not None:
        if not described.positions:
            raise SettingError(f"{name} is the same at every position: leave --position out.")
        kept["position"] = chosen_position(trace, position)
        axis = 0 if described.axes == ("T",) else -2
        value = value.take(kept["position"], axis=axis)
    return described, kept, value


# --- what was asked for ---------------------------------------------------------------------------


def check_asked(
    names: bool, step: str | None, head: int | None, position: int | None, json: bool
) -> None:
    """Options that say nothing beside each other are a SettingError."""
    if names and (step, head, position) != (None, None, None):
        raise SettingError("--list lists all names: give no --step, --head or --position with it.")
    if json and step is None and (head, position) != (None, None):
        raise SettingError("--json prints every head and position: give --step to choose among.")


def notes(trace: Trace, text: str, names: bool = False) -> Iterator[str]:
    """What was read that is not the text as it was given."""
    if trace.before:
        yield (
            f"the model looks back {trace.config.block_size} characters at most, so position 0 is "
            f"character {trace.before} of the text: the window that it would write on from"
        )
    if trace.started and (text or not names):
        start = "a line break" if trace.text == "\n" else repr(trace.text)
        left = "nothing of the text is left" if text else "there is no text"
        yield f"{left}, so the model reads {start}, as `generate` does"


def as_json(
    trace: Trace,
    names: bool = False,
    step: str | None = None,
    head: int | None = None,
    position: int | None = None,
) -> str:
    """Everything, one value, or what there is to say of all of them, as one JSON object."""
    if step is not None:
        described, kept, value = narrowed(trace, step, head, position)
        shape = {"shape": list(np.shape(value))}  # of what was kept
        found = trace.about() | kept | entry(described, value) | shape
    elif names:
        values = [entry(trace.describe(name)) for name in trace.names()]
        weights = [entry(trace.describe(name)) for name in trace.weight_names()]
        found = trace.about() | {"values": values, "weights": weights}
    else:
        found = trace.to_dict()
    return json.dumps(found, ensure_ascii=False, allow_nan=False)


class _Output(Console):
    """rich would end the program where nobody reads on; here `cli.main` answers that."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def show(lines: Iterable[Text]) -> None:
    """Print lines on standard output, in colour where it is a terminal that wants it."""
    console = _Output(file=sys.stdout, highlight=False)
    for line in lines:
        console.print(line, soft_wrap=True)


# --- pictures -------------------------------------------------------------------------------------


def bar(x: float, most: float, width: int) -> Text:
    """A bar with a sign: full and blue above 0, hatched and orange below.

    >>> bar(2, 4, 6).plain, bar(-4, 4, 6).plain
    ('███   ', '░░░░░░')
    """
    filled = max(1, round(abs(x) / most * width)) if x and most else 0
    drawn = ("█" if x > 0 else "░") * filled
    return Text(drawn.ljust(width), style=PLUS if x > 0 else MINUS)


def vector(x: Numbers, width: int) -> Text:
    """A vector's length, and its largest channels: how many depends on the width."""
    line = Text(f"length {number(float(np.sqrt((x.astype(np.float64) ** 2).sum())))}")
    order = np.argsort(-np.abs(x), kind="stable")
    most = float(np.abs(x).max())
    for i in order[: max(1, (width - len(line) - 2) // 21)]:
        line.append(f"   #{i} ")
        line.append_text(bar(float(x[i]), most, 4))
        line.append(f" {'+' * bool(x[i] > 0)}{short(float(x[i]))}")
    return line


def shade(share: float) -> str:
    """The style of a character that gets such a share; "" where it gets next to nothing."""
    return next((f"black on {colour}" for least, colour in SHADES.items() if share >= least), "")


def shaded(trace: Trace, shares: Numbers, width: int) -> Lines:
    """The text, each character shaded by its share, and a bar of blocks below each."""
    rows, above, below = [], Text(), Text()
    for character, share in zip(trace.characters, shares.tolist(), strict=True):
        shown = glyph(character)
        if above and cell_len(above.plain + shown) > width:
            rows += [above, below]
            above, below = Text(), Text()
        above.append(shown, style=shade(share))
        eighths = int(np.ceil(share * 8 - 1e-6)) if share >= LEAST else 0
        below.append(BLOCKS[eighths] * cell_len(shown))
    return [*rows, above, below]


def most_looked_at(trace: Trace, shares: Numbers, position: int) -> str:
    """The three largest shares in words."""
    order = [int(i) for i in np.argsort(-shares, kind="stable")[:3] if shares[i] > 0]
    said = (
        f"{glyph(trace.characters[i])} at {i}{' (itself)' * (i == position)} {percent(shares[i])}"
        for i in order
    )
    return "most of it: " + ", ".join(said)


def likeliest(trace: Trace, p: Numbers, count: int = 3) -> str:
    """The likeliest characters with their shares, in one line."""
    order = np.argsort(-p, kind="stable")[:count]
    return "   ".join(f"{glyph(trace.vocabulary[i])} {percent(float(p[i]))}" for i in order)


def bars(trace: Trace, p: Numbers, width: int, count: int = 5) -> Lines:
    """The likeliest characters as bars, and what the others have together."""
    order = np.argsort(-p, kind="stable")[:count]
    rows = []
    for i in order:
        line = Text(f"{glyph(trace.vocabulary[i]):>4} ")
        line.append(f"{percent(float(p[i])):>9}  ")
        full, eighths = divmod(round(float(p[i]) * (width - 18) * 8), 8)
        rows.append(line.append("█" * full + " ▏▎▍▌▋▊▉"[eighths].strip(), style=PLUS))
    rest = len(p) - len(order)
    if rest:
        left = percent(max(0.0, 1 - float(p[order].sum())))
        rows.append(Text(f"     {left:>9}  the other {rest} together", style=DIM))
    return rows


# --- the walk -------------------------------------------------------------------------------------


def walk(
    trace: Trace, head: int | None = None, position: int | None = None, width: int | None = None
) -> Iterator[Text]:
    """The model, step by step, for one position: two screens for the default model."""
    width = width or terminal.columns()
    at = chosen_position(trace, position)
    heads = "blocks.0.attention.weights"
    h = chosen_head(trace, heads, head)
    yield from _opening(trace, at, h if heads in trace else None, width)
    place = _Place(trace, at, h, width)
    for stage in FIRST:
        yield from place.stage(stage)
    if heads in trace:
        for stage in BLOCK:
            yield from place.stage(stage, "blocks.0.")
    yield from place.other_blocks()
    yield from place.guesses()
    yield from place.stage(LAST)
    yield Text()
    more = "All numbers of a value: --step NAME. All names: --list. Everything: --json."
    yield from _wrapped(more, width, DIM)


def _opening(trace: Trace, at: int, head: int | None, width: int) -> Lines:
    """What is looked at, and what the letters of the shapes stand for."""
    config = trace.config
    last = ", the last one" if at == len(trace.ids) - 1 else ""
    which = f"position {at} ({glyph(trace.characters[at])}{last})"
    which += f", head {head}" if head is not None else ""
    letters = {"T": f"{_many(len(trace.ids), 'character')} read", "V": f"{config.vocab_size} known"}
    if head is not None:
        first = trace["blocks.0.attention.query"], trace["blocks.0.attention.key"]
        letters |= {"C": f"{config.n_embd} channels", "H": _many(len(first[0]), "head")}
        if len(first[1]) != len(first[0]):
            letters["K"] = f"{len(first[1])} key and value heads"
        letters |= {"D": f"{first[0].shape[-1]} channels a head", "#5": "channel 5"}
    said = ", ".join(f"{letter} = {what}" for letter, what in letters.items())
    options = "--position" + " and --head" * (head is not None)
    choose = f"Every step of the {config.rung} model, drawn for {which}; {options} choose another."
    if head is None:
        choose = choose.replace("choose another", "chooses another")
    return [*_wrapped(choose, width), *_wrapped(said + ".", width, DIM)]


class _Place:
    """One position and one head of a trace, drawn stage by stage."""

    def __init__(self, trace: Trace, at: int, head: int, width: int) -> None:
        self.trace, self.at, self.head, self.width = trace, at, head, width
        self.count = 0

    def heading(self, text: str, common: str = "") -> Lines:
        """A stage's number and title, and what its names begin with."""
        self.count += 1
        line = Text().append(f"{self.count:>2} {text}", style=HEADING)
        if common:
            line.append(f"   {common}…", style=DIM)
        return [Text(), line]

    def stage(self, stage: Stage, prefix: str = "") -> Iterator[Text]:
        """The heading, the sentence, a line for each value, and the pictures."""
        title, spoken, parts, drawn = stage
        names = [prefix + part for part in parts if prefix + part in self.trace.values]
        if not names:
            return
        spoken = prefix + spoken if prefix + spoken in names else names[-1]
        common = prefix + "attention." * all(".attention." in name for name in names)
        column = max(len(name.removeprefix(common)) for name in names)
        yield from self.heading(title, common)
        yield from _wrapped(self.trace.describe(spoken).sentence, self.width, indent=3)
        for name in names:
            yield from self.line(name, common, column)
        for part in drawn:
            if prefix + part in self.trace.values:
                yield from self.picture(prefix + part, part)

    def line(self, name: str, prefix: str, column: int) -> Lines:
        """A value's name, equation, shape and line of source."""
        described = self.trace.describe(name)
        assert described.source and described.equation
        shape, source = lettered(self.trace, described), "{}:{:<3}".format(*described.source)
        room = max(16, self.width - 3 - column - 2 - 1 - 13 - 2 - len(source))
        rows = []
        for i, part in enumerate(textwrap.wrap(described.equation, room)):
            line = Text("   ")
            line.append((name.removeprefix(prefix) if i == 0 else "").ljust(column) + "  ")
            line.append(part.ljust(room))
            if i == 0:
                line.append(f" {shape:<13}  {source}", style=DIM)
            line.rstrip()
            rows.append(line)
        return rows

    def picture(self, name: str, part: str) -> Lines:
        """One value at this position."""
        x = self.trace[name]
        if name == "ids":
            return _indented(_characters(self.trace, self.width - 5), 5)
        if part == "attention.weights":
            return self.attention(name)
        if name == "probabilities":
            return _indented(bars(self.trace, x[self.at], self.width - 5), 3)
        if x.ndim == 3:
            shared = len(self.trace["blocks.0.attention.query"]) // len(x)  # query heads to a key
            x = x[self.head // shared]
        label = part.removeprefix("attention.")
        line = Text(f"{label:<15} ")
        return _indented([line.append_text(vector(x[self.at], self.width - 21))], 5)

    def attention(self, name: str) -> Lines:
        """From scores to shares for the characters that matter, then the text, shaded."""
        prefix = name.removesuffix("weights")
        shares = self.trace[name][self.head, self.at]
        fits = (self.width - 5 - 12) // 7
        picked = np.sort(np.argsort(-shares, kind="stable")[:fits])
        characters = [f"{i} {glyph(self.trace.characters[i])}" for i in picked]
        rows = [Text(" " * 12 + "".join(_right(c, 7) for c in characters), style=DIM)]
        for part in ("scores", "scaled", "masked", "exponentials", "weights"):
            row = self.trace[prefix + part][self.head, self.at, picked]
            rows.append(Text(f"{part:<12}" + "".join(_right(short(v), 7) for v in row.tolist())))
        if len(picked) < len(shares):
            said = f"(the {len(picked)} that get most, of {len(shares)})"
            rows.append(Text(said, style=DIM))
        rows += shaded(self.trace, shares, self.width - 5)
        rows += _wrapped(most_looked_at(self.trace, shares, self.at), self.width - 5)
        return _indented(rows, 5)

    def other_blocks(self) -> Iterator[Text]:
        """Where the same head looks in every other block."""
        others = [n for n in self.trace.names() if n.endswith(".attention.weights")][1:]
        if not others:
            return
        which = f"Block{'s' * (len(others) > 1)} 1" + f" to {len(others)}" * (len(others) > 1)
        yield from self.heading(f"{which}: the same steps again")
        for name in others:
            shares = self.trace[name][self.head, self.at]
            said = most_looked_at(self.trace, shares, self.at).removeprefix("most of it: ")
            line = Text(f"   {name}   ").append(said, style=DIM)
            fits = cell_len(line.plain) <= self.width
            yield from [line] if fits else [Text(f"   {name}"), *_wrapped(said, self.width, DIM, 5)]
            yield from _indented(shaded(self.trace, shares, self.width - 5), 5)

    def guesses(self) -> Iterator[Text]:
        """What the model would say after each block."""
        names = [name for name in self.trace.names() if name.startswith("guess.")]
        if not names:
            return
        yield from self.heading("The guess, block by block")
        yield from _wrapped(self.trace.describe(names[0]).sentence, self.width, indent=3)
        yield from self.line(names[-1], "", len(names[-1]))
        for i, name in enumerate(names):
            after = "before any block" if i == 0 else f"after block {i - 1}"
            yield Text(f"     {after:<18}").append(likeliest(self.trace, self.trace[name][self.at]))


def _characters(trace: Trace, width: int) -> Lines:
    """The characters, and below each its number."""
    cells = [(glyph(c), str(i)) for c, i in zip(trace.characters, trace.ids, strict=True)]
    column = max(cell_len(cell) for pair in cells for cell in pair) + 1
    fits = max(1, width // column)
    rows = []
    for start in range(0, len(cells), fits):
        part = cells[start : start + fits]
        rows.append(Text("".join(_right(c, column) for c, _ in part)))
        rows.append(Text("".join(_right(i, column) for _, i in part), style=DIM))
    return rows


# --- one value ------------------------------------------------------------------------------------


def step(
    trace: Trace,
    name: str,
    head: int | None = None,
    position: int | None = None,
    width: int | None = None,
) -> Iterator[Text]:
    """One value alone: all its numbers where they fit, and in words what does not."""
    width = width or terminal.columns()
    described, kept, _ = narrowed(trace, name, head, position)
    yield Text(name, style=HEADING)
    yield from _wrapped(described.sentence, width)
    if described.equation:
        yield from _wrapped(f"= {described.equation}", width)
    told = f"{described.shape} = {lettered(trace, described)}"
    yield Text(
        f"{told}   {described.source[0]}:{described.source[1]}" if described.source else told
    )
    yield Text()
    value, axes = trace[name], list(described.axes)
    if described.heads:
        which = chosen_head(trace, name, head)
        value, axes = value[which], axes[1:]
        more = "; --head chooses another" if head is None and described.heads > 1 else ""
        yield Text(f"head {which} of {described.heads}{more}", style=DIM)
    at = chosen_position(trace, kept.get("position"))
    if axes == ["T"]:
        picked = range(len(value)) if position is None else [at]
        yield from _pairs([labels(trace, "T", len(value))[i] for i in picked], value[picked], width)
        return
    if len(axes) == 1:
        yield from _pairs(labels(trace, axes[0], len(value)), value, width)
        return
    yield from _drawn(trace, name, value, at, width)
    if position is not None and axes[0] == "T":
        yield Text(f"position {at} ({glyph(trace.characters[at])})", style=DIM)
        yield from _pairs(labels(trace, axes[1], value.shape[1]), value[at], width)
    else:
        yield from _table(trace, described, axes, value, width)


def _drawn(trace: Trace, name: str, value: Numbers, at: int, width: int) -> Iterator[Text]:
    """The picture that some values have above their numbers."""
    here = f"from position {at} ({glyph(trace.characters[at])})"
    if name.endswith(".attention.weights"):
        yield Text(here, style=DIM)
        yield from shaded(trace, value[at], width)
        yield from _wrapped(most_looked_at(trace, value[at], at), width)
        yield Text()
    elif name == "probabilities" or name.startswith("guess."):
        yield Text(here.replace("from", "after"), style=DIM)
        yield from bars(trace, value[at], width)
        yield Text()


def _pairs(names: Sequence[str], numbers: Numbers, width: int) -> Iterator[Text]:
    """Every number beside its name, in as many columns as fit, read from left to right."""
    cells = [number(x) for x in numbers.tolist()]
    left, right = max(map(cell_len, names)), max(map(len, cells))
    fits = max(1, (width + 3) // (left + 1 + right + 3))
    for start in range(0, len(cells), fits):
        part = zip(names[start : start + fits], cells[start : start + fits], strict=True)
        line = Text()
        for i, (name, cell) in enumerate(part):
            line.append("   " * (i > 0) + _right(name, left) + " ", style=DIM)
            line.append(f"{cell:>{right}}")
        yield line


def _table(
    trace: Trace, described: Described, axes: Sequence[str], value: Numbers, width: int
) -> Iterator[Text]:
    """Rows and columns of numbers; where there are too many, those that are shown are named."""
    names, across = (labels(trace, axis, n) for axis, n in zip(axes, value.shape, strict=True))
    shown = range(len(names)) if described.positions else range(min(len(names), ROWS))
    left = max(cell_len(names[i]) for i in shown) + 1
    cell = max(len(number(x)) for x in value[list(shown)].ravel().tolist())
    cell = max([cell, *map(cell_len, across)]) + 1
    fits = max(1, (width - left) // cell)
    picked, which = _columns(axes[1], value, fits)
    if which and axes == ["T", "T"]:  # of earlier rows these columns are the future
        shown, which = shown[-fits:], f"the last {len(picked)} rows and columns"
    yield Text(" " * left + "".join(_right(across[i], cell) for i in picked), style=DIM)
    shares = described.name.endswith(".attention.weights")
    for i in shown:
        line = Text().append(names[i] + " " * (left - cell_len(names[i])), style=DIM)
        for j in picked:
            x = value[i, j].item()
            line.append(" " * (cell - len(number(x))))
            line.append(number(x), style=shade(x) if shares else "")
        yield line
    yield from _wrapped(_left_out(described, value.shape, which), width, DIM)


def _columns(axis: str, value: Numbers, fits: int) -> tuple[list[int], str]:
    """The columns to show, and in words which they are ("" for all)."""
    count = value.shape[1]
    if count <= fits:
        return list(range(count)), ""
    if axis in ("V", "R"):
        largest = np.argsort(-value[-1], kind="stable")[:fits]
        return [int(i) for i in largest], f"the {fits} columns that are largest in the last row"
    if axis == "T":
        return list(range(count - fits, count)), f"the last {fits} columns"
    return list(range(fits)), f"the first {fits} columns"


def _left_out(described: Described, size: tuple[int, ...], which: str) -> str:
    """What of a table is not shown, and how to see it; "" where nothing is missing."""
    parts = [which] if which else []
    if not described.positions and size[0] > ROWS:
        parts.insert(0, f"the first {ROWS} rows")
    if not parts:
        return ""
    whole = " --position P shows a whole row," if described.positions else ""
    return f"Shown: {' and '.join(parts)} of {' × '.join(map(str, size))}.{whole} --json all."


# --- the list -------------------------------------------------------------------------------------


def listed(trace: Trace, with_text: bool = True, width: int | None = None) -> Iterator[Text]:
    """Every name with its shape, and its sentence where it comes first."""
    width = width or terminal.columns()
    yield Text("Values, in the order in which they are computed", style=HEADING)
    yield from _names(trace, trace.names(), width, with_text)
    yield Text()
    yield Text("Learned tensors, in the order in which they are used", style=HEADING)
    yield from _names(trace, trace.weight_names(), width, with_text)


def _names(trace: Trace, names: Sequence[str], width: int, with_text: bool) -> Iterator[Text]:
    described = [trace.describe(name) for name in names]
    shapes = [lettered(trace, d, with_text) for d in described]
    left, right = max(map(len, names)), max(map(len, shapes))
    said: set[str] = set()
    for each, shape in zip(described, shapes, strict=True):
        line = Text(f"  {each.name:<{left}}  ").append(f"{shape:<{right}}", style=DIM)
        family = ".".join("*" if part.isdigit() else part for part in each.name.split("."))
        line.rstrip()
        yield line
        if family not in said:
            yield from _wrapped(each.sentence, width, DIM, indent=6)
        said.add(family)


# --- lines ----------------------------------------------------------------------------------------


def _wrapped(text: str, width: int, style: str = "", indent: int = 0) -> Lines:
    cut = terminal.wrapped(text, width - indent) if text else []
    return [Text(" " * indent + line, style=style) for line in cut]


def _indented(lines: Sequence[Text], by: int) -> Lines:
    return [Text(" " * by).append_text(line) for line in lines]


def _many(count: int, what: str) -> str:
    """
    >>> _many(1, "head"), _many(4, "head")
    ('1 head', '4 heads')
    """
    return f"{count} {what}{'s' * (count != 1)}"


def _right(text: str, width: int) -> str:
    """
    >>> _right("字", 4)
    '  字'
    """
    return " " * (width - cell_len(text)) + text
