"""What the tests share: hypothesis's settings, the texts, and weights that hide nothing."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:  # importing torch takes seconds, which only the tests that use it should pay
    from playwright.sync_api import Browser

    from babypoet.ladder import Rung

# Models of a few hundred numbers gain nothing from a second thread, and on a busy machine lose
# much. Set before torch is imported, and inherited by the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile(
    "babypoet",
    deadline=None,  # no test depends on wall time
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("babypoet")


@pytest.fixture(scope="session")
def poems() -> str:
    """The built-in poems."""
    return (ROOT / "src/babypoet/poems.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def shakespeare() -> Path:
    """Where tiny Shakespeare lies, for the tests that measure on it; without it they skip."""
    path = ROOT.parent / "shared/corpus/tinyshakespeare.txt"
    if not path.exists():
        pytest.skip(f"{path} is not there: it is not part of the package")
    return path


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """One chromium for all browser tests; without any they skip, or, under CI, fail."""
    from browser import chromium

    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def randomise() -> "Callable[[Rung, int], Rung]":
    """Give every weight a random value: a matrix that starts at zero makes a test blind."""
    import torch

    def randomise(model: "Rung", seed: int) -> "Rung":
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                if parameter.ndim == 1:  # a scale is near 1, a shift near 0
                    noise = 0.3 * noise + (1.0 if name.endswith("weight") else 0.0)
                elif not isinstance(_owner(model, name), torch.nn.Embedding):
                    noise = noise / parameter.shape[1] ** 0.5
                parameter.copy_(noise)
        return model

    return randomise


def _owner(model: "Rung", name: str) -> object:
    return model.get_submodule(name.rpartition(".")[0])
