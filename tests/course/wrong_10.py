"""Wrong answers to lesson 10: what is replaced in the solution, and what the check must say."""

VARIANCE = "centred.square().mean(dim=-1, keepdim=True)"
WRONG = [
    (VARIANCE, "x.var(dim=-1, keepdim=True)", "divided by C - 1"),
    ("x.mean(dim=-1, keepdim=True)", "0", "this is RMSNorm"),
    (
        f"x.mean(dim=-1, keepdim=True)  # (..., C)\n    variance = {VARIANCE}",
        "x.mean(dim=-2, keepdim=True)\n    variance = centred.square().mean(dim=-2, keepdim=True)",
        "along the wrong axis",
    ),
    (
        f"x.mean(dim=-1, keepdim=True)  # (..., C)\n    variance = {VARIANCE}",
        "x.mean()\n    variance = centred.square().mean()",
        "over everything together",
    ),
    ("torch.sqrt(variance + eps)", "(torch.sqrt(variance) + eps)", "eps stands outside the root"),
    ("torch.sqrt(variance + eps)", "(variance + eps)", "You divide by the variance"),
    ("torch.sqrt(variance + eps)", "torch.sqrt(variance)", "eps is not used"),
    ("return centred / torch", "return x / torch", "what you divide is x"),
    (" / torch.sqrt(variance + eps)", "", "not divided by the root"),
    (" * weight + bias", "", "weight and bias are not used"),
    (" * weight + bias", " * weight", "The bias is not added"),
    (" * weight + bias", " * bias + weight", "have changed places"),
    ("nn.Parameter(torch.ones(width))", "nn.Parameter(torch.zeros(width))", "starts at 1"),
    (
        "nn.Parameter(torch.zeros(width))",
        "torch.zeros(width)",
        "The parameter bias (4,) is missing",
    ),
    ("self.bias, self.eps)", "self.bias, 1e-5)", "1e-5 whatever it is given"),
    (
        "layer_norm(x, self.weight, self.bias, self.eps)",
        "nn.functional.normalize(x, dim=-1)",
        "At [",
    ),
    ("return x + part(x)", "return part(x)", "The residual is forgotten"),
    ("return x + part(x)", "return x * part(x)", "are multiplied"),
    ("return x + part(x)", "return x + part(part(x))", "called twice"),
    ("return x + part(x)", "x += part(x)\n    return x", "changed in place"),
    ("return x + part(x)", "return (x + part(x)).detach()", "does not require grad"),
]
