"""Lesson 5: what is asked of split and get_batch."""

from typing import Any

import numpy as np

from babypoet.corpus import builtin_poems
from babypoet.course.checking import Check, Mistake

FIRST = 1000  # the id of the first character: an id then says where in the text it stands


def in_split(N: int, share: float) -> tuple[Mistake, ...]:
    ids = np.arange(N)
    held = round(share * N)

    def shuffled(right: Any) -> tuple[np.ndarray, np.ndarray]:
        order = np.random.permutation(N)
        return ids[order[: N - held]], ids[order[N - held :]]

    return (
        Mistake(
            "ids[:-0] is ids[:0], which is empty: where nothing is held out, -0 goes wrong. "
            "Count the border from the front: N - H.",
            lambda right: (ids[:-held], ids[-held:]) if held == 0 else None,
        ),
        Mistake(
            "The beginning is held out. Take the end: what is to come is predicted from what was.",
            lambda right: (ids[held:], ids[:held]),
        ),
        Mistake(
            "The two are swapped: first what to train on, then what is held out.",
            lambda right: (ids[N - held :], ids[: N - held]),
        ),
        Mistake(
            "`share` is the part that is held out. You took it as the part to train on.",
            lambda right: (ids[: round(share * N)], ids[round(share * N) :]),
        ),
        Mistake(
            "The held-out part is also in the training part. Then the judge knows the answers: "
            "train must end where held_out begins.",
            lambda right: (ids, ids[N - held :]),
        ),
        Mistake(
            "int() cuts the fraction off, so one id too few is held out. round() goes to the "
            "nearest whole number.",
            lambda right: (ids[: N - int(share * N)], ids[N - int(share * N) :]),
        ),
        Mistake(
            "One id is in neither part: held_out must begin where train ends.",
            lambda right: (ids[: N - held], ids[N - held + 1 :]),
        ),
        Mistake(
            "One id is in neither part: train must end where held_out begins.",
            lambda right: (ids[: N - held - 1], ids[N - held :]),
        ),
        Mistake(
            "One id is in both parts. The end of a slice is not in it: ids[:n] and ids[n:] fit.",
            lambda right: (ids[: N - held + 1], ids[N - held :]),
        ),
        Mistake(
            "The ids were shuffled first. The order is the text: cut it, but do not stir it.",
            shuffled,
        ),
    )


class Generator(np.random.Generator):
    """default_rng's generator, and whether anything was asked of it."""

    used = False

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_") and name != "used":
            object.__setattr__(self, "used", True)
        return super().__getattribute__(name)


def unused(rng: Generator) -> str:
    """What comes before a message about places that `rng` did not draw."""
    return "" if rng.used else "`rng` is not used: draw the places with rng.integers. "


def draw(m: Any, N: int, T: int, B: int, rng: Generator | None = None) -> Any:
    """A batch of a text whose ids are 1000, 1001, 1002 ..., or what went wrong in words."""
    ids = FIRST + np.arange(N)
    rng = rng or Generator(np.random.PCG64(0))
    try:
        return m.get_batch(ids, T, B, rng)
    except IndexError:
        return (
            f"{unused(rng)}A window runs past the end of the text: the last place for x to begin "
            f"at is N - block_size - 1, which is {N - T - 1} here, because y needs one character "
            "more."
        )
    except ValueError as error:
        if "high" in str(error) or "low" in str(error):
            return (
                f"{unused(rng)}The range to draw from is empty. A text of block_size + 1 = {T + 1} "
                "characters has room for one window, at 0; the upper end of rng.integers is never "
                "drawn, so it is N - block_size, not one less."
            )
        return (
            f"{unused(rng)}The rows have different lengths, so they are no array: a window runs "
            "past the end of the text. The last place to begin at is N - block_size - 1, "
            f"{N - T - 1} here."
        )


def is_batch(result: Any, T: int, B: int) -> str | None:
    """Whether it is two (B, T) arrays of windows, y one character after x."""
    if isinstance(result, str):
        return result
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        return "It must give two arrays: return x, y."
    x, y = result
    for name, z in (("x", x), ("y", y)):
        if not isinstance(z, np.ndarray):
            return f"{name} must be a numpy array; it is a {type(z).__name__}."
        if said := shape_said(name, z, T, B):
            return said
        if z.dtype.kind not in "iu":
            return f"{name} must hold whole numbers; its dtype is {z.dtype}."
    if x.max() < FIRST:
        return (
            "x holds places, not ids: those are the positions in the text. Look up what stands "
            "there: ids[places]."
        )
    if (np.diff(x, axis=1) != 1).any():
        if (np.diff(x, axis=0) == 1).all():
            return "The windows run down the columns. Each row must be one window."
        return (
            f"Row 0 of x is {x[0].tolist()}, for a text that counts up from {FIRST}. A window is "
            "made of characters side by side, in the order of the text."
        )
    return shift_said(x, y, T)


def shape_said(name: str, z: np.ndarray, T: int, B: int) -> str | None:
    if z.shape == (B, T):
        return None
    said = f"{name} has the shape {z.shape}; expected is (batch_size, block_size), ({B}, {T})."
    if z.shape == (T, B):
        return f"{said} It is transposed."
    if z.shape == (B,) and name == "y":
        return (
            f"{said} You took only the character after the window. The model guesses at each "
            "place of it: y is the whole window, one character later."
        )
    if z.shape == (B, T + 1):
        return f"{said} It still has the extra character: x leaves out the last, y the first."
    if z.shape == (B, T - 1):
        return f"{said} It is one short: cut x and y from block_size + 1 characters."
    if z.shape == (T,):
        return f"{said} That is a single window. Take batch_size of them."
    return said


def shift_said(x: np.ndarray, y: np.ndarray, T: int) -> str | None:
    shift = y - x
    if (shift == 1).all():
        return None
    if (shift == 0).all():
        return (
            "y is x itself, so a model could copy what it sees. The target of a character is the "
            "one that comes after it: shift by one."
        )
    if (shift == -1).all():
        return "y is one character early: it comes before x. The target is what comes after."
    if (shift == T).all():
        return (
            "y is the window after x. The target of each character is the very next one: shift by "
            "one, not by block_size."
        )
    if (shift == 2).all():
        return "y is two characters after x. Shift by one."
    if (shift[:, :-1] == 1).all():
        return (
            f"The last character of y is wrong: {y[0, -1]} follows {x[0, -1]}. It is not taken "
            "from x, nor is x turned round (np.roll): it is the next character of the text."
        )
    return (
        f"In row 0, x begins with {x[0, 0]}, so y must begin with {x[0, 0] + 1}; it has "
        f"{y[0, 0]}. Are x and y drawn from the same places?"
    )


def one_batch(result: Any) -> str | None:
    if said := is_batch(result, T=5, B=3):
        return said
    if len(set(result[0][:, 0].tolist())) == 1:
        return (
            "All windows begin at the same place. Draw batch_size places, one for each: "
            "rng.integers(..., size=batch_size)."
        )
    return None


def tight(result: Any) -> str | None:
    return is_batch(result, T=4, B=2)


def starts(m: Any) -> Any:
    """Where 4,000 windows begin in a text with room for four."""
    rng = Generator(np.random.PCG64(0))
    batch = draw(m, N=9, T=5, B=4000, rng=rng)
    if said := is_batch(batch, T=5, B=4000):
        return said
    return *np.unique(batch[0][:, 0] - FIRST, return_counts=True), unused(rng)


def all_places(result: Any) -> str | None:
    if isinstance(result, str):
        return result
    places, counts = result[0].tolist(), result[1].tolist()
    if places == [0, 1, 2]:
        return (
            f"{result[2]}Of 4,000 windows none begins at the last place that has room: off by one. "
            "The upper end of rng.integers is never drawn, so it is N - block_size."
        )
    if places == [1, 2, 3]:
        return "Of 4,000 windows none begins with the first character. Places count from 0."
    if places != [0, 1, 2, 3]:
        return f"The windows begin at {places}; there is room at 0, 1, 2 and 3, and nowhere else."
    if min(counts) < 800 or max(counts) > 1200:
        return (
            f"Of 4,000 windows {counts} begin at 0, 1, 2 and 3. Each place should be as likely as "
            "the others, about 1,000 each; are some pushed back from the end?"
        )
    return None


def repeated(m: Any) -> Any:
    """Batches of seeds 1, 1 and 2, and the next one from the first generator."""
    ids = FIRST + np.arange(5000)
    rng = np.random.default_rng(1)
    first = m.get_batch(ids, 6, 4, rng)[0]
    second = m.get_batch(ids, 6, 4, rng)[0]
    again = m.get_batch(ids, 6, 4, np.random.default_rng(1))[0]
    other = m.get_batch(ids, 6, 4, np.random.default_rng(2))[0]
    return first, second, again, other


def from_rng(result: Any) -> str | None:
    first, second, again, other = result
    if not np.array_equal(first, again):
        return (
            "Two generators with the same seed gave two different batches, so the places do not "
            "come from `rng`. Use rng.integers, not np.random or random: then a training can be "
            "repeated exactly."
        )
    if np.array_equal(first, second):
        return (
            "The second batch from one generator is the first again. Is a new generator made "
            "inside? Use the `rng` that is passed in: it goes on where it stood."
        )
    if np.array_equal(first, other):
        return "Another seed gave the same batch. Draw the places from `rng`."
    return None


def honest(m: Any) -> Any:
    """The ids in 200 batches of the training part, of a text of 300."""
    ids = FIRST + np.arange(300)
    train, held_out = m.split(ids, 0.1)
    rng = np.random.default_rng(0)
    seen = [m.get_batch(train, 8, 16, rng) for _ in range(200)]
    return set(np.unique(np.concatenate([z for pair in seen for z in pair]))), set(held_out)


def never_seen(result: Any) -> str | None:
    seen, held_out = result
    if common := sorted(seen & held_out):
        return (
            f"{len(common)} of the held-out ids came up in batches, the first of them "
            f"{common[0]}. What judges must never be trained on."
        )
    if len(seen) < 270:
        return f"Only {len(seen)} of the 270 training ids ever came up, in x or y. All should."
    return None


CHECKS = [
    Check(
        what="Twenty ids, a tenth held out.",
        call=lambda m: m.split(np.arange(20), 0.1),
        shown="split(np.arange(20), 0.1)",
        by_hand="round(0.1 * 20) = 2, so the last two, 18 and 19, are held out; 0 to 17 are not.",
        mistakes=in_split(20, 0.1),
    ),
    Check(
        what="Twenty-seven ids, a tenth held out: rounded.",
        call=lambda m: m.split(np.arange(27), 0.1),
        shown="split(np.arange(27), 0.1)",
        by_hand="0.1 * 27 = 2.7, rounded 3: train is 0 to 23, held out are 24, 25, 26.",
        mistakes=in_split(27, 0.1),
    ),
    Check(
        what="Nothing held out.",
        call=lambda m: m.split(np.arange(7), 0.0),
        shown="split(np.arange(7), 0.0)",
        by_hand="round(0 * 7) = 0: train is everything, held_out is empty.",
        mistakes=in_split(7, 0.0),
    ),
    Check(
        what="An empty text has two empty parts.",
        call=lambda m: m.split(np.arange(0), 0.5),
        shown="split(np.arange(0), 0.5)",
        by_hand="round(0.5 * 0) = 0, and both slices are empty.",
    ),
    Check(
        what="Three windows of five characters, and the same one character later.",
        call=lambda m: draw(m, N=50, T=5, B=3),
        shown="get_batch(np.arange(1000, 1050), 5, 3, np.random.default_rng(0))",
        by_hand="A window of five that begins at 7 is x = 7 8 9 10 11; y = 8 9 10 11 12. "
        "Three of them, one below the other: (3, 5).",
        verify=one_batch,
    ),
    Check(
        what="A text with room for one window only.",
        call=lambda m: draw(m, N=5, T=4, B=2),
        shown="get_batch(np.arange(1000, 1005), 4, 2, np.random.default_rng(0))",
        by_hand="x is characters 0 to 3 and y is 1 to 4: both rows begin at 0.",
        verify=tight,
    ),
    Check(
        what="Each place that has room comes up, one as often as another.",
        call=starts,
        shown="get_batch(np.arange(1000, 1009), 5, 4000, np.random.default_rng(0))",
        by_hand="N = 9, T = 5: x may begin at 0, 1, 2 or 3. At 3, x is 3 to 7 and y is 4 to 8, "
        "the last character. At 4, y would need a character 9.",
        verify=all_places,
    ),
    Check(
        what="The same seed gives the same batch, and the next batch is another.",
        call=repeated,
        shown="get_batch(ids, 6, 4, np.random.default_rng(1))    # several times",
        by_hand="Two generators from default_rng(1) draw the same numbers; one generator that is "
        "used twice goes on.",
        verify=from_rng,
    ),
    Check(
        what="What is held out is never in a batch of the training part.",
        call=honest,
        shown="get_batch(split(ids, 0.1)[0], 8, 16, rng)    # 200 times",
        by_hand="x and y are both cut from `train`, so the last target is train's last character.",
        verify=never_seen,
    ),
]


def visible(text: str) -> str:
    return text.replace("\n", "↵")


def reward(theirs: Any) -> str:
    poems = builtin_poems()
    characters = sorted(set(poems))
    place = {c: i for i, c in enumerate(characters)}
    train, held_out = theirs.split(np.array([place[c] for c in poems]), 0.1)
    T, B = 32, 4
    x, y = theirs.get_batch(train, T, B, np.random.default_rng(5))

    def text(ids: np.ndarray) -> str:
        return visible("".join(characters[i] for i in ids))

    rows = "\n\n".join(f"    x  {text(x[b])}\n    y  {text(y[b])}" for b in range(B))
    row = text(x[0])
    one = "\n".join(f"    {row[: t + 1]!r:>12} → {text(y[0])[t]!r}" for t in range(6))
    return f"""{len(train):,} characters to train on, {len(held_out):,} held out. A batch of {B}:

{rows}

In the first window alone are {T} exercises:

{one}
    ...

{B} windows of {T} are {B * T} exercises, and one matrix product does them all. The training part
has {len(train) - T:,} places for a window to begin at."""
