"""Wrong answers to lesson 3: (what the solution says, what is written instead, what names it)."""

MEAN = "-np.log(p[ids[:-1], ids[1:]]).mean()"
SLOPE = "(visits * row_probabilities(table) - counts) / (len(ids) - 1)"
STEP = "table = table - rate * gradient(table, ids)"
WRONG = [
    (MEAN, "np.log(p[ids[:-1], ids[1:]]).mean()", "sign is missing"),
    (MEAN, "-np.log2(p[ids[:-1], ids[1:]]).mean()", "Those are bits"),
    (MEAN, "-np.log(p[ids[:-1], ids[1:]]).sum()", "That is the sum"),
    (MEAN, "-np.log(p[ids[:-1], ids[1:]]).sum() / len(ids)", "You divided by N."),
    (MEAN, "-np.log(p[ids[1:], ids[:-1]]).mean()", "Row and column are swapped"),
    (MEAN, "-table[ids[:-1], ids[1:]].mean()", "Wrong normaliser"),
    ("e / e.sum(axis=1, keepdims=True)", "e / e.sum(axis=0, keepdims=True)", "wrong axis"),
    ("e / e.sum(axis=1, keepdims=True)", "e / e.sum()", "Each row must, by itself"),
    ("e / e.sum(axis=1, keepdims=True)", "e / e.sum(axis=1)", "keepdims=True is missing"),
    ("e = np.exp(table)", "e = table", "as if they were counts"),
    (SLOPE, "(counts - visits * row_probabilities(table)) / (len(ids) - 1)", "sign is the wrong"),
    (SLOPE, "visits * row_probabilities(table) - counts", "that of the sum"),
    (SLOPE, "(visits * row_probabilities(table) - counts) / len(ids)", "You divided by N."),
    (SLOPE, "(row_probabilities(table) - counts) / (len(ids) - 1)", "not weighted with how often"),
    (
        SLOPE,
        "row_probabilities(table) - counts / np.maximum(visits, 1)",
        "Each row was weighted the same",
    ),
    (SLOPE, "visits * row_probabilities(table) / (len(ids) - 1)", "must be taken away"),
    (
        "counts = np.zeros_like(table)  # (V, V)\n"
        "    np.add.at(counts, (ids[:-1], ids[1:]), 1)\n"
        "    visits = counts.sum(axis=1, keepdims=True)  # (V, 1)\n"
        "    return (visits * row_probabilities(table) - counts) / (len(ids) - 1)  # (V, V)",
        "p = row_probabilities(table)[ids[:-1]]\n"
        "    p[np.arange(len(p)), ids[1:]] -= 1\n"
        "    d = np.zeros_like(table)\n"
        "    d[ids[:-1]] += p\n"
        "    return d / len(p)",
        "`d[a] += x` writes once for each a",
    ),
    (
        "visits = counts.sum(axis=1, keepdims=True)",
        "visits = counts.sum(axis=1)",
        "count the visits",
    ),
    (STEP, "table = table + rate * gradient(table, ids)", "That is uphill"),
    (STEP, "table = table - gradient(table, ids)", "The rate is missing"),
    (STEP, "table -= rate * gradient(table, ids)", "changed in place"),
    ("for _ in range(steps):", "for _ in range(steps + 1):", "one step too many"),
    ("for _ in range(steps):", "for _ in range(1, steps):", "keep the result of each step"),
    (
        "    return table\n",
        "        return table\n    return table.copy()\n",
        "result of a single step",
    ),
    (
        "    for _ in range(steps):\n        table = table - rate * gradient(table, ids)",
        "    slope = gradient(table, ids)\n    for _ in range(steps):\n"
        "        table = table - rate * slope",
        "taken once, at the start",
    ),
]
