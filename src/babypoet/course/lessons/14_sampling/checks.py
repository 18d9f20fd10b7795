"""What is asked of sampling, and the mistakes that people make in it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babypoet.course.checking import Check, Mistake, compare

Array = NDArray[np.float64]

SLOPE = np.array([2.0, 1.0, 0.0])
PEAKS = np.array([1.0, 0.2, 3.0, -1.0, 2.0])
TIES = np.array([1.0, 3.0, 2.0, 2.0, 2.0, 0.0])
MANY = np.random.default_rng(14).integers(0, 3, 79) / 2.0  # 79 scores, most of them equal
HUGE = np.array([1000.0, 1001.0, 998.0, 1000.5])


def plain_softmax(x: Array) -> Array:
    e = np.exp(x - x.max())
    return e / e.sum()


def of(*arguments: Any) -> Callable[[Any], Any]:
    """A check's call: their `distribution` of these arguments."""

    def call(module: Any) -> Any:
        with np.errstate(all="ignore"):
            given = (a.copy() if isinstance(a, np.ndarray) else a for a in arguments)
            return module.distribution(*given)

    return call


def keep(logits: Array, ids: list[int]) -> Array:
    """The probabilities where only these ids are left."""
    kept = np.full(len(logits), -np.inf)
    kept[ids] = logits[ids]
    return plain_softmax(kept)


def keep_unscaled(logits: Array, ids: list[int]) -> Array:
    """The same without dividing by the new sum."""
    p = np.zeros(len(logits))
    p[ids] = plain_softmax(logits)[ids]
    return p


def draws(probabilities: list[float], numbers: list[float]) -> Callable[[Any], Any]:
    """A check's call: what their `draw` gives for each of the numbers."""

    def call(module: Any) -> Any:
        return [module.draw(np.array(probabilities), u) for u in numbers]

    return call


def counted(probabilities: list[float], numbers: list[float], side: Any, scaled: bool) -> list[int]:
    """How `searchsorted` draws."""
    ends = np.cumsum(probabilities)
    return [int(np.searchsorted(ends, u * ends[-1] if scaled else u, side=side)) for u in numbers]


BORDERS = [0.25, 0.5, 0.25]
NEARLY_ONE = [0.1] * 10
LAST = float(np.nextafter(1.0, 0.0))

SIDE = (
    "A number on a border was drawn into the piece before it. A piece begins where the one before "
    'ends: look for the first end above u (searchsorted: side="right").'
)
NO_WIDTH = (
    "An id of probability 0 was drawn: u = 0 lies on its end, not in it. Look for the first end "
    'above u, not at or above it (searchsorted: side="right").'
)
ONE_MORE = "Your ids are off by one: the first piece belongs to id 0."
LIKELIEST = "u makes no difference: you always give the likeliest id. Let u choose."
BEHIND = (
    "This u pointed behind the last piece, and the id is one that does not exist: rounding left "
    "the last end just below 1. Multiply u by the last end."
)
FELL_THROUGH = (
    "This u lay above all the ends, so your loop ended without an answer: rounding left the last "
    "end just below 1. Multiply u by the last end."
)

# --- a small writer -------------------------------------------------------------------------------

V = 11
PROMPT = [4, 7, 2]
NUMBERS = [0.05, 0.93, 0.41, 0.68, 0.27, 0.99, 0.16, 0.52, 0.75]


def next_logits(ids: list[int]) -> Array:
    """Scores that depend on the last id and on how many there are."""
    return np.cos(np.arange(V) * (1 + ids[-1]) + 2.0 * len(ids)) * 3


def writing(
    numbers: list[float] = NUMBERS,
    length: int = 5,
    temperature: float = 1.0,
    top_k: int | None = None,
    function: Callable[[list[int]], Array] = next_logits,
) -> Callable[[Any], Any]:
    """A check's call: what their `write` writes."""

    def call(module: Any) -> Any:
        with np.errstate(all="ignore"):
            return module.write(function, list(PROMPT), length, numbers, temperature, top_k)

    return call


def judged(**how: Any) -> Callable[[Any], Any]:
    """What their `write` writes, beside what their own other two functions should make it write:
    a mistake in those is none of `write`."""

    def call(module: Any) -> Any:
        return writing(**how)(module), by_their_parts(module, **how)

    return call


def by_their_parts(
    module: Any, length: int = 5, temperature: float = 1.0, top_k: int | None = None
) -> list[Any]:
    text: list[Any] = list(PROMPT)
    with np.errstate(all="ignore"):
        for u in NUMBERS[:length]:
            text.append(module.draw(module.distribution(next_logits(text), temperature, top_k), u))
    return text[len(PROMPT) :]


def as_expected(result: Any) -> str | None:
    written, expected = result
    return compare(written, expected)


def instead(says: str, gives: Callable[[Any], Any], **how: Any) -> Mistake:
    """A mistake in `write` alone."""
    return Mistake(says, lambda right: (gives(right), by_their_parts(right, **how)))


def without_feedback(right: Any) -> list[int]:
    p = right.distribution(next_logits(PROMPT))
    return [right.draw(p, u) for u in NUMBERS[:5]]


def only_the_last(right: Any) -> list[int]:
    return writing(function=lambda ids: next_logits(ids[-1:]))(right)


def asks(module: Any) -> list[list[int]]:
    """The lists that their `write` asks the model about."""
    seen: list[list[int]] = []

    def asked(ids: list[int]) -> Array:
        seen.append([int(i) for i in ids])
        return next_logits(ids)

    module.write(asked, list(PROMPT), 3, NUMBERS)
    return seen


TEMPERATURE_LEFT_OUT = "The temperature makes no difference: divide the logits by it."

CHECKS = [
    Check(
        what="At temperature 1 the probabilities are the softmax of the logits.",
        call=of(SLOPE, 1.0, None),
        shown="distribution(np.array([2.0, 1.0, 0.0]), 1.0, None)",
        by_hand="e^2, e^1 and e^0 are 7.389, 2.718 and 1; their sum is 11.107; the probabilities "
        "are 0.665, 0.245 and 0.090.",
        mistakes=(
            Mistake(
                "The probabilities do not sum to 1: divide e^x by the sum of all e^x.",
                lambda right: np.exp(SLOPE),
            ),
            Mistake(
                "The probabilities do not sum to 1: divide e^x by the sum of all e^x.",
                lambda right: np.exp(SLOPE - SLOPE.max()),
            ),
            Mistake(
                "The scores themselves were divided by their sum. Take e^x of each first.",
                lambda right: SLOPE / SLOPE.sum(),
            ),
        ),
    ),
    Check(
        what="A low temperature makes the likeliest likelier.",
        call=of(SLOPE, 0.5, None),
        shown="distribution(np.array([2.0, 1.0, 0.0]), 0.5, None)",
        by_hand="The scores divided by 0.5 are 4, 2 and 0; their softmax is 0.867, 0.117 and "
        "0.016.",
        mistakes=(
            Mistake(
                "The logits were multiplied by the temperature, so a low one makes them flatter. "
                "Divide by it.",
                lambda right: plain_softmax(SLOPE * 0.5),
            ),
            Mistake(TEMPERATURE_LEFT_OUT, lambda right: plain_softmax(SLOPE)),
            Mistake(
                "The probabilities were divided by the temperature, and no longer sum to 1. Divide "
                "the logits, before e^x.",
                lambda right: plain_softmax(SLOPE) / 0.5,
            ),
        ),
    ),
    Check(
        what="Scores of a thousand are no problem.",
        call=of(HUGE, 1.0, None),
        shown="distribution(np.array([1000.0, 1001.0, 998.0, 1000.5]), 1.0, None)",
        by_hand="Less the largest they are -1, 0, -3, -0.5, and e^x of those is 0.368, 1, 0.050, "
        "0.607. The same number taken off all scores changes no probability.",
        mistakes=(
            Mistake(
                "e^1000 is more than a number can hold, and infinity divided by infinity is no "
                "number. Subtract the largest logit from all before you take e^x.",
                lambda right: np.exp(HUGE) / np.exp(HUGE).sum(),
            ),
        ),
        tolerance=1e-9,
    ),
    Check(
        what="At temperature 0 the likeliest has probability 1; of equals, the one with the lower "
        "id.",
        call=of(TIES[[0, 2, 1, 1]], 0, None),
        shown="distribution(np.array([1.0, 2.0, 3.0, 3.0]), 0, None)",
        by_hand="The largest score is 3, first at id 2: the answer is 0, 0, 1, 0.",
        mistakes=(
            Mistake(
                "Temperature 0 divides by zero, and what comes out is no number. Treat it on its "
                "own: probability 1 for the likeliest.",
                lambda right: np.full(4, np.nan),
            ),
            Mistake(
                "The two likeliest share the probability. At temperature 0 only one is left, the "
                "one with the lower id: argmax gives it.",
                lambda right: np.array([0.0, 0.0, 0.5, 0.5]),
            ),
            Mistake(
                "Of two equals you took the one with the higher id. argmax gives the lower one.",
                lambda right: np.array([0.0, 0.0, 0.0, 1.0]),
            ),
            Mistake(
                "At temperature 0 you give the id. The answer is an array of probabilities: 1 at "
                "that id, 0 elsewhere.",
                lambda right: 2,
            ),
            Mistake(
                "Temperature 0 was treated like 1. At 0 the likeliest character has probability 1.",
                lambda right: plain_softmax(TIES[[0, 2, 1, 1]]),
            ),
        ),
    ),
    Check(
        what="top_k=2 leaves the two likeliest of five, and they sum to 1.",
        call=of(PEAKS, 1.0, 2),
        shown="distribution(np.array([1.0, 0.2, 3.0, -1.0, 2.0]), 1.0, 2)",
        by_hand="Scores 3 and 2 are left. e^0 and e^-1 are 1 and 0.368, their sum 1.368: the "
        "answer is 0, 0, 0.731, 0, 0.269.",
        mistakes=(
            Mistake(
                "What is left does not sum to 1: after top_k, divide by the sum of those that "
                "stay.",
                lambda right: keep_unscaled(PEAKS, [2, 4]),
            ),
            Mistake(
                "top_k kept the least likely ones. Sort so that the largest score comes first.",
                lambda right: keep(PEAKS, [3, 1]),
            ),
            Mistake("top_k kept one too many: k + 1.", lambda right: keep(PEAKS, [2, 4, 0])),
            Mistake("top_k kept one too few: k - 1.", lambda right: keep(PEAKS, [2])),
            Mistake(
                "The dropped scores were set to 0, but e^0 is 1: that is still a chance. Set them "
                "to minus infinity, or their e^x to 0.",
                lambda right: plain_softmax(np.where(PEAKS > 1.5, PEAKS, 0)),
            ),
            Mistake("top_k makes no difference yet.", lambda right: plain_softmax(PEAKS)),
            Mistake(
                "The first k ids were kept, not the k likeliest.",
                lambda right: keep(PEAKS, [0, 1]),
            ),
        ),
    ),
    Check(
        what="top_k=3 leaves three, also where scores are equal: the lower ids stay.",
        call=of(TIES, 1.0, 3),
        shown="distribution(np.array([1.0, 3.0, 2.0, 2.0, 2.0, 0.0]), 1.0, 3)",
        by_hand="Largest first the ids are 1 (3.0), then 2, 3 and 4 (2.0 each). Three stay: 1, 2 "
        "and 3. The answer is 0, 0.576, 0.212, 0.212, 0, 0.",
        mistakes=(
            Mistake(
                "Where scores are equal, top_k kept more than k: all that are as large as the "
                "k-th. Choose ids, not a threshold; of equals the lower ids stay.",
                lambda right: keep(TIES, [1, 2, 3, 4]),
            ),
            Mistake(
                "Of equal scores top_k kept the higher ids. Sort the negative logits with "
                'kind="stable", which leaves the lower ids first.',
                lambda right: keep(TIES, [1, 4, 3]),
            ),
            Mistake(
                "Where scores are equal, top_k kept fewer than k: only those above the k-th. "
                "Choose ids, not a threshold.",
                lambda right: keep(TIES, [1]),
            ),
        ),
    ),
    Check(
        what="Of 79 characters with many equal scores top_k=12 leaves 12; of equals the lower ids "
        "stay.",
        call=of(MANY, 1.0, 12),
        shown="distribution(logits, 1.0, 12)  # 79 scores, each 0, 0.5 or 1",
        by_hand="More than twelve have the largest score, 1. Those with the twelve lowest ids "
        "stay, each\nwith the probability 1/12 = 0.083.",
        mistakes=tuple(
            Mistake(
                "Of equal scores others stayed than those with the lower ids. argsort and "
                "argpartition leave equals in any order; np.argsort(-logits, "
                'kind="stable") keeps theirs: the lower ids stay.',
                gives,
            )
            for gives in (
                lambda right: keep(MANY, list(np.argsort(-MANY)[:12])),
                lambda right: keep(MANY, list(np.argsort(MANY)[::-1][:12])),
                lambda right: keep(MANY, list(np.argpartition(-MANY, 11)[:12])),
                lambda right: keep(MANY, list(np.argpartition(MANY, -12)[-12:])),
                lambda right: keep(MANY, list(np.argsort(MANY, kind="stable")[::-1][:12])),
            )
        ),
    ),
    Check(
        what="top_k may be larger than the number of characters: then all stay.",
        call=of(SLOPE, 2.0, 9),
        shown="distribution(np.array([2.0, 1.0, 0.0]), 2.0, 9)",
        by_hand="There are only three, so all are kept: the softmax of 1, 0.5 and 0, which is "
        "0.506, 0.307 and 0.186.",
        mistakes=(Mistake(TEMPERATURE_LEFT_OUT, lambda right: plain_softmax(SLOPE)),),
    ),
    Check(
        what="Numbers inside the pieces draw their ids.",
        call=draws(BORDERS, [0.1, 0.3, 0.6, 0.8, 0.99]),
        shown="[draw(np.array([0.25, 0.5, 0.25]), u) for u in (0.1, 0.3, 0.6, 0.8, 0.99)]",
        by_hand="The pieces end at 0.25, 0.75 and 1. 0.1 lies in the first (id 0), 0.3 and 0.6 in "
        "the second, 0.8 and 0.99 in the third: 0, 1, 1, 2, 2.",
        mistakes=(
            Mistake(ONE_MORE, lambda right: [1, 2, 2, 3, 3]),
            Mistake(ONE_MORE, lambda right: [-1, 0, 0, 1, 1]),
            Mistake(LIKELIEST, lambda right: [1, 1, 1, 1, 1]),
            Mistake(
                "The ids come out back to front: pile the probabilities up from id 0.",
                lambda right: [2, 1, 1, 0, 0],
            ),
        ),
    ),
    Check(
        what="A number on a border belongs to the piece that begins there.",
        call=draws(BORDERS, [0.0, 0.25, 0.75]),
        shown="[draw(np.array([0.25, 0.5, 0.25]), u) for u in (0.0, 0.25, 0.75)]",
        by_hand="The first piece is 0 <= u < 0.25, the second 0.25 <= u < 0.75: the answer is "
        "0, 1, 2.",
        mistakes=(Mistake(SIDE, lambda right: [0, 0, 1]),),
    ),
    Check(
        what="An id with probability 0 is never drawn, not even by u = 0.",
        call=draws([0.0, 0.5, 0.0, 0.5], [0.0, 0.5]),
        shown="[draw(np.array([0.0, 0.5, 0.0, 0.5]), u) for u in (0.0, 0.5)]",
        by_hand="The pieces end at 0, 0.5, 0.5 and 1. The first end above 0 is that of id 1; the "
        "first above 0.5 that of id 3.",
        mistakes=(
            Mistake(
                NO_WIDTH, lambda right: counted([0.0, 0.5, 0.0, 0.5], [0.0, 0.5], "left", True)
            ),
        ),
    ),
    Check(
        what="The largest number below 1 draws the last id, whatever rounding did.",
        call=draws(NEARLY_ONE, [LAST]),
        shown="[draw(np.full(10, 0.1), 0.9999999999999999)]",
        by_hand="The ten pieces end at 0.1, 0.2, ... and, after rounding, 0.9999999999999999. That "
        "times u is 0.9999999999999998, just below the last end: id 9.",
        mistakes=(
            Mistake(BEHIND, lambda right: counted(NEARLY_ONE, [LAST], "right", False)),
            Mistake(FELL_THROUGH, lambda right: [None]),
        ),
    ),
    Check(
        what="Five characters follow the prompt, each read before the next is drawn.",
        call=judged(),
        shown="write(next_logits, [4, 7, 2], 5, [0.05, 0.93, 0.41, 0.68, 0.27, ...], 1.0, None)",
        by_hand="With the prompt [7] and two characters to write: the scores of [7] draw, say, 3; "
        "then the scores of [7, 3] draw, say, 5. The answer is [3, 5].",
        verify=as_expected,
        mistakes=(
            instead(
                "The answer is empty: `text = ids` is one list with two names, so the prompt grew "
                "too. Work on a copy: list(ids).",
                lambda right: [],
            ),
            instead(
                "The prompt is repeated in the answer. Give back the new ids only.",
                lambda right: PROMPT + writing()(right),
            ),
            instead(
                "Every character is drawn from the scores of the prompt: what was written is never "
                "read. Append the new id before you ask for scores again.",
                without_feedback,
            ),
            instead(
                "The model is only told the last id. Give it the whole list so far.",
                only_the_last,
            ),
            instead(
                "Every draw used the same random number. The new character i is drawn by "
                "numbers[i].",
                lambda right: writing([NUMBERS[0]] * 5)(right),
            ),
            instead(
                "The random numbers are counted from the length of the text. The first new "
                "character is drawn by numbers[0].",
                lambda right: writing(NUMBERS[3:])(right),
            ),
            instead(
                "The first random number was skipped: the first new character is drawn by "
                "numbers[0].",
                lambda right: writing(NUMBERS[1:])(right),
            ),
            instead(
                "There is one character too many: the loop runs `length` times.",
                lambda right: writing(length=6)(right),
            ),
            instead(
                "There is one character too few: the loop runs `length` times.",
                lambda right: writing(length=4)(right),
            ),
            instead(
                "The likeliest character is written each time. Draw, with numbers[i].",
                lambda right: writing(temperature=0)(right),
            ),
        ),
    ),
    Check(
        what="The model is asked about the whole text so far.",
        call=asks,
        shown="write(next_logits, [4, 7, 2], 3, numbers)  # and what next_logits was given",
        by_hand="The first time it is the prompt, [4, 7, 2]; the second time the prompt and the "
        "first new id; the third time both new ids stand behind it.",
        mistakes=(
            Mistake(
                "Every character is drawn from the scores of the prompt: append the new id before "
                "you ask again.",
                lambda right: [PROMPT] * 3,
            ),
        ),
    ),
    Check(
        what="Temperature and top_k are passed on.",
        call=judged(temperature=4.0, top_k=2),
        shown="write(next_logits, [4, 7, 2], 5, numbers, 4.0, 2)",
        by_hand="Each new id is draw(distribution(scores, 4.0, 2), numbers[i]).",
        verify=as_expected,
        mistakes=(
            instead(
                "Neither temperature nor top_k made a difference: pass both on to `distribution`.",
                lambda right: writing()(right),
                temperature=4.0,
                top_k=2,
            ),
            instead(
                "The temperature made no difference: pass it on to `distribution`.",
                lambda right: writing(top_k=2)(right),
                temperature=4.0,
                top_k=2,
            ),
            instead(
                "top_k made no difference: pass it on to `distribution`.",
                lambda right: writing(temperature=4.0)(right),
                temperature=4.0,
                top_k=2,
            ),
        ),
    ),
]


# --- something to see -----------------------------------------------------------------------------


def reward(theirs: Any) -> str:
    """A pair table of the poems, written with at several temperatures by the same numbers."""
    from babypoet.corpus import builtin_poems

    text = builtin_poems()
    characters = sorted(set(text))
    codes = {character: i for i, character in enumerate(characters)}
    ids = np.array([codes[character] for character in text])
    counts = np.zeros((len(characters), len(characters)))
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    logits = np.log(counts + 1e-3)

    numbers = list(np.random.default_rng(1).random(64))
    said = [
        "A table of letter pairs goes on after “the ”, always with the same random numbers:",
        "",
    ]
    for name, temperature, top_k in (
        ("temperature 0", 0, None),
        ("temperature 0.4", 0.4, None),
        ("temperature 1", 1.0, None),
        ("temperature 2", 2.0, None),
        ("1 and top_k 5", 1.0, 5),
    ):
        start = [codes[character] for character in "the "]
        new = theirs.write(lambda ids: logits[ids[-1]], start, 64, numbers, temperature, top_k)
        line = "".join(characters[i] for i in new).replace("\n", "/")
        said.append(f"{name:>15}  the {line}")
    said += ["", "(/ is a new line.) Cold repeats itself, hot raves; poems live in between."]
    return "\n".join(said)
