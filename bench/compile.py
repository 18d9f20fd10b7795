#!/usr/bin/env python3
"""Does compiling pay? Seconds to compile, and the time of an update both ways, side by side.

    python bench/compile.py [--updates 60] [--json]

Trains the default model on the built-in poems, compiled and not, their updates interleaved in one
process so that both meet the same noise. "pays after" is the number of updates at which the time
saved makes up for the time to compile.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from babypoet import corpus, training
from babypoet.config import TrainConfig


def trainer(folder: Path, mode: str) -> training.Trainer:
    """A trainer of the default model, compiled or not."""
    run = training.prepare(
        corpus.corpus_of(corpus.builtin_poems()),
        replace(TrainConfig(), compile=mode),
        folder / mode,
    )
    return training.Trainer(run, run.load_run())


def timed_update(one: training.Trainer) -> float:
    started = time.perf_counter()
    one.update()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = name  # a warm cache would hide the time it takes
        eager, compiled = (trainer(Path(name), mode) for mode in ("off", "on"))
        started = time.perf_counter()
        if note := compiled.compile():
            raise SystemExit(note)
        timed_update(compiled)
        seconds = time.perf_counter() - started
        times = [(timed_update(eager), timed_update(compiled)) for _ in range(options.updates)]
    eager_ms, compiled_ms = (1000 * statistics.median(side) for side in zip(*times, strict=True))
    saved = (eager_ms - compiled_ms) / 1000
    result = {
        "compile_seconds": round(seconds, 1),
        "eager_ms": round(eager_ms, 1),
        "compiled_ms": round(compiled_ms, 1),
        "ratio": round(statistics.median(a / b for a, b in times), 2),
        "pays_after_updates": round(seconds / saved) if saved > 0 else None,
    }
    if options.json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        print(f"{key:24}{value!s:>10}")


if __name__ == "__main__":
    main()
