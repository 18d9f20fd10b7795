"""Wrong answers to lesson 2: (what the solution says, what is written instead, what names it)."""

ADD = "np.add.at(counts, (ids[:-1], ids[1:]), 1)"
ROWS = "raised / raised.sum(axis=1, keepdims=True)"
WRONG = [
    (ADD, "counts[ids[:-1], ids[1:]] += 1", "Every pair was counted once"),
    (ADD, "np.add.at(counts, (ids[1:], ids[:-1]), 1)", "Rows and columns are swapped"),
    (ADD, "np.add.at(counts, (ids, np.roll(ids, -1)), 1)", "a text is no circle"),
    (ADD, "np.add.at(counts, (ids[:-1:2], ids[1::2]), 1)", "do not overlap"),
    (ADD, "np.add.at(counts, (ids[:-2], ids[1:-1]), 1)", "last pair is missing"),
    (ADD, "np.add.at(counts, (ids[1:-1], ids[2:]), 1)", "first pair is missing"),
    ("np.zeros((V, V), dtype=np.int64)", "np.ones((V, V), dtype=np.int64)", "counts begin at 1"),
    ("np.zeros((V, V), dtype=np.int64)", "np.zeros((V, V))", "made with dtype=int"),
    (
        "np.zeros((V, V), dtype=np.int64)",
        "np.zeros((max(ids, default=0) + 1, max(ids, default=0) + 1), dtype=np.int64)",
        "as large as this text needs",
    ),
    ("raised = counts + 1  # (V, V)", "raised = counts", "The 1 was not added"),
    (ROWS, "raised / raised.sum(axis=0, keepdims=True)", "wrong axis"),
    (ROWS, "raised / raised.sum(axis=1)", "keepdims=True is missing"),
    (ROWS, "raised / raised.sum()", "whole table sums to 1"),
    (ROWS, "raised / counts.sum(axis=1, keepdims=True)", "not to the sums"),
    (ROWS, "raised / (counts.sum(axis=1, keepdims=True) + 1)", "larger by V"),
    (ROWS, "counts / raised.sum(axis=1, keepdims=True)", "not onto the counts"),
    (ROWS, "raised // raised.sum(axis=1, keepdims=True)", "drops the fraction"),
    ("raised = counts + 1  # (V, V)", "counts += 1; raised = counts", "changed in place"),
    ("-np.log(p).mean()", "np.log(p).mean()", "The sign is missing"),
    ("-np.log(p).mean()", "-np.log2(p).mean()", "Those are bits"),
    ("-np.log(p).mean()", "-np.log(p).sum()", "That is the sum"),
    ("-np.log(p).mean()", "-np.log(p).sum() / len(ids)", "You divided by N."),
    ("-np.log(p).mean()", "-np.log(p.mean())", "logarithm of the mean"),
    ("-np.log(p).mean()", "-np.log(probabilities).mean()", "mean over the table"),
    ("probabilities[ids[:-1], ids[1:]]", "probabilities[ids[1:], ids[:-1]]", "Row and column are"),
]
