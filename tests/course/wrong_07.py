"""Wrong answers to lesson 7: what is replaced in the solution, and what the check must say."""

WRONG = [
    ("x[: t + 1].mean", "x[:t].mean", "leaves itself out"),
    ("x[: t + 1].mean", "x[t:].mean", "everything after it: that is the future"),
    ("x[: t + 1].mean", "x.mean", "mean of all T rows"),
    ("x[: t + 1].mean(dim=0)", "x[: t + 1].sum(dim=0)", "These are sums"),
    ("x[: t + 1].mean(dim=0)", "x[: t + 1].sum(dim=0) / len(x)", "divide by t + 1"),
    ("x[: t + 1].mean(dim=0)", "x[: t + 1].sum(dim=0) / t", "Off by one in the divisor"),
    ("torch.ones(T, T).tril()", "torch.ones(T, T).triu()", "lower triangle"),
    ("torch.ones(T, T).tril()", "torch.ones(T, T)", "mean of all T rows"),
    ("torch.ones(T, T).tril()", "torch.ones(T, T).tril(-1)", "tril(-1) leaves the diagonal out"),
    ("share.sum(dim=-1, keepdim=True)", "share.sum(dim=0, keepdim=True)", "Wrong axis"),
    ("share.sum(dim=-1, keepdim=True)", "share.sum(dim=-1)", "keepdim=True keeps them a column"),
    ("share / share.sum(dim=-1, keepdim=True)", "share", "Your table holds ones"),
    ('float("-inf")', "0.0", "Scores of 0 do not hide anything"),
    (".triu(1)", ".triu()", "triu(1), not triu()"),
    (".triu(1)", ".tril(-1)", "everything after it: that is the future"),
    ("torch.softmax(score, dim=-1)", "torch.softmax(score, dim=0)", "Softmax along the wrong axis"),
    ("torch.ones(T, T, dtype=torch.bool)", "torch.ones(T, T)", "A mask holds True and False"),
    (
        'score = score.masked_fill(future, float("-inf"))  # (T, T)\n'
        "    share = torch.softmax(score, dim=-1)",
        "share = torch.softmax(score, dim=-1).masked_fill(future, 0.0)",
        "The mask comes after the softmax",
    ),
    (
        'score = score.masked_fill(future, float("-inf"))  # (T, T)',
        "score = (~future).float()",
        "These are scores of 1 for the past and 0 for the future",
    ),
]
