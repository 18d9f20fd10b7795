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
            steps, smooth = smoothed([(m["step"], m["train_nats"]) for m in lines])
            axes.plot(
                steps, smooth, color=FAINT, linewidth=1, alpha=0.6, label="training (smoothed)"
            )
        points = [
            (m["step"], m["validation_nats"]) for m in lines if m["validation_nats"] is not None
        ]
        label = title if len(curves) > 1 else "validation"
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=2, label=label)
    last = max((m["step"] for lines in curves.values() for m in lines), default=1)
    for name, nats in opponents.items():
        axes.axhline(nats, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate(f"{name} {nats:.2f}", (last, nats), xytext=(0, 3), textcoords="offset points",
                      ha="right", fontsize=8, color=INK)  # fmt: skip
    axes.set(xlabel="updates", ylabel="nats per character", xlim=(0, max(1, last)))
    axes.legend(frameon=False, loc="upper center", ncols=len(curves) + 1)
    axes.spines[["top", "right"]].set_visible(False)
    letters = axes.secondary_yaxis("right", functions=(_identity, _identity))
    ticks = (2, 3, 5, 8, 12, 20, 40, 80, 160, 1000)
    letters.set_yticks([math.log(n) for n in ticks], [str(n) for n in ticks])
    letters.set_ylabel("torn between so many letters")
    return figure


def _identity(x: Any) -> Any:
    return x


def smoothed(
    points: Sequence[tuple[int, float]], keep: float = 0.97
) -> tuple[list[int], list[float]]:
    """An exponential moving average, corrected for its start: (steps, values).

    >>> smoothed([(0, 2.0), (1, 2.0)])
    ([0, 1], [2.0, 2.0])
    """
    steps, values, total, weight = [], [], 0.0, 0.0
    for step, value in points:
        total, weight = keep * total + (1 - keep) * value, keep * weight + (1 - keep)
        steps.append(step)
        values.append(round(total / weight, 6))
    return steps, values
