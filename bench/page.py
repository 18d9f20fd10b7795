#!/usr/bin/env python3
"""How fast the page writes: characters a second of engine.js in chromium, and of numpy beside it.

    python bench/page.py [--characters 1000] [--rounds 7] [--json]

Both write with the default model's shape for the built-in poems, far past its context, so that
every restart of the window is paid for. Weights are random, because what they are does not matter
to the time. The two take turns, so that both suffer alike from whatever else the machine does;
medians are compared.
"""

import argparse
import base64
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from babypoet.config import GenerateConfig, ModelConfig
from babypoet.exporting.packing import pack
from babypoet.reference import Reference, shapes
from babypoet.sampling import stream

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from browser import chromium, open_modules

SHAPE = ModelConfig(vocab_size=79, block_size=192, n_kv_head=2)
PROMPT = list(range(64))
PREPARE = """([config, tensors, block]) => {
    window.model = new engine.Engine(config, weights.unpack({ tensors }, block));
}"""
WRITE = """([prompt, length]) => {
    const start = performance.now();
    for (const _ of sampling.write(model, prompt, { length, temperature: 0.8, seed: 0 }));
    return (performance.now() - start) / 1000;
}"""


def seconds_in_numpy(model: Reference, length: int) -> float:
    start = time.perf_counter()
    for _ in stream(model, PROMPT, GenerateConfig(length=length)):
        pass
    return time.perf_counter() - start


def measure(characters: int, rounds: int) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    weights = {
        name: generator.normal(0, 0.02, shape).astype(np.float32)
        for name, shape in shapes(SHAPE).items()
    }
    block, tensors = pack(weights, "fp32")
    model = Reference(SHAPE, weights)
    seconds: dict[str, list[float]] = {"chromium": [], "numpy": []}
    with chromium() as browser:
        page = open_modules(browser, "engine.js", "sampling.js", "weights.js")
        page.evaluate(PREPARE, [SHAPE.to_dict(), tensors, base64.b64encode(block).decode()])
        page.evaluate(WRITE, [PROMPT, characters])  # until the engine is compiled
        for _ in range(rounds):
            seconds["chromium"].append(page.evaluate(WRITE, [PROMPT, characters]))
            seconds["numpy"].append(seconds_in_numpy(model, characters))
    rates = {name: characters / statistics.median(taken) for name, taken in seconds.items()}
    return {
        "parameters": sum(tensor.size for tensor in weights.values()),
        "chromium_characters_per_second": round(rates["chromium"]),
        "numpy_characters_per_second": round(rates["numpy"]),
        "ratio": round(rates["chromium"] / rates["numpy"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--characters", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.characters, options.rounds)
    if options.json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        print(f"{key:34}{value:>10,}")


if __name__ == "__main__":
    main()
