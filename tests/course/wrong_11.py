"""Wrong answers to lesson 11: what is replaced in the solution, and what the check must say."""

GELU = "0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))"
WRONG = [
    (GELU, "nn.functional.gelu(x)", "exact form"),
    (GELU, "torch.relu(x)", "This is ReLU"),
    (GELU, "x * torch.sigmoid(x)", "This is SiLU"),
    (GELU, "x * torch.sigmoid(1.702 * x)", "coarser approximation"),
    ("0.5 * x", "x", "The factor 0.5 is missing"),
    ("math.sqrt(2 / math.pi)", "2 / math.pi", "The root is missing"),
    ("math.sqrt(2 / math.pi)", "math.sqrt(math.pi / 2)", "not pi / 2"),
    ("math.sqrt(2 / math.pi) * ", "", "sqrt(2 / pi) is missing"),
    ("x**3", "x**2", "it is cubed"),
    (" + 0.044715 * x**3", "", "0.044715 * x**3 is missing"),
    ("(x + 0.044715 * x**3)", "x + 0.044715 * x**3", "The brackets"),
    ("(1 + torch.tanh(", "(torch.tanh(", "The 1 before the tanh is missing"),
    ("gelu(self.c_fc(x))", "self.c_fc(x)", "The bend is missing"),
    ("gelu(self.c_fc(x))", "torch.relu(self.c_fc(x))", "The bend is ReLU"),
    ("gelu(self.c_fc(x))", "nn.functional.gelu(self.c_fc(x))", "torch's gelu in its exact form"),
    (
        "x = gelu(self.c_fc(x))  # (B, T, F)\n        return self.c_proj(x)",
        "return gelu(self.c_proj(self.c_fc(x)))",
        "gelu comes last",
    ),
    (
        "x = gelu(self.c_fc(x))  # (B, T, F)\n        return self.c_proj(x)",
        "return x + self.c_proj(gelu(self.c_fc(x)))",
        "x is added at the end",
    ),
    (
        "linear(C, 4 * C, bias=True)\n        self.c_proj = linear(4 * C, C, bias=True)",
        "linear(4 * C, C, bias=True)\n        self.c_proj = linear(C, 4 * C, bias=True)",
        "have changed places",
    ),
    ("linear(C, 4 * C, bias=True)", "linear(C, 4 * C)", "c_fc.bias (24,) is missing"),
    ("self.c_fc = linear", "self.fc = linear", "c_fc.weight (24, 6) is missing"),
]
