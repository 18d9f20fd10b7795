"""Wrong answers to lesson 12: what is replaced in the solution, and what the check must say."""

ATTEND = "x = x + self.dropout(self.attn(self.ln_1(x)))"
THINK = "x = x + self.dropout(self.mlp(self.ln_2(x)))"
BOTH = f"{ATTEND}  # (B, T, C)\n        {THINK}"
BLOCKS = "nn.ModuleList([Block(config) for _ in range(config.n_layer)])"
WRONG = [
    (
        BOTH,
        "x = self.ln_1(x + self.attn(x))\n        x = self.ln_2(x + self.mlp(x))",
        "post-norm",
    ),
    (
        BOTH,
        "x = x + self.ln_1(self.attn(x))\n        x = x + self.ln_2(self.mlp(x))",
        "applied to what the parts found",
    ),
    (
        BOTH,
        "x = self.attn(self.ln_1(x))\n        x = self.mlp(self.ln_2(x))",
        "The residuals are forgotten",
    ),
    (ATTEND, "x = self.attn(self.ln_1(x))", "The residual around the attention is forgotten"),
    (THINK, "x = self.mlp(self.ln_2(x))", "around the feed-forward layer is forgotten"),
    (BOTH, "x = x + self.attn(x)\n        x = x + self.mlp(x)", "The norms are missing"),
    (
        BOTH,
        "x = x + self.attn(self.ln_1(x)) + self.mlp(self.ln_2(x))",
        "Both parts read the same x",
    ),
    (BOTH, f"{THINK}\n        {ATTEND}", "attention first"),
    ("self.mlp(self.ln_2(x))", "self.mlp(self.ln_1(x))", "ln_1 is used twice"),
    (BOTH, ATTEND, "The feed-forward layer is missing"),
    ("MultiHeadAttention(config, bias=True", "MultiHeadAttention(config", "has no biases"),
    (BLOCKS, "nn.ModuleList([Block(config)] * config.n_layer)", "The blocks share their weights"),
    (BLOCKS, "[Block(config) for _ in range(config.n_layer)]", "in a plain list"),
    ("range(config.n_layer)", "range(config.n_layer - 1)", "one block too few"),
    (" + self.wpe(position)", "", "The positions are forgotten"),
    ("self.lm_head(self.ln_f(x))", "self.lm_head(x)", "The final norm is forgotten"),
    ("self.lm_head(self.ln_f(x))", "self.lm_head(self.ln_f(x))[..., :-2]", "reserved rows are cut"),
    ("x = block(x)", "y = block(x)", "The blocks are not used"),
    ("x = block(x)", "x = x + block(x)", "x is added once more"),
    (
        "for block in self.h:\n            x",
        "for block in self.h[:1]:\n            x",
        "first block",
    ),
    (
        "linear(config.n_embd, config.rows)\n",
        "linear(config.n_embd, config.rows, bias=True)\n",
        "lm_head has a bias",
    ),
    (
        "linear(config.n_embd, config.rows)\n",
        "linear(config.n_embd, config.rows)\n        self.lm_head.weight = self.wte.weight\n",
        "lm_head and wte share",
    ),
    ("0.02 / math.sqrt(2 * config.n_layer)", "0.02", "starts smaller by the root"),
    (BOTH, BOTH.replace("self.dropout", ""), "The dropout is not used"),
    (ATTEND, "x = x + self.attn(self.ln_1(x))", "What attention found is added without dropout"),
    (THINK, "x = x + self.mlp(self.ln_2(x))", "feed-forward layer made is added without dropout"),
    (
        BOTH,
        "x = self.dropout(x + self.attn(self.ln_1(x)))\n"
        "        x = self.dropout(x + self.mlp(self.ln_2(x)))",
        "on the stream",
    ),
    (
        BOTH,
        "x = x + self.attn(self.dropout(self.ln_1(x)))\n"
        "        x = x + self.mlp(self.dropout(self.ln_2(x)))",
        "on what the parts read",
    ),
    (
        "self.mlp = MLP(config)\n        self.dropout = nn.Dropout(config.dropout)",
        "self.mlp = MLP(config)\n        self.dropout = nn.Dropout(0.1)",
        "The dropout is 0.1 where config.dropout is 0.37",
    ),
    (
        "self.dropout = nn.Dropout(config.dropout)\n        self.h",
        "self.dropout = nn.Dropout(0.1)\n        self.h",
        "The dropout is 0.1 where config.dropout is 0.37",
    ),
    (
        "self.dropout = nn.Dropout(config.dropout)\n\n",
        "self.dropout = lambda x: nn.functional.dropout(x, config.dropout)\n\n",
        "There is no nn.Dropout",
    ),
    (
        BOTH,
        BOTH.replace("self.dropout(", "nn.functional.dropout(p=self.dropout.p, input="),
        "drops although it is not training",
    ),
    (
        "self.dropout(self.wte(idx) + self.wpe(position))",
        "self.wte(idx) + self.wpe(position)",
        "The sum of wte and wpe is not dropped",
    ),
    (
        "self.dropout(self.wte(idx) + self.wpe(position))",
        "self.dropout(self.wte(idx)) + self.wpe(position)",
        "only on the characters' vectors",
    ),
    ("self.attn = ", "self.attention = ", "attn.query.weight (12, 12) is missing"),
]
