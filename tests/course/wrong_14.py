"""Wrong answers to lesson 14, sampling: what is replaced in the solution, by what, and which words
of the message name the mistake."""

WRONG = [
    (
        "(logits - logits.max()) / temperature",
        "(logits - logits.max()) * temperature",
        "multiplied",
    ),
    ("(logits - logits.max()) / temperature", "(logits - logits.max())", "makes no difference"),
    ("(logits - logits.max()) / temperature", "logits / temperature", "Subtract the largest logit"),
    (
        "    if temperature == 0:\n"
        "        one_hot = np.zeros(len(logits))  # (V,)\n"
        "        one_hot[logits.argmax()] = 1\n"
        "        return one_hot\n",
        "",
        "divides by zero",
    ),
    ("one_hot[logits.argmax()] = 1", "one_hot[logits == logits.max()] = 0.5", "share the probab"),
    (
        "one_hot[logits.argmax()] = 1\n        return one_hot",
        "return logits.argmax()",
        "give the id",
    ),
    ("[top_k:]", "[top_k + 1 :]", "one too many"),
    (
        'dropped = np.argsort(-logits, kind="stable")[top_k:]',
        "dropped = logits < np.sort(logits)[::-1][:top_k][-1]",
        "kept more than k",
    ),
    (
        'np.argsort(-logits, kind="stable")[top_k:]',
        'np.argsort(logits, kind="stable")[::-1][top_k:]',
        "kept the higher ids",
    ),
    (', kind="stable")', ")", "leave equals in any order"),
    ("np.argsort(-logits,", "np.argsort(logits,", "kept the least likely"),
    (
        "        e[dropped] = 0\n    return e / e.sum()",
        "        e = e / e.sum()\n        e[dropped] = 0\n        return e\n    return e / e.sum()",
        "does not sum to 1",
    ),
    ("return e / e.sum()", "return e", "divide e^x by the sum"),
    ('side="right"', 'side="left"', "drawn into the piece before it"),
    ("u * ends[-1]", "u", "pointed behind the last piece"),
    (
        'return int(np.searchsorted(ends, u * ends[-1], side="right"))',
        "for i, end in enumerate(ends):\n        if u < end:\n            return i",
        "loop ended without an answer",
    ),
    (
        'int(np.searchsorted(ends, u * ends[-1], side="right"))',
        'int(np.searchsorted(ends, u * ends[-1], side="right")) + 1',
        "off by one",
    ),
    (
        'int(np.searchsorted(ends, u * ends[-1], side="right"))',
        "int(probabilities.argmax())",
        "u makes no difference",
    ),
    ("next_logits(text)", "next_logits(ids)", "what was written is never read"),
    ("next_logits(text)", "next_logits(text[-1:])", "only told the last id"),
    (", numbers[i]", ", numbers[0]", "the same random number"),
    (", numbers[i]", ", numbers[len(text)]", "counted from the length"),
    ("return text[len(ids) :]", "return text", "The prompt is repeated"),
    ("text = list(ids)", "text = ids", "one list with two names"),
    (
        "distribution(next_logits(text), temperature, top_k)",
        "distribution(next_logits(text))",
        "Neit",
    ),
    ("next_logits(text), temperature, top_k)", "next_logits(text), temperature)", "top_k made no"),
    (
        "next_logits(text), temperature, top_k)",
        "next_logits(text), 1.0, top_k)",
        "The temperature made",
    ),
]
