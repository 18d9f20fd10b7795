#!/usr/bin/env python3
"""How much memory training on a large text takes: peak resident memory of the whole process.

    python bench/memory.py [TEXT] [--megabytes 200] [--json]

Three processes, one after another: one that only imports torch, and `babypoet train` for 20
updates, once on the built-in poems and once on the large text. Without TEXT, the large text is made
of the built-in poems, their lines shuffled anew for each repetition. Unix only: Windows keeps no
such record.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

MEGABYTE = 1_000_000
TRAIN = ["-m", "babypoet", "train", "--quiet", "--steps", "20"]


def peak(arguments: list[str], folder: Path) -> float:
    """Peak resident memory of `python ARGUMENTS`, in megabytes."""
    process = subprocess.Popen([sys.executable, *arguments], cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"python {' '.join(arguments)} exited with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return usage.ru_maxrss * unit / MEGABYTE


def write_large(path: Path, megabytes: int) -> None:
    """The poems over and over, each time in another order of lines."""
    from babypoet.corpus import builtin_poems

    lines = builtin_poems().splitlines(keepends=True)
    dice = random.Random(0)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        while file.tell() < megabytes * MEGABYTE:
            dice.shuffle(lines)
            file.writelines(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", nargs="?", type=Path)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = options.text.resolve() if options.text else folder / "large.txt"
        if not options.text:
            write_large(text, options.megabytes)
        torch = peak(["-c", "import torch"], folder)
        small = peak([*TRAIN, "--out", "small"], folder)
        large = peak([*TRAIN, str(text), "--out", "large"], folder)
        size = text.stat().st_size / MEGABYTE
    result = {
        "text_mb": round(size, 1),
        "import_torch_mb": round(torch),
        "poems_mb": round(small),
        "large_mb": round(large),
        "large_above_import_mb": round(large - torch),
    }
    if options.json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        print(f"{key:24}{value:>10}")


if __name__ == "__main__":
    main()
