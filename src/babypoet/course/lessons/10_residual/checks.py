"""What is asked of l10_residual.py."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from babypoet.course import trials
from babypoet.course.checking import Check, Mistake
from babypoet.course.trials import fill, parameters_differ, parameters_of

B, T, C = 2, 5, 4  # the sizes of the checks, pairwise distinct

BY_HAND = """
x = [1, 1, 5, 5], weight = [1, 2, 3, 4], bias = [0, 0, 10, 10], eps = 0
mean      (1 + 1 + 5 + 5) / 4 = 3
centred   [-2, -2, 2, 2]
variance  (4 + 4 + 4 + 4) / 4 = 4, its root is 2
over it   [-1, -1, 1, 1]
* weight  [-1, -2, 3, 4]
+ bias    [-1, -2, 13, 14]
""".strip("\n")

Norm = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def _small() -> tuple[Tensor, Tensor, Tensor, float]:
    x = torch.tensor([[1.0, 1.0, 5.0, 5.0]])
    return x, torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.0, 0.0, 10.0, 10.0]), 0.0


def _random(eps: float = 1e-5) -> tuple[Tensor, Tensor, Tensor, float]:
    rng = torch.Generator().manual_seed(10)
    x = 3 * torch.randn(B, T, C, generator=rng) + 2
    return x, torch.randn(C, generator=rng), torch.randn(C, generator=rng), eps


def _flat() -> tuple[Tensor, Tensor, Tensor, float]:
    _, weight, bias, eps = _random()
    return torch.full((B, T, C), 7.0), weight, bias, eps


# --- what people get wrong ------------------------------------------------------------------------


def normed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    axis: int | tuple[int, ...] = -1,
    unbiased: bool = False,
    outside: bool = False,
    rooted: bool = True,
    centre: bool = True,
    twice: bool = False,
) -> Tensor:
    """Layer norm with every choice open; as given here it is right."""
    centred = x - x.mean(axis, keepdim=True)
    variance = x.var(axis, keepdim=True, correction=int(unbiased))
    if not centre:
        variance = x.square().mean(axis, keepdim=True)
    if outside:
        root = variance.sqrt() + eps
    else:
        root = (variance + eps).sqrt() if rooted else variance + eps
    up = x if not centre or twice else centred
    return up / root * weight + bias


MISTAKES: tuple[tuple[str, Norm], ...] = (
    (
        "The variance is divided by C - 1: that is torch.var's and torch.std's default, for "
        "guessing from a sample. Here it is the mean of the squares: unbiased=False, or "
        "centred.square().mean(...).",
        partial(normed, unbiased=True),
    ),
    (
        "Mean and variance are taken along the wrong axis. Each vector of C channels is normalised "
        "by itself: dim=-1.",
        partial(normed, axis=-2),
    ),
    (
        "Mean and variance are taken along the wrong axis, the first. Each vector of C channels is "
        "normalised by itself: dim=-1.",
        partial(normed, axis=0),
    ),
    (
        "Mean and variance are taken over all positions together. Each vector of C channels is "
        "normalised by itself: dim=-1, with keepdim=True.",
        partial(normed, axis=(-2, -1)),
    ),
    (
        "Mean and variance are taken over everything together. Each vector of C channels is "
        "normalised by itself: dim=-1, with keepdim=True.",
        partial(normed, axis=(0, 1, 2)),
    ),
    (
        "eps stands outside the root. It belongs to the variance, below the root: "
        "sqrt(variance + eps).",
        partial(normed, outside=True),
    ),
    (
        "You divide by the variance. Divide by its root, the standard deviation.",
        partial(normed, rooted=False),
    ),
    (
        "The mean is not subtracted, nowhere: this is RMSNorm, which lesson 16 is about. Centre "
        "each vector first.",
        partial(normed, centre=False),
    ),
    (
        "The variance is right, but what you divide is x. Divide x less its mean.",
        partial(normed, twice=True),
    ),
    (
        "It is centred, but not divided by the root of the variance.",
        lambda x, weight, bias, eps: (x - x.mean(-1, keepdim=True)) * weight + bias,
    ),
    (
        "weight and bias are not used: multiply by one, then add the other.",
        lambda x, weight, bias, eps: normed(x, torch.ones(C), torch.zeros(C), eps),
    ),
    (
        "The bias is not added.",
        lambda x, weight, bias, eps: normed(x, weight, torch.zeros(C), eps),
    ),
    (
        "The weight is not used: multiply by it before adding the bias.",
        lambda x, weight, bias, eps: normed(x, torch.ones(C), bias, eps),
    ),
    (
        "The bias is added before the weight multiplies. First * weight, then + bias.",
        lambda x, weight, bias, eps: (
            (normed(x, torch.ones(C), torch.zeros(C), eps) + bias) * weight
        ),
    ),
    (
        "weight and bias have changed places.",
        lambda x, weight, bias, eps: normed(x, bias, weight, eps),
    ),
)
NO_EPS = (
    "eps is not used. Add it to the variance, below the root, or a vector of equal numbers divides "
    "zero by zero."
)


def _mistakes(inputs: Callable[[], tuple[Tensor, Tensor, Tensor, float]]) -> tuple[Mistake, ...]:
    def gives(wrong: Norm) -> Callable[[Any], Any]:
        return lambda right: wrong(*inputs())

    def without(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        return normed(x, weight, bias, 0.0)

    named = (*MISTAKES, (NO_EPS, without)) if inputs()[3] else MISTAKES
    return tuple(
        Mistake(says, gives(wrong))
        for says, wrong in named
        if (inputs()[3] or "eps stands outside" not in says)
        and (inputs()[0].ndim == 3 or "together" not in says)
    )


def _as_module(eps: float | None = None) -> Callable[[Any], Any]:
    def call(module: Any) -> Any:
        norm = module.LayerNorm(C) if eps is None else module.LayerNorm(C, eps)
        return fill(norm)(_random()[0])

    return call


def _module_gives(eps: float = 1e-5, **how: Any) -> Callable[[Any], Any]:
    def gives(right: Any) -> Any:
        norm = fill(right.LayerNorm(C))
        return normed(_random()[0], norm.weight, norm.bias, eps, **how)

    return gives


def _fresh(module: Any) -> list[Any]:
    norm = module.LayerNorm(C)
    return [norm.weight, norm.bias]


def _learned(module: Any) -> list[str]:
    return sorted(name for name, p in module.LayerNorm(C).named_parameters() if p.requires_grad)


class _Part:
    """A part of a model that counts how often it is called, and with what."""

    def __init__(self) -> None:
        self.given: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.given.append(x)
        return 3 * x + 1


def _calls(module: Any) -> int:
    part = _Part()
    module.residual(_random()[0], part)
    return len(part.given)


def _gradient(module: Any) -> Tensor | None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    module.residual(x, lambda x: 0 * x).sum().backward()
    return x.grad


# --- the checks -----------------------------------------------------------------------------------

CHECKS = [
    Check(
        "One vector of four channels, worked out by hand.",
        lambda module: module.layer_norm(*_small()),
        "layer_norm(torch.tensor([[1., 1., 5., 5.]]), torch.tensor([1., 2., 3., 4.]), "
        "torch.tensor([0., 0., 10., 10.]), 0.0)",
        BY_HAND,
        _mistakes(_small),
    ),
    Check(
        "Two windows of five vectors, each normalised by itself, and an eps that is not small.",
        lambda module: module.layer_norm(*_random(0.5)),
        "layer_norm(x, weight, bias, 0.5)  # x of shape (2, 5, 4)",
        "[1, 1, 5, 5] has the variance 4; with eps = 0.5 the root is of 4.5: 2.121, and -2 / 2.121"
        " = -0.943",
        _mistakes(partial(_random, 0.5)),
    ),
    Check(
        "The same with a small eps.",
        lambda module: module.layer_norm(*_random()),
        "layer_norm(x, weight, bias, 1e-5)",
        BY_HAND,
        tuple(m for m in _mistakes(_random) if "eps" not in m.says),
    ),
    Check(
        "A vector of equal numbers becomes the bias, not NaN.",
        lambda module: module.layer_norm(*_flat()),
        "layer_norm(torch.full((2, 5, 4), 7.), weight, bias, 1e-5)",
        "less the mean it is 0, the variance is 0, and 0 / sqrt(0 + eps) = 0",
        (Mistake(NO_EPS, lambda right: normed(*_flat()[:3], 0.0)),),
    ),
    Check(
        "LayerNorm(4) has two parameters: weight (4,) and bias (4,).",
        lambda module: parameters_of(module.LayerNorm(C)),
        "LayerNorm(4)",
        "super().__init__()                first: PyTorch sets up its lists\n"
        "self.weight = nn.Parameter(...)   only what is a Parameter is learned and saved",
        (
            Mistake(
                "Nothing is learned: a plain tensor is no parameter. Wrap it: nn.Parameter(...).",
                lambda right: {},
            ),
        ),
        verify=partial(parameters_differ, expected={"weight": (C,), "bias": (C,)}),
    ),
    Check(
        "Both are learned.",
        _learned,
        "LayerNorm(4).named_parameters()",
        "register_buffer keeps a tensor that is saved and not learned; nn.Parameter is learned.",
    ),
    Check(
        "It starts by changing nothing after the norm: weight 1, bias 0.",
        _fresh,
        "LayerNorm(4).weight, LayerNorm(4).bias",
        mistakes=(
            Mistake(
                "The weight starts at 0, so everything that passes becomes 0. It starts at 1.",
                lambda right: [torch.zeros(C), torch.zeros(C)],
            ),
            Mistake(
                "The bias starts at 1. It starts at 0.",
                lambda right: [torch.ones(C), torch.ones(C)],
            ),
        ),
    ),
    Check(
        "What it makes of two windows of five vectors.",
        _as_module(),
        "LayerNorm(4)(x)  # x of shape (2, 5, 4)",
        mistakes=(
            Mistake(
                "The learned weight and bias are not used.",
                lambda right: normed(_random()[0], torch.ones(C), torch.zeros(C), 1e-5),
            ),
            Mistake(
                "The variance is divided by C - 1, torch's default: unbiased=False.",
                _module_gives(unbiased=True),
            ),
        ),
    ),
    Check(
        "It keeps to the eps it is given.",
        _as_module(0.5),
        "LayerNorm(4, eps=0.5)(x)",
        mistakes=(
            Mistake(
                "It takes 1e-5 whatever it is given. Keep eps in __init__: self.eps = eps.",
                _module_gives(),
            ),
        ),
    ),
    Check(
        "x, and what the part makes of it, added.",
        lambda module: module.residual(torch.tensor([1.0, 2.0]), lambda x: 10 * x),
        "residual(torch.tensor([1., 2.]), lambda x: 10 * x)",
        "[1, 2] + [10, 20] = [11, 22]",
        (
            Mistake(
                "The residual is forgotten: this is part(x) alone. Add x to it.",
                lambda right: torch.tensor([10.0, 20.0]),
            ),
            Mistake("The part is not called: this is x.", lambda right: torch.tensor([1.0, 2.0])),
            Mistake(
                "x is added twice. x + part(x).",
                lambda right: torch.tensor([12.0, 24.0]),
            ),
            Mistake(
                "x and part(x) are multiplied. Add them.",
                lambda right: torch.tensor([10.0, 40.0]),
            ),
            Mistake(
                "x is taken off part(x). Add them.",
                lambda right: torch.tensor([9.0, 18.0]),
            ),
            Mistake(
                "part(x) is taken off x. Add them.",
                lambda right: torch.tensor([-9.0, -18.0]),
            ),
            Mistake(
                "The part is called twice, on its own result. x + part(x).",
                lambda right: torch.tensor([101.0, 202.0]),
            ),
            Mistake(
                "The part gets x doubled. x + part(x).",
                lambda right: torch.tensor([21.0, 42.0]),
            ),
        ),
    ),
    Check(
        "A part of another kind: a linear layer on two windows.",
        lambda module: module.residual(_random()[0], fill(nn.Linear(C, C))),
        "residual(x, nn.Linear(4, 4))  # x of shape (2, 5, 4)",
    ),
    Check(
        "The part is called once.",
        _calls,
        "residual(x, part)",
        "Each call costs the time of a whole layer: x + part(x) has one.",
    ),
    Check(
        "The gradient of x passes, even where the part gives nothing: it is 1.",
        _gradient,
        "residual(x, lambda x: 0 * x).sum().backward(); x.grad",
        "the derivative of x + 0 * x is 1 + 0",
        (
            Mistake(
                "No gradient reaches x: detach, torch.no_grad or .data cuts the way back.",
                lambda right: None,
            ),
        ),
    ),
]


# --- the reward -----------------------------------------------------------------------------------

DEPTH, WIDTH = 24, 64
SHOWN = (1, 2, 4, 8, 16, 24)


def _layers() -> list[nn.Linear]:
    """Layers whose output is somewhat smaller than what comes in, as untrained ones often are."""
    rng = torch.Generator().manual_seed(3)
    layers = [nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(DEPTH)]
    with torch.no_grad():
        for layer in layers:
            layer.weight.copy_(torch.randn(WIDTH, WIDTH, generator=rng) * 0.7 * WIDTH**-0.5)
    return layers


def _climb(step: Callable[[Tensor, nn.Module], Tensor]) -> tuple[list[float], float]:
    """The size of the vectors that go into each layer, and the gradient at the first."""
    x = torch.randn(50, WIDTH, generator=torch.Generator().manual_seed(4))
    layers, sizes = _layers(), []
    for layer in layers:
        x = step(x, layer)
        sizes.append(float(x.detach().std()))
    x.square().mean().sqrt().backward()  # type: ignore[no-untyped-call]
    first = layers[0].weight.grad
    assert first is not None
    return sizes, float(first.norm())


def reward(theirs: Any) -> str:
    """How large the stream is over depth, and what gradient reaches the first layer."""
    norm = theirs.LayerNorm(WIDTH)
    read: list[float] = []

    def noted(layer: nn.Module) -> Callable[[Tensor], Tensor]:
        def part(x: Tensor) -> Tensor:
            y = norm(x)
            read.append(float(y.detach().std()))
            return torch.tanh(layer(y))

        return part

    ways: dict[str, Callable[[Tensor, nn.Module], Tensor]] = {
        "layer after layer": lambda x, layer: torch.tanh(layer(x)),
        "with your residual": lambda x, layer: theirs.residual(x, lambda x: torch.tanh(layer(x))),
        "with residual and your norm": lambda x, layer: theirs.residual(x, noted(layer)),
    }
    climbs = {name: _climb(step) for name, step in ways.items()}
    lines = [f"{DEPTH} layers of {WIDTH} channels, untrained. The size of the vectors after layer"]
    lines.append(f"  {'':28}" + "".join(f"{layer:>10}" for layer in SHOWN))
    for name, (sizes, _) in climbs.items():
        lines.append(f"  {name:28}" + "".join(f"{sizes[layer - 1]:>10.6f}" for layer in SHOWN))
    lines.append(
        f"  {'  what each layer reads':28}"
        + "".join(f"{read[layer - 1]:>10.6f}" for layer in SHOWN)
    )
    lines += ["", "The gradient that reaches the first layer:"]
    largest = max(gradient for _, gradient in climbs.values())
    for name, (_, gradient) in climbs.items():
        lines.append(f"  {name:28}{gradient:>12.8f}  {trials.bar(gradient, largest, 24)}")
    return "\n".join(lines)
