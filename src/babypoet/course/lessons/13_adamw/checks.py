"""What is asked of AdamW, and the mistakes that people make in it."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babypoet.course.checking import Check, Mistake, Problem, Stopped
from babypoet.course.differences import type_name

Array = NDArray[np.float64]

PARAMETER = np.array([1.0, -2.0, 0.5])
GRADIENTS = np.array([[0.5, -20.0, 0.003], [0.1, -4.0, -0.002], [-0.3, 6.0, 0.001]])
PLAIN: dict[str, float] = {
    "learning_rate": 0.1,
    "beta1": 0.9,
    "beta2": 0.96,
    "eps": 1e-8,
    "weight_decay": 0.0,
}
DECAYING = PLAIN | {"weight_decay": 0.5}
COARSE = PLAIN | {"eps": 0.1}


def fresh(parameter: Array) -> dict[str, Any]:
    """The state before the first update."""
    return {"step": 0, "mean": np.zeros_like(parameter), "square": np.zeros_like(parameter)}


def updates(
    step: Any, gradients: Array, settings: dict[str, float], parameter: Array = PARAMETER
) -> tuple[Any, Any]:
    """Some updates in a row with the function `step` -> the last parameter and state."""
    parameter, state = parameter.copy(), fresh(parameter)
    with np.errstate(all="ignore"):
        for gradient in gradients:
            result = step(parameter, gradient.copy(), state, **settings)
            parameter, state = both(result)
    return parameter, state


def both(result: Any) -> tuple[Any, Any]:
    """The new parameter and the new state, or what is wrong with the two."""
    asked = "Return two things: the new parameter and the new state."
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        many = isinstance(result, (tuple, list))
        given = f"{len(result)} things" if many else f"one thing, {type_name(result)}"
        given = "None" if result is None else given
        raise Stopped(Problem(f"{asked} Yours gave {given}."))
    parameter, state = result
    if isinstance(parameter, dict):
        raise Stopped(Problem(f"{asked} In yours the state comes first."))
    if not isinstance(state, dict):
        raise Stopped(Problem(f"{asked} In yours the second is {type_name(state)}, not a dict."))
    return parameter, state


def mistaken(
    says: str, what: str, kind: str, gradients: Array, settings: dict[str, float] = PLAIN
) -> Mistake:
    """A mistake in a few updates, of which one looks at the "parameter" or the "state"."""

    def step(
        parameter: Array,
        gradient: Array,
        state: dict[str, Any],
        learning_rate: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
    ) -> tuple[Array, dict[str, Any]]:
        if kind == "decay in the gradient":
            gradient = gradient + weight_decay * parameter
        if kind == "betas swapped":
            beta1, beta2 = beta2, beta1
        weights = (1 - beta1, 1 - beta2)
        if kind == "weights swapped":
            beta1, beta2 = 1 - beta1, 1 - beta2
            weights = (1 - beta1, 1 - beta2)
        if kind == "a sum":
            weights = (1.0, 1.0)
        count = state["step"] + 1
        mean = beta1 * state["mean"] + weights[0] * gradient
        squared = np.abs(gradient) if kind == "not squared" else gradient**2
        square = beta2 * state["square"] + weights[1] * squared
        since = {"corrected too late": count - 1, "corrected too early": count + 1, "stuck": 1}
        t = since.get(kind, count)
        with np.errstate(all="ignore"):
            first, second = 1 - np.float64(beta1) ** t, 1 - np.float64(beta2) ** t
            corrected_mean = mean if kind in ("uncorrected", "mean") else mean / first
            corrected_square = square if kind in ("uncorrected", "square") else square / second
            if kind == "corrected state":
                mean, square = corrected_mean, corrected_square
            root = {
                "eps inside": np.sqrt(corrected_square + eps),
                "no eps": np.sqrt(corrected_square),
                "eps early": (np.sqrt(square) + eps) / np.sqrt(second),
                "no root": corrected_square + eps,
            }.get(kind, np.sqrt(corrected_square) + eps)
            direction = gradient if kind == "descent" else corrected_mean / root
        if kind == "uphill":
            direction = -direction
        decay = learning_rate * weight_decay
        decay = {"no decay": 0.0, "rateless": weight_decay, "growing": -decay}.get(kind, decay)
        if kind == "decay in the gradient":
            decay = 0.0
        moved = parameter * (1 - decay) - learning_rate * direction
        if kind == "decay afterwards":
            moved = (parameter - learning_rate * direction) * (1 - decay)
        kept = state["step"] if kind == "step not counted" else count
        return moved, {"step": kept, "mean": mean, "square": square}

    index = ("parameter", "state").index(what)
    return Mistake(says, lambda right: updates(step, gradients, settings)[index])


FIRST, TWO, ALL = GRADIENTS[:1], GRADIENTS[:2], GRADIENTS
STILL = np.zeros((1, 3))

NOT_COUNTED = (
    'The step is not counted: state["step"] goes in as the number of updates so far, and must come '
    "out one larger."
)
SWAPPED = (
    "The betas are swapped: beta1 belongs to the mean of the gradients, beta2 to the mean of their "
    "squares."
)
WEIGHTS = (
    "The two weights of an average are swapped: beta is the share of what was remembered, 1 - beta "
    "that of the new gradient."
)
SUM = (
    "The new gradient comes in with weight 1, so this is a growing sum, not an average. Its weight "
    "is 1 - beta, and the two weights add up to 1."
)
NOT_SQUARED = 'state["square"] averages the squares of the gradients; yours averages their sizes.'
CORRECTED_STATE = (
    "You keep the corrected averages in the state, so the next update corrects them once more. "
    "Keep the plain averages, and correct a copy."
)
UNCORRECTED = (
    "There is no bias correction: both averages began at zero and are still too small. Divide them "
    "by 1 - beta1^step and 1 - beta2^step."
)
HALF = (
    "Only one of the two averages has its bias correction; both began at zero, so both need it, "
    "each with its own beta."
)
FROM_ZERO = (
    "The bias correction counts the step from 0: at the first update 1 - beta^0 is 0, and you "
    "divide by it. Count the step before you use it, so that the first one is 1."
)
LATE = (
    "The bias correction is one step ahead: it counted twice. At the first update the power is 1."
)
STUCK = (
    "The bias correction always takes the power 1, as in the first update. The power is the number "
    "of the step: it grows, and the correction fades away."
)
UPHILL = "The parameter walks uphill: the sign is wrong. The direction is subtracted."
NO_ROOT = (
    "The root is missing: the mean gradient is divided by the root of the mean square, so that the "
    "scale of the gradient cancels."
)
DESCENT = (
    "This is plain descent: the parameter moves by the gradient itself. Move it by the corrected "
    "mean, divided by the root of the corrected mean square."
)
EPS_INSIDE = (
    "eps stands inside the root. It is added after the root is taken: sqrt(square) + eps, not "
    "sqrt(square + eps)."
)
NO_EPS = "eps is not used: add it to the root, so that a gradient of zero does not divide by zero."
EPS_EARLY = (
    "eps is added before the bias correction, so it is corrected too. Correct the mean square "
    "first; then the root, then eps."
)
NO_DECAY = "weight_decay is not used: the parameter shrinks by learning_rate * weight_decay of it."
L2 = (
    "The decay is mixed into the gradient. That is Adam with L2, where the division by the root "
    "undoes it; the W in AdamW is to shrink the parameter apart from the gradient."
)
RATELESS = (
    "The decay is not multiplied by the learning rate: the parameter shrinks by learning_rate * "
    "weight_decay of it."
)
GROWING = "The decay has the wrong sign: the parameter grows where it should shrink towards zero."
AFTERWARDS = (
    "You shrink what has already moved. The decay takes its share of the parameter as it came in, "
    "and the step comes off that."
)


def left_alone(module: Any) -> list[str]:
    """What was changed in place."""
    parameter, gradient, state = PARAMETER.copy(), GRADIENTS[0].copy(), fresh(PARAMETER)
    module.adamw_step(parameter, gradient, state, **DECAYING)
    inputs = {
        "parameter": (parameter, PARAMETER),
        "gradient": (gradient, GRADIENTS[0]),
        'state["mean"]': (state.get("mean"), np.zeros(3)),
        'state["square"]': (state.get("square"), np.zeros(3)),
        'state["step"]': (state.get("step"), 0),
    }
    return [name for name, (now, before) in inputs.items() if not np.array_equal(now, before)]


def says_changed(names: list[str]) -> str | None:
    if not names:
        return None
    return (
        f"{names[0]} was changed in place: the caller's own array or dict is different afterwards. "
        "Make new ones: `mean = ...`, not `mean += ...`, and return a new dict."
    )


def matrix(module: Any) -> tuple[Any, Any]:
    """Two updates of a (3, 5) matrix."""
    rng = np.random.default_rng(13)
    parameter, gradients = rng.normal(size=(3, 5)), rng.normal(size=(2, 3, 5))
    result: tuple[Any, Any] = updates(module.adamw_step, gradients, DECAYING, parameter)
    return result


CHECKS = [
    Check(
        what="After two updates the state holds the step, the mean and the mean square.",
        call=lambda module: updates(module.adamw_step, TWO, PLAIN)[1],
        shown="adamw_step(parameter, gradient, state, 0.1, 0.9, 0.96, 1e-8, 0)[1]  # twice",
        by_hand="gradient 0.5   mean   0.9  * 0    + 0.1  * 0.5   = 0.05\n"
        "               square 0.96 * 0    + 0.04 * 0.5^2 = 0.01    step 1\n"
        "gradient 0.1   mean   0.9  * 0.05 + 0.1  * 0.1   = 0.055\n"
        "               square 0.96 * 0.01 + 0.04 * 0.1^2 = 0.01    step 2",
        mistakes=(
            mistaken(NOT_COUNTED, "state", "step not counted", TWO),
            mistaken(SWAPPED, "state", "betas swapped", TWO),
            mistaken(WEIGHTS, "state", "weights swapped", TWO),
            mistaken(SUM, "state", "a sum", TWO),
            mistaken(NOT_SQUARED, "state", "not squared", TWO),
            mistaken(CORRECTED_STATE, "state", "corrected state", TWO),
            Mistake(
                "The state comes back as it went in: return the new averages and the new step.",
                lambda right: fresh(PARAMETER),
            ),
        ),
    ),
    Check(
        what="The first update moves every parameter by the learning rate, against the gradient.",
        call=lambda module: updates(module.adamw_step, FIRST, PLAIN)[0],
        shown="adamw_step([1, -2, 0.5], [0.5, -20, 0.003], state, 0.1, 0.9, 0.96, 1e-8, 0)[0]",
        by_hand="gradient 0.5\n"
        "corrected mean     0.05 / (1 - 0.9)  = 0.5\n"
        "corrected square   0.01 / (1 - 0.96) = 0.25, its root 0.5\n"
        "direction          0.5 / 0.5         = 1\n"
        "parameter          1 - 0.1 * 1       = 0.9\n"
        "The sizes -20 and 0.003 cancel in the same way.",
        mistakes=(
            mistaken(UNCORRECTED, "parameter", "uncorrected", FIRST),
            mistaken(HALF, "parameter", "mean", FIRST),
            mistaken(HALF, "parameter", "square", FIRST),
            mistaken(FROM_ZERO, "parameter", "corrected too late", FIRST),
            mistaken(LATE, "parameter", "corrected too early", FIRST),
            mistaken(UPHILL, "parameter", "uphill", FIRST),
            mistaken(NO_ROOT, "parameter", "no root", FIRST),
            mistaken(EPS_INSIDE, "parameter", "eps inside", FIRST),
            mistaken(DESCENT, "parameter", "descent", FIRST),
        ),
    ),
    Check(
        what="The third update corrects the averages with its own number, 3.",
        call=lambda module: updates(module.adamw_step, ALL, PLAIN)[0],
        shown="adamw_step(parameter, gradient, state, 0.1, 0.9, 0.96, 1e-8, 0)[0]  # three times",
        by_hand="After two updates with the gradients 0.5 and 0.1 the mean is 0.055.\n"
        "Corrected: 0.055 / (1 - 0.9^2) = 0.055 / 0.19 = 0.2895, close to their true mean, 0.3.",
        mistakes=(mistaken(STUCK, "parameter", "stuck", ALL),),
    ),
    Check(
        what="eps is added to the root, which shows where it is large.",
        call=lambda module: updates(module.adamw_step, TWO, COARSE)[0],
        shown="adamw_step(parameter, gradient, state, 0.1, 0.9, 0.96, 0.1, 0)[0]  # eps is 0.1",
        by_hand="For the first gradient 0.5 with eps = 0.1 the root is 0.5.\n"
        "direction   0.5 / (0.5 + 0.1) = 0.8333\n"
        "parameter   1 - 0.1 * 0.8333  = 0.9167",
        mistakes=(
            mistaken(EPS_INSIDE, "parameter", "eps inside", TWO, COARSE),
            mistaken(NO_EPS, "parameter", "no eps", TWO, COARSE),
            mistaken(EPS_EARLY, "parameter", "eps early", TWO, COARSE),
        ),
    ),
    Check(
        what="With a gradient of zero only the decay is left: each parameter loses the same share.",
        call=lambda module: updates(module.adamw_step, STILL, DECAYING)[0],
        shown="adamw_step([1, -2, 0.5], [0, 0, 0], state, 0.1, 0.9, 0.96, 1e-8, 0.5)[0]",
        by_hand="The share is learning_rate * weight_decay = 0.1 * 0.5 = 0.05:\n"
        "1 becomes 0.95, -2 becomes -1.9, and 0.5 becomes 0.475.\n"
        "The direction is 0 / (0 + 1e-8) = 0.",
        mistakes=(
            mistaken(NO_DECAY, "parameter", "no decay", STILL, DECAYING),
            mistaken(L2, "parameter", "decay in the gradient", STILL, DECAYING),
            mistaken(RATELESS, "parameter", "rateless", STILL, DECAYING),
            mistaken(GROWING, "parameter", "growing", STILL, DECAYING),
            mistaken(NO_EPS, "parameter", "no eps", STILL, DECAYING),
        ),
    ),
    Check(
        what="Decay and gradient together: first shrink, then step.",
        call=lambda module: updates(module.adamw_step, FIRST, DECAYING)[0],
        shown="adamw_step([1, -2, 0.5], [0.5, -20, 0.003], state, 0.1, 0.9, 0.96, 1e-8, 0.5)[0]",
        by_hand="1 shrinks to 1 - 0.1 * 0.5 * 1 = 0.95, and the step takes it to 0.95 - 0.1 = "
        "0.85.",
        mistakes=(
            mistaken(AFTERWARDS, "parameter", "decay afterwards", FIRST, DECAYING),
            mistaken(L2, "parameter", "decay in the gradient", FIRST, DECAYING),
        ),
    ),
    Check(
        what="What is passed in stays as it was.",
        call=left_alone,
        shown="adamw_step(parameter, gradient, state, 0.1, 0.9, 0.96, 1e-8, 0.5)",
        verify=says_changed,
    ),
    Check(
        what="A (3, 5) matrix is moved like fifteen parameters of their own.",
        call=matrix,
        shown="adamw_step(matrix, gradient, state, 0.1, 0.9, 0.96, 1e-8, 0.5)  # all (3, 5)",
    ),
]


# --- something to see -----------------------------------------------------------------------------

STEEPNESS = np.array([1.0, 200.0])
START = np.array([-8.0, 1.5])
CLOSE = 1e-3
MOST = 3000


def height(place: Array) -> float:
    return float(0.5 * (STEEPNESS * place**2).sum())


def walk(module: Any, rate: float, adamw: bool) -> list[Array]:
    """The places on the way into the valley, until it is as good as reached."""
    place, state = START.copy(), fresh(START)
    path = [place]
    while height(place) > CLOSE and len(path) <= MOST:
        gradient = STEEPNESS * place
        if adamw:
            place, state = module.adamw_step(place, gradient, state, rate, 0.9, 0.99, 1e-8, 0.0)
        else:
            place = place - rate * gradient
        if not (math.isfinite(height(place)) and height(place) < 1e6):
            return [START] * (MOST + 2)  # thrown out of the valley
        path.append(place)
    return path


def best_walk(module: Any, rates: list[float], adamw: bool) -> tuple[float, list[Array]]:
    paths = {rate: walk(module, rate, adamw) for rate in rates}
    rate = min(rates, key=lambda rate: len(paths[rate]))
    return rate, paths[rate]


def picture(path: list[Array], width: int = 64, rows: int = 11) -> str:
    """A path seen from above: its places as dots, S where it starts, X at the bottom."""
    grid = [[" "] * width for _ in range(rows)]

    def put(place: Array, mark: str) -> None:
        column = round((place[0] + 9) / 13 * (width - 1))
        row = round((1.8 - place[1]) / 3.6 * (rows - 1))
        if 0 <= column < width and 0 <= row < rows:
            grid[row][column] = mark

    for place in path:
        put(place, "•")
    put(START, "S")
    put(np.zeros(2), "X")
    return "\n".join("".join(row).rstrip() for row in grid).strip("\n")


def reward(theirs: Any) -> str:
    """Their AdamW and plain descent in one narrow valley, each at the best of eight rates."""
    rates = [0.0025, 0.005, 0.0099, 0.02, 0.1, 0.3, 0.6, 1.0]
    plain_rate, plain = best_walk(theirs, rates, adamw=False)
    rate, path = best_walk(theirs, rates, adamw=True)
    return (
        "A valley 200 times as steep across as along, seen from above. Both start at S and look\n"
        f"for X; of the rates {', '.join(f'{r:g}' for r in rates)} each has its best.\n\n"
        f"Plain descent, rate {plain_rate:g}: {len(plain) - 1} steps. A larger rate throws it out "
        f"of the valley.\n\n{picture(plain)}\n\n"
        f"Your AdamW, rate {rate:g}: {len(path) - 1} steps.\n\n{picture(path)}\n"
    )
