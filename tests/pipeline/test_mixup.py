"""MixUp and CutMix mix the same pairs of neighbors at any world size."""

import numpy as np
import pytest
import torch
from scipy.stats import beta as beta_distribution
from scipy.stats import kstest

from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.mixup import Mixing, beta, mixing
from pipeline.plan.rng import random_words

CLASSES = 5


def batch(count: int, *, side: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, side, side, 3), dtype=torch.uint8, generator=generator)
    return images.permute(0, 3, 1, 2), torch.arange(count) % CLASSES


def mix_batch(
    mix: Mixing | None, *parts: torch.Tensor, position: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    assert mix is not None
    return mix(parts[0], parts[1], position)


@pytest.mark.parametrize("alphas", [(0.2, 0.0), (0.0, 1.0), (0.8, 1.0)])
@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_mix_the_same_pairs_as_one_process(
    world_size: int, alphas: tuple[float, float]
) -> None:
    images, labels = batch(12)
    config = PipelineConfig(seed=3, mixup_alpha=alphas[0], cutmix_alpha=alphas[1])
    whole = mix_batch(mixing(config, classes=CLASSES, batch_size=12), images, labels, position=36)
    size = 12 // world_size
    parts = [
        mix_batch(
            mixing(config, classes=CLASSES, batch_size=size, rank=rank),
            images[rank * size : (rank + 1) * size],
            labels[rank * size : (rank + 1) * size],
            position=36,
        )
        for rank in range(world_size)
    ]
    for together, apart in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.equal(together, torch.cat(apart))
    assert whole[0].is_contiguous(memory_format=torch.channels_last)


def test_another_step_or_seed_changes_the_weights() -> None:
    images, labels = batch(8)
    outcomes = []
    for seed, position in ((0, 0), (0, 8), (1, 0)):
        mix = Mixing(seed=seed, classes=CLASSES, mixup_alpha=1.0, cutmix_alpha=0.0)
        outcomes.append(mix(images, labels, position)[1])
    assert not torch.equal(outcomes[0], outcomes[1])
    assert not torch.equal(outcomes[0], outcomes[2])


def test_mixup_blends_images_with_the_weights_of_their_labels() -> None:
    images, labels = batch(64)
    mix = Mixing(seed=1, classes=CLASSES, mixup_alpha=0.5, cutmix_alpha=0.0)
    mixed, targets = mix(images, labels, 0)
    partner = torch.arange(64) ^ 1
    share = targets[torch.arange(64), labels]
    assert torch.allclose(targets[torch.arange(64), labels[partner]], 1 - share)
    assert torch.allclose(share[0::2], share[1::2])
    weight = share[:, None, None, None]
    expected = images.float() * weight + images[partner].float() * (1 - weight)
    assert mixed.dtype == torch.uint8
    assert (mixed.float() - expected).abs().max() <= 0.501
    exact, _ = mix(images.double() / 255, labels, 0)
    assert torch.allclose(exact.float(), expected / 255, atol=1e-6)


def test_cutmix_swaps_a_box_of_the_labels_weight() -> None:
    images, labels = batch(64)
    mix = Mixing(seed=1, classes=CLASSES, mixup_alpha=0.0, cutmix_alpha=1.0)
    mixed, targets = mix(images, labels, 0)
    partner = torch.arange(64) ^ 1
    unchanged = (mixed == images).all(1)
    assert ((mixed == images[partner]).all(1) | unchanged).all()
    share = unchanged.float().mean((1, 2))
    # One pixel in 2^24 is equal in two random images.
    assert torch.allclose(targets[torch.arange(64), labels], share, atol=1e-3)
    assert len(share.unique()) > 20


def test_with_both_half_of_the_pairs_get_cutmix() -> None:
    mix = Mixing(seed=0, classes=2, mixup_alpha=0.5, cutmix_alpha=1.0)
    weights, _ = mix.mix_parameters(np.arange(0, 8000, 2), 64, 64)
    assert 0.46 < (weights == 1).mean() < 0.54


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0])
def test_weights_are_distributed_as_beta(alpha: float) -> None:
    keys = random_words(7, np.arange(4000))
    share = beta(keys, np.full(4000, alpha))
    assert kstest(share, beta_distribution(alpha, alpha).cdf).pvalue > 1e-3


def test_an_odd_batch_size_is_rejected() -> None:
    with pytest.raises(MisuseError, match="a rank's batch has 7 images"):
        mixing(PipelineConfig(mixup_alpha=0.2), classes=2, batch_size=7)
    assert mixing(PipelineConfig(), classes=2, batch_size=7) is None


def test_copies_of_one_image_are_not_mixed() -> None:
    with pytest.raises(MisuseError, match="copies of one image"):
        PipelineConfig(repeats=2, mixup_alpha=0.2)
