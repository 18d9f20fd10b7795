"""Pictures of a training: the loss curve beside what counting alone reaches, as SVG and PNG.

save_loss_curves(folder, {"modern": metrics}, {"best counter": 1.63})
"""

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from babypoet.runs import write_atomic

COLOURS = ("#8a4fff", "#e4572e", "#2e86ab", "#17a398", "#1b1b3a")
INK, FAINT = "#222222", "#888888"


def save_loss_curves(
    folder: Path,
    curves: Mapping[str, Sequence[Mapping[str, Any]]],
    opponents: Mapping[str, float],
) -> None:
    """Write loss.svg and loss.png into `folder`.

    `curves`: a title for each list of metrics.jsonl lines. `opponents`: a name for each loss in
    nats that is drawn as a level line. Validation losses are lines; with a single curve, the
    training loss lies behind it."""
    import matplotlib

    with matplotlib.rc_context(
        {"svg.hashsalt": "babypoet", "font.size": 10, "svg.fonttype": "none"}
    ):
        figure = _draw(curves, opponents)
        for name in ("loss.svg", "loss.png"):
            buffer = BytesIO()
            date = {"Date": None} if name.endswith("svg") else {}
            figure.savefig(buffer, format=name[-3:], dpi=150, metadata=date)
            write_atomic(folder / name, buffer.getvalue())


def _draw(curves: Mapping[str, Sequence[Mapping[str, Any]]], opponents: Mapping[str, float]) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for colour, (title, lines) in zip(COLOURS, curves.items(), strict=False):
        if len(curves) == 1:
            keep = 1 - 1 / max(1, len(lines) / 50)  # over a fiftieth of the training
            steps, smooth = smoothed([(m["step"], m["train_nats"]) for m in lines], keep)
            axes.plot(
                steps, smooth, color=FAINT, linewidth=1, alpha=0.6, label="training (smoothed)"
            )
        points = [
            (m["step"], m["validation_nats"]) for m in lines if m["validation_nats"] is not None
        ]
        label = title if len(curves) > 1 else "validation"
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=2, label=label)
    last = max((m["step"] for lines in curves.values() for m in lines), default=1)
    for nats in opponents.values():
        axes.axhline(nats, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    axes.set(xlabel="updates", ylabel="nats per character", xlim=(0, max(1, last)))
    low, high = axes.get_ylim()
    ends = [m["validation_nats"] for lines in curves.values() for m in lines[-1:]]
    highest = max((nats for nats in ends if nats is not None), default=high)
    for name, nats, height in spread_labels(opponents, gap=(high - low) / 22):
        right = nats > highest + (high - low) / 10  # the curves are well below it by then
        x, side = (0.99, "right") if right else (0.13, "left")
        axes.text(
            x,
            height + (high - low) / 150,
            f"{name} {nats:.2f}",
            ha=side,
            va="bottom",
            fontsize=8,
            color=INK,
            transform=axes.get_yaxis_transform(),
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
            zorder=4,
        )
    figure.legend(frameon=False, loc="outside upper center", ncols=len(curves) + 1)
    axes.spines[["top", "right"]].set_visible(False)
    letters = axes.secondary_yaxis("right", functions=(_identity, _identity))
    ticks = (2, 3, 5, 8, 12, 20, 40, 80, 160, 1000)
    letters.set_yticks([math.log(n) for n in ticks], [str(n) for n in ticks])
    letters.set_ylabel("torn between so many letters")
    return figure


def spread_labels(opponents: Mapping[str, float], gap: float) -> list[tuple[str, float, float]]:
    """(name, nats, height of the label): at its line, or as far above as keeps it off the label
    below.

    >>> spread_labels({"a": 2.0, "b": 1.0, "c": 1.1}, gap=0.5)
    [('b', 1.0, 1.0), ('c', 1.1, 1.5), ('a', 2.0, 2.0)]
    """
    placed: list[tuple[str, float, float]] = []
    for name, nats in sorted(opponents.items(), key=lambda item: item[1]):
        height = max(nats, placed[-1][2] + gap) if placed else nats
        placed.append((name, nats, height))
    return placed


def _identity(x: Any) -> Any:
    return x


def smoothed(points: Sequence[tuple[int, float]], keep: float) -> tuple[list[int], list[float]]:
    """An exponential moving average, corrected for its start: (steps, values).

    >>> smoothed([(0, 2.0), (1, 2.0)], keep=0.9)
    ([0, 1], [2.0, 2.0])
    """
    steps, values, total, weight = [], [], 0.0, 0.0
    for step, value in points:
        total, weight = keep * total + (1 - keep) * value, keep * weight + (1 - keep)
        steps.append(step)
        values.append(round(total / weight, 6))
    return steps, values
