"""Wrong answers to lesson 16, the modern block: what is replaced in the solution, by what, and
which words of the message name the mistake."""

WRONG = [
    (
        "    mean_square = x.sq",
        "    x = x - x.mean(dim=-1, keepdim=True)\n    mean_square = x.sq",
        "The mean is subtracted",
    ),
    ("(mean_square + eps).sqrt()", "(mean_square.sqrt() + eps)", "eps stands outside the root"),
    ("x.square().mean(dim=-1, keepdim=True)", "x.square().mean()", "taken over everything"),
    ("x.square().mean(dim", "x.var(dim", "torch's var or std"),
    ("x.square().mean(", "x.square().sum(", "The sum of the squares"),
    ("x.square().mean(dim=-1", "x.square().mean(dim=0", "along axis 0"),
    ("(mean_square + eps).sqrt() * weight", "(mean_square + eps).sqrt()", "weight is not used"),
    ("(mean_square + eps).sqrt()", "(mean_square + eps)", "The root is missing"),
    (
        "angle = torch.cat((angle, angle), dim=-1)",
        "angle = angle.repeat_interleave(2, dim=-1)",
        "neighbouring columns",
    ),
    ("torch.arange(block_size, dtype", "torch.arange(1, block_size + 1, dtype", "count from 1"),
    ("base ** (-torch", "base ** (torch", "faster and faster"),
    ("/ head_size)  # (D/2,)", "/ head_size / 2)  # (D/2,)", "half of what it should be"),
    ("return angle.cos()", "angle = angle.deg2rad()\n    return angle.cos()", "degrees"),
    ("return angle.cos(), angle.sin()", "return angle.sin(), angle.cos()", "swapped"),
    ("    angle = torch.cat((angle, angle), dim=-1)  # (T, D)\n", "", "D/2 columns"),
    (
        "    first, second = x.chunk(2, dim=-1)  # (B, H, T, D/2) each\n"
        "    quarter_turn = torch.cat((-second, first), dim=-1)",
        "    first, second = x[..., ::2], x[..., 1::2]\n"
        "    quarter_turn = torch.stack((-second, first), dim=-1).flatten(-2)",
        "Neighbouring channels",
    ),
    ("(-second, first)", "(second, -first)", "the wrong way round"),
    ("(-second, first)", "(-first, second)", "halves were not swapped"),
    ("(-second, first)", "(second, first)", "Both halves get a plus"),
    ("quarter_turn * sine", "x * sine", "mixed with itself"),
    ("gate * torch.sigmoid(gate) * up", "up * torch.sigmoid(up) * gate", "gate and up are swapped"),
    ("gate * torch.sigmoid(gate) * up", "torch.sigmoid(gate) * up", "only a sigmoid"),
    (
        "gate * torch.sigmoid(gate) * up",
        "torch.nn.functional.gelu(gate) * up",
        "That gate is a GELU",
    ),
    ("k.repeat_interleave(groups, dim=1)", "k.repeat(1, groups, 1, 1)", "not repeat"),
    ("k.repeat_interleave(groups, dim=1)", "k.repeat_interleave(groups, dim=2)", "axis 2"),
]
