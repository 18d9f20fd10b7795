"""Wrong answers to lesson 5: (what the solution says, what is written instead, what names it)."""

CUT = "return ids[:border], ids[border:]"
STARTS = "rng.integers(0, len(ids) - block_size, size=batch_size)"
PAIR = "return ids[places], ids[places + 1]"
WRONG = [
    (CUT, "return ids[:-round(share * len(ids))], ids[-round(share * len(ids)):]", "ids[:-0]"),
    (CUT, "return ids[border:], ids[:border]", "The two are swapped"),
    (CUT, "return ids, ids[border:]", "also in the training part"),
    (CUT, "return ids[len(ids) - border:], ids[:len(ids) - border]", "beginning is held out"),
    (CUT, "return ids[:border], ids[border + 1:]", "in neither part"),
    (CUT, "return ids[:border + 1], ids[border:]", "in both parts"),
    ("border = len(ids) - round(share * len(ids))", "border = round(share * len(ids))", "You took"),
    ("round(share * len(ids))", "int(share * len(ids))", "int() cuts the fraction off"),
    (CUT, "ids = np.random.permutation(ids)\n    " + CUT, "shuffled"),
    (
        STARTS,
        "rng.integers(0, len(ids) - block_size - 1, size=batch_size)",
        "range to draw from is empty",
    ),
    (
        STARTS,
        "np.random.randint(0, len(ids) - block_size - 1, size=batch_size)",
        "`rng` is not used",
    ),
    (STARTS, "rng.integers(0, len(ids) - block_size + 1, size=batch_size)", "past the end"),
    (STARTS, "rng.integers(0, len(ids), size=batch_size)", "past the end"),
    (
        STARTS,
        "rng.integers(0, max(1, len(ids) - block_size - 1), size=batch_size)",
        "none begins at the last place",
    ),
    (
        STARTS,
        "rng.integers(min(1, len(ids) - block_size - 1), len(ids) - block_size, size=batch_size)",
        "Places count from 0",
    ),
    (
        STARTS,
        "np.minimum(rng.integers(0, len(ids), size=batch_size), len(ids) - block_size - 1)",
        "as likely as the others",
    ),
    (STARTS, "np.random.randint(0, len(ids) - block_size, size=batch_size)", "come from `rng`"),
    (
        STARTS,
        "np.random.default_rng(0).integers(0, len(ids) - block_size, size=batch_size)",
        "made inside",
    ),
    (
        STARTS,
        "np.full(batch_size, rng.integers(0, len(ids) - block_size))",
        "begin at the same place",
    ),
    (PAIR, "return ids[places], ids[places]", "y is x itself"),
    (PAIR, "return ids[places + 1], ids[places]", "one character early"),
    (PAIR, "return ids[places], ids[places + 1][:, -1]", "only the character after the window"),
    (PAIR, "return ids[places], np.roll(ids[places], -1, axis=1)", "np.roll"),
    (PAIR, "return ids[places].T, ids[places + 1].T", "transposed"),
    (PAIR, "return places, places + 1", "x holds places, not ids"),
    (PAIR, "return ids[places][:, :-1], ids[places][:, 1:]", "one short"),
]
