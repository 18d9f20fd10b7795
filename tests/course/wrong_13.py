"""Wrong answers to lesson 13, AdamW: what is replaced in the solution, by what, and which words of
the message name the mistake."""

WRONG = [
    (
        'return moved, {"step": step, "mean": mean, "square": square}',
        "return moved",
        "Return two things: the new parameter and the new state",
    ),
    (
        'return moved, {"step": step, "mean": mean, "square": square}',
        'return {"step": step, "mean": mean, "square": square}, moved',
        "In yours the state comes first",
    ),
    (
        "corrected_mean = mean / (1 - beta1**step)\n"
        "    corrected_square = square / (1 - beta2**step)",
        "corrected_mean, corrected_square = mean, square",
        "There is no bias correction",
    ),
    ("mean / (1 - beta1**step)", "mean", "Only one of the two averages"),
    ("square / (1 - beta2**step)", "square", "Only one of the two averages"),
    (
        "mean / (1 - beta1**step)\n    corrected_square = square / (1 - beta2**step)",
        "mean / (1 - beta1 ** np.int64(step - 1))\n"
        "    corrected_square = square / (1 - beta2 ** np.int64(step - 1))",
        "counts the step from 0",
    ),
    (
        "mean / (1 - beta1**step)\n    corrected_square = square / (1 - beta2**step)",
        "mean / (1 - beta1)\n    corrected_square = square / (1 - beta2)",
        "always takes the power 1",
    ),
    ('{"step": step,', '{"step": state["step"],', "The step is not counted"),
    (
        '"mean": mean, "square": square}',
        '"mean": corrected_mean, "square": corrected_square}',
        "You keep the corrected averages",
    ),
    (
        'return moved, {"step": step, "mean": mean, "square": square}',
        "return moved, state",
        "as it w",
    ),
    (
        'return moved, {"step": step, "mean": mean, "square": square}',
        "state.update(step=step, mean=mean, square=square)\n    return moved, state",
        "changed in place",
    ),
    (
        '    mean = beta1 * state["mean"] + (1 - beta1) * gradient',
        "    gradient = gradient + weight_decay * parameter\n"
        "    weight_decay = 0\n"
        '    mean = beta1 * state["mean"] + (1 - beta1) * gradient',
        "Adam with L2",
    ),
    ("(np.sqrt(corrected_square) + eps)", "np.sqrt(corrected_square + eps)", "inside the root"),
    ("(np.sqrt(corrected_square) + eps)", "(corrected_square + eps)", "The root is missing"),
    (
        "    step = state",
        "    beta1, beta2 = beta2, beta1\n    step = state",
        "The betas are swapped",
    ),
    (
        'beta1 * state["mean"] + (1 - beta1) * gradient\n'
        '    square = beta2 * state["square"] + (1 - beta2) * gradient**2',
        '(1 - beta1) * state["mean"] + beta1 * gradient\n'
        '    square = (1 - beta2) * state["square"] + beta2 * gradient**2',
        "two weights of an average are swapped",
    ),
    (
        "learning_rate * weight_decay * parameter",
        "weight_decay * parameter",
        "not multiplied by the",
    ),
    (
        "parameter - learning_rate * weight_decay * parameter",
        "parameter",
        "weight_decay is not used",
    ),
    (
        "moved = shrunk - learning_rate * direction",
        "moved = parameter - learning_rate * direction\n"
        "    moved = moved - learning_rate * weight_decay * moved",
        "shrink what has already moved",
    ),
    ("shrunk - learning_rate * direction", "shrunk + learning_rate * direction", "walks uphill"),
]
