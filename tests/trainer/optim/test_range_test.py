"""What a learning-rate range test suggests, on curves whose shape is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.arrays import Floats
from trainer.optim.range_test import RangeTest, has_diverged, rising_rates
from trainer.recipe_config import RecipeConfig


def curve(best: float, steps: int = 100, noise: float = 0.0, optimizer: str = "sgd") -> RangeTest:
    """A loss that falls from 2.3 to its lowest value at the rate `best`, then rises fast."""
    rates = rising_rates(optimizer, steps)
    decades = np.log10(rates / best)
    falls = 2.3 - 1.3 * np.exp(-np.square(decades) / 0.7)
    losses = np.where(decades < 0, falls, 1 + 8 * np.square(decades))
    return ended(rates, losses + noise * np.random.default_rng(0).standard_normal(steps))


def ended(rates: Floats, losses: Floats) -> RangeTest:
    """The test up to the step at which it ends."""
    ends = [n for n in range(1, len(losses) + 1) if has_diverged(losses[:n].tolist())]
    count = min(ends, default=len(losses))
    return RangeTest(rates=rates[:count], losses=losses[:count])


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize(
    ("optimizer", "best"), [("sgd", 0.3), ("sgd", 0.02), ("adamw", 1e-3), ("lars", 10.0)]
)
def test_a_rate_below_the_lowest_loss_is_suggested(
    optimizer: str, best: float, noise: float
) -> None:
    suggested = curve(best, noise=noise, optimizer=optimizer).suggested
    assert suggested is not None and best / 30 < suggested < best / 2


@given(st.integers(0, 10_000), st.floats(0.001, 0.5))
def test_noise_around_a_constant_loss_suggests_nothing_far_off(seed: int, level: float) -> None:
    rates = rising_rates("sgd", 60)
    losses = level * (1 + 0.001 * np.random.default_rng(seed).standard_normal(60))
    assert RangeTest(rates=rates, losses=losses).suggested is None


def test_rising_or_few_losses_suggest_nothing() -> None:
    rates = rising_rates("sgd", 50)
    assert ended(rates, np.linspace(2, 20, 50)).suggested is None
    assert RangeTest(rates=rates[:2], losses=np.array([2.0, 1.0])).suggested is None
    assert RangeTest(rates=rates[:0], losses=np.zeros(0)).suggested is None


def test_a_test_ends_when_the_loss_diverges() -> None:
    assert has_diverged([math.nan]) and has_diverged([2.0, 2.0, math.inf])
    assert not has_diverged([2.0]) and not has_diverged([2.3] * 10 + [3.0] * 5)
    assert has_diverged([2.3] * 10 + [5.0] * 5)
    # One bad batch is no divergence.
    assert not has_diverged([2.3] * 10 + [9.0])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"global_batch_size": 32},
        {"global_batch_size": 1024, "learning_rate": 0.7},
        {"optimizer": "adamw", "learning_rate": 0.001, "global_batch_size": 64},
    ],
)
def test_the_option_of_a_peak_gives_that_peak(settings: dict[str, object]) -> None:
    recipe = RecipeConfig(**settings)  # type: ignore[arg-type]
    for peak in (1e-4, 0.03, 5.0):
        again = RecipeConfig(**settings | {"learning_rate": recipe.learning_rate_of(peak)})  # type: ignore[arg-type]
        assert again.peak_learning_rate == pytest.approx(peak)
