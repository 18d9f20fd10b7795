"""Wrong answers to lesson 8: what is replaced in the solution, and what the check must say."""

SCORE = "score = q @ k.transpose(-2, -1) / math.sqrt(D)"
MASK = 'score.masked_fill(future, float("-inf"))'
WRONG = [
    (MASK, "score", "The mask is missing"),
    (".triu(1)", ".tril(-1)", "The mask lies on the wrong side"),
    (".triu(1)", ".triu()", "may not look at itself"),
    ('float("-inf")', "0.0", "has the score 0, and e^0 is 1"),
    (
        f"score = {MASK}  # (..., T, T)\n    weight = torch.softmax(score, dim=-1)",
        "weight = torch.softmax(score, dim=-1).masked_fill(future, 0.0)",
        "The mask comes after the softmax",
    ),
    (
        "torch.softmax(score, dim=-1)",
        "torch.softmax(score, dim=-2)",
        "Softmax along the wrong axis",
    ),
    ("torch.softmax(score, dim=-1)", "score", "The softmax is missing"),
    (
        "torch.softmax(score, dim=-1)",
        "score.exp() / score.exp().sum(dim=-1, keepdim=True)",
        "Your own softmax overflows",
    ),
    (" / math.sqrt(D)", "", "The scale is missing"),
    (" / math.sqrt(D)", " / D", "You divide the scores by D"),
    (" / math.sqrt(D)", " * math.sqrt(D)", "You multiply the scores by sqrt(D)"),
    (" / math.sqrt(D)", " / math.sqrt(T)", "You divide by sqrt(T)"),
    (SCORE, "score = k @ q.transpose(-2, -1) / math.sqrt(D)", "have changed places"),
    ("return weight @ v", "return weight @ k", "you take the mean of the keys"),
    ("causal_attention(q, k, v)  # (B, T, C)", "causal_attention(k, q, v)", "have changed places"),
    ("v = self.value(x)", "v = x", "The value layer is not used"),
    ("k = self.key(x)", "k = self.query(x)", "The keys are made by the query layer"),
    ("self.query = linear(C, C, std", "self.query = linear(C, C, True, std", "query.bias"),
    ("self.key = linear(C, C", "self.key = linear(C, 2 * C", "key.weight has the shape"),
    (
        "linear(config.n_embd, config.rows, bias=True)",
        "linear(config.n_embd, config.rows)",
        "no bias",
    ),
    (" + self.wpe(position)", "", "The positions are missing"),
    (" + self.wpe(position)", " * self.wpe(position)", "are multiplied"),
    ("        x = self.attention(x)  # (B, T, C)\n", "", "The attention is missing"),
    ("x = self.attention(x)", "x = x + self.attention(x)", "lesson 10's"),
    ("return self.lm_head(x)", "return self.lm_head(x)[..., :-2]", "reserved rows are cut off"),
    ("self.wpe(position)", "self.wpe(idx % 7)", "wpe is asked for the characters"),
    ("torch.arange(idx.shape[1]", "1 + torch.arange(idx.shape[1]", "counted from 1"),
    ("config.rows, config.n_embd, std=0.5", "config.rows, config.n_embd", "wte.weight start"),
]
