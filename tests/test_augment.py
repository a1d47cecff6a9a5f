"""Augmentation: torchvision's distribution and geometry, from a pure function."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from torchvision.transforms import v2

from pipeline.augment import Parameters, train_parameters, val_parameters

sides = st.lists(st.integers(1, 3000), min_size=1, max_size=20)


def drawn(
    heights: list[int], widths: list[int], *, seed: int = 0, first: int = 0, **changes: Any
) -> Parameters:
    settings = {
        "crop_area": (0.08, 1.0),
        "crop_ratio": (0.75, 4 / 3),
        "flip_probability": 0.5,
        "color_jitter": 0.4,
    }
    count = len(heights)
    return train_parameters(
        seed=seed,
        visits=np.zeros(count, np.int64),
        samples=np.arange(first, first + count),
        heights=np.array(heights),
        widths=np.array(widths),
        **(settings | changes),
    )


@given(heights=sides, widths=sides, seed=st.integers(0, 2**63 - 1))
def test_windows_lie_in_their_images(heights: list[int], widths: list[int], seed: int) -> None:
    count = min(len(heights), len(widths))
    parameters = drawn(heights[:count], widths[:count], seed=seed)
    size = np.stack([heights[:count], widths[:count]], axis=1)
    assert (parameters.start >= 0).all()
    assert (parameters.shape >= 1).all()
    assert (parameters.start + parameters.shape <= size).all()


def test_a_sample_is_treated_alike_in_any_batch() -> None:
    together = drawn([300] * 64, [400] * 64)
    apart = drawn([300] * 16, [400] * 16, first=48)
    for name in ("start", "shape", "mirror", "brightness", "contrast", "saturation"):
        assert np.array_equal(getattr(together, name)[48:], getattr(apart, name))


def test_without_jitter_there_is_no_color() -> None:
    assert drawn([30], [40], color_jitter=0.0).brightness is None


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 333), (40, 400)])
def test_windows_are_distributed_as_random_resized_crop(height: int, width: int) -> None:
    count = 4000
    torch.manual_seed(0)
    image = torch.zeros(1, height, width)
    reference = v2.RandomResizedCrop(224)
    theirs = np.array([list(reference.make_params([image]).values()) for _ in range(count)])
    parameters = drawn([height] * count, [width] * count)
    ours = np.concatenate([parameters.start, parameters.shape], axis=1)
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3


def test_flips_and_colors_keep_to_their_ranges() -> None:
    parameters = drawn([100] * 10_000, [100] * 10_000, flip_probability=0.25)
    assert 0.23 < parameters.mirror.mean() < 0.27
    for name in ("brightness", "contrast", "saturation"):
        factors = getattr(parameters, name)
        assert 0.6 <= factors.min() < 0.61 and 1.39 < factors.max() <= 1.4


@given(heights=sides, widths=sides, crop=st.integers(1, 256))
def test_validation_region_lies_in_the_image(
    heights: list[int], widths: list[int], crop: int
) -> None:
    count = min(len(heights), len(widths))
    size = np.stack([heights[:count], widths[:count]], axis=1)
    parameters = val_parameters(
        heights=size[:, 0], widths=size[:, 1], resize_px=256, image_size_px=crop
    )
    assert (parameters.roi_start >= 0).all()
    assert (parameters.roi_end <= size * (1 + 1e-6)).all()
    assert (parameters.roi_end > parameters.roi_start).all()
