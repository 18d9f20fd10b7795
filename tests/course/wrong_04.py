"""Wrong answers to lesson 4: (what the solution says, what is written instead, what names it)."""

SHIFT = "np.exp(x - x.max(axis=-1, keepdims=True))  # less the maximum, or e^x overflows"
SHARE = "return e / e.sum(axis=-1, keepdims=True)"
BACK = "p * (d_p - (p * d_p).sum(axis=-1, keepdims=True))"
LOSS = "(log_total - shifted[rows, targets]).mean()"
HOT = "d_logits[np.arange(len(targets)), targets] -= 1"
MEAN = "d_logits / len(targets)"
WRONG = [
    (SHIFT, "np.exp(x)", "maximum was not subtracted"),
    (SHIFT, "np.exp(x - x.max())", "maximum of the whole array"),
    (SHIFT, "np.exp(x - x.max(axis=-1))", "keepdims=True is missing in the maximum"),
    (SHIFT, "2.0 ** (x - x.max(axis=-1, keepdims=True))", "You raised 2"),
    (SHARE, "return e / e.sum(axis=0, keepdims=True)", "wrong axis"),
    (SHARE, "return e / e.sum(axis=min(1, x.ndim - 1), keepdims=True)", "which is not the last"),
    (SHARE, "return e / e.sum(axis=1, keepdims=True)", "-1 is always the last one"),
    (SHARE, "return e / e.sum()", "whole array sums to 1"),
    (SHARE, "return e / e.sum(axis=-1)", "keepdims=True is missing in the sum"),
    (SHARE, "return e", "divided by their sum"),
    (BACK, "p * d_p", "Only half is there"),
    (BACK, "p * (1 - p) * d_p", "diagonal of the Jacobian"),
    (BACK, "p * (d_p - d_p.sum(axis=-1, keepdims=True))", "plain sum"),
    (BACK, "p * (d_p - (p * d_p).mean(axis=-1, keepdims=True))", "the weights sum to 1 already"),
    (BACK, "p * d_p - (p * d_p).sum(axis=-1, keepdims=True)", "multiplied with p too"),
    (BACK, "p * (d_p + (p * d_p).sum(axis=-1, keepdims=True))", "It must be taken away"),
    (BACK, "p * (d_p - (p * d_p).sum())", "over the whole array"),
    (BACK, "p * (d_p - (p * d_p).sum(axis=0))", "wrong axis"),
    (BACK, "p * (d_p - (p * d_p).sum(axis=-1))", "keepdims=True is missing"),
    (LOSS, "(-np.log(softmax(logits)[rows, targets])).mean()", "p became 0 by rounding"),
    (LOSS, "(-np.log(softmax(logits)[rows, targets] + 1e-9)).mean()", "kept away from 0"),
    (
        LOSS,
        "(-np.log(np.clip(softmax(logits)[rows, targets], 1e-12, 1))).mean()",
        "kept away from 0",
    ),
    (
        LOSS,
        "(np.log(np.exp(logits).sum(axis=1)) - logits[rows, targets]).mean()",
        "maximum was not subtracted",
    ),
    (
        "np.log(np.exp(shifted).sum(axis=1))  # (N,)",
        "np.log(np.exp(shifted).sum(axis=0))",
        "summed over axis 0",
    ),
    (LOSS, "(shifted[rows, targets] - log_total).mean()", "The sign is missing"),
    (LOSS, "(log_total - shifted[rows, targets]).sum()", "That is the sum"),
    (LOSS, "(log_total - shifted[rows, targets]).sum() / logits.size", "divided by N * V"),
    (LOSS, "(log_total - shifted[rows, targets]).mean() / np.log(2)", "Those are bits"),
    (LOSS, "(-np.log(softmax(logits)[:, targets])).mean()", "p[:, targets] takes all targets"),
    (LOSS, "(log_total - shifted[rows, targets - 1]).mean()", "Targets count from 0"),
    (
        "return float((log_total - shifted[rows, targets]).mean())",
        "return log_total - shifted[rows, targets]",
        "You left the mean out",
    ),
    (HOT, "d_logits[:, targets] -= 1", "in every row"),
    (HOT, "d_logits[np.arange(len(targets)), targets] += 0", "That is p alone"),
    (HOT, "d_logits[np.arange(len(targets)), targets - 1] -= 1", "Targets count from 0"),
    (MEAN, "d_logits", "1/N is missing"),
    (MEAN, "d_logits / d_logits.size", "You divided by"),
    (MEAN, "-d_logits / len(targets)", "The sign is the wrong way round"),
    (
        "d_logits = softmax(logits)  # (N, V)",
        "d_logits = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)",
        "maximum was not subtracted",
    ),
]
