"""How fast a large text is read and encoded, and how much memory that takes.

    python bench/encode.py [megabytes]

Repeats the built-in poems to a file of that size (100 by default), reads it, encodes it, and does
the same with a million verses in a .jsonl file. All is written to a temporary folder and removed.
"""

import sys
import tempfile
import time
from pathlib import Path

from babypoet.corpus import Corpus, Source, builtin_poems, open_corpus


def peak_megabytes() -> float:
    """The most memory this process ever had resident; nan where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (1e6 if sys.platform == "darwin" else 1e3)


def measure(name: str, path: Path) -> Corpus:
    before, start = peak_megabytes(), time.perf_counter()
    corpus = open_corpus(Source((path,)))
    read = time.perf_counter()
    corpus.write(path.parent / "data")
    written = time.perf_counter()
    print(
        f"{name}: {corpus.characters / 1e6:.0f} M characters in {corpus.documents:,} documents; "
        f"read {read - start:.1f} s, encoded {written - read:.1f} s; "
        f"peak {before:.0f} -> {peak_megabytes():.0f} MB"
    )
    return corpus


def encode_rate(corpus: Corpus) -> float:
    """Characters a second of `CharTokenizer.ranks` alone."""
    text, rounds = builtin_poems(), 50
    start = time.perf_counter()
    for _ in range(rounds):
        corpus.tokenizer.ranks(text)
    return rounds * len(text) / (time.perf_counter() - start)


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    poems = builtin_poems().encode()
    with tempfile.TemporaryDirectory() as folder:
        text, verses = Path(folder) / "large.txt", Path(folder) / "verses.jsonl"
        with text.open("wb") as file:
            for _ in range(megabytes * 1_000_000 // len(poems)):
                file.write(poems)
        with verses.open("w") as file:
            file.writelines(f'{{"text": "the {i:07d}th line of a verse"}}\n' for i in range(10**6))
        corpus = measure("one text", text)
        measure("a million verses", verses)
    print(f"encoding alone: {encode_rate(corpus) / 1e6:.0f} M characters a second")


if __name__ == "__main__":
    main()
