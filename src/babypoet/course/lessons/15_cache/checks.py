"""What is asked of the cache, and the mistakes that people make in it."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babypoet.course.checking import Check, Mistake
from babypoet.course.differences import type_name

Array = NDArray[np.float64]

BLOCK_SIZE, C, D = 9, 5, 3
_rng = np.random.default_rng(15)
QUERY, KEY, VALUE = (_rng.normal(size=(C, D)) for _ in range(3))
POSITION = _rng.normal(size=(BLOCK_SIZE, C))
TEXT = _rng.normal(size=(BLOCK_SIZE + 4, C))


def head(module: Any) -> Any:
    """A new head with copies of the weights."""
    return module.CachedHead(QUERY.copy(), KEY.copy(), VALUE.copy(), POSITION.copy())


def last_piece(*lengths: int) -> Callable[[Any], Any]:
    """A check's call: read pieces of these lengths, and give the output of the last."""

    def call(module: Any) -> Any:
        with np.errstate(all="ignore"):
            reader, at = head(module), 0
            for length in lengths:
                output = reader.extend(TEXT[at : at + length].copy())
                at += length
        return output

    return call


def one_by_one(module: Any) -> Any:
    reader = head(module)
    with np.errstate(all="ignore"):
        return [reader.extend(TEXT[at : at + 1].copy()) for at in range(4)]


def read(
    lengths: Sequence[int],
    mask: Callable[[int, int], Any] | None = None,
    places: Callable[[int, int], Any] | None = None,
    scale: float = math.sqrt(D),
    forget: bool = False,
    newest_first: bool = False,
    bare_values: bool = False,
    no_positions: bool = False,
    masked_with: float | None = -np.inf,
) -> list[Array]:
    """Read pieces, with some mistake or other -> the output of each.

    mask(past, T) gives the (T, N) places not to be seen; places(past, T) the rows of the position
    table. The score of a masked place becomes `masked_with`; with None its weight becomes 0, and
    the others stay as they are.
    """
    keys, values = np.zeros((0, D)), np.zeros((0, D))
    outputs, at = [], 0
    for T in lengths:
        new = TEXT[at : at + T]
        rows = np.arange(at, at + T) if places is None else places(at, T)
        x = new if no_positions else new + POSITION[rows]
        k, v = x @ KEY, (new if bare_values else x) @ VALUE
        past = 0 if forget else at
        if forget:
            keys, values = k, v
        elif newest_first:
            keys, values = np.concatenate((k, keys)), np.concatenate((v, values))
        else:
            keys, values = np.concatenate((keys, k)), np.concatenate((values, v))
        score = x @ QUERY @ keys.T / scale
        future = (mask or future_of)(past, T)
        with np.errstate(all="ignore"):
            score = score if masked_with is None else np.where(future, masked_with, score)
            e = np.exp(score - score.max(axis=-1, keepdims=True))
            weight = e / e.sum(axis=-1, keepdims=True)
            weight = np.where(future, 0, weight) if masked_with is None else weight
            outputs.append(weight @ values)
        at += T
    return outputs


def future_of(past: int, T: int) -> Any:
    return np.arange(past + T) > np.arange(past, past + T)[:, None]


def nothing(past: int, T: int) -> Any:
    return np.zeros((T, past + T), bool)


def square(past: int, T: int) -> Any:
    return np.arange(past + T) > np.arange(T)[:, None]


def itself_too(past: int, T: int) -> Any:
    return np.arange(past + T) >= np.arange(past, past + T)[:, None]


def from_row_zero(past: int, T: int) -> Any:
    return np.arange(T)


def once_per_piece(past: int, T: int) -> Any:
    return np.full(T, past)


def one_row_on(past: int, T: int) -> Any:
    return np.arange(past, past + T) + 1


def one_row_back(past: int, T: int) -> Any:
    return np.maximum(np.arange(past, past + T) - 1, 0)


def _mistakes(*lengths: int, all_pieces: bool = False) -> tuple[Mistake, ...]:
    """What can go wrong while pieces of these lengths are read."""

    def mistake(says: str, **how: Any) -> Mistake:
        return Mistake(says, lambda right: read(lengths, **how) if all_pieces else last(**how))

    def last(**how: Any) -> Array:
        return read(lengths, **how)[-1]

    found = (
        mistake(
            "The scores are not scaled: divide q . k by sqrt(D), D being the head size.", scale=1.0
        ),
        mistake("The scores are divided by sqrt(C). Take D, the head size.", scale=math.sqrt(C)),
        mistake("The scores are divided by D. Take its root, sqrt(D).", scale=float(D)),
        mistake(
            "Characters see their future: what stands behind a character must have weight 0.",
            mask=nothing,
        ),
        mistake(
            "The future is masked after the softmax, and the weights that are left no longer sum "
            "to 1. Mask the scores, with minus infinity, before the softmax.",
            masked_with=None,
        ),
        mistake(
            "The scores of the future were set to 0, but e^0 is 1: that is still a weight. Set "
            "them to minus infinity.",
            masked_with=0.0,
        ),
        mistake(
            "The mask is a square one, made for a text that begins here: a new row sees only the "
            "first columns. New row t stands at past + t, and sees all columns up to there.",
            mask=square,
        ),
        mistake(
            "A character does not see itself. Its own key and value are appended before it looks, "
            "and its own column is not masked.",
            mask=itself_too,
        ),
        mistake(
            "The position is not advanced: each piece starts again with row 0 of the table. The "
            "new characters take the rows from `past` on.",
            places=from_row_zero,
        ),
        mistake(
            "All characters of a piece get the same position. The new character t takes row "
            "past + t.",
            places=once_per_piece,
        ),
        mistake(
            "The positions are one too far on: the first character takes row 0 of the table, and "
            "the one after `past` others takes row `past`.",
            places=one_row_on,
        ),
        mistake(
            "The position is one too far back: the character after `past` others takes row `past`.",
            places=one_row_back,
        ),
        mistake(
            "Each call begins a new text: nothing is kept, and the position is not advanced. "
            "Append to the keys and values, and count how many there are.",
            forget=True,
            places=from_row_zero,
        ),
        mistake(
            "Nothing is remembered: new characters see only their own piece. Append their keys and "
            "values to those kept, and look at all of them.",
            forget=True,
        ),
        mistake(
            "The order is wrong: new keys and values stand before the old ones, where the mask "
            "takes them for the past. Append them at the end.",
            newest_first=True,
        ),
        mistake(
            "The values are made without positions. Add the positions first; then query, key and "
            "value all come from that sum.",
            bare_values=True,
        ),
        mistake(
            "The positions are not used: add the rows of the table to x first.",
            no_positions=True,
        ),
    )
    right = np.concatenate(read(lengths) if all_pieces else [last()])
    return tuple(m for m in found if not harmless(m, right))


def harmless(mistake: Mistake, right: Array) -> bool:
    """Whether it does not show in these pieces: one row has no future in its own piece."""
    given = mistake.gives(None)
    return np.allclose(np.concatenate(given) if isinstance(given, list) else given, right)


# --- the window's end -----------------------------------------------------------------------------


def fill(module: Any) -> Any:
    """Read exactly block_size characters, in two pieces."""
    reader = head(module)
    reader.extend(TEXT[: BLOCK_SIZE - 1].copy())
    try:
        return reader.extend(TEXT[BLOCK_SIZE - 1 : BLOCK_SIZE].copy())
    except (ValueError, IndexError) as error:
        return f"{type(error).__name__}"


def says_filled(result: Any) -> str | None:
    if isinstance(result, str):
        return (
            f"It refused ({result}) a text of exactly block_size characters. That many fit: refuse "
            "where past + T is larger than block_size, not where it is equal."
        )
    if isinstance(result, np.ndarray) and result.shape == (1, D):
        right = read((BLOCK_SIZE - 1, 1))[-1]
        return None if np.allclose(result, right) else "The last row of the window is wrong."
    return f"It gave {what_came(result)}, expected an array of shape (1, {D})."


def what_came(result: Any) -> str:
    shape = f" of shape {result.shape}" if isinstance(result, np.ndarray) else ""
    return f"{type_name(result)}{shape}"


def overfill(first: int, then: int) -> Callable[[Any], Any]:
    """A check's call: what becomes of a piece that does not fit."""

    def call(module: Any) -> Any:
        reader = head(module)
        reader.extend(TEXT[:first].copy())
        try:
            with np.errstate(all="ignore"):
                return reader.extend(TEXT[first : first + then].copy())
        except ValueError:
            return "ValueError"
        except Exception as error:
            return type_name(error)

    return call


def says_refused(result: Any) -> str | None:
    if isinstance(result, str):
        if result == "ValueError":
            return None
        return f"It raised {result}. Raise a ValueError, before anything is computed."
    shape = getattr(result, "shape", None)
    if shape == (0, D):
        return (
            "No error, and no rows: behind the end of the table the slice is empty, and numpy adds "
            "an empty array to one row without a word. Check whether all fit before you use the "
            "table."
        )
    return (
        f"No error; it gave {what_came(result)} for characters that do not fit into the "
        "window (block_size overflow). Compare past + T with block_size first, and raise "
        "ValueError."
    )


def after_refusal(module: Any) -> Any:
    """Read 6, be refused 5, then read 2: the refused ones must have left no trace."""
    reader = head(module)
    reader.extend(TEXT[:6].copy())
    try:
        with np.errstate(all="ignore"):
            reader.extend(TEXT[6:11].copy())
    except ValueError:
        pass
    try:
        return reader.extend(TEXT[6:8].copy())
    except ValueError:
        return "ValueError"


def two_heads(module: Any) -> Any:
    """Two heads read different texts in turn: the last output of each."""
    first, second = head(module), head(module)
    first.extend(TEXT[4:7].copy())
    second.extend(TEXT[:2].copy())
    return [first.extend(TEXT[7:8].copy()), second.extend(TEXT[2:3].copy())]


def shared(*places: int) -> Array:
    """The last row of the output where these rows of the text are in one memory."""
    text = TEXT[list(places)]
    x = text + POSITION[: len(text)]
    score = x[-1:] @ QUERY @ (x @ KEY).T / math.sqrt(D)
    e = np.exp(score - score.max())
    return e / e.sum() @ (x @ VALUE)


class Counting(np.ndarray):  # type: ignore[type-arg]
    """A matrix that counts the rows it is multiplied by, as long as it is not copied."""

    watched: Any = None
    rows = 0

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = [np.asarray(x) for x in inputs]
        if ufunc is np.matmul and method == "__call__" and inputs[1] is Counting.watched:
            Counting.rows += plain[0].size // plain[0].shape[-1]
        return getattr(ufunc, method)(*plain, **kwargs)


def what_changed(module: Any) -> list[str]:
    """Which of the arrays passed in were changed in place, while two pieces are read."""
    given = {
        "query": QUERY.copy(), "key": KEY.copy(), "value": VALUE.copy(), "position": POSITION.copy()
    }  # fmt: skip
    before = {name: array.copy() for name, array in given.items()}
    reader = module.CachedHead(*given.values())
    for at in (0, 3):
        given[f"x{at}"], before[f"x{at}"] = TEXT[at : at + 3].copy(), TEXT[at : at + 3]
        reader.extend(given[f"x{at}"])
    return [name.rstrip("03") for name in given if not np.array_equal(given[name], before[name])]


def says_kept(names: list[str]) -> str | None:
    if not names:
        return None
    if names[0] == "x":
        return (
            "The caller's x was changed: `x += ...` writes into the array that was passed in, and "
            "whoever passed it finds other numbers there. Make a new one: x = x + ..."
        )
    return f"The table or matrix `{names[0]}` was changed while reading. Leave it as it was."


def rows_read(module: Any) -> int:
    """How many rows are multiplied by the key matrix while 8 characters come one by one."""
    Counting.watched = KEY.copy().view(Counting)
    reader = module.CachedHead(QUERY.copy(), Counting.watched, VALUE.copy(), POSITION.copy())
    Counting.rows = 0
    for at in range(8):
        reader.extend(TEXT[at : at + 1].copy())
    return Counting.rows


def says_cached(rows: int) -> str | None:
    if rows <= 8:
        return None
    return (
        f"The result is right, but for 8 characters {rows} rows were multiplied by the key matrix: "
        "the old ones are computed again each time (1 + 2 + ... + 8 = 36). Keep keys and values, "
        "and compute those of the new rows only."
    )


SHARED = (
    "Two heads share one memory: what one reads, the other remembers. Make the memory in __init__, "
    "as self.keys and self.values, not in the class body."
)

CHECKS = [
    Check(
        what="A new head reads four characters like any causal head.",
        call=last_piece(4),
        shown="CachedHead(query, key, value, position).extend(x)  # x: (4, 5)",
        by_hand="With C = D = 1, weights 1 and positions 0: extend([[0], [2]]) has the scores [0, "
        "-inf] and [0, 4], the weights [1, 0] and [0.018, 0.982], and the output 0 and 1.964.",
        mistakes=_mistakes(4),
    ),
    Check(
        what="Four characters, then one more: its row sees all five.",
        call=last_piece(4, 1),
        shown="head = CachedHead(...); head.extend(x[:4]); head.extend(x[4:5])",
        by_hand="With C = D = 1, weights 1, positions 0: after extend([[0], [2]]) the keys 0, 2 "
        "are kept. extend([[1]]) has the scores [0, 2, 1], the weights 0.090, 0.665, 0.245 and the "
        "output 0.665 * 2 + 0.245 * 1 = 1.575.",
        mistakes=_mistakes(4, 1),
    ),
    Check(
        what="Four characters one by one.",
        call=one_by_one,
        shown="head = CachedHead(...); [head.extend(x[t : t + 1]) for t in range(4)]",
        by_hand="The first character has weight 1 on itself: its output is its own value, "
        "(x + position[0]) @ value.",
        mistakes=_mistakes(1, 1, 1, 1, all_pieces=True),
    ),
    Check(
        what="Two characters, then four at once: each new row sees the old ones and the new up to "
        "it.",
        call=last_piece(2, 4),
        shown="head = CachedHead(...); head.extend(x[:2]); head.extend(x[2:6])",
        by_hand="Two are kept and four are new, so the scores are (4, 6). Row 0 stands at place 2 "
        "and sees columns 0 to 2; row 3 stands at place 5 and sees all six.",
        mistakes=_mistakes(2, 4),
    ),
    Check(
        what="Each head has a memory of its own.",
        call=two_heads,
        shown="a, b = CachedHead(...), CachedHead(...)\na.extend(y[:3]); b.extend(x[:2]); "
        "a.extend(y[3:4]); b.extend(x[2:3])",
        by_hand="What `a` has read is nothing to `b`: a's fourth character sees a's four, and b's "
        "third sees b's three.",
        mistakes=(
            Mistake(SHARED, lambda right: [shared(4, 5, 6, 0, 1, 7), shared(4, 5, 6, 0, 1, 7, 2)]),
            Mistake(SHARED, lambda right: [shared(0, 1, 6, 7), shared(0, 1, 2)]),
        ),
    ),
    Check(
        what="A text of exactly block_size characters fits.",
        call=fill,
        shown="head.extend(x[:8]); head.extend(x[8:9])  # block_size is 9",
        by_hand="8 are kept, 1 is new, and 8 + 1 = 9 is not more than block_size = 9.",
        verify=says_filled,
    ),
    Check(
        what="One character more than block_size raises ValueError.",
        call=overfill(BLOCK_SIZE, 1),
        shown="head.extend(x[:9]); head.extend(x[9:10])  # block_size is 9",
        by_hand="9 are kept, 1 is new, and 9 + 1 = 10 is more than block_size = 9: "
        "raise ValueError(...).",
        verify=says_refused,
    ),
    Check(
        what="Three characters where one would fit raise ValueError.",
        call=overfill(BLOCK_SIZE - 1, 3),
        shown="head.extend(x[:8]); head.extend(x[8:11])  # block_size is 9",
        by_hand="The slice of the table that is left has one row, and numpy would add that one row "
        "to all three characters without a word.",
        verify=says_refused,
    ),
    Check(
        what="What was refused leaves no trace: the head reads on as if nothing had happened.",
        call=after_refusal,
        shown="head.extend(x[:6]); head.extend(x[6:11])  # refused\nhead.extend(x[6:8])",
        by_hand="After the refusal 6 are kept, as before; two more take the rows 6 and 7.",
        mistakes=(
            Mistake(
                "The refused characters were counted: afterwards there was no room. Raise "
                "ValueError before you change anything in the head.",
                lambda right: "ValueError",
            ),
        ),
    ),
    Check(
        what="x, the weights and the position table stay as they were.",
        call=what_changed,
        shown="head.extend(x[:3]); head.extend(x[3:6])",
        by_hand="x = x + ... makes a new array; x += ... writes into the one that was passed in.",
        verify=says_kept,
    ),
    Check(
        what="Old characters are not computed again.",
        call=rows_read,
        shown="for t in range(8): head.extend(x[t : t + 1])  # and count the rows times `key`",
        by_hand="One new character is one row times the key matrix; eight of them are eight rows.",
        verify=says_cached,
    ),
]


# --- something to see -----------------------------------------------------------------------------


def reward(theirs: Any) -> str:
    """What one more character costs with their cache and without, at several lengths of text."""
    # so small that numpy works alone: threads wait long for a machine that is busy elsewhere
    width, longest, times = 16, 128, 25
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(width, width)) / 4 for _ in range(3)]
    position = rng.normal(size=(longest, width))
    text = rng.normal(size=(longest, width))

    def new() -> Any:
        return theirs.CachedHead(*(w.copy() for w in weights), position.copy())

    def timed(reader: Any, x: Array) -> float:
        started = time.perf_counter()
        reader.extend(x)
        return 1e6 * (time.perf_counter() - started)

    def rereading(length: int) -> float:
        """Microseconds for one more character when all of them are read again."""
        return statistics.median(timed(new(), text[:length].copy()) for _ in range(times))

    def cached(length: int) -> float:
        """Microseconds for one more character when all before it are kept."""
        found = []
        for _ in range(times):
            reader = new()
            reader.extend(text[: length - 1].copy())
            found.append(timed(reader, text[length - 1 : length].copy()))
        return statistics.median(found)

    cached(32)  # warm up
    said = [
        f"One more character for a head of {width} channels: the scores it takes, and the",
        f"microseconds on this computer just now (the middle one of {times} tries).",
        "",
        "                 read all again        with your cache",
        "characters      scores        time     scores      time",
    ]
    for length in (32, 64, 128):
        again, kept = rereading(length), cached(length)
        said.append(f"{length:10}  {length * length:10,}  {again:10,.0f} {length:10,}{kept:10,.0f}")
    return "\n".join(
        [
            *said,
            "",
            "Twice the text: four times the scores if all is read again, with your cache twice as",
            "many. And a model has many heads.",
        ]
    )
