#!/usr/bin/env python3
"""How fast a model writes on a CPU: numpy with its cache, and plain PyTorch that reads all again.

    python bench/generate.py [--characters 600] [--rounds 5] [--json]

Plain PyTorch is what nanoGPT's `generate` does: for each character the whole window goes through
the model again. Both write with the default model's shape for the built-in poems and the same
random weights, one character at a time, far past the context, in turns; medians are compared.
"""

import argparse
import json
import statistics
import time
from typing import Any

from babypoet.config import GenerateConfig, ModelConfig
from babypoet.ladder import build
from babypoet.reference import Reference
from babypoet.sampling import Startable, stream

SHAPE = ModelConfig(vocab_size=79, block_size=192, n_kv_head=2)
PROMPT = list(range(64))


def seconds(model: Startable | Any, length: int) -> float:
    start = time.perf_counter()
    for _ in stream(model, PROMPT, GenerateConfig(length=length)):
        pass
    return time.perf_counter() - start


def measure(characters: int, rounds: int) -> dict[str, Any]:
    plain = build(SHAPE)
    cached = Reference(SHAPE, {name: w.numpy() for name, w in plain.state_dict().items()})
    seconds(plain, 20)  # until torch has made its threads
    times = [(seconds(plain, characters), seconds(cached, characters)) for _ in range(rounds)]
    torch_rate, numpy_rate = (
        characters / statistics.median(side) for side in zip(*times, strict=True)
    )
    ratios = sorted(a / b for a, b in times)
    return {
        "parameters": sum(p.numel() for p in plain.parameters()),
        "torch_without_cache_characters_per_second": round(torch_rate),
        "numpy_characters_per_second": round(numpy_rate),
        "ratio": round(statistics.median(ratios), 1),
        "ratio_smallest": round(ratios[0], 1),
        "ratio_largest": round(ratios[-1], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--characters", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.characters, options.rounds)
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:42} {value:>10,}")


if __name__ == "__main__":
    main()
