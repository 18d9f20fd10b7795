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
    ("self.attn = ", "self.attention = ", "attn.query.weight (12, 12) is missing"),
]
