"""Wrong answers to lesson 9: what is replaced in the solution, and what the check must say."""

SPLIT = "x.view(B, T, heads, C // heads)  # (B, T, heads, D)\n    return x.transpose(1, 2)"
JOIN = "x = x.transpose(1, 2)  # (B, T, heads, D)\n    return x.reshape(B, T, heads * D)"
FORWARD = "x = join_heads(causal_attention(q, k, v))"
WRONG = [
    (SPLIT, "x.view(B, heads, T, C // heads)\n    return x", "cut straight into (B, heads, T, D)"),
    (SPLIT, "x.view(B, T, heads, C // heads)\n    return x", "still stand behind the positions"),
    (
        SPLIT,
        "x.view(B, T, C // heads, heads)\n    return x.permute(0, 3, 1, 2)",
        "The heads take turns",
    ),
    (
        SPLIT,
        "x.view(B, T, heads, C // heads)\n    return x.permute(0, 2, 3, 1)",
        "T and D have changed places",
    ),
    (JOIN, "return x.reshape(B, T, heads * D)", "Joined without transposing back"),
    (JOIN, "return x.transpose(1, 3).reshape(B, T, heads * D)", "heads and D change places"),
    (JOIN, "return x.permute(0, 2, 3, 1).reshape(B, T, heads * D)", "The heads take turns"),
    (JOIN, JOIN.replace("reshape", "view"), "`.reshape` copies them"),
    ("        std = std or C**-0.5\n", "", "`std` is None here"),
    (JOIN, "return x.flatten(2)", "The axes T and D became one"),
    ("return self.proj(x)", "return x", "The projection is forgotten"),
    (FORWARD, "x = join_heads(causal_attention(q / self.n_head**0.5, k, v))", "sqrt(C)"),
    (
        FORWARD,
        "x = join_heads(causal_attention(q / q.shape[-1] ** 0.5, k, v))",
        "divided by sqrt(D) twice",
    ),
    (
        FORWARD,
        "x = causal_attention(self.query(x), self.key(x), self.value(x))",
        "This is one wide head",
    ),
    (
        FORWARD,
        "x = causal_attention(*(y.transpose(1, 2) for y in (q, k, v))).flatten(2)",
        "The heads look at each other",
    ),
    (
        FORWARD,
        "x = causal_attention(q, k, v).reshape(x.shape)",
        "joined without transposing back",
    ),
    ("self.value = linear(C, C, bias, std)", "self.value = linear(C, C, False, std)", "value.bias"),
    ("self.query = linear(C, C, bias, std)", "self.query = linear(C, C, True, std)", "query.bias"),
    ("        self.attention = MultiHeadAttention(config)\n", "", "still has the one wide head"),
    ("MultiHeadAttention(config)\n", "MultiHeadAttention(config, True)\n", "only lm_head has one"),
]
